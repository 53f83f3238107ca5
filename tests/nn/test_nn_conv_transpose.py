"""Transposed convolution layers: settings, initial values, the size asked for, and the refusals."""

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


@pytest.mark.parametrize(
    ("kind", "function", "shape"),
    [(nn.ConvTranspose1d, F.conv_transpose1d, (2, 4, 5)), (nn.ConvTranspose2d, F.conv_transpose2d, (2, 4, 5, 3)),
     (nn.ConvTranspose3d, F.conv_transpose3d, (2, 4, 3, 2, 4))],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_passes_every_setting(kind, function, shape, mode):
    x = tg.randn(*shape)
    layer = kind(4, 6, 3, 2, 1, 1, 2, True, 3, mode)
    expected = function(x, layer.weight, layer.bias, 2, 1, 1, 2, 3, padding_mode=mode)
    np.testing.assert_array_equal(values(layer(x)), values(expected))
    assert layer.weight.shape == (4, 3, *([3] * (len(shape) - 2)))
    assert layer.bias.shape == (6,)
    assert values(layer(x[0])).shape == expected.shape[1:]


def test_circular_transposes_the_circular_convolution():
    forth = nn.Conv2d(2, 3, (3, 4), stride=2, padding=((1, 0), (1, 2)), padding_mode="circular", bias=False)
    back = nn.ConvTranspose2d(3, 2, (3, 4), stride=2, padding=((1, 0), (1, 2)), padding_mode="circular", bias=False)
    back.load_state_dict(forth.state_dict())
    x, v = tg.randn(1, 2, 6, 7), tg.randn(1, 3, 3, 4)
    np.testing.assert_allclose((forth(x) * v).sum().item(), (x * back(v, output_size=(6, 7))).sum().item(), rtol=1e-4)


def test_the_size_asked_for():
    layer = nn.ConvTranspose2d(1, 2, (3, 2), stride=(2, 3), padding=((1, 0), (0, 2)), dilation=(2, 1))
    x = tg.randn(4, 1, 5, 3)
    usual = layer(x)
    assert usual.shape == (4, 2, (5 - 1) * 2 - 1 + 5, (3 - 1) * 3 - 2 + 2)
    for height, width in ((12, 6), (13, 7), (12, 8)):
        for size in ((height, width), [4, 2, height, width]):
            y = layer(x, output_size=size)
            assert y.shape == (4, 2, height, width)
        np.testing.assert_allclose(values(y)[:, :, :12, :6], values(usual), rtol=1e-5, atol=1e-6)
    assert layer(x[0], output_size=(2, 13, 8)).shape == (2, 13, 8)


def test_initial_values_are_uniform_within_the_root_of_the_fan():
    """PyTorch counts the weight's second size: 8 / 2 maps of 5 x 5."""
    layer = nn.ConvTranspose2d(64, 8, 5, groups=2)
    bound = 1 / math.sqrt(4 * 25)
    for tensor in (layer.weight, layer.bias):
        largest = np.abs(values(tensor)).max()
        assert largest <= bound
    assert np.abs(values(layer.weight)).max() > 0.98 * bound


def test_our_own_settings_are_shown():
    layer = nn.ConvTranspose2d(1, 2, 3, 2, ((0, 1), (1, 1)), 1, padding_mode="circular")
    assert repr(layer) == (
        "ConvTranspose2d(1, 2, kernel_size=(3, 3), stride=(2, 2), padding=((0, 1), (1, 1)), output_padding=(1, 1), "
        "padding_mode=circular)"
    )


LAYER = nn.ConvTranspose2d(1, 2, 3, stride=(1, 2))
X = tg.ones(1, 1, 4, 4)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.ConvTranspose2d(3, 4, 3, groups=2), ArgumentError, "groups=2 must divide in_channels=3 and out_channels=4"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), ArgumentError, 'ConvTranspose2d: padding="same" is not defined'),
        (lambda: nn.ConvTranspose1d(3, 4, 3, 2, output_padding=2), ArgumentError,
         "ConvTranspose1d: output_padding 2 along the width must be smaller than the stride 2: use at most 1"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, output_padding=-1), ArgumentError, "output_padding must be at least 0; got -1"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="mirror"), ArgumentError, "padding_mode must be one of zeros"),
        (lambda: LAYER(X, output_size=(6, 11)), ShapeError,
         "output_size 11 along the width is not one of [9, 10], the sizes that a convolution of stride 2 maps to 4"),
        (lambda: LAYER(X, output_size=(5, 9)), ShapeError, "output_size 5 along the height is not one of [6], the sizes"),
        (lambda: LAYER(X, output_size=(6,)), ShapeError, "output_size must have 2 numbers (height, width), or 4 for the whole"),
        (lambda: LAYER(X, output_size=(6, 9.5)), ArgumentError, "ConvTranspose2d: output_size must be an int; got 9.5"),
    ],
)  # fmt: skip
def test_refusals(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()
