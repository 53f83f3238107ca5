"""Cases of the nonlinearities: formulas of Python floats as the reference, parameters at values where each one shows.

The rectifiers' inputs keep away from their kinks by `distinct`; the smooth ones are drawn from -2.6 to 2.6 or so.
"""

import math
from collections.abc import Callable

import numpy as np

from .. import ops
from ..autograd.function import Function
from ..ops import activation, elementwise, rectifier, reduce, smooth
from ..random import default_generator
from ..tensor import Tensor
from .case import Array, Case, Draw, distinct, normal

Formula = Callable[..., float]


def _unary(
    op: type[Function], label: str, call: Callable[[Tensor], Tensor], formula: Formula, draw: Callable[..., Draw] = normal
) -> Case:
    return Case(op, label, call, (draw(3, 4),), np.vectorize(formula, otypes=[np.float64]))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _erf(x: float) -> float:
    """The Taylor series; its terms fall fast for the small arguments here."""
    terms = [(-1) ** n * x ** (2 * n + 1) / (math.factorial(n) * (2 * n + 1)) for n in range(80)]
    return 2 / math.sqrt(math.pi) * math.fsum(terms)


def _tanh_gelu(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _softplus(x: float, beta: float = 1.0, threshold: float = 20.0) -> float:
    return x if beta * x > threshold else math.log(1 + math.exp(beta * x)) / beta


def _elu(alpha: float, scale: float = 1.0, rate: float = 1.0) -> Formula:
    return lambda x: scale * (x if x > 0 else alpha * (math.exp(rate * x) - 1))


def _limited(low: float, high: float) -> Formula:
    return lambda x: low if x < low else high if x > high else x


def _shrunk(lambd: float) -> Formula:
    return lambda x: math.copysign(max(abs(x) - lambd, 0.0), x)


def _slopes(x: Array) -> Array:
    """The slopes that RReLU draws, from the same generator."""
    return np.asarray(default_generator().uniform(0.2, 0.7, x.shape))


def _glu(x: Array) -> Array:
    return np.array([[[x[0, i, j] * _sigmoid(x[0, i + 2, j]) for j in range(3)] for i in range(2)]])


def _softmin(x: Array) -> Array:
    return np.array([[math.exp(-v) / sum(math.exp(-w) for w in row) for v in row] for row in x.tolist()])


_RECTIFIERS: list[Case] = [
    Case(rectifier.PReLU, "a slope for each channel", ops.prelu, (distinct(2, 3, 2), normal(3)),
         lambda x, w: np.stack([np.where(x[:, c] > 0, x[:, c], w[c] * x[:, c]) for c in range(3)], 1)),
    Case(rectifier.PReLU, "one slope", ops.prelu, (distinct(2, 3), normal(1)), lambda x, w: np.where(x > 0, x, w * x)),
    Case(rectifier.PReLU, "a number", ops.prelu, (distinct(4), normal()), lambda x, w: np.where(x > 0, x, w * x)),
    Case(rectifier.RReLU, "", lambda x: ops.rrelu(x, 0.2, 0.7, training=True), (distinct(3, 4),),
         lambda x: np.where(x > 0, x, _slopes(x) * x)),
    Case(rectifier.ELU, "all parameters", lambda x: rectifier.ELU.apply(x, alpha=1.3, scale=0.8, rate=1.7),
         (distinct(3, 4),), np.vectorize(_elu(1.3, 0.8, 1.7))),
    Case(elementwise.Where, "threshold", lambda x: ops.threshold(x, 0.3, -1.7), (distinct(3, 4),),
         lambda x: np.where(x > 0.3, x, -1.7)),
    Case(reduce.Amax, "maxout", lambda x: ops.maxout(x, 3), (distinct(2, 6, 2),),
         lambda x: np.stack([x[:, :3].max(1), x[:, 3:].max(1)], 1)),
    Case(reduce.Amax, "maxout, last dimension", lambda x: ops.maxout(x, 2, dim=-1), (distinct(2, 6),),
         lambda x: np.array([[max(row[i : i + 2]) for i in (0, 2, 4)] for row in x.tolist()])),
    _unary(activation.LeakyReLU, "rrelu at test time", lambda x: ops.rrelu(x, 0.2, 0.7),
           lambda x: x if x > 0 else 0.45 * x, distinct),
    _unary(rectifier.ELU, "elu", lambda x: ops.elu(x, 0.7), _elu(0.7), distinct),
    _unary(rectifier.ELU, "celu", lambda x: ops.celu(x, 0.6), _elu(0.6, rate=1 / 0.6), distinct),
    _unary(rectifier.ELU, "selu", ops.selu, _elu(1.6732632423543772, 1.0507009873554805), distinct),
    _unary(rectifier.Hardtanh, "", lambda x: ops.hardtanh(x, -0.8, 1.2), _limited(-0.8, 1.2), distinct),
    _unary(rectifier.Hardtanh, "relu6", lambda x: ops.relu6(4 * x), lambda x: _limited(0, 6)(4 * x), distinct),
    _unary(rectifier.Hardtanh, "hardsigmoid", lambda x: ops.hardsigmoid(2 * x),
           lambda x: _limited(0, 6)(2 * x + 3) / 6, distinct),
    _unary(rectifier.Hardtanh, "hardswish", lambda x: ops.hardswish(2 * x),
           lambda x: 2 * x * _limited(0, 6)(2 * x + 3) / 6, distinct),
    _unary(elementwise.Clamp, "softshrink", lambda x: ops.softshrink(x, 0.8), _shrunk(0.8), distinct),
    _unary(elementwise.Where, "hardshrink", lambda x: ops.hardshrink(x, 0.8),
           lambda x: x if abs(x) > 0.8 else 0.0, distinct),
]  # fmt: skip

_SMOOTH: list[Case] = [
    _unary(smooth.Erf, "", ops.erf, _erf),
    _unary(smooth.Erfc, "", ops.erfc, lambda x: 1 - _erf(x)),
    _unary(smooth.GELU, "", ops.gelu, lambda x: x * (1 + _erf(x / math.sqrt(2))) / 2),
    _unary(smooth.TanhGELU, "", lambda x: ops.gelu(x, approximate="tanh"), _tanh_gelu),
    _unary(smooth.SiLU, "", ops.silu, lambda x: x * _sigmoid(x)),
    _unary(smooth.Mish, "", ops.mish, lambda x: x * math.tanh(_softplus(x))),
    _unary(smooth.Softsign, "", ops.softsign, lambda x: x / (1 + abs(x)), distinct),
    _unary(smooth.Softplus, "", ops.softplus, _softplus),
    _unary(smooth.Softplus, "beta", lambda x: ops.softplus(x, beta=2.5), lambda x: _softplus(x, 2.5)),
    _unary(smooth.Softplus, "negative beta", lambda x: ops.softplus(x, beta=-0.7), lambda x: _softplus(x, -0.7)),
    _unary(smooth.Softplus, "threshold", lambda x: ops.softplus(x, beta=2.0, threshold=1.0),
           lambda x: _softplus(x, 2.0, 1.0), distinct),
    _unary(smooth.Softplus, "logsigmoid", ops.logsigmoid, lambda x: math.log(_sigmoid(x))),
    _unary(smooth.ScaledTanh, "scaled_tanh", ops.scaled_tanh, lambda x: 1.7159 * math.tanh(2 / 3 * x)),
    _unary(activation.Tanh, "tanhshrink", ops.tanhshrink, lambda x: x - math.tanh(x)),
    Case(activation.Softmax, "softmin", lambda x: ops.softmin(x, dim=1), (normal(2, 4),), _softmin),
    Case(activation.Sigmoid, "glu", lambda x: ops.glu(x, dim=1), (normal(1, 4, 3),), _glu),
]  # fmt: skip

CASES: list[Case] = [*_RECTIFIERS, *_SMOOTH]
