"""The exercises max_pool2d and avg_pool2d, with the mistakes that people make in them."""

from itertools import product
from typing import Any

import numpy as np

from ..autograd.function import Array
from .exercise import Arrays, Case, Drawer, Exercise, Wrong

Pair = tuple[int, int]

WINDOW_SWITCHES = (
    "stride ignored | kernel size",
    "stride ignored | one",
    "height used for width | all settings",
    "height used for width | stride",
    "height used for width | padding",
    "height used for width | kernel",
    "padding not removed | border kept",
    "padding not removed | cut at the far side",
    "gradient overwritten where windows overlap",
    "gradient forgotten",
    "output used for gradient",
)
MAX_SWITCHES = (
    "pool: gradient to all ties",
    "pool: gradient to the last of ties",
    "pool: gradient to the whole window",
    "max pool: mask from the gradient",
    "max pool: padded with zeros",
    "max pool: gradient to the minimum",
    *WINDOW_SWITCHES,
)
AVG_SWITCHES = (
    "mean pool: gradient not divided",
    "mean pool: gradient to the first cell only",
    "mean pool: padding not counted",
    "stride ignored | kernel size, windows cut at the edge",
    *WINDOW_SWITCHES,
)
WHYS = {
    "stride ignored": "Windows are `stride` apart, which need not be the kernel's size, nor 1.",
    "height used for width": "Along the width the numbers are others than along the height: kernel, stride, padding, size.",
    "padding not removed": "The gradient of the padded input is computed; cut the border off again, on both sides.",
    "gradient overwritten where windows overlap": "A cell of several windows gets a gradient from each, and they add up: +=.",
    "gradient forgotten": "The chain rule: the slope of the op is multiplied by gy, the gradient that comes from above.",
    "output used for gradient": "What flows back is gy, not the value that went forward.",
}
MAX_WHYS = {
    "pool: gradient to all ties": (
        "One cell is taken as the maximum, the first of equal ones; given to all, the gradient counts more than once."
    ),
    "pool: gradient to the last of ties": "Of equal maxima the first in row-major order is taken, here as in PyTorch.",
    "pool: gradient to the whole window": "Only the maximum went forward; nothing else in the window changes the output.",
    "max pool: mask from the gradient": (
        "Where the maximum lies is decided by x alone; a negative gradient flows back there like a positive one."
    ),
    "max pool: padded with zeros": "The padding is -inf: with 0, it would win over negative inputs and swallow their gradient.",
    "max pool: gradient to the minimum": "The largest input of the window went forward, so it gets the gradient.",
    **WHYS,
}
AVG_WHYS = {
    "mean pool: gradient not divided": "Each input has the share 1 / (kh kw) in the mean, and that is its slope.",
    "mean pool: gradient to the first cell only": "Every cell of the window has a share in the mean.",
    "mean pool: padding not counted": "By default the padding counts: the divisor is always kh kw (count_include_pad).",
    **WHYS,
}


def max_pool2d(wrong: Wrong, gy: Array, x: Array, **settings: Any) -> Arrays:
    """The gradient of max_pool2d, with the mistakes that are switched on."""
    return _pool(wrong, gy, x, 0.0 if "max pool: padded with zeros" in wrong else -np.inf, _max_share, **settings)


def avg_pool2d(wrong: Wrong, gy: Array, x: Array, **settings: Any) -> Arrays:
    """The gradient of avg_pool2d, with the mistakes that are switched on."""
    return _pool(wrong, gy, x, np.nan, _avg_share, **settings)


def _max_share(wrong: Wrong, window: Array, cells: int) -> Array:
    """The slope of a window's maximum by its cells."""
    if "pool: gradient to the whole window" in wrong:
        return np.ones(window.shape)
    if "max pool: gradient to the minimum" in wrong:
        window = np.where(np.isinf(window), window, -window)
    if "pool: gradient to all ties" in wrong:
        return (window == window.max()) * 1.0
    share = np.zeros(window.size)
    flat = window.ravel()
    share[len(flat) - 1 - flat[::-1].argmax() if "pool: gradient to the last of ties" in wrong else flat.argmax()] = 1.0
    return share.reshape(window.shape)


def _avg_share(wrong: Wrong, window: Array, cells: int) -> Array:
    """The slope of a window's mean by its cells; the padding is NaN."""
    share = np.ones(window.shape)
    if "mean pool: gradient not divided" in wrong:
        return share
    if "mean pool: gradient to the first cell only" in wrong:
        return (np.arange(window.size).reshape(window.shape) == 0) * 1.0
    if "mean pool: padding not counted" in wrong:
        cells = (~np.isnan(window)).sum()
    return share / (window.size if "stride ignored | kernel size, windows cut at the edge" in wrong else cells)


