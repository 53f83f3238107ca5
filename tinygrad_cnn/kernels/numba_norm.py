"""Normalisations compiled by numba: every number read once or twice, where NumPy goes over it once for each operation.

Work is divided by channels where a channel has sums, so that no sum goes across threads and none depends on their number; and
by planes or images elsewhere.

Sums over a channel run in float64, and in whichever order suits the processor ("reassoc"): a fixed order would make
each addition wait for the one before.

A power is the one thing that NumPy does faster, many at a time. Local response normalisation is therefore compiled for
beta = 0.75 alone, the value of every network that uses it: d ** 0.75 is sqrt(d) * sqrt(sqrt(d)).
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.kernels import numpy_norm
from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.numba_crew import grain_of, share, shared

_BETA = 0.75


def channel_sum(gy: Array) -> Array:
    """Sum over every axis but the channels': see `numpy_norm.channel_sum`."""
    total = np.empty(gy.shape[1])
    share(_channel_sum, _planes(gy), total, count=gy.shape[1], grain=_grain_of_channels(gy))
    return total.astype(gy.dtype)


def channel_moments(x: Array) -> tuple[Array, Array]:
    """Compute the mean and the biased variance of each channel: see `numpy_norm.channel_moments`."""
    mean, var = np.empty(x.shape[1]), np.empty(x.shape[1])
    share(_channel_moments, _planes(x), mean, var, count=x.shape[1], grain=_grain_of_channels(x, 2))
    return mean.astype(x.dtype), var.astype(x.dtype)


def batch_norm(x: Array, weight: Array | None, bias: Array | None, mean: Array, rstd: Array) -> Array:
    """Compute (x - mean) * rstd * weight + bias: see `numpy_norm.batch_norm`."""
    y = np.empty(x.shape, x.dtype)
    scale = rstd if weight is None else rstd * weight
    shift = np.zeros_like(mean) if bias is None else bias
    planes = _planes(x)
    grain = grain_of(2 * planes.shape[2])
    share(_batch_norm, planes, mean, scale, shift, _planes(y), count=x.shape[0] * x.shape[1], grain=grain)
    return y


def batch_norm_input_grad(gy: Array, x: Array, weight: Array | None, mean: Array, rstd: Array) -> tuple[Array, Array, Array]:
    """Differentiate `batch_norm` in training: see `numpy_norm.batch_norm_input_grad`."""
    gx = np.empty(x.shape, x.dtype)
    gweight, gbias = np.empty(x.shape[1]), np.empty(x.shape[1])
    scale = rstd if weight is None else rstd * weight
    arrays = (_planes(gy), _planes(x), mean, rstd, scale, _planes(gx), gweight, gbias)
    share(_batch_norm_input_grad, *arrays, count=x.shape[1], grain=_grain_of_channels(x, 5))
    return gx, gweight.astype(x.dtype), gbias.astype(x.dtype)


