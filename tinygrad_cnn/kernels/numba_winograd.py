"""Winograd's convolution F(4x4, 3x3): 36 multiplications for 16 outputs, where the definition takes 144.

A 3 x 3 kernel g turns a 6 x 6 patch d of the input into a 4 x 4 tile of outputs. Both are polynomials in disguise, and a
product of polynomials is known from its values at enough points: here 0, 1, -1, 2, -2 and infinity. Along one axis

    y = A.T @ ((G @ g) * (B.T @ d))

with constant matrices B, G, A; along both, with U = G g G.T and V = B.T d B,

    y = A.T (U * V) A                                                                         forward
    gradient of g = G.T ((A gy A.T) * V) G                                                    weight gradient

Summed over channels, ``U * V`` becomes for each of the 36 points p a matrix product, M[p] = U[p] @ V[p], over all patches.
The input's gradient is the convolution of `gy` with the kernels turned by 180 degrees.

The transforms are additions and a few constants, on data that is read once. What costs is to bring it into order, as patches
are 4 apart and memory is not. One axis after the other solves it: a transform down the columns works on whole rows; the
result is dealt out, once, to four runs of every fourth column; and then a transform along the rows works on whole runs too,
for the patch's columns 4 and 5 are columns 0 and 1 of the next patch. Rows have room for one patch more than is needed (its
results are dropped), so that all this goes on across rows and images.

The price is accuracy: the constants up to 8 amplify rounding errors. In float32 results are off by some 10 times as much as
the definition's (`python -m benchmarks accuracy` measures it). So this is for float32 only, where nobody checks derivatives
numerically, and for layers that gain by it.

Lavin, Gray 2016, "Fast algorithms for convolutional neural networks", section 4.3; the points and matrices are Winograd's 1980.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.geometry import ConvGeometry
from tinygrad_cnn.kernels.numba_compile import compiled
from tinygrad_cnn.kernels.numba_planes import arrange_weights, list_vectors
from tinygrad_cnn.kernels.numba_simd import (
    ACCUMULATORS,
    VECTOR_BYTES,
    copy_run,
    join_fours,
    linear,
    multiply_add,
    part_fours,
    tile,
)
from tinygrad_cnn.kernels.parallel import each_part, grain_of
from tinygrad_cnn.kernels.scratch import borrow

OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
"""A.T: from values at the points to a tile's outputs."""

INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
"""B.T: from a patch to values at the points."""

KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
"""G: from a kernel to values at the points."""

_input, _output, _kernel = linear(INPUT), linear(OUTPUT), linear(KERNEL)
_gradient = linear(tuple(zip(*OUTPUT, strict=True)))
_to_kernel = linear(tuple(zip(*KERNEL, strict=True)))

POINTS, TILE, PATCH = 36, 4, 6

_BIAS_POINT = 7
"""The point (1, 1): there the output's transform has only ones, so that a bias may begin its sum."""

_LANES = VECTOR_BYTES // 4

_BLOCK_BYTES = 1 << 20
"""How large V and M of a block of images may be together, and U beside them."""

_LARGEST_PRODUCT, _LARGEST_TRANSFORM = 16 << 20, 16 << 20
"""How large V or M, of the images that are transformed at once, may be: forward, and for the weight's gradient."""

_ROOM_BYTES = 32 << 10
"""How large the images of one channel that are transformed at once may be."""

Rows = tuple[int, int]


def conv(x: Array, weight: Array, bias: Array | None, geometry: ConvGeometry) -> Array:
    """Cross-correlate `x` with `weight`, and add `bias`: see `numpy_conv.conv`. The geometry is one that `serves` accepts."""
    y = np.empty(geometry.y_shape, x.dtype)
    (top, _), (left, _) = geometry.padding
    _convolve(np.ascontiguousarray(x), weight, bias, y, (top, left))
    return y


