"""Makes `mnist_subset/`, the digits that come with the package: ``python -m tinygrad_cnn.data._make_subset``.

It needs the full set (``pip install "tinygrad_cnn[data]"``). The choice is fixed: the digits are put in a random order
by NumPy's legacy generator, whose stream is frozen for good, and the first 500 (or 100) of each class are kept, in that
order. So anybody can make the files again and compare: `tests/data/test_subset.py` does.
"""

import gzip
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .files import atomic_write
from .idx import idx_bytes
from .mnist import MNIST

SEED = 1998  # the year of the paper
PER_CLASS = {"train": 500, "t10k": 100}


def choose(labels: npt.NDArray[np.int64], per_class: int) -> npt.NDArray[np.int64]:
    """Return the indices of a balanced, shuffled choice of digits.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        The class of each digit.
    per_class : int
        How many to choose of each class.

    Returns
    -------
    ndarray of int64, shape (10 * per_class,)
    """
    order = np.random.RandomState(SEED).permutation(len(labels))
    kept = [np.flatnonzero(labels[order] == digit)[:per_class] for digit in range(10)]
    return order[np.sort(np.concatenate(kept))]


def subset_files() -> dict[str, bytes]:
    """Return the idx files of the subset, by name, not compressed."""
    files: dict[str, bytes] = {}
    for part, per_class in PER_CLASS.items():
        full = MNIST(train=part == "train")
        chosen = choose(full.targets, per_class)
        labels: npt.NDArray[Any] = full.targets[chosen].astype(np.uint8)
        files[f"{part}-images-idx3-ubyte"] = idx_bytes(full.images[chosen])
        files[f"{part}-labels-idx1-ubyte"] = idx_bytes(labels)
    return files


def main() -> None:
    """Write the subset, and print the checksums that `mnist.py` and the subset's README.txt quote."""
    directory = Path(__file__).with_name("mnist_subset")
    directory.mkdir(exist_ok=True)
    for name, content in subset_files().items():
        with atomic_write(directory / f"{name}.gz") as file:
            # No time stamp: the same digits give the same file.
            file.write(gzip.compress(content, compresslevel=9, mtime=0))
        print(f"{hashlib.sha256(content).hexdigest()}  {name}  {len(content):,} bytes")


if __name__ == "__main__":
    main()
