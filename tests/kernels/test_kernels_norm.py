"""Normalisations against the loops of the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import kernels

from .kernel_cases import array, assert_close, dtypes, expect, layouts, run, seeds, servers

sizes = st.integers(1, 4)
shapes = st.one_of(
    st.tuples(sizes, st.integers(1, 7)),
    st.tuples(sizes, st.integers(1, 7), sizes),
    st.tuples(sizes, st.integers(1, 7), sizes, sizes),
    st.tuples(sizes, st.integers(1, 3), sizes, sizes, sizes),
)
EMPTY = (0, 3, 2, 2)


@pytest.mark.parametrize("who", servers("channel_window_sum"))
@settings(max_examples=50, deadline=None)
@given(shapes | st.just(EMPTY), st.integers(0, 8), st.integers(0, 8), seeds, dtypes, layouts)
def test_channel_window_sum(who, shape, before, after, seed, dtype, layout):
    x = array(np.random.default_rng(seed), shape, dtype, layout)
    assert_close(run("channel_window_sum", who, x, before, after), expect("channel_window_sum", x, before, after))


@pytest.mark.parametrize("who", servers("local_response_norm"))
@settings(max_examples=60, deadline=None)
@given(shapes | st.just(EMPTY), st.integers(1, 8), st.sampled_from((0.5, 0.75, 1.0, 2.0)), seeds, dtypes, layouts)
def test_local_response_norm(who, shape, size, beta, seed, dtype, layout):
    """alpha = 0.5: at the usual 1e-4 a dropped coupling term would pass every tolerance."""
    rng = np.random.default_rng(seed)
    x, gy = array(rng, shape, dtype, layout), array(rng, shape, dtype, layout)
    y, d = run("local_response_norm", who, x, size, 0.5, beta, 1.5)
    assert_close((y, d), expect("local_response_norm", x, size, 0.5, beta, 1.5))
    gx = run("local_response_norm_input_grad", who, gy, x, d, size, 0.5, beta)
    assert_close(gx, expect("local_response_norm_input_grad", gy, x, d, size, 0.5, beta))


@pytest.mark.parametrize("who", servers("channel_sum"))
@settings(max_examples=40, deadline=None)
@given(shapes | st.just(EMPTY), seeds, dtypes, layouts)
def test_channel_sum(who, shape, seed, dtype, layout):
    gy = array(np.random.default_rng(seed), shape, dtype, layout)
    assert_close(run("channel_sum", who, gy), expect("channel_sum", gy))


@pytest.mark.parametrize("who", servers("channel_moments"))
@settings(max_examples=60, deadline=None)
@given(shapes, seeds, dtypes, layouts)
def test_channel_moments(who, shape, seed, dtype, layout):
    x = array(np.random.default_rng(seed), shape, dtype, layout)
    assert_close(run("channel_moments", who, x), expect("channel_moments", x))


@pytest.mark.parametrize("who", servers("batch_norm"))
@settings(max_examples=80, deadline=None)
@given(shapes | st.just(EMPTY), seeds, dtypes, layouts, st.booleans(), st.booleans(), st.booleans())
def test_batch_norm(who, shape, seed, dtype, layout, with_weight, with_bias, relu):
    rng = np.random.default_rng(seed)
    channels = shape[1]
    x, gy = array(rng, shape, dtype, layout), array(rng, shape, dtype, layout)
    weight = array(rng, (channels,), dtype, layout) if with_weight else None
    bias = array(rng, (channels,), dtype, layout) if with_bias else None
    mean, rstd = array(rng, (channels,), dtype), rng.uniform(0.5, 2, channels).astype(dtype)
    y = run("batch_norm", who, x, weight, bias, mean, rstd, relu)
    assert_close(y, expect("batch_norm", x, weight, bias, mean, rstd, relu))
    if x.size:
        arguments = (gy, x, weight, mean, rstd, y if relu else None)
        assert_close(run("batch_norm_input_grad", who, *arguments), expect("batch_norm_input_grad", *arguments))


@pytest.mark.parametrize("who", servers("batch_norm"))
@pytest.mark.parametrize("shape", [(2, 1, 5), (10, 1)])
def test_a_rectified_batch_norm_lets_nan_through_and_no_infinite_gradient_of_a_shut_number(who, shape):
    x = np.array([1.0, -1, np.nan, 0, -2, 3, -3, 4, -4, 5]).reshape(shape)
    zero, one = np.zeros(1), np.ones(1)
    y = run("batch_norm", who, x, None, None, zero, one, True)
    np.testing.assert_array_equal(y.ravel(), [1, 0, np.nan, 0, 0, 3, 0, 4, 0, 5])
    gy = np.where(x < 0, np.inf, 1)
    _, _, gbias = run("batch_norm_input_grad", who, gy, x, None, zero, one, y)
    np.testing.assert_array_equal(gbias, [5])  # 1, NaN, 3, 4, 5 are open


@pytest.mark.parametrize("who", servers("batch_norm_input_grad"))
def test_batch_norm_gradients_of_an_empty_batch_are_zero(who):
    x = np.empty(EMPTY, np.float32)
    channel = np.ones(3, np.float32)
    gx, gweight, gbias = run("batch_norm_input_grad", who, x, x, channel, channel, channel)
    assert gx.shape == EMPTY
    np.testing.assert_array_equal([gweight, gbias], np.zeros((2, 3)))


class TestLargeSumsInFloat32:
    """Sums over a million numbers of one sign, and a variance under a large mean."""

    shape = (64, 3, 72, 72)

    @pytest.mark.parametrize("who", servers("channel_sum"))
    def test_channel_sum(self, who):
        gy = np.random.default_rng(0).random(self.shape, dtype=np.float32)
        expected = gy.astype(np.float64).sum(axis=(0, 2, 3))
        np.testing.assert_allclose(run("channel_sum", who, gy), expected, rtol=1e-6)

    @pytest.mark.parametrize("who", servers("channel_moments"))
    def test_channel_moments(self, who):
        x = np.random.default_rng(0).normal(1000, 1, self.shape).astype(np.float32)
        mean, var = run("channel_moments", who, x)
        exact = x.astype(np.float64)
        np.testing.assert_allclose(mean, exact.mean(axis=(0, 2, 3)), rtol=1e-7)
        np.testing.assert_allclose(var, exact.var(axis=(0, 2, 3)), rtol=1e-6)

    @pytest.mark.parametrize("who", servers("channel_moments"))
    def test_one_large_plane(self, who):
        """A million numbers in one plane: added one by one, or by a few lanes, they would lose two digits more."""
        x = np.random.default_rng(0).normal(1000, 1, (2, 3, 1000, 1000)).astype(np.float32)
        exact = x.astype(np.float64)
        mean, var = run("channel_moments", who, x)
        np.testing.assert_allclose(mean, exact.mean(axis=(0, 2, 3)), rtol=1e-7)
        np.testing.assert_allclose(var, exact.var(axis=(0, 2, 3)), rtol=1e-6)
        np.testing.assert_allclose(run("channel_sum", who, x - 999), (exact - 999).sum(axis=(0, 2, 3)), rtol=2e-7)

    @pytest.mark.parametrize("who", servers("batch_norm_input_grad"))
    def test_batch_norm_gradients(self, who):
        rng = np.random.default_rng(0)
        x, gy = rng.normal(1000, 1, self.shape).astype(np.float32), rng.random(self.shape, dtype=np.float32)
        mean, rstd = np.full(3, 1000, np.float32), np.ones(3, np.float32)
        _, gweight, gbias = run("batch_norm_input_grad", who, gy, x, None, mean, rstd)
        exact = gy.astype(np.float64)
        np.testing.assert_allclose(gbias, exact.sum(axis=(0, 2, 3)), rtol=1e-6)
        expected = (exact * (x.astype(np.float64) - 1000)).sum(axis=(0, 2, 3))
        np.testing.assert_allclose(gweight, expected, atol=1e-6 * exact.sum() / 3)


@pytest.mark.parametrize("who", servers("batch_norm_input_grad"))
@pytest.mark.parametrize("name", ["batch_norm_input_grad", "relu_backward"])
@pytest.mark.parametrize("shape", [(3, 5, 33, 40), (700, 40), (700, 6)])
def test_a_gradient_may_be_written_over_the_one_that_came_in(who, name, shape):
    rng = np.random.default_rng(0)
    x, gy = array(rng, shape, np.float32), array(rng, shape, np.float32)
    mean, rstd, y = array(rng, shape[1:2], np.float32), np.ones(shape[1], np.float32), np.maximum(x, 0)
    arguments = (x, None, mean, rstd, y) if name == "batch_norm_input_grad" else (y,)
    kernel = kernels.implementations(name)[who]
    expected = kernel(gy.copy(), *arguments)
    for own in (gy.copy(), np.repeat(gy, 2, axis=0)[::2]):  # the second is not contiguous: a new array is made
        before = own.copy()
        found = kernel(own, *arguments, own)
        pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
        for one, other in pairs:
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
        gx = found[0] if isinstance(found, tuple) else found
        assert gx is own or (own == before).all()
    if who == "numba" and shape[1] != 40:
        found = kernel(gy, *arguments, gy)
        assert (found[0] if isinstance(found, tuple) else found) is gy
