"""The entries of a zip archive as views of the mapped file.

PyTorch's zip files store their entries uncompressed, one behind the other, so that the numbers of a tensor can be used
where they lie. A zip archive ends with a directory that names each entry, its place and its checksum (CRC-32); Python's
`zipfile` reads the directory, and this adds what a stranger's file must be asked besides: that nothing is compressed (a zip
bomb is 10 MB that unpack to terabytes), that no name is there twice (two readers would see two files), that no name leaves
its directory, and that the bytes have the checksum of the directory.
"""

import struct
import zipfile
import zlib
from mmap import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CheckpointError

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, ..., lengths of the name and of the extra field
_ENCRYPTED = 1


class StoredZip:
    """A zip archive of uncompressed entries.

    Parameters
    ----------
    mapped : mmap
        The file.

    Raises
    ------
    CheckpointError
        If the directory is damaged or the archive is not of this kind.
    """

    def __init__(self, mapped: mmap) -> None:
        self.bytes = np.frombuffer(mapped, np.uint8)
        try:
            with zipfile.ZipFile(_Reader(mapped)) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error) as error:
            raise CheckpointError(f"its zip directory is damaged or cut off ({error}): get the file again") from error
        self.entries = {entry.filename: entry for entry in entries}
        if len(self.entries) != len(entries):
            raise CheckpointError("its zip directory has a name twice: PyTorch writes no such file")
        for entry in entries:
            self._check(entry)

    def _check(self, entry: zipfile.ZipInfo) -> None:
        name = entry.orig_filename
        if ".." in name.split("/") or name.startswith("/") or "\\" in name or "\0" in name:
            raise CheckpointError(f"its zip directory has the name {name[:100]!r}, which leads elsewhere")
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise CheckpointError(f"its entry {name[:100]!r} is compressed, which PyTorch never does")
        if entry.flag_bits & _ENCRYPTED:
            raise CheckpointError(f"its entry {name[:100]!r} is encrypted")

    def read(self, name: str) -> npt.NDArray[np.uint8]:
        """The bytes of an entry: a view of the file, read-only, after a look at its checksum.

        An entry whose checksum is noted as 0 is not checked: PyTorch can be told to write none.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise CheckpointError(f"its zip archive has no entry {name[:100]!r}: get the file again")
        start = entry.header_offset
        header = self.bytes[start : start + _LOCAL_HEADER.size]
        if start < 0 or header.size < _LOCAL_HEADER.size:
            raise CheckpointError(f"its entry {name[:100]!r} lies outside of the file")
        signature, name_length, extra_length = _LOCAL_HEADER.unpack(header.tobytes())
        start += _LOCAL_HEADER.size + name_length + extra_length
        content = self.bytes[start : start + entry.file_size]
        if signature != b"PK\x03\x04" or content.size != entry.file_size:
            raise CheckpointError(f"its entry {name[:100]!r} lies outside of the file, or is damaged")
        if entry.CRC and zlib.crc32(content.data) != entry.CRC:
            raise CheckpointError(f"its entry {name[:100]!r} is damaged: its checksum is not that of the directory")
        return content


class _Reader:
    """The mapped file as `zipfile` wants files; no read takes more than there is."""

    def __init__(self, mapped: mmap) -> None:
        self.mapped = mapped
        self.at = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, len(self.mapped))[whence]
        if self.at < 0:
            raise ValueError("a position before the file")
        return self.at

    def tell(self) -> int:
        return self.at

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> Any:
        end = len(self.mapped) if size < 0 else min(self.at + size, len(self.mapped))
        content = self.mapped[self.at : end]
        self.at += len(content)
        return content
