"""The spatial transformer's functions: identities, PyTorch's values, the kinks, what lies outside, and the messages."""

import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import kernels
from tinygrad_cnn.autograd import grad, gradcheck, gradgradcheck
from tinygrad_cnn.errors import ArgumentError, ShapeError

PADDINGS = ("zeros", "border", "reflection")
MODES = ("bilinear", "nearest", "bicubic")
IMAGE = [[1.0, 4.0, 2.0], [7.0, 3.0, 5.0]]


def image(requires_grad=False, dtype=tg.float64):
    return tg.tensor([[IMAGE]], dtype=dtype, requires_grad=requires_grad)


def points(*xy):
    return tg.tensor([[list(xy)]], dtype=tg.float64, requires_grad=True)


# Values and gradients with respect to the grid from PyTorch 2.13, by mode, padding and align_corners.
GOLDEN = {
    ("bilinear", "zeros", False): ([3.18, 0, 0], [-2.4, 0.8, 0, 0, 0, 0]),
    ("bilinear", "zeros", True): ([3.46, 1.14, 0], [-0.8, 0.1, -3.8, 0.45, 0, 0]),
    ("bilinear", "border", False): ([3.18, 4.1, 7], [-2.4, 0.8, 0, 3, 0, 0]),
    ("bilinear", "border", True): ([3.46, 3.8, 7], [-0.8, 0.1, 0, 1.5, 0, 0]),
    ("bilinear", "reflection", False): ([3.18, 3.66, 3.9], [-2.4, 0.8, -1.2, 0.8, -3, 0]),
    ("bilinear", "reflection", True): ([3.46, 3.52, 3.58], [-0.8, 0.1, -0.4, 0.1, -1.6, -0.1]),
    ("nearest", "zeros", False): ([4, 0, 0], [0] * 6),
    ("nearest", "border", True): ([4, 5, 7], [0] * 6),
    ("nearest", "reflection", False): ([4, 3, 3], [0] * 6),
    ("bicubic", "zeros", False): (
        [3.85537265625, -0.4016808984375, 0],
        [-2.762578125, 2.46650859375, 1.582379296875, -0.203607421875, 0, 0],
    ),
    ("bicubic", "zeros", True): (
        [4.308649375, 1.28565, -0.7486526250],
        [-0.1980375, 0.242775, -4.9425, 0.5808375, 0.35650125, 0.18522],
    ),
    ("bicubic", "border", False): ([3.4236249375, 4.163, 7.2835], [-3.337475625, 0.05362546875, 0, 3.195, 0, -1.485]),
    ("bicubic", "reflection", False): (
        [3.4236249375, 3.46234434375, 3.488793515625],
        [-3.337475625, 0.05362546875, -1.9300809375, 0.06453234375, -5.52834140625, -0.018178125],
    ),
    ("bicubic", "reflection", True): (
        [3.577432, 3.375796, 3.224569],
        [-1.41288, -0.2940525, -0.69636, -0.33606, -2.27829, 0.1260225],
    ),
}


@pytest.mark.parametrize(("mode", "padding", "aligned"), GOLDEN)
def test_values_and_gradients_as_pytorch(mode, padding, aligned):
    grid = points((0.3, -0.4), (1.7, 0.2), (-2.3, 1.2))
    y = tg.grid_sample(image(), grid, mode, padding, aligned)
    values, slopes = GOLDEN[mode, padding, aligned]
    np.testing.assert_allclose(y.detach().numpy().ravel(), values, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(grad(y.sum(), grid)[0].numpy().ravel(), slopes, rtol=1e-9, atol=1e-12)


IDENTITY = [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("mode", MODES)
def test_the_identity_map_gives_the_image_back(mode, padding, aligned):
    x = tg.randn(1, 2, 3, 4, dtype=tg.float64)
    grid = tg.affine_grid(tg.tensor(IDENTITY, dtype=tg.float64), x.shape, aligned)
    np.testing.assert_allclose(tg.grid_sample(x, grid, mode, padding, aligned).numpy(), x.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("aligned", [False, True])
def test_a_quarter_turn(aligned):
    x = tg.randn(1, 2, 4, 4, dtype=tg.float64)
    grid = tg.affine_grid(tg.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]], dtype=tg.float64), x.shape, aligned)
    turned = tg.grid_sample(x, grid, "bilinear", "border", aligned)
    # The output's (x, y) comes from the input's (-y, x); y points down, so the picture turns anticlockwise.
    np.testing.assert_allclose(turned.numpy(), np.rot90(x.numpy(), 1, (2, 3)), rtol=1e-12)


