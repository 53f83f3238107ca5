"""Pictures of what was computed: the recorded graph, and a network as papers draw it.

    from tinygrad_cnn import viz

    viz.graph(loss)                          # a notebook shows it
    viz.graph(loss).render("graph.svg")      # or .png, .pdf, .html
    viz.graph(loss, depth=1, color="time")   # a box for each part of the network, and its seconds
    viz.graph(loss).graph.nodes              # the same as plain data
    viz.architecture(net, (3, 224, 224))     # feature maps as boxes in a row
    viz.explore(loss, net, "net.html")       # a page to step through forward and backward, number by number
"""

# `graph` is the function: importing the module of that name, which `drawing` does, comes first and is overwritten.
from ..explorer import explore
from .architecture import ArchitectureDrawing, architecture
from .drawing import GraphDrawing, graph
from .graph import Edge, Graph, Node, trace

__all__ = ["ArchitectureDrawing", "Edge", "Graph", "GraphDrawing", "Node", "architecture", "explore", "graph", "trace"]
