"""How the compiled kernels are compiled: for one core, without Python's lock, once, and kept on disk.

For one core, though numba could spread a loop over all of them: `numba_crew` does that. Numba's own threads (OpenMP's) spin for
some milliseconds when there is nothing to do, as do those of BLAS after a product, and each then takes the cores from the
other: on two cores a training step took 16 to 25 ms with OpenMP, and 9.2 ms with one thread.

Compiling takes about a fifth of a second for each kernel and dtype, so the result is kept where numba keeps such things: in the
directory that the environment variable NUMBA_CACHE_DIR names, beside the source, or, where an installation cannot be written
to, in the user's cache directory. Where none of them can be written to, each process compiles for itself. Either way the
first kernel that is compiled says so on standard error: a program that stands still without a word looks broken.

A network needs fifty kernels, and a compiler that translates everything once more for each caller takes its time. So what
several callers need, or what is needed in many variants, is compiled by itself and called through its address, a number among
the arguments (`apart`, and `numba_simd.microkernel`); and only what Python calls gets code that reads Python's objects
(`compiled`, not `inner`; kernels that are shared among threads are called by one function, see `numba_crew`). LeNet-5's first
step takes 7 s, where it took 23 s.

Numba takes a kernel from disk as long as the file that it stands in has not changed. But most of a kernel's instructions may
stand in other files, in those of the functions that it calls: after a `git pull` some kernels would go on computing what they
did before. So every kernel is kept with the state of all files that hold compiled code (`_sources`), and is compiled anew when
one of them changes.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import functools
import pathlib
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numba
from numba import types
from numba.core import cgutils, errors, event
from numba.extending import intrinsic

Loops = Callable[..., None]

_OURS = "tinygrad_cnn."


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
    return _kept(loops, fastmath)


def inner(loops: Loops | None = None, *, fastmath: Collection[str] = ()) -> Any:
    """Compile a function that only compiled code calls: see `compiled`. It has nothing that Python could call.

    What Python calls reads its arguments from Python's objects, and compiling that takes longer than many a loop.
    """
    if loops is None:
        return functools.partial(inner, fastmath=fastmath)
    return _kept(loops, fastmath, no_cpython_wrapper=True)


def _kept(loops: Loops, fastmath: Collection[str], **more: Any) -> Any:
    options = {"nogil": True, "error_model": "numpy", "fastmath": set(fastmath), "no_cfunc_wrapper": True, **more}
    try:
        kernel = numba.njit(cache=True, **options)(loops)
        kernel._cache._cache_file._source_stamp = _sources()
    except RuntimeError:  # numba has found no place for its cache that it may write to
        kernel = numba.njit(**options)(loops)
    # Numba would compile a function anew for each constant among the arguments of a call. LLVM sees constants by itself.
    template_for = kernel.get_call_template
    kernel.get_call_template = lambda arguments, named: template_for(tuple(map(types.unliteral, arguments)), named)
    return kernel


def address_of(kernel: Any, *parameters: types.Type) -> int:
    """Compile a kernel for arguments of these types, or find it on disk, and say where its instructions begin."""
    kernel.compile(parameters)
    found = kernel.overloads[parameters]
    return int(found.library.get_pointer_to_function(found.fndesc.llvm_func_name))


def call(context: Any, builder: Any, address: Any, parameters: Sequence[types.Type], arguments: Sequence[Any]) -> None:
    """Emit the call of a kernel that begins at an address. It must return nothing, and not raise: nobody would hear of it."""
    convention = context.call_conv
    function_type = convention.get_function_type(types.none, parameters)
    unused = [cgutils.alloca_once(builder, pointer.pointee) for pointer in function_type.args[:2]]  # for results and errors
    values = convention._get_arg_packer(parameters).as_arguments(builder, arguments)
    builder.call(builder.inttoptr(address, function_type.as_pointer()), [*unused, *values])


def apart(parameters: Callable[[types.Type], tuple[types.Type, ...]]) -> Any:
    """Make a decorator for a function that other compiled code calls through its address, and that is compiled only once.

    What compiled code calls by name, LLVM optimizes and translates again for each caller. What is kept apart takes its address
    as one more argument in front: `function(address, *arguments)`, where Python has found `function.address(dtype)`.

    Parameters
    ----------
    parameters : callable
        From the type of numbers to the types of the function's parameters. The first array has such numbers.
    """

    def decorate(loops: Loops) -> Any:
        kernel = inner(loops)
        function = through_address(lambda *given: parameters(next(of.dtype for of in given if isinstance(of, types.Array))))
        function.address = functools.cache(lambda dtype: address_of(kernel, *parameters(numba.from_dtype(dtype))))
        return function

    return decorate


def through_address(parameters: Callable[..., tuple[types.Type, ...]]) -> Any:
    """Make a function, for compiled code, of an address and of arguments for what begins there.

    Its parameters are those that `parameters` makes of the types of the arguments, which are converted to them.
    """

    def calling(typing: Any, address: Any, *arguments: Any) -> Any:
        if len(arguments) == 1 and isinstance(arguments[0], types.StarArgTuple | types.StarArgUniTuple):
            arguments = tuple(arguments[0].types)  # numba may ask either way
        wanted = parameters(*arguments)
        if len(arguments) != len(wanted):  # the processor would not notice
            raise errors.TypingError(f"what is called through its address takes {len(wanted)} arguments, not {len(arguments)}")

        def codegen(context: Any, builder: Any, _: Any, values: Any) -> Any:
            call(context, builder, values[0], wanted, cgutils.unpack_tuple(builder, values[1], len(wanted)))
            return context.get_dummy_value()

        return types.void(types.intp, types.StarArgTuple(wanted)), codegen

    return emitted(calling)


@functools.cache
def _sources() -> tuple[tuple[str, int, int], ...]:
    """The state of every file of compiled code: its name, when it was last changed (in ns), and its length."""
    files = sorted(pathlib.Path(__file__).parent.glob("numba_*.py"))
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)


def emitted(function: Callable[..., Any]) -> Any:
    """Make a function that gives the code for its call, instead of being called. Numba passes the first argument."""
    return intrinsic(function)


class _Announcement(event.Listener):
    """Says once, on standard error, that kernels are being compiled. Numba tells it of no kernel that it finds on disk."""

    def __init__(self) -> None:
        self._was_said = False

    def on_start(self, event: Any) -> None:
        kernel = event.data["dispatcher"]
        if self._was_said or not kernel.py_func.__module__.startswith(_OURS):
            return
        self._was_said = True
        place = getattr(kernel.stats, "cache_path", None)
        where = (
            f"once (they are kept in {place})"
            if place
            else "in each process, as no place for them can be written to (set NUMBA_CACHE_DIR to one)"
        )
        print(f"tinygrad_cnn: compiling kernels for this processor, a fraction of a second each, {where} ...", file=sys.stderr)

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Announcement())
