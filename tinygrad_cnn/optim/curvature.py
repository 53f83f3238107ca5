"""Second derivatives of the loss, one for each weight: LeCun's backward pass of the diagonal.

The full matrix of second derivatives has a row for each weight; its diagonal can be propagated backwards through the
graph, much as gradients are. For a node with inputs x_j and outputs y_i, write g_i = dE/dy_i and h_i for d2E/dy_i2 (with
everything off the diagonal left out). Then

    h_j = sum over i of (dy_i/dx_j)^2 h_i        [ + sum over i of g_i d2y_i/dx_j2 ]

Each op of the network takes the first term only, which is the Gauss-Newton approximation and never negative: a
convolution becomes a convolution with squared weights, and f(x) multiplies by f'(x)^2. The second term counts only in the
cost itself, whose curvature is where everything begins: in the squares of a mean squared error, in the log-softmax of a
cross-entropy, in the distances and the criterion of LeNet-5. A weight that several connections share gets the sum of
theirs, over the positions of a map as over the patterns of a batch.

References
----------
LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", appendix C, equations 22
to 27. Becker, LeCun 1989, "Improving the convergence of back-propagation learning with second-order methods".
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from .. import kernels
from ..autograd.function import AccumulateGrad, Function
from ..autograd.mode import no_grad
from ..autograd.walk import reachable
from ..errors import ArgumentError, AutogradError
from ..kernels import numpy_pool
from ..ops import activation, conv, elementwise, linalg, loss, pool, rbf, rectifier, reduce, shape, smooth
from ..ops.dropout import Dropout
from ..ops.norm import ChannelAffine
from ..tensor import Array, Tensor

Rule: TypeAlias = Callable[[Any, Array, Array], Sequence[Array | None]]
"""From a node, dE/dy and d2E/dy2 to d2E/dx2 for each input, None where there is none."""

RULES: dict[type[Function], Rule] = {}


def curvature_rule(*ops: type[Function]) -> Callable[[Rule], Rule]:
    """Register how second derivatives go through these ops; for an op of your own, too."""

    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(ops, rule))
        return rule

    return register


def diagonal_curvature(losses: Tensor, parameters: Iterable[Tensor]) -> list[Array]:
    """The second derivative of the sum of the losses with respect to each element of each parameter.

    Parameters
    ----------
    losses : Tensor
        With its graph, which stays as it is: a loss with ``reduction="none"`` or ``"sum"``, so that every pattern counts
        as it would alone.
    parameters : iterable of Tensor
        Leaves of the graph.

    Returns
    -------
    list of ndarray
        In the shapes of the parameters, 0 or more; zeros for one that the losses do not depend on.

    Raises
    ------
    AutogradError
        If the graph has an op without a rule here (batch normalization is one: its outputs depend on the whole batch);
        names it and its module.
    ArgumentError
        For losses that were computed without a graph.

    Examples
    --------
    The curvature of (w x - t)^2 is 2 x^2:

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn.optim.curvature import diagonal_curvature
    >>> w = tg.tensor([[0.5]], requires_grad=True)
    >>> losses = tg.mse_loss(tg.linear(tg.tensor([[3.0], [1.0]]), w), tg.zeros(2, 1), reduction="none")
    >>> diagonal_curvature(losses, [w])
    [array([[20.]], dtype=float32)]
    """
    if losses.grad_fn is None:
        raise ArgumentError("diagonal_curvature: the losses have no graph: compute them from parameters, outside no_grad")
    pending = {losses.grad_fn: (np.ones_like(losses.array), np.zeros_like(losses.array))}
    found: dict[Function, Array] = {}
    with no_grad(), np.errstate(all="ignore"):
        for node in reachable([losses.grad_fn]):
            if node not in pending:
                continue
            g, h = pending.pop(node)
            if isinstance(node, AccumulateGrad):
                found[node] = h
                continue
            for edge, gx, hx in zip(node.edges, _gradients(node, g), _rule_of(node)(node, g, h), strict=True):
                if edge is None or gx is None or hx is None:
                    continue
                before = pending.get(edge)
                pending[edge] = (gx, hx) if before is None else (before[0] + gx, before[1] + hx)
    return [found.get(parameter._edge(), np.zeros_like(parameter.array)) for parameter in parameters]


def _rule_of(node: Function) -> Rule:
    for kind in type(node).__mro__:
        if kind in RULES:
            return RULES[kind]
    raise AutogradError(
        f"diagonal_curvature has no rule for {node.described}: how its second derivatives propagate is not known; register "
        "one with optim.curvature.curvature_rule, or use an optimizer that needs gradients only"
    )


def _gradients(node: Function, g: Array) -> tuple[Array | None, ...]:
    """First derivatives, by the node's own rule."""
    returned = node.backward(Tensor(g)) if node.backward_kernel is None else node.backward_kernel(g)
    gradients = returned if isinstance(returned, tuple) else (returned,)
    return tuple([value.array if isinstance(value, Tensor) else value for value in gradients])


