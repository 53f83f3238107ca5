"""Cases of the resampling ops; per pixel, with scalars, as the reference.

The ops work with tables of taps, the references with the weight that a pixel has in an output: another way to the same
sum, in which the border is no special case of an index.
"""

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from .. import ops
from ..ops import grid, linalg, resample, shape
from .case import Array, Case, Draw, normal

Shape = tuple[int, ...]
Weight = Callable[[int, int], float]


def _keys(t: float, a: float) -> float:
    """Keys' cubic, by the coefficients of his equation 15 for a general a."""
    t = abs(t)
    if t < 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def _weight_of(mode: str, n: int, out: int, align: bool, scale: float | None, antialias: bool) -> Weight:
    """How much pixel j of n counts in output i of `out`, along one axis."""
    step = n / out if scale is None else 1 / scale
    if align:
        step = (n - 1) / (out - 1) if out > 1 else 0.0

    def at(i: int) -> float:
        return i * step if align else (i + 0.5) * step - 0.5

    def nearest(i: int, j: int) -> float:
        return float(j == min(math.floor(i * step + 1e-9), n - 1))

    def nearest_exact(i: int, j: int) -> float:
        return float(j == min(math.floor((i + 0.5) * step + 1e-9), n - 1))

    def area(i: int, j: int) -> float:
        covered = [k for k in range(n) if k + 1 > i * n / out + 1e-9 and k < (i + 1) * n / out - 1e-9]
        return (j in covered) / len(covered)

    def linear(i: int, j: int) -> float:
        return max(0.0, 1 - abs(min(max(at(i), 0), n - 1) - j))

    def cubic(i: int, j: int) -> float:
        taps = [math.floor(at(i)) + k for k in range(-1, 3)]
        return sum(_keys(at(i) - tap, -0.75) for tap in taps if min(max(tap, 0), n - 1) == j)

    def widened(i: int, j: int) -> float:
        wide = max(step, 1.0)
        kernel = (lambda t: max(0.0, 1 - abs(t))) if mode.endswith("linear") else (lambda t: _keys(t, -0.5))
        values = [kernel((k + 0.5 - (i + 0.5) * step) / wide) for k in range(n)]
        return values[j] / sum(values)

    if antialias:
        return widened
    named = {"nearest": nearest, "nearest-exact": nearest_exact, "area": area, "bicubic": cubic}
    return named.get(mode, linear)


def _interpolated(x: Array, out: Shape, scales: Any, mode: str, align: bool, antialias: bool) -> Array:
    weights = [
        _weight_of(mode, n, o, align, s, antialias) for n, o, s in zip(x.shape[2:], out, scales, strict=True)
    ]
    y = np.zeros(x.shape[:2] + out)
    for to in np.ndindex(*out):
        for at in np.ndindex(*x.shape[2:]):
            share = math.prod(weight(i, j) for weight, i, j in zip(weights, to, at, strict=True))
            y[(..., *to)] += share * x[(..., *at)]
    return y


