"""The kernels: arrays in, arrays out, and the table of who does the arithmetic.

Call a kernel by its name in this module, `kernels.conv(x, weight, bias, geometry)`. The name is bound to one of

    numpy       fast array code (numpy_*.py); always there
    numba       compiled loops (numba_*.py) where they beat NumPy, NumPy elsewhere; needs the extra "fast"; of convolution's
                algorithms always `planes`, which does every multiplication
    reference   plain Python loops (reference.py), the definition of every kernel; slow
    auto        NumPy for small arrays and numba for large ones; of a large convolution's algorithms the one that
                `conv_choice` predicts to be fastest; NumPy alone where numba is not installed

and `use` binds all names anew, for the whole process:

    kernels.use("numpy")                # from now on
    with kernels.use("reference"): ...  # in here

`use_algorithm` does the same for the algorithm of convolutions alone.

At import it is the environment variable TINYGRAD_CNN_KERNELS that chooses, else "auto". Importing numba takes half a
second, and compiling a kernel for the first time longer (the result is kept on disk), so "auto" leaves both until an
array is large enough to win the time back. The choice looks at sizes only: equal inputs give equal bits.

What is compiled is what gained by it: sums, pooling (adaptive too), max pooling's scatter and gather, the rectifier, batch and
local response normalisation, the error function, and convolution, which NumPy must write as columns and a matrix product (see
`conv_planes` for how it is done without).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tinygrad_cnn.errors import ArgumentError, MissingExtraError
from tinygrad_cnn.kernels.blas import blas_threads
from tinygrad_cnn.kernels.geometry import ConvGeometry, PoolGeometry
from tinygrad_cnn.kernels.memory import keep_freed_memory
from tinygrad_cnn.kernels.numpy_activation import (
    erf,
    erfc,
    log_softmax,
    log_softmax_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    tanh_backward,
)
from tinygrad_cnn.kernels.numpy_adaptive import adaptive_avg_pool, adaptive_avg_pool_input_grad, adaptive_max_pool
from tinygrad_cnn.kernels.numpy_conv import conv, conv_input_grad, conv_weight_grad
from tinygrad_cnn.kernels.numpy_elementwise import add
from tinygrad_cnn.kernels.numpy_fold import fold, unfold
from tinygrad_cnn.kernels.numpy_norm import (
    batch_norm,
    batch_norm_input_grad,
    channel_moments,
    channel_sum,
    channel_window_sum,
    local_response_norm,
    local_response_norm_input_grad,
)
from tinygrad_cnn.kernels.numpy_pool import avg_pool, avg_pool_input_grad, max_pool, pool_gather, pool_scatter
from tinygrad_cnn.kernels.numpy_random_pool import fractional_max_pool, stochastic_pool

__all__ = [
    "CHOICES",
    "NAMES",
    "ConvGeometry",
    "PoolGeometry",
    "adaptive_avg_pool",
    "adaptive_avg_pool_input_grad",
    "adaptive_max_pool",
    "add",
    "avg_pool",
    "avg_pool_input_grad",
    "batch_norm",
    "batch_norm_input_grad",
    "blas_threads",
    "channel_moments",
    "channel_sum",
    "channel_window_sum",
    "conv",
    "conv_algorithm",
    "conv_algorithms",
    "conv_input_grad",
    "conv_weight_grad",
    "current",
    "erf",
    "erfc",
    "fold",
    "fractional_max_pool",
    "implementations",
    "local_response_norm",
    "local_response_norm_input_grad",
    "log_softmax",
    "log_softmax_backward",
    "max_pool",
    "pool_gather",
    "pool_scatter",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "stochastic_pool",
    "tanh_backward",
    "unfold",
    "use",
    "use_algorithm",
]

Kernel = Callable[..., Any]

CHOICES = ("auto", "numpy", "numba", "reference")

_NUMPY: dict[str, Kernel] = {
    kernel.__name__: kernel
    for kernel in (
        conv,
        conv_input_grad,
        conv_weight_grad,
        max_pool,
        pool_scatter,
        pool_gather,
        avg_pool,
        avg_pool_input_grad,
        adaptive_avg_pool,
        adaptive_avg_pool_input_grad,
        adaptive_max_pool,
        fractional_max_pool,
        stochastic_pool,
        unfold,
        fold,
        channel_window_sum,
        local_response_norm,
        local_response_norm_input_grad,
        batch_norm,
        channel_moments,
        batch_norm_input_grad,
        sigmoid,
        sigmoid_backward,
        relu,
        relu_backward,
        tanh_backward,
        erf,
        erfc,
        log_softmax,
        log_softmax_backward,
        channel_sum,
        add,
    )
}
NAMES = tuple(_NUMPY)
"""Every kernel's name; each exists in NumPy and in `reference`."""

