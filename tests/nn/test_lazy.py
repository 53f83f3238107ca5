"""Lazy layers: shapes from the first input or from a loaded state; clear errors before that."""

import copy
import pickle
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim
from tinygrad_cnn.errors import ArgumentError, CheckpointError, ShapeError

# The lazy layer, the layer it becomes, and an input.
CASES = {
    "linear": (lambda: nn.LazyLinear(3), lambda: nn.Linear(5, 3), (2, 7, 5)),
    "linear, no bias": (lambda: nn.LazyLinear(3, bias=False), lambda: nn.Linear(5, 3, bias=False), (5,)),
    "conv1d": (lambda: nn.LazyConv1d(3, 2), lambda: nn.Conv1d(5, 3, 2), (2, 5, 6)),
    "conv2d": (
        lambda: nn.LazyConv2d(6, (2, 3), stride=2, padding=1, groups=2, bias=False),
        lambda: nn.Conv2d(4, 6, (2, 3), stride=2, padding=1, groups=2, bias=False),
        (2, 4, 6, 5),
    ),
    "conv2d, no batch": (lambda: nn.LazyConv2d(3, 2), lambda: nn.Conv2d(5, 3, 2), (5, 6, 7)),
    "conv3d": (lambda: nn.LazyConv3d(2, 2, dilation=2), lambda: nn.Conv3d(3, 2, 2, dilation=2), (1, 3, 4, 5, 6)),
    "transposed 1d": (lambda: nn.LazyConvTranspose1d(3, 2), lambda: nn.ConvTranspose1d(5, 3, 2), (2, 5, 6)),
    "transposed 2d": (
        lambda: nn.LazyConvTranspose2d(6, 3, 2, 1, 1, 2),
        lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2),
        (2, 4, 6, 5),
    ),
    "transposed 3d": (lambda: nn.LazyConvTranspose3d(2, 2), lambda: nn.ConvTranspose3d(3, 2, 2), (1, 3, 4, 5, 6)),
    "batch norm 1d": (lambda: nn.LazyBatchNorm1d(), lambda: nn.BatchNorm1d(5), (3, 5)),
    "batch norm 2d": (lambda: nn.LazyBatchNorm2d(1e-3, 0.2), lambda: nn.BatchNorm2d(5, 1e-3, 0.2), (3, 5, 2, 4)),
    "batch norm 3d": (lambda: nn.LazyBatchNorm3d(bias=False), lambda: nn.BatchNorm3d(5, bias=False), (3, 5, 2, 4, 1)),
    "batch norm, relu": (lambda: nn.LazyBatchNorm1d(relu=True), lambda: nn.BatchNorm1d(5, relu=True), (3, 5)),
    "batch norm, nothing": (
        lambda: nn.LazyBatchNorm2d(affine=False, track_running_stats=False),
        lambda: nn.BatchNorm2d(5, affine=False, track_running_stats=False),
        (3, 5, 2, 4),
    ),
    "instance norm 1d": (lambda: nn.LazyInstanceNorm1d(), lambda: nn.InstanceNorm1d(5, 1e-5, 0.1, True, True), (3, 5, 7)),
    "instance norm 2d": (
        lambda: nn.LazyInstanceNorm2d(affine=False, track_running_stats=False),
        lambda: nn.InstanceNorm2d(5),
        (5, 2, 4),
    ),
    "instance norm 3d": (lambda: nn.LazyInstanceNorm3d(), lambda: nn.InstanceNorm3d(5, 1e-5, 0.1, True, True), (3, 5, 2, 4, 3)),
}


@pytest.mark.parametrize("case", CASES)
def test_becomes_the_layer_with_its_first_input(case):
    make, make_eager, shape = CASES[case]
    lazy, eager = make(), make_eager()
    tg.manual_seed(3)
    x = tg.randn(*shape)
    y = lazy(x)
    assert type(lazy) is type(eager)
    assert repr(lazy) == repr(eager)
    state = lazy.state_dict()
    assert {n: t.shape for n, t in state.items()} == {n: t.shape for n, t in eager.state_dict().items()}
    eager.load_state_dict({name: t for name, t in state.items() if "running" not in name and "num" not in name}, strict=False)
    np.testing.assert_array_equal(y.detach().numpy(), eager(x).detach().numpy())
    assert {type(p) for p in lazy.parameters()} <= {nn.Parameter}
    assert {type(b) for b in lazy.buffers()} <= {tg.Tensor}


@pytest.mark.parametrize("case", [name for name in CASES if "nothing" not in name])
def test_load_gives_the_shapes(case):
    make, make_eager, shape = CASES[case]
    lazy, eager = make(), make_eager()
    for tensor in (*eager.parameters(), *eager.buffers()):
        tensor.data = tensor.array + 1
    lazy.load_state_dict(eager.state_dict())
    for name, tensor in lazy.state_dict().items():
        np.testing.assert_array_equal(tensor.array, eager.state_dict()[name].array)
    x = tg.randn(*shape)
    np.testing.assert_array_equal(lazy(x).detach().numpy(), eager(x).detach().numpy())
    assert repr(lazy) == repr(eager)


