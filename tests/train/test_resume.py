"""Going on: what a folder keeps, what it refuses, and that a log has every line once. `test_kill` has the hard case."""

import itertools
import os
import signal

import numpy as np
import pytest

from tinygrad_cnn import data, optim
from tinygrad_cnn.errors import ArgumentError, CheckpointError
from tinygrad_cnn.train import Callback, EarlyStopping, evaluate, fit, load_checkpoint, read_log

from .conftest import Linear


class StopAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, run):
        if run.step == self.step:
            run.stop = "enough"


@pytest.fixture
def start(model):
    """Equal models, however many are asked for."""
    weights = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}

    def start():
        other = Linear()
        other.load_state_dict(weights)
        return other

    return start


def go(model, batches, epochs=3, **options):
    optimizer = optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    return fit(model, batches, batches, epochs=epochs, optimizer=optimizer, progress=False, **options)


def weight(model):
    return model.fc.weight.detach().numpy()


@pytest.mark.parametrize("step", [1, 3, 4, 9])
def test_a_stopped_training_ends_as_if_it_had_not_been_stopped(step, start, batches, tmp_path):
    model = start()
    expected = go(model, batches)
    go(start(), batches, checkpoint=tmp_path, callbacks=[StopAt(step)])
    resumed = start()
    history = go(resumed, batches, checkpoint=tmp_path, resume=tmp_path)
    np.testing.assert_array_equal(weight(resumed), weight(model))
    assert history.losses == expected.losses
    assert [epoch.values() for epoch in history.epochs] == [epoch.values() for epoch in expected.epochs]


def test_the_log_has_every_line_once(start, batches, tmp_path):
    class Broken(Callback):
        def on_step_end(self, run):
            if run.step == 6:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        go(start(), batches, checkpoint=tmp_path, every=2, callbacks=[Broken()])
    file = tmp_path / "log.jsonl"
    assert [line["step"] for line in read_log(file)] == [1, 2, 3, 3, 4, 5, 6]
    with open(file, "ab") as log:
        log.write(b'{"event": "st')  # as a killed process leaves it
    history = go(start(), batches, checkpoint=tmp_path, every=2, resume=tmp_path)
    lines = read_log(file)
    assert [(line["event"], line["step"]) for line in lines] == [
        ("step", 1), ("step", 2), ("step", 3), ("epoch", 3), ("step", 4), ("step", 5), ("step", 6), ("epoch", 6),
        ("step", 7), ("step", 8), ("step", 9), ("epoch", 9),
    ]  # fmt: skip
    steps = [line for line in lines if line["event"] == "step"]
    assert [line["loss"] for line in steps] == history.losses
    assert {line["lr"] for line in steps} == {0.5}
    assert all(late["seconds"] >= early["seconds"] for early, late in itertools.pairwise(steps))
    (last,) = [line for line in lines if line["event"] == "epoch" and line["epoch"] == 3]
    assert {name: last[name] for name in history.epochs[-1].values()} == history.epochs[-1].values()


def test_a_log_that_somebody_has_shortened_goes_on_from_its_last_whole_line(start, batches, tmp_path):
    go(start(), batches, checkpoint=tmp_path, callbacks=[StopAt(4)])
    file = tmp_path / "log.jsonl"
    file.write_bytes(file.read_bytes()[:150])
    go(start(), batches, checkpoint=tmp_path, resume=tmp_path)
    assert [line["step"] for line in read_log(file)] == [1, 5, 6, 6, 7, 8, 9, 9]


def test_a_log_elsewhere_and_of_some_steps_only(start, batches, tmp_path):
    go(start(), batches, epochs=1, log=tmp_path / "elsewhere.jsonl", log_every=2)
    assert [line["event"] for line in read_log(tmp_path / "elsewhere.jsonl")] == ["step", "epoch"]
    assert [file.name for file in tmp_path.iterdir()] == ["elsewhere.jsonl"]


