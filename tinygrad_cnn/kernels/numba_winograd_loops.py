"""The compiled loops of Winograd's convolution: to points and back, and the products at them.

What they compute, and why, is told in `numba_winograd`; the arithmetic is done by `numba_lanes`, in vectors of channels. A tile
is m x m outputs, and a patch n x n inputs; there are n * n points. The work is counted in *rows of tiles*: number u is row
``u % down`` of image ``u // down``. At points an array is (points, tiles, channels), a *panel* of it
as many channels as a product makes at once. Distances between points are no powers of two: n * n places that are would share
a few lines of the first cache.

All functions take the addresses of the microkernels that they call. Those that several kernels of `numba_winograd_parts` call
are themselves called through their addresses.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import Any

from numba import types

from tinygrad_cnn.kernels.numba_compile import apart, inner
from tinygrad_cnn.kernels.numba_lanes import LANES, product, transform, turn_back, turn_out, turn_rows
from tinygrad_cnn.kernels.numba_simd import place_of

CHANNELS_AT_ONCE = 16
"""Of how many input channels kernels are transformed at once."""

STRIP_NUMBERS = 6 << 10
"""How large the rows of pixels that are turned at once may be: what the first cache holds beside their points."""

_PAIR = types.UniTuple(types.intp, 2)


def _indices(count: int) -> tuple[Any, ...]:
    return (types.intp,) * count


@inner
def _clear(numbers, start, stop):  # type: ignore[no-untyped-def]
    for k in range(start, stop):
        numbers[k] = 0


@inner
def _lay_strip(  # type: ignore[no-untyped-def]
    flat, place, channels, size, first_row, rows, left, strip, pitch, in_turner
):
    """Fill strip (rows, pitch, LANES) with pixels of some channels, zeros where there are none."""
    height, width = size
    line = pitch * LANES
    top = min(rows, max(0, -first_row))
    end = max(top, min(rows, height - first_row))
    begin = top * line + left * LANES
    if end > top:
        source = place + (first_row + top) * width
        turn_rows(flat, source, height * width, channels, width, strip, begin, LANES, line, end - top, in_turner)
    _clear(strip, 0, begin)
    gap = (pitch - width) * LANES
    for r in range(top, end):
        place = r * line + (left + width) * LANES
        _clear(strip, place, place + gap)
    _clear(strip, end * line + left * LANES, rows * line)


@apart(
    lambda number: (
        types.Array(number, 4, "C", readonly=True), _PAIR, *_indices(2), _PAIR, types.intp, _PAIR, *_indices(3),
        number[::1], *_indices(4),
    )
)  # fmt: skip
def to_points(  # type: ignore[no-untyped-def]
    x, group, first, stop, tiles, halo, padding, target, tile_step, point_step, strip, m, n, in_turner, transformer
):
    """Transform the patches, or tiles of gradients, of a group's channels and some rows of tiles.

    x : (n, c, h, w); group : (first channel, how many); first, stop : which rows of tiles
    tiles : (down, along) how many an image has; halo : n - m for patches, 0 for tiles
    target : address of (points, tiles of these rows, channels), which are `point_step`, `tile_step` and 1 apart
    """
    first_channel, channels = group
    size = (x.shape[2], x.shape[3])
    down, along = tiles
    flat = x.reshape(-1)
    pitch = along * m + halo
    line = pitch * LANES
    at_once = max(1, (STRIP_NUMBERS // line - halo) // m)
    u, done = first, 0
    while u < stop:
        image, row = u // down, u % down
        here = min(min(down - row, stop - u), at_once)
        for c in range(0, channels, LANES):
            place = (image * x.shape[1] + first_channel + c) * size[0] * size[1]
            some = min(LANES, channels - c)
            _lay_strip(flat, place, some, size, row * m - padding[0], here * m + halo, padding[1], strip, pitch, in_turner)
            for k in range(here):
                transform(
                    transformer, place_of(strip, k * m * line), line, LANES, m * LANES,
                    target + 4 * ((done + k * along) * tile_step + c), n * point_step, point_step, tile_step, along, 0,
                )  # fmt: skip
        done += here * along
        u += here


@apart(
    lambda number: (
        *_indices(3), number[:, :, :, ::1], *_indices(2), types.Array(number, 1, "C", readonly=True), *_indices(2),
        _PAIR, number[::1], *_indices(4),
    )
)  # fmt: skip
def from_points(  # type: ignore[no-untyped-def]
    points, tile_step, point_step, y, first_result, results, bias, first, stop, tiles, strip, m, n, out_turner, transformer
):
    """Transform so many results back, of some rows of tiles: y (n, o, oh, ow) = A.T M A + bias.

    points : address of (points, tiles of these rows, results)
    """
    channels, height, width = y.shape[1], y.shape[2], y.shape[3]
    down, along = tiles
    flat = y.reshape(-1)
    line = along * m * LANES
    for u in range(first, stop):
        image, row = u // down, u % down
        kept = min(m, height - row * m)
        for o in range(0, results, LANES):
            some = min(LANES, results - o)
            source = points + 4 * ((u - first) * along * tile_step + o)
            added = place_of(bias, first_result + o)
            transform(
                transformer, source, n * point_step, point_step, tile_step, place_of(strip, 0), line, LANES, m * LANES, along,
                added,
            )  # fmt: skip
            place = ((image * channels + first_result + o) * height + row * m) * width
            if width >= LANES:
                turn_out(
                    out_turner, place_of(strip, 0), LANES, line, place_of(flat, place), height * width, some, width, width, kept
                )  # fmt: skip
            else:
                for k in range(some):
                    for r in range(kept):
                        for j in range(width):
                            flat[place + (k * height + r) * width + j] = strip[r * line + j * LANES + k]


@apart(
    lambda number: (
        types.Array(number, 4, "C", readonly=True), types.boolean, *_indices(5), number[::1], *_indices(3),
    )
)  # fmt: skip
def kernels_at_points(  # type: ignore[no-untyped-def]
    weight, is_turned, first, results, target, panel, point_step, strip, n, in_turner, transformer
):
    """U = G g G.T for the kernels of some results: address of (points, channels, panel), points `point_step` apart.

    weight : (o, c, kh, kw) or, if it is to be turned by 180 degrees, (c, o, kh, kw)
    """
    side, taps = weight.shape[3], weight.shape[2] * weight.shape[3]
    channels = weight.shape[0] if is_turned else weight.shape[1]
    all_results = weight.shape[1] if is_turned else weight.shape[0]
    flat = weight.reshape(-1)
    begin, way = ((taps - 1) * LANES, -1) if is_turned else (0, 1)
    for v in range(0, results, LANES):
        o = first + v
        some = min(LANES, results - v)
        for c in range(0, channels, CHANNELS_AT_ONCE):
            count = min(CHANNELS_AT_ONCE, channels - c)
            if is_turned:
                for k in range(count):
                    place = ((c + k) * all_results + o) * taps
                    turn_rows(flat, place, taps, some, taps, strip, k * taps * LANES, LANES, 0, 1, in_turner)
            else:
                place = (o * channels + c) * taps
                turn_rows(flat, place, channels * taps, some, count * taps, strip, 0, LANES, 0, 1, in_turner)
            transform(
                transformer, place_of(strip, begin), way * side * LANES, way * LANES, taps * LANES,
                target + 4 * (c * panel + v), n * point_step, point_step, panel, count, 0,
            )  # fmt: skip


@apart(
    lambda number: (
        *_indices(3), number[:, :, :, ::1], *_indices(2), number[::1], *_indices(3),
    )
)  # fmt: skip
def points_to_kernels(  # type: ignore[no-untyped-def]
    sums, row_step, point_step, gweight, first, results, strip, n, out_turner, transformer
):
    """The gradient of some results' kernels, G.T sums G: from the address of (points, channels, results) to (o, c, kh, kw)."""
    channels, side, taps = gweight.shape[1], gweight.shape[3], gweight.shape[2] * gweight.shape[3]
    flat = gweight.reshape(-1)
    for v in range(0, results, LANES):
        o = first + v
        some = min(LANES, results - v)
        for c in range(0, channels, CHANNELS_AT_ONCE):
            count = min(CHANNELS_AT_ONCE, channels - c)
            transform(
                transformer, sums + 4 * (c * row_step + v), n * point_step, point_step, row_step, place_of(strip, 0),
                side * LANES, LANES, taps * LANES, count, 0,
            )  # fmt: skip
            place = (o * channels + c) * taps
            turn_back(strip, 0, LANES, flat, place, channels * taps, some, count * taps, out_turner)