_COMPILED = {
    name: f"tinygrad_cnn.kernels.{module}"
    for module, names in {
        "numba_activation": ("relu", "relu_backward", "erf", "erfc"),
        "numba_elementwise": ("add",),
        "numba_conv": ("conv", "conv_input_grad", "conv_weight_grad"),
        "numba_pool": ("max_pool", "pool_scatter", "pool_gather", "avg_pool", "avg_pool_input_grad"),
        "numba_adaptive": ("adaptive_avg_pool", "adaptive_avg_pool_input_grad"),
        "numba_norm": (
            "channel_sum",
            "channel_moments",
            "batch_norm",
            "batch_norm_input_grad",
            "local_response_norm",
            "local_response_norm_input_grad",
        ),
    }.items()
    for name in names
}
"""The kernels that numba serves too, and the module that has each."""

_WORTH_COMPILING = 1 << 12
"""From how many numbers in its first array "auto" hands a call to numba. It would be faster on fewer, but for its import."""

_SUM_WORTH_COMPILING = 1 << 17
"""The same for `add`, which one thread of NumPy's does as fast as one of numba's."""

_COMPILED_DTYPES = "fd"
"""Single and double precision, by the letters that NumPy gives them."""

_COLUMNS_WORTH_COMPILING = 1 << 12
"""From how many numbers in its columns "auto" hands a convolution to numba."""

_VARIABLE = "TINYGRAD_CNN_KERNELS"

_current = "numpy"
_algorithm: str | None = None


def use(choice: str) -> _Restore:
    """Choose who serves the kernels: at once, or for a `with` block.

    Parameters
    ----------
    choice : {"auto", "numpy", "numba", "reference"}
        See the top of this module. The choice holds for every thread.

    Returns
    -------
    context manager
        Leaving it brings the previous choice back. Without `with`, ignore it.

    Raises
    ------
    ArgumentError
        An unknown choice.
    MissingExtraError
        "numba" is asked for and not installed.

    Examples
    --------
    >>> from tinygrad_cnn import kernels
    >>> with kernels.use("reference"):
    ...     kernels.current(), kernels.conv.__module__
    ('reference', 'tinygrad_cnn.kernels.reference')
    """
    restore = _Restore(_current, _algorithm)
    _bind(choice, _algorithm)
    return restore


def use_algorithm(name: str | None) -> _Restore:
    """Choose the algorithm of convolution, and of its gradients: at once, or for a `with` block.

    Parameters
    ----------
    name : str or None
        One of `conv_algorithms`, which then computes every convolution that it can; the others are computed as they would be
        without. None leaves all to the choice that `use` describes. It holds for every thread.

    Returns
    -------
    context manager
        Leaving it brings the previous choice back. Without `with`, ignore it.

    Raises
    ------
    ArgumentError
        An unknown algorithm.
    MissingExtraError
        One that numba compiles, and numba is not installed.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import kernels
    >>> with kernels.use_algorithm("fft"):
    ...     tg.conv2d(tg.ones(1, 1, 3, 3), tg.ones(1, 1, 2, 2)).shape
    (1, 1, 2, 2)
    """
    if name is not None:
        conv_algorithm(name)
    restore = _Restore(_current, _algorithm)
    _bind(_current, name)
    return restore


def current() -> str:
    """Name the choice in force."""
    return _current


def implementations(name: str) -> dict[str, Kernel]:
    """List every implementation of one kernel that can run here.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    dict of str to callable
        "reference" and "numpy", and "numba" where it is installed and has the kernel.
    """
    if name not in _NUMPY:
        raise ArgumentError(f"kernels: no kernel is called {name!r}; there are {', '.join(NAMES)}")
    found = {"reference": _reference(name), "numpy": _NUMPY[name]}
    if name in _COMPILED and find_spec("numba"):
        found["numba"] = _compiled(name)
    return found


class _Restore:
    """What `use` returns: on leaving, binds the previous choice again."""

    def __init__(self, choice: str, algorithm: str | None) -> None:
        self._previous = choice, algorithm

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        _bind(*self._previous)


