"""The pass recorded on the side: its numbers are those of a real backward, and it leaves nothing behind."""

import json

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn, viz
from tinygrad_cnn.autograd.function import AccumulateGrad
from tinygrad_cnn.errors import ArgumentError, AutogradError, GraphFreedError
from tinygrad_cnn.explorer.pack import pack
from tinygrad_cnn.explorer.record import record
from tinygrad_cnn.explorer.trace import trace

from .explorer_cases import ALL, lenet, pools_and_norms, residual_block


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
    with pytest.raises(AutogradError, match="has no graph"):
        record(tg.ones(1))
    loss = x.square().sum()
    loss.backward()
    with pytest.raises(GraphFreedError, match="retain_graph=True"):
        record(loss)


def test_a_scalar_leaf_is_its_own_graph():
    x = tg.tensor(2.0, requires_grad=True)
    with pytest.raises(AutogradError, match="has no graph"):
        record(x)


# Plain data, and its size ----------------------------------------------------------------------------------------------


def test_the_trace_is_json_and_names_parameters():
    net, loss = lenet()
    written = trace(loss, net)
    data = json.loads(json.dumps(written.data, allow_nan=False))
    named = {node["name"] for node in data["nodes"] if node["kind"] == "parameter"}
    assert named == {name for name, _ in net.named_parameters()}
    ops = [node for node in data["nodes"] if node["kind"] == "op"]
    assert [op["row"] for op in ops] == list(range(1, 13))
    assert "conv_weight_grad" in data["sources"]["Conv"]["gradient"]
    assert data["sources"]["Conv"]["backward"].startswith("def backward(self, gy")


def test_branches_stand_beside_each_other_and_a_skip_keeps_its_lane():
    _, loss = ALL[2]()
    ops = [node for node in trace(loss).data["nodes"] if node["kind"] == "op"]
    places = [(node["lane"], node["row"]) for node in ops]
    assert len(set(places)) == len(places)
    assert {lane for lane, _ in places} == {0, 1, 2, 3}


def test_packing_keeps_all_or_the_first_of_each():
    rng = np.random.default_rng(0)
    arrays = [np.arange(6.0).reshape(2, 3), rng.random((4, 8, 5, 5)), rng.random((16, 16, 3, 3))]
    everything = pack(arrays, {1}, 10**6)
    assert everything.whole
    assert [t["kept"] for t in everything.tensors] == [[2, 3], [4, 8, 5, 5], [16, 16, 3, 3]]
    less = pack(arrays, {1}, 6000)
    assert not less.whole
    assert less.tensors[1]["kept"][0] == 1, "one image"
    assert less.tensors[2]["kept"][2:] == [3, 3], "whole kernels"
    assert len(less.text) <= 6000
    assert less.tensors[2]["high"] == arrays[2].max(), "the scale is that of the whole"


def test_what_deflates_well_leaves_room_for_more():
    """The rate is found out: zeros take next to nothing."""
    arrays = [np.random.default_rng(0).random((8, 500)), np.zeros((64, 64, 10, 10))]
    packed = pack(arrays, set(), 30_000)
    assert packed.tensors[0]["kept"] == [8, 500]
    assert len(packed.text) <= 30_000


def test_pages_refuse_what_they_cannot_do(tmp_path):
    x = tg.ones(2, requires_grad=True)
    loss = x.square().sum()
    with pytest.raises(ArgumentError, match=r"lang must be one of en, zh; got 'fr'"):
        viz.explore(loss, path=tmp_path / "x.html", lang="fr")
    with pytest.raises(ArgumentError, match=r"max_bytes=1,000 is too little"):
        viz.explore(loss, path=tmp_path / "x.html", max_bytes=1000)
    assert not list(tmp_path.iterdir())


def test_a_name_cannot_leave_its_block(tmp_path):
    x = tg.ones(2, requires_grad=True)
    page = viz.explore((x * 2).sum(), path=tmp_path / "x.html", inputs={"</script><b>": x})
    assert "</script><b>" not in page.read_text(encoding="utf-8")


def test_numbers_that_json_cannot_spell(tmp_path):
    x = tg.tensor([1.0, float("inf")], requires_grad=True)
    text = viz.explore((x * 2).sum(), path=tmp_path / "x.html").read_text(encoding="utf-8")
    data = json.loads(text.split('id="trace">')[1].split("</script>")[0])
    assert data["loss"] == "inf"
    assert data["tensors"][0]["odd"] == 1
