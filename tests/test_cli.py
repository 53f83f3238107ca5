"""The command, from its arguments to its exit code, its files and its words."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn import cli, data, models, optim, train, verify, viz
from tinygrad_cnn.cli import main
from tinygrad_cnn.errors import DataError

FILES = {"lenet.safetensors", "graph.svg", "curves.svg", "report.html"}

# Twenty steps on large batches: seconds become one, and the network still learns something.
BRIEF = ["--quick", "--epochs", "1", "--batch-size", "250"]


def demo(out, *arguments):
    return main(["demo", *BRIEF, "--out", str(out), *arguments])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One demo for the tests that only look at what came of it: its directory and what it printed."""
    out = tmp_path_factory.mktemp("demo") / "new" / "out"
    command = [sys.executable, "-m", "tinygrad_cnn", "demo", *BRIEF, "--seed", "3", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=quiet_environment())
    return out, done


def quiet_environment():
    """One BLAS thread: the tests run side by side."""
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1"}


# demo -------------------------------------------------------------------------------------------------------------------


def test_the_demo_writes_its_files_and_no_others(finished):
    out, done = finished
    assert {file.name for file in out.iterdir()} == FILES
    for name in FILES:
        assert f"{out / name}  (" in done.stdout


def test_the_demo_says_what_it_learns_from(finished):
    _, done = finished
    assert done.stdout.splitlines()[0] == (
        "LeNet (431,080 parameters) learns from 5,000 MNIST digits and is tested on 1,000 others; source: the package's own "
        "subset; seed 3"
    )


def test_the_bar_is_on_stderr(finished):
    _, done = finished
    assert re.search(r"epoch 1/1 100% \|.*\| .*00:00 left, loss \d\.\d{4}, [\d,]+ images/s", done.stderr)
    assert "images/s\n" in done.stdout  # the summary's, not the bar's
    assert "left" not in done.stdout


def test_the_weights_are_those_whose_error_was_printed(finished):
    out, done = finished
    model = models.LeNet()
    info = train.load_checkpoint(out / "lenet.safetensors", model)
    assert (info.architecture, info.epoch, info.seed, info.normalization) == ("LeNet", 1, 3, "unit")
    result = train.evaluate(model, data.DataLoader(data.MNIST(train=False, subset=True), 500))
    assert f"test error {100 * result.error:.2f} % ({len(result.wrong)} of 1,000)" in done.stdout
    assert result.confusion().table() in done.stdout
    assert result.error < 0.5


def test_the_report_has_every_part_and_loads_nothing(finished):
    out, _ = finished
    page = (out / "report.html").read_text(encoding="utf-8")
    for heading in ("How it learned", "What it takes for what", "The digits it got wrong", "The graph", "How to get"):
        assert f"<h2>{heading}" in page
    assert page.count("<svg") == 2
    assert "conv1.weight" in page
    assert "tinygrad-cnn demo --quick --epochs 1 --batch-size 250 --seed 3" in page
    links = re.findall(r"""(?:src|href|action|data)\s*=\s*["']([^"']*)|url\(\s*["']?([^)"']*)""", page)
    assert all(link.startswith(("#", "data:")) for pair in links for link in pair if link)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(finished, tmp_path, capsys):
    out, _ = finished
    weights = {}
    for seed in ("3", "4"):
        assert demo(tmp_path / seed, "--seed", seed) == 0
        weights[seed] = models.LeNet()
        train.load_checkpoint(tmp_path / seed / "lenet.safetensors", weights[seed])
    first = models.LeNet()
    train.load_checkpoint(out / "lenet.safetensors", first)
    np.testing.assert_array_equal(weights["3"].fc1.weight.detach(), first.fc1.weight.detach())
    assert (weights["4"].fc1.weight != first.fc1.weight).any()


def test_without_the_extras_a_line_for_each_and_all_the_rest(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(viz.drawing, "find_renderer", lambda: None)
    assert demo(tmp_path) == 0
    assert {file.name for file in tmp_path.iterdir()} == {"lenet.safetensors", "graph.dot", "report.html"}
    *_, graph, curves = capsys.readouterr().out.splitlines()
    assert graph.startswith("no picture was drawn, its DOT text is in")
    assert 'pip install "tinygrad_cnn[viz]"' in graph
    needs = 'needs the extra "plot": pip install "tinygrad_cnn[plot]"'
    assert curves == f"no {tmp_path / 'curves.svg'}: drawing the loss curves {needs}"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<svg" not in page
    assert "tinygrad_cnn[viz]" in page
    assert "tinygrad_cnn[plot]" in page


def test_the_full_set_is_taken_from_the_directory_that_is_named(tmp_path, capsys, monkeypatch):
    asked = []

    def mnist(root=None, train=True, *, subset=False):
        asked.append((root, train, subset))
        raise DataError("enough")

    monkeypatch.setattr(data, "MNIST", mnist)
    assert main(["demo", "--root", "somewhere", "--out", str(tmp_path)]) == 2
    assert asked == [("somewhere", True, False)]
    assert capsys.readouterr().err == "tinygrad-cnn: enough\n"


def test_the_options_reach_the_training(tmp_path, monkeypatch, capsys):
    seen = {}

    def fit(model, batches, held_out, *, epochs, optimizer, scheduler, callbacks):
        seen.update(epochs=epochs, batch=batches.batch_size, highest=optimizer.param_groups[0]["max_lr"])
        seen["steps"] = scheduler.total_steps
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "fit", fit)
    main(["demo", "--quick", "--epochs", "5", "--batch-size", "100", "--lr", "0.25", "--out", str(tmp_path)])
    assert seen == {"epochs": 5, "batch": 100, "highest": 0.25, "steps": 250}


