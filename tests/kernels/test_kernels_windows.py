"""Unfold and fold, adaptive, fractional and stochastic pooling against the loops of the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.kernels import PoolGeometry

from .kernel_cases import (
    array,
    assert_close,
    conv_geometries,
    dtypes,
    expect,
    laid_out,
    layouts,
    pool_geometries,
    run,
    seeds,
    servers,
)

batches = st.sampled_from(((0, 2), (2, 0), (1, 1), (2, 3)))
geometries = st.one_of(conv_geometries(), pool_geometries())
VALUES = [-3.0, -2.0, -1.0, -np.inf, np.inf, np.nan]


@st.composite
def in_and_out(draw, at_most_in=False):
    """Sizes of one, two or three axes, before and after; the output may be the larger."""
    dims = draw(st.integers(1, 3))
    in_size = tuple(draw(st.integers(1, (12, 7, 4)[dims - 1])) for _ in range(dims))
    return in_size, tuple(draw(st.integers(1, size if at_most_in else size + 2)) for size in in_size)


@pytest.mark.parametrize("who", servers("unfold"))
@settings(max_examples=80, deadline=None)
@given(geometries, batches, seeds, dtypes, layouts)
def test_unfold_and_fold(who, geometry, batch, seed, dtype, layout):
    rng = np.random.default_rng(seed)
    x = array(rng, (*batch, *geometry.in_size), dtype, layout)
    columns = run("unfold", who, x, geometry)
    np.testing.assert_array_equal(columns, expect("unfold", x, geometry))
    gy = array(rng, columns.shape, dtype, layout)
    assert_close(run("fold", who, gy, geometry), expect("fold", gy, geometry))


@pytest.mark.parametrize("who", servers("adaptive_avg_pool"))
@settings(max_examples=80, deadline=None)
@given(in_and_out(), batches, seeds, dtypes, layouts)
def test_adaptive_average(who, sizes, batch, seed, dtype, layout):
    in_size, out_size = sizes
    rng = np.random.default_rng(seed)
    x = array(rng, (*batch, *in_size), dtype, layout)
    assert_close(run("adaptive_avg_pool", who, x, out_size), expect("adaptive_avg_pool", x, out_size))
    gy = array(rng, (*batch, *out_size), dtype, layout)
    assert_close(run("adaptive_avg_pool_input_grad", who, gy, in_size), expect("adaptive_avg_pool_input_grad", gy, in_size))


@pytest.mark.parametrize("who", servers("adaptive_max_pool"))
@settings(max_examples=80, deadline=None)
@given(in_and_out(), batches, seeds, dtypes, layouts)
def test_adaptive_maximum(who, sizes, batch, seed, dtype, layout):
    """Few different values: ties in most windows, and NaNs in many."""
    in_size, out_size = sizes
    x = laid_out(np.random.default_rng(seed).choice(VALUES, (*batch, *in_size)).astype(dtype), layout)
    for got, expected in zip(run("adaptive_max_pool", who, x, out_size), expect("adaptive_max_pool", x, out_size), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("who", servers("fractional_max_pool"))
@settings(max_examples=80, deadline=None)
@given(in_and_out(at_most_in=True), batches, seeds, dtypes, layouts)
def test_fractional_maximum(who, sizes, batch, seed, dtype, layout):
    in_size, out_size = sizes
    rng = np.random.default_rng(seed)
    x = laid_out(rng.choice(VALUES, (*batch, *in_size)).astype(dtype), layout)
    kernel_size = tuple(int(rng.integers(1, size + 1)) for size in in_size)
    last = (size - kernel for size, kernel in zip(in_size, kernel_size, strict=True))
    starts = tuple(rng.integers(0, most + 1, (*batch, out)) for most, out in zip(last, out_size, strict=True))
    got = run("fractional_max_pool", who, x, starts, kernel_size)
    for one, expected in zip(got, expect("fractional_max_pool", x, starts, kernel_size), strict=True):
        np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize("who", servers("stochastic_pool"))
@settings(max_examples=100, deadline=None)
@given(pool_geometries(), batches, seeds, dtypes, layouts)
def test_stochastic(who, geometry, batch, seed, dtype, layout):
    """Whole numbers, so that no rounding decides a draw; many zeros, some windows with nothing but them, some not finite."""
    rng = np.random.default_rng(seed)
    shares = {0.0: 0.6, 1.0: 0.19, 5.0: 0.19, np.inf: 0.01, np.nan: 0.01}
    values = rng.choice(list(shares), (*batch, *geometry.in_size), p=list(shares.values()))
    x = laid_out(values.astype(dtype), layout)
    draws = rng.choice([0.0, 0.25, 0.5, 1 - 2**-53], (*batch, *geometry.out_size))
    for got, expected in zip(
        run("stochastic_pool", who, x, draws, geometry), expect("stochastic_pool", x, draws, geometry), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_stochastic_draws_in_proportion():
    """[1, 0, 3]: the running sums are 1, 1, 4, so draws below 1/4 take the first and the others the last."""
    x = np.array([[[1.0, 0.0, 3.0]]] * 4)
    draws = np.array([0.0, 0.2499, 0.25, 0.9999]).reshape(4, 1, 1)
    for who in ("reference", "numpy"):
        y, indices = run("stochastic_pool", who, x, draws, PoolGeometry.of(x.shape, 3))
        assert y.ravel().tolist() == [1, 1, 3, 3]
        assert indices.ravel().tolist() == [0, 0, 2, 2]


def test_stochastic_sums_float32_accurately():
    """2^24 + 1 is no float32: added up in float32, the ones could never be drawn."""
    x = np.array([[[2**24, 1, 1, 1]]], np.float32)
    _, indices = run("stochastic_pool", "numpy", x, np.array([[[1 - 1e-9]]]), PoolGeometry.of(x.shape, 4))
    assert indices.item() == 3


def test_the_mean_of_many_float32_is_accurate():
    """A million numbers near 1: adding them up in float32 would lose the digits that this asks for."""
    x = np.full((1, 1, 1024, 1024), 1.1, np.float32)
    y = run("adaptive_avg_pool", "numpy", x, (1, 1))
    assert abs(float(y.item()) - float(np.float32(1.1))) < 2e-7


def test_many_planes_of_one_window():
    """10,000 positions in an array that ends in axes of size 1, where NumPy's unravel_index goes wrong."""
    x = array(np.random.default_rng(0), (10_000, 1, 2, 3))
    y, indices = run("adaptive_max_pool", "numpy", x, (1, 1))
    np.testing.assert_array_equal(indices.ravel(), x.reshape(10_000, 6).argmax(1))
    x = np.zeros((10_000, 1, 2, 3))
    x[np.arange(10_000), 0, np.arange(10_000) % 2, np.arange(10_000) % 3] = 1
    y, indices = run("stochastic_pool", "numpy", x, np.full((10_000, 1, 1, 1), 0.5), PoolGeometry.of(x.shape, (2, 3)))
    assert (y == 1).all()
    np.testing.assert_array_equal(indices.ravel(), x.reshape(10_000, 6).argmax(1))
