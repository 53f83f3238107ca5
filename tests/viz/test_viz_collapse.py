"""Graphs with less in them: collapsed, folded; what is counted, and that data still run one way."""

import re

import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import models, nn, viz
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.viz.collapse import collapsed
from tinygrad_cnn.viz.fold import folded

from .viz_cases import Net, leaf, lenet_loss


@pytest.fixture(scope="module")
def resnet50():
    """The traced graph of a ResNet-50 on a small image."""
    net = nn.utils.skip_init(models.resnet50)
    for parameter in net.parameters():
        parameter.data[...] = 0.01
    return viz.trace(net(tg.zeros(2, 3, 32, 32)))


def named(graph, name):
    (node,) = [node for node in graph.nodes if node.name == name]
    return node


def boxes(graph):
    return [(node.kind, node.name) for node in graph.nodes if node.kind in ("op", "module")]


def runs_one_way(graph):
    place = {node.id: i for i, node in enumerate(graph.nodes)}
    return all(place[edge.source] < place[edge.target] for edge in graph.edges)


# Collapsed ----------------------------------------------------------------------------------------------------------


def test_resnet50_at_depth_1(resnet50):
    graph = collapsed(resnet50, depth=1)
    assert boxes(graph) == [
        ("op", "Conv2d"), ("op", "BatchNorm"), ("op", "ReLU"), ("op", "MaxPool2d"), ("module", "layer1"), ("module", "layer2"),
        ("module", "layer3"), ("module", "layer4"), ("op", "AdaptiveAvgPool2d"), ("op", "Reshape"), ("op", "Linear"),
    ]  # fmt: skip
    assert len(graph.nodes) == 13
    assert len(graph.edges) == 12
    assert runs_one_way(graph)
    # Of [3, 4, 6, 3] bottlenecks with three convolutions each, and a projection in the first (He et al. 2015, table 1).
    assert [named(graph, f"layer{i}").contents["Conv2d"] for i in (1, 2, 3, 4)] == [10, 13, 19, 10]
    assert sum(node.parameters for node in graph.nodes) == 25_557_032


def test_arrows_between_modules_carry_shapes(resnet50):
    graph = collapsed(resnet50, depth=1)
    names = {node.id: node.name for node in graph.nodes}
    shapes = {(names[edge.source], names[edge.target]): edge.shape for edge in graph.edges}
    assert shapes["layer1", "layer2"] == (2, 256, 8, 8)
    assert shapes["layer4", "AdaptiveAvgPool2d"] == (2, 2048, 1, 1)


def test_the_drawing_writes_the_shapes_at_the_arrows():
    source = viz.graph(Net()(tg.ones(2, 2, 4, 4)), depth=1).source
    arrows = [line for line in source.splitlines() if "->" in line]
    assert arrows
    assert all(re.search(r"> \((\d+,\s?)+\d*\) <", line) for line in arrows)


def test_a_path_with_fewer_names_is_a_box_as_well(resnet50):
    graph = collapsed(resnet50, depth=2)
    assert ("module", "layer3.5") in boxes(graph)
    assert not [node for node in graph.nodes if node.kind == "parameter"]
    assert sum(node.parameters for node in graph.nodes) == 25_557_032


def test_a_module_that_runs_twice_has_two_boxes_and_a_shared_parameter_stays():
    graph = collapsed(viz.trace(Net()(tg.ones(2, 2, 4, 4))), depth=1)
    assert boxes(graph)[:2] == [("module", "block"), ("op", "Conv2d")]
    assert runs_one_way(graph)
    weight = named(graph, "heads.0.weight")
    assert len([edge for edge in graph.edges if edge.source == weight.id]) == 2


def test_the_data_and_the_targets_stay():
    graph = collapsed(viz.trace(lenet_loss()), depth=1)
    assert [node.name for node in graph.nodes if node.kind == "input"] == ["x", "target"]


def test_running_statistics_are_part_of_their_module():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval()
    full = viz.trace(net(tg.ones(1, 1, 5, 5)))
    assert len([node for node in full.nodes if node.kind == "input"]) > 1
    assert [node.name for node in collapsed(full, depth=1).nodes if node.kind == "input"] == ["x"]


def test_a_rule_of_the_users(resnet50):
    asked = []

    def is_shortcut(path):
        asked.append(path)
        return path.endswith("downsample")

    graph = collapsed(resnet50, rule=is_shortcut)
    assert [node.name for node in graph.nodes if node.kind == "module"] == [f"layer{i}.0.downsample" for i in (1, 2, 3, 4)]
    assert asked.index("layer1") < asked.index("layer1.0") < asked.index("layer1.0.downsample")
    stem = collapsed(resnet50, rule=lambda path: path in ("conv1", "bn1", "relu", "maxpool") and "stem")
    assert named(stem, "stem").contents == {"Conv2d": 1, "BatchNorm": 1, "ReLU": 1, "MaxPool2d": 1}


@pytest.mark.parametrize("depth", [0, -1, 1.5, True, "1"])
def test_another_depth(depth):
    with pytest.raises(ArgumentError, match="depth counts the names in a module's path, from 1"):
        viz.graph(lenet_loss(), depth=depth)


