"""The backward pass as a graph, beside the forward pass, and the layers of a recorded gradient; pictures in the boxes."""

import base64
import io
import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn, viz
from tinygrad_cnn.errors import ArgumentError, MissingExtraError
from tinygrad_cnn.viz.picture import png
from tinygrad_cnn.viz.render import find_renderer

from .viz_cases import Net, leaf, lenet_loss

needs_renderer = pytest.mark.skipif(find_renderer() is None, reason="neither dot nor graphviz-pure is installed")


# The backward graph -------------------------------------------------------------------------------------------------


def test_arrows_are_turned_round():
    loss = lenet_loss()
    forward, backward = viz.graph(loss).graph, viz.graph(loss, passes="backward").graph
    needing = {node.id for node in forward.nodes if node.kind != "input"}
    assert {node.id for node in backward.nodes} == {f"b{name}" for name in needing}
    turned = sorted((f"b{edge.target}", f"b{edge.source}") for edge in forward.edges if edge.source in needing)
    assert sorted((edge.source, edge.target) for edge in backward.edges) == turned
    place = {node.id: i for i, node in enumerate(backward.nodes)}
    assert all(place[edge.source] < place[edge.target] for edge in backward.edges)
    assert backward.nodes[0].name == "gradient of output"
    names = [node.name for node in backward.nodes if node.kind == "parameter"]
    assert "conv1.weight.grad" in names
    assert len(names) == 10


def test_a_fan_out_collects_as_many_gradients_as_there_are_users():
    x = leaf(3, name="x")
    graph = viz.graph((x.exp() * x.sin() + x).sum(), passes="backward").graph
    (end,) = [node for node in graph.nodes if node.name == "x.grad"]
    assert [edge.argument for edge in graph.edges if edge.target == end.id] == [0, 1, 2]


def test_both_are_layers_of_one_graph():
    graph = viz.graph(lenet_loss(), passes="both", depth=1).graph
    assert graph.layers == ("forward pass", "backward pass")
    assert {node.layer for node in graph.nodes} == {0, 1}
    assert viz.Graph.from_json(graph.to_json()) == graph


@needs_renderer
def test_both_are_beside_each_other_and_run_against_each_other():
    drawing = viz.graph(Net()(tg.ones(2, 2, 4, 4)).sum(), passes="both")
    picture = ElementTree.fromstring(drawing._repr_svg_())
    svg = "{http://www.w3.org/2000/svg}"
    boxes = {}
    for group in picture.findall(f".//{svg}g[@class='node']"):
        shape = next(child for child in group.iter() if child.tag in (f"{svg}polygon", f"{svg}path"))
        found = [float(number) for number in re.findall(r"-?\d+\.?\d*", shape.get("points") or shape.get("d"))]
        boxes[group.find(f"{svg}title").text] = (min(found[::2]), min(found[1::2]))
    ops = [node.id for node in drawing.graph.nodes if node.kind == "op" and not node.id.startswith("b")]
    tops = [boxes[f"b{name}"][1] for name in ops]
    assert tops[0] < tops[-1]  # the first op's rule comes last, so it stands at the top
    assert max(boxes[name][0] for name in ops) < min(boxes[f"b{name}"][0] for name in ops)


def test_other_passes():
    with pytest.raises(ArgumentError, match="passes must be 'forward', 'backward' or 'both', got 'up'"):
        viz.graph(lenet_loss(), passes="up")


# Layers -------------------------------------------------------------------------------------------------------------


def test_a_recorded_gradient_is_a_layer():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (gx,) = tg.autograd.grad((x * x * x).sum(), x, create_graph=True)
    graph = viz.trace((gx * gx).sum())
    assert graph.layers == ("forward pass", "its gradient")
    first = [node.name for node in graph.nodes if node.kind == "op" and node.layer == 0]
    # x * x is what the gradient needs of the forward pass; the rest of the ops came with it or after it.
    assert first == ["Mul"]
    assert graph.nodes[-1].layer == 1
    (ggx,) = tg.autograd.grad((gx * gx).sum(), x, create_graph=True)
    again = viz.trace(ggx)
    assert again.layers == ("forward pass", "its gradient", "derivative 2")
    assert {node.layer for node in again.nodes} == {0, 1, 2}
    assert "derivative 2" in viz.graph(ggx).source


