"""Matrix products on several cores, with BLAS on one thread in each (`parallel` tells why).

The result is cut into strips along its longer side, always into the same ones: how many threads there are changes no bit.
"""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.parallel import each_part, grain_of

_STRIPS, _NARROWEST = 8, 64

_WORTH_DIVIDING = 1 << 22
"""From how many numbers, as `grain_of` counts them, a product is divided: strips take BLAS longer than the whole does."""


def matmul(a: Array, b: Array) -> Array:
    """Multiply two matrices.

    Parameters
    ----------
    a : ndarray, shape (m, k)
    b : ndarray, shape (k, n)

    Returns
    -------
    ndarray, shape (m, n)
        ``a @ b``.

    Examples
    --------
    >>> matmul(np.ones((2, 3)), np.ones((3, 2)))
    array([[3., 3.],
           [3., 3.]])
    """
    if type(a) is not np.ndarray or type(b) is not np.ndarray:  # such as `shape_only`'s, which multiply by themselves
        return a @ b
    (m, k), n = a.shape, b.shape[1]
    longer = max(m, n)
    width = max(_NARROWEST, -(-longer // _STRIPS))
    numbers = longer * max(k, min(m, n), k * min(m, n) // 4)  # moved or, at the rate of `grain_of`, multiplied
    if longer < 2 * width or numbers < _WORTH_DIVIDING or a.dtype != b.dtype:
        return np.asarray(a @ b)
    y = np.empty((m, n), a.dtype)

    def work(start: int, stop: int) -> None:
        for begin in range(start * width, min(longer, stop * width), width):
            strip = slice(begin, begin + width)
            if n >= m:
                np.matmul(a, b[:, strip], out=y[:, strip])
            else:
                np.matmul(a[strip], b, out=y[strip])

    strips = -(-longer // width)
    each_part(strips, work, grain=grain_of(numbers // strips), products=True)
    return y


def matmul_each(a: Array, b: Array, out: Array) -> None:
    """Multiply the matrices of a batch, ``out[i] = a[i] @ b[i]``; `a` may be one matrix, or a batch of one, for all.

    Parameters
    ----------
    a : ndarray, shape (..., m, k)
    b : ndarray, shape (n, ..., k, p)
    out : ndarray, shape (n, ..., m, p)
    """
    numbers = b[0].size * max(1, out.shape[-2] // 4) + out[0].size if len(b) else 1
    each_part(
        len(b), lambda start, stop: np.matmul(a, b[start:stop], out=out[start:stop]), grain=grain_of(numbers), products=True
    )
