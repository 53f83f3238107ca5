"""``tinygrad-cnn profile``: its tables, its trace, and what it refuses."""

import json

import pytest

from tinygrad_cnn.cli import main


def words(capsys):
    return capsys.readouterr().out.splitlines()


def test_a_step_by_op(capsys):
    assert main(["profile", "small_lenet5", "--batch", "2"]) == 0
    lines = words(capsys)
    assert lines[0] == "one training step of small_lenet5 on 2 x 1 x 28 x 28"
    rows = {line.split()[0]: line.split() for line in lines[3:]}
    assert rows["Conv2dBackward"][1] == "2"
    # Multiply-adds of LeCun's sizes: two convolutions of 5 x 5 taps, on two images, two operations each.
    assert rows["Conv2d"][-3] == f"{2 * 2 * (28 * 28 * 6 * 25 + 10 * 10 * 16 * 6 * 25) / 1e6:,.2f}"
    assert rows["[SGD.step]"][1] == "1"


def test_a_step_by_module_on_another_size(capsys):
    assert main(["profile", "resnet20", "--batch-size", "2", "--size", "16", "--by", "module", "--depth", "1"]) == 0
    lines = words(capsys)
    assert lines[0] == "one training step of resnet20 on 2 x 3 x 16 x 16"
    assert [line.split()[0] for line in lines[3:9]] == ["conv1", "bn1", "relu", "layer1", "layer2", "layer3"]


def test_a_trace(tmp_path, capsys):
    path = tmp_path / "trace.json"
    assert main(["profile", "digit_net", "--batch-size", "2", "--by", "call", "--trace", str(path)]) == 0
    assert words(capsys)[-1] == str(path)
    names = {event["name"] for event in json.loads(path.read_text())["traceEvents"]}
    assert "SGD.step" in names
    assert any(name.startswith("Conv2dBackward ") for name in names)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["lenet", "--size", "5"], "kernel"),
        (["lenet", "--depth", "2"], "depth=2: it is a number of names in a module's path"),
        (["lennet"], "lenet"),
    ],
)
def test_what_cannot_be_done(arguments, complaint, capsys):
    assert main(["profile", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("tinygrad-cnn: ")
    assert complaint in said