def test_the_best_epoch_has_a_file_of_its_own(start, batches, tmp_path):
    errors = iter([0.5, 0.25, 0.75])
    model = start()
    seen = []

    class Watch(Callback):
        def on_epoch_end(self, run):
            seen.append(weight(run.model).copy())

    history = go(
        model, batches, checkpoint=tmp_path, metrics={"mine": lambda result: next(errors)}, monitor="mine", callbacks=[Watch()],
        about={"seed": 5, "arguments": {"width": 4}, "normalization": "lecun98"},
    )  # fmt: skip
    best = start()
    info = load_checkpoint(tmp_path / "best.safetensors", best)
    np.testing.assert_array_equal(weight(best), seen[1])
    assert (info.epoch, info.seed, info.arguments, info.normalization) == (2, 5, {"width": 4}, "lecun98")
    assert info.measured == history.epochs[1].values()
    np.testing.assert_array_equal(weight(model), seen[2])


def test_early_stopping_goes_on_waiting_and_restores_from_the_file(start, batches, tmp_path):
    def scripted(values):
        remaining = iter(values)
        return {"metrics": {"mine": lambda result: next(remaining)}, "monitor": "mine", "early_stopping": EarlyStopping(2)}

    go(start(), batches, epochs=9, checkpoint=tmp_path, callbacks=[StopAt(6)], **scripted([0.5, 0.75]))
    model = start()
    history = go(model, batches, epochs=9, checkpoint=tmp_path, resume=tmp_path, **scripted([0.5, 0.1]))
    assert len(history.epochs) == 3
    best = start()
    assert load_checkpoint(tmp_path / "best.safetensors", best).epoch == 1
    np.testing.assert_array_equal(weight(model), weight(best))


def test_more_epochs_than_were_planned(start, batches, tmp_path):
    model = start()
    expected = go(model, batches, epochs=3)
    go(start(), batches, epochs=2, checkpoint=tmp_path)
    resumed = start()
    history = go(resumed, batches, epochs=3, checkpoint=tmp_path, resume=tmp_path)
    assert history.losses == expected.losses
    np.testing.assert_array_equal(weight(resumed), weight(model))


def test_a_training_branches_off_into_a_new_folder_but_not_into_another_ones(start, batches, tmp_path):
    go(start(), batches, epochs=1, checkpoint=tmp_path / "first")
    go(start(), batches, epochs=2, checkpoint=tmp_path / "second", resume=tmp_path / "first" / "last.safetensors")
    assert load_checkpoint(tmp_path / "second" / "last.safetensors").epoch == 2
    with pytest.raises(ArgumentError, match="holds the checkpoint of a training"):
        go(start(), batches, epochs=3, checkpoint=tmp_path / "first", resume=tmp_path / "second")
    assert load_checkpoint(tmp_path / "first" / "last.safetensors").epoch == 1


