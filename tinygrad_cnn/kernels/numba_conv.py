"""Convolution and its two gradients over both cores: blocks of columns, laid out by compiled loops, multiplied by BLAS.

The products are those of `numpy_conv`. What differs is how memory moves around them:

- Columns are kernel-size times larger than the input. They are made for a block of images, or of output rows of one image,
  that stays in a core's cache between being written and being multiplied; then the next block takes its place.
- Blocks are independent, so each core does its own, with BLAS on one thread (`parallel`).
- The weight's gradient sums over all blocks. Its cores divide the *taps* among them instead of the blocks: each writes its own
  part of the gradient, and nothing has to be added up between cores.
- With stride 1 the input's gradient is itself a convolution, of the output's gradient with the kernel turned by 180 degrees
  and with input and output channels exchanged. Gathering is cheaper than scattering, so that is what is computed:

      gx[n, c, i, j] = sum over o, p, q of weight[o, c, kh - 1 - p, kw - 1 - q] * gy[n, o, i + p - (kh - 1 - top), ...]

  With a longer stride, columns of gradients are added back where they came from.

The same blocks are used whatever the number of threads, so the results are the same to the last bit.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from tinygrad_cnn.kernels import numpy_conv
from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.geometry import ConvGeometry
from tinygrad_cnn.kernels.numba_columns import gather, scatter, steps
from tinygrad_cnn.kernels.numpy_conv import filter_rows, is_one_product
from tinygrad_cnn.kernels.parallel import each_part, grain_of
from tinygrad_cnn.kernels.scratch import borrow

Block = tuple[slice, slice]

_COLUMN_BYTES = 1 << 20
"""How large a block of columns may be: with the operands of its product it fits a core's second cache."""

_FEWEST_POSITIONS = 256
"""... but a product of so few columns is too small for BLAS, which rearranges the filters anew for each."""

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def conv(x: Array, weight: Array, bias: Array | None, geometry: ConvGeometry) -> Array:
    """Cross-correlate `x` with `weight`, and add `bias`: see `numpy_conv.conv`."""
    if not _serves(geometry, x.dtype):
        return numpy_conv.conv(x, weight, bias, geometry)
    y = np.empty(geometry.y_shape, x.dtype)
    x = np.ascontiguousarray(x)
    rows_of_weight = filter_rows(weight, geometry)
    bias_column = None if bias is None else bias.reshape(geometry.groups, -1, 1)
    blocks = _blocks(geometry, x.itemsize)

    def work(start: int, stop: int) -> None:
        for block in blocks[start:stop]:
            columns = _columns(x, block, 0, _lines(geometry), geometry).reshape(*_per_group(geometry), -1)
            target, is_direct = _room_for_positions(y, block, geometry)
            np.matmul(rows_of_weight, columns, out=target)
            if bias_column is not None:
                target += bias_column
            if not is_direct:
                y[block[0]].reshape(-1, *target.shape[:2], math.prod(geometry.out_size))[...] = _by_image(target, geometry)

    each_part(len(blocks), work, grain=_grain(geometry, len(blocks)), products=True)
    return y


def conv_weight_grad(x: Array, gy: Array, geometry: ConvGeometry) -> Array:
    """Correlate the input with the output's gradient: see `numpy_conv.conv_weight_grad`."""
    if not _serves(geometry, x.dtype):
        return numpy_conv.conv_weight_grad(x, gy, geometry)
    x, gy = np.ascontiguousarray(x), np.ascontiguousarray(gy)
    gweight = np.zeros(geometry.weight_shape, x.dtype)
    by_group = gweight.reshape(geometry.groups, -1, _per_group(geometry)[1])
    parts = _parts_of_taps(geometry)

    def work(start: int, stop: int) -> None:
        for groups, lines in parts[start:stop]:
            _add_weight_grad(x, gy, by_group, groups, lines, geometry)

    each_part(len(parts), work, grain=_grain(geometry, len(parts)), products=True)
    return gweight


