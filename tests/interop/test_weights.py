"""From a file to a model: names, wrappers, prefixes, counts that old files lack, and nothing half loaded."""

import json
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.errors import CheckpointError
from tinygrad_cnn.interop import load, load_weights, save_pth, save_safetensors

from . import crafting
from .crafting import FOUR, legacy_file, storage, tensor, text, zip_file

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights"


def small_network():
    """The one that the golden script saved."""
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))


def values(module):
    return {name: tensor.numpy().copy() for name, tensor in module.state_dict().items()}


def assert_equal(module, expected):
    found = values(module)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("file", ["state_dict.zip.pth", "state_dict.legacy.pth", "state_dict.zip5.pth"])
def test_the_weights_of_pytorch_go_into_the_same_network(file):
    expected = golden(file)
    for put in (lambda model: load_weights(model, GOLDEN / file), lambda model: model.load_state_dict(load(GOLDEN / file))):
        model = small_network()
        assert put(model) == ([], [])
        assert_equal(model, expected)
        model[0].weight.data += 1  # the model's memory is its own and can be written


def golden(file):
    """What PyTorch says is in the file."""
    described = json.loads((GOLDEN / "expected.json").read_text())[file]["$dict"]
    with np.load(GOLDEN / "expected.npz") as arrays:
        return {name: arrays[str(entry["$array"])] for name, entry in described}


@pytest.mark.parametrize("save", [save_pth, save_safetensors])
def test_our_files_come_back(save, path):
    model, other = small_network(), small_network()
    model(tg.rand(4, 1, 4, 4))
    save(path, model.state_dict())
    load_weights(other, path)
    assert_equal(other, values(model))


# Wrappers and names -----------------------------------------------------------------------------------------------------


def wrapped(key):
    weight = text("weight") + tensor(shape=(1, 4), strides=(4, 1))
    return b"}(" + text("epoch") + b"K\x03" + text("losses") + tensor() + text(key) + b"}" + weight + b"su"


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_the_state_dict_within_a_training_checkpoint_is_found(key, path):
    path.write_bytes(zip_file(wrapped(key), {"0": FOUR}))
    model = nn.Linear(4, 1, bias=False)
    load_weights(model, path)
    assert model.weight.tolist() == [[1, 2, 3, 4]]


def test_a_parameter_that_is_named_model_is_no_wrapper(path):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = nn.Parameter(tg.zeros(2))

    save_pth(path, {"model": np.ones(2, np.float32)})
    model = Named()
    load_weights(model, path)
    assert model.model.tolist() == [1, 1]


def test_what_is_no_state_dict_is_refused(path):
    model = nn.Linear(4, 1, bias=False)
    for body, match in {
        tensor(): r"holds a ndarray, not a dictionary of names and tensors",
        b"](" + tensor() + b"e": "holds a list, not a dictionary",
        wrapped("net"): "its entries epoch, net are no tensors, and none is a state_dict named 'state_dict' or",
    }.items():
        path.write_bytes(zip_file(body, {"0": FOUR}))
        with pytest.raises(CheckpointError, match=match) as caught:
            load_weights(model, path)
        assert str(path) in str(caught.value)


def test_the_prefix_of_a_parallel_model_is_taken_off(path):
    model = small_network()
    save_pth(path, {f"module.{key}": array + 1 for key, array in values(model).items()})
    before = values(model)
    with pytest.raises(CheckpointError, match=r"all its names start with 'module\.', .* pass prefix='module\.'"):
        load_weights(model, path)
    assert_equal(model, before)
    load_weights(model, path, prefix="module.")
    assert_equal(model, {key: array + 1 for key, array in before.items()})
    with pytest.raises(CheckpointError, match=r"not all its names start with the prefix 'net\.': module\.0\.weight"):
        load_weights(model, path, prefix="net.")


def test_weights_of_another_model_are_refused_and_change_nothing(path):
    save_pth(path, {"weight": np.ones((1, 4), np.float32), "aux.weight": np.ones(3)})
    model = nn.Linear(4, 1)
    before = values(model)
    with pytest.raises(CheckpointError, match=r"(?s)bias.*aux\.weight") as caught:
        load_weights(model, path)
    assert str(path) in str(caught.value)
    assert_equal(model, before)
    assert load_weights(model, path, strict=False) == (["bias"], ["aux.weight"])
    assert model.weight.tolist() == [[1, 1, 1, 1]]
    assert model.bias.tolist() == before["bias"].tolist()


# The counts that files from before 2018 lack ------------------------------------------------------------------------------


def of_batch_norm(version):
    """A state_dict of BatchNorm2d(4) without its count, written by a module of this version (None: not said)."""
    entries = b"".join(text(f"1.{entry}") + tensor() for entry in ("weight", "bias", "running_mean", "running_var"))
    body = crafting.name("collections", "OrderedDict") + b")R(" + entries + b"u"
    if version is None:
        return body
    said = b"}" + text("version") + b"K" + bytes([version]) + b"s"
    return body + b"}" + text("_metadata") + b"}" + text("1") + said + b"ssb"


@pytest.mark.parametrize("make", [zip_file, legacy_file])
@pytest.mark.parametrize("version", [None, 1])
def test_a_count_that_an_old_file_lacks_stays_as_it_was(version, make, path):
    path.write_bytes(make(of_batch_norm(version), {"0": FOUR}))
    model = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4))
    model[1].num_batches_tracked.fill_(5)
    assert load_weights(model, path) == ([], [])
    assert model[1].running_var.tolist() == [1, 2, 3, 4]
    assert int(model[1].num_batches_tracked) == 5


def test_a_count_that_a_new_file_lacks_is_missed(path):
    path.write_bytes(zip_file(of_batch_norm(2), {"0": FOUR}))
    model = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4))
    with pytest.raises(CheckpointError, match=r"1\.num_batches_tracked"):
        load_weights(model, path)
    assert load_weights(model, path, strict=False).missing_keys == ["1.num_batches_tracked"]


def test_the_versions_are_found_behind_a_prefix(path):
    body = of_batch_norm(2)
    for entry in ("1.weight", "1.bias", "1.running_mean", "1.running_var", "1"):
        body = body.replace(text(entry), text(f"module.{entry}"))
    path.write_bytes(zip_file(body, {"0": FOUR}))
    with pytest.raises(CheckpointError, match=r"1\.num_batches_tracked"):
        load_weights(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4)), path, prefix="module.")


def test_numbers_of_another_dtype_are_converted_to_that_of_the_model(path):
    half = tensor(storage(4, kind="BFloat16Storage"), shape=(1, 4), strides=(4, 1))
    numbers = np.array([1, 2, 3, 4], np.float32).view(np.uint16)[1::2]
    path.write_bytes(zip_file(b"}" + text("weight") + half + b"s", {"0": numbers.tobytes()}))
    model = nn.Linear(4, 1, bias=False).double()
    load_weights(model, path)
    assert model.weight.tolist() == [[1, 2, 3, 4]]
    assert model.weight.dtype == np.float64
