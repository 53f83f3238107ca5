"""Tensors as PyTorch stores them: flat storages of one element type, and views of them.

PyTorch keeps a tensor in two parts. A *storage* is a flat piece of memory of one element type. A *tensor* is a view of it:
an offset, a shape and strides, all counted in elements. Element (i, j) of a matrix is
``storage[offset + i * strides[0] + j * strides[1]]``, so a transposed matrix is the same storage with its strides swapped,
and two tensors can share one storage.

A view that a file describes is made into an array only after a check that all its elements lie within the storage.

NumPy has no bfloat16. It is the upper half of a float32 (1 sign, 8 exponent, 7 mantissa bits), so its values become float32
exactly, by appending 16 zero bits.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

import numpy as np
import numpy.typing as npt

from ..errors import CheckpointError

Array = npt.NDArray[Any]
ByteOrder = Literal["<", ">"]

MOST_REPEATED = 1 << 20
"""Elements that a tensor may have without having as many in its storage (strides of 0 repeat an element for nothing)."""

def shown(value: Any) -> str:
    """A value for a message; only the type of one that may be long."""
    return repr(value)[:100] if isinstance(value, (str, bytes, int, float)) else f"a {type(value).__name__}"


def damaged(what: str) -> NoReturn:
    """Refuse a file whose pickle describes no tensor that PyTorch could have written."""
    raise CheckpointError(f"{what}: the file is damaged, or not from PyTorch")


@dataclass(frozen=True)
class ElementType:
    """A dtype of PyTorch.

    Attributes
    ----------
    name : str
        As in ``torch.float32``.
    dtype : str
        What its numbers are read as, in NumPy.
    """

    name: str
    dtype: str

    @property
    def itemsize(self) -> int:
        return np.dtype(self.dtype).itemsize

    def read(self, raw: npt.NDArray[np.uint8], byteorder: ByteOrder) -> Array:
        """The numbers that lie in these bytes; a view of them unless they must be converted.

        Parameters
        ----------
        raw : ndarray of uint8
        byteorder : {"<", ">"}
            Of the machine that wrote them.
        """
        array = raw.view(np.dtype(self.dtype).newbyteorder(byteorder))
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        if self.name == "bfloat16":
            return (array.astype(np.uint32) << 16).view(np.float32)
        if self.name == "bool" and raw.size and raw.max() > 1:
            raise CheckpointError("it has booleans that are neither 0 nor 1: the file is damaged")
        return array


@dataclass(frozen=True)
class StorageType:
    """A storage class of PyTorch; `element` is None for one that is counted in bytes."""

    element: ElementType | None


ELEMENT_TYPES = {
    name: ElementType(name, dtype)
    for name, dtype in {
        "float16": "f2", "float32": "f4", "float64": "f8", "bfloat16": "u2",
        "int8": "i1", "int16": "i2", "int32": "i4", "int64": "i8",
        "uint8": "u1", "uint16": "u2", "uint32": "u4", "uint64": "u8",
        "bool": "?", "complex64": "c8", "complex128": "c16",
    }.items()
}  # fmt: skip

_C_NAMES = {
    "float16": "Half", "float32": "Float", "float64": "Double", "bfloat16": "BFloat16",
    "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long",
    "uint8": "Byte", "bool": "Bool", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
}  # fmt: skip

STORAGE_NAMES = {name: f"{c_name}Storage" for name, c_name in _C_NAMES.items()}
"""PyTorch's storage class of an element type; the newer types have none."""


@dataclass
class Storage:
    """A storage that the pickle has named.

    Attributes
    ----------
    key : str
        Its name in the file.
    element : ElementType or None
        None for bytes.
    length : int
        In elements; in bytes if there is no element type.
    """

    key: str
    element: ElementType | None
    length: int
    raw: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    byteorder: ByteOrder = "<"
    arrays: dict[tuple[ElementType, bool, bool], Array] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        return self.length * (1 if self.element is None else self.element.itemsize)

    def fill(self, raw: npt.NDArray[np.uint8], byteorder: ByteOrder = "<") -> None:
        """Give it the bytes that the file has for it."""
        if raw.size != self.nbytes:
            raise CheckpointError(f"storage {self.key!r} should have {self.nbytes:,} bytes, the file has {raw.size:,}")
        self.raw, self.byteorder = raw, byteorder

    def array(self, element: ElementType, conjugate: bool = False, negative: bool = False) -> Array:
        """All its numbers. Each array is made once, so that the tensors that share the storage share it."""
        if (element, conjugate, negative) not in self.arrays:
            self.arrays[element, conjugate, negative] = self._read(element, conjugate, negative)
        return self.arrays[element, conjugate, negative]

    def _read(self, element: ElementType, conjugate: bool, negative: bool) -> Array:
        if self.raw.size % element.itemsize:
            raise CheckpointError(f"storage {self.key!r} of {self.raw.size} bytes holds no whole number of {element.name}")
        if not conjugate and not negative:
            return element.read(self.raw, self.byteorder)
        plain = self.array(element)
        if plain.dtype.kind not in "fc":
            damaged("a tensor of whole numbers is marked as negative or conjugate")
        array = plain.conj() if conjugate else plain
        return -array if negative else array


@dataclass(frozen=True)
class StoragePart:
    """A storage read as one element type, from one of its elements on (always 0, but in files of 2017)."""

    storage: Storage
    element: ElementType | None
    start: int = 0


@dataclass
class View:
    """A tensor that the pickle has asked for."""

    storage: Storage | None = None
    start: int = 0
    offset: int = 0
    shape: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    element: ElementType | None = None
    conjugate: bool = False
    negative: bool = False

    def array(self) -> Array:
        """The tensor; raises CheckpointError if any element of it would lie outside of its storage."""
        if self.storage is None or self.element is None:
            raise CheckpointError("a tensor has no storage")
        numbers = self.storage.array(self.element, self.conjugate, self.negative)
        first = self.start + self.offset
        size = math.prod(self.shape)
        last = first + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True)) if size else first - 1
        if last >= len(numbers):
            raise CheckpointError(
                f"a tensor of shape {self.shape} and strides {self.strides} reaches element {last} of storage "
                f"{self.storage.key!r}, which has {len(numbers)}"
            )
        if size > max(len(numbers), MOST_REPEATED):
            raise CheckpointError(
                f"a tensor of shape {self.shape} has {size:,} elements, but its storage only {len(numbers):,}"
            )
        # A dimension of one element may have any stride.
        steps = [stride * numbers.itemsize if n > 1 else 0 for n, stride in zip(self.shape, self.strides, strict=True)]
        return np.ndarray(
            self.shape, numbers.dtype, numbers, first * numbers.itemsize if size else 0, steps if size else None
        )


class StateDict(dict[str, Any]):
    """A `state_dict` with the versions of the modules that wrote it, by path, in ``_metadata``."""

    _metadata: dict[str, Any]
