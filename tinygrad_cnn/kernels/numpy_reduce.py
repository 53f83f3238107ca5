"""Sums in NumPy that stay accurate over large arrays, and the sum that undoes a broadcast.

NumPy adds pairwise only along the fastest axis; over any other it adds one number after the other, and in float32 the
error then grows with the count (a bias gradient sums 64 * 112 * 112 numbers). So float32 accumulates in float64.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Below this many terms the rounding of a plain float32 sum is a few units in the last place.
_FEW = 64


def accurate_sum(x: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array:
    """Sum over axes, accumulated in float64, in the dtype of `x` (integers and booleans: int64).

    Parameters
    ----------
    x : ndarray
    axes : tuple of int
    keepdims : bool
        Leave the summed axes with size 1.

    Returns
    -------
    ndarray
    """
    if x.dtype != np.float32 and x.dtype != np.float16:
        return np.asarray(np.sum(x, axis=axes, keepdims=keepdims))
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    if count <= _FEW and x.dtype == np.float32:
        return np.asarray(np.sum(x, axis=axes, keepdims=keepdims))
    return np.asarray(np.sum(x, axis=axes, dtype=np.float64, keepdims=keepdims)).astype(x.dtype)


def sum_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Sum `x` down to `shape`, over every axis that a broadcast from `shape` has stretched.

    Parameters
    ----------
    x : ndarray
    shape : tuple of int
        Broadcasts to ``x.shape``.

    Returns
    -------
    ndarray, shape `shape`
    """
    if x.shape == shape:
        return x
    return accurate_sum(x, stretched_axes(x.shape, shape), keepdims=True).reshape(shape)


def stretched_axes(to_shape: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of `to_shape` that a broadcast from `shape` has added or stretched.

    Examples
    --------
    >>> stretched_axes((2, 3, 4), (3, 1))
    (0, 2)
    """
    added = len(to_shape) - len(shape)
    return tuple(
        axis for axis, size in enumerate(to_shape) if axis < added or (shape[axis - added] == 1 and size != 1)
    )
