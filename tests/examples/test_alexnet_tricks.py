"""AlexNet's tricks: that each row of the table has what it says, and a run to its end with the picture."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn import nn, zeros

from .conftest import load

recipe = load("alexnet_tricks")
SMALL = ["--quick", "--epochs", "1", "--limit", "64", "--width", "2", "--most", "10", "--rates", "0.03"]


def options_of(monkeypatch: pytest.MonkeyPatch, *arguments: str):
    """What `compare` is given for a command line."""
    with monkeypatch.context() as patch:
        patch.setattr(recipe, "compare", lambda options: options)
        return recipe.main(list(arguments))


def kinds(net: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in net]


def test_a_run_gives_the_table_and_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "tricks.svg"
    curves, errors = recipe.main([*SMALL, "--target", "0.95", "--every", "2", "--out", str(picture)])
    assert {name: curve[0][0] for name, curve in curves.items()} == {"relu": 0, "tanh": 0}
    assert all(curve[-1][1] < 0.95 for curve in curves.values())
    assert list(errors) == ["tanh", "ReLU", "+ response norm", "+ overlapping pooling", "+ dropout", "+ augmentation"]
    assert all(0 < error <= 100 for pair in errors.values() for error in pair)
    shown = capsys.readouterr().out
    assert re.search(r"ReLU is \d+\.\d times as fast as tanh; in the paper, on CIFAR-10, 6 times", shown)
    for name, (trained, tested) in errors.items():
        assert re.search(rf"^{re.escape(name)} +{trained:.2f} +{tested:.2f}   \S", shown, re.MULTILINE)
    drawn = picture.read_text()
    assert "<!-- + overlapping pooling -->" in drawn
    assert "<!-- Training error (%), mnist-subset -->" in drawn


def test_each_row_adds_one_trick(monkeypatch: pytest.MonkeyPatch) -> None:
    made, augmented = [], []
    network, loader = recipe.network, recipe.data.DataLoader

    def remember(options, **parts):
        made.append(network(options, **parts))
        return made[-1]

    def watch(dataset, *args, **kwargs):
        if kwargs.get("shuffle"):
            augmented.append("RandomCrop" in repr(dataset.dataset.transform))
        return loader(dataset, *args, **kwargs)

    options = options_of(monkeypatch, *SMALL)
    monkeypatch.setattr(recipe, "network", remember)
    monkeypatch.setattr(recipe.data, "DataLoader", watch)
    recipe.one_by_one(*recipe.pictures(options), options)
    assert [("Tanh" in kinds(net), "ReLU" in kinds(net)) for net in made] == [(True, False)] + [(False, True)] * 5
    assert [kinds(net).count("LocalResponseNorm") for net in made] == [0, 0, 2, 2, 2, 2]
    assert [kinds(net).count("Dropout") for net in made] == [0, 0, 0, 0, 1, 1]
    windows = [{layer.kernel_size for layer in net if isinstance(layer, nn.MaxPool2d)} for net in made]
    assert [str(sizes) for sizes in windows] == [str({recipe.nn.MaxPool2d(k).kernel_size}) for k in (2, 2, 2, 3, 3, 3)]
    assert augmented == [False] * 5 + [True]


@pytest.mark.parametrize(("name", "size"), [("mnist", (1, 28, 28)), ("cifar10", (3, 32, 32))])
def test_overlapping_windows_change_no_size(name: str, size: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    options = options_of(monkeypatch, "--data", name, "--width", "4")
    plain, overlapping = (recipe.network(options, overlapping=yes) for yes in (False, True))
    assert [p.shape for p in plain.parameters()] == [p.shape for p in overlapping.parameters()]
    assert plain(zeros(2, *size)).shape == overlapping(zeros(2, *size)).shape == (2, 10)


def test_the_response_norm_has_the_papers_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    net = recipe.network(options_of(monkeypatch, "--quick"), norm=True)
    layer = next(layer for layer in net if isinstance(layer, nn.LocalResponseNorm))
    assert (layer.size, layer.alpha / layer.size, layer.beta, layer.k) == (5, pytest.approx(1e-4), 0.75, 2.0)
    assert kinds(net)[:4] == ["Conv2d", "ReLU", "LocalResponseNorm", "MaxPool2d"]


def test_colours_get_other_light_and_greys_do_not(cifar10: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, augmented, _ = recipe.pictures(options_of(monkeypatch, "--data", "cifar10", "--root", cifar10))
    steps = [type(step).__name__ for step in augmented.dataset.transform.transforms]
    assert steps == ["PCAColorNoise", "Normalize", "RandomCrop", "RandomHorizontalFlip"]
    _, augmented, _ = recipe.pictures(options_of(monkeypatch, "--quick"))
    assert [type(step).__name__ for step in augmented.dataset.transform.transforms] == ["Normalize", "RandomCrop"]


def test_a_run_on_cifar_pictures(cifar10: str) -> None:
    arguments = ["--data", "cifar10", "--root", cifar10, "--epochs", "1", "--width", "2", "--most", "2", "--rates", "0.01"]
    _, errors = recipe.main(arguments)
    assert len(errors) == 6


def test_the_race_ends_at_the_target_or_when_it_is_given_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = options_of(monkeypatch, *SMALL, "--every", "3", "--target", "0.0")
    train_set, _, _ = recipe.pictures(options)
    curve = recipe.race("relu", 0.03, train_set, options)
    assert [updates for updates, _ in curve] == [0, 3, 6, 9]
    options.target = 1.0
    assert len(recipe.race("relu", 0.03, train_set, options)) <= 2
    options.target, options.rates = 0.0, [0.01, 0.03]
    recipe.relu_against_tanh(train_set, options)
    shown = capsys.readouterr().out
    assert "relu: updates to 0 % training error by rate: 0.01: not in time, 0.03: not in time" in shown
    assert "times as fast" not in shown


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_a_rate_that_is_too_large_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    options = options_of(monkeypatch, *SMALL, "--most", "40", "--target", "0.0")
    curve = recipe.race("relu", 1e20, recipe.pictures(options)[0], options)
    assert len(curve) == 1


def test_the_quickest_rate_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    finished = {0.01: [(0, 0.9), (40, 0.2)], 0.03: [(0, 0.9), (20, 0.2)], 0.1: [(0, 0.9), (80, 0.5)]}
    monkeypatch.setattr(recipe, "race", lambda activation, rate, train_set, options: finished[rate])
    best = recipe.relu_against_tanh(None, options_of(monkeypatch))
    assert best == {"relu": finished[0.03], "tanh": finished[0.03]}


def test_the_seed_decides() -> None:
    first, same, other = (recipe.main([*SMALL, "--seed", seed])[1] for seed in ("1", "1", "2"))
    assert first == same
    assert not np.allclose(list(first.values()), list(other.values()))


def test_without_data_it_says_what_to_do(refusal: Callable[..., str]) -> None:
    message = refusal(recipe)
    assert message.startswith("Fashion-MNIST was not found.")
    assert "apt install dataset-fashion-mnist" in message
    assert "--data mnist-subset" in message


def test_without_matplotlib_it_ends_before_the_training(refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "find_spec", lambda name: None)
    assert 'drawing the result needs the extra "plot"' in refusal(recipe, "--quick", "--out", "tricks.svg")
