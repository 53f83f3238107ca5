"""A training that is killed 20 times, and ends as if nothing had happened.

The network has whatever has a state: dropout, augmentation, batch normalization, momentum, a schedule, an average of the
weights, gradients that accumulate, a loader with two workers, early stopping. Fourteen kills come at drawn moments of the
run, six in the middle of writing a checkpoint. Nothing but SIGKILL is used: no handler, no clean-up, no last word.
"""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
import safetensors

from tinygrad_cnn.errors import TinygradError
from tinygrad_cnn.train import read_log
from tinygrad_cnn.train.training import Training

from .kill_run import EVERY, WAYS, At, run, victim

KILLS, IN_WRITING = 20, 6
TIMES = {"seconds"}  # what is measured by the clock is the one thing that cannot be repeated

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a signal of POSIX")


def content(file):
    """The arrays and the plain facts of a checkpoint, without times."""
    with safetensors.safe_open(file, "numpy") as opened:
        arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a dict
        facts = json.loads(opened.metadata()["tinygrad_cnn"])
    return arrays, timeless(facts)


def timeless(tree):
    """A tree of plain data without what the clock has measured, and what follows from the length of such numbers."""
    if isinstance(tree, dict):
        return {key: timeless(value) for key, value in tree.items() if key not in {*TIMES, "log_position"}}
    return [timeless(value) for value in tree] if isinstance(tree, list) else tree


def assert_same_end(folder, undisturbed):
    """Every array of every state is equal bit by bit, and so is everything else that was saved or logged."""
    for name in ("last.safetensors", "best.safetensors"):
        arrays, facts = content(folder / name)
        expected, expected_facts = content(undisturbed / name)
        assert facts == expected_facts
        assert arrays.keys() == expected.keys()
        for key, array in arrays.items():
            assert array.dtype == expected[key].dtype
            assert array.tobytes() == expected[key].tobytes(), key
    assert timeless(read_log(folder / "log.jsonl")) == timeless(read_log(undisturbed / "log.jsonl"))


def test_20_kills_change_nothing(tmp_path):
    context = multiprocessing.get_context("forkserver")  # its processes do not inherit what pytest has loaded or opened
    context.set_forkserver_preload([victim.__module__])

    def begin(*arguments):
        process = context.Process(target=victim, args=arguments)
        process.start()
        return process

    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "killed"
    start = time.perf_counter()
    process = begin(undisturbed)
    process.join(timeout=120)
    assert process.exitcode == 0
    log = read_log(undisturbed / "log.jsonl")
    steps = sum(line["event"] == "step" for line in log)
    a_step = (time.perf_counter() - start) / steps

    generator = np.random.default_rng(20)
    in_writing = set(generator.choice(KILLS, IN_WRITING, replace=False).tolist())
    for kill, step in enumerate(sorted(generator.integers(0, steps - 5 * EVERY, KILLS).tolist())):
        if kill in in_writing:
            process = begin(folder, step, None, WAYS[kill % len(WAYS)])
        else:
            here, there = context.Pipe()
            process = begin(folder, step, there)
            assert here.poll(120)
            process.join(timeout=generator.uniform(0, 2 * a_step))
            process.kill()
        process.join(timeout=120)
        assert process.exitcode == -signal.SIGKILL, f"kill {kill}, after step {step}, came too late"
    process = begin(folder)
    process.join(timeout=120)
    assert process.exitcode == 0
    assert_same_end(folder, undisturbed)
    assert sorted(file.name for file in folder.iterdir()) == ["best.safetensors", "last.safetensors", "log.jsonl"]


# What makes it so -------------------------------------------------------------------------------------------------------


def outline(history):
    """A history without times."""
    return timeless(dataclasses.asdict(history))


def stop(run):
    run.stop = "enough"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return run(tmp_path_factory.mktemp("undisturbed"), epochs=1)


PARTS = ["optimizer", "scheduler 0", "average", "data", "run", "generators"]


@pytest.mark.parametrize("forgotten", [None, *PARTS])
def test_every_part_of_a_checkpoint_counts(forgotten, undisturbed, tmp_path, monkeypatch):
    """Without any one of its parts, a training that was stopped ends elsewhere: the comparisons here can fail."""
    parts = Training.parts
    monkeypatch.setattr(Training, "parts", lambda self: {name: one for name, one in parts(self).items() if name != forgotten})
    stopped = run(tmp_path, [At(23, stop)], epochs=1)
    assert len(stopped.losses) == 23
    if forgotten is None:
        assert outline(run(tmp_path, epochs=1)) == outline(undisturbed)
        assert set(PARTS) == set(content(tmp_path / "last.safetensors")[1]["state"])
        return
    with contextlib.suppress(TinygradError):  # some do not even get to the end
        assert outline(run(tmp_path, epochs=1)) != outline(undisturbed)


def test_a_training_that_is_done_stays_as_it_is(tmp_path):
    """Resumed once more, it does nothing: the same history, the same files."""
    first = run(tmp_path, epochs=1)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert run(tmp_path, epochs=1) == first
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
