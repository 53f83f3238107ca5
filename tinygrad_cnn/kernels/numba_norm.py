"""Normalisations compiled by numba: every number read once or twice, where NumPy goes over it once for each operation.

Work is divided by channels where a channel has sums, so that no sum goes across threads and none depends on their number; and
by planes or images elsewhere.

Sums over a channel are taken run by run: at most `_RUN` numbers in their own precision, in whichever order suits the processor
("reassoc": a fixed order would make each addition wait for the one before), and the sums of the runs in float64. A register
holds eight float32 and four float64, which saves up to half the time where the numbers are in the cache. A run is added in
several lanes of a register, so that a number goes through some hundred float32 additions at most, however large the channel;
what a run adds up to has to fit into float32.

A channel of (n, c) is a column. A row is what lies together in memory, and from `_LONG_ROW` channels on NumPy, which adds and
scales whole rows, is faster.

A power is the one thing that NumPy does faster, many at a time. Local response normalisation is therefore compiled for
beta = 0.75 alone, the value of every network that uses it: d ** 0.75 is sqrt(d) * sqrt(sqrt(d)).
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.kernels import numpy_norm
from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.numba_compile import inner
from tinygrad_cnn.kernels.numba_crew import grain_of, share, shared

_BETA = 0.75

_RUN = 1024
"""Numbers of a plane that are added in their own precision."""

_LONG_ROW = 32
"""Channels of (n, c) from which NumPy's sums over the rows are faster; it writes rows faster whatever their length."""


def channel_sum(gy: Array) -> Array:
    """Sum over every axis but the channels': see `numpy_norm.channel_sum`."""
    if _are_rows(gy):
        return numpy_norm.channel_sum(gy)
    total = np.empty(gy.shape[1])
    share(_channel_sum, _planes(gy), total, count=gy.shape[1], grain=_grain_of_channels(gy))
    return total.astype(gy.dtype)


def channel_moments(x: Array) -> tuple[Array, Array]:
    """Compute the mean and the biased variance of each channel: see `numpy_norm.channel_moments`."""
    if _are_rows(x):
        return numpy_norm.channel_moments(x)
    mean, var = np.empty(x.shape[1]), np.empty(x.shape[1])
    share(_channel_moments, _planes(x), mean, var, count=x.shape[1], grain=_grain_of_channels(x, 2))
    return mean.astype(x.dtype), var.astype(x.dtype)


def batch_norm(
    x: Array, weight: Array | None, bias: Array | None, mean: Array, rstd: Array, relu: bool = False
) -> Array:
    """Compute (x - mean) * rstd * weight + bias: see `numpy_norm.batch_norm`."""
    if _are_rows(x, 1):
        return numpy_norm.batch_norm(x, weight, bias, mean, rstd, relu)
    y = np.empty(x.shape, x.dtype)
    scale = rstd if weight is None else rstd * weight
    shift = np.zeros_like(mean) if bias is None else bias
    planes = _planes(x)
    grain = grain_of(2 * planes.shape[2])
    share(_batch_norm, planes, mean, scale, shift, relu, _planes(y), count=x.shape[0] * x.shape[1], grain=grain)
    return y


