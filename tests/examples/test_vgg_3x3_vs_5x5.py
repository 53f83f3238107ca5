"""Pairs of 3x3 against single 5x5: the counts by arithmetic, and runs to their end."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tinygrad_cnn import nn

from .conftest import load

recipe = load("vgg_3x3_vs_5x5")
SMALL = ["--quick", "--epochs", "2", "--limit", "128", "--width", "4", "--repeats", "2"]


def options_of(monkeypatch: pytest.MonkeyPatch, *arguments: str):
    """What `compare` is given for a command line."""
    with monkeypatch.context() as patch:
        patch.setattr(recipe, "compare", lambda options: options)
        return recipe.main(list(arguments))


def expected_counts(kernels: tuple[int, ...], c: int) -> tuple[int, int]:
    """Parameters and multiply-adds for digits, by hand: a first convolution, blocks at 14x14 and 7x7, two layers."""
    weights = 9 * c + sum(2 * k * k * c * c for k in kernels) + 9 * c * 4 * c + 4 * c * 10
    biases = c + 2 * len(kernels) * c + 4 * c + 10
    block = sum(k * k * c * c for k in kernels)
    return weights + biases, 9 * c * 28**2 + block * (14**2 + 7**2) + 9 * c * 4 * c + 4 * c * 10


def test_a_run_gives_the_table_and_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "pairs.svg"
    errors = recipe.main([*SMALL, "--out", str(picture)])
    assert list(errors) == ["two 3x3", "one 5x5"]
    shown = capsys.readouterr().out
    for name, kernels in (("two 3x3", (3, 3)), ("one 5x5", (5,))):
        parameters, mult_adds = expected_counts(kernels, 4)
        row = rf"^{name} +{parameters:,} +{mult_adds:,} +[\d.]+ +{errors[name]:.2f}   ([\d.]+), ([\d.]+)$"
        found = re.search(row, shown, re.MULTILINE)
        assert found
        assert (float(found[1]) + float(found[2])) / 2 == pytest.approx(errors[name], abs=0.01)
        assert found[1] != found[2]
        assert f"<!-- {name} -->" in picture.read_text()
    more = errors["one 5x5"] - errors["two 3x3"]
    assert f"one 5x5: {abs(more):.2f} % {'more' if more > 0 else 'less'} test error" in shown
    assert "in the paper, on ImageNet, 7 % more (top-1)" in shown


def test_the_pair_has_18_and_the_5x5_has_25_times_the_square_of_the_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    options = options_of(monkeypatch, "--width", "16")
    weights = {}
    for name, kernels in recipe.KERNELS.items():
        layers = [layer for layer in recipe.network(kernels, options) if isinstance(layer, nn.Conv2d)]
        weights[name] = sum(layer.weight.numel() for layer in layers[1:]) / 2  # two blocks
    assert weights == {"two 3x3": 18 * 16**2, "one 5x5": 25 * 16**2}


def test_it_learns() -> None:
    errors = recipe.main(["--quick", "--repeats", "1", "--epochs", "3", "--limit", "1000"])
    assert max(errors.values()) < 75  # 90 is chance


def test_a_run_on_cifar_pictures(cifar10: str) -> None:
    arguments = ["--data", "cifar10", "--root", cifar10, "--epochs", "1", "--width", "2", "--repeats", "1", "--limit", "30"]
    assert all(0 <= error <= 100 for error in recipe.main(arguments).values())


def test_the_seed_and_the_rate_decide(capsys: pytest.CaptureFixture[str]) -> None:
    tables = []
    for extra in ([], [], ["--seed", "5"], ["--lr", "0.003"]):
        recipe.main([*SMALL, "--epochs", "1", *extra])
        tables.append(re.findall(r"^(?:two|one) .*$", capsys.readouterr().out, re.MULTILINE))
    assert tables[0] == tables[1]
    assert tables[0] != tables[2]
    assert tables[0] != tables[3]


def test_without_data_it_says_what_to_do(refusal: Callable[..., str]) -> None:
    message = refusal(recipe)
    assert "apt install dataset-fashion-mnist" in message
    assert "(--root)" in message


def test_without_matplotlib_it_ends_before_the_training(refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "find_spec", lambda name: None)
    assert 'drawing the result needs the extra "plot"' in refusal(recipe, "--quick", "--out", "pairs.svg")
