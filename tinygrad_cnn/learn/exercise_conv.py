"""The exercises conv2d and conv_transpose2d, with the mistakes that people make in them.

Both have a wide plane, which is padded and on which the windows lie, and a narrow one with a cell for each window. For the
convolution the input is wide, for the transposed one the output; the sums are the same.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ..autograd.function import Array
from .exercise import BATCH_SWITCHES, SPACE_SWITCHES, SUM_WHYS, Arrays, Case, Drawer, Exercise, Wrong, over_batch, over_space

Pair = tuple[int, int]
Steps = dict[str, Pair]
Part = tuple[slice, slice, Pair, tuple[slice, slice]]

WINDOW_SWITCHES = (
    "stride ignored",
    "dilation ignored",
    "height used for width | all settings",
    "height used for width | stride",
    "height used for width | padding",
    "height used for width | dilation",
    "height used for width | kernel",
    "padding ignored",
    "groups mixed | all read the first",
    "groups mixed | interleaved inputs",
    "groups mixed | interleaved outputs",
)
WHYS = {
    "stride ignored": "Window i starts at i * stride: with a stride, the windows are that far apart backward too.",
    "dilation ignored": "Tap t of a window lies t * dilation after its first cell, backward as forward.",
    "height used for width": "Along the width the numbers are others than along the height: kernel, stride, padding, size.",
    "padding ignored": "The windows start in the padding, `padding` cells before the plane, so all indices are shifted.",
    "groups mixed": (
        "Output channel o belongs to group o // (outputs / groups) and meets that group's channels only, side by side."
    ),
    "weight used for input": "d(weight * x)/d weight is x: in the weight's gradient gy meets the other operand.",
    "input used for weight": "d(weight * x)/dx is weight: in the input's gradient gy meets the weight.",
    **SUM_WHYS,
}
CONV_WHYS = {
    "kernel not flipped": (
        "gx[j] collects weight[t] * gy[i] where i + t = j: as t grows i falls, so over gy the kernel lies flipped."
    ),
    "kernel flipped in the weight's gradient": "gweight[t] = sum of x[i + t] * gy[i]: nothing runs backwards here, no flip.",
    "gradient overwritten where windows overlap": (
        "A cell that several windows read gets a gradient from each, and they add up: += instead of = (with index arrays "
        "np.add.at, since += keeps only the last of equal indices)."
    ),
    "weight's gradient overwritten by each window": "Every window uses the same weight, so all windows add to its gradient.",
    "padding not removed": "The gradient of the padded input is computed; cut the border off again, on both sides.",
    **WHYS,
}
TRANSPOSE_WHYS = {
    "kernel flipped": "y[i + t] gets weight[t] * x[i], so gx[i] = sum of weight[t] * gy[i + t]: a plain correlation, no flip.",
    "weight's channel axes exchanged": "Here the weight is (in, out / groups, kh, kw), the other way round than conv2d's.",
    **WHYS,
}


def _steps(wrong: Wrong, stride: Pair, padding: Pair, dilation: Pair) -> Steps:
    """The settings, as a learner who makes these mistakes takes them."""
    steps = {"stride": stride, "padding": padding, "dilation": dilation}
    for name in steps:
        if f"height used for width | {name}" in wrong or "height used for width | all settings" in wrong:
            steps[name] = (steps[name][0],) * 2
    for name in ("stride", "dilation"):
        if f"{name} ignored" in wrong:
            steps[name] = (1, 1)
    return steps


def _padded(wrong: Wrong, wide: Array, padding: Pair) -> Array:
    ph, pw = padding
    before = (0, 0) if "padding ignored" in wrong else padding
    return np.pad(wide, ((0, 0), (0, 0), (before[0], 2 * ph - before[0]), (before[1], 2 * pw - before[1])))


def _parts(wrong: Wrong, weight: Array, narrow: Array, wide_channels: int, groups: int, steps: Steps) -> Iterator[Part]:
    """List (narrow channels, wide channels, tap, rows and columns of the wide plane) for each group and tap."""
    (sh, sw), (dh, dw) = steps["stride"], steps["dilation"]
    kh, kw = weight.shape[2:]
    oh, ow = narrow.shape[2:]
    per_narrow, per_wide = narrow.shape[1] // groups, wide_channels // groups
    if "height used for width | kernel" in wrong:
        kw = kh
    for g, i, j in product(range(groups), range(kh), range(kw)):
        narrows, wides = slice(g * per_narrow, (g + 1) * per_narrow), slice(g * per_wide, (g + 1) * per_wide)
        if "groups mixed | all read the first" in wrong:
            wides = slice(0, per_wide)
        if "groups mixed | interleaved inputs" in wrong:
            wides = slice(g, None, groups)
        if "groups mixed | interleaved outputs" in wrong:
            narrows = slice(g, None, groups)
        rows = slice(i * dh, i * dh + sh * (oh - 1) + 1, sh)
        yield narrows, wides, (i, j), (rows, slice(j * dw, j * dw + sw * (ow - 1) + 1, sw))


def _weight_gradient(wrong: Wrong, wide: Array, narrow: Array, weight: Array, parts: list[Part]) -> Array:
    """gweight: wide has the padded plane of windows, narrow one number for each window."""
    each = np.zeros((len(wide), *weight.shape))
    for narrows, wides, (i, j), (rows, columns) in parts:
        window = wide[:, wides, rows, columns]
        if any(switch.startswith("weight's gradient overwritten") for switch in wrong):
            share = narrow[:, narrows, None, -1, -1] * window[:, None, :, -1, -1]
        else:
            share = np.einsum("nohw,nchw->noc", narrow[:, narrows], window)
        each[:, narrows, :, i, j] = share
    if "weight's gradient overwritten by each window | and image" in wrong:
        return each[-1]
    return over_batch(wrong, each)


def conv2d(
    wrong: Wrong, gy: Array, x: Array, weight: Array, *, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Arrays:
    """The gradients of conv2d, with the mistakes that are switched on."""
    steps = _steps(wrong, stride, padding, dilation)
    ph, pw = steps["padding"]
    wide = _padded(wrong, x, (ph, pw))
    parts = list(_parts(wrong, weight, gy, x.shape[1], groups, steps))
    gwide = _spread(wrong, gy, wide, weight, parts)
    gx = gwide if "padding not removed | border kept" in wrong else gwide[:, :, ph:, pw:][:, :, : x.shape[2], : x.shape[3]]
    if "padding not removed | cut at the far side" in wrong or "padding ignored" in wrong:
        gx = gwide[:, :, : x.shape[2], : x.shape[3]]
    gweight = _weight_gradient(wrong, wide, gy, weight, parts)
    if "weight used for input" in wrong:
        gweight = weight * over_batch(wrong, gy.sum((2, 3)))[..., None, None, None]
    if "kernel flipped in the weight's gradient" in wrong:
        gweight = gweight[..., ::-1, ::-1]
    return gx, gweight, over_space(wrong, over_batch(wrong, gy))


def _spread(wrong: Wrong, gy: Array, wide: Array, weight: Array, parts: list[Part]) -> Array:
    """Send every gy back to the cells of its window, tap by tap."""
    gwide = np.zeros(wide.shape)
    owner = np.full(wide.shape[2:], -1)  # which window wrote a cell last, for the mistake in which the last one stays
    order = np.arange(gy.shape[2] * gy.shape[3]).reshape(gy.shape[2:])
    for narrows, wides, (i, j), at in parts:
        tap = weight[narrows, :, i, j]
        if "kernel not flipped" in wrong:
            tap = weight[narrows, :, -1 - i, -1 - j]
        share = np.einsum("nohw,oc->nchw", gy[:, narrows], tap)
        if "input used for weight" in wrong:
            share = gy[:, narrows].sum(1, keepdims=True) * wide[:, wides, *at]
        if "gradient overwritten where windows overlap | last channel and window stays" in wrong:
            share = gy[:, narrows][:, -1:] * tap[-1][None, :, None, None]
        if "gradient overwritten where windows overlap | last tap stays" in wrong:
            gwide[:, wides, *at] = share
        elif any(switch.startswith("gradient overwritten") for switch in wrong):
            later = order >= owner[at]
            gwide[:, wides, *at] = np.where(later, share, gwide[:, wides, *at])
            owner[at] = np.where(later, order, owner[at])
        else:
            gwide[:, wides, *at] += share
        if (i, j) == (weight.shape[2] - 1, weight.shape[3] - 1):
            owner[:] = -1
    return gwide


def conv_transpose2d(
    wrong: Wrong, gy: Array, x: Array, weight: Array, *, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Arrays:
    """The gradients of conv_transpose2d, with the mistakes that are switched on."""
    steps = _steps(wrong, stride, padding, dilation)
    wide = _padded(wrong, gy, steps["padding"])
    parts = list(_parts(wrong, weight, x, gy.shape[1], groups, steps))
    gx = np.zeros(x.shape)
    for narrows, wides, (i, j), at in parts:
        tap = weight[narrows, :, -1 - i, -1 - j] if "kernel flipped" in wrong else weight[narrows, :, i, j]
        if "input used for weight" in wrong:
            gx[:, narrows] += x[:, narrows] * wide[:, wides, *at].sum(1, keepdims=True)
        else:
            gx[:, narrows] += np.einsum("nohw,co->nchw", wide[:, wides, *at], tap)
    gweight = _weight_gradient(wrong, wide, x, weight, parts)
    if "weight used for input" in wrong:
        gweight = weight * over_batch(wrong, gy.sum((2, 3)))[..., : weight.shape[1], None, None]
    if "weight's channel axes exchanged" in wrong:
        gweight = np.swapaxes(gweight, -4, -3)
    return gx, gweight, over_space(wrong, over_batch(wrong, gy))


# n, in channels, out channels, (h, w), (kh, kw), stride, padding, dilation, groups: each names one thing to get wrong,
# alone and as small as it shows, and then some have everything at once.
_DRAWN: tuple[tuple[Any, ...], ...] = (
    (1, 1, 1, (1, 3), (1, 2), (1, 1), (0, 0), (1, 1), 1),
    (1, 1, 1, (3, 3), (2, 2), (1, 1), (0, 0), (1, 1), 1),
    (2, 1, 1, (2, 3), (2, 2), (1, 1), (0, 0), (1, 1), 1),
    (1, 2, 3, (3, 3), (2, 2), (1, 1), (0, 0), (1, 1), 1),
    (1, 1, 1, (4, 3), (3, 1), (1, 1), (0, 0), (1, 1), 1),
    (1, 1, 1, (3, 4), (1, 3), (1, 1), (0, 0), (1, 1), 1),
    (1, 1, 1, (4, 4), (2, 2), (2, 2), (0, 0), (1, 1), 1),
    (1, 1, 1, (5, 5), (3, 3), (2, 2), (0, 0), (1, 1), 1),
    (1, 1, 1, (5, 4), (2, 2), (1, 2), (0, 0), (1, 1), 1),
    (1, 1, 1, (5, 4), (2, 2), (2, 1), (0, 0), (1, 1), 1),
    (1, 1, 1, (2, 2), (2, 2), (1, 1), (1, 1), (1, 1), 1),
    (1, 1, 1, (2, 3), (3, 2), (1, 1), (1, 0), (1, 1), 1),
    (1, 1, 1, (3, 2), (2, 3), (1, 1), (0, 1), (1, 1), 1),
    (1, 1, 1, (3, 3), (2, 2), (1, 1), (0, 0), (2, 2), 1),
    (1, 1, 1, (4, 4), (2, 2), (1, 1), (0, 0), (2, 1), 1),
    (1, 1, 1, (4, 4), (2, 2), (1, 1), (0, 0), (1, 2), 1),
    (1, 4, 4, (2, 2), (1, 2), (1, 1), (0, 0), (1, 1), 2),
    (2, 4, 6, (5, 7), (3, 2), (2, 1), (1, 0), (1, 2), 2),
    (3, 2, 4, (6, 5), (2, 3), (1, 2), (0, 1), (2, 1), 2),
)


def _conv_cases() -> list[Case]:
    return _cases(transposed=False)


def _transpose_cases() -> list[Case]:
    return _cases(transposed=True)


def _cases(transposed: bool) -> list[Case]:
    draw, cases = Drawer(5), []
    for n, c, o, size, kernel, stride, padding, dilation, groups in _DRAWN:
        windows = tuple(
            (s + 2 * p - d * (k - 1) - 1) // step + 1
            for s, k, step, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
        )
        if transposed:  # of the sizes that share these windows the smallest: no output_padding
            size = tuple(
                (count - 1) * step - 2 * p + d * (k - 1) + 1
                for count, step, p, d, k in zip(windows, stride, padding, dilation, kernel, strict=True)
            )
        wide, narrow = draw.numbers(n, c, *size), draw.numbers(n, o, *windows)
        weight = draw.numbers(o, c // groups, *kernel)
        gy, x = (wide, narrow) if transposed else (narrow, wide)
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        cases.append(Case({"gy": gy, "x": x, "weight": weight}, settings))
    return cases


CONV2D = Exercise(
    "conv2d",
    ("gx", "gweight", "gbias"),
    "y[n, o, i, j] = bias[o] + sum of weight[o, c, a, b] * x[n, c, sh i + dh a - ph, sw j + dw b - pw] over c, a, b",
    conv2d,
    _conv_cases,
    CONV_WHYS,
    (
        "kernel not flipped",
        "gradient overwritten where windows overlap | last tap stays",
        "gradient overwritten where windows overlap | last window stays",
        "gradient overwritten where windows overlap | last channel and window stays",
        "padding not removed | border kept",
        "padding not removed | cut at the far side",
        *WINDOW_SWITCHES,
        *BATCH_SWITCHES,
        *SPACE_SWITCHES,
        "input used for weight",
        "weight used for input",
        "kernel flipped in the weight's gradient",
        "weight's gradient overwritten by each window | and image",
        "weight's gradient overwritten by each window | of an image",
    ),
)

CONV_TRANSPOSE2D = Exercise(
    "conv_transpose2d",
    ("gx", "gweight", "gbias"),
    "y[n, o, sh i + dh a - ph, sw j + dw b - pw] = bias[o] + sum of weight[c, o, a, b] * x[n, c, i, j]",
    conv_transpose2d,
    _transpose_cases,
    TRANSPOSE_WHYS,
    (
        "kernel flipped",
        "weight's channel axes exchanged",
        *WINDOW_SWITCHES,
        *BATCH_SWITCHES,
        *SPACE_SWITCHES,
        "input used for weight",
        "weight used for input",
    ),
)
