"""Activations compiled by numba.

The rectifier, whose gradient takes NumPy three passes over memory and a compiled loop one; and the error function, the C
library's, called from a compiled loop five times faster than from Python's.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.numba_compile import compiled
from tinygrad_cnn.kernels.parallel import each_part, grain_of

_NUMBERS_OF_AN_ERF = 60
"""One takes as long as this many numbers read in order."""


def relu(x: Array) -> Array:
    """Compute max(x, 0): see `numpy_activation.relu`."""
    y = np.empty(x.shape, x.dtype)
    flat_x, flat_y = x.ravel(), y.reshape(-1)
    each_part(x.size, lambda start, stop: _relu(flat_x[start:stop], flat_y[start:stop]), grain=grain_of(2))
    return y


def relu_backward(gy: Array, y: Array) -> Array:
    """Compute gx = gy where relu's output is not 0, and 0 where it is: see `numpy_activation.relu_backward`."""
    gx = np.empty(y.shape, gy.dtype)
    flat_gy, flat_y, flat_gx = gy.ravel(), y.ravel(), gx.reshape(-1)

    def work(start: int, stop: int) -> None:
        _relu_backward(flat_gy[start:stop], flat_y[start:stop], flat_gx[start:stop])

    each_part(y.size, work, grain=grain_of(3))
    return gx


def erf(x: Array) -> Array:
    """Compute the error function: see `numpy_activation.erf`."""
    y = np.empty(x.shape, x.dtype)
    flat_x, flat_y = x.ravel(), y.reshape(-1)
    each_part(x.size, lambda start, stop: _erf(flat_x[start:stop], flat_y[start:stop]), grain=grain_of(_NUMBERS_OF_AN_ERF))
    return y


def erfc(x: Array) -> Array:
    """Compute 1 - erf(x) without cancellation: see `numpy_activation.erfc`."""
    y = np.empty(x.shape, x.dtype)
    flat_x, flat_y = x.ravel(), y.reshape(-1)
    each_part(x.size, lambda start, stop: _erfc(flat_x[start:stop], flat_y[start:stop]), grain=grain_of(_NUMBERS_OF_AN_ERF))
    return y


@compiled
def _relu(x: Array, y: Array) -> None:
    for i in range(len(x)):
        y[i] = x.dtype.type(0) if x[i] <= 0 else x[i]  # what is not comparable, NaN, stays


@compiled
def _relu_backward(gy: Array, y: Array, gx: Array) -> None:
    for i in range(len(y)):
        gx[i] = gy.dtype.type(0) if y[i] <= 0 else gy[i]


@compiled
def _erf(x: Array, y: Array) -> None:
    for i in range(len(x)):
        y[i] = math.erf(np.float64(x[i]))


@compiled
def _erfc(x: Array, y: Array) -> None:
    for i in range(len(x)):
        y[i] = math.erfc(np.float64(x[i]))
