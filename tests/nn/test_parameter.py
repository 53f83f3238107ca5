"""Parameter: a tensor that requires a gradient, keeps its kind through copies, and has a name."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.errors import DTypeError, InplaceError


def test_is_a_leaf_that_requires_grad():
    p = nn.Parameter(tg.ones(2, 3))
    assert isinstance(p, tg.Tensor)
    assert p.requires_grad
    assert p.is_leaf
    assert not nn.Parameter(tg.ones(2), requires_grad=False).requires_grad


def test_shares_the_data_and_leaves_its_history_behind():
    x = tg.ones(2, requires_grad=True)
    y = x * 2
    p = nn.Parameter(y)
    assert p.array is y.array
    assert p.grad_fn is None


def test_shares_the_version_of_the_tensor_that_it_was_made_of():
    x = tg.tensor([2.0])
    p = nn.Parameter(x)
    loss = (p * p).sum()
    x.add_(1)
    with pytest.raises(InplaceError):
        loss.backward()


def test_repr():
    assert repr(nn.Parameter(tg.ones(2))) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"


def test_integers_cannot_be_learned():
    with pytest.raises(DTypeError, match="only floating-point tensors can require gradients, this one is int64"):
        nn.Parameter(np.arange(3))
    assert nn.Parameter(np.arange(3), requires_grad=False).dtype == np.int64


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
@pytest.mark.parametrize("requires_grad", [True, False])
def test_copies_stay_parameters(clone, requires_grad):
    p = nn.Parameter(tg.tensor([1.0, 2.0]), requires_grad)
    p.name = "weight"
    twin = clone(p)
    assert type(twin) is nn.Parameter
    assert twin.requires_grad is requires_grad
    assert twin.name == "weight"
    np.testing.assert_array_equal(twin.array, p.array)
    twin.array[0] = 7
    assert p.array[0] == 1


def test_deepcopy_keeps_the_gradient_apart():
    p = nn.Parameter(tg.tensor([1.0]))
    (p * 3).sum().backward()
    twin = copy.deepcopy(p)
    assert twin.grad.tolist() == [3.0]
    twin.grad.array[0] = 7
    assert p.grad.tolist() == [3.0]


def test_arithmetic_gives_tensors():
    assert type(nn.Parameter(tg.ones(2)) * 2) is tg.Tensor
