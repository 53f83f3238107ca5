"""Pictures: with and without a program that draws them, and that nothing in them is cut off."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from xml.etree import ElementTree

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import viz
from tinygrad_cnn.errors import ArgumentError, AutogradError
from tinygrad_cnn.viz import Graph
from tinygrad_cnn.viz import drawing as drawing_module
from tinygrad_cnn.viz.render import find_renderer

from .viz_cases import AWKWARD, Awkward, Net, inside, leaf, lenet_loss

graphviz = pytest.importorskip("graphviz")

needs_renderer = pytest.mark.skipif(find_renderer() is None, reason="neither dot nor graphviz-pure is installed")
needs_posix = pytest.mark.skipif(os.name != "posix", reason="the stand-in program is a shell script")

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A machine without any program that draws; returns the folder of its programs."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "scripts"))
    return programs


def install(folder, name, script):
    """A program that is a shell script."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return folder / name


# Which program ------------------------------------------------------------------------------------------------------


@needs_posix
def test_dot_comes_first_then_beside_python_then_the_path(nowhere, tmp_path):
    assert find_renderer() is None
    on_path = install(nowhere, "graphviz-pure", "exit 1")
    assert find_renderer() == on_path
    beside_python = install(tmp_path / "scripts", "graphviz-pure", "exit 1")
    assert find_renderer() == beside_python
    dot = install(nowhere, "dot", "exit 1")
    assert find_renderer() == dot


@needs_posix
def test_a_path_that_was_given_to_the_graphviz_package_is_respected(nowhere, tmp_path, monkeypatch):
    from graphviz.backend import dot_command

    own = install(tmp_path / "own", "dot-of-mine", "cat")
    monkeypatch.setattr(dot_command, "DOT_BINARY", own)
    assert find_renderer() == own


@needs_posix
def test_what_the_program_is_asked(nowhere, tmp_path):
    from graphviz.backend import dot_command

    install(nowhere, "dot", 'echo "$@"')
    before = dot_command.DOT_BINARY
    drawing = viz.graph(leaf(2).sum())
    for name, asked in [("a.svg", "-Kdot -Tsvg"), ("b.PNG", "-Kdot -Tpng -Gdpi=144"), ("c.pdf", "-Kdot -Tpdf")]:
        written = drawing.render(tmp_path / name)
        assert written == tmp_path / name
        assert written.read_text().strip() == asked
    assert dot_command.DOT_BINARY is before


# No program ---------------------------------------------------------------------------------------------------------


def test_without_a_program_the_text_is_written_and_one_line_says_what_to_install(nowhere, tmp_path):
    drawing = viz.graph(lenet_loss())
    with pytest.warns(UserWarning, match=r'install Graphviz .*pip install "tinygrad_cnn\[viz\]"') as caught:
        written = drawing.render(tmp_path / "graph.svg")
    assert "\n" not in str(caught[0].message)
    assert caught[0].filename == __file__
    assert written == tmp_path / "graph.dot"
    assert written.read_text(encoding="utf-8") == drawing.source
    assert not (tmp_path / "graph.svg").exists()


def test_without_a_program_a_notebook_shows_the_text(nowhere):
    drawing = viz.graph(Awkward.apply(leaf(2), markup="<b>"))
    assert drawing._repr_svg_() is None
    shown = drawing._repr_html_()
    assert "pip install" in shown
    assert "<pre>digraph" in shown
    assert "<FONT" not in shown  # the labels are escaped
    ElementTree.fromstring(f"<div>{shown}</div>")


@needs_posix
def test_a_program_that_fails_or_hangs_is_an_error_that_says_so(nowhere, tmp_path):
    drawing = viz.graph(leaf(2).sum())
    install(nowhere, "dot", "echo first >&2; echo out of ink >&2; exit 3")
    with pytest.raises(AutogradError, match="dot failed with exit status 3: out of ink"):
        drawing.render(tmp_path / "graph.svg")
    assert drawing._repr_svg_() is None
    assert "out of ink" in drawing._repr_html_()
    install(nowhere, "dot", f"exec {shutil.which('sleep', path='/bin:/usr/bin')} 60")
    with pytest.raises(AutogradError, match=r"after 0\.2 s.*longer timeout"):
        drawing.render(tmp_path / "graph.svg", timeout=0.2)
    assert not (tmp_path / "graph.svg").exists()


