"""Walking the graph: which nodes a result was computed by, in an order in which nobody comes before those who use it.

The engine visits nodes in this order; drawings and explanations read it. Nodes know where they came from, not where they
went, so a walk starts at results; `consumers` turns the edges round for those who ask "who used this?".
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..tensor import Array, Tensor
    from .function import Function

_NUMBER = attrgetter("number")


def reachable(roots: "Iterable[Function]") -> "list[Function]":
    """Every node that the roots reach, roots included, consumers before producers.

    A loop, not a recursion: a chain of 100,000 ops is walked like any other.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> [node.op_name for node in reachable([(x * x).sum().grad_fn])]
    ['Sum', 'Mul', 'AccumulateGrad']
    """
    seen = set(roots)
    found = list(seen)
    for node in found:  # which grows meanwhile
        for edge in node.edges:
            if edge is not None and edge not in seen:
                seen.add(edge)
                found.append(edge)
    found.sort(key=_NUMBER, reverse=True)
    return found


def consumers(order: "Sequence[Function]") -> "dict[Function, list[tuple[Function, int]]]":
    """For each node of a walk, who takes its value, and as which argument; ``x * x`` takes x twice.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> y = x * x
    >>> [(node.op_name, i) for node, i in consumers(reachable([y.grad_fn]))[x._edge()]]
    [('Mul', 0), ('Mul', 1)]
    """
    users: dict[Function, list[tuple[Function, int]]] = {node: [] for node in order}
    for node in order:
        for i, edge in enumerate(node.edges):
            if edge is not None:
                users[edge].append((node, i))
    return users


def node_of(tensor: "Tensor") -> "Function":
    """The node that the gradient of a tensor goes to: the one that made it, or the `AccumulateGrad` of a leaf.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> node_of(x).op_name, node_of(x * x).op_name
    ('AccumulateGrad', 'Mul')
    """
    return tensor._edge()


def kept(node: "Function") -> "list[tuple[Tensor | None, Array]]":
    """What a node keeps for its rule, to look at: each array, with the tensor that it is of where that is an input.

    Unlike `Function.saved`, nothing is checked (a value may have been changed in place since), and there is nothing to see,
    rather than an error, once the graph is freed. Auxiliary results (max pooling's indices) come last.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> y = tg.tensor([1.0, 2.0], requires_grad=True).exp()
    >>> [array.nbytes for _, array in kept(y.grad_fn)]
    [8]
    """
    saved = [(tensor, array) for tensor, array, _ in node._saved or () if array is not None]
    return saved + [(None, array) for array in node.auxiliary if not any(array is other for _, other in saved)]
