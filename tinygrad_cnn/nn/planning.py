"""plan: the shapes all through a network, without computing anything.

    >>> from tinygrad_cnn import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten())
    >>> nn.plan(net, (3, 224, 224)).output_shape
    (1, 46656)

The network's own code runs once, whatever it does (skips, concatenations, views), on arrays that have a shape and no values
(`kernels.shape_only`). An observer notes what every op makes, and hooks note what every module is given and returns. Where
the shapes clash, `plan_explained` makes a message of these notes.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np

from ..autograd.function import Function
from ..autograd.mode import STATE, no_grad
from ..autograd.observers import Observer
from ..errors import ArgumentError, ShapeError
from ..kernels.shape_only import ShapeOnly, kernels_on_shapes, shape_only
from ..ops.conv import Conv, ConvInputGrad, ConvWeightGrad
from ..ops.conv_transpose import ConvTranspose
from ..ops.linalg import Einsum, MatMul
from ..ops.linalg import Linear as LinearOp
from ..random import drawing_from
from ..tensor import Tensor, get_default_dtype
from .module import Module
from .parameter import Parameter, WithoutValues
from .skip_init import skip_init

Shape = tuple[int, ...]


class ParameterSize(NamedTuple):
    """How large a parameter is; of a lazy one, how large it would be.

    Attributes
    ----------
    key : int
        The parameter's id, by which a shared one is known.
    elements, bytes : int
    trainable : bool
    """

    key: int
    elements: int
    bytes: int
    trainable: bool

    @classmethod
    def of(cls, parameter: Parameter) -> Self:
        """The size of a parameter that has a shape."""
        return cls(id(parameter), parameter.numel(), parameter.array.nbytes, parameter.requires_grad)


@dataclass
class Call:
    """One call of one module, as `plan` saw it.

    Attributes
    ----------
    path : str
        Such as ``"features.3"``; ``""`` for the network itself.
    module : Module
    input_shapes : tuple of shapes
        Of the positional arguments that are tensors.
    output_shape : tuple of int, or tuple of such, or None
        Of the tensor, or the tensors, that it returned; None where the call was not finished.
    parameters : tuple of ParameterSize
        Its own; those of its parts are not among them.
    mult_adds : int
        Multiplications that are added up, in its own ops: those of its parts are not counted.
    activation_bytes : int
        What its own ops made, views not counted.
    """

    path: str
    module: Module
    input_shapes: tuple[Shape, ...]
    output_shape: Any = None
    parameters: tuple[ParameterSize, ...] = ()
    mult_adds: int = 0
    activation_bytes: int = 0


@dataclass
class Plan:
    """What `plan` found.

    Attributes
    ----------
    calls : list of Call
        Every call of every module, in the order in which they began.
    input_shapes : tuple of shapes
        With the batch.
    output_shape : tuple of int, or tuple of such
    """

    calls: list[Call] = field(repr=False)
    input_shapes: tuple[Shape, ...]
    output_shape: Any

    def __getitem__(self, path: str) -> Any:
        """The output shape of the module at a path, at its last call."""
        for call in reversed(self.calls):
            if call.path == path:
                return call.output_shape
        known = ", ".join(dict.fromkeys(repr(call.path) for call in self.calls))
        raise KeyError(f"no module ran at {path!r}; there are {known}")

    @property
    def mult_adds(self) -> int:
        """Multiply-adds of the whole forward pass."""
        return sum(call.mult_adds for call in self.calls)

    @property
    def shapes(self) -> dict[str, Any]:
        """The output shape of each path, at its last call, in the order in which the calls began."""
        return {call.path: call.output_shape for call in self.calls}


def plan(model: Module, input_size: Sequence[Any], *, batch_size: int = 1, dtype: Any = None) -> Plan:
    """Infer all shapes of a network for an input size, without computing; or explain where they clash.

    The model is left as it was: its mode, its running statistics, lazy layers and the random generator too.

    Parameters
    ----------
    model : Module
    input_size : tuple of int, or sequence of such
        The shape of one sample, without the batch: ``(3, 224, 224)``. One for each argument of `forward`.
    batch_size : int
        How many samples.
    dtype : dtype, optional
        Of the inputs; that of the model's parameters if not given.

    Returns
    -------
    Plan

    Raises
    ------
    ShapeError
        Where shapes do not fit: the path of the module, the arithmetic that led to its input, and the nearest fix.
    ArgumentError
        For an input size that is none, and for a forward pass that depends on values.

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 8, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 12 * 12, 10))
    >>> nn.plan(net, (1, 28, 28)).shapes
    {'': (1, 10), '0': (1, 8, 24, 24), '1': (1, 8, 12, 12), '2': (1, 1152), '3': (1, 10)}
    >>> nn.plan(net, (1, 32, 32))
    Traceback (most recent call last):
        ...
    tinygrad_cnn.errors.ShapeError: plan: 3 does not fit.
      1 gives (n, 8, 14, 14); flattened 8*14*14 = 1568, but 3 is Linear(1152, 10) and expects 1152.
      Nearest fix: 3 = Linear(1568, 10), or an input of 29x29 instead of 32x32.
    """
    from .plan_explained import explained

    sizes = _sizes(input_size)
    watch = Watch()
    try:
        output = watch.run(model, [(batch_size, *size) for size in sizes], dtype)
    except ShapeError as error:
        raise explained(error, watch, model, sizes, batch_size, dtype) from error
    return Plan(watch.calls, tuple((batch_size, *size) for size in sizes), shapes_of(output))


def _sizes(input_size: Any) -> list[Shape]:
    several = list(input_size) if isinstance(input_size, Sequence) else [input_size]
    if several and all(isinstance(size, int) for size in several):
        several = [several]
    sizes = [tuple(size) for size in several if isinstance(size, Sequence)]
    if not sizes or len(sizes) < len(several) or not all(isinstance(n, int) and n >= 0 for size in sizes for n in size):
        raise ArgumentError(
            f"plan: input_size must be the shape of one sample without the batch, such as (3, 224, 224), or one for each "
            f"argument of forward; got {input_size!r}"
        )
    return sizes


def shapes_of(value: Any) -> Any:
    """The shape of a tensor; of a tuple, list or dict of tensors, those of its parts; None of anything else."""
    if isinstance(value, Tensor):
        return value.shape
    if isinstance(value, dict):
        return {key: shapes_of(part) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(shapes_of(part) for part in value)
    return None


class Watch(Observer):
    """One run of a model on shapes, and the notes that were taken.

    Attributes
    ----------
    calls : list of Call
    running : list of Call
        Those that had begun and not ended when the run stopped: after an error, the innermost is the one it came from.
    made : list of (str, Shape)
        The path of the module and the shape of the output, for each op.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.running: list[Call] = []
        self.made: list[tuple[str, Shape]] = []
        self._outside = Call("", Module(), ())

    def run(self, model: Module, shapes: Sequence[Shape], dtype: Any) -> Any:
        """Call the model on inputs of these shapes."""
        if dtype is None:
            kinds = [p.dtype for p in model.parameters() if p.dtype.kind == "f"]
            dtype = kinds[0] if kinds else get_default_dtype()
        inputs = [Tensor(shape_only(shape, dtype)) for shape in shapes]
        modules = list(model.modules())
        handles = []
        previous = STATE.observer, STATE.module, STATE.module_path
        with _left_as_it_was(modules), kernels_on_shapes(), no_grad(), drawing_from(_FewDraws()):
            # Also inside another module's forward, paths begin at this model.
            STATE.observer, STATE.module, STATE.module_path = self, None, ""
            try:
                for module in modules:
                    handles.append(module.register_forward_pre_hook(self._begins))
                    handles.append(module.register_forward_hook(self._ends))
                return skip_init(model, *inputs)
            finally:
                STATE.observer, STATE.module, STATE.module_path = previous
                for handle in handles:
                    handle.remove()

    def after_forward(self, node: Function, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Note what an op made (called by every op), and forget values that it computed after all."""
        if not any(type(x.array) is ShapeOnly for x in inputs):
            return
        if type(output.array) is not ShapeOnly:
            output.array = shape_only(output.shape, output.dtype)
        self.made.append((STATE.module_path, output.shape))
        call = self.running[-1] if self.running else self._outside
        call.mult_adds += mult_adds(node, [x.shape for x in inputs], output.shape)
        if not node.is_view:
            call.activation_bytes += output.array.size * output.array.itemsize

    def after_backward(self, *_: Any) -> None:
        """Refuse a forward pass that differentiates (called by the engine for every node)."""
        raise ArgumentError(
            "the forward pass computes gradients, and a plan follows the forward pass only; call the model on real inputs "
            "instead"
        )

    def _begins(self, module: Module, args: tuple[Any, ...]) -> None:
        shapes = tuple(value.shape for value in args if isinstance(value, Tensor))
        call = Call(STATE.module_path, module, shapes)
        self.calls.append(call)
        self.running.append(call)

    def _ends(self, module: Module, args: tuple[Any, ...], output: Any) -> None:
        call = self.running.pop()
        call.output_shape = shapes_of(output)
        call.parameters = tuple(map(ParameterSize.of, module.parameters(recurse=False)))
        counted = getattr(module, "mult_adds", None)
        if callable(counted):
            call.mult_adds = counted(call.output_shape)


def mult_adds(node: Function, input_shapes: Sequence[Shape], shape: Shape) -> int:
    """Multiply-adds of one op; a bias is not counted, and ops that multiply elementwise are not."""
    if isinstance(node, Conv):
        return math.prod(shape) * math.prod(input_shapes[1][1:])
    if isinstance(node, (ConvTranspose, ConvInputGrad)):
        return math.prod(input_shapes[0]) * math.prod(input_shapes[1][1:])
    if isinstance(node, ConvWeightGrad):
        return math.prod(input_shapes[1]) * math.prod(shape[1:])
    if isinstance(node, (LinearOp, MatMul)):
        return math.prod(shape) * input_shapes[0][-1]
    if isinstance(node, Einsum) and len(input_shapes) > 1:
        letters = "".join(node.operands)
        size = dict(zip(letters, itertools.chain(*input_shapes), strict=True))
        return math.prod(size.values()) if len(size) > len(node.result) else 0
    return 0


class _FewDraws(np.random.Generator):
    """A generator of its own, which draws nothing where much is asked for: the mask of a dropout, for instance."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        return shape_only(size, dtype) if _is_much(size) else super().random(size, dtype, out)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        return shape_only(size, np.float64, low) if _is_much(size) else super().uniform(low, high, size)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        return shape_only(size, np.float64) if _is_much(size) else super().normal(loc, scale, size)


def _is_much(size: Any) -> bool:
    return size is not None and math.prod(np.atleast_1d(size).tolist()) > 1 << 14


@contextmanager
def _left_as_it_was(modules: Sequence[Module]) -> Iterator[None]:
    """Undo what a forward pass does to modules: running statistics, counters, lazy layers that became others."""
    places = [p for m in modules for p in m._parameters.values() if isinstance(p, WithoutValues)]
    buffers = [b for m in modules for b in m._buffers.values() if b is not None]
    objects: list[Any] = [*modules, *places, *buffers]
    before = [(thing, type(thing), dict(thing.__dict__)) for thing in objects]
    registries: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (registry, dict(registry)) for m in modules for registry in (m._parameters, m._buffers, m._modules)
    ]
    for buffer in buffers:
        if not isinstance(buffer, WithoutValues):
            # A copy, with a version of its own; what it holds may be looked at (a count, a table of indices).
            buffer.array, buffer._counter = buffer.array.copy(), None
    try:
        yield
    finally:
        for thing, kind, state in before:
            thing.__class__ = kind
            thing.__dict__.clear()
            thing.__dict__.update(state)
        for registry, members in registries:
            registry.clear()
            registry.update(members)
