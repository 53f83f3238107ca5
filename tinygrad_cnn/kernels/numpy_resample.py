"""Resampling along an axis: each output is a weighted sum of a few inputs.

Which inputs and with what weights depends on the mode and the sizes only, not on the values. So along one axis,
resampling is a product with a sparse matrix that is the same for every row, kept here as a table of `Taps`: for each
output, the positions that it reads and their weights. In more dimensions the axes are resampled one after the other.

The transpose of such a matrix is again one. It is the backward of resampling, by the same code.

Coordinates follow PyTorch. Pixels are squares whose centres lie at 0, 1, ..., n - 1, so that an axis reaches from -1/2 to
n - 1/2. Output i looks at the input coordinate

    (i + 1/2) * step - 1/2      with step = in / out: the outer edges of the two images are laid on each other
    i * (in - 1) / (out - 1)    with align_corners: the centres of the outermost pixels are

Where PyTorch 2.13 contradicts itself, its definition is kept. "nearest" is computed in whole numbers where the sizes say
the step (PyTorch multiplies in float32, and is a pixel off for one pair of sizes in fifty). The backward is the transpose of
the forward (PyTorch's is not for "nearest" on signals and volumes, nor for "bicubic" and antialiasing of an axis whose size
stays, with a `scale_factor` that does not say so exactly). Antialiasing down to a width of 1 keeps the rows apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from .arrays import Array, Indices

CUBIC = -0.75
"""Keys' parameter a, in PyTorch (and OpenCV)."""
_CUBIC_ANTIALIAS = -0.5
"""The same for antialiasing, where PyTorch follows Pillow."""
_FEW = 64
"""Up to how many terms a plain float32 sum is accurate to a few units in the last place."""


@dataclass(frozen=True, eq=False)
class Taps:
    """A sparse matrix, row by row: ``y[i] = sum over k of weight[i, k] * x[index[i, k]]``.

    Attributes
    ----------
    index : ndarray of int64, shape (outputs, taps)
    weight : ndarray of float64, shape (outputs, taps)
        0 for what a row has less than the longest.
    size : int
        The number of inputs.
    """

    index: Indices
    weight: Array
    size: int

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        return len(self.index)

    @cached_property
    def transposed(self) -> Taps:
        """The transposed matrix: for each input the outputs that read it, with the same weights."""
        row, tap = np.nonzero(self.weight)
        column, weight = self.index[row, tap], self.weight[row, tap]
        order = np.argsort(column, kind="stable")
        row, column, weight = row[order], column[order], weight[order]
        counts = np.bincount(column, minlength=self.size)
        # The k-th entry of a column: its place among all, less the place where the column starts.
        k = np.arange(len(column)) - (np.cumsum(counts) - counts)[column]
        shape = (self.size, max(int(counts.max()), 1))
        index, weights = np.zeros(shape, np.int64), np.zeros(shape)
        index[column, k], weights[column, k] = row, weight
        return Taps(index, weights, self.outputs)


def resample(x: Array, axis: int, taps: Taps) -> Array:
    """Multiply along one axis by the matrix of `taps`.

    Parameters
    ----------
    x : ndarray
    axis : int
        ``x.shape[axis]`` is ``taps.size``.
    taps : Taps

    Returns
    -------
    ndarray
        Its size along the axis is ``taps.outputs``; in the dtype of `x`.
    """
    along = (-1,) + (1,) * (x.ndim - 1 - axis)
    total = x.dtype if taps.index.shape[1] <= _FEW else np.result_type(x.dtype, np.float64)
    y: Array | None = None
    for index, weight in zip(taps.index.T, taps.weight.T.astype(total), strict=True):
        term = np.take(x, index, axis).astype(total, copy=False)
        unread = weight == 0
        if unread.any():
            term[(slice(None),) * axis + (unread,)] = 0  # times 0 is not enough: an infinity would become a NaN
        if (weight != 1).any():
            term *= weight.reshape(along)
        y = term if y is None else np.add(y, term, out=y)
    assert y is not None
    return y.astype(x.dtype, copy=False)


