"""Write a `.pth` file that PyTorch reads, to check a network of this package against PyTorch's.

What is written is what `pth` describes: a zip archive with a pickle, whose instructions are put together here by hand, and
the numbers. ``torch.load(path)`` (which has been restricted to tensors since PyTorch 2.6) gives an OrderedDict of tensors.
"""

import os
import pickle
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.files import atomic_write
from ..errors import DTypeError
from ..tensor import Tensor
from .tensor_views import ELEMENT_TYPES, STORAGE_NAMES

Array = npt.NDArray[Any]

_FOLDER = "archive"
_LOCAL_HEADER = 30  # bytes, before the entry's name
_ALIGNMENT = 64  # bytes: where PyTorch lets the numbers start, so that they can be used from a mapped file
_PADDING = 0x4246  # "FB": the kind of extra field that PyTorch pads with


def save_pth(path: str | os.PathLike[str], tensors: Mapping[str, Tensor | Array]) -> None:
    """Write named tensors in PyTorch's zip format, all or nothing.

    Parameters
    ----------
    path : str or path-like
        An older file of that name stays until the new one is whole.
    tensors : mapping of str to Tensor or ndarray
        A `state_dict`, for instance. Each is written with memory of its own, even if they share it here.

    Raises
    ------
    DTypeError
        For an array of a dtype that PyTorch does not have.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "two.pth"
    >>> save_pth(path, {"a": np.arange(3), "b": np.eye(2)})

    and in PyTorch::

        model.load_state_dict(torch.load("two.pth"))
    """
    arrays = {name: _little_endian(name, getattr(tensor, "array", tensor)) for name, tensor in tensors.items()}
    with atomic_write(Path(path)) as file, zipfile.ZipFile(file, "w") as archive:
        _write(archive, "data.pkl", _program(arrays))
        _write(archive, "byteorder", b"little")
        for i, array in enumerate(arrays.values()):
            _write(archive, f"data/{i}", array.reshape(-1).view(np.uint8).data)
        _write(archive, "version", b"3\n")


def _little_endian(name: str, array: Any) -> Array:
    array = np.asarray(array, order="C")
    if array.dtype.name not in ELEMENT_TYPES:
        raise DTypeError(f"save_pth: {name} is of the dtype {array.dtype}, which PyTorch does not have: convert it")
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _write(archive: zipfile.ZipFile, name: str, content: Any) -> None:
    entry = zipfile.ZipInfo(f"{_FOLDER}/{name}")
    assert archive.fp is not None
    start = archive.fp.tell() + _LOCAL_HEADER + len(entry.filename) + 4
    padding = -start % _ALIGNMENT
    entry.extra = struct.pack("<HH", _PADDING, padding) + bytes(padding)
    archive.writestr(entry, content)


# The program: each function returns instructions that leave one object on the stack --------------------------------------


def _program(arrays: Mapping[str, Array]) -> bytes:
    items = b"".join(_text(name) + _tensor(str(i), array) for i, (name, array) in enumerate(arrays.items()))
    return pickle.PROTO + b"\2" + _EMPTY_ORDERED_DICT + pickle.MARK + items + pickle.SETITEMS + pickle.STOP


def _tensor(key: str, array: Array) -> bytes:
    """The call that rebuilds a tensor from its storage, which has the elements in C order."""
    name = array.dtype.name
    strides = [step // array.itemsize for step in array.strides]
    if name in STORAGE_NAMES:
        function, storage_type, length, dtype = "_rebuild_tensor_v2", _global("torch", STORAGE_NAMES[name]), array.size, b""
    else:
        function, storage_type, length = "_rebuild_tensor_v3", _global("torch.storage", "UntypedStorage"), array.nbytes
        dtype = _global("torch", name)
    identity = _tuple([_text("storage"), storage_type, _text(key), _text("cpu"), _integer(length)])
    view = [identity + pickle.BINPERSID, _integer(0), _integers(array.shape), _integers(strides)]
    return _global("torch._utils", function) + _tuple([*view, pickle.NEWFALSE, _EMPTY_ORDERED_DICT, dtype]) + pickle.REDUCE


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


_EMPTY_ORDERED_DICT = _global("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE


def _text(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    return pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded


def _integer(number: int) -> bytes:
    return pickle.LONG1 + b"\x08" + struct.pack("<q", number)


def _integers(numbers: Iterable[int]) -> bytes:
    return _tuple([_integer(number) for number in numbers])


def _tuple(members: Iterable[bytes]) -> bytes:
    return pickle.MARK + b"".join(members) + pickle.TUPLE
