"""The backward pass.

Nodes are numbered as they are made, so descending number is a reverse topological order: when a node is visited, all
of its consumers have been, and its gradient is complete. The pass is three steps, none of them recursive:

1. collect the nodes that the outputs reach,
2. keep those that lead to a wanted input (all of them, when none is named),
3. visit them in descending number; each hands a gradient to each of its edges, where gradients add up.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from ..errors import AutogradError
from ..tensor import Tensor
from .function import AccumulateGrad, Function, Hook
from .mode import STATE, set_grad_enabled
from .walk import reachable


def run_backward(
    outputs: Sequence[Tensor],
    gradients: Sequence[Tensor],
    targets: Sequence[Function] | None,
    *,
    accumulate: bool,
    retain_graph: bool,
    create_graph: bool,
) -> dict[Function, Tensor]:
    """Push gradients from the outputs to the leaves.

    Parameters
    ----------
    outputs, gradients : sequence of Tensor
        Where to start, and with which gradient (of the output's shape).
    targets : sequence of Function, optional
        Only what these need is computed; None stands for every leaf.
    accumulate : bool
        Add to the leaves' ``.grad``; otherwise the targets' gradients are returned and nothing is changed.
    retain_graph : bool
        Keep what the nodes saved, for another pass.
    create_graph : bool
        Record the pass itself, so that its gradients can be differentiated.

    Returns
    -------
    dict of Function to Tensor
        The gradients of the targets that were reached; empty with `accumulate`.
    """
    order = reachable([output._edge() for output in outputs])
    wanted = set(order) if targets is None else _leading_to(order, targets)
    asked_for = set() if targets is None else set(targets)
    pending = _Pending(create_graph)
    captured: dict[Function, Tensor] = {}
    # An infinite gradient is a result, not an accident of NumPy's; `detect_anomaly` is there to find it.
    with set_grad_enabled(create_graph), np.errstate(all="ignore"):
        for output, gradient in zip(outputs, gradients, strict=True):
            pending.add(output._edge(), gradient)
        for node in order:
            if node not in wanted or node not in pending.gradients:
                continue
            gradient, owned = pending.take(node)
            hooks = node.variable._hooks if isinstance(node, AccumulateGrad) else node.hooks
            if hooks or node.retains_grad is not None:
                gradient, owned = _run_hooks(node, hooks, gradient, owned)
            if node in asked_for and not accumulate:
                captured[node] = gradient
            if isinstance(node, AccumulateGrad):
                if accumulate:
                    node.accumulate(gradient, owned, create_graph)
                continue
            if wanted.isdisjoint(node.edges):
                continue  # a target: what it saved is left for whoever goes on from here
            for edge, input_gradient in _differentiate(node, gradient, wanted, create_graph):
                pending.add(edge, input_gradient)
            if not retain_graph:
                node.release()
    if create_graph:
        sums = [node.variable.grad for node in order if isinstance(node, AccumulateGrad)] if accumulate else []
        made = [tensor._edge() for tensor in (*captured.values(), *sums) if tensor is not None and tensor.requires_grad]
        given = [tensor.grad_fn.number for tensor in (*outputs, *gradients) if tensor.grad_fn is not None]
        _note_derivative(made, max(given, default=-1), 1 + max(node.derivative for node in order))
    return captured


def _note_derivative(results: Iterable[Function], since: int, derivative: int) -> None:
    """Say of the nodes that a pass has made, those with a number after `since`, which derivative they belong to."""
    for node in reachable(results):
        if node.number > since and not isinstance(node, AccumulateGrad):
            node.derivative = derivative


def _leading_to(order: Sequence[Function], targets: Iterable[Function]) -> set[Function]:
    """The targets and every node with an edge towards one."""
    leading = set(targets)
    for node in reversed(order):
        if node not in leading and not leading.isdisjoint(node.edges):
            leading.add(node)
    return leading


class _Pending:
    """Gradients on their way, by the node that they are for.

    A gradient that a rule returned is borrowed (it may be the very array that another input got, as in ``a + b``), so
    the first addition makes a new buffer. That buffer is ours, and later ones are added to it in place.
    """

    def __init__(self, create_graph: bool) -> None:
        self.gradients: dict[Function, Tensor] = {}
        self._owned: set[Function] = set()
        self._create_graph = create_graph

    def add(self, node: Function, gradient: Tensor) -> None:
        held = self.gradients.get(node)
        if held is None:
            self.gradients[node] = gradient
        elif self._create_graph:
            self.gradients[node] = held + gradient
        elif node in self._owned:
            np.add(held.array, gradient.array, out=held.array)
        else:
            self.gradients[node] = Tensor(held.array + gradient.array)
            self._owned.add(node)

    def take(self, node: Function) -> tuple[Tensor, bool]:
        """The complete gradient of a node, and whether its buffer is ours to give away."""
        owned = node in self._owned
        self._owned.discard(node)
        return self.gradients.pop(node), owned


def _run_hooks(node: Function, hooks: Sequence[Hook] | None, gradient: Tensor, owned: bool) -> tuple[Tensor, bool]:
    """Call the tensor's hooks (each may replace the gradient) and keep it where `retain_grad` asked."""
    for hook in tuple(hooks or ()):
        replacement = hook(gradient)
        owned = False
        if replacement is not None:
            if not isinstance(replacement, Tensor):
                raise AutogradError(
                    f"a hook on the output of {node.described} returned a {type(replacement).__name__}; return a tensor, or "
                    "None to leave the gradient as it is"
                )
            if replacement.array.shape != node.shape:
                raise _wrong_shape(f"a hook on the output of {node.described}", replacement, node.shape)
            gradient = replacement.to(node.dtype)
    tensor = node.retains_grad() if node.retains_grad is not None else None
    if tensor is not None:
        # A copy: what the rules pass on may be shared between tensors, or expanded and not writeable.
        tensor.grad = gradient.clone() if tensor.grad is None else tensor.grad + gradient
    return gradient, owned


def _differentiate(
    node: Function, gradient: Tensor, wanted: set[Function], create_graph: bool
) -> list[tuple[Function, Tensor]]:
    """Apply the node's rule and return the gradient for each edge that leads to something wanted."""
    needed = node.needs_input_grad
    node.needs_input_grad = tuple([edge in wanted for edge in node.edges])
    # The rule answers for what it returns; the ops that it consists of are not looked at one by one.
    anomaly, STATE.observer = STATE.observer, None
    path, STATE.module_path = STATE.module_path, node.module
    try:
        if create_graph or node.backward_kernel is None:
            returned = node.backward(gradient)
        else:
            returned = node.backward_kernel(gradient.array)
    finally:
        STATE.observer, STATE.module_path = anomaly, path
        node.needs_input_grad, asked = needed, node.needs_input_grad
    gradients = returned if isinstance(returned, tuple) else (returned,)
    if anomaly is not None:
        anomaly.after_backward(node, gradient.array, gradients)
    if len(gradients) != len(node.edges):
        raise AutogradError(
            f"{node.described} has {len(node.edges)} inputs, but its backward returned {len(gradients)} gradients; "
            "return one for each input, None where needs_input_grad is False"
        )
    result = []
    for i, (edge, value) in enumerate(zip(node.edges, gradients, strict=True)):
        if edge is None or value is None or not asked[i]:
            continue
        tensor = value if isinstance(value, Tensor) else Tensor(value)
        if tensor.array.shape != node.input_shapes[i]:
            raise _wrong_shape(f"the backward of {node.described}, for input {i},", tensor, node.input_shapes[i])
        # A float32 input gets a float32 gradient, whatever its op was mixed with.
        result.append((edge, tensor if tensor.array.dtype == node.input_dtypes[i] else tensor.to(node.input_dtypes[i])))
    return result


def _wrong_shape(origin: str, gradient: Tensor, shape: tuple[int, ...]) -> AutogradError:
    return AutogradError(f"{origin} returned a gradient of shape {gradient.array.shape}; expected {shape}")
