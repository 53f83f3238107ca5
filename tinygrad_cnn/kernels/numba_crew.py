"""Both cores for one compiled kernel, without Python's lock: the parts are taken, and done, in compiled code.

`parallel` divides the work of any function; but a thread that is to run Python needs Python's lock, and between two kernels
the thread that called them has it. Waking up, asking for the lock and being woken again took 30 to 60 us, as long as a whole
kernel of a small network: on two cores LeNet-5's training step was slower than on one.

So compiled kernels have a crew of their own. Its threads wait inside compiled code, where they need no lock. They look for work
a little while (`_PATIENCE`) and then go to sleep, as those of `parallel` do. Who has work writes down where it is: the address
of a compiled function, and of its arguments. Whoever is there calls it, part by part, and the last part is done 1 to 2 us after
the first thread has no more. A relu of 2 ** 18 numbers takes 41 us on one core, 111 us with `parallel`, and 15 us here.

    @shared
    def _relu(x, y, slot, start, stop):            numbers start to stop; slot tells threads apart, for scratch memory
        ...

    share(_relu, x, y, count=x.size, grain=grain_of(2))

Python calls `_run`, which is compiled for each tuple of types that any kernel is called with, and finds the kernel itself by
its address (`Shared`). So a kernel is compiled once, and needs nothing that reads Python's objects.

The board is an array that all threads see. Work is put up by setting it *open*, and nothing of it may change while a thread is
*active*: who wants to help says so first and then looks whether it is still open; who has put it up closes it first, and then
waits until nobody is active. Both orders together leave no gap, as all this is done by sequentially consistent atomic
operations. A kernel must not raise: nobody would hear of it.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Callable, Collection
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils

from tinygrad_cnn.kernels import parallel
from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.numba_compile import address_of, call, compiled, emitted, inner
from tinygrad_cnn.kernels.parallel import PARTS_OF_A_THREAD, release_threads, reserve_threads
from tinygrad_cnn.kernels.scratch import borrow

_PATIENCE = 30_000
"""How often a thread looks for work before it sleeps: for half a ms, longer than most Python between two kernels."""

_LINE_BYTES, _LINE = 64, 8
"""Bytes, and numbers of the board, of a line of the cache. What two threads write to must not share one."""

_OPEN, _NEXT, _ACTIVE, _TASK, _ARGUMENTS, _COUNT, _PARTS, _SLOTS = (k * _LINE for k in range(8))

_INDEX, _BYTES = ir.IntType(64), ir.IntType(8).as_pointer()
_TASK_TYPE = ir.FunctionType(ir.VoidType(), [_BYTES, _INDEX, _INDEX, _INDEX])


# What the threads share -----------------------------------------------------------------------------------------------


@emitted
def _start(typing, known, board, count, parts, arguments):  # type: ignore[no-untyped-def]
    """Do the work with the kernel that is known for these arguments, and give 0; or give the key of their types."""
    parameters = (*arguments.types, types.intp, types.intp, types.intp)
    key = _INDEX(_key(arguments.types))

    def codegen(context, builder, _, values):  # type: ignore[no-untyped-def]
        known, board, count, parts, arguments = values
        table = builder.inttoptr(known, _INDEX.as_pointer())
        kernel = _found(builder, table, key)
        is_known = builder.icmp_signed("!=", kernel, _INDEX(0))
        with builder.if_then(is_known):
            block = cgutils.alloca_once(builder, ir.LiteralStructType([_INDEX, arguments.type]))
            builder.store(kernel, cgutils.gep_inbounds(builder, block, 0, 0))
            builder.store(arguments, cgutils.gep_inbounds(builder, block, 0, 1))
            task = builder.ptrtoint(_caller(context, builder.module, block.type, parameters), _INDEX)
            work = [board, task, builder.ptrtoint(block, _INDEX), count, parts]
            call(context, builder, builder.load(table), (types.intp,) * len(work), work)
        return builder.select(is_known, _INDEX(0), key)

    return types.intp(types.intp, types.intp, types.intp, types.intp, arguments), codegen


def _found(builder, table, key):  # type: ignore[no-untyped-def]
    """Write the loop that looks for a key among the rows of `_Shared.known`; 0 if it is not there."""
    start, search, after = builder.block, builder.append_basic_block("search"), builder.append_basic_block("found")
    builder.branch(search)
    builder.position_at_end(search)
    place = builder.phi(_INDEX)
    here = builder.load(builder.gep(table, [place]))
    address = builder.load(builder.gep(table, [builder.add(place, _INDEX(1))]))
    place.add_incoming(_INDEX(1), start)
    place.add_incoming(builder.add(place, _INDEX(2)), search)
    is_over = builder.or_(builder.icmp_signed("==", here, key), builder.icmp_signed("==", here, _INDEX(0)))
    builder.cbranch(is_over, after, search)
    builder.position_at_end(after)
    return address


def _caller(context, module, block_type, parameters):  # type: ignore[no-untyped-def]
    """Write the function that reads a kernel's address and arguments from a block of memory, and calls it."""
    function = ir.Function(module, _TASK_TYPE, module.get_unique_name("task"))
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block())
    kernel, arguments = (
        builder.load(cgutils.gep_inbounds(builder, builder.bitcast(function.args[0], block_type), 0, k)) for k in (0, 1)
    )
    values = cgutils.unpack_tuple(builder, arguments, len(parameters) - 3)
    call(context, builder, kernel, parameters, [*values, *function.args[1:]])
    builder.ret_void()
    return function


