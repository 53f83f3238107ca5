"""The gradient ledger: one element of one gradient, as the list of terms that it is the sum of.

Backpropagation through a network is many sums of products. `gradient` opens one of them: it shows for a single weight which
pixel was multiplied by which output gradient, and where each of these gradients came from; for a pixel, which kernel taps
saw it; for a value that several ops read, what each of them sent back.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd.function import Array, Function
from ..errors import ArgumentError, AutogradError, ShapeError
from ..recording import Recording, record
from ..tensor import Tensor
from .ledger_text import as_html, as_text
from .origin import origin
from .recorded import Users, name_of, users_of
from .rules import Effects, at, effects
from .wording import argument_name, formula, moves, note

Index = tuple[int, ...]


@dataclass(frozen=True)
class Term:
    """One product of the sum.

    Attributes
    ----------
    value : float
        ``factor * gradient``.
    factor : float
        dy[output] / dx[index].
    source : str
        What the factor is: ``"x[0, 2, 5, 7]"``, or a word on the op (``"gate open"``).
    gradient : float
        The gradient of the output, as it arrived there.
    output : tuple of int
        Which output of the op.
    origin : tuple of str
        Where that gradient came from, step by step towards the loss.
    """

    value: float
    factor: float
    source: str
    gradient: float
    output: Index
    origin: tuple[str, ...]


@dataclass(frozen=True)
class Consumer:
    """An op that read the element, and what it sends back: a subtotal.

    Attributes
    ----------
    op, module, argument : str
        The op's name, the path of the module that it ran in, and what the op calls the tensor.
    via : tuple of str
        The reshapes and the like that the element went through on its way to the op.
    formula : str
        Of the gradient, for this element.
    source : str
        What the factors are elements of: ``"x"`` for a weight; ``""`` where they have no name.
    subtotal : float
        The sum of all its terms.
    magnitude : float
        The sum of their absolute values; far above the subtotal's where terms cancel.
    count, zeros : int
        How many terms there are, and how many of them are 0.
    terms : tuple of Term
        The largest by magnitude.
    rest : float
        The sum of the terms that are not listed.
    """

    op: str
    module: str
    argument: str
    via: tuple[str, ...]
    formula: str
    source: str
    subtotal: float
    magnitude: float
    count: int
    zeros: int
    terms: tuple[Term, ...]
    rest: float


@dataclass(frozen=True)
class Ledger:
    """Why one element of a gradient is what it is; print it, or let a notebook show it.

    Attributes
    ----------
    name : str
        Of the tensor: ``"conv2.weight"``.
    index : tuple of int
        The element.
    value : float
        Of the element itself; NaN where nobody kept it.
    gradient : float
        Of the loss with respect to it, as the engine computes it.
    consumers : tuple of Consumer
        Whose subtotals add up to it.
    """

    name: str
    index: Index
    value: float
    gradient: float
    consumers: tuple[Consumer, ...]

    @property
    def total(self) -> float:
        """The sum of the subtotals; `gradient` up to rounding, or the ledger would not have been made."""
        return float(sum(consumer.subtotal for consumer in self.consumers))

    def to_dict(self) -> dict[str, Any]:
        """All of it as dicts, lists and numbers, for JSON."""
        return {
            "name": self.name,
            "index": list(self.index),
            "value": self.value if np.isfinite(self.value) else None,
            "gradient": self.gradient,
            "consumers": [
                vars(consumer)
                | {"terms": [vars(t) | {"output": list(t.output), "origin": list(t.origin)} for t in consumer.terms]}
                for consumer in self.consumers
            ],
        }

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def gradient(loss: Tensor, wrt: Tensor | Function, index: int | Index = (), *, top: int = 10) -> Ledger:
    """Take one element of a gradient apart into the terms that it is the sum of.

    Parameters
    ----------
    loss : Tensor
        One number, whose graph was not freed: call this before ``loss.backward()``, or give that ``retain_graph=True``.
        Nothing is freed here and no ``.grad`` changes.
    wrt : Tensor or Function
        What the gradient is of: a weight, an input, or any tensor on the way (or the node that made it).
    index : int or tuple of int
        Which element of it, one number for each dimension.
    top : int
        How many terms to list of each op that reads the element, the largest first.

    Returns
    -------
    Ledger

    Raises
    ------
    ArgumentError
        If the loss is not one number, or `top` is below 1.
    ShapeError
        If there is no such element.
    AutogradError
        If the loss does not depend on `wrt`; or if the terms do not add up to the gradient, which means that an op's
        backward is not what its forward needs.
    GraphFreedError
        If an earlier backward freed the graph.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> weight = tg.tensor([[0.5, -1.0]], requires_grad=True)
    >>> weight.name = "weight"
    >>> loss = tg.nn.functional.linear(x, weight).sum()
    >>> print(gradient(loss, weight, (0, 1)))  # doctest: +NORMALIZE_WHITESPACE
    d loss / d weight[0, 1] = 6
    <BLANKLINE>
    Linear reads it as weight: gweight[0, 1] = sum over n of x[n, 1] * gy[n, 0]
      share  term  =  factor  x        *  gradient  gy        which came from
      66.7%     4  =       4  x[1, 1]  *         1  gy[1, 0]  Sum: times +1 <- the loss
      33.3%     2  =       2  x[0, 1]  *         1  gy[0, 0]  Sum: times +1 <- the loss
    <BLANKLINE>
    The 2 terms add up to 6, the gradient that the engine computes.
    """
    if top < 1:
        raise ArgumentError(f"explain.gradient: top is how many terms to list, at least 1; got {top}")
    recording, users = record(loss, "explain.gradient"), users_of(loss)
    node = wrt._edge() if isinstance(wrt, Tensor) else wrt
    if node not in recording.gradients:
        raise AutogradError(
            f"explain.gradient: the loss does not depend on {name_of(node, users)} of shape {node.shape}; "
            "explain.why_none(t, loss) says why"
        )
    index = _checked_index(index, node.shape)
    readers = [_consumer(recording, users, reader, top) for reader in _readers(recording, users, node, index)]
    flows = [recording.flows[flow] for flow in users[node] if flow in recording.flows]
    values = recording.values.get(node)
    return Ledger(
        name_of(node, users),
        index,
        float("nan") if values is None else float(values[index]),
        float(sum(flow[index] for flow in flows) if flows else recording.gradients[node][index]),
        tuple(readers),
    )


def _checked_index(index: int | Index, shape: Index) -> Index:
    """The index as a tuple of numbers from 0, one for each dimension."""
    given = index if isinstance(index, tuple) else (index,)
    fits = len(given) == len(shape) and all(-size <= int(i) < size for i, size in zip(given, shape, strict=True))
    if not fits:
        raise ShapeError(
            f"explain.gradient: a tensor of shape {shape} has no element {given}: give one number for each of its "
            f"{len(shape)} dimensions, each below its size"
        )
    return tuple(int(i) % size for i, size in zip(given, shape, strict=True))


@dataclass(frozen=True)
class _Reader:
    """An op that reads the element as one of its arguments, where it may have another index."""

    user: Function
    argument: int
    index: Index
    via: tuple[str, ...]


def _readers(recording: Recording, users: Users, node: Function, index: Index) -> list[_Reader]:
    """Who reads the element; ops that only put it elsewhere are looked through, to those who compute with it."""
    waiting: list[tuple[Function, Index, tuple[str, ...]]] = [(node, index, ())]
    readers = []
    while waiting:
        node, index, via = waiting.pop()
        for user, argument in users[node]:
            if (user, argument) not in recording.flows:
                continue
            found = effects(user, argument, index) if moves(user) and users[user] else None
            if found is not None and len(found.factors) == 1:
                waiting.append((user, tuple(map(int, found.outputs[0])), (*via, user.op_name)))
            else:
                readers.append(_Reader(user, argument, index, via))
    return readers


def _consumer(recording: Recording, users: Users, reader: _Reader, top: int) -> Consumer:
    user, argument, index = reader.user, reader.argument, reader.index
    found = effects(user, argument, index)
    arrived = at(recording.gradients[user], found.outputs).astype(np.float64)
    values = found.factors.astype(np.float64) * arrived
    _check_sum(user, argument, index, values, recording.flows[user, argument])
    order = np.argsort(-np.abs(values), kind="stable")[:top]
    terms = tuple(
        Term(
            float(values[k]),
            float(found.factors[k]),
            _source(user, argument, index, found, k),
            float(arrived[k]),
            (output := tuple(map(int, found.outputs[k]))),
            origin(recording, users, user, output),
        )
        for k in order
    )
    return Consumer(
        user.op_name,
        user.module,
        argument_name(user, argument),
        reader.via,
        formula(user, argument, index),
        found.source,
        float(values.sum()),
        float(np.abs(values).sum()),
        len(values),
        int((values == 0).sum()),
        terms,
        float(values.sum() - values[order].sum()),
    )


def _source(user: Function, argument: int, index: Index, found: Effects, k: int) -> str:
    """What the factor of a term is."""
    if found.sources is not None:
        return f"{found.source}[{', '.join(map(str, found.sources[k]))}]"
    if found.source:
        return "adds to every output"
    return note(user, argument, index, tuple(map(int, found.outputs[k])), float(found.factors[k]))


def _check_sum(user: Function, argument: int, index: Index, values: Array, flow: Array) -> None:
    """Hold the terms against what the op's own backward gave. Fast convolutions round relative to the whole tensor."""
    expected = float(flow[index])
    scale = np.abs(values).sum() + np.abs(flow).max()
    tolerance = 1000 * np.finfo(flow.dtype).eps * float(scale)
    if not abs(values.sum() - expected) <= tolerance and np.isfinite(expected):
        raise AutogradError(
            f"the terms of {user.described} for element {index} of {argument_name(user, argument)} add up to "
            f"{values.sum():.9g}, but its backward gives {expected:.9g}: the backward is not the transpose of what the op "
            "computes (autograd.gradcheck shows where)"
        )
