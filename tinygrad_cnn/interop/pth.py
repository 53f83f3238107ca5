"""Read the files of ``torch.save`` without PyTorch, and without running what is in them.

There are two formats, told apart by their first bytes:

- **zip** (since PyTorch 1.6): an archive with the entries ``NAME/data.pkl``, a pickle of what was saved in which every
  tensor is a call that rebuilds it; ``NAME/data/0``, ``NAME/data/1``, ...: the bytes of the storages; ``NAME/byteorder``.
- **legacy** (before that; many published files still are): five pickles one after the other, a magic number, a version,
  the writer's byte order and type sizes, the object, and the list of the storages; then each storage, its length before it.

A pickle is a program (see `pickle_machine`), so a `.pth` file from a stranger is one as well. It is run here by a machine
that knows only how to build plain data and to rebuild tensors (see `torch_globals`); a file that asks for anything else is
refused, with the name of what it asked for. There is no switch that turns this off.

The file is mapped into memory. Each storage is copied out of it once, or with ``mmap=True`` not at all.
"""

import os
import struct
from mmap import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CheckpointError
from .file_kind import MAGIC_NUMBER, kind_of, map_file, naming
from .finish import Finished
from .pickle_machine import PickleMachine
from .tensor_views import ByteOrder, Storage, StoragePart, StorageType, shown
from .torch_globals import find_global, set_state
from .zip_archive import StoredZip

PROTOCOL_VERSION = 1001

_ALIGNMENT = 16
_LONGEST_KEY = 100  # characters; PyTorch writes a number


def load_pth(path: str | os.PathLike[str], *, mmap: bool = False) -> Any:
    """Read a file of ``torch.save``: tensors as arrays, in the dictionaries and lists that they were saved in.

    Parameters
    ----------
    path : str or path-like
        A file in the zip or the legacy format. Which one is seen from its content.
    mmap : bool, keyword-only
        Let the arrays be read-only views of the mapped file, where they are stored as NumPy needs them, rather than copies.
        The file must then stay as it is while they are in use.

    Returns
    -------
    dict of str to ndarray, usually
        For a `state_dict`; otherwise what was saved, made of dict, list, tuple, str, bytes, int, float, bool, None and
        ndarray. Tensors that shared memory share it again. bfloat16 becomes float32, exactly; the other dtypes are NumPy's
        of the same name. A ``torch.Size`` becomes a tuple, a dtype or device a string. Devices, ``requires_grad`` and Python
        attributes of parameters are not kept.

    Raises
    ------
    CheckpointError
        If the file cannot be read, is damaged, is of another kind, or asks for anything but tensors and plain data.

    Examples
    --------
    >>> import pathlib, tempfile, tinygrad_cnn as tg
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "layer.pth"
    >>> tg.interop.save_pth(path, tg.nn.Linear(3, 2).state_dict())
    >>> {name: array.shape for name, array in load_pth(path).items()}
    {'weight': (2, 3), 'bias': (2,)}
    """
    mapped = map_file(path)
    with naming(path):
        kind = kind_of(mapped)
        if kind == "safetensors":
            raise CheckpointError("it is a safetensors file: use load_safetensors, or load, which takes both")
        return (_load_zip if kind == "zip" else _load_legacy)(mapped, not mmap)


class _Storages:
    """The storages that a pickle has named, by key."""

    def __init__(self) -> None:
        self.by_key: dict[str, Storage] = {}

    def load_persistent(self, identity: Any) -> StoragePart:
        """Answer to a persistent id: ``("storage", type, key, device, length)``, in old files with a part of it."""
        if not isinstance(identity, tuple) or not 5 <= len(identity) <= 6 or identity[0] != "storage":
            kind = identity[0] if isinstance(identity, tuple) and identity else identity
            raise CheckpointError(
                f"it refers to an object of the kind {shown(kind)}, not to a storage: it may hold a whole pickled "
                "network; save its state_dict() instead"
            )
        _, storage_type, key, device, length = identity[:5]
        if (
            not isinstance(storage_type, StorageType)
            or not (isinstance(key, str) and len(key) <= _LONGEST_KEY and isinstance(device, str))
            or not (isinstance(length, int) and 0 <= length < 1 << 59)
        ):
            raise CheckpointError("its pickle refers to a storage in a way that PyTorch does not: it is damaged")
        storage = Storage(key, storage_type.element, length)
        known = self.by_key.setdefault(key, storage)
        if known.nbytes != storage.nbytes:
            raise CheckpointError(f"storage {key!r} has {known.nbytes:,} bytes in one place and {storage.nbytes:,} in another")
        return StoragePart(known, storage_type.element, self._start(known, identity[5] if len(identity) == 6 else None))

    def _start(self, storage: Storage, part: Any) -> int:
        if part is None:
            return 0
        if isinstance(part, tuple) and len(part) == 3 and isinstance(part[1], int) and 0 <= part[1] <= storage.length:
            return part[1]
        raise CheckpointError(f"a part of storage {storage.key!r} lies outside of it")

    def run(self, data: Any, start: int = 0) -> tuple[Any, int]:
        """What a pickle builds, with notes for tensors, and where it ends."""
        machine = PickleMachine(data, find_global, self.load_persistent, set_state, start)
        return machine.run(), machine.position


