"""Pooling in NumPy: one pass over the input for each tap of the window, never a copy of the windows.

Seen from one tap, pooling is a strided slice: under tap (p, q) the outputs [i, j] read x[i * sh + p * dh - ph, ...],
and `PoolGeometry.taps` lists these slices with the padding left out. A maximum or a sum over the window is then
kh * kw whole-array operations. The planes are taken in blocks that stay in the cache over all taps.

Sums separate: a window's sum is the sum along the width of the sums along the height, kh + kw passes. Maxima would too,
but not the place of the first maximum.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np

from tinygrad_cnn.kernels.arrays import Array, Indices
from tinygrad_cnn.kernels.geometry import PoolGeometry, tap_slices
from tinygrad_cnn.kernels.scratch import borrow

_BLOCK_BYTES = 1 << 20


def max_pool(x: Array, geometry: PoolGeometry) -> tuple[Array, Indices]:
    """Take the maximum of each window, and where it is.

    Padding is -inf. Of equal maxima the first in row-major order is taken; a NaN is larger than every number.

    Parameters
    ----------
    x : ndarray, shape (n, c, *in_size)
    geometry : PoolGeometry

    Returns
    -------
    y : ndarray, shape (n, c, *out_size)
    indices : ndarray of int64, shape (n, c, *out_size)
        Flat positions in the plane, ``h_index * w + w_index`` in two dimensions.
    """
    planes = x.reshape(-1, *geometry.in_size)
    y = np.empty((*x.shape[:2], *geometry.out_size), x.dtype)
    indices = np.empty(y.shape, np.int64)
    y_planes, index_planes = y.reshape(-1, *geometry.out_size), indices.reshape(-1, *geometry.out_size)
    first, origin = _first_tap_inside(geometry)
    for block in _blocks_of_planes(planes):
        best, offset = y_planes[block], np.empty(y_planes[block].shape, np.int32)
        _max_of_block(planes[block], geometry, best, offset, first)
        np.add(offset, origin, out=index_planes[block])
    return y, indices


def _max_of_block(x: Array, geometry: PoolGeometry, best: Array, offset: Array, first: Array) -> None:
    """Fill `best`, and `offset`: how far behind its window's first tap, in the flat plane, the maximum lies.

    Taps come in row-major order, and only taps inside the input can win; among those the offset grows from tap to tap.
    So "the offset of the last tap that improved" is a maximum of offsets, which is faster than an assignment under a
    mask, and "improved" being strict makes the first of equal values win.
    """
    best.fill(-np.inf)
    offset[...] = first
    along = _plane_strides(geometry)
    taps = [
        (sum(t * d * a for t, d, a in zip(tap, geometry.dilation, along, strict=True)), outputs, inputs)
        for tap, outputs, inputs in geometry.taps()
    ]
    for tap_offset, outputs, inputs in taps:
        best_here, offset_here = best[:, *outputs], offset[:, *outputs]
        value = borrow("value", best_here.shape, x.dtype)
        value[...] = x[:, *inputs]  # a strided slice, read three times otherwise
        improved = value > best_here
        np.maximum(best_here, value, out=best_here)
        np.maximum(offset_here, improved * np.int32(tap_offset), out=offset_here)
    if np.isnan(best).any():  # no comparison sees a NaN: point to the first one by going through the taps backwards
        for tap_offset, outputs, inputs in reversed(taps):
            np.copyto(offset[:, *outputs], np.int32(tap_offset), where=np.isnan(x[:, *inputs]))


def _first_tap_inside(geometry: PoolGeometry) -> tuple[Array, Array]:
    """Give, for each window, the offset of its first tap inside the input, and the flat position of its first tap.

    The first is where the maximum of a window full of -inf is said to be. A flat position before the input is negative.
    """
    first = np.zeros((1,) * geometry.dims, np.int32)
    origin = np.zeros((1,) * geometry.dims, np.int64)
    for axis, along in enumerate(_plane_strides(geometry)):
        shape = [1] * geometry.dims
        shape[axis] = -1
        start = np.arange(geometry.out_size[axis]) * geometry.stride[axis] - geometry.padding[axis][0]
        dilation = geometry.dilation[axis]
        skipped = np.maximum(0, -(start // dilation)) * dilation  # ceil(-start / dilation) taps lie before the input
        first = first + (skipped * along).astype(np.int32).reshape(shape)
        origin = origin + (start * along).reshape(shape)
    return first, origin


def _plane_strides(geometry: PoolGeometry) -> list[int]:
    """Give how far apart neighbours along each axis are in the flat plane: [w, 1] in two dimensions."""
    return [math.prod(geometry.in_size[axis + 1 :]) for axis in range(geometry.dims)]


def _blocks_of_planes(planes: Array) -> Iterator[slice]:
    plane_bytes = math.prod(planes.shape[1:]) * planes.itemsize
    at_once = max(1, _BLOCK_BYTES // plane_bytes)
    for start in range(0, len(planes), at_once):
        yield slice(start, start + at_once)


def pool_scatter(gy: Array, indices: Indices, in_size: tuple[int, ...]) -> Array:
    """Add each number of `gy` to the place in its plane that `indices` names: the gradient of max pooling.

    Parameters
    ----------
    gy : ndarray, shape (n, c, *out_size)
    indices : ndarray of int64, shape (n, c, *out_size)
        Flat positions in planes of `in_size`.
    in_size : tuple of int

    Returns
    -------
    ndarray, shape (n, c, *in_size)
        ``gx[n, c].flat[indices[n, c, i, j]] += gy[n, c, i, j]``
    """
    gx = np.zeros((*gy.shape[:2], *in_size), gy.dtype)
    np.add.at(gx.reshape(-1), _flat_everywhere(indices, math.prod(in_size)), gy.reshape(-1))
    return gx


def pool_gather(x: Array, indices: Indices) -> Array:
    """Read each plane of `x` where `indices` says: the adjoint of `pool_scatter`.

    Parameters
    ----------
    x : ndarray, shape (n, c, *in_size)
    indices : ndarray of int64, shape (n, c, *out_size)

    Returns
    -------
    ndarray, shape (n, c, *out_size)
        ``y[n, c, i, j] = x[n, c].flat[indices[n, c, i, j]]``
    """
    return x.reshape(-1)[_flat_everywhere(indices, math.prod(x.shape[2:]))].reshape(indices.shape)


def _flat_everywhere(indices: Indices, plane: int) -> Indices:
    """Turn positions within planes into positions in the whole array, flattened."""
    planes = math.prod(indices.shape[:2])
    starts = np.arange(planes, dtype=np.int64)[:, None] * plane
    return (indices.reshape(planes, math.prod(indices.shape[2:])) + starts).reshape(-1)


def avg_pool(x: Array, geometry: PoolGeometry, count_include_pad: bool, divisor_override: int | None) -> Array:
    """Take the mean of each window.

    Parameters
    ----------
    x : ndarray, shape (n, c, *in_size)
    geometry : PoolGeometry
    count_include_pad : bool
        Whether a window's divisor counts its taps in the padding. What hangs over the far edge of the padding under
        `ceil_mode` is never counted.
    divisor_override : int, optional
        Divide every window's sum by this instead.

    Returns
    -------
    ndarray, shape (n, c, *out_size)
    """
    y = x
    for axis in reversed(range(geometry.dims)):
        y = _sum_along(y, geometry, axis)
    return np.divide(y, divisors(geometry, count_include_pad, divisor_override, x.dtype), order="C")


def avg_pool_input_grad(gy: Array, geometry: PoolGeometry, count_include_pad: bool, divisor_override: int | None) -> Array:
    """Spread each window's gradient evenly over its taps: the gradient of `avg_pool`, and its adjoint.

    Parameters
    ----------
    gy : ndarray, shape (n, c, *out_size)
    geometry, count_include_pad, divisor_override
        As given to `avg_pool`.

    Returns
    -------
    ndarray, shape (n, c, *in_size)
    """
    gx = gy / divisors(geometry, count_include_pad, divisor_override, gy.dtype)
    for axis in range(geometry.dims):
        gx = _spread_along(gx, geometry, axis)
    return gx


def _sum_along(x: Array, geometry: PoolGeometry, axis: int) -> Array:
    """Sum the windows along one spatial axis."""
    if _side_by_side(geometry, axis):
        along, taps = 2 + axis, geometry.kernel_size[axis]
        tiles = x.reshape(*x.shape[:along], geometry.out_size[axis], taps, *x.shape[along + 1 :])
        return functools.reduce(np.add, [tiles[_at(axis + 1, tap)] for tap in range(taps)])
    shape = list(x.shape)
    shape[2 + axis] = geometry.out_size[axis]
    y = np.zeros(shape, x.dtype)
    for outputs, inputs in _taps_along(geometry, axis):
        y[_at(axis, outputs)] += x[_at(axis, inputs)]
    return y


def _spread_along(gy: Array, geometry: PoolGeometry, axis: int) -> Array:
    """Add each output back to the inputs that it summed along one spatial axis."""
    if _side_by_side(geometry, axis):
        return np.repeat(gy, geometry.kernel_size[axis], axis=2 + axis)
    shape = list(gy.shape)
    shape[2 + axis] = geometry.in_size[axis]
    gx = np.zeros(shape, gy.dtype)
    for outputs, inputs in _taps_along(geometry, axis):
        gx[_at(axis, inputs)] += gy[_at(axis, outputs)]
    return gx


def _side_by_side(geometry: PoolGeometry, axis: int) -> bool:
    """Whether the windows tile the axis: each position is in one window. It is the usual case, and the quickest."""
    kernel = geometry.kernel_size[axis]
    return (
        geometry.stride[axis] == kernel
        and geometry.padding[axis] == (0, 0)
        and geometry.dilation[axis] == 1
        and geometry.in_size[axis] == geometry.out_size[axis] * kernel
    )


def _taps_along(geometry: PoolGeometry, axis: int) -> Iterator[tuple[slice, slice]]:
    for tap in range(geometry.kernel_size[axis]):
        yield tap_slices(
            tap,
            geometry.in_size[axis],
            geometry.out_size[axis],
            geometry.stride[axis],
            geometry.padding[axis][0],
            geometry.dilation[axis],
        )


def _at(axis: int, where: slice | int) -> tuple[slice | int, ...]:
    """Index spatial axis `axis` of an (n, c, ...) array."""
    return (slice(None),) * (2 + axis) + (where,)


def divisors(geometry: PoolGeometry, count_include_pad: bool, divisor_override: int | None, dtype: np.dtype) -> Array:
    """Count the taps of every window, axis by axis: an array that broadcasts over (n, c, *out_size)."""
    if divisor_override is not None:
        return np.asarray(divisor_override, dtype)
    counts = np.ones((1,) * geometry.dims, dtype)
    for axis, (before, after) in enumerate(geometry.padding):
        low, high = (-before, geometry.in_size[axis] + after) if count_include_pad else (0, geometry.in_size[axis])
        start = np.arange(geometry.out_size[axis]) * geometry.stride[axis] - before
        at = start[:, None] + np.arange(geometry.kernel_size[axis]) * geometry.dilation[axis]
        shape = [1] * geometry.dims
        shape[axis] = -1
        counts = counts * ((low <= at) & (at < high)).sum(axis=1).astype(dtype).reshape(shape)
    return counts
