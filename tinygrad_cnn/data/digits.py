"""The 1,797 digits of 8 x 8 pixels that come with scikit-learn: as small as a data set of real handwriting can be.

Only scikit-learn's data file is read, with its checksum; none of its code runs.

References
----------
E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository, 1998: the test
set of that data set.
"""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import MissingExtraError
from .files import DATA_VARIABLE, DataFile
from .pictures import Pictures
from .places import AbsentError, Collection

_FILE = DataFile("digits.csv", 264_712, "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8")


class Digits(Pictures):
    """1,797 handwritten digits of 8 x 8 grey pixels. They are one set: `random_split` makes parts of it.

    Looked for in `root`, the directory of the environment variable ``TINYGRAD_CNN_DATA``, and the installed
    scikit-learn (the extra "digits").

    Parameters
    ----------
    root : str or path-like, optional
        A directory that has ``digits.csv`` or ``digits.csv.gz``.
    transform, target_transform : callable, optional
        Applied to each image, a float32 array (1, 8, 8) in [0, 1], and to each label. One of `transforms` is applied to
        a whole batch at once.

    Attributes
    ----------
    images : ndarray of uint8, shape (1797, 8, 8)
        The pixels: 0 is paper, 16 is ink.
    targets : ndarray of int64, shape (1797,)

    Raises
    ------
    DataError
        If the file is not the published one, or no place has it.
    """

    classes = tuple("0123456789")

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        transform: Callable[[npt.NDArray[np.float32]], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ) -> None:
        super().__init__(True, transform, target_transform)
        collection = Collection(
            "The set of small digits",
            [_FILE],
            Path("digits"),
            mirrors=(),
            before=(
                'pip install "tinygrad_cnn[digits]"',
                f"put digits.csv.gz of scikit-learn into a directory and name it, as root=... or in {DATA_VARIABLE}",
            ),
        )
        places = [('extra "digits"', lambda: collection.from_directory(_directory_of_extra()))]
        self.source, (content,) = collection.find(root, None, places)
        rows = np.array([line.split(",") for line in content.decode("ascii").split()], np.uint8)
        self.images, self.targets = rows[:, :-1].reshape(-1, 8, 8).copy(), rows[:, -1].astype(np.int64)

    def _floats(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return images[:, None].astype(np.float32) / np.float32(16)

    def __repr__(self) -> str:
        return f"Digits({len(self):,} images of 10 classes, from {self.source})"


def _directory_of_extra() -> Path:
    """Return where the installed scikit-learn has its data, without importing it."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("reading the digits of an installed scikit-learn", "digits")
    directory = Path(spec.submodule_search_locations[0], "datasets", "data")
    if not directory.is_dir():
        raise AbsentError(f"scikit-learn is installed, but there is no {directory}")
    return directory
