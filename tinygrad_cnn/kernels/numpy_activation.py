"""Activations in NumPy: whole-array formulas, arranged so that no input overflows.

A formula that is right on paper may not be in floating point: 1 / (1 + exp(-x)) overflows at x = -1000, and
log(exp(x) / sum(exp(x))) is log(0) there. Each function below says how it avoids that.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.kernels.arrays import Array


def sigmoid(x: Array) -> Array:
    """Compute 1 / (1 + exp(-x)) with every exponent at most 0.

    With e = exp(-abs(x)), it is 1 / (1 + e) where x >= 0, and e / (1 + e) elsewhere: small results keep all their
    digits. As e <= 1, the numerator is max(e, x >= 0), which needs no branch: `np.where` on a random mask is ten times
    slower, since the processor guesses the side it will take.
    """
    e = np.abs(x, out=_like(x))
    np.negative(e, out=e)
    np.exp(e, out=e)
    y = np.maximum(e, x >= 0, out=_like(x))
    e += 1
    y /= e
    return y


def sigmoid_backward(gy: Array, y: Array) -> Array:
    """Compute gx = gy * y * (1 - y) from sigmoid's output."""
    gx = np.subtract(1, y, out=_like(y))
    gx *= y
    gx *= gy
    return gx


def tanh_backward(gy: Array, y: Array) -> Array:
    """Compute gx = gy * (1 - y ** 2) from tanh's output, as (1 - y) * (1 + y): exact near y = +-1."""
    gx = np.subtract(1, y, out=_like(y))
    gx *= 1 + y
    gx *= gy
    return gx


def relu(x: Array) -> Array:
    """Compute max(x, 0). A NaN stays NaN."""
    return np.maximum(x, 0, out=_like(x))


def relu_backward(gy: Array, y: Array, out: Array | None = None) -> Array:
    """Compute gx = gy where relu's output is not 0, and 0 where it is: the derivative at the kink is 0.

    `out` is memory that may be used for gx, `gy` itself; NumPy would need more memory for that, not less, and leaves it.

    Written on the bits, (0 or all ones) & gy: `gy * (y > 0)` would make NaN of an infinite gy at a dead unit, and
    `np.where` is ten times slower on a random mask.
    """
    gx = _like(gy)
    keep = gx.view(f"i{gy.itemsize}")
    np.less_equal(y, 0, out=keep)
    keep -= 1  # 1 -> 0, and 0 -> -1, which is all ones
    keep &= gy.view(keep.dtype)
    return gx


def erf(x: Array) -> Array:
    """Compute the error function, 2 / sqrt(pi) times the integral of exp(-t ** 2) from 0 to x.

    NumPy has none. Python's is the C library's, exact to one unit in the last place; calling it for every number takes as
    long (60 ns) as a rational approximation in NumPy, whose dozens of passes each go through memory, and is more exact.
    """
    return np.fromiter(map(math.erf, x.ravel().tolist()), x.dtype, x.size).reshape(x.shape)


def erfc(x: Array) -> Array:
    """Compute 1 - erf(x), which keeps its digits where erf(x) is nearly 1: erfc(10) is 2.1e-45, and 1 - erf(10) is 0."""
    return np.fromiter(map(math.erfc, x.ravel().tolist()), x.dtype, x.size).reshape(x.shape)


def log_softmax(x: Array, axis: int) -> Array:
    """Compute x - log(sum(exp(x))) along `axis`, with the maximum taken out first.

    Subtracting the maximum from every x changes nothing on paper and makes the largest exponent 0. An entry of -inf has
    probability 0 and stays -inf. A row of nothing but -inf is no distribution: it becomes NaN, without a warning.
    """
    y = _like(x)
    if x.size:
        with np.errstate(invalid="ignore"):  # -inf - -inf
            np.subtract(x, x.max(axis=axis, keepdims=True), out=y)
            y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return y


def log_softmax_backward(gy: Array, y: Array, axis: int) -> Array:
    """Compute gx = gy - exp(y) * sum(gy) from log_softmax's output."""
    gx = np.exp(y, out=_like(y))
    gx *= gy.sum(axis=axis, keepdims=True)
    return np.subtract(gy, gx, out=gx)


def _like(x: Array) -> Array:
    """Make room for a result: C-contiguous whatever the strides of `x`, and an array even for no axes."""
    return np.empty(x.shape, x.dtype)
