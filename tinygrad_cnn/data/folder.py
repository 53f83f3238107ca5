"""ImageFolder: pictures in files, the files of each class in a folder of its own."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ArgumentError, DataError, MissingExtraError
from .dataset import Dataset
from .transforms.convert import ToArray

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""The suffixes of files that are taken for pictures, in small letters."""


class ImageFolder(Dataset[tuple[Any, Any]]):
    """The pictures in the folders of a directory; the folders are the classes.

    ::

        root/cat/felix.png
        root/cat/more/tom.jpg
        root/dog/rex.png

    Parameters
    ----------
    root : str or path-like
        The directory.
    transform : callable, optional
        Applied to each picture: a float32 array (3, h, w) in [0, 1], or what `loader` returns.
    target_transform : callable, optional
        Applied to each label, an int.
    loader : callable, optional
        Reads the picture of a path; by default `load_image`, which needs the extra "plot".
    is_valid_file : callable, optional
        Says of a path whether it is taken; by default files with the suffixes of pictures are.

    Attributes
    ----------
    classes : list of str
        The names of the folders, sorted.
    class_to_idx : dict
        The number of each class.
    samples : list of (str, int)
        The path and the class of each picture, sorted by class and path.
    targets : list of int
        The classes.

    Raises
    ------
    DataError
        If the directory cannot be read, has no folders, or a class has no picture. When a picture is asked for: if its
        file cannot be read, naming it.
    MissingExtraError
        If the extra is missing.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> for name in ("dog/rex.ppm", "cat/felix.ppm"):
    ...     (root / name).parent.mkdir()
    ...     _ = (root / name).write_bytes(b"P6 1 2 255 " + bytes([255, 0, 0, 0, 0, 51]))
    >>> pictures = ImageFolder(root)
    >>> pictures.class_to_idx, pictures.targets
    ({'cat': 0, 'dog': 1}, [0, 1])
    >>> pictures[0][0][:, 1, 0]
    array([0. , 0. , 0.2], dtype=float32)
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        loader: Callable[[str], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
    ) -> None:
        self.root = Path(root)
        self.transform = transform
        self.target_transform = target_transform
        self.loader = load_image if loader is None else loader
        self.classes = self._find_classes()
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}
        self.samples = [
            (path, number)
            for name, number in self.class_to_idx.items()
            for path in self._find_files(name, _is_picture if is_valid_file is None else is_valid_file)
        ]
        self.targets = [number for _, number in self.samples]

    @property
    def imgs(self) -> list[tuple[str, int]]:
        """Another name of `samples`."""
        return self.samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, label = self.samples[index]
        image: Any = self.loader(path)
        target: Any = label
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __repr__(self) -> str:
        return f"ImageFolder({len(self):,} images of {len(self.classes)} classes, from {self.root})"

    def _find_classes(self) -> list[str]:
        """Return the names of the folders."""
        try:
            classes = sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir())
        except OSError as error:
            raise DataError(f"the directory {self.root} cannot be read: {error.strerror}. Check the path") from error
        if not classes:
            raise DataError(f"{self.root} has no folders: put the pictures of each class into a folder of its own in it")
        return classes

    def _find_files(self, name: str, is_valid_file: Callable[[str], bool]) -> list[str]:
        """Return the paths of the pictures of a class, also those in folders of its folder."""
        walk = os.walk(self.root / name, followlinks=True)
        found = (os.path.join(directory, file) for directory, _, files in walk for file in files)
        paths = sorted(path for path in found if is_valid_file(path))
        if not paths:
            raise DataError(
                f"the folder {self.root / name} has no pictures ({', '.join(IMG_EXTENSIONS)}): fill it, or remove it"
            )
        return paths


def load_image(path: str | os.PathLike[str], mode: str = "RGB") -> npt.NDArray[np.float32]:
    """Read a picture from a file.

    Parameters
    ----------
    path : str or path-like
        The file, in any format that Pillow reads.
    mode : {"RGB", "L"}
        In colour, or grey.

    Returns
    -------
    ndarray of float32, shape (c, h, w)
        In [0, 1]. As the file has it: a note of how the camera was held is not followed (as in torchvision).

    Raises
    ------
    ArgumentError
        If `mode` is another one.
    DataError
        If the file cannot be read, or is not a whole picture.
    MissingExtraError
        If Pillow is not installed.
    """
    if mode not in ("RGB", "L"):
        raise ArgumentError(f'mode must be "RGB" or "L", got {mode!r}')
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("reading pictures from files", "plot") from error
    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert(mode))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # each format has its own
        raise DataError(f"the picture {os.fspath(path)} cannot be read: {error}. Replace the file, or remove it") from error
    return ToArray()(pixels)


def _is_picture(path: str) -> bool:
    return path.lower().endswith(IMG_EXTENSIONS)
