"""Named arrays to safetensors and back."""

import json
import struct

import numpy as np
import pytest
import safetensors.numpy

import tinygrad_cnn as tg
from tinygrad_cnn.errors import CheckpointError, DTypeError
from tinygrad_cnn.interop import load_safetensors, save_safetensors


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.safetensors"


def written(path, dtype, shape, content):
    """A file by the format's definition: length of the header, header, numbers."""
    header = {"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, len(content)]}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)


def test_arrays_and_tensors_come_back(path):
    generator = np.random.default_rng(0)
    arrays = {
        "float": generator.normal(size=(2, 3)).astype(np.float32),
        "fortran": np.asfortranarray(generator.normal(size=(4, 3))),
        "strided": generator.normal(size=(6, 6))[::2, ::3],
        "count": np.array(7),
        "empty": np.zeros((0, 2), np.float16),
        "flags": np.array([True, False]),
    }
    save_safetensors(path, {**arrays, "tensor": tg.ones(2, requires_grad=True)})
    for found in (load_safetensors(path), safetensors.numpy.load_file(path)):
        assert found.pop("tensor").tolist() == [1, 1]
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype


def test_bfloat16_becomes_float32_exactly(path):
    numbers = np.array([[0, 1, -1.5], [np.inf, 2.0**-133, 3.0]], np.float32)
    written(path, "BF16", [2, 3], (numbers.view(np.uint32) >> 16).astype("<u2").tobytes())
    found = load_safetensors(path)["a"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, numbers)


def test_a_dtype_that_numpy_lacks_is_refused(path):
    written(path, "F8_E4M3", [2], b"\0\0")
    with pytest.raises(CheckpointError, match=f"{path} was not loaded: its tensor 'a' is of the dtype F8_E4M3, which NumPy"):
        load_safetensors(path)


def test_a_dtype_that_the_format_lacks_is_refused_and_nothing_is_written(path):
    save_safetensors(path, {"a": np.ones(2)})
    for array in (np.ones(2, np.complex128), np.array(["text"])):
        with pytest.raises(DTypeError, match=r"safetensors has no place for .*: convert the array"):
            save_safetensors(path, {"b": array})
    assert list(load_safetensors(path)) == ["a"]


@pytest.mark.parametrize("keep", [7, 20, -1])
def test_a_truncated_file_is_refused(keep, path):
    save_safetensors(path, {"a": np.ones(2)})
    path.write_bytes(path.read_bytes()[:keep])
    for reader in (load_safetensors, tg.load):
        with pytest.raises(CheckpointError, match=str(path)):
            reader(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere cannot be read"):
        load_safetensors(tmp_path / "nowhere")
