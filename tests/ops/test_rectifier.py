"""Rectifiers: what the table of `test_nonlinearities` does not say, and the error messages."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.nn import functional as F


def test_prelu_has_a_slope_for_each_channel_of_dimension_1():
    x = -tg.ones(2, 3, 2, 2)
    y = F.prelu(x, tg.tensor([0.1, 0.2, 0.3]))
    for c in range(3):
        np.testing.assert_allclose(y[:, c], -0.1 * (c + 1))
    np.testing.assert_allclose(F.prelu(-tg.ones(4), tg.tensor([0.5])), -0.5)


def test_rrelu_draws_a_slope_for_each_negative_value_between_the_bounds():
    x = tg.tensor([[-1.0] * 500, [2.0] * 500], requires_grad=True)
    y = F.rrelu(x, 0.2, 0.6, training=True)
    slopes = -y.detach().numpy()[0]
    assert slopes.min() >= 0.2
    assert slopes.max() < 0.6
    assert len(np.unique(slopes)) > 400
    assert slopes.mean() == pytest.approx(0.4, abs=0.03)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad[0], slopes)
    np.testing.assert_array_equal(x.grad[1], np.ones(500))


def test_the_slope_of_a_training_rrelu_at_0_is_the_one_it_drew():
    x = tg.zeros(50, requires_grad=True)
    F.rrelu(x, 0.2, 0.6, training=True).sum().backward()
    assert x.grad.numpy().max() < 0.6


def test_defaults_are_pytorchs():
    x = tg.tensor([-1.0, 0.4], dtype=tg.float64)
    np.testing.assert_allclose(F.rrelu(x), [-11 / 48, 0.4])
    np.testing.assert_array_equal(F.elu(x), F.elu(x, 1.0))
    np.testing.assert_array_equal(F.celu(x), F.elu(x, 1.0))
    np.testing.assert_array_equal(F.hardtanh(x * 3), [-1, 1])
    np.testing.assert_array_equal(F.softshrink(x), [-0.5, 0])
    np.testing.assert_array_equal(F.hardshrink(x), [-1, 0])
    np.testing.assert_array_equal(F.leaky_relu(x), [-0.01, 0.4])


def test_rrelu_outside_training_draws_nothing():
    tg.manual_seed(0)
    state = tg.get_rng_state()
    np.testing.assert_allclose(F.rrelu(tg.tensor([-1.0, 2.0]), 0.2, 0.6), [-0.4, 2])
    assert tg.get_rng_state() == state


def test_selu_keeps_mean_and_variance():
    """Klambauer et al. 2017: mean 0 and variance 1 are a fixed point for standard normal inputs."""
    x = tg.Tensor(np.random.default_rng(0).standard_normal(400_000))
    y = F.selu(x).numpy()
    assert y.mean() == pytest.approx(0, abs=0.01)
    assert y.var() == pytest.approx(1, abs=0.01)


def test_celu_is_smooth_at_0_for_every_alpha_and_elu_is_not():
    x = tg.tensor([-1e-9, 1e-9], dtype=tg.float64, requires_grad=True)
    F.celu(x, 0.3).sum().backward()
    np.testing.assert_allclose(x.grad, [1, 1], atol=1e-8)
    x.grad = None
    F.elu(x, 0.3).sum().backward()
    np.testing.assert_allclose(x.grad, [0.3, 1], atol=1e-8)


def test_maxout_takes_neighbouring_channels_and_shares_ties():
    x = tg.tensor([[1.0, 1.0, 5.0, 7.0]], requires_grad=True)
    y = F.maxout(x, 2)
    np.testing.assert_array_equal(y.detach(), [[1, 7]])
    y.backward(tg.tensor([[4.0, 3.0]]))
    np.testing.assert_array_equal(x.grad, [[2, 2, 0, 3]])
    np.testing.assert_array_equal(F.maxout(x.detach(), 1), x.detach())
    assert F.maxout(tg.zeros(0, 6, 4), 3).shape == (0, 2, 4)
    assert F.maxout(tg.zeros(2, 6, 4), 2, axis=-1).shape == (2, 6, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.prelu(tg.ones(2, 3), tg.ones(4)), ShapeError,
         "weight has 4 slopes, but the input (2, 3) has 3 channels (dimension 1); give one slope for each, or one for all"),
        (lambda: F.prelu(tg.ones(4), tg.ones(4)), ShapeError, "has 4 slopes, but the input (4,) has 1 channel (dimension 1)"),
        (lambda: F.prelu(tg.ones(4), tg.ones(2, 2)), ShapeError,
         "one slope, or a vector of one for each channel; got shape (2, 2)"),
        (lambda: F.rrelu(tg.ones(2), 0.5, 0.1), ArgumentError, "lower = 0.5 exceeds upper = 0.1"),
        (lambda: F.celu(tg.ones(2), 0), ArgumentError, "alpha divides the input, so it cannot be 0; use relu"),
        (lambda: F.hardtanh(tg.ones(2), 2, 1), ArgumentError, "min_val = 2 exceeds max_val = 1; exchange them"),
        (lambda: F.softshrink(tg.ones(2), -1), ArgumentError, "softshrink: lambd is a distance from 0 and cannot be negative"),
        (lambda: F.hardshrink(tg.ones(2), -1), ArgumentError, "hardshrink: lambd is a distance from 0 and cannot be negative"),
        (lambda: F.maxout(tg.ones(2, 4), 0), ArgumentError, "the maximum of at least 1 piece, got pieces = 0"),
        (lambda: F.maxout(tg.ones(2, 4), 3), ShapeError,
         "dimension 1 of the input (2, 4) has 4 channels, which cannot be split into groups of 3 pieces"),
        (lambda: F.maxout(tg.ones(4), 2), ShapeError, "maxout: dim 1 does not exist in a tensor of 1 dimensions"),
        (lambda: F.maxout(tg.tensor(1.0), 1, 0), ShapeError, "maxout: needs a dimension of channels, got a tensor of shape ()"),
    ],
)  # fmt: skip
def test_errors_say_what_was_given_and_what_to_do(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_equal_bounds_are_allowed():
    np.testing.assert_array_equal(F.hardtanh(tg.tensor([-1.0, 3.0]), 2.0, 2.0), [2, 2])
    np.testing.assert_allclose(F.rrelu(tg.tensor([-1.0, 3.0]), 0.5, 0.5, training=True), [-0.5, 3])
    np.testing.assert_array_equal(F.softshrink(tg.tensor([-1.0, 3.0]), 0), [-1, 3])
