"""``tinygrad-cnn train``, ``resume``, ``eval``, ``models``, ``summary``: from the arguments to files and words."""

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from tinygrad_cnn import data, models, nn, optim, train
from tinygrad_cnn.cli import main
from tinygrad_cnn.cli.train import settings_of
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.train import read_log, recipes, session
from tinygrad_cnn.train.pipeline import DATA_SETS

FILES = {"config.json", "last.safetensors", "best.safetensors", "log.jsonl", "summary.json", "curves.svg"}

# Some steps on a few of the package's own digits.
BRIEF = ["--data", "mnist-subset", "--limit", "200", "--epochs", "2", "--batch-size", "50"]


def trained(folder, *arguments, network="small_lenet5"):
    return main(["train", network, *BRIEF, "--out", str(folder), *arguments])


def weights(folder, file="last.safetensors"):
    model = models.get_model(json.loads((folder / "config.json").read_text())["model"])
    train.load_checkpoint(folder / file, model)
    return np.concatenate([parameter.detach().numpy().ravel() for parameter in model.parameters()])


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Two runs for the tests that compare others with them."""
    folders = {"plain": tmp_path_factory.mktemp("runs") / "plain", "augmented": tmp_path_factory.mktemp("runs") / "augmented"}
    assert trained(folders["plain"]) == trained(folders["augmented"], "--augment") == 0
    return folders


def one_line(capsys):
    said = capsys.readouterr().err
    assert said.startswith("tinygrad-cnn: ")
    assert said.count("\n") == 1
    return said


# train --------------------------------------------------------------------------------------------------------------------


def test_a_run_has_its_files_and_says_its_test_error(tmp_path, capsys):
    assert trained(tmp_path / "new" / "run", "--seed", "3") == 0
    folder = tmp_path / "new" / "run"
    assert {file.name for file in folder.iterdir()} == FILES
    said = capsys.readouterr().out
    assert said.startswith(
        "small_lenet5 (61,706 parameters) learns from 200 images and is tested on 200 others; source: the package's own "
        f"subset; seed 3; files: {folder}\n"
    )
    summary = json.loads((folder / "summary.json").read_text())
    assert f"test error {100 * summary['error']:.2f} % ({round(200 * summary['error'])} of 200)" in said
    assert summary["error"] == summary["epochs"][-1]["val_error"]
    assert summary["parameters"] == 61706
    assert [line["event"] for line in read_log(folder / "log.jsonl")] == ["step"] * 4 + ["epoch"] + ["step"] * 4 + ["epoch"]
    info = train.load_checkpoint(folder / "last.safetensors")
    assert (info.arguments, info.seed, info.epoch) == ({"name": "small_lenet5", "data": "mnist-subset"}, 3, 2)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        assert trained(tmp_path / name, "--seed", seed) == 0
    np.testing.assert_array_equal(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert (weights(tmp_path / "a") != weights(tmp_path / "c")).any()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--epochs", "1"],
        ["--batch-size", "40"],
        ["--lr", "0.001"],
        ["--optimizer", "adam"],
        ["--schedule", "cosine"],
        ["--augment"],
        ["--clip-norm", "0.01"],
        ["--limit", "150"],
    ],
)
def test_every_option_changes_the_outcome(arguments, usual, tmp_path):
    assert trained(tmp_path / "other", *arguments) == 0
    assert (weights(usual["plain"]) != weights(tmp_path / "other")).any()


@pytest.mark.parametrize("arguments", [["--workers", "2"], ["--every", "1"], ["--threads", "1"], ["--ema", "0.5"]])
def test_how_it_is_done_changes_nothing(arguments, usual, tmp_path):
    assert trained(tmp_path / "other", "--augment", *arguments) == 0
    np.testing.assert_array_equal(weights(usual["augmented"]), weights(tmp_path / "other"))


def test_the_options_reach_the_loaders_the_threads_and_the_training(tmp_path, monkeypatch):
    seen = {}

    def loop(model, batches, held_out, **options):
        seen.update(options, workers=(batches.num_workers, held_out.num_workers), batch=batches.batch_size)
        raise KeyboardInterrupt("0 of 8 steps")

    monkeypatch.setitem(recipes.LOOPS, "fit", loop)
    entered = []
    monkeypatch.setattr(session.kernels, "blas_threads", lambda count: contextlib.nullcontext(entered.append(count)))
    options = ["--workers", "2", "--every", "7", "--threads", "3", "--ema", "0.5", "--clip-norm", "2", "--optimizer", "adamw"]
    assert trained(tmp_path, *options) == 130
    assert (seen["workers"], seen["batch"], seen["every"], seen["clip_norm"], entered) == ((2, 2), 50, 7, 2.0, [3])
    assert isinstance(seen["ema"], optim.AveragedModel)
    assert isinstance(seen["optimizer"], optim.AdamW)
    # Another optimizer has its own rate and options, not those of the recipe's.
    assert seen["optimizer"].param_groups[0]["lr"] == pytest.approx(1e-3 / 25)  # where one cycle begins
    assert seen["optimizer"].param_groups[0]["weight_decay"] == 1e-2


def test_a_recipe_can_have_a_loop_of_its_own(tmp_path, monkeypatch, capsys):
    def loop(model, batches, held_out, *, epochs, **options):
        return train.History([1.0] * epochs, [train.Epoch(1.0, 1, 50, 1.0)] * epochs)

    monkeypatch.setitem(recipes.LOOPS, "mine", loop)
    own = recipes.replace(recipes.recipe_for("small_lenet5"), loop="mine")
    monkeypatch.setitem(recipes._SPECIAL, "small_lenet5", own)
    assert trained(tmp_path) == 0
    assert len(json.loads((tmp_path / "summary.json").read_text())["epochs"]) == 2


def test_the_paddings_and_the_rule_of_lenet5(tmp_path, capsys):
    """The network of 1998 reads 32 x 32 pixels, and its smallest output is the answer: untrained, it is right by chance."""
    assert trained(tmp_path, "--limit", "900", "--batch-size", "5", network="lenet5") == 0
    error = json.loads((tmp_path / "summary.json").read_text())["error"]
    assert error < 0.5
    run = session.reopen(tmp_path)
    images, _ = next(iter(run.val))
    assert images.shape[1:] == (1, 32, 32)
    assert float(images.array[:, :, :2].max()) == pytest.approx(-0.1)  # the frame is paper


def test_the_average_is_what_is_measured(tmp_path, capsys):
    assert trained(tmp_path, "--ema", "0.5") == 0
    last = json.loads((tmp_path / "summary.json").read_text())
    assert last["error"] == last["epochs"][-1]["val_error"]
    capsys.readouterr()
    assert main(["eval", str(tmp_path)]) == 0
    assert f"test error {100 * last['error']:.2f} %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["resnt20"], "there is no network 'resnt20': the nearest are resnet20"),
        (["lenet", "--data", "mnits"], "there is no data set and no directory 'mnits': did you mean 'mnist'?"),
        (["lenet", "--data", "x"], "there is no data set and no directory 'x': the data sets are mnist, mnist-subset"),
        (["lenet", "--optimizer", "adamm"], "there is no optimizer 'adamm': did you mean 'adam'?"),
        (["lenet", "--schedule", "cosin"], "there is no schedule 'cosin': did you mean 'cosine'?"),
        (["resnet20", "--data", "mnist"], "resnet20 takes images of 3x32x32, those of mnist are 1x28x28: choose another"),
        (["vgg16"], "vgg16 learns from ImageNet, which cannot be downloaded without an account: name a directory"),
    ],
)
def test_a_name_that_does_not_exist_gets_the_nearest(arguments, says, tmp_path, capsys):
    assert main(["train", *arguments, "--out", str(tmp_path / "run")]) == 2
    assert says in one_line(capsys)
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_overwritten(tmp_path, capsys):
    assert trained(tmp_path) == 0
    before = weights(tmp_path)
    capsys.readouterr()
    assert trained(tmp_path, "--seed", "9") == 2
    assert f"{tmp_path} holds a run: go on with it (tinygrad-cnn resume {tmp_path}), delete it, or" in one_line(capsys)
    np.testing.assert_array_equal(weights(tmp_path), before)


def test_files_for_tensorboard(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert trained(tmp_path / "run", "--tensorboard") == 2
    assert 'writing TensorBoard files needs the extra "log"' in one_line(capsys)
    monkeypatch.undo()
    pytest.importorskip("tensorboardX")
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert {file.name for file in (tmp_path / "run").iterdir()} == FILES | {"tensorboard"}


def test_zfnets_filters_are_kept_small(tmp_path, monkeypatch):
    """The rule of its paper, on a network small enough to be trained here."""
    recipe = recipes.recipe_for("small_lenet5")
    settings = recipes.replace(recipe, data="mnist-subset", limit=20, lr=5.0, batch_size=10, epochs=1)
    run = session.Session.of(settings)
    run.settings = recipes.replace(settings, model="zfnet")
    monkeypatch.setattr(session.Session, "metrics", lambda self: {})
    run.fit(tmp_path, progress=False)
    sizes = np.sqrt((run.model.conv1.weight.detach().numpy() ** 2).mean((1, 2, 3)))
    assert sizes.max() <= 0.1 * (1 + 1e-5)


def test_without_matplotlib_a_line_and_all_the_rest(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert trained(tmp_path) == 0
    assert {file.name for file in tmp_path.iterdir()} == FILES - {"curves.svg"}
    assert capsys.readouterr().out.endswith('pip install "tinygrad_cnn[plot]"\n')


# resume -------------------------------------------------------------------------------------------------------------------


def test_a_run_that_was_killed_goes_on_and_ends_alike(tmp_path, capsys):
    """A real process, a real SIGKILL; the run's folder is all that is left."""
    assert trained(tmp_path / "whole", "--augment", "--epochs", "4") == 0
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "tinygrad_cnn", "train", "small_lenet5", *BRIEF, "--augment", "--every", "1"]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, "--epochs", "4", "--out", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    deadline = time.monotonic() + 60
    while not (folder / "last.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (folder / "summary.json").exists()
    assert main(["resume", str(folder)]) == 0
    np.testing.assert_array_equal(weights(folder), weights(tmp_path / "whole"))
    losses = [[line["loss"] for line in read_log(run / "log.jsonl")] for run in (folder, tmp_path / "whole")]
    assert losses[0] == losses[1]


def test_ctrl_c_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    steps = iter(range(1000))
    step = optim.SGD.step

    def interrupted(self):
        if next(steps) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        step(self)

    monkeypatch.setattr(optim.SGD, "step", interrupted)
    folder = tmp_path / "my run"
    assert trained(folder) == 130
    assert capsys.readouterr().err.splitlines()[-1] == (
        "tinygrad-cnn: stopped by Ctrl-C: 3 of 8 steps, 0 of 2 epochs complete; to go on: "
        f"tinygrad-cnn resume '{folder}'"
    )
    assert main(["resume", str(folder)]) == 0
    assert len(read_log(folder / "log.jsonl")) == 10


def test_what_is_no_run_cannot_be_resumed(tmp_path, capsys):
    assert main(["resume", str(tmp_path)]) == 2
    assert f"there is no {tmp_path / 'config.json'}: name the folder of a run" in one_line(capsys)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda said: {**said, "format": 2}, "has format 2, this version reads format 1: install a newer one"),
        (lambda said: {**said, "colour": "blue"}, "does not hold the settings of a run .*colour.*they are: model, data"),
        (lambda said: [said], "does not hold the settings of a run"),
        (lambda said: {**said, "epochs": "three"}, "does not hold the settings of a run .epochs cannot be 'three'"),
        (lambda said: {**said, "epochs": 0}, "epochs cannot be 0"),
        (lambda said: {**said, "seed": 1.5}, "seed cannot be 1.5"),
        (lambda said: {**said, "seed": True}, "seed cannot be True"),
        (lambda said: {**said, "lr": "high"}, "lr cannot be 'high'"),
        (lambda said: {**said, "augment": "no"}, "augment cannot be 'no'"),
        (lambda said: {**said, "predict": "max"}, "predict cannot be 'max'"),
        (lambda said: {**said, "optimizer_options": [1]}, r"optimizer_options cannot be \[1\]"),
        (lambda said: {**said, "loop": "mine"}, "there is no loop 'mine': choose one of fit"),
    ],
)
def test_a_configuration_that_is_none_is_refused(change, says, tmp_path, capsys):
    assert trained(tmp_path) == 0
    capsys.readouterr()
    file = tmp_path / "config.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    assert main(["resume", str(tmp_path)]) == 2
    assert re.search(says, one_line(capsys))


