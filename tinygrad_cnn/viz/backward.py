"""The backward pass as a graph: the forward graph with its arrows turned round.

Each op has a box for its rule, which takes the gradient of what the op made and gives one to each argument that needs it.
The pass begins with the gradient of the output and ends at the gradients of the parameters and leaves. What needs no gradient
is not in it.
"""

from collections import Counter
from dataclasses import replace

from .graph import Edge, Graph, Node

NAMES = ("forward pass", "backward pass")

# What a measure of an op is called on its rule, where that is another number.
OF_RULE = {"backward time": "time", "backward flops": "flops"}


def backward_of(graph: Graph) -> Graph:
    """The graph of the backward pass.

    Parameters
    ----------
    graph : Graph
        Of the forward pass; collapsed and folded modules stay so.

    Returns
    -------
    Graph
        The id of a rule is that of its op with a "b" in front; its shape that of the gradient which it takes.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn.viz.graph import trace
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> graph = backward_of(trace((x * x).sum()))
    >>> [(node.id, node.name) for node in graph.nodes]
    [('bn3', 'gradient of output'), ('bn2', 'SumBackward'), ('bn1', 'MulBackward'), ('bn0', '.grad')]
    >>> [(edge.source, edge.target) for edge in graph.edges]
    [('bn3', 'bn2'), ('bn2', 'bn1'), ('bn1', 'bn0'), ('bn1', 'bn0')]
    """
    kept = {node.id for node in graph.nodes if node.kind != "input"}
    nodes = [_rule(node) for node in reversed(graph.nodes) if node.id in kept]
    arrows = [edge for edge in graph.edges if edge.source in kept]
    place = {node.id: i for i, node in enumerate(nodes)}
    arrows.sort(key=lambda edge: (place[f"b{edge.source}"], place[f"b{edge.target}"]))
    arriving: Counter[str] = Counter()
    edges = []
    for edge in arrows:
        target = f"b{edge.source}"
        edges.append(Edge(f"b{edge.target}", target, arriving[target], "", edge.shape, "gradient"))
        arriving[target] += 1
    return replace(graph, nodes=tuple(nodes), edges=tuple(edges))


def both(graph: Graph) -> Graph:
    """The forward pass, and the backward pass beside it."""
    rules = backward_of(graph)
    last = len(graph.layers or NAMES[:1])
    nodes = (*graph.nodes, *(replace(node, layer=last) for node in rules.nodes))
    return replace(graph, nodes=nodes, edges=graph.edges + rules.edges, layers=(*(graph.layers or NAMES[:1]), NAMES[1]))


def _rule(node: Node) -> Node:
    """The box in the backward pass of a box in the forward pass."""
    name = node.name
    if node.kind == "op":
        name = f"{node.name}Backward"
    elif node.kind == "output":
        name = f"gradient of {node.name}"
    elif node.kind in ("parameter", "leaf"):
        name = f"{node.name}.grad"
    measures = {name: value for name, value in node.measures.items() if name not in (*OF_RULE, *OF_RULE.values())}
    measures |= {OF_RULE[name]: value for name, value in node.measures.items() if name in OF_RULE}
    pictures = {"gradient": node.pictures["gradient"]} if "gradient" in node.pictures else {}
    return replace(node, id=f"b{node.id}", name=name, value=None, settings={}, scalars={}, measures=measures, pictures=pictures)
