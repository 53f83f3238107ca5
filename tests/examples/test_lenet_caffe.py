"""Caffe's LeNet: its solver figure by figure, and some iterations of it."""

import re
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn import data
from tinygrad_cnn.models import LeNet
from tinygrad_cnn.train import evaluate, load_checkpoint

from .conftest import load

recipe = load("lenet_caffe")


def test_it_learns_and_prints_caffes_figure_beside_its_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    weights = tmp_path / "lenet.safetensors"
    accuracies = recipe.main(["--quick", "--iterations", "102", "--test-every", "50", "--limit", "640", "--out", str(weights)])
    assert list(accuracies) == [50, 100, 102]
    assert accuracies[102] > 0.8
    shown = capsys.readouterr().out
    assert f"here {accuracies[102]:.4f} after 102 iterations, Caffe's readme 0.9897 after 10,000" in shown
    assert re.search(r"iteration 100: .* lr 0\.00992565, ", shown)  # as in Caffe's log
    net = LeNet()
    load_checkpoint(weights, net)
    images, labels = data.load_mnist(train=False, subset=True)
    test = data.DataLoader(data.TensorDataset(images[:640] * np.float32(255 / 256), labels[:640]), 500)
    assert evaluate(net, test).accuracy == pytest.approx(accuracies[102], abs=1e-9)


def test_the_solver_is_that_of_the_prototxt() -> None:
    optimizer, schedule = recipe.solver(LeNet())
    weights, biases = optimizer.param_groups
    assert [p.ndim for p in weights["params"]] == [4, 4, 2, 2]
    assert [p.ndim for p in biases["params"]] == [1, 1, 1, 1]
    assert (weights["lr"], biases["lr"]) == (0.01, 0.02)
    for group in (weights, biases):
        assert (group["momentum"], group["weight_decay"], group["lr_in_velocity"]) == (0.9, 5e-4, True)
    assert (schedule.gamma, schedule.power) == (1e-4, 0.75)


def test_pixels_are_divided_by_256_and_batches_go_round_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Watched(LeNet):
        def forward(self, input):
            if self.training:
                seen.append(np.asarray(input))
            return super().forward(input)

    monkeypatch.setattr(recipe, "LeNet", Watched)
    recipe.main(["--subset", "--iterations", "2", "--test-every", "2", "--limit", "100"])
    grey = data.MNIST(subset=True).images[:100, None]
    np.testing.assert_allclose(seen[0], grey[:64] / 256, rtol=1e-6)
    np.testing.assert_allclose(seen[1], np.concatenate([grey[64:], grey[:28]]) / 256, rtol=1e-6)


def test_the_seed_decides(capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for seed in ("1", "1", "2"):
        recipe.main(["--quick", "--iterations", "3", "--limit", "64", "--seed", seed])
        lines.append(re.search(r"loss [\d.]+", capsys.readouterr().out)[0])
    assert lines[0] == lines[1] != lines[2]