def conv_input_grad(gy: Array, weight: Array, geometry: ConvGeometry) -> Array:
    """Convolve the output's gradient with the turned kernels: see `numpy_conv.conv_input_grad`."""
    gx = np.empty(geometry.x_shape, gy.dtype)
    (top, _), (left, _) = geometry.padding
    _convolve(np.ascontiguousarray(gy), weight.swapaxes(0, 1)[..., ::-1, ::-1], None, gx, (2 - top, 2 - left))
    return gx


def conv_weight_grad(x: Array, gy: Array, geometry: ConvGeometry) -> Array:
    """Multiply the gradients' tiles with the inputs' patches, point by point: see `numpy_conv.conv_weight_grad`."""
    x, gy = np.ascontiguousarray(x), np.ascontiguousarray(gy)
    batch, channels = x.shape[:2]
    results = gy.shape[1]
    (top, _), (left, _) = geometry.padding
    rows = _tiles(geometry.out_size)
    total = np.zeros((POINTS, results, channels), x.dtype)
    images = max(1, min(batch, _LARGEST_TRANSFORM // (_run(rows, 1) * POINTS * max(channels, results) * 4)))
    for start in range(0, batch, images):
        here = slice(start, start + images)
        patches = _transformed(x[here], rows, (top, left), "patches", is_input=True)
        tiles = _transformed(gy[here], rows, (0, 0), "tiles", is_input=False)
        product = total if start == 0 else borrow("product", total.shape, x.dtype)
        _multiply_points(tiles, patches.swapaxes(1, 2), product)
        if start:
            total += product
    return _weight_from_points(total, geometry)


def serves(geometry: ConvGeometry, dtype: np.dtype) -> bool:
    """Whether this can be done here at all: 3 x 3 kernels, stride 1, padding up to 2, no groups, single precision."""
    return (
        dtype == np.float32
        and geometry.kernel_size == (3, 3)
        and set(geometry.stride) == set(geometry.dilation) == {geometry.groups} == {1}
        and max(map(max, geometry.padding)) <= 2
        and geometry.batch > 0
    )


def _tiles(out_size: tuple[int, ...]) -> Rows:
    """How many tiles there are down the rows and along the columns, one too many along."""
    return -(-out_size[0] // TILE), -(-out_size[1] // TILE) + 1


def _run(rows: Rows, images: int) -> int:
    """How long a run of one number for every patch is, with room for vectors beyond its end."""
    return -(-math.prod(rows) * images // _LANES) * _LANES + _LANES


# Forward --------------------------------------------------------------------------------------------------------------


def _convolve(x: Array, weight: Array, bias: Array | None, y: Array, padding: tuple[int, int]) -> None:
    """In blocks of images whose V and M stay in a core's cache with U or, where U alone does not fit, point by point."""
    has_large_weights = POINTS * weight.shape[0] * weight.shape[1] * 4 > _BLOCK_BYTES
    (_convolve_by_point if has_large_weights else _convolve_by_block)(x, weight, bias, y, padding)


def _convolve_by_point(x: Array, weight: Array, bias: Array | None, y: Array, padding: tuple[int, int]) -> None:
    """For some images at once: all of V, then a product for each point, of which U stays in the cache, then all of y."""
    batch, channels = x.shape[:2]
    results = y.shape[1]
    rows = _tiles(y.shape[2:])
    weights = _weights_at_points(weight)
    images = max(1, min(batch, _LARGEST_PRODUCT // (_run(rows, 1) * POINTS * max(channels, results) * 4)))
    for start in range(0, batch, images):
        end = min(batch, start + images)
        patches = _transformed(x[start:end], rows, padding, "patches", is_input=True)
        points = borrow("points", (POINTS, results, patches.shape[2]), x.dtype)
        _multiply_points(weights, patches, points)
        if bias is not None:
            points[_BIAS_POINT] += bias[:, None]
        _outputs(points, y[start:end], rows)


def _outputs(points: Array, y: Array, rows: Rows) -> None:
    """Transform all tiles back."""
    images = _images_at_once(len(y), rows)

    def work(start: int, stop: int) -> None:
        room = borrow("rows", (_room_for_rows(rows, images),), y.dtype)
        _transform_channels_back(points, start, stop, images, y, rows, room)

    each_part(y.shape[1], work, grain=grain_of(4 * POINTS * points.shape[2]))


def _images_at_once(batch: int, rows: Rows) -> int:
    """How many images of a channel are transformed at once: what leaves all steps in the first cache."""
    return max(1, min(batch, _ROOM_BYTES // (math.prod(rows) * 4 * TILE * TILE)))


@compiled
def _transform_channels_back(points, start, stop, images, y, rows, room):  # type: ignore[no-untyped-def]
    _, results, run = points.shape
    flat = points.reshape(-1)
    for o in range(start, stop):
        for first in range(0, len(y), images):
            base = o * run + first * rows[0] * rows[1]
            _transform_back(flat, base, results * run, y, o, first, min(images, len(y) - first), rows, room)


def _convolve_by_block(x: Array, weight: Array, bias: Array | None, y: Array, padding: tuple[int, int]) -> None:
    batch, channels = x.shape[:2]
    results = y.shape[1]
    rows = _tiles(y.shape[2:])
    each = POINTS * (channels + results) * math.prod(rows) * 4
    images = max(1, min(-(-batch // 4), _BLOCK_BYTES // each))
    vectors = -(-math.prod(rows) * images // _LANES)
    shape = _shape(results, vectors)
    weights = _arranged_at_points(weight, len(shape[0]))
    begin = np.zeros((2, weights.shape[1], len(shape[0])), x.dtype)
    if bias is not None:
        begin[1].reshape(-1)[:results] = bias
    run = _run(rows, images)
    offsets = np.arange(channels, dtype=np.int64) * run
    count = -(-batch // images)

    def work(start: int, stop: int) -> None:
        room = (
            borrow("patches", (POINTS * channels * run,), x.dtype),
            borrow("points", (POINTS * results * run,), x.dtype),
            borrow("rows", (_room_for_rows(rows, images),), x.dtype),
        )
        lists = tuple(borrow(role, (vectors + 8,), np.int64) for role in ("sources", "targets"))
        for block in range(start, stop):
            first, end = batch * block // count, batch * (block + 1) // count
            _convolve_block(x, y, weights, begin, first, end - first, rows, padding, offsets, run, *room, *lists, shape)

    multiplied = POINTS * run * channels * results
    each_part(count, work, grain=grain_of(multiplied // 4))


def _shape(results: int, vectors: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The tile of `multiply_add` that does least beyond the last channel and position."""
    shapes = [(rows, min(6, ACCUMULATORS // rows)) for rows in (4, 6, 8, 12) if rows <= ACCUMULATORS]
    cost = {(h, w): -(-results // h) * -(-vectors // w) * max(h * w / 2, h / 2 + w) for h, w in shapes}
    return tile(*min(shapes, key=lambda shape: cost[shape]), _LANES)


def _room_for_rows(rows: Rows, images: int) -> int:
    """Padded images, their rows transformed, and four runs of those."""
    pitch = TILE * rows[1]
    padded = images * (TILE * rows[0] + 2) * pitch
    return padded + (PATCH + 4) * (images * rows[0] * pitch + 2 * _LANES * TILE) + 4 * _LANES


def _weights_at_points(weight: Array) -> Array:
    """U, as matrices: (36, o, c)."""
    results, channels = weight.shape[:2]
    weights = borrow("weights", (POINTS, results, channels), weight.dtype)

    def work(start: int, stop: int) -> None:
        room = borrow("kernels", (_kernel_room(channels),), weight.dtype)
        _transform_kernels(weight, start, stop, weights, room)

    each_part(results, work, grain=grain_of(POINTS * 2 * channels))
    return weights


@compiled
def _transform_kernels(weight, start, stop, weights, room):  # type: ignore[no-untyped-def]
    """U = G g G.T for some output channels; what all input channels have at one tap is a run."""
    results, channels = weight.shape[:2]
    run = -(-channels // _LANES) * _LANES + _LANES
    flat = weights.reshape(-1)
    for o in range(start, stop):
        for c in range(channels):
            for k in range(9):
                room[k * run + c] = weight[o, c, k // 3, k % 3]
        _kernels_at_points(room, run, channels)
        for point in range(36):
            copy_run(room, (27 + point) * run, flat, (point * results + o) * channels, channels)


def _arranged_at_points(weight: Array, height: int) -> Array:
    """U, arranged for `multiply_add`: (36, tiles, channels, tile rows)."""
    results, channels = weight.shape[:2]
    tiles = -(-results // height)
    weights = np.empty((POINTS, tiles, channels, height), weight.dtype)

    def work(start: int, stop: int) -> None:
        arranged = borrow("arranged", (tiles, channels * 9, height), weight.dtype)
        room = borrow("kernels", (_kernel_room(channels * height),), weight.dtype)
        arrange_weights(weight[None], start, stop, arranged)
        _transform_arranged(arranged, start, stop, weights, room)

    each_part(tiles, work, grain=grain_of(POINTS * 2 * channels * height))
    return weights


def _kernel_room(numbers: int) -> int:
    return (9 + 18 + POINTS) * (-(-numbers // _LANES) * _LANES + _LANES)


@compiled
def _transform_arranged(arranged, start, stop, weights, room):  # type: ignore[no-untyped-def]
    """U = G g G.T for some tiles of channels; all channels and rows of a tile are one run."""
    _, _, channels, height = weights.shape
    size = channels * height
    run = -(-size // _LANES) * _LANES + _LANES
    for part in range(start, stop):
        taps = arranged[part].reshape(-1)
        for c in range(channels):
            for k in range(9):
                for r in range(height):
                    room[k * run + c * height + r] = taps[(c * 9 + k) * height + r]
        _kernels_at_points(room, run, size)
        for point in range(36):
            copy_run(room, (27 + point) * run, weights[point, part].reshape(-1), 0, size)


@compiled
def _kernels_at_points(room, run, size):  # type: ignore[no-untyped-def]
    """From 9 runs at the beginning of the room to 36 runs from its run 27 on: (3, 3) to (6, 3) to (6, 6)."""
    source, target = np.empty(3, np.int64), np.empty(6, np.int64)
    for q in range(3):
        for k in range(3):
            source[k] = (k * 3 + q) * run
        for k in range(6):
            target[k] = (9 + k * 3 + q) * run
        _kernel(room, 0, source, room, 0, target, size, 1, 0, 0)
    for p in range(6):
        for k in range(3):
            source[k] = (9 + p * 3 + k) * run
        for k in range(6):
            target[k] = (27 + p * 6 + k) * run
        _kernel(room, 0, source, room, 0, target, size, 1, 0, 0)


@compiled
def _transform_images(x, channel, first, images, rows, padding, is_input, target, base, point_step, room):  # type: ignore[no-untyped-def]
    """Put the points of all patches of one channel (or, of gradients, of all tiles) at `base + point * point_step`."""
    height, width = x.shape[2:]
    pitch = 4 * rows[1]
    tall = 4 * rows[0] + (2 if is_input else 0)
    size = images * rows[0] * pitch
    flat = x.reshape(-1)
    step = size + 4 * _LANES
    transformed, parted = images * tall * pitch + 4 * _LANES, images * tall * pitch + 4 * _LANES + 6 * step
    four = size // 4 + _LANES
    for n in range(images):
        source = ((first + n) * x.shape[1] + channel) * height * width
        _pad(flat, source, height, width, room, n * tall * pitch, tall, pitch, padding)
    from_rows, to_rows = np.empty(6, np.int64), np.empty(6, np.int64)
    for k in range(6):
        from_rows[k], to_rows[k] = k * pitch, transformed + k * step
    for n in range(images):
        here, there = n * tall * pitch, n * rows[0] * pitch
        if is_input:
            _input(room, here, from_rows, room, there, to_rows, pitch, rows[0], 4 * pitch, pitch)
        else:
            _gradient(room, here, from_rows, room, there, to_rows, pitch, rows[0], 4 * pitch, pitch)
    for k in range(6):  # runs of columns 0 to 3 of all patches; 4 and 5 are 0 and 1 of the next
        from_rows[k] = parted + k % 4 * four + k // 4
    for p in range(6):
        part_fours(room, transformed + p * step, room, parted, four, size // 4)
        room[parted + size // 4] = room[parted + four + size // 4] = 0  # what follows the last patch
        for k in range(6):
            to_rows[k] = (p * 6 + k) * point_step
        if is_input:
            _input(room, 0, from_rows, target, base, to_rows, size // 4, 1, 0, 0)
        else:
            _gradient(room, 0, from_rows, target, base, to_rows, size // 4, 1, 0, 0)


@compiled
def _pad(flat, source, height, width, target, place, tall, pitch, padding):  # type: ignore[no-untyped-def]
    """Copy an image into the middle of zeros."""
    top, left = padding
    for r in range(tall):
        begin = place + r * pitch
        inside = 0 <= r - top < height
        kept = min(width, pitch - left) if inside else 0
        edge = left if inside else 0
        for j in range(edge):
            target[begin + j] = 0
        if inside:
            copy_run(flat, source + (r - top) * width, target, begin + left, kept)
        for j in range(edge + kept, pitch):
            target[begin + j] = 0
    for j in range(tall * pitch, tall * pitch + 4 * _LANES):
        target[place + j] = 0


@compiled
def _convolve_block(x, y, weights, begin, first, images, rows, padding, offsets, run, patches, points, room, sources, targets, tile):  # type: ignore[no-untyped-def]
    """All channels of y on some images: transform, multiply point by point, transform back."""
    channels, results = x.shape[1], y.shape[1]
    height, width = len(tile[0]), len(tile[1])
    for c in range(channels):
        _transform_images(x, c, first, images, rows, padding, True, patches, c * run, channels * run, room)
    positions = images * rows[0] * rows[1]
    count = list_vectors(1, -(-positions // _LANES) * _LANES, _LANES, 0, 0, sources, targets)
    for more in range(width - 1):
        sources[count + more], targets[count + more] = sources[count - 1], targets[count - 1]
    for point in range(36):
        kind = 1 if point == _BIAS_POINT else 0
        for part in range(weights.shape[1]):
            o = part * height
            for vector in range(0, count, width):
                multiply_add(
                    patches, point * channels * run, offsets, weights[point, part], begin[kind, part], points,
                    (point * results + o) * run, run, results - o, sources, targets, vector, tile,
                )  # fmt: skip
    for o in range(results):
        _transform_back(points, o * run, results * run, y, o, first, images, rows, room)


@compiled
def _transform_back(points, base, point_step, y, o, first, images, rows, room):  # type: ignore[no-untyped-def]
    """Y = A.T M A for all tiles of one channel of the output."""
    height, width = y.shape[2:]
    size = images * rows[0] * rows[1]
    step = -(-size // _LANES) * _LANES
    joined = 28 * step
    flat = y.reshape(-1)
    source, target = np.empty(6, np.int64), np.empty(4, np.int64)
    for q in range(6):
        for k in range(6):
            source[k] = (k * 6 + q) * point_step
        for k in range(4):
            target[k] = (k * 6 + q) * step
        _output(points, base, source, room, 0, target, size, 1, 0, 0)
    for u in range(4):
        for k in range(6):
            source[k] = (u * 6 + k) * step
        for k in range(4):
            target[k] = (24 + k) * step
        _output(room, 0, source, room, 0, target, size, 1, 0, 0)
        join_fours(room, 24 * step, step, room, joined, size)
        for n in range(images):
            for i in range(rows[0]):
                if 4 * i + u < height:
                    place = (((first + n) * y.shape[1] + o) * height + 4 * i + u) * width
                    copy_run(room, joined + (n * rows[0] + i) * rows[1] * 4, flat, place, width)


# The gradient of the weight -------------------------------------------------------------------------------------------

def _transformed(x: Array, rows: Rows, padding: tuple[int, int], role: str, *, is_input: bool) -> Array:
    """Transform all patches of x, or tiles of a gradient: (36, channels, patches)."""
    batch, channels = x.shape[:2]
    run = _run(rows, batch)
    result = borrow(role, (POINTS, channels, run), x.dtype)
    images = _images_at_once(batch, rows)

    def work(start: int, stop: int) -> None:
        room = borrow("rows", (_room_for_rows(rows, images),), x.dtype)
        _transform_channels(x, start, stop, images, rows, padding, is_input, result, room)

    each_part(channels, work, grain=grain_of(4 * POINTS * run))
    return result


@compiled
def _transform_channels(x, start, stop, images, rows, padding, is_input, result, room):  # type: ignore[no-untyped-def]
    _, channels, run = result.shape
    flat = result.reshape(-1)
    for c in range(start, stop):
        for first in range(0, len(x), images):
            base = c * run + first * rows[0] * rows[1]
            here = min(images, len(x) - first)
            _transform_images(x, c, first, here, rows, padding, is_input, flat, base, channels * run, room)
        for point in range(36):
            flat[(point * channels + c) * run + len(x) * rows[0] * rows[1] : (point * channels + c + 1) * run] = 0


def _multiply_points(first: Array, second: Array, product: Array) -> None:
    """Multiply the matrices of each point."""

    def work(start: int, stop: int) -> None:
        np.matmul(first[start:stop], second[start:stop], out=product[start:stop])

    each_part(POINTS, work, grain=grain_of(first.shape[1] * second[0].size // 4), products=True)


def _weight_from_points(total: Array, geometry: ConvGeometry) -> Array:
    """G.T total G, for all pairs of channels: (o, c, 3, 3)."""
    gweight = np.empty(geometry.weight_shape, total.dtype)

    def work(start: int, stop: int) -> None:
        room = borrow("kernels", (_kernel_room(total.shape[2]),), total.dtype)
        _transform_to_kernels(total, start, stop, gweight, room)

    each_part(len(gweight), work, grain=grain_of(2 * POINTS * total.shape[2]))
    return gweight


@compiled
def _transform_to_kernels(total, start, stop, gweight, room):  # type: ignore[no-untyped-def]
    _, results, channels = total.shape
    run = -(-channels // _LANES) * _LANES + _LANES
    flat = total.reshape(-1)
    source, target = np.empty(6, np.int64), np.empty(3, np.int64)
    for o in range(start, stop):
        for point in range(36):
            copy_run(flat, (point * results + o) * channels, room, point * run, channels)
        for q in range(6):  # down the columns of points: (6, 6) to (3, 6)
            for k in range(6):
                source[k] = (k * 6 + q) * run
            for k in range(3):
                target[k] = (36 + k * 6 + q) * run
            _to_kernel(room, 0, source, room, 0, target, channels, 1, 0, 0)
        for p in range(3):
            for k in range(6):
                source[k] = (36 + p * 6 + k) * run
            for k in range(3):
                target[k] = (54 + p * 3 + k) * run
            _to_kernel(room, 0, source, room, 0, target, channels, 1, 0, 0)
        place = gweight[o].reshape(-1)
        for c in range(channels):
            for k in range(9):
                place[c * 9 + k] = room[(54 + k) * run + c]
