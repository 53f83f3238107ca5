"""Sums of two arrays on both cores: NumPy's loop is as good as ours, but runs on one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.kernels import numpy_elementwise
from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.numba_crew import grain_of, share, shared


def add(a: Array, b: Array, out: Array | None = None) -> Any:
    """Compute a + b: see `numpy_elementwise.add`, which takes what is broadcast, of mixed dtypes or not contiguous."""
    arrays = (a, b) if out is None else (a, b, out)
    if any(x.shape != a.shape or x.dtype != a.dtype or not x.flags.c_contiguous for x in arrays):
        return numpy_elementwise.add(a, b, out)
    y = np.empty(a.shape, a.dtype) if out is None else out
    share(_add, a.reshape(-1), b.reshape(-1), y.reshape(-1), count=a.size, grain=grain_of(3))
    return y


@shared
def _add(a, b, y, slot, start, stop):  # type: ignore[no-untyped-def]
    a, b, y = a[start:stop], b[start:stop], y[start:stop]
    for i in range(len(y)):
        y[i] = a[i] + b[i]
