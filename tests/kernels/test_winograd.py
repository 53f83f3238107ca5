"""Winograd's convolution against the loops of the reference, and how exact it is."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.kernels import ConvGeometry, conv_algorithms, parallel

from .kernel_cases import array, expect, layouts, seeds

pytest.importorskip("numba")
winograd = pytest.importorskip("tinygrad_cnn.kernels.numba_winograd")
loops = pytest.importorskip("tinygrad_cnn.kernels.numba_winograd_loops")

TOLERANCE = {"f2": 4e-6, "f4": 4e-5}
"""The largest error, as a share of the largest number."""

algorithms = pytest.mark.parametrize("name", ["f2", "f4"])


@st.composite
def geometries(draw):
    """Draw 3 x 3 convolutions, with any padding up to 2, of maps with and without a rest."""
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(2))
    in_size = tuple(draw(st.integers(max(1, 3 - sum(each)), 11)) for each in padding)
    return ConvGeometry(
        draw(st.integers(1, 3)), draw(st.integers(1, 5)), in_size, draw(st.integers(1, 9)), (3, 3), (1, 1), padding, (1, 1), 1
    )


def assert_near(actual, exact, name):
    assert actual.shape == exact.shape
    np.testing.assert_allclose(actual, exact, rtol=0, atol=TOLERANCE[name] * max(1, np.abs(exact).max()))


@algorithms
@settings(max_examples=60, deadline=None)
@given(geometries(), seeds, layouts, st.booleans(), st.booleans())
def test_against_the_definition(name, geometry, seed, layout, is_by_point, is_cut):
    rng = np.random.default_rng(seed)
    x, weight, gy = (
        array(rng, shape, np.float32, layout) for shape in (geometry.x_shape, geometry.weight_shape, geometry.y_shape)
    )
    bias = array(rng, (geometry.out_channels,), np.float32)
    algorithm = getattr(winograd, name)
    assert algorithm.serves(geometry, x.dtype)
    with (
        mock.patch.object(winograd, "_BLOCK_BYTES", 1 if is_by_point else winograd._BLOCK_BYTES),
        mock.patch.object(winograd, "_PRODUCT_BYTES", 1 if is_cut else winograd._PRODUCT_BYTES),
        mock.patch.object(winograd, "_ROOM_BYTES", 1 if is_cut else winograd._ROOM_BYTES),
        mock.patch.object(parallel, "NUMBERS_OF_A_GRAIN", 1),
    ):
        assert_near(algorithm.conv(x, weight, bias, geometry), expect("conv", x, weight, bias, geometry), name)
        assert_near(algorithm.conv(x, weight, None, geometry), expect("conv", x, weight, None, geometry), name)
        gx = algorithm.conv_input_grad(gy, weight, geometry)
        assert_near(gx, expect("conv_input_grad", gy, weight, geometry), name)
        gweight = algorithm.conv_weight_grad(x, gy, geometry)
        assert_near(gweight, expect("conv_weight_grad", x, gy, geometry), name)


@pytest.mark.parametrize("size", [2, 4])
def test_the_matrices_multiply_polynomials(size):
    """For every kernel and patch along one axis: A.T ((G g) * (B.T d)) is the correlation."""
    rng = np.random.default_rng(size)
    g, d = rng.standard_normal(3), rng.standard_normal(size + 2)
    output, inputs, kernel = (np.array(matrices[size]) for matrices in (loops.OUTPUT, loops.INPUT, loops.KERNEL))
    np.testing.assert_allclose(output @ ((kernel @ g) * (inputs @ d)), np.correlate(d, g, "valid"), rtol=1e-12)


@algorithms
def test_a_large_layer_is_as_exact_as_documented(name):
    """F(2x2) within 10 times the error of columns and a product; F(4x4) within 60 times."""
    geometry = ConvGeometry.of((2, 64, 20, 20), (64, 64, 3, 3), padding=1)
    rng = np.random.default_rng(0)
    x, weight, gy = (array(rng, s, np.float32) for s in (geometry.x_shape, geometry.weight_shape, geometry.y_shape))
    cases = ((x, weight, None, geometry), (gy, weight, geometry), (x, gy, geometry))
    columns = conv_algorithms()["columns"]
    for ours, theirs, case in zip(conv_algorithms()[f"winograd{name[1]}"], columns, cases, strict=True):
        exact = theirs(*(a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in case))
        error, usual = (np.abs(kernel(*case) - exact).max() for kernel in (ours, theirs))
        assert error < {"f2": 10, "f4": 60}[name] * usual


@algorithms
def test_the_number_of_threads_changes_no_bit(name):
    geometry = ConvGeometry.of((5, 20, 17, 18), (30, 20, 3, 3), padding=1)
    rng = np.random.default_rng(0)
    x, weight, gy = (array(rng, s, np.float32) for s in (geometry.x_shape, geometry.weight_shape, geometry.y_shape))
    algorithm = getattr(winograd, name)
    before, results = parallel.get_num_threads(), []
    for threads in (1, 3):
        parallel.set_num_threads(threads)
        results.append(
            (
                algorithm.conv(x, weight, None, geometry),
                algorithm.conv_input_grad(gy, weight, geometry),
                algorithm.conv_weight_grad(x, gy, geometry),
            )
        )
    parallel.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@algorithms
@pytest.mark.parametrize(
    "options", [{"stride": 2}, {"dilation": 2}, {"padding": 3}, {"groups": 2}], ids=lambda options: next(iter(options))
)
def test_what_it_does_not_serve(name, options):
    groups = options.get("groups", 1)
    geometry = ConvGeometry.of((1, 4, 16, 16), (4, 4 // groups, 3, 3), **options)
    algorithm = getattr(winograd, name)
    assert not algorithm.serves(geometry, np.dtype(np.float32))
    fits = ConvGeometry.of((1, 4, 16, 16), (4, 4, 3, 3))
    assert algorithm.serves(fits, np.dtype(np.float32))
    assert not algorithm.serves(fits, np.dtype(np.float64))
    assert not algorithm.serves(ConvGeometry.of((1, 4, 16, 16), (4, 4, 5, 5)), np.dtype(np.float32))
    assert not algorithm.serves(ConvGeometry.of((1, 1024, 16, 16), (2048, 1024, 3, 3)), np.dtype(np.float32))
