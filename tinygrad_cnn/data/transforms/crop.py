"""Other sizes by cutting and framing: padding, and crops in the middle, at random, in the corners."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import ArgumentError, ShapeError
from .base import Images, Transform, size_pair, uniform_integers
from .frame import Fill, framed

PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


class Pad(Transform):
    """Frame each image.

    Parameters
    ----------
    padding : int, (int, int) or (int, int, int, int)
        Pixels on all sides; left and right, top and bottom; or left, top, right, bottom.
    fill : float or sequence of c floats, default 0
        The frame's value, for all channels or for each.
    padding_mode : {"constant", "edge", "reflect", "symmetric"}
        The fill value; the pixel at the border; the image mirrored at the middle of that pixel, or at its outer edge.

    Raises
    ------
    ArgumentError
        If an option is out of its range.

    Examples
    --------
    >>> Pad((1, 0))(np.array([[[1, 2]]]))
    array([[[0, 1, 2, 0]]])
    """

    def __init__(self, padding: int | Sequence[int], fill: Fill = 0, padding_mode: str = "constant") -> None:
        sides = (padding,) if isinstance(padding, int) else tuple(padding)
        if len(sides) not in (1, 2, 4) or min(sides) < 0:
            raise ArgumentError(f"padding must be 1, 2 or 4 numbers of pixels, each 0 or more, got {padding}")
        if padding_mode not in PADDING_MODES:
            raise ArgumentError(f"padding_mode must be one of {', '.join(map(repr, PADDING_MODES))}, got {padding_mode!r}")
        self.padding = (sides * 4)[:4]
        self.fill = fill
        self.padding_mode = padding_mode

    def apply(self, images: Images, generator: np.random.Generator) -> Images:
        """Frame a batch."""
        left, top, right, bottom = self.padding
        return framed(images, ((top, bottom), (left, right)), self.fill, self.padding_mode)


class CenterCrop(Transform):
    """Cut the middle out of each image; what it lacks is padded with 0.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the result, in pixels.

    Raises
    ------
    ArgumentError
        If the size is less than 1.

    Examples
    --------
    >>> CenterCrop((1, 2))(np.array([[[1, 2, 3, 4]]]))
    array([[[2, 3]]])
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = size_pair("size", size)

    def apply(self, images: Images, generator: np.random.Generator) -> Images:
        """Cut the middle out of a batch."""
        return center_crop(images, *self.size)


class RandomCrop(Transform):
    """Cut a part out of each image, at a place of its own; all places are equally likely.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the result, in pixels.
    padding : int, (int, int) or (int, int, int, int), optional
        Pad the image first, as `Pad` does.
    pad_if_needed : bool, default False
        Pad an image that is still too small, on both sides, as much as it lacks.
    fill, padding_mode
        As of `Pad`.

    Raises
    ------
    ArgumentError
        If an option is out of its range.
    ShapeError
        If an image is too small.

    References
    ----------
    He, Zhang, Ren, Sun 2015, section 4.2: for CIFAR, ``RandomCrop(32, padding=4)``.

    Examples
    --------
    >>> RandomCrop(32, padding=4)(np.zeros((128, 3, 32, 32))).shape
    (128, 3, 32, 32)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: Fill = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = size_pair("size", size)
        self.padding = None if padding is None else Pad(padding, fill, padding_mode).padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = Pad(0, fill, padding_mode).padding_mode

    def apply(self, images: Images, generator: np.random.Generator) -> Images:
        """Draw a place for each image of a batch, and cut it out."""
        if self.padding is not None:
            images = Pad(self.padding, self.fill, self.padding_mode).apply(images, generator)
        height, width = self.size
        if self.pad_if_needed:
            lacks = max(height - images.shape[2], 0), max(width - images.shape[3], 0)
            images = framed(images, tuple((lack, lack) for lack in lacks), self.fill, self.padding_mode)
        h, w = images.shape[2:]
        require_room(self, (height, width), (h, w))
        place = generator.random((len(images), 2))
        top, left = uniform_integers(place[:, 0], h - height + 1), uniform_integers(place[:, 1], w - width + 1)
        windows = np.lib.stride_tricks.sliding_window_view(images, self.size, axis=(2, 3))
        return windows[np.arange(len(images)), :, top, left]


class FiveCrop(Transform):
    """Cut the four corners and the middle out of each image: a tuple of five.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of each, in pixels.

    Raises
    ------
    ArgumentError
        If the size is less than 1.
    ShapeError
        If an image is too small.

    Examples
    --------
    >>> [crop.item() for crop in FiveCrop(1)(np.arange(9).reshape(1, 3, 3))]
    [0, 2, 6, 8, 4]
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = size_pair("size", size)

    def apply(self, images: Images, generator: np.random.Generator) -> tuple[Images, ...]:
        """Cut a batch: upper left, upper right, lower left, lower right, middle."""
        height, width = self.size
        h, w = images.shape[2:]
        require_room(self, self.size, (h, w))
        corners = [(top, left) for top in (0, h - height) for left in (0, w - width)]
        crops = [images[:, :, top : top + height, left : left + width].copy() for top, left in corners]
        return (*crops, center_crop(images, height, width))


class TenCrop(FiveCrop):
    """The crops of `FiveCrop`, and those of the mirror image.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of each, in pixels.
    vertical_flip : bool, default False
        Mirror top and bottom, not left and right.

    References
    ----------
    Krizhevsky, Sutskever, Hinton 2012, section 4.1: the softmax outputs of the ten are averaged.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> images = np.random.default_rng(0).random((4, 3, 40, 40), dtype=np.float32)
    >>> crops = TenCrop(32)(images)
    >>> net = tg.nn.Sequential(tg.nn.Flatten(), tg.nn.Linear(3 * 32 * 32, 10), tg.nn.Softmax(dim=1))
    >>> mean = sum(net(tg.tensor(crop)) for crop in crops) / len(crops)
    >>> mean.shape
    (4, 10)
    """

    def __init__(self, size: int | Sequence[int], vertical_flip: bool = False) -> None:
        super().__init__(size)
        self.vertical_flip = vertical_flip

    def apply(self, images: Images, generator: np.random.Generator) -> tuple[Images, ...]:
        """Cut a batch and its mirror image."""
        mirrored = np.flip(images, 2 if self.vertical_flip else 3)
        return super().apply(images, generator) + super().apply(mirrored, generator)


def center_crop(images: Images, height: int, width: int) -> Images:
    """Cut the middle out of a batch, padded with 0 where it is too small."""
    h, w = images.shape[2:]
    if height > h or width > w:
        lacks = max(height - h, 0), max(width - w, 0)
        images = framed(images, tuple((lack // 2, (lack + 1) // 2) for lack in lacks), 0, "constant")
        h, w = images.shape[2:]
    top, left = round((h - height) / 2), round((w - width) / 2)
    return images[:, :, top : top + height, left : left + width].copy()


def require_room(transform: object, size: tuple[int, int], available: tuple[int, int]) -> None:
    """Raise ShapeError unless a crop of a size fits into an image."""
    if size[0] > available[0] or size[1] > available[1]:
        raise ShapeError(
            f"{type(transform).__name__}: a crop of {size[0]} x {size[1]} pixels does not fit into an image of "
            f"{available[0]} x {available[1]}: pad it first, or Resize it"
        )
