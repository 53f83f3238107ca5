"""CIFAR-10 and CIFAR-100: 60,000 colour pictures of 32 x 32 pixels in ten or a hundred classes.

Of the published versions the *binary* one is read. (The Python version is pickles, which can run code when they are
read.) It is a gzipped tar archive, and is read as it is: nothing is unpacked onto the disk. A file in it is a row of
records without any header,

    CIFAR-10    label                    3,072 bytes: the red plane, the green, the blue, each row by row
    CIFAR-100   coarse label, label      the same

References
----------
A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009, chapter 3.
"""

import io
import os
import tarfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .files import DATA_VARIABLE, ArchiveFile
from .pictures import Pictures
from .places import Collection

_PIXELS = 3 * 32 * 32
_REMEDY = "Delete the archive and get it again."


class CIFAR10(Pictures):
    """Pictures of ten kinds of animals and vehicles: 50,000 for training and 10,000 for testing.

    Looked for in `root`, the directory of the environment variable ``TINYGRAD_CNN_DATA``, and the cache; downloaded if
    need be (170 MB). The checksum of the archive is verified.

    Parameters
    ----------
    root : str or path-like, optional
        A directory that has the archive ``cifar-10-binary.tar.gz``; a download goes there.
    train : bool, default True
        The training or the test pictures.
    transform, target_transform : callable, optional
        Applied to each image, a float32 array (3, 32, 32) in [0, 1], and to each label. One of `transforms` is applied
        to a whole batch at once.
    download : bool, default True
        Whether the network may be used if no other place has the archive.
    mirrors : sequence of str, optional
        Where to download from, in order.

    Attributes
    ----------
    images : ndarray of uint8, shape (n, 3, 32, 32)
    targets : ndarray of int64, shape (n,)
    classes : tuple of str
        The classes' names, as the archive has them.

    Raises
    ------
    DataError
        If the archive is not the published one, or no place has it.
    """

    mirrors: ClassVar[tuple[str, ...]] = ("https://www.cs.toronto.edu/~kriz/", "http://www.cs.toronto.edu/~kriz/")
    _title: ClassVar[str] = "CIFAR-10"
    _archive: ClassVar[ArchiveFile] = ArchiveFile("cifar-10-binary.tar.gz", 200_000_000, "c32a1d4ab5d03f1284b67883e8d87530")
    _folder: ClassVar[str] = "cifar-10-batches-bin"
    _train: ClassVar[tuple[str, ...]] = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
    _test: ClassVar[tuple[str, ...]] = ("test_batch.bin",)
    _names: ClassVar[str] = "batches.meta.txt"
    _label_bytes: ClassVar[int] = 1

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Callable[[npt.NDArray[np.float32]], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        download: bool = True,
        *,
        mirrors: Sequence[str] | None = None,
    ) -> None:
        super().__init__(train, transform, target_transform)
        collection = Collection(
            self._title,
            [self._archive],
            Path(self._folder),
            self.mirrors if mirrors is None else mirrors,
            before=(f"put {self._archive.name} into a directory and name it, as root=... (--root) or in {DATA_VARIABLE}",),
        )
        self.source, (archive,) = collection.find(root, download)
        parts = self._train if train else self._test
        *contents, names = self._unpack(archive, [*parts, self._names])
        records = np.concatenate([self._records(name, part) for name, part in zip(parts, contents, strict=True)])
        self._take_labels(records[:, : self._label_bytes])
        self.images = records[:, self._label_bytes :].reshape(-1, 3, 32, 32).copy()
        self.classes = tuple(names.decode("ascii").split())

    def _take_labels(self, labels: npt.NDArray[np.uint8]) -> None:
        """Set the targets from the bytes that stand before each picture."""
        self.targets = labels[:, -1].astype(np.int64)

    def _unpack(self, archive: bytes, names: Sequence[str]) -> list[bytes]:
        """Return files of the archive."""
        contents: dict[str, bytes] = {}
        try:
            with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
                for member in tar:
                    place = Path(member.name)
                    if place.parent.name == self._folder and place.name in names and member.isfile():
                        file = tar.extractfile(member)
                        contents[place.name] = file.read() if file else b""
        except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
            raise DataError(f"{self._archive.name} ({self.source}) is damaged: {error}. {_REMEDY}") from error
        missing = [name for name in names if name not in contents]
        if missing:
            raise DataError(f"{self._archive.name} ({self.source}) has no {', '.join(missing)} in {self._folder}. {_REMEDY}")
        return [contents[name] for name in names]

    def _records(self, name: str, content: bytes) -> npt.NDArray[np.uint8]:
        """Return the records of a file as rows of bytes."""
        size = self._label_bytes + _PIXELS
        if len(content) % size:
            raise DataError(
                f"{name} in {self._archive.name} ({self.source}) is truncated: its records have {size:,} bytes each, and "
                f"{len(content):,} bytes are no whole number of them. {_REMEDY}"
            )
        return np.frombuffer(content, np.uint8).reshape(-1, size)


class CIFAR100(CIFAR10):
    """Pictures of a hundred kinds of things: 50,000 for training and 10,000 for testing.

    Parameters, attributes and errors as of `CIFAR10`; the archive is ``cifar-100-binary.tar.gz``.

    Attributes
    ----------
    coarse_targets : ndarray of int64, shape (n,)
        Which of twenty groups each belongs to: five classes make a group.
    """

    _title = "CIFAR-100"
    _archive = ArchiveFile("cifar-100-binary.tar.gz", 200_000_000, "03b5dce01913d631647c71ecec9e9cb8")
    _folder = "cifar-100-binary"
    _train = ("train.bin",)
    _test = ("test.bin",)
    _names = "fine_label_names.txt"
    _label_bytes = 2

    coarse_targets: npt.NDArray[np.int64]

    def _take_labels(self, labels: npt.NDArray[np.uint8]) -> None:
        super()._take_labels(labels)
        self.coarse_targets = labels[:, 0].astype(np.int64)
