"""Pooling compiled by numba: one pass over the outputs, each window read while it is in the cache.

Written for three spatial axes; images and lines are volumes with sizes of 1 in front. Planes are independent, so the
cores share them out. NumPy has to go over the input once for each tap, with a temporary for each comparison: these
loops have none.

Two things make them fast. Where a window begins and ends, cut off at the input's edges, is worked out beforehand for
each axis (`_Windows`), so that no division and no test of a border is left inside. And the choice of a maximum is
written as arithmetic on both outcomes, without `if`: which number is the larger is a coin toss to the processor, and
each wrong guess would cost it ten comparisons.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from tinygrad_cnn.kernels.arrays import Array, Indices
from tinygrad_cnn.kernels.geometry import PoolGeometry
from tinygrad_cnn.kernels.numba_compile import parallel
from tinygrad_cnn.kernels.numpy_pool import divisors


def max_pool(x: Array, geometry: PoolGeometry) -> tuple[Array, Indices]:
    """Take the maximum of each window, and where it is: see `numpy_pool.max_pool`."""
    y = np.empty((*x.shape[:2], *geometry.out_size), x.dtype)
    indices = np.empty(y.shape, np.int64)
    _max_pool(_volumes(x, geometry.in_size), *_windows(geometry), _volumes(y, geometry.out_size), _flat(indices))
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


def avg_pool(x: Array, geometry: PoolGeometry, count_include_pad: bool, divisor_override: int | None) -> Array:
    """Take the mean of each window: see `numpy_pool.avg_pool`."""
    y = np.empty((*x.shape[:2], *geometry.out_size), x.dtype)
    scale = _scale(geometry, count_include_pad, divisor_override)
    _avg_pool(_volumes(x, geometry.in_size), *_windows(geometry), scale, _volumes(y, geometry.out_size))
    return y


def avg_pool_input_grad(
    gy: Array, geometry: PoolGeometry, count_include_pad: bool, divisor_override: int | None
) -> Array:
    """Spread each window's gradient evenly over its taps: see `numpy_pool.avg_pool_input_grad`."""
    gx = np.zeros((*gy.shape[:2], *geometry.in_size), gy.dtype)
    scale = _scale(geometry, count_include_pad, divisor_override)
    _avg_pool_input_grad(_volumes(gy, geometry.out_size), *_windows(geometry), scale, _volumes(gx, geometry.in_size))
    return gx


@parallel
def _max_pool(x, d, h, w, y, indices):  # type: ignore[no-untyped-def]
    planes, _, size_h, size_w = x.shape
    out_d, out_h, out_w = y.shape[1:]
    for plane in numba.prange(planes):
        for i in range(out_d):
            for j in range(out_h):
                for k in range(out_w):
                    best = x.dtype.type(-np.inf)
                    best_at = (d.first[i] * size_h + h.first[j]) * size_w + w.first[k]
                    for at_d in range(d.first[i], d.stop[i], d.step):
                        for at_h in range(h.first[j], h.stop[j], h.step):
                            row = (at_d * size_h + at_h) * size_w
                            for at_w in range(w.first[k], w.stop[k], w.step):
                                value = x[plane, at_d, at_h, at_w]
                                # `|` and `&` look at both sides: a larger number, or the window's first NaN.
                                better = (value > best) | ((value != value) & (best == best))
                                best = value if better else best
                                best_at = row + at_w if better else best_at
                    y[plane, i, j, k] = best
                    indices[plane, (i * out_h + j) * out_w + k] = best_at


@parallel
def _pool_scatter(gy, indices, gx):  # type: ignore[no-untyped-def]
    for plane in numba.prange(gy.shape[0]):  # places within a plane may meet, planes cannot
        for i in range(gy.shape[1]):
            gx[plane, indices[plane, i]] += gy[plane, i]


@parallel
def _pool_gather(x, indices, y):  # type: ignore[no-untyped-def]
    for plane in numba.prange(y.shape[0]):
        for i in range(y.shape[1]):
            y[plane, i] = x[plane, indices[plane, i]]


@parallel
def _avg_pool(x, d, h, w, scale, y):  # type: ignore[no-untyped-def]
    out_d, out_h, out_w = y.shape[1:]
    for plane in numba.prange(x.shape[0]):
        for i in range(out_d):
            for j in range(out_h):
                for k in range(out_w):
                    total = 0.0
                    for at_d in range(d.first[i], d.stop[i], d.step):
                        for at_h in range(h.first[j], h.stop[j], h.step):
                            for at_w in range(w.first[k], w.stop[k], w.step):
                                total += x[plane, at_d, at_h, at_w]
                    y[plane, i, j, k] = total * scale[i, j, k]


@parallel
def _avg_pool_input_grad(gy, d, h, w, scale, gx):  # type: ignore[no-untyped-def]
    out_d, out_h, out_w = gy.shape[1:]
    for plane in numba.prange(gy.shape[0]):
        for i in range(out_d):
            for j in range(out_h):
                for k in range(out_w):
                    share = gy[plane, i, j, k] * scale[i, j, k]
                    for at_d in range(d.first[i], d.stop[i], d.step):
                        for at_h in range(h.first[j], h.stop[j], h.step):
                            for at_w in range(w.first[k], w.stop[k], w.step):
                                gx[plane, at_d, at_h, at_w] += share


class _Windows(NamedTuple):
    """The windows along one axis: window i reads positions first[i], first[i] + step, ... before stop[i]."""

    first: Indices
    stop: Indices
    step: int


def _windows(geometry: PoolGeometry) -> list[_Windows]:
    """Cut the windows of three axes off at the input's edges."""
    axes = [_Windows(np.zeros(1, np.int64), np.ones(1, np.int64), 1)] * (3 - geometry.dims)
    for axis, dilation in enumerate(geometry.dilation):
        start = np.arange(geometry.out_size[axis]) * geometry.stride[axis] - geometry.padding[axis][0]
        stop = np.minimum(start + geometry.kernel_size[axis] * dilation, geometry.in_size[axis])
        # A start before the input moves up to the first tap inside: ceil(-start / dilation) taps further.
        axes.append(_Windows(start + np.maximum(0, -(start // dilation)) * dilation, stop, dilation))
    return axes


def _scale(geometry: PoolGeometry, count_include_pad: bool, divisor_override: int | None) -> Array:
    """Give 1 / divisor of every window."""
    counts = divisors(geometry, count_include_pad, divisor_override, np.dtype(np.float64))
    return 1 / np.broadcast_to(counts, geometry.out_size).reshape(_volume(geometry.out_size))


def _volume(size: tuple[int, ...]) -> tuple[int, ...]:
    return (1,) * (3 - len(size)) + size


def _volumes(x: Array, size: tuple[int, ...]) -> Array:
    """See (n, c, *size) as (planes, d, h, w)."""
    return np.ascontiguousarray(x).reshape(x.shape[0] * x.shape[1], *_volume(size))


def _flat(x: Array) -> Array:
    """See (n, c, ...) as (planes, plane)."""
    return np.ascontiguousarray(x).reshape(x.shape[0] * x.shape[1], math.prod(x.shape[2:]))
