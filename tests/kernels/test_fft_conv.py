"""Convolution by Fourier transform against the loops of the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.kernels import ConvGeometry, fft_conv

from .kernel_cases import array, conv_geometries, expect, layouts, seeds


@settings(max_examples=120, deadline=None)
@given(conv_geometries(min_batch=1), seeds, layouts, st.booleans())
def test_against_the_definition(geometry, seed, layout, with_bias):
    rng = np.random.default_rng(seed)
    x, weight, gy = (array(rng, s, np.float64, layout) for s in (geometry.x_shape, geometry.weight_shape, geometry.y_shape))
    bias = array(rng, (geometry.out_channels,)) if with_bias else None
    for name, case in (
        ("conv", (x, weight, bias, geometry)),
        ("conv_input_grad", (gy, weight, geometry)),
        ("conv_weight_grad", (x, gy, geometry)),
    ):
        result = getattr(fft_conv, name)(*case)
        assert result.flags.c_contiguous
        np.testing.assert_allclose(result, expect(name, *case), rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_kernel_in_either_precision(dtype):
    geometry = ConvGeometry.of((2, 3, 40, 37), (4, 3, 21, 19), padding=(10, 9))
    rng = np.random.default_rng(0)
    x, weight = array(rng, geometry.x_shape, dtype), array(rng, geometry.weight_shape, dtype)
    y = fft_conv.conv(x, weight, None, geometry)
    assert y.dtype == dtype
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x.astype(np.float64), ((0, 0), (0, 0), (10, 10), (9, 9))), (21, 19), axis=(2, 3)
    )
    exact = np.einsum("ncijpq,ocpq->noij", windows, weight.astype(np.float64))
    np.testing.assert_allclose(y, exact, rtol=0, atol={4: 1e-4, 8: 1e-11}[np.dtype(dtype).itemsize])
