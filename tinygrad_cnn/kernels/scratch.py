"""Memory that a kernel borrows while it runs, kept from call to call.

A fresh array of some megabytes costs more than the numbers written to it: the system hands out its pages one fault at
a time, and takes them back when the array is dropped. Columns and products of a convolution are made and dropped for
every block of every call, so they live here instead: one buffer for each role and thread, growing to the largest size
asked for, up to `KEPT_BYTES`. What is larger is made anew: `memory` has the C library keep what is freed, for whoever needs it
next, and 30 MB of buffers, each as large as it has ever been, would add to the peak of every network.

A buffer begins where a line of the cache does. Vectors that are loaded from it one after the other then lie in one line each;
elsewhere every one of them would need two.
"""

from __future__ import annotations

import math
import threading

import numpy as np
import numpy.typing as npt

from tinygrad_cnn.kernels.arrays import Array

KEPT_BYTES = 2 << 20

_LINE_BYTES = 64


class _Buffers(threading.local):
    def __init__(self) -> None:
        self.by_role: dict[str, npt.NDArray[np.uint8]] = {}


_buffers = _Buffers()


def borrow(role: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Give an uninitialised array that is the caller's until the next `borrow` of the same role in this thread.

    Parameters
    ----------
    role : str
        What it is for. Two roles never share memory.
    shape : tuple of int
    dtype : numpy dtype

    Returns
    -------
    ndarray
        Never return it, or a view of it, from a kernel.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size > KEPT_BYTES:
        return np.empty(shape, dtype)
    buffer = _buffers.by_role.get(role)
    if buffer is None or buffer.size < size:
        buffer = _buffers.by_role[role] = _aligned(size)
    return np.ndarray(shape, dtype, buffer)


def _aligned(size: int) -> npt.NDArray[np.uint8]:
    """Make an array of so many bytes that begins with a line of the cache."""
    longer = np.empty(size + _LINE_BYTES - 1, np.uint8)
    first = -longer.ctypes.data % _LINE_BYTES
    return longer[first : first + size]
