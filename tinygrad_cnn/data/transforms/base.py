"""What all transforms of images share: one image or a whole batch, arrays or tensors, and where the chance comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ... import random
from ...errors import ArgumentError, DTypeError, ShapeError
from ...tensor import Tensor

Images = npt.NDArray[Any]


class Transform:
    """Base of the transforms: a callable from images to images.

    A subclass writes `apply`, which gets a batch. What is random is drawn for each image by itself: nearly always as one
    row of a table of draws, so that a batch and its images one by one, with one generator, come out the same. (Where
    that cannot be, as of several transforms one after the other, the docstring says so.)

    Attributes
    ----------
    takes_batches : bool
        Whether a batch may be given; of everything here but `Lambda` and `ToArray`, and what contains one of them.

    Examples
    --------
    >>> class Invert(Transform):
    ...     def apply(self, images, generator):
    ...         return 1 - images
    >>> Invert()(np.zeros((3, 2, 2))).shape
    (3, 2, 2)
    """

    takes_batches: bool = True

    def __call__(self, images: Any, generator: np.random.Generator | None = None) -> Any:
        """Transform one image or a batch.

        Parameters
        ----------
        images : ndarray or Tensor, shape (c, h, w) or (n, c, h, w)
            Left as it is. The result of a tensor is a tensor; no gradient is recorded.
        generator : numpy.random.Generator, optional
            What random transforms draw from; by default `random.default_generator`, which inside a `DataLoader` is a
            stream of the batch's own.

        Returns
        -------
        ndarray or Tensor
            Of as many dimensions as `images` has. (A tuple of them from `FiveCrop` and `TenCrop`.)

        Raises
        ------
        ShapeError
            If `images` has neither three nor four dimensions.
        """
        if isinstance(images, Tensor):
            return _each(Tensor, self(images.array, generator))
        images = np.asarray(images)
        if images.ndim not in (3, 4):
            raise ShapeError(
                f"{type(self).__name__} needs an image (c, h, w) or a batch (n, c, h, w), got the shape {images.shape}: "
                "add the axis of the channels with images[..., None, :, :]"
            )
        generator = generator or random.default_generator()
        if images.ndim == 4:
            return self.apply(images, generator)
        return _each(lambda batch: batch[0], self.apply(images[None], generator))

    def apply(self, images: Images, generator: np.random.Generator) -> Any:
        """Transform a batch of shape (n, c, h, w) into a new array."""
        raise NotImplementedError(f"{type(self).__name__} must define apply(images, generator) for a batch of images")

    def __repr__(self) -> str:
        options = (f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({', '.join(options)})"


def takes_batches(transform: object) -> bool:
    """Say whether a transform (or none) may be given a whole batch instead of its images."""
    return transform is None or bool(getattr(transform, "takes_batches", False))


def _each(change: Callable[[Any], Any], result: Any) -> Any:
    """Change a result, or each of several."""
    return tuple(map(change, result)) if isinstance(result, tuple) else change(result)


def require_floats(transform: object, images: Images) -> None:
    """Raise unless the images hold floating-point numbers, without which nothing can be blended."""
    if not np.issubdtype(images.dtype, np.floating):
        name = transform.__name__ if isinstance(transform, type) else type(transform).__name__
        raise DTypeError(
            f"{name} blends pixels, so it needs float images, got {images.dtype}: put ToFloat() before it"
        )


def require_probability(p: float) -> float:
    """Return `p`, or raise if it is none."""
    if not 0 <= p <= 1:
        raise ArgumentError(f"p is a probability, so it must be between 0 and 1, got {p}")
    return p


def symmetric_range(name: str, value: float | Sequence[float]) -> tuple[float, float]:
    """Return (-value, value) for a number of 0 or more, and a pair as it is.

    Raises
    ------
    ArgumentError
        If it is negative, or no pair of a smaller and a larger number.
    """
    if isinstance(value, int | float):
        if value < 0:
            raise ArgumentError(f"{name} must be 0 or more, or a pair (smallest, largest), got {value}")
        return -float(value), float(value)
    return ordered_range(name, value)


def ordered_range(name: str, value: Sequence[float], above: float = -np.inf) -> tuple[float, float]:
    """Return the pair (smallest, largest), both greater than `above`, or raise ArgumentError."""
    if len(value) != 2 or not above < value[0] <= value[1]:
        limit = "" if above == -np.inf else f", both greater than {above:g}"
        raise ArgumentError(f"{name} must be a pair (smallest, largest){limit}, got {tuple(value)}")
    return float(value[0]), float(value[1])


def size_pair(name: str, size: int | Sequence[int]) -> tuple[int, int]:
    """Return (height, width) of a square's side or of a pair; both must be 1 or more."""
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or min(pair) < 1:
        raise ArgumentError(f"{name} must be a number of pixels or a pair (height, width), 1 or more, got {size}")
    return int(pair[0]), int(pair[1])


def uniform_integers(uniform: npt.NDArray[np.float64], count: int | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Turn draws from [0, 1) into whole numbers from 0 to ``count - 1``, all equally likely."""
    return np.floor(uniform * count).astype(np.int64)


def spread(bounds: Sequence[float] | npt.NDArray[np.float64], uniform: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Spread draws from [0, 1) over a range (smallest, largest)."""
    low, high = bounds
    return low + (high - low) * uniform
