"""Interpolation and shuffles: what each mode means, where it follows PyTorch and where its definition, and the messages."""

import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.errors import ArgumentError, ShapeError, TinygradError
from tinygrad_cnn.kernels.numpy_resample import taps_for

MODES = {1: ("nearest", "nearest-exact", "area", "linear"), 2: ("nearest", "area", "bilinear", "bicubic"), 3: ("trilinear",)}
EVERY_MODE = [(mode, dims) for dims, modes in MODES.items() for mode in modes]


def image(*rows):
    return tg.tensor([[rows]], dtype=tg.float64)


def line(*values):
    return tg.tensor([[values]], dtype=tg.float64)


# Values from PyTorch 2.13 where a closed form would be the implementation again.
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"scale_factor": 1.6}, [1, 1, 4, 4, 2, 7]),
        ({"scale_factor": 1.6, "recompute_scale_factor": True}, [1, 1, 4, 2, 2, 7]),
        ({"scale_factor": 1.6, "recompute_scale_factor": False, "mode": "linear"}, [1, 2.3125, 3.875, 2.625, 3.5625, 6.6875]),
        ({"scale_factor": 1.6, "recompute_scale_factor": True, "mode": "linear"}, [1, 2.5, 11 / 3, 7 / 3, 4.5, 7]),
        ({"scale_factor": 1.6, "mode": "nearest-exact"}, [1, 1, 4, 2, 2, 7]),
        ({"size": 3, "mode": "area"}, [2.5, 3, 4.5]),
        ({"size": 3, "mode": "linear"}, [1.5, 3, 37 / 6]),
        ({"size": 6, "mode": "linear", "align_corners": True}, [1, 2.8, 3.6, 2.4, 4, 7]),
    ],
)
def test_lines_as_pytorch(options, expected):
    np.testing.assert_allclose(tg.interpolate(line(1, 4, 2, 7), **options).numpy()[0, 0], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"size": (3, 4), "mode": "bicubic"},
            [
                [0.22021993, 3.0446607802, 3.6373274061, 1.571105957],
                [4.0358886719, 3.6801757812, 3.4450683594, 3.5],
                [7.8515574137, 4.3156907823, 3.2528093126, 5.428894043],
            ],
        ),
        (
            {"size": (3, 4), "mode": "bicubic", "align_corners": True},
            [
                [1, 3.2777777778, 3.7037037037, 2],
                [4, 3.6574074074, 3.4444444444, 3.5],
                [7, 4.037037037, 3.1851851852, 5],
            ],
        ),
        ({"size": (1, 2), "mode": "bilinear", "antialias": True}, [[3.8125, 3.5]]),
        ({"size": (1, 2), "mode": "bicubic", "antialias": True}, [[3.8250401284, 3.4799357945]]),
        ({"size": (3, 2), "mode": "bilinear"}, [[1.75, 2.5], [3.875, 3.5], [6, 4.5]]),
    ],
)
def test_images_as_pytorch(options, expected):
    y = tg.interpolate(image([1, 4, 2], [7, 3, 5]), **options)
    np.testing.assert_allclose(y.numpy()[0, 0], expected, rtol=1e-9)


@pytest.mark.parametrize(("mode", "dims"), EVERY_MODE)
def test_weights_add_up_to_one_and_the_size_stays_exact(mode, dims):
    x = tg.randn(1, 2, *(5, 4, 3)[:dims], dtype=tg.float64)
    np.testing.assert_allclose(tg.interpolate(x * 0 + 3, size=(7, 2, 4)[:dims], mode=mode).numpy(), 3, rtol=1e-12)
    np.testing.assert_allclose(tg.interpolate(x, size=x.shape[2:], mode=mode).numpy(), x.numpy(), rtol=1e-12)


def test_a_ramp_stays_a_ramp():
    ramp = line(*range(9))
    middle = slice(4, -4)  # away from the border, which is repeated outwards
    # Keys' cubic keeps a ramp with a = -0.5 only, which PyTorch has where it antialiases.
    for lifted, options in ((ramp, {"mode": "linear"}), (ramp.unsqueeze(2), {"mode": "bicubic", "antialias": True})):
        y = tg.interpolate(lifted, size=(1, 18)[-(lifted.ndim - 2) :], **options).numpy().ravel()
        np.testing.assert_allclose(y[middle], (np.arange(18) / 2 - 0.25)[middle], rtol=1e-12)
    aligned = tg.interpolate(ramp, size=33, mode="linear", align_corners=True).numpy().ravel()
    np.testing.assert_allclose(aligned, np.linspace(0, 8, 33), rtol=1e-12)