def test_backward_with_create_graph_notes_the_layer_of_grad():
    x = leaf(3)
    x.sin().sum().backward(create_graph=True)
    assert viz.trace(x.grad).layers == ("forward pass", "its gradient")


def test_a_graph_without_gradients_has_no_layers():
    assert viz.trace(lenet_loss()).layers == ()


def test_the_rule_of_a_modules_op_is_in_the_module():
    net = nn.Sequential(nn.Linear(3, 2), nn.Sigmoid())
    x = leaf(1, 3)
    (gx,) = tg.autograd.grad(net(x).sum(), x, create_graph=True)
    modules = {node.module for node in viz.trace(gx).nodes if node.kind == "op" and node.layer == 1}
    assert {"0", "1"} <= modules


# Pictures -----------------------------------------------------------------------------------------------------------


def pixels(text):
    image = pytest.importorskip("PIL.Image")
    with image.open(io.BytesIO(base64.b64decode(text))) as picture:
        return np.asarray(picture)


def test_a_value_is_grey_from_its_smallest_to_its_largest():
    found = pixels(png(np.array([[[[0.0, 1.0], [2.0, 4.0]]]]), signed=False))
    step = len(found) // 2
    assert [found[i, j].tolist() for i in (0, step) for j in (0, step)] == [[0] * 3, [64] * 3, [128] * 3, [255] * 3]


def test_a_gradient_is_blue_below_zero_and_red_above():
    found = pixels(png(np.array([-2.0, 0.0, 2.0]), signed=True))
    blue, white, red = (found[0, len(found[0]) * i // 3 + 1].tolist() for i in range(3))
    assert blue[2] > blue[0] + 50
    assert white == [255, 255, 255]
    assert red[0] > red[2] + 50


@pytest.mark.parametrize(
    "shape", [(2, 5, 7, 9), (1, 40, 3, 3), (2, 3, 300, 200), (4, 10), (1, 400), (10,), (3, 5, 5), (2, 2, 3, 3, 3)]
)
def test_pictures_of_any_shape(shape):
    found = pixels(png(np.random.default_rng(0).normal(size=shape), signed=True))
    assert 60 < max(found.shape) <= 512


def test_one_number_is_no_picture_and_nan_is_no_error():
    assert png(np.array(3.0), signed=False) is None
    assert png(np.zeros((0, 3)), signed=False) is None
    assert png(np.full((2, 2), np.nan), signed=True) is not None


@needs_renderer
def test_pictures_are_inside_the_svg(tmp_path):
    pytest.importorskip("PIL")
    loss = lenet_loss()
    drawing = viz.graph(loss, pictures=True, depth=1)
    pictured = [(node.name, sorted(node.pictures)) for node in drawing.graph.nodes if node.pictures]
    assert ("Conv2d", ["gradient", "value"]) in pictured
    count = sum(len(names) for _, names in pictured)
    svg = drawing.render(tmp_path / "graph.svg").read_text()
    assert svg.count('xlink:href="data:image/png;base64,') == count
    page = drawing.render(tmp_path / "graph.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("<image") == count
    assert viz.Graph.from_json(drawing.graph.to_json()) == drawing.graph


def test_the_wheel_draws_no_pictures_into_a_png(tmp_path, monkeypatch):
    pytest.importorskip("PIL")
    monkeypatch.setattr("tinygrad_cnn.viz.drawing.find_renderer", lambda: tmp_path / "graphviz-pure")
    with pytest.raises(ArgumentError, match=r"no pictures into a png: choose the suffix \.svg or \.html"):
        viz.graph(lenet_loss(), pictures=True, depth=1).render(tmp_path / "graph.png")


def test_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r'viz.graph\(pictures=True\) needs the extra "plot"'):
        viz.graph(lenet_loss(), pictures=True)
