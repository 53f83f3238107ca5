"""Numbers on the boxes against numbers known from elsewhere, and the colours and the legend made of them."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import models, nn, viz
from tinygrad_cnn.errors import ArgumentError, GraphFreedError
from tinygrad_cnn.viz.colour import Scale
from tinygrad_cnn.viz.dot import LOOKS
from tinygrad_cnn.viz.render import find_renderer

from .viz_cases import Awkward, leaf, lenet_loss

needs_renderer = pytest.mark.skipif(find_renderer() is None, reason="neither dot nor graphviz-pure is installed")


def measures(drawing, name):
    return {node.name: node.measures[name] for node in drawing.graph.nodes if name in node.measures}


def numbers(drawing):
    """The words of the drawing."""
    return re.findall(r"<FONT [^>]*>([^<]*)</FONT>", drawing.source)


def total(drawing, name):
    return sum(node.measures.get(name, 0) for node in drawing.graph.nodes)


# Work ---------------------------------------------------------------------------------------------------------------


def test_flops_of_a_lenet():
    x = tg.randn(1, 1, 28, 28)
    drawing = viz.graph(models.SmallLeNet5()(x), color="flops")
    # Multiply-adds by hand: outputs times taps; LeCun et al. 1998 has the same sizes (facts, 1.2).
    expected = [28 * 28 * 6 * 25, 10 * 10 * 16 * 6 * 25, 120 * 400, 84 * 120, 10 * 84]
    found = [node.measures["flops"] for node in drawing.graph.nodes if node.name in ("Conv2d", "Linear")]
    assert found == [2 * count for count in expected]
    assert total(drawing, "flops") == 2 * sum(expected)


def test_flops_of_a_resnet18_are_those_of_the_literature():
    net = nn.utils.skip_init(models.resnet18)
    for parameter in net.parameters():
        parameter.data[...] = 0.01
    drawing = viz.graph(net(tg.zeros(1, 3, 224, 224)), color="flops", depth=1, fold_repeats=True)
    assert total(drawing, "flops") == 2 * 1_814_073_344
    assert "all together 3.63 GFLOP" in numbers(drawing)


def test_a_rule_has_the_work_of_each_gradient_that_is_needed():
    image, weight = tg.randn(2, 3, 6, 7), leaf(4, 3, 3, 2)
    work = 2 * (2 * 4 * 4 * 6) * (3 * 3 * 2)
    first = viz.graph(F.conv2d(image, weight), color="flops", passes="backward")
    assert measures(first, "flops")["Conv2dBackward"] == work
    inner = viz.graph(F.conv2d(image.requires_grad_(), weight), color="flops", passes="both")
    assert measures(inner, "flops")["Conv2dBackward"] == 2 * work
    assert measures(inner, "flops")["Conv2d"] == work


def test_the_gradients_of_a_convolution_have_its_work():
    image, weight = leaf(2, 3, 6, 7), leaf(4, 3, 3, 2)
    grads = tg.autograd.grad(F.conv2d(image, weight).sum(), [image, weight], create_graph=True)
    found = measures(viz.graph(grads, color="flops"), "flops")
    work = 2 * (2 * 4 * 4 * 6) * (3 * 3 * 2)
    assert {name: found[name] for name in ("ConvInputGrad2d", "ConvWeightGrad2d")} == {
        "ConvInputGrad2d": work,
        "ConvWeightGrad2d": work,
    }


# Memory -------------------------------------------------------------------------------------------------------------


def test_bytes_are_those_of_the_arrays():
    x = tg.randn(3, 4, requires_grad=True)
    hidden = x.exp()
    y = hidden.reshape(2, 6).double()
    drawing = viz.graph(y.sum(), color="bytes")
    found = {node.name or node.kind: node.measures.get("bytes") for node in drawing.graph.nodes}
    assert found["leaf"] == x.detach().numpy().nbytes
    assert found["Exp"] == hidden.detach().numpy().nbytes
    assert found["Reshape"] == 0  # a view
    assert found["Sum"] == 8
    assert "48 B" in numbers(drawing)


def test_saved_bytes_are_counted_once_and_without_parameters():
    x, weight = tg.randn(5, 3), nn.Parameter(tg.ones(4, 3))
    y = F.linear(x, weight).sigmoid()
    drawing = viz.graph((y * y).sum(), color="saved")
    found = measures(drawing, "saved")
    assert found["Linear"] == x.numpy().nbytes
    assert found["Sigmoid"] == 5 * 4 * 4
    assert found["Mul"] == 0  # the sigmoid keeps the same array
    assert "all together 140 B" in numbers(drawing)


def test_a_freed_graph_keeps_nothing():
    loss = lenet_loss()
    assert total(viz.graph(loss, color="saved"), "saved") > 0
    loss.backward()
    assert total(viz.graph(loss, color="saved"), "saved") == 0


# Gradients ----------------------------------------------------------------------------------------------------------


def test_gradient_lengths_in_closed_form():
    x = tg.tensor([3.0, 4.0], requires_grad=True)
    loss = (x * x).sum() * 5
    drawing = viz.graph(loss, color="gradnorm")
    found = measures(drawing, "gradnorm")
    # d/dx 5 |x|^2 = 10 x, and 5 for each square.
    assert found[""] == pytest.approx(50.0)
    assert found["Sum"] == pytest.approx(5.0)
    assert [node.measures["gradnorm"] for node in drawing.graph.nodes if node.name == "Mul"] == pytest.approx([5 * 2**0.5, 1.0])
    assert x.grad is None


def test_gradient_lengths_of_parameters_are_those_of_grad():
    net = models.SmallLeNet5()
    x, target = tg.randn(2, 1, 28, 28), tg.tensor([3, 7])
    loss = F.cross_entropy(net(x), target)
    model_gradients = measures(viz.graph(loss, color="gradnorm"), "gradnorm")
    loss.backward()
    for name, parameter in net.named_parameters():
        assert model_gradients[name] == pytest.approx(np.linalg.norm(parameter.grad.numpy()), rel=1e-5)


def test_gradients_of_a_freed_graph_are_refused():
    loss = lenet_loss()
    loss.backward()
    with pytest.raises(GraphFreedError):
        viz.graph(loss, color="gradnorm")


def test_gradients_are_of_one_number():
    with pytest.raises(ArgumentError, match=r"one tensor with one element .*got shape \(3,\)"):
        viz.graph(leaf(3).exp(), color="gradnorm")
    with pytest.raises(ArgumentError, match=r"got shape \(\), \(\)"):
        viz.graph([leaf(3).sum(), leaf(3).sum()], pictures=True)


# Time ---------------------------------------------------------------------------------------------------------------


def test_every_op_of_a_network_can_be_timed_and_nothing_is_changed():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(18, 3)
    )
    loss = F.cross_entropy(net(tg.randn(2, 1, 8, 8)), tg.tensor([0, 2]))
    state = [tensor.numpy().copy() for tensor in net.state_dict().values()]
    random = tg.get_rng_state()
    drawing = viz.graph(loss, color="time", passes="both")
    ops = [node for node in drawing.graph.nodes if node.kind == "op"]
    assert len(ops) == 22
    assert all(node.measures["time"] > 0 for node in ops)
    for before, tensor in zip(state, net.state_dict().values(), strict=True):
        np.testing.assert_array_equal(before, tensor.numpy())
    assert str(tg.get_rng_state()) == str(random)
    loss.backward()
    assert all(node.measures["time"] > 0 for node in viz.graph(loss, color="time").graph.nodes if node.kind == "op")


def test_an_op_that_cannot_run_again_is_white():
    class Choosy(Awkward):
        def forward(self, x):
            if (x == 1).all():
                raise ValueError
            return x

    drawing = viz.graph(Choosy.apply(leaf(3) * 2).sum(), color="time")
    assert set(measures(drawing, "time")) == {"Mul", "Sum"}
    (line,) = [line for line in drawing.source.splitlines() if "Choosy" in line and "label" in line]
    assert 'fillcolor="#FFFFFF"' in line


def test_seconds_of_a_profile():
    with tg.profile() as p:
        loss = lenet_loss()
        loss.backward()
    forward, backward = ([call for call in p.calls if call.kind == kind] for kind in ("forward", "backward"))
    drawing = viz.graph(loss, color="time", profile=p, passes="both")
    ops = [node for node in drawing.graph.nodes if node.kind == "op"]
    found = {(node.name, node.module): node.measures["time"] for node in ops}
    # The loss is a quotient of sums, whose names occur once each; so does each name in its module.
    assert found == {(call.name, call.module): pytest.approx(call.own_seconds) for call in p.calls}
    assert len(found) == len(forward) + len(backward)
    assert total(drawing, "time") == pytest.approx(p.op_seconds)


def test_an_op_that_the_profile_has_not_seen_is_white():
    y = leaf(3) * 2
    with tg.profile() as p:
        z = y.sum()
    assert set(measures(viz.graph(z, color="time", profile=p), "time")) == {"Sum"}


def test_a_profile_that_does_not_fit():
    with tg.profile() as p:
        y = leaf(3).exp()
    with pytest.raises(ArgumentError, match=r"profile= has seconds: give color='time' with it, got color='flops'"):
        viz.graph(y, color="flops", profile=p)
    with pytest.raises(ArgumentError, match=r"the profile saw no op of this graph: compute it inside the block"):
        viz.graph(leaf(3).exp(), color="time", profile=p)


def test_timing_within_a_profile_is_not_in_it():
    with tg.profile() as p:
        y = leaf(3).exp()
        viz.graph(y, color="time")
    assert [call.name for call in p.calls] == ["Exp"]


# Colours ------------------------------------------------------------------------------------------------------------


def test_the_largest_is_strong_and_zero_is_pale():
    drawing = viz.graph(tg.randn(8, 8, requires_grad=True).exp().sum(), color="bytes")
    line = {
        name: next(x for x in drawing.source.splitlines() if f">{name}<" in x and "fillcolor" in x) for name in ("Exp", "Sum")
    }
    assert 'fillcolor="#F47930"' in line["Exp"]  # 256 bytes
    # 4 of 256 bytes: a 64th of the way from (255, 247, 236) to (244, 121, 48).
    expected = [round(a + (b - a) / 64) for a, b in zip((255, 247, 236), (244, 121, 48), strict=True)]
    assert f'fillcolor="#{bytes(expected).hex().upper()}"' in line["Sum"]


def test_the_legend_says_what_and_how_much():
    drawing = viz.graph(tg.randn(8, 8, requires_grad=True).exp().sum(), color="bytes", title="Sizes")
    text = numbers(drawing)
    assert text[:7] == ["Sizes", "memory of the value:", "0 B", "64 B", "128 B", "192 B", "256 B"]
    assert "all together 516 B" in text
    assert LOOKS["op"].fill not in drawing.source


def test_a_logarithmic_scale():
    scale = Scale.of("gradnorm", [0.0, 0.01, 1.0, float("nan")])
    assert scale.steps() == pytest.approx([0.01, 10**-1.5, 0.1, 10**-0.5, 1.0])
    assert scale.share(0.1) == pytest.approx(0.5)
    assert scale.colour(0.0) == scale.colour(0.01)
    assert scale.colour(float("nan")) == "#FFFFFF"


def test_a_scale_of_nothing_and_of_one_number():
    assert Scale.of("bytes", [0, 0]).colour(0) == "#FFF7EC"
    assert Scale.of("gradnorm", [2.0]).colour(2.0) == "#F47930"
    assert Scale.of("gradnorm", []).steps() == [1.0] * 5


def test_modules_add_up_and_repeats_count():
    net = nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(3)])
    for options in ({}, {"depth": 1}, {"depth": 1, "fold_repeats": True}):
        text = numbers(viz.graph(net(tg.ones(2, 4)), color="flops", **options))
        assert f"all together {3 * 2 * 2 * 16} FLOP" in text


def test_another_color():
    with pytest.raises(ArgumentError, match="'time', 'bytes', 'flops', 'gradnorm', 'saved' or None, got 'size'"):
        viz.graph(lenet_loss(), color="size")
