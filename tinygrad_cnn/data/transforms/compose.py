"""Transforms made of transforms: one after the other, now and then, one of several; and of plain functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import ArgumentError, ShapeError
from .base import Images, Transform, require_probability

AnyTransform = Callable[[Any], Any]


class Compose(Transform):
    """Several transforms, one after the other.

    Parameters
    ----------
    transforms : sequence of callable
        Of this package, or any functions of one image.

    Notes
    -----
    On a batch each transform draws for all the images before the next one does, so the images one by one come out
    otherwise (as random as here).

    Examples
    --------
    >>> from tinygrad_cnn.data.transforms import Normalize, RandomCrop, ToFloat
    >>> augment = Compose([ToFloat(), RandomCrop(28, padding=2), Normalize([0.1307], [0.3081])])
    >>> augment(np.zeros((64, 1, 28, 28), np.uint8)).shape
    (64, 1, 28, 28)
    """

    def __init__(self, transforms: Sequence[AnyTransform]) -> None:
        self.transforms = list(transforms)

    @property
    def takes_batches(self) -> bool:  # type: ignore[override]
        """Whether all of its transforms do."""
        return all(getattr(transform, "takes_batches", False) for transform in self.transforms)

    def __call__(self, images: Any, generator: np.random.Generator | None = None) -> Any:
        """Apply all of them; see `Transform.__call__`."""
        for transform in self.transforms:
            images = transform(images, generator) if isinstance(transform, Transform) else transform(images)
        return images


class Lambda(Transform):
    """A function of one image as a transform with a name.

    Examples
    --------
    >>> Lambda(lambda image: 1 - image)(np.zeros((1, 2, 2))).sum()
    np.float64(4.0)
    """

    takes_batches = False

    def __init__(self, lambd: AnyTransform) -> None:
        if not callable(lambd):
            raise ArgumentError(f"Lambda needs a function of one image, got {type(lambd).__name__}")
        self.lambd = lambd

    def __call__(self, images: Any, generator: np.random.Generator | None = None) -> Any:
        """Apply the function."""
        return self.lambd(images)


class RandomApply(Compose):
    """Several transforms, one after the other, on each image with a probability.

    Parameters
    ----------
    transforms : sequence of callable
        As of `Compose`. In a batch they must leave the size of the images as it is.
    p : float, default 0.5
        The probability that an image is transformed (by all of them) and not left as it is.

    Raises
    ------
    ArgumentError
        If `p` is no probability.
    ShapeError
        If some images of a batch get another size and others do not.

    Examples
    --------
    >>> from tinygrad_cnn.data.transforms import RandomRotation
    >>> RandomApply([RandomRotation(10)], p=0.3)(np.zeros((64, 1, 28, 28))).shape
    (64, 1, 28, 28)
    """

    def __init__(self, transforms: Sequence[AnyTransform], p: float = 0.5) -> None:
        super().__init__(transforms)
        self.p = require_probability(p)

    def __call__(self, images: Any, generator: np.random.Generator | None = None) -> Any:
        """Apply them to some of the images; see `Transform.__call__`."""
        return Transform.__call__(self, images, generator)

    def apply(self, images: Images, generator: np.random.Generator) -> Images:
        """Choose images of a batch, and transform them."""
        chosen = (generator.random(len(images)) < self.p).astype(np.int64)
        return _by_choice(self, [_copy, lambda part: _on(part, super(RandomApply, self).__call__, generator)], chosen, images)


class RandomChoice(Transform):
    """One of several transforms, drawn for each image.

    Parameters
    ----------
    transforms : sequence of callable
        As of `Compose`. In a batch they must all give images of one size.
    p : sequence of float, optional
        How likely each is; by default all equally. They need not add up to 1.

    Raises
    ------
    ArgumentError
        If there is no transform, or `p` does not have one number of 0 or more for each.
    ShapeError
        If the images of a batch get different sizes.

    Examples
    --------
    >>> from tinygrad_cnn.data.transforms import ElasticTransform, RandomRotation
    >>> RandomChoice([RandomRotation(10), ElasticTransform()])(np.zeros((64, 1, 28, 28))).shape
    (64, 1, 28, 28)
    """

    def __init__(self, transforms: Sequence[AnyTransform], p: Sequence[float] | None = None) -> None:
        self.transforms = list(transforms)
        weights = np.ones(len(self.transforms)) if p is None else np.asarray(p, np.float64)
        if not self.transforms or len(weights) != len(self.transforms) or (weights < 0).any() or not weights.any():
            raise ArgumentError(
                f"RandomChoice needs a transform or more and, in p, a weight of 0 or more for each, not all 0; "
                f"got {len(self.transforms)} transforms and p={p}"
            )
        self.p = (weights / weights.sum()).tolist()

    @property
    def takes_batches(self) -> bool:  # type: ignore[override]
        """Whether all of its transforms do."""
        return Compose(self.transforms).takes_batches

    def apply(self, images: Images, generator: np.random.Generator) -> Images:
        """Draw a transform for each image of a batch, and apply it."""
        chosen = np.searchsorted(np.cumsum(self.p)[:-1], generator.random(len(images)), side="right")
        ways = [self._way(transform, generator) for transform in self.transforms]
        return _by_choice(self, ways, chosen, images)

    @staticmethod
    def _way(transform: AnyTransform, generator: np.random.Generator) -> Callable[[Images], Images]:
        return lambda part: _on(part, Compose([transform]), generator)


def _copy(images: Images) -> Images:
    return images.copy()


def _on(images: Images, transform: Callable[..., Any], generator: np.random.Generator) -> Images:
    """Transform a batch: a batch of one as an image, so that functions of one image serve too."""
    return np.asarray(transform(images[0], generator))[None] if len(images) == 1 else transform(images, generator)


def _by_choice(
    owner: Transform, ways: Sequence[Callable[[Images], Images]], chosen: npt.NDArray[np.int64], images: Images
) -> Images:
    """Treat each image in the way that is chosen for it, the images of one way together."""
    parts = [(chosen == way, ways[way]) for way in np.unique(chosen).tolist()]
    if not parts:
        return images.copy()
    results = [treat(images[where]) for where, treat in parts]
    sizes = sorted({result.shape[1:] for result in results})
    if len(sizes) > 1:
        raise ShapeError(
            f"{type(owner).__name__} has made images of the shapes {' and '.join(map(str, sizes))}, which cannot stay in one "
            "batch: choose transforms that give one size"
        )
    whole = np.empty((len(images), *sizes[0]), np.result_type(*results))
    for (where, _), result in zip(parts, results, strict=True):
        whole[where] = result
    return whole
