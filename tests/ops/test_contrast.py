"""Local contrast normalization: what it is blind to, borders, flat images, error messages."""

import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.nn import functional as F


def drawn(*shape):
    return Tensor(np.random.default_rng(0).standard_normal(shape))


def test_a_constant_image_has_no_contrast_up_to_its_edges():
    x = tg.full((2, 3, 6, 7), 5.0, dtype=tg.float64)
    np.testing.assert_allclose(F.subtractive_norm(x, 5), np.zeros(x.shape), atol=1e-14)
    np.testing.assert_allclose(F.local_contrast_norm(x, 5), np.zeros(x.shape), atol=1e-9)


def test_brightness_and_contrast_do_not_matter():
    x = drawn(1, 2, 8, 9)
    np.testing.assert_allclose(F.local_contrast_norm(7 * x + 100, 5), F.local_contrast_norm(x, 5), rtol=1e-9, atol=1e-11)


def test_weak_contrasts_stay_weak_where_the_floor_is_the_mean_of_the_image():
    """The strong half is divided by its own spread, the weak half by the image's mean: the paper's max(c, s)."""
    x = drawn(1, 1, 16, 32)
    x[..., 16:] *= 0.01
    y = F.local_contrast_norm(x, 5).numpy()
    assert np.abs(y[..., :12]).mean() > 30 * np.abs(y[..., 20:]).mean()
    y = F.local_contrast_norm(x, 5, floor=0.0).numpy()
    assert np.abs(y[..., :12]).mean() == pytest.approx(np.abs(y[..., 20:]).mean(), rel=0.3)


def test_flat_parts_count_as_0_in_the_floor():
    values = np.zeros(9)
    values[1], values[6] = 5.0, 0.1
    g = math.exp(-0.5 / 0.8**2)
    at, beside = math.sqrt(1 / (1 + 2 * g)), math.sqrt(g / (1 + 2 * g))
    edge = math.sqrt(g / (1 + g))  # the window of the first pixel is cut off
    floor = (5 * (at + beside + edge) + 0.1 * (at + 2 * beside)) / 9
    y = F.divisive_norm(Tensor(values).reshape(1, 1, 9), 3, sigma=0.8).flatten()
    np.testing.assert_allclose(y.numpy()[[1, 6]], [1 / at, 0.1 / floor])


def test_a_window_of_one_pixel_compares_channels_alone():
    x = drawn(2, 3, 4, 5)
    np.testing.assert_allclose(F.subtractive_norm(x, 1), x.numpy() - x.numpy().mean(1, keepdims=True))


def test_all_channels_are_compared_with_one_mean():
    x = tg.zeros(1, 4, 3, 3, dtype=tg.float64)
    x[:, 0] = 8.0
    np.testing.assert_allclose(F.subtractive_norm(x, 3)[0, :, 1, 1], [6, -2, -2, -2])


def test_sigma_is_a_quarter_of_the_size_unless_given():
    x = drawn(1, 1, 7, 7)
    np.testing.assert_array_equal(F.local_contrast_norm(x, 5), F.local_contrast_norm(x, 5, sigma=1.25))
    assert not np.allclose(F.local_contrast_norm(x, 5), F.local_contrast_norm(x, 5, sigma=2.0))


@pytest.mark.parametrize("floor", [None, 0.0, 0.5])
def test_gradients_of_flat_images_are_finite(floor):
    """The root of 0 has an infinite slope; 0 / 0 has none."""
    flat = tg.full((1, 1, 8, 8), 2.0, dtype=tg.float64)
    half = flat.clone()
    half[..., 6:] = drawn(1, 1, 8, 2)
    for values in (flat, tg.zeros(1, 1, 4, 4, dtype=tg.float64), half):
        x = values.requires_grad_()
        for norm in (F.local_contrast_norm, F.divisive_norm):
            y = norm(x, 3, floor=floor)
            (gx,) = grad((y * drawn(*y.shape)).sum(), x, create_graph=True)
            (ggx,) = grad((gx * drawn(*gx.shape)).sum(), x, materialize_grads=True)
            assert np.isfinite(y.detach().numpy()).all()
            assert np.isfinite(gx.detach().numpy()).all()
            assert np.isfinite(ggx.detach().numpy()).all()


def test_batches_may_be_empty_or_absent_and_float32_stays():
    x = drawn(3, 6, 7).float()
    for norm in (F.subtractive_norm, F.divisive_norm, F.local_contrast_norm):
        assert norm(tg.zeros(0, 3, 6, 7)).shape == (0, 3, 6, 7)
        assert norm(x).dtype == np.float32
        np.testing.assert_array_equal(norm(x), norm(x.unsqueeze(0))[0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.local_contrast_norm(tg.ones(3, 3)), ShapeError, "needs an input (n, c, h, w), or (c, h, w) without a batch"),
        (lambda: F.local_contrast_norm(tg.ones(1, 1, 0, 3)), ShapeError, "the images of the input (1, 1, 0, 3) have no values"),
        (lambda: F.subtractive_norm(tg.ones(1, 3, 3), 4), ArgumentError, "it must be odd and positive; got 4"),
        (lambda: F.divisive_norm(tg.ones(1, 3, 3), -3), ArgumentError, "divisive_norm: size is that of a window"),
        (lambda: F.local_contrast_norm(tg.ones(1, 3, 3), 3, 0.0), ArgumentError, "sigma is the window's width in pixels"),
        (lambda: F.divisive_norm(tg.ones(1, 3, 3), 3, eps=0.0), ArgumentError, "eps must be positive and floor not negative"),
        (lambda: F.divisive_norm(tg.ones(1, 3, 3), 3, floor=-1), ArgumentError, "got eps = 0.0001, floor = -1"),
    ],
)
def test_errors_say_what_was_given_and_what_to_do(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()
