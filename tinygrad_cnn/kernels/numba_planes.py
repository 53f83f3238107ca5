"""The compiled loops around `numba_simd`: laying out planes, arranging weights, and going through tiles.

What planes are is told in `conv_planes`. All arrays are flat or contiguous, and all results written in place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from tinygrad_cnn.kernels.numba_compile import apart, inner
from tinygrad_cnn.kernels.numba_crew import shared
from tinygrad_cnn.kernels.numba_simd import (
    VECTOR_BYTES,
    collect_eights,
    collect_fours,
    copy_every_fourth,
    copy_every_second,
    copy_run,
    correlate,
    correlate_positions,
    multiply_add,
    place_of,
    turn,
)

_MOST_LANES = VECTOR_BYTES // 4


def _of_lay_out(number: Any) -> tuple[Any, ...]:
    x, planes = types.Array(number, 4, "C", readonly=True), types.Array(number, 1, "C")
    origins = types.Array(types.int64, 1, "C", readonly=True)
    return (x, *(types.intp,) * 8, origins, types.intp, origins, planes)


@apart(_of_lay_out)
def lay_out(  # type: ignore[no-untyped-def]
    x, first_image, images, first_channel, end_channel, first_row, plane_rows, width, row_step, rows_from, column_step,
    columns_from, planes,
):  # fmt: skip
    """Fill planes (image, channel, phase of columns, phase of rows, plane_rows, width) from some images and channels of x."""
    all_channels, height, in_width = x.shape[1:]
    flat = x.reshape(-1)
    is_run = row_step == 1 and column_step == 1 and width == in_width
    at = 0
    for n in range(first_image, first_image + images):
        for c in range(first_channel, end_channel):
            begin = (n * all_channels + c) * height * in_width
            for q in range(len(columns_from)):
                for f in range(len(rows_from)):
                    # 0 <= r * row_step + row_from < height, solved for r
                    row_from = rows_from[f]
                    top = min(plane_rows, max(0, -(row_from // row_step) - first_row))
                    end = max(top, min(plane_rows, (height - 1 - row_from) // row_step + 1 - first_row))
                    rows, target = end - top, at + top * width
                    _clear(planes, at, top * width)
                    _clear(planes, target + rows * width, (plane_rows - end) * width)
                    source = begin + ((first_row + top) * row_step + row_from) * in_width
                    column_from = columns_from[q]
                    shift = column_from - columns_from[q - 1] if q else width
                    if is_run:
                        _lay_shifted(flat, source, planes, target, rows, width, column_from)
                    elif column_step == 1 and 0 < shift < width:
                        before = target - len(rows_from) * plane_rows * width
                        _lay_after(
                            flat, source, row_step * in_width, in_width, planes, before, target, rows, width, column_from, shift
                        )
                    else:
                        _lay_rows(
                            flat, source, row_step * in_width, in_width, planes, target, rows, width, column_from, column_step
                        )
                    at += plane_rows * width


@inner
def _lay_shifted(flat, source, planes, target, rows, width, shift):  # type: ignore[no-untyped-def]
    """Copy rows as one run, so many columns to the left; then clear what came from another row."""
    first, end = max(0, -shift), min(width, width - shift)
    copy_run(flat, source + first + shift, planes, target + first, max(0, rows * width - abs(shift)))
    for r in range(rows):
        for j in range(min(first, width)):
            planes[target + r * width + j] = 0
        for j in range(max(0, end), width):
            planes[target + r * width + j] = 0


@inner
def _lay_after(  # type: ignore[no-untyped-def]
    flat, source, row_step, in_width, planes, before, target, rows, width, column_from, shift
):
    """Copy the plane before, so many columns to the left, as one run; then replace what came from another row."""
    copy_run(planes, before + shift, planes, target, max(0, rows * width - shift))
    for j in range(width - shift, width):
        is_inside = 0 <= j + column_from < in_width
        for r in range(rows):
            planes[target + r * width + j] = flat[source + r * row_step + j + column_from] if is_inside else 0


@inner
def _lay_rows(  # type: ignore[no-untyped-def]
    flat, source, row_step, in_width, planes, target, rows, width, column_from, column_step
):
    """Copy row by row what lies inside, and clear what does not."""
    # 0 <= j * column_step + column_from < in_width, solved for j
    first = min(width, max(0, -(column_from // column_step)))
    end = max(first, min(width, (in_width - 1 - column_from) // column_step + 1))
    for r in range(rows):
        row, place = source + r * row_step + column_from, target + r * width
        for j in range(first):
            planes[place + j] = 0
        if column_step == 1:
            copy_run(flat, row + first, planes, place + first, end - first)
        elif column_step == 2:
            copy_every_second(flat, row + 2 * first, planes, place + first, end - first)
        elif column_step == 4:
            copy_every_fourth(flat, row + 4 * first, planes, place + first, end - first)
        else:
            values, to = flat[max(0, row + first * column_step) :], planes[place + first : place + end]
            for j in range(end - first):
                to[j] = values[j * column_step]
        for j in range(end, width):
            planes[place + j] = 0


@inner
def _clear(planes, place, count):  # type: ignore[no-untyped-def]
    cleared = planes[place : place + count]
    for k in range(count):
        cleared[k] = 0


@inner
def list_vectors(images, positions, lanes, image_step, y_image_step, sources, targets):  # type: ignore[no-untyped-def]
    """List where vectors of so many lanes begin, in the planes and in the result, such that each position is in one.

    A last vector that would hang over an image's end begins earlier instead, where the one before it has been already.
    """
    count = 0
    for n in range(images):
        for t in range(0, positions, lanes):
            begin = min(t, positions - lanes)
            sources[count] = n * image_step + begin
            targets[count] = n * y_image_step + begin
            count += 1
    return count


@shared
def arrange_weights(flat, steps, run, results, sources, arranged, slot, start, stop):  # type: ignore[no-untyped-def]
    """Put the weights of a tile's rows side by side: (g * tiles, sources * run, tile rows), 0 beyond the last row.

    flat : all weights; those of group g, row o and source c are the run at g * steps[0] + o * steps[1] + c * steps[2]
    arranged : flat, with room for some vectors beyond its end
    """
    rows = arranged.shape[2]
    tiles = -(-results // rows)
    for part in range(start, stop):
        g, tile = divmod(part, tiles)
        target = arranged[part].reshape(-1)
        kept = min(rows, results - tile * rows)
        for c in range(sources):
            begin = g * steps[0] + tile * rows * steps[1] + c * steps[2]
            to = c * run * rows
            # Whole vectors are read and written: what is too much is overwritten by the next run, if there is one.
            fits = kept == rows and begin + (rows - 1) * steps[1] + run + _MOST_LANES <= flat.size
            fits = fits and to + (run + _MOST_LANES) * rows <= target.size
            if fits and rows == 8:
                collect_eights(flat, begin, steps[1], target, to, run)
            elif fits and rows == 4:
                collect_fours(flat, begin, steps[1], target, to, run)
            else:
                for r in range(rows):
                    for k in range(run):
                        target[to + k * rows + r] = flat[begin + r * steps[1] + k] if r < kept else 0


@shared
def multiply_planes(  # type: ignore[no-untyped-def]
    x, y, weights, begin, offsets, table, plane_rows, steps, rows_from, columns_from, rooms, all_sources, all_targets, lay,
    multiply, rows, vectors, lanes, slot, start, stop,
):  # fmt: skip
    """Compute all channels of y (n, g, results, oh, ow) on some blocks: see `conv_planes`.

    weights : as `arrange_weights` makes them; begin : (g * tiles, tile rows), what the sums begin with
    table : the blocks; rooms, all_sources, all_targets : for each thread, room for the planes and lists of one block
    lay, multiply : addresses of `lay_out` and of `multiply_add` for tiles of rows x vectors of so many lanes
    """
    planes, sources, targets = rooms[slot], all_sources[slot], all_targets[slot]
    _, groups, results, height, width = y.shape
    tiles = -(-results // rows)
    flat = y.reshape(-1)
    channels = x.shape[1]
    channel_size = len(columns_from) * len(rows_from) * plane_rows * width
    for first_image, images, first_row, block_rows in table[start:stop]:
        lay_out(
            lay, x, first_image, images, 0, channels, first_row, plane_rows, width, steps[0], rows_from, steps[1], columns_from,
            planes,
        )  # fmt: skip
        step = height * width
        count = list_vectors(
            images, block_rows * width, lanes, channels * channel_size, groups * results * step, sources, targets
        )
        for more in range(vectors - 1):  # what a last tile has too many
            sources[count + more], targets[count + more] = sources[count - 1], targets[count - 1]
        for g in range(groups):
            group_planes = place_of(planes, g * (channels // groups) * channel_size)
            for part in range(tiles):
                o = part * rows
                base = ((first_image * groups + g) * results + o) * step + first_row * width
                at = g * tiles + part
                for vector in range(0, count, vectors):
                    multiply_add(
                        multiply, group_planes, place_of(offsets, 0), len(offsets), place_of(weights, at * len(offsets) * rows),
                        place_of(begin, at * rows), place_of(flat, base), step, results - o, place_of(sources, vector),
                        place_of(targets, vector),
                    )  # fmt: skip


@shared
def correlate_planes(  # type: ignore[no-untyped-def]
    x, gy, gweight, parts, offsets, table, plane_rows, steps, rows_from, columns_from, rooms, all_turned, all_totals, lay,
    correlator, turner, vectors, taps_at_once, lanes, slot, start, stop,
):  # fmt: skip
    """Write to gweight (sums, g, results, channels of a group, taps) what some parts of the work make, in vectors of channels.

    parts : rows of (first group, end, first channel in each, end, first block, end, which sum)
    rooms, all_turned, all_totals : for each thread, room for the planes of a block, for the gradients (image, position,
        channels of a tile) of as many images, and for the sums (group, tiles, taps, channels of a tile) of a part
    lay, correlator, turner : addresses of `lay_out`, and of `correlate` and `turn` for tiles of so many vectors and taps
    """
    planes, turned, totals = rooms[slot], all_turned[slot], all_totals[slot]
    _, groups, results, height, width = gy.shape
    group_channels, taps = gweight.shape[3:]
    flat, flat_gy, step, depth = gweight.reshape(-1), gy.reshape(-1), height * width, vectors * lanes
    tiles = -(-results // depth)
    channel_size = len(columns_from) * len(rows_from) * plane_rows * width
    for first_group, end_group, first_channel, end_channel, first_block, end_block, which in parts[start:stop]:
        channels = first_group * group_channels + first_channel
        end_channels = (end_group - 1) * group_channels + end_channel
        size = (end_channels - channels) * channel_size
        wanted = (end_channel - first_channel) * taps
        _clear(totals, 0, (end_group - first_group) * tiles * wanted * depth)
        for first_image, images, first_row, block_rows in table[first_block:end_block]:
            lay_out(
                lay, x, first_image, images, channels, end_channels, first_row, plane_rows, width, steps[0], rows_from,
                steps[1], columns_from, planes,
            )  # fmt: skip
            positions = block_rows * width
            to = 0
            for g in range(first_group, end_group):
                group_planes = place_of(planes, (g - first_group) * group_channels * channel_size)
                begin = (first_image * groups + g) * results * step + first_row * width
                for part in range(tiles):
                    for n in range(images):
                        for v in range(vectors):
                            o = min(part * depth + v * lanes, results - lanes)  # lanes beyond the last channel: earlier ones
                            _turn_runs(
                                turner, flat_gy, begin + (n * groups * results + o) * step, step, turned,
                                n * positions * depth + v * lanes, depth, positions, lanes,
                            )  # fmt: skip
                    for k in range(0, wanted, taps_at_once):
                        correlate(
                            correlator, group_planes, place_of(offsets, k), wanted - k, place_of(turned, 0), images, size,
                            positions, place_of(totals, to + k * depth),
                        )  # fmt: skip
                    to += wanted * depth
        for g in range(first_group, end_group):
            begin = (g - first_group) * tiles * wanted * depth
            to, channel_step = ((which * groups + g) * results * group_channels + first_channel) * taps, group_channels * taps
            for first in range(0, results, depth):
                for v in range(vectors):
                    source = begin + first * wanted + v * lanes
                    target = to + min(first + v * lanes, results - lanes) * channel_step
                    for k in range(0, wanted, lanes):
                        k = max(0, min(k, wanted - lanes))
                        _turn_sums(
                            turner, totals, source + k * depth, depth, flat, target + k, channel_step, min(wanted, lanes), lanes
                        )


@inner
def _turn_runs(  # type: ignore[no-untyped-def]
    turner, source, source_at, source_step, target, target_at, target_step, count, lanes
):
    """Transpose as many runs as a vector has lanes: see `turn`, here for runs of any length."""
    if count >= lanes:
        turn(turner, place_of(source, source_at), source_step, place_of(target, target_at), target_step, count)
        return
    for k in range(count):
        for n in range(lanes):
            target[target_at + k * target_step + n] = source[source_at + n * source_step + k]


@inner
def _turn_sums(  # type: ignore[no-untyped-def]
    turner, totals, source, source_step, gweight, target, target_step, count, lanes
):
    """Copy the sums of up to as many taps as a vector has lanes, channels side by side, to where taps are side by side."""
    if count == lanes:
        turn(turner, place_of(totals, source), source_step, place_of(gweight, target), target_step, lanes)
        return
    for k in range(count):
        for n in range(lanes):
            gweight[target + n * target_step + k] = totals[source + k * source_step + n]


@shared
def correlate_plane_positions(  # type: ignore[no-untyped-def]
    x, gy, gweight, parts, offsets, table, plane_rows, steps, rows_from, columns_from, rooms, all_sources, all_targets, lay,
    correlator, rows, taps_at_once, lanes, slot, start, stop,
):  # fmt: skip
    """Add to gweight what some parts of the work contribute: see `correlate_planes`, here with vectors of positions.

    parts : rows of (first group, end, first channel in each, end, first block, end, which sum)
    """
    planes, sources, targets = rooms[slot], all_sources[slot], all_targets[slot]
    _, groups, results, height, width = gy.shape
    group_channels, taps = gweight.shape[3:]
    flat, flat_gy, step = gweight.reshape(-1), gy.reshape(-1), height * width
    channel_size = len(columns_from) * len(rows_from) * plane_rows * width
    for first_group, end_group, first_channel, end_channel, first_block, end_block, which in parts[start:stop]:
        channels = first_group * group_channels + first_channel
        end_channels = (end_group - 1) * group_channels + end_channel
        size = (end_channels - channels) * channel_size
        wanted = (end_channel - first_channel) * taps
        for first_image, images, first_row, block_rows in table[first_block:end_block]:
            lay_out(
                lay, x, first_image, images, channels, end_channels, first_row, plane_rows, width, steps[0], rows_from,
                steps[1], columns_from, planes,
            )  # fmt: skip
            count = list_vectors(images, block_rows * width, lanes, size, groups * results * step, sources, targets)
            whole, seen = _whole_first(images, count, (-block_rows * width) % lanes, sources, targets)
            for g in range(first_group, end_group):
                group_planes = place_of(planes, (g - first_group) * group_channels * channel_size)
                base = (first_image * groups + g) * results * step + first_row * width
                to = ((which * groups + g) * results * group_channels + first_channel) * taps
                for k in range(0, wanted, taps_at_once):
                    for o in range(0, results, rows):
                        correlate_positions(
                            correlator, group_planes, place_of(offsets, k), wanted - k, place_of(flat_gy, base + o * step),
                            step, results - o, place_of(sources, 0), place_of(targets, 0), whole, count, seen,
                            place_of(flat, to + o * group_channels * taps + k), group_channels * taps,
                        )  # fmt: skip


@inner
def _whole_first(images, count, seen, sources, targets):  # type: ignore[no-untyped-def]
    """Move each image's last vector to the end if its first lanes repeat others; count those that are whole."""
    if seen == 0:
        return count, seen
    each = count // images
    last_sources, last_targets = np.empty(images, np.int64), np.empty(images, np.int64)
    whole = 0
    for k in range(count):
        if (k + 1) % each == 0:
            last_sources[k // each], last_targets[k // each] = sources[k], targets[k]
        else:
            sources[whole], targets[whole] = sources[k], targets[k]
            whole += 1
    for n in range(images):
        sources[whole + n], targets[whole + n] = last_sources[n], last_targets[n]
    return whole, seen