def batch_norm_input_grad(
    gy: Array,
    x: Array,
    weight: Array | None,
    mean: Array,
    rstd: Array,
    y: Array | None = None,
    out: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Differentiate `batch_norm` in training: see `numpy_norm.batch_norm_input_grad`."""
    if _are_rows(x):
        return numpy_norm.batch_norm_input_grad(gy, x, weight, mean, rstd, y, out)
    in_place = out is gy and gy.flags.c_contiguous and gy.dtype == x.dtype
    gx = gy if in_place else np.empty(x.shape, x.dtype)
    gweight, gbias = np.empty(x.shape[1]), np.empty(x.shape[1])
    scale = rstd if weight is None else rstd * weight
    ys, gxs = None if y is None else _planes(y), None if in_place else _planes(gx)
    arrays = (_planes(gy), ys, _planes(x), mean, rstd, scale, gxs, gweight, gbias)
    share(_batch_norm_input_grad, *arrays, count=x.shape[1], grain=_grain_of_channels(x, 5 if y is None else 7))
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


@inner(fastmath={"reassoc"})
def _sum_of_run(x):  # type: ignore[no-untyped-def]
    total = x.dtype.type(0)
    for i in range(len(x)):
        total += x[i]
    return np.float64(total)


@inner(fastmath={"reassoc", "contract"})
def _moments_of_run(x, centre):  # type: ignore[no-untyped-def]
    """Sum the distances from a centre, and their squares."""
    total, squares = x.dtype.type(0), x.dtype.type(0)
    for i in range(len(x)):
        centred = x[i] - centre
        total += centred
        squares += centred * centred
    return np.float64(total), np.float64(squares)


@inner(fastmath={"reassoc", "contract"})
def _gradient_sums_of_run(gy, y, x, centre, r):  # type: ignore[no-untyped-def]
    """Sum gy, and gy times xhat."""
    sum_gy, sum_gy_xhat = x.dtype.type(0), x.dtype.type(0)
    for i in range(len(x)):
        g = gy[i]
        if y is not None and y[i] <= 0:
            g = gy.dtype.type(0)
        sum_gy += g
        sum_gy_xhat += g * ((x[i] - centre) * r)
    return np.float64(sum_gy), np.float64(sum_gy_xhat)


@inner
def _sum_of_channel(x, c):  # type: ignore[no-untyped-def]
    total = 0.0
    for n in range(x.shape[0]):
        for i in range(0, x.shape[2], _RUN):
            total += _sum_of_run(x[n, c, i : i + _RUN])
    return total


@shared
def _channel_sum(gy, total, slot, start, stop):  # type: ignore[no-untyped-def]
    for c in range(start, stop):
        total[c] = _sum_of_channel(gy, c)


@shared
def _channel_moments(x, mean, var, slot, start, stop):  # type: ignore[no-untyped-def]
    count = x.shape[0] * x.shape[2]
    for c in range(start, stop):
        centre = x.dtype.type(_sum_of_channel(x, c) / count)
        off, squares = 0.0, 0.0
        for n in range(x.shape[0]):
            for i in range(0, x.shape[2], _RUN):
                of_run = _moments_of_run(x[n, c, i : i + _RUN], centre)
                off += of_run[0]
                squares += of_run[1]
        # The centre is the mean, rounded: sum (x - mean)^2 = sum (x - centre)^2 - count (mean - centre)^2.
        off /= count
        mean[c], var[c] = centre + off, squares / count - off * off


@shared(fastmath={"contract"})
def _batch_norm(x, mean, scale, shift, relu, y, slot, start, stop):  # type: ignore[no-untyped-def]
    for plane in range(start, stop):
        n, c = plane // x.shape[1], plane % x.shape[1]
        for i in range(x.shape[2]):
            value = (x[n, c, i] - mean[c]) * scale[c] + shift[c]
            y[n, c, i] = x.dtype.type(0) if relu and value <= 0 else value


@shared(fastmath={"contract"})
def _batch_norm_input_grad(gy, y, x, mean, rstd, scale, gx, gweight, gbias, slot, start, stop):  # type: ignore[no-untyped-def]
    count = x.shape[0] * x.shape[2]
    for c in range(start, stop):
        centre, r = mean[c], rstd[c]
        sum_gy, sum_gy_xhat = 0.0, 0.0
        for n in range(x.shape[0]):
            for i in range(0, x.shape[2], _RUN):
                run = slice(i, i + _RUN)
                of_run = _gradient_sums_of_run(gy[n, c, run], None if y is None else y[n, c, run], x[n, c, run], centre, r)
                sum_gy += of_run[0]
                sum_gy_xhat += of_run[1]
        gweight[c], gbias[c] = sum_gy_xhat, sum_gy
        mean_gy, mean_gy_xhat = x.dtype.type(sum_gy / count), x.dtype.type(sum_gy_xhat / count)
        for n in range(x.shape[0]):
            for i in range(x.shape[2]):
                g = gy[n, c, i]
                if y is not None and y[n, c, i] <= 0:
                    g = gy.dtype.type(0)
                xhat = (x[n, c, i] - centre) * r
                g = scale[c] * (g - mean_gy - xhat * mean_gy_xhat)
                # The compiler has to see that both are one array: of two that overlap it takes number by number.
                if gx is None:
                    gy[n, c, i] = g
                else:
                    gx[n, c, i] = g


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


def _are_rows(x: Array, at_least: int = _LONG_ROW) -> bool:
    """Whether a channel is one number in each sample, (n, c), and a row long enough."""
    return x.shape[1] >= at_least and x.size == x.shape[0] * x.shape[1]


def _grain_of_channels(x: Array, passes: int = 1) -> int:
    return grain_of(passes * x.size // max(1, x.shape[1]))


def _grain_of_images(x: Array, passes: int) -> int:
    return grain_of(passes * x.size // max(1, x.shape[0]))
