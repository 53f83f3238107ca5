"""Which kind of file this is, by its first bytes: names lie, and downloads fail in ways that keep the name."""

import contextlib
import os
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap

from ..errors import CheckpointError

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
"""What PyTorch's legacy format starts with, as a pickled integer."""

_TAR_SIGNATURE = slice(257, 262)


def map_file(path: str | os.PathLike[str]) -> mmap:
    """Map a file into memory, read-only.

    Raises
    ------
    CheckpointError
        If it cannot be opened or is empty.
    """
    try:
        with open(path, "rb") as file:
            return mmap(file.fileno(), 0, access=ACCESS_READ)
    except OSError as error:
        raise CheckpointError(f"{os.fspath(path)} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise CheckpointError(f"{os.fspath(path)} is empty: get the file again") from error


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say in a CheckpointError that is raised inside which file it is about."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(path)} was not loaded: {error}") from error


def kind_of(mapped: mmap) -> str:
    """Name the format of a file of weights.

    Returns
    -------
    str
        ``"zip"`` or ``"legacy"`` (both of torch.save), or ``"safetensors"``.

    Raises
    ------
    CheckpointError
        If it is none of them; says what it looks like instead.
    """
    head = mapped[:512]
    if head[:4] == b"PK\x03\x04":
        return "zip"
    if head[:1] == b"\x80":
        # Some pickle; whether it is the magic number is seen when it is read.
        return "legacy"
    # A safetensors file is the length of a JSON header, as 8 bytes, and the header.
    if head[8:9] == b"{":
        return "safetensors"
    raise CheckpointError(f"{_description(head)}: expected a file of torch.save or safetensors")


def _description(head: bytes) -> str:
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page, so the download has failed; get the file again"
    if start.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS, not the file itself; fetch it with `git lfs pull`"
    if head[_TAR_SIGNATURE] == b"ustar":
        return "it is a tar archive, as the first versions of PyTorch wrote; open it in PyTorch and save it again"
    if head[:2] == b"\x1f\x8b":
        return "it is compressed; unpack it with gunzip"
    return f"it starts with the bytes {head[:8].hex(' ')}"
