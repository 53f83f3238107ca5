"""The parts of Winograd's convolution that threads take: some rows of tiles, or some channels of the result.

By tiles: a part transforms its patches, multiplies them at all points with all kernels, and transforms the results back; all
that it makes stays in a core's cache, and the kernels at points are read anew by each part. By results: the patches of all
tiles are there already; a part transforms the kernels of its own results, which nobody else needs, and goes through all tiles.
`numba_winograd` chooses. `layout` holds the distances of its arrays at points, see `numba_winograd.Layout`.
"""

from __future__ import annotations

from tinygrad_cnn.kernels.numba_crew import shared
from tinygrad_cnn.kernels.numba_lanes import LANES
from tinygrad_cnn.kernels.numba_simd import place_of
from tinygrad_cnn.kernels.numba_winograd_loops import (
    correlate_points,
    from_points,
    kernels_at_points,
    multiply_points,
    points_to_kernels,
    to_points,
)


@shared
def transform_kernels(  # type: ignore[no-untyped-def]
    weight, is_turned, results, weights, panel, panel_step, weight_step, strips, n, kernels_at, in_turner, to_kernels,
    slot, start, stop,
):  # fmt: skip
    """U for some panels of results: weights (panels, points, channels, panel)."""
    for k in range(start, stop):
        kernels_at_points(
            kernels_at, weight, is_turned, k * panel, min(panel, results - k * panel), place_of(weights, k * panel_step), panel,
            weight_step, strips[slot], n, in_turner, to_kernels,
        )  # fmt: skip


@shared
def transform_patches(  # type: ignore[no-untyped-def]
    x, group, edges, tiles, halo, padding, patches, tile_step, point_step, strips, m, n, to_points_at, in_turner, transformer,
    slot, start, stop,
):  # fmt: skip
    """V, or the gradients' tiles at points, for some blocks of rows of tiles, the first of which is at the beginning."""
    for block in range(start, stop):
        target = place_of(patches, (edges[block] - edges[0]) * tiles[1] * tile_step)
        to_points(
            to_points_at, x, group, edges[block], edges[block + 1], tiles, halo, padding, target, tile_step, point_step,
            strips[slot], m, n, in_turner, transformer,
        )  # fmt: skip


@shared
def convolve_by_tiles(  # type: ignore[no-untyped-def]
    x, group, y, of_y, bias, weights, edges, tiles, padding, layout, sizes, patches, points, strips, m, n, calls,
    slot, start, stop,
):  # fmt: skip
    """All of a group's channels of y on some blocks of rows of tiles."""
    to_points_at, from_points_at, in_turner, out_turner, to_patches, to_outputs, multiplier = calls
    tile_step, patch_step, panel_step, weight_step, result_step, point_step = layout
    channels, panels, height, width = sizes
    here, there = place_of(patches[slot], 0), place_of(points[slot], 0)
    for block in range(start, stop):
        first, end = edges[block], edges[block + 1]
        to_points(
            to_points_at, x, group, first, end, tiles, n - m, padding, here, tile_step, patch_step, strips[slot], m, n,
            in_turner, to_patches,
        )  # fmt: skip
        of_product = (n * n, (end - first) * tiles[1], channels, panels, height, width)
        multiply_points(
            here, tile_step, patch_step, place_of(weights, 0), panel_step, weight_step, there, result_step, point_step,
            of_product, multiplier,
        )  # fmt: skip
        from_points(
            from_points_at, there, result_step, point_step, y, *of_y, bias, first, end, tiles, strips[slot], m, n,
            out_turner, to_outputs,
        )  # fmt: skip