@inner
def multiply_points(  # type: ignore[no-untyped-def]
    patches, tile_step, patch_step, weights, panel_step, weight_step, points, result_step, point_step, sizes, multiplier
):
    """M = V U at each point: patches (points, tiles, channels), weights (panels, points, channels, panel), addresses all.

    sizes : (points, tiles, channels, panels, height and width of the multiplier's tile)
    """
    count, tiles, channels, panels, height, width = sizes
    panel = width * LANES
    for point in range(count):
        for k in range(panels):
            for t in range(0, tiles, height):
                product(
                    multiplier, patches + 4 * (point * patch_step + t * tile_step), tile_step, 1,
                    weights + 4 * (k * panel_step + point * weight_step), panel,
                    points + 4 * (point * point_step + t * result_step + k * panel), result_step, channels, tiles - t, 0,
                )  # fmt: skip


@inner
def correlate_points(  # type: ignore[no-untyped-def]
    patches, tile_step, patch_step, gradients, gradient_tile_step, gradient_step, sums, row_step, sum_step, sizes, adds,
    multiplier,
):  # fmt: skip
    """sums = V.T G at each point, or added to what they were: (points, channels, results).

    sizes : as above; panels are those of the results
    """
    count, tiles, channels, panels, height, width = sizes
    panel = width * LANES
    for point in range(count):
        for k in range(panels):
            for c in range(0, channels, height):
                product(
                    multiplier, patches + 4 * (point * patch_step + c), 1, tile_step,
                    gradients + 4 * (point * gradient_step + k * panel), gradient_tile_step,
                    sums + 4 * (point * sum_step + c * row_step + k * panel), row_step, tiles, channels - c, adds,
                )  # fmt: skip
