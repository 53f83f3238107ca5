"""A thin adapter from ONNX graphs to our ops: enough to run the test vectors that the `onnx` package carries.

Each function here takes a node's attributes and its inputs and calls *our* op; what ONNX spells differently (flat indices
over the whole tensor, pads in two halves, axes as inputs since some version) is respelled, and nothing is computed here
that we have an op for. A node that asks for something that we do not have raises `UnsupportedError` with the reason.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from tinygrad_cnn import ops
from tinygrad_cnn.tensor import Tensor


class UnsupportedError(Exception):
    """The node asks for something that we do not have; the message says what."""


@dataclass
class Node:
    """A node's attributes, with the version of the operator set that gives them their meaning."""

    attributes: dict[str, Any]
    opset: int
    outputs: int

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute; text as str."""
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value


Op = Callable[..., Any]
OPS: dict[str, Op] = {}


def op(*names: str) -> Callable[[Op], Op]:
    """Register a function for operators."""

    def register(function: Op) -> Op:
        OPS.update(dict.fromkeys(names, function))
        return function

    return register


def run(model: onnx.ModelProto, inputs: Sequence[Any]) -> list[Any]:
    """Run a model's graph on arrays; returns its outputs as arrays."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    values: dict[str, Any] = {"": None}
    values.update({entry.name: Tensor(numpy_helper.to_array(entry).copy()) for entry in model.graph.initializer})
    fed = [entry.name for entry in model.graph.input if entry.name not in values]
    values.update({name: Tensor(np.asarray(array)) for name, array in zip(fed, inputs, strict=False)})
    for node in model.graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type not in OPS:
            raise UnsupportedError(f"no op {node.op_type}")
        results = OPS[node.op_type](Node(attributes, opset, len(node.output)), *[values[name] for name in node.input])
        made = results if isinstance(results, tuple) else (results,)
        values.update(zip(node.output, made, strict=False))
    return [values[entry.name].detach().numpy() for entry in model.graph.output]


def _ints(value: Any) -> list[int]:
    return [int(v) for v in (value.tolist() if isinstance(value, Tensor) else value)]


def _axes(node: Node, given: Tensor | None, name: str = "axes") -> list[int] | None:
    """Axes are an attribute in older versions and an input in newer ones."""
    if given is not None:
        return _ints(given)
    return _ints(node.get(name)) if node.get(name) is not None else None


# Elementwise ----------------------------------------------------------------------------------------------------------

_UNARY: dict[str, Op] = {
    "Abs": ops.abs, "Ceil": ops.ceil, "Cos": ops.cos, "Cosh": ops.cosh, "Exp": ops.exp, "Floor": ops.floor, "Log": ops.log,
    "Neg": ops.neg, "Not": ops.logical_not, "BitwiseNot": ops.bitwise_not, "Reciprocal": ops.reciprocal, "Relu": ops.relu,
    "Round": ops.round, "Sigmoid": ops.sigmoid, "Sign": ops.sign, "Sin": ops.sin, "Sinh": ops.sinh, "Sqrt": ops.sqrt,
    "Tan": ops.tan, "Tanh": ops.tanh, "IsNaN": ops.isnan, "Identity": ops.clone, "Mish": ops.mish,
    "Softsign": ops.softsign, "Softplus": ops.softplus, "HardSwish": ops.hardswish, "Erf": ops.erf,
}  # fmt: skip
OPS.update({name: lambda node, x, f=function: f(x) for name, function in _UNARY.items()})

_BINARY: dict[str, Op] = {
    "Sub": ops.sub, "Mul": ops.mul, "Pow": ops.pow, "Equal": ops.eq, "Less": ops.lt, "LessOrEqual": ops.le,
    "Greater": ops.gt, "GreaterOrEqual": ops.ge, "And": ops.bitwise_and, "Or": ops.bitwise_or, "Xor": ops.bitwise_xor,
    "BitwiseAnd": ops.bitwise_and, "BitwiseOr": ops.bitwise_or, "BitwiseXor": ops.bitwise_xor, "MatMul": ops.matmul,
}  # fmt: skip
OPS.update({name: lambda node, a, b, f=function: f(a, b) for name, function in _BINARY.items()})


@op("Pow")
def _pow(node: Node, a: Tensor, b: Tensor) -> Tensor:
    return ops.pow(a, b).to(a.dtype)  # ONNX: the result has the base's type


