"""Weight and spectral normalization of a layer's weight. State keys are compared with PyTorch's in test_nn_golden."""

import copy
import pickle
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor, nn
from tinygrad_cnn.autograd import gradcheck, gradgradcheck
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.nn.utils import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm
from tinygrad_cnn.random import default_generator


@pytest.fixture(autouse=True)
def _seed():
    tg.manual_seed(0)


@pytest.mark.parametrize(("dim", "over"), [(0, (1, 2, 3)), (1, (0, 2, 3)), (None, (0, 1, 2, 3))])
def test_weight_norm_splits_length_and_direction(dim, over):
    layer = nn.Conv2d(2, 3, (2, 4)).double()
    before, x = layer.weight.detach().numpy().copy(), tg.randn(1, 2, 5, 6).double()
    expected = layer(x).detach().numpy()
    assert weight_norm(layer, dim=dim) is layer
    lengths = np.sqrt((before**2).sum(over, keepdims=dim is not None))
    np.testing.assert_allclose(layer.weight_g.detach(), lengths)
    np.testing.assert_array_equal(layer.weight_v.detach(), before)
    np.testing.assert_allclose(layer(x).detach(), expected)
    with tg.no_grad():
        layer.weight_v.mul_(7.0)
        layer.weight_g.mul_(2.0)
    layer(x)
    np.testing.assert_allclose(layer.weight.detach(), 2 * before)


def test_weight_norm_trains_length_and_direction():
    layer = weight_norm(nn.Linear(3, 2).double())
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight_g", "weight_v"]
    assert [parameter.name for parameter in layer.parameters()] == ["bias", "weight_g", "weight_v"]
    layer(tg.randn(4, 3).double()).square().sum().backward()
    # The length does not change along a direction's own line, so its gradient is at right angles to it.
    assert np.abs((layer.weight_v.grad * layer.weight_v.detach()).sum(1).numpy()).max() < 1e-12
    assert np.abs(layer.weight_g.grad.numpy()).min() > 1e-3


@pytest.mark.parametrize("normalize", [weight_norm, lambda layer: weight_norm(layer, dim=None), spectral_norm])
def test_gradients_to_the_second_order(normalize):
    layer = normalize(nn.Linear(3, 2)).double().eval()
    names = [name for name, _ in layer.named_parameters()]
    x = tg.randn(4, 3).double()

    def run(*parameters):
        for name, parameter in zip(names, parameters, strict=True):
            object.__setattr__(layer, name, parameter)  # found before the registered one
        return layer(x)

    values = [parameter.detach().clone().requires_grad_() for parameter in layer.parameters()]
    assert gradcheck(run, values)
    assert gradgradcheck(run, values)


def test_spectral_norm_divides_by_the_largest_singular_value():
    layer = nn.Conv2d(3, 4, 2).double()
    before = layer.weight.detach().numpy().copy()
    assert spectral_norm(layer) is layer
    for _ in range(200):
        layer(tg.zeros(1, 3, 2, 2).double())
    largest = np.linalg.svd(before.reshape(4, -1), compute_uv=False)[0]
    np.testing.assert_allclose(layer.weight.detach(), before / largest, rtol=1e-6)
    np.testing.assert_array_equal(layer.weight_orig.detach(), before)
    assert layer.weight_orig.name == "weight_orig"


def test_spectral_norm_iterates_in_training_only_and_as_often_as_asked():
    matrix = np.random.default_rng(0).standard_normal((4, 3))
    for times, options in ((1, {}), (1, {"n_power_iterations": 1}), (3, {"n_power_iterations": 3})):
        layer = nn.Linear(3, 4).double()
        with tg.no_grad():
            layer.weight.copy_(matrix)
        tg.manual_seed(1)
        u, v = (drawn / np.linalg.norm(drawn) for drawn in (default_generator().standard_normal(size) for size in (4, 3)))
        tg.manual_seed(1)
        spectral_norm(layer, **options)
        np.testing.assert_allclose(layer.weight_u, u)
        np.testing.assert_allclose(layer.weight_v, v)
        layer.eval()(tg.zeros(1, 3).double())
        np.testing.assert_allclose(layer.weight_u, u)
        np.testing.assert_allclose(layer.weight.detach(), matrix / (u @ matrix @ v))
        layer.train()(tg.zeros(1, 3).double())
        for _ in range(times):
            v = matrix.T @ u / np.linalg.norm(matrix.T @ u)
            u = matrix @ v / np.linalg.norm(matrix @ v)
        np.testing.assert_allclose(layer.weight_u, u)
        np.testing.assert_allclose(layer.weight_v, v)
        np.testing.assert_allclose(layer.weight.detach(), matrix / (u @ matrix @ v))


