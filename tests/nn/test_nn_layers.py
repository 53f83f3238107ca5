"""Layers: they call their function with their own settings, start from the right values, and refuse nonsense."""

import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, ShapeError


@pytest.fixture(autouse=True)
def seed():
    tg.manual_seed(0)


def values(tensor):
    return tensor.detach().numpy()


# Convolution --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "function", "shape"),
    [(nn.Conv1d, F.conv1d, (2, 4, 9)), (nn.Conv2d, F.conv2d, (2, 4, 9, 8)), (nn.Conv3d, F.conv3d, (2, 4, 7, 9, 8))],
)
def test_conv_passes_every_setting(kind, function, shape):
    x = tg.randn(*shape)
    layer = kind(4, 6, 3, stride=2, padding=1, dilation=2, groups=2)
    expected = function(x, layer.weight, layer.bias, 2, 1, 2, 2)
    np.testing.assert_array_equal(values(layer(x)), values(expected))
    assert layer.weight.shape == (6, 2, *([3] * (len(shape) - 2)))
    assert layer.bias.shape == (6,)


def test_conv_of_unequal_sides():
    x = tg.randn(1, 1, 9, 8)
    layer = nn.Conv2d(1, 2, (3, 2), stride=(2, 1), padding=((1, 0), (2, 3)), bias=False)
    np.testing.assert_array_equal(values(layer(x)), values(F.conv2d(x, layer.weight, None, (2, 1), ((1, 0), (2, 3)))))


NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@pytest.mark.parametrize("mode", NUMPY_MODES)
@pytest.mark.parametrize("padding", [2, (1, 3), ((1, 2), (0, 3))])
def test_conv_padding_modes_pad_as_numpy_does(mode, padding):
    x = tg.randn(2, 1, 6, 5)
    layer = nn.Conv2d(1, 2, 3, stride=2, padding=padding, padding_mode=mode)
    pairs = {2: ((2, 2), (2, 2)), (1, 3): ((1, 1), (3, 3))}.get(padding, padding)
    border = np.pad(x.numpy(), ((0, 0), (0, 0), *pairs), mode=NUMPY_MODES[mode])
    expected = F.conv2d(border, layer.weight, layer.bias, 2)
    np.testing.assert_allclose(values(layer(x)), values(expected), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(values(layer(x[0])), values(expected[0]), rtol=1e-5, atol=1e-6)


def test_conv_same_with_a_stride_and_a_mode():
    """An even kernel and stride 2 on 7 pixels: 4 outputs need (4 - 1) * 2 + 4 - 7 = 3 pixels of border, 1 and 2."""
    x = tg.randn(1, 1, 7)
    layer = nn.Conv1d(1, 1, 4, stride=2, padding="same", padding_mode="circular")
    border = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 2)), mode="wrap")
    np.testing.assert_allclose(values(layer(x)), values(F.conv1d(border, layer.weight, layer.bias, 2)), rtol=1e-5)
    assert layer(x).shape == (1, 1, 4)


def test_conv_gradient_goes_through_a_padding_mode():
    x = tg.randn(1, 1, 4, dtype=np.float64, requires_grad=True)
    layer = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular", bias=False).double()
    layer(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.full((1, 1, 4), layer.weight.array.sum()))


def test_default_init_is_uniform_within_the_root_of_fan_in():
    for layer, fan_in in ((nn.Conv2d(16, 64, 5, groups=2), 8 * 25), (nn.Linear(200, 150), 200)):
        bound = 1 / math.sqrt(fan_in)
        for tensor in (layer.weight, layer.bias):
            drawn = tensor.array
            assert np.abs(drawn).max() <= bound * (1 + 1e-6)
            assert np.abs(drawn).max() > 0.95 * bound
            assert abs(drawn.mean()) < 4 * bound / math.sqrt(3 * drawn.size)
        np.testing.assert_allclose(layer.weight.array.std(), bound / math.sqrt(3), rtol=0.02)


def test_reset_parameters_draws_anew_in_place():
    layer = nn.Linear(4, 4)
    array, before = layer.weight.array, layer.weight.array.copy()
    layer.reset_parameters()
    assert layer.weight.array is array
    assert (array != before).all()


def test_seed_repeats_a_network():
    tg.manual_seed(3)
    a = nn.Linear(3, 3)
    tg.manual_seed(3)
    np.testing.assert_array_equal(a.weight.array, nn.Linear(3, 3).weight.array)


