"""Normalization layers: that they pass every setting on, their shapes and their state, and the error messages."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor, nn
from tinygrad_cnn.errors import ArgumentError, InplaceError, ShapeError
from tinygrad_cnn.nn import functional as F


def drawn(*shape):
    return Tensor((np.random.default_rng(0).standard_normal(shape) * 3 + 1).astype(np.float32))


def randomized(layer):
    """The layer with parameters that are not 1 and 0."""
    with tg.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(drawn(*parameter.shape))
    return layer


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"affine": False}])
def test_group_norm(options):
    layer, x = randomized(nn.GroupNorm(2, 4, 0.1, **options)), drawn(3, 4, 2, 2)
    expected = F.group_norm(x, 2, layer.weight, layer.bias, 0.1)
    np.testing.assert_array_equal(layer(x).detach(), expected.detach())
    assert len(list(layer.parameters())) == {"": 2, "bias": 1, "affine": 0}[next(iter(options), "")]


def test_group_norm_takes_rows_and_any_number_of_groups_that_divides():
    x = drawn(3, 4)
    np.testing.assert_array_equal(nn.GroupNorm(1, 4)(x).detach(), F.group_norm(x, 1))
    np.testing.assert_array_equal(nn.GroupNorm(4, 4)(drawn(3, 4, 2)).detach(), F.group_norm(drawn(3, 4, 2), 4))


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"elementwise_affine": False}])
@pytest.mark.parametrize("shape", [5, [4, 5]])
def test_layer_norm(shape, options):
    layer, x = randomized(nn.LayerNorm(shape, 0.1, **options)), drawn(3, 4, 5)
    expected = F.layer_norm(x, shape, layer.weight, layer.bias, 0.1)
    np.testing.assert_array_equal(layer(x).detach(), expected.detach())
    assert len(list(layer.parameters())) == {"": 2, "bias": 1, "elementwise_affine": 0}[next(iter(options), "")]


@pytest.mark.parametrize("kind", [nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm1d])
def test_reset_parameters_starts_anew(kind):
    layer = {nn.GroupNorm: lambda: kind(2, 4), nn.LayerNorm: lambda: kind(4)}.get(kind, lambda: kind(4, affine=True))()
    randomized(layer).reset_parameters()
    np.testing.assert_array_equal(layer.weight.detach(), np.ones(4))
    np.testing.assert_array_equal(layer.bias.detach(), np.zeros(4))


@pytest.mark.parametrize(
    ("kind", "shape"), [(nn.InstanceNorm1d, (3, 4, 5)), (nn.InstanceNorm2d, (3, 4, 2, 5)), (nn.InstanceNorm3d, (3, 4, 2, 1, 5))]
)
def test_instance_norm(kind, shape):
    x = drawn(*shape)
    layer = randomized(kind(4, 0.1, affine=True))
    expected = F.instance_norm(x, weight=layer.weight, bias=layer.bias, eps=0.1).detach()
    np.testing.assert_array_equal(layer(x).detach(), expected)
    np.testing.assert_array_equal(layer.eval()(x).detach(), expected)
    np.testing.assert_allclose(layer(x[1]).detach(), expected[1], rtol=1e-5, atol=1e-6)
    assert kind(4)(tg.zeros(0, *shape[1:])).shape == (0, *shape[1:])
    np.testing.assert_array_equal(kind(1)(x[:, :1]), F.instance_norm(x[:, :1]))


def test_instance_norm_with_running_statistics_uses_them_in_evaluation():
    layer, x = nn.InstanceNorm1d(4, momentum=0.3, track_running_stats=True), drawn(3, 4, 5)
    layer(x)
    np.testing.assert_allclose(layer.running_mean, 0.3 * x.numpy().mean((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.running_var, 0.7 + 0.3 * x.numpy().var(2, ddof=1).mean(0), rtol=1e-5)
    assert int(layer.num_batches_tracked) == 0
    kept = layer.running_mean.numpy().copy()
    y = layer.eval()(x)
    np.testing.assert_allclose(y, F.batch_norm(x, layer.running_mean, layer.running_var), rtol=1e-6)
    np.testing.assert_array_equal(layer.running_mean, kept)
    layer.reset_parameters()
    np.testing.assert_array_equal(layer.running_mean, np.zeros(4))
    frozen = nn.InstanceNorm1d(4, momentum=None, track_running_stats=True)
    frozen(x)
    np.testing.assert_array_equal(frozen.running_mean, np.zeros(4))


def test_batch_norm_3d_and_empty_batches():
    layer, x = nn.BatchNorm3d(4, momentum=None), drawn(3, 4, 2, 1, 5)
    np.testing.assert_allclose(layer(x).detach(), F.batch_norm(x, None, None, training=True).detach(), rtol=1e-6)
    layer(x)
    np.testing.assert_allclose(layer.running_mean, x.numpy().mean((0, 2, 3, 4)), rtol=1e-5)
    kept = layer.running_var.numpy().copy()
    assert layer(tg.zeros(0, 4, 2, 1, 5)).shape == (0, 4, 2, 1, 5)
    np.testing.assert_array_equal(layer.running_var, kept)


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"affine": False}, {"track_running_stats": False}])
def test_batch_norm_with_relu_is_the_two_layers(options):
    """Bit for bit: values, gradients, second gradients and running statistics, in training, in evaluation, and of no images."""
    generator = np.random.default_rng(0)
    array, v = generator.standard_normal((2, 3, 4, 5, 6))
    fused, norm = nn.BatchNorm2d(4, relu=True, **options).double(), nn.BatchNorm2d(4, **options).double()
    for layer in (fused, norm):
        for parameter, start in zip(layer.parameters(), ([1.5, -2, 0.5, 1], [0.3, -0.1, 0, 1]), strict=False):
            parameter.data = tg.tensor(start, dtype=tg.float64)

    def outcome(layer, count):
        x = tg.tensor(array[:count], requires_grad=True)
        y = layer(x)
        y = y if layer is fused else y.relu()
        leaves = [x, *layer.parameters()]
        first = tg.autograd.grad(y, leaves, tg.tensor(v[:count]), create_graph=True)
        plain = tg.autograd.grad(y, leaves, tg.tensor(v[:count]), retain_graph=True)
        second = tg.autograd.grad(first[0].square().sum(), x, allow_unused=True) if first[0].requires_grad else ()
        return [None if t is None else t.detach().numpy() for t in (y, *first, *plain, *second, *layer.buffers())]

    for prepare, count in ((nn.Module.train, 3), (nn.Module.train, 3), (nn.Module.eval, 3), (nn.Module.train, 0)):
        prepare(fused)
        prepare(norm)
        ours, two = outcome(fused, count), outcome(norm, count)
        assert len(ours) == len(two)
        for one, other in zip(ours, two, strict=True):
            np.testing.assert_array_equal(one, other)
    assert fused.state_dict().keys() == norm.state_dict().keys()


def test_batch_norm_with_relu_is_one_op_and_says_so():
    layer = nn.BatchNorm2d(2, relu=True)
    assert repr(layer).endswith("track_running_stats=True, relu=True)")
    y = layer(drawn(2, 2, 3, 3))
    assert repr(y.grad_fn) == "<BatchNormReLUBackward>"
    y += 1
    with pytest.raises(InplaceError, match="BatchNormReLU needs its own output of shape"):
        y.sum().backward()


def test_local_norms_pass_every_setting():
    x = drawn(2, 3, 6, 7)
    within = nn.LocalResponseNorm(3, 0.5, 0.6, 2.0, norm_region="within_channel")
    expected = F.local_response_norm(x, 3, 0.5, 0.6, 2.0, norm_region="within_channel")
    np.testing.assert_array_equal(within(x), expected)
    assert repr(within) == "LocalResponseNorm(3, alpha=0.5, beta=0.6, k=2.0, norm_region='within_channel')"
    np.testing.assert_array_equal(nn.LocalContrastNorm()(x), F.local_contrast_norm(x))
    contrast = nn.LocalContrastNorm(3, 0.8, 0.7, 0.01)
    np.testing.assert_array_equal(contrast(x), F.local_contrast_norm(x, 3, 0.8, 0.7, 0.01))
    assert repr(contrast) == "LocalContrastNorm(size=3, sigma=0.8, floor=0.7, eps=0.01)"
    np.testing.assert_array_equal(nn.LocalContrastNorm(1)(x), F.local_contrast_norm(x, 1))
    one = nn.LocalResponseNorm(1, norm_region="within_channel")
    np.testing.assert_array_equal(one(x), F.local_response_norm(x, 1, norm_region="within_channel"))
    assert repr(nn.LocalContrastNorm()) == "LocalContrastNorm(size=9, eps=0.0001)"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.GroupNorm(4, 6), ArgumentError, "num_groups = 4 does not divide 6 channels; it can be [1, 2, 3, 6]"),
        (lambda: nn.GroupNorm(0, 6), ArgumentError, "num_groups = 0 does not divide 6 channels; it can be [1, 2, 3, 6]"),
        (lambda: nn.GroupNorm(2, 4)(tg.ones(4)), ShapeError, "needs an input (n, 4, ...); got shape (4,)"),
        (lambda: nn.GroupNorm(2, 4)(tg.ones(3, 5, 2)), ShapeError,
         "GroupNorm(2, 4): needs an input (n, 4, ...); got shape (3, 5, 2)"),
        (lambda: nn.LayerNorm(()), ArgumentError, "normalized_shape is empty; name the size of at least one dimension"),
        (lambda: nn.LayerNorm(3)(tg.ones(3, 4)), ShapeError, "of sizes (3,), but the input has shape (3, 4)"),
        (lambda: nn.InstanceNorm2d(3)(tg.ones(2, 4, 5, 5)), ShapeError,
         "InstanceNorm2d(3): needs an input of 4 dimensions, (n, 3, ...), or 3 without a batch; got shape (2, 4, 5, 5)"),
        (lambda: nn.InstanceNorm1d(3)(tg.ones(3)), ShapeError, "InstanceNorm1d(3): needs an input of 3 dimensions"),
        (lambda: nn.InstanceNorm1d(0), ArgumentError, "InstanceNorm1d: num_features must be at least 1 channel, got 0"),
        (lambda: nn.BatchNorm3d(3)(tg.ones(2, 3, 4, 4)), ShapeError, "BatchNorm3d(3): needs an input of 5 dimensions"),
        (lambda: nn.LocalContrastNorm(4), ArgumentError, "odd and positive; got 4"),
        (lambda: nn.LocalResponseNorm(4, norm_region="within_channel"), ArgumentError, "odd and positive; got 4"),
        (lambda: nn.LocalResponseNorm(3, norm_region="channel"), ArgumentError, "norm_region must be 'across_channels' or"),
    ],
)  # fmt: skip
def test_errors_say_what_was_given_and_what_to_do(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_a_training_batch_of_batch_norm_is_one_op_to_an_observer():
    layer, x = nn.BatchNorm1d(3), drawn(4, 3)
    with tg.profile() as p:
        layer(x)
    assert [call.name for call in p.calls] == ["BatchNorm"]
    assert int(layer.num_batches_tracked) == 1


def test_counting_a_batch_is_noticed_by_who_shares_the_count():
    layer = nn.BatchNorm1d(3)
    version = layer.num_batches_tracked._version
    layer(drawn(4, 3))
    assert layer.num_batches_tracked._version == version + 1