def test_area_is_the_mean_of_blocks_and_nearest_doubles():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 6))
    blocks = x.reshape(2, 3, 2, 2, 3, 2).mean((3, 5))
    np.testing.assert_allclose(tg.interpolate(x, scale_factor=0.5, mode="area").numpy(), blocks, rtol=1e-12)
    doubled = tg.interpolate(x, scale_factor=2).numpy()
    np.testing.assert_array_equal(doubled, x.repeat(2, 2).repeat(2, 3))


def test_nearest_goes_by_whole_numbers():
    # 41 * 2 / 82 is 1; in float32, which PyTorch steps by, the product is less than 1.
    assert taps_for("nearest", 2, 82).index[41, 0] == 1
    assert taps_for("nearest-exact", 2, 41).index[20, 0] == 1
    for size, outputs in ((3, 7), (7, 3), (49, 245), (10, 10)):
        positions = [math.floor(i * size / outputs + 1e-9) for i in range(outputs)]
        assert taps_for("nearest", size, outputs).index.ravel().tolist() == positions


def test_a_size_that_stays_or_doubles_ignores_how_the_factor_is_rounded():
    x = line(1, 2, 3, 4)
    assert tg.interpolate(x, scale_factor=1.1).tolist() == x.tolist()
    assert tg.interpolate(x, scale_factor=2.2).tolist() == [[[1, 1, 2, 2, 3, 3, 4, 4]]]
    assert tg.interpolate(x, scale_factor=1.1, mode="linear").tolist() == x.tolist()
    picture = image([1, 2, 3, 4], [8, 7, 6, 5])
    for mode in ("bilinear", "bicubic"):
        assert tg.interpolate(picture, scale_factor=1.1, mode=mode, antialias=True).tolist() == picture.tolist()


def test_one_factor_or_one_for_each_axis():
    x = tg.zeros(1, 1, 4, 6)
    assert tg.interpolate(x, scale_factor=1.5).shape == (1, 1, 6, 9)
    assert tg.interpolate(x, scale_factor=[0.5, np.float32(2)]).shape == (1, 1, 2, 12)
    assert tg.interpolate(x, size=[3, 5]).shape == (1, 1, 3, 5)
    assert tg.interpolate(x, size=np.int64(3)).shape == (1, 1, 3, 3)


@pytest.mark.parametrize("mode", ["nearest", "area", "linear", "cubic"])
def test_transposed_taps_are_the_transposed_matrix(mode):
    def dense(taps):
        matrix = np.zeros((taps.outputs, taps.size))
        np.add.at(matrix, (np.arange(taps.outputs)[:, None], taps.index), taps.weight)
        return matrix

    for size, outputs in ((5, 8), (8, 5), (1, 4), (4, 1), (6, 6)):
        taps = taps_for(mode, size, outputs)
        np.testing.assert_allclose(dense(taps.transposed), dense(taps).T, rtol=1e-15)
        np.testing.assert_allclose(dense(taps.transposed.transposed), dense(taps), rtol=1e-15)


@pytest.mark.parametrize(("mode", "dims"), EVERY_MODE)
def test_dtype_and_empty_batches(mode, dims):
    x = tg.randn(0, 2, *(3, 4, 2)[:dims], requires_grad=True)
    y = tg.interpolate(x, scale_factor=2, mode=mode)
    assert y.shape == (0, 2, *(6, 8, 4)[:dims])
    assert y.dtype == np.float32
    assert grad(y.sum(), x)[0].shape == x.shape
    assert tg.interpolate(tg.ones(1, 1, *(2, 2, 2)[:dims], dtype=tg.int64), size=3, mode=mode).dtype == np.float32


def test_an_infinite_pixel_stays_where_it_is():
    x = line(math.inf, 1, 2, 3, 4).requires_grad_()
    for options, clean in (({"size": 3, "mode": "area"}, 1), ({"size": 3, "mode": "linear"}, 1), ({"size": 3}, 1)):
        y = tg.interpolate(x, **options)
        assert np.isfinite(y.detach().numpy()[..., clean:]).all()
        (gx,) = grad(y, x, line(math.inf, 1, 1))
        assert np.isfinite(gx.numpy()[..., 3:]).all()


def test_long_sums_keep_their_digits():
    x = np.full((1, 1, 1, 100_000), 0.1, np.float32)
    assert tg.interpolate(x, size=(1, 1), mode="area").item() == np.float32(0.1)


def test_the_graph_shows_the_mode_and_the_size():
    y = tg.interpolate(tg.zeros(1, 1, 2, 3, requires_grad=True), size=(4, 5), mode="bilinear")
    assert repr(y.grad_fn) == "<Resample2dBackward>"
    assert y.grad_fn.settings == {"mode": "bilinear", "size": (4, 5)}