def test_parameter_counts_of_the_fact_sheet():
    def count(layer):
        return sum(p.numel() for p in layer.parameters())

    assert count(nn.Conv2d(3, 32, 3)) == 896
    assert count(nn.Conv2d(32, 64, 3)) == 18_496
    assert count(nn.Conv2d(3, 10, 3)) == 280
    assert nn.Conv2d(3, 4, 3, padding=2)(tg.zeros(1, 3, 100, 100)).shape == (1, 4, 102, 102)
    layer = nn.Conv2d(2, 3, (3, 5), padding=(1, 2))
    assert layer(tg.zeros(4, 2, 3, 5)).shape == (4, 3, 3, 5)
    assert (layer.weight.shape, layer.bias.shape) == ((3, 2, 3, 5), (3,))


def test_default_dtype_is_followed():
    tg.set_default_dtype(np.float64)
    try:
        assert nn.Linear(2, 2).weight.dtype == np.float64
        assert nn.BatchNorm2d(2).running_var.dtype == np.float64
    finally:
        tg.set_default_dtype(np.float32)


# Linear, shapes, activations, pooling: the function with the layer's settings ---------------------------------------


def test_linear():
    layer = nn.Linear(3, 2)
    x = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    expected = x @ layer.weight.array.T + layer.bias.array
    np.testing.assert_allclose(values(layer(tg.tensor(x))), expected, rtol=1e-5)


def test_flatten_and_identity():
    x = tg.zeros(2, 3, 4, 5)
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, 2)(x).shape == (24, 5)
    assert nn.Identity(64, affine=False)(x) is x


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (nn.ReLU(), lambda x: np.maximum(x, 0)),
        (nn.LeakyReLU(0.25), lambda x: np.where(x > 0, x, 0.25 * x)),
        (nn.LeakyReLU(), lambda x: np.where(x > 0, x, 0.01 * x)),
        (nn.Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
        (nn.Tanh(), np.tanh),
        (nn.Softmax(dim=0), lambda x: np.exp(x) / np.exp(x).sum(0)),
        (nn.LogSoftmax(dim=1), lambda x: x - np.log(np.exp(x).sum(1, keepdims=True))),
    ],
)
def test_activations(layer, function):
    x = tg.randn(4, 5, dtype=np.float64)
    before = x.numpy().copy()
    np.testing.assert_allclose(values(layer(x)), function(before), rtol=1e-12)
    np.testing.assert_array_equal(x.numpy(), before)


@pytest.mark.parametrize("kind", [nn.ReLU, nn.LeakyReLU])
def test_inplace_activations_write_over_their_input(kind):
    x = tg.tensor([[-2.0, 3.0]], requires_grad=True)
    y = x * 1
    z = kind(inplace=True)(y)
    assert z is y
    plain = kind()(x * 1)
    np.testing.assert_array_equal(values(z), values(plain))
    (z * 5).sum().backward()
    first, x.grad = x.grad.tolist(), None
    (plain * 5).sum().backward()
    assert x.grad.tolist() == first


def test_softmax_without_a_dimension_says_so():
    with pytest.raises(ArgumentError, match="say which dimension sums to 1"):
        nn.Softmax()(tg.zeros(2, 2))


def test_max_pool_passes_every_setting():
    x = tg.randn(2, 3, 9, 10)
    layer = nn.MaxPool2d((3, 2), (2, 3), (1, 0), (1, 2), True, True)
    y, indices = layer(x)
    expected, expected_indices = F.max_pool2d(x, (3, 2), (2, 3), (1, 0), (1, 2), ceil_mode=True, return_indices=True)
    np.testing.assert_array_equal(values(y), values(expected))
    np.testing.assert_array_equal(indices.numpy(), expected_indices.numpy())
    assert nn.MaxPool2d(2)(x).shape == (2, 3, 4, 5)


def test_avg_pool_passes_every_setting():
    x = tg.randn(2, 3, 9, 10)
    for options in (
        {"stride": (2, 3), "padding": (1, 1), "ceil_mode": True, "count_include_pad": False},
        {"divisor_override": 5},
    ):
        np.testing.assert_array_equal(values(nn.AvgPool2d(3, **options)(x)), values(F.avg_pool2d(x, 3, **options)))
    x = tg.arange(49.0).reshape(1, 1, 7, 7)
    assert nn.AvgPool2d(2, 3, ceil_mode=True)(x).tolist() == [[[[4, 7, 9.5], [25, 28, 30.5], [42.5, 45.5, 48]]]]


