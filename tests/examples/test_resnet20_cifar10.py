"""The paper's recipe for CIFAR-10: its parts, and runs on a few made pictures in CIFAR-10's format."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn import manual_seed, optim, tensor

from .conftest import load

recipe = load("resnet20_cifar10")


def options_of(monkeypatch: pytest.MonkeyPatch, *arguments: str):
    """What `train` is given for a command line."""
    with monkeypatch.context() as patch:
        patch.setattr(recipe, "train", lambda options: options)
        return recipe.main(list(arguments))


def test_a_run_ends_with_the_papers_figure_beside_its_own(cifar10: str, capsys: pytest.CaptureFixture[str]) -> None:
    history = recipe.main(["--root", cifar10, "--epochs", "2", "--batch-size", "20", "--limit", "40"])
    assert len(history.losses) == 4
    assert np.isfinite(history.losses).all()
    shown = capsys.readouterr().out
    assert "ResNet-20, 269,722 parameters, on cifar10:" in shown
    assert f"here   {100 * history.epochs[-1].val_error:5.2f} % test error after 4 updates" in shown
    assert "paper   8.75 % on CIFAR-10 after 64,000 updates" in shown


def test_it_learns(cifar10: str) -> None:
    history = recipe.main(["--quick", "--data", "cifar10", "--root", cifar10, "--epochs", "8", "--batch-size", "10"])
    assert history.epochs[-1].loss < 0.7 * history.epochs[0].loss


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(
    cifar10: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--quick", "--data", "cifar10", "--root", cifar10, "--epochs", "3", "--batch-size", "20"]
    whole = recipe.main(arguments)

    def stop_after_one(*args, **kwargs):  # the schedules are those of three epochs
        return fit(*args, **{**kwargs, "epochs": 1})

    fit, folder = recipe.fit, ["--out", str(tmp_path / "run")]
    with monkeypatch.context() as patch:
        patch.setattr(recipe, "fit", stop_after_one)
        assert len(recipe.main(arguments + folder).epochs) == 1
    resumed = recipe.main(arguments + folder)
    assert resumed.losses == whole.losses
    assert recipe.main(arguments + folder).losses == whole.losses  # complete: nothing is left to do


def test_another_networks_checkpoint_is_refused(cifar10: str, tmp_path: Path, refusal: Callable[..., str]) -> None:
    arguments = ["--quick", "--data", "cifar10", "--root", cifar10, "--epochs", "1", "--limit", "32", "--out", str(tmp_path)]
    recipe.main(arguments)
    assert "last.safetensors" in refusal(recipe, *arguments, "--depth", "14")


@pytest.mark.parametrize(("updates", "falls"), [(64_000, (32_000, 48_000)), (100, (50, 75))])
def test_the_rate_falls_after_a_half_and_three_quarters(updates: int, falls: tuple[int, int]) -> None:
    optimizer = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.1)
    (schedule,) = recipe.schedules(optimizer, 56, updates)
    assert tuple(schedule.milestones) == falls
    assert schedule.gamma == 0.1


def test_110_layers_are_warmed_up_with_a_tenth_of_the_rate() -> None:
    optimizer = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.1)
    falls, calm = recipe.schedules(optimizer, 110, 64_000)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)
    assert calm.total_iters == 400
    assert tuple(falls.milestones) == (32_000, 48_000)
    assert recipe.schedules(optimizer, 110, 1000)[1].total_iters == 100  # not for the whole of a short training


def test_pictures_are_centred_and_only_those_for_training_are_moved(cifar10: str, monkeypatch: pytest.MonkeyPatch) -> None:
    train_set, test_set = recipe.pictures(options_of(monkeypatch, "--root", cifar10, "--limit", "25"))
    assert (len(train_set), len(test_set)) == (25, 25)
    whole, tested = train_set.dataset, test_set.dataset
    mean = whole.images.astype(np.float64).mean(axis=0) / 255
    np.testing.assert_allclose(test_set[3][0], tested.images[3] / 255 - mean, atol=1e-6)
    original = whole.images[3] / 255 - mean
    framed = np.pad(original, ((0, 0), (4, 4), (4, 4)))
    places = [framed[:, y : y + 32, x : x + 32] for y in range(9) for x in range(9)]
    candidates = np.array(places + [place[:, :, ::-1] for place in places])
    manual_seed(0)
    far = np.array([abs(candidates - train_set[3][0]).max(axis=(1, 2, 3)) for _ in range(60)])
    assert far.min(axis=1).max() < 1e-6
    mirrored, place = np.divmod(far.argmin(axis=1), 81)
    assert set(mirrored) == {0, 1}
    assert set(place // 9) == set(place % 9) == set(range(9))


def test_digits_are_not_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    train_set, _ = recipe.pictures(options_of(monkeypatch, "--quick"))
    assert "Flip" not in repr(train_set.dataset.transform.transforms)


def test_quick_gives_way_to_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    options = options_of(monkeypatch, "--quick", "--depth", "20", "--seed", "3")
    assert (options.depth, options.data, options.seed) == (20, "mnist-subset", 3)
    options = options_of(monkeypatch, "--workers", "0")
    assert (options.depth, options.data, options.epochs, options.batch_size, options.workers) == (20, "cifar10", 164, 128, 0)


def test_a_depth_that_is_none_is_explained(cifar10: str, refusal: Callable[..., str]) -> None:
    assert "depth is 6 n + 2" in refusal(recipe, "--root", cifar10, "--depth", "21")


def test_without_data_it_says_what_to_do(tmp_path: Path, refusal: Callable[..., str]) -> None:
    message = refusal(recipe, "--root", str(tmp_path))
    assert message.startswith("CIFAR-10 was not found.")
    assert "put cifar-10-binary.tar.gz into a directory" in message
    assert "(--root)" in message
    assert "--data mnist-subset" in message
