"""The idx format, in which MNIST and its relatives are published: a header of a few bytes, then the array.

    offset      bytes   what
    0           2       zero
    2           1       the type of the elements, a code of the table below
    3           1       the number of dimensions, d
    4           4 d     the sizes of the dimensions, unsigned, the most significant byte first
    4 + 4 d     rest    the elements, in C order, the most significant byte first

Nothing in it says how long the file should be, except the sizes themselves; so a file that breaks off is found out by
multiplying them, and that is done here before a single element is looked at.

References
----------
Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits", section "File formats".
"""

import math
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError, DTypeError
from .files import atomic_write, read_bytes

_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_CODES = {dtype.newbyteorder("="): code for code, dtype in _DTYPES.items()}

_REMEDY = "Get the file again, or check that it is an idx file."


def parse_idx(content: bytes, where: object) -> npt.NDArray[Any]:
    """Turn the bytes of an idx file into an array.

    Parameters
    ----------
    content : bytes
        The whole file, decompressed.
    where : object
        What it was read from, for the messages.

    Returns
    -------
    ndarray
        The array, writable, in the machine's own byte order.

    Raises
    ------
    DataError
        If a field of the header is wrong, or the file is shorter or longer than its header says. The message names the
        file, the field, what was expected and what was found.
    """
    if len(content) < 4:
        raise DataError(f"{where}: the idx header is truncated: it has 4 bytes or more, got {len(content)}. {_REMEDY}")
    zero, code, ndim = struct.unpack_from(">HBB", content)
    if zero != 0:
        raise DataError(
            f"{where}: the magic number of an idx file begins with the bytes 0x00 0x00, "
            f"got {content[0]:#04x} {content[1]:#04x}. {_REMEDY}"
        )
    if code not in _DTYPES:
        known = ", ".join(f"{known:#04x} ({dtype.name})" for known, dtype in _DTYPES.items())
        raise DataError(f"{where}: the idx element type (byte 2) must be one of {known}, got {code:#04x}. {_REMEDY}")
    start = 4 + 4 * ndim
    if len(content) < start:
        raise DataError(
            f"{where}: the idx header is truncated: with {ndim} dimensions (byte 3) it has {start} bytes, "
            f"got {len(content)}. {_REMEDY}"
        )
    shape = struct.unpack_from(f">{ndim}I", content, 4)
    dtype = _DTYPES[code]
    expected, got = math.prod(shape) * dtype.itemsize, len(content) - start  # in Python's integers: no overflow
    if got != expected:
        fault = "truncated" if got < expected else "too long"
        sizes = " x ".join(map(str, shape))
        raise DataError(
            f"{where}: the idx data is {fault}: {sizes} elements of {dtype.itemsize} bytes need {expected:,} bytes, "
            f"got {got:,}. {_REMEDY}"
        )
    flat = np.frombuffer(content, dtype, offset=start)
    return flat.reshape(shape).astype(dtype.newbyteorder("="))  # astype copies: the bytes object is read-only


def read_idx(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Read an idx file, plain or gzipped.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    ndarray
        Its array, in the machine's own byte order.

    Raises
    ------
    DataError
        If the file cannot be read, or is not a whole idx file.
    """
    return parse_idx(read_bytes(Path(path), _REMEDY), path)


def idx_bytes(array: npt.ArrayLike) -> bytes:
    """Return the bytes of an idx file that holds `array`: the inverse of `parse_idx`.

    Parameters
    ----------
    array : array_like
        At most 255 dimensions; of type uint8, int8, int16, int32, float32 or float64.

    Returns
    -------
    bytes
        Header and elements.

    Raises
    ------
    DTypeError
        If the format has no code for the array's type.

    Examples
    --------
    >>> idx_bytes(np.array([[1, 2, 3]], dtype=np.uint8)).hex(" ")
    '00 00 08 02 00 00 00 01 00 00 00 03 01 02 03'
    """
    array = np.asarray(array)
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None:
        names = ", ".join(dtype.name for dtype in _CODES)
        raise DTypeError(f"the idx format holds {names}, not {array.dtype}: convert the array with astype first")
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.astype(_DTYPES[code]).tobytes()


def write_idx(path: str | os.PathLike[str], array: npt.ArrayLike) -> None:
    """Write an array as an idx file, atomically.

    Parameters
    ----------
    path : str or path-like
        The file to make.
    array : array_like
        See `idx_bytes`.

    Raises
    ------
    DTypeError
        If the format has no code for the array's type.
    """
    content = idx_bytes(array)
    with atomic_write(Path(path)) as file:
        file.write(content)
