"""Worker processes: they run, answer, say what they lack, and agree with each other.

The comparison with PyTorch needs an interpreter that has it: the one that runs the tests, or that in the environment
variable BENCHMARKS_TORCH_PYTHON. ``pytest -m torch tests/benchmarks``
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks import machine
from benchmarks.__main__ import main
from benchmarks.checks import compare, differences
from benchmarks.memory import IS_MEASURED, growth
from benchmarks.process import NotInstalled, Side, WorkerDied, WorkerProcess
from benchmarks.sides.layout import channels_first, channels_last
from benchmarks.workloads import TRAINING

ROOT = Path(__file__).parent.parent.parent


def test_a_worker_prepares_and_runs() -> None:
    with WorkerProcess(Side("ours"), threads=1) as worker:
        assert worker.ask("prepare", workload="lenet5")["seconds"] > 0
        answer = worker.ask("run", steps=2, block=3)
        assert len(answer["seconds"]) == 2
        assert 0 < answer["loss"] < 100
        assert worker.ask("prepare", workload="one_op")["seconds"] < 0.01


def test_a_framework_that_is_not_there_is_said() -> None:
    with pytest.raises(NotInstalled, match="/no/such/python: No such file"):
        WorkerProcess(Side("torch", python="/no/such/python"), threads=1)


@pytest.mark.skipif(find_spec("smallpebble") is not None, reason="smallpebble is installed")
def test_a_peer_that_is_not_installed_is_a_line_and_not_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--against", "smallpebble", "--workloads", "one_op"]) == 0
    assert "smallpebble did not run: " in capsys.readouterr().out


def test_a_worker_that_dies_tells_its_last_words() -> None:
    with (
        pytest.raises(WorkerDied, match=r"the worker of ours ended with 1:\n(.|\n)*KeyError: 'no such workload'"),
        WorkerProcess(Side("ours"), threads=1) as worker,
    ):
        worker.ask("prepare", workload="no such workload")


def test_run_writes_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [f"--json={tmp_path / 'a.json'}", f"--markdown={tmp_path / 'a.md'}"]
    assert main(["run", "--workloads", "one_op", "--rounds", "1", "--seconds", "0.01", *files]) == 0
    assert "| one recorded op on a 1-element tensor, forward and backward |" in capsys.readouterr().out
    assert (tmp_path / "a.json").stat().st_size > 0
    assert "ours" in (tmp_path / "a.md").read_text()


def test_an_unknown_peer_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--against", "caffe"])
    assert "no peer is called 'caffe'; there are torch, jax, mygrad, smallpebble" in capsys.readouterr().err


@pytest.mark.skipif(not IS_MEASURED, reason="Linux tells a process how large it was")
def test_growth_is_the_height_and_not_what_stays() -> None:
    # The system counts pages in batches, so a little less may be seen.
    assert 58e6 < growth(lambda: np.ones(60_000_000, dtype=np.uint8).sum()) < 75e6
    assert growth(lambda: None) < 5e6


def test_others_counts_all_processes_but_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """In 2 seconds: the machine worked for 3.5; of these process 5 for 1.5, the worker for 1, this one for half a second."""
    me, second = os.getpid(), machine._TICKS
    looks = iter([{5: ("trainer", 0), 6: ("worker", 0), me: ("me", 0)}, None])
    later = {5: ("trainer", 3 * second // 2), 6: ("worker", second), 7: ("new", 10 * second), me: ("me", second // 2)}
    monkeypatch.setattr(machine, "_processor_times", lambda: next(looks) or later)
    monkeypatch.setattr(machine, "_busy_ticks", iter([100 * second, 100 * second + 7 * second // 2]).__next__)
    monkeypatch.setattr(machine.time, "perf_counter", iter([10.0, 12.0]).__next__)
    cores, busiest = machine.Others({6}).cores()
    assert cores == pytest.approx(1.0)
    assert busiest == ["trainer (5) 75%"]


def test_the_machine_counts_its_ticks() -> None:
    before = machine._busy_ticks()
    sum(range(3_000_000))
    assert machine._busy_ticks() > before > 0


def test_the_processes_of_this_machine_are_seen() -> None:
    name, ticks = machine._processor_times()[os.getpid()]
    assert "py" in name
    assert ticks > 0


def test_a_machine_in_use_gets_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.Others, "cores", lambda self: (0.9, ["trainer (5) 90%"]))
    monkeypatch.setattr(os, "getloadavg", lambda: (0.3, 0.3, 0.3))
    assert machine.idleness(0) == ("the machine is not idle: other processes use 0.9 cores (trainer (5) 90%), load average 0.3")
    monkeypatch.setattr(machine.Others, "cores", lambda self: (0.0, []))
    assert machine.idleness(0) is None


def test_differences_are_found() -> None:
    loss, gradients, moved = np.float64(2.0), [np.ones((2, 3)), np.arange(3.0)], np.array([0.0, 1.0, 4.0])
    assert differences([loss, *gradients], [loss, *gradients]) == []
    assert differences([loss + 1e-3, *gradients], [loss, *gradients]) == ["the loss is 2.001 and 2"]
    assert "gradient 1 of shape (3,): differs by 5.0e-01" in differences([loss, *gradients], [loss, gradients[0], moved])[0]
    assert differences([loss, gradients[0]], [loss, *gradients]) == ["parameters have shapes [(2, 3)] and [(2, 3), (3,)]"]
    assert differences([np.float64(np.nan), moved], [np.float64(np.nan), moved]) == ["the loss is nan and nan"]


def test_layouts_go_there_and_back() -> None:
    for shape in ((5,), (4, 3), (4, 3, 2, 5)):
        array = np.random.default_rng(0).random(shape)
        np.testing.assert_array_equal(channels_first(channels_last(array)), array)
    assert channels_last(np.zeros((4, 3, 2, 5))).shape == (2, 5, 3, 4)  # out, in, h, w to h, w, in, out


def test_the_older_benchmark_still_prints_its_table() -> None:
    source = "from benchmarks import chain; chain.LENGTHS = (100,); chain.main()"
    printed = subprocess.run([sys.executable, "-c", source], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "bytes/op" in printed


@pytest.mark.torch
@pytest.mark.parametrize("name", [workload.name for workload in TRAINING])
def test_pytorchs_side_is_the_same_network(name: str) -> None:
    python = os.environ.get("BENCHMARKS_TORCH_PYTHON", sys.executable)
    with WorkerProcess(Side("ours"), threads=2) as ours, WorkerProcess(Side("torch", python), threads=2) as theirs:
        assert compare(ours, theirs, name) == []