def test_a_rule_that_is_none():
    with pytest.raises(ArgumentError, match="must be a function of a module's path, got str"):
        viz.graph(lenet_loss(), collapse="conv1")


def test_the_ops_of_a_loss_are_one_box_of_its_name():
    net = models.SmallLeNet5()
    scores, target = net(tg.randn(2, 1, 28, 28)), tg.tensor([3, 7])
    graph = collapsed(viz.trace(F.cross_entropy(scores, target)), depth=1)
    box = named(graph, "cross_entropy")
    assert (box.kind, box.shape, box.contents) == ("module", (), {"LogSoftmax": 1, "NLLLoss": 1, "Sum": 1, "Div": 1})
    assert boxes(graph)[-1] == ("module", "cross_entropy")
    assert [edge.shape for edge in graph.edges if edge.target == box.id] == [(2, 10), (2,)], "scores and targets"
    assert boxes(collapsed(viz.trace(scores.square().mean()), depth=1))[-1] == ("module", "loss")


def test_only_what_ends_in_one_number_behind_a_module_is_a_loss():
    net = models.SmallLeNet5()
    scores = net(tg.randn(2, 1, 28, 28))
    assert boxes(collapsed(viz.trace(scores.softmax(1).log()), depth=1))[-2:] == [("op", "Softmax"), ("op", "Log")]
    x = leaf(2)
    assert boxes(collapsed(viz.trace((x * x).sum()), depth=1)) == [("op", "Mul"), ("op", "Sum")]
    assert boxes(collapsed(viz.trace(scores.sum()), depth=1))[-1] == ("op", "Sum"), "one op is that op"
    loss = scores.square().sum()
    (gradient,) = tg.autograd.grad(loss, net.fc3.weight, create_graph=True)
    assert "loss" not in [name for _, name in boxes(collapsed(viz.trace(gradient.sum()), depth=1))]


# Folded -------------------------------------------------------------------------------------------------------------


def test_equal_blocks_of_a_resnet50_are_drawn_once(resnet50):
    expected = {
        "layer1.1": (2, "layer1.2"),
        "layer2.1": (3, "layer2.3"),
        "layer3.1": (5, "layer3.5"),
        "layer4.1": (2, "layer4.2"),
    }
    for graph in (folded(resnet50), folded(collapsed(resnet50, depth=2))):
        assert graph.repeats == expected
        assert runs_one_way(graph)
    full = folded(resnet50)
    # Eight bottlenecks are left of sixteen: 3 convolutions each, 4 projections, the stem.
    assert len([node for node in full.nodes if node.name == "Conv2d"]) == 8 * 3 + 4 + 1
    ids = {node.id for node in full.nodes}
    assert all({edge.source, edge.target} <= ids for edge in full.edges)
    small = folded(collapsed(resnet50, depth=2))
    names = {node.id: node.name for node in small.nodes}
    arrows = {(names[edge.source], names[edge.target]) for edge in small.edges}
    assert {("layer3.0", "layer3.1"), ("layer3.1", "layer4.0")} <= arrows


def test_the_drawing_says_how_many():
    net = nn.Sequential(*[nn.Sequential(nn.Linear(3, 3), nn.Tanh()) for _ in range(4)])
    for options in ({}, {"depth": 1}):
        source = viz.graph(net(tg.ones(1, 3)), fold_repeats=True, **options).source
        assert "0 to 3 (\N{MULTIPLICATION SIGN} 4)" in source


def test_blocks_that_are_not_alike_are_not_folded():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 4), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4, bias=False))
    assert folded(viz.trace(net(tg.ones(1, 3)))).repeats == {}


def test_blocks_of_which_a_third_party_takes_the_inside_are_not_folded():
    class Summing(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Sequential(nn.Linear(3, 3), nn.Tanh()) for _ in range(3)])

        def forward(self, x):
            first = self.layers[0](x)
            return self.layers[2](self.layers[1](first)) + first

    assert folded(viz.trace(Summing()(tg.ones(1, 3)))).repeats == {"layers.1": (2, "layers.2")}


def test_json_round_trip_of_collapsed_folded_and_measured(resnet50):
    graph = folded(collapsed(resnet50, depth=2))
    assert viz.Graph.from_json(graph.to_json()) == graph
    drawing = viz.graph(lenet_loss(), depth=1, color="bytes", passes="both")
    assert viz.Graph.from_json(drawing.graph.to_json()) == drawing.graph


# What modules' hooks add --------------------------------------------------------------------------------------------


def test_backward_hooks_are_not_in_the_picture():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x = tg.ones(1, 3, requires_grad=True)
    plain = viz.trace(net(x))
    for module in net.modules():
        module.register_full_backward_hook(lambda module, grad_input, grad_output: None)
    hooked = viz.trace(net(x))
    assert [(node.kind, node.name, node.module, node.shape) for node in hooked.nodes] == [
        (node.kind, node.name, node.module, node.shape) for node in plain.nodes
    ]
    assert hooked.edges == plain.edges


def test_the_coefficients_of_a_loss_are_not_in_the_picture():
    graph = viz.trace(F.cross_entropy(tg.ones(2, 3, requires_grad=True), tg.tensor([0, 2]), weight=tg.ones(3)))
    assert [node.name for node in graph.nodes if node.kind == "input"] == ["target"]
