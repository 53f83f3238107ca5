"""Winograd's convolution: for 3 x 3 kernels, 16 multiplications for 4 outputs, or 36 for 16, instead of 9 for each.

An r x r kernel g turns a patch d of n x n inputs into a tile of m x m outputs, n = m + r - 1: F(m x m, r x r) in Winograd's
words. There are F(2x2, 3x3), F(4x4, 3x3), and F(2x2, 5x5), which does 36 multiplications for 4 outputs instead of 100. All
are polynomials in disguise, and a product of polynomials is known from its values at n points: 0, 1, -1, infinity, and for
n = 6 also 2 and -2. Along one axis

    y = A.T @ ((G @ g) * (B.T @ d))

with constant matrices B, G, A; along both, with U = G g G.T and V = B.T d B,

    y = A.T (U * V) A                                                                         forward
    gradient of g = G.T ((A gy A.T) * V) G                                                    weight gradient

Summed over channels, ``U * V`` becomes for each of the n * n points p a matrix product, M[p] = V[p] @ U[p], over all tiles.
The input's gradient is the convolution of `gy` with the kernels turned by 180 degrees.

The transforms are additions and a few constants; what would cost is to bring numbers into order, as patches are m apart and
overlap. So channels are put side by side first (`numba_lanes`): then a vector holds one pixel of several channels, every
transform is plain arithmetic on whole vectors, and V (tiles, channels), U (channels, results) and M (tiles, results) are ready
for the product, as are V and the transformed gradients for that of the weight's gradient, whose sum runs over tiles.

What is read again and again has to stay in a core's cache, and there are two ways. *By tiles*: V and M of a few tiles stay, and
U is read anew for each. *By results*: U of a few output channels stays, made where it is needed, and V of all tiles is read
anew for each. The one that reads less is taken: the first for large maps with few channels, the second for small maps with
many.

The price is accuracy: constants up to 8 amplify rounding errors. In float32 F(2x2, 3x3) errs about as much as columns and a
matrix product do, what has 6 points along an axis some 30 times as much: up to 6e-5 of the root mean square of the results
(`python -m benchmarks accuracy` measures all). So this is for float32 only, where nobody checks derivatives numerically, and
for layers that gain by it. `kernels.use("numba")` does without.

Lavin, Gray 2016, "Fast algorithms for convolutional neural networks", sections 4.1 to 4.3; Winograd 1980, "Arithmetic
complexity of computations".
"""

from __future__ import annotations

import functools
import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.conv_planes import Indices
from tinygrad_cnn.kernels.geometry import ConvGeometry
from tinygrad_cnn.kernels.numba_crew import grain_of, rooms, share
from tinygrad_cnn.kernels.numba_lanes import LANES, product, transform
from tinygrad_cnn.kernels.numba_panels import (
    DTYPE,
    Group,
    channel_groups,
    filled_up,
    height_of_tile,
    turner_in,
    turner_out,
    whole,
    width_of_panel,
)
from tinygrad_cnn.kernels.numba_winograd_loops import (
    CHANNELS_AT_ONCE,
    STRIP_NUMBERS,
    from_points,
    kernels_at_points,
    points_to_kernels,
    to_points,
)
from tinygrad_cnn.kernels.numba_winograd_parts import (
    add_up,
    convolve_by_results,
    convolve_by_tiles,
    correlate_by_results,
    correlate_by_tiles,
    transform_kernels,
    transform_patches,
    transform_sums,
)
from tinygrad_cnn.kernels.scratch import borrow

_BLOCK_BYTES = 512 << 10
"""How large V and M of a block of tiles may be together."""

_FEWEST_TILES, _MOST_TILES = 24, 256
"""How many tiles a block has: fewer, and a kernel at a point would be read for too little work."""

_BLOCKS = 8
"""In how many blocks or sums the work is cut at least, for threads to share it."""

_PATCHES_BYTES = 10 << 20
"""How large V of all tiles may be, to be read again and again from the cache that the cores share.

Forward, of more some images are taken at a time. For the weight's gradient, whose sums are turned back into kernels after each
such part, some input and some output channels are taken instead, whose sums run over all images.
"""

_CHANNELS_OF_A_PART = 64
"""How many input, and output, channels such a part has at least: where even they are too large, images are divided, too."""

_SUMS_BYTES = 12 << 20
"""How large the sums of the weight's gradient may be that are taken side by side."""

