"""Cases of the convolutions, pools, normalizations and losses; the loops of `kernels.reference` as the reference.

Nothing is square, strides leave remainders, and the parameters are such that every term counts (LRN with alpha 0.5: at
the usual 1e-4 a missing term would pass unseen).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from ..kernels import reference
from ..kernels.geometry import ConvGeometry, PoolGeometry
from ..ops import conv, pool
from ..ops.loss import NLLLoss
from ..ops.norm import BatchNorm, BatchNormReLU, ChannelAffine, ChannelWindowSum, LocalResponseNorm
from ..tensor import Tensor
from .case import Array, Case, distinct, normal, positive

Shape = tuple[int, ...]

# label: input, weight, options
_CONVS: dict[str, tuple[Shape, Shape, dict[str, Any]]] = {
    "plain": ((2, 2, 4, 5), (3, 2, 2, 3), {}),
    "stride with remainder": ((1, 2, 6, 5), (2, 2, 3, 2), {"stride": (2, 3)}),
    "padding": ((2, 1, 3, 4), (2, 1, 3, 2), {"padding": (2, 1)}),
    "asymmetric padding": ((1, 2, 3, 4), (2, 2, 2, 3), {"padding": ((0, 2), (1, 0)), "stride": (1, 2)}),
    "same, strided": ((1, 1, 5, 6), (2, 1, 3, 4), {"padding": "same", "stride": (2, 1)}),
    "dilation": ((1, 2, 6, 5), (1, 2, 3, 2), {"dilation": (2, 3)}),
    "groups": ((2, 4, 3, 4), (6, 2, 2, 2), {"groups": 2, "padding": (0, 1)}),
    "depthwise": ((1, 3, 4, 3), (6, 1, 2, 3), {"groups": 3, "stride": (2, 1), "padding": 1}),
    "1x1": ((2, 3, 2, 3), (2, 3, 1, 1), {}),
    "everything": ((2, 4, 5, 6), (4, 2, 2, 3),
                   {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2), "groups": 2}),
    "one dimension": ((2, 2, 7), (3, 2, 3), {"stride": 2, "padding": 1}),
    "three dimensions": ((1, 2, 3, 4, 3), (2, 2, 2, 3, 2), {"stride": (1, 2, 1), "padding": (1, 0, 1)}),
}  # fmt: skip

_POOLS: dict[str, tuple[Shape, dict[str, Any]]] = {
    "plain": ((2, 2, 4, 6), {"kernel_size": 2}),
    "overlapping": ((1, 2, 5, 6), {"kernel_size": (3, 2), "stride": (2, 1)}),
    "padding": ((1, 2, 4, 5), {"kernel_size": (2, 3), "stride": (2, 2), "padding": (1, 1)}),
    "ceil mode": ((1, 1, 5, 6), {"kernel_size": (2, 3), "stride": (2, 2), "padding": (1, 0), "ceil_mode": True}),
}


def _conv_cases(label: str) -> list[Case]:
    x_shape, weight_shape, options = _CONVS[label]
    g = ConvGeometry.of(x_shape, weight_shape, **options)
    function = (ops.conv1d, ops.conv2d, ops.conv3d)[g.dims - 1]
    x, weight, bias, gy = normal(*x_shape), normal(*weight_shape), normal(g.out_channels), normal(*g.y_shape)
    return [
        Case(conv.Conv, label, lambda x, weight: function(x, weight, **options), (x, weight),
             lambda x, weight: reference.conv(x, weight, None, g), (0, 1)),
        Case(conv.Conv, f"{label}, bias", lambda *inputs: function(*inputs, **options), (x, weight, bias),
             lambda x, weight, bias: reference.conv(x, weight, bias, g), (0, 1, 2)),
        Case(conv.ConvInputGrad, label, lambda gy, weight: conv.ConvInputGrad.apply(gy, weight, geometry=g), (gy, weight),
             lambda gy, weight: reference.conv_input_grad(gy, weight, g), (0, 1)),
        Case(conv.ConvWeightGrad, label, lambda x, gy: conv.ConvWeightGrad.apply(x, gy, geometry=g), (x, gy),
             lambda x, gy: reference.conv_weight_grad(x, gy, g), (0, 1)),
    ]  # fmt: skip


def _max_pool_cases(label: str, shape: Shape, options: dict[str, Any]) -> list[Case]:
    g = PoolGeometry.of(shape, **options)
    indices = reference.max_pool(distinct(*shape)(np.random.default_rng(0)), g)[1]
    return [
        Case(pool.MaxPool, label, lambda x: ops.max_pool2d(x, **options), (distinct(*shape),),
             lambda x: reference.max_pool(x, g)[0]),
        # All negative: a border of zeros in place of -inf would win.
        Case(pool.MaxPool, f"{label}, negative", lambda x: ops.max_pool2d(-x, **options), (positive(*shape),),
             lambda x: reference.max_pool(-x, g)[0]),
        Case(pool.PoolScatter, label, lambda gy: pool.PoolScatter.apply(gy, Tensor(indices), in_size=g.in_size),
             (normal(*indices.shape),), lambda gy: reference.pool_scatter(gy, indices, g.in_size), (0,)),
        Case(pool.PoolGather, label, lambda x: pool.PoolGather.apply(x, Tensor(indices)), (normal(*shape),),
             lambda x: reference.pool_gather(x, indices), (0,)),
    ]  # fmt: skip


def _avg_pool_cases(label: str, shape: Shape, options: dict[str, Any], include: bool, divisor: int | None) -> list[Case]:
    g = PoolGeometry.of(shape, **options)
    out_shape = shape[:2] + g.out_size
    settings: dict[str, Any] = {"count_include_pad": include, "divisor_override": divisor}
    return [
        Case(pool.AvgPool, label, lambda x: ops.avg_pool2d(x, **options, **settings), (normal(*shape),),
             lambda x: reference.avg_pool(x, g, include, divisor), (0,)),
        Case(pool.AvgPoolInputGrad, label, lambda gy: pool.AvgPoolInputGrad.apply(gy, geometry=g, **settings),
             (normal(*out_shape),), lambda gy: reference.avg_pool_input_grad(gy, g, include, divisor), (0,)),
    ]  # fmt: skip


def _lrn_case(size: int, channels: int) -> Case:
    return Case(
        LocalResponseNorm, f"size {size} of {channels}", lambda x: ops.local_response_norm(x, size, 0.5, 0.75, 2.0),
        (normal(2, channels, 3),), lambda x: reference.local_response_norm(x, size, 0.5, 0.75, 2.0)[0],
    )  # fmt: skip


def _window_sum_case(before: int, after: int) -> Case:
    return Case(
        ChannelWindowSum, f"{before} before, {after} after",
        lambda x: ChannelWindowSum.apply(x, before=before, after=after), (normal(2, 5, 2),),
        lambda x: np.stack([x[:, max(0, i - before) : i + after + 1].sum(1) for i in range(5)], 1), (0,),
    )  # fmt: skip


def _batch_norm(x: Array, weight: Array | None = None, bias: Array | None = None) -> Array:
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        values = x[:, c].ravel().tolist()
        centre = math.fsum(values) / len(values)
        var = math.fsum((v - centre) ** 2 for v in values) / len(values)
        y[:, c] = (x[:, c] - centre) / math.sqrt(var + 0.1)
        y[:, c] = y[:, c] * (1 if weight is None else weight[c]) + (0 if bias is None else bias[c])
    return y


def _rectified(expected: Callable[..., Array]) -> Callable[..., Array]:
    return lambda *arrays: np.where((y := expected(*arrays)) > 0, y, 0.0)


def _batch_norm_cases(label: str, *shape: int) -> list[Case]:
    c = shape[1]
    means, variances = np.linspace(-1, 1, c), np.linspace(0.5, 2, c)

    def trained(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        return ops.batch_norm(x, None, None, weight, bias, training=True, eps=0.1)

    def rectified(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        return ops.batch_norm(x, None, None, weight, bias, training=True, eps=0.1, relu=True)

    def at_test_time(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return ops.batch_norm(x, Tensor(means), Tensor(variances), weight, bias, eps=0.1)

    def expected(x: Array, weight: Array, bias: Array) -> Array:
        channels = [(x[:, i] - means[i]) / math.sqrt(variances[i] + 0.1) * weight[i] + bias[i] for i in range(c)]
        return np.stack(channels, 1)

    affine = (normal(c), normal(c))
    return [
        Case(BatchNorm, f"{label}, affine", trained, (normal(*shape), *affine), _batch_norm, (1, 2)),
        Case(BatchNorm, label, trained, (normal(*shape),), _batch_norm),
        Case(BatchNormReLU, f"{label}, affine", rectified, (normal(*shape), *affine), _rectified(_batch_norm)),
        Case(BatchNormReLU, label, rectified, (normal(*shape),), _rectified(_batch_norm)),
        Case(ChannelAffine, label, at_test_time, (normal(*shape), *affine), expected, (0, 1, 2)),
    ]


def _nll(label: str, shape: Shape, target: Any, reduction: str = "mean", **options: Any) -> Case:
    classes = np.array(target)
    weight = options.get("weight")

    def expected(x: Array) -> Any:
        total, scale = 0.0, 0.0
        losses: Array = np.zeros(classes.shape)
        for place in np.ndindex(*classes.shape):
            if classes[place] == options.get("ignore_index", -100):
                continue
            counts = 1.0 if weight is None else float(weight.array[classes[place]])
            losses[place] = -counts * x[(place[0], classes[place], *place[1:])]
            total, scale = total + float(losses[place]), scale + counts
        return {"none": losses, "sum": total, "mean": total / scale}[reduction]

    return Case(
        NLLLoss, label, lambda x: ops.nll_loss(x, Tensor(classes), reduction=reduction, **options), (normal(*shape),),
        expected, (0,),
    )  # fmt: skip


CASES: list[Case] = [
    *(case for label in _CONVS for case in _conv_cases(label)),
    *(case for label, (shape, options) in _POOLS.items() for case in _max_pool_cases(label, shape, options)),
    *_max_pool_cases("dilation", (1, 2, 6, 5), {"kernel_size": 2, "stride": (1, 2), "dilation": (2, 3)}),
    *(
        case
        for label, (shape, options) in _POOLS.items()
        for what, include, divisor in (("", True, None), (", without padding", False, None), (", divisor 5", True, 5))
        for case in _avg_pool_cases(f"{label}{what}", shape, options, include, divisor)
    ),
    *(_lrn_case(size, channels) for size, channels in ((5, 6), (3, 4), (4, 5), (1, 2), (7, 3))),
    *(_window_sum_case(before, after) for before, after in ((1, 2), (2, 2), (0, 3))),
    *_batch_norm_cases("images", 3, 2, 2, 3),
    *_batch_norm_cases("rows", 5, 3),
    _nll("mean", (3, 4), [1, 3, 0]),
    _nll("sum", (3, 4), [1, 3, 0], "sum"),
    _nll("none", (3, 4), [1, 3, 0], "none"),
    _nll("weights, ignored", (3, 4), [1, -100, 2], weight=Tensor(np.array([0.5, 2.0, 3.0, 1.0]))),
    _nll("pixels", (2, 3, 2, 2), [[[0, 1], [2, 2]], [[1, 1], [0, -1]]], ignore_index=-1),
]  # fmt: skip
