"""The compiled loops of Winograd's convolution: transforms there and back, and the products of one block.

What they compute, and why it is ordered like this, is told in `numba_winograd`. A tile is m x m outputs, m = 2 or 4, and a
patch n x n inputs, n = m + 2; there are n * n points. What all patches have at one point is a *run*, of whole vectors: what is
computed beyond its end is overwritten or never read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.kernels.numba_compile import inner
from tinygrad_cnn.kernels.numba_crew import shared
from tinygrad_cnn.kernels.numba_simd import (
    VECTOR_BYTES,
    collect_fours,
    collect_twos,
    copy_run,
    correlate_positions,
    deal_fours,
    deal_twos,
    linear,
    multiply_add,
    place,
)

Matrix = tuple[tuple[float, ...], ...]

OUTPUT: dict[int, Matrix] = {
    2: ((1, 1, 1, 0), (0, 1, -1, -1)),
    4: ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
}
"""A.T: from values at the points to a tile's outputs."""

INPUT: dict[int, Matrix] = {
    2: ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    4: (
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
}
"""B.T: from a patch to values at the points."""

KERNEL: dict[int, Matrix] = {
    2: ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    4: (
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
}
"""G: from a kernel to values at the points."""

LANES = VECTOR_BYTES // 4


def _turned(matrix: Matrix) -> Any:
    return linear(tuple(zip(*matrix, strict=True)))


_input_2, _output_2, _kernel_2 = linear(INPUT[2]), linear(OUTPUT[2]), linear(KERNEL[2])
_input_4, _output_4, _kernel_4 = linear(INPUT[4]), linear(OUTPUT[4]), linear(KERNEL[4])
_gradient_2, _to_kernel_2 = _turned(OUTPUT[2]), _turned(KERNEL[2])
_gradient_4, _to_kernel_4 = _turned(OUTPUT[4]), _turned(KERNEL[4])


@inner
def _input(  # type: ignore[no-untyped-def]
    source, source_base, source_at, target, target_base, target_at, count, times, source_step, target_step, m
):
    if m == 2:
        _input_2(source, source_base, source_at, target, target_base, target_at, count, times, source_step, target_step)
    else:
        _input_4(source, source_base, source_at, target, target_base, target_at, count, times, source_step, target_step)


@inner
def _output(  # type: ignore[no-untyped-def]
    source, source_base, source_at, target, target_base, target_at, count, times, source_step, target_step, m
):
    if m == 2:
        _output_2(source, source_base, source_at, target, target_base, target_at, count, times, source_step, target_step)
    else:
        _output_4(source, source_base, source_at, target, target_base, target_at, count, times, source_step, target_step)


@inner
def _kernel(  # type: ignore[no-untyped-def]
    source, source_base, source_at, target, target_base, target_at, count, times, source_step, target_step, m
):
    if m == 2:
        _kernel_2(source, source_base, source_at, target, target_base, target_at, count, times, source_step, target_step)
    else:
        _kernel_4(source, source_base, source_at, target, target_base, target_at, count, times, source_step, target_step)


@inner
def _gradient(  # type: ignore[no-untyped-def]
    source, source_base, source_at, target, target_base, target_at, count, times, source_step, target_step, m
):
    if m == 2:
        _gradient_2(source, source_base, source_at, target, target_base, target_at, count, times, source_step, target_step)
    else:
        _gradient_4(source, source_base, source_at, target, target_base, target_at, count, times, source_step, target_step)


@inner
def _to_kernel(  # type: ignore[no-untyped-def]
    source, source_base, source_at, target, target_base, target_at, count, times, source_step, target_step, m
):
    if m == 2:
        _to_kernel_2(source, source_base, source_at, target, target_base, target_at, count, times, source_step, target_step)
    else:
        _to_kernel_4(source, source_base, source_at, target, target_base, target_at, count, times, source_step, target_step)


@inner
def _deal(source, source_at, target, target_at, step, count, m):  # type: ignore[no-untyped-def]
    if m == 2:
        deal_twos(source, source_at, target, target_at, step, count)
    else:
        deal_fours(source, source_at, target, target_at, step, count)


@inner
def _collect(source, source_at, step, target, target_at, count, m):  # type: ignore[no-untyped-def]
    if m == 2:
        collect_twos(source, source_at, step, target, target_at, count)
    else:
        collect_fours(source, source_at, step, target, target_at, count)


# Kernels --------------------------------------------------------------------------------------------------------------


@shared
def transform_arranged(arranged, is_turned, weights, rooms, m, slot, start, stop):  # type: ignore[no-untyped-def]
    """U = G g G.T for some tiles of channels; all channels and rows of a tile are one run."""
    room = rooms[slot]
    _, _, channels, height = weights.shape
    size = channels * height
    run = -(-size // LANES) * LANES + LANES
    for part in range(start, stop):
        taps = arranged[part].reshape(-1)
        for c in range(channels):
            for k in range(9):
                tap = 8 - k if is_turned else k
                for r in range(height):
                    room[k * run + c * height + r] = taps[(c * 9 + tap) * height + r]
        _kernels_at_points(room, run, size, m)
        for point in range((m + 2) ** 2):
            copy_run(room, (9 + 3 * (m + 2) + point) * run, weights[point, part].reshape(-1), 0, size)


@inner
def _kernels_at_points(room, run, size, m):  # type: ignore[no-untyped-def]
    """From 9 runs at the beginning of the room to (3, 3), (n, 3), and then (n, n) runs, one after the other."""
    n = m + 2
    source, target = np.empty(3, np.int64), np.empty(n, np.int64)
    for q in range(3):
        for k in range(3):
            source[k] = (k * 3 + q) * run
        for k in range(n):
            target[k] = (9 + k * 3 + q) * run
        _kernel(room, 0, source, room, 0, target, size, 1, 0, 0, m)
    for p in range(n):
        for k in range(3):
            source[k] = (9 + p * 3 + k) * run
        for k in range(n):
            target[k] = (9 + 3 * n + p * n + k) * run
        _kernel(room, 0, source, room, 0, target, size, 1, 0, 0, m)


@shared
def transform_to_kernels(total, gweight, rooms, m, slot, start, stop):  # type: ignore[no-untyped-def]
    """G.T total G for some output channels: (n * n, o, c) to (o, c, 3, 3)."""
    room = rooms[slot]
    n = m + 2
    _, results, channels = total.shape
    run = -(-channels // LANES) * LANES + LANES
    flat = total.reshape(-1)
    source, target = np.empty(n, np.int64), np.empty(3, np.int64)
    for o in range(start, stop):
        for point in range(n * n):
            copy_run(flat, (point * results + o) * channels, room, point * run, channels)
        for q in range(n):  # down the columns of points: (n, n) to (3, n)
            for k in range(n):
                source[k] = (k * n + q) * run
            for k in range(3):
                target[k] = (n * n + k * n + q) * run
            _to_kernel(room, 0, source, room, 0, target, channels, 1, 0, 0, m)
        for p in range(3):
            for k in range(n):
                source[k] = (n * n + p * n + k) * run
            for k in range(3):
                target[k] = (n * n + 3 * n + p * 3 + k) * run
            _to_kernel(room, 0, source, room, 0, target, channels, 1, 0, 0, m)
        place = gweight[o].reshape(-1)
        for c in range(channels):
            for k in range(9):
                place[c * 9 + k] = room[(n * n + 3 * n + k) * run + c]


# Images ---------------------------------------------------------------------------------------------------------------


@shared
def transform_channels(x, images, rows, padding, is_input, result, rooms, m, slot, start, stop):  # type: ignore[no-untyped-def]
    """Transform some channels of all images, so many images at once: (points, channels, run)."""
    room = rooms[slot]
    _, channels, run = result.shape
    flat = result.reshape(-1)
    for c in range(start, stop):
        for first in range(0, len(x), images):
            base = c * run + first * rows[0] * rows[1]
            here = min(images, len(x) - first)
            _transform_images(x, c, first, here, rows, padding, is_input, flat, base, channels * run, room, m)
        for point in range((m + 2) ** 2):
            flat[(point * channels + c) * run + len(x) * rows[0] * rows[1] : (point * channels + c + 1) * run] = 0


@inner
def _transform_images(  # type: ignore[no-untyped-def]
    x, channel, first, images, rows, padding, is_input, target, base, point_step, room, m
):
    """Put the points of all patches of one channel (or, of gradients, of all tiles) at `base + point * point_step`."""
    height, width = x.shape[2:]
    n = m + 2
    pitch = m * rows[1]
    tall = m * rows[0] + (2 if is_input else 0)
    size = images * rows[0] * pitch
    flat = x.reshape(-1)
    step = size + m * LANES
    transformed, parted = images * tall * pitch + 4 * LANES, images * tall * pitch + 4 * LANES + n * step
    dealt = size // m + LANES
    for image in range(images):
        source = ((first + image) * x.shape[1] + channel) * height * width
        _pad(flat, source, height, width, room, image * tall * pitch, tall, pitch, padding)
    from_rows, to_rows = np.empty(n, np.int64), np.empty(n, np.int64)
    for k in range(n):
        from_rows[k], to_rows[k] = k * pitch, transformed + k * step
    for image in range(images):
        here, there = image * tall * pitch, image * rows[0] * pitch
        if is_input:
            _input(room, here, from_rows, room, there, to_rows, pitch, rows[0], m * pitch, pitch, m)
        else:
            _gradient(room, here, from_rows, room, there, to_rows, pitch, rows[0], m * pitch, pitch, m)
    for k in range(n):  # columns up to m - 1 of all patches; m and m + 1 are 0 and 1 of the next
        from_rows[k] = parted + k % m * dealt + k // m
    for p in range(n):
        _deal(room, transformed + p * step, room, parted, dealt, size // m, m)
        room[parted + size // m] = room[parted + dealt + size // m] = 0  # what follows the last patch
        for k in range(n):
            to_rows[k] = (p * n + k) * point_step
        if is_input:
            _input(room, 0, from_rows, target, base, to_rows, size // m, 1, 0, 0, m)
        else:
            _gradient(room, 0, from_rows, target, base, to_rows, size // m, 1, 0, 0, m)


@inner
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
    for j in range(tall * pitch, tall * pitch + 4 * LANES):
        target[place + j] = 0


@shared
def transform_channels_back(points, images, y, rows, rooms, m, slot, start, stop):  # type: ignore[no-untyped-def]
    """Transform some channels of the output back, so many images at once."""
    room = rooms[slot]
    _, results, run = points.shape
    flat = points.reshape(-1)
    for o in range(start, stop):
        for first in range(0, len(y), images):
            base = o * run + first * rows[0] * rows[1]
            _transform_back(flat, base, results * run, y, o, first, min(images, len(y) - first), rows, room, m)


@inner
def _transform_back(points, base, point_step, y, o, first, images, rows, room, m):  # type: ignore[no-untyped-def]
    """Y = A.T M A for all tiles of one channel of the output."""
    height, width = y.shape[2:]
    size = images * rows[0] * rows[1]
    n = m + 2
    step = -(-size // LANES) * LANES
    collected = (m * n + m) * step
    flat = y.reshape(-1)
    source, target = np.empty(n, np.int64), np.empty(m, np.int64)
    for q in range(n):
        for k in range(n):
            source[k] = (k * n + q) * point_step
        for k in range(m):
            target[k] = (k * n + q) * step
        _output(points, base, source, room, 0, target, size, 1, 0, 0, m)
    for u in range(m):
        for k in range(n):
            source[k] = (u * n + k) * step
        for k in range(m):
            target[k] = (m * n + k) * step
        _output(room, 0, source, room, 0, target, size, 1, 0, 0, m)
        _collect(room, m * n * step, step, room, collected, size, m)
        for image in range(images):
            for i in range(rows[0]):
                if m * i + u < height:
                    place = (((first + image) * y.shape[1] + o) * height + m * i + u) * width
                    copy_run(room, collected + (image * rows[0] + i) * rows[1] * m, flat, place, width)


# Points ---------------------------------------------------------------------------------------------------------------


@inner
def _list_run(vectors, at_once, sources, targets):  # type: ignore[no-untyped-def]
    """List the vectors of a run, the last of them as often as a tile may have too many; return how many there are."""
    for k in range(vectors + at_once - 1):
        sources[k] = targets[k] = min(k, vectors - 1) * LANES
    return vectors


@inner
def _multiply_point(  # type: ignore[no-untyped-def]
    patches, weights, begin, points, point, channels, results, run, offsets, sources, targets, count, m, multiply, height, width
):
    """M = U V at one point; patches and points are flat."""
    kind = 1 if point == m + 3 else 0
    for part in range(weights.shape[1]):
        o = part * height
        for vector in range(0, count, width):
            multiply_add(
                multiply, place(patches, point * channels * run), place(offsets, 0), channels,
                place(weights, (point * weights.shape[1] + part) * channels * height),
                place(begin, (kind * weights.shape[1] + part) * height), place(points, (point * results + o) * run), run,
                results - o, place(sources, vector), place(targets, vector),
            )  # fmt: skip


@shared
def multiply_points(  # type: ignore[no-untyped-def]
    patches, weights, begin, points, offsets, all_sources, all_targets, m, multiply, height, width, slot, start, stop
):
    """M = U V at some points: patches (points, c, run), weights (points, tiles, c, tile rows), points (points, o, run)."""
    sources, targets = all_sources[slot], all_targets[slot]
    _, channels, run = patches.shape
    results = points.shape[1]
    count = _list_run(run // LANES - 1, width, sources, targets)
    flat, flat_points = patches.reshape(-1), points.reshape(-1)
    for point in range(start, stop):
        _multiply_point(
            flat, weights, begin, flat_points, point, channels, results, run, offsets, sources, targets, count, m, multiply,
            height, width,
        )  # fmt: skip


@shared
def correlate_points(  # type: ignore[no-untyped-def]
    tiles, patches, total, offsets, all_sources, all_targets, correlator, height, width, slot, start, stop
):
    """Add to total (points, o, c), at some points, the sums over tiles (points, o, run) times patches (points, c, run)."""
    sources, targets = all_sources[slot], all_targets[slot]
    _, results, run = tiles.shape
    channels = patches.shape[1]
    count = _list_run(run // LANES - 1, 1, sources, targets)
    flat, flat_total = tiles.reshape(-1), total.reshape(-1)
    for point in range(start, stop):
        here = patches[point].reshape(-1)
        for c in range(0, channels, width):
            for o in range(0, results, height):
                correlate_positions(
                    correlator, place(here, 0), place(offsets, c), channels - c, place(flat, (point * results + o) * run), run,
                    results - o, place(sources, 0), place(targets, 0), count, count, 0,
                    place(flat_total, (point * results + o) * channels + c), channels,
                )  # fmt: skip


@shared
def convolve_blocks(  # type: ignore[no-untyped-def]
    x, y, weights, begin, count, rows, padding, offsets, run, patches, points, rooms, sources, targets, m, multiply,
    height, width, slot, start, stop,
):  # fmt: skip
    """All channels of y on some of `count` blocks of images; the scratch memory has a row for each thread."""
    for block in range(start, stop):
        first, end = len(x) * block // count, len(x) * (block + 1) // count
        _convolve_block(
            x, y, weights, begin, first, end - first, rows, padding, offsets, run, patches[slot], points[slot], rooms[slot],
            sources[slot], targets[slot], m, multiply, height, width,
        )  # fmt: skip


@inner
def _convolve_block(  # type: ignore[no-untyped-def]
    x, y, weights, begin, first, images, rows, padding, offsets, run, patches, points, room, sources, targets, m, multiply,
    height, width,
):  # fmt: skip
    """All channels of y on some images: transform, multiply point by point, transform back."""
    channels, results = x.shape[1], y.shape[1]
    for c in range(channels):
        _transform_images(x, c, first, images, rows, padding, True, patches, c * run, channels * run, room, m)
    count = _list_run(-(-images * rows[0] * rows[1] // LANES), width, sources, targets)
    for point in range((m + 2) ** 2):
        _multiply_point(
            patches, weights, begin, points, point, channels, results, run, offsets, sources, targets, count, m, multiply,
            height, width,
        )  # fmt: skip
    for o in range(results):
        _transform_back(points, o * run, results * run, y, o, first, images, rows, room, m)
