"""What the data sets of small pictures share: all pixels in one array, floats when they are asked for."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .dataset import Dataset
from .transforms.base import takes_batches


class Pictures(Dataset[tuple[Any, Any]]):
    """A data set of pairs (image, label) whose images are all in memory, as bytes.

    Parameters
    ----------
    train : bool
        The training or the test images.
    transform : callable, optional
        Applied to each image, a float32 array of shape (c, h, w) in [0, 1], when it is asked for. One of `transforms` is
        applied to a whole batch at once.
    target_transform : callable, optional
        Applied to each label, an int.

    Attributes
    ----------
    images : ndarray of uint8, shape (n, h, w) or (n, c, h, w)
    targets : ndarray of int64, shape (n,)
    classes : tuple of str
        The classes' names.
    source : str
        Where the data set was found.
    """

    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    source: str

    def __init__(
        self,
        train: bool,
        transform: Callable[[npt.NDArray[np.float32]], Any] | None,
        target_transform: Callable[[int], Any] | None,
    ) -> None:
        self.train = train
        self.transform = transform
        self.target_transform = target_transform

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Another name of `targets`."""
        return self.targets

    @property
    def data(self) -> npt.NDArray[np.uint8]:
        """Another name of `images`, as torchvision has it."""
        return self.images

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class by its name."""
        return {name: number for number, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image: Any = self._floats(self.images[index][None])[0]
        label: Any = int(self.targets[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label

    def get_batch(self, indices: Sequence[int]) -> tuple[Any, Any] | None:
        """Return many samples at once, stacked; None if a transform has to see them one by one."""
        if self.target_transform is not None or not takes_batches(self.transform):
            return None
        images: Any = self._floats(self.images[indices])
        if self.transform is not None:
            images = self.transform(images)
        return images, self.targets[indices]

    def _floats(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return images as float32 with an axis of channels: shape (n, c, h, w)."""
        grey = images[:, None] if images.ndim == 3 else images
        return grey.astype(np.float32) / np.float32(255)

    def __repr__(self) -> str:
        part = "train" if self.train else "test"
        return f"{type(self).__name__}({part}, {len(self):,} images of {len(self.classes)} classes, from {self.source})"
