"""Optimizer steps compiled by numba: every number of a parameter read once and written once.

A step is a handful of operations on arrays as large as the whole network. NumPy goes over memory once for each (AlexNet's 61
million parameters: 240 MB each time), and none of these passes does more arithmetic than one multiplication. Here a
number's gradient, velocity and new value are computed while it is in a register.

The operations are NumPy's, in the same order and each rounded, so that the results are the same bits.
"""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.numba_crew import grain_of, share, shared


def sgd_step(
    parameter: Array,
    gradient: Array,
    velocity: Array | None,
    *,
    lr: float,
    momentum: float,
    undamped: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """Update `parameter` and `velocity` in place as `optim.SGD` says.

    Parameters
    ----------
    parameter, gradient : ndarray, C-contiguous
    velocity : ndarray, C-contiguous, or None without momentum
    lr, momentum, weight_decay : float
    undamped : float
        What of the gradient enters the velocity: 1 - dampening, and 1 in the first step.
    nesterov, maximize : bool
    """
    w, g = parameter.reshape(-1), gradient.reshape(-1)
    v = np.empty(0, w.dtype) if velocity is None else velocity.reshape(-1)
    factors = _rounded(w.dtype, lr, momentum, undamped, weight_decay)
    flags = (velocity is not None, nesterov, maximize)
    share(_sgd, w, g, v, *factors, *flags, count=w.size, grain=grain_of(3 if velocity is None else 5))


def adam_step(
    parameter: Array,
    gradient: Array,
    first: Array,
    second: Array,
    largest: Array | None,
    *,
    rate: float,
    beta1: float,
    beta2: float,
    correction: float,
    eps: float,
    weight_decay: float,
    keep: float,
    maximize: bool,
) -> None:
    """Update `parameter` and the moments in place as `optim.Adam` says.

    Parameters
    ----------
    parameter, gradient, first, second : ndarray, C-contiguous
    largest : ndarray, C-contiguous, or None without amsgrad
    rate : float
        lr / (1 - beta1^t)
    beta1, beta2, eps, weight_decay : float
    correction : float
        sqrt(1 - beta2^t)
    keep : float
        What is left of the parameter after a decay apart from the gradient: 1 - lr weight_decay, or 1.
    maximize : bool
    """
    w, g, m, v = (array.reshape(-1) for array in (parameter, gradient, first, second))
    top = np.empty(0, w.dtype) if largest is None else largest.reshape(-1)
    factors = _rounded(w.dtype, rate, 1 - beta1, beta2, 1 - beta2, correction, eps, weight_decay, keep)
    flags = (largest is not None, maximize)
    share(_adam, w, g, m, v, top, *factors, *flags, count=w.size, grain=grain_of(10))


@shared
def _sgd(  # type: ignore[no-untyped-def]
    w, g, v, lr, momentum, undamped, weight_decay, has_velocity, nesterov, maximize, slot, start, stop
):
    w, g, v = w[start:stop], g[start:stop], v[start:stop]
    for i in range(len(w)):
        down = -g[i] if maximize else g[i]
        if weight_decay != 0:
            down = w[i] * weight_decay + down
        if has_velocity:
            v[i] = v[i] * momentum + down * undamped
            down = v[i] * momentum + down if nesterov else v[i]
        w[i] -= down * lr


@shared
def _adam(  # type: ignore[no-untyped-def]
    w, g, m, v, top, rate, enter1, beta2, enter2, correction, eps, weight_decay, keep, has_top, maximize, slot, start,
    stop,
):  # fmt: skip
    w, g, m, v, top = w[start:stop], g[start:stop], m[start:stop], v[start:stop], top[start:stop]
    for i in range(len(w)):
        w[i] *= keep
        down = -g[i] if maximize else g[i]
        if weight_decay != 0:
            down = w[i] * weight_decay + down
        m[i] += (down - m[i]) * enter1
        v[i] = v[i] * beta2 + down * down * enter2
        size = v[i]
        if has_top:
            top[i] = size if size > top[i] or size != size else top[i]
            size = top[i]
        w[i] -= m[i] / (np.sqrt(size) / correction + eps) * rate


def _rounded(dtype: np.dtype, *factors: float) -> tuple[Array, ...]:
    """Round to the dtype of the arrays, as NumPy does with a Python number beside an array."""
    return tuple(dtype.type(factor) for factor in factors)
