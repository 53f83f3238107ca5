"""What convolutions with channels side by side have in common: groups, and the panels of results that a product makes.

A *panel* is one vector of output channels or two, for which a product goes through all input channels, some rows (tiles,
positions) at a time. Channels are filled up to whole vectors; what is computed beyond the last is never read.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.geometry import ConvGeometry
from tinygrad_cnn.kernels.numba_lanes import LANES, turn_in, turn_out
from tinygrad_cnn.kernels.numba_simd import ACCUMULATORS

DTYPE = np.dtype(np.float32)
"""All of it is for single precision."""


class Group(NamedTuple):
    """A group's channels: of the input and the output, number of the first and how many; and the kernels between them."""

    inputs: tuple[int, int]
    outputs: tuple[int, int]
    weight: Array

    @property
    def channels(self) -> int:
        """How many input channels there are."""
        return self.inputs[1]

    @property
    def results(self) -> int:
        """How many output channels there are."""
        return self.outputs[1]


def channel_groups(geometry: ConvGeometry, weight: Array) -> Iterator[Group]:
    """The groups of a convolution, and the kernels (o, c, kh, kw) of each."""
    channels, results = geometry.in_channels // geometry.groups, geometry.out_channels // geometry.groups
    weight = np.ascontiguousarray(weight)
    for g in range(geometry.groups):
        outputs = slice(g * results, (g + 1) * results)
        yield Group((g * channels, channels), (g * results, results), weight[outputs])


def filled_up(bias: Array | None, y: Array) -> Array:
    """What is added to each channel of y, with room for vectors beyond the last."""
    added = np.zeros(y.shape[1] + 2 * LANES, y.dtype)
    if bias is not None:
        added[: y.shape[1]] = bias
    return added


def whole(channels: int, vectors: int = 1) -> int:
    """How many numbers hold so many channels in whole vectors, or in whole pairs of them."""
    return -(-channels // (vectors * LANES)) * vectors * LANES


def width_of_panel(results: int) -> int:
    """How many vectors of results a product makes at once."""
    return 1 if results <= LANES else 2


@functools.lru_cache(maxsize=512)
def height_of_tile(rows: int, width: int) -> int:
    """How many rows a product makes at once: as many as leave least to do beyond the last."""
    if width == 1:
        return 8
    heights = (4, 5, 6) if ACCUMULATORS == 12 else (8, 10, 12)
    return min(heights, key=lambda height: (-(-rows // height) * (height + 0.5), -height))


def turner_in() -> int:
    """Where the microkernel is that puts channels side by side."""
    return int(turn_in.address((), DTYPE))


def turner_out() -> int:
    """Where the one is that puts them one behind the other again."""
    return int(turn_out.address((), DTYPE))
