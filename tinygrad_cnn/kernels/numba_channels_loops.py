"""The compiled loops of convolution with channels side by side: see `numba_channels`.

An image that is laid out is (rows, pitch, channels), with zeros around; a *panel* is as many output channels as a product
makes at once. All functions take the addresses of the microkernels that they call.
"""

from __future__ import annotations

from tinygrad_cnn.kernels.numba_compile import inner
from tinygrad_cnn.kernels.numba_crew import shared
from tinygrad_cnn.kernels.numba_lanes import LANES, turn_back, turn_rows, window_correlation, window_product
from tinygrad_cnn.kernels.numba_simd import place_of

POSITIONS_AT_ONCE = 128
"""Over how many positions the weight's gradient is summed before its sums are stored: they stay in the first cache."""


@inner
def _clear_pixels(target, place, pixel_step, count):  # type: ignore[no-untyped-def]
    """Put zeros into LANES channels of some pixels."""
    for k in range(count):
        for lane in range(LANES):
            target[place + k * pixel_step + lane] = 0


@shared
def lay_images(  # type: ignore[no-untyped-def]
    x, rows, pitch, padding, channels, image_step, result, in_turner, slot, start, stop
):
    """Lay some images out: result (n, rows, pitch, channels), images `image_step` apart."""
    height, width = x.shape[2:]
    flat = x.reshape(-1)
    top, left = padding
    line = pitch * channels
    kept = max(0, min(rows - top, height))
    for n in range(start, stop):
        for c in range(0, x.shape[1], LANES):
            place = n * image_step + c
            source = (n * x.shape[1] + c) * height * width
            first = place + top * line + left * channels
            some = min(LANES, x.shape[1] - c)
            turn_rows(flat, source, height * width, some, width, result, first, channels, line, kept, in_turner)
            _clear_pixels(result, place, channels, min(top, rows) * pitch + left)
            for r in range(top, top + kept):
                _clear_pixels(result, place + r * line + (left + width) * channels, channels, pitch - width)
            end = (top + kept) * pitch + left
            _clear_pixels(result, place + end * channels, channels, rows * pitch - end)


@inner
def _arrange_panel(  # type: ignore[no-untyped-def]
    weight, is_turned, first, results, panel, target, in_turner
):
    """The kernels of some results: target (channels, taps, panel). If turned, results are the second axis of weight."""
    taps = weight.shape[2] * weight.shape[3]
    channels = weight.shape[0] if is_turned else weight.shape[1]
    flat = weight.reshape(-1)
    for v in range(0, results, LANES):
        some = min(LANES, results - v)
        if is_turned:
            for c in range(channels):
                source = (c * weight.shape[1] + first + v) * taps
                turn_rows(flat, source, taps, some, taps, target, c * taps * panel + v, panel, 0, 1, in_turner)
        else:
            source = (first + v) * channels * taps
            turn_rows(flat, source, channels * taps, some, channels * taps, target, v, panel, 0, 1, in_turner)


@inner
def _store_image(points, panel, results, y, image, first, out_turner):  # type: ignore[no-untyped-def]
    """Copy an image's results (positions, panel) to y (n, channels, h, w), from channel `first` on."""
    size = y.shape[2] * y.shape[3]
    flat = y.reshape(-1)
    for v in range(0, results, LANES):
        some = min(LANES, results - v)
        turn_back(points, v, panel, flat, (image * y.shape[1] + first + v) * size, size, some, size, out_turner)


@shared
def convolve(  # type: ignore[no-untyped-def]
    laid, image_step, weight, is_turned, bias, y, of_y, images, phases, sources, targets, offsets, places, sizes, all_weights,
    all_points, calls, slot, start, stop,
):  # fmt: skip
    """Some panels of y on some blocks of images; part k is panel ``k % panels`` of block ``k // panels``.

    images : where blocks begin; phases : rows of (first position, end, first tap, end): see `numba_channels`
    """
    channels, panels, height, width = sizes
    in_turner, out_turner, multiplier = calls
    panel, taps = width * LANES, weight.shape[2] * weight.shape[3]
    weights, points = all_weights[slot], all_points[slot]
    for part in range(start, stop):
        block, k = part // panels, part % panels
        results = min(panel, of_y[1] - k * panel)
        _arrange_panel(weight, is_turned, k * panel, results, panel, weights, in_turner)
        for image in range(images[block], images[block + 1]):
            here = place_of(laid, image * image_step)
            for phase in range(len(phases)):
                first, end, tap, end_tap = phases[phase]
                for t in range(first, end, height):
                    window_product(
                        multiplier, here, place_of(sources, t), place_of(offsets, tap), place_of(weights, 0),
                        place_of(places, tap), end_tap - tap, channels, taps * panel,
                        place_of(bias, of_y[0] + k * panel), place_of(points, 0), place_of(targets, t), end - t,
                    )  # fmt: skip
            _store_image(points, panel, results, y, image, of_y[0] + k * panel, out_turner)


@shared
def correlate(  # type: ignore[no-untyped-def]
    laid, image_step, gradients, gradient_step, images, at_once, sources, places, offsets, sums, sizes, multiplier,
    slot, start, stop,
):  # fmt: skip
    """The sums (parts, panels, channels, taps, panel) of some panels over some blocks of images.

    sources, places : of all positions of `at_once` images
    """
    channels, panels, height, width = sizes
    panel, taps, each = width * LANES, len(offsets), len(sources) // at_once
    for part in range(start, stop):
        block, k = part // panels, part % panels
        total = sums[block, k]
        for n in range(total.size):
            total[n] = 0
        for image in range(images[block], images[block + 1], at_once):
            count = min(at_once, images[block + 1] - image) * each
            x, gy = place_of(laid, image * image_step), place_of(gradients, image * gradient_step + k * panel)
            for t in range(0, count, POSITIONS_AT_ONCE):
                some = min(POSITIONS_AT_ONCE, count - t)
                for tap in range(taps):
                    for c in range(0, channels, height):
                        window_correlation(
                            multiplier, x + 4 * (offsets[tap] + c), place_of(sources, t), some, gy, place_of(places, t),
                            place_of(total, (c * taps + tap) * panel), taps * panel, channels - c,
                        )  # fmt: skip


@shared
def spread_sums(sums, gweight, panel, out_turner, slot, start, stop):  # type: ignore[no-untyped-def]
    """Add up the parts' sums of some panels, and copy them to gweight (o, c, kh, kw)."""
    results, size = gweight.shape[0], gweight.shape[1] * gweight.shape[2] * gweight.shape[3]
    flat = gweight.reshape(-1)
    for k in range(start, stop):
        total = sums[0, k]
        for part in range(1, sums.shape[0]):
            other = sums[part, k]
            for n in range(total.size):
                total[n] += other[n]
        for v in range(0, min(panel, results - k * panel), LANES):
            o = k * panel + v
            turn_back(total, v, panel, flat, o * size, size, min(LANES, results - o), size, out_turner)
