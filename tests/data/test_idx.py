"""The idx format, against bytes written out by hand from its description."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn.data import read_idx, write_idx
from tinygrad_cnn.data.idx import idx_bytes, parse_idx
from tinygrad_cnn.errors import DataError, DTypeError


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("00 00 08 01 00 00 00 03  01 02 ff", np.array([1, 2, 255], np.uint8)),
        ("00 00 09 01 00 00 00 02  01 ff", np.array([1, -1], np.int8)),
        ("00 00 0b 02 00 00 00 01 00 00 00 02  01 02 ff fe", np.array([[258, -2]], np.int16)),
        ("00 00 0c 01 00 00 00 01  00 01 00 02", np.array([65538], np.int32)),
        ("00 00 0d 01 00 00 00 01  3f c0 00 00", np.array([1.5], np.float32)),
        ("00 00 0e 01 00 00 00 01  bf f8 00 00 00 00 00 00", np.array([-1.5], np.float64)),
        ("00 00 08 00  07", np.array(7, np.uint8)),
        ("00 00 08 02 00 00 00 00 00 00 00 05", np.zeros((0, 5), np.uint8)),
    ],
)
def test_bytes_by_hand_both_ways(content: str, expected: np.ndarray) -> None:
    array = parse_idx(bytes.fromhex(content), "memory")
    assert array.dtype == expected.dtype
    assert array.dtype.isnative
    np.testing.assert_array_equal(array, expected, strict=True)
    assert idx_bytes(expected) == bytes.fromhex(content)


def test_array_is_in_c_order_and_writable() -> None:
    array = parse_idx(bytes.fromhex("00 00 08 02 00 00 00 02 00 00 00 03  01 02 03 04 05 06"), "memory")
    np.testing.assert_array_equal(array, [[1, 2, 3], [4, 5, 6]])
    array[0, 0] = 9
    assert array[0, 0] == 9


@pytest.mark.parametrize("layout", [lambda a: a.T, lambda a: a[::-1, ::2], lambda a: a.astype(">f4")])
def test_round_trip_of_any_layout(tmp_path: Path, layout) -> None:
    array = layout(np.arange(24, dtype=np.float32).reshape(4, 6))
    write_idx(tmp_path / "a.idx", array)
    np.testing.assert_array_equal(read_idx(tmp_path / "a.idx"), array)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.idx"]


def test_reads_gzip_too(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(idx_bytes(np.arange(5, dtype=np.int32))))
    np.testing.assert_array_equal(read_idx(str(tmp_path / "a")), np.arange(5))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "header is truncated: it has 4 bytes or more, got 0"),
        ("00 00 08", "header is truncated: it has 4 bytes or more, got 3"),
        ("00 07 08 01", "magic number of an idx file begins with the bytes 0x00 0x00, got 0x00 0x07"),
        ("50 4b 03 04", "magic number of an idx file begins with the bytes 0x00 0x00, got 0x50 0x4b"),
        ("00 00 0a 01", r"element type \(byte 2\) must be one of 0x08 \(uint8\), 0x09 \(int8\), .*, got 0x0a"),
        ("00 00 08 02 00 00 00 01", r"header is truncated: with 2 dimensions \(byte 3\) it has 12 bytes, got 8"),
        ("00 00 0c 02 00 00 00 02 00 00 00 03 00", r"truncated: 2 x 3 elements of 4 bytes need 24 bytes, got 1\."),
        ("00 00 08 01 00 00 00 01 05 06", "data is too long: 1 elements of 1 bytes need 1 bytes, got 2"),
    ],
)
def test_bad_bytes_name_the_file_and_the_field(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.idx"
    path.write_bytes(bytes.fromhex(content))
    with pytest.raises(DataError, match=rf"bad\.idx: .*{message}.*Get the file again, or check that it is an idx file"):
        read_idx(path)


def test_sizes_whose_product_overflows_64_bits_allocate_nothing() -> None:
    header = struct.pack(">HBB5I", 0, 8, 5, *[2**16] * 5)  # 2^80 elements: 0 modulo 2^64
    with pytest.raises(DataError, match="need 1,208,925,819,614,629,174,706,176 bytes, got 0"):
        parse_idx(header, "memory")


def test_types_that_the_format_lacks() -> None:
    with pytest.raises(DTypeError, match=r"the idx format holds uint8, int8, .*float64, not int64: convert .* astype"):
        idx_bytes(np.arange(3))
