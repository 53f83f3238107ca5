"""The array types that the kernels exchange: any real floating array, and indices, int32 or int64; and how indices are read."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int32] | npt.NDArray[np.int64]


def unravel(flat: Indices, size: tuple[int, ...]) -> list[Indices]:
    """Turn flat positions in planes of a size into positions along each axis.

    It is what `np.unravel_index` promises, but that (in NumPy 2.4) gives wrong numbers for more than 8192 positions in an
    array that ends in axes of size 1, and the planes of global pooling are such arrays.
    """
    places: list[Indices] = []
    for length in reversed(size):
        flat, place = np.divmod(flat, length)
        places.insert(0, place)
    return places
