"""Pictures of what was computed: the recorded graph.

    from tinygrad_cnn import viz

    viz.graph(loss)                          # a notebook shows it
    viz.graph(loss).render("graph.svg")      # or .png, or .pdf
    viz.graph(loss).graph.nodes              # the same as plain data
"""

# `graph` is the function: importing the module of that name, which `drawing` does, comes first and is overwritten.
from .drawing import GraphDrawing, graph
from .graph import Edge, Graph, Node, trace

__all__ = ["Edge", "Graph", "GraphDrawing", "Node", "graph", "trace"]
