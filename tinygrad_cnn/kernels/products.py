"""Matrix products on several cores, with BLAS on one thread in each (`parallel` tells why).

The result is cut into strips along its longer side, always into the same ones: how many threads there are changes no bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.parallel import each_part, grain_of
from tinygrad_cnn.kernels.scratch import borrow

_STRIPS, _NARROWEST = 8, 64
_STRIPS_OF_A_SUM = 4
"""A sum's strips are added up as well as multiplied: wider ones are faster."""

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
    width = _width_of_strips(m, k, n, _STRIPS)
    if width is None or a.dtype != b.dtype:
        return np.asarray(a @ b)
    y = np.empty((m, n), a.dtype)

    def multiply(rows: slice, columns: slice) -> None:
        np.matmul(a[rows], b[:, columns], out=y[rows, columns])

    _each_strip(multiply, m, k, n, width)
    return y


def matmul_sum(a: Array, b: Array) -> Array:
    """Multiply the matrices of two batches and sum the products, ``sum over i of a[i] @ b[i]``.

    Parameters
    ----------
    a : ndarray, shape (count, g, m, k)
        Each group's matrices are multiplied with those of the same group of `b`.
    b : ndarray, shape (count, g, k, n)

    Returns
    -------
    ndarray, shape (g, m, n)

    Examples
    --------
    >>> matmul_sum(np.ones((5, 1, 1, 2)), np.ones((5, 1, 2, 1)))
    array([[[10.]]])
    """
    count, groups, m, k = a.shape
    n = b.shape[3]
    if count == 0:
        return np.zeros((groups, m, n), a.dtype)
    y = np.empty((groups, m, n), a.dtype)

    def multiply(rows: slice, columns: slice) -> None:
        total = y[:, rows, columns]
        np.matmul(a[0][:, rows], b[0][..., columns], out=total)
        for i in range(1, count):
            total += np.matmul(a[i][:, rows], b[i][..., columns], out=borrow("product", total.shape, a.dtype))

    width = _width_of_strips(m, groups * count * k, n, _STRIPS_OF_A_SUM)
    if width is None:
        multiply(slice(m), slice(n))
    else:
        _each_strip(multiply, m, groups * count * k, n, width)
    return y


def _width_of_strips(m: int, k: int, n: int, strips: int) -> int | None:
    """Say how wide the strips are into which a product of (m, k) and (k, n) is cut; None where it stays whole."""
    width = max(_NARROWEST, -(-max(m, n) // strips))
    return width if max(m, n) >= 2 * width and _numbers(m, k, n) >= _WORTH_DIVIDING else None


def _each_strip(multiply: Callable[[slice, slice], None], m: int, k: int, n: int, width: int) -> None:
    """Call `multiply(rows, columns)` for every strip of the (m, n) product, on several cores."""
    longer = max(m, n)
    strips = -(-longer // width)

    def work(start: int, stop: int) -> None:
        for begin in range(start * width, min(longer, stop * width), width):
            strip = slice(begin, min(longer, begin + width))
            if n >= m:
                multiply(slice(m), strip)
            else:
                multiply(strip, slice(n))

    each_part(strips, work, grain=grain_of(_numbers(m, k, n) // strips), products=True)


def _numbers(m: int, k: int, n: int) -> int:
    """Count the numbers that a product moves or, at the rate of `grain_of`, multiplies."""
    longer, shorter = max(m, n), min(m, n)
    return longer * max(k, shorter, k * shorter // 4)


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
