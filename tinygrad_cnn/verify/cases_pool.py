"""Cases of unfold, fold and every pool; loops as the reference. (Max and average pooling in 2d: `cases_cnn`.)

Sizes do not divide, windows overlap and hang over, and nothing is square. Inputs of pools that choose are distinct, so no
tie is near.
"""

import math
from typing import Any

import numpy as np

from .. import ops
from ..kernels import reference
from ..kernels.geometry import ConvGeometry, PoolGeometry
from ..ops import pool, pool_adaptive
from ..ops.fold import Fold, Unfold
from ..ops.pool_random import FractionalMaxPool, StochasticPool
from ..ops.unpool import MaxUnpool
from ..random import default_generator
from .case import Array, Case, Draw, distinct, normal, positive

Shape = tuple[int, ...]

_FOLDS: dict[str, tuple[Shape, dict[str, Any]]] = {
    "plain": ((2, 2, 3, 4), {"kernel_size": (2, 3)}),
    "stride with remainder": ((1, 2, 5, 6), {"kernel_size": (2, 1), "stride": (2, 3)}),
    "padding": ((1, 1, 3, 2), {"kernel_size": (2, 3), "padding": (2, 1)}),
    "everything": ((2, 1, 4, 5), {"kernel_size": 2, "stride": (1, 2), "padding": ((1, 0), (0, 2)), "dilation": (2, 3)}),
}

