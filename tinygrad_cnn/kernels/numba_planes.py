"""The compiled loops around `numba_simd`: laying out planes, arranging weights, and going through tiles.

What planes are is told in `conv_planes`. All arrays are flat or contiguous, and all results written in place.
"""

from __future__ import annotations

from tinygrad_cnn.kernels.numba_compile import compiled
from tinygrad_cnn.kernels.numba_crew import address_of, hand_out, task
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
    turn,
)

_MOST_LANES = VECTOR_BYTES // 4


@compiled
def lay_out(  # type: ignore[no-untyped-def]
    x, first_image, images, channels, first_row, plane_rows, width, row_step, rows_from, column_step, columns_from, planes
):
    """Fill planes (image, channel, phase of columns, phase of rows, plane_rows, width) from some images and channels of x."""
    all_channels, height, in_width = x.shape[1:]
    flat = x.reshape(-1)
    is_run = row_step == 1 and column_step == 1 and width == in_width
    place = 0
    for n in range(first_image, first_image + images):
        for c in range(channels[0], channels[1]):
            begin = (n * all_channels + c) * height * in_width
            for q in range(len(columns_from)):
                for f in range(len(rows_from)):
                    # 0 <= r * row_step + row_from < height, solved for r
                    row_from = rows_from[f]
                    top = min(plane_rows, max(0, -(row_from // row_step) - first_row))
                    end = max(top, min(plane_rows, (height - 1 - row_from) // row_step + 1 - first_row))
                    rows, target = end - top, place + top * width
                    _clear(planes, place, top * width)
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
                    place += plane_rows * width


@compiled
def _lay_shifted(flat, source, planes, target, rows, width, shift):  # type: ignore[no-untyped-def]
    """Copy rows as one run, so many columns to the left; then clear what came from another row."""
    first, end = max(0, -shift), min(width, width - shift)
    copy_run(flat, source + first + shift, planes, target + first, max(0, rows * width - abs(shift)))
    for r in range(rows):
        for j in range(min(first, width)):
            planes[target + r * width + j] = 0
        for j in range(max(0, end), width):
            planes[target + r * width + j] = 0


@compiled
def _lay_after(  # type: ignore[no-untyped-def]
    flat, source, row_step, in_width, planes, before, target, rows, width, column_from, shift
):
    """Copy the plane before, so many columns to the left, as one run; then replace what came from another row."""
    copy_run(planes, before + shift, planes, target, max(0, rows * width - shift))
    for j in range(width - shift, width):
        is_inside = 0 <= j + column_from < in_width
        for r in range(rows):
            planes[target + r * width + j] = flat[source + r * row_step + j + column_from] if is_inside else 0


@compiled
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


@compiled
def _clear(planes, place, count):  # type: ignore[no-untyped-def]
    cleared = planes[place : place + count]
    for k in range(count):
        cleared[k] = 0


@compiled
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


@compiled
def _arrange_weights(flat, steps, run, results, sources, arranged, slot, start, stop):  # type: ignore[no-untyped-def]
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
            place = c * run * rows
            # Whole vectors are read and written: what is too much is overwritten by the next run, if there is one.
            fits = kept == rows and begin + (rows - 1) * steps[1] + run + _MOST_LANES <= flat.size
            fits = fits and place + (run + _MOST_LANES) * rows <= target.size
            if fits and rows == 8:
                collect_eights(flat, begin, steps[1], target, place, run)
            elif fits and rows == 4:
                collect_fours(flat, begin, steps[1], target, place, run)
            else:
                for r in range(rows):
                    for k in range(run):
                        target[place + k * rows + r] = flat[begin + r * steps[1] + k] if r < kept else 0


@compiled
def _multiply_planes(  # type: ignore[no-untyped-def]
    x, y, weights, begin, offsets, table, plane_rows, steps, rows_from, columns_from, rooms, all_sources, all_targets, tile,
    slot, start, stop,
):  # fmt: skip
    """Compute all channels of y (n, g, results, oh, ow) on some blocks: see `conv_planes`.

    weights : as `_arrange_weights` makes them; begin : (g * tiles, tile rows), what the sums begin with
    table : the blocks; rooms, all_sources, all_targets : for each thread, room for the planes and lists of one block
    """
    planes, sources, targets = rooms[slot], all_sources[slot], all_targets[slot]
    _, groups, results, height, width = y.shape
    rows, vectors, lanes = len(tile[0]), len(tile[1]), len(tile[2])
    tiles = -(-results // rows)
    flat = y.reshape(-1)
    channels = x.shape[1]
    channel_size = len(columns_from) * len(rows_from) * plane_rows * width
    for first_image, images, first_row, block_rows in table[start:stop]:
        lay_out(
            x,
            first_image,
            images,
            (0, channels),
            first_row,
            plane_rows,
            width,
            steps[0],
            rows_from,
            steps[1],
            columns_from,
            planes,
        )
        step = height * width
        count = list_vectors(
            images, block_rows * width, lanes, channels * channel_size, groups * results * step, sources, targets
        )
        for more in range(vectors - 1):  # what a last tile has too many
            sources[count + more], targets[count + more] = sources[count - 1], targets[count - 1]
        for g in range(groups):
            for part in range(tiles):
                o = part * rows
                base = ((first_image * groups + g) * results + o) * step + first_row * width
                at = g * tiles + part
                for vector in range(0, count, vectors):
                    multiply_add(
                        planes, g * (channels // groups) * channel_size, offsets, weights[at], begin[at], flat, base, step,
                        results - o, sources, targets, vector, tile,
                    )  # fmt: skip


@compiled
def _correlate_planes(  # type: ignore[no-untyped-def]
    x, gy, gweight, parts, offsets, table, plane_rows, steps, rows_from, columns_from, rooms, all_turned, all_totals, tile,
    slot, start, stop,
):  # fmt: skip
    """Write to gweight (sums, g, results, channels of a group, taps) what some parts of the work make, in vectors of channels.

    parts : rows of (first group, end, first channel in each, end, first block, end, which sum)
    rooms, all_turned, all_totals : for each thread, room for the planes of a block, for the gradients (image, position,
        channels of a tile) of as many images, and for the sums (group, tiles, taps, channels of a tile) of a part
    """
    planes, turned, totals = rooms[slot], all_turned[slot], all_totals[slot]
    _, groups, results, height, width = gy.shape
    vectors, taps_at_once, lanes = len(tile[0]), len(tile[1]), len(tile[2])
    group_channels, taps = gweight.shape[3:]
    flat, flat_gy, step, depth = gweight.reshape(-1), gy.reshape(-1), height * width, vectors * lanes
    tiles = -(-results // depth)
    channel_size = len(columns_from) * len(rows_from) * plane_rows * width
    for first_group, end_group, first_channel, end_channel, first_block, end_block, which in parts[start:stop]:
        channels = (first_group * group_channels + first_channel, (end_group - 1) * group_channels + end_channel)
        size = (channels[1] - channels[0]) * channel_size
        wanted = (end_channel - first_channel) * taps
        _clear(totals, 0, (end_group - first_group) * tiles * wanted * depth)
        for first_image, images, first_row, block_rows in table[first_block:end_block]:
            lay_out(
                x,
                first_image,
                images,
                channels,
                first_row,
                plane_rows,
                width,
                steps[0],
                rows_from,
                steps[1],
                columns_from,
                planes,
            )
            positions = block_rows * width
            to = 0
            for g in range(first_group, end_group):
                base = (g - first_group) * group_channels * channel_size
                begin = (first_image * groups + g) * results * step + first_row * width
                for part in range(tiles):
                    _turn_gradients(
                        flat_gy, begin, step, groups * results * step, images, results, part * depth, positions, turned, tile
                    )
                    for k in range(0, wanted, taps_at_once):
                        correlate(
                            planes, base, offsets, k, wanted - k, turned, images, size, positions, totals, to + k * depth, tile
                        )
                    to += wanted * depth
        for g in range(first_group, end_group):
            begin = (g - first_group) * tiles * wanted * depth
            to = ((which * groups + g) * results * group_channels + first_channel) * taps
            _turn_totals(totals, begin, flat, to, group_channels * taps, results, wanted, tile)


@compiled
def _turn_gradients(  # type: ignore[no-untyped-def]
    gy, begin, step, image_step, images, results, first, positions, turned, tile
):
    """Put the gradients of a tile's channels, from the first on, side by side: turned (image, position, channel)."""
    vectors, lanes = len(tile[0]), len(tile[2])
    depth = vectors * lanes
    for n in range(images):
        for v in range(vectors):
            source = begin + n * image_step + _first_channel(first, v, lanes, results) * step
            _turn_runs(gy, source, step, turned, n * positions * depth + v * lanes, depth, positions, tile)


@compiled
def _turn_totals(totals, begin, gweight, to, to_step, results, wanted, tile):  # type: ignore[no-untyped-def]
    """Copy a group's sums (tile, tap, channel), from `begin` on, to gweight, where each channel's taps are side by side."""
    vectors, lanes = len(tile[0]), len(tile[2])
    depth = vectors * lanes
    for first in range(0, results, depth):
        for v in range(vectors):
            o = _first_channel(first, v, lanes, results)
            source, target = begin + first * wanted + v * lanes, to + o * to_step
            if wanted < lanes:
                for k in range(wanted):
                    for r in range(lanes):
                        gweight[target + r * to_step + k] = totals[source + k * depth + r]
            else:
                for k in range(0, wanted, lanes):
                    k = min(k, wanted - lanes)
                    turn(totals, source + k * depth, depth, gweight, target + k, to_step, lanes, tile)


@compiled
def _first_channel(first, vector, lanes, results):  # type: ignore[no-untyped-def]
    """Which output channel is in the first lane of a tile's vector; one that would reach beyond the last begins earlier."""
    return min(first + vector * lanes, results - lanes)


@compiled
def _turn_runs(source, source_at, source_step, target, target_at, target_step, count, tile):  # type: ignore[no-untyped-def]
    """Transpose as many runs as a vector has lanes: see `turn`, here for runs of any length."""
    lanes = len(tile[2])
    if count >= lanes:
        turn(source, source_at, source_step, target, target_at, target_step, count, tile)
        return
    for k in range(count):
        for n in range(lanes):
            target[target_at + k * target_step + n] = source[source_at + n * source_step + k]


@compiled
def _correlate_positions(  # type: ignore[no-untyped-def]
    x, gy, gweight, parts, offsets, table, plane_rows, steps, rows_from, columns_from, rooms, all_sources, all_targets, tile,
    slot, start, stop,
):  # fmt: skip
    """Add to gweight what some parts of the work contribute: see `_correlate_planes`, here with vectors of positions.

    parts : rows of (first group, end, first channel in each, end, first block, end, which sum)
    """
    planes, sources, targets = rooms[slot], all_sources[slot], all_targets[slot]
    _, groups, results, height, width = gy.shape
    rows, taps_at_once, lanes = len(tile[0]), len(tile[1]), len(tile[2])
    group_channels, taps = gweight.shape[3:]
    flat, flat_gy, step = gweight.reshape(-1), gy.reshape(-1), height * width
    channel_size = len(columns_from) * len(rows_from) * plane_rows * width
    for first_group, end_group, first_channel, end_channel, first_block, end_block, which in parts[start:stop]:
        channels = (first_group * group_channels + first_channel, (end_group - 1) * group_channels + end_channel)
        size = (channels[1] - channels[0]) * channel_size
        wanted = (end_channel - first_channel) * taps
        for first_image, images, first_row, block_rows in table[first_block:end_block]:
            lay_out(
                x,
                first_image,
                images,
                channels,
                first_row,
                plane_rows,
                width,
                steps[0],
                rows_from,
                steps[1],
                columns_from,
                planes,
            )
            count = list_vectors(images, block_rows * width, lanes, size, groups * results * step, sources, targets)
            whole, seen = _whole_first(images, count, (-block_rows * width) % lanes, sources, targets)
            for g in range(first_group, end_group):
                here = planes[(g - first_group) * group_channels * channel_size :]
                base = (first_image * groups + g) * results * step + first_row * width
                to = ((which * groups + g) * results * group_channels + first_channel) * taps
                for k in range(0, wanted, taps_at_once):
                    for o in range(0, results, rows):
                        correlate_positions(
                            here, offsets, k, wanted - k, flat_gy, base + o * step, step, results - o, sources, targets, whole,
                            count, seen, flat, to + o * group_channels * taps + k, group_channels * taps, tile,
                        )  # fmt: skip


@compiled
def _whole_first(images, count, seen, sources, targets):  # type: ignore[no-untyped-def]
    """Move each image's last vector to the end if its first lanes repeat others; count those that are whole."""
    if seen == 0:
        return count, seen
    each = count // images
    last_sources, last_targets = sources[each - 1 : count : each].copy(), targets[each - 1 : count : each].copy()
    whole = 0
    for k in range(count):
        if (k + 1) % each:
            sources[whole], targets[whole] = sources[k], targets[k]
            whole += 1
    sources[whole:count], targets[whole:count] = last_sources, last_targets
    return whole, seen


_arrange_weights_task = task(_arrange_weights)
_multiply_planes_task = task(_multiply_planes)
_correlate_planes_task = task(_correlate_planes)
_correlate_positions_task = task(_correlate_positions)


@compiled
def arrange_weights(work, *arguments):  # type: ignore[no-untyped-def]
    """Share the tiles among threads: see `_arrange_weights`."""
    hand_out(_arrange_weights_task(arguments), address_of(arguments), work)


@compiled
def multiply_planes(work, *arguments):  # type: ignore[no-untyped-def]
    """Share the blocks among threads: see `_multiply_planes`."""
    hand_out(_multiply_planes_task(arguments), address_of(arguments), work)


@compiled
def correlate_planes(work, *arguments):  # type: ignore[no-untyped-def]
    """Share the parts among threads: see `_correlate_planes`."""
    hand_out(_correlate_planes_task(arguments), address_of(arguments), work)


@compiled
def correlate_plane_positions(work, *arguments):  # type: ignore[no-untyped-def]
    """Share the parts among threads: see `_correlate_positions`."""
    hand_out(_correlate_positions_task(arguments), address_of(arguments), work)