def _bind(choice: str, algorithm: str | None = None) -> None:
    """Rebind this module's names: call sites pay nothing for the choice."""
    global _current, _algorithm
    table = _table(choice)
    if algorithm is not None or _algorithm is not None:
        import_module("tinygrad_cnn.kernels.conv_choice").ask_for(algorithm)
    if algorithm is not None:
        table = table | {name: _chosen(name) for name in ("conv", "conv_input_grad", "conv_weight_grad")}
    globals().update(table)
    _current, _algorithm = choice, algorithm


def _table(choice: str) -> dict[str, Kernel]:
    if choice == "numpy":
        return _NUMPY
    if choice == "reference":
        return {name: _reference(name) for name in NAMES}
    if choice == "numba":
        if not find_spec("numba"):
            raise MissingExtraError('kernels.use("numba")', "fast")
        return _NUMPY | {name: _compiled_where_it_can_be(name) for name in _COMPILED}
    if choice == "auto":
        return _NUMPY | {name: _chosen_by_size(name) for name in _COMPILED if find_spec("numba")}
    origin = f" in {_VARIABLE}" if os.environ.get(_VARIABLE) == choice else ""
    raise ArgumentError(f"kernels: unknown choice {choice!r}{origin}; use one of {', '.join(map(repr, CHOICES))}")


def _reference(name: str) -> Kernel:
    kernel: Kernel = getattr(import_module("tinygrad_cnn.kernels.reference"), name)
    return kernel


@functools.cache
def _compiled(name: str) -> Kernel:
    kernel: Kernel = getattr(import_module(_COMPILED[name]), name)
    return kernel


@functools.cache
def _chosen(name: str) -> Kernel:
    """One of the convolution's kernels, by whatever algorithm is fastest."""
    kernel: Kernel = getattr(import_module("tinygrad_cnn.kernels.conv_choice"), name)
    return kernel


def conv_algorithms() -> dict[str, tuple[Kernel, Kernel, Kernel]]:
    """List the algorithms of convolution that can run here: for each name, conv, conv_input_grad and conv_weight_grad.

    One that cannot compute a geometry, as `conv_choice` tells, refuses it with an ArgumentError.

    Examples
    --------
    >>> "columns" in conv_algorithms()
    True
    """
    choice = import_module("tinygrad_cnn.kernels.conv_choice")
    names = [name for name in choice.ALGORITHMS if name in ("columns", "fft") or find_spec("numba")]
    return {name: tuple(choice.strict(name, kernel) for kernel in choice.KERNELS) for name in names}


def conv_algorithm(name: str) -> tuple[Kernel, Kernel, Kernel]:
    """Give one algorithm's conv, conv_input_grad and conv_weight_grad; see `conv_algorithms`.

    Raises
    ------
    ArgumentError
        An unknown algorithm.
    MissingExtraError
        One that numba compiles, and numba is not installed.
    """
    known = conv_algorithms()
    if name in known:
        return known[name]
    if name in import_module("tinygrad_cnn.kernels.conv_choice").ALGORITHMS:
        raise MissingExtraError(f"the algorithm {name!r} of convolution", "fast")
    raise ArgumentError(f"conv: unknown algorithm {name!r}; use one of {', '.join(map(repr, known))}")


def _compiled_where_it_can_be(name: str) -> Kernel:
    """Make a kernel that leaves to NumPy what numba cannot compile on a CPU: half precision."""
    plain, fast = _NUMPY[name], _compiled(name)

    @functools.wraps(fast)
    def by_dtype(array: Any, *arguments: Any, **options: Any) -> Any:
        serve = fast if array.dtype.char in _COMPILED_DTYPES else plain
        return serve(array, *arguments, **options)

    return by_dtype


def _chosen_by_size(name: str) -> Kernel:
    """Make a kernel that compiles only what is large enough to win the time back."""
    plain = _NUMPY[name]
    least = _SUM_WORTH_COMPILING if name == "add" else _WORTH_COMPILING

    @functools.wraps(plain)
    def by_array(array: Any, *arguments: Any, **options: Any) -> Any:
        if array.size >= least and array.dtype.char in _COMPILED_DTYPES:
            return _compiled(name)(array, *arguments, **options)
        return plain(array, *arguments, **options)

    @functools.wraps(plain)
    def by_columns(*arguments: Any) -> Any:
        is_served = arguments[-1].column_numbers >= _COLUMNS_WORTH_COMPILING
        return (_chosen(name) if is_served else plain)(*arguments)

    return by_columns if name.startswith("conv") else by_array


_bind(os.environ.get(_VARIABLE, "auto"))
keep_freed_memory()
