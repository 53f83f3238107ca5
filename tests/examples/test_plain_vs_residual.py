"""Plain against residual networks: runs on a few pictures, the table, the picture, and that a run goes on."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tinygrad_cnn.models import CIFARResNet

from .conftest import load

recipe = load("plain_vs_residual")
SMALL = ["--quick", "--depths", "8", "14", "--epochs", "2", "--limit", "40", "--workers", "0"]


def test_a_run_on_cifar_pictures(cifar10: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    histories = recipe.main([*SMALL, "--data", "cifar10", "--root", cifar10, "--out", str(out)])
    assert list(histories) == [("plain", 8), ("residual", 8), ("plain", 14), ("residual", 14)]
    shown = capsys.readouterr().out
    for (kind, depth), history in histories.items():
        assert len(history.epochs) == 2
        last = history.epochs[-1]
        assert 0 <= last.metrics["train_error"] <= 1
        row = f"{kind}-{depth} +{100 * last.metrics['train_error']:.2f} +{100 * last.val_error:.2f} +-$"
        assert re.search(row, shown, re.MULTILINE)
        assert (out / f"{kind}-{depth}" / "last.safetensors").exists()
    picture = (out / "curves.svg").read_text()
    for words in ("plain (dashed: training, bold: test)", "residual (dashed", "8 layers", "14 layers"):
        assert f"<!-- {words}" in picture


def test_plain_and_residual_networks_differ_in_their_shortcuts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {}

    def remember(depth, classes, shortcut):
        made[shortcut] = CIFARResNet(depth, classes, shortcut=shortcut)
        return made[shortcut]

    monkeypatch.setattr(recipe, "CIFARResNet", remember)
    recipe.main(["--quick", "--depths", "8", "--epochs", "1", "--limit", "20"])
    plain, residual = ({name: p.shape for name, p in made[one].named_parameters()} for one in ("none", "A"))
    assert plain == residual


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    arguments = ["--quick", "--depths", "8", "--epochs", "2", "--limit", "40", "--out", str(tmp_path)]
    first = recipe.main(arguments)
    again = recipe.main(arguments)  # nothing is left to do: the errors come from the checkpoints
    for key, history in first.items():
        assert again[key].losses == history.losses
        assert recipe.errors_of(again[key]) == recipe.errors_of(history)


def test_the_papers_errors_stand_beside(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    trained = recipe.main(["--quick", "--depths", "8", "--epochs", "1", "--limit", "10"])["plain", 8]
    monkeypatch.setattr(recipe, "train", lambda kind, depth, sets, options: trained)
    recipe.main(["--quick", "--depths", "20", "56", "110"])
    shown = capsys.readouterr().out
    papers = dict(re.findall(r"^((?:plain|residual)-\d+) .* (\S+(?: 60)?)$", shown, re.MULTILINE))
    assert papers["residual-20"] == "8.75"
    assert papers["residual-56"] == "6.97"
    assert papers["plain-56"] == "-"
    assert papers["plain-110"].endswith("60")


def test_without_data_it_says_what_to_do(tmp_path: Path, refusal: Callable[..., str]) -> None:
    assert "put cifar-10-binary.tar.gz into a directory" in refusal(recipe, "--root", str(tmp_path))


def test_without_matplotlib_it_ends_before_the_training(
    tmp_path: Path, refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "find_spec", lambda name: None)
    assert 'drawing the curves needs the extra "plot"' in refusal(recipe, "--quick", "--out", str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
