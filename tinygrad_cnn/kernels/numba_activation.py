"""Activations compiled by numba.

The rectifier, whose gradient takes NumPy three passes over memory and a compiled loop one; and the error function, the C
library's, called from a compiled loop five times faster than from Python's.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.numba_crew import grain_of, share, shared

_NUMBERS_OF_AN_ERF = 60
"""One takes as long as this many numbers read in order."""


def relu(x: Array) -> Array:
    """Compute max(x, 0): see `numpy_activation.relu`."""
    y = np.empty(x.shape, x.dtype)
    share(_relu, x.ravel(), y.reshape(-1), count=x.size, grain=grain_of(2))
    return y


def relu_backward(gy: Array, y: Array, out: Array | None = None) -> Array:
    """Compute gx = gy where relu's output is not 0, and 0 where it is: see `numpy_activation.relu_backward`."""
    if out is gy and gy.flags.c_contiguous:
        share(_shut, gy.reshape(-1), y.ravel(), count=y.size, grain=grain_of(2))
        return gy
    gx = np.empty(y.shape, gy.dtype)
    share(_relu_backward, gy.ravel(), y.ravel(), gx.reshape(-1), count=y.size, grain=grain_of(3))
    return gx


def erf(x: Array) -> Array:
    """Compute the error function: see `numpy_activation.erf`."""
    y = np.empty(x.shape, x.dtype)
    share(_erf, x.ravel(), y.reshape(-1), count=x.size, grain=grain_of(_NUMBERS_OF_AN_ERF))
    return y


def erfc(x: Array) -> Array:
    """Compute 1 - erf(x) without cancellation: see `numpy_activation.erfc`."""
    y = np.empty(x.shape, x.dtype)
    share(_erfc, x.ravel(), y.reshape(-1), count=x.size, grain=grain_of(_NUMBERS_OF_AN_ERF))
    return y


@shared
def _relu(x, y, slot, start, stop):  # type: ignore[no-untyped-def]
    x, y = x[start:stop], y[start:stop]
    for i in range(len(x)):
        y[i] = x.dtype.type(0) if x[i] <= 0 else x[i]  # what is not comparable, NaN, stays


@shared
def _relu_backward(gy, y, gx, slot, start, stop):  # type: ignore[no-untyped-def]
    gy, y, gx = gy[start:stop], y[start:stop], gx[start:stop]
    for i in range(len(y)):
        gx[i] = gy.dtype.type(0) if y[i] <= 0 else gy[i]


@shared
def _shut(g, y, slot, start, stop):  # type: ignore[no-untyped-def]
    g, y = g[start:stop], y[start:stop]
    for i in range(len(y)):
        g[i] = g.dtype.type(0) if y[i] <= 0 else g[i]


@shared
def _erf(x, y, slot, start, stop):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        y[i] = math.erf(np.float64(x[i]))


@shared
def _erfc(x, y, slot, start, stop):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        y[i] = math.erfc(np.float64(x[i]))