def test_initial_values_are_those_of_the_layer():
    tg.manual_seed(5)
    lazy = nn.LazyLinear(40)
    tg.manual_seed(6)
    lazy(tg.zeros(1, 50))
    tg.manual_seed(6)
    np.testing.assert_array_equal(lazy.weight.array, nn.Linear(50, 40).weight.array)


def test_what_was_loaded_in_part_is_kept():
    lazy = nn.LazyLinear(2)
    lazy.load_state_dict({"weight": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])}, strict=False)
    lazy(tg.zeros(1, 3))
    assert lazy.weight.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert np.abs(lazy.bias.array).max() <= 3**-0.5
    other = nn.LazyLinear(2)
    other.load_state_dict({"weight": np.ones((2, 3))}, strict=False)
    with pytest.raises(ShapeError):
        other(tg.zeros(1, 4))


def test_the_parameter_object_stays():
    lazy = nn.LazyLinear(2)
    weight = lazy.weight
    lazy(tg.zeros(1, 3))
    assert lazy.weight is weight
    assert weight.is_leaf
    assert weight.requires_grad
    optim.SGD(lazy.parameters(), lr=0.1)


def net():
    return nn.Sequential(nn.LazyConv2d(2, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(3))


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (lambda m: m.state_dict(), "parameter 'weight'"),
        (lambda m: optim.SGD(m.parameters(), lr=0.1), "parameter 'weight'"),
        (lambda m: nn.utils.clip_grad_norm_(m.parameters(), 1.0), "parameter 'weight'"),
        (lambda m: nn.utils.clip_grad_value_(m.parameters(), 1.0), "parameter 'weight'"),
        (lambda m: nn.utils.parameters_to_vector(m.parameters()), "parameter 'weight'"),
        (lambda m: sum(p.numel() for p in m.parameters()), "parameter 'weight'"),
        (lambda m: m[0].weight.shape, "parameter 'weight'"),
        (lambda m: nn.init.zeros_(m[3].bias), "parameter 'bias'"),
        (lambda m: m[1].running_mean * 2, "buffer"),
        (lambda m: nn.utils.weight_norm(m[0]), "parameter 'weight'"),
    ],
)
def test_errors_before_the_first_input(act, name):
    model = net()
    with pytest.raises(ArgumentError, match=f"the {name} has neither shape nor values yet.*Run one batch") as caught:
        act(model)
    assert "load a state_dict" in str(caught.value)
    assert repr(model) == repr(net())


def test_settings_reach_the_places():
    model = net().double()
    model[0].requires_grad_(False)
    model.zero_grad()
    model(tg.randn(2, 1, 5, 5, dtype="float64")).sum().backward()
    assert {p.dtype for p in model.parameters()} == {np.dtype("float64")}
    assert model[1].running_mean.dtype == np.float64
    assert model[0].weight.grad is None
    assert model[3].weight.grad is not None


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies(clone):
    model = net().half()
    model[3].requires_grad_(False)
    twin = clone(model)
    assert repr(twin) == repr(model)
    assert twin[3].weight.name == "weight"
    assert not twin[3].weight.requires_grad
    twin.float()(tg.zeros(2, 1, 5, 5))
    assert type(model[0]) is nn.LazyConv2d
    assert model[0].weight.dtype == np.float16


def test_repr_of_places():
    assert repr(nn.LazyLinear(3).weight) == "<UninitializedParameter>"
    assert repr(nn.LazyBatchNorm1d().running_mean) == "<UninitializedBuffer>"


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda: nn.LazyLinear(3), (), "LazyLinear: needs an input of at least one dimension"),
        (lambda: nn.LazyConv2d(3, 2), (4, 5), "LazyConv2d: needs an input of 4 dimensions (n, c, ...), or 3 without the batch"),
        (lambda: nn.LazyConv2d(4, 2, groups=4), (1, 6, 5, 5), "groups=4 does not divide the 6 channels of the input"),
        (lambda: nn.LazyBatchNorm2d(), (4, 5), "LazyBatchNorm2d: needs an input of 4 dimensions; got shape (4, 5)"),
        (lambda: nn.LazyBatchNorm1d(), (4,), "LazyBatchNorm1d: needs an input of 2 or 3 dimensions"),
        (lambda: nn.LazyInstanceNorm1d(), (4,), "LazyInstanceNorm1d: needs an input of 2 or 3 dimensions"),
    ],
)
def test_a_refused_input_leaves_it_lazy(make, shape, message):
    lazy = make()
    with pytest.raises(ShapeError, match=re.escape(message)):
        lazy(tg.zeros(*shape))
    assert repr(lazy) == repr(make())
    assert lazy.has_uninitialized_params()


def test_load_still_lists_what_does_not_fit():
    model = net()
    with pytest.raises(CheckpointError, match=r"not given:\n    0\.weight"):
        model.load_state_dict({"0.bias": np.zeros(2)})
    assert model[0].has_uninitialized_params()


def test_reset_parameters_before_there_is_a_shape():
    lazy = nn.LazyLinear(3)
    lazy.reset_parameters()
    assert lazy.has_uninitialized_params()