def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float) -> tuple[Array, Array]:
    """Divide each number by a power of its neighbours' energy: see `numpy_norm.local_response_norm`."""
    if beta != _BETA:
        return numpy_norm.local_response_norm(x, size, alpha, beta, k)
    y, d = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    window = (size // 2, (size - 1) // 2, alpha / size, float(k))
    arguments = (_planes(x), *window, _planes(y), _planes(d))
    share(_local_response_norm, *arguments, count=x.shape[0], grain=_grain_of_images(x, size))
    return y, d


def local_response_norm_input_grad(gy: Array, x: Array, d: Array, size: int, alpha: float, beta: float) -> Array:
    """Differentiate `local_response_norm`: see `numpy_norm.local_response_norm_input_grad`."""
    if beta != _BETA:
        return numpy_norm.local_response_norm_input_grad(gy, x, d, size, alpha, beta)
    gx = np.empty(x.shape, x.dtype)
    window = ((size - 1) // 2, size // 2, 2 * alpha * beta / size)
    arguments = (_planes(gy), _planes(x), _planes(d), *window, _planes(gx))
    share(_local_response_norm_input_grad, *arguments, count=x.shape[0], grain=_grain_of_images(x, 2 * size))
    return gx


@shared(fastmath={"reassoc"})
def _channel_sum(gy, total, slot, start, stop):  # type: ignore[no-untyped-def]
    for c in range(start, stop):
        of_channel = 0.0
        for n in range(gy.shape[0]):
            for i in range(gy.shape[2]):
                of_channel += np.float64(gy[n, c, i])
        total[c] = of_channel


@shared(fastmath={"reassoc", "contract"})
def _channel_moments(x, mean, var, slot, start, stop):  # type: ignore[no-untyped-def]
    count = x.shape[0] * x.shape[2]
    for c in range(start, stop):
        total = 0.0
        for n in range(x.shape[0]):
            for i in range(x.shape[2]):
                total += np.float64(x[n, c, i])
        centre = total / count
        squares = 0.0
        for n in range(x.shape[0]):
            for i in range(x.shape[2]):
                centred = np.float64(x[n, c, i]) - centre
                squares += centred * centred
        mean[c], var[c] = centre, squares / count


@shared(fastmath={"contract"})
def _batch_norm(x, mean, scale, shift, y, slot, start, stop):  # type: ignore[no-untyped-def]
    for plane in range(start, stop):
        n, c = plane // x.shape[1], plane % x.shape[1]
        for i in range(x.shape[2]):
            y[n, c, i] = (x[n, c, i] - mean[c]) * scale[c] + shift[c]


@shared(fastmath={"reassoc", "contract"})
def _batch_norm_input_grad(gy, x, mean, rstd, scale, gx, gweight, gbias, slot, start, stop):  # type: ignore[no-untyped-def]
    count = x.shape[0] * x.shape[2]
    for c in range(start, stop):
        centre, r = mean[c], rstd[c]
        sum_gy, sum_gy_xhat = 0.0, 0.0
        for n in range(x.shape[0]):
            for i in range(x.shape[2]):
                sum_gy += np.float64(gy[n, c, i])
                sum_gy_xhat += np.float64(gy[n, c, i] * ((x[n, c, i] - centre) * r))
        gweight[c], gbias[c] = sum_gy_xhat, sum_gy
        mean_gy, mean_gy_xhat = x.dtype.type(sum_gy / count), x.dtype.type(sum_gy_xhat / count)
        for n in range(x.shape[0]):
            for i in range(x.shape[2]):
                xhat = (x[n, c, i] - centre) * r
                gx[n, c, i] = scale[c] * (gy[n, c, i] - mean_gy - xhat * mean_gy_xhat)


@shared(fastmath={"contract"})
def _local_response_norm(x, before, after, alpha, k, y, d, slot, start, stop):  # type: ignore[no-untyped-def]
    _, channels, plane = x.shape
    for n in range(start, stop):
        for c in range(channels):
            energy = np.zeros(plane, x.dtype)
            for j in range(max(0, c - before), min(channels, c + after + 1)):
                for i in range(plane):
                    energy[i] += x[n, j, i] * x[n, j, i]
            for i in range(plane):
                d[n, c, i] = k + alpha * energy[i]
                root = np.sqrt(d[n, c, i])
                y[n, c, i] = x[n, c, i] / (root * np.sqrt(root))


@shared(fastmath={"contract"})
def _local_response_norm_input_grad(gy, x, d, before, after, coefficient, gx, slot, start, stop):  # type: ignore[no-untyped-def]
    _, channels, plane = x.shape
    coupling = np.empty((channels, plane), x.dtype)  # gy * x * d ** (-beta - 1)
    for n in range(start, stop):
        for c in range(channels):
            for i in range(plane):
                root = np.sqrt(d[n, c, i])
                gx[n, c, i] = gy[n, c, i] / (root * np.sqrt(root))
                coupling[c, i] = gx[n, c, i] * x[n, c, i] / d[n, c, i]
        for c in range(channels):
            total = np.zeros(plane, x.dtype)
            for j in range(max(0, c - before), min(channels, c + after + 1)):
                for i in range(plane):
                    total[i] += coupling[j, i]
            for i in range(plane):
                gx[n, c, i] -= coefficient * x[n, c, i] * total[i]


def _planes(x: Array) -> Array:
    """See (n, c, ...) as (n, c, plane)."""
    return np.ascontiguousarray(x).reshape(*x.shape[:2], math.prod(x.shape[2:]))


def _grain_of_channels(x: Array, passes: int = 1) -> int:
    return grain_of(passes * x.size // max(1, x.shape[1]))


def _grain_of_images(x: Array, passes: int) -> int:
    return grain_of(passes * x.size // max(1, x.shape[0]))
