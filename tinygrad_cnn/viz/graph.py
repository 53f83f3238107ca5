"""The recorded graph as plain data: what was computed from what, without a single array or tensor in it.

`trace` walks from outputs to leaves and writes down what each node knows of itself. A drawing (`dot`), a JSON file or an
explorer in a browser starts from here, and so can you:

    graph = trace(loss)
    sum(math.prod(node.shape) for node in graph.nodes if node.kind == "parameter")

A value has no box of its own: it is described on the node that makes it, by its shape and dtype. Edges run from the node
that makes a value to the node that takes it, one for each argument: `x * x` has two.
"""

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from ..autograd.engine import _reachable
from ..autograd.function import AccumulateGrad, Function
from ..errors import ArgumentError, AutogradError
from ..nn.parameter import Parameter
from ..tensor import Tensor
from .plain import Plain, plain

Kind: TypeAlias = Literal["op", "parameter", "leaf", "input", "output"]


@dataclass(frozen=True)
class Node:
    """A box of the graph, and the value that it makes.

    Attributes
    ----------
    id : str
        ``"n0"``, ``"n1"``, ... in the order of computation: the same program gives the same ids.
    kind : {"op", "parameter", "leaf", "input", "output"}
        A parameter is an `nn.Parameter`, a leaf another tensor that collects a gradient; an input needs none; an output
        is a tensor that was asked for.
    name : str
        The op's name, the parameter's path (``"features.0.weight"``), the tensor's name, or, for an input without one,
        the name of the argument that it is.
    module : str
        Path of the module that was running, or ``""``.
    shape, dtype
        Of the value.
    settings : dict
        The op's parameters, as plain data.
    scalars : dict of str to (number or None)
        The op's arguments that are a single number without a gradient, as the 2 in ``x * 2``; None where the op did not
        keep the number.
    value : number, optional
        Of an output of one element.
    """

    id: str
    kind: Kind
    name: str
    module: str
    shape: tuple[int, ...]
    dtype: str
    settings: Mapping[str, Plain] = field(default_factory=dict)
    scalars: Mapping[str, Plain] = field(default_factory=dict)
    value: Plain = None


