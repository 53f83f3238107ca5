"""The loop of `warp`, compiled by numba: the same operations as `warp._sample`, in one pass over the pixels."""

from __future__ import annotations

import numpy as np

from ...kernels.numba_compile import compiled
from .base import Images


def sample(framed: Images, y: Images, x: Images) -> Images:
    """Read framed images at the coordinates (n, oh, ow): see `warp._sample`."""
    result = np.empty((*framed.shape[:2], *y.shape[1:]), framed.dtype)
    _sample(framed, y, x, result)
    return result


@compiled
def _sample(framed, y, x, result):  # type: ignore[no-untyped-def]
    number = framed.dtype.type
    one = number(1)
    images, channels, h, w = framed.shape
    for image in range(images):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                row = min(max(y[image, i, j], -one), number(h - 2))
                column = min(max(x[image, i, j], -one), number(w - 2))
                # Between limits even where a coordinate is NaN: compiled code reads wherever an index points.
                top = max(min(int(np.floor(row)), h - 3), -1)
                left = max(min(int(np.floor(column)), w - 3), -1)
                fy = row - number(top)
                fx = column - number(left)
                gy, gx = one - fy, one - fx
                for channel in range(channels):
                    plane = framed[image, channel]
                    above = gx * plane[top + 1, left + 1] + fx * plane[top + 1, left + 2]
                    below = gx * plane[top + 2, left + 1] + fx * plane[top + 2, left + 2]
                    result[image, channel, i, j] = gy * above + fy * below
