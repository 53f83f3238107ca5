"""Pooling against the loops of the reference, over drawn geometries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.kernels import PoolGeometry

from .kernel_cases import array, assert_close, dtypes, expect, laid_out, layouts, pool_geometries, run, seeds, servers

batches = st.sampled_from(((0, 2), (2, 0), (1, 1), (2, 3)))


@pytest.mark.parametrize("who", servers("max_pool"))
@settings(max_examples=120, deadline=None)
@given(pool_geometries(), batches, seeds, dtypes, layouts)
def test_max_pool(who, geometry, batch, seed, dtype, layout):
    """Few different values, all negative or -inf: ties in most windows, and a padding of 0 would win."""
    rng = np.random.default_rng(seed)
    values = rng.choice([-3.0, -2.0, -1.0, -np.inf], (*batch, *geometry.in_size)).astype(dtype)
    x = laid_out(values, layout)
    y, indices = run("max_pool", who, x, geometry)
    expected_y, expected_indices = expect("max_pool", x, geometry)
    np.testing.assert_array_equal(y, expected_y)
    np.testing.assert_array_equal(indices, expected_indices)


@pytest.mark.parametrize("who", servers("max_pool"))
@settings(max_examples=60, deadline=None)
@given(pool_geometries(), seeds, dtypes)
def test_max_pool_with_nan(who, geometry, seed, dtype):
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 2.0, -np.inf, np.inf, np.nan], (2, 2, *geometry.in_size)).astype(dtype)
    y, indices = run("max_pool", who, x, geometry)
    expected_y, expected_indices = expect("max_pool", x, geometry)
    np.testing.assert_array_equal(y, expected_y)
    np.testing.assert_array_equal(indices, expected_indices)


@pytest.mark.parametrize("who", servers("max_pool"))
def test_max_pool_of_many_planes(who):
    """More planes than one block takes, with windows that overlap, and side by side."""
    x = array(np.random.default_rng(0), (20, 30, 23, 25), np.float32)
    for options in ({"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}):
        geometry = PoolGeometry.of(x.shape, **options)
        y, indices = run("max_pool", who, x, geometry)
        np.testing.assert_array_equal(run("pool_gather", "numpy", x, indices), y)
        before, reach = geometry.padding[0][0], geometry.kernel_size[0]
        padded = np.pad(x, ((0, 0), (0, 0), (before, 9), (before, 9)), constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (reach, reach), axis=(2, 3))[:, :, ::2, ::2]
        np.testing.assert_array_equal(y, windows.max(axis=(4, 5))[:, :, : y.shape[2], : y.shape[3]])


@pytest.mark.parametrize("who", servers("pool_scatter"))
@settings(max_examples=60, deadline=None)
@given(pool_geometries(), batches, seeds, dtypes, layouts)
def test_pool_scatter_and_gather(who, geometry, batch, seed, dtype, layout):
    """Indices as likely to meet as not: a scatter that assigns instead of adding shows."""
    rng = np.random.default_rng(seed)
    gy = array(rng, (*batch, *geometry.out_size), dtype, layout)
    indices = laid_out(rng.integers(0, np.prod(geometry.in_size), gy.shape), "C" if layout == "reversed" else layout)
    gx = run("pool_scatter", who, gy, indices, geometry.in_size)
    assert_close(gx, expect("pool_scatter", gy, indices, geometry.in_size))
    x = array(rng, (*batch, *geometry.in_size), dtype, layout)
    np.testing.assert_array_equal(run("pool_gather", who, x, indices), expect("pool_gather", x, indices))


@pytest.mark.parametrize("who", servers("avg_pool"))
@settings(max_examples=100, deadline=None)
@given(pool_geometries(), batches, seeds, dtypes, layouts, st.booleans(), st.sampled_from((None, 1, 3)))
def test_avg_pool(who, geometry, batch, seed, dtype, layout, include, divisor):
    rng = np.random.default_rng(seed)
    x = array(rng, (*batch, *geometry.in_size), dtype, layout)
    assert_close(run("avg_pool", who, x, geometry, include, divisor), expect("avg_pool", x, geometry, include, divisor))
    gy = array(rng, (*batch, *geometry.out_size), dtype, layout)
    gx = run("avg_pool_input_grad", who, gy, geometry, include, divisor)
    assert_close(gx, expect("avg_pool_input_grad", gy, geometry, include, divisor))


@pytest.mark.parametrize("who", servers("avg_pool"))
def test_average_in_ceil_mode(who):
    """AvgPool2d(2, 3, ceil_mode=True): the windows that hang over divide by the taps inside."""
    x = np.arange(49.0).reshape(1, 1, 7, 7)
    y = run("avg_pool", who, x, PoolGeometry.of(x.shape, 2, stride=3, ceil_mode=True), True, None)
    np.testing.assert_array_equal(y[0, 0], [[4, 7, 9.5], [25, 28, 30.5], [42.5, 45.5, 48]])


@pytest.mark.parametrize("who", servers("avg_pool"))
def test_the_average_of_single_pixels_keeps_no_odd_layout(who):
    """Windows of one number: the sums are the input itself, in whatever order it lies in memory."""
    x = array(np.random.default_rng(0), (2, 3, 1, 2), np.float32, "F")
    np.testing.assert_array_equal(run("avg_pool", who, x, PoolGeometry.of(x.shape, 1), True, None), x)
