"""The backward pass.

Nodes are numbered as they are made, so descending number is a reverse topological order: when a node is visited, all
of its consumers have been, and its gradient is complete. The pass is three steps, none of them recursive:

1. collect the nodes that the outputs reach,
2. keep those that lead to a wanted input (all of them, when none is named),
3. visit them in descending number; each hands a gradient to each of its edges, where gradients add up.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..errors import AutogradError
from ..tensor import Tensor
from .function import AccumulateGrad, Function, Hook
from .mode import STATE
from .ownership import WORTH_KEEPING, may_overwrite, unshared
from .walk import reachable


# An infinite gradient is a result, not an accident of NumPy's; `detect_anomaly` is there to find it.
@np.errstate(all="ignore")
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
    wanted = None if targets is None else _leading_to(order, targets)
    asked_for = () if targets is None or accumulate else set(targets)
    pending: dict[Function, Tensor] = {}
    owned: set[Function] = set()
    captured: dict[Function, Tensor] = {}
    mode, STATE.grad_enabled = STATE.grad_enabled, create_graph
    try:
        for output, start in zip(outputs, gradients, strict=True):
            _hand_over(output._edge(), start, pending, owned, create_graph)
        for node in order:
            gradient = pending.pop(node, None)
            if gradient is None or (wanted is not None and node not in wanted):
                continue
            is_ours = node in owned
            leaf = node if isinstance(node, AccumulateGrad) else None
            hooks = node.hooks if leaf is None else leaf.variable._hooks
            if hooks or node.retains_grad is not None:
                gradient, is_ours = _run_hooks(node, hooks, gradient, is_ours)
            if node in asked_for:
                captured[node] = gradient
            if leaf is not None:
                if accumulate:
                    leaf.accumulate(gradient, is_ours, create_graph)
                continue
            if wanted is not None and wanted.isdisjoint(node.edges):
                continue  # a target: what it saved is left for whoever goes on from here
            for edge, part, is_new in _differentiate(node, gradient, is_ours, wanted, create_graph):
                if edge in pending:
                    _hand_over(edge, part, pending, owned, create_graph)
                else:
                    pending[edge] = part
                    if is_new:
                        owned.add(edge)
            if not retain_graph:
                node.release()
    finally:
        STATE.grad_enabled = mode
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


def _hand_over(
    node: Function, gradient: Tensor, pending: dict[Function, Tensor], owned: set[Function], create_graph: bool
) -> None:
    """Add to the gradient that waits for a node.

    A gradient that a rule returned may be the very array that another input got, as in ``a + b``. Unless it is known to be
    ours (`unshared`) it is borrowed, and the first addition makes a new buffer. To what is ours we add in place.
    """
    held = pending.get(node)
    if held is None:
        pending[node] = gradient
    elif create_graph:
        pending[node] = held + gradient
    elif node in owned:
        kernels.add(held.array, gradient.array, out=held.array)
    else:
        pending[node] = Tensor(kernels.add(held.array, gradient.array))
        owned.add(node)


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
    node: Function, gradient: Tensor, is_ours: bool, wanted: set[Function] | None, create_graph: bool
) -> list[tuple[Function, Tensor, bool]]:
    """Apply the node's rule; give the gradient for each edge that leads to something wanted, and whether it is ours.

    A `wanted` of None wants all. A gradient that is ours is not needed after this, and its memory may be used again.
    """
    edges = node.edges
    observer = STATE.observer
    if wanted is None and observer is None and not create_graph and node.backward_kernel is not None:
        given = gradient.array
        reuses = is_ours and may_overwrite(node.backward_kernel)
        returned = node.backward_kernel(given, given) if reuses else node.backward_kernel(given)
        del given
    else:
        reuses = False
        if observer is not None:
            observer.before_backward(node, gradient.array)
        returned = _apply_rule(node, gradient, wanted, create_graph)
    # In a tuple of our own: one that the rule has kept would hold its gradients uncounted (see `ownership`).
    gradients = (*returned,) if type(returned) is tuple else (returned,)
    del returned
    if observer is not None:
        observer.after_backward(node, gradient.array, (*gradients,))
    if len(gradients) != len(edges):
        raise AutogradError(
            f"{node.described} has {len(edges)} inputs, but its backward returned {len(gradients)} gradients; "
            "return one for each input, None where needs_input_grad is False"
        )
    result = []
    for i, edge in enumerate(edges):
        value = gradients[i]
        if value is None or edge is None or (wanted is not None and edge not in wanted):
            continue
        tensor = value if isinstance(value, Tensor) else Tensor(value)
        array = tensor.array
        if array.shape != node.input_shapes[i]:
            raise _wrong_shape(f"the backward of {node.described}, for input {i},", tensor, node.input_shapes[i])
        # A float32 input gets a float32 gradient, whatever its op was mixed with.
        dtype = node.input_dtypes[i]
        if array.dtype is not dtype and array.dtype != dtype:
            tensor = tensor.to(dtype)
        is_new = array.size >= WORTH_KEEPING and value is tensor.array and not create_graph
        if is_new:
            # What was written over the gradient that came in is held by that one, too.
            others = 1 if reuses and array is gradient.array else 0
            del value, array, tensor
            is_new = unshared(gradients, i, others)
            tensor = Tensor(gradients[i])
        result.append((edge, tensor, is_new))
    return result


def _apply_rule(node: Function, gradient: Tensor, wanted: set[Function] | None, create_graph: bool) -> Any:
    """What the node's rule returns, with nothing asked of it that is not wanted."""
    needed = node.needs_input_grad
    if wanted is not None:
        node.needs_input_grad = tuple([edge in wanted for edge in node.edges])
    # The rule answers for what it returns; the ops that it consists of are not looked at one by one.
    observer, STATE.observer = STATE.observer, None
    path, STATE.module_path = STATE.module_path, node.module
    try:
        if create_graph or node.backward_kernel is None:
            return node.backward(gradient)
        return node.backward_kernel(gradient.array)
    finally:
        STATE.observer, STATE.module_path = observer, path
        node.needs_input_grad = needed


def _wrong_shape(origin: str, gradient: Tensor, shape: tuple[int, ...]) -> AutogradError:
    return AutogradError(f"{origin} returned a gradient of shape {gradient.array.shape}; expected {shape}")