# label: input, options, output size, factors to step by where the sizes do not say it
_INTERPOLATIONS: dict[str, tuple[Shape, dict[str, Any], Shape, tuple[float, ...] | None]] = {
    "nearest": ((1, 2, 2, 3), {"size": (5, 4)}, (5, 4), None),
    "nearest, smaller": ((2, 1, 5), {"size": 3}, (3,), None),
    "nearest, factor": ((1, 1, 3, 4), {"scale_factor": (1.7, 0.6)}, (5, 2), (1.7, 0.6)),
    "nearest, volume": ((1, 1, 2, 1, 3), {"size": (3, 2, 2)}, (3, 2, 2), None),
    "nearest-exact": ((1, 1, 3, 5), {"size": (5, 3), "mode": "nearest-exact"}, (5, 3), None),
    "nearest-exact, factor": ((1, 2, 4), {"scale_factor": 1.6, "mode": "nearest-exact"}, (6,), (1.6,)),
    "area": ((1, 2, 5, 3), {"size": (3, 4), "mode": "area"}, (3, 4), None),
    "area, factor": ((1, 1, 7), {"scale_factor": 0.5, "mode": "area"}, (3,), None),
    "linear": ((2, 1, 3), {"size": 5, "mode": "linear"}, (5,), None),
    "linear, smaller, aligned": ((1, 1, 5), {"size": 3, "mode": "linear", "align_corners": True}, (3,), None),
    "linear, one output, aligned": ((1, 1, 4), {"size": 1, "mode": "linear", "align_corners": True}, (1,), None),
    "bilinear": ((1, 2, 2, 4), {"size": (5, 3), "mode": "bilinear"}, (5, 3), None),
    "bilinear, aligned": ((1, 1, 3, 2), {"size": (4, 5), "mode": "bilinear", "align_corners": True}, (4, 5), None),
    "bilinear, factor": ((1, 1, 3, 4), {"scale_factor": (1.5, 0.8), "mode": "bilinear"}, (4, 3), (1.5, 0.8)),
    "bilinear, factor recomputed": (
        (1, 1, 3, 4), {"scale_factor": (1.5, 0.8), "mode": "bilinear", "recompute_scale_factor": True}, (4, 3), None),
    "bilinear, antialiased": ((1, 1, 7, 3), {"size": (3, 4), "mode": "bilinear", "antialias": True}, (3, 4), None),
    "trilinear": ((1, 1, 2, 3, 2), {"size": (3, 2, 4), "mode": "trilinear"}, (3, 2, 4), None),
    "bicubic": ((1, 1, 3, 5), {"size": (5, 3), "mode": "bicubic"}, (5, 3), None),
    "bicubic, aligned": ((1, 1, 2, 4), {"size": (3, 6), "mode": "bicubic", "align_corners": True}, (3, 6), None),
    "bicubic, factor": ((1, 1, 3, 4), {"scale_factor": (1.5, 0.6), "mode": "bicubic"}, (4, 2), (1.5, 0.6)),
    "bicubic, antialiased": ((1, 1, 7, 3), {"size": (3, 5), "mode": "bicubic", "antialias": True}, (3, 5), None),
}  # fmt: skip


def _interpolation(label: str) -> Case:
    x_shape, options, out, scales = _INTERPOLATIONS[label]
    mode, align = options.get("mode", "nearest"), options.get("align_corners", False)
    steps = (None,) * len(out) if scales is None else scales
    return Case(
        resample.Resample, label, lambda x: ops.interpolate(x, **options), (normal(*x_shape),),
        lambda x: _interpolated(x, out, steps, mode, align, options.get("antialias", False)), (0,),
    )  # fmt: skip


def _points(sizes: Shape, align: bool, *to: int) -> Draw:
    """A grid (*to, axes) whose pixel coordinates reach beyond the image and keep away from integers and their halves."""

    def draw(generator: np.random.Generator) -> Array:
        last = np.array(sizes[::-1]) - 1
        whole = generator.integers(-4, last + 4, (*to, len(sizes)))
        position = whole + generator.choice([0.0, 0.5], whole.shape) + generator.uniform(0.12, 0.38, whole.shape)
        return (2 * position - last) / np.maximum(last if align else last + 1, 1)

    return draw


def _brought_back(at: float, n: int, padding_mode: str, align: bool) -> float:
    """A coordinate outside 0 .. n - 1 by the padding's rule; under "zeros" as it is."""
    if padding_mode == "zeros":
        return at
    low, high = (0.0, n - 1.0) if align else (-0.5, n - 0.5)
    while padding_mode == "reflection" and not low <= at <= high and low < high:
        at = 2 * low - at if at < low else 2 * high - at
    return min(max(at, 0.0), n - 1.0)


def _shares(at: float, n: int, mode: str, padding_mode: str, align: bool) -> dict[int, float]:
    """The pixels that a coordinate reads along one axis, and how much of each."""
    shares: dict[int, float] = {}
    if mode != "bicubic":
        at = _brought_back(at, n, padding_mode, align)
    for tap in range(math.floor(at) - 1, math.floor(at) + 3):
        t = at - tap
        kernels = {"nearest": float(abs(t) < 0.5), "bilinear": max(0.0, 1 - abs(t)), "bicubic": _keys(t, -0.75)}
        j = round(_brought_back(float(tap), n, padding_mode, align))
        if 0 <= j < n:
            shares[j] = shares.get(j, 0.0) + kernels[mode]
    return shares