def test_local_response_norm():
    x = tg.arange(1.0, 7.0).reshape(1, 6, 1)
    layer = nn.LocalResponseNorm(5, alpha=0.5, beta=0.6, k=2)
    expected = []
    for i in range(6):
        window = [j + 1 for j in range(i - 2, i + 3) if 0 <= j < 6]
        expected.append((i + 1) / (2 + 0.5 / 5 * sum(v * v for v in window)) ** 0.6)
    np.testing.assert_allclose(values(layer(x)).ravel(), expected, rtol=1e-5)


# Batch normalization ------------------------------------------------------------------------------------------------


def moments(x):
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    return x.mean(axes), x.var(axes), x.var(axes, ddof=1)


def normalized(x, mean, var, layer):
    shape = (1, -1) + (1,) * (x.ndim - 2)
    xhat = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + layer.eps)
    weight = 1 if layer.weight is None else layer.weight.array.reshape(shape)
    bias = 0 if layer.bias is None else layer.bias.array.reshape(shape)
    return xhat * weight + bias


CASES = [(nn.BatchNorm1d, (5, 3)), (nn.BatchNorm1d, (5, 3, 4)), (nn.BatchNorm2d, (5, 3, 4, 2))]


@pytest.mark.parametrize(("kind", "shape"), CASES)
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"affine": False}, {"eps": 0.5}])
@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
def test_batch_norm_against_the_closed_form(kind, shape, options, momentum):
    layer = kind(3, momentum=momentum, **options).double()
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.5, 2)
    mean, var, count = np.zeros(3), np.ones(3), 0
    for _ in range(3):
        x = tg.randn(*shape, dtype=np.float64) * 3 + 1
        batch_mean, biased, unbiased = moments(x.numpy())
        np.testing.assert_allclose(values(layer(x)), normalized(x.numpy(), batch_mean, biased, layer), rtol=1e-10)
        count += 1
        share = 1 / count if momentum is None else momentum
        mean, var = (1 - share) * mean + share * batch_mean, (1 - share) * var + share * unbiased
        np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-12)
        np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-12)
        assert layer.num_batches_tracked.item() == count
    layer.eval()
    x = tg.randn(*shape, dtype=np.float64)
    np.testing.assert_allclose(values(layer(x)), normalized(x.numpy(), mean, var, layer), rtol=1e-10)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-12)
    assert layer.num_batches_tracked.item() == count


def test_batch_norm_without_statistics_uses_the_batch_in_evaluation_too():
    layer = nn.BatchNorm2d(2, track_running_stats=False)
    assert layer.running_mean is layer.running_var is layer.num_batches_tracked is None
    x = tg.randn(3, 2, 4, 4)
    np.testing.assert_array_equal(values(layer(x)), values(layer.eval()(x)))


def test_batch_norm_starts_and_resets():
    layer = nn.BatchNorm2d(2)
    assert layer.num_batches_tracked.dtype == np.int64
    layer(tg.randn(3, 2, 4, 4))
    nn.init.uniform_(layer.weight)
    nn.init.uniform_(layer.bias)
    layer.reset_parameters()
    state = {name: tensor.tolist() for name, tensor in layer.state_dict().items()}
    assert state == {
        "weight": [1, 1], "bias": [0, 0], "running_mean": [0, 0], "running_var": [1, 1], "num_batches_tracked": 0,
    }  # fmt: skip


def test_batch_norm_trains_its_weight_and_bias():
    layer = nn.BatchNorm1d(2)
    (layer(tg.randn(4, 2)) ** 2).sum().backward()
    assert np.abs(layer.weight.grad.numpy()).min() > 0


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.BatchNorm2d(3), (2, 3), "BatchNorm2d(3): needs an input of 4 dimensions, (n, 3, ...); got shape (2, 3)"),
        (nn.BatchNorm1d(3), (2, 3, 4, 4), "BatchNorm1d(3): needs an input of 2 or 3 dimensions"),
        (nn.BatchNorm2d(3), (2, 4, 5, 5), "got shape (2, 4, 5, 5)"),
        (nn.BatchNorm1d(3), (1, 3), "use a larger batch, or eval()"),
    ],
)
def test_batch_norm_shapes(layer, shape, message):
    with pytest.raises(ShapeError, match=re.escape(message)):
        layer(tg.zeros(*shape))