def test_a_folder_with_a_training_is_not_overwritten(start, batches, tmp_path):
    go(start(), batches, epochs=1, checkpoint=tmp_path)
    before = (tmp_path / "last.safetensors").read_bytes()
    with pytest.raises(ArgumentError, match=r"go on with it \(resume='.*'\), choose another folder, or delete it"):
        go(start(), batches, checkpoint=tmp_path)
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_what_is_to_be_resumed_has_to_be_there(start, batches, tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no checkpoint at .*typo.*: name the folder of a training, or begin"):
        go(start(), batches, checkpoint=tmp_path / "run", resume=tmp_path / "typo")
    assert not (tmp_path / "run").exists()
    assert len(go(start(), batches, checkpoint=tmp_path / "run", resume=tmp_path / "run").epochs) == 3


@pytest.mark.parametrize("content", [b"", b"{}", None])
def test_a_file_that_is_no_checkpoint_leaves_everything_as_it_was(content, start, batches, tmp_path):
    go(start(), batches, epochs=1, checkpoint=tmp_path)
    file = tmp_path / "last.safetensors"
    file.write_bytes(file.read_bytes()[:-1] if content is None else content)
    model = start()
    optimizer = optim.SGD(model.parameters(), lr=0.125)
    before, log = weight(model).copy(), (tmp_path / "log.jsonl").read_bytes()
    with pytest.raises(CheckpointError, match="is truncated, or is no safetensors file"):
        fit(model, batches, epochs=3, optimizer=optimizer, progress=False, checkpoint=tmp_path, resume=tmp_path)
    np.testing.assert_array_equal(weight(model), before)
    assert optimizer.param_groups[0]["lr"] == 0.125
    assert (tmp_path / "log.jsonl").read_bytes() == log


def test_a_checkpoint_over_other_data_is_refused(start, batches, pictures, tmp_path):
    go(start(), batches, epochs=1, checkpoint=tmp_path)
    model = start()
    before = weight(model).copy()
    with pytest.raises(CheckpointError, match=r"the state of the data cannot be taken over .*'batch_size': 8"):
        go(model, data.DataLoader(pictures, batch_size=5), checkpoint=tmp_path, resume=tmp_path)
    np.testing.assert_array_equal(weight(model), before)


def test_batches_without_a_position_are_saved_between_epochs_only(start, batches, tmp_path):
    plain = list(batches)
    with pytest.raises(ArgumentError, match=r"has to know its position, .* load_state_dict, which list has not"):
        go(start(), plain, checkpoint=tmp_path, every=1)
    model = start()
    go(model, plain, epochs=2)
    go(start(), plain, epochs=1, checkpoint=tmp_path)
    resumed = start()
    go(resumed, plain, epochs=2, checkpoint=tmp_path, resume=tmp_path)
    np.testing.assert_array_equal(weight(resumed), weight(model))


@pytest.mark.parametrize(("options", "expected"), [({"every": 2}, [2, 3, 4, 6]), ({"every_seconds": 1e-9}, [1, 2, 3, 4, 5, 6])])
def test_when_it_is_saved(options, expected, start, batches, tmp_path, monkeypatch):
    from tinygrad_cnn.train import training

    saved = []
    save = training.Training.save
    monkeypatch.setattr(training.Training, "save", lambda self: (saved.append(self.run.step), save(self)))
    go(start(), batches, epochs=2, checkpoint=tmp_path, **options)
    assert saved == expected


def test_fragments_of_a_killed_process_are_swept_away(start, batches, tmp_path):
    (tmp_path / ".last.safetensors.0123.part").write_bytes(b"half")
    (tmp_path / "notes.part").write_bytes(b"the user's own")
    go(start(), batches, epochs=1, checkpoint=tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"last.safetensors", "best.safetensors", "log.jsonl", "notes.part"}


# Ctrl-C -----------------------------------------------------------------------------------------------------------------


class CtrlCAt(Callback):
    """The user presses Ctrl-C while a step is being done, once or twice."""

    def __init__(self, step, times=1):
        self.step, self.times = step, times

    def on_step_end(self, run):
        if run.step == self.step:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("step", [2, 3])
def test_ctrl_c_completes_the_step_and_saves_it(step, start, batches, tmp_path):
    model = start()
    go(model, batches)
    complete = step // 3
    with pytest.raises(KeyboardInterrupt, match=rf"^{step} of 9 steps, {complete} of 3 epochs complete$"):
        go(start(), batches, checkpoint=tmp_path, callbacks=[CtrlCAt(step)])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert load_checkpoint(tmp_path / "last.safetensors").epoch == complete
    resumed = start()
    assert len(go(resumed, batches, checkpoint=tmp_path, resume=tmp_path).losses) == 9
    np.testing.assert_array_equal(weight(resumed), weight(model))


def test_a_second_ctrl_c_does_not_wait(start, batches, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        go(start(), batches, checkpoint=tmp_path, callbacks=[CtrlCAt(2, times=2)])
    assert not (tmp_path / "last.safetensors").exists()


def test_a_handler_of_the_users_own_is_left_alone(start, batches, tmp_path):
    def own(number, frame):
        raise ZeroDivisionError

    before = signal.signal(signal.SIGINT, own)
    try:
        with pytest.raises(ZeroDivisionError):
            go(start(), batches, checkpoint=tmp_path, callbacks=[CtrlCAt(2)])
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)


def test_callbacks_that_remember_are_given_back_what_they_had(start, batches, tmp_path):
    class Counting(Callback):
        def __init__(self):
            self.count = 0

        def on_step_end(self, run):
            self.count += 1

        def state_dict(self):
            return {"count": self.count}

        def load_state_dict(self, state):
            self.count = state["count"]

    go(start(), batches, checkpoint=tmp_path, callbacks=[Counting(), StopAt(4)])
    counting = Counting()
    go(start(), batches, checkpoint=tmp_path, resume=tmp_path, callbacks=[counting])
    assert counting.count == 9


def test_the_weights_of_a_checkpoint_are_those_that_were_measured(start, batches, tmp_path):
    history = go(start(), batches, checkpoint=tmp_path)
    other = start()
    load_checkpoint(tmp_path / "last.safetensors", other)
    assert evaluate(other, batches).loss == history.epochs[-1].val_loss