def _key(arguments):  # type: ignore[no-untyped-def]
    """A number for the types of a kernel's arguments, the same in every process, and not 0."""
    return int.from_bytes(hashlib.sha256(repr(arguments).encode()).digest()[:8], "little", signed=True) | 1


@emitted
def _call(typing, task, arguments, slot, start, stop):  # type: ignore[no-untyped-def]
    def codegen(context, builder, _, values):  # type: ignore[no-untyped-def]
        function = builder.inttoptr(values[0], _TASK_TYPE.as_pointer())
        builder.call(function, [builder.inttoptr(values[1], _BYTES), *values[2:]])
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 5), codegen


@emitted
def _add(typing, board, place, value):  # type: ignore[no-untyped-def]
    """Add to a number of the board; give what it was."""

    def codegen(context, builder, signature, values):  # type: ignore[no-untyped-def]
        return builder.atomic_rmw("add", _at(builder, values), values[2], "seq_cst")

    return types.intp(types.intp, types.intp, types.intp), codegen


@emitted
def _read(typing, board, place):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, values):  # type: ignore[no-untyped-def]
        return builder.load_atomic(_at(builder, values), "seq_cst", 8)

    return types.intp(types.intp, types.intp), codegen


@emitted
def _write(typing, board, place, value):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, values):  # type: ignore[no-untyped-def]
        builder.store_atomic(values[2], _at(builder, values), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


def _at(builder, values):  # type: ignore[no-untyped-def]
    """Where number values[1] of the board is that begins at values[0]."""
    return builder.gep(builder.inttoptr(values[0], _INDEX.as_pointer()), [values[1]])


@emitted
def _pause(typing):  # type: ignore[no-untyped-def]
    """Tell the processor that this loop waits: it then leaves the line of the cache to who writes it."""

    def codegen(context, builder, _, __):  # type: ignore[no-untyped-def]
        if llvm.get_process_triple().startswith(("x86_64", "i686")):
            hint, values = ir.FunctionType(ir.VoidType(), []), ()
            builder.call(cgutils.get_or_insert_function(builder.module, hint, "llvm.x86.sse2.pause"), values)
        return context.get_dummy_value()

    return types.void(), codegen


# Handing out and helping ----------------------------------------------------------------------------------------------


@compiled
def _run(known, board, count, parts, *arguments):  # type: ignore[no-untyped-def]
    """Do `count` items in parts, with whoever helps, and return 0; or return a key if the kernel is not known: see `Shared`."""
    return _start(known, board, count, parts, arguments)


@inner
def _hand_out(board, task, arguments, count, parts):  # type: ignore[no-untyped-def]
    if parts < 2:
        _call(task, arguments, 0, 0, count)
        return
    _write(board, _TASK, task)
    _write(board, _ARGUMENTS, arguments)
    _write(board, _COUNT, count)
    _write(board, _PARTS, parts)
    _write(board, _NEXT, 0)
    _write(board, _OPEN, 1)
    _take_parts(board, 0)
    _write(board, _OPEN, 0)
    while _read(board, _ACTIVE):
        _pause()


@inner
def _take_parts(board, slot):  # type: ignore[no-untyped-def]
    task, arguments = _read(board, _TASK), _read(board, _ARGUMENTS)
    count, parts = _read(board, _COUNT), _read(board, _PARTS)
    part = _add(board, _NEXT, 1)
    while part < parts:
        _call(task, arguments, slot, count * part // parts, count * (part + 1) // parts)
        part = _add(board, _NEXT, 1)


@compiled
def _help(board, slot, patience):  # type: ignore[no-untyped-def]
    """Take parts of whatever is put up, until nothing has been for so long."""
    waited = 0
    while waited < patience:
        waited += 1
        if _read(board, _OPEN) and slot < _read(board, _SLOTS):
            _add(board, _ACTIVE, 1)
            if _read(board, _OPEN) and slot < _read(board, _SLOTS):
                _take_parts(board, slot)
                waited = 0
            _add(board, _ACTIVE, -1)
        _pause()


class Shared:
    """A kernel whose items are shared, and where it is: its address for each tuple of types that it was called with.

    What calls it, `_run`, is compiled for each tuple of types too, but for all kernels together. Were it told the kernel, it
    would be compiled for each, and LLVM would translate the kernel in it once more.

    Parameters
    ----------
    loops : callable
        Compiled; its last three parameters are the thread's slot, the first item and the one after the last.
    """

    def __init__(self, loops: Any) -> None:
        self._loops = loops
        self._addresses: dict[int, int] = {}
        self._tables: list[Any] = []
        self.known = self._listed()

    def learn(self, key: int) -> None:
        """Compile the kernel for the types that have this key, or find it on disk."""
        ((*_, arguments),) = (signature for signature in _run.overloads if _key(signature[-1].types) == key)
        self._addresses[key] = address_of(self._loops, *arguments.types, types.intp, types.intp, types.intp)
        self.known = self._listed()

    def _listed(self) -> int:
        """Make a table, and say where: the address of `_hand_out`, then key and address of each kernel, and zeros.

        A table is never changed or freed: another thread may be reading it. If two are made at once, one of them lacks a
        kernel, which is then looked for again.
        """
        rows = [number for row in self._addresses.items() for number in row]
        table = np.array([_address_of_hand_out() if rows else 0, *rows, 0, 0], np.int64)
        self._tables.append(table)
        return int(table.ctypes.data)


def shared(loops: Callable[..., None] | None = None, *, fastmath: Collection[str] = ()) -> Any:
    """Compile a kernel for `share`: see `numba_compile.compiled`, and `Shared` for its parameters."""
    if loops is None:
        return functools.partial(shared, fastmath=fastmath)
    return Shared(inner(loops, fastmath=fastmath))


@functools.cache
def _address_of_hand_out() -> int:
    return address_of(_hand_out, *(types.intp,) * 5)


class _Helper:
    """A thread that helps, sleeps when there is nothing to do, and is woken."""

    def __init__(self, board: int, slot: int) -> None:
        self._may_wake = threading.Lock()
        self._may_wake.acquire()
        self.sleeps = False
        threading.Thread(target=self._run, args=(board, slot), name="tinygrad_cnn crew", daemon=True).start()

    def wake(self) -> None:
        self.sleeps = False
        if self._may_wake.locked():
            self._may_wake.release()

    def _run(self, board: int, slot: int) -> None:
        while True:
            _help(board, slot, _PATIENCE)
            self.sleeps = True
            self._may_wake.acquire()


class _Crew:
    """The threads, made when they are first needed, and the board. Who has reserved the threads may put work up."""

    def __init__(self) -> None:
        self._numbers = np.zeros(9 * _LINE, np.int64)
        self.board = int(self._numbers.ctypes.data)
        self._helpers: list[_Helper] = []

    def call(self, threads: int) -> None:
        """See to it that so many threads, the caller among them, are awake or being woken."""
        self._numbers[_SLOTS] = threads
        while len(self._helpers) < threads - 1:
            _help(self.board, 0, 0)  # compiled here, before a thread would have to
            self._helpers.append(_Helper(self.board, len(self._helpers) + 1))
        for helper in self._helpers[: threads - 1]:
            if helper.sleeps:
                helper.wake()


def rooms(role: str, size: int, dtype: npt.DTypeLike) -> Array:
    """Borrow scratch memory for so many numbers for each thread: (threads, at least size), each row on lines of its own."""
    in_a_line = _LINE_BYTES // np.dtype(dtype).itemsize
    return borrow(role, (parallel.get_num_threads(), -(-size // in_a_line) * in_a_line), dtype)


def share(kernel: Shared, *arguments: Any, count: int, grain: int = 1, slots: int | None = None) -> None:
    """Call `kernel(*arguments, slot, start, stop)` for parts of range(count), in all threads.

    Parameters
    ----------
    kernel : Shared
    arguments : numbers, arrays and tuples of them
    count : int
        How many items there are. Nothing is called for 0.
    grain : int
        The fewest items that are worth a thread: see `grain_of`.
    slots : int, optional
        For how many threads there are `rooms`, if the kernel needs any.
    """
    if count <= 0:
        return
    reserved = reserve_threads(count, grain)
    if reserved < 2:
        _start_kernel(kernel, count, 1, arguments)
        return
    try:
        threads = min(reserved, slots or reserved)
        _crew.call(threads)
        _start_kernel(kernel, count, min(count, threads * PARTS_OF_A_THREAD), arguments)
    finally:
        release_threads()


def _start_kernel(kernel: Shared, count: int, parts: int, arguments: tuple[Any, ...]) -> None:
    while key := _run(kernel.known, _crew.board, count, parts, *arguments):
        kernel.learn(key)


def grain_of(numbers: int) -> int:
    """Say how many items are worth a thread of the crew, if each means reading or writing so many numbers once.

    It is a 16th of what is worth one of `parallel`'s, whose `grain_of` tells how arithmetic counts.

    Examples
    --------
    >>> grain_of(1 << 20), grain_of(1 << 10)
    (1, 16)
    """
    return parallel.grain_of(16 * numbers)


def _start_anew() -> None:
    """Forget threads that a fork has not taken along into the child."""
    global _crew
    _crew = _Crew()


_crew = _Crew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
