"""Convolution of small images, and its two gradients: columns laid out by compiled loops, multiplied by BLAS.

The products are those of `numpy_conv`. For one image at a time a product takes some ten microseconds, and most of the time
goes to NumPy's calls around it: the input gradient makes four for each tap. Here all columns are laid out, or added back, in
one compiled pass. They keep the order of the channels and are all made at once,

    X (n, g, K, P),  K = (c / g) * kh * kw,  P = oh * ow

so that the product's other operand and its result are views of the arrays passed in. That needs room for all columns: it is
done while they fit the processor's cache (`_serves`), and `numpy_conv` has larger ones, and other than two spatial axes.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.kernels import numpy_conv
from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.geometry import ConvGeometry
from tinygrad_cnn.kernels.numba_compile import compiled
from tinygrad_cnn.kernels.numpy_conv import filter_rows, is_one_product, positions
from tinygrad_cnn.kernels.scratch import borrow

_MOST_COLUMN_NUMBERS = 1 << 15
# The first and second layer of LeNet-5, one image, in microseconds of one core (numpy_conv's in brackets): forward 17 (31) and
# 23 (60), input gradient 16 (175) and 22 (192), weight gradient 15 (27) and 28 (49). Of more than two images NumPy's products
# are larger, and what it spends around them weighs less.
_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def conv(x: Array, weight: Array, bias: Array | None, geometry: ConvGeometry) -> Array:
    """Cross-correlate `x` with `weight`, and add `bias`: see `numpy_conv.conv`."""
    if not _serves(geometry, x.dtype):
        return numpy_conv.conv(x, weight, bias, geometry)
    y = np.empty(geometry.y_shape, x.dtype)
    columns = _columns(x, geometry)
    np.matmul(filter_rows(weight, geometry), columns, out=positions(y, geometry))
    if bias is not None:
        y += bias.reshape(-1, 1, 1)
    return y


def conv_weight_grad(x: Array, gy: Array, geometry: ConvGeometry) -> Array:
    """Correlate the input with the output's gradient: see `numpy_conv.conv_weight_grad`."""
    if not _serves(geometry, x.dtype):
        return numpy_conv.conv_weight_grad(x, gy, geometry)
    each = np.matmul(positions(gy, geometry), _columns(x, geometry).swapaxes(2, 3))
    return (each[0] if geometry.batch == 1 else each.sum(0)).reshape(geometry.weight_shape)


def conv_input_grad(gy: Array, weight: Array, geometry: ConvGeometry) -> Array:
    """Spread the output's gradient back over the windows: see `numpy_conv.conv_input_grad`."""
    if not _serves(geometry, gy.dtype):
        return numpy_conv.conv_input_grad(gy, weight, geometry)
    columns = _room_for_columns(geometry, gy.dtype)
    weight_back = filter_rows(weight, geometry).swapaxes(1, 2)
    np.matmul(weight_back, positions(gy, geometry), out=_as_matrices(columns, geometry))
    gx = np.zeros(geometry.x_shape, gy.dtype)
    _scatter(columns, gx, *_steps(geometry))
    return gx


def _serves(geometry: ConvGeometry, dtype: np.dtype) -> bool:
    return (
        geometry.dims == 2
        and not is_one_product(geometry)
        and geometry.column_numbers <= _MOST_COLUMN_NUMBERS
        and dtype in _DTYPES
    )


def _columns(x: Array, geometry: ConvGeometry) -> Array:
    """Copy windows into columns (n, g, K, P)."""
    columns = _room_for_columns(geometry, x.dtype)
    _gather(np.ascontiguousarray(x), columns, *_steps(geometry))
    return _as_matrices(columns, geometry)


def _room_for_columns(geometry: ConvGeometry, dtype: np.dtype) -> Array:
    """Borrow an array (n, c, kh, kw, oh, ow)."""
    return borrow("columns", (geometry.batch, geometry.in_channels, *geometry.kernel_size, *geometry.out_size), dtype)


def _as_matrices(columns: Array, geometry: ConvGeometry) -> Array:
    return columns.reshape(
        geometry.batch, geometry.groups, math.prod(geometry.weight_shape[1:]), math.prod(geometry.out_size)
    )


def _steps(geometry: ConvGeometry) -> tuple[int, ...]:
    """List strides, dilations and the padding before, as plain numbers: they reach a compiled function the quickest."""
    (top, _), (left, _) = geometry.padding
    return (*geometry.stride, *geometry.dilation, top, left)


@compiled
def _gather(x, columns, stride_h, stride_w, dilation_h, dilation_w, top, left):  # type: ignore[no-untyped-def]
    images, channels, height, width = x.shape
    _, _, taps_h, taps_w, out_h, out_w = columns.shape
    for n in range(images):
        for c in range(channels):
            for p in range(taps_h):
                for q in range(taps_w):
                    shift = q * dilation_w - left
                    first = max(0, -(shift // stride_w))
                    stop = min(out_w, (width - 1 - shift) // stride_w + 1)
                    for i in range(out_h):
                        row = i * stride_h + p * dilation_h - top
                        inside = 0 <= row < height
                        if not inside or stop - first < out_w:
                            for j in range(out_w):
                                columns[n, c, p, q, i, j] = 0
                        if not inside:
                            continue
                        source = x[n, c, row, first * stride_w + shift :]
                        target = columns[n, c, p, q, i, first:]
                        if stride_w == 1:  # spelled out, as it can be vectorised
                            for j in range(stop - first):
                                target[j] = source[j]
                        else:
                            for j in range(stop - first):
                                target[j] = source[j * stride_w]


@compiled
def _scatter(columns, gx, stride_h, stride_w, dilation_h, dilation_w, top, left):  # type: ignore[no-untyped-def]
    images, channels, height, width = gx.shape
    _, _, taps_h, taps_w, out_h, out_w = columns.shape
    for n in range(images):
        for c in range(channels):
            for p in range(taps_h):
                for q in range(taps_w):
                    shift = q * dilation_w - left
                    first = max(0, -(shift // stride_w))
                    stop = min(out_w, (width - 1 - shift) // stride_w + 1)
                    for i in range(out_h):
                        row = i * stride_h + p * dilation_h - top
                        if not 0 <= row < height:
                            continue
                        source = columns[n, c, p, q, i, first:]
                        target = gx[n, c, row, first * stride_w + shift :]
                        if stride_w == 1:
                            for j in range(stop - first):
                                target[j] += source[j]
                        else:
                            for j in range(stop - first):
                                target[j * stride_w] += source[j]