# Errors -----------------------------------------------------------------------------------------------------------------


def one_line(capsys):
    """What stderr says, which must be one line of the program's."""
    said = capsys.readouterr().err
    assert said.startswith("tinygrad-cnn: ")
    assert said.count("\n") == 1
    return said


def test_a_directory_that_cannot_be_made_is_told_before_the_training(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert demo(tmp_path / "file") == 2
    assert "File exists" in one_line(capsys)


def test_a_truncated_file_of_the_data_is_named(tmp_path, capsys):
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (tmp_path / name).write_bytes(b"\0\0\x08\x03")
    assert main(["demo", "--root", str(tmp_path), "--out", str(tmp_path)]) == 2
    said = one_line(capsys)
    assert "train-images-idx3-ubyte is truncated" in said


def test_the_subset_has_no_directory(tmp_path, capsys):
    assert demo(tmp_path, "--root", "somewhere") == 2
    assert "root='somewhere' asks for the full set" in one_line(capsys)


def test_a_loss_that_explodes_is_one_line(tmp_path, capsys):
    assert demo(tmp_path, "--lr", "1e9") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert re.match(r"tinygrad-cnn: the loss became (nan|inf) in step \d+ at a learning .*: lower the learning rate", said)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--epochs", "0"], "argument --epochs: expected a whole number from 1 on, got '0'"),
        (["--epochs", "1.5"], "argument --epochs: expected a whole number from 1 on, got '1.5'"),
        (["--batch-size", "-1"], "argument --batch-size: expected"),
        (["--seed", "-1"], "argument --seed: expected"),
        (["--seed", "x"], "argument --seed: expected a whole number from 0 on, got 'x'"),
        (["--lr", "0"], "argument --lr: expected a number above 0, got '0'"),
        (["--lr", "nan"], "argument --lr: expected a number above 0, got 'nan'"),
        (["--lr", "inf"], "argument --lr: expected a number above 0, got 'inf'"),
        (["--lr", "fast"], "argument --lr: expected a number above 0, got 'fast'"),
    ],
)
def test_an_argument_out_of_range_is_refused(arguments, says, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["demo", *arguments])
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err


def test_without_a_command_the_help_is_shown(capsys):
    assert main([]) == 2
    shown = capsys.readouterr().out
    assert all(command in shown for command in ("demo", "graph", "verify", "version"))


def test_a_reader_that_has_enough_is_no_error():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run([sys.executable, "-m", "tinygrad_cnn", "version"], stdout=closed, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, b"")


# Ctrl-C -----------------------------------------------------------------------------------------------------------------


def test_ctrl_c_in_a_step_leaves_weights_that_load_and_one_line(tmp_path, capsys, monkeypatch):
    steps = iter(range(1000))
    step = optim.SGD.step

    def interrupted(self):
        if next(steps) == 5:
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(optim.SGD, "step", interrupted)
    assert demo(tmp_path) == 130
    weights = tmp_path / "lenet.safetensors"
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"tinygrad-cnn: stopped by Ctrl-C: 5 of 20 steps, 0 of 1 epochs complete; the weights are in {weights}"
    )
    model = models.LeNet()
    initial = model.fc1.weight.detach().clone()
    assert train.load_checkpoint(weights, model).epoch == 0
    assert (model.fc1.weight != initial).any()


def test_ctrl_c_after_the_training_says_that_it_was_complete(tmp_path, capsys, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "save_curves", interrupted)
    assert demo(tmp_path) == 130
    assert "stopped by Ctrl-C: training was complete; the weights are in" in capsys.readouterr().err.splitlines()[-1]


def test_ctrl_c_elsewhere_is_one_line_too(capsys, monkeypatch):
    def interrupted(**options):
        raise KeyboardInterrupt

    monkeypatch.setattr(verify, "run", interrupted)
    assert main(["verify"]) == 130
    assert one_line(capsys) == "tinygrad-cnn: stopped by Ctrl-C\n"


