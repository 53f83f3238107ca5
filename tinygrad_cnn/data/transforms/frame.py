"""What lies around an image: the values of a fill, and frames of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import ShapeError
from .base import Images

Fill = float | Sequence[float]


def channel_values(fill: Any, images: Images) -> Images:
    """Return a fill value for each channel: shape (1 or c, 1, 1).

    Raises
    ------
    ShapeError
        If `fill` has neither one value nor one for each channel.
    """
    values = np.asarray(fill, images.dtype)
    if values.ndim > 1 or values.size not in (1, images.shape[1]):
        raise ShapeError(f"fill must be one number or {images.shape[1]}, one for each channel, got {fill}")
    return values.reshape(-1, 1, 1)


def framed(images: Images, widths: Sequence[tuple[int, int]], fill: Fill, mode: str = "constant") -> Images:
    """Return a batch with a frame: ((top, bottom), (left, right)) pixels wide; `mode` as of `Pad`."""
    if mode != "constant":
        return np.pad(images, ((0, 0), (0, 0), *widths), mode)  # type: ignore[call-overload]
    (top, bottom), (left, right) = widths
    n, c, h, w = images.shape
    result = np.empty((n, c, top + h + bottom, left + w + right), images.dtype)
    result[...] = channel_values(fill, images)
    result[:, :, top : top + h, left : left + w] = images
    return result
