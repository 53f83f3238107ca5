"""Steps of large parameters in one pass over memory, where numba is installed: the same numbers as the formulas' own.

`SGD.update` and `Adam.update` are written as formulas on arrays, which is what to read. A formula of five operations goes over
an array five times, and a large network's arrays fit no cache, so the two optimizers that large networks are trained with hand
their large parameters over to `kernels.numba_optim`.
"""

import functools
from importlib.util import find_spec
from typing import Any

import numpy as np

from .. import kernels
from ..tensor import Array, Tensor
from .optimizer import State

_WORTH_COMPILING = 1 << 14
"""Below so many numbers NumPy's passes stay in the cache, and importing numba takes longer than many steps."""


def steps(parameter: Array, gradient: Array, state: State) -> Any:
    """The module with the compiled steps, or None where NumPy is to do it.

    It does so for small parameters, half precision, odd layouts, and as `kernels.use` says.
    """
    if parameter.size < _WORTH_COMPILING or kernels.current() not in ("auto", "numba") or not _has_numba():
        return None
    if parameter.dtype.char not in "fd":
        return None
    kept = [value.array for value in state.values() if isinstance(value, Tensor) and value.shape == parameter.shape]
    if not all(array.flags.c_contiguous and array.dtype == parameter.dtype for array in (parameter, gradient, *kept)):
        return None
    if np.may_share_memory(parameter, gradient):
        return None
    from ..kernels import numba_optim

    return numba_optim


@functools.cache
def _has_numba() -> bool:
    return find_spec("numba") is not None
