"""Convolution and its two gradients over both cores, without columns: `conv_planes` says how, `numba_planes` does it.

Here the work is divided. Blocks of images, or of rows of one, are independent in the convolution and in the input's
gradient, so cores take one after the other. The weight's gradient sums over all images: its cores divide the images among them,
in a fixed number of sums that are added up at the end; or, where the sums would be too large, the input channels, of whose taps
each writes the gradient, though each then has to read the whole gradient of the output. Results are the same to the last bit
for any number of threads.

What has so few output positions that no vector fits, such as maps of 1 x 1 or 1 x 3, is NumPy's, and so is what is one
matrix product as it stands.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np

from tinygrad_cnn.kernels import conv_planes, numpy_conv, parallel
from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.conv_planes import Blocks, Indices, PlaneProduct, numbers_multiplied
from tinygrad_cnn.kernels.geometry import ConvGeometry
from tinygrad_cnn.kernels.numba_crew import grain_of, rooms, share
from tinygrad_cnn.kernels.numba_planes import (
    arrange_weights,
    correlate_plane_positions,
    correlate_planes,
    lay_out,
    multiply_planes,
)
from tinygrad_cnn.kernels.numba_simd import ACCUMULATORS, VECTOR_BYTES, Tile, correlate, correlate_positions, multiply_add, turn
from tinygrad_cnn.kernels.numpy_conv import is_one_product

_FEWEST_LANES = 4

_HEIGHTS = (1, 4, 6, 8)
"""How many channels a tile may have. Each shape of a tile that is used is compiled once, so there are few."""

_MOST_VECTORS = 8

_MOST_TAPS = 9
"""How many taps are summed at once: enough that no sum waits for itself, and a divisor of what 3 x 3 kernels have."""

_LOADED_FOR_A_VECTOR = 0.25
"""What it costs to load a tap's number for only one vector of sums, as a part of a multiplication: measured."""

_SUMS_WANTED = 8
_SUMS_BYTES = 2 << 20
"""Up to so many sums of a weight's gradient, and bytes in all, are taken side by side."""

_CHANNEL_PARTS = 4
"""Into how many parts the input channels are cut otherwise: each of them turns the gradient of the output anew."""

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def conv(x: Array, weight: Array, bias: Array | None, geometry: ConvGeometry) -> Array:
    """Cross-correlate `x` with `weight`, and add `bias`: see `numpy_conv.conv`."""
    if not serves(geometry, x.dtype):
        return numpy_conv.conv(x, weight, bias, geometry)
    planes = conv_planes.forward(geometry)
    y = np.empty(geometry.y_shape, x.dtype)
    by_group = weight.reshape(planes.groups, planes.results, planes.sources, *geometry.kernel_size)
    _multiply(np.ascontiguousarray(x), by_group, bias, y, planes)
    return y


def conv_weight_grad(x: Array, gy: Array, geometry: ConvGeometry) -> Array:
    """Correlate the input with the output's gradient: see `numpy_conv.conv_weight_grad`."""
    if not serves(geometry, x.dtype):
        return numpy_conv.conv_weight_grad(x, gy, geometry)
    x, gy = np.ascontiguousarray(x), np.ascontiguousarray(gy)
    planes = conv_planes.forward(geometry)
    parts, shared, sums = _parts(planes, geometry.batch, x.itemsize)
    gweight = np.zeros((sums, planes.groups, planes.results, planes.sources, math.prod(geometry.kernel_size)), x.dtype)
    gy = gy.reshape(-1, planes.groups, planes.results, *geometry.out_size)
    plan, lanes = _plan(shared, planes), _lanes(shared, planes, x.itemsize)
    most_channels = int(((parts[:, 1] - parts[:, 0]) * (parts[:, 3] - parts[:, 2])).max())
    size = planes.row_bytes(1) // geometry.in_channels * most_channels * shared.plane_rows * shared.images
    room = rooms("planes", size, x.dtype)
    shape = _channel_tile(planes.results, x.itemsize)
    if shape is None:
        shape, kernel = _position_tile(planes, lanes), correlate_plane_positions
        loops, more = [correlate_positions.address(shape, x.dtype)], _lists(shared, planes, lanes)
    else:
        kernel, more = correlate_planes, _turned(shared, planes, parts, shape, x.dtype)
        loops = [correlate.address(shape, x.dtype), turn.address(Tile(1, 1, shape.lanes), x.dtype)]
    arguments = (x, gy, gweight, parts, *plan, room, *more, lay_out.address(x.dtype), *loops, *shape)
    share(kernel, *arguments, count=len(parts), grain=_grain(planes, geometry.batch, len(parts)), slots=len(room))
    return (gweight[0] if sums == 1 else gweight.sum(axis=0)).reshape(geometry.weight_shape)


