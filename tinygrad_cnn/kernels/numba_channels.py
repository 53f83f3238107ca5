"""Convolution tap by tap with channels side by side: for any stride and dilation, for small maps and many channels.

`numba_conv` reads vectors of positions, which have to be next to each other: a stride takes them apart, and small maps have
few. Here a vector holds output channels. The input is laid out once with its channels side by side and zeros around it; then
all that an output position reads is runs of channels,

    y[o, t] = bias[o] + sum over taps k, channels c of x[source[t] + offset[k] + c] * weight[k, c, o]

and a stride is a matter of where they begin. A product goes through the taps and channels of some positions, whose sums for a
*panel* of output channels stay in registers; each panel's kernels are arranged by the thread that needs them, in its
cache, and its results are turned back into images at the end.

The gradients are of the same form. Input position u = i + top is read by the taps with ``p * dilation % s == u % s``, and by no
others, for the outputs ``u // s - p * dilation // s``: positions with equal remainders are a *phase*, which has the same taps.
The weight's gradient sums over positions instead of taps:

    gweight[k, c, o] = sum over t of x[source[t] + offset[k] + c] * gy[t, o]

in a fixed number of sums, added up at the end: the number of threads changes no bit.

This is for single precision, and for what has enough channels to fill vectors.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.conv_planes import Indices
from tinygrad_cnn.kernels.geometry import ConvGeometry
from tinygrad_cnn.kernels.numba_channels_loops import POSITIONS_AT_ONCE, convolve, correlate, lay_images, spread_sums
from tinygrad_cnn.kernels.numba_crew import grain_of, rooms, share
from tinygrad_cnn.kernels.numba_lanes import LANES, window_correlation, window_product
from tinygrad_cnn.kernels.numba_panels import (
    DTYPE,
    channel_groups,
    filled_up,
    height_of_tile,
    turner_in,
    turner_out,
    whole,
    width_of_panel,
)
from tinygrad_cnn.kernels.numpy_conv import is_one_product
from tinygrad_cnn.kernels.scratch import borrow

_FEWEST_CHANNELS = 4
"""Of a group: with fewer, vectors are mostly empty."""

_PARTS = 8
"""Into how many parts the work is cut at least, for threads to share it."""

_LAID_BYTES = 16 << 20
"""How large the images that are laid out at once may be."""

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Windows:
    """Which positions read what, in images that are laid out.

    Attributes
    ----------
    size, padding : pair of int
        Rows and pitch of an image that is laid out, and where its first pixel is.
    channels : int
        How many numbers a pixel has.
    sources, targets : ndarray
        For each position, phase by phase, where its windows begin, and which position it is.
    offsets, taps : ndarray
        For each tap, phase by phase, how far from there it reads, and which tap it is.
    phases : ndarray
        For each phase its first position, end, first tap, end.
    """

    size: Pair
    padding: Pair
    channels: int
    sources: Indices
    targets: Indices
    offsets: Indices
    taps: Indices
    phases: Indices


class _Channels:
    """The algorithm."""

    def serves(self, geometry: ConvGeometry, dtype: np.dtype) -> bool:
        """Whether this can be done here: two spatial axes, single precision, enough channels."""
        fewest = min(geometry.in_channels, geometry.out_channels) // geometry.groups
        is_wanted = geometry.dims == 2 and geometry.batch > 0 and not is_one_product(geometry)
        return is_wanted and dtype == np.float32 and fewest >= _FEWEST_CHANNELS

    def work(self, geometry: ConvGeometry, *, is_backward: bool) -> tuple[int, int, int]:
        """How many multiplications it takes, how many numbers are laid out or turned back, and how many weights."""
        windows = (_backward if is_backward else _forward)(geometry)
        inputs, outputs = (channels // geometry.groups for channels in (geometry.in_channels, geometry.out_channels))
        sources, results = (outputs, whole(inputs)) if is_backward else (inputs, whole(outputs))
        pairs = sum(int((end - first) * (last - tap)) for first, end, tap, last in windows.phases)
        y_shape = geometry.x_shape if is_backward else geometry.y_shape
        moved = geometry.batch * math.prod(windows.size) * windows.channels + math.prod(y_shape)
        multiplied = geometry.batch * pairs * sources * results * geometry.groups
        return multiplied, moved, math.prod(geometry.weight_shape)

    def conv(self, x: Array, weight: Array, bias: Array | None, geometry: ConvGeometry) -> Array:
        """Cross-correlate `x` with `weight`, and add `bias`: see `numpy_conv.conv`. For what `serves` accepts."""
        y = np.empty(geometry.y_shape, x.dtype)
        self._convolve(np.ascontiguousarray(x), weight, False, filled_up(bias, y), y, geometry)
        return y

    def conv_input_grad(self, gy: Array, weight: Array, geometry: ConvGeometry) -> Array:
        """Spread the output's gradient back over the windows: see `numpy_conv.conv_input_grad`."""
        gx = np.empty(geometry.x_shape, gy.dtype)
        self._convolve(np.ascontiguousarray(gy), weight, True, filled_up(None, gx), gx, geometry)
        return gx

    def _convolve(self, x: Array, weight: Array, is_turned: bool, bias: Array, y: Array, geometry: ConvGeometry) -> None:
        """Fill y with the product of x and the kernels, or the turned kernels, group by group."""
        windows = (_backward if is_turned else _forward)(geometry)
        for some in _chunks(len(x), windows):
            laid, image_step = _laid_out(x[some], windows, "laid")
            for group in channel_groups(geometry, weight):
                inputs, outputs = (group.outputs, group.inputs) if is_turned else (group.inputs, group.outputs)
                width = width_of_panel(outputs[1])
                panel = width * LANES
                panels, taps = -(-outputs[1] // panel), math.prod(geometry.kernel_size)
                images = _blocks(len(y[some]), -(-_PARTS // panels))
                height = height_of_tile(len(windows.targets), width)
                weights = rooms("weights", (inputs[1] * taps + 2 * LANES) * panel, x.dtype)
                points = rooms("points", math.prod(y.shape[2:]) * panel, x.dtype)
                count = panels * (len(images) - 1)
                numbers = math.prod(y[some].shape[2:]) * len(y[some]) * taps * inputs[1] * outputs[1]
                calls = (turner_in(), turner_out(), window_product.address((height, width), DTYPE))
                share(
                    convolve, laid[inputs[0] :], image_step, group.weight, is_turned, bias, y[some], outputs, images,
                    windows.phases, windows.sources, windows.targets * panel, windows.offsets, windows.taps * panel,
                    (inputs[1], panels, height, width), weights, points, calls,
                    count=count, grain=grain_of(numbers // 4 // count), slots=len(points),
                )  # fmt: skip

    def conv_weight_grad(self, x: Array, gy: Array, geometry: ConvGeometry) -> Array:
        """Correlate the input with the output's gradient: see `numpy_conv.conv_weight_grad`."""
        gweight = np.zeros(geometry.weight_shape, x.dtype)
        x, gy = np.ascontiguousarray(x), np.ascontiguousarray(gy)
        windows, sent = _forward(geometry), _as_positions(geometry)
        for some in _chunks(len(x), windows, sent):
            laid, image_step = _laid_out(x[some], windows, "laid")
            gradients, gradient_step = _laid_out(gy[some].reshape(*gy[some].shape[:2], 1, -1), sent, "gradients")
            for group in channel_groups(geometry, gweight):
                group.weight[...] += self._correlated(
                    laid[group.inputs[0] :], image_step, gradients[group.outputs[0] :], gradient_step, len(x[some]), windows,
                    sent, group.weight.shape,
                )  # fmt: skip
        return gweight

    def _correlated(
        self, laid: Array, image_step: int, gradients: Array, gradient_step: int, batch: int, windows: _Windows,
        sent: _Windows, shape: tuple[int, ...],
    ) -> Array:  # fmt: skip
        results, channels = shape[:2]
        width = width_of_panel(results)
        panel = width * LANES
        panels, taps = -(-results // panel), len(windows.offsets)
        images = _blocks(batch, -(-_PARTS // panels))
        height = height_of_tile(channels, width)
        sums = borrow("sums", (len(images) - 1, panels, channels * taps * panel), laid.dtype)
        count = panels * (len(images) - 1)
        numbers = batch * len(windows.sources) * math.prod(shape)
        at_once = max(1, POSITIONS_AT_ONCE // len(windows.sources))
        each = np.arange(at_once)[:, None]
        sources = (each * image_step + windows.sources).reshape(-1)
        places = (each * gradient_step + np.arange(len(windows.sources)) * sent.channels).reshape(-1)
        share(
            correlate, laid, image_step, gradients, gradient_step, images, at_once, sources, places, windows.offsets, sums,
            (channels, panels, height, width), window_correlation.address((height, width), DTYPE),
            count=count, grain=grain_of(numbers // 4 // count),
        )  # fmt: skip
        gweight = np.empty(shape, laid.dtype)
        share(spread_sums, sums, gweight, panel, turner_out(), count=panels, grain=grain_of(sums[:, 0].size))
        return gweight


def _laid_out(x: Array, windows: _Windows, role: str) -> tuple[Array, int]:
    """Lay images out, and say how far apart they are."""
    rows, pitch = windows.size
    step = (rows * pitch + LANES) * windows.channels
    laid = borrow(role, (len(x) * step + 2 * LANES,), x.dtype)
    share(
        lay_images, x, rows, pitch, windows.padding, windows.channels, step, laid, turner_in(),
        count=len(x), grain=grain_of(2 * step),
    )  # fmt: skip
    return laid, step


def _chunks(batch: int, *windows: _Windows) -> Iterator[slice]:
    """Cut a batch into as few parts as memory allows, of about equal size."""
    each = 4 * sum(math.prod(images.size) * images.channels for images in windows)
    count = min(batch, -(-batch * each // _LAID_BYTES))
    for k in range(count):
        yield slice(batch * k // count, batch * (k + 1) // count)


def _blocks(batch: int, count: int) -> Indices:
    """Where blocks of images begin, and where the last ends."""
    count = max(1, min(batch, count))
    return np.array([batch * k // count for k in range(count + 1)])


# Who reads what -------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=512)
def _forward(geometry: ConvGeometry) -> _Windows:
    """The convolution itself, and its weight's gradient: one phase of all positions and taps."""
    (sh, sw), (dh, dw), (kh, kw), (oh, ow) = geometry.stride, geometry.dilation, geometry.kernel_size, geometry.out_size
    (top, _), (left, _) = geometry.padding
    rows = (oh - 1) * sh + (kh - 1) * dh + 1
    pitch = max((ow - 1) * sw + (kw - 1) * dw + 1, left + geometry.in_size[1])
    channels = whole(geometry.in_channels)
    positions, taps = list(product(range(oh), range(ow))), list(product(range(kh), range(kw)))
    return _Windows(
        (rows, pitch), (top, left), channels,
        np.array([(i * sh * pitch + j * sw) * channels for i, j in positions]), np.arange(oh * ow),
        np.array([(p * dh * pitch + q * dw) * channels for p, q in taps]), np.arange(kh * kw),
        np.array([[0, oh * ow, 0, kh * kw]]),
    )  # fmt: skip


@functools.lru_cache(maxsize=512)
def _backward(geometry: ConvGeometry) -> _Windows:
    """The input's gradient, a phase for each pair of remainders."""
    (sh, sw), (dh, dw), (kh, kw), (h, w) = geometry.stride, geometry.dilation, geometry.kernel_size, geometry.in_size
    (top, _), (left, _) = geometry.padding
    above, before = (kh - 1) * dh // sh, (kw - 1) * dw // sw  # how far back the furthest tap reads
    rows = above + (h - 1 + top) // sh + 1
    pitch = before + max((w - 1 + left) // sw + 1, geometry.out_size[1])
    channels = whole(geometry.out_channels)
    sources, targets, offsets, taps, phases = list[int](), list[int](), list[int](), list[int](), list[list[int]]()
    for a, b in product(range(sh), range(sw)):
        begin = [len(sources), len(taps)]
        for i, j in product(range((a - top) % sh, h, sh), range((b - left) % sw, w, sw)):
            sources.append(((above + (i + top) // sh) * pitch + before + (j + left) // sw) * channels)
            targets.append(i * w + j)
        for p, q in product(range(kh), range(kw)):
            if p * dh % sh == a and q * dw % sw == b:
                offsets.append(-(p * dh // sh * pitch + q * dw // sw) * channels)
                taps.append(p * kw + q)
        phases.append([begin[0], len(sources), begin[1], len(taps)])
    lists = (np.array(places, np.int64) for places in (sources, targets, offsets, taps, phases))
    return _Windows((rows, pitch), (above, before), channels, *lists)


@functools.lru_cache(maxsize=512)
def _as_positions(geometry: ConvGeometry) -> _Windows:
    """The output's gradient, position by position."""
    nothing = np.empty(0, np.int64)
    count = math.prod(geometry.out_size)
    return _Windows((1, count), (0, 0), whole(geometry.out_channels, 2), *(nothing,) * 5)


algorithm = _Channels()
