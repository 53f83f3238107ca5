"""Files that can be trusted: checksums, atomic writes and the place where downloads are kept.

A data set that is half there, or that one flipped byte has changed, trains a network all the same and only makes it
worse; nobody sees why. So nothing in this package uses a data file before its bytes have been checked, and nothing
gives a file its final name before it is whole.
"""

import contextlib
import gzip
import hashlib
import os
import sys
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import DataError

DATA_VARIABLE = "TINYGRAD_CNN_DATA"
"""The environment variable that names the directory of the data sets: looked in, and downloaded into."""

GZIP_EXCESS = 1 << 16
"""More bytes than gzip adds to what it cannot shorten, for files of the size of data sets."""

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class DataFile:
    """What is known in advance about a published file.

    The checksum is that of the *decompressed* bytes: every mirror and every package compresses anew, and each gets
    other bytes for the same content.

    Parameters
    ----------
    name : str
        The file's name, without ``.gz``.
    size : int
        Its length in bytes, decompressed.
    sha256 : str, optional
        The SHA-256 of its decompressed bytes, in hexadecimal.
    md5 : str, optional
        Their MD5, where no better checksum is published: it shows an accident, though not a forgery.
    packed_md5 : str, optional
        The MD5 of the gzipped file, where that alone is published; then only the published ``.gz`` is accepted.
    """

    name: str
    size: int
    sha256: str = ""
    md5: str = ""
    packed_md5: str = ""

    @property
    def filename(self) -> str:
        """The name under which it is published."""
        return f"{self.name}.gz"

    @property
    def accepted(self) -> tuple[str, ...]:
        """The names under which a copy is looked for."""
        return (self.filename,) if self.packed_md5 else (self.name, self.filename)

    def verify(self, content: bytes, where: object, remedy: str) -> None:
        """Raise unless `content` is exactly the published file.

        Parameters
        ----------
        content : bytes
            The decompressed bytes.
        where : object
            What they were read from, for the message: a path, an address.
        remedy : str
            What the user should do if they are wrong, as a sentence.

        Raises
        ------
        DataError
            If the length or the checksum differs.
        """
        if len(content) != self.size:
            fault = "is truncated" if len(content) < self.size else "is too long"
            got = f"{len(content):,}" if len(content) < self.size else f"at least {len(content):,}"
            raise DataError(f"{where} {fault}: {self.name} has {self.size:,} bytes decompressed, got {got}. {remedy}")
        for kind, published in (("sha256", self.sha256), ("md5", self.md5)):
            if published:
                _require_checksum(self.name, content, kind, published, where, remedy)

    def read(self, path: Path, remedy: str) -> bytes:
        """Read and verify a copy of this file, plain or gzipped.

        Parameters
        ----------
        path : Path
            The copy.
        remedy : str
            What the user should do if it is bad, as a sentence.

        Returns
        -------
        bytes
            The decompressed content, which is exactly the published one.

        Raises
        ------
        DataError
            If the file cannot be read, or is not the published one.
        """
        if self.packed_md5:
            packed = _read_limited(path, remedy, self.size + GZIP_EXCESS)
            _require_checksum(self.filename, packed, "md5", self.packed_md5, path, remedy)
        # One byte more than there should be is enough to see that a file is too long, however far it would expand.
        content = read_bytes(path, remedy, limit=self.size + 1)
        self.verify(content, path, remedy)
        return content


@dataclass(frozen=True)
class ArchiveFile:
    """What is known in advance about a published archive of several files.

    Parameters
    ----------
    name : str
        The file's name.
    size : int
        An upper limit of its length in bytes.
    md5 : str
        The MD5 of its bytes, in hexadecimal.
    """

    name: str
    size: int
    md5: str

    @property
    def filename(self) -> str:
        """The name under which it is published."""
        return self.name

    @property
    def accepted(self) -> tuple[str, ...]:
        """The names under which a copy is looked for."""
        return (self.name,)

    def read(self, path: Path, remedy: str) -> bytes:
        """Read and verify a copy of this archive; parameters and errors as of `DataFile.read`.

        Returns
        -------
        bytes
            The archive, which is exactly the published one.
        """
        content = _read_limited(path, remedy, self.size)
        _require_checksum(self.name, content, "md5", self.md5, path, remedy)
        return content


