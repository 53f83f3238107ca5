"""The animator: its frames against convolutions of one-hot arrays, and what is drawn and written."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import learn
from tinygrad_cnn.errors import ArgumentError, ShapeError

SHOWS = ("forward", "input_grad", "weight_grad")


def drawn_settings(rng):
    """A geometry that fits, of one or two axes."""
    while True:
        dims = int(rng.integers(1, 3))
        settings = {
            "input": tuple(int(n) for n in rng.integers(1, 7, dims)),
            "kernel": tuple(int(n) for n in rng.integers(1, 4, dims)),
            "stride": tuple(int(n) for n in rng.integers(1, 4, dims)),
            "padding": tuple((int(a), int(b)) for a, b in rng.integers(0, 3, (dims, 2))),
            "dilation": tuple(int(n) for n in rng.integers(1, 3, dims)),
            "groups": int(rng.integers(1, 3)),
            "transposed": bool(rng.integers(2)),
        }
        if settings["transposed"]:
            settings["output_padding"] = tuple(int(rng.integers(step)) for step in settings["stride"])
        try:
            learn.animate_conv(**settings)
        except ShapeError:
            continue
        return settings


def unpadded(settings):
    """The convolution whose triples these are, on a plane that has the padding in it: the sizes, and where the plane starts."""
    pads = settings["padding"]
    if not settings["transposed"]:
        size = [n + a + b for n, (a, b) in zip(settings["input"], pads, strict=True)]
        return size, [a for a, _ in pads]
    axes = zip(*(settings[name] for name in ("input", "stride", "dilation", "kernel", "output_padding")), strict=True)
    size = [(n - 1) * s + d * (k - 1) + 1 + extra for n, s, d, k, extra in axes]
    return size, [a for a, _ in pads]


def triples(settings):
    """Every (group, output cell, tap, input cell) that a convolution of one-hot planes shows to matter, padding included."""
    size, start = unpadded(settings)
    groups, kernel = settings["groups"], settings["kernel"]
    cells, taps = int(np.prod(size)), int(np.prod(kernel))
    # One image for each cell that is 1, in one group; each tap's weight is its number, so that a value names its tap.
    x = np.eye(groups * cells).reshape(-1, groups, *size)
    weight = np.broadcast_to(np.arange(1.0, taps + 1).reshape(kernel), (groups, 1, *kernel)).copy()
    convolve = tg.conv1d if len(size) == 1 else tg.conv2d
    options = {"stride": settings["stride"], "dilation": settings["dilation"], "groups": groups}
    y = convolve(tg.tensor(x), tg.tensor(weight), **options).numpy()
    found = set()
    for image, group, *output in np.argwhere(y):
        _, *at = np.unravel_index(image, (groups, *size))
        assert image // cells == group
        tap = np.unravel_index(int(y[(image, group, *output)]) - 1, kernel)
        found.add((int(group), ints(output), ints(tap), tuple(int(i) - a for i, a in zip(at, start, strict=True))))
    return found


def ints(cell):
    return tuple(int(i) for i in cell)


def told(animation):
    """The triples that the frames tell of: (group, narrow cell, tap, wide cell, padding)."""
    story = animation.story
    wide_target = (story.show == "forward") == story.op.startswith("conv_transpose")
    found = []
    for frame in animation.frames:
        for term in frame.terms:
            if story.show == "weight_grad":
                found.append((frame.group, term.factor, frame.target, term.source, term.padding))
            elif wide_target:
                found.append((frame.group, term.source, term.factor, frame.target, term.padding))
            else:
                found.append((frame.group, frame.target, term.factor, term.source, term.padding))
    assert len(found) == len(set(found))
    return set(found)


@pytest.mark.parametrize("seed", range(200))
def test_the_frames_are_what_one_hot_convolutions_show(seed):
    settings = drawn_settings(np.random.default_rng(seed))
    expected = triples(settings)
    for show in SHOWS:
        animation = learn.animate_conv(**settings, show=show)
        wide = {plane.name: plane for plane in (animation.story.source, animation.story.target)}
        name = {"forward": "xy", "input_grad": ("gy", "gx"), "weight_grad": ("x", "gy")}[show][settings["transposed"]]
        if show == "input_grad":
            name = ("gx", "gy")[settings["transposed"]]
        size = wide[name].size
        marked = {(*t, not all(0 <= i < n for i, n in zip(t[3], size, strict=True))) for t in expected}
        if show != "weight_grad" and (show == "forward") == settings["transposed"]:
            marked = {t for t in marked if not t[4]}  # what falls on the border is cropped off: no cell is made there
        assert told(animation) == marked
        targets = [(frame.group, frame.target) for frame in animation.frames]
        assert targets == [(g, t) for g in range(settings["groups"]) for t in np.ndindex(animation.story.target.size)]


@pytest.mark.parametrize("transposed", [False, True])
def test_a_real_call_has_the_frames_of_its_sizes(transposed):
    x = tg.randn(2, 4, 5, 4, requires_grad=True)
    call = tg.conv_transpose2d if transposed else tg.conv2d
    y = call(x, tg.randn(4, 2, 3, 2), stride=2, padding=((1, 0), (1, 1)), groups=2)
    sizes = {"input": (5, 4), "kernel": (3, 2), "stride": 2, "padding": ((1, 0), (1, 1)), "groups": 2}
    for show in SHOWS:
        assert learn.animate_conv(y, show=show).story == learn.animate_conv(**sizes, transposed=transposed, show=show).story


def test_a_real_call_without_a_batch():
    y = tg.conv2d(tg.randn(1, 5, 5, requires_grad=True), tg.randn(1, 1, 3, 3))
    assert y.shape == (1, 3, 3)
    assert len(learn.animate_conv(y).frames) == 9


def test_the_picture_is_xml_without_script_and_shows_each_frame_once():
    animation = learn.animate_conv(input=(5, 5), kernel=3, stride=2, padding=1, seconds=0.5)
    text = animation.svg()
    assert "<script" not in text
    root = ET.fromstring(text)
    delays = [float(layer.get("style")[16:-1]) for layer in root.iter() if "animation-delay" in (layer.get("style") or "")]
    assert sorted(delays) == sorted([0.5 * i for i in range(9)] * 2)
    assert "animation:" in text
    assert "4.5s step-end infinite" in text
    assert "prefers-reduced-motion" in text
    ids = {element.get("id") for element in root.iter() if element.get("id")}
    used = [element.get("href")[1:] for element in root.iter() if element.get("href")]
    assert used
    assert set(used) <= ids
    assert len(text) < 10_000


def test_a_still_has_the_sentence_of_its_frame():
    animation = learn.animate_conv(input=(3, 3), kernel=2, stride=2, padding=((1, 0), (1, 0)))
    assert "1. y[0, 0] = sum of 4 products, 3 of them with padding (0)" in animation.svg(still=0)
    assert "4. y[1, 1] = sum of 4 products<" in animation.svg(still=-1)
    assert "animation" not in animation.svg(still=0)
    unread = learn.animate_conv(input=(4,), kernel=2, stride=3, show="input_grad")
    assert "gx[2] = 0: no window reaches it" in unread.svg(still=2)


def test_many_steps_and_groups_are_sampled_and_the_picture_says_so():
    animation = learn.animate_conv(input=(12, 12), kernel=1, groups=4)
    assert len(animation.frames) == 576
    text = animation.svg()
    assert text.count('class="') > 200
    assert "groups 0 to 2 of 4" in text
    assert "100 of 432 steps" in text


def test_the_page_has_every_step(tmp_path):
    animation = learn.animate_conv(input=(12, 12), kernel=3)
    page = animation.save(tmp_path / "conv.html").read_text("utf-8")
    assert page.count("data-f=") == 200 + page.count("'[data-f=")
    for needed in ("ArrowRight", "ArrowLeft", 'type="range"', "Home", 'aria-label="Next step"'):
        assert needed in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_files(tmp_path):
    animation = learn.animate_conv(input=(4, 4), kernel=3)
    data = json.loads(animation.save(tmp_path / "conv.json").read_text())
    assert data["frames"][0]["terms"][0] == {"source": [0, 0], "factor": [0, 0], "padding": False}
    assert animation.save(tmp_path / "conv.svg").read_text("utf-8") == animation.svg() == animation._repr_html_()
    with pytest.raises(ArgumentError, match=r"writes \.svg, \.html or \.json"):
        animation.save(tmp_path / "conv.gif")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either the output of a convolution"),
        ({"input": (3, 3), "seconds": 0}, "seconds must be positive; got 0"),
        ({"input": 7}, r"such as \(7, 7\)"),
        ({"input": (3, 3, 3)}, "1 or 2 spatial axes"),
        ({"input": (65, 3)}, "65 cells across could not be read"),
        ({"input": (64, 64), "kernel": 30}, "products are more than can be watched"),
        ({"input": (3, 3), "kernel": 2, "output_padding": 1}, "belongs to a transposed convolution"),
        ({"input": (3, 3), "show": "backward"}, "show must be one of forward, input_grad, weight_grad; got 'backward'"),
        ({"y": 3}, "needs the tensor that a convolution returned; got int"),
        ({"y": tg.ones(1)}, "no recorded op"),
        ({"y": tg.ones(1, requires_grad=True).exp()}, "was made by Exp"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        learn.animate_conv(**arguments)