def test_a_shift_by_a_pixel_brings_in_the_padding():
    theta = tg.tensor([[[1.0, 0.0, 2 / 3], [0.0, 1.0, 0.0]]])  # 3 pixels are 2 wide
    grid = tg.affine_grid(theta, (1, 1, 2, 3))
    expected = {"zeros": [[4, 2, 0], [3, 5, 0]], "border": [[4, 2, 2], [3, 5, 5]], "reflection": [[4, 2, 2], [3, 5, 5]]}
    for padding, rows in expected.items():
        y = tg.grid_sample(image(dtype=tg.float32), grid, padding_mode=padding)
        np.testing.assert_allclose(y.numpy()[0, 0], rows, atol=1e-5)


def test_between_pixels_the_slope_to_the_right_is_taken():
    # Coordinate 0 is the middle pixel of three: 4, with 1 on its left and 2 on its right, one unit away (aligned).
    grid = points((0.0, -1.0))
    y = tg.grid_sample(image(), grid, align_corners=True)
    assert grad(y.sum(), grid)[0].tolist() == [[[[-2.0, 3 / 2 - 4 / 2]]]]


def test_slopes_at_and_beyond_the_border():
    at_the_edge = points((1.0, -1.0), (-1.0, -1.0), (1.3, -1.0))
    for aligned, padding in ((True, "border"), (True, "reflection"), (False, "border")):
        y = tg.grid_sample(image(), at_the_edge, "bilinear", padding, aligned)
        slopes = grad(y.sum(), at_the_edge)[0].numpy()[0, 0, :, 0]
        assert slopes[:2].tolist() == [0, 0]
        assert (slopes[2] == 0) == (padding == "border")


