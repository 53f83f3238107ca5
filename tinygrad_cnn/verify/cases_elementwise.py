"""Cases of the elementwise ops: equal shapes, broadcasts both ways, numbers; scalars of `math` as the reference."""

import math
from collections.abc import Callable

import numpy as np

from .. import ops
from ..ops import activation, elementwise
from ..ops.dropout import Dropout
from ..random import default_generator
from ..tensor import Tensor
from .case import Array, Case, Draw, distinct, normal, positive

_BROADCASTS = {
    "same shape": ((2, 3), (2, 3)), "row": ((2, 3), (3,)), "both stretched": ((2, 1, 3), (4, 1)), "number": ((), (2, 2)),
}  # fmt: skip


def _scalars(function: Callable[..., float]) -> Callable[..., Array]:
    """Apply a function of Python floats to every element, after a broadcast."""
    return np.vectorize(function, otypes=[np.float64])


def _binary(
    op: type, call: Callable[..., Tensor], formula: Callable[..., float], draw_a: Callable[..., Draw],
    draw_b: Callable[..., Draw], linear_in: tuple[int, ...] = (),
) -> list[Case]:  # fmt: skip
    return [
        Case(op, label, call, (draw_a(*a), draw_b(*b)), _scalars(formula), linear_in)
        for label, (a, b) in _BROADCASTS.items()
    ]


def _unary(
    op: type, label: str, call: Callable[..., Tensor], formula: Callable[..., float], draw: Callable[..., Draw] = normal,
    linear: bool = False,
) -> Case:  # fmt: skip
    return Case(op, label, call, (draw(3, 4),), _scalars(formula), (0,) if linear else ())


def _offset(*shape: int) -> Draw:
    return distinct(*shape, offset=0.11)


def _where(a: Tensor, b: Tensor) -> Tensor:
    return ops.where(np.array([[True], [False], [True]]), a, b)


def _mask(x: Array) -> Array:
    """The mask that dropout draws, from the same generator."""
    return np.asarray(default_generator().random(x.shape, dtype=np.float32) >= 0.3)


CASES: list[Case] = [
    *_binary(elementwise.Add, ops.add, lambda a, b: a + b, normal, normal, (0, 1)),
    *_binary(elementwise.Sub, ops.sub, lambda a, b: a - b, normal, normal, (0, 1)),
    *_binary(elementwise.Mul, ops.mul, lambda a, b: a * b, normal, normal, (0, 1)),
    *_binary(elementwise.Div, ops.div, lambda a, b: a / b, normal, positive, (0,)),
    *_binary(elementwise.Pow, ops.pow, lambda a, b: a**b, positive, normal),
    *_binary(elementwise.Maximum, ops.maximum, max, distinct, _offset),
    *_binary(elementwise.Minimum, ops.minimum, min, distinct, _offset),
    *_binary(elementwise.Remainder, ops.remainder, lambda a, b: a % b, distinct, positive),
    Case(elementwise.Add, "alpha", lambda a, b: ops.add(a, b, alpha=3), (normal(2, 3), normal(3)),
         lambda a, b: a + 3 * b, (0, 1)),
    Case(elementwise.Mul, "x * x", lambda x: x * x, (normal(3),), lambda x: x**2),
    Case(elementwise.Where, "condition broadcast", _where, (normal(3, 2), normal(2)),
         lambda a, b: np.stack([a[0], b, a[2]]), (0, 1)),
    Case(elementwise.Where, "values broadcast", lambda a, b: ops.where(np.array([True, False]), a, b),
         (normal(1), normal(3, 1)), lambda a, b: np.array([[a[0], b[i, 0]] for i in range(3)]), (0, 1)),
    _unary(elementwise.Neg, "", ops.neg, lambda x: -x, linear=True),
    _unary(elementwise.Power, "squared", ops.square, lambda x: x * x),
    _unary(elementwise.Power, "cubed", lambda x: x**3, lambda x: x * x * x),
    _unary(elementwise.Power, "to the 1st", lambda x: x**1, lambda x: x, linear=True),
    _unary(elementwise.Power, "to the 0th", lambda x: x**0, lambda x: 1.0),
    _unary(elementwise.Power, "reciprocal", ops.reciprocal, lambda x: 1 / x, positive),
    _unary(elementwise.Power, "1 / sqrt", ops.rsqrt, lambda x: 1 / math.sqrt(x), positive),
    _unary(elementwise.Exp, "", ops.exp, math.exp),
    _unary(elementwise.Exp, "base 2", ops.exp2, lambda x: 2.0**x),
    _unary(elementwise.Expm1, "", ops.expm1, math.expm1),
    _unary(elementwise.Log, "", ops.log, math.log, positive),
    _unary(elementwise.Log, "base 2", ops.log2, math.log2, positive),
    _unary(elementwise.Log, "base 10", ops.log10, math.log10, positive),
    _unary(elementwise.Log1p, "", ops.log1p, math.log1p, positive),
    _unary(elementwise.Sqrt, "", ops.sqrt, math.sqrt, positive),
    _unary(elementwise.Sin, "", ops.sin, math.sin),
    _unary(elementwise.Cos, "", ops.cos, math.cos),
    _unary(elementwise.Tan, "", ops.tan, math.tan, positive),
    _unary(elementwise.Sinh, "", ops.sinh, math.sinh),
    _unary(elementwise.Cosh, "", ops.cosh, math.cosh),
    _unary(elementwise.Abs, "", ops.abs, abs, distinct),
    _unary(elementwise.Clamp, "both ends", lambda x: ops.clamp(x, -0.8, 1.2), lambda x: min(max(x, -0.8), 1.2), distinct),
    _unary(elementwise.Clamp, "from below", lambda x: ops.clamp(x, min=0.3), lambda x: max(x, 0.3), distinct),
    _unary(elementwise.Clamp, "from above", lambda x: ops.clamp(x, max=0.3), lambda x: min(x, 0.3), distinct),
    _unary(elementwise.PiecewiseConstant, "floor", ops.floor, math.floor, distinct),
    _unary(elementwise.PiecewiseConstant, "ceil", ops.ceil, math.ceil, distinct),
    _unary(elementwise.PiecewiseConstant, "round", ops.round, round, distinct),
    _unary(elementwise.PiecewiseConstant, "sign", ops.sign, lambda x: math.copysign(1, x), distinct),
    # To a wider type than float64, so that the finite differences keep their digits.
    _unary(elementwise.Cast, "long double", lambda x: x.to(np.longdouble), lambda x: x, linear=True),
    _unary(elementwise.Clone, "", ops.clone, lambda x: x, linear=True),
    _unary(activation.ReLU, "", ops.relu, lambda x: max(x, 0.0), distinct),
    _unary(activation.LeakyReLU, "slope 0.2", lambda x: ops.leaky_relu(x, 0.2), lambda x: x if x > 0 else 0.2 * x, distinct),
    _unary(activation.Sigmoid, "", ops.sigmoid, lambda x: 1 / (1 + math.exp(-x))),
    _unary(activation.Tanh, "", ops.tanh, math.tanh),
    Case(Dropout, "p = 0.3", lambda x: ops.dropout(x, 0.3), (normal(4, 5),),
         lambda x: np.where(_mask(x), x / 0.7, 0.0), (0,)),
    Case(Dropout, "p = 1", lambda x: ops.dropout(x, 1.0), (normal(2, 2),), np.zeros_like, (0,)),
]  # fmt: skip
