"""Convolution without columns: every tap of the kernel reads a run of a plane.

Columns (see `numpy_conv`) hold each input value once for every tap that reads it, kh * kw times. Most of that is not needed.
Take one channel, and one column q of the kernel; lay out, row by row, what q reads from each padded input row,

    plane[r, j] = x[c, r - top, j * stride + q * dilation - left]              0 <= j < ow

Then what tap (p, q) reads for *all* outputs (i, j), one after the other, is a run of this plane: it begins p rows further
down, and is contiguous. So kw planes for each channel serve all kh * kw taps, and the sum over the taps

    y[o, t] = sum over c, p, q of weight[o, c, p, q] * plane(c, q)[offset(p) + t]              t = i * ow + j

is one loop over runs of memory, which is what `numba_simd` does. With a stride of s down the rows, output i reads row
``i * s + p * dilation``. Rows with equal remainder by s make a plane of their own (its *phase*), and then

    (i * s + p * dilation) // s  =  i + (p * dilation) // s

so that a tap again begins at a fixed row. The two gradients have the same form:

- of the weight: ``gweight[o, c, p, q]`` is the sum over t of ``gy[o, t] * plane(c, q)[offset(p) + t]``;
- of the input: input positions i with equal ``u = (i + top) // s`` and remainder a are read by the taps with
  ``p * dilation % s == a`` and by no others, at the outputs ``u - (p * dilation) // s``. For each remainder, along rows and
  columns, that is a convolution of `gy` with stride 1 and these taps.

A `PlaneProduct` says which planes there are, and where each tap begins. It is made once for a geometry.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

from tinygrad_cnn.kernels.geometry import ConvGeometry

Indices = npt.NDArray[np.int64]

PLANES_BYTES = 768 << 10
"""How large the planes of one block may be: with the weights that are multiplied, they stay in a core's second cache."""

_BLOCKS_WANTED = 8

_LARGE_WEIGHTS = 1 << 20
"""Weights of more bytes are read anew for each block, from beyond the second cache, so that a few large blocks are better."""

_MOST_SUMMED, _FEWEST_SUMMED, _GRADIENT_BYTES = 1024, 512, 1 << 20
"""Over how many positions the gradient of the weight is summed at once: as many as leave the output's gradient in the cache."""


@dataclass(frozen=True)
class Axis:
    """What is read along rows or columns: number k of phase f is position ``k * step + origins[f]`` of the source."""

    size: int
    """How many outputs there are."""
    step: int
    origins: tuple[int, ...]
    taps: tuple[int, ...]
    """Which taps of the kernel take part."""
    reads: tuple[tuple[int, int], ...]
    """For each of these, its phase, and at which number of the phase the first output reads."""

    @property
    def length(self) -> int:
        """How many numbers of a phase are read."""
        return self.size + max(start for _, start in self.reads)


@dataclass(frozen=True)
class PlaneProduct:
    """A product of taps with planes: its sizes, and where in the planes of one image each tap begins.

    Attributes
    ----------
    groups, sources, results : int
        How many groups there are, and how many channels each group reads and makes.
    rows, columns : Axis
        A column's taps each have a phase of their own: planes are copies of shifted columns.
    """

    groups: int
    sources: int
    results: int
    rows: Axis
    columns: Axis

    @property
    def positions(self) -> int:
        """How many results a channel has."""
        return self.rows.size * self.columns.size

    def row_bytes(self, itemsize: int) -> int:
        """How large one row of all planes of an image is."""
        planes = len(self.columns.origins) * len(self.rows.origins)
        return self.groups * self.sources * planes * self.columns.size * itemsize

    def origins(self) -> tuple[Indices, Indices]:
        """The origins of the phases of rows and of columns."""
        return np.array(self.rows.origins, np.int64), np.array(self.columns.origins, np.int64)

    def offsets(self, plane_rows: int) -> Indices:
        """Where each tap (c, p, q) of a group begins in planes (c, phase of columns, phase of rows, plane_rows, ow)."""
        phases = (len(self.columns.origins), len(self.rows.origins))
        return np.array(
            [
                (((c * phases[0] + column) * phases[1] + row) * plane_rows + start) * self.columns.size
                for c, (row, start), (column, _) in product(range(self.sources), self.rows.reads, self.columns.reads)
            ],
            np.int64,
        )


@dataclass(frozen=True, eq=False)
class Blocks:
    """The parts of a batch whose planes are laid out at once: several whole images, or some rows of one.

    Attributes
    ----------
    table : ndarray, shape (blocks, 4)
        First image, how many, first row of the output, how many.
    plane_rows : int
        How many rows the planes have; no block needs more.
    images : int
        The most that a block has.
    """

    table: Indices
    plane_rows: int
    images: int

    @property
    def fewest_rows(self) -> int:
        """How many rows of the output the smallest block has."""
        return int(self.table[:, 3].min())

    @property
    def most_rows(self) -> int:
        """How many the largest has."""
        return int(self.table[:, 3].max())


