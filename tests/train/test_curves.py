"""The curves: what is drawn is what happened, and the file is one that any page can take in."""

import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from tinygrad_cnn.errors import ArgumentError, MissingExtraError
from tinygrad_cnn.train import Epoch, History, curves_svg, save_curves
from tinygrad_cnn.train.curves import moving_average

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def history():
    epochs = [Epoch(1.0, 30, 100, 1.0, 0.5, 0.125), Epoch(0.5, 30, 100, 1.0, 0.25, 0.0314)]
    return History([2.0 / (step + 1) for step in range(60)], epochs)


def texts(svg):
    return ["".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def longest_line(svg, colour):
    """The points of the longest path in a colour."""
    paths = [path.get("d") for path in ElementTree.fromstring(svg).iter(f"{SVG}path") if colour in path.get("style", "")]
    points = [[float(number) for number in part.split()] for part in max(paths, key=len).replace("L", "M").split("M")[1:]]
    return np.array(points)


def test_both_panels_are_there_with_their_axes(history):
    shown = texts(curves_svg(history))
    for text in ("Training loss (nats, log scale)", "step", "mean of 3 steps", "Error on held-out data (%)", "epoch"):
        assert text in shown


def test_each_epoch_shows_its_error_in_per_cent(history):
    shown = texts(curves_svg(history))
    assert {"12.50", "3.14"} <= set(shown)


def test_the_line_has_a_point_for_each_step_on_a_logarithmic_scale(history):
    points = longest_line(curves_svg(history), "stroke-opacity: 0.3")
    assert len(points) == 60
    np.testing.assert_allclose(np.diff(points[:, 0]), points[1, 0] - points[0, 0], rtol=1e-3)
    drop = np.log(history.losses[0] / np.array(history.losses))
    np.testing.assert_allclose(points[:, 1] - points[0, 1], drop * (points[-1, 1] - points[0, 1]) / drop[-1], atol=0.01)


def test_without_held_out_errors_there_is_only_the_loss(history):
    history.epochs[0].val_error = history.epochs[1].val_error = None
    shown = texts(curves_svg(history))
    assert "step" in shown
    assert "epoch" not in shown


def test_the_held_out_loss_is_drawn_over_the_steps(history):
    shown = curves_svg(history)
    assert "held-out" in texts(shown)
    history.epochs[0].val_loss = history.epochs[1].val_loss = None
    assert "held-out" not in texts(curves_svg(history))


def test_other_metrics_have_a_panel_and_a_line_each(history):
    history.epochs[1].metrics = {"top5": 0.75, "accuracy": 0.5}
    shown = texts(curves_svg(history))
    assert {"Measured on held-out data", "top5", "accuracy"} <= set(shown)
    history.epochs[1].metrics = {}
    assert "Measured on held-out data" not in texts(curves_svg(history))


def test_a_training_that_was_stopped_in_its_first_epoch_has_a_curve():
    assert "step" in texts(curves_svg(History([2.0, 1.0], [])))


def test_many_epochs_do_not_crowd_the_axis(history):
    history.epochs = history.epochs * 20
    numbers = [text for text in texts(curves_svg(history)) if text.isdigit()]
    assert 4 < len(numbers) < 40


def test_it_takes_the_colour_of_the_page_and_nothing_from_the_network(history):
    svg = curves_svg(history)
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert not [name for element in ElementTree.fromstring(svg).iter() for name, value in element.items() if "http" in value]


def test_equal_histories_give_equal_files(history, tmp_path):
    save_curves(tmp_path / "a.svg", history)
    save_curves(str(tmp_path / "b.svg"), history)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_no_step_is_no_curve():
    with pytest.raises(ArgumentError, match="the history has no step"):
        curves_svg(History())


def test_without_matplotlib_the_extra_is_named(history, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r'drawing the loss curves needs the extra "plot"'):
        curves_svg(history)


def test_the_moving_average_looks_back_only():
    np.testing.assert_allclose(moving_average([6, 0, 3, 9, 0], 3), [6, 3, 3, 4, 4])
    np.testing.assert_allclose(moving_average([5.0, 1.0], 1), [5, 1])
