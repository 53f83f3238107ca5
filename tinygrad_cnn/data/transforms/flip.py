"""Mirror images."""

from __future__ import annotations

import numpy as np

from .base import Images, Transform, require_probability


class _RandomFlip(Transform):
    """Reverse one axis of each image with a probability."""

    _axis: int

    def __init__(self, p: float = 0.5) -> None:
        self.p = require_probability(p)

    def apply(self, images: Images, generator: np.random.Generator) -> Images:
        """Choose images of a batch, and mirror them."""
        chosen = generator.random(len(images)) < self.p
        return np.where(chosen[:, None, None, None], np.flip(images, self._axis), images)


class RandomHorizontalFlip(_RandomFlip):
    """Change left and right of each image with probability `p`.

    Raises
    ------
    ArgumentError
        If `p` is no probability.

    Examples
    --------
    >>> RandomHorizontalFlip(p=1.0)(np.array([[[1, 2, 3]]]))
    array([[[3, 2, 1]]])
    """

    _axis = 3


class RandomVerticalFlip(_RandomFlip):
    """Change top and bottom of each image with probability `p`.

    Raises
    ------
    ArgumentError
        If `p` is no probability.

    Examples
    --------
    >>> RandomVerticalFlip(p=1.0)(np.array([[[1], [2]]]))
    array([[[2],
            [1]]])
    """

    _axis = 2
