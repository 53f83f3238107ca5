"""Pieces of images blotted out, so that a network cannot lean on one of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...errors import ArgumentError
from .base import Images, Transform, ordered_range, require_probability, uniform_integers
from .frame import Fill, channel_values
from .resize import RECTANGLE_DRAWS, rectangles


class RandomErasing(Transform):
    """Overwrite a random rectangle of each image with a probability.

    Parameters
    ----------
    p : float, default 0.5
        The probability that an image loses a piece.
    scale : (float, float), default (0.02, 0.33)
        The range of the piece's area as a fraction of the image's, uniform.
    ratio : (float, float), default (0.3, 3.3)
        The range of its height divided by its width, uniform in the logarithm.
    value : float, sequence of c floats, or "random"
        What is written: a number, one for each channel, or noise from N(0, 1). (The noise of a batch is drawn after all
        its rectangles, so it is other noise than that of the images one by one.)

    Raises
    ------
    ArgumentError
        If an option is out of its range.

    References
    ----------
    Z. Zhong, L. Zheng, G. Kang, S. Li and Y. Yang, "Random erasing data augmentation", AAAI 2020.

    Examples
    --------
    >>> erased = RandomErasing(p=1.0)(np.ones((3, 32, 32)), np.random.default_rng(0))
    >>> bool(0.02 * 0.8 < (erased == 0).mean() < 0.33 * 1.2)
    True
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Fill | str = 0,
    ) -> None:
        if isinstance(value, str) and value != "random":
            raise ArgumentError(f'value must be a number, one for each channel, or "random", got {value!r}')
        self.p = require_probability(p)
        self.scale = ordered_range("scale", scale, above=0)
        self.ratio = ordered_range("ratio", ratio, above=0)
        self.value = value

    def apply(self, images: Images, generator: np.random.Generator) -> Images:
        """Draw a rectangle for some images of a batch, and overwrite it."""
        h, w = images.shape[2:]
        drawn = generator.random((len(images), 1 + RECTANGLE_DRAWS))
        # Here the ratio is height by width, so the two axes change places.
        fits, left, top, width, height = rectangles(drawn[:, 1:], (w, h), self.scale, self.ratio)
        rows, columns = _between(top, height, h), _between(left, width, w)
        erased = rows[:, None, :, None] & columns[:, None, None, :]
        erased &= ((drawn[:, 0] < self.p) & fits)[:, None, None, None]
        if self.value == "random":
            return np.where(erased, generator.standard_normal(images.shape).astype(images.dtype), images)
        return np.where(erased, channel_values(self.value, images), images)


class Cutout(Transform):
    """Overwrite squares of each image; they may reach beyond its border.

    Parameters
    ----------
    length : int
        Side of a square, in pixels.
    n_holes : int, default 1
        Squares in an image; their middles are equally likely everywhere.
    fill : float or sequence of c floats, default 0
        What is written: with images of mean 0, the mean.

    Raises
    ------
    ArgumentError
        If `length` or `n_holes` is less than 1.

    References
    ----------
    T. DeVries and G. W. Taylor, "Improved regularization of convolutional neural networks with cutout", 2017:
    16 pixels for CIFAR-10, 8 for CIFAR-100.

    Examples
    --------
    >>> holes = Cutout(16)(np.ones((128, 3, 32, 32)), np.random.default_rng(0)) == 0
    >>> int(holes[:, 0].sum((1, 2)).max())
    256
    """

    def __init__(self, length: int, n_holes: int = 1, fill: Fill = 0) -> None:
        if length < 1 or n_holes < 1:
            raise ArgumentError(f"length and n_holes must be 1 or more, got {length} and {n_holes}")
        self.length = length
        self.n_holes = n_holes
        self.fill = fill

    def apply(self, images: Images, generator: np.random.Generator) -> Images:
        """Draw squares for each image of a batch, and overwrite them."""
        n, _, h, w = images.shape
        drawn = generator.random((n, self.n_holes, 2))
        rows, columns = (self._covered(drawn[:, :, axis], size) for axis, size in ((0, h), (1, w)))
        holes = (rows[:, :, :, None] & columns[:, :, None, :]).any(axis=1, keepdims=True)
        return np.where(holes, channel_values(self.fill, images), images)

    def _covered(self, uniform: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.bool_]:
        """Say which places of an axis the squares cover: shape (n, holes, size)."""
        return _between(uniform_integers(uniform, size) - self.length // 2, self.length, size)


def _between(first: npt.NDArray[np.int64], count: int | npt.NDArray[np.int64], size: int) -> npt.NDArray[np.bool_]:
    """Say which places of an axis belong to the `count` from `first` on: shape (..., size)."""
    place = np.arange(size)
    result: npt.NDArray[np.bool_] = (first[..., None] <= place) & (place < (first + count)[..., None])
    return result
