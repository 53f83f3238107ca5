"""The tracers, on networks made so that the cause is known."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import explain, nn
from tinygrad_cnn.errors import ArgumentError, GraphFreedError
from tinygrad_cnn.nn import functional as F


class Net(nn.Module):
    """A convolution, a hidden layer, a classifier."""

    def __init__(self, middle=None):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3)
        self.fc1 = nn.Linear(64, 8)
        self.middle = middle or nn.ReLU()
        self.fc2 = nn.Linear(8, 3)

    def forward(self, x):
        return self.fc2(self.middle(self.fc1(self.conv1(x).flatten(1))))


def net_and_loss(middle=None, prepare=None):
    tg.manual_seed(0)
    net = Net(middle)
    if prepare is not None:
        with tg.no_grad():
            prepare(net)
    return net, F.cross_entropy(net(tg.randn(2, 1, 6, 6)), tg.tensor([0, 2]))


# Zero ----------------------------------------------------------------------------------------------------------------


def test_dead_relu():
    net, loss = net_and_loss(prepare=lambda net: net.fc1.bias.fill_(-100.0))
    answer = explain.why_zero(net.conv1.weight, loss)
    assert answer.summary.startswith(
        "The gradient of conv1.weight is zero, all 36 elements: ReLU (in middle) is inactive on 16 of 16 inputs. "
        "The last gradient that is not zero is at the output of ReLU (in middle), sent by Linear (in fc2) (largest "
    )
    assert answer.ops == ("ReLU (in middle)",)
    assert [step.split(":")[0] for step in answer.steps] == ["Conv2d (in conv1)", "Linear (in fc1)", "ReLU (in middle)"]
    assert max(map(len, str(answer).splitlines())) < 100
    loss.backward()  # the graph was kept
    assert not net.conv1.weight.grad.array.any()


def test_dead_relu_of_a_batch_norm():
    def kill(net):
        net.middle.bias.fill_(-100.0)

    net, loss = net_and_loss(nn.BatchNorm1d(8, relu=True), kill)
    answer = explain.why_zero(net.conv1.weight, loss)
    assert answer.summary.startswith(
        "The gradient of conv1.weight is zero, all 36 elements: BatchNormReLU (in middle) is inactive on all 16 outputs of "
        "8 of 8 channels. "
    )
    assert answer.ops == ("BatchNormReLU (in middle)",)


def test_dead_channel_of_a_batch_norm_with_relu():
    def kill(net):
        net.middle.bias[3] = -100.0

    net, loss = net_and_loss(nn.BatchNorm1d(8, relu=True), kill)
    answer = explain.why_zero(net.middle.weight, loss)
    assert "BatchNormReLU (in middle) is inactive on all 2 outputs of 1 of 8 channels" in answer.summary


def test_a_batch_norm_with_relu_whose_weight_is_zero_is_not_called_inactive():
    def kill(net):
        net.middle.weight.fill_(0.0)
        net.middle.bias.fill_(1.0)

    net, loss = net_and_loss(nn.BatchNorm1d(8, relu=True), kill)
    answer = explain.why_zero(net.fc1.weight, loss)
    assert "BatchNormReLU (in middle) has derivative 0 with respect to these elements of x" in answer.summary
    assert "gate shut" not in str(explain.gradient(loss, net.middle.bias, 0))


def test_one_dead_unit_is_a_share():
    def kill(net):
        net.fc1.bias[3] = -100.0

    net, loss = net_and_loss(nn.Tanh(), None)
    assert explain.why_zero(net.fc1.weight, loss).summary == (
        "The gradient of fc1.weight is not zero: none of its 512 elements is."
    )
    net, loss = net_and_loss(nn.LeakyReLU(0.0), kill)
    answer = explain.why_zero(net.fc1.bias, loss)
    loss.backward()
    zeros = int((net.fc1.bias.grad.array == 0).sum())
    assert answer.summary.startswith(f"The gradient of fc1.bias is zero at {zeros} of 8 elements: LeakyReLU (in middle)")


def test_dropout_of_everything():
    net, loss = net_and_loss(nn.Dropout(1.0))
    answer = explain.why_zero(net.fc1.weight, loss)
    assert "Dropout (in middle) dropped 16 of 16 inputs" in answer.summary


def test_zero_weights_above_and_zero_inputs_below():
    net, loss = net_and_loss(prepare=lambda net: net.fc2.weight.fill_(0.0))
    answer = explain.why_zero(net.fc1.weight, loss)
    assert "Linear (in fc2) multiplies x by weight, which is 0 everywhere" in answer.summary
    net, loss = net_and_loss(prepare=lambda net: net.fc1.bias.fill_(-100.0))
    answer = explain.why_zero(net.fc2.weight, loss)
    assert "multiplies weight by x (the output of ReLU (in middle)), which is 0 everywhere" in answer.summary


def test_both_a_dead_relu_and_zero_weights_are_named():
    def prepare(net):
        net.fc1.bias.fill_(-100.0)
        net.fc2.weight.fill_(0.0)

    net, loss = net_and_loss(prepare=prepare)
    answer = explain.why_zero(net.fc1.weight, loss)
    assert answer.ops == ("ReLU (in middle)", "Linear (in fc2)")
    assert "the gradient that arrives there is 0 as well" in str(answer).replace("\n    ", " ")


def test_saturated_softmax_sigmoid_and_flat_functions():
    logits = tg.tensor([[1000.0, 0.0]], requires_grad=True)
    assert "saturated: one class has probability 1" in explain.why_zero(logits, F.cross_entropy(logits, tg.tensor([0]))).summary
    picked = F.softmax(logits, 1)[0, 0]
    assert "saturated" in explain.why_zero(logits, picked).summary
    x = tg.tensor([200.0, -200.0], requires_grad=True)
    assert "Sigmoid is saturated (slope 0) on 2 of 2 inputs" in explain.why_zero(x, x.sigmoid().sum()).summary
    assert "flat everywhere" in explain.why_zero(x, (x.round() * 2).sum()).summary
    assert "Clamp is inactive on 2 of 2 inputs" in explain.why_zero(x, x.clamp(-1, 1).sum()).summary


def test_what_is_not_picked_and_what_cancels():
    x = tg.tensor([[1.0, 5.0, 2.0]], requires_grad=True)
    assert "does not pick these elements" in explain.why_zero(x, x[0, 0]).summary
    assert "is zero at 2 of 3 elements" in explain.why_zero(x, x[0, 0]).summary
    pooled = F.max_pool1d(x.unsqueeze(0), 3)
    assert "MaxPool1d chose other elements" in explain.why_zero(x, pooled.sum()).summary
    assert "cancels out exactly" in explain.why_zero(x, (x * 3 - x * 3).sum()).summary
    nll = F.nll_loss(x, tg.tensor([1]))
    assert "counts only the log-probability of the target class" in explain.why_zero(x, nll).summary


def test_underflow_is_told_from_a_zero():
    x = tg.tensor([1.0], requires_grad=True)
    small = tg.tensor([1e-30])
    assert "underflow" in explain.why_zero(x, (x * small * small).sum()).summary


def test_no_gradient_at_all():
    x = tg.tensor([1.0], requires_grad=True)
    other = tg.tensor([1.0], requires_grad=True)
    assert "There is no gradient at all" in explain.why_zero(other, (x * 2).sum()).summary
    loss = (x * 2).exp().sum()
    loss.backward()
    with pytest.raises(GraphFreedError):
        explain.why_zero(x, loss)
    with pytest.raises(ArgumentError, match="one number"):
        explain.why_zero(x, x * tg.ones(2))


# None ----------------------------------------------------------------------------------------------------------------


def test_why_none_of_a_tensor_by_itself():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    assert "holds int64" in explain.why_none(tg.tensor([1])).summary
    assert "requires_grad is False" in explain.why_none(tg.tensor([1.0])).summary
    assert "came from detach() or .data" in explain.why_none((x * 2).detach()).summary
    with tg.no_grad():
        view, computed = x[0], x * 2
    assert "a view that was taken under no_grad()" in explain.why_none(view).summary
    assert "computed under no_grad()" in explain.why_none(computed).summary
    assert "no recorded op has used the tensor" in explain.why_none(tg.ones(2, requires_grad=True)).summary
    y = x * 2
    assert "the output of Mul, not a leaf" in explain.why_none(y).summary
    assert "backward() was not called, or" in explain.why_none(x).summary
    y.retain_grad()
    assert "give the loss as well" in str(explain.why_none(y))
    y.sum().backward()
    assert explain.why_none(y).summary == ".grad is not None: it holds a gradient of shape (2,)."
    with pytest.raises(ArgumentError, match="t has to be a Tensor, got a list"):
        explain.why_none([1.0])
    with pytest.raises(ArgumentError, match="loss has to be a Tensor, got a float"):
        explain.why_none(x, 1.0)


def test_why_none_with_the_loss():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    w = tg.tensor([3.0, 4.0], requires_grad=True)
    loss = (x.exp() * w).sum()
    assert "backward() was not called yet" in explain.why_none(x, loss).summary
    loss.backward()
    x.grad = None
    assert "backward() went through this graph" in explain.why_none(x, loss).summary
    assert "the loss has no graph" in explain.why_none(x, loss.detach()).summary
    cut = (x.detach() * w).sum()
    x.grad = None
    answer = explain.why_none(x, cut)
    assert "Mul reads its values, but cut off from the graph" in answer.summary
    assert answer.ops == ("Mul",)
    unrelated = (w * 2).sum()
    assert "no path of the graph leads to it" in explain.why_none(x, unrelated).summary


# NaN -----------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_forward_culprits():
    x = tg.tensor([1.0, 0.0, 4.0], requires_grad=True)
    answer = explain.why_nan((x.log() * 2).exp().mean())
    assert answer.ops == ("Log",)
    assert "the -inf that Log made at [1]" in answer.summary
    assert "x = 0.0" in str(answer)
    answer = explain.why_nan((x * x.log()).sum())
    assert "the first NaN: Mul, at [1], from a = 0.0, b = -inf" in answer.steps
    answer = explain.why_nan((x / (x - x)).sum())
    assert answer.ops == ("Div",)
    assert "a = 1.0, b = 0.0" in str(answer)
    with np.errstate(over="ignore"):
        assert explain.why_nan((x * 100).exp().sum()).ops == ("Exp",)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_value_that_came_in_as_nan():
    x = tg.tensor([1.0, float("nan")], requires_grad=True)
    x.name = "x"
    assert "x itself holds nan at [1]" in explain.why_nan((x * 2).sum()).summary
    assert "holds nan at [1]" in explain.why_nan(x).summary
    assert "finite" in explain.why_nan(tg.tensor([1.0])).summary


def test_backward_culprits():
    x = tg.tensor([4.0, 0.0], requires_grad=True)
    answer = explain.why_nan(x.sqrt().sum())
    assert answer.ops == ("Sqrt",)
    assert "The forward pass is finite; the first gradient that is not is the inf that Sqrt sends back at [1]" in answer.summary
    assert "add a small constant" in answer.advice
    loss = (x * x).sqrt().sum()
    assert explain.why_nan(x, loss).ops == ("Sqrt",)
    loss.backward()
    assert np.isnan(x.grad.array[1])


def test_nothing_wrong_and_an_output_of_several_numbers():
    x = tg.tensor([4.0, 1.0], requires_grad=True)
    assert "Every value of the forward pass and every gradient" in explain.why_nan(x.log()).summary


def test_answers_show_themselves_in_a_notebook():
    page = explain.Answer("a < b", ("step",), ("op",), "do")._repr_html_()
    assert page == "<p><b>a &lt; b</b></p><ul><li>step</li></ul><p>What to do: do</p>"
