"""Winograd's convolution: for 3 x 3 kernels, 16 multiplications for 4 outputs, or 36 for 16, instead of 9 for each.

A 3 x 3 kernel g turns a patch d of n x n inputs into a tile of m x m outputs, n = m + 2: F(m x m, 3 x 3) in Winograd's words,
for m = 2 or 4. Both are polynomials in disguise, and a product of polynomials is known from its values at n points: 0, 1, -1,
infinity, and for m = 4 also 2 and -2. Along one axis

    y = A.T @ ((G @ g) * (B.T @ d))

with constant matrices B, G, A; along both, with U = G g G.T and V = B.T d B,

    y = A.T (U * V) A                                                                         forward
    gradient of g = G.T ((A gy A.T) * V) G                                                    weight gradient

Summed over channels, ``U * V`` becomes for each of the n * n points p a matrix product, M[p] = U[p] @ V[p], over all patches.
The input's gradient is the convolution of `gy` with the kernels turned by 180 degrees.

The transforms are additions and a few constants, on data that is read once. What costs is to bring it into order, as patches
are m apart and memory is not. One axis after the other solves it: a transform down the columns works on whole rows; the
result is dealt out, once, to m runs of every m-th column; and then a transform along the rows works on whole runs too,
for the patch's columns m and m + 1 are columns 0 and 1 of the next patch. Rows have room for one patch more than is needed
(its results are dropped), so that all this goes on across rows and images.

The price is accuracy: constants up to 8 amplify rounding errors. In float32 F(2x2) errs about as much as columns and a matrix
product do, F(4x4) some 30 times as much: up to 6e-5 of the root mean square of the results (`python -m benchmarks accuracy`
measures both). So this is for float32 only, where nobody checks derivatives numerically, and for layers that gain by it.
`kernels.use("numba")` does without.

Lavin, Gray 2016, "Fast algorithms for convolutional neural networks", sections 4.1 to 4.3; Winograd 1980, "Arithmetic
complexity of computations".
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.geometry import ConvGeometry
from tinygrad_cnn.kernels.numba_conv import arrange
from tinygrad_cnn.kernels.numba_crew import grain_of, rooms, share
from tinygrad_cnn.kernels.numba_simd import ACCUMULATORS, Tile, correlate_positions, multiply_add
from tinygrad_cnn.kernels.numba_winograd_loops import (
    LANES,
    convolve_blocks,
    correlate_points,
    multiply_points,
    transform_arranged,
    transform_channels,
    transform_channels_back,
    transform_to_kernels,
)
from tinygrad_cnn.kernels.scratch import KEPT_BYTES, borrow

_BLOCK_BYTES = 1 << 20
"""How large V and M of a block of images may be together, and U beside them."""

_PRODUCT_BYTES = 10 << 20
"""How large V or M, of all images that are transformed at once, may be."""

_ROOM_BYTES = 32 << 10
"""How large the images of one channel that are transformed at once may be: all steps then stay in the first cache."""

Rows = tuple[int, int]


class Winograd:
    """The algorithm for tiles of one size.

    Parameters
    ----------
    size : {2, 4}
        m, how many outputs a tile has along each axis.
    """

    def __init__(self, size: int) -> None:
        self.size, self.points = size, (size + 2) ** 2

    def serves(self, geometry: ConvGeometry, dtype: np.dtype) -> bool:
        """Whether this can be done here at all: 3 x 3 kernels, stride 1, padding up to 2, no groups, single precision.

        With so many channels that not even U fits into memory that is kept, all the time would go to fetching memory.
        """
        return (
            dtype == np.float32
            and geometry.kernel_size == (3, 3)
            and set(geometry.stride) == set(geometry.dilation) == {geometry.groups} == {1}
            and max(map(max, geometry.padding)) <= 2
            and self.points * math.prod(geometry.weight_shape[:2]) * dtype.itemsize <= KEPT_BYTES
            and geometry.batch > 0
        )

    def conv(self, x: Array, weight: Array, bias: Array | None, geometry: ConvGeometry) -> Array:
        """Cross-correlate `x` with `weight`, and add `bias`: see `numpy_conv.conv`. For what `serves` accepts."""
        y = np.empty(geometry.y_shape, x.dtype)
        (top, _), (left, _) = geometry.padding
        self._convolve(np.ascontiguousarray(x), weight, bias, y, (top, left))
        return y

    def conv_input_grad(self, gy: Array, weight: Array, geometry: ConvGeometry) -> Array:
        """Convolve the output's gradient with the turned kernels: see `numpy_conv.conv_input_grad`."""
        gx = np.empty(geometry.x_shape, gy.dtype)
        (top, _), (left, _) = geometry.padding
        self._convolve(np.ascontiguousarray(gy), weight.swapaxes(0, 1)[..., ::-1, ::-1], None, gx, (2 - top, 2 - left))
        return gx

    def conv_weight_grad(self, x: Array, gy: Array, geometry: ConvGeometry) -> Array:
        """Multiply the gradients' tiles with the inputs' patches, point by point: see `numpy_conv.conv_weight_grad`."""
        x, gy = np.ascontiguousarray(x), np.ascontiguousarray(gy)
        (top, _), (left, _) = geometry.padding
        rows = self._rows(geometry.out_size)
        total = np.zeros((self.points, gy.shape[1], x.shape[1]), x.dtype)
        for here in self._chunks(len(x), rows, max(x.shape[1], gy.shape[1])):
            patches = self._transformed(x[here], rows, (top, left), "patches", is_input=True)
            tiles = self._transformed(gy[here], rows, (0, 0), "points", is_input=False)
            self._correlate_points(tiles, patches, total)
        return self._weight_from_points(total, geometry)

    # Forward ----------------------------------------------------------------------------------------------------------

    def _convolve(self, x: Array, weight: Array, bias: Array | None, y: Array, padding: tuple[int, int]) -> None:
        """In blocks of images whose V and M stay in a core's cache with U or, where U alone does not fit, point by point."""
        has_large_weights = self.points * weight.shape[0] * weight.shape[1] * 4 > _BLOCK_BYTES
        (self._convolve_by_point if has_large_weights else self._convolve_by_block)(x, weight, bias, y, padding)

    def _convolve_by_point(self, x: Array, weight: Array, bias: Array | None, y: Array, padding: tuple[int, int]) -> None:
        """For some images at once: all of V, then a product for each point, of which U stays in the cache, then all of y."""
        rows = self._rows(y.shape[2:])
        chunks = self._chunks(len(x), rows, max(weight.shape[:2]))
        shape = _shape(y.shape[1], (_run(rows, chunks[-1].stop - chunks[-1].start) - LANES) // LANES)
        weights = self._weights_at_points(weight, shape.rows)
        begin = _begin(bias, weights)
        for here in chunks:
            patches = self._transformed(x[here], rows, padding, "patches", is_input=True)
            points = borrow("points", (self.points, y.shape[1], patches.shape[2]), x.dtype)
            self._multiply_points(weights, begin, patches, points, shape)
            self._transform_back(points, y[here], rows)

    def _multiply_points(self, weights: Array, begin: Array, patches: Array, points: Array, shape: Tile) -> None:
        """M = U V at each point."""
        run = patches.shape[2]
        offsets = np.arange(patches.shape[1], dtype=np.int64) * run
        lists = _lists(run // LANES)
        multiply = multiply_add.address(shape, points.dtype)
        arguments = (patches, weights, begin, points, offsets, *lists, self.size, multiply, shape.rows, shape.columns)
        grain = grain_of(points.shape[1] * patches[0].size // 4)
        share(multiply_points, *arguments, count=self.points, grain=grain, slots=len(lists[0]))

    def _correlate_points(self, tiles: Array, patches: Array, total: Array) -> None:
        """Add the product of gradients (o, patches) and inputs (patches, c) at each point."""
        run = patches.shape[2]
        offsets = np.arange(patches.shape[1], dtype=np.int64) * run
        shape = Tile(4, 6, LANES) if ACCUMULATORS == 24 else Tile(3, 3, LANES)
        lists = _lists(run // LANES)
        grain = grain_of(tiles.shape[1] * patches[0].size // 4)
        correlator = correlate_positions.address(shape, total.dtype)
        arguments = (tiles, patches, total, offsets, *lists, correlator, shape.rows, shape.columns)
        share(correlate_points, *arguments, count=self.points, grain=grain, slots=len(lists[0]))

    def _convolve_by_block(self, x: Array, weight: Array, bias: Array | None, y: Array, padding: tuple[int, int]) -> None:
        (batch, channels), results, rows = x.shape[:2], y.shape[1], self._rows(y.shape[2:])
        images = max(1, min(-(-batch // 4), _BLOCK_BYTES // (self.points * (channels + results) * math.prod(rows) * 4)))
        vectors = -(-math.prod(rows) * images // LANES)
        shape = _shape(results, vectors)
        weights = self._weights_at_points(weight, shape.rows)
        begin = _begin(bias, weights)
        run = _run(rows, images)
        offsets = np.arange(channels, dtype=np.int64) * run
        count = -(-batch // images)

        patches = rooms("patches", self.points * channels * run, x.dtype)
        points = rooms("points", self.points * results * run, x.dtype)
        room = rooms("rows", self._room_for_rows(rows, images), x.dtype)
        arguments = (
            x, y, weights, begin, count, rows, padding, offsets, run, patches, points, room, *_lists(vectors), self.size,
            multiply_add.address(shape, x.dtype), shape.rows, shape.columns,
        )  # fmt: skip
        grain = grain_of(self.points * run * channels * results // 4)
        share(convolve_blocks, *arguments, count=count, grain=grain, slots=len(room))

    # Transforms -------------------------------------------------------------------------------------------------------

    def _rows(self, out_size: tuple[int, ...]) -> Rows:
        """How many tiles there are down the rows and along the columns, one too many along."""
        return -(-out_size[0] // self.size), -(-out_size[1] // self.size) + 1

    def _chunks(self, batch: int, rows: Rows, channels: int) -> list[slice]:
        """Cut a batch into as few parts as memory allows, of about equal size."""
        images = max(1, min(batch, _PRODUCT_BYTES // (_run(rows, 1) * self.points * channels * 4)))
        count = -(-batch // images)
        return [slice(batch * k // count, batch * (k + 1) // count) for k in range(count)]

    def _images_at_once(self, batch: int, rows: Rows) -> int:
        return max(1, min(batch, _ROOM_BYTES // (math.prod(rows) * 4 * self.size**2)))

    def _room_for_rows(self, rows: Rows, images: int) -> int:
        """Padded images, their rows transformed, and runs of those."""
        m = self.size
        pitch = m * rows[1]
        padded = images * (m * rows[0] + 2) * pitch
        return padded + (m + 6) * (images * rows[0] * pitch + 2 * LANES * m) + 8 * LANES

    def _transformed(self, x: Array, rows: Rows, padding: tuple[int, int], role: str, *, is_input: bool) -> Array:
        """Transform all patches of x, or tiles of a gradient: (points, channels, patches)."""
        batch, channels = x.shape[:2]
        result = borrow(role, (self.points, channels, _run(rows, batch)), x.dtype)
        images = self._images_at_once(batch, rows)
        room = rooms("rows", self._room_for_rows(rows, images), x.dtype)
        arguments = (x, images, rows, padding, is_input, result, room, self.size)
        grain = grain_of(4 * self.points * result.shape[2])
        share(transform_channels, *arguments, count=channels, grain=grain, slots=len(room))
        return result

    def _transform_back(self, points: Array, y: Array, rows: Rows) -> None:
        images = self._images_at_once(len(y), rows)
        room = rooms("rows", self._room_for_rows(rows, images), y.dtype)
        arguments = (points, images, y, rows, room, self.size)
        grain = grain_of(4 * self.points * points.shape[2])
        share(transform_channels_back, *arguments, count=y.shape[1], grain=grain, slots=len(room))

    def _weights_at_points(self, weight: Array, height: int) -> Array:
        """U, arranged for `multiply_add`: (points, tiles, channels, tile rows)."""
        results, channels = weight.shape[:2]
        is_turned = weight.strides[-1] < 0
        tiles = -(-results // height)
        arranged = borrow("arranged", (tiles, channels * 9, height), weight.dtype)
        arrange((weight[..., ::-1, ::-1] if is_turned else weight)[None], arranged)
        weights = borrow("weights", (self.points, tiles, channels, height), weight.dtype)
        room = rooms("kernels", self._kernel_room(channels * height), weight.dtype)
        grain = grain_of(2 * self.points * channels * height)
        share(
            transform_arranged, arranged, is_turned, weights, room, self.size, count=tiles, grain=grain, slots=len(room)
        )  # fmt: skip
        return weights

    def _weight_from_points(self, total: Array, geometry: ConvGeometry) -> Array:
        """G.T total G, for all pairs of channels: (o, c, 3, 3)."""
        gweight = np.empty(geometry.weight_shape, total.dtype)
        room = rooms("kernels", self._kernel_room(total.shape[2]), total.dtype)
        grain = grain_of(2 * self.points * total.shape[2])
        share(transform_to_kernels, total, gweight, room, self.size, count=len(gweight), grain=grain, slots=len(room))
        return gweight

    def _kernel_room(self, numbers: int) -> int:
        """Runs for the taps, for those transformed along one axis, and for the points."""
        return (9 + 3 * (self.size + 2) + self.points) * (-(-numbers // LANES) * LANES + LANES)


def _run(rows: Rows, images: int) -> int:
    """How long a run of one number for every patch is, with room for vectors beyond its end."""
    return -(-math.prod(rows) * images // LANES) * LANES + LANES


def _shape(results: int, vectors: int) -> Tile:
    """The tile of `multiply_add` that does least beyond the last channel and position."""
    shapes = [(rows, min(6, ACCUMULATORS // rows)) for rows in (4, 6, 8, 12) if rows <= ACCUMULATORS]
    cost = {(h, w): -(-results // h) * -(-vectors // w) * max(h * w / 2, h / 2 + w) for h, w in shapes}
    return Tile(*min(shapes, key=lambda shape: cost[shape]), LANES)


def _begin(bias: Array | None, weights: Array) -> Array:
    """What the sums of a channel begin with: 0 or, in the second half, the bias, for the point (1, 1).

    There the output's transform has only ones.
    """
    begin = np.zeros((2, weights.shape[1] * weights.shape[3]), weights.dtype)
    if bias is not None:
        begin[1, : len(bias)] = bias
    return begin.reshape(2, weights.shape[1], weights.shape[3])


def _lists(vectors: int) -> tuple[Array, Array]:
    """Room for where vectors begin, and for those that a last tile has too many."""
    return rooms("sources", vectors + 8, np.int64), rooms("targets", vectors + 8, np.int64)


f2, f4 = Winograd(2), Winograd(4)
