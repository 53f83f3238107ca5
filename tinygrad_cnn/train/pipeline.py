"""From the settings of a run to its batches: the data set, what is done to its images, and the loaders.

Held-out images are only scaled. Training images are distorted first, if the settings ask for it: digits a little turned,
moved, scaled and sheared, much as LeCun et al. (1998, section III-C) did; CIFAR's padded by 4 pixels, cropped at random and
flipped, as He et al. (2015, section 4.2); ImageNet's as a random part of the image, flipped (Szegedy et al. 2014, section 6).
"""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from .. import data, models
from ..data import transforms
from ..errors import ArgumentError, DataError
from ..nn import Module
from .settings import Settings, chosen

Size = tuple[int, int, int]


@dataclass(frozen=True)
class DataSet:
    """A data set that has a name.

    Attributes
    ----------
    make : callable
        ``make(root, train, transform)``; its images are floats from 0 to 1.
    classes : int
    size : (int, int, int)
        Of one image: channels, height, width.
    mean, std : tuple of float
        Of the channels over the training images; those of digits come from the settings.
    """

    make: Callable[[str | None, bool, Any], Any]
    classes: int
    size: Size
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


_DIGIT, _CIFAR = (1, 28, 28), (3, 32, 32)

DATA_SETS = {
    "mnist": DataSet(data.MNIST, 10, _DIGIT),
    "mnist-subset": DataSet(partial(data.MNIST, subset=True), 10, _DIGIT),
    "fashion-mnist": DataSet(data.FashionMNIST, 10, _DIGIT),
    "kmnist": DataSet(data.KMNIST, 10, _DIGIT),
    "cifar10": DataSet(data.CIFAR10, 10, _CIFAR, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": DataSet(data.CIFAR100, 100, _CIFAR, (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}

_NORMALIZATIONS: dict[str, Any] = {
    "unit": None,
    "standard": ((0.1307,), (0.3081,)),
    "lecun98": ((0.1 / 1.275,), (1 / 1.275,)),  # 1.275 u - 0.1
}
"""Means and standard deviations that come to the formulas of `data.normalize_digits`."""

# Of ImageNet's channels, as torchvision has them.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_CLASSES = {"MNIST": 10, "CIFAR-10": 10, "ImageNet": 1000}


@dataclass
class Pipeline:
    """The data of a run.

    Attributes
    ----------
    settings : Settings
    train, val : Dataset
    source : str
        Where they came from.
    classes : int
        How many there are.
    names : list of str or None
        What they are called; None for digits and the like, which go by their numbers.
    """

    settings: Settings
    train: Any
    val: Any
    source: str
    classes: int
    names: list[str] | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Pipeline":
        """Find the data.

        Raises
        ------
        ArgumentError
            If there is no data set of that name, or the model does not take images of its size.
        DataError
            If the data are not there; says how to get them.
        """
        size = models.get_entry(settings.model).input_size
        known = DATA_SETS.get(settings.data)
        if known is not None:
            train, val = (_named(settings, known, size, train) for train in (True, False))
            source, classes = str(getattr(train, "source", settings.data)), known.classes
        else:
            train, val = (_folder(settings, size, part) for part in ("train", "val"))
            source, classes = settings.data, len(train.classes)
            if val.classes != train.classes:
                raise DataError(f"{source}: train has the classes {train.classes}, val has {val.classes}: make them the same")
        names = list(getattr(train, "classes", [])) if size[0] == 3 else None
        if settings.limit is not None:
            train, val = (_some(one, settings.limit) for one in (train, val))
        return cls(settings, train, val, source, classes, names or None)

    def model(self) -> Module:
        """The network, with as many outputs as the data have classes."""
        entry = models.get_entry(self.settings.model)
        made_for = _CLASSES[entry.data]
        if made_for == self.classes:
            return entry.build()
        try:
            return entry.build(num_classes=self.classes)
        except TypeError as error:
            raise ArgumentError(
                f"{entry.name} is made for {made_for} classes, {self.settings.data} has {self.classes}: choose another network"
            ) from error

    def train_loader(self) -> data.DataLoader:
        """Batches in an order that is drawn in each epoch."""
        settings = self.settings
        return data.DataLoader(self.train, settings.batch_size, shuffle=True, num_workers=settings.workers)

    def val_loader(self) -> data.DataLoader:
        """Held-out batches, large ones where the images are small, for no gradients have to be kept."""
        small = models.get_entry(self.settings.model).input_size[1] <= 32
        return data.DataLoader(self.val, 500 if small else self.settings.batch_size, num_workers=self.settings.workers)


def _named(settings: Settings, known: DataSet, size: Size, train: bool) -> Any:
    """One half of a data set that has a name."""
    frame, rest = divmod(size[1] - known.size[1], 2)
    if size[0] != known.size[0] or not 0 <= frame <= 2 or rest:
        raise ArgumentError(
            f"{settings.model} takes images of {_times(size)}, those of {settings.data} are {_times(known.size)}: choose "
            "another network, or other --data"
        )
    distorted = settings.augment and train
    steps = _for_digits(settings, frame, distorted) if known.size[0] == 1 else _for_colour(known, distorted)
    return known.make(settings.root, train, transforms.Compose(steps) if steps else None)


def _for_digits(settings: Settings, frame: int, distorted: bool) -> list[Any]:
    """Distort a digit, put it into a frame of paper, and scale it last: until then, paper is 0."""
    scale = chosen("normalization", settings.normalization, _NORMALIZATIONS)
    steps: list[Any] = [transforms.RandomAffine(10, (0.08, 0.08), (0.9, 1.1), shear=10)] if distorted else []
    steps += [transforms.Pad(frame)] if frame else []
    return steps if scale is None else [*steps, transforms.Normalize(*scale)]


def _for_colour(known: DataSet, distorted: bool) -> list[Any]:
    """Scale a small picture, then distort it, so that the frame of zeros that it is cropped from has the mean colour."""
    scaled = transforms.Normalize(known.mean, known.std)
    if not distorted:
        return [scaled]
    return [scaled, transforms.RandomCrop(known.size[1:], padding=4), transforms.RandomHorizontalFlip()]


def _folder(settings: Settings, size: Size, part: str) -> Any:
    """The images below one of the two halves of a directory."""
    root = Path(settings.data).expanduser()
    if not root.is_dir():
        raise _no_data(settings)
    if not (root / part).is_dir():
        raise DataError(f"{root} has no {part}: put the images into {root}/train/CLASS/ and {root}/val/CLASS/")
    if size[0] == 1:
        raise ArgumentError(f"{settings.model} takes grey images, a directory of pictures has colours: choose another network")
    steps: list[Any]
    if settings.augment and part == "train":
        steps = [transforms.RandomResizedCrop(size[1:]), transforms.RandomHorizontalFlip()]
    else:
        # The middle of the image, with a margin of an eighth as 224 has of 256.
        steps = [transforms.Resize(size[1] * 8 // 7), transforms.CenterCrop(size[1:])]
    return data.ImageFolder(root / part, transform=transforms.Compose([*steps, transforms.Normalize(_MEAN, _STD)]))


def _some(dataset: Any, limit: int) -> Any:
    """So many samples, taken evenly: where they are sorted by class, the first ones would be all of one class."""
    count = min(limit, len(dataset))
    return data.Subset(dataset, [i * len(dataset) // count for i in range(count)])


def _no_data(settings: Settings) -> DataError | ArgumentError:
    """What to say of data that are neither a data set's name nor a directory."""
    if settings.data == "imagenet":
        return DataError(
            f"{settings.model} learns from ImageNet, which cannot be downloaded without an account: name a directory with your "
            "images in train/CLASS/ and val/CLASS/, as --data DIR"
        )
    near = get_close_matches(settings.data.lower(), DATA_SETS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the data sets are {', '.join(DATA_SETS)}"
    return ArgumentError(f"there is no data set and no directory {settings.data!r}: {hint}")


def _times(size: Size) -> str:
    return "x".join(map(str, size))
