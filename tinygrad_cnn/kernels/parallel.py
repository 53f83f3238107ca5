"""Both cores for one kernel: a few threads that wait for parts of its work.

Python's lock lets one thread at a time run Python, but NumPy's products and our compiled loops work without it. So plain
threads are enough: `each_part` cuts the work of a kernel into contiguous parts, and the calling thread and some that live as
long as the process take one after the other. There are a few more parts than threads: a core that is slow, or busy with
something else, takes fewer of them, and nobody waits for a thread that has not even begun.

Why not the threads of OpenMP, or of BLAS. Both wait for their next task by spinning, some milliseconds long, because a
supercomputer's cores have nothing else to do. Between two compiled loops there is usually a matrix product, and then two sets
of threads take the cores from each other: a training step of LeNet-5 took 9 ms on one core, and 16 to 25 ms on two with
OpenMP. These threads sleep. Waking one and hearing back from it takes 10 to 60 us (the most in a virtual machine, whose
sleeping core must be woken as well), which is why small work stays where it is (`grain`). Compiled kernels, of which a step has
hundreds, are shared by `numba_crew` in a quicker way.

For the same reason BLAS gets one thread as soon as these threads have work, in the whole process and for good: its own
would wait for more, spinning, for some 25 ms after each product, on the cores that the next kernel needs (a convolution then
took up to twice its time). Products are divided here instead (`products=True`; see `products`). threadpoolctl knows how each
BLAS wants to be told, and once it has found the function, a call takes a microsecond. Where threadpoolctl is not installed the
number cannot be changed, and such work is left undivided, for BLAS to spread over its own threads.

The same numbers come out whatever the number of threads, as long as each part writes results of its own. Sums that would go
across parts have to be taken over blocks of a fixed size, one result for each block, and those added up in order.

One kernel has the threads at a time. What asks for them meanwhile, from within a part or from another Python thread, does
all of its work itself. A forked child makes new threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import cache
from itertools import pairwise
from typing import Any

from tinygrad_cnn.errors import ArgumentError

Work = Callable[[int, int], object]

NUMBERS_OF_A_GRAIN = 1 << 18
"""How many numbers, read or written once, take about as long as it takes to wake a thread: on one core, some 7 each ns."""

PARTS_OF_A_THREAD = 4
"""How finely work is cut: taking another part costs some 3 us, much less than waking a thread."""

_VARIABLE = "TINYGRAD_CNN_NUM_THREADS"


def each_part(count: int, work: Work, *, grain: int = 1, products: bool = False) -> None:
    """Call `work(start, stop)` for contiguous parts of range(count), at the same time, and wait for all.

    Parameters
    ----------
    count : int
        How many items there are: images, channels, rows.
    work : callable
        Does items `start` up to, but not with, `stop`. Its time should go to compiled loops and products. It may not write
        where another item's work reads or writes. It sees the caller's context variables (NumPy's `errstate` is one), and
        borrows scratch memory of its own thread.
    grain : int
        The fewest items that are worth a thread: see `grain_of`. Below twice as many, `work` is simply called. Parts are down
        to a fourth of it.
    products : bool
        Whether `work` calls BLAS, which has one thread in each part. Where it cannot be told, the work is not divided.

    Raises
    ------
    Whatever `work` raises; if several parts do, it is what the first of them raised. All parts that were begun have ended by
    then, and no others are.
    """
    if count <= 0:
        return
    threads = reserve_threads(count, grain)
    if threads < 2:
        work(0, count)
        return
    try:
        _pool.run(work, count, 1 if products and not _silence_blas() else threads)
    finally:
        release_threads()


def reserve_threads(count: int, grain: int) -> int:
    """Say how many threads a kernel gets for so many items: one, its own, or more, to be given back by `release_threads`.

    It gets one if more are not worth their while, or if another kernel has them.
    """
    threads = min(_threads, count // max(1, grain))
    if threads < 2 or not _pool.lock.acquire(blocking=False):
        return 1
    if not _blas_is_silent:
        _silence_blas()
    return threads


def release_threads() -> None:
    """Give back what `reserve_threads` has given, if it was more than one."""
    _pool.lock.release()


def grain_of(numbers: int) -> int:
    """Say how many items are worth a thread, if each means reading or writing so many numbers once.

    Arithmetic counts as well, where it takes longer than memory: a product of (m, k) and (k, n) is worth m * k * n / 4, at 30
    multiplications a ns.

    Examples
    --------
    >>> grain_of(1 << 20), grain_of(1 << 10)
    (1, 256)
    """
    return max(1, -(-NUMBERS_OF_A_GRAIN // max(1, numbers)))


def set_num_threads(count: int) -> None:
    """Set how many threads the kernels use, from now on and in the whole process.

    Parameters
    ----------
    count : int
        At least 1. The default is the number of cores that the process may run on, or the environment variable
        TINYGRAD_CNN_NUM_THREADS. If threadpoolctl (extra "fast") is installed, BLAS gets the same number, and one as soon as
        kernels share their work among several threads; if not, it is OPENBLAS_NUM_THREADS before Python's start that limits
        BLAS.

    Raises
    ------
    ArgumentError
        For anything else.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> before = tg.get_num_threads()
    >>> tg.set_num_threads(1)
    >>> tg.get_num_threads()
    1
    >>> tg.set_num_threads(before)
    """
    global _threads, _blas_is_silent
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ArgumentError(f"set_num_threads: the number of threads must be an int of at least 1, got {count!r}")
    _threads = count
    _blas_is_silent = False
    _blas_libraries.cache_clear()  # SciPy's, for one, may have been loaded since
    for library in _blas_libraries() or ():
        library.set_num_threads(count)


def get_num_threads() -> int:
    """How many threads the kernels use: see `set_num_threads`."""
    return _threads


class _Job:
    """The parts of one kernel's work, to be taken one after the other by whoever has time."""

    def __init__(self, work: Work, edges: list[int]) -> None:
        self._work: Work | None = work
        self._context = copy_context()
        self._parts = pairwise(edges)
        self._errors: list[tuple[int, BaseException]] = []
        # The lock guards the three above and the count; `_nobody_works` is held while somebody does.
        self._lock, self._nobody_works = threading.Lock(), threading.Lock()
        self._at_work = 0

    def help(self) -> None:
        """Do parts until none is left."""
        part, is_counted = None, False
        try:
            with self._lock:
                work, part = self._work, next(self._parts, None)
                if work is None or part is None:
                    return
                self._at_work += 1
                is_counted = True  # from here to the end the other threads count on this one
                if self._at_work == 1:
                    self._nobody_works.acquire()
            context = self._context.copy()
            while part is not None:
                context.run(work, *part)
                with self._lock:
                    part = next(self._parts, None)
        except BaseException as error:
            with self._lock:
                self._errors.append((part[0] if part else 0, error))
                self._parts = pairwise(())  # what is not begun is not done
        finally:
            if is_counted:
                with self._lock:
                    self._at_work -= 1
                    if self._at_work == 0:
                        self._nobody_works.release()

    def end(self) -> None:
        """Wait for the parts that others have begun, even if interrupted (Ctrl-C): they write into the caller's arrays."""
        interrupt: BaseException | None = None
        while True:
            try:
                with self._lock:
                    self._parts = pairwise(())  # some are left only if the caller was interrupted
                with self._nobody_works, self._lock:
                    if self._at_work == 0:
                        self._work = None  # a thread that wakes up only now must not keep the caller's arrays alive
                        break
            except BaseException as raised:
                interrupt = raised
        errors, self._errors = self._errors, []
        if interrupt is not None:
            raise interrupt
        if errors:
            raise min(errors, key=lambda found: found[0])[1]


class _Worker:
    """A thread that waits for a job, helps with it, and waits again."""

    def __init__(self) -> None:
        # A lock that is held while there is nothing to do: the cheapest way to wake a thread.
        self._has_job = threading.Lock()
        self._has_job.acquire()
        self._job: _Job | None = None
        threading.Thread(target=self._run, name="tinygrad_cnn kernels", daemon=True).start()

    def offer(self, job: _Job) -> None:
        self._job = job
        if self._has_job.locked():  # else it was woken for an earlier job, has not got up yet, and will find this one
            self._has_job.release()

    def _run(self) -> None:
        while True:
            self._has_job.acquire()
            job, self._job = self._job, None
            if job is not None:
                job.help()
            del job


class _Pool:
    """The threads, made when they are first needed. Who holds the lock may run work on them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._workers: list[_Worker] = []

    def run(self, work: Work, count: int, threads: int) -> None:
        """Do work(0, count) in parts, on so many threads, this one among them."""
        if threads < 2:
            work(0, count)
            return
        while len(self._workers) < threads - 1:
            self._workers.append(_Worker())
        job = _Job(work, _edges(count, min(count, threads * PARTS_OF_A_THREAD)))
        try:
            for worker in self._workers[: threads - 1]:
                worker.offer(job)
            job.help()
        finally:
            job.end()


def _edges(count: int, parts: int) -> list[int]:
    """Cut range(count) into parts that differ by one item at most."""
    return [count * part // parts for part in range(parts + 1)]


def _silence_blas() -> bool:
    """Leave BLAS one thread, from now on; say whether it is sure that it has no more."""
    global _blas_is_silent
    _blas_is_silent = True
    libraries = _blas_libraries()
    if libraries is None:
        return os.environ.get("OPENBLAS_NUM_THREADS") == "1"
    for library in libraries:
        if library.get_num_threads() != 1:
            library.set_num_threads(1)
    return True


@cache
def _blas_libraries() -> list[Any] | None:
    """Find what sets the number of threads of each BLAS that is loaded; None where threadpoolctl is not installed.

    NumPy's, which is the one that kernels call, always is among them. Looking for them takes some milliseconds, so a BLAS that
    another package brings along later keeps its threads until `set_num_threads` looks again.
    """
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


def _cores() -> int:
    """Count the cores that this process may run on, which a batch system or `taskset` can limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _number_at_start() -> int:
    given = os.environ.get(_VARIABLE)
    if given is None:
        return _cores()
    if not given.isdecimal() or int(given) < 1:
        raise ArgumentError(f"{_VARIABLE}: the number of threads must be an int of at least 1, got {given!r}")
    return int(given)


def _start_anew() -> None:
    """Forget threads that a fork has not taken along into the child, and the lock that one of them may hold."""
    global _pool
    _pool = _Pool()


_pool = _Pool()
_blas_is_silent = False
"""Whether BLAS has been told: asking it before each of a step's kernels took 2 % of LeNet-5's time."""
_threads = _number_at_start()
if _VARIABLE in os.environ:
    set_num_threads(_threads)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