_CACHED_BYTES = 512 << 10
"""U of no more is read from a core's cache, however often."""

_FEWEST_PANELS = 2
"""How many panels of results there have to be, for threads to share them."""

_GAP = 16
"""How many numbers more than it needs a point has, so that points do not share lines of the cache."""


class Layout(NamedTuple):
    """How far apart, in numbers, things are in the three arrays at points: see `numba_winograd_parts`."""

    tile_step: int
    point_step: int

    @classmethod
    def of(cls, tiles: int, channels: int) -> Layout:
        """For an array (points, tiles, channels), channels filled up to whole vectors."""
        step = whole(channels)
        return cls(step, tiles * step + _GAP)


class _Tiling(NamedTuple):
    """How the tiles of a batch are cut into blocks."""

    tiles: tuple[int, int]
    edges: Indices
    """Of blocks: numbers of rows of tiles."""

    @property
    def most(self) -> int:
        """How many tiles the largest block has."""
        return int(np.diff(self.edges).max()) * self.tiles[1]

    @property
    def all(self) -> int:
        """How many tiles there are."""
        return int(self.edges[-1] - self.edges[0]) * self.tiles[1]


class Winograd:
    """The algorithm for tiles and kernels of one size: F(tile x tile, kernel x kernel).

    Parameters
    ----------
    tile : {2, 4}
        m, how many outputs a tile has along each axis.
    kernel : {3, 5}
        r, the size of the kernels.
    """

    def __init__(self, tile: int, kernel: int) -> None:
        self.tile, self.kernel, self.patch = tile, kernel, tile + kernel - 1

    def serves(self, geometry: ConvGeometry, dtype: np.dtype) -> bool:
        """Whether this can be done here at all: kernels of its size, stride 1, padding less than that, single precision."""
        return (
            dtype == DTYPE
            and geometry.kernel_size == (self.kernel, self.kernel)
            and set(geometry.stride) == set(geometry.dilation) == {1}
            and max(map(max, geometry.padding)) < self.kernel
            and geometry.batch > 0
        )

    def work(self, geometry: ConvGeometry, *, is_backward: bool) -> tuple[int, int, int]:
        """How many multiplications it takes, how many numbers at points there are, and how many weights: see `conv_choice`."""
        size = geometry.in_size if is_backward else geometry.out_size
        tiles = geometry.batch * -(-size[0] // self.tile) * -(-size[1] // self.tile)
        inputs, outputs = (channels // geometry.groups for channels in (geometry.in_channels, geometry.out_channels))
        sources, results = (outputs, whole(inputs)) if is_backward else (inputs, whole(outputs))
        at_points = self.patch**2 * tiles * geometry.groups
        return at_points * sources * results, at_points * (whole(sources) + results), math.prod(geometry.weight_shape)

    def conv(self, x: Array, weight: Array, bias: Array | None, geometry: ConvGeometry) -> Array:
        """Cross-correlate `x` with `weight`, and add `bias`: see `numpy_conv.conv`. For what `serves` accepts."""
        y = np.empty(geometry.y_shape, x.dtype)
        (top, _), (left, _) = geometry.padding
        for group in channel_groups(geometry, weight):
            self._convolve(np.ascontiguousarray(x), group, False, filled_up(bias, y), y, (top, left))
        return y

    def conv_input_grad(self, gy: Array, weight: Array, geometry: ConvGeometry) -> Array:
        """Convolve the output's gradient with the turned kernels: see `numpy_conv.conv_input_grad`."""
        gx = np.empty(geometry.x_shape, gy.dtype)
        padding = (self.kernel - 1 - geometry.padding[0][0], self.kernel - 1 - geometry.padding[1][0])
        for inputs, outputs, kernels in channel_groups(geometry, weight):
            turned = Group(outputs, inputs, kernels)
            self._convolve(np.ascontiguousarray(gy), turned, True, filled_up(None, gx), gx, padding)
        return gx

    def conv_weight_grad(self, x: Array, gy: Array, geometry: ConvGeometry) -> Array:
        """Multiply the gradients' tiles with the inputs' patches, point by point: see `numpy_conv.conv_weight_grad`."""
        x, gy = np.ascontiguousarray(x), np.ascontiguousarray(gy)
        (top, _), (left, _) = geometry.padding
        gweight = np.empty(geometry.weight_shape, x.dtype)
        for group in channel_groups(geometry, gweight):
            sums_bytes = 4 * self.patch**2 * group.channels * whole(group.results)
            at_points = self._point_bytes(gy, group.channels + group.results)
            if self._is_by_tiles(4 * sums_bytes, at_points, sums_bytes):
                self._correlate_by_tiles(x, gy, group, (top, left))
                continue
            group.weight[...] = 0
            for some in self._chunks(gy, 2 * _CHANNELS_OF_A_PART):
                self._correlate_by_results(x[some], gy[some], group, (top, left))
        return gweight

    # Forward, and the input's gradient --------------------------------------------------------------------------------

    def _convolve(
        self, x: Array, group: Group, is_turned: bool, bias: Array, y: Array, padding: tuple[int, int]
    ) -> None:
        """Compute a group's channels of y, the way that reads less."""
        tiling = self._tiling(y, group.channels + group.results)
        weights_bytes = 4 * self.patch**2 * group.channels * whole(group.results)
        panels = -(-group.results // (width_of_panel(group.results) * LANES))
        reads_by_tiles = weights_bytes * (len(tiling.edges) - 1)
        reads_by_results = self._point_bytes(y, group.channels) * panels
        if panels < _FEWEST_PANELS or self._is_by_tiles(reads_by_tiles, reads_by_results, weights_bytes):
            self._convolve_by_tiles(x, group, is_turned, bias, y, padding, tiling)
            return
        for some in self._chunks(y, group.channels):
            self._convolve_by_results(x[some], group, is_turned, bias, y[some], padding)

    def _convolve_by_tiles(
        self, x: Array, group: Group, is_turned: bool, bias: Array, y: Array, padding: tuple[int, int], tiling: _Tiling
    ) -> None:
        m, n, channels, results = self.tile, self.patch, group.channels, group.results
        width = width_of_panel(results)
        panel = width * LANES
        panels = -(-results // panel)
        weight_step = channels * panel + _GAP
        panel_step = n * n * weight_step
        strips = self._strips(x, y)
        weights = borrow("weights", (panels * panel_step,), x.dtype)
        share(
            transform_kernels, group.weight, is_turned, results, weights, panel, panel_step, weight_step, strips, n,
            kernels_at_points.address(DTYPE), turner_in(), self._transform("kernel"),
            count=panels, grain=grain_of(2 * panel_step), slots=len(strips),
        )  # fmt: skip
        read, made = Layout.of(tiling.most, channels), Layout.of(tiling.most, panels * panel)
        patches = rooms("patches", n * n * read.point_step + panel, x.dtype)
        points = rooms("points", n * n * made.point_step + panel, x.dtype)
        height = height_of_tile(tiling.most, width)
        calls = (
            to_points.address(DTYPE), from_points.address(DTYPE), turner_in(), turner_out(), self._transform("input"),
            self._transform("output"), _multiplier(height, width),
        )  # fmt: skip
        layout = (*read, panel_step, weight_step, *made)
        count = len(tiling.edges) - 1
        share(
            convolve_by_tiles, x, group.inputs, y, group.outputs, bias, weights, tiling.edges, tiling.tiles, padding, layout,
            (channels, panels, height, width), patches, points, strips, m, n, calls,
            count=count, grain=self._grain(tiling, channels * results, count), slots=len(strips),
        )  # fmt: skip

    def _convolve_by_results(
        self, x: Array, group: Group, is_turned: bool, bias: Array, y: Array, padding: tuple[int, int]
    ) -> None:
        m, n, channels, results = self.tile, self.patch, group.channels, group.results
        width = width_of_panel(results)
        panel = width * LANES
        panels = -(-results // panel)
        tiling = self._tiling(y, channels + panel)
        patches, read = self._at_points(x, group.inputs, padding, tiling, y, "input")
        made = Layout.of(tiling.most, panel)
        weight_step = channels * panel + _GAP
        strips = self._strips(x, y)
        weights = rooms("weights", n * n * weight_step, x.dtype)
        points = rooms("points", n * n * made.point_step, x.dtype)
        height = height_of_tile(tiling.most, width)
        calls = (
            kernels_at_points.address(DTYPE), from_points.address(DTYPE), turner_in(), turner_out(),
            self._transform("kernel"), self._transform("output"), _multiplier(height, width),
        )  # fmt: skip
        layout = (*read, 0, weight_step, *made)
        share(
            convolve_by_results, group.weight, is_turned, patches, y, group.outputs, bias, tiling.edges, tiling.tiles, layout,
            (channels, height, width), weights, points, strips, m, n, calls,
            count=panels, grain=self._grain(tiling, channels * results, panels), slots=len(strips),
        )  # fmt: skip

    # The weight's gradient --------------------------------------------------------------------------------------------

    def _correlate_by_tiles(self, x: Array, gy: Array, group: Group, padding: tuple[int, int]) -> None:
        """Fill the gradient of a group's kernels, from sums over some tiles each."""
        m, n, channels, results = self.tile, self.patch, group.channels, group.results
        width = width_of_panel(results)
        panel = width * LANES
        panels = -(-results // panel)
        tiling = self._tiling(gy, channels + results)
        read, sent = Layout.of(tiling.most, channels), Layout.of(tiling.most, panels * panel)
        row_step, sum_step = panels * panel, channels * panels * panel + _GAP
        blocks = len(tiling.edges) - 1
        count = max(1, min(_BLOCKS, blocks, _SUMS_BYTES // (4 * n * n * sum_step)))
        parts = np.array([blocks * k // count for k in range(count + 1)])
        sums = borrow("sums", (count, n * n * sum_step), x.dtype)
        strips = self._strips(x, gy)
        patches = rooms("patches", n * n * read.point_step, x.dtype)
        gradients = rooms("points", n * n * sent.point_step, x.dtype)
        height = height_of_tile(channels, width)
        calls = (
            to_points.address(DTYPE), turner_in(), self._transform("input"), self._transform("gradient"),
            _multiplier(height, width),
        )  # fmt: skip
        layout = (*read, *sent, row_step, sum_step)
        share(
            correlate_by_tiles, x, group.inputs, gy, group.outputs, sums, tiling.edges, parts, tiling.tiles, padding, layout,
            (channels, panels, height, width), patches, gradients, strips, m, n, calls,
            count=count, grain=self._grain(tiling, channels * results, count), slots=len(strips),
        )  # fmt: skip
        if count > 1:
            share(add_up, sums, count=sums.shape[1], grain=grain_of(count))
        share(
            transform_sums, sums[0], group.weight, panel, row_step, sum_step, strips, n,
            points_to_kernels.address(DTYPE), turner_out(), self._transform("to kernel"),
            count=panels, grain=grain_of(n * n * channels * panel), slots=len(strips),
        )  # fmt: skip

    def _correlate_by_results(self, x: Array, gy: Array, group: Group, padding: tuple[int, int]) -> None:
        """Add to the gradient of a group's kernels: of some input and some output channels at a time."""
        tiling = self._tiling(gy, group.channels + group.results)
        strips = self._strips(x, gy)
        for c, channels in self._parts(gy, group.channels):
            patches, read = self._at_points(x, (group.inputs[0] + c, channels), padding, tiling, gy, "input")
            for o, results in self._parts(gy, group.results):
                outputs = group.outputs[0] + o, results
                gradients, sent = self._at_points(gy, outputs, (0, 0), tiling, gy, "gradient")
                made = np.empty((results, channels, self.kernel, self.kernel), x.dtype)
                self._correlate_at_points(patches, gradients, made, (*read, *sent), tiling, strips)
                group.weight[o : o + results, c : c + channels] += made

    def _correlate_at_points(
        self, patches: Array, gradients: Array, made: Array, steps: tuple[int, ...], tiling: _Tiling, strips: Array
    ) -> None:
        """Compute the gradient of the kernels between two sets of channels, from V and the transformed gradients."""
        n, (results, channels) = self.patch, made.shape[:2]
        width = width_of_panel(results)
        panel = width * LANES
        panels = -(-results // panel)
        row_step, sum_step = panel, channels * panel + _GAP
        sums = rooms("sums", n * n * sum_step, made.dtype)
        height = height_of_tile(channels, width)
        calls = (points_to_kernels.address(DTYPE), turner_out(), self._transform("to kernel"), _multiplier(height, width))
        share(
            correlate_by_results, patches, gradients, made, tiling.all, (*steps, row_step, sum_step),
            (channels, height, width), sums, strips, n, calls,
            count=panels, grain=self._grain(tiling, channels * results, panels), slots=len(strips),
        )  # fmt: skip

    # Tiles ------------------------------------------------------------------------------------------------------------

    @staticmethod
    def _is_by_tiles(reads_by_tiles: int, reads_by_results: int, weights_bytes: int) -> bool:
        """Which way it is to go: the one that reads fewer bytes, where kernels at points do not stay in the cache anyway."""
        return weights_bytes <= _CACHED_BYTES or reads_by_tiles <= reads_by_results

    def _transform(self, name: str) -> int:
        return int(transform.address((f"{name} {self.tile} {self.kernel}",), DTYPE))

    def _at_points(
        self, x: Array, group: tuple[int, int], padding: tuple[int, int], tiling: _Tiling, y: Array, name: str
    ) -> tuple[Array, Layout]:
        """Transform all patches of x, or tiles of a gradient, by the matrix of this name: (points, tiles, channels)."""
        layout = Layout.of(tiling.all, whole(group[1], 2))
        result = borrow(name, (self.patch**2 * layout.point_step,), x.dtype)
        strips = self._strips(x, y)
        count = len(tiling.edges) - 1
        halo = self.patch - self.tile if name == "input" else 0
        share(
            transform_patches, x, group, tiling.edges, tiling.tiles, halo, padding, result, *layout, strips, self.tile,
            self.patch, to_points.address(DTYPE), turner_in(), self._transform(name),
            count=count, grain=grain_of(2 * result.size // count), slots=len(strips),
        )  # fmt: skip
        return result, layout

    def _tiling(self, y: Array, channels: int) -> _Tiling:
        """Cut the tiles of y into blocks that leave V and M, of so many channels together, in a core's cache."""
        return _tiling(y.shape[0], y.shape[2:], self.tile, self.patch, channels)

    def _point_bytes(self, y: Array, channels: int) -> int:
        """How large V or M of all tiles is, for so many channels."""
        down, along = -(-y.shape[2] // self.tile), -(-y.shape[3] // self.tile)
        return 4 * self.patch**2 * len(y) * down * along * whole(channels)

    def _chunks(self, y: Array, channels: int) -> list[slice]:
        """Cut a batch into as few parts as memory allows, of about equal size."""
        count = min(len(y), -(-self._point_bytes(y, channels) // _PATCHES_BYTES))
        return [slice(len(y) * k // count, len(y) * (k + 1) // count) for k in range(count)]

    def _parts(self, y: Array, channels: int) -> list[tuple[int, int]]:
        """Cut channels, in whole panels, into as few parts as memory allows for two of them: first, and how many, of each."""
        panel = 2 * LANES
        panels = -(-channels // panel)
        count = min(panels, -(-2 * self._point_bytes(y, channels) // _PATCHES_BYTES))
        edges = [min(channels, panel * (panels * k // count)) for k in range(count + 1)]
        return [(start, stop - start) for start, stop in pairwise(edges)]

    def _grain(self, tiling: _Tiling, pairs: int, count: int) -> int:
        """How many of `count` equal parts of the product for so many pairs of channels are worth a thread."""
        return grain_of(self.patch**2 * tiling.all * pairs // 4 // count)

    def _strips(self, x: Array, y: Array) -> Array:
        """Room for rows of pixels, and for kernels, of a vector's channels."""
        longest = max(x.shape[3], y.shape[3]) + 2 * self.patch
        rows = max(STRIP_NUMBERS, self.patch * longest * LANES)
        kernels = CHANNELS_AT_ONCE * self.kernel**2 * LANES
        return rooms("strips", max(rows, kernels) + longest * LANES + 2 * LANES * LANES, x.dtype)


@functools.lru_cache(maxsize=512)
def _tiling(batch: int, size: tuple[int, int], m: int, n: int, channels: int) -> _Tiling:
    down, along = -(-size[0] // m), -(-size[1] // m)
    tiles = min(_MOST_TILES, max(_FEWEST_TILES, _BLOCK_BYTES // (4 * n * n * channels)))
    rows = batch * down
    count = max(min(_BLOCKS, rows), -(-rows // max(1, tiles // along)))
    return _Tiling((down, along), np.array([rows * k // count for k in range(count + 1)]))


def _multiplier(height: int, width: int) -> int:
    return int(product.address((height, width), DTYPE))


f2, f4, f5 = Winograd(2, 3), Winograd(4, 3), Winograd(2, 5)