_OTHER_DIMENSIONS: dict[str, tuple[Shape, dict[str, Any]]] = {
    "one dimension": ((2, 2, 7), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    "three dimensions": ((1, 2, 3, 4, 3), {"kernel_size": (2, 3, 2), "stride": (1, 2, 2), "padding": (1, 0, 1)}),
}


def _fold_cases(label: str, shape: Shape, options: dict[str, Any]) -> list[Case]:
    kernel = options["kernel_size"] if isinstance(options["kernel_size"], tuple) else (options["kernel_size"],) * 2
    others = {name: value for name, value in options.items() if name != "kernel_size"}
    g = ConvGeometry.of(shape, (1, shape[1], *kernel), **others)
    rows, windows = shape[1] * math.prod(kernel), math.prod(g.out_size)

    def columns(x: Array) -> Array:
        return reference.unfold(x, g).reshape(shape[0], rows, windows)

    def image(x: Array) -> Array:
        return reference.fold(x.reshape(*shape[:2], -1, windows), g)

    return [
        Case(Unfold, label, lambda x: ops.unfold(x, **options), (normal(*shape),), columns, (0,)),
        Case(Fold, label, lambda x: ops.fold(x, shape[2:], **options), (normal(shape[0], rows, windows),), image, (0,)),
    ]


def _max_and_avg_cases(label: str, shape: Shape, options: dict[str, Any]) -> list[Case]:
    g = PoolGeometry.of(shape, **options)
    max_pool, avg_pool = getattr(ops, f"max_pool{g.dims}d"), getattr(ops, f"avg_pool{g.dims}d")
    return [
        Case(pool.MaxPool, label, lambda x: max_pool(x, **options), (distinct(*shape),),
             lambda x: reference.max_pool(x, g)[0]),
        Case(pool.AvgPool, label, lambda x: avg_pool(x, **options, count_include_pad=False), (normal(*shape),),
             lambda x: reference.avg_pool(x, g, False, None), (0,)),
    ]  # fmt: skip


def _unpool_case(label: str, indices: Any, out_size: Shape, *shape: int) -> Case:
    places = np.array(indices).reshape(shape)
    function = getattr(ops, f"max_unpool{len(out_size)}d")

    def expected(x: Array) -> Array:
        y = np.zeros((*shape[:2], *out_size))
        for at in np.ndindex(shape):
            y[at[:2]].flat[places[at]] = x[at]
        return y

    return Case(MaxUnpool, label, lambda x: function(x, places, 2, output_size=out_size), (normal(*shape),), expected, (0,))


def _adaptive_cases(label: str, shape: Shape, out_size: Shape) -> list[Case]:
    avg, largest = getattr(ops, f"adaptive_avg_pool{len(out_size)}d"), getattr(ops, f"adaptive_max_pool{len(out_size)}d")
    return [
        Case(pool_adaptive.AdaptiveAvgPool, label, lambda x: avg(x, out_size), (normal(*shape),),
             lambda x: reference.adaptive_avg_pool(x, out_size), (0,)),
        Case(pool_adaptive.AdaptiveAvgPoolInputGrad, label,
             lambda gy: pool_adaptive.AdaptiveAvgPoolInputGrad.apply(gy, in_size=shape[2:]), (normal(*shape[:2], *out_size),),
             lambda gy: reference.adaptive_avg_pool_input_grad(gy, shape[2:]), (0,)),
        Case(pool_adaptive.AdaptiveMaxPool, label, lambda x: largest(x, out_size), (distinct(*shape),),
             lambda x: reference.adaptive_max_pool(x, out_size)[0]),
    ]  # fmt: skip


def _fractional_case(label: str, shape: Shape, kernel: Shape, out_size: Shape, **size: Any) -> Case:
    u = np.random.default_rng(5).random((*shape[:2], 2))

    def start(i: int, sample: float, size: int, out: int, k: int) -> int:
        if i == out - 1:
            return size - k
        alpha = (size - k) / (out - 1)
        return math.floor((i + sample) * alpha) - math.floor(sample * alpha)

    def starts(axis: int, which: int) -> Array:
        edges = (shape[2 + axis], out_size[axis], kernel[axis])
        return np.array([[[start(i, s, *edges) for i in range(edges[1])] for s in row] for row in u[:, :, which].tolist()])

    return Case(
        FractionalMaxPool, label, lambda x: ops.fractional_max_pool2d(x, kernel, **size, _random_samples=u),
        (distinct(*shape),), lambda x: reference.fractional_max_pool(x, (starts(0, 1), starts(1, 0)), kernel)[0],
    )  # fmt: skip


def _stochastic_cases(label: str, shape: Shape, options: dict[str, Any]) -> list[Case]:
    g = PoolGeometry.of(shape, **options)
    function = getattr(ops, f"stochastic_pool{g.dims}d")

    def drawn(x: Array) -> Array:
        return reference.stochastic_pool(x, default_generator().random((*shape[:2], *g.out_size)), g)[0]

    def weighted(x: Array) -> Array:
        windows = reference.unfold(x, g)
        return ((windows / windows.sum(2, keepdims=True)) * windows).sum(2).reshape(*shape[:2], *g.out_size)

    return [
        Case(StochasticPool, label, lambda x: function(x, **options), (positive(*shape),), drawn),
        Case(pool.AvgPool, f"stochastic pooling at test time, {label}", lambda x: function(x, **options, training=False),
             (positive(*shape),), weighted),
    ]  # fmt: skip


def _lp_case(label: str, shape: Shape, p: float, draw: Draw, *options: Any) -> Case:
    kernel, stride, ceil_mode = options
    g = PoolGeometry.of(shape, kernel, stride, ceil_mode=ceil_mode)
    function = getattr(ops, f"lp_pool{g.dims}d")

    def expected(x: Array) -> Array:
        inside = reference.unfold(np.ones(shape), g)
        powers = np.where(inside, reference.unfold(x, g), 1.0) ** p * inside
        total = powers.sum(2) * inside.shape[2] / inside.sum(2)
        return (np.sign(total) * np.abs(total) ** (1 / p)).reshape(*shape[:2], *g.out_size)

    return Case(Unfold, f"lp_pool, {label}", lambda x: function(x, p, *options), (draw,), expected, (0,) if p == 1 else ())


def _subsample(x: Array, weight: Array, bias: Array) -> Array:
    n, c, h, w = x.shape
    y = np.empty((n, c, h // 2, w // 3))
    for at in np.ndindex(y.shape):
        k, (i, j) = at[1], at[2:]
        y[at] = weight[k] * math.fsum(x[at[0], k, 2 * i : 2 * i + 2, 3 * j : 3 * j + 3].ravel()) + bias[k]
    return y


CASES: list[Case] = [
    *(case for label, (shape, options) in _FOLDS.items() for case in _fold_cases(label, shape, options)),
    *(case for label, (shape, options) in _OTHER_DIMENSIONS.items() for case in _max_and_avg_cases(label, shape, options)),
    _unpool_case("side by side", [[[[0, 6], [11, 9]]], [[[5, 3], [8, 14]]]], (3, 5), 2, 1, 2, 2),
    _unpool_case("positions that meet", [[[[4, 4], [4, 1]], [[1, 2], [2, 1]]]], (3, 3), 1, 2, 2, 2),
    _unpool_case("one dimension", [[[1, 2, 4]], [[3, 0, 3]]], (5,), 2, 1, 3),
    _unpool_case("three dimensions", [[[[[0, 11]]], [[[3, 3]]]]], (2, 2, 3), 1, 2, 1, 1, 2),
    *_adaptive_cases("windows overlap", (2, 2, 5, 7), (3, 2)),
    *_adaptive_cases("larger than the input", (1, 2, 2, 3), (3, 5)),
    *_adaptive_cases("global", (2, 3, 3, 4), (1, 1)),
    *_adaptive_cases("one dimension", (2, 2, 7), (4,)),
    *_adaptive_cases("three dimensions", (1, 2, 3, 4, 2), (2, 3, 1)),
    _fractional_case("size", (2, 2, 6, 7), (2, 3), (3, 4), output_size=(3, 4)),
    _fractional_case("ratio", (1, 3, 7, 5), (2, 2), (4, 2), output_ratio=(0.6, 0.5)),
    _fractional_case("one window", (1, 2, 4, 5), (3, 1), (1, 1), output_size=1),
    *_stochastic_cases("plain", (2, 2, 4, 6), {"kernel_size": (2, 3)}),
    *_stochastic_cases("overlapping, padding", (1, 2, 5, 4), {"kernel_size": 3, "stride": (2, 1), "padding": (1, 0)}),
    *_stochastic_cases("one dimension, ceil mode", (2, 2, 6), {"kernel_size": 4, "stride": 3, "ceil_mode": True}),
    _lp_case("p 2", (2, 2, 4, 5), 2, distinct(2, 2, 4, 5), (2, 3), (2, 1), False),
    _lp_case("p 1", (1, 2, 3, 4), 1, distinct(1, 2, 3, 4), 2, 1, False),
    _lp_case("p 3, signs", (1, 2, 4, 4), 3, distinct(1, 2, 4, 4), (2, 1), None, False),
    _lp_case("p 1.5, ceil mode", (1, 2, 5, 4), 1.5, positive(1, 2, 5, 4), (2, 3), 2, True),
    _lp_case("p 4, one dimension", (2, 2, 7), 4, distinct(2, 2, 7), 3, 2, True),
    _lp_case("p 2, three dimensions", (1, 1, 3, 2, 4), 2, distinct(1, 1, 3, 2, 4), (2, 2, 1), (1, 1, 2), False),
    Case(pool.MaxPool, "lp_pool, p inf", lambda x: ops.lp_pool2d(x, math.inf, 2), (distinct(1, 2, 4, 4),),
         lambda x: reference.max_pool(x, PoolGeometry.of(x.shape, 2))[0]),
    Case(pool.AvgPool, "LeNet-5's subsampling", lambda x, weight, bias: ops.subsample2d(x, weight, bias, (2, 3)),
         (normal(2, 3, 5, 6), normal(3), normal(3)), _subsample, (0, 1, 2)),
]  # fmt: skip