@op("Add")
def _add(node: Node, a: Tensor, b: Tensor) -> Tensor:
    if node.opset < 7 and node.get("broadcast") and node.get("axis") is not None:
        b = b.reshape(b.shape + (1,) * (a.ndim - node.get("axis") - b.ndim))
    return ops.add(a, b)


@op("Div")
def _div(node: Node, a: Tensor, b: Tensor) -> Tensor:
    if a.is_floating_point():
        return ops.div(a, b)
    raise UnsupportedError("integer division: ours is true division, as PyTorch's")


@op("Mod")
def _mod(node: Node, a: Tensor, b: Tensor) -> Tensor:
    if node.get("fmod"):
        raise UnsupportedError("fmod: ours is the remainder with the divisor's sign")
    return ops.remainder(a, b)


@op("IsInf")
def _isinf(node: Node, x: Tensor) -> Tensor:
    found = ops.isinf(x)
    found = found & (x < 0) if node.get("detect_positive", 1) == 0 else found
    return found & (x > 0) if node.get("detect_negative", 1) == 0 else found


def _folded(function: Op) -> Op:
    def fold(node: Node, *inputs: Tensor) -> Tensor:
        result = inputs[0]
        for x in inputs[1:]:
            result = function(result, x)
        return result

    return fold


OPS["Max"], OPS["Min"], OPS["Sum"] = _folded(ops.maximum), _folded(ops.minimum), _folded(ops.add)
OPS["Mean"] = lambda node, *inputs: _folded(ops.add)(node, *inputs) / len(inputs)


