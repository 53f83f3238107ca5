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
lanes = pytest.importorskip("tinygrad_cnn.kernels.numba_lanes")

TOLERANCE = {"f2": 4e-6, "f4": 4e-5, "f5": 4e-5}
"""The largest error, as a share of the largest number."""

KERNEL = {"f2": 3, "f4": 3, "f5": 5}
"""The size of the kernels that each is for."""

algorithms = pytest.mark.parametrize("name", list(KERNEL))


@st.composite
def geometries(draw):
    """Draw convolutions with any padding less than the kernel, of maps with and without a rest, in groups or not."""
    kernel = draw(st.sampled_from([3, 5]))
    padding = tuple((draw(st.integers(0, kernel - 1)), draw(st.integers(0, kernel - 1))) for _ in range(2))
    in_size = tuple(draw(st.integers(max(1, kernel - sum(each)), 11)) for each in padding)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, results = draw(st.integers(1, 9)) * groups, draw(st.integers(1, 19)) * groups
    return ConvGeometry(
        draw(st.integers(1, 3)), channels, in_size, results, (kernel, kernel), (1, 1), padding, (1, 1), groups
    )


def assert_near(actual, exact, name):
    assert actual.shape == exact.shape
    np.testing.assert_allclose(actual, exact, rtol=0, atol=TOLERANCE[name] * max(1, np.abs(exact).max()))


@pytest.mark.parametrize("tile", [2, 4])
@settings(max_examples=80, deadline=None)
@given(geometries(), seeds, layouts, st.booleans(), st.booleans())
def test_against_the_definition(tile, geometry, seed, layout, is_by_results, is_cut):
    name = "f5" if geometry.kernel_size == (5, 5) else f"f{tile}"
    rng = np.random.default_rng(seed)
    x, weight, gy = (
        array(rng, shape, np.float32, layout) for shape in (geometry.x_shape, geometry.weight_shape, geometry.y_shape)
    )
    bias = array(rng, (geometry.out_channels,), np.float32)
    algorithm = getattr(winograd, name)
    assert algorithm.serves(geometry, x.dtype)
    with (
        mock.patch.object(winograd.Winograd, "_is_by_tiles", return_value=not is_by_results),
        mock.patch.object(winograd, "_FEWEST_PANELS", 1),
        mock.patch.object(winograd, "_PATCHES_BYTES", 1 if is_cut else winograd._PATCHES_BYTES),
        mock.patch.object(winograd, "_SUMS_BYTES", 1 if is_cut else winograd._SUMS_BYTES),
        mock.patch.object(parallel, "NUMBERS_OF_A_GRAIN", 1),
    ):
        assert_near(algorithm.conv(x, weight, bias, geometry), expect("conv", x, weight, bias, geometry), name)
        assert_near(algorithm.conv(x, weight, None, geometry), expect("conv", x, weight, None, geometry), name)
        gx = algorithm.conv_input_grad(gy, weight, geometry)
        assert_near(gx, expect("conv_input_grad", gy, weight, geometry), name)
        gweight = algorithm.conv_weight_grad(x, gy, geometry)
        assert_near(gweight, expect("conv_weight_grad", x, gy, geometry), name)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("name", ["f2", "f4", "f5"])
def test_weight_gradients_by_parts_of_the_channels(name, groups):
    """Three panels of input channels and four of output ones, the last of either not full; and images in two parts."""
    panel, size = 2 * winograd.LANES, 5 if name == "f5" else 3
    c, o = 2 * panel + 9, 3 * panel + 2
    geometry = ConvGeometry.of((3, c * groups, 9, 11), (o * groups, c, size, size), padding=1, groups=groups)
    rng = np.random.default_rng(0)
    x, gy = array(rng, geometry.x_shape, np.float32), array(rng, geometry.y_shape, np.float32)
    algorithm = getattr(winograd, name)
    with (
        mock.patch.object(winograd.Winograd, "_is_by_tiles", return_value=False),
        mock.patch.object(winograd, "_PATCHES_BYTES", 2 * algorithm._point_bytes(gy, panel)),
        mock.patch.object(winograd, "_CHANNELS_OF_A_PART", 10),
    ):
        assert algorithm._parts(gy, c) == [(0, panel), (panel, panel), (2 * panel, 9)]
        assert [count for _, count in algorithm._parts(gy, o)] == [panel, panel, panel, 2]
        gweight = algorithm.conv_weight_grad(x, gy, geometry)
    assert_near(gweight, expect("conv_weight_grad", x, gy, geometry), name)


@pytest.mark.parametrize(("tile", "taps"), [(2, 3), (4, 3), (2, 5)])
def test_the_matrices_multiply_polynomials(tile, taps):
    """For every kernel and patch along one axis: A.T ((G g) * (B.T d)) is the correlation."""
    rng = np.random.default_rng(tile)
    g, d = rng.standard_normal(taps), rng.standard_normal(tile + taps - 1)
    output, inputs, kernel = (np.array(lanes.MATRICES[f"{name} {tile} {taps}"]) for name in ("output", "input", "kernel"))
    np.testing.assert_allclose(output @ ((kernel @ g) * (inputs @ d)), np.correlate(d, g, "valid"), rtol=1e-12)


@algorithms
def test_a_large_layer_is_as_exact_as_documented(name):
    """F(2x2, 3x3) within 10 times the error of columns and a product; what has 36 points within 60 times."""
    geometry = ConvGeometry.of((2, 64, 20, 20), (64, 64, KERNEL[name], KERNEL[name]), padding=1)
    rng = np.random.default_rng(0)
    x, weight, gy = (array(rng, s, np.float32) for s in (geometry.x_shape, geometry.weight_shape, geometry.y_shape))
    cases = ((x, weight, None, geometry), (gy, weight, geometry), (x, gy, geometry))
    columns = conv_algorithms()["columns"]
    for ours, theirs, case in zip(conv_algorithms()[f"winograd{name[1]}"], columns, cases, strict=True):
        exact = theirs(*(a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in case))
        error, usual = (np.abs(kernel(*case) - exact).max() for kernel in (ours, theirs))
        assert error < {"f2": 10, "f4": 60, "f5": 60}[name] * usual


@algorithms
def test_the_number_of_threads_changes_no_bit(name):
    geometry = ConvGeometry.of((5, 20, 17, 18), (30, 20, KERNEL[name], KERNEL[name]), padding=1)
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
@pytest.mark.parametrize("options", [{"stride": 2}, {"dilation": 2}, {"padding": 5}], ids=lambda options: next(iter(options)))
def test_what_it_does_not_serve(name, options):
    size = KERNEL[name]
    shapes = (1, 4, 16, 16), (4, 4, size, size)
    algorithm = getattr(winograd, name)
    assert not algorithm.serves(ConvGeometry.of(*shapes, **options), np.dtype(np.float32))
    fits = ConvGeometry.of(*shapes)
    assert algorithm.serves(fits, np.dtype(np.float32))
    assert not algorithm.serves(fits, np.dtype(np.float64))
    assert not algorithm.serves(ConvGeometry.of((1, 4, 16, 16), (4, 4, 8 - size, 8 - size)), np.dtype(np.float32))