Published = DataFile | ArchiveFile
"""A file whose bytes are known in advance."""


def _read_limited(path: Path, remedy: str, limit: int) -> bytes:
    """Read a file as it is, but no more than a byte over what it may have."""
    try:
        with open(path, "rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise _unreadable(path, error, remedy) from error


def _unreadable(path: Path, error: OSError, remedy: str) -> DataError:
    return DataError(f"{path} cannot be read: {error.strerror or error}. {remedy}")


def _require_checksum(name: str, content: bytes, kind: str, published: str, where: object, remedy: str) -> None:
    """Raise unless `content` has the published checksum."""
    digest = hashlib.new(kind, content, usedforsecurity=False).hexdigest()
    if digest != published:
        spelled = {"sha256": "SHA-256", "md5": "MD5"}[kind]
        raise DataError(
            f"{where} is damaged, or is another file: {name} has the {spelled} {published}, got {digest}. {remedy}"
        )


def read_bytes(path: Path, remedy: str, limit: int = -1) -> bytes:
    """Read a file, decompressing it if it is gzipped.

    Whether it is gzipped is seen from its first bytes, not from its name: downloads lose and gain suffixes.

    Parameters
    ----------
    path : Path
        The file.
    remedy : str
        What the user should do if it cannot be read, as a sentence.
    limit : int, default -1
        Read no more than this many decompressed bytes; -1 reads all.

    Returns
    -------
    bytes
        The decompressed content.

    Raises
    ------
    DataError
        If the file cannot be opened, or its compressed stream is truncated or damaged.
    """
    try:
        with open(path, "rb") as file:
            zipped = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            if not zipped:
                return file.read(limit)
            with gzip.GzipFile(fileobj=file) as stream:
                return stream.read(limit)
    except EOFError as error:
        size = path.stat().st_size
        raise DataError(f"{path} is truncated: its gzip stream breaks off after {size:,} bytes. {remedy}") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged: its gzip stream cannot be decompressed ({error}). {remedy}") from error
    except OSError as error:
        raise _unreadable(path, error, remedy) from error


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write that takes its name only when it is whole.

    The bytes go to a temporary file beside it, which is flushed to the disk and renamed at the end. A rename within a
    directory is atomic, so another process sees the old file or the new one, never a part. If the block raises (or the
    user presses Ctrl-C), the temporary file is removed and an older file of that name stays as it was.

    Parameters
    ----------
    path : Path
        The file to make; its directory must exist.

    Yields
    ------
    IO[bytes]
        The temporary file, open for writing and reading; its ``name`` is its path.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "digits"
    >>> with atomic_write(target) as file:
    ...     _ = file.write(b"0123456789")
    ...     target.exists()
    False
    >>> target.read_bytes()
    b'0123456789'
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")  # its own name in each process and thread
    try:
        with open(temporary, "x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def cache_directory() -> Path:
    """Return the directory in which downloads are kept for this user; it need not exist yet.

    Returns
    -------
    Path
        ``$XDG_CACHE_HOME/tinygrad_cnn`` if that variable holds an absolute path, as the specification asks; otherwise
        the platform's own place: ``~/Library/Caches`` on macOS, ``%LOCALAPPDATA%`` on Windows, ``~/.cache`` elsewhere.

    References
    ----------
    XDG Base Directory Specification, version 0.8, freedesktop.org.
    """
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if chosen.is_absolute():
        base = chosen
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path.home() / ".cache"
    return base / "tinygrad_cnn"
