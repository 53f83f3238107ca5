"""Pooling compiled by numba: one pass over the outputs, each window read while it is in the cache.

NumPy has to go over the input once for each tap, with a temporary for each comparison; these loops have none. Each plane is
on its own, so the planes are divided among the threads.

Two things make max pooling fast. Which positions a window reads is the same in every plane, so it is listed once, in a table
(`_taps`), and neither borders nor the number of axes are seen in the loops. And the choice of the larger number is
written as arithmetic on both outcomes, without a branch: which one it will be is a coin toss to the processor, and each
wrong guess would cost it more than the whole window. Even a NaN is only looked for after a sum has betrayed it.

The sums of average pooling separate by axis: rows are added up as wholes, many numbers at a time, into one row that stays in
the cache, and each window then adds kw numbers of it. Its gradient goes the other way.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from tinygrad_cnn.kernels import numpy_pool
from tinygrad_cnn.kernels.arrays import Array, Indices
from tinygrad_cnn.kernels.geometry import PoolGeometry
from tinygrad_cnn.kernels.numba_compile import compiled, inner
from tinygrad_cnn.kernels.numba_crew import grain_of, share, shared

_LARGEST_TABLE = 1 << 22
_NUMBERS_OF_A_TAP = 5
"""A comparison takes as long as this many numbers read in order."""


def max_pool(x: Array, geometry: PoolGeometry) -> tuple[Array, Indices]:
    """Take the maximum of each window, and where it is: see `numpy_pool.max_pool`. The indices are int32."""
    if math.prod(geometry.out_size) * math.prod(geometry.kernel_size) > _LARGEST_TABLE:
        return numpy_pool.max_pool(x, geometry)
    y = np.empty((*x.shape[:2], *geometry.out_size), x.dtype)
    indices = np.empty(y.shape, np.int32)
    taps, x_flat = _taps(geometry), _flat(x)
    grain = grain_of(_NUMBERS_OF_A_TAP * taps.size)
    share(_max_pool, x_flat, taps, _flat(y), _flat(indices), count=len(x_flat), grain=grain)
    return y, indices


def pool_scatter(gy: Array, indices: Indices, in_size: tuple[int, ...]) -> Array:
    """Add each number to the place in its plane that its index names: see `numpy_pool.pool_scatter`."""
    gx = np.empty((*gy.shape[:2], *in_size), gy.dtype)
    gy_flat, gx_flat = _flat(gy), _flat(gx)
    grain = grain_of(_NUMBERS_OF_A_TAP * gy_flat.shape[1] + gx_flat.shape[1])
    share(_pool_scatter, gy_flat, _flat(indices), gx_flat, count=len(gy_flat), grain=grain)
    return gx


def pool_gather(x: Array, indices: Indices) -> Array:
    """Read each plane at the places that the indices name: see `numpy_pool.pool_gather`."""
    y = np.empty(indices.shape, x.dtype)
    _pool_gather(_flat(x), _flat(indices), _flat(y))
    return y


def avg_pool(x: Array, geometry: PoolGeometry, count_include_pad: bool, divisor_override: int | None) -> Array:
    """Take the mean of each window: see `numpy_pool.avg_pool`."""
    if not _serves_sums(geometry):
        return numpy_pool.avg_pool(x, geometry, count_include_pad, divisor_override)
    y = np.empty((*x.shape[:2], *geometry.out_size), x.dtype)
    divisors, planes = _divisors(geometry, count_include_pad, divisor_override, x.dtype), images(x)
    arguments = (planes, divisors, *_steps(geometry), images(y))
    share(_avg_pool, *arguments, count=len(planes), grain=grain_of(_numbers_of_sums(geometry)))
    return y


def avg_pool_input_grad(gy: Array, geometry: PoolGeometry, count_include_pad: bool, divisor_override: int | None) -> Array:
    """Give every x of a window an equal share of the window's gy: see `numpy_pool.avg_pool_input_grad`."""
    if not _serves_sums(geometry):
        return numpy_pool.avg_pool_input_grad(gy, geometry, count_include_pad, divisor_override)
    gx = np.empty((*gy.shape[:2], *geometry.in_size), gy.dtype)
    divisors, planes = _divisors(geometry, count_include_pad, divisor_override, gy.dtype), images(gy)
    arguments = (planes, divisors, *_steps(geometry), images(gx))
    share(_avg_pool_input_grad, *arguments, count=len(planes), grain=grain_of(_numbers_of_sums(geometry)))
    return gx


@shared
def _max_pool(x, taps, y, indices, slot, start, stop):  # type: ignore[no-untyped-def]
    x, y, indices = x[start:stop], y[start:stop], indices[start:stop]
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


