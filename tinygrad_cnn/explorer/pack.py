"""Arrays in a page of limited size: which part of each is kept, and how its numbers are written.

What is kept is kept as float32, so every number that the page prints is the recorded one to 6 digits. What does not fit
is left out and the page says so. The first of everything stays: the first image of the batch, the first channels, the
first units, so that a number's index in the page is its index in the array, and sums over what is there can be checked.
"""

import base64
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd.function import Array

# In the worst case, floats that do not compress: 4 bytes of 8 bits are written as 6-bit characters.
CHARACTERS_PER_FLOAT = 4 * 4 / 3

# A channel more or less of a deep net explains nothing; fewer numbers than these are no picture.
FEWEST = 64


@dataclass(frozen=True)
class Packed:
    """The description of every tensor, and the text that holds their numbers.

    Attributes
    ----------
    tensors : list of dict
        `shape` of the whole; `kept`, how many of each axis are in the file; `at`, where in the text's floats they
        begin; `low` and `high`, the least and the greatest finite value of the whole; `odd`, how many values are not
        finite.
    text : str
        The float32 numbers, little-endian, their bytes sorted by significance, deflated, in base64.
    whole : bool
        Whether nothing was left out.
    """

    tensors: list[dict[str, Any]]
    text: str
    whole: bool


def pack(arrays: Sequence[Array], batched: set[int], room: int) -> Packed:
    """Keep as much as fits.

    Parameters
    ----------
    arrays : sequence of ndarray
    batched : set of int
        Those whose first dimension is the batch.
    room : int
        Characters that the text may take.

    Returns
    -------
    Packed
    """
    packed = _packed(arrays, batched, int(room / CHARACTERS_PER_FLOAT))
    if packed.whole:
        return packed
    # Zeros deflate to nothing: with the rate that was reached more fits, as a rule.
    rate = max(1, len(packed.text)) / max(1, sum(math.prod(tensor["kept"]) for tensor in packed.tensors))
    fuller = _packed(arrays, batched, int(0.95 * room / rate))
    return fuller if len(fuller.text) <= room else packed


def _packed(arrays: Sequence[Array], batched: set[int], numbers: int) -> Packed:
    """Keep about so many numbers at most."""
    kept = [array.shape for array in arrays]
    if _total(kept) > numbers:
        # One image explains as much as 64 do: the batch goes first.
        first = [_first_image(array.shape) if i in batched else array.shape for i, array in enumerate(arrays)]
        most = _largest_share(first, numbers)
        kept = [_cut(shape, most) for shape in first]
    blocks = [array[tuple(map(slice, shape))] for array, shape in zip(arrays, kept, strict=True)]
    whole = all(array.shape == shape for array, shape in zip(arrays, kept, strict=True))
    places = np.cumsum([0, *(block.size for block in blocks)])
    tensors = [_described(array, shape, int(at)) for array, shape, at in zip(arrays, kept, places, strict=False)]
    return Packed(tensors, _text(blocks), whole)


def _first_image(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (min(1, shape[0]), *shape[1:]) if len(shape) > 1 else shape


def _total(shapes: Sequence[tuple[int, ...]]) -> int:
    return sum(map(math.prod, shapes))


def _largest_share(shapes: Sequence[tuple[int, ...]], numbers: int) -> int:
    """The most that any one tensor may keep, so that all of them together fit."""
    low, high = FEWEST, max(map(math.prod, shapes))
    while high - low > 1:
        middle = (low + high) // 2
        if _total([_cut(shape, middle) for shape in shapes]) <= numbers:
            low = middle
        else:
            high = middle
    return low


def _cut(shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    """The first of the channels, then of the axis before them, until what is left is small enough.

    Channels are axis 1 of a feature map; a weight is cut along its outputs, so that a kernel that is there is whole.
    """
    kept = list(shape)
    order = [0, 1, *range(2, len(shape))] if shape and shape[0] > 1 else [*range(1, len(shape)), 0]
    for axis in order[: len(shape)]:
        excess = math.prod(kept)
        if excess <= most:
            break
        kept[axis] = max(1, kept[axis] * most // excess)
    return tuple(kept)


def _described(array: Array, kept: tuple[int, ...], at: int) -> dict[str, Any]:
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array.ravel()
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    described = {"shape": list(array.shape), "kept": list(kept), "at": at, "low": low, "high": high}
    return described | ({"odd": int(array.size - finite.size)} if finite.size < array.size else {})


def _text(blocks: Sequence[Array]) -> str:
    flat = [np.ascontiguousarray(block, "<f4").ravel() for block in blocks]
    numbers = np.concatenate(flat) if flat else np.zeros(0, "<f4")
    # The first bytes of all numbers, then the second ones: exponents resemble each other, so they deflate better.
    by_significance = np.ascontiguousarray(numbers.view(np.uint8).reshape(-1, 4).T)
    return base64.b64encode(zlib.compress(by_significance.tobytes(), 6)).decode("ascii")
