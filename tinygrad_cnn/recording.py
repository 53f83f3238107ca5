"""Every number of one backward pass: the value and the gradient of each node of a recorded graph.

A node keeps only what its rule needs, and the engine forgets a gradient as soon as it has been passed on. Here both are
collected without touching anything: no ``.grad`` changes, nothing is freed, no random number is drawn.

Values come from where they were kept: a leaf holds its own, an op may have saved its output, a consumer its input. What
nobody kept is computed again from the inputs, by the op's own ``forward``; that is the same arithmetic on the same
numbers, so it is the same value to the last bit. An op that draws random numbers cannot be repeated, but all of them saved
what they drew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .autograd.engine import _differentiate, _run_hooks
from .autograd.function import AccumulateGrad, Array, Function
from .autograd.mode import set_grad_enabled
from .autograd.walk import reachable
from .errors import ArgumentError, AutogradError
from .ops.dropout import Dropout
from .ops.pool import ChoosingPool
from .random import default_generator, get_rng_state, set_rng_state
from .tensor import Tensor

Flow = tuple[Function, int]
"""An argument: the node that takes it, and which of its arguments it is."""


@dataclass
class Recording:
    """One backward pass, written down.

    Attributes
    ----------
    order : list of Function
        The nodes in the order of the forward pass; the leaves stand where they were first used.
    values : dict of Function to ndarray
        What each node computed; nodes whose value nobody kept and nobody can compute again are missing.
    gradients : dict of Function to ndarray
        The complete gradient of each node's value.
    flows : dict of (Function, int) to ndarray
        What each argument of each node contributed to the gradient of what was passed.
    constants : dict of (Function, int) to Tensor
        The arguments without a gradient that the node saved.
    """

    order: list[Function] = field(default_factory=list)
    values: dict[Function, Array] = field(default_factory=dict)
    gradients: dict[Function, Array] = field(default_factory=dict)
    flows: dict[Flow, Array] = field(default_factory=dict)
    constants: dict[Flow, Tensor] = field(default_factory=dict)


def record(loss: Tensor, asked: str = "record") -> Recording:
    """Collect every value and every gradient behind a loss.

    Hooks on tensors run, since the gradients that they replace are those that arrive in ``.grad``.

    Parameters
    ----------
    loss : Tensor
        One number, with a graph that was not freed.
    asked : str
        The function that a user called, for the messages.

    Returns
    -------
    Recording

    Raises
    ------
    ArgumentError
        If the loss is no Tensor, or more than one number.
    AutogradError
        If it has no graph.
    GraphFreedError
        If a backward freed the graph before.
    InplaceError
        If a value that the graph needs was changed since.
    """
    _check(loss, asked)
    recording = Recording(order=reachable([loss._edge()])[::-1])
    _differentiate_all(recording, loss)
    _collect_values(recording, loss)
    return recording


def _check(loss: Tensor, asked: str) -> None:
    """Refuse what no backward pass can start at."""
    if not isinstance(loss, Tensor):
        raise ArgumentError(f"{asked}: the loss has to be a Tensor, got a {type(loss).__name__}")
    if loss.numel() != 1:
        raise ArgumentError(
            f"{asked}: the loss has to be one number, got shape {loss.shape}; reduce it first, with .mean() or .sum()"
        )
    if loss.grad_fn is None:
        raise AutogradError(
            f"{asked}: the loss has no graph: nothing that it was computed from requires a gradient, or it was computed under "
            "no_grad() or detached; compute it again with gradients recorded"
        )


def _differentiate_all(recording: Recording, loss: Tensor) -> None:
    """The engine's third step, which keeps what passes by."""
    wanted = set(recording.order)
    pending = {loss._edge(): np.ones(loss.shape, loss.array.dtype)}
    with set_grad_enabled(False), np.errstate(all="ignore"):
        for node in reversed(recording.order):
            if node not in pending:
                continue
            gradient = _after_hooks(node, Tensor(pending.pop(node)))
            recording.gradients[node] = gradient.array
            if isinstance(node, AccumulateGrad):
                continue
            arguments = [i for i, edge in enumerate(node.edges) if edge is not None]
            for edge, part, _ in _differentiate(node, gradient, False, wanted, False):
                while node.edges[arguments[0]] is not edge:
                    arguments.pop(0)
                recording.flows[node, arguments.pop(0)] = part.array
                pending[edge] = pending[edge] + part.array if edge in pending else part.array