# Ops that only move or add values: every dy/dx is 0 or 1, its own square --------------------------------------------


@curvature_rule(
    shape.Reshape, shape.Permute, shape.Expand, shape.GetItem, shape.PutItem, shape.Cat, shape.Flip, shape.Pad,
    elementwise.Clone, elementwise.Cast, elementwise.Add, elementwise.Where, reduce.Sum, pool.ChoosingPool,
)  # fmt: skip
def _moves(node: Function, g: Array, h: Array) -> Sequence[Array | None]:
    return _gradients(node, h)


@curvature_rule(elementwise.Sub, elementwise.Neg)
def _negates(node: Function, g: Array, h: Array) -> Sequence[Array | None]:
    return [None if part is None else np.abs(part) for part in _gradients(node, h)]


# Functions of each element --------------------------------------------------------------------------------------------


@curvature_rule(
    activation.Tanh, activation.Sigmoid, activation.ReLU, activation.LeakyReLU, rectifier.ELU, rectifier.Hardtanh,
    smooth.ScaledTanh, smooth.GELU, smooth.TanhGELU, smooth.SiLU, smooth.Softplus, smooth.Mish, smooth.Softsign,
    elementwise.Abs, elementwise.Clamp, Dropout,
)  # fmt: skip
def _each_element(node: Function, g: Array, h: Array) -> Sequence[Array | None]:
    slope, *rest = _gradients(node, np.ones_like(h))
    assert slope is not None
    return [slope * slope * h, *(None for _ in rest)]


@curvature_rule(reduce.Mean)
def _mean(node: Function, g: Array, h: Array) -> Sequence[Array | None]:
    # Every slope is 1 / n, and so is what a gradient is multiplied by on its way back.
    return _gradients(node, h * (g.size / np.prod(node.input_shapes[0])))


@curvature_rule(elementwise.Mul)
def _product(node: Function, g: Array, h: Array) -> Sequence[Array | None]:
    a, b = node.saved_arrays
    factors = (b, a)
    return [
        None if edge is None else _sum_to(h * np.square(factor), size)
        for edge, factor, size in zip(node.edges, factors, node.input_shapes, strict=True)
    ]


def _sum_to(h: Array, size: tuple[int, ...]) -> Array:
    """Sum over what broadcasting repeated."""
    h = h.sum(tuple(range(h.ndim - len(size))))
    repeated = tuple(i for i, n in enumerate(size) if n == 1 and h.shape[i] != 1)
    return np.asarray(h.sum(repeated, keepdims=True)) if repeated else h


# Layers ---------------------------------------------------------------------------------------------------------------


