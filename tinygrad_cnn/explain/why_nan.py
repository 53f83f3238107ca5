"""Why is this NaN? Finds, after the fact, the first op that made one out of operands that were all right.

`autograd.detect_anomaly` catches a NaN as it is made, if it was switched on before. This looks at a graph that was recorded
without it: the values are those that the nodes saved, or are computed again from these.
"""


import numpy as np

from ..autograd.anomaly import _at
from ..autograd.function import AccumulateGrad, Array, Function
from ..recording import Recording, record
from ..tensor import Tensor
from .answer import Answer
from .recorded import Users, name_of, spelled, users_of
from .wording import argument_name


def why_nan(t: Tensor, loss: Tensor | None = None) -> Answer:
    """Find the first op, forward or backward, that made a NaN or an infinity.

    Parameters
    ----------
    t : Tensor
        What is, or has become, not finite: a loss, an output; or a parameter whose gradient is not.
    loss : Tensor, optional
        What to differentiate, to look for it in the backward pass; `t` itself if not given. Its graph must not have been
        freed: use ``retain_graph=True``.

    Returns
    -------
    Answer
        Names the op, the element and the operands there; the forward pass comes first.

    Raises
    ------
    GraphFreedError
        If an earlier backward freed the graph.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> p = tg.tensor([1.0, 0.0], requires_grad=True)
    >>> print(why_nan(-p.log().sum()))
    The first number that is not finite is the -inf that Log made at [1], in the forward pass.
      - its operands there: x = 0.0
    What to do: keep the operand above 0, with clamp(min=...) or a small constant added; or use log_softmax, xlogy.
    """
    target = t if loss is None else loss
    if target.grad_fn is None:
        return _of_a_leaf(target)
    whole = target if target.numel() == 1 else target.sum()
    recording, users = record(whole, "explain.why_nan"), users_of(whole)
    return (
        _forward(recording, users)
        or _backward(recording, users)
        or Answer("Every value of the forward pass and every gradient of the backward pass is finite.")
    )


def _of_a_leaf(t: Tensor) -> Answer:
    bad = _first_bad(t.array)
    if bad is None:
        return Answer("Every value of the tensor is finite, and it has no graph to look at.")
    return Answer(f"The tensor has no graph, and holds {t.array[bad]} at {spelled(bad)}: look at where its values came from.")


def _first_bad(array: Array, nan_only: bool = False) -> tuple[int, ...] | None:
    if array.dtype.kind != "f":
        return None
    bad = np.isnan(array) if nan_only else ~np.isfinite(array)
    return tuple(int(i) for i in np.argwhere(bad)[0]) if bad.any() else None


def _operands(recording: Recording, node: Function) -> dict[str, Array]:
    """The values of the node's inputs that are known."""
    known = {}
    for i, edge in enumerate(node.edges):
        constant = recording.constants.get((node, i))
        array = recording.values.get(edge) if edge is not None else None if constant is None else constant.array
        if array is not None:
            known[argument_name(node, i)] = array
    return known


def _forward(recording: Recording, users: Users) -> Answer | None:
    origin = _first_maker(recording, nan_only=False)
    if origin is None:
        return None
    node, bad = origin
    value = recording.values[node]
    if isinstance(node, AccumulateGrad):
        return Answer(
            f"{name_of(node, users)} itself holds {value[bad]} at {spelled(bad)}: it went into the forward pass like that.",
            ops=(node.described,),
            advice="look at the update or the data that wrote it.",
        )
    steps = [f"its operands there: {_described(recording, node, bad, value.shape)}"]
    first = _first_maker(recording, nan_only=True)
    if first is not None and first[0] is not node:
        at = _described(recording, first[0], first[1], first[0].shape)
        steps.append(f"the first NaN: {first[0].described}, at {spelled(first[1])}, from {at}")
    return Answer(
        f"The first number that is not finite is the {value[bad]} that {node.described} made"
        f"{f' at {spelled(bad)}' if bad else ''}, in the forward pass.",
        tuple(steps),
        (node.described,),
        _advice(node),
    )


def _first_maker(recording: Recording, nan_only: bool) -> tuple[Function, tuple[int, ...]] | None:
    """The first node whose value is not finite though the operands that are known are."""
    for node in recording.order:
        value = recording.values.get(node)
        bad = None if value is None else _first_bad(value, nan_only)
        if bad is not None and all(_first_bad(x, nan_only) is None for x in _operands(recording, node).values()):
            return node, bad
    return None


def _described(recording: Recording, node: Function, bad: tuple[int, ...], shape: tuple[int, ...]) -> str:
    found = ", ".join(f"{name} {_at(array, bad, shape)}" for name, array in _operands(recording, node).items())
    return found or "nothing that is known"


def _backward(recording: Recording, users: Users) -> Answer | None:
    for node in reversed(recording.order):
        if node not in recording.gradients or _first_bad(recording.gradients[node]) is not None:
            continue
        for i in range(len(node.edges)):
            flow = recording.flows.get((node, i))
            bad = None if flow is None else _first_bad(flow)
            if flow is not None and bad is not None:
                return _backward_answer(recording, users, node, i, flow, bad)
    return None


def _backward_answer(
    recording: Recording, users: Users, node: Function, argument: int, flow: Array, bad: tuple[int, ...]
) -> Answer:
    operands = _described(recording, node, bad, flow.shape)
    arrived = _at(recording.gradients[node], bad, flow.shape)
    edge = node.edges[argument]
    of = f" ({name_of(edge, users)})" if edge is not None else ""
    return Answer(
        f"The forward pass is finite; the first gradient that is not is the {flow[bad]} that {node.described} sends back at "
        f"{spelled(bad) or 'its input'} of its {argument_name(node, argument)}{of}.",
        (f"the gradient that arrived there {arrived}", f"its operands there: {operands}"),
        (node.described,),
        _advice(node),
    )


_ADVICE = {
    "Log": "keep the operand above 0, with clamp(min=...) or a small constant added; or use log_softmax, xlogy.",
    "Sqrt": "the slope of a root at 0 is infinite: add a small constant under it.",
    "Norm": "a norm has no slope at 0: add a small constant, or use the square.",
    "Div": "keep the divisor away from 0: add a small constant to it.",
    "Power": "look at the base: 0 to a power below 1, or a negative base with a fraction as exponent.",
    "Pow": "look at the base: 0 to a power below 1, or a negative base with a fraction as exponent.",
    "Exp": "the exponent is too large: subtract its maximum first, or use softmax, logsumexp.",
}


def _advice(node: Function) -> str:
    return _ADVICE.get(node.op_name, "")
