"""Mixed images with mixed targets: half a cat and half a dog, and the loss is asked for just that."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ... import random
from ...errors import ArgumentError, DTypeError, ShapeError
from ...tensor import Tensor
from .base import Images, require_floats


class _Mix:
    """Mixes each image of a batch with its neighbour in the batch, which a shuffling loader makes a random other."""

    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None) -> None:
        if not alpha > 0:
            raise ArgumentError(f"alpha must be greater than 0, got {alpha}")
        if num_classes is not None and num_classes < 1:
            raise ArgumentError(f"num_classes must be 1 or more, got {num_classes}")
        self.alpha = alpha
        self.num_classes = num_classes

    def __call__(self, images: Any, targets: Any, generator: np.random.Generator | None = None) -> tuple[Any, Any]:
        """Mix a batch.

        Parameters
        ----------
        images : ndarray or Tensor of floats, shape (n, c, h, w)
        targets : ndarray or Tensor, shape (n,) of classes or (n, num_classes) of probabilities
        generator : numpy.random.Generator, optional
            By default `random.default_generator`.

        Returns
        -------
        images : like `images`
        targets : shape (n, num_classes)
            Probabilities of the classes, which `nn.CrossEntropyLoss` takes; of the images' dtype.

        Raises
        ------
        ArgumentError
            If the targets are classes, and `num_classes` was not given or is too small.
        DTypeError
            If the images are not of floats.
        ShapeError
            If the shapes are others.
        """
        if isinstance(images, Tensor) or isinstance(targets, Tensor):
            mixed = self(np.asarray(images), np.asarray(targets), generator)
            return Tensor(mixed[0]), Tensor(mixed[1])
        require_floats(self, images)
        if images.ndim != 4 or len(targets) != len(images):
            raise ShapeError(
                f"{type(self).__name__} needs a batch of images (n, c, h, w) and n targets, "
                f"got the shapes {images.shape} and {targets.shape}"
            )
        generator = generator or random.default_generator()
        soft = self._soft(targets, images.dtype)
        return self._mix(images, soft, float(generator.beta(self.alpha, self.alpha)), generator)

    def _mix(self, images: Images, targets: Images, share: float, generator: np.random.Generator) -> tuple[Images, Images]:
        raise NotImplementedError

    def _soft(self, targets: npt.NDArray[Any], dtype: np.dtype[Any]) -> Images:
        """Return targets as probabilities of the classes."""
        if targets.ndim == 2:
            return targets.astype(dtype, copy=False)
        if targets.dtype.kind not in "iu":
            raise DTypeError(f"targets of shape (n,) must be classes, whole numbers, got {targets.dtype}")
        largest = int(targets.max(initial=0))
        if self.num_classes is None or largest >= self.num_classes:
            raise ArgumentError(
                f"{type(self).__name__} needs num_classes={largest + 1} or more to make probabilities of these classes, "
                f"got {self.num_classes}"
            )
        return np.eye(self.num_classes, dtype=dtype)[targets]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(alpha={self.alpha}, num_classes={self.num_classes})"


class MixUp(_Mix):
    """Blend each image of a batch, and its target, with the one before it.

    Parameters
    ----------
    alpha : float, default 1.0
        The share of the image itself is drawn for each batch from Beta(alpha, alpha): small for shares near 0 or 1.
    num_classes : int, optional
        How many classes there are; not needed if the targets are probabilities already.

    References
    ----------
    H. Zhang, M. Cisse, Y. N. Dauphin and D. Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR 2018.

    Examples
    --------
    >>> images, targets = MixUp(num_classes=10)(np.ones((4, 3, 8, 8)), np.array([3, 1, 4, 1]))
    >>> targets.shape, bool(np.allclose(targets.sum(axis=1), 1))
    ((4, 10), True)
    >>> from tinygrad_cnn.data import DataLoader, TensorDataset
    >>> rows = TensorDataset(np.ones((12, 1, 8, 8)), np.arange(12) % 3)
    >>> loader = DataLoader(rows, 6, shuffle=True, batch_transform=MixUp(alpha=0.2, num_classes=3))
    >>> next(iter(loader))[1].shape
    (6, 3)
    """

    def _mix(self, images: Images, targets: Images, share: float, generator: np.random.Generator) -> tuple[Images, Images]:
        return _blended(images, share), _blended(targets, share)


class CutMix(_Mix):
    """Paste a rectangle of the image before into each image of a batch; the targets are mixed in proportion to the area.

    Parameters
    ----------
    alpha : float, default 1.0
        The share that an image keeps is drawn for each batch from Beta(alpha, alpha); a rectangle that reaches beyond
        the border is cut off there, and the share follows.
    num_classes : int, optional
        As of `MixUp`.

    References
    ----------
    S. Yun, D. Han, S. J. Oh, S. Chun, J. Choe and Y. Yoo, "CutMix: regularization strategy to train strong classifiers
    with localizable features", ICCV 2019.

    Examples
    --------
    >>> images, targets = CutMix(num_classes=10)(np.ones((4, 3, 8, 8)), np.array([3, 1, 4, 1]))
    >>> targets.shape
    (4, 10)
    """

    def _mix(self, images: Images, targets: Images, share: float, generator: np.random.Generator) -> tuple[Images, Images]:
        h, w = images.shape[2:]
        y, x = int(generator.integers(h)), int(generator.integers(w))
        half = np.sqrt(1 - share) / 2
        top, left = max(int(y - half * h), 0), max(int(x - half * w), 0)
        bottom, right = min(int(y + half * h), h), min(int(x + half * w), w)
        mixed = images.copy()
        mixed[:, :, top:bottom, left:right] = np.roll(images, 1, axis=0)[:, :, top:bottom, left:right]
        return mixed, _blended(targets, 1 - (bottom - top) * (right - left) / (h * w))


def _blended(rows: Images, share: float) -> Images:
    """Blend each row with the one before it, the first with the last."""
    own, other = np.asarray(share, rows.dtype), np.asarray(1 - share, rows.dtype)
    blended: Images = own * rows + other * np.roll(rows, 1, axis=0)
    return blended