@lru_cache(maxsize=128)
def taps_for(
    mode: str, size: int, outputs: int, align_corners: bool = False, scale: float | None = None, antialias: bool = False
) -> Taps:
    """Find the taps of one axis.

    Parameters
    ----------
    mode : {"nearest", "nearest-exact", "area", "linear", "cubic"}
    size, outputs : int
        Of the axis, before and after; positive.
    align_corners : bool
        For linear and cubic: lay the centres of the outermost pixels on each other.
    scale : float, optional
        Step by 1 / scale rather than by size / outputs.
    antialias : bool
        For linear and cubic: widen the kernel where the axis shrinks, so that no input is left out.

    Returns
    -------
    Taps
    """
    i = np.arange(outputs)
    if mode == "nearest":
        # Where the size stays or doubles, PyTorch goes by the sizes (for images; for signals and volumes only backward).
        scale = None if outputs in (size, 2 * size) else scale
        return _nearest(size, i * size // outputs if scale is None else np.floor(i / scale))
    if mode == "nearest-exact":
        return _nearest(size, (2 * i + 1) * size // (2 * outputs) if scale is None else np.floor((i + 0.5) / scale))
    if mode == "area":
        return _area(size, outputs)
    step = size / outputs if scale is None else 1 / scale
    if align_corners:
        step = (size - 1) / (outputs - 1) if outputs > 1 else 0.0
    if size == outputs and (antialias or mode == "linear"):
        return _nearest(size, i)
    if antialias:
        return _antialiased(mode, size, outputs, step)
    at = i * step if align_corners else (i + 0.5) * step - 0.5
    return _linear(size, at) if mode == "linear" else _cubic(size, at)


def _nearest(size: int, positions: Array) -> Taps:
    index = np.minimum(positions.astype(np.int64), size - 1)[:, None]
    return Taps(index, np.ones(index.shape), size)


def _area(size: int, outputs: int) -> Taps:
    """Average the inputs that an output covers, even in part: floor(i in / out) to ceil((i + 1) in / out)."""
    i = np.arange(outputs)
    start, stop = i * size // outputs, -(-(i + 1) * size // outputs)
    index = start[:, None] + np.arange(int((stop - start).max()))
    covered = index < stop[:, None]
    return Taps(np.where(covered, index, 0), covered / (stop - start)[:, None], size)


def _linear(size: int, at: Array) -> Taps:
    """Weigh the two neighbours by their nearness; outside, take the pixel at the edge."""
    at = np.clip(at, 0, size - 1)
    first = np.minimum(np.floor(at).astype(np.int64), size - 1)
    share = at - first
    index = np.stack([first, np.minimum(first + 1, size - 1)], 1)
    return Taps(index, np.stack([1 - share, share], 1), size)


def _cubic(size: int, at: Array) -> Taps:
    """Weigh the four neighbours by Keys' kernel; outside, the pixel at the edge stands for those that are not there."""
    first = np.floor(at).astype(np.int64)
    offsets = np.arange(-1, 3)
    weight = cubic_kernel((at - first)[:, None] - offsets)
    return Taps(np.clip(first[:, None] + offsets, 0, size - 1), weight, size)


def cubic_kernel(t: Array, a: float = CUBIC) -> Array:
    """Compute Keys' piecewise cubic with support (-2, 2): 1 at 0, 0 at the other integers, smooth to the first derivative.

    References
    ----------
    Keys 1981, "Cubic convolution interpolation for digital image processing", equation 15 (with a = -1/2).
    """
    t = np.abs(t)
    return np.where(t < 1, cubic_near(t, a), np.where(t < 2, cubic_far(t, a), 0.0))


def cubic_near(t: Any, a: float = CUBIC) -> Any:
    """Compute the piece of Keys' kernel for distances from 0 to 1; of arrays, or anything else that multiplies."""
    return ((a + 2) * t - (a + 3)) * t * t + 1


def cubic_far(t: Any, a: float = CUBIC) -> Any:
    """Compute the piece for distances from 1 to 2."""
    return ((t - 5) * t + 8) * t * a - 4 * a


def _antialiased(mode: str, size: int, outputs: int, step: float) -> Taps:
    """Weigh all inputs under a kernel that is `step` times as wide where the axis shrinks; weights add up to 1."""
    widened = max(step, 1.0)
    reach = (1 if mode == "linear" else 2) * widened
    centre = (np.arange(outputs) + 0.5) * step
    start = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    stop = np.minimum((centre + reach + 0.5).astype(np.int64), size)
    index = start[:, None] + np.arange(int((stop - start).max()))
    t = (index + 0.5 - centre[:, None]) / widened
    weight = np.maximum(1 - np.abs(t), 0) if mode == "linear" else cubic_kernel(t, _CUBIC_ANTIALIAS)
    weight = np.where(index < stop[:, None], weight, 0.0)
    return Taps(np.minimum(index, size - 1), weight / weight.sum(1, keepdims=True), size)
