"""Other sizes by resampling: the whole image, or a random part of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...errors import ArgumentError
from ...kernels.numpy_resample import resample, taps_for
from .base import Images, Transform, ordered_range, require_floats, size_pair, spread, uniform_integers
from .warp import require_interpolation

Integers = npt.NDArray[np.int64]

_ATTEMPTS = 10
"""How many rectangles are drawn for an image, to take the first that fits."""

RECTANGLE_DRAWS = 4 * _ATTEMPTS
"""How many numbers `rectangles` needs for an image."""


class Resize(Transform):
    """Resample each image to another size.

    Parameters
    ----------
    size : int or (int, int)
        The shorter side of the result (the longer one keeps the proportions), or its height and width. Pixels.
    interpolation : {"bilinear", "nearest"}
        See `tinygrad_cnn.interpolate`.
    max_size : int, optional
        With a single number: the longest that the longer side may get; then the shorter is shorter than `size`.
    antialias : bool, default True
        Let all pixels have a share in an image that shrinks ("bilinear" only).

    Raises
    ------
    ArgumentError
        If an option is out of its range.
    DTypeError
        If the images are not of floats.

    Examples
    --------
    >>> Resize(256)(np.zeros((3, 480, 640))).shape
    (3, 256, 341)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: str = "bilinear",
        max_size: int | None = None,
        antialias: bool = True,
    ) -> None:
        size_pair("size", size)
        if max_size is not None and not (isinstance(size, int) and max_size > size):
            raise ArgumentError(f"max_size must be greater than size, a single number; got {max_size} with size={size}")
        self.size = size
        self.interpolation = require_interpolation(interpolation)
        self.max_size = max_size
        self.antialias = antialias

    def apply(self, images: Images, generator: np.random.Generator) -> Images:
        """Resample a batch."""
        require_floats(self, images)
        return resized(images, self._size_for(*images.shape[2:]), self.interpolation, self.antialias)

    def _size_for(self, h: int, w: int) -> tuple[int, int]:
        """Return the new height and width of an image."""
        if not isinstance(self.size, int):
            return size_pair("size", self.size)
        short, long = min(h, w), max(h, w)
        new_short, new_long = self.size, self.size * long // short
        if self.max_size is not None and new_long > self.max_size:
            new_short, new_long = max(self.max_size * new_short // new_long, 1), self.max_size
        return (new_short, new_long) if h <= w else (new_long, new_short)


class RandomResizedCrop(Transform):
    """Cut a part of random size, shape and place out of each image, and resample it to one size.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the result, in pixels.
    scale : (float, float), default (0.08, 1.0)
        The range of the part's area as a fraction of the image's, uniform.
    ratio : (float, float), default (3/4, 4/3)
        The range of its width divided by its height, uniform in the logarithm.
    interpolation, antialias
        As of `Resize`.

    Raises
    ------
    ArgumentError
        If an option is out of its range.
    DTypeError
        If the images are not of floats.

    Notes
    -----
    Of ten parts drawn the first that fits is taken; if none does, the largest part in the middle whose shape is allowed.

    References
    ----------
    Szegedy et al. 2014, "Going deeper with convolutions", section 6.

    Examples
    --------
    >>> RandomResizedCrop(24)(np.zeros((8, 3, 32, 32))).shape
    (8, 3, 24, 24)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: str = "bilinear",
        antialias: bool = True,
    ) -> None:
        self.size = size_pair("size", size)
        self.scale = ordered_range("scale", scale, above=0)
        self.ratio = ordered_range("ratio", ratio, above=0)
        self.interpolation = require_interpolation(interpolation)
        self.antialias = antialias

    def apply(self, images: Images, generator: np.random.Generator) -> Images:
        """Draw a part of each image of a batch, and resample it."""
        require_floats(self, images)
        h, w = images.shape[2:]
        drawn = generator.random((len(images), RECTANGLE_DRAWS))
        fits, top, left, height, width = rectangles(drawn, (h, w), self.scale, self.ratio)
        middle = self._middle(h, w)
        result = np.empty((*images.shape[:2], *self.size), images.dtype)
        for place, image in enumerate(images):
            y, x, dy, dx = (int(side[place]) for side in (top, left, height, width)) if fits[place] else middle
            result[place] = resized(image[None, :, y : y + dy, x : x + dx], self.size, self.interpolation, self.antialias)[0]
        return result

    def _middle(self, h: int, w: int) -> tuple[int, int, int, int]:
        """Return top, left, height and width of the largest part in the middle whose shape is allowed."""
        low, high = self.ratio
        height, width = min(h, round(w / low)), min(w, round(h * high))
        return (h - height) // 2, (w - width) // 2, height, width


def rectangles(
    drawn: npt.NDArray[np.float64], size: tuple[int, int], scale: Sequence[float], ratio: Sequence[float]
) -> tuple[npt.NDArray[np.bool_], Integers, Integers, Integers, Integers]:
    """Make a rectangle inside of each of n images out of draws from [0, 1).

    Parameters
    ----------
    drawn : ndarray of float64, shape (n, RECTANGLE_DRAWS)
        The draws.
    size : (int, int)
        Height and width of the images.
    scale, ratio : (float, float)
        The ranges of the area, as a fraction of the image's, and of the width divided by the height.

    Returns
    -------
    fits : ndarray of bool, shape (n,)
        Whether one of the ten that the draws make fits; the first that does is taken.
    top, left, height, width : ndarray of int64, shape (n,)
    """
    h, w = size
    areas, shapes, tops, lefts = drawn.reshape(-1, _ATTEMPTS, 4).transpose(2, 0, 1)
    area = h * w * spread(scale, areas)
    shape = np.exp(spread(np.log(ratio), shapes))
    widths, heights = np.rint(np.sqrt(area * shape)).astype(np.int64), np.rint(np.sqrt(area / shape)).astype(np.int64)
    fits: npt.NDArray[np.bool_] = (widths > 0) & (widths <= w) & (heights > 0) & (heights <= h)
    rows, first = np.arange(len(drawn)), fits.argmax(axis=1)
    width, height = widths[rows, first], heights[rows, first]
    top, left = uniform_integers(tops[rows, first], h - height + 1), uniform_integers(lefts[rows, first], w - width + 1)
    return fits[rows, first], top, left, height, width


def resized(images: Images, size: tuple[int, int], interpolation: str, antialias: bool) -> Images:
    """Resample a batch to a height and a width."""
    linear = interpolation == "bilinear"
    for axis, outputs in zip((2, 3), size, strict=True):
        mode = "linear" if linear else "nearest"
        images = resample(images, axis, taps_for(mode, images.shape[axis], outputs, antialias=antialias and linear))
    return images
