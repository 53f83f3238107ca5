"""Local response and batch normalization: the papers' numbers, empty batches, running statistics, error messages."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.nn import functional as F

WITHIN = {"norm_region": "within_channel"}


def drawn(*shape):
    return Tensor(np.random.default_rng(0).standard_normal(shape) * 3 + 5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"alpha": 5e-4, "k": 2}, [0.5942915817, 1.1878710105, 1.7801403936, 2.3704185590, 2.9634657383, 3.5573544195]),
        ({"alpha": 1e-4, "k": 1}, [0.9997900514, 1.9991004722, 2.9975273798, 3.9946084910, 4.9935596920, 5.9930793250]),
        ({"alpha": 1e-4, "k": 2}, [0.5945411318, 1.1889396136, 1.7830752045, 2.3768100636, 2.9711016329, 3.5655624308]),
    ],
    ids=["Krizhevsky et al. 2012", "Caffe", "k = 2, alpha / 5"],
)
def test_lrn_golden_vectors(options, expected):
    x = tg.arange(1.0, 7.0, dtype=tg.float64).reshape(1, 6, 1)
    np.testing.assert_allclose(F.local_response_norm(x, 5, beta=0.75, **options).flatten(), expected, rtol=1e-9)


def test_lrn_of_an_even_size_reaches_one_channel_further_back():
    """As PyTorch pads: size // 2 channels before, (size - 1) // 2 after."""
    x = tg.tensor([1.0, 2.0, 3.0], dtype=tg.float64).reshape(1, 3, 1)
    d = 1 + 0.5 / 2 * np.array([1, 1 + 4, 4 + 9])
    np.testing.assert_allclose(F.local_response_norm(x, 2, alpha=0.5, beta=1.0).flatten(), [1, 2, 3] / d)


def test_lrn_within_a_channel_pools_the_squares_with_zeros_around():
    """Caffe's lrn_layer.cpp: AVE pooling divides by size * size at the border too."""
    y = F.local_response_norm(tg.full((1, 2, 4, 5), 3.0, dtype=tg.float64), 3, alpha=0.5, beta=0.75, **WITHIN).numpy()
    for corner, pixels in (((0, 0), 4), ((0, 2), 6), ((1, 1), 9)):
        assert y[0, 1][corner] == pytest.approx(3 * (1 + 0.5 * 9 * pixels / 9) ** -0.75)
    x = drawn(2, 3, 4, 5)
    single = F.local_response_norm(x, 1, alpha=0.5, beta=1.0, k=2.0, **WITHIN)
    np.testing.assert_allclose(single, x.numpy() / (2 + 0.5 * x.numpy() ** 2))
    np.testing.assert_array_equal(F.local_response_norm(x, 5, **WITHIN)[1], F.local_response_norm(x[1], 5, **WITHIN))


def test_empty_batches_keep_their_shape():
    for shape in ((0, 3), (0, 3, 4), (0, 3, 2, 2), (0, 3, 1, 2, 2)):
        x, mean, var = tg.zeros(*shape, requires_grad=True), tg.zeros(3), tg.ones(3)
        weight, bias = tg.ones(3, requires_grad=True), tg.ones(3, requires_grad=True)
        for affine in ((None, None), (weight, None), (weight, bias)):
            y = F.batch_norm(x, mean, var, *affine, training=True)
            assert y.shape == shape
            y.sum().backward()
            assert x.grad.shape == shape
            assert F.batch_norm(x, mean, var, *affine).shape == shape
        np.testing.assert_array_equal(weight.grad, np.zeros(3))
        np.testing.assert_array_equal([mean, var], [[0, 0, 0], [1, 1, 1]])
        if len(shape) > 2:
            assert F.local_response_norm(x, 3).shape == shape
    assert F.local_response_norm(tg.zeros(0, 3, 2, 2), 3, **WITHIN).shape == (0, 3, 2, 2)
    assert F.batch_norm(tg.zeros(2, 0, 3), None, None, training=True).shape == (2, 0, 3)


