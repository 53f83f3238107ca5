"""Convolution with channels side by side against the loops of the reference."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.kernels import ConvGeometry, parallel

from .kernel_cases import array, expect, layouts, seeds

pytest.importorskip("numba")
channels = pytest.importorskip("tinygrad_cnn.kernels.numba_channels")
loops = pytest.importorskip("tinygrad_cnn.kernels.numba_channels_loops")


@st.composite
def geometries(draw):
    """Draw convolutions of every stride, dilation and padding, with remainders, in groups or not."""
    kernel, stride, dilation = (tuple(draw(st.integers(1, most)) for _ in range(2)) for most in (4, 3, 2))
    padding = tuple((draw(st.integers(0, 4)), draw(st.integers(0, 4))) for _ in range(2))
    fewest = [(k - 1) * d + 1 - sum(pad) for k, d, pad in zip(kernel, dilation, padding, strict=True)]
    in_size = tuple(draw(st.integers(max(1, least), 10)) for least in fewest)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = draw(st.integers(4, 11)) * groups, draw(st.integers(4, 19)) * groups
    return ConvGeometry(draw(st.integers(1, 5)), inputs, in_size, outputs, kernel, stride, padding, dilation, groups)


@settings(max_examples=150, deadline=None)
@given(geometries(), seeds, layouts, st.booleans())
def test_against_the_definition(geometry, seed, layout, is_cut):
    if not channels.algorithm.serves(geometry, np.dtype(np.float32)):
        return  # one product as it stands
    rng = np.random.default_rng(seed)
    x, weight, gy = (
        array(rng, shape, np.float32, layout) for shape in (geometry.x_shape, geometry.weight_shape, geometry.y_shape)
    )
    bias = array(rng, (geometry.out_channels,), np.float32)
    with (
        mock.patch.object(channels, "_LAID_BYTES", 1 if is_cut else channels._LAID_BYTES),
        mock.patch.object(parallel, "NUMBERS_OF_A_GRAIN", 1),
    ):
        for actual, exact in (
            (channels.algorithm.conv(x, weight, bias, geometry), expect("conv", x, weight, bias, geometry)),
            (channels.algorithm.conv(x, weight, None, geometry), expect("conv", x, weight, None, geometry)),
            (channels.algorithm.conv_input_grad(gy, weight, geometry), expect("conv_input_grad", gy, weight, geometry)),
            (channels.algorithm.conv_weight_grad(x, gy, geometry), expect("conv_weight_grad", x, gy, geometry)),
        ):
            assert actual.shape == exact.shape
            np.testing.assert_allclose(actual, exact, rtol=0, atol=4e-6 * max(1, np.abs(exact).max()))


def test_many_positions_and_channels():
    """More positions than are summed at once, more channels than a vector has lanes, several panels."""
    geometry = ConvGeometry.of((5, 37, 23, 22), (70, 37, 3, 3), stride=(2, 1), padding=1)
    rng = np.random.default_rng(0)
    x, gy = (array(rng, shape, np.float32) for shape in (geometry.x_shape, geometry.y_shape))
    exact = expect("conv_weight_grad", x.astype(np.float64), gy.astype(np.float64), geometry)
    actual = channels.algorithm.conv_weight_grad(x, gy, geometry)
    np.testing.assert_allclose(actual, exact, rtol=0, atol=4e-6 * np.abs(exact).max())
    assert len(channels._forward(geometry).sources) > loops.POSITIONS_AT_ONCE


def test_the_number_of_threads_changes_no_bit():
    geometry = ConvGeometry.of((5, 20, 17, 18), (30, 20, 3, 3), stride=2, padding=1)
    rng = np.random.default_rng(0)
    x, weight, gy = (array(rng, s, np.float32) for s in (geometry.x_shape, geometry.weight_shape, geometry.y_shape))
    before, results = parallel.get_num_threads(), []
    for threads in (1, 3):
        parallel.set_num_threads(threads)
        results.append(
            (
                channels.algorithm.conv(x, weight, None, geometry),
                channels.algorithm.conv_input_grad(gy, weight, geometry),
                channels.algorithm.conv_weight_grad(x, gy, geometry),
            )
        )
    parallel.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_it_does_not_serve():
    fits = ConvGeometry.of((1, 8, 16, 16), (8, 8, 3, 3), stride=2)
    assert channels.algorithm.serves(fits, np.dtype(np.float32))
    assert not channels.algorithm.serves(fits, np.dtype(np.float64))
    for shapes, groups in ((((1, 3, 16, 16), (8, 3, 3, 3)), 1), (((1, 8, 16, 16), (8, 1, 3, 3)), 8)):
        assert not channels.algorithm.serves(ConvGeometry.of(*shapes, groups=groups), np.dtype(np.float32))
    assert not channels.algorithm.serves(ConvGeometry.of((1, 8, 16, 16), (8, 8, 1, 1)), np.dtype(np.float32))
