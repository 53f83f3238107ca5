"""What a ledger says and leaves alone: text, HTML, plain data, fan-out, messages."""

import json

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import explain, nn
from tinygrad_cnn.autograd import Function
from tinygrad_cnn.errors import ArgumentError, AutogradError, GraphFreedError, ShapeError
from tinygrad_cnn.nn import functional as F


class Net(nn.Module):
    """Two convolutions with a pool between, and a classifier."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 3, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        return self.fc(self.conv2(self.pool1(self.relu1(self.conv1(x)))).flatten(1))


@pytest.fixture
def net():
    tg.manual_seed(0)
    return Net()


@pytest.fixture
def loss(net):
    return F.cross_entropy(net(tg.randn(2, 1, 8, 8)), tg.tensor([0, 2]))


def test_sum_equals_grad_and_nothing_is_touched(net, loss):
    ledger = explain.gradient(loss, net.conv2.weight, (3, 0, 1, 2))
    assert net.conv2.weight.grad is None
    loss.backward()  # the graph was kept
    assert ledger.gradient == pytest.approx(net.conv2.weight.grad.array[3, 0, 1, 2], rel=1e-6)
    assert ledger.total == pytest.approx(ledger.gradient, rel=1e-5)


def test_retained_gradients_and_the_random_state_stay_as_they_are(net):
    hidden = net.conv1(tg.randn(1, 1, 8, 8))
    hidden.retain_grad()
    loss = F.dropout(hidden, 0.5).square().sum()
    loss.backward(retain_graph=True)
    before, state = hidden.grad.array.copy(), tg.get_rng_state()
    ledger = explain.gradient(loss, hidden, (0, 1, 2, 3))
    assert np.array_equal(hidden.grad.array, before)
    assert tg.get_rng_state() == state
    assert ledger.gradient == before[0, 1, 2, 3]


def test_text_names_pixels_gradients_and_where_they_came_from(net, loss):
    text = str(explain.gradient(loss, net.conv1.weight, (1, 0, 2, 1), top=3))
    lines = text.splitlines()
    assert lines[0].startswith("d loss / d conv1.weight[1, 0, 2, 1] = ")
    assert "gweight[1, 0, 2, 1] = sum over n, i, j of x[n, 0, i + 1, j] * gy[n, 1, i, j]" in text
    assert "relu1: gate open <- pool1: won window [" in text
    assert "<- conv2: sum of" in text
    header = next(i for i, line in enumerate(lines) if line.lstrip().startswith("share"))
    assert lines[header + 1].strip() == "which came from", "the rows take two lines, and so does their header"
    assert "... 109 smaller terms add" in text
    assert "The 112 terms add up to" in text
    assert max(map(len, lines)) < 100


def test_formula_has_stride_padding_dilation_and_group_put_in():
    x = tg.ones(1, 4, 9, 9)
    weight = tg.ones(6, 2, 2, 2).requires_grad_()
    loss = F.conv2d(x, weight, stride=(2, 1), padding=((1, 0), (3, 0)), dilation=(1, 2), groups=2).sum()
    (consumer,) = explain.gradient(loss, weight, (4, 1, 1, 1)).consumers
    assert consumer.formula == "gweight[4, 1, 1, 1] = sum over n, i, j of x[n, 3, 2i, j - 1] * gy[n, 4, i, j]"


def test_gates_shut_and_lost_windows_are_terms_of_zero():
    x = tg.tensor([-1.0, 2.0], requires_grad=True)
    (consumer,) = explain.gradient(x.relu().sum(), x, 0).consumers
    assert [(term.source, term.value) for term in consumer.terms] == [("gate shut", 0.0)]


def test_each_reader_is_a_subtotal():
    x = tg.tensor([3.0], requires_grad=True)
    ledger = explain.gradient((x * x + 2 * x).sum(), x, 0)
    assert sorted((c.op, c.argument, c.subtotal) for c in ledger.consumers) == [
        ("Mul", "a", 3.0), ("Mul", "b", 2.0), ("Mul", "b", 3.0),
    ]  # fmt: skip
    assert ledger.gradient == 8.0
    assert "the 3 ops add up to 8" in str(ledger)


def test_terms_that_cancel_are_remarked_on():
    tg.manual_seed(0)
    conv, bn = nn.Conv2d(1, 1, 3).double(), nn.BatchNorm2d(1).double()
    loss = bn(conv(tg.randn(2, 1, 6, 6, dtype=tg.float64))).square().mul(tg.rand(2, 1, 4, 4, dtype=tg.float64)).sum()
    assert "The terms cancel" in str(explain.gradient(loss, conv.bias, 0))


def test_intermediate_tensors_nodes_and_the_loss_itself(net):
    hidden = net.conv1(tg.randn(1, 1, 8, 8))
    loss = net.relu1(hidden).square().mean()
    (gradient,) = tg.autograd.grad(loss, hidden, retain_graph=True)
    ledger = explain.gradient(loss, hidden, (0, -1, 2, 3))
    assert ledger.index == (0, 2, 2, 3)
    assert ledger.name == "the output of Conv2d"
    assert ledger.total == pytest.approx(gradient.array[0, 2, 2, 3])
    assert explain.gradient(loss, hidden.grad_fn, (0, 2, 2, 3)).to_dict() == ledger.to_dict()
    assert "It is the loss itself" in str(explain.gradient(loss, loss))
    assert explain.gradient(loss, loss).gradient == 1.0


def test_reshapes_are_looked_through():
    tg.manual_seed(0)
    layer = nn.TableConv2d(2, table=[(0,), (0, 1)], kernel_size=2)
    (consumer,) = explain.gradient(layer(tg.ones(1, 2, 4, 4)).sum(), layer.weight, (2, 0, 1)).consumers
    assert (consumer.op, consumer.argument, consumer.via) == ("Conv2d", "weight", ("PutItem",))
    assert consumer.formula.startswith("gweight[1, 1, 0, 1] =")


def test_plain_data_is_json(net, loss):
    data = json.loads(json.dumps(explain.gradient(loss, net.fc.weight, (1, 3)).to_dict(), allow_nan=False))
    assert data["name"] == "fc.weight"
    assert data["index"] == [1, 3]
    (consumer,) = data["consumers"]
    assert sum(term["value"] for term in consumer["terms"]) == pytest.approx(consumer["subtotal"])
    assert consumer["terms"][0].keys() == {"value", "factor", "source", "gradient", "output", "origin"}


def test_html_is_escaped():
    x = tg.tensor([1.0], requires_grad=True)
    x.name = "<b>"
    page = explain.gradient((x * 2).sum(), x, 0)._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<table>" in page




class OnArrays(Function):
    """Doubles; its backward is not made of differentiable ops."""

    def forward(self, x):
        return 2 * x

    def backward(self, gy):
        return 2 * gy.array


class Disagrees(OnArrays):
    """Its two backwards differ."""

    def backward_kernel(self, gy):
        return 5 * gy


def test_a_rule_of_the_users_own():
    x = tg.tensor([[1.0, 2.0]], requires_grad=True)
    assert explain.gradient(OnArrays.apply(x).sum(), x, (0, 1)).gradient == 2.0


def test_a_kernel_that_disagrees_with_its_backward_is_found():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(AutogradError, match=r"Disagrees for element \(1,\) of x add up to 2, but its backward gives 5"):
        explain.gradient(Disagrees.apply(x).sum(), x, 1)


def test_messages(net, loss):
    weight = net.fc.weight
    with pytest.raises(ShapeError, match=r"shape \(3, 16\) has no element \(3, 0\)"):
        explain.gradient(loss, weight, (3, 0))
    with pytest.raises(ShapeError, match="has no element"):
        explain.gradient(loss, weight, 1)
    with pytest.raises(ArgumentError, match="top is how many terms to list"):
        explain.gradient(loss, weight, (0, 0), top=0)
    with pytest.raises(ArgumentError, match=r"one number, got shape \(2,\)"):
        explain.gradient(tg.ones(2), weight, (0, 0))
    with pytest.raises(ArgumentError, match="has to be a Tensor, got a float"):
        explain.gradient(1.0, weight, (0, 0))
    with pytest.raises(AutogradError, match="the loss has no graph"):
        explain.gradient(tg.tensor(1.0), weight, (0, 0))
    with pytest.raises(AutogradError, match="does not depend on a leaf"):
        explain.gradient(loss, tg.ones(2, requires_grad=True), 0)
    loss.backward()
    with pytest.raises(GraphFreedError, match="retain_graph=True"):
        explain.gradient(loss, weight, (0, 0))
