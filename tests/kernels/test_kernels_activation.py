"""Activations against the loops of the reference, and where naive formulas overflow."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from tinygrad_cnn import kernels

from .kernel_cases import array, assert_close, dtypes, expect, laid_out, layouts, run, seeds, servers

shapes = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
EXTREMES = np.array([-np.inf, -1e4, -800, -100, -30, -1, -1e-30, 0, 1e-30, 1, 30, 100, 800, 1e4, np.inf])


@settings(max_examples=40, deadline=None)
@given(shapes, seeds, dtypes, layouts)
def test_elementwise_kernels(shape, seed, dtype, layout):
    rng = np.random.default_rng(seed)
    x, gy = array(rng, shape, dtype, layout), array(rng, shape, dtype, layout)
    for name in ("sigmoid", "relu", "erf", "erfc"):
        for who in servers(name):
            assert_close(run(name, who, x), expect(name, x))
    outputs = {
        "sigmoid_backward": expect("sigmoid", x).astype(dtype),
        "relu_backward": laid_out(expect("relu", x).astype(dtype), layout),
        "tanh_backward": np.tanh(x),
    }
    for name, y in outputs.items():
        for who in servers(name):
            assert_close(run(name, who, gy, y), expect(name, gy, y))


@settings(max_examples=40, deadline=None)
@given(shapes, seeds, dtypes, layouts)
def test_add_into_a_new_array_and_into_either(shape, seed, dtype, layout):
    rng = np.random.default_rng(seed)
    a = array(rng, shape, dtype, layout)
    b = array(rng, a.shape, dtype)
    for add in kernels.implementations("add").values():
        np.testing.assert_array_equal(add(a, b), a + b)
        for place in (0, 1):
            terms = (np.array(a), np.array(b))
            assert add(*terms, out=terms[place]) is terms[place]
            np.testing.assert_array_equal(terms[place], a + b)


@pytest.mark.parametrize("add", kernels.implementations("add").values())
def test_add_broadcasts_and_mixes_dtypes(add):
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(3, dtype=np.float64)
    np.testing.assert_array_equal(add(a, b), [[0, 2, 4], [3, 5, 7]])
    assert add(a, b).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("who", servers("sigmoid"))
def test_sigmoid_of_extremes(who, dtype):
    """No overflow (warnings are errors here), and small results keep their digits: 1 - sigmoid(30) is not 0."""
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y = run("sigmoid", who, EXTREMES.astype(dtype))
    np.testing.assert_allclose(y, expect("sigmoid", EXTREMES.astype(dtype)), rtol=1e-6, atol=np.finfo(dtype).tiny)
    assert y[4] == pytest.approx(np.exp(-30), rel=1e-5)
    assert np.isnan(run("sigmoid", who, np.array([np.nan], dtype)))


@pytest.mark.parametrize("who", servers("relu"))
def test_relu_at_its_kink_and_beyond(who):
    x = np.array([-np.inf, -1, -0.0, 0, 1, np.inf, np.nan], np.float32)
    y = run("relu", who, x)
    np.testing.assert_array_equal(y, [0, 0, 0, 0, 1, np.inf, np.nan])
    gy = np.array([np.inf, np.nan, np.inf, 3, 4, 5, 6], np.float32)
    np.testing.assert_array_equal(run("relu_backward", who, gy, y), [0, 0, 0, 0, 4, 5, 6])


# From Abramowitz and Stegun, "Handbook of mathematical functions", table 7.1.
@pytest.mark.parametrize("who", ["reference", *servers("erf")])
def test_erf_of_tabulated_values_and_extremes(who):
    x = np.array([-np.inf, -1e4, -0.5, -0.0, 0.5, 1.0, 2.0, 1e4, np.inf])
    expected = [-1, -1, -0.5204998778, 0, 0.5204998778, 0.8427007929, 0.9953222650, 1, 1]
    np.testing.assert_allclose(run("erf", who, x), expected, rtol=0, atol=5e-11)
    np.testing.assert_allclose(run("erfc", who, x), 1 - np.array(expected), rtol=0, atol=5e-11)
    # The asymptotic series, 1 - 1 / (2 x^2) + 3 / (4 x^4) - 15 / (8 x^6) + 105 / (16 x^8): digits kept far out.
    for y, t in zip(run("erfc", who, np.array([10.0, 26.0])), (10.0, 26.0), strict=True):
        series = 1 - 1 / (2 * t**2) + 3 / (4 * t**4) - 15 / (8 * t**6) + 105 / (16 * t**8)
        assert y == pytest.approx(series * math.exp(-t * t) / (t * math.sqrt(math.pi)), rel=1e-8)
    assert np.isnan(run("erf", who, np.array([np.nan]))[0])
    assert np.isnan(run("erfc", who, np.array([np.nan]))[0])


@pytest.mark.parametrize("who", servers("log_softmax"))
@settings(max_examples=60, deadline=None)
@given(shapes, st.integers(-4, 3), seeds, dtypes, layouts)
def test_log_softmax(who, shape, axis, seed, dtype, layout):
    assume(len(shape) > 0)
    axis = axis % len(shape)
    rng = np.random.default_rng(seed)
    x, gy = array(rng, shape, dtype, layout), array(rng, shape, dtype, layout)
    y = run("log_softmax", who, x, axis)
    assert_close(y, expect("log_softmax", x, axis))
    assert_close(run("log_softmax_backward", who, gy, y, axis), expect("log_softmax_backward", gy, y, axis))


@pytest.mark.parametrize("who", servers("log_softmax"))
def test_log_softmax_of_extremes(who):
    x = np.array([[1e4, 0, -1e4], [-np.inf, 0, 0], [-np.inf, -np.inf, 5], [-np.inf, -np.inf, -np.inf]])
    y = run("log_softmax", who, x, 1)
    half = -np.log(2)
    np.testing.assert_allclose(y, [[0, -1e4, -2e4], [-np.inf, half, half], [-np.inf, -np.inf, 0], [np.nan] * 3])
    gx = run("log_softmax_backward", who, np.ones((4, 3)), y, 1)
    np.testing.assert_allclose(gx, [[-2, 1, 1], [1, -0.5, -0.5], [1, 1, -2], [np.nan] * 3])