def _sampled(x: Array, points: Array, mode: str, padding_mode: str, align: bool) -> Array:
    y = np.zeros(x.shape[:2] + points.shape[1:-1])
    for n, *to in np.ndindex(*points.shape[:-1]):
        along = []
        for size, coordinate in zip(x.shape[2:], points[(n, *to)][::-1], strict=True):
            at = (coordinate + 1) / 2 * (size - 1) if align else ((coordinate + 1) * size - 1) / 2
            along.append(_shares(float(at), size, mode, padding_mode, align))
        for taps in product(*(shares.items() for shares in along)):
            y[(n, slice(None), *to)] += math.prod(w for _, w in taps) * x[(n, slice(None), *(j for j, _ in taps))]
    return y


def _sampling(mode: str, padding_mode: str, align: bool, x_shape: Shape = (2, 2, 2, 3), to: Shape = (1, 3)) -> Case:
    label = f"{mode}, {padding_mode}{', aligned' * align}{', volume' * (len(to) == 3)}"
    options: dict[str, Any] = {"mode": mode, "padding_mode": padding_mode, "align_corners": align}
    return Case(
        grid.PadPosition, label, lambda x, points: ops.grid_sample(x, points, **options),
        (normal(*x_shape), _points(x_shape[2:], align, x_shape[0], *to)),
        lambda x, points: _sampled(x, points, mode, padding_mode, align), (0,),
    )  # fmt: skip


def _affine(label: str, size: Shape, align: bool) -> Case:
    n, dims = size[0], len(size) - 2

    def expected(theta: Array) -> Array:
        points = np.zeros((n, *size[2:], dims))
        for at in np.ndindex(*size[2:]):
            along = [
                (2 * i / (k - 1) - 1 if align else (2 * i + 1) / k - 1) if k > 1 else 0.0
                for i, k in zip(at, size[2:], strict=True)
            ]
            for b in range(n):
                points[(b, *at)] = theta[b] @ [*along[::-1], 1.0]
        return points

    return Case(
        linalg.MatMul, f"affine_grid, {label}", lambda theta: ops.affine_grid(theta, size, align),
        (normal(n, dims, dims + 1),), expected, (0,),
    )  # fmt: skip


def _shuffled(x: Array, r: int) -> Array:
    c, h, w = x.shape[0] // (r * r), x.shape[1] * r, x.shape[2] * r
    return np.array(
        [[[x[k * r * r + i % r * r + j % r, i // r, j // r] for j in range(w)] for i in range(h)] for k in range(c)]
    )


def _unshuffled(x: Array, r: int) -> Array:
    c, h, w = x.shape[0] * r * r, x.shape[1] // r, x.shape[2] // r
    return np.array(
        [
            [[x[k // (r * r), i * r + k // r % r, j * r + k % r] for j in range(w)] for i in range(h)]
            for k in range(c)
        ]
    )  # fmt: skip


CASES: list[Case] = [
    *(_interpolation(label) for label in _INTERPOLATIONS),
    Case(shape.Permute, "pixel_shuffle", lambda x: ops.pixel_shuffle(x, 2), (normal(8, 2, 3),),
         lambda x: _shuffled(x, 2), (0,)),
    Case(shape.Permute, "pixel_shuffle, batches of batches", lambda x: ops.pixel_shuffle(x, 3), (normal(2, 1, 9, 1, 2),),
         lambda x: np.stack([[_shuffled(image, 3) for image in batch] for batch in x]), (0,)),
    Case(shape.Permute, "pixel_unshuffle", lambda x: ops.pixel_unshuffle(x, 2), (normal(2, 4, 6),),
         lambda x: _unshuffled(x, 2), (0,)),
    Case(shape.Permute, "channel_shuffle", lambda x: ops.channel_shuffle(x, 3), (normal(2, 6, 2),),
         lambda x: np.stack([x[:, (k % 3) * 2 + k // 3] for k in range(6)], 1), (0,)),
    *(
        _sampling(mode, padding_mode, align)
        for mode in ("bilinear", "nearest", "bicubic")
        for padding_mode in ("zeros", "border", "reflection")
        for align in (False, True)
    ),
    *(_sampling("bilinear", mode, False, (1, 1, 2, 2, 3), (1, 2, 2)) for mode in ("zeros", "border", "reflection")),
    _sampling("nearest", "border", True, (1, 2, 2, 1, 3), (2, 1, 2)),
    _affine("image", (2, 1, 2, 3), False),
    _affine("image, aligned", (1, 1, 3, 2), True),
    _affine("volume", (1, 2, 2, 1, 3), True),
]  # fmt: skip
