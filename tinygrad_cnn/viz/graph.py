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
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

from ..autograd.function import AccumulateGrad, Function
from ..autograd.walk import kept, node_of, reachable
from ..errors import ArgumentError, AutogradError
from ..nn.hooks import Gate, Tap
from ..nn.parameter import Parameter
from ..ops.loss import NLLLoss
from ..tensor import Tensor
from .plain import Plain, plain

Kind: TypeAlias = Literal["module", "op", "parameter", "leaf", "input", "output"]
EdgeKind: TypeAlias = Literal["value", "gradient"]

# Arguments that an op's function makes by itself: not what a user would look for in the picture.
UNSHOWN: Mapping[type[Function], frozenset[str]] = {NLLLoss: frozenset({"coefficient"})}


@dataclass(frozen=True)
class Node:
    """A box of the graph, and the value that it makes.

    Attributes
    ----------
    id : str
        ``"n0"``, ``"n1"``, ... in the order of computation: the same program gives the same ids.
    kind : {"module", "op", "parameter", "leaf", "input", "output"}
        A module is a box that stands for all that ran in it (`collapsed`). A parameter is an `nn.Parameter`, a leaf another
        tensor that collects a gradient; an input needs none; an output is a tensor that was asked for.
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
    layer : int
        Which of the graph's `layers` it is in.
    contents : dict of str to int
        How many ops of which name a module holds.
    parameters : int
        Elements of the parameters that are not drawn beside it but counted with it.
    measures : dict of str to number
        What was measured, by the name of the measure; see `measure`.
    pictures : dict of str to str
        The value and its gradient (``"value"``, ``"gradient"``) as PNG in base64.
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
    layer: int = 0
    contents: Mapping[str, int] = field(default_factory=dict)
    parameters: int = 0
    measures: Mapping[str, float] = field(default_factory=dict)
    pictures: Mapping[str, str] = field(default_factory=dict)


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
    shape : tuple of int, optional
        Of the value, in a graph with collapsed modules: they may give several, so their shapes are at the arrows.
    kind : {"value", "gradient"}
        What runs along it: a value, or in a backward graph its gradient, the other way.
    """

    source: str
    target: str
    argument: int
    name: str
    shape: tuple[int, ...] | None = None
    kind: EdgeKind = "value"


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of computation, and the edges between them, ordered by target and argument.

    Attributes
    ----------
    nodes : tuple of Node
    edges : tuple of Edge
    layers : tuple of str
        What is computed in each layer, where there are several: the forward pass, then its gradient where that was recorded
        (``create_graph=True``), and so on.
    repeats : dict of str to (int, str)
        By the path of a module: how often the like follows one another, and the path of the last of them (`folded`).

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
    layers: tuple[str, ...] = ()
    repeats: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    def to_json(self, indent: int | None = None) -> str:
        """The graph as JSON text; `from_json` reads it back."""
        return json.dumps(asdict(self), indent=indent, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Graph":
        """The graph that `to_json` wrote."""
        data = json.loads(text)
        nodes = tuple(Node(**_tuples(node)) for node in data["nodes"])
        edges = tuple(Edge(**_tuples(edge)) for edge in data["edges"])
        return cls(nodes, edges, tuple(data["layers"]), _tuples(data["repeats"]))


def _tuples(value: Any) -> Any:
    """JSON has lists only; the data has tuples only."""
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def side_inputs(graph: Graph) -> set[str]:
    """The ids of the inputs that go beside the data (targets, a running mean) rather than being the data."""
    kinds = {node.id: node.kind for node in graph.nodes}
    fed = {edge.target for edge in graph.edges if kinds[edge.source] in ("op", "module")}
    data = {edge.source for edge in graph.edges if edge.argument == 0 and edge.target not in fed}
    return {node.id for node in graph.nodes if node.kind == "input" and node.id not in data}


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
    return trace_nodes(outputs)[0]


def trace_nodes(outputs: Tensor | Sequence[Tensor]) -> tuple[Graph, dict[Function, str]]:
    """`trace`, and the id of the box of each node: for those who measure the nodes before they let them go."""
    tensors = _checked(outputs)
    tracer = _Tracer()
    order = [node for node in reachable(map(node_of, tensors))[::-1] if not isinstance(node, Gate)]
    tracer.find_users(order)
    for node in order:
        if isinstance(node, AccumulateGrad):
            tracer.add_leaf(node)
        elif isinstance(node, Tap):
            tracer.pass_through(node)
        else:
            tracer.add_op(node)
    for i, tensor in enumerate(tensors):
        tracer.add_output(tensor, "output" if len(tensors) == 1 else f"output {i}")
    return tracer.finished(), tracer.ids


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
        self.ids: dict[Function, str] = {}
        self._input_ids: dict[int, str] = {}
        self._users: dict[Function, Function] = {}
        self._argument_names: dict[type[Function], list[str]] = {}
        self._layers: dict[str, int] = {}

    def find_users(self, order: Iterable[Function]) -> None:
        """Note the first user of each leaf, from first to last; one in a module counts before one outside."""
        for node in order:
            for edge in node.edges:
                if isinstance(edge, AccumulateGrad) and not isinstance(node, Tap):
                    user = self._users.get(edge)
                    if user is None or (node.module and not user.module):
                        self._users[edge] = node

    def add_leaf(self, node: AccumulateGrad) -> None:
        """A tensor that collects a gradient; a parameter's path begins with that of its first user."""
        name, user = node.variable.name or "", self._users.get(node)
        learned = isinstance(node.variable, Parameter)
        module = user.module if learned and user is not None else ""
        path = f"{module}.{name}" if module and name else name
        self.ids[node] = self._add("parameter" if learned else "leaf", path, module, node.shape, str(node.dtype))

    def add_op(self, node: Function) -> None:
        """An op, with an edge from each of its arguments: those that need no gradient are inputs or plain numbers."""
        arguments = [self._argument(type(node), i) for i in range(len(node.edges))]
        sources: list[tuple[str, int]] = []
        scalars: dict[str, Plain] = {}
        for i, edge in enumerate(node.edges):
            if edge is not None:
                sources.append((self.ids[edge], i))
            elif arguments[i] in UNSHOWN.get(type(node), ()):
                continue
            elif node.input_shapes[i] == ():
                constant = _saved_input(node, i)
                scalars[arguments[i]] = None if constant is None else plain(constant.item())
            else:
                sources.append((self._input(node, i, arguments[i]), i))
        settings = {name: plain(value) for name, value in node.settings.items()}
        self.ids[node] = self._add(
            "op", node.op_name, node.module, node.shape, str(node.dtype), settings=settings, scalars=scalars
        )
        self.edges += [Edge(source, self.ids[node], i, arguments[i]) for source, i in sources]
        self._layers[self.ids[node]] = max([node.derivative, *(self._layers.get(source, 0) for source, _ in sources)])

    def pass_through(self, node: Tap) -> None:
        """What a module's backward hook looks at stands for what it is."""
        source = node.edges[0]
        assert source is not None
        self.ids[node] = self.ids[source]

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
        # What a module's backward hook looks at has a name for error messages, which is not the user's.
        name = "" if isinstance(tensor.grad_fn, Tap) else tensor.name
        added = self._add("output", name or title, "", tensor.shape, str(tensor.dtype), value=value)
        self.edges.append(Edge(self.ids[node_of(tensor)], added, 0, ""))

    def finished(self) -> Graph:
        """The graph, each leaf and input in the layer of its first user, each output in that of its op."""
        layers = dict(self._layers)
        for edge in reversed(self.edges):
            if edge.source not in self._layers and edge.target in self._layers:
                layers[edge.source] = min(layers.get(edge.source, self._layers[edge.target]), self._layers[edge.target])
            elif edge.target not in self._layers:
                layers[edge.target] = self._layers.get(edge.source, 0)
        nodes = tuple(replace(node, layer=layers.get(node.id, 0)) for node in self.nodes)
        count = 1 + max(self._layers.values(), default=0)
        names = ("forward pass", "its gradient", *(f"derivative {i}" for i in range(2, count)))
        return Graph(nodes, tuple(self.edges), names[:count] if count > 1 else ())

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
    saved = (tensor for tensor, _ in kept(node) if tensor is not None and not tensor.requires_grad)
    return next((tensor for tensor in saved if (tensor.shape, tensor.dtype) == looks[i]), None)
