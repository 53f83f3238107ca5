"""What PyTorch wrote comes back as PyTorch reads it: dtypes, views, nested data, both formats, files of 2017."""

import json
import struct
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import CheckpointError
from tinygrad_cnn.interop import load, load_pth

from .crafting import FOUR, legacy_file, name, program, storage, tensor, tuple_of, zip_file

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())


@pytest.fixture(scope="module")
def arrays():
    with np.load(GOLDEN / "expected.npz") as file:
        return {int(number): file[number] for number in file.files}


def assert_same(found, expected, arrays, path):
    """`expected` is the description that the golden script made."""
    kind = next(iter(expected), None) if isinstance(expected, dict) else None
    if kind == "$array":
        array = arrays[expected["$array"]]
        np.testing.assert_array_equal(found, array, err_msg=path)
        assert (type(found), found.dtype, found.shape) == (np.ndarray, array.dtype, array.shape), path
    elif kind == "$dict":
        assert isinstance(found, dict)
        assert list(found) == [key for key, _ in expected["$dict"]], path
        for key, value in expected["$dict"]:
            assert_same(found[key], value, arrays, f"{path}[{key!r}]")
    elif kind == "$bytes":
        assert found == bytes.fromhex(expected["$bytes"]), path
    elif kind == "$tuple" or isinstance(expected, list):
        members = expected["$tuple"] if kind else expected
        assert type(found) is (tuple if kind else list), path
        assert len(found) == len(members), path
        for i, value in enumerate(members):
            assert_same(found[i], value, arrays, f"{path}[{i}]")
    else:
        assert (type(found), found) == (type(expected), expected), path


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("file", EXPECTED)
def test_what_pytorch_reads_is_read(file, mmap, arrays):
    assert_same(load_pth(GOLDEN / file, mmap=mmap), EXPECTED[file], arrays, "")


@pytest.mark.parametrize("file", ["views.zip.pth", "views.legacy.pth", "views.zip5.pth"])
def test_tensors_that_shared_memory_share_it_again(file):
    views = load(GOLDEN / file)
    for shared in ("transposed", "row", "column", "block"):
        assert np.shares_memory(views["base"], views[shared]), shared
    assert not np.shares_memory(views["base"], views["permuted"])
    views["base"][2, 1] = 77
    assert views["transposed"][1, 2] == views["row"][1] == views["column"][2] == views["block"][1, 0] == 77
    assert views["permuted"].strides == (4, 48, 16)
    assert views["twice"][0] is views["twice"][1]


def test_mapped_arrays_are_views_of_the_file_and_read_only(tmp_path):
    path = tmp_path / "one.pth"
    tg.interop.save_pth(path, {"x": np.arange(1000.0)})
    mapped, own = load(path, mmap=True)["x"], load(path)["x"]
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 1
    own[0] = 1
    with open(path, "r+b") as file:  # what the file says is what the array says
        file.seek(path.read_bytes().index(struct.pack("<2d", 998, 999)))
        file.write(struct.pack("<d", -5))
    assert (mapped[998], own[998]) == (-5, 998)


def test_the_numbers_of_a_legacy_file_are_aligned_even_where_they_are_not_in_the_file(tmp_path):
    for length in range(1, 9):
        path = tmp_path / f"{length}.pth"
        path.write_bytes(legacy_file(tensor(storage(key="0" * length)), {"0" * length: FOUR}))
        array = load(path, mmap=True)
        assert array.flags.aligned
        assert array.tolist() == [1, 2, 3, 4]


def test_the_versions_of_the_modules_are_kept():
    for file in ("state_dict.zip.pth", "state_dict.legacy.pth"):
        assert load(GOLDEN / file)._metadata["1"] == {"version": 2}


def test_a_file_of_a_big_endian_machine_is_read(tmp_path):
    pairs = {
        "FloatStorage": struct.pack(">4f", 1, 2, 3, 4),
        "LongStorage": struct.pack(">4q", 1, 2, 3, 4),
        "BFloat16Storage": struct.pack(">4H", 0x3F80, 0x4000, 0x4040, 0x4080),
        "ComplexFloatStorage": struct.pack(">8f", 1, 0, 2, 0, 3, 0, 4, 0),
        "CharStorage": bytes([1, 2, 3, 4]),
    }
    for kind, content in pairs.items():
        path = tmp_path / f"{kind}.pth"
        path.write_bytes(zip_file(tensor(storage(4, kind=kind)), {"0": content}, others={"archive/byteorder": b"big"}))
        array = load(path, mmap=True)
        assert array.tolist() == [1, 2, 3, 4], kind
        assert array.dtype.isnative


