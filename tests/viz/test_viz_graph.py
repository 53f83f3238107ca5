"""The graph as plain data: what is in it, in which order, and that nothing is kept alive by it."""

import gc
import json
import weakref

import numpy as np
import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import nn, viz
from tinygrad_cnn.errors import ArgumentError, AutogradError
from tinygrad_cnn.viz.arrange import Frame, companions, frames
from tinygrad_cnn.viz.plain import plain

from .viz_cases import AWKWARD, Awkward, Net, inside, leaf, lenet_loss


def ops(graph):
    return [node.name for node in graph.nodes if node.kind == "op"]


def named(graph, name):
    (node,) = [node for node in graph.nodes if node.name == name]
    return node


def arguments(graph, node):
    """(argument, its name, where it comes from) of each edge into a node."""
    names = {other.id: other.name for other in graph.nodes}
    return [(edge.argument, edge.name, names[edge.source]) for edge in graph.edges if edge.target == node.id]


# Edges --------------------------------------------------------------------------------------------------------------


def test_a_square_has_two_edges():
    x = leaf(3, name="x")
    graph = viz.trace(x * x)
    assert arguments(graph, named(graph, "Mul")) == [(0, "a", "x"), (1, "b", "x")]


def test_edges_are_in_the_order_of_the_arguments():
    a, b = leaf(3, name="first"), leaf(3, name="second")
    one, other = viz.trace(a - b), viz.trace(b - a)
    assert arguments(one, named(one, "Sub")) == [(0, "a", "first"), (1, "b", "second")]
    assert arguments(other, named(other, "Sub")) == [(0, "a", "second"), (1, "b", "first")]


def test_any_number_of_arguments_are_numbered():
    parts = [leaf(1, name=name) for name in "pqr"]
    graph = viz.trace(tg.cat([parts[1], parts[0], parts[2], parts[0]]))
    assert arguments(graph, named(graph, "Cat")) == [(0, "0", "q"), (1, "1", "p"), (2, "2", "r"), (3, "3", "p")]


def test_fan_out_and_diamond_have_each_node_once():
    x = leaf(3, name="x")
    shared = x.exp()
    y = (shared.sin() * shared.cos()).sum()
    graph = viz.trace(y)
    assert ops(graph) == ["Exp", "Sin", "Cos", "Mul", "Sum"]
    exp = named(graph, "Exp")
    assert sum(edge.source == exp.id for edge in graph.edges) == 2
    assert len(graph.nodes) == 7
    assert len(graph.edges) == 7


def test_twenty_diamonds_in_a_row_are_not_walked_a_million_times():
    x = leaf(1)
    for _ in range(20):
        x = x.sin() + x.cos()
    assert len(viz.trace(x).nodes) == 62


def test_a_long_chain_needs_no_recursion():
    x = leaf(1)
    for _ in range(20_000):
        x = -x
    assert len(viz.trace(x).nodes) == 20_002


# Nodes --------------------------------------------------------------------------------------------------------------


def test_an_op_knows_its_settings_module_shape_and_dtype():
    x = tg.ones(2, 1, 5, 6).double().requires_grad_()
    with inside("features.3"):
        y = F.conv2d(x, tg.ones(4, 1, 3, 3).double(), padding=1, stride=2)
    node = named(viz.trace(y), "Conv2d")
    assert (node.shape, node.dtype, node.module) == ((2, 4, 3, 3), "float64", "features.3")
    assert node.settings == {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1)}
    assert "geometry" not in str(node)


def test_nodes_are_in_the_order_of_computation_with_stable_ids():
    def run():
        return viz.trace((leaf(2, name="a").exp() * leaf(2, name="b").sin()).sum())

    graph = run()
    assert [node.id for node in graph.nodes] == [f"n{i}" for i in range(len(graph.nodes))]
    place = {node.id: i for i, node in enumerate(graph.nodes)}
    assert all(place[edge.source] < place[edge.target] for edge in graph.edges)
    assert run() == graph


def test_parameters_have_the_path_of_their_module():
    graph = viz.trace(lenet_loss())
    found = {node.name: node.shape for node in graph.nodes if node.kind == "parameter"}
    layers = {"conv1": (6, 1, 5, 5), "conv2": (16, 6, 5, 5), "fc1": (120, 400), "fc2": (84, 120), "fc3": (10, 84)}
    assert found == {f"{layer}.weight": shape for layer, shape in layers.items()} | {
        f"{layer}.bias": shape[:1] for layer, shape in layers.items()
    }
    assert not [node for node in graph.nodes if node.kind == "leaf"]


