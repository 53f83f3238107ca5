"""The resampling layers: every setting reaches the function, and what cannot work is refused when the layer is made."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.nn import functional as F

X = tg.randn(2, 4, 6, 4)


@pytest.mark.parametrize(
    "settings",
    [
        {"size": 5},
        {"size": (3, 7), "mode": "bilinear"},
        {"scale_factor": 1.7, "mode": "bicubic", "align_corners": True},
        {"scale_factor": (0.6, 1.7), "mode": "bilinear", "recompute_scale_factor": True},
        {"scale_factor": (0.6, 1.7), "mode": "bilinear", "align_corners": False},
    ],
)
def test_upsample_passes_every_setting(settings):
    layer = nn.Upsample(**settings)
    np.testing.assert_array_equal(layer(X).numpy(), F.interpolate(X, **settings).numpy())
    assert layer.state_dict() == {}


def test_shuffles():
    for layer, expected in (
        (nn.PixelShuffle(2), F.pixel_shuffle(X, 2)),
        (nn.PixelUnshuffle(2), F.pixel_unshuffle(X, 2)),
        (nn.ChannelShuffle(2), F.channel_shuffle(X, 2)),
    ):
        assert layer(X).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Upsample(), "Upsample: give either size or scale_factor, got size=None and scale_factor=None"),
        (lambda: nn.Upsample(2, 2), "give either size or scale_factor, got size=2 and scale_factor=2"),
        (lambda: nn.PixelShuffle(0), "PixelShuffle: upscale_factor must be at least 1; got 0"),
        (lambda: nn.PixelUnshuffle(1.5), "PixelUnshuffle: downscale_factor must be an int; got 1.5"),
        (lambda: nn.ChannelShuffle(-1), "ChannelShuffle: groups must be at least 1; got -1"),
    ],
)
def test_messages(call, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        call()