def test_the_legacy_format_is_little_endian_whatever_the_machine(tmp_path):
    (tmp_path / "big.pth").write_bytes(legacy_file(tensor(), {"0": FOUR}, system=b"\x80\x02}U\x0dlittle_endian\x89s."))
    assert load(tmp_path / "big.pth").tolist() == [1, 2, 3, 4]


def test_bfloat16_is_the_upper_half_of_a_float32(tmp_path):
    numbers = np.array([0, -0.0, 1, -1.5, np.inf, -np.inf, np.nan, 2.0**-126, 2.0**-133, 3.38953139e38], np.float32)
    upper = (numbers.view(np.uint32) >> 16).astype("<u2")
    path = tmp_path / "b.pth"
    path.write_bytes(zip_file(tensor(storage(10, kind="BFloat16Storage"), shape=(10,)), {"0": upper.tobytes()}))
    np.testing.assert_array_equal(load(path), numbers)


@pytest.mark.parametrize("module", ["torch", "torch.cuda"])
def test_tensors_that_were_saved_on_a_gpu_are_read(module, tmp_path):
    on_gpu = storage(device="cuda:0").replace(name("torch", "FloatStorage"), name(module, "FloatStorage"))
    (tmp_path / "gpu.pth").write_bytes(legacy_file(tensor(on_gpu), {"0": FOUR}))
    assert load(tmp_path / "gpu.pth").tolist() == [1, 2, 3, 4]


def test_an_empty_storage_and_a_tensor_of_many_dimensions(tmp_path):
    empty = tensor(storage(0, "1"), shape=(0, 3), strides=(3, 1))
    many = tensor(shape=(1,) * 60 + (4,), strides=(1 << 61,) * 60 + (1,))  # one element needs no step
    (tmp_path / "e.pth").write_bytes(zip_file(tuple_of(empty, many), {"0": FOUR, "1": b""}))
    first, second = load(tmp_path / "e.pth")
    assert (first.shape, second.shape, second.sum()) == ((0, 3), (1,) * 60 + (4,), 10)


def test_an_old_parameter_with_all_its_state(tmp_path):
    """Of PyTorch 0.1: made empty, then given data, gradient, hooks and flags."""
    state = tuple_of(tensor(), b"N", name("collections", "OrderedDict") + b")R", b"\x88", b"\x89")
    body = name("torch.nn.parameter", "Parameter") + b")\x81" + state + b"b"
    (tmp_path / "p.pth").write_bytes(zip_file(body, {"0": FOUR}))
    assert load(tmp_path / "p.pth").tolist() == [1, 2, 3, 4]


def test_files_are_told_apart_by_content_not_by_name(tmp_path):
    for source in ("dtypes.zip.pth", "dtypes.legacy.pth"):
        copy = tmp_path / "weights.safetensors"
        copy.write_bytes((GOLDEN / source).read_bytes())
        assert load(copy).keys() == load(GOLDEN / source).keys()
    other = tmp_path / "weights.pth"
    tg.interop.save_safetensors(other, {"x": np.eye(2)})
    assert load(other)["x"].tolist() == [[1, 0], [0, 1]]
    assert tg.load is load
    with pytest.raises(CheckpointError, match="is a safetensors file: use load_safetensors, or load"):
        load_pth(other)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><title>404</title>", "is a web page, so the download has failed"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a pointer of Git LFS"),
        (b"storages".ljust(257, b"\0") + b"ustar", "is a tar archive, as the first versions of PyTorch wrote"),
        (b"\x1f\x8b\x08\0", "is compressed; unpack it with gunzip"),
        (b"\x93NUMPY", r"starts with the bytes 93 4e 55 4d 50 59: expected a file of torch.save or safetensors"),
        (b"\x80\x02K\x01.", "is a pickle, but not one of torch.save"),
    ],
)
def test_another_kind_of_file_is_named(content, message, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    for reader in (load, load_pth):
        with pytest.raises(CheckpointError, match=message) as caught:
            reader(path)
        assert str(path) in str(caught.value)


def test_a_missing_file_and_a_directory_are_named(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(CheckpointError, match=f"{path} cannot be read: "):
            load(path)


def test_files_are_read_by_several_threads_at_once(arrays):
    found = {}

    def read(number):
        found[number] = load(GOLDEN / "views.zip.pth")

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for value in found.values():
        assert_same(value, EXPECTED["views.zip.pth"], arrays, "")


def test_an_archive_with_the_wide_fields_of_large_files_is_read(tmp_path):
    """zip64, which archives of more than 4 GB have."""
    path = tmp_path / "wide.pth"
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in {"archive/data.pkl": program(tensor()), "archive/data/0": FOUR}.items():
            with archive.open(zipfile.ZipInfo(entry), "w", force_zip64=True) as file:
                file.write(content)
    assert b"\x01\x00\x10\x00" in path.read_bytes()  # the extra field of zip64
    assert load(path).tolist() == [1, 2, 3, 4]
