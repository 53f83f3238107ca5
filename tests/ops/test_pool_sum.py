"""Lp pooling and LeNet-5's subsampling: closed forms, the extremes, and the refusals."""

import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn.errors import ArgumentError, ShapeError


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_the_three_norms_with_names():
    x = draw(2, 3, 4, 6)
    np.testing.assert_allclose(F.lp_pool2d(x, 1, 2).numpy(), F.avg_pool2d(x, 2, divisor_override=1).numpy(), rtol=1e-12)
    squares = F.avg_pool2d(x * x, 2, divisor_override=1).numpy()
    np.testing.assert_allclose(F.lp_pool2d(x, 2, 2).numpy(), np.sqrt(squares), rtol=1e-12)
    np.testing.assert_array_equal(F.lp_pool2d(x, math.inf, 2, 1).numpy(), F.max_pool2d(x, 2, 1).numpy())


def test_an_odd_power_keeps_signs():
    """1 - 27 + 8 = -18: PyTorch has NaN there, the real root is negative."""
    y = F.lp_pool1d(tg.tensor([[[1.0, -3.0, 2.0]]], dtype="float64"), 3, 3)
    np.testing.assert_allclose(y.item(), -(18 ** (1 / 3)), rtol=1e-14)


def test_a_window_that_hangs_over_is_scaled_to_a_whole_one():
    """[1, 2, 2] in windows of 2: the second has one value of two, so its sum of squares counts twice, as in PyTorch."""
    y = F.lp_pool1d(tg.tensor([[[1.0, 2.0, 2.0]]], dtype="float64"), 2, 2, ceil_mode=True)
    np.testing.assert_allclose(y.numpy()[0, 0], [math.sqrt(5), math.sqrt(8)], rtol=1e-14)


@pytest.mark.parametrize("scale", [1e4, 1e-4, 1e30, 1e-30])
@pytest.mark.parametrize("p", [2, 3, 10])
def test_the_extremes_neither_overflow_nor_vanish(scale, p):
    """float32 holds neither 1e40 nor 1e-40, which the powers alone would be; the other window is ordinary."""
    x = tg.tensor(np.array([[[1, 2, 2, 1], [1, 1, 1, 1]]]) * [[[scale], [1.0]]], dtype="float32", requires_grad=True)
    y = F.lp_pool1d(x, p, 4)
    sums = [2 + 2 * 2.0**p, 4.0]
    np.testing.assert_allclose(y.detach().numpy()[0, :, 0], [scale * sums[0] ** (1 / p), sums[1] ** (1 / p)], rtol=1e-5)
    y.sum().backward()
    # dy / dx = (x / y)^(p - 1), whatever the scale.
    expected = [(np.array(x) / sums[i] ** (1 / p)) ** (p - 1) for i, x in enumerate(([1, 2, 2, 1], [1] * 4))]
    np.testing.assert_allclose(x.grad.numpy()[0], expected, rtol=1e-4)


def test_the_gradient_at_zero():
    """A norm has no gradient at 0, and gets 0; a sum has one everywhere, also where it happens to be 0."""
    x = tg.tensor([[[0.0, 0.0, 3.0, 4.0]]], requires_grad=True)
    F.lp_pool1d(x, 2, 2).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [[[0, 0, 0.6, 0.8]]], rtol=1e-6)
    x = tg.tensor([[[1.0, -1.0, 0.0, 0.0]]], requires_grad=True)
    F.lp_pool1d(x, 1, 2).sum().backward()
    assert x.grad.tolist() == [[[1, 1, 1, 1]]]


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_without_a_batch_and_with_an_empty_one(dims):
    function = getattr(F, f"lp_pool{dims}d")
    x = draw(3, *(5, 6, 4)[:dims])
    for p in (2, math.inf):
        y = function(x, p, 2, 1)
        np.testing.assert_array_equal(y.numpy(), function(x[None], p, 2, 1).numpy()[0])
        assert function(tg.zeros(0, *x.shape), p, 2, 1).shape == (0, *y.shape)


def test_subsampling_sums_scales_and_shifts():
    """LeNet-5's S2: the sum (not the mean) of four, 12 parameters for 6 maps, 28 x 28 to 14 x 14."""
    x, weight, bias = draw(2, 6, 28, 28), draw(6, seed=1), draw(6, seed=2)
    y = F.subsample2d(x, tg.tensor(weight), tg.tensor(bias)).numpy()
    assert y.shape == (2, 6, 14, 14)
    four = x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]
    np.testing.assert_allclose(y, four * weight[:, None, None] + bias[:, None, None], rtol=1e-12, atol=1e-12)
    one = F.subsample2d(x[0], tg.tensor(weight), tg.tensor(bias)).numpy()
    np.testing.assert_array_equal(one, y[0])
    assert F.subsample2d(tg.zeros(0, 6, 5, 4), tg.tensor(weight), tg.tensor(bias), (3, 2), 1).shape == (0, 6, 3, 3)


def test_subsampling_keeps_float32():
    y = F.subsample2d(tg.ones(1, 1, 2, 2), tg.tensor([0.5], dtype="float64"), tg.tensor([1.0], dtype="float64"))
    assert y.dtype == np.float32
    assert y.item() == 3


X = tg.ones(1, 2, 4, 4)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: F.lp_pool2d(X, 0, 2), ArgumentError,
         "lp_pool2d: norm_type must be larger than 0 (1: sums, 2: Euclidean norms, "
         "inf: maxima); got 0"),
        (lambda: F.lp_pool1d(X, 2, 2), ShapeError, "lp_pool1d: needs an input of 3 dimensions"),
        (lambda: F.lp_pool2d(X, 2, 5), ShapeError, "lp_pool2d: input height 4 + padding 0 + 0 is smaller than"),
        (lambda: F.subsample2d(X, tg.ones(3), tg.ones(2)), ShapeError,
         "subsample2d: weight has shape (3,), but 2 maps need (2,)"),
        (lambda: F.subsample2d(X, tg.ones(2), tg.ones(2, 1)), ShapeError,
         "subsample2d: bias has shape (2, 1), but 2 maps need"),
    ],
)  # fmt: skip
def test_refusals(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()