def conv_input_grad(gy: Array, weight: Array, geometry: ConvGeometry) -> Array:
    """Spread the output's gradient back over the windows: see `numpy_conv.conv_input_grad`."""
    if not serves(geometry, gy.dtype):
        return numpy_conv.conv_input_grad(gy, weight, geometry)
    gy = np.ascontiguousarray(gy)
    products = conv_planes.backward(geometry)
    is_complete = set(geometry.stride) == {1} and bool(products)
    gx = np.empty(geometry.x_shape, gy.dtype) if is_complete else np.zeros(geometry.x_shape, gy.dtype)
    groups = geometry.groups
    by_group = weight.reshape(groups, -1, *weight.shape[1:]).swapaxes(1, 2)
    for rows, columns, planes in products:
        taps = by_group[..., _every(planes.rows.taps), _every(planes.columns.taps)]
        if is_complete:
            _multiply(gy, taps, None, gx, planes)
            continue
        part = np.empty((*gx.shape[:2], planes.rows.size, planes.columns.size), gy.dtype)
        _multiply(gy, taps, None, part, planes)
        _spread(part, gx[:, :, rows, columns])
    return gx


def serves(geometry: ConvGeometry, dtype: np.dtype) -> bool:
    """Whether vectors fit: two spatial axes, and rows of the output, and of the input, that are long enough together."""
    if geometry.dims != 2 or is_one_product(geometry) or dtype not in _DTYPES or not geometry.batch:
        return False
    return _vectors_fit(geometry, dtype.itemsize)


@functools.lru_cache(maxsize=512)
def _vectors_fit(geometry: ConvGeometry, itemsize: int) -> bool:
    forward = conv_planes.forward(geometry)
    products = (forward, *(planes for _, _, planes in conv_planes.backward(geometry)))
    blocks = [(conv_planes.blocks(planes, geometry.batch, itemsize), planes) for planes in products]
    blocks.append((_parts(forward, geometry.batch, itemsize)[1], forward))
    return all(_lanes(shared, planes, itemsize) for shared, planes in blocks)


# Shapes of tiles ------------------------------------------------------------------------------------------------------


def _lanes(shared: Blocks, planes: PlaneProduct, itemsize: int) -> int:
    """How long vectors may be for every block to have one: as long as the processor's, or short, or 0 for not at all."""
    positions = shared.fewest_rows * planes.columns.size
    longest = VECTOR_BYTES // itemsize
    return longest if positions >= longest else _FEWEST_LANES if positions >= _FEWEST_LANES else 0