@dataclass(frozen=True)
class Edge:
    """A value on its way to an argument.

    Attributes
    ----------
    source, target : str
        Ids of the node that makes the value and of the node that takes it.
    argument : int
        Which argument of the target it is, from 0.
    name : str
        What the target calls that argument: ``"weight"``; ``""`` where it has no name.
    """

    source: str
    target: str
    argument: int
    name: str


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of computation, and the edges between them, ordered by target and argument.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> graph = trace((x * x).sum())
    >>> [(node.kind, node.name, node.shape) for node in graph.nodes]
    [('leaf', '', (2,)), ('op', 'Mul', (2,)), ('op', 'Sum', ()), ('output', 'output', ())]
    >>> [(edge.source, edge.target, edge.argument, edge.name) for edge in graph.edges]
    [('n0', 'n1', 0, 'a'), ('n0', 'n1', 1, 'b'), ('n1', 'n2', 0, 'x'), ('n2', 'n3', 0, '')]
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def to_json(self, indent: int | None = None) -> str:
        """The graph as JSON text; `from_json` reads it back."""
        return json.dumps(asdict(self), indent=indent, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Graph":
        """The graph that `to_json` wrote."""
        data = json.loads(text)
        nodes = tuple(Node(**{name: _tuples(value) for name, value in node.items()}) for node in data["nodes"])
        return cls(nodes, tuple(Edge(**edge) for edge in data["edges"]))


def _tuples(value: Any) -> Any:
    """JSON has lists only; the data has tuples only."""
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def trace(outputs: Tensor | Sequence[Tensor]) -> Graph:
    """Write down the graph that one or several tensors were computed by.

    Parameters
    ----------
    outputs : Tensor or sequence of Tensor
        Where to start.

    Returns
    -------
    Graph
        Plain data; it keeps no array, tensor or node alive.

    Raises
    ------
    AutogradError
        If a tensor has no graph; says why, and what to do.
    ArgumentError
        If something else than tensors is given.
    """
    tensors = _checked(outputs)
    tracer = _Tracer()
    tracer.find_users(order := _reachable([tensor._edge() for tensor in tensors])[::-1])
    for node in order:
        if isinstance(node, AccumulateGrad):
            tracer.add_leaf(node)
        else:
            tracer.add_op(node)
    for i, tensor in enumerate(tensors):
        tracer.add_output(tensor, "output" if len(tensors) == 1 else f"output {i}")
    return Graph(tuple(tracer.nodes), tuple(tracer.edges))


def _checked(outputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """The outputs as a list, each with a graph."""
    tensors = [outputs] if isinstance(outputs, Tensor) else list(outputs) if isinstance(outputs, Iterable) else [outputs]
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise ArgumentError(f"the graph of a {type(tensor).__name__} was asked for: give a Tensor, or a sequence of them")
        if tensor.grad_fn is None:
            reason = (
                "it is a leaf, made by you rather than by an op; give what was computed from it"
                if tensor.requires_grad
                else "nothing that it was computed from requires a gradient, or it was computed under no_grad() or "
                "detached. Set requires_grad=True on what you want to follow, and compute it again"
            )
            named = f"the tensor {tensor.name!r}" if tensor.name else f"a tensor of shape {tensor.shape}"
            raise AutogradError(f"{named} has no graph: {reason}")
    if not tensors:
        raise ArgumentError("the graph of nothing was asked for: give a Tensor, or a sequence of them")
    return tensors


class _Tracer:
    """The nodes and edges so far. Lives as long as one `trace`: it knows the graph's objects, its results do not."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self._ids: dict[Function, str] = {}
        self._input_ids: dict[int, str] = {}
        self._users: dict[Function, Function] = {}
        self._argument_names: dict[type[Function], list[str]] = {}

    def find_users(self, order: Iterable[Function]) -> None:
        """Note the first user of each leaf, from first to last; one in a module counts before one outside."""
        for node in order:
            for edge in node.edges:
                if isinstance(edge, AccumulateGrad):
                    user = self._users.get(edge)
                    if user is None or (node.module and not user.module):
                        self._users[edge] = node

    def add_leaf(self, node: AccumulateGrad) -> None:
        """A tensor that collects a gradient; a parameter's path begins with that of its first user."""
        name, user = node.variable.name or "", self._users.get(node)
        learned = isinstance(node.variable, Parameter)
        module = user.module if learned and user is not None else ""
        path = f"{module}.{name}" if module and name else name
        self._ids[node] = self._add("parameter" if learned else "leaf", path, module, node.shape, str(node.dtype))

    def add_op(self, node: Function) -> None:
        """An op, with an edge from each of its arguments: those that need no gradient are inputs or plain numbers."""
        arguments = [self._argument(type(node), i) for i in range(len(node.edges))]
        sources: list[tuple[str, int]] = []
        scalars: dict[str, Plain] = {}
        for i, edge in enumerate(node.edges):
            if edge is not None:
                sources.append((self._ids[edge], i))
            elif node.input_shapes[i] == ():
                constant = _saved_input(node, i)
                scalars[arguments[i]] = None if constant is None else plain(constant.item())
            else:
                sources.append((self._input(node, i, arguments[i]), i))
        settings = {name: plain(value) for name, value in node.settings.items()}
        self._ids[node] = self._add(
            "op", node.op_name, node.module, node.shape, str(node.dtype), settings=settings, scalars=scalars
        )
        self.edges += [Edge(source, self._ids[node], i, arguments[i]) for source, i in sources]

    def _input(self, node: Function, i: int, argument: str) -> str:
        """The id of an input: one box for a tensor that several ops saved, one for each argument that nobody saved."""
        tensor = _saved_input(node, i)
        if tensor is not None and id(tensor) in self._input_ids:
            return self._input_ids[id(tensor)]
        name = tensor.name if tensor is not None and tensor.name else argument
        added = self._add("input", name, "", node.input_shapes[i], str(node.input_dtypes[i]))
        if tensor is not None:
            self._input_ids[id(tensor)] = added
        return added

    def add_output(self, tensor: Tensor, title: str) -> None:
        """A tensor that was asked for; with its value, where it is one number."""
        value = plain(tensor.item()) if tensor.numel() == 1 else None
        added = self._add("output", tensor.name or title, "", tensor.shape, str(tensor.dtype), value=value)
        self.edges.append(Edge(self._ids[tensor._edge()], added, 0, ""))

    def _add(self, kind: Kind, name: str, module: str, shape: tuple[int, ...], dtype: str, **more: Any) -> str:
        self.nodes.append(Node(f"n{len(self.nodes)}", kind, name, module, tuple(map(int, shape)), dtype, **more))
        return self.nodes[-1].id

    def _argument(self, op: type[Function], i: int) -> str:
        """What the op's forward calls its argument i; the number, where it takes any number of them."""
        if op not in self._argument_names:
            parameters = list(inspect.signature(op.forward).parameters.values())[1:]
            self._argument_names[op] = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        names = self._argument_names[op]
        return names[i] if i < len(names) else str(i)


def _saved_input(node: Function, i: int) -> Tensor | None:
    """Argument i itself, where the op saved it and nothing else that it took looks the same.

    A node keeps only what its rule needs, so this finds some arguments and, once the graph is freed, none.
    """
    looks = [(node.input_shapes[j], node.input_dtypes[j]) if edge is None else None for j, edge in enumerate(node.edges)]
    if looks.count(looks[i]) != 1:
        return None
    saved = (tensor for tensor, _, _ in node._saved or () if tensor is not None and not tensor.requires_grad)
    return next((tensor for tensor in saved if (tensor.shape, tensor.dtype) == looks[i]), None)