def test_nested_and_shared_parameters():
    net = Net().train()
    graph = viz.trace(net(tg.ones(2, 2, 4, 4)).sum())
    names = [node.name for node in graph.nodes if node.kind == "parameter"]
    assert sorted(names) == sorted(name for name, _ in net.named_parameters())
    weight = named(graph, "heads.0.weight")
    assert sum(edge.source == weight.id for edge in graph.edges) == 2


def test_a_shared_parameter_belongs_to_its_first_user_in_a_module():
    weight = nn.Parameter(tg.ones(2, 2))
    weight.name = "weight"
    penalty = (weight * weight).sum()
    with inside("encoder"):
        x = F.linear(tg.ones(1, 2), weight)
    with inside("decoder"):
        x = F.linear(x, weight)
    graph = viz.trace(x.sum() + penalty)
    assert [node.name for node in graph.nodes if node.kind == "parameter"] == ["encoder.weight"]


def test_a_named_leaf_in_a_module_is_no_parameter():
    image = leaf(1, 3, name="image")
    with inside("fc"):
        y = F.linear(image, leaf(2, 3))
    assert [(node.kind, node.name) for node in viz.trace(y).nodes if node.kind != "op"] == [
        ("leaf", "image"),
        ("leaf", ""),
        ("output", "output"),
    ]


def test_data_without_a_gradient_are_inputs():
    images, weight = tg.ones(2, 1, 4, 5), leaf(3, 1, 2, 2)
    graph = viz.trace(F.conv2d(images, weight))
    (node,) = [node for node in graph.nodes if node.kind == "input"]
    assert (node.name, node.shape, node.dtype, node.module) == ("x", (2, 1, 4, 5), "float32", "")
    assert [argument[:2] for argument in arguments(graph, named(graph, "Conv2d"))] == [(0, "x"), (1, "weight")]


def test_one_input_used_twice_is_one_box_and_keeps_its_name():
    images = tg.ones(2, 3)
    images.name = "images"
    graph = viz.trace(F.linear(images, leaf(4, 3)) + F.linear(images, leaf(4, 3)))
    node = named(graph, "images")
    assert sum(edge.source == node.id for edge in graph.edges) == 2


def test_two_inputs_that_look_alike_are_not_mixed_up():
    mask, other = tg.ones(3), tg.zeros(3)
    mask.name, other.name = "mask", "other"
    graph = viz.trace(tg.where(mask, leaf(3), other))
    assert {node.name for node in graph.nodes if node.kind == "input"} <= {"condition", "mask", "b", "other"}
    assert len([node for node in graph.nodes if node.kind == "input"]) == 2


def test_a_number_is_written_into_its_op_while_the_graph_has_it():
    x = leaf(3)
    y = 2 * x
    assert named(viz.trace(y), "Mul").scalars == {"a": 2}
    assert not [node for node in viz.trace(y).nodes if node.kind == "input"]
    y.sum().backward()
    assert named(viz.trace(y), "Mul").scalars == {"a": None}
    assert named(viz.trace(1 - x), "Sub").scalars == {"a": None}


def test_the_graph_of_a_freed_graph_still_has_every_node():
    loss = lenet_loss()
    before = viz.trace(loss)
    loss.backward()
    after = viz.trace(loss)
    assert [(node.kind, node.shape) for node in after.nodes] == [(node.kind, node.shape) for node in before.nodes]
    assert after.edges == before.edges


def test_the_graph_of_a_gradient():
    x = tg.tensor(3.0, requires_grad=True)
    (gradient,) = tg.autograd.grad(x * x * x, x, create_graph=True)
    graph = viz.trace(gradient)
    assert graph.nodes[-1].value == 27.0
    assert len([node for node in graph.nodes if node.kind == "leaf"]) == 1


# Outputs and errors -------------------------------------------------------------------------------------------------


def test_several_outputs_share_their_graph():
    x = leaf(3, name="x")
    hidden = x.exp()
    loss = hidden.sum()
    loss.name = "loss"
    graph = viz.trace([loss, hidden])
    assert ops(graph) == ["Exp", "Sum"]
    outputs = [node for node in graph.nodes if node.kind == "output"]
    assert [(node.name, node.shape) for node in outputs] == [("loss", ()), ("output 1", (3,))]
    assert outputs[0].value == pytest.approx(3 * np.e)
    assert outputs[1].value is None


def test_a_tensor_without_a_graph_says_why():
    with pytest.raises(AutogradError, match=r"shape \(2,\) has no graph.*requires_grad=True.*compute it again"):
        viz.graph(tg.ones(2) * 2)
    with pytest.raises(AutogradError, match="'weights' has no graph: it is a leaf"):
        viz.graph([leaf(2).sum(), leaf(2, name="weights")])
    with tg.no_grad(), pytest.raises(AutogradError, match="no_grad"):
        viz.graph(leaf(2).sum())


