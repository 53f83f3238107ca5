"""Warping: every pixel of the result reads the original at coordinates of its own.

Pixel (i, j) has its centre at y = i, x = j. Between the centres the original is interpolated bilinearly, and around it
lies an endless plane of the fill value:

    value(y, x) = (1 - fy) ((1 - fx) a + fx b) + fy ((1 - fx) c + fx d)

with a, b, c, d the four pixels around (y, x), and fy, fx its distances from a. At a pixel's centre that is the pixel
itself, exactly.

Where numba is there (the extra "fast") and `kernels.use` does not forbid it, the loop over the pixels is compiled. It
does the same operations in the same order as NumPy: the results have equal bits.
"""

from __future__ import annotations

import math
from importlib.util import find_spec

import numpy as np

from ... import kernels
from ...errors import ArgumentError
from .base import Images
from .frame import Fill, framed

INTERPOLATIONS = ("bilinear", "nearest")

_WORTH_COMPILING = 1 << 14  # pixels; for fewer, importing numba takes longer than it can save


def warp(images: Images, y: Images, x: Images, fill: Fill = 0.0, interpolation: str = "bilinear") -> Images:
    """Return the images as they look at other coordinates.

    Parameters
    ----------
    images : ndarray of floats, shape (n, c, h, w)
        The originals.
    y, x : ndarray of the same dtype, shape (n, oh, ow)
        For each pixel of the result, where in the original it is read, in pixels.
    fill : float or sequence of c floats, default 0.0
        What lies outside of the original, for all channels or for each.
    interpolation : {"bilinear", "nearest"}
        "nearest" reads the pixel whose centre is nearest; of two, the one with the greater coordinate.

    Returns
    -------
    ndarray, shape (n, c, oh, ow)

    Raises
    ------
    ShapeError
        If `fill` has neither one value nor one for each channel.
    """
    plane = framed(images, ((1, 1), (1, 1)), fill)  # a look outside needs no case of its own
    if interpolation == "nearest":
        y, x = np.floor(y + np.asarray(0.5, y.dtype)), np.floor(x + np.asarray(0.5, x.dtype))
    if _compile(images):
        from .numba_warp import sample

        return sample(plane, y, x)
    return _sample(plane, y, x)


def require_interpolation(interpolation: str) -> str:
    """Return the name of an interpolation, or raise if it is unknown."""
    if interpolation not in INTERPOLATIONS:
        known = " or ".join(map(repr, INTERPOLATIONS))
        raise ArgumentError(f"interpolation must be {known}, got {interpolation!r}")
    return interpolation


def _compile(images: Images) -> bool:
    """Say whether the compiled loop serves these images."""
    if images.dtype not in (np.float32, np.float64):
        return False
    choice = kernels.current()
    return choice == "numba" or (choice == "auto" and images.size >= _WORTH_COMPILING and find_spec("numba") is not None)


def _sample(plane: Images, y: Images, x: Images) -> Images:
    """Read framed images at the coordinates (n, oh, ow), counted from the first pixel inside the frame."""
    n, c, h, w = plane.shape
    top, fy = _split(y, h)
    left, fx = _split(x, w)
    pixels, first = plane.reshape(n, c, h * w), top * w + left
    upper_left, upper_right, lower_left, lower_right = (
        np.take_along_axis(pixels, first + step, axis=2) for step in (0, 1, w, w + 1)
    )
    gy, gx = 1 - fy, 1 - fx
    result: Images = gy * (gx * upper_left + fx * upper_right) + fy * (gx * lower_left + fx * lower_right)
    return result.reshape(n, c, *y.shape[1:])


def _split(coordinate: Images, size: int) -> tuple[Images, Images]:
    """Return the pixel of the framed axis before each coordinate, and the distance from it: shape (n, 1, oh * ow)."""
    inside = np.clip(coordinate, -1, size - 2)  # all of the plane beyond the frame looks like the frame
    before = np.minimum(np.floor(inside), size - 3)
    flat = (len(coordinate), 1, math.prod(coordinate.shape[1:]))
    return before.astype(np.intp).reshape(flat) + 1, (inside - before).reshape(flat)