@needs_posix
def test_the_wheel_draws_no_pdf(nowhere, tmp_path):
    install(nowhere, "graphviz-pure", "cat")
    with pytest.raises(ArgumentError, match="no pdf: install Graphviz"):
        viz.graph(leaf(2).sum()).render(tmp_path / "graph.pdf")


@pytest.mark.parametrize("name", ["graph.jpeg", "graph", "graph.dot"])
def test_another_suffix(tmp_path, name):
    with pytest.raises(ArgumentError, match=r"\.svg, \.png or \.pdf"):
        viz.graph(leaf(2).sum()).render(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_save_writes_the_text(tmp_path):
    drawing = viz.graph(Awkward.apply(leaf(2), unicode="größe"))
    assert drawing.save(str(tmp_path / "graph.gv")).read_text(encoding="utf-8") == drawing.source
    assert Graph.from_json(drawing.save(tmp_path / "graph.json").read_text(encoding="utf-8")) == drawing.graph


def test_save_does_not_write_text_under_a_pictures_name(tmp_path):
    drawing = viz.graph(leaf(2).sum())
    with pytest.raises(ArgumentError, match=r"'graph\.SVG' is a picture's name: use \.render\('graph\.SVG'\)"):
        drawing.save(tmp_path / "graph.SVG")
    assert not list(tmp_path.iterdir())


def test_too_many_nodes_for_a_notebook(monkeypatch):
    monkeypatch.setattr(drawing_module, "MOST_NODES_SHOWN", 5)
    drawing = viz.graph(leaf(2).sin().cos().sin().cos().sum())
    assert drawing._repr_svg_() is None
    assert "7 nodes are more than a notebook can show" in drawing._repr_html_()
    assert "<pre>" not in drawing._repr_html_()


def test_the_repr_counts():
    assert repr(viz.graph(lenet_loss())).startswith("<GraphDrawing of 16 ops, 10 parameters, 2 inputs, 1 output;")
    two = tg.ones(2, requires_grad=True) * tg.ones(2, requires_grad=True)
    assert repr(viz.graph(two)).startswith("<GraphDrawing of 1 op, 2 leaves, 1 output;")


def test_importing_viz_imports_neither_graphviz_nor_matplotlib():
    code = "import sys, tinygrad_cnn.viz; sys.exit(len({'graphviz', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# The picture --------------------------------------------------------------------------------------------------------


def awkward():
    with inside("a <module>\\N.with a rather long path, longer than what is in it"):
        y = Awkward.apply(leaf(2, name="<x> & {y|z}"), **AWKWARD).relu()
    return Awkward.apply(y, stride=1)


def gradient():
    x = leaf(3, name="x")
    (gx,) = tg.autograd.grad((x.sin() * x).sum(), x, create_graph=True)
    return [gx, gx * gx]


GRAPHS = {
    "lenet": lenet_loss,
    "nested": lambda: Net()(tg.ones(2, 2, 4, 4)).sum(),
    "evaluated": lambda: Net().eval()(tg.ones(2, 2, 4, 4)).sum(),
    "awkward": awkward,
    "gradient": gradient,
    "small": lambda: leaf(1).sin(),
}


def text_width(text, size, bold):
    """In DejaVu Sans, the widest font that a browser is likely to fall back on."""
    matplotlib = pytest.importorskip("matplotlib")
    fonts = pytest.importorskip("PIL.ImageFont")
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return fonts.truetype(str(Path(matplotlib.get_data_path(), "fonts/ttf", name)), 100).getlength(text) * size / 100


def outline(element):
    """The corners of the first shape of a group."""
    shape = next(child for child in element.iter() if child.tag in (f"{SVG}polygon", f"{SVG}path"))
    numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", shape.get("points") or shape.get("d"))]
    return min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])


def is_inside(text, box, margin=0.0):
    left, top, right, bottom = box
    x, y, size = (float(text.get(name)) for name in ("x", "y", "font-size"))
    width = text_width(text.text, size, text.get("font-weight") == "bold")
    return left + margin <= x and x + width <= right - margin and top <= y - 0.75 * size and y + 0.2 * size <= bottom