def _own(raw: npt.NDArray[np.uint8], copy: bool) -> npt.NDArray[np.uint8]:
    """The bytes as they are, or a copy if asked for or if numbers cannot be used where these lie."""
    return raw.copy() if copy or raw.ctypes.data % _ALIGNMENT else raw


def _load_zip(mapped: mmap, copy: bool) -> Any:
    archive = StoredZip(mapped)
    folder = next(iter(archive.entries), "").split("/")[0]
    if f"{folder}/data.pkl" not in archive.entries:
        raise CheckpointError("it is a zip archive, but not one of torch.save: it has no data.pkl")
    if f"{folder}/constants.pkl" in archive.entries:
        raise CheckpointError(
            "it is a TorchScript program (torch.jit.save), not weights: save model.state_dict() with torch.save"
        )
    byteorder: ByteOrder = "<"
    if f"{folder}/byteorder" in archive.entries:
        named = archive.read(f"{folder}/byteorder").tobytes()
        if named not in (b"little", b"big"):
            raise CheckpointError(f"its byte order is {named[:20]!r}, neither little nor big")
        byteorder = "<" if named == b"little" else ">"
    storages = _Storages()
    program = archive.read(f"{folder}/data.pkl")
    result, end = storages.run(program)
    if end != program.size:
        raise CheckpointError("more follows its pickle: PyTorch writes no such file")
    for key, storage in storages.by_key.items():
        storage.fill(_own(archive.read(f"{folder}/data/{key}"), copy), byteorder)
    return Finished()(result)


def _load_legacy(mapped: mmap, copy: bool) -> Any:
    start = _legacy_header(mapped)
    storages = _Storages()
    result, start = storages.run(mapped, start)
    keys, start = storages.run(mapped, start)
    names = [key for key in keys if isinstance(key, str)] if isinstance(keys, list) else []
    if len(names) != len(storages.by_key) or set(names) != set(storages.by_key):
        raise CheckpointError("its list of storages is not that of its tensors: it is damaged")
    content = np.frombuffer(mapped, np.uint8)
    for key in names:
        storage = storages.by_key[key]
        noted = content[start : start + 8].tobytes()
        raw = content[start + 8 : start + 8 + storage.nbytes]
        if len(noted) < 8 or raw.size < storage.nbytes:
            missing = storage.nbytes + 8 - len(noted) - raw.size
            raise CheckpointError(f"it is cut off: storage {key!r} lacks {missing:,} bytes; get the file again")
        if struct.unpack("<q", noted)[0] != storage.length:
            raise CheckpointError(f"storage {key!r} should have {storage.length:,} elements, and the file says otherwise")
        storage.fill(_own(raw, copy))  # little-endian on every machine, unlike zip
        start += 8 + storage.nbytes
    if start != len(mapped):
        raise CheckpointError(f"{len(mapped) - start:,} bytes follow its last storage: it is damaged")
    return Finished()(result)


def _legacy_header(mapped: mmap) -> int:
    """Check the first three pickles and return where the fourth starts."""
    plain = _Storages()
    magic, start = plain.run(mapped)
    if magic != MAGIC_NUMBER:
        raise CheckpointError("it is a pickle, but not one of torch.save")
    version, start = plain.run(mapped, start)
    system, start = plain.run(mapped, start)
    if version != PROTOCOL_VERSION or not isinstance(system, dict):
        raise CheckpointError(f"its format has the version {shown(version)}; {PROTOCOL_VERSION} is known")
    return start