def test_pixel_shuffle_puts_channels_side_by_side():
    x = np.arange(8.0).reshape(1, 8, 1, 1)
    assert tg.pixel_shuffle(x, 2).tolist() == [[[[0, 1], [2, 3]], [[4, 5], [6, 7]]]]


@pytest.mark.parametrize("shape", [(18, 2, 3), (2, 9, 1, 4), (2, 3, 9, 2, 2), (0, 9, 1, 2)])
def test_unshuffle_undoes_shuffle(shape):
    x = tg.randn(*shape)
    y = tg.pixel_shuffle(x, 3)
    assert y.shape == (*shape[:-3], shape[-3] // 9, shape[-2] * 3, shape[-1] * 3)
    assert tg.pixel_unshuffle(y, 3).tolist() == x.tolist()


def test_channel_shuffle_deals_the_groups_out():
    x = tg.arange(12).reshape(1, 12, 1, 1)
    assert tg.channel_shuffle(x, 3).flatten().tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    assert tg.channel_shuffle(tg.channel_shuffle(x, 3), 4).tolist() == x.tolist()


X = np.zeros((1, 2, 4, 6))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: tg.interpolate(X), ArgumentError, "give either size or scale_factor, got size=None and scale_factor=None"),
        (lambda: tg.interpolate(X, 2, 2), ArgumentError, "give either size or scale_factor, got size=2 and scale_factor=2"),
        (lambda: tg.interpolate(X, 2, mode="cubic"), ArgumentError, "unknown mode 'cubic'; choose one of nearest"),
        (
            lambda: tg.interpolate(X, 2, mode="linear"),
            ShapeError,
            "mode 'linear' is for inputs of 3 dimensions (n, c, ...), got shape (1, 2, 4, 6); for this input choose one of "
            "nearest, nearest-exact, area, bilinear, bicubic",
        ),
        (
            lambda: tg.interpolate(np.zeros((4, 6)), 2),
            ShapeError,
            "inputs of 3 or 4 or 5 dimensions (n, c, ...), got shape (4, 6); add the batch and channel dimensions",
        ),
        (lambda: tg.interpolate(X, 2, align_corners=False), ArgumentError, "'nearest' has no corners to align"),
        (lambda: tg.interpolate(X, 2, mode="area", antialias=True), ArgumentError, "antialias is for the modes 'bilinear' and"),
        (lambda: tg.interpolate(X, (2, 3, 4)), ArgumentError, "one number for each of the 2 spatial axes (height, width)"),
        (lambda: tg.interpolate(X, (2, 0)), ArgumentError, "size along the width must be at least 1; got 0"),
        (
            lambda: tg.interpolate(X, scale_factor=(1.0, -2.0)),
            ArgumentError,
            "scale_factor must be a positive number, or one for each of the 2 spatial axes (height, width); got (1.0, -2.0)",
        ),
        (lambda: tg.interpolate(X, scale_factor=math.inf), ArgumentError, "must be a positive number"),
        (
            lambda: tg.interpolate(X, scale_factor=0.2),
            ShapeError,
            "a height of 4 times 0.2 is 0.8, less than one pixel; use a scale_factor of at least 1 / 4",
        ),
        (lambda: tg.interpolate(np.zeros((1, 1, 0)), 2), ShapeError, "shape (1, 1, 0) has no pixel to take values from"),
        (
            lambda: tg.pixel_shuffle(X, 2),
            ShapeError,
            "2 channels do not divide into groups of upscale_factor^2 = 4; the nearest number that does is 4",
        ),
        (lambda: tg.pixel_shuffle(np.zeros((10, 1, 1)), 2), ShapeError, "the nearest number that does is 8"),
        (lambda: tg.pixel_shuffle(X, 0), ArgumentError, "upscale_factor must be at least 1; got 0"),
        (lambda: tg.pixel_shuffle(X[0, 0], 1), ShapeError, "needs an input of shape (..., c, h, w), got (4, 6)"),
        (
            lambda: tg.pixel_unshuffle(X, 5),
            ShapeError,
            "a height of 4 and a width of 6 do not divide into squares of 5; pad or crop to 0 x 5",
        ),
        (lambda: tg.pixel_unshuffle(X, 1.5), ArgumentError, "downscale_factor must be an int; got 1.5"),
        (lambda: tg.channel_shuffle(X, 4), ShapeError, "2 channels do not divide into 4 groups"),
        (lambda: tg.channel_shuffle(X[0, 0], 2), ShapeError, "shape (n, c, ...) with a spatial dimension, got (4, 6)"),
    ],
)
def test_messages(call, kind, message):
    assert issubclass(kind, TinygradError)
    with pytest.raises(kind, match=re.escape(message)):
        call()
