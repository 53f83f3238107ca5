"""Occlusion, against the sums that covering takes away; and the picture of a receptive field."""

import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import explain
from tinygrad_cnn.errors import MissingExtraError, ShapeError
from tinygrad_cnn.nn import functional as F


def total(x):
    """Two scores: the sum, and its negative."""
    scores = x.sum((1, 2, 3)).unsqueeze(1)
    return tg.ops.cat([scores, -scores], 1)


def test_each_place_loses_what_is_covered():
    picture = np.arange(2 * 5 * 6, dtype=np.float64).reshape(1, 2, 5, 6)
    found = explain.occlusion(total, tg.tensor(picture), 1, size=(2, 3), stride=(3, 1), value=0.5, batch_size=3)
    assert found.shape == (2, 4)
    for i, j in np.ndindex(2, 4):
        covered = picture[0, :, 3 * i : 3 * i + 2, j : j + 3]
        assert found[i, j] == pytest.approx(-(picture.sum() - covered.sum() + 0.5 * covered.size))
    assert np.array_equal(picture, np.arange(60.0).reshape(1, 2, 5, 6))


def test_occlusion_messages():
    with pytest.raises(ShapeError, match=r"needs one image .* got shape \(2, 1, 4, 4\)"):
        explain.occlusion(total, tg.ones(2, 1, 4, 4), 0, size=2)
    with pytest.raises(ShapeError, match=r"the square \(5, 5\)"):
        explain.occlusion(total, tg.ones(1, 4, 4), 0, size=5)


@pytest.fixture
def seen():
    x = tg.randn(1, 3, 12, 9, requires_grad=True)
    y = F.conv2d(x, tg.ones(1, 3, 3, 3), stride=2)
    return x, y, explain.receptive_field(y, x)


def test_overlay_frames_the_pixels_of_the_unit(seen):
    x, y, field = seen
    svg = ET.fromstring(explain.overlay(field, x, (2, 1), explain.effective_field(y, x, (2, 1))))
    (frame,) = svg.findall("{*}rect")
    assert [frame.get(name) for name in ("x", "y", "width", "height")] == ["2", "4", "3", "3"]
    assert len(svg.findall("{*}image")) == 2
    assert svg.get("aria-label") == "unit (2, 1) sees rows 4 to 6, columns 2 to 4"
    for image in (np.zeros((12, 9)), np.zeros((1, 12, 9)), np.zeros((2, 5, 12, 9))):
        assert len(ET.fromstring(explain.overlay(field, image, (0, 0))).findall("{*}image")) == 1


def test_overlay_messages(seen, monkeypatch):
    x, _, field = seen
    with pytest.raises(ShapeError, match=r"images of size \(12, 9\), got an image of shape \(3, 9, 12\)"):
        explain.overlay(field, np.zeros((3, 9, 12)), (0, 0))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match='needs the extra "plot"'):
        explain.overlay(field, x, (0, 0))
