"""Where the boxes of a drawing go: in the frame of which module, and beside which op.

A frame is one visit to a module: the ops that ran, one after the other, while the module did. A module that is called
again after other ops has another frame, and so has a list of modules whose members run between other ops. Data that leave
a frame therefore never come back to it, which is what makes it a box that arrows run into above and out of below.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union

from .graph import Edge, Graph, Node


@dataclass
class Frame:
    """A module, and what runs in it, in order: boxes, and the frames of the modules that it calls.

    Attributes
    ----------
    path : str
        The module's; ``""`` for the whole drawing.
    name : str
        Unique in the drawing, as paths are not.
    title : str
        What the frame of a layer says; ``""`` for a module's.
    items : list of (Node or Frame)
    """

    path: str
    name: str
    items: list[Union[Node, "Frame"]] = field(default_factory=list)
    title: str = ""

    @property
    def innermost(self) -> Union[Node, "Frame"]:
        """The frame itself or, while it holds but one item, that one: its path says it all."""
        item: Node | Frame = self
        while isinstance(item, Frame) and len(item.items) == 1 and not item.title:
            item = item.items[0]
        return item


def forward_ends(edge: Edge) -> tuple[str, str]:
    """The ids of an edge's ends as they were in the forward pass: gradients run the other way."""
    return (edge.target, edge.source) if edge.kind == "gradient" else (edge.source, edge.target)


def companions(graph: Graph) -> dict[str, list[str]]:
    """The boxes that stand beside an op, one before it and one after, so that data run straight between them.

    These are the first two parameters that an op has to itself, or other leaves and inputs where the data come from
    elsewhere. What is left comes from above, as data do.

    Returns
    -------
    dict of str to list of str
        Ids, by the op's id.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn.viz.graph import trace
    >>> x, weight = tg.ones(1, 2), tg.ones(3, 2, requires_grad=True)
    >>> graph = trace(tg.linear(x, weight))
    >>> [(node.id, node.name or node.kind) for node in graph.nodes]
    [('n0', 'leaf'), ('n1', 'x'), ('n2', 'Linear'), ('n3', 'output')]
    >>> companions(graph)
    {'n2': ['n0']}
    """
    nodes = {node.id: node for node in graph.nodes}
    ends = [forward_ends(edge) for edge in graph.edges]
    uses = Counter(source for source, _ in ends)
    fed = {target for source, target in ends if nodes[source].kind in ("op", "module")}
    beside: dict[str, list[str]] = {}
    for edge, (source_id, target_id) in zip(graph.edges, ends, strict=True):
        source, target = nodes[source_id], nodes[target_id]
        if source.kind == "parameter":
            fits = source.module == target.module and source.layer == target.layer
        else:
            fits = source.kind in ("leaf", "input") and (target.id in fed or (edge.kind == "value" and edge.argument > 0))
            fits = fits and source.layer == target.layer
        if fits and uses[source.id] == 1 and len(beside.get(target.id, ())) < 2:
            beside.setdefault(target.id, []).append(source.id)
    return beside


def frames(graph: Graph, beside: Mapping[str, list[str]]) -> Frame:
    """Sort the boxes into the frames of the modules.

    Parameters
    ----------
    graph : Graph
    beside : dict of str to list of str
        From `companions`; these boxes are where their op is.

    Returns
    -------
    Frame
        The whole drawing, with the other frames inside.
    """
    whole = Frame("", "")
    layers = [Frame("", f"layer{i}", title=title) for i, title in enumerate(graph.layers)]
    whole.items.extend(layers)
    open_frames = [[layer] for layer in layers or [whole]]
    homes: dict[str, Frame] = {}
    for node in graph.nodes:
        if node.kind in ("op", "module"):
            homes[node.id] = _enter(open_frames[node.layer], node)
            homes |= dict.fromkeys(beside.get(node.id, ()), homes[node.id])
            homes[node.id].items.append(node)
    nodes = {node.id: node for node in graph.nodes}
    for edge in graph.edges:
        source, target = (nodes[end] for end in forward_ends(edge))
        if source.kind == "parameter" and source.module == target.module and source.layer == target.layer:
            homes.setdefault(source.id, homes[target.id])
    for node in graph.nodes:
        if node.kind not in ("op", "module"):
            homes.get(node.id, open_frames[node.layer][0]).items.append(node)
    return whole


def _enter(open_frames: list[Frame], op: Node) -> Frame:
    """The frame that an op is in: leave the modules that it does not run in, enter those that it does."""
    parts = op.module.split(".") if op.module else []
    paths = [".".join(parts[:i]) for i in range(len(parts) + 1)]
    shared = 0
    while shared < min(len(paths), len(open_frames)) and open_frames[shared].path == paths[shared]:
        shared += 1
    del open_frames[shared:]
    for path in paths[shared:]:
        frame = Frame(path, f"{op.id}_{len(open_frames)}")
        open_frames[-1].items.append(frame)
        open_frames.append(frame)
    return open_frames[-1]