# eval ---------------------------------------------------------------------------------------------------------------------


def test_eval_measures_what_was_printed(tmp_path, capsys):
    assert trained(tmp_path) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("test error")]
    error = line.split(",")[0]
    for path in (tmp_path, tmp_path / "last.safetensors"):
        assert main(["eval", str(path)]) == 0
        assert error in capsys.readouterr().out


def test_eval_of_a_file_alone_and_on_other_data(tmp_path, capsys):
    """The demo's checkpoint says of which architecture it is; its data are named."""
    model = models.LeNet()
    train.save_checkpoint(tmp_path / "lenet.safetensors", model)
    assert main(["eval", str(tmp_path / "lenet.safetensors"), "--data", "mnist-subset", "--limit", "300"]) == 0
    said = capsys.readouterr().out
    held_out = data.Subset(data.MNIST(train=False, subset=True), [i * 10 // 3 for i in range(300)])
    expected = train.evaluate(model, data.DataLoader(held_out, 100))
    assert f"lenet from {tmp_path / 'lenet.safetensors'}, on 300 images" in said
    assert f"test error {100 * expected.error:.2f} % ({len(expected.wrong)} of 300)" in said


def test_eval_refuses_what_is_no_checkpoint(tmp_path, capsys):
    assert main(["eval", str(tmp_path / "nothing")]) == 2
    assert "cannot be read" in one_line(capsys)
    train.save_checkpoint(tmp_path / "a.safetensors", nn.Linear(3, 2))
    assert main(["eval", str(tmp_path / "a.safetensors")]) == 2
    assert "there is no network 'linear'" in one_line(capsys)


# models, summary ----------------------------------------------------------------------------------------------------------


def test_models_is_a_table_of_all_networks(capsys):
    assert main(["models"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "parameters", "image", "data", "paper", "reached", "here"]
    assert [row.split()[0] for row in rows] == [entry.name for entry in models.entries()]
    (lenet,) = [row for row in rows if row.startswith("lenet ")]
    assert "431,080  1x28x28" in lenet
    assert lenet.endswith("0.75 % MNIST test error")


def test_summary_lists_the_layers(capsys):
    assert main(["summary", "lenet", "--batch-size", "3"]) == 0
    said = capsys.readouterr().out
    assert "431,080" in said
    assert "conv2" in said
    assert main(["summary", "lennet"]) == 2
    assert "there is no network 'lennet': the nearest are lenet" in one_line(capsys)


# recipes ------------------------------------------------------------------------------------------------------------------


def test_every_network_has_a_recipe_that_names_what_there_is():
    for entry in models.entries():
        recipe = recipes.recipe_for(entry.name)
        assert recipe.model == entry.name
        assert recipe.data in {*DATA_SETS, "imagenet"}
        assert recipe.loop in recipes.LOOPS
        weight = nn.Linear(2, 2)
        optimizer = session.make_optimizer(recipe, weight)
        for schedule in session.make_schedule(recipe, optimizer, steps=40):
            assert schedule.optimizer is optimizer


def test_the_recipe_of_he_scales_with_the_epochs():
    """A tenth of the rate after half of the updates, a hundredth after three quarters; for 64,000 updates at 32,000, 48,000."""
    parser = argparse.Namespace(network="resnet20", epochs=8, seed=None)
    settings = settings_of(parser)
    optimizer = session.make_optimizer(settings, nn.Linear(2, 2))
    (schedule,) = session.make_schedule(settings, optimizer, steps=5)
    rates = []
    for _ in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.1] * 20 + [0.01] * 10 + [0.001] * 10)
    assert optimizer.param_groups[0]["momentum"] == 0.9
    assert optimizer.param_groups[0]["weight_decay"] == 1e-4


def test_an_option_that_the_optimizer_does_not_take_is_named():
    settings = replace(recipes.recipe_for("lenet"), optimizer_options={"momentun": 0.9})
    with pytest.raises(ArgumentError, match="optimizer_options has 'momentun', which sgd does not take; it takes lr,"):
        session.make_optimizer(settings, nn.Linear(2, 2))


def test_resnet_110_warms_up_for_400_updates():
    optimizer = session.make_optimizer(recipes.recipe_for("resnet110"), nn.Linear(2, 2))
    schedules = session.make_schedule(recipes.recipe_for("resnet110"), optimizer, steps=391)
    rates = []
    for _ in range(402):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for schedule in schedules:
            schedule.step()
    assert rates == pytest.approx([0.01] * 400 + [0.1] * 2)


def test_the_loss_of_a_googlenet_counts_its_auxiliary_heads():
    from tinygrad_cnn import cross_entropy, randn, tensor
    from tinygrad_cnn.models import GoogLeNetOutputs
    from tinygrad_cnn.train.settings import with_auxiliary_heads

    scores, targets = [randn(4, 3) for _ in range(3)], tensor([0, 1, 2, 0])
    single = [float(cross_entropy(one, targets)) for one in scores]
    assert float(with_auxiliary_heads(GoogLeNetOutputs(*scores), targets)) == pytest.approx(
        single[0] + 0.3 * (single[1] + single[2]), rel=1e-6
    )
    assert float(with_auxiliary_heads(GoogLeNetOutputs(scores[0], None, None), targets)) == pytest.approx(single[0])
    assert float(with_auxiliary_heads(scores[0], targets)) == pytest.approx(single[0])
