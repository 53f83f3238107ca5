"""The two recipes for digits run to their end, on a few digits, and learn what so few can teach."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_cnn import train
from tinygrad_cnn.models import LeNet5

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, *arguments):
    command = [sys.executable, str(EXAMPLES / name), "--subset", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=1800).stdout


def errors(output):
    return [float(number) for number in re.findall(r"test error ([\d.]+) %", output)]


def test_lenet5_of_1998_learns_one_pattern_at_a_time(tmp_path):
    weights = tmp_path / "lenet5.safetensors"
    (error,) = errors(run("lenet5_1998.py", "--limit", "700", "--passes", "1", "--out", str(weights)))
    assert error < 60
    assert train.load_checkpoint(weights, LeNet5()).epoch == 1


@pytest.mark.parametrize("option", [("--distort",), ("--mu", "0.5"), ("--rubbish", "5"), ("--seed", "1")])
def test_its_options_change_the_outcome(option):
    few = ("--limit", "60", "--passes", "1")
    losses = [re.search(r"loss ([\d.]+)", run("lenet5_1998.py", *few, *more))[1] for more in ((), option)]
    assert losses[0] != losses[1]


def test_the_modern_recipe_learns(tmp_path):
    weights = tmp_path / "net.safetensors"
    measured = errors(run("mnist_modern.py", "--limit", "1000", "--epochs", "2", "--out", str(weights)))
    assert len(measured) == 2
    assert measured[-1] < 30
    assert weights.exists()