def test_reflection_is_periodic():
    x = tg.randn(1, 1, 3, 4, dtype=tg.float64)
    at = np.random.default_rng(0).uniform(-1, 1, (1, 1, 50, 2))
    for mode in MODES:
        inside = tg.grid_sample(x, at, mode, "reflection").numpy()
        for k in (-10_000, -1, 1, 3, 10_000):
            np.testing.assert_allclose(tg.grid_sample(x, at + 4 * k, mode, "reflection").numpy(), inside, atol=1e-9)
        np.testing.assert_allclose(tg.grid_sample(x, 2 - at, mode, "reflection").numpy(), inside, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_far_away_and_not_a_number(mode):
    grid = points((math.inf, 0.0), (-math.inf, 0.0), (1e300, -1e300), (-1e4, 1e4), (math.nan, 0.0))
    outside = {"zeros": [0, 0, 0, 0], "border": None, "reflection": None}
    for padding in PADDINGS:
        y = tg.grid_sample(image(), grid, mode, padding)
        slopes = grad(y[..., :4].sum(), grid)[0].numpy()[0, 0, 2:4]
        assert np.isfinite(slopes).all()
        values = y.detach().numpy().ravel()
        assert np.isnan(values[4])
        if outside[padding] is not None:
            assert values[:4].tolist() == outside[padding]
        if padding == "border":
            np.testing.assert_allclose(values[2:4], [2, 7], rtol=1e-12)
            edges = np.array(IMAGE)[:, [2, 0]].mean(0) if mode == "bilinear" else values[:2]
            np.testing.assert_allclose(values[:2], edges)
        if padding == "reflection":
            assert np.isnan(values[:2]).all()


def test_one_pixel_is_everywhere():
    x = tg.full((1, 1, 1, 1), 5.0)
    at = np.random.default_rng(0).uniform(-3, 3, (1, 4, 4, 2)).astype(np.float32)
    for mode in MODES:
        for padding in ("border", "reflection"):
            for aligned in (False, True):
                np.testing.assert_allclose(tg.grid_sample(x, at, mode, padding, aligned).numpy(), 5, rtol=1e-5)


def test_dtypes_and_empty_batches():
    x, grid = tg.randn(0, 3, 2, 2, requires_grad=True), tg.randn(0, 4, 5, 2, requires_grad=True)
    y = tg.grid_sample(x, grid)
    assert y.shape == (0, 3, 4, 5)
    assert [g.shape for g in grad(y.sum(), (x, grid))] == [x.shape, grid.shape]
    y = tg.grid_sample(image(dtype=tg.float32), tg.zeros(1, 1, 1, 2), "bicubic", "reflection")
    assert y.dtype == np.float32
    assert tg.affine_grid(tg.tensor(IDENTITY), (1, 1, 2, 2)).dtype == np.float32


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_large_images_by_every_kernel(mode):
    # Large enough for "auto" to hand the gather and the scatter to numba.
    x = tg.randn(2, 3, 20, 24, dtype=tg.float64, requires_grad=True)
    grid = tg.tensor(np.random.default_rng(0).uniform(-1.2, 1.2, (2, 40, 50, 2)))
    v = tg.randn(2, 3, 40, 50, dtype=tg.float64)
    with kernels.use("numpy"):
        y = tg.grid_sample(x, grid, mode)
        (gx,) = grad(y, x, v)
    z = tg.grid_sample(x, grid, mode)
    np.testing.assert_allclose(z.detach().numpy(), y.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(grad(z, x, v)[0].numpy(), gx.numpy(), rtol=1e-10, atol=1e-12)


def test_a_spatial_transformer_differentiates_twice():
    x = tg.randn(1, 1, 3, 4, dtype=tg.float64, requires_grad=True)
    theta = tg.tensor([[[0.83, 0.21, 0.13], [-0.17, 0.71, -0.09]]], dtype=tg.float64, requires_grad=True)

    def transformed(x, theta):
        return tg.grid_sample(x, tg.affine_grid(theta, (1, 1, 2, 3)), padding_mode="border")

    assert gradcheck(transformed, (x, theta))
    assert gradgradcheck(transformed, (x, theta))


def test_affine_grid_of_a_single_row_lies_in_the_middle():
    for aligned in (False, True):
        grid = tg.affine_grid(tg.tensor(IDENTITY), (1, 1, 1, 1), aligned)
        assert grid.tolist() == [[[[0, 0]]]]
    edges = tg.affine_grid(tg.tensor(IDENTITY), (1, 1, 1, 3), align_corners=True)
    assert edges.tolist() == [[[[-1, 0], [0, 0], [1, 0]]]]
    inside = tg.affine_grid(tg.tensor(IDENTITY), (1, 1, 2, 1))
    assert inside.tolist() == [[[[0, -0.5]], [[0, 0.5]]]]


X, G = np.zeros((2, 3, 4, 5)), np.zeros((2, 6, 7, 2))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: tg.grid_sample(X, G, "linear"), ArgumentError, "unknown mode 'linear'; choose one of nearest, bilinear"),
        (lambda: tg.grid_sample(X, G, padding_mode="reflect"), ArgumentError, "unknown padding_mode 'reflect'; choose one of"),
        (lambda: tg.grid_sample(X[0], G), ShapeError, "needs an input of shape (n, c, h, w) or (n, c, d, h, w) with"),
        (lambda: tg.grid_sample(X[:, :, :0], G), ShapeError, "with pixels, got (2, 3, 0, 5)"),
        (
            lambda: tg.grid_sample(X, G[:1]),
            ShapeError,
            "an input of shape (2, 3, 4, 5) needs a grid of shape (2, oh, ow, 2), got (1, 6, 7, 2)",
        ),
        (lambda: tg.grid_sample(X[:, :, None], G), ShapeError, "needs a grid of shape (2, od, oh, ow, 3), got (2, 6, 7, 2)"),
        (lambda: tg.grid_sample(X[:, :, None], G, "bicubic"), ShapeError, "mode 'bicubic' is for images (n, c, h, w)"),
        (
            lambda: tg.affine_grid(np.zeros((2, 2, 3)), (1, 1, 4, 4)),
            ShapeError,
            "size must be (n, c, h, w) with theta of shape (n, 2, 3), or (n, c, d, h, w) with (n, 3, 4); got size (1, 1, 4, 4) "
            "and theta of shape (2, 2, 3)",
        ),
        (lambda: tg.affine_grid(np.zeros((1, 2, 3)), (1, 1, 0, 4)), ShapeError, "at least one pixel along each axis, got size"),
    ],
)
def test_messages(call, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        call()
