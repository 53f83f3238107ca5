"""Adaptive average pooling compiled by numba: each window read once, where NumPy goes over the planes for each output.

The windows are few and short, often 7 x 7 numbers or less, so what NumPy's time goes to are its calls. Here all windows of a
plane are summed while it is in the cache, and the planes are divided among the threads. Sums run in float64.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.kernels import numpy_adaptive
from tinygrad_cnn.kernels.arrays import Array, Indices
from tinygrad_cnn.kernels.numba_crew import grain_of, share, shared
from tinygrad_cnn.kernels.numba_pool import images

_MOST_AXES = 2


def adaptive_avg_pool(x: Array, out_size: tuple[int, ...]) -> Array:
    """Take the mean of each window: see `numpy_adaptive.adaptive_avg_pool`."""
    if len(out_size) > _MOST_AXES:
        return numpy_adaptive.adaptive_avg_pool(x, out_size)
    y = np.empty((*x.shape[:2], *out_size), x.dtype)
    x_images, y_images = images(x), images(y)
    rows, columns = _bounds(x_images, y_images)
    share(_adaptive_avg_pool, x_images, rows, columns, y_images, count=len(x_images), grain=_grain(x_images, y_images))
    return y


def adaptive_avg_pool_input_grad(gy: Array, in_size: tuple[int, ...]) -> Array:
    """Spread each window's gradient evenly over it: see `numpy_adaptive.adaptive_avg_pool_input_grad`."""
    if len(in_size) > _MOST_AXES:
        return numpy_adaptive.adaptive_avg_pool_input_grad(gy, in_size)
    gx = np.empty((*gy.shape[:2], *in_size), gy.dtype)
    gy_images, gx_images = images(gy), images(gx)
    rows, columns = _bounds(gx_images, gy_images)
    arguments = (gy_images, rows, columns, gx_images)
    share(_adaptive_avg_pool_input_grad, *arguments, count=len(gy_images), grain=_grain(gx_images, gy_images))
    return gx


@shared(fastmath={"reassoc"})
def _adaptive_avg_pool(x, rows, columns, y, slot, start, stop):  # type: ignore[no-untyped-def]
    for plane in range(start, stop):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                total = 0.0
                for row in range(rows[i, 0], rows[i, 1]):
                    for column in range(columns[j, 0], columns[j, 1]):
                        total += np.float64(x[plane, row, column])
                y[plane, i, j] = total / ((rows[i, 1] - rows[i, 0]) * (columns[j, 1] - columns[j, 0]))


@shared
def _adaptive_avg_pool_input_grad(gy, rows, columns, gx, slot, start, stop):  # type: ignore[no-untyped-def]
    for plane in range(start, stop):
        gx[plane, :, :] = 0
        for i in range(gy.shape[1]):
            for j in range(gy.shape[2]):
                numbers = (rows[i, 1] - rows[i, 0]) * (columns[j, 1] - columns[j, 0])
                share = gx.dtype.type(gy[plane, i, j] / numbers)
                for row in range(rows[i, 0], rows[i, 1]):
                    for column in range(columns[j, 0], columns[j, 1]):
                        gx[plane, row, column] += share


def _bounds(large: Array, small: Array) -> list[Indices]:
    """List, for each output along the height and along the width, the first of its inputs and the one behind its last."""
    return [
        np.array([(window.start, window.stop) for window in numpy_adaptive.windows(size, out)], np.int64).reshape(out, 2)
        for size, out in zip(large.shape[1:], small.shape[1:], strict=True)
    ]


def _grain(large: Array, small: Array) -> int:
    return grain_of(math.prod(large.shape[1:]) + math.prod(small.shape[1:]))