def test_a_real_signal_to_a_real_process(tmp_path):
    command = [sys.executable, "-m", "tinygrad_cnn", "demo", "--quick", "--epochs", "500", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=quiet_environment())
    weights = tmp_path / "lenet.safetensors"
    deadline = time.monotonic() + 600
    while not weights.exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    last = said.splitlines()[-1]
    assert re.fullmatch(
        rf"tinygrad-cnn: stopped by Ctrl-C: \d+ of 39500 steps, \d+ of 500 epochs complete; the weights are in {weights}", last
    )
    assert train.load_checkpoint(weights, models.LeNet()).epoch >= 1
    assert [file.name for file in tmp_path.iterdir()] == [weights.name]


# graph, verify, version -------------------------------------------------------------------------------------------------


def test_graph_draws_the_network_into_the_file(tmp_path, capsys):
    path = tmp_path / "drawing.svg"
    assert main(["graph", "lenet5", "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    drawing = path.read_text(encoding="utf-8")
    assert "LeNet5" in drawing
    assert "c5.weight" in drawing


def test_graph_takes_the_options_of_the_drawing(tmp_path, capsys):
    path = tmp_path / "lenet.svg"
    assert main(["graph", "lenet", "-o", str(path), "--depth", "1", "--fold", "--color", "bytes", "--passes", "both"]) == 0
    shown = path.read_text(encoding="utf-8")
    assert all(words in shown for words in ("backward pass", "memory of the value:", "conv1: Conv2d"))
    assert main(["graph", "lenet", "-o", str(path), "--depth", "0"]) == 2
    assert "depth counts the names" in capsys.readouterr().err


def test_graph_names_the_file_after_the_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["graph", "lenet"]) == 0
    assert "conv2.weight" in (tmp_path / "lenet.svg").read_text(encoding="utf-8")


def test_graph_without_a_program_that_draws_writes_text_and_fails(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(viz.drawing, "find_renderer", lambda: None)
    assert main(["graph", "lenet", "-o", str(tmp_path / "lenet.svg")]) == 1
    assert 'pip install "tinygrad_cnn[viz]"' in one_line(capsys)
    assert "conv2.weight" in (tmp_path / "lenet.dot").read_text(encoding="utf-8")


def test_graph_refuses_what_is_no_picture_or_no_network(tmp_path, capsys):
    assert main(["graph", "lenet", "-o", str(tmp_path / "lenet.doc")]) == 2
    assert ".svg, .png or .pdf" in one_line(capsys)
    assert main(["graph", "lenet6"]) == 2
    assert "there is no network 'lenet6': the nearest are lenet, lenet5" in one_line(capsys)


@pytest.mark.parametrize(("well", "code"), [(True, 0), (False, 1)])
def test_verify_tells_by_its_exit_code(well, code, monkeypatch):
    asked = []

    def run(*, full, stream, html):
        asked.append((full, stream, html))
        return well

    monkeypatch.setattr(verify, "run", run)
    assert main(["verify"]) == code
    assert main(["verify", "--full", "--html", "table.html"]) == code
    assert asked == [(False, sys.stdout, None), (True, sys.stdout, Path("table.html"))]


def test_version_tells_what_is_installed_and_what_is_missing(capsys, monkeypatch):
    found = {"plot": {"matplotlib": "3.9", "pillow": None}, "viz": {"graphviz-pure": "0.2"}}
    monkeypatch.setattr(train, "extras", lambda: found)
    assert main(["version"]) == 0
    shown = capsys.readouterr().out
    for name, value in train.environment().items():
        assert re.search(rf"^{name} +{re.escape(value)}$", shown, re.MULTILINE)
    assert '[plot]        no pillow: pip install "tinygrad_cnn[plot]"' in shown
    assert "[viz]         graphviz-pure 0.2" in shown


def test_the_short_version_is_one_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert re.fullmatch(r"tinygrad-cnn \d+\.\d+\.\d+\n", capsys.readouterr().out)


class TestOneBlasThread:
    """Without threadpoolctl the demo starts itself again, once, with one BLAS thread."""

    @pytest.fixture
    def started(self, monkeypatch):
        started = []
        monkeypatch.setattr(os, "execv", lambda program, arguments: started.append((program, arguments)))
        monkeypatch.setattr(sys, "argv", ["tinygrad-cnn", "demo", "--root", "/nowhere", "--out", os.devnull])
        return started

    def test_without_threadpoolctl(self, started, monkeypatch):
        monkeypatch.setattr(cli, "find_spec", lambda name: None)
        monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
        cli.main()
        assert started == [(sys.executable, [sys.executable, "-m", "tinygrad_cnn", *sys.argv[1:]])]
        assert os.environ.pop("OPENBLAS_NUM_THREADS") == "1"

    def test_not_twice(self, started, monkeypatch):
        monkeypatch.setattr(cli, "find_spec", lambda name: None)
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
        cli.main()
        assert started == []

    def test_not_where_threadpoolctl_sets_it(self, started, monkeypatch):
        monkeypatch.setattr(cli, "find_spec", lambda name: object())
        monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
        cli.main()
        assert started == []
