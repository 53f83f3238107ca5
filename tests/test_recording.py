"""The pass recorded on the side: its numbers are those of a real backward, and it leaves nothing behind."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.autograd.function import AccumulateGrad
from tinygrad_cnn.errors import ArgumentError, AutogradError, GraphFreedError
from tinygrad_cnn.recording import record

from .explorer.explorer_cases import ALL, lenet, pools_and_norms, residual_block


@pytest.fixture(autouse=True)
def seeded():
    tg.manual_seed(3)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.__name__)
def test_gradients_are_those_of_backward(case):
    net, loss = case()
    recording = record(loss)
    assert all(p.grad is None for p in net.parameters())
    loss.backward()
    leaves = {id(node.variable): node for node in recording.order if isinstance(node, AccumulateGrad)}
    for parameter in net.parameters():
        np.testing.assert_array_equal(recording.gradients[leaves[id(parameter)]], parameter.grad.array)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.__name__)
def test_every_value_is_known_and_is_the_one_that_was_computed(case):
    """`retain_grad`'s relative for values: the forward pass again, with each module's output kept."""
    net, _ = case()
    seen = {}

    def keep(module, args, output):
        seen[output.grad_fn] = output.array.copy()

    for module in net.modules():
        module.register_forward_hook(keep)
    rng = np.random.default_rng(0)
    first = next(iter(net.parameters())).shape
    size = (28, 28) if case is lenet else (8, 8)
    loss = net(tg.tensor(rng.normal(size=(2, first[1] * (2 if first[1:] == (2, 3, 2) else 1), *size)).astype("f"))).sum()
    recording = record(loss)
    assert all(node in recording.values for node in recording.order)
    for node, array in seen.items():
        np.testing.assert_array_equal(recording.values[node], array)


def test_the_generator_is_where_it_was():
    _, loss = pools_and_norms()
    before = tg.get_rng_state()
    record(loss)
    assert tg.get_rng_state() == before


def test_an_op_that_would_draw_anew_has_no_value():
    """RReLU saved its slopes, not its output; nobody behind it kept that either."""
    x = tg.randn(4, requires_grad=True)
    y = nn.RReLU()(x)
    loss = (y + x).sum()
    recording = record(loss)
    before = tg.get_rng_state()
    assert y.grad_fn not in recording.values
    assert tg.get_rng_state() == before


def test_contributions_add_up_to_the_gradient():
    _, loss = residual_block()
    recording = record(loss)
    shared = [n for n in recording.order if sum(other.edges.count(n) for other in recording.order) == 2]
    assert shared
    for node in shared:
        parts = [part for (user, i), part in recording.flows.items() if user.edges[i] is node]
        np.testing.assert_allclose(sum(parts), recording.gradients[node], rtol=1e-6)


def test_hooks_replace_and_retained_gradients_stay():
    x = tg.ones(2, requires_grad=True)
    y = x * 3
    y.retain_grad()
    y.register_hook(lambda gradient: gradient * 10)
    loss = y.sum()
    recording = record(loss)
    assert recording.gradients[x._edge()].tolist() == [30.0, 30.0]
    assert y.grad is None
    loss.backward()
    assert y.grad.tolist() == [10.0, 10.0]


def test_refusals():
    x = tg.ones(2, requires_grad=True)
    with pytest.raises(ArgumentError, match=r"has to be a Tensor, got a float"):
        record(1.0)
    with pytest.raises(ArgumentError, match=r"one number, got shape \(2,\); reduce it first"):
        record(x * 2)
    with pytest.raises(AutogradError, match=r"explain\.gradient: the loss has no graph"):
        record(tg.ones(1), "explain.gradient")
    loss = x.square().sum()
    loss.backward()
    with pytest.raises(GraphFreedError, match="retain_graph=True"):
        record(loss)


def test_a_scalar_leaf_is_its_own_graph():
    x = tg.tensor(2.0, requires_grad=True)
    with pytest.raises(AutogradError, match="has no graph"):
        record(x)