@functools.lru_cache(maxsize=512)
def forward(geometry: ConvGeometry) -> PlaneProduct:
    """The convolution itself, and its weight's gradient."""
    (height, width), (sh, sw), (dh, dw) = geometry.kernel_size, geometry.stride, geometry.dilation
    (top, _), (left, _) = geometry.padding
    phases = sorted({p * dh % sh for p in range(height)})
    reads = tuple((phases.index(p * dh % sh), p * dh // sh) for p in range(height))
    rows = Axis(geometry.out_size[0], sh, tuple(phase - top for phase in phases), tuple(range(height)), reads)
    columns = Axis(
        geometry.out_size[1],
        sw,
        tuple(q * dw - left for q in range(width)),
        tuple(range(width)),
        tuple((q, 0) for q in range(width)),
    )
    return PlaneProduct(
        geometry.groups, geometry.in_channels // geometry.groups, geometry.out_channels // geometry.groups, rows, columns
    )


@functools.lru_cache(maxsize=512)
def backward(geometry: ConvGeometry) -> tuple[tuple[slice, slice, PlaneProduct], ...]:
    """The input's gradient: which rows and columns of it each product of taps with planes of `gy` makes."""
    sources, results = geometry.out_channels // geometry.groups, geometry.in_channels // geometry.groups
    by_axis = [
        list(_backward_axes(*sizes, is_row=is_row))
        for is_row, *sizes in zip(
            (True, False), geometry.in_size, geometry.kernel_size, geometry.stride, geometry.dilation,
            [before for before, _ in geometry.padding], strict=True,
        )
    ]  # fmt: skip
    return tuple(
        (rows_made, columns_made, PlaneProduct(geometry.groups, sources, results, rows, columns))
        for (rows_made, rows), (columns_made, columns) in product(*by_axis)
    )


def _backward_axes(
    size: int, kernel: int, stride: int, dilation: int, before: int, *, is_row: bool
) -> Iterator[tuple[slice, Axis]]:
    """For each remainder by the stride that some tap reads: the input positions that have it, and what they read of `gy`."""
    for remainder in range(stride):
        taps = tuple(tap for tap in range(kernel) if tap * dilation % stride == remainder)
        first = -(-(before - remainder) // stride)  # of the u with 0 <= u * stride + remainder - before < size
        stop = (size - 1 + before - remainder) // stride + 1
        if not taps or stop <= first:
            continue
        back = [tap * dilation // stride for tap in taps]
        if is_row:  # all rows in one phase, of which the tap that reaches back furthest reads the first
            origins: tuple[int, ...] = (first - max(back),)
            reads = tuple((0, max(back) - each) for each in back)
        else:
            origins, reads = tuple(first - each for each in back), tuple((k, 0) for k in range(len(back)))
        made = slice(first * stride + remainder - before, size, stride)
        yield made, Axis(stop - first, 1, origins, taps, reads)


@functools.lru_cache(maxsize=512)
def blocks(planes: PlaneProduct, batch: int, itemsize: int) -> Blocks:
    """Cut a batch into blocks whose planes fit `PLANES_BYTES`, and into several of them even if they are small."""
    taps = len(planes.rows.taps) * len(planes.columns.taps)
    has_large_weights = planes.groups * planes.results * planes.sources * taps * itemsize > _LARGE_WEIGHTS
    wanted = _BLOCKS_WANTED // 2 if has_large_weights else _BLOCKS_WANTED
    return _cut(planes, batch, itemsize, -(-batch // wanted))


@functools.lru_cache(maxsize=512)
def blocks_to_sum(planes: PlaneProduct, batch: int, itemsize: int) -> Blocks:
    """Cut a batch into blocks that the gradient of the weight is summed over, one after the other."""
    positions = _GRADIENT_BYTES // (planes.groups * planes.results * itemsize)
    positions = min(_MOST_SUMMED, max(_FEWEST_SUMMED, positions))
    return _cut(planes, batch, itemsize, -(-positions // planes.positions), positions)


def _cut(planes: PlaneProduct, batch: int, itemsize: int, images: int, positions: int | None = None) -> Blocks:
    """Cut a batch into blocks of at most so many images or, of one image, positions, whose planes fit `PLANES_BYTES`."""
    row_bytes, size, length = planes.row_bytes(itemsize), planes.rows.size, planes.rows.length
    if row_bytes * length <= PLANES_BYTES and (positions is None or planes.positions <= 2 * positions):
        images = min(images, PLANES_BYTES // (row_bytes * length))
        table = [(n, stop - n, 0, size) for n, stop in even(batch, images)]
        return Blocks(np.array(table, np.int64), length, images)
    at_once = max(1, PLANES_BYTES // row_bytes - (length - size))
    if positions is not None:
        at_once = min(at_once, -(-positions // planes.columns.size))
    rows = list(even(size, at_once))
    table = [(n, 1, start, stop - start) for n in range(batch) for start, stop in rows]
    return Blocks(np.array(table, np.int64), max(stop - start for start, stop in rows) + length - size, 1)


def even(total: int, at_most: int) -> Iterator[tuple[int, int]]:
    """Cut range(total) into parts of about equal size."""
    count = -(-total // at_most)
    edges = [total * k // count for k in range(count + 1)]
    return pairwise(edges)


def numbers_multiplied(planes: PlaneProduct, batch: int) -> int:
    """How many multiplications a product of taps with planes takes."""
    taps = len(planes.rows.taps) * len(planes.columns.taps)
    return batch * planes.groups * planes.results * planes.sources * taps * planes.positions
