"""Convolution and its two gradients in NumPy: one matrix product over columns of windows.

Lay the input values that each output position reads into a column, and convolution is a matrix product. For each
group of channels, with K = (c / groups) * kh * kw taps and P = n * oh * ow output positions,

    Y  (o, P) = W  (o, K) @ X (K, P)        conv
    gW (o, K) = gY (o, P) @ X.T             conv_weight_grad
    gX (K, P) = W.T       @ gY (o, P)       conv_input_grad, added back tap by tap where the columns were taken from

and BLAS does the rest. What costs time besides the product is moving memory, so two things are arranged for it.

The order of the taps. Copying windows out of an (n, c, h, w) array moves runs of `ow` numbers. Out of an (n, h, w, c)
copy it moves runs of `c` (or `kw * c`) numbers and, as the product may read the columns transposed, nothing else
changes. From 4 channels a group the second is up to 7 times faster; below, as in a first layer, the first.

The size of the columns. They are kernel-size times larger than the input, so they are made for as many images, or for
as many output rows of one image, as fit in `_COLUMN_BYTES`, used at once and dropped. The input gradient never makes
them: it multiplies by one tap's weights at a time.

Two kinds have the input itself for columns, and need no copy at all: a 1 x 1 convolution with stride 1 and no padding, and
one whose only window is the whole image, such as LeNet-5's last.

Everything holds for any number of spatial axes; (h, w) stand for them in comments.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.geometry import ConvGeometry
from tinygrad_cnn.kernels.products import matmul_each, matmul_sum
from tinygrad_cnn.kernels.scratch import borrow

_COLUMN_BYTES = 4 << 20
_CHANNELS_LAST_FROM = 4


def conv(x: Array, weight: Array, bias: Array | None, geometry: ConvGeometry) -> Array:
    """Cross-correlate `x` with `weight`, and add `bias`.

    Parameters
    ----------
    x : ndarray, shape (n, c, *in_size)
    weight : ndarray, shape (o, c / groups, *kernel_size)
    bias : ndarray, shape (o,), optional
    geometry : ConvGeometry

    Returns
    -------
    ndarray, shape (n, o, *out_size)
        ``y[n, o, i, j] = bias[o] + sum_{c, p, q} x[n, c, i * sh + p * dh - ph, ...] * weight[o, c, p, q]``
        with `x` read as 0 in the padding; c runs over the channels of o's group.
    """
    y = np.empty(geometry.y_shape, x.dtype)
    if is_one_product(geometry):
        matmul_each(filter_rows(weight, geometry), _as_columns(x, geometry), _as_columns(y, geometry))
        if bias is not None:
            y += bias.reshape(-1, *(1,) * geometry.dims)
        return y
    rows_of_weight = _weight_matrix(weight, geometry)
    bias_column = None if bias is None else bias.reshape(-1, *(1,) * (geometry.dims + 1))
    for images, rows, columns in _blocks_of_columns(x, geometry):
        target = y[images, :, rows].swapaxes(0, 1)  # (o, n, oh, ow), the order of the product
        product = borrow("product", (*rows_of_weight.shape[:2], columns.shape[2]), x.dtype)
        np.matmul(rows_of_weight, columns, out=product)
        if bias_column is None:
            target[...] = product.reshape(target.shape)
        else:
            np.add(product.reshape(target.shape), bias_column, out=target)
    return y


def conv_weight_grad(x: Array, gy: Array, geometry: ConvGeometry) -> Array:
    """Correlate the input with the output's gradient: the gradient of `conv` in its weight.

    Parameters
    ----------
    x : ndarray, shape (n, c, *in_size)
    gy : ndarray, shape (n, o, *out_size)
    geometry : ConvGeometry

    Returns
    -------
    ndarray, shape (o, c / groups, *kernel_size)
        ``gweight[o, c, p, q] = sum_{n, i, j} gy[n, o, i, j] * x[n, c, i * sh + p * dh - ph, ...]``
    """
    g, c_g, o_g = _group_sizes(geometry)
    if is_one_product(geometry):
        gy_rows, x_rows = _as_columns(gy, geometry), _as_columns(x, geometry).swapaxes(2, 3)
        if len(x_rows) == 1:
            multiply = np.multiply if x_rows.shape[2] == 1 else np.matmul  # of a column and a row
            return multiply(gy_rows[0], x_rows[0]).reshape(geometry.weight_shape)
        return matmul_sum(gy_rows, x_rows).reshape(geometry.weight_shape)
    taps = geometry.kernel_size
    channels_last = _prefers_channels_last(geometry)
    gweight = np.zeros((g, o_g, *taps, c_g) if channels_last else (g, o_g, c_g, *taps), x.dtype)
    for images, rows, columns in _blocks_of_columns(x, geometry):
        gy_rows = gy[images, :, rows].swapaxes(0, 1).reshape(g, o_g, -1)
        gweight += np.matmul(gy_rows, columns.swapaxes(1, 2)).reshape(gweight.shape)
    if channels_last:
        gweight = np.moveaxis(gweight, -1, 2)
    return np.ascontiguousarray(gweight).reshape(geometry.weight_shape)


def conv_input_grad(gy: Array, weight: Array, geometry: ConvGeometry) -> Array:
    """Spread the output's gradient back over the windows: the gradient of `conv` in its input.

    Parameters
    ----------
    gy : ndarray, shape (n, o, *out_size)
    weight : ndarray, shape (o, c / groups, *kernel_size)
    geometry : ConvGeometry

    Returns
    -------
    ndarray, shape (n, c, *in_size)
        ``gx[n, c, i * sh + p * dh - ph, ...] += gy[n, o, i, j] * weight[o, c, p, q]`` over all o, p, q, i, j;
        what falls in the padding is dropped.
    """
    if is_one_product(geometry):
        gx = np.empty(geometry.x_shape, gy.dtype)
        weight_back = filter_rows(weight, geometry).swapaxes(1, 2)
        matmul_each(weight_back, _as_columns(gy, geometry), _as_columns(gx, geometry))
        return gx
    if _prefers_channels_last(geometry):
        return _input_grad_channels_last(gy, weight, geometry)
    return _input_grad_channels_first(gy, weight, geometry)


def _input_grad_channels_first(gy: Array, weight: Array, geometry: ConvGeometry) -> Array:
    """Add one tap after another: gx[n, :, rows under the tap] += weight[:, :, tap].T @ gy[n]."""
    gx = np.zeros(geometry.x_shape, gy.dtype)
    weight_back = _tap_matrices(weight, geometry).swapaxes(-1, -2)  # (taps, g, c / g, o / g)
    image_bytes = geometry.in_channels * math.prod(geometry.out_size) * gy.itemsize
    for images in _slices(geometry.batch, _COLUMN_BYTES // image_bytes):
        gy_rows = positions(gy[images], geometry)
        product = borrow("product", (images.stop - images.start, geometry.in_channels, *geometry.out_size), gy.dtype)
        for one_tap, (_, outputs, inputs) in zip(weight_back, geometry.taps(), strict=True):
            np.matmul(one_tap, gy_rows, out=positions(product, geometry))
            gx[images, :, *inputs] += product[:, :, *outputs]
    return gx


def _input_grad_channels_last(gy: Array, weight: Array, geometry: ConvGeometry) -> Array:
    """Do the same on (n, h, w, c) copies, where each addition moves runs of ow * c numbers instead of ow."""
    g, c_g, o_g = _group_sizes(geometry)
    gx = np.empty(geometry.x_shape, gy.dtype)
    weight_taps = _tap_matrices(weight, geometry)  # (taps, g, o / g, c / g)
    image_bytes = geometry.in_channels * math.prod(geometry.in_size) * gy.itemsize
    for images in _slices(geometry.batch, _COLUMN_BYTES // image_bytes):
        gy_last = borrow("gy", (images.stop - images.start, *geometry.out_size, geometry.out_channels), gy.dtype)
        gy_last[...] = np.moveaxis(gy[images], 1, -1)
        gx_last = borrow("sum", (gy_last.shape[0], *geometry.in_size, g, c_g), gy.dtype)
        gx_last.fill(0)
        gy_rows = gy_last.reshape(-1, g, o_g).swapaxes(0, 1)  # (g, P, o / g)
        product = borrow("product", (g, gy_rows.shape[1], c_g), gy.dtype)
        in_place = product.reshape(g, -1, *geometry.out_size, c_g)
        for one_tap, (_, outputs, inputs) in zip(weight_taps, geometry.taps(), strict=True):
            np.matmul(gy_rows, one_tap, out=product)
            for group in range(g):
                gx_of_group = gx_last[..., group, :]
                gx_of_group[:, *inputs] += in_place[group][:, *outputs]
        gx[images] = np.moveaxis(gx_last.reshape(*gx_last.shape[:-2], -1), -1, 1)
    return gx


def _blocks_of_columns(x: Array, geometry: ConvGeometry) -> Iterator[tuple[slice, slice, Array]]:
    """Yield (images, output rows, columns (g, K, P)) block by block; "rows" are along the first spatial axis."""
    columns_of_row = geometry.in_channels * math.prod(geometry.kernel_size) * math.prod(geometry.out_size[1:])
    row_bytes = columns_of_row * x.itemsize
    rows_at_once = max(1, _COLUMN_BYTES // row_bytes)
    images_at_once = rows_at_once // geometry.out_size[0]
    channels_last = _prefers_channels_last(geometry)
    for images in _slices(geometry.batch, images_at_once):
        windows = _windows(_padded(x[images], geometry, channels_last), geometry)
        for rows in _slices(geometry.out_size[0], rows_at_once):
            here = windows[(slice(None),) * (3 + geometry.dims) + (rows,)]
            yield images, rows, _columns(here, geometry, channels_last)


def _padded(x: Array, geometry: ConvGeometry, channels_last: bool) -> Array:
    """Copy `x` into zeros of the padded size.

    The axes stay (n, c, h, w); `channels_last` chooses their order in memory.
    """
    if not channels_last and not geometry.is_padded:
        return x
    axes = list(zip(geometry.in_size, geometry.padding, strict=True))
    padded_size = [before + size + after for size, (before, after) in axes]
    n, c = x.shape[:2]
    if channels_last:
        padded = np.moveaxis(borrow("padded", (n, *padded_size, c), x.dtype), -1, 1)
    else:
        padded = borrow("padded", (n, c, *padded_size), x.dtype)
    if geometry.is_padded:
        padded.fill(0)
    padded[:, :, *(slice(before, before + size) for size, (before, _) in axes)] = x
    return padded


def _windows(padded: Array, geometry: ConvGeometry) -> Array:
    """View every window without copying: shape (g, c / g, kh, kw, n, oh, ow).

    Element [g, c, p, q, n, i, j] is padded[n, g * (c / g) + c, i * sh + p * dh, j * sw + q * dw], so that moving one
    along p steps dh rows and moving one along i steps sh rows: the same memory, read with other strides.
    """
    g, c_g, _ = _group_sizes(geometry)
    along_n, along_c, *along = padded.strides
    shape = (g, c_g, *geometry.kernel_size, padded.shape[0], *geometry.out_size)
    strides = (
        c_g * along_c,
        along_c,
        *(step * dilation for step, dilation in zip(along, geometry.dilation, strict=True)),
        along_n,
        *(step * stride for step, stride in zip(along, geometry.stride, strict=True)),
    )
    return as_strided(padded, shape, strides, writeable=False)


def _columns(windows: Array, geometry: ConvGeometry, channels_last: bool) -> Array:
    """Copy windows into columns (g, K, P), K ordered as `_weight_matrix` orders it."""
    g, dims = geometry.groups, geometry.dims
    taps = math.prod(windows.shape[1 : 2 + dims])
    if channels_last:  # (g, n, oh, ow, kh, kw, c / g)
        windows = windows.transpose(0, *range(2 + dims, 3 + 2 * dims), *range(2, 2 + dims), 1)
    columns = borrow("columns", windows.shape, windows.dtype)
    columns[...] = windows
    return columns.reshape(g, -1, taps).swapaxes(1, 2) if channels_last else columns.reshape(g, taps, -1)


def _weight_matrix(weight: Array, geometry: ConvGeometry) -> Array:
    """Lay the filters out as rows: (g, o / g, K)."""
    g, _, o_g = _group_sizes(geometry)
    ordered = np.moveaxis(weight, 1, -1) if _prefers_channels_last(geometry) else weight
    return ordered.reshape(g, o_g, -1)


def _tap_matrices(weight: Array, geometry: ConvGeometry) -> Array:
    """Lay the filters out as one small matrix for each tap: (kh * kw, g, o / g, c / g)."""
    g, c_g, o_g = _group_sizes(geometry)
    flat = weight.reshape(g, o_g, c_g, -1)
    return np.ascontiguousarray(np.moveaxis(flat, -1, 0))


def positions(x: Array, geometry: ConvGeometry) -> Array:
    """Flatten (n, channels, h, w) to (n, g, channels / g, h * w)."""
    n, channels = x.shape[:2]
    return x.reshape(n, geometry.groups, channels // geometry.groups, math.prod(x.shape[2:]))


def is_one_product(geometry: ConvGeometry) -> bool:
    """Whether the input itself serves as columns: windows of one position, or one window of all positions."""
    return not geometry.is_padded and (_reads_whole_image(geometry) or set(geometry.kernel_size) == set(geometry.stride) == {1})


def _reads_whole_image(geometry: ConvGeometry) -> bool:
    return geometry.kernel_size == geometry.in_size


def _as_columns(x: Array, geometry: ConvGeometry) -> Array:
    """View an input or an output as (images, g, K, P). Where a window is the whole image, the batch are the positions P."""
    if not _reads_whole_image(geometry):
        return positions(x, geometry)
    n, *sizes = x.shape
    return x.reshape(n, geometry.groups, math.prod(sizes) // geometry.groups).transpose(1, 2, 0)[None]


def filter_rows(weight: Array, geometry: ConvGeometry) -> Array:
    """Lay the filters out as rows, in the order that they have in memory: (g, o / g, K)."""
    return weight.reshape(geometry.groups, geometry.out_channels // geometry.groups, math.prod(weight.shape[1:]))


def _prefers_channels_last(geometry: ConvGeometry) -> bool:
    return geometry.in_channels // geometry.groups >= _CHANNELS_LAST_FROM


def _group_sizes(geometry: ConvGeometry) -> tuple[int, int, int]:
    """Give (groups, input channels of a group, output channels of a group)."""
    return geometry.groups, geometry.in_channels // geometry.groups, geometry.out_channels // geometry.groups


def _slices(total: int, at_once: int) -> Iterator[slice]:
    """Cut range(total) into slices of at most `at_once`, of at least 1."""
    edges = [*range(0, total, max(1, at_once)), total]
    for start, stop in pairwise(edges):
        yield slice(start, stop)
