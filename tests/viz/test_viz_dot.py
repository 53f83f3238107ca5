"""The DOT text: what is written, what is left out, and that nothing in a setting can break it."""

import re

import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import viz
from tinygrad_cnn.errors import ArgumentError

from .viz_cases import AWKWARD, Awkward, Net, inside, leaf, lenet_loss


def words(source):
    """What can be read in the drawing, a line for each line."""
    return re.findall(r"<FONT [^>]*>([^<]*)</FONT>", source)


def test_lenet_says_what_is_what():
    text = words(viz.graph(lenet_loss(), title="LeNet").source)
    assert text[0] == "LeNet"
    for line in ("Conv2d", "kernel_size=5, padding=2", "float32 (2, 6, 28, 28)", "conv1.weight", "float32 (6, 1, 5, 5)",
                 "MaxPool2d", "pool1", "fc3.bias", "int64 (2,)", "target", "parameter", "output"):  # fmt: skip
        assert line in text, line


def test_arrows_of_equal_role_have_names():
    x = leaf(3, name="x")
    assert [line for line in words(viz.graph(x * x).source) if line.strip() in ("a", "b")] == [" a ", " b "]
    # A parameter and an input say in their boxes which argument they are.
    text = words(viz.graph(lenet_loss()).source)
    assert not {" x ", " weight ", " bias "} & set(text)
    assert len([line for line in words(viz.graph(Net()(tg.ones(2, 2, 4, 4))).source) if line in (" a ", " b ")]) == 2


def test_settings_that_say_nothing_are_left_out():
    x = leaf(2, 3, 4)
    text = words(viz.graph(x.sum(1).reshape(8)).source)
    assert "dims=(1,)" in text
    assert not [line for line in text if "keepdim" in line or "to_shape" in line]
    assert "to_shape=(8,)" in words(viz.graph(x.sum(1).reshape(8), show_values=False).source)


def test_only_settings_per_axis_are_shortened():
    text = words(viz.graph(Awkward.apply(leaf(1), stride=(2, 2), padding=((1, 1), (1, 1)), sizes=(2, 2))).source)
    assert "stride=2, padding=1, sizes=(2, 2)" in text
    text = words(viz.graph(Awkward.apply(leaf(1), padding=((1, 2), (1, 2)))).source)
    assert "padding=((1, 2), (1, 2))" in text


def test_without_values():
    source = viz.graph(lenet_loss(), show_values=False).source
    assert not [line for line in words(source) if "float32" in line]
    assert "Conv2d" in words(source)


def test_long_settings_are_cut_and_given_in_full_where_the_mouse_is():
    source = viz.graph(Awkward.apply(leaf(2), text="word " * 500, sizes=tuple(range(30)))).source
    shown = [line for line in words(source) if "word" in line or "sizes" in line]
    assert len(shown) == 2
    assert all(len(line) <= 34 and line.rstrip(",").endswith("...") for line in shown)
    assert source.count("word") > 500
    assert "27, 28, 29)" in source
    assert len(words(viz.graph(Awkward.apply(leaf(2), **AWKWARD)).source)) < 30


def test_markup_is_escaped():
    source = viz.graph(Awkward.apply(leaf(2), markup="<b>&\"'"), title="<i>&").source
    assert "markup=&lt;b&gt;&amp;&quot;&#x27;" in source
    assert "&lt;i&gt;&amp;" in source
    assert "\0" not in viz.graph(Awkward.apply(leaf(2), **AWKWARD)).source


def test_a_module_of_one_box_has_no_frame():
    with inside("net.act"):
        y = leaf(2).relu()
    source = viz.graph(y).source
    assert "cluster" not in source
    assert "net.act" in words(source)
    with inside("net.fc"):
        y = F.linear(y, leaf(2, 2)).relu()
    source = viz.graph(y).source
    assert source.count("subgraph cluster") == 2
    assert {"net", "net.fc"} <= set(words(source))


def test_the_direction():
    assert "rankdir=LR" in viz.graph(leaf(2).sum(), direction="LR").source
    with pytest.raises(ArgumentError, match=r"'TB'.*'LR'.*got 'RL'"):
        viz.graph(leaf(2).sum(), direction="RL")


def test_the_same_program_gives_the_same_text():
    def run():
        tg.manual_seed(0)
        return viz.graph(lenet_loss()).source

    assert run() == run()
