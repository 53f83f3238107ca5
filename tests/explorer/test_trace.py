"""What the page is made from: plain data that JSON can hold, and as many of the numbers as fit."""

import json

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import viz
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.explorer.pack import pack
from tinygrad_cnn.explorer.trace import trace

from .explorer_cases import inception, lenet


@pytest.fixture(autouse=True)
def seeded():
    tg.manual_seed(3)


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
    _, loss = inception()
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
