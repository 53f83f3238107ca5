"""One box for a module: a graph with less in it, made of a graph.

A graph of plain data goes in, and another comes out: `trace` has no part in it, and nothing is drawn. What becomes one box is
one visit to a module, that is, ops which follow one another. So data that leave a box never come back to it, and arrows
still run from top to bottom.

    collapsed(graph, depth=1)                                  # one box for each part of the network
    collapsed(graph, rule=lambda path: "downsample" in path)   # for these modules only
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import TypeAlias

from ..errors import ArgumentError
from .graph import Edge, Graph, Node, side_inputs

Rule: TypeAlias = Callable[[str], bool | str | None]


def collapsed(graph: Graph, depth: int | None = None, rule: Rule | None = None) -> Graph:
    """Draw modules as boxes.

    Parameters
    ----------
    graph : Graph
        From `trace`.
    depth : int, optional
        Modules with that many names in their path become boxes: at 1 ``layer1``, at 2 ``layer1.0``. So do modules without
        parts that have fewer.
    rule : callable, optional
        Asked with the path of each module, from the outermost: True makes it a box, a string makes it a part of the box of
        that name.

    Returns
    -------
    Graph
        A module with one op is that op. Parameters, and inputs that only go beside the data (a running mean), are counted
        with the one box that uses them; those that several use keep a box of their own. With a `depth`, the ops behind the
        last module that end in one number are a box too: ``"cross_entropy"`` where they are that, else ``"loss"``.

    Raises
    ------
    ArgumentError
        If the depth is no positive number, or the rule no function.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> from tinygrad_cnn.viz.graph import trace
    >>> net = nn.Sequential(nn.Sequential(nn.Linear(4, 3), nn.Tanh()), nn.Linear(3, 1))
    >>> graph = collapsed(trace(net(tg.ones(2, 4))), depth=1)
    >>> [(node.kind, node.name, node.parameters) for node in graph.nodes]
    [('input', 'x', 0), ('module', '0', 15), ('op', 'Linear', 4), ('output', 'output', 0)]
    """
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 1):
        raise ArgumentError(f"depth counts the names in a module's path, from 1 (the network's own parts); got {depth!r}")
    if rule is not None and not callable(rule):
        raise ArgumentError(f"collapse must be a function of a module's path, got {type(rule).__name__}")
    if depth is None and rule is None:
        return graph
    return _Collapsing(graph, depth, rule).graph()


class _Collapsing:
    """Which box each node of a graph goes to."""

    def __init__(self, graph: Graph, depth: int | None, rule: Rule | None) -> None:
        self._before = graph
        self._nodes = {node.id: node for node in graph.nodes}
        self._depth, self._rule = depth, rule
        self._names: dict[str, str | None] = {}
        self._owners = {node.module[:i] for node in graph.nodes for i, c in enumerate(node.module) if c == "."}
        self._groups: list[list[Node]] = []
        self._box: dict[str, str] = {}
        self._loss = _loss_ops(graph) if depth is not None else {}
        for node in graph.nodes:
            if node.kind == "op":
                self._place(node)
        for members in self._groups:
            self._box.update({node.id: members[-1].id for node in members})
        self._absorbed = self._find_absorbed()

    def _place(self, op: Node) -> None:
        """Put an op with the one before it if both belong to one box, else begin another."""
        name = self._box_name(op)
        last = self._groups[-1][-1] if self._groups else None
        if last is not None and name is not None and name == self._box_name(last) and op.layer == last.layer:
            self._groups[-1].append(op)
        else:
            self._groups.append([op])

    def _box_name(self, op: Node) -> str | None:
        return self._loss.get(op.id) or self._name(op.module)

    def _name(self, module: str) -> str | None:
        """The name of the box that the ops of a module belong to; None where each has its own."""
        if module not in self._names:
            parts = module.split(".") if module else []
            paths = [".".join(parts[: i + 1]) for i in range(len(parts))]
            self._names[module] = next(filter(None, map(self._box_of, paths)), None)
        return self._names[module]

    def _box_of(self, path: str) -> str | None:
        asked = self._rule(path) if self._rule is not None else None
        if isinstance(asked, str) and asked:
            return asked
        if asked:
            return path
        names = path.count(".") + 1
        ends_here = self._depth is not None and names < self._depth and path not in self._owners
        return path if names == self._depth or ends_here else None

    def _find_absorbed(self) -> dict[str, list[Node]]:
        """Parameters and side inputs, by the one box of which they are a part."""
        users: dict[str, set[str]] = defaultdict(set)
        for edge in self._before.edges:
            users[edge.source].add(self._box.get(edge.target, ""))
        aside = side_inputs(self._before)
        absorbed: dict[str, list[Node]] = defaultdict(list)
        for node in self._before.nodes:
            if (node.kind == "parameter" or node.id in aside) and len(users[node.id]) == 1:
                (user,) = users[node.id]
                if self._name(self._nodes[user].module) is not None:
                    absorbed[user].append(node)
        return absorbed

    def graph(self) -> Graph:
        """The graph with the boxes in it."""
        groups = {members[-1].id: members for members in self._groups}
        gone = {node.id for nodes in self._absorbed.values() for node in nodes}
        nodes = []
        for node in self._before.nodes:
            if node.id in groups:
                nodes.append(self._merged(groups[node.id], self._absorbed.get(node.id, ())))
            elif node.kind != "op" and node.id not in gone:
                nodes.append(node)
        return Graph(tuple(nodes), tuple(self._edges(nodes, gone)), self._before.layers, self._before.repeats)

    def _merged(self, members: Sequence[Node], absorbed: Iterable[Node]) -> Node:
        """One box for several ops, and what is counted with them."""
        absorbed = list(absorbed)
        parameters = sum(math.prod(node.shape) for node in absorbed if node.kind == "parameter")
        measures = self._sums(members, absorbed)
        last = members[-1]
        if len(members) == 1:
            return replace(last, parameters=parameters, measures=measures)
        name = self._box_name(last) or ""
        contents = dict(Counter(node.name for node in members).most_common())
        module = name.rpartition(".")[0] if last.module == name or last.module.startswith(f"{name}.") else ""
        return Node(
            last.id, "module", name, module, last.shape, last.dtype, layer=last.layer, contents=contents,
            parameters=parameters, measures=measures, pictures=last.pictures,
        )  # fmt: skip

    def _sums(self, members: Sequence[Node], absorbed: Sequence[Node]) -> dict[str, float]:
        """The measures of what is in a box, added up; a gradient's norm is that of the values which leave the box."""
        found: dict[str, float] = {}
        for node in (*members, *absorbed):
            for name, value in node.measures.items():
                found[name] = found.get(name, 0) + value
        inside = {node.id for node in members}
        leaving = {edge.source for edge in self._before.edges if edge.source in inside and edge.target not in inside}
        norms = [node.measures["gradnorm"] for node in members if node.id in leaving and "gradnorm" in node.measures]
        if norms:
            found["gradnorm"] = math.hypot(*norms)
        return found

    def _edges(self, nodes: Sequence[Node], gone: set[str]) -> list[Edge]:
        """One arrow for each value between two boxes, and for each argument of an op that is still one."""
        boxes = {node.id: node for node in nodes}
        arrows: dict[tuple[str, str, int], Edge] = {}
        counts: Counter[str] = Counter()
        for edge in self._before.edges:
            source, target = self._box.get(edge.source, edge.source), self._box.get(edge.target, edge.target)
            if edge.source in gone or source == target:
                continue
            into_module = boxes[target].kind == "module"
            key = (edge.source, target, 0 if into_module else edge.argument)
            if key in arrows:
                continue
            argument, name = (counts[target], "") if into_module else (edge.argument, edge.name)
            counts[target] += 1
            arrows[key] = Edge(source, target, argument, name, self._nodes[edge.source].shape)
        place = {node.id: i for i, node in enumerate(nodes)}
        return sorted(arrows.values(), key=lambda edge: (place[edge.target], edge.argument))


def _loss_ops(graph: Graph) -> dict[str, str]:
    """The ops outside of modules that make one number out of the network's output, with the name of their box."""
    ops = [node for node in graph.nodes if node.kind == "op"]
    tail = list(takewhile(lambda node: not node.module, reversed(ops)))
    one_number = bool(tail) and math.prod(tail[0].shape) == 1
    if graph.layers or not one_number or len(tail) == len(ops):
        return {}
    first, then = [node.name for node in reversed(tail)][:2] if len(tail) > 1 else ("", "")
    rest = {node.name for node in tail[:-2]}
    named = (first, then) == ("LogSoftmax", "NLLLoss") and rest <= {"Sum", "Div"}
    return dict.fromkeys((node.id for node in tail), "cross_entropy" if named else "loss")