# Dropout ------------------------------------------------------------------------------------------------------------


def test_dropout_drops_in_training_only():
    layer = nn.Dropout(0.25)
    x = tg.ones(200, 200)
    y = layer(x).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 4 * math.sqrt(0.25 * 0.75 / y.size)
    assert layer.eval()(x) is x


def test_dropout_in_place():
    x = tg.ones(50)
    y = nn.Dropout(0.5, inplace=True)(x)
    assert y is x
    assert 0 < (x.numpy() == 0).sum() < 50


# Losses -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_against_closed_forms(reduction):
    reduce = {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction]
    x, y = tg.randn(4, 3, dtype=np.float64), tg.rand(4, 3, dtype=np.float64)
    a, b = x.numpy(), y.numpy()
    sigmoid = 1 / (1 + np.exp(-a))
    expected = {
        nn.MSELoss: (a - b) ** 2,
        nn.L1Loss: np.abs(a - b),
        nn.BCEWithLogitsLoss: -(b * np.log(sigmoid) + (1 - b) * np.log(1 - sigmoid)),
    }
    for kind, losses in expected.items():
        np.testing.assert_allclose(values(kind(reduction=reduction)(x, y)), reduce(losses), rtol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_class_losses_pass_every_setting(reduction):
    x = tg.randn(5, 3, dtype=np.float64)
    target, weight = tg.tensor([0, 2, 1, 1, 2]), tg.tensor([1.0, 2.0, 4.0])
    log_p = values(F.log_softmax(x, 1))
    share = np.where(target.numpy() == 1, 0, weight.numpy()[target.numpy()])  # class 1 is ignored
    losses = -share * log_p[np.arange(5), target.numpy()]
    expected = {"mean": losses.sum() / share.sum(), "sum": losses.sum(), "none": losses}[reduction]
    settings = {"weight": weight, "ignore_index": 1, "reduction": reduction}
    np.testing.assert_allclose(values(nn.CrossEntropyLoss(**settings)(x, target)), expected, rtol=1e-6)
    np.testing.assert_allclose(values(nn.NLLLoss(**settings)(tg.tensor(log_p), target)), expected, rtol=1e-6)


def test_binary_cross_entropy_passes_its_weights():
    x, y = tg.randn(4, 3, dtype=np.float64), tg.rand(4, 3, dtype=np.float64)
    weight, pos_weight = tg.tensor([1.0, 2.0, 3.0]), tg.tensor([0.5, 1.0, 4.0])
    p, b = 1 / (1 + np.exp(-x.numpy())), y.numpy()
    expected = weight.numpy() * -(pos_weight.numpy() * b * np.log(p) + (1 - b) * np.log(1 - p))
    layer = nn.BCEWithLogitsLoss(weight, "sum", pos_weight)
    np.testing.assert_allclose(layer(x, y).item(), expected.sum(), rtol=1e-6)
    assert list(layer.state_dict()) == ["weight", "pos_weight"]


def test_label_smoothing():
    x, target = tg.randn(5, 3, dtype=np.float64), tg.tensor([0, 2, 1, 1, 2])
    log_p = values(F.log_softmax(x, 1))
    expected = -(0.7 * log_p[np.arange(5), target.numpy()] + 0.1 * log_p.sum(1)).mean()
    np.testing.assert_allclose(nn.CrossEntropyLoss(label_smoothing=0.3)(x, target).item(), expected, rtol=1e-10)


def test_the_weight_of_classes_is_part_of_the_state():
    assert list(nn.CrossEntropyLoss(weight=tg.ones(3)).state_dict()) == ["weight"]
    assert list(nn.CrossEntropyLoss(tg.ones(3)).parameters()) == []


# Containers ---------------------------------------------------------------------------------------------------------


def test_sequential():
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    net = nn.Sequential(a, b, c)
    x = tg.randn(4, 2)
    np.testing.assert_array_equal(values(net(x)), values(c(b(a(x)))))
    assert len(net) == 3
    assert (net[0], net[-1], net[-3], list(net)) == (a, c, a, [a, b, c])
    assert isinstance(net[1:], nn.Sequential)
    assert list(net[1:]) == [b, c]
    assert list(net[1:].state_dict()) == ["2.weight", "2.bias"], "a part keeps its names, as in PyTorch"
    net[1] = d = nn.Tanh()
    assert list(net) == [a, d, c]
    assert net.append(b) is net
    assert net[3] is b
    assert list(net[1:].append(a)) == [d, c, b, a]


def test_sequential_of_names():
    net = nn.Sequential({"conv": nn.Conv2d(1, 1, 1), "act": nn.ReLU()})
    assert net.act is net[1]
    assert list(net.state_dict()) == ["conv.weight", "conv.bias"]


def test_module_list():
    parts = [nn.Linear(2, 2), nn.ReLU()]
    blocks = nn.ModuleList(iter(parts))
    assert len(blocks) == 2
    assert list(blocks) == parts
    assert (blocks[0], blocks[-1]) == (parts[0], parts[1])
    assert list(blocks[1:]) == [parts[1]]
    assert isinstance(blocks[1:], nn.ModuleList)
    assert blocks.extend([nn.Tanh()]).append(nn.Sigmoid()) is blocks
    assert [type(m).__name__ for m in blocks] == ["Linear", "ReLU", "Tanh", "Sigmoid"]
    blocks[0] = nn.Identity()
    assert list(blocks.parameters()) == []


# Errors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(0, 1, 1), "Conv2d: in_channels must be at least 1; got 0"),
        (lambda: nn.Conv2d(1, 1.5, 1), "Conv2d: out_channels must be an int; got 1.5"),
        (lambda: nn.Conv2d(1, 1, (1, 2, 3)), "Conv2d: kernel_size must be an int or have one number for each of the 2"),
        (lambda: nn.Conv1d(1, 1, 3, stride=0), "Conv1d: stride must be at least 1; got 0"),
        (lambda: nn.Conv2d(1, 1, 3, padding="sane"), "Conv2d: padding must be numbers, \"valid\" or \"same\"; got 'sane'"),
        (lambda: nn.Conv2d(1, 1, 3, padding=-1), "Conv2d: padding along the height must be at least 0; got -1"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "groups=2 must divide in_channels=3 and out_channels=4"),
        (lambda: nn.Conv2d(1, 1, 3, padding_mode="mirror"), "padding_mode must be one of zeros, reflect, replicate, circular"),
        (lambda: nn.Linear(-1, 2), "Linear: the sizes must not be negative, got Linear(-1, 2)"),
        (lambda: nn.MaxPool2d(0), "MaxPool2d: kernel_size must be at least 1; got 0"),
        (lambda: nn.MaxPool2d(2, dilation=0), "MaxPool2d: dilation must be at least 1; got 0"),
        (lambda: nn.AvgPool2d(2, padding=(1, -1)), "AvgPool2d: padding along the width must be at least 0; got -1"),
        (lambda: nn.AvgPool2d(2, divisor_override=0), "AvgPool2d: divisor_override must be a positive number, got 0"),
        (lambda: nn.LocalResponseNorm(0), "LocalResponseNorm: size must be at least 1 channel, got 0"),
        (lambda: nn.BatchNorm2d(0), "BatchNorm2d: num_features must be at least 1 channel, got 0"),
        (lambda: nn.Dropout(1.5), "Dropout: p is a probability between 0 and 1, got 1.5"),
        (lambda: nn.MSELoss(reduction="avg"), "MSELoss: reduction must be 'mean', 'sum' or 'none', got 'avg'"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), "label_smoothing must lie between 0 and 1, got 2"),
        (lambda: nn.CrossEntropyLoss([1.0, 2.0]), "register_buffer('weight'): expected a Tensor or None, got list"),
        (lambda: nn.Sequential([nn.ReLU()]), "Sequential holds modules, got list; write *modules for a list"),
        (lambda: nn.Sequential(nn.ReLU(), abs), "Sequential holds modules, got builtin_function_or_method"),
        (lambda: nn.ModuleList([1]), "ModuleList holds modules, got int"),
    ],
)
def test_errors_name_what_was_given(make, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make()


@pytest.mark.parametrize("index", [2, -3])
def test_index_out_of_range(index):
    with pytest.raises(IndexError, match=rf"Sequential: index {index} is out of range, it holds 2 modules"):
        nn.Sequential(nn.ReLU(), nn.ReLU())[index]