def conv_input_grad(gy: Array, weight: Array, geometry: ConvGeometry) -> Array:
    """Spread the output's gradient back over the windows: see `numpy_conv.conv_input_grad`."""
    if not _serves(geometry, gy.dtype):
        return numpy_conv.conv_input_grad(gy, weight, geometry)
    turned = _as_convolution(geometry)
    if turned is not None:
        return conv(gy, _turned(weight, geometry), None, turned)
    gy = np.ascontiguousarray(gy)
    gx = np.zeros(geometry.x_shape, gy.dtype)
    weight_back = filter_rows(weight, geometry).swapaxes(1, 2)

    def work(start: int, stop: int) -> None:
        for image in range(start, stop):
            _add_input_grad(gy, weight_back, gx, image, geometry)

    each_part(geometry.batch, work, grain=_grain(geometry, geometry.batch), products=True)
    return gx


def _serves(geometry: ConvGeometry, dtype: np.dtype) -> bool:
    return geometry.dims == 2 and not is_one_product(geometry) and dtype in _DTYPES


# Which blocks there are -----------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=512)
def _blocks(geometry: ConvGeometry, itemsize: int) -> list[Block]:
    """Cut the output into (images, rows): several whole images, or some rows of one."""
    out_h, out_w = geometry.out_size
    positions = max(_FEWEST_POSITIONS, _COLUMN_BYTES // (_lines(geometry) * geometry.kernel_size[1] * itemsize))
    whole = slice(0, out_h)
    if positions >= out_h * out_w:
        return [(images, whole) for images in _even_slices(geometry.batch, positions // (out_h * out_w))]
    rows = _even_slices(out_h, max(1, positions // out_w))
    return [(slice(n, n + 1), part) for n in range(geometry.batch) for part in rows]


def _even_slices(total: int, at_most: int) -> list[slice]:
    """Cut range(total) into parts of about equal size, and into an even number of them if it is more than one."""
    count = -(-total // at_most)
    count = min(total, count + count % 2) if count > 1 else count
    return [slice(total * k // count, total * (k + 1) // count) for k in range(count)]


@functools.lru_cache(maxsize=512)
def _parts_of_taps(geometry: ConvGeometry) -> list[tuple[slice, slice]]:
    """Cut the taps of all channels into parts that cores can share: (groups, lines), each of either all or one group."""
    lines = _lines(geometry)
    if geometry.groups == 1:
        return [(slice(0, 1), part) for part in _even_slices(lines, max(1, -(-lines // 4)))]
    each = lines // geometry.groups
    parts = _even_slices(geometry.groups, max(1, -(-geometry.groups // 4)))
    return [(groups, slice(groups.start * each, groups.stop * each)) for groups in parts]


def _lines(geometry: ConvGeometry) -> int:
    """How many lines of taps all channels have: see `numba_columns`."""
    return geometry.in_channels * geometry.kernel_size[0]


def _per_group(geometry: ConvGeometry) -> tuple[int, int]:
    """The number of groups, and of taps in each."""
    return geometry.groups, math.prod(geometry.weight_shape[1:])


def _grain(geometry: ConvGeometry, count: int) -> int:
    """How many of `count` equal blocks are worth a thread."""
    multiplications = geometry.column_numbers * geometry.out_channels // geometry.groups
    return grain_of((multiplications // 4 + geometry.column_numbers) // max(1, count))


# The work on one block ------------------------------------------------------------------------------------------------


def _columns(x: Array, block: Block, first_line: int, stop_line: int, geometry: ConvGeometry) -> Array:
    """Lay out the columns of some lines of taps for one block, in borrowed memory: (lines, kw, n, oh, ow)."""
    images, rows = block
    shape = (stop_line - first_line, geometry.kernel_size[1], images.stop - images.start, rows.stop - rows.start)
    columns = borrow("columns", (*shape, geometry.out_size[1]), x.dtype)
    gather(x, columns, images.start, rows.start, first_line, *steps(geometry))
    return columns


def _room_for_positions(y: Array, block: Block, geometry: ConvGeometry) -> tuple[Array, bool]:
    """Where the product (g, o / g, positions) of a block goes: into `y` itself if the block is of one image."""
    images, rows = block
    groups, width = geometry.groups, geometry.out_size[1]
    if images.stop - images.start == 1:
        image = y[images.start].reshape(groups, -1, math.prod(geometry.out_size))
        return image[:, :, rows.start * width : rows.stop * width], True
    count = (images.stop - images.start) * math.prod(geometry.out_size)
    return borrow("product", (groups, geometry.out_channels // groups, count), y.dtype), False


def _by_image(product: Array, geometry: ConvGeometry) -> Array:
    """Turn (g, o / g, n * oh * ow) into (n, g, o / g, oh * ow), without copying."""
    return np.moveaxis(product.reshape(*product.shape[:2], -1, math.prod(geometry.out_size)), 2, 0)


def _add_weight_grad(x: Array, gy: Array, gweight: Array, groups: slice, lines: slice, geometry: ConvGeometry) -> None:
    """Add up, over all blocks, the part of `gweight` (g, o / g, K) that belongs to some groups, or some lines of taps."""
    count = groups.stop - groups.start
    width = geometry.kernel_size[1]
    taps = slice(lines.start * width, lines.stop * width) if geometry.groups == 1 else slice(None)
    target = gweight[groups, :, taps]
    product = borrow("product", target.shape, x.dtype)
    for block in _blocks(geometry, x.itemsize):
        columns = _columns(x, block, lines.start, lines.stop, geometry).reshape(count, target.shape[2], -1)
        np.matmul(_gy_rows(gy, block, groups, geometry), columns.swapaxes(1, 2), out=product)
        target += product


def _gy_rows(gy: Array, block: Block, groups: slice, geometry: ConvGeometry) -> Array:
    """The output's gradient on one block, as rows (g, o / g, positions): a view if the block is of one image."""
    images, rows = block
    width = geometry.out_size[1]
    by_image = gy[images].reshape(-1, geometry.groups, geometry.out_channels // geometry.groups, math.prod(geometry.out_size))
    if len(by_image) == 1:
        return by_image[0, groups, :, rows.start * width : rows.stop * width]
    wanted = np.moveaxis(by_image[:, groups], 0, 2)
    copied = borrow("gy", wanted.shape, gy.dtype)
    copied[...] = wanted
    return copied.reshape(*wanted.shape[:2], -1)


# The input's gradient -------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=512)
def _as_convolution(geometry: ConvGeometry) -> ConvGeometry | None:
    """The geometry of the convolution that the input's gradient is; None with a longer stride, or more padding than taps."""
    reach = [dilation * (taps - 1) for taps, dilation in zip(geometry.kernel_size, geometry.dilation, strict=True)]
    padding = tuple((far - before, far - after) for far, (before, after) in zip(reach, geometry.padding, strict=True))
    if set(geometry.stride) != {1} or min(map(min, padding)) < 0:
        return None
    return ConvGeometry(
        geometry.batch, geometry.out_channels, geometry.out_size, geometry.in_channels, geometry.kernel_size,
        geometry.stride, padding, geometry.dilation, geometry.groups,
    )  # fmt: skip


def _turned(weight: Array, geometry: ConvGeometry) -> Array:
    """Turn the kernels by 180 degrees and exchange input and output channels: (o, c / g, ...) to (c, o / g, ...)."""
    groups, o_g, c_g = geometry.groups, geometry.out_channels // geometry.groups, weight.shape[1]
    by_group = weight.reshape(groups, o_g, c_g, *weight.shape[2:]).swapaxes(1, 2)[..., ::-1, ::-1]
    return np.ascontiguousarray(by_group).reshape(groups * c_g, o_g, *weight.shape[2:])


def _add_input_grad(gy: Array, weight_back: Array, gx: Array, image: int, geometry: ConvGeometry) -> None:
    """Multiply back to columns and add these to one image of `gx`, some output rows at a time."""
    out_h, out_w = geometry.out_size
    taps = weight_back.shape[0] * weight_back.shape[1]
    gy_rows = gy[image].reshape(geometry.groups, -1, out_h * out_w)
    positions = max(_FEWEST_POSITIONS, _COLUMN_BYTES // (taps * gy.itemsize))
    for rows in _even_slices(out_h, max(1, positions // out_w)):
        size = (_lines(geometry), geometry.kernel_size[1], rows.stop - rows.start, out_w)
        columns = borrow("columns", size, gy.dtype)
        here = gy_rows[:, :, rows.start * out_w : rows.stop * out_w]
        np.matmul(weight_back, here, out=columns.reshape(*weight_back.shape[:2], -1))
        scatter(columns, gx, image, rows.start, *steps(geometry))
