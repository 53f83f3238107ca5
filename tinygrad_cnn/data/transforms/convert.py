"""From what files hold to what networks read: floats, channels first, with the mean taken off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import ArgumentError, DTypeError, ShapeError
from .base import Images, Transform, require_floats


class ToFloat(Transform):
    """Whole numbers become float32: 0 stays 0, and the largest of their type becomes 1. Floats stay as they are.

    Raises
    ------
    DTypeError
        If the images hold neither.

    Examples
    --------
    >>> ToFloat()(np.array([[[0, 51, 255]]], np.uint8))
    array([[[0. , 0.2, 1. ]]], dtype=float32)
    """

    def apply(self, images: Images, generator: np.random.Generator) -> Images:
        """Convert a batch."""
        return _to_float(images)


class ToArray(Transform):
    """A picture of Pillow's, or an array (h, w) or (h, w, c), becomes a float32 array (c, h, w) as `ToFloat` scales it.

    Torchvision's ``ToTensor``.

    Raises
    ------
    ShapeError
        If it has neither two nor three axes.
    DTypeError
        If it holds neither whole numbers nor floats.

    Examples
    --------
    >>> ToArray()(np.zeros((32, 48, 3), np.uint8)).shape
    (3, 32, 48)
    """

    takes_batches = False

    def __call__(self, images: Any, generator: np.random.Generator | None = None) -> Images:
        """Convert one picture."""
        array = np.asarray(images)
        if array.ndim not in (2, 3):
            raise ShapeError(f"ToArray needs a picture (h, w) or (h, w, c), got the shape {array.shape}")
        channels_first = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
        return np.ascontiguousarray(_to_float(channels_first))


class Normalize(Transform):
    """Take a mean off the images, and divide them by a standard deviation.

    Parameters
    ----------
    mean, std : sequence of c floats, or ndarray of shape (c, h, w)
        For each channel, or for each pixel. `std` need not be given (1).

    Raises
    ------
    ArgumentError
        If a number of `std` is 0, or one of the two has neither one nor three axes.
    DTypeError
        If the images are not of floats.
    ShapeError
        If they have other sizes than the mean.

    Examples
    --------
    >>> Normalize([0.5], [0.25])(np.array([[[0.5, 1.0]]]))
    array([[[0., 2.]]])

    As AlexNet and the ResNets for CIFAR do, with the mean picture of the training images:

    >>> train = np.random.default_rng(0).random((100, 3, 8, 8))
    >>> normalize = Normalize.fit_pixels(train)
    >>> bool(abs(normalize(train).mean(axis=0)).max() < 1e-12)
    True
    """

    def __init__(self, mean: Sequence[float] | Images, std: Sequence[float] | Images = (1.0,)) -> None:
        self.mean = np.asarray(mean, np.float64)
        self.std = np.asarray(std, np.float64)
        for name, value in (("mean", self.mean), ("std", self.std)):
            if value.ndim not in (1, 3):
                raise ArgumentError(f"{name} must have one number for each channel or the shape (c, h, w), got {value.shape}")
        if not self.std.all():
            raise ArgumentError("std must not be 0 anywhere: nothing can be divided by it")

    @classmethod
    def fit(cls, images: Images) -> Normalize:
        """Return the transform that gives each channel of these images (n, c, h, w) mean 0 and standard deviation 1."""
        require_floats(cls, images)
        over = (0, 2, 3)
        return cls(images.mean(axis=over, dtype=np.float64), images.std(axis=over, dtype=np.float64))

    @classmethod
    def fit_pixels(cls, images: Images) -> Normalize:
        """Return the transform that takes the mean picture of these images (n, c, h, w) off.

        References
        ----------
        Krizhevsky, Sutskever, Hinton 2012, section 2; He, Zhang, Ren, Sun 2015, section 4.2.
        """
        require_floats(cls, images)
        return cls(images.mean(axis=0, dtype=np.float64))

    def apply(self, images: Images, generator: np.random.Generator) -> Images:
        """Normalize a batch."""
        require_floats(self, images)
        mean, std = (self._fitting(value, images) for value in (self.mean, self.std))
        return (images - mean) / std

    @staticmethod
    def _fitting(value: npt.NDArray[np.float64], images: Images) -> Images:
        """Return a mean or a deviation in the images' dtype, with their axes."""
        fitting = value if value.ndim == 3 else value[:, None, None]
        if len(fitting) not in (1, images.shape[1]) or (value.ndim == 3 and fitting.shape[1:] != images.shape[2:]):
            raise ShapeError(
                f"Normalize has numbers for the shape {value.shape}, but the images have the shape {images.shape[1:]}"
            )
        return fitting.astype(images.dtype)


def _to_float(images: Images) -> Images:
    """Scale whole numbers to float32 in [0, 1]; leave floats."""
    if images.dtype.kind == "f":
        return images
    if images.dtype.kind == "b":
        return images.astype(np.float32)
    if images.dtype.kind not in "iu":
        raise DTypeError(f"pixels must be whole numbers or floats, got {images.dtype}")
    largest = np.float32(np.iinfo(images.dtype).max)
    return images.astype(np.float32) / largest