def test_defaults_are_pytorchs():
    x, mean = drawn(4, 3, 2), Tensor(np.zeros(3))
    np.testing.assert_array_equal(F.local_response_norm(x, 3), F.local_response_norm(x, 3, 1e-4, 0.75, 1.0))
    F.batch_norm(x, mean, None, training=True)
    np.testing.assert_allclose(mean, 0.1 * x.numpy().mean((0, 2)))
    np.testing.assert_array_equal(
        F.batch_norm(x, None, None, training=True), F.batch_norm(x, None, None, training=True, eps=1e-5)
    )


@pytest.mark.parametrize("shape", [(6, 2), (3, 2, 4), (3, 2, 2, 2), (2, 2, 3, 1, 2)])
def test_batch_norm_over_any_number_of_dimensions(shape):
    x = drawn(*shape).numpy()
    over = tuple(d for d in range(len(shape)) if d != 1)
    mean, var = Tensor(np.zeros(2)), Tensor(np.ones(2))
    y = F.batch_norm(Tensor(x), mean, var, training=True, momentum=0.3, eps=0.1).numpy()
    along = (1, 2) + (1,) * (len(shape) - 2)
    np.testing.assert_allclose(y, (x - x.mean(over).reshape(along)) / np.sqrt(x.var(over).reshape(along) + 0.1))
    np.testing.assert_allclose(mean, 0.3 * x.mean(over))
    np.testing.assert_allclose(var, 0.7 + 0.3 * x.var(over, ddof=1))
    assert mean._version == var._version == 1


def test_batch_norm_in_float32_far_from_zero():
    """The variance is summed around the mean: E[x^2] - E[x]^2 would have no digit left here."""
    x = np.random.default_rng(0).standard_normal((8, 2, 50)).astype(np.float32) + np.float32(4096)
    expected = (x.astype(np.float64) - x.mean((0, 2), np.float64)[:, None]) / x.std((0, 2), np.float64)[:, None]
    y = F.batch_norm(Tensor(x), None, None, training=True, eps=0.0)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, atol=2e-3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.local_response_norm(tg.ones(2, 3), 3), ShapeError, "needs (n, c, ...) with at least 3 dimensions"),
        (lambda: F.local_response_norm(tg.ones(2, 3, 4), 0), ArgumentError, "size must be at least 1 channel, got 0"),
        (lambda: F.local_response_norm(tg.ones(2, 3, 4), 3, norm_region="both"), ArgumentError,
         "norm_region must be 'across_channels' or 'within_channel', got 'both'"),
        (lambda: F.local_response_norm(tg.ones(2, 3, 4, 4), 4, **WITHIN), ArgumentError, "odd and positive; got 4"),
        (lambda: F.local_response_norm(tg.ones(2, 3, 4, 4), -1, **WITHIN), ArgumentError, "odd and positive; got -1"),
        (lambda: F.local_response_norm(tg.ones(2, 3), 3, **WITHIN), ShapeError, "needs (n, c, h, w), or (c, h, w) without"),
        (lambda: F.batch_norm(tg.ones(3), None, None, training=True), ShapeError, "needs (n, c, ...), got shape (3,)"),
        (lambda: F.batch_norm(tg.ones(1, 3), None, None, training=True), ShapeError,
         "more than one value to have a variance, the input (1, 3) has one; use a larger batch, or eval()"),
        (lambda: F.batch_norm(tg.ones(2, 3), None, None), ArgumentError, "outside training it needs running_mean"),
        (lambda: F.batch_norm(tg.ones(2, 3), tg.ones(3), None), ArgumentError, "needs running_mean and running_var; got None"),
        (lambda: F.batch_norm(tg.ones(2, 3), tg.ones(2), tg.ones(3)), ShapeError,
         "batch_norm: running_mean has shape (2,), but the input (2, 3) has 3 channels"),
        (lambda: F.batch_norm(tg.ones(2, 3), None, None, tg.ones(3, 1), training=True), ShapeError, "weight has shape (3, 1)"),
    ],
)  # fmt: skip
def test_errors_say_what_was_given_and_what_to_do(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()
