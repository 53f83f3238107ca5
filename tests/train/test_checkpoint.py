"""Checkpoints: everything comes back, and a file that does not fit changes nothing."""

import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim
from tinygrad_cnn.errors import CheckpointError, DTypeError
from tinygrad_cnn.train import GeneratorStates, fit, load_checkpoint, save_checkpoint


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def values(module):
    return {name: tensor.numpy().copy() for name, tensor in module.state_dict().items()}


def assert_equal(module, expected):
    found = values(module)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        assert found[name].dtype == array.dtype


def small_network():
    """Parameters, buffers, and one buffer of no dimension."""
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))


def test_every_parameter_and_buffer_comes_back(path):
    model, other = small_network(), small_network()
    model(tg.rand(4, 1, 4, 4))  # moves the running statistics
    expected = values(model)
    save_checkpoint(path, model)
    load_checkpoint(path, other)
    assert_equal(other, expected)


def test_an_array_in_fortran_order_is_not_scrambled(path):
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    model.weight.data = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    save_checkpoint(path, model)
    load_checkpoint(path, other)
    assert other.weight.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_what_is_said_about_the_weights_comes_back(path):
    saved = save_checkpoint(
        path, nn.Linear(3, 2), arguments={"out": 2, "kernel": [3, 3]}, epoch=7, normalization="lecun98", seed=5
    )
    loaded = load_checkpoint(path)
    assert loaded == saved
    assert (loaded.architecture, loaded.arguments, loaded.epoch) == ("Linear", {"out": 2, "kernel": [3, 3]}, 7)
    assert (loaded.normalization, loaded.seed, loaded.version) == ("lecun98", 5, tg.__version__)


def test_other_tools_read_the_weights_by_their_names(path):
    model = small_network()
    save_checkpoint(path, model)
    assert safetensors.numpy.load_file(path).keys() == model.state_dict().keys()


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_training_goes_on_as_if_it_had_not_stopped(kind, model, batches, path):
    def optimizer_of(module):
        return kind(module.parameters(), lr=0.1, **({"momentum": 0.9} if kind is optim.SGD else {}))

    optimizer = optimizer_of(model)
    fit(model, batches, epochs=1, optimizer=optimizer, progress=False)
    save_checkpoint(path, model, optimizer)
    fit(model, batches, epochs=1, optimizer=optimizer, progress=False)
    expected = values(model)

    other = type(model)()
    resumed = optimizer_of(other)
    load_checkpoint(path, other, resumed)
    fit(other, batches, epochs=1, optimizer=resumed, progress=False)
    assert_equal(other, expected)


# Files that do not fit ----------------------------------------------------------------------------------------------------


def refused(path, match, optimizer=None):
    """The model that refused a file, which it must have done without a change."""
    model = small_network()
    before = values(model)
    with pytest.raises(CheckpointError, match=match) as caught:
        load_checkpoint(path, model, optimizer and optimizer(model))
    assert str(path) in str(caught.value)
    assert_equal(model, before)
    return str(caught.value)


@pytest.mark.parametrize("keep", [0, 7, 8, 100, -200, -1])
def test_a_truncated_file_is_refused(keep, path):
    save_checkpoint(path, small_network())
    path.write_bytes(path.read_bytes()[:keep])
    refused(path, "is truncated, or is no safetensors file")


def test_a_longer_file_is_refused(path):
    save_checkpoint(path, small_network())
    path.write_bytes(path.read_bytes() + b"\0")
    refused(path, "is truncated, or is no safetensors file")


def test_another_kind_of_file_is_refused(path):
    path.write_text("<!doctype html><title>404 Not Found</title>")
    refused(path, "is truncated, or is no safetensors file")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"tinygrad_cnn": "not JSON"}, {"tinygrad_cnn": "[1]"}])
def test_a_safetensors_file_of_someone_else_is_refused(metadata, path):
    path.write_bytes(safetensors.numpy.save(values(small_network()), metadata))
    refused(path, "is a safetensors file, but not a checkpoint of tinygrad_cnn")


def test_a_file_of_a_version_that_says_more_is_refused(path):
    respelled(path, version="9.9", unheard_of=1)
    refused(path, "was written by version 9.9 of tinygrad_cnn, whose checkpoints this version .* cannot read")


@pytest.mark.parametrize("number", [2, "two"])
def test_a_newer_format_is_refused(number, path):
    respelled(path, version="9.9", format=number)
    refused(path, f"by version 9.9 of tinygrad_cnn in checkpoint format {number}; this version .* up to format 1: install")