@curvature_rule(conv.Conv)
def _conv(node: Any, g: Array, h: Array) -> Sequence[Array | None]:
    x, weight = node.saved_arrays
    hx = kernels.conv_input_grad(h, np.square(weight), node.geometry) if node.needs_input_grad[0] else None
    hweight = kernels.conv_weight_grad(np.square(x), h, node.geometry) if node.needs_input_grad[1] else None
    return (hx, hweight, kernels.channel_sum(h))[: len(node.edges)]


@curvature_rule(linalg.Linear)
def _linear(node: Any, g: Array, h: Array) -> Sequence[Array | None]:
    x, weight = node.saved_arrays
    hx = h @ np.square(weight) if node.needs_input_grad[0] else None
    hweight = h.T @ np.square(x) if node.needs_input_grad[1] else None
    return (hx, hweight, h.sum(0))[: len(node.edges)]


@curvature_rule(ChannelAffine)
def _channel_affine(node: Any, g: Array, h: Array) -> Sequence[Array | None]:
    x, scale = node.saved_arrays
    along = (slice(None),) + (None,) * (h.ndim - 2)
    hx = h * np.square(scale)[along] if node.needs_input_grad[0] else None
    hscale = kernels.channel_sum(h * np.square(x)) if node.needs_input_grad[1] else None
    return hx, hscale, kernels.channel_sum(h)


@curvature_rule(pool.AvgPool)
def _avg_pool(node: Any, g: Array, h: Array) -> Sequence[Array | None]:
    divisors = numpy_pool.divisors(node.geometry, node.count_include_pad, node.divisor_override, h.dtype)
    return _gradients(node, h / divisors)


# Costs: here the curvature begins -------------------------------------------------------------------------------------


@curvature_rule(elementwise.Power)
def _power(node: Any, g: Array, h: Array) -> Sequence[Array | None]:
    (x,) = node.saved_arrays
    n = node.exponent
    slope = n * x ** (n - 1)
    # A square above the network is the cost's; below other curvature it is one more nonlinearity.
    own = g * (n * (n - 1) * x ** (n - 2)) if not h.any() else 0
    return [slope * slope * h + own]


@curvature_rule(activation.LogSoftmax)
def _log_softmax(node: Any, g: Array, h: Array) -> Sequence[Array | None]:
    # y_k = x_k - log(sum of e^x): dy_k/dx_i = [k = i] - p_i, and d2y_k/dx_i2 = -p_i (1 - p_i) for every k.
    (y,) = node.saved_arrays
    p = np.exp(y)
    dims = {"axis": node.dim, "keepdims": True}
    through = h * (1 - 2 * p) + p * p * h.sum(**dims)
    return [through - g.sum(**dims) * p * (1 - p)]


@curvature_rule(loss.NLLLoss)
def _nll(node: Any, g: Array, h: Array) -> Sequence[Array | None]:
    target, coefficient = node.saved_arrays
    hx = np.zeros(node.input_shapes[0], h.dtype)
    np.put_along_axis(hx, np.expand_dims(target, 1), np.expand_dims(np.square(coefficient) * h, 1), 1)
    return hx, None, None


@curvature_rule(rbf.RBFMAPLoss)
def _rbf_map(node: Any, g: Array, h: Array) -> Sequence[Array | None]:
    y, target = node.saved_arrays
    p = node.probabilities(y)
    slope = -p
    slope[np.arange(len(y)), target] += 1
    return slope * slope * h[:, None] + g[:, None] * (p * (1 - p)), None


@curvature_rule(rbf.EuclideanRBF)
def _euclidean_rbf(node: Any, g: Array, h: Array) -> Sequence[Array | None]:
    # y_i = sum over j of (x_j - w_ij)^2: slopes 2 (x_j - w_ij), second derivatives 2.
    x, weight = node.saved_arrays
    squares = 4 * np.square(x[:, None] - weight) * h[:, :, None]
    hx = squares.sum(1) + 2 * g.sum(1, keepdims=True)
    hweight = squares.sum(0) + 2 * g.sum(0)[:, None] if node.needs_input_grad[1] else None
    return hx, hweight