@pytest.mark.parametrize(
    ("thing", "told"), [(3.0, "float"), ("loss", "str"), ([], "of nothing"), ([1], "int"), (None, "NoneType")]
)
def test_something_else_than_a_tensor(thing, told):
    with pytest.raises(ArgumentError, match=told):
        viz.graph(thing)


# Plain data ---------------------------------------------------------------------------------------------------------


def test_json_round_trip():
    for outputs in (lenet_loss(), [Awkward.apply(leaf(2), **AWKWARD), leaf(3) * 2]):
        graph = viz.trace(outputs)
        assert viz.Graph.from_json(graph.to_json()) == graph
        assert viz.Graph.from_json(graph.to_json(indent=1)) == graph


def test_json_of_what_json_cannot_spell():
    x = tg.tensor(float("nan"), requires_grad=True)
    graph = viz.trace(x * float("inf"))
    assert json.loads(graph.to_json())["nodes"][-1]["value"] == "nan"
    assert named(graph, "Mul").scalars == {"b": "inf"}


def test_awkward_settings_are_described():
    settings = named(viz.trace(Awkward.apply(leaf(2), **AWKWARD)), "Awkward").settings
    assert settings["array"] == "int64[2, 3]"
    assert settings["tensor"] == "float32[2, 2]"
    assert settings["not_finite"] == ("nan", "-inf")
    assert settings["index"] == (":3", "1::2", None, "...", 2, "int64[2]")
    assert settings["function"] == "sign"
    assert settings["dtype"] == "float32"
    assert settings["long"] == "tuple of 1000"
    assert settings["names"] == ("a=1", "b=(2, 2)")
    assert settings["object"] == "object"


@pytest.mark.parametrize("value", [np.float32(0.5), np.int8(3), np.bool_(True), True, 0, 1.5, "x", None])
def test_numbers_stay_numbers(value):
    described = plain(value)
    assert described == value
    assert type(described) in (bool, int, float, str, type(None))


def test_the_plain_data_and_the_drawing_keep_nothing_alive():
    gc.collect()
    gc.disable()
    try:
        x = tg.ones(4, 3)
        loss = F.linear(x, leaf(2, 3)).sum()
        drawing = viz.graph(loss)
        assert drawing.source
        kept = [weakref.ref(thing) for thing in (x, loss, loss.grad_fn)]
        del x, loss
        assert [thing() for thing in kept] == [None, None, None]
    finally:
        gc.enable()


# Where boxes go -----------------------------------------------------------------------------------------------------


def tree(frame):
    """A frame as nested lists of op names."""
    inside_of = [(item.path, tree(item)) if isinstance(item, Frame) else item.name for item in frame.items]
    return [item for item in inside_of if isinstance(item, tuple) or item[0].isupper()]


def test_frames_are_visits_to_modules():
    graph = viz.trace(Net()(tg.ones(2, 2, 4, 4)))
    assert tree(frames(graph, companions(graph))) == [
        ("block", [
            ("block.conv1", ["Conv2d"]),
            ("block.bn1", ["BatchNorm"]),
            ("block.shortcut", [("block.shortcut.0", ["Conv2d"]), ("block.shortcut.1", ["BatchNorm"])]),
            "Add",
            "ReLU",
        ]),
        ("heads", [("heads.0", ["Conv2d"])]),
        "ReLU",
        ("heads", [("heads.1", ["Conv2d"])]),
        "ReLU",
        ("heads", [("heads.0", ["Conv2d"])]),
        "ReLU",
    ]  # fmt: skip


def test_every_box_is_in_exactly_one_frame():
    graph = viz.trace(Net()(tg.ones(2, 2, 4, 4)).sum())

    def boxes(frame):
        return [box for item in frame.items for box in (boxes(item) if isinstance(item, Frame) else [item.id])]

    everywhere = boxes(frames(graph, companions(graph)))
    assert sorted(everywhere) == sorted(node.id for node in graph.nodes)


def test_two_parameters_of_its_own_stand_beside_an_op():
    graph = viz.trace(Net()(tg.ones(2, 2, 4, 4)))
    names = {node.id: node.name for node in graph.nodes}
    beside = [[names[box] for box in boxes] for boxes in companions(graph).values()]
    assert ["block.bn1.weight", "block.bn1.bias"] in beside
    assert ["block.conv1.weight"] in beside
    assert not [boxes for boxes in beside if "heads.0.weight" in boxes]  # it has two users