@needs_renderer
@pytest.mark.parametrize("direction", ["TB", "LR"])
@pytest.mark.parametrize("name", GRAPHS)
def test_svg_is_well_formed_and_every_word_is_inside_its_box(name, direction):
    title = "A title that is wider than a small graph is"
    drawing = viz.graph(GRAPHS[name](), direction=direction, title=title)
    picture = ElementTree.fromstring(drawing._repr_svg_())
    assert drawing._repr_html_() is None
    groups = {kind: picture.findall(f".//{SVG}g[@class='{kind}']") for kind in ("graph", "node", "edge", "cluster")}
    assert len(groups["node"]) == len(drawing.graph.nodes)
    assert len(groups["edge"]) == len(drawing.graph.edges)
    assert {"".join(text.itertext()) for text in picture.iter(f"{SVG}text")} >= {title, "op", "output"}
    for group in groups["node"] + groups["cluster"]:
        for text in group.iter(f"{SVG}text"):
            assert is_inside(text, outline(group), margin=2.0), text.text
    page = outline(groups["graph"][0])
    assert all(is_inside(text, page) for text in picture.iter(f"{SVG}text"))
    _, _, width, height = (float(number) for number in picture.get("viewBox").split())
    assert (page[2] - page[0], page[3] - page[1]) == pytest.approx((width, height), abs=1.0)


@needs_renderer
@pytest.mark.parametrize("direction", ["TB", "LR"])
@pytest.mark.parametrize("name", GRAPHS)
def test_boxes_do_not_overlap(name, direction):
    picture = ElementTree.fromstring(viz.graph(GRAPHS[name](), direction=direction)._repr_svg_())
    boxes = [outline(group) for group in picture.findall(f".//{SVG}g[@class='node']")]
    for i, (left, top, right, bottom) in enumerate(boxes):
        for other in boxes[:i]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


@needs_renderer
def test_escape_sequences_are_not_replaced():
    with inside("\\N.\\G"):
        drawing = viz.graph([Awkward.apply(leaf(2), path="C:\\new \\N \\G")], title="\\G")
    shown = [text.text for text in ElementTree.fromstring(drawing._repr_svg_()).iter(f"{SVG}text")]
    assert {"\\N.\\G", "path=C:\\new \\N \\G", "\\G"} <= set(shown)


def boxes_by_name(drawing):
    picture = ElementTree.fromstring(drawing._repr_svg_())
    names = {node.id: node.name for node in drawing.graph.nodes}
    boxes = {group.find(f"{SVG}title").text: outline(group) for group in picture.findall(f".//{SVG}g[@class='node']")}
    return boxes | {names[box]: outlined for box, outlined in boxes.items()}


@needs_renderer
@pytest.mark.parametrize("name", GRAPHS)
def test_data_run_down_and_never_upwards(name):
    drawing = viz.graph(GRAPHS[name]())
    boxes = boxes_by_name(drawing)
    kinds = {node.id: node.kind for node in drawing.graph.nodes}
    for edge in drawing.graph.edges:
        (_, top, _, bottom), (_, source_top, _, source_bottom) = boxes[edge.target], boxes[edge.source]
        assert source_bottom <= top if kinds[edge.source] == "op" else source_top < bottom, edge


@needs_renderer
def test_parameters_stand_on_both_sides_of_their_op_and_arrows_point_at_it():
    drawing = viz.graph(lenet_loss())
    boxes = boxes_by_name(drawing)
    assert boxes["conv1.weight"][2] < boxes["Conv2d"][0]
    assert boxes["Conv2d"][2] < boxes["conv1.bias"][0]
    assert boxes["fc3.bias"][1] < boxes["Linear"][3]
    ids = {node.name: node.id for node in drawing.graph.nodes}
    assert re.search(rf"{ids['Linear']} -> {ids['fc3.bias']} \[.*dir=back", drawing.source)
    assert re.search(rf"{ids['fc3.weight']} -> {ids['Linear']} \[(?!.*dir=back)", drawing.source)


@needs_renderer
def test_png(tmp_path):
    image = pytest.importorskip("PIL.Image")
    written = viz.graph(lenet_loss()).render(tmp_path / "graph.png")
    with image.open(written) as picture:
        assert picture.size[1] > picture.size[0] > 500


@needs_renderer
def test_ipython_takes_the_picture():
    formatters = pytest.importorskip("IPython.core.formatters")
    data, _ = formatters.DisplayFormatter().format(viz.graph(lenet_loss()))
    assert data["image/svg+xml"].startswith("<?xml")
    assert "text/html" not in data


def test_ipython_takes_the_text_where_there_is_no_program(nowhere):
    formatters = pytest.importorskip("IPython.core.formatters")
    data, _ = formatters.DisplayFormatter().format(viz.graph(lenet_loss()))
    assert "image/svg+xml" not in data
    assert "pip install" in data["text/html"]