@op("Where")
def _where(node: Node, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return ops.where(condition, a, b)


@op("Clip")
def _clip(node: Node, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    bounds = [given.item() if given is not None else node.get(name) for given, name in ((low, "min"), (high, "max"))]
    return x if bounds == [None, None] else ops.clamp(x, *bounds)


@op("LeakyRelu")
def _leaky(node: Node, x: Tensor) -> Tensor:
    return ops.leaky_relu(x, node.get("alpha", 0.01))


@op("PRelu")
def _prelu(node: Node, x: Tensor, slope: Tensor) -> Tensor:
    # Ours takes one slope, or one for each channel; ONNX anything that broadcasts.
    if slope.numel() == 1 or (x.ndim > 1 and slope.numel() == x.shape[1] and slope.ndim in (1, x.ndim - 1) and node.opset < 7):
        return ops.prelu(x, slope.reshape(-1))
    if slope.ndim == x.ndim - 1 and slope.numel() == slope.shape[0] == x.shape[1]:
        return ops.prelu(x, slope.reshape(-1))
    return ops.maximum(x, 0.0) + slope * ops.minimum(x, 0.0)


@op("Elu")
def _elu(node: Node, x: Tensor) -> Tensor:
    return ops.elu(x, node.get("alpha", 1.0))


@op("Celu")
def _celu(node: Node, x: Tensor) -> Tensor:
    return ops.celu(x, node.get("alpha", 1.0))


@op("Selu")
def _selu(node: Node, x: Tensor) -> Tensor:
    if "alpha" in node.attributes or "gamma" in node.attributes:
        return ops.elu(x, node.get("alpha", 1.6732632423543772)) * node.get("gamma", 1.0507009873554805)
    return ops.selu(x)


@op("Gelu")
def _gelu(node: Node, x: Tensor) -> Tensor:
    return ops.gelu(x, approximate=node.get("approximate", "none"))


@op("HardSigmoid")
def _hardsigmoid(node: Node, x: Tensor) -> Tensor:
    return ops.clamp(x * node.get("alpha", 0.2) + node.get("beta", 0.5), 0.0, 1.0)


@op("ThresholdedRelu")
def _thresholded(node: Node, x: Tensor) -> Tensor:
    return ops.threshold(x, node.get("alpha", 1.0), 0.0)


@op("Shrink")
def _shrink(node: Node, x: Tensor) -> Tensor:
    lambd, bias = node.get("lambd", 0.5), node.get("bias", 0.0)
    if bias == lambd:
        return ops.softshrink(x, lambd)
    if bias == 0:
        return ops.hardshrink(x, lambd)
    raise UnsupportedError("a shrink whose bias is neither 0 nor lambda")


@op("Swish")
def _swish(node: Node, x: Tensor) -> Tensor:
    alpha = node.get("alpha", 1.0)
    return ops.silu(x) if alpha == 1 else x * ops.sigmoid(x * alpha)


def _softmax_like(function: Op) -> Op:
    def softmax(node: Node, x: Tensor) -> Tensor:
        if node.opset >= 13:
            return function(x, node.get("axis", -1))
        axis = node.get("axis", 1) % x.ndim  # older: everything from the axis on is one dimension
        return function(x.reshape(int(np.prod(x.shape[:axis])), -1), 1).reshape(x.shape)

    return softmax


OPS["Softmax"], OPS["LogSoftmax"] = _softmax_like(ops.softmax), _softmax_like(ops.log_softmax)

# Shape ----------------------------------------------------------------------------------------------------------------


@op("Constant")
def _constant(node: Node) -> Tensor:
    return Tensor(numpy_helper.to_array(node.attributes["value"]).copy())


@op("Reshape")
def _reshape(node: Node, x: Tensor, shape: Tensor | None = None) -> Tensor:
    sizes = _axes(node, shape, "shape")
    assert sizes is not None
    if not node.get("allowzero"):
        sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(sizes)]
    return ops.reshape(x, sizes)


@op("Flatten")
def _flatten(node: Node, x: Tensor) -> Tensor:
    axis = node.get("axis", 1)
    return ops.reshape(x, int(np.prod(x.shape[:axis], dtype=int)), int(np.prod(x.shape[axis:], dtype=int)))


@op("Transpose")
def _transpose(node: Node, x: Tensor) -> Tensor:
    return ops.permute(x, node.get("perm") or list(reversed(range(x.ndim))))


@op("Squeeze")
def _squeeze(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    return ops.squeeze(x, _axes(node, axes))


@op("Unsqueeze")
def _unsqueeze(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    places = _axes(node, axes) or []
    ndim = x.ndim + len(places)
    for axis in sorted(axis % ndim for axis in places):
        x = ops.unsqueeze(x, axis)
    return x


@op("Expand")
def _expand(node: Node, x: Tensor, shape: Tensor) -> Tensor:
    return ops.expand(x, np.broadcast_shapes(x.shape, tuple(_ints(shape))))


@op("Tile")
def _tile(node: Node, x: Tensor, counts: Tensor) -> Tensor:
    return ops.repeat(x, _ints(counts))


@op("Concat")
def _concat(node: Node, *inputs: Tensor) -> Tensor:
    return ops.cat(inputs, node.get("axis", 1))


@op("Split")
def _split(node: Node, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = node.get("axis", 0)
    pieces = _axes(node, sizes, "split")
    return ops.split(x, pieces, axis) if pieces else ops.chunk(x, node.get("num_outputs") or node.outputs, axis)


@op("Slice")
def _slice(
    node: Node, x: Tensor, starts: Tensor | None = None, ends: Tensor | None = None, axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:  # fmt: skip
    first, last = _axes(node, starts, "starts"), _axes(node, ends, "ends")
    assert first is not None
    assert last is not None
    places = _axes(node, axes) or list(range(len(first)))
    index: list[Any] = [slice(None)] * x.ndim
    strides = _ints(steps) if steps is not None else [1] * len(first)
    for axis, start, stop, step in zip(places, first, last, strides, strict=True):
        # Python reads a large negative stop as "nothing"; ONNX as "to the beginning".
        index[axis] = slice(start, None if step < 0 and stop < -x.shape[axis] else stop, step)
    return x[tuple(index)]


@op("Gather")
def _gather(node: Node, x: Tensor, index: Tensor) -> Tensor:
    return x[(slice(None),) * (node.get("axis", 0) % x.ndim) + (index,)]


@op("GatherElements")
def _gather_elements(node: Node, x: Tensor, index: Tensor) -> Tensor:
    return ops.gather(x, node.get("axis", 0), index)


@op("Pad")
def _pad(
    node: Node, x: Tensor, pads: Tensor | None = None, value: Tensor | None = None, axes: Tensor | None = None
) -> Tensor:
    border = _axes(node, pads, "pads") or _ints(node.get("paddings"))
    places = [a % x.ndim for a in _ints(axes)] if axes is not None else list(range(x.ndim))
    half = len(border) // 2
    pairs = {axis: (border[i], border[half + i]) for i, axis in enumerate(places)}
    spelled = [n for axis in reversed(range(x.ndim)) for n in pairs.get(axis, (0, 0))]
    mode = {"edge": "replicate", "wrap": "circular"}.get(node.get("mode", "constant"), node.get("mode", "constant"))
    fill = value.item() if value is not None else node.get("value", 0.0)
    return ops.pad(x, spelled, mode, fill if mode == "constant" else None)


@op("DepthToSpace")
def _depth_to_space(node: Node, x: Tensor) -> Tensor:
    b = node.get("blocksize")
    if node.get("mode", "DCR") == "CRD":
        return ops.pixel_shuffle(x, b)
    n, c, h, w = x.shape
    # DCR has the block's position outside the channel; ours (CRD) has it inside.
    return ops.pixel_shuffle(x.reshape(n, b * b, c // (b * b), h, w).transpose(1, 2).reshape(n, c, h, w), b)


@op("SpaceToDepth")
def _space_to_depth(node: Node, x: Tensor) -> Tensor:
    b = node.get("blocksize")
    y = ops.pixel_unshuffle(x, b)
    if node.get("mode", "DCR") == "CRD":
        return y
    n, c, h, w = y.shape
    return y.reshape(n, c // (b * b), b * b, h, w).transpose(1, 2).reshape(n, c, h, w)


# Reductions and products ------------------------------------------------------------------------------------------------


def _reduction(function: Op) -> Op:
    def reduce(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
        dims = _axes(node, axes)
        if not dims and node.get("noop_with_empty_axes"):
            return function(x, (), True) if function in _ELEMENTWISE_FIRST else x
        if function in (ops.amax, ops.amin) and x.numel() == 0:
            raise UnsupportedError("the maximum of nothing: ours raises, as PyTorch's")
        return function(x, tuple(dims) if dims else None, bool(node.get("keepdims", 1)))

    return reduce


def _several(function: Op) -> Op:
    """For an op that takes one dimension at a time."""

    def reduce(x: Tensor, dims: tuple[int, ...] | None, keepdim: bool) -> Tensor:
        for dim in range(x.ndim) if dims is None else dims:
            x = function(x, dim, True)
        places = tuple(range(x.ndim)) if dims is None else dims
        return x if keepdim else x.squeeze(places)

    return reduce


def _sum_of(function: Op) -> Op:
    return lambda x, dims, keepdim: function(x) if dims == () else ops.sum(function(x), dims, keepdim)


def _log_sum(x: Tensor, dims: Any, keepdim: bool) -> Tensor:
    return ops.log(x) if dims == () else ops.log(ops.sum(x, dims, keepdim))


def _log_sum_exp(x: Tensor, dims: Any, keepdim: bool) -> Tensor:
    return x if dims == () else ops.logsumexp(x, dims, keepdim)


def _l2(x: Tensor, dims: Any, keepdim: bool) -> Tensor:
    return ops.abs(x) if dims == () else ops.norm(x, 2, dims, keepdim)


_L1, _SQUARES = _sum_of(ops.abs), _sum_of(ops.square)
_ELEMENTWISE_FIRST = (_L1, _SQUARES, _log_sum, _log_sum_exp, _l2)

_REDUCTIONS: dict[str, Op] = {
    "ReduceSum": ops.sum, "ReduceMean": ops.mean, "ReduceMax": ops.amax, "ReduceMin": ops.amin,
    "ReduceProd": _several(ops.prod), "ReduceL1": _L1, "ReduceSumSquare": _SQUARES, "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": _log_sum_exp, "ReduceL2": _l2,
}  # fmt: skip
OPS.update({name: _reduction(function) for name, function in _REDUCTIONS.items()})


def _position(function: Op) -> Op:
    def find(node: Node, x: Tensor) -> Tensor:
        axis, keepdim = node.get("axis", 0), bool(node.get("keepdims", 1))
        if not node.get("select_last_index"):
            return function(x, axis, keepdim)
        return x.shape[axis] - 1 - function(ops.flip(x, axis), axis, keepdim)

    return find


OPS["ArgMax"], OPS["ArgMin"] = _position(ops.argmax), _position(ops.argmin)


@op("CumSum")
def _cumsum(node: Node, x: Tensor, axis: Tensor) -> Tensor:
    dim = int(axis.item())
    turned = ops.flip(x, dim) if node.get("reverse") else x
    y = ops.cumsum(turned, dim)
    y = y - turned if node.get("exclusive") else y
    return ops.flip(y, dim) if node.get("reverse") else y


@op("Gemm")
def _gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a, b = (a.T if node.get("transA") else a), (b.T if node.get("transB") else b)
    y = ops.matmul(a, b) * node.get("alpha", 1.0)
    return y if c is None else y + c * node.get("beta", 1.0)


@op("Einsum")
def _einsum(node: Node, *inputs: Tensor) -> Tensor:
    return ops.einsum(node.get("equation"), *inputs)
