"""Checksums, gzip, atomic writes and the cache's place."""

import gzip
import hashlib
import os
import sys
from pathlib import Path

import pytest

from tinygrad_cnn.data.files import DataFile, atomic_write, cache_directory, read_bytes
from tinygrad_cnn.errors import DataError

CONTENT = bytes(range(256)) * 40
FILE = DataFile("digits", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
REMEDY = "Do something."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "digits.gz"


@pytest.mark.parametrize("content", [CONTENT, gzip.compress(CONTENT)], ids=["plain", "gzipped"])
def test_reads_a_good_copy_whatever_it_is_called(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert FILE.read(path, REMEDY) == CONTENT


@pytest.mark.parametrize("cut", [1, 8, 9, 100])
def test_truncated_gzip_names_file_and_length(path: Path, cut: int) -> None:
    whole = gzip.compress(CONTENT)
    path.write_bytes(whole[:-cut])  # 1 to 8 bytes cut only the stream's own length and checksum
    with pytest.raises(DataError, match=rf"digits.gz is truncated: .* after {len(whole) - cut:,} bytes. Do something."):
        FILE.read(path, REMEDY)


def test_damaged_gzip(path: Path) -> None:
    whole = bytearray(gzip.compress(CONTENT))
    whole[-8] ^= 1  # the stream's checksum
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"digits.gz is damaged: .*cannot be decompressed \(CRC check failed.*Do some"):
        FILE.read(path, REMEDY)
    path.write_bytes(b"\x1f\x8b\x08\x00" + bytes(6) + b"\xff" * 50)
    with pytest.raises(DataError, match=r"digits.gz is damaged: .*cannot be decompressed"):
        FILE.read(path, REMEDY)


def test_truncated_plain_file(path: Path) -> None:
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match=r"digits.gz is truncated: digits has 10,240 bytes decompressed, got 10,239. D"):
        FILE.read(path, REMEDY)


def test_file_that_is_too_long_is_not_expanded_in_full(path: Path) -> None:
    path.write_bytes(gzip.compress(bytes(50_000_000), 1))
    with pytest.raises(DataError, match=r"is too long: digits has 10,240 bytes decompressed, got at least 10,241. Do"):
        FILE.read(path, REMEDY)


def test_plain_file_that_is_too_long(path: Path) -> None:
    path.write_bytes(CONTENT + bytes(100))
    with pytest.raises(DataError, match="is too long: digits has 10,240 bytes decompressed, got at least 10,241"):
        FILE.read(path, REMEDY)


def test_one_wrong_bit_is_found(path: Path) -> None:
    wrong = bytearray(CONTENT)
    wrong[5000] ^= 1
    path.write_bytes(gzip.compress(wrong))
    got = hashlib.sha256(wrong).hexdigest()
    with pytest.raises(DataError, match=rf"is damaged, or is another file: digits has .* {FILE.sha256}, got {got}. Do"):
        FILE.read(path, REMEDY)


def test_missing_file(path: Path) -> None:
    with pytest.raises(DataError, match=r"digits.gz cannot be read: No such file or directory. Do something."):
        read_bytes(path, REMEDY)


def test_atomic_write_shows_nothing_before_the_end(path: Path) -> None:
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_interrupted_write_leaves_what_was_there(path: Path, error: type[BaseException]) -> None:
    path.write_bytes(b"old")

    def write_half() -> None:
        with atomic_write(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


def test_bytes_are_on_the_disk_before_the_name_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append(("fsync", os.fstat(fd).st_size)), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append(("replace", b)), replace(a, b)))
    with atomic_write(path) as file:
        file.write(b"12345")
    assert calls == [("fsync", 5), ("replace", path)]


def test_atomic_write_gives_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with atomic_write(tmp_path / "ours"):
        pass
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/somewhere"}, "/somewhere/tinygrad_cnn"),
        ("linux", {"XDG_CACHE_HOME": "not/absolute"}, "/home/ann/.cache/tinygrad_cnn"),
        ("linux", {}, "/home/ann/.cache/tinygrad_cnn"),
        ("darwin", {}, "/home/ann/Library/Caches/tinygrad_cnn"),
        ("darwin", {"XDG_CACHE_HOME": "/somewhere"}, "/somewhere/tinygrad_cnn"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/tinygrad_cnn"),
        ("win32", {}, "/home/ann/AppData/Local/tinygrad_cnn"),
    ],
)
def test_cache_directory(
    monkeypatch: pytest.MonkeyPatch, platform: str, environment: dict[str, str], expected: str
) -> None:
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in {"HOME": "/home/ann", "USERPROFILE": "/home/ann", **environment}.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_directory() == Path(expected)
