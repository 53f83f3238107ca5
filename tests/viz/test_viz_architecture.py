"""The row of boxes: which stages there are, and that their extents are to scale."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import models, nn, viz
from tinygrad_cnn.errors import ArgumentError, ShapeError

SVG = "{http://www.w3.org/2000/svg}"


def shapes(drawing):
    return [stage.shape for stage in drawing.stages]


def faces(drawing):
    """The corners of each box's faces (front, top, side), by the box's title."""
    picture = ElementTree.fromstring(drawing.source)
    found = []
    for group in picture.iter(f"{SVG}g"):
        if group.find(f"{SVG}title") is not None:
            polygons = [
                [tuple(map(float, corner.split(","))) for corner in p.get("points").split()]
                for p in group.iter(f"{SVG}polygon")
            ]
            found.append((group.find(f"{SVG}title").text, polygons))
    return found


def test_lenet5_of_the_paper():
    drawing = viz.architecture(models.LeNet5(), (1, 32, 32))
    # LeCun et al. 1998, figure 2.
    assert shapes(drawing) == [(1, 32, 32), (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120, 1, 1), (84,), (10,)]
    kinds = [stage.kind for stage in drawing.stages]
    assert kinds == ["input", "convolution", "pooling", "convolution", "pooling", "convolution", "linear", "linear"]


def test_alexnet_of_the_paper():
    drawing = viz.architecture(nn.utils.skip_init(models.AlexNetPaper), (3, 227, 227))
    # Krizhevsky et al. 2012, section 3.5, at the size that its numbers need.
    assert shapes(drawing) == [
        (3, 227, 227), (96, 55, 55), (96, 27, 27), (256, 27, 27), (256, 13, 13), (384, 13, 13), (384, 13, 13), (256, 13, 13),
        (256, 6, 6), (4096,), (1000,),
    ]  # fmt: skip
    assert drawing.stages[1].what == "conv 11x11, stride 4"
    assert drawing.stages[3].what == "conv 5x5, 2 groups"
    assert drawing.stages[9].count == 2


def test_vgg16_counts_equal_convolutions():
    drawing = viz.architecture(nn.utils.skip_init(models.vgg16), (3, 224, 224))
    counts = [(stage.shape, stage.count) for stage in drawing.stages if stage.kind == "convolution"]
    # Simonyan and Zisserman 2014, table 1, column D.
    assert counts == [((64, 224, 224), 2), ((128, 112, 112), 2), ((256, 56, 56), 3), ((512, 28, 28), 3), ((512, 14, 14), 3)]


def test_resnet50_has_a_stage_for_its_blocks():
    drawing = viz.architecture(nn.utils.skip_init(models.resnet50), (3, 224, 224))
    blocks = [(stage.shape, stage.count) for stage in drawing.stages if stage.kind == "block"]
    # He et al. 2015, table 1.
    assert blocks == [((256, 56, 56), 3), ((512, 28, 28), 4), ((1024, 14, 14), 6), ((2048, 7, 7), 3)]


def test_boxes_are_to_scale():
    net = nn.Sequential(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.MaxPool2d((2, 1)), nn.Conv2d(32, 64, 1))
    drawing = viz.architecture(net, (16, 64, 96))
    found = faces(drawing)
    assert len(found) == len(drawing.stages) == 4
    (_, first), *_ = found
    front, top, _ = first
    side = (front[3][1] - front[0][1]) / 64
    channel = (front[1][0] - front[0][0]) / 16
    inwards = (top[1][0] - top[0][0]) / 96
    for stage, (title, (front, top, _)) in zip(drawing.stages, found, strict=True):
        channels, height, width = stage.shape
        assert f"{channels} x {height} x {width}" in title
        assert front[3][1] - front[0][1] == pytest.approx(height * side, abs=0.2)
        assert front[1][0] - front[0][0] == pytest.approx(channels * channel, abs=0.2)
        assert top[1][0] - top[0][0] == pytest.approx(width * inwards, abs=0.2)


def test_boxes_do_not_overlap_and_stay_on_the_page():
    drawing = viz.architecture(nn.utils.skip_init(models.vgg16), (3, 224, 224))
    picture = ElementTree.fromstring(drawing.source)
    extents = []
    for _, polygons in faces(drawing):
        across = [x for polygon in polygons for x, _ in polygon]
        extents.append((min(across), max(across)))
    assert all(right < left for (_, right), (left, _) in pairwise(extents))
    assert extents[0][0] >= 0
    assert extents[-1][1] <= float(picture.get("width"))


def test_sizes_are_written():
    source = viz.architecture(models.LeNet(), (1, 28, 28), title="A <LeNet> & more").source
    text = [element.text for element in ElementTree.fromstring(source).iter(f"{SVG}text")]
    times = "\N{MULTIPLICATION SIGN}"
    assert {"A <LeNet> & more", f"20 {times} 24 {times} 24", f"conv 5{times}5", f"max pool 2{times}2", "stride 2"} <= set(text)
    assert len(re.findall('class="window"', source)) == 4


def test_the_network_is_left_alone():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
    before = [tensor.numpy().copy() for tensor in net.state_dict().values()]
    viz.architecture(net, (1, 8, 8))
    assert all((a == b.numpy()).all() for a, b in zip(before, net.state_dict().values(), strict=True))
    assert not tg.is_grad_enabled() or net.training


def test_files(tmp_path):
    drawing = viz.architecture(models.LeNet(), (1, 28, 28))
    assert drawing.render(tmp_path / "net.svg").read_text(encoding="utf-8") == drawing.source == drawing._repr_svg_()
    assert drawing.source in drawing.render(tmp_path / "net.html").read_text(encoding="utf-8")
    assert repr(drawing) == "<ArchitectureDrawing of 7 stages; .render('architecture.svg') writes it into a file>"
    with pytest.raises(ArgumentError, match=r"drawn as \.svg or \.html, got 'net\.png'"):
        drawing.render(tmp_path / "net.png")


@pytest.mark.parametrize("size", [(28, 28), (1, 28.0, 28), ((1, 28, 28), (1, 28, 28), (1,))])
def test_another_input(size):
    with pytest.raises(ArgumentError, match=r"input_size must be \(channels, height, width\)"):
        viz.architecture(models.LeNet(), size)


def test_shapes_that_do_not_fit():
    with pytest.raises(ShapeError, match="does not fit"):
        viz.architecture(models.LeNet(), (1, 40, 40))