def _after_hooks(node: Function, gradient: Tensor) -> Tensor:
    """The gradient as the tensor's hooks leave it; what `retain_grad` asked for belongs to a real backward pass."""
    hooks = node.variable._hooks if isinstance(node, AccumulateGrad) else node.hooks
    if not hooks:
        return gradient
    retained, node.retains_grad = node.retains_grad, None
    try:
        return _run_hooks(node, hooks, gradient, False)[0]
    finally:
        node.retains_grad = retained


def _collect_values(recording: Recording, loss: Tensor) -> None:
    """Find each value where it was kept, or compute it again."""
    values = recording.values
    values[loss._edge()] = loss.array
    for node in recording.order:
        if isinstance(node, AccumulateGrad):
            values[node] = node.variable.array
            continue
        kept = dict.fromkeys(node.edges)
        for i, (tensor, array) in enumerate(zip(_saved_tensors(node), node.saved_arrays, strict=True)):
            if tensor is None:
                if node._entries()[i][2] < 0:
                    values[node] = array
            elif tensor._requires_grad and tensor._edge() in kept:
                values.setdefault(tensor._edge(), array)
        for i, edge in enumerate(node.edges):
            constant = _constant(node, i) if edge is None else None
            if constant is not None:
                recording.constants[node, i] = constant
    for node in recording.order:
        if node not in values:
            computed = _computed_again(node, recording)
            if computed is not None:
                values[node] = computed


def _saved_tensors(node: Function) -> list[Tensor | None]:
    return [tensor for tensor, _, _ in node._entries()]


def _constant(node: Function, argument: int) -> Tensor | None:
    """The argument itself, where the node saved it and no other of its arguments looks the same."""
    looks = [(node.input_shapes[i], node.input_dtypes[i]) if edge is None else None for i, edge in enumerate(node.edges)]
    if looks.count(looks[argument]) != 1:
        return _constant_by_position(node, argument)
    fits = (t for t in _saved_tensors(node) if t is not None and not t._requires_grad)
    return next((t for t in fits if (t.array.shape, t.array.dtype) == looks[argument]), None)


def _constant_by_position(node: Function, argument: int) -> Tensor | None:
    """Several arguments look the same: they can be told apart if the node saved all of them, in their order."""
    constants = [i for i, edge in enumerate(node.edges) if edge is None]
    saved = [t for t in _saved_tensors(node) if t is not None and not t._requires_grad]
    looks = [(node.input_shapes[i], node.input_dtypes[i]) for i in constants]
    if [(t.array.shape, t.array.dtype) for t in saved] != looks:
        return None
    return saved[constants.index(argument)]


def _computed_again(node: Function, recording: Recording) -> Array | None:
    """The node's forward on the values of its inputs; None where one is unknown, or where it would draw anew."""
    inputs = []
    for i, edge in enumerate(node.edges):
        held = recording.constants.get((node, i)) if edge is None else None
        array = held.array if held is not None else recording.values.get(edge) if edge is not None else None
        if array is None:
            return None
        inputs.append(array)
    if isinstance(node, Dropout):
        return inputs[0] * node.saved_arrays[0]
    if isinstance(node, ChoosingPool):
        (indices,) = node.saved_arrays
        flat = inputs[0].reshape(*inputs[0].shape[:2], -1)
        return np.take_along_axis(flat, indices.reshape(*indices.shape[:2], -1), 2).reshape(indices.shape)
    return _repeated(type(node), node.params, inputs)


def _repeated(op: type[Function], params: Mapping[str, object], inputs: list[Array]) -> Array | None:
    """The op's forward once more, unless that draws random numbers: these are put back, and nothing is known."""
    before = get_rng_state()
    again = op(**params)
    again.needs_input_grad = (False,) * len(inputs)
    with np.errstate(all="ignore"):
        result: Array = again.forward(*inputs)
    if default_generator().bit_generator.state != before:
        set_rng_state(before)
        return None
    return result