def _pool(
    wrong: Wrong, gy: Array, x: Array, border: float, slope: Any, *, kernel_size: Pair, stride: Pair, padding: Pair
) -> Arrays:
    """Send every gy back to its window, times the slope of each cell."""
    steps = {"kernel": kernel_size, "stride": stride, "padding": padding}
    for name in steps:
        if f"height used for width | {name}" in wrong or "height used for width | all settings" in wrong:
            steps[name] = (steps[name][0],) * 2
    if any(switch.startswith("stride ignored | kernel size") for switch in wrong):
        steps["stride"] = steps["kernel"]
    if "stride ignored | one" in wrong:
        steps["stride"] = (1, 1)
    (kh, kw), (sh, sw), (ph, pw) = steps.values()
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=border)
    gpadded = np.zeros(padded.shape)
    for n, c, i, j in product(*map(range, gy.shape)):
        at = n, c, slice(i * sh, i * sh + kh), slice(j * sw, j * sw + kw)
        window, gradient = padded[at], gy[n, c, i, j]
        if "max pool: mask from the gradient" in wrong:
            gradient = max(gradient, 0.0)
        if "gradient forgotten" in wrong:
            gradient = 1.0
        if "output used for gradient" in wrong:
            gradient = window.max() if border == -np.inf else np.nanmean(window)
        share = gradient * slope(wrong, window, kh * kw)
        if "gradient overwritten where windows overlap" in wrong:
            # Of a maximum, only its own cell is written.
            gpadded[at] = np.where(share != 0, share, gpadded[at]) if border == -np.inf else share
        else:
            gpadded[at] += share
    if "padding not removed | border kept" in wrong:
        return (gpadded,)
    if "padding not removed | cut at the far side" in wrong:
        ph = pw = 0
    return (gpadded[:, :, ph:, pw:][:, :, : x.shape[2], : x.shape[3]],)


_DRAWN: tuple[tuple[Any, ...], ...] = (  # n, c, (h, w), kernel, stride, padding
    (1, 1, (1, 2), (1, 2), (1, 1), (0, 0)),
    (1, 1, (2, 2), (2, 2), (2, 2), (0, 0)),
    (1, 1, (2, 3), (2, 2), (1, 1), (0, 0)),
    (1, 1, (3, 3), (2, 2), (1, 1), (0, 0)),
    (1, 1, (5, 5), (2, 2), (3, 3), (0, 0)),
    (1, 1, (4, 5), (2, 2), (1, 2), (0, 0)),
    (1, 1, (5, 4), (2, 2), (2, 1), (0, 0)),
    (1, 1, (3, 3), (2, 1), (1, 1), (0, 0)),
    (1, 1, (4, 6), (2, 3), (2, 3), (0, 0)),
    (1, 1, (2, 2), (2, 2), (2, 2), (1, 1)),
    (1, 1, (3, 4), (3, 2), (1, 2), (1, 0)),
    (1, 1, (4, 3), (2, 3), (2, 1), (0, 1)),
    (2, 3, (5, 6), (3, 2), (2, 1), (1, 1)),
)


def _cases() -> list[Case]:
    draw, cases = Drawer(11), []
    for n, c, size, kernel, stride, padding in _DRAWN:
        windows = [(s + 2 * p - k) // step + 1 for s, k, step, p in zip(size, kernel, stride, padding, strict=True)]
        settings = {"kernel_size": kernel, "stride": stride, "padding": padding}
        cases.append(Case({"gy": draw.numbers(n, c, *windows), "x": draw.different(n, c, *size)}, settings))
    return cases


def _max_cases() -> list[Case]:
    """The drawn ones; ties, which drawn numbers seldom have; and negative inputs under padding."""
    plain = {"kernel_size": (1, 2), "stride": (1, 1), "padding": (0, 0)}
    gy = np.full((1, 1, 1, 1), 3.0)
    ties = [Case({"gy": gy, "x": np.array(row).reshape(1, 1, 1, 2)}, plain) for row in ([2.0, 2.0], [-1.0, -1.0])]
    padded = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (1, 1)}
    negative = Case({"gy": Drawer(3).numbers(1, 1, 2, 2), "x": -1.0 - np.arange(4.0).reshape(1, 1, 2, 2)}, padded)
    return [*ties, negative, *_cases()]


_FORMULA = "of x[n, c, sh i - ph + a, sw j - pw + b] over 0 <= a < kh, 0 <= b < kw"
MAX_POOL2D = Exercise(
    "max_pool2d", ("gx",), f"y[n, c, i, j] = the maximum {_FORMULA}", max_pool2d, _max_cases, MAX_WHYS, MAX_SWITCHES
)
AVG_POOL2D = Exercise("avg_pool2d", ("gx",), f"y[n, c, i, j] = the mean {_FORMULA}", avg_pool2d, _cases, AVG_WHYS, AVG_SWITCHES)