def respelled(path, **changes):
    """A checkpoint whose metadata were changed."""
    save_checkpoint(path, small_network())
    with safetensors.safe_open(path, "numpy") as file:
        said = json.loads(file.metadata()["tinygrad_cnn"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    path.write_bytes(safetensors.numpy.save(tensors, {"tinygrad_cnn": json.dumps({**said, **changes})}))


def test_one_flipped_bit_is_found(path):
    save_checkpoint(path, small_network())
    content = bytearray(path.read_bytes())
    content[-3] ^= 16
    path.write_bytes(content)
    refused(path, "is damaged: its tensors are not those that were written")


def test_a_missing_file_and_a_directory_are_named(tmp_path):
    refused(tmp_path / "nowhere", "cannot be read: No such file")
    refused(tmp_path, "cannot be read")


def test_weights_of_another_model_are_refused_with_all_differences(path):
    save_checkpoint(
        path, nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(3), nn.Flatten()), arguments={"width": 4}, epoch=2
    )
    message = refused(path, r"\(of Sequential\(width=4\), epoch 2\)")
    assert "0.weight" in message
    assert "(4, 1, 3, 3)" in message
    assert "3.bias" in message


def test_an_optimizer_state_that_was_not_saved_is_missed(path):
    save_checkpoint(path, small_network())
    says = r"holds no state of the optimizer \(of states, it holds none\): it was saved without"
    refused(path, says, lambda model: optim.Adam(model.parameters()))


def test_the_state_of_another_optimizer_changes_neither_model_nor_optimizer(path):
    model = small_network()
    save_checkpoint(path, model, optim.SGD(model.parameters(), lr=0.5, momentum=0.9))
    made = []

    def optimizer(model):
        made.append(optim.Adam(model.parameters(), lr=0.25))
        return made[0]

    refused(path, "lacks the options", optimizer)
    assert made[0].param_groups[0]["lr"] == 0.25


def test_a_disk_that_fails_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    save_checkpoint(path, small_network(), epoch=1)

    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(path, small_network(), epoch=2)
    assert load_checkpoint(path).epoch == 1
    assert [file.name for file in path.parent.iterdir()] == [path.name]


# Parts --------------------------------------------------------------------------------------------------------------------


class Part:
    """Something with a state, which may refuse another."""

    def __init__(self, value, refuses=()):
        self.value, self.refuses = value, refuses

    def state_dict(self):
        return {"value": self.value, "more": [(1, 2.5), None, {3: "x"}]}

    def load_state_dict(self, state):
        if state["value"] in self.refuses:
            raise ValueError("not this one")
        self.value = state["value"]
        assert state["more"] == [(1, 2.5), None, {3: "x"}]


def test_parts_of_ones_own_come_back(path):
    model = small_network()
    optimizers = [optim.SGD(model.parameters(), lr=0.5, momentum=0.9), optim.Adam(model.parameters(), lr=0.25)]
    save_checkpoint(path, model, optimizers[0], parts={"second": optimizers[1], "mine": Part(7)}, measured={"val_loss": 0.5})
    others = [optim.SGD(model.parameters(), lr=1.0, momentum=0.1), optim.Adam(model.parameters(), lr=1.0)]
    mine = Part(1)
    info = load_checkpoint(path, model, others[0], parts={"second": others[1], "mine": mine})
    assert [other.param_groups[0]["lr"] for other in others] == [0.5, 0.25]
    assert others[1].param_groups[0]["betas"] == (0.9, 0.999)
    assert mine.value == 7
    assert info.measured == {"val_loss": 0.5}


def test_if_one_part_refuses_all_have_what_they_had(path):
    saved = small_network()
    save_checkpoint(path, saved, optim.SGD(saved.parameters(), lr=0.5, momentum=0.9), parts={"a": Part(7), "b": Part(7)})
    model = small_network()
    before = values(model)
    optimizer = optim.SGD(model.parameters(), lr=0.125, momentum=0.3)
    parts = {"a": Part(1), "b": Part(2, refuses=[7])}
    with pytest.raises(CheckpointError, match=r"the state of the b cannot be taken over \(ValueError: not this one\)"):
        load_checkpoint(path, model, optimizer, parts=parts)
    assert_equal(model, before)
    assert (parts["a"].value, parts["b"].value) == (1, 2)
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]) == (0.125, 0.3)


def test_a_part_that_was_not_saved_is_missed_before_anything_is_changed(path):
    save_checkpoint(path, small_network(), parts={"a": Part(7)})
    part = Part(1)
    with pytest.raises(CheckpointError, match=r"holds no state of the b \(of states, it holds those of a\)"):
        load_checkpoint(path, small_network(), parts={"a": part, "b": Part(2)})
    assert part.value == 1


def test_what_no_file_can_hold_is_refused_before_the_file_is_touched(path):
    save_checkpoint(path, small_network(), epoch=1)
    with pytest.raises(DTypeError, match=r"cannot hold the set at \['mine'\]\['value'\]"):
        save_checkpoint(path, small_network(), parts={"mine": Part({1})}, epoch=2)
    assert load_checkpoint(path).epoch == 1


def test_the_generators_of_modules_are_kept_too(path):
    class Noisy(nn.Module):
        def __init__(self, seed):
            super().__init__()
            self.scale = nn.Parameter(tg.ones(1))
            self.own = np.random.default_rng(seed)

    model = nn.Sequential(Noisy(1), Noisy(2))
    states = GeneratorStates(model)
    save_checkpoint(path, model, parts={"generators": states})
    expected = [tg.rand(2).tolist(), model[0].own.random(), model[1].own.random()]
    load_checkpoint(path, model, parts={"generators": states})
    assert [tg.rand(2).tolist(), model[0].own.random(), model[1].own.random()] == expected
    with pytest.raises(CheckpointError, match=r"generators at \[\], those saved are at \['0.own', '1.own'\]"):
        load_checkpoint(path, parts={"generators": GeneratorStates()})
