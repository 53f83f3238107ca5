"""One block for many that are equal: "x 3".

Deep networks repeat themselves: the third stage of a ResNet-50 has five bottlenecks in a row with the same ops on the same
shapes. Drawn once, with a number, they fit a page. Two blocks are equal where all of their boxes and arrows are, but for
the name of the block; and they are in a row where everything that goes into the second comes out of the first.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from .graph import Graph, Node, side_inputs


@dataclass
class Block:
    """A visit to a module: its boxes, and the arrows to, in and from it.

    Attributes
    ----------
    path : str
        Of the module.
    members : list of Node
    """

    path: str
    members: list[Node]

    def place(self) -> dict[str, int]:
        """Where each box stands in the block."""
        return {node.id: i for i, node in enumerate(self.members)}


def folded(graph: Graph) -> Graph:
    """Draw equal modules that follow one another as one.

    Parameters
    ----------
    graph : Graph
        From `trace` or `collapsed`.

    Returns
    -------
    Graph
        `Graph.repeats` says how many each of the modules that are left stands for. Measures are those of one of them, on
        the average.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> from tinygrad_cnn.viz.graph import trace
    >>> blocks = [nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(5)]
    >>> graph = folded(trace(nn.Sequential(*blocks)(tg.ones(2, 4))))
    >>> graph.repeats
    {'0': (5, '4')}
    """
    done: set[str] = set()
    while True:
        paths = sorted({path for node in graph.nodes for path in _parents(node)} - done, key=lambda path: path.count("."))
        if not paths:
            return graph
        done.add(paths[0])
        for run in _runs(graph, paths[0]):
            graph = _fold(graph, run)


def _own_path(node: Node) -> str:
    """The module that a box is, or is in."""
    return node.name if node.kind == "module" else node.module


def _parents(node: Node) -> list[str]:
    """The paths of the modules whose parts a box may be among, ``""`` first."""
    parts = _own_path(node).split(".") if node.kind in ("op", "module") and _own_path(node) else []
    return ["", *(".".join(parts[: i + 1]) for i in range(len(parts) - 1))] if parts else []


def _runs(graph: Graph, parent: str) -> list[list[Block]]:
    """The rows of two or more equal blocks among the parts of a module."""
    blocks = _blocks(graph, parent)
    found: list[list[Block]] = []
    run: list[Block] = blocks[:1]
    links: Any = None
    for before, block in pairwise(blocks):
        equal = before.path and _signature(graph, before) == _signature(graph, block)
        new_links = _links(graph, before, block) if equal else None
        if new_links is not None and (links is None or links == new_links):
            run.append(block)
            links = new_links
        else:
            found, run, links = [*found, run], [block], None
    return [run for run in [*found, run] if len(run) > 1]


def _blocks(graph: Graph, parent: str) -> list[Block]:
    """The visits to the parts of a module, in order; an op of the module itself stands between as a block without a path."""
    prefix = f"{parent}." if parent else ""
    blocks: list[Block] = []
    for node in graph.nodes:
        if node.kind not in ("op", "module"):
            continue
        path = _own_path(node)
        name = path[len(prefix) :].split(".")[0] if path.startswith(prefix) else ""
        path = prefix + name if name else ""
        if blocks and blocks[-1].path == path:
            blocks[-1].members.append(node)
        else:
            blocks.append(Block(path, [node]))
    visits = [block.path for block in blocks]
    users: dict[str, set[str]] = defaultdict(set)
    for edge in graph.edges:
        users[edge.source].add(edge.target)
    aside = side_inputs(graph)
    beside = [node for node in graph.nodes if node.kind == "parameter" or node.id in aside]
    for block in blocks:
        if visits.count(block.path) > 1:
            block.path = ""
        if block.path:
            ids = {node.id for node in block.members}
            block.members = [node for node in beside if users[node.id] <= ids] + block.members
    return blocks


def _signature(graph: Graph, block: Block) -> list[Any]:
    """What two equal blocks have in common: everything but names of the block and numbers of the boxes."""
    place = block.place()
    boxes = []
    for node in block.members:
        names = [text.removeprefix(block.path) if text.startswith(block.path) else text for text in (node.name, node.module)]
        boxes.append([node.kind, *names, node.shape, node.dtype, node.settings, node.scalars, node.contents, node.parameters])
        boxes[-1].append(node.layer)
    inner = [
        (place[edge.source], place[edge.target], edge.argument, edge.name, edge.shape)
        for edge in graph.edges
        if edge.source in place and edge.target in place
    ]
    return [boxes, inner]


def _links(graph: Graph, before: Block, block: Block) -> list[tuple[int, int, int]] | None:
    """Which box feeds which of the next block; None where the first feeds others too, or the next takes from elsewhere."""
    given, taken = before.place(), block.place()
    links = []
    for edge in graph.edges:
        leaves = edge.source in given and edge.target not in given
        enters = edge.target in taken and edge.source not in taken
        if leaves != enters:
            return None
        if leaves:
            links.append((given[edge.source], taken[edge.target], edge.argument))
    return links


def _fold(graph: Graph, run: Sequence[Block]) -> Graph:
    """Keep the first block of a run; arrows that left the last one leave it."""
    first, last = run[0], run[-1]
    gone = {node.id for block in run[1:] for node in block.members}
    stands_for = dict(zip([node.id for node in last.members], [node.id for node in first.members], strict=True))
    averages = {node.id: _average([block.members[i] for block in run]) for i, node in enumerate(first.members)}
    nodes = tuple(averages.get(node.id, node) for node in graph.nodes if node.id not in gone)
    edges = tuple(
        replace(edge, source=stands_for.get(edge.source, edge.source))
        for edge in graph.edges
        if edge.target not in gone and (edge.source not in gone or edge.source in stands_for)
    )
    return Graph(nodes, edges, graph.layers, {**graph.repeats, first.path: (len(run), last.path)})


def _average(nodes: Sequence[Node]) -> Node:
    """The first node, with the measures of all, averaged."""
    names = [name for name in nodes[0].measures if all(name in node.measures for node in nodes)]
    return replace(nodes[0], measures={name: sum(n.measures[name] for n in nodes) / len(nodes) for name in names})
