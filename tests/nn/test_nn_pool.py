"""Pooling layers, unfold and fold: they call their function with their own settings, and refuse nonsense."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError

SIZE = (9, 8, 7)


@pytest.fixture(autouse=True)
def seed():
    tg.manual_seed(0)


def images(dims):
    return tg.rand(2, 3, *SIZE[:dims], dtype="float64")


def assert_same(got, expected):
    for one, other in zip(*((y if isinstance(y, tuple) else (y,)) for y in (got, expected)), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_every_setting_is_passed(dims):
    x, d = images(dims), f"{dims}d"

    def layer(name, *args, **options):
        return getattr(nn, name + d)(*args, **options)(x)

    def function(name, *args, **options):
        return getattr(F, name + d)(x, *args, **options)

    assert_same(layer("MaxPool", 3, 2, 1, 2, True, True), function("max_pool", 3, 2, 1, 2, True, True))
    assert_same(layer("MaxPool", 3), function("max_pool", 3))
    assert_same(layer("AvgPool", 3, 2, 1, True, False), function("avg_pool", 3, 2, 1, True, False))
    assert_same(layer("AvgPool", 3, divisor_override=5), function("avg_pool", 3, divisor_override=5))
    assert_same(layer("MaxPool", 3, 2, "same"), function("max_pool", 3, 2, "same"))
    assert_same(layer("LPPool", 3, 2, 3, True), function("lp_pool", 3, 2, 3, True))
    assert_same(layer("AdaptiveAvgPool", 4), function("adaptive_avg_pool", 4))
    assert_same(layer("AdaptiveMaxPool", 4, True), function("adaptive_max_pool", 4, True))
    assert_same(layer("GlobalAvgPool"), function("adaptive_avg_pool", 1))
    assert_same(layer("GlobalMaxPool"), function("adaptive_max_pool", 1))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_unpooling_takes_indices_and_a_size(dims):
    x = images(dims)
    y, where = getattr(nn, f"MaxPool{dims}d")(2, 3, 1, return_indices=True)(x)
    unpool = getattr(nn, f"MaxUnpool{dims}d")(2, 3, 1)
    function = getattr(F, f"max_unpool{dims}d")
    assert_same(unpool(y, where, output_size=x.shape), function(y, where, 2, 3, 1, x.shape))
    assert_same(unpool(y, where, x.shape[2:]), function(y, where, 2, 3, 1, SIZE[:dims]))


def test_unfold_and_fold():
    x = images(2)
    columns = nn.Unfold((2, 3), (2, 1), 1, (1, 2))(x)
    assert_same(columns, F.unfold(x, (2, 3), (2, 1), 1, (1, 2)))
    assert_same(nn.Fold((9, 8), (2, 3), (2, 1), 1, (1, 2))(columns), F.fold(columns, (9, 8), (2, 3), (2, 1), 1, (1, 2)))


def test_fractional_pooling():
    x = images(2)
    u = tg.rand(2, 3, 2)
    layer = nn.FractionalMaxPool2d((2, 3), (5, 4), return_indices=True, _random_samples=u)
    assert_same(layer(x), F.fractional_max_pool2d(x, (2, 3), (5, 4), return_indices=True, _random_samples=u))
    assert repr(layer) == "FractionalMaxPool2d(kernel_size=(2, 3), output_size=(5, 4))"
    by_ratio = nn.FractionalMaxPool2d(2, output_ratio=(0.5, 0.7))
    assert repr(by_ratio) == "FractionalMaxPool2d(kernel_size=(2, 2), output_ratio=(0.5, 0.7))"
    tg.manual_seed(1)
    y = by_ratio(x)
    tg.manual_seed(1)
    assert_same(y, F.fractional_max_pool2d(x, 2, output_ratio=(0.5, 0.7)))


@pytest.mark.parametrize("dims", [1, 2])
def test_stochastic_pooling_draws_in_training_only(dims):
    x, function = images(dims), getattr(F, f"stochastic_pool{dims}d")
    layer = getattr(nn, f"StochasticPool{dims}d")(3, 2, 1, True)
    tg.manual_seed(1)
    y = layer(x)
    tg.manual_seed(1)
    assert_same(y, function(x, 3, 2, 1, True))
    assert (layer(x).numpy() != y.numpy()).any()
    assert_same(layer.eval()(x), function(x, 3, 2, 1, True, training=False))
    assert repr(layer) == f"StochasticPool{dims}d(kernel_size=3, stride=2, padding=1, ceil_mode=True)"


def test_subsampling_starts_as_a_mean_and_trains():
    x = images(2).float()
    layer = nn.Subsample2d(3, (2, 4), 2)
    np.testing.assert_allclose(layer(x).detach().numpy(), F.avg_pool2d(x, (2, 4), 2).numpy(), rtol=1e-6)
    assert list(layer.state_dict()) == ["weight", "bias"]
    layer(x).sum().backward()
    sums = F.avg_pool2d(x, (2, 4), 2, divisor_override=1).numpy()
    np.testing.assert_allclose(layer.weight.grad.numpy(), sums.sum((0, 2, 3)), rtol=1e-5)
    assert layer.bias.grad.tolist() == [2 * 4 * 3] * 3
    with tg.no_grad():
        layer.weight.fill_(7.0)
        layer.bias.fill_(7.0)
    layer.reset_parameters()
    assert layer.weight.tolist() == [0.125] * 3
    assert layer.bias.tolist() == [0] * 3


def test_lenet_5s_subsampling_layers_count_as_in_the_paper():
    """L98, section II.B: S2 has 12 trainable parameters, S4 has 32."""
    for maps, parameters in ((6, 12), (16, 32)):
        assert sum(parameter.numel() for parameter in nn.Subsample2d(maps).parameters()) == parameters


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.MaxPool1d((2, 3)), "MaxPool1d: kernel_size must be an int or have one number for each"),
        (lambda: nn.MaxPool3d(2, stride=(1, 0, 1)), "MaxPool3d: stride along the height must be at least 1; got 0"),
        (lambda: nn.AvgPool1d(2, divisor_override=-1), "AvgPool1d: divisor_override must be a positive number, got -1"),
        (lambda: nn.AvgPool3d(2, padding="full"), 'AvgPool3d: padding must be numbers, "valid" or "same"; got \'full\''),
        (lambda: nn.LPPool2d(0, 2), "LPPool2d: norm_type must be larger than 0, got 0"),
        (lambda: nn.LPPool1d(2, 0), "LPPool1d: kernel_size must be at least 1; got 0"),
        (lambda: nn.MaxUnpool2d(2, padding=-1), "MaxUnpool2d: padding must be at least 0; got -1"),
        (lambda: nn.AdaptiveAvgPool2d((0, 2)), "AdaptiveAvgPool2d: output_size along the height must be at least 1; got 0"),
        (lambda: nn.AdaptiveMaxPool3d((1, None)), "AdaptiveMaxPool3d: output_size must be an int or have one number for each"),
        (lambda: nn.FractionalMaxPool2d(2), "FractionalMaxPool2d: give either output_size or output_ratio"),
        (lambda: nn.FractionalMaxPool2d(2, 3, 0.5), "give either output_size or output_ratio; got output_size=3"),
        (lambda: nn.FractionalMaxPool2d(2, output_ratio=1.5), "output_ratio must be between 0 and 1, got 1.5"),
        (lambda: nn.StochasticPool2d(2, padding=(0, -1)), "StochasticPool2d: padding along the width must be at least 0"),
        (lambda: nn.Subsample2d(0), "Subsample2d: num_features must be at least 1; got 0"),
        (lambda: nn.Unfold(2, stride=0), "Unfold: stride must be at least 1; got 0"),
        (lambda: nn.Fold(0, 2), "Fold: output_size must be at least 1; got 0"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make()
