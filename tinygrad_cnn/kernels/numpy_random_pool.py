"""Pools with chance in them: the windows' places are drawn (fractional), or the winner is (stochastic).

The draws are arguments, so that the kernels are functions like all others; the ops draw them.
"""

from __future__ import annotations

import math

import numpy as np

from .arrays import Array, Indices, unravel
from .geometry import PoolGeometry
from .numpy_fold import unfold
from .numpy_pool import max_pool, pool_gather


def fractional_max_pool(x: Array, starts: tuple[Indices, ...], kernel_size: tuple[int, ...]) -> tuple[Array, Indices]:
    """Take the maximum of each window, where every plane has windows of its own.

    Of equal maxima the first is taken; a NaN is above all.

    Parameters
    ----------
    x : ndarray, shape (n, c, *in_size)
    starts : tuple of ndarray of int64, shape (n, c, out)
        For each axis, the first input of every window.
    kernel_size : tuple of int

    Returns
    -------
    y : ndarray, shape (n, c, *out_size)
    indices : ndarray of int64, shape (n, c, *out_size)
        Flat positions in the plane.
    """
    dims, planes = len(kernel_size), x.shape[:2]
    out_size = tuple(start.shape[2] for start in starts)
    positions = np.zeros((1,) * (2 + 2 * dims), np.int64)  # (n, c, oh, ow, kh, kw), as far as they differ
    for axis, (start, kernel) in enumerate(zip(starts, kernel_size, strict=True)):
        shape = [1] * (2 * dims)
        shape[axis], shape[dims + axis] = out_size[axis], kernel
        along = (start[..., None] + np.arange(kernel)).reshape(*planes, *shape)
        positions = positions + along * math.prod(x.shape[3 + axis :])
    positions = positions.reshape(*planes, math.prod(out_size), math.prod(kernel_size))
    values = pool_gather(x, positions)
    best = values.argmax(axis=3)[..., None]
    y, indices = np.take_along_axis(values, best, axis=3), np.take_along_axis(positions, best, axis=3)
    return y.reshape(*planes, *out_size), indices.reshape(*planes, *out_size)


def stochastic_pool(x: Array, draws: Array, geometry: PoolGeometry) -> tuple[Array, Indices]:
    """Take one value of each window, each with a probability in proportion to itself.

    Running through the window's taps in row-major order, the value is taken at which the running sum first exceeds the
    draw times the window's sum. Where nothing can be drawn (all 0, or the sum is not finite) it is the first maximum.

    Parameters
    ----------
    x : ndarray, shape (n, c, *in_size)
        Not negative.
    draws : ndarray, shape (n, c, *out_size)
        From [0, 1).
    geometry : PoolGeometry

    Returns
    -------
    y : ndarray, shape (n, c, *out_size)
    indices : ndarray of int64, shape (n, c, *out_size)
        Flat positions in the plane.
    """
    upto = np.cumsum(unfold(x, geometry), axis=2, dtype=np.float64)
    total = upto[:, :, -1]
    with np.errstate(invalid="ignore"):
        passed = upto <= (draws.reshape(total.shape) * total)[:, :, None]
    tap = passed.sum(axis=2)  # padding adds nothing to the running sum, so none is ever taken
    drawn = (tap < passed.shape[2]) & np.isfinite(total)
    indices = _plane_positions(np.where(drawn, tap, 0).reshape(draws.shape), geometry)
    if not drawn.all():
        indices = np.where(drawn.reshape(draws.shape), indices, max_pool(x, geometry)[1])
    return pool_gather(x, indices), indices


def _plane_positions(tap: Indices, geometry: PoolGeometry) -> Indices:
    """Turn the number of a tap in each window into a flat position in the plane."""
    flat = np.zeros(tap.shape, np.int64)
    for axis, along in enumerate(unravel(tap, geometry.kernel_size)):
        shape = [1] * geometry.dims
        shape[axis] = -1
        start = np.arange(geometry.out_size[axis]) * geometry.stride[axis] - geometry.padding[axis][0]
        flat = flat * geometry.in_size[axis] + start.reshape(shape) + along * geometry.dilation[axis]
    return flat
