"""Normalisations in NumPy: over neighbouring channels (LRN) and over the batch.

The arithmetic is light, so the time goes to memory: each function walks over a few images at a time with temporaries
that stay in the cache, instead of over the whole batch once for every operation.

How sums are kept accurate. A float32 sum over 10 million numbers taken one by one would lose four of its seven digits.
Here each plane is summed pairwise in its own precision (NumPy does so along the contiguous axis, and its error grows
with the logarithm of the length only), and the planes' sums are added in float64.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.numpy_activation import relu_backward
from tinygrad_cnn.kernels.scratch import borrow

_BLOCK_BYTES = 512 << 10


def channel_sum(gy: Array) -> Array:
    """Sum over every axis but the channels': the gradient of a bias.

    Parameters
    ----------
    gy : ndarray, shape (n, c, ...)

    Returns
    -------
    ndarray, shape (c,)
    """
    if gy.size == gy.shape[1]:  # one number a channel, as a single image has behind a fully connected layer
        return gy.reshape(gy.size).copy()
    return _sum_of_planes(_planes(gy)).astype(gy.dtype)


def channel_moments(x: Array) -> tuple[Array, Array]:
    """Compute the mean and the biased variance of each channel.

    The variance is summed around the mean in a second pass, not as E[x^2] - E[x]^2, which would cancel where the mean
    is large; what rounding the mean to `x`'s dtype did to it is taken out again.

    Parameters
    ----------
    x : ndarray, shape (n, c, ...)
        At least one number a channel.

    Returns
    -------
    mean, var : ndarray, shape (c,)
        In `x`'s dtype.
    """
    planes = _planes(x)
    count = planes.shape[0] * planes.shape[2]
    mean = (_sum_of_planes(planes) / count).astype(x.dtype)
    total, squares = np.zeros(len(mean)), np.zeros(len(mean))
    for images in _blocks_of_images(planes):
        centred = borrow("centred", planes[images].shape, x.dtype)
        np.subtract(planes[images], mean[:, None], out=centred)
        total += _sum_of_planes(centred)
        centred *= centred
        squares += _sum_of_planes(centred)
    var = squares / count - (total / count) ** 2
    return mean, var.astype(x.dtype)


def batch_norm(
    x: Array, weight: Array | None, bias: Array | None, mean: Array, rstd: Array, relu: bool = False
) -> Array:
    """Compute y = (x - mean) * rstd * weight + bias with one number of each for a channel; at least 0 with `relu`.

    Parameters
    ----------
    x : ndarray, shape (n, c, ...)
    weight, bias : ndarray, shape (c,), optional
        1 and 0 if not given.
    mean, rstd : ndarray, shape (c,)
        The mean and 1 / sqrt(var + eps).
    relu : bool
        Rectify while the numbers are in the cache, y = max(0, ...). A NaN stays NaN.

    Returns
    -------
    ndarray, shape (n, c, ...)
    """
    y = np.empty(x.shape, x.dtype)
    planes, out = _planes(x), _planes(y)
    scale = (rstd if weight is None else rstd * weight)[:, None]
    for images in _blocks_of_images(planes):
        here = out[images]
        np.subtract(planes[images], mean[:, None], out=here)
        here *= scale
        if bias is not None:
            here += bias[:, None]
        if relu:
            np.maximum(here, 0, out=here)
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
    """Differentiate `batch_norm` where `mean` and `rstd` are those of `x` itself (training).

    With xhat = (x - mean) * rstd and m = n * h * w numbers a channel, every x moves the mean and the variance, and the
    three paths from x to y add up to

        gx = weight * rstd * (gy - sum(gy) / m - xhat * sum(gy * xhat) / m)

    Parameters
    ----------
    gy, x : ndarray, shape (n, c, ...)
    weight : ndarray, shape (c,), optional
    mean, rstd : ndarray, shape (c,)
    y : ndarray, shape (n, c, ...), optional
        The output of a `batch_norm` with `relu`: where it is 0, gy counts as 0.
    out : ndarray, optional
        Memory that may be used for gx: `gy` itself, where nobody needs it any more.

    Returns
    -------
    gx : ndarray, shape (n, c, ...)
    gweight : ndarray, shape (c,)
        sum(gy * xhat)
    gbias : ndarray, shape (c,)
        sum(gy)
    """
    planes, gy_planes, y_planes = _planes(x), _planes(gy), None if y is None else _planes(y)
    sum_gy, sum_gy_xhat = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for images in _blocks_of_images(planes):
        xhat = _xhat(planes[images], mean, rstd)
        gy_here = _gated(gy_planes, y_planes, images)
        sum_gy += _sum_of_planes(gy_here)
        xhat *= gy_here
        sum_gy_xhat += _sum_of_planes(xhat)
    gweight, gbias = sum_gy_xhat.astype(x.dtype), sum_gy.astype(x.dtype)
    count = max(1, planes.shape[0] * planes.shape[2])
    mean_gy, mean_gy_xhat = (sum_gy / count).astype(x.dtype), (sum_gy_xhat / count).astype(x.dtype)
    scale = rstd if weight is None else rstd * weight
    gx = out if out is gy and gy.flags.c_contiguous and gy.dtype == x.dtype else np.empty(x.shape, x.dtype)
    gx_planes = _planes(gx)
    for images in _blocks_of_images(planes):
        here = gx_planes[images]
        xhat = _xhat(planes[images], mean, rstd)
        xhat *= mean_gy_xhat[:, None]
        np.subtract(_gated(gy_planes, y_planes, images), mean_gy[:, None], out=here)
        here -= xhat
        here *= scale[:, None]
    return gx, gweight, gbias


def channel_window_sum(x: Array, before: int, after: int) -> Array:
    """Sum each channel with its neighbours: s[:, i] = x[:, i - before] + ... + x[:, i + after], cut off at the ends.

    Its adjoint is itself with `before` and `after` exchanged.

    Parameters
    ----------
    x : ndarray, shape (n, c, ...)
    before, after : int
        How many channels on each side.

    Returns
    -------
    ndarray, shape (n, c, ...)
    """
    s = np.empty(x.shape, x.dtype)
    planes, out = _planes(x), _planes(s)
    for images in _blocks_of_images(planes):
        _window_sum(planes[images], before, after, out[images])
    return s


def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float) -> tuple[Array, Array]:
    """Divide each number by a power of the energy of its neighbouring channels.

        d = k + alpha / size * window_sum(x^2)        y = x * d ** -beta

    Channel i's window is i - size // 2 to i + (size - 1) // 2; at the ends too, `alpha` is divided by the full `size`.

    Parameters
    ----------
    x : ndarray, shape (n, c, ...)
    size : int
    alpha, beta, k : float

    Returns
    -------
    y, d : ndarray, shape (n, c, ...)
        `d` is what the backward pass needs.
    """
    y, d = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    planes, y_planes, d_planes = _planes(x), _planes(y), _planes(d)
    for images in _blocks_of_images(planes):
        x_here, y_here, d_here = planes[images], y_planes[images], d_planes[images]
        np.multiply(x_here, x_here, out=y_here)
        _window_sum(y_here, size // 2, (size - 1) // 2, d_here)
        d_here *= alpha / size
        d_here += k
        np.power(d_here, -beta, out=y_here)
        y_here *= x_here
    return y, d


def local_response_norm_input_grad(gy: Array, x: Array, d: Array, size: int, alpha: float, beta: float) -> Array:
    """Differentiate `local_response_norm`.

    x[:, i] acts on y[:, i] directly, and through d on every channel j whose window it is in. Those j form the window
    mirrored: i - (size - 1) // 2 to i + size // 2. So

        gx = gy * d ** -beta - 2 * alpha * beta / size * x * mirrored_window_sum(gy * x * d ** (-beta - 1))

    Parameters
    ----------
    gy, x, d : ndarray, shape (n, c, ...)
        `d` as `local_response_norm` gave it.
    size : int
    alpha, beta : float

    Returns
    -------
    ndarray, shape (n, c, ...)
    """
    gx = np.empty(x.shape, x.dtype)
    planes, gy_planes, d_planes, out = _planes(x), _planes(gy), _planes(d), _planes(gx)
    for images in _blocks_of_images(planes):
        x_here, d_here, gx_here = planes[images], d_planes[images], out[images]
        direct = borrow("direct", x_here.shape, x.dtype)
        coupled = borrow("coupled", x_here.shape, x.dtype)
        np.power(d_here, -beta, out=direct)
        direct *= gy_planes[images]
        np.multiply(direct, x_here, out=coupled)
        coupled /= d_here
        _window_sum(coupled, (size - 1) // 2, size // 2, gx_here)
        gx_here *= x_here
        gx_here *= -2 * alpha * beta / size
        gx_here += direct
    return gx


def _window_sum(x: Array, before: int, after: int, out: Array) -> None:
    """Sum along axis 1 into `out`, one shift at a time: differences of cumulative sums would cancel."""
    out[...] = x
    channels = x.shape[1]
    for shift in range(1, min(before, channels - 1) + 1):
        out[:, shift:] += x[:, : channels - shift]
    for shift in range(1, min(after, channels - 1) + 1):
        out[:, : channels - shift] += x[:, shift:]


def _xhat(x: Array, mean: Array, rstd: Array) -> Array:
    """Normalise one block into scratch memory."""
    xhat = borrow("xhat", x.shape, x.dtype)
    np.subtract(x, mean[:, None], out=xhat)
    xhat *= rstd[:, None]
    return xhat


def _gated(gy: Array, y: Array | None, images: slice) -> Array:
    """Some images of gy, without what a rectifier shut."""
    return gy[images] if y is None else relu_backward(gy[images], y[images])


def _sum_of_planes(planes: Array) -> Array:
    """Sum (n, c, plane) to (c,), returned in float64: pairwise within a plane, in float64 over the batch."""
    of_each = planes.sum(axis=2)
    total: Array = of_each[0].astype(np.float64) if len(of_each) == 1 else of_each.sum(axis=0, dtype=np.float64)
    return total


def _planes(x: Array) -> Array:
    """Flatten whatever follows (n, c) to one axis: (n, c) itself becomes (n, c, 1)."""
    n, c = x.shape[:2]
    plane = 1
    for size in x.shape[2:]:
        plane *= size
    return x.reshape(n, c, plane)


def _blocks_of_images(planes: Array) -> Iterator[slice]:
    image_bytes = max(1, planes[:1].nbytes)
    at_once = max(1, _BLOCK_BYTES // image_bytes)
    for start in range(0, len(planes), at_once):
        yield slice(start, start + at_once)