@shared
def convolve_by_results(  # type: ignore[no-untyped-def]
    weight, is_turned, patches, y, of_y, bias, edges, tiles, layout, sizes, weights, points, strips, m, n, calls,
    slot, start, stop,
):  # fmt: skip
    """Some panels of a group's channels on all blocks of rows of tiles."""
    kernels_at, from_points_at, in_turner, out_turner, to_kernels, to_outputs, multiplier = calls
    tile_step, patch_step, panel_step, weight_step, result_step, point_step = layout
    channels, height, width = sizes
    panel = width * LANES
    kernels, there = place_of(weights[slot], 0), place_of(points[slot], 0)
    for k in range(start, stop):
        results = min(panel, of_y[1] - k * panel)
        kernels_at_points(
            kernels_at, weight, is_turned, k * panel, results, kernels, panel, weight_step, strips[slot], n,
            in_turner, to_kernels,
        )  # fmt: skip
        for block in range(len(edges) - 1):
            first, end = edges[block], edges[block + 1]
            here = place_of(patches, (first - edges[0]) * tiles[1] * tile_step)
            of_product = (n * n, (end - first) * tiles[1], channels, 1, height, width)
            multiply_points(
                here, tile_step, patch_step, kernels, panel_step, weight_step, there, result_step, point_step, of_product,
                multiplier,
            )  # fmt: skip
            from_points(
                from_points_at, there, result_step, point_step, y, of_y[0] + k * panel, results, bias, first, end, tiles,
                strips[slot], m, n, out_turner, to_outputs,
            )  # fmt: skip


@shared
def correlate_by_tiles(  # type: ignore[no-untyped-def]
    x, group, gy, of_gy, sums, edges, parts, tiles, padding, layout, sizes, patches, gradients, strips, m, n, calls,
    slot, start, stop,
):  # fmt: skip
    """The sums (points, channels, results) of some parts, each over its blocks of rows of tiles."""
    to_points_at, in_turner, to_patches, to_gradients, multiplier = calls
    tile_step, patch_step, gradient_tile_step, gradient_step, row_step, sum_step = layout
    channels, panels, height, width = sizes
    here, there = place_of(patches[slot], 0), place_of(gradients[slot], 0)
    for part in range(start, stop):
        for block in range(parts[part], parts[part + 1]):
            first, end = edges[block], edges[block + 1]
            to_points(
                to_points_at, x, group, first, end, tiles, n - m, padding, here, tile_step, patch_step, strips[slot], m, n,
                in_turner, to_patches,
            )  # fmt: skip
            to_points(
                to_points_at, gy, of_gy, first, end, tiles, 0, (0, 0), there, gradient_tile_step, gradient_step,
                strips[slot], m, n, in_turner, to_gradients,
            )  # fmt: skip
            of_product = (n * n, (end - first) * tiles[1], channels, panels, height, width)
            correlate_points(
                here, tile_step, patch_step, there, gradient_tile_step, gradient_step, place_of(sums[part], 0), row_step,
                sum_step, of_product, 1 if block > parts[part] else 0, multiplier,
            )  # fmt: skip


@shared
def add_up(sums, slot, start, stop):  # type: ignore[no-untyped-def]
    """Add all parts' sums to the first part's."""
    for part in range(1, len(sums)):
        for k in range(start, stop):
            sums[0, k] += sums[part, k]


@shared
def transform_sums(  # type: ignore[no-untyped-def]
    sums, gweight, panel, row_step, sum_step, strips, n, to_kernels_at, out_turner, to_kernel, slot, start, stop
):
    """The gradient of the kernels of some panels of results."""
    results = gweight.shape[0]
    for k in range(start, stop):
        points_to_kernels(
            to_kernels_at, place_of(sums, k * panel), row_step, sum_step, gweight, k * panel, min(panel, results - k * panel),
            strips[slot], n, out_turner, to_kernel,
        )  # fmt: skip


@shared
def correlate_by_results(  # type: ignore[no-untyped-def]
    patches, gradients, gweight, count, layout, sizes, rooms, strips, n, calls, slot, start, stop
):
    """The gradient of the kernels of some panels of results, over all tiles."""
    to_kernels_at, out_turner, to_kernel, multiplier = calls
    tile_step, patch_step, gradient_tile_step, gradient_step, row_step, sum_step = layout
    channels, height, width = sizes
    panel, results = width * LANES, gweight.shape[0]
    for k in range(start, stop):
        sums = place_of(rooms[slot], 0)
        correlate_points(
            place_of(patches, 0), tile_step, patch_step, place_of(gradients, k * panel), gradient_tile_step, gradient_step,
            sums, row_step, sum_step, (n * n, count, channels, 1, height, width), 0, multiplier,
        )  # fmt: skip
        points_to_kernels(
            to_kernels_at, sums, row_step, sum_step, gweight, k * panel, min(panel, results - k * panel), strips[slot], n,
            out_turner, to_kernel,
        )  # fmt: skip
