"""Cases of the reductions and softmaxes; loops over slices, or sums in `math.fsum`, as the reference."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import ops
from ..ops import activation, reduce
from ..tensor import Tensor
from .case import Array, Case, Draw, distinct, normal

_DIMS: dict[str, dict[str, Any]] = {
    "all": {}, "first": {"dim": 0}, "last, kept": {"dim": -1, "keepdim": True}, "two": {"dim": (0, 2)},
}  # fmt: skip
_SHAPE = (2, 3, 4)


def _by_slices(function: Callable[[list[float]], float], options: dict[str, Any]) -> Callable[[Array], Array]:
    """The reference: a function of a list of numbers, applied to each slice."""

    def reference(x: Array) -> Array:
        dim = options.get("dim")
        dims = tuple(range(x.ndim)) if dim is None else dim if isinstance(dim, tuple) else (dim,)
        axes = tuple(int(d) % x.ndim for d in dims)
        rows = np.moveaxis(x, axes, range(len(axes))).reshape(math.prod(x.shape[a] for a in axes), -1)
        kept = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
        y = np.array([function(column.tolist()) for column in rows.T]).reshape(kept)
        return y if options.get("keepdim") else y.squeeze(axes)

    return reference


def _over_dims(
    op: type,
    call: Callable[..., Tensor],
    function: Callable[[list[float]], float],
    draw: Callable[..., Draw] = normal,
    linear: bool = False,
) -> list[Case]:
    return [
        Case(op, label, partial(call, **options), (draw(*_SHAPE),), _by_slices(function, options), (0,) if linear else ())
        for label, options in _DIMS.items()
    ]


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def _var(values: list[float], correction: int) -> float:
    centre = _mean(values)
    return math.fsum((v - centre) ** 2 for v in values) / (len(values) - correction)


def _softmax(x: Array, axis: int) -> Array:
    weights = np.vectorize(math.exp)(x)
    return weights / weights.sum(axis, keepdims=True)


def _log_sum_exp(values: list[float]) -> float:
    return math.log(math.fsum(math.exp(v) for v in values))


CASES: list[Case] = [
    *_over_dims(reduce.Sum, ops.sum, math.fsum, linear=True),
    *_over_dims(reduce.Mean, ops.mean, _mean, linear=True),
    *_over_dims(reduce.Var, lambda x, **o: ops.var(x, correction=0, **o), lambda v: _var(v, 0)),
    *_over_dims(reduce.Var, lambda x, **o: ops.var(x, correction=1, **o), lambda v: _var(v, 1)),
    *_over_dims(reduce.Amax, ops.amax, max, distinct),
    *_over_dims(reduce.Amin, ops.amin, min, distinct),
    *_over_dims(reduce.LogSumExp, lambda x, dim=None, **o: ops.logsumexp(x, dim, **o), _log_sum_exp),
    *_over_dims(reduce.Norm, lambda x, **o: ops.norm(x, **o), lambda v: math.sqrt(math.fsum(t * t for t in v))),
    Case(reduce.Cumsum, "first", lambda x: ops.cumsum(x, 0), (normal(4, 3),), lambda x: np.array(
        [[sum(x[: i + 1, j]) for j in range(3)] for i in range(4)]), (0,)),
    Case(reduce.Cumsum, "last", lambda x: ops.cumsum(x, -1), (normal(2, 5),), lambda x: np.array(
        [[sum(row[: j + 1]) for j in range(5)] for row in x]), (0,)),
    Case(activation.Softmax, "last", lambda x: ops.softmax(x, -1), (normal(3, 4),), lambda x: _softmax(x, -1)),
    Case(activation.Softmax, "channels", lambda x: ops.softmax(x, 1), (normal(2, 3, 2),), lambda x: _softmax(x, 1)),
    Case(activation.LogSoftmax, "last", lambda x: ops.log_softmax(x, -1), (normal(3, 4),), lambda x: np.log(_softmax(x, -1))),
    Case(activation.LogSoftmax, "first", lambda x: ops.log_softmax(x, 0), (normal(4, 2),), lambda x: np.log(_softmax(x, 0))),
]  # fmt: skip
