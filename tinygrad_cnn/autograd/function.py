"""Function: an op and, once applied, a node of the graph.

An op is a class with a `forward` on arrays and a `backward` on tensors. Applied to tensors, its instance *is* the node
that remembers the application: the edges to the nodes that made its inputs, and what its rule saved, nothing else.

    class Square(Function):
        def forward(self, x):
            self.save_for_backward(x)
            return x * x

        def backward(self, gy):
            x, = self.saved
            return 2 * x * gy

    y = Square.apply(x)

`backward` is the definition and is written in differentiable ops, so that gradients of gradients come from it. An op
may add `backward_kernel`, the same rule on arrays in one pass; the engine takes it when no graph of the backward is
asked for.

A node never holds its own output tensor (that would be a reference cycle, and memory would wait for the garbage
collector): a saved output is kept as its array and re-attached to the node when it is read.
"""

import itertools
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import AutogradError, GraphFreedError, InplaceError
from ..tensor import Tensor, VersionCounter
from .mode import STATE

Array = NDArray[Any]
Hook = Callable[[Tensor], Tensor | None]

_next_number = itertools.count().__next__


class Function:
    """Base class of every op.

    Subclasses define `forward` and `backward`, may define `backward_kernel`, and declare their parameters as class
    annotations; `apply` sets them as attributes.

    Attributes
    ----------
    number : int
        Counts up as nodes are made, so descending order visits every node after all of its consumers.
    params : dict
        The op's parameters (``stride``, ``dim``, ...), for rules, drawings and messages.
    edges : tuple of (Function or None)
        For each input, the node that its gradient goes to; None where the input needs no gradient.
    needs_input_grad : tuple of bool
        For each input, whether `backward` has to return a gradient.
    input_shapes, input_dtypes, shape, dtype
        Of the inputs and of the output.
    module : str
        Path of the `nn.Module` that was running (``"features.3"``), or ``""``.
    auxiliary : tuple of ndarray
        Results of `forward` beside the output that carry no gradient (max pooling's indices), if it set any.
    """

    # Class attributes are the defaults: a new node sets only what is its own.
    edges: "tuple[Function | None, ...]" = ()
    needs_input_grad: tuple[bool, ...] = ()
    input_shapes: tuple[tuple[int, ...], ...]
    input_dtypes: tuple[np.dtype[Any], ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    number: int
    module: str = ""
    auxiliary: tuple[Array, ...] = ()
    hooks: list[Hook] | None = None
    retains_grad: weakref.ref[Tensor] | None = None

    # The inputs and their arrays while `forward` runs, so that what it saves can be recognised as an input.
    _inputs: tuple[tuple[Tensor, ...], list[Array]] | None = None
    # What the rule needs, in the order it was saved: (input tensor | None, array, version when saved).
    _saved: tuple[tuple[Tensor | None, Array | None, int], ...] | None = ()
    _output_counter: VersionCounter | None = None

    def __init__(self, **params: Any) -> None:
        self.params = params
        for name in params:
            setattr(self, name, params[name])

    # What an op defines ---------------------------------------------------------------------------------------------

    def forward(self, *inputs: Any) -> Any:
        """Compute the output array from the input arrays."""
        raise AutogradError(f"{self.op_name} has no forward: define forward(self, ...) on {type(self).__qualname__}")

    def backward(self, gy: Any) -> Any:
        """Return the gradient of each input, from the gradient of the output; None where none is needed."""
        raise AutogradError(f"{self.op_name} has no backward: define backward(self, gy) on {type(self).__qualname__}")

    # `backward` on arrays, in one pass; None where an op does not define it. It takes gy, and where it is marked as one that
    # may write over it (`ownership.reuses_gradient`) the memory to do so.
    backward_kernel: Callable[..., Any] | None = None

    # The line of user code that applied it, noted inside `detect_anomaly`.
    called_at: str = ""

    # Which derivative it belongs to: 0 in a forward pass, 1 where a backward pass with `create_graph` made it, 2 ...
    derivative: int = 0

    # Whether the output may be a view of the first input's memory, as a reshape's is.
    is_view: bool = False

    # Applying it ----------------------------------------------------------------------------------------------------

    @classmethod
    def apply(cls, *inputs: Tensor, **params: Any) -> Tensor:
        """Apply the op to tensors; the output remembers the node where any input needs a gradient."""
        return cls(**params)(*inputs)

    def __call__(self, *inputs: Tensor) -> Tensor:
        arrays, needed = [], []
        for x in inputs:
            if x._is_view and x._is_stale:
                x._refuse_if_stale(self.op_name)
            arrays.append(x.array)
            needed.append(x._requires_grad)
        is_recorded = True in needed and STATE.grad_enabled
        self.needs_input_grad = tuple(needed) if is_recorded else (False,) * len(needed)
        if is_recorded:
            self.module = STATE.module_path
            if len(arrays) > 2 or (len(arrays) == 2 and arrays[0] is arrays[1] and inputs[0] is not inputs[1]):
                _tell_apart(inputs, arrays)
            self._inputs = inputs, arrays
        observer = STATE.observer
        if observer is None:
            output = Tensor(self.forward(*arrays))
        else:
            observer.before_forward(self, inputs)
            output = Tensor(self.forward(*arrays))
            observer.after_forward(self, inputs, output)
        if is_recorded:
            self._inputs = None
            self._record(inputs, arrays, output)
        if self.is_view and np.may_share_memory(output.array, inputs[0].array):
            return inputs[0]._alias(output)
        return output

    def _record(self, inputs: tuple[Tensor, ...], arrays: list[Array], output: Tensor) -> None:
        """Become the node of the graph that the output came from."""
        edges, shapes, dtypes = [], [], []
        for i, array in enumerate(arrays):
            edges.append(inputs[i]._edge() if inputs[i]._requires_grad else None)
            shapes.append(array.shape)
            dtypes.append(array.dtype)
        self.edges, self.input_shapes, self.input_dtypes = tuple(edges), tuple(shapes), tuple(dtypes)
        self.number = _next_number()  # after the edges, which may have made the nodes of leaves
        self.shape, self.dtype = output.array.shape, output.array.dtype
        output.grad_fn, output._requires_grad = self, True
        if self._output_counter is not None:
            output._counter = self._output_counter

    # Saving for the backward pass -----------------------------------------------------------------------------------

    def save_for_backward(self, *values: Array | None) -> None:
        """Keep arrays for the rule. Inputs come back as the tensors they were, anything else as a constant."""
        if self._inputs is None:
            return
        assert self._saved is not None
        inputs, arrays = self._inputs
        for value in values:
            for i, array in enumerate(arrays):
                if array is value:
                    self._saved += ((inputs[i], inputs[i].array, inputs[i]._version),)
                    break
            else:
                self._saved += ((None, value, 0),)

    def save_output(self, y: Array) -> None:
        """Keep the output for the rule; it comes back attached to this node."""
        if self._inputs is not None:
            assert self._saved is not None
            self._output_counter = VersionCounter()
            self._saved += ((None, y, -1),)

    @property
    def saved(self) -> tuple[Any, ...]:
        """What was saved, as tensors that gradients flow through (None where None was saved)."""
        return tuple([self._restore(*entry) for entry in self._entries()])

    @property
    def saved_arrays(self) -> tuple[Any, ...]:
        """What was saved, as arrays, for `backward_kernel`."""
        arrays = []
        for tensor, array, version in self._entries():
            # Constants stay as they were, and of inputs a glance tells whether they did; `_checked` knows the rest.
            counter = None if tensor is None else tensor._counter
            was_written = counter is not None and counter.value != version
            if was_written or version < 0 or (tensor is not None and tensor.array is not array):
                self._checked(tensor, array, version)
            arrays.append(array)
        return tuple(arrays)

    def release(self) -> None:
        """Free what was saved; a rule that reads it after this raises."""
        self.auxiliary = ()
        if self._saved:
            self._saved = None

    def _entries(self) -> tuple[tuple[Tensor | None, Array | None, int], ...]:
        if self._saved is None:
            raise GraphFreedError(
                f"{self.described} was already differentiated and what it saved is freed; to go through the graph "
                "again, call the first backward or grad with retain_graph=True"
            )
        return self._saved

    def _checked(self, tensor: Tensor | None, array: Array | None, version: int) -> Array | None:
        if tensor is not None and tensor.array is not array:
            raise InplaceError(
                f"{self.described} needs {tensor._described()} for its gradient, but its values were replaced since (by "
                "assigning to .data); run the forward pass again after that"
            )
        counter = self._output_counter if version < 0 else tensor._counter if tensor is not None else None
        if array is not None and counter is not None and counter.value != max(version, 0):
            origin = "its own output" if tensor is None else tensor._described()
            raise InplaceError(
                f"{self.described} needs {origin} of shape {array.shape} for its gradient, but the value was changed "
                f"in place by {counter.writer}: it was saved at version {max(version, 0)} and is now at version "
                f"{counter.value}; use the out-of-place form there, or clone() the tensor before it is changed"
            )
        return array

    def _restore(self, tensor: Tensor | None, array: Array | None, version: int) -> Tensor | None:
        self._checked(tensor, array, version)
        if tensor is not None or array is None:
            return tensor
        constant = Tensor(array)
        if version < 0:
            constant.grad_fn, constant._requires_grad, constant._counter = self, True, self._output_counter
        return constant

    # Looking at it --------------------------------------------------------------------------------------------------

    @property
    def op_name(self) -> str:
        """The op's name in drawings and messages; `<...Backward>` in a tensor's repr."""
        return type(self).__name__

    @property
    def settings(self) -> dict[str, Any]:
        """The parameters worth showing, in drawings and messages."""
        return self.params

    @property
    def described(self) -> str:
        """The op's name and where it ran: ``Conv2d (in features.0)``."""
        module = getattr(self, "module", "")
        return f"{self.op_name} (in {module})" if module else self.op_name

    @property
    def next_functions(self) -> "tuple[tuple[Function | None, int], ...]":
        """The edges in PyTorch's form: ((node or None, 0), ...)."""
        return tuple((edge, 0) for edge in self.edges)

    def __repr__(self) -> str:
        return f"<{self.op_name}Backward>"


def _tell_apart(inputs: tuple[Tensor, ...], arrays: list[Array]) -> None:
    """Give tensors that hold one array (``x`` and ``Tensor(x.array)``) an array object each, to be recognised by."""
    if len(set(map(id, arrays))) == len(arrays):
        return
    for i, array in enumerate(arrays):
        if any(array is other and inputs[i] is not inputs[j] for j, other in enumerate(arrays[:i])):
            arrays[i] = array.view()


class AccumulateGrad(Function):
    """The node of a leaf: its gradient ends here and is added to ``leaf.grad``.

    The leaf knows this node by a weak reference only and the node holds the leaf, so the graph keeps its leaves alive
    and there is no cycle.
    """

    variable: Tensor
    input_shapes = ()
    input_dtypes = ()

    def __init__(self, leaf: Tensor) -> None:
        self.params = {}
        self.variable = leaf
        self.number = _next_number()
        self.module = STATE.module_path
        self.shape, self.dtype = leaf.array.shape, leaf.array.dtype

    def accumulate(self, gradient: Tensor, owned: bool, create_graph: bool) -> None:
        """Add to the leaf's gradient; ``owned`` says that nobody else holds the gradient's buffer."""
        leaf = self.variable
        if create_graph:
            leaf.grad = gradient.clone() if leaf.grad is None else leaf.grad + gradient
        elif leaf.grad is not None:
            leaf.grad = Tensor(leaf.grad.array + gradient.array)
        else:
            leaf.grad = gradient if owned else Tensor(gradient.array.copy())
