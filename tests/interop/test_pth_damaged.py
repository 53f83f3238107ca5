"""Damaged files, drawn by the thousand: a CheckpointError or a correct result, and nothing else."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.errors import CheckpointError
from tinygrad_cnn.interop import load

from .crafting import FOUR, legacy_file, name, number, storage, tensor, text, zip_file

GOLDEN = Path(__file__).parent / "golden"
ZIPS = ["views.zip.pth", "nested.zip.pth", "dtypes.zip5.pth"]
LEGACIES = ["views.legacy.pth", "nested.legacy.pth", "dtypes.legacy.pth", "of_2017.pth"]

PLAIN = (str, bytes, int, float, bool, type(None))


def entries(value):
    """Every leaf; raises if there is anything but plain data and arrays."""
    if isinstance(value, dict):
        assert all(isinstance(key, PLAIN) for key in value)
        return [leaf for entry in value.values() for leaf in entries(entry)]
    if isinstance(value, (list, tuple)):
        return [leaf for entry in value for leaf in entries(entry)]
    assert isinstance(value, (*PLAIN, np.ndarray)), type(value)
    return [value]


def touched(value):
    """All leaves, each element of each array read."""
    leaves = []
    for leaf in entries(value):
        if isinstance(leaf, np.ndarray):
            assert leaf.dtype.kind in "fiubc"
            assert leaf.size <= 1 << 20
            leaves.append((leaf.dtype.str, leaf.shape, leaf.tobytes()))
        else:
            leaves.append(leaf)
    return leaves


def read(content, folder, mmap=False):
    path = folder / "drawn.pth"
    path.write_bytes(content)
    try:
        return touched(load(path, mmap=mmap))
    except CheckpointError as error:
        message = str(error)
    assert str(path) in message
    return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("drawn")


CHANGES = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),  # where, as a part of the file
        st.sampled_from(["set", "set", "set", "insert", "delete", "copy"]),
        st.binary(min_size=1, max_size=9),
    ),
    min_size=1,
    max_size=4,
)


def changed(content, changes):
    content = bytearray(content)
    for where, kind, piece in changes:
        at = int(where * len(content))
        if kind == "set":
            content[at : at + len(piece)] = piece
        elif kind == "insert":
            content[at:at] = piece
        elif kind == "delete":
            del content[at : at + len(piece)]
        else:  # a piece from elsewhere: other valid instructions
            start = piece[0] * len(content) // 256
            content[at : at + len(piece)] = content[start : start + len(piece)]
    return bytes(content)


@given(st.sampled_from(ZIPS), CHANGES)
@settings(max_examples=300)
def test_a_damaged_zip_file_is_refused_or_reads_as_the_whole_one(folder, file, changes):
    """The checksums cover all that matters."""
    content = (GOLDEN / file).read_bytes()
    found = read(changed(content, changes), folder)
    assert found is None or found == touched(load(GOLDEN / file))


@given(st.sampled_from(LEGACIES), CHANGES)
@settings(max_examples=300)
def test_a_damaged_legacy_file_is_refused_or_gives_arrays(folder, file, changes):
    """It has no checksums: a number may be another, but all are within the file."""
    read(changed((GOLDEN / file).read_bytes(), changes), folder)


@given(st.sampled_from(ZIPS), CHANGES)
@settings(max_examples=300)
def test_a_damaged_pickle_with_a_right_checksum_is_refused_or_gives_arrays(folder, file, changes):
    written = io.BytesIO()
    with zipfile.ZipFile(GOLDEN / file) as source, zipfile.ZipFile(written, "w") as target:
        for entry in source.namelist():
            content = source.read(entry)
            target.writestr(entry, changed(content, changes) if entry.endswith("data.pkl") else content)
    read(written.getvalue(), folder, mmap=True)


INSTRUCTIONS = st.sampled_from(
    [value for key, value in vars(pickle).items() if key.isupper() and isinstance(value, bytes) and len(value) == 1]
    + [
        b"K\x00", b"K\x01", b"K\x04", b"h\x00", b"h\x01", b"q\x00", b"q\x01", text("0"), text("_metadata"), number(4),
        tensor(), tensor(shape=(2, 2), strides=(2, 1)), tensor(storage(2, kind="DoubleStorage")), storage(),
        name("collections", "OrderedDict"), name("torch._utils", "_rebuild_tensor_v2"), name("torch", "FloatTensor"),
        name("torch.nn.parameter", "Parameter"), name("torch", "Size"), name("torch", "float32"), name("torch", "device"),
        name("torch._utils", "_rebuild_parameter"), name("_codecs", "encode"), b"}", b"]", b"(", b")",
    ]
)  # fmt: skip


@given(st.lists(INSTRUCTIONS, max_size=30), st.booleans())
@settings(max_examples=500)
def test_drawn_programs_are_refused_or_give_arrays(folder, instructions, in_zip):
    make = zip_file if in_zip else legacy_file
    read(make(b"".join(instructions), {"0": FOUR}), folder)


@pytest.mark.parametrize("file", ZIPS + LEGACIES)
def test_a_file_that_is_cut_off_anywhere_is_refused(file, folder):
    content = (GOLDEN / file).read_bytes()
    for length in {*range(0, len(content), 37), len(content) - 1}:
        assert read(content[:length], folder) is None, length


@pytest.mark.parametrize("file", ZIPS)
def test_one_wrong_bit_of_a_number_is_found(file, folder):
    content = bytearray((GOLDEN / file).read_bytes())
    with zipfile.ZipFile(GOLDEN / file) as archive:
        entry = next(entry for entry in archive.infolist() if "/data/" in entry.filename and entry.file_size)
        place = content.index(archive.read(entry), entry.header_offset)
    content[place] ^= 1
    path = folder / "bit.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"its entry '{entry.filename}' is damaged: its checksum is not"):
        load(path)


def test_checksums_that_were_not_written_are_not_asked_for(folder):
    """`torch.serialization.set_crc32_options(False)` leaves them 0."""
    content = bytearray(zip_file(tensor(), {"0": FOUR}))
    at = -1
    while (at := content.find(b"PK\x01\x02", at + 1)) >= 0:
        content[at + 16 : at + 20] = bytes(4)
    path = folder / "unchecked.pth"
    path.write_bytes(content)
    assert load(path).tolist() == [1, 2, 3, 4]
