"""Arithmetic element by element, where it is worth a kernel: sums of two arrays as large as a layer's output.

A residual block adds two of them in its forward pass, and the gradients of both its ways in the backward pass. No
arithmetic is cheaper; it is all memory, which two cores read faster than one (see `numba_elementwise`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.kernels.arrays import Array


def add(a: Array, b: Array, out: Array | None = None) -> Any:
    """Compute a + b, with broadcasting.

    Parameters
    ----------
    a, b : ndarray
    out : ndarray, optional
        Where the sum goes; it may be `a` or `b`.

    Returns
    -------
    ndarray
        `out`, or a new one.
    """
    return np.add(a, b, out=out)
