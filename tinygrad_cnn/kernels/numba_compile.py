"""How the compiled kernels are compiled: for one core, without Python's lock, once, and kept on disk.

One core, though numba could spread a loop over all of them: between two of these kernels there is usually a
convolution, whose matrix product runs on the threads of BLAS, and two sets of threads that both wait by spinning take
the cores from each other. On two cores a training step took 16 to 25 ms with OpenMP, 9.2 ms with one thread, and 10.5
ms in NumPy. Without threads there is also nothing to go wrong in a forked worker or under several Python threads.

Compiling takes half a second for each kernel and dtype, so the result is kept where numba keeps such things: beside the
source, or in the user's cache directory. Where neither can be written, each process compiles for itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any

import numba

Loops = Callable[..., None]


def compiled(loops: Loops | None = None, *, fastmath: Collection[str] = ()) -> Any:
    """Compile a function that reads numbers and arrays, and writes its results into arrays that are passed in.

    Parameters
    ----------
    loops : callable
    fastmath : set of str
        What LLVM may do to floating-point arithmetic. "contract" (a * b + c with one rounding) and "reassoc" (sums in
        any order) are safe: NaN and infinities stay what they are.
    """
    if loops is None:
        return functools.partial(compiled, fastmath=fastmath)
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": set(fastmath)}
    try:
        return numba.njit(cache=True, **options)(loops)
    except RuntimeError:  # numba has found no place for its cache that it may write to
        return numba.njit(**options)(loops)
