"""How the compiled kernels are compiled: once, kept on disk, and run by one Python thread at a time.

Compiling takes a second or so for each kernel and dtype, so the result is kept where numba keeps such things: beside
the source, or in the user's cache directory. Where neither can be written, each process compiles for itself.

A parallel kernel spreads over all cores on its own. Two Python threads that enter one at the same time would gain
nothing, and one of numba's threading layers, the only one on some machines, ends the process when that happens. So
there is a lock around them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import numba

_one_at_a_time = threading.Lock()


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile loops for one core, without Python's lock."""
    return _jit(function)


def parallel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile loops whose `numba.prange` runs on all cores."""
    run = _jit(function, parallel=True)

    @functools.wraps(function)
    def locked(*arguments: Any) -> Any:
        with _one_at_a_time:
            return run(*arguments)

    return locked


def _jit(function: Callable[..., Any], **options: bool) -> Callable[..., Any]:
    options |= {"nogil": True, "error_model": "numpy"}
    try:
        dispatcher: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba has found no place for its cache that it may write to
        dispatcher = numba.njit(**options)(function)
    return dispatcher
