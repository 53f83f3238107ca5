"""Adaptive pooling in NumPy: windows that are chosen so that any input gives an output of the size asked for.

Along one axis, output i of `out` takes the inputs from floor(i * size / out) up to, but without,
ceil((i + 1) * size / out). The windows cover the axis, and their lengths differ by at most one; where `out` does not
divide `size`, neighbours may share an input.

Means separate: the mean over a window is the mean along the height of the means along the width.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from .arrays import Array, Indices, unravel
from .numpy_reduce import accurate_sum

Sizes = tuple[int, ...]


def adaptive_avg_pool(x: Array, out_size: Sizes) -> Array:
    """Take the mean of each window.

    Parameters
    ----------
    x : ndarray, shape (n, c, *in_size)
    out_size : tuple of int

    Returns
    -------
    ndarray, shape (n, c, *out_size)
    """
    if set(out_size) == {1}:  # the whole plane is one window: one sum, several times as fast as one for each axis
        total = accurate_sum(x, tuple(range(2, x.ndim)), keepdims=True)
        return np.ascontiguousarray(total / x.dtype.type(math.prod(x.shape[2:])))
    y = x
    for axis in reversed(range(2, x.ndim)):
        shape = list(y.shape)
        shape[axis] = out_size[axis - 2]
        means = np.empty(shape, x.dtype)
        for i, window in enumerate(windows(y.shape[axis], shape[axis])):
            means[_at(axis, i)] = accurate_sum(y[_at(axis, window)], (axis,)) / (window.stop - window.start)
        y = means
    return y


def adaptive_avg_pool_input_grad(gy: Array, in_size: Sizes) -> Array:
    """Spread each window's gradient evenly over it: the gradient of `adaptive_avg_pool`, and its adjoint.

    Parameters
    ----------
    gy : ndarray, shape (n, c, *out_size)
    in_size : tuple of int

    Returns
    -------
    ndarray, shape (n, c, *in_size)
    """
    gx = gy
    for axis in range(2, gy.ndim):
        shape = list(gx.shape)
        shape[axis] = in_size[axis - 2]
        spread = np.zeros(shape, gy.dtype)
        for i, window in enumerate(windows(shape[axis], gx.shape[axis])):
            spread[_at(axis, window)] += gx[_at(axis, slice(i, i + 1))] / (window.stop - window.start)
        gx = spread
    return gx


def adaptive_max_pool(x: Array, out_size: Sizes) -> tuple[Array, Indices]:
    """Take the maximum of each window, and where it is: the first of equal ones, a NaN above all.

    Parameters
    ----------
    x : ndarray, shape (n, c, *in_size)
    out_size : tuple of int

    Returns
    -------
    y : ndarray, shape (n, c, *out_size)
    indices : ndarray of int64, shape (n, c, *out_size)
        Flat positions in the plane.
    """
    in_size = x.shape[2:]
    y = np.empty((*x.shape[:2], *out_size), x.dtype)
    indices = np.empty(y.shape, np.int64)
    along = [windows(size, out) for size, out in zip(in_size, out_size, strict=True)]
    for output, chosen in zip(np.ndindex(*out_size), product(*along), strict=True):
        inside = x[:, :, *chosen]
        flat = inside.reshape(*x.shape[:2], math.prod(inside.shape[2:]))
        best = flat.argmax(axis=2)  # the first of equal ones, and of NaNs
        y[:, :, *output] = np.take_along_axis(flat, best[:, :, None], axis=2)[:, :, 0]
        position = np.zeros(best.shape, np.int64)
        for window, place, size in zip(chosen, unravel(best, inside.shape[2:]), in_size, strict=True):
            position = position * size + window.start + place
        indices[:, :, *output] = position
    return y, indices


def windows(size: int, out: int) -> list[slice]:
    """List the inputs of each output along one axis."""
    return [slice(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]


def _at(axis: int, where: int | slice) -> tuple[int | slice, ...]:
    """Index one axis of an array."""
    return (slice(None),) * axis + (where,)