def test_a_second_call_does_not_spoil_the_gradient_of_the_first():
    """The power iteration writes its buffers in place; what the graph keeps is a copy."""
    layer = spectral_norm(nn.Linear(3, 2))
    (layer(tg.ones(1, 3)) + layer(2 * tg.ones(1, 3))).sum().backward()
    assert np.isfinite(layer.weight_orig.grad.numpy()).all()


def test_spectral_norm_of_a_transposed_convolution_counts_outputs_in_dimension_1():
    layer = spectral_norm(nn.ConvTranspose2d(2, 5, 3))
    assert layer.weight_u.shape == (5,)
    assert layer.weight_v.shape == (18,)


@pytest.mark.parametrize(("add", "remove"), [(weight_norm, remove_weight_norm), (spectral_norm, remove_spectral_norm)])
def test_removing_leaves_a_plain_layer_with_the_same_output(add, remove):
    layer, x = add(nn.Linear(3, 2)), tg.randn(4, 3)
    layer(x)
    layer.eval()
    expected = layer(x).detach().numpy()
    assert remove(layer) is layer
    np.testing.assert_allclose(layer(x).detach(), expected, rtol=1e-6)
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    assert isinstance(layer.weight, nn.Parameter)
    assert layer._forward_pre_hooks == []
    add(layer)


@pytest.mark.parametrize("add", [weight_norm, spectral_norm])
def test_copies_pickles_and_states(add):
    layer, x = add(nn.Linear(3, 2)), tg.randn(4, 3)
    expected = layer(x).detach().numpy()
    layer.eval()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_allclose(other(x).detach(), expected, rtol=1e-6)
        other(x).sum().backward()
        assert layer.bias.grad is None
        assert other.bias.grad is not None
    fresh = add(nn.Linear(3, 2)).eval()
    assert not np.allclose(fresh(x).detach(), expected)
    fresh.load_state_dict(layer.state_dict())
    np.testing.assert_allclose(fresh(x).detach(), expected, rtol=1e-6)


def test_two_normalizations_of_different_parameters_live_side_by_side():
    layer = spectral_norm(weight_norm(nn.Linear(3, 2), "bias"), "weight")
    assert sorted(layer.state_dict()) == ["bias_g", "bias_v", "weight_orig", "weight_u", "weight_v"]
    np.testing.assert_allclose(layer.bias.detach(), layer.bias_v.detach())
    remove_weight_norm(layer, "bias")
    assert sorted(layer.state_dict()) == ["bias", "weight_orig", "weight_u", "weight_v"]


def test_the_spectral_norm_of_a_row_is_its_length():
    row = spectral_norm(nn.Linear(3, 1))
    with tg.no_grad():
        row.weight_orig.copy_(tg.tensor([[3.0, 0.0, 4.0]]))
    row(tg.zeros(1, 3))
    np.testing.assert_allclose(row.weight.detach(), [[0.6, 0.0, 0.8]], rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: weight_norm(nn.ReLU()), ArgumentError, "weight_norm: ReLU has no parameter 'weight' of its own; it has none"),
        (lambda: spectral_norm(nn.Sequential(nn.Linear(2, 2))), ArgumentError, "apply it to each layer of a network"),
        (lambda: weight_norm(nn.Linear(2, 2), "w"), ArgumentError, "no parameter 'w' of its own; it has 'weight', 'bias'"),
        (lambda: spectral_norm(nn.Linear(2, 2, bias=False), "bias"), ArgumentError, "Linear has no parameter 'bias'"),
        (lambda: weight_norm(weight_norm(nn.Linear(2, 2))), ArgumentError,
         "weight_norm: 'weight' of Linear is normalized already; remove_weight_norm it first"),
        (lambda: spectral_norm(spectral_norm(nn.Linear(2, 2))), ArgumentError, "remove_spectral_norm it first"),
        (lambda: weight_norm(nn.Linear(2, 2), dim=2), ShapeError,
         "weight_norm: dim 2 is not a dimension of a parameter of shape (2, 2); count from 0 to 1"),
        (lambda: weight_norm(nn.Linear(2, 2), dim=-1), ShapeError, "dim -1 is not a dimension"),
        (lambda: spectral_norm(nn.Linear(2, 2), dim=4), ShapeError, "spectral_norm: dim 4 is not a dimension"),
        (lambda: spectral_norm(nn.Linear(2, 2), n_power_iterations=0), ArgumentError, "must be at least 1, got 0"),
        (lambda: remove_weight_norm(nn.Linear(2, 2)), ArgumentError, "'weight' of Linear has no weight_norm"),
        (lambda: remove_spectral_norm(weight_norm(nn.Linear(2, 2))), ArgumentError, "'weight' of Linear has no spectral_norm"),
    ],
)  # fmt: skip
def test_errors_say_what_was_given_and_what_to_do(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_a_refusal_leaves_the_layer_as_it_was():
    layer = nn.Linear(2, 2)
    with pytest.raises(ShapeError):
        weight_norm(layer, dim=5)
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    layer(Tensor(np.ones((1, 2), np.float32)))