@functools.lru_cache(maxsize=512)
def _product_tile(planes: PlaneProduct, batch: int, itemsize: int) -> Tile:
    """The tile that takes the least time, with what it does beyond the last channel and position."""
    shared = conv_planes.blocks(planes, batch, itemsize)
    lanes = _lanes(shared, planes, itemsize)
    vectors = shared.images * -(-shared.fewest_rows * planes.columns.size // lanes)
    shapes = [(rows, min(_MOST_VECTORS, ACCUMULATORS // rows)) for rows in _HEIGHTS if rows <= ACCUMULATORS]
    best = min(shapes, key=lambda shape: _cycles(shape, planes.results, vectors))
    return Tile(*best, lanes)


def _channel_tile(results: int, itemsize: int) -> Tile | None:
    """The tile of the weight's gradient with vectors of output channels, or None if a group has too few to fill one."""
    longest = VECTOR_BYTES // itemsize
    lanes = next((lanes for lanes in (longest, longest // 2) if _FEWEST_LANES <= lanes <= results), None)
    if lanes is None:
        return None
    vectors = min((1, 2), key=lambda vectors: -(-results // (vectors * lanes)) * (vectors + _LOADED_FOR_A_VECTOR))
    return Tile(vectors, min(_MOST_TAPS, ACCUMULATORS // vectors), lanes)


@functools.lru_cache(maxsize=512)
def _position_tile(planes: PlaneProduct, lanes: int) -> Tile:
    most = ACCUMULATORS if ACCUMULATORS > 12 else 9
    taps = planes.sources * len(planes.rows.taps) * len(planes.columns.taps)
    shapes = [(rows, min(12, most // rows)) for rows in (1, 4, 6) if rows <= most]
    return Tile(*min(shapes, key=lambda shape: _cycles(shape, planes.results, taps)), lanes)


def _cycles(shape: tuple[int, int], rows: int, columns: int) -> float:
    """Time for rows x columns sums in tiles.

    A cycle has two multiply-adds and two loads, of which a vector may take two; a sum can be used again after four.
    """
    height, width = shape
    tiles = -(-rows // height) * -(-columns // width)
    return float(tiles * max(height * width / 2, height / 2 + width, 4))


# The work -------------------------------------------------------------------------------------------------------------


def _multiply(x: Array, weight: Array, bias: Array | None, y: Array, planes: PlaneProduct) -> None:
    """Fill y (n, channels, oh, ow) with the product of weight (g, results, sources, p, q) and the planes of x."""
    batch = len(x)
    shape = _product_tile(planes, batch, x.itemsize)
    shared = conv_planes.blocks(planes, batch, x.itemsize)
    plan = _plan(shared, planes)
    weights, begin = _arranged(weight, bias, shape.rows)
    by_group = y.reshape(batch, planes.groups, planes.results, planes.rows.size, planes.columns.size)
    size = planes.row_bytes(1) * shared.plane_rows * shared.images
    room = rooms("planes", size, x.dtype)
    loops = (lay_out.address(x.dtype), multiply_add.address(shape, x.dtype))
    arguments = (x, by_group, weights, begin, *plan, room, *_lists(shared, planes, shape.lanes), *loops, *shape)
    grain = _grain(planes, batch, len(shared.table))
    share(multiply_planes, *arguments, count=len(shared.table), grain=grain, slots=len(room))


def _arranged(weight: Array, bias: Array | None, rows: int) -> tuple[Array, Array]:
    """Arrange the weights of each tile side by side, and what its sums begin with."""
    groups, results = weight.shape[:2]
    tiles = groups * -(-results // rows)
    weights = np.empty((tiles, math.prod(weight.shape[2:]), rows), weight.dtype)
    arrange(weight, weights)
    begin = np.zeros((groups, tiles // groups * rows), weight.dtype)
    if bias is not None:
        begin[:, :results] = bias.reshape(groups, results)
    return weights, begin.reshape(tiles, rows)


def arrange(weight: Array, arranged: Array) -> None:
    """Put the weights (g, results, sources, p, q), a view of any order, of each tile's rows side by side."""
    if not weight[0, 0, 0].flags.c_contiguous or min(weight.strides) <= 0:
        weight = np.ascontiguousarray(weight)
    item = weight.itemsize
    steps = tuple(stride // item for stride in weight.strides[:3])
    results, sources, run = weight.shape[1], weight.shape[2], math.prod(weight.shape[3:])
    flat = np.lib.stride_tricks.as_strided(
        weight, (1 + sum((n - 1) * s // item for n, s in zip(weight.shape, weight.strides, strict=True)),), (item,)
    )
    if steps[2] == run:
        sources, run = 1, sources * run
    grain = grain_of(2 * arranged[0].size)
    share(arrange_weights, flat, steps, run, results, sources, arranged, count=len(arranged), grain=grain)


@functools.lru_cache(maxsize=1024)
def _plan(shared: Blocks, planes: PlaneProduct) -> tuple[Indices, Indices, int, tuple[int, int], Indices, Indices]:
    """Give offsets, blocks, rows of planes, steps and origins, as the compiled loops take them."""
    steps = (planes.rows.step, planes.columns.step)
    return planes.offsets(shared.plane_rows), shared.table, shared.plane_rows, steps, *planes.origins()


def _lists(shared: Blocks, planes: PlaneProduct, lanes: int) -> tuple[Indices, Indices]:
    """Room for where the vectors of a block begin, and for those that a last tile has too many."""
    most = shared.images * -(-shared.plane_rows * planes.columns.size // lanes) + _MOST_VECTORS
    return rooms("sources", most, np.int64), rooms("targets", most, np.int64)


def _turned(shared: Blocks, planes: PlaneProduct, parts: Indices, shape: Tile, dtype: np.dtype) -> tuple[Array, Array]:
    """Room for a block's gradients with a tile's channels side by side, and for the sums of a part."""
    depth = shape.rows * shape.lanes
    tiles, taps = -(-planes.results // depth), len(planes.rows.taps) * len(planes.columns.taps)
    most = int(((parts[:, 1] - parts[:, 0]) * (parts[:, 3] - parts[:, 2])).max())
    gradients = shared.images * shared.most_rows * planes.columns.size * depth
    return rooms("turned", gradients, dtype), rooms("totals", most * tiles * taps * depth, dtype)


@functools.lru_cache(maxsize=512)
def _parts(planes: PlaneProduct, batch: int, itemsize: int) -> tuple[Indices, Blocks, int]:
    """Cut the weight's gradient into parts for cores: see `correlate_planes`. Also give the blocks and the number of sums."""
    wanted = _SUMS_WANTED
    groups, sources = -(-planes.groups // wanted), -(-planes.sources // _CHANNEL_PARTS)
    taps = planes.sources * len(planes.rows.taps) * len(planes.columns.taps)
    room = _SUMS_BYTES // (itemsize * planes.groups * planes.results * taps)
    if planes.groups >= wanted:
        shared = conv_planes.blocks_to_sum(replace(planes, groups=groups), batch, itemsize)
        parts = [(*group, 0, planes.sources, 0, len(shared.table), 0) for group in conv_planes.even(planes.groups, groups)]
    elif planes.groups == 1 and planes.sources >= wanted and room < wanted:
        shared = conv_planes.blocks_to_sum(replace(planes, sources=sources), batch, itemsize)
        parts = [(0, 1, *channel, 0, len(shared.table), 0) for channel in conv_planes.even(planes.sources, sources)]
    else:
        shared = conv_planes.blocks_to_sum(planes, batch, itemsize)
        each = -(-len(shared.table) // max(1, min(wanted, room)))
        images = conv_planes.even(len(shared.table), each)
        parts = [(0, planes.groups, 0, planes.sources, *block, which) for which, block in enumerate(images)]
    return np.array(parts, np.int64), shared, 1 + max(part[-1] for part in parts)


def _grain(planes: PlaneProduct, batch: int, count: int) -> int:
    """How many of `count` equal parts are worth a thread."""
    return grain_of(numbers_multiplied(planes, batch) // 4 // max(1, count))


def _every(taps: tuple[int, ...]) -> slice:
    """The slice that takes these taps, which are equally far apart."""
    return slice(taps[0], taps[-1] + 1, taps[1] - taps[0] if len(taps) > 1 else None)


def _spread(part: Array, target: Array) -> None:
    """Copy what belongs to some rows and columns of the input into their places, image by image."""

    def work(start: int, stop: int) -> None:
        target[start:stop] = part[start:stop]

    parallel.each_part(len(part), work, grain=parallel.grain_of(2 * part[0].size))
