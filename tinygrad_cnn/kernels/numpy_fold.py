"""Windows laid out as columns, and columns added back up: `unfold` and its adjoint `fold`.

Column [k, l] of a channel is what window l (in row-major order of the outputs) has under tap k (in row-major order of
the kernel). Seen from one tap, the windows are a strided slice of the input, so both kernels are one copy a tap. They
take either geometry: a convolution's windows and a pool's are listed alike, by `taps`.
"""

import math

import numpy as np

from .arrays import Array
from .geometry import ConvGeometry, PoolGeometry


def unfold(x: Array, geometry: ConvGeometry | PoolGeometry) -> Array:
    """Lay out every window as a column; padding, and what hangs over the edge, is 0.

    Parameters
    ----------
    x : ndarray, shape (n, c, *in_size)
    geometry : ConvGeometry or PoolGeometry
        Where the windows fall; a convolution's channels and groups play no part.

    Returns
    -------
    ndarray, shape (n, c, taps, windows)
        ``y[n, c, p * kw + q, i * ow + j] = x[n, c, i * sh + p * dh - ph, j * sw + q * dw - pw]``
    """
    shape = (*x.shape[:2], math.prod(geometry.kernel_size), math.prod(geometry.out_size))
    columns = np.zeros(shape, x.dtype)
    windows = _by_position(columns, geometry)
    for number, (_, outputs, inputs) in enumerate(geometry.taps()):
        windows[number][:, :, *outputs] = x[:, :, *inputs]
    return columns


def fold(columns: Array, geometry: ConvGeometry | PoolGeometry) -> Array:
    """Add every column up where its window lies: the adjoint of `unfold`.

    Parameters
    ----------
    columns : ndarray, shape (n, c, taps, windows)
    geometry : ConvGeometry or PoolGeometry
        As given to `unfold`.

    Returns
    -------
    ndarray, shape (n, c, *in_size)
        What lies in the padding is dropped.
    """
    x = np.zeros((*columns.shape[:2], *geometry.in_size), columns.dtype)
    windows = _by_position(columns, geometry)
    for number, (_, outputs, inputs) in enumerate(geometry.taps()):
        x[:, :, *inputs] += windows[number][:, :, *outputs]
    return x


def _by_position(columns: Array, geometry: ConvGeometry | PoolGeometry) -> Array:
    """View the columns as (taps, n, c, *out_size)."""
    return np.moveaxis(columns.reshape(*columns.shape[:3], *geometry.out_size), 2, 0)