@inner
def _name_first_nan(x, taps, y, indices):  # type: ignore[no-untyped-def]
    """Correct the windows that hold a NaN: no comparison has seen it."""
    for output in range(taps.shape[0]):
        for tap in range(taps.shape[1] - 1, -1, -1):
            at = taps[output, tap]
            if x[at] != x[at]:
                y[output] = x[at]
                indices[output] = at


@shared
def _pool_scatter(gy, indices, gx, slot, start, stop):  # type: ignore[no-untyped-def]
    gy, indices, gx = gy[start:stop], indices[start:stop], gx[start:stop]
    for plane in range(gy.shape[0]):
        gx[plane, :] = 0
        for i in range(gy.shape[1]):
            gx[plane, indices[plane, i]] += gy[plane, i]


@compiled
def _pool_gather(x, indices, y):  # type: ignore[no-untyped-def]
    for plane in range(y.shape[0]):
        for i in range(y.shape[1]):
            y[plane, i] = x[plane, indices[plane, i]]


@shared(fastmath={"contract"})
def _avg_pool(x, divisors, taps_h, taps_w, stride_h, stride_w, top, left, y, slot, start, stop):  # type: ignore[no-untyped-def]
    x, y = x[start:stop], y[start:stop]
    _, height, width = x.shape
    planes, out_h, out_w = y.shape
    rows = np.empty(width, x.dtype)
    for plane in range(planes):
        for i in range(out_h):
            start = i * stride_h - top
            rows[:] = 0
            for row in range(max(0, start), min(height, start + taps_h)):
                for j in range(width):
                    rows[j] += x[plane, row, j]
            for j in range(out_w):
                start = j * stride_w - left
                total = x.dtype.type(0)
                for column in range(max(0, start), min(width, start + taps_w)):
                    total += rows[column]
                y[plane, i, j] = total / divisors[i, j]


@shared(fastmath={"contract"})
def _avg_pool_input_grad(gy, divisors, taps_h, taps_w, stride_h, stride_w, top, left, gx, slot, start, stop):  # type: ignore[no-untyped-def]
    gy, gx = gy[start:stop], gx[start:stop]
    _, height, width = gx.shape
    planes, out_h, out_w = gy.shape
    spread = np.empty(width, gx.dtype)
    for plane in range(planes):
        gx[plane, :, :] = 0
        for i in range(out_h):
            spread[:] = 0
            for j in range(out_w):
                start = j * stride_w - left
                share = gy[plane, i, j] / divisors[i, j]
                for column in range(max(0, start), min(width, start + taps_w)):
                    spread[column] += share
            start = i * stride_h - top
            for row in range(max(0, start), min(height, start + taps_h)):
                for j in range(width):
                    gx[plane, row, j] += spread[j]


def _divisors(geometry: PoolGeometry, count_include_pad: bool, divisor_override: int | None, dtype: np.dtype) -> Array:
    """Give the divisor of each window: shape (oh, ow), with oh = 1 for a line."""
    divisors = numpy_pool.divisors(geometry, count_include_pad, divisor_override, dtype)
    return np.ascontiguousarray(np.broadcast_to(divisors, (1, *geometry.out_size)[-2:]))


def _steps(geometry: PoolGeometry) -> tuple[int, ...]:
    """List kernel sizes, strides and the padding before, as plain numbers; a line is an image of height 1."""
    kernel_size, stride, padding = (
        (1, *geometry.kernel_size), (1, *geometry.stride), (0, *(before for before, _ in geometry.padding))
    )  # fmt: skip
    return (*kernel_size[-2:], *stride[-2:], *padding[-2:])


def _serves_sums(geometry: PoolGeometry) -> bool:
    """Whether the loops are faster: where windows lie side by side, each number is in one sum, and NumPy has fast sums."""
    return geometry.dims <= 2 and set(geometry.dilation) == {1} and geometry.stride != geometry.kernel_size


def _numbers_of_sums(geometry: PoolGeometry) -> int:
    """Say how much work the sums of a plane are: those along the width are additions one by one."""
    columns = geometry.out_size[-1] * geometry.kernel_size[-1]
    rows = geometry.in_size[-1] * geometry.kernel_size[0]
    return math.prod(geometry.out_size[:-1]) * (_NUMBERS_OF_A_TAP * columns + rows)


def images(x: Array) -> Array:
    """See (n, c, h, w), or (n, c, w), as (planes, h, w)."""
    height, width = (1, *x.shape[2:])[-2:]
    return np.ascontiguousarray(x).reshape(x.shape[0] * x.shape[1], height, width)


@functools.lru_cache(maxsize=16)
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
