"""Max pooling compiled by numba: one pass over the outputs, each window read while it is in the cache.

NumPy has to go over the input once for each tap, with a temporary for each comparison; these loops have none. (Average
pooling is not here: its sums separate by axis, and NumPy's passes are as fast.)

Two things make them fast. Which positions a window reads is the same in every plane, so it is listed once, in a table
(`_taps`), and neither borders nor the number of axes are seen in the loops. And the choice of the larger number is
written as arithmetic on both outcomes, without a branch: which one it will be is a coin toss to the processor, and each
wrong guess would cost it more than the whole window. Even a NaN is only looked for after a sum has betrayed it.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.kernels import numpy_pool
from tinygrad_cnn.kernels.arrays import Array, Indices
from tinygrad_cnn.kernels.geometry import PoolGeometry
from tinygrad_cnn.kernels.numba_compile import compiled

_LARGEST_TABLE = 1 << 22


def max_pool(x: Array, geometry: PoolGeometry) -> tuple[Array, Indices]:
    """Take the maximum of each window, and where it is: see `numpy_pool.max_pool`."""
    if math.prod(geometry.out_size) * math.prod(geometry.kernel_size) > _LARGEST_TABLE:
        return numpy_pool.max_pool(x, geometry)
    y = np.empty((*x.shape[:2], *geometry.out_size), x.dtype)
    indices = np.empty(y.shape, np.int64)
    _max_pool(_flat(x), _taps(geometry), _flat(y), _flat(indices))
    return y, indices


def pool_scatter(gy: Array, indices: Indices, in_size: tuple[int, ...]) -> Array:
    """Add each number to the place in its plane that its index names: see `numpy_pool.pool_scatter`."""
    gx = np.zeros((*gy.shape[:2], *in_size), gy.dtype)
    _pool_scatter(_flat(gy), _flat(indices), _flat(gx))
    return gx


def pool_gather(x: Array, indices: Indices) -> Array:
    """Read each plane at the places that the indices name: see `numpy_pool.pool_gather`."""
    y = np.empty(indices.shape, x.dtype)
    _pool_gather(_flat(x), _flat(indices), _flat(y))
    return y


@compiled
def _max_pool(x, taps, y, indices):  # type: ignore[no-untyped-def]
    for plane in range(x.shape[0]):
        nan = False
        for output in range(taps.shape[0]):
            best, best_at = x.dtype.type(-np.inf), taps[output, 0]
            total = x.dtype.type(0)
            for tap in range(taps.shape[1]):
                at = taps[output, tap]
                value = x[plane, at]
                larger = value > best
                best = value if larger else best
                best_at = at if larger else best_at
                total += value
            y[plane, output] = best
            indices[plane, output] = best_at
            nan |= total != total
        if nan:
            _name_first_nan(x[plane], taps, y[plane], indices[plane])


@compiled
def _name_first_nan(x, taps, y, indices):  # type: ignore[no-untyped-def]
    """Correct the windows that hold a NaN: no comparison has seen it."""
    for output in range(taps.shape[0]):
        for tap in range(taps.shape[1] - 1, -1, -1):
            at = taps[output, tap]
            if x[at] != x[at]:
                y[output] = x[at]
                indices[output] = at


@compiled
def _pool_scatter(gy, indices, gx):  # type: ignore[no-untyped-def]
    for plane in range(gy.shape[0]):
        for i in range(gy.shape[1]):
            gx[plane, indices[plane, i]] += gy[plane, i]


@compiled
def _pool_gather(x, indices, y):  # type: ignore[no-untyped-def]
    for plane in range(y.shape[0]):
        for i in range(y.shape[1]):
            y[plane, i] = x[plane, indices[plane, i]]


def _taps(geometry: PoolGeometry) -> Array:
    """List, for every output, the flat positions that its taps read: int32, shape (outputs, taps).

    A tap in the padding reads what the nearest tap inside reads: seeing a number twice changes no maximum, and all
    windows are alike.
    """
    flat = np.zeros((1,) * (2 * geometry.dims), np.int32)
    for axis, dilation in enumerate(geometry.dilation):
        start = np.arange(geometry.out_size[axis]) * geometry.stride[axis] - geometry.padding[axis][0]
        first = np.maximum(0, -(start // dilation))  # ceil(-start / dilation) taps lie before the input
        last = np.minimum(geometry.kernel_size[axis], (geometry.in_size[axis] - 1 - start) // dilation + 1) - 1
        tap = np.clip(np.arange(geometry.kernel_size[axis]), first[:, None], last[:, None])
        at = (start[:, None] + tap * dilation) * math.prod(geometry.in_size[axis + 1 :])
        shape = [1] * (2 * geometry.dims)
        shape[axis], shape[geometry.dims + axis] = at.shape
        flat = flat + at.astype(np.int32).reshape(shape)
    return flat.reshape(math.prod(geometry.out_size), math.prod(geometry.kernel_size))


def _flat(x: Array) -> Array:
    """See (n, c, ...) as (planes, plane)."""
    return np.ascontiguousarray(x).reshape(x.shape[0] * x.shape[1], math.prod(x.shape[2:]))
