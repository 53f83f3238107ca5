"""Both cores for one kernel: parts, threads, errors, forks, and the number of threads of BLAS."""

import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.kernels import parallel
from tinygrad_cnn.kernels.parallel import each_part, grain_of
from tinygrad_cnn.kernels.scratch import borrow


@pytest.fixture(autouse=True)
def _restore():
    before = tg.get_num_threads()
    libraries = parallel._blas_libraries() or []
    of_blas = [library.get_num_threads() for library in libraries]
    yield
    tg.set_num_threads(before)
    for library, threads in zip(libraries, of_blas, strict=True):
        library.set_num_threads(threads)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False
    )


def parts_of(count, **options):
    """The parts that a call makes, and the thread of each."""
    parts, threads = [], []

    def work(start, stop):
        parts.append((start, stop))
        threads.append(threading.get_ident())
        time.sleep(0.002)

    each_part(count, work, **options)
    return sorted(parts), threads


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 2, 3, 10, 101])
def test_parts_cover_the_range_once_and_are_nearly_equal(threads, count):
    tg.set_num_threads(threads)
    parts, seen = parts_of(count)
    assert [i for start, stop in parts for i in range(start, stop)] == list(range(count))
    sizes = [stop - start for start, stop in parts]
    assert max(sizes) - min(sizes) <= 1
    assert len(set(seen)) <= threads
    assert (len(sizes) == 1) == (threads == 1 or count == 1)
    assert threading.get_ident() in seen, "the calling thread does parts itself"


def test_nothing_to_do_calls_nothing():
    each_part(0, lambda start, stop: pytest.fail("called"))


def meeting(threads, **options):
    """How many threads are at work at the same time: each waits in its first part until all have come."""
    together = threading.Barrier(threads)
    seen = set()

    def work(start, stop):
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            together.wait(timeout=20)

    each_part(100, work, **options)
    return len(seen)


def test_no_thread_is_woken_for_less_than_the_grain():
    tg.set_num_threads(4)
    assert meeting(4, grain=25) == 4
    assert meeting(2, grain=40) == 2
    assert parts_of(100, grain=51) == ([(0, 100)], [threading.get_ident()])


def test_a_thread_that_is_late_is_not_waited_for():
    """Its core may be busy with something else: the caller does all parts, and the late thread finds nothing to do."""
    tg.set_num_threads(2)
    parts_of(2)  # makes the thread
    (worker,) = parallel._pool._workers[:1]
    late = threading.Event()
    done = []

    def work(start, stop):
        done.append(threading.get_ident())

    def help_late(job, help=parallel._Job.help):
        if threading.get_ident() != caller:
            late.wait(20)
        help(job)

    caller = threading.get_ident()
    with mock.patch.object(parallel._Job, "help", help_late):
        each_part(8, work)
        each_part(8, work)  # and again, while it is still not there
        assert set(done) == {caller}
        late.set()
    assert meeting(2) == 2, "then it is back"
    assert len(done) == 16
    assert worker in parallel._pool._workers


def test_a_grain_is_a_number_of_items_and_at_least_one():
    assert grain_of(parallel.NUMBERS_OF_A_GRAIN // 8) == 8
    assert grain_of(parallel.NUMBERS_OF_A_GRAIN * 8) == 1
    assert grain_of(0) == parallel.NUMBERS_OF_A_GRAIN


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_in_any_part_is_raised_after_all_parts_have_ended(bad):
    tg.set_num_threads(2)
    ended = []
    both = threading.Barrier(2)

    def work(start, stop):
        both.wait(20)
        if start == bad:
            raise KeyError("part", start)
        time.sleep(0.02)
        ended.append(start)

    with pytest.raises(KeyError, match=str(bad)):
        each_part(2, work)
    assert ended == [1 - bad]
    assert meeting(2) == 2, "the threads are as good as before"


def test_of_several_errors_the_first_parts_is_raised():
    tg.set_num_threads(3)
    all_three = threading.Barrier(3)

    def work(start, stop):
        all_three.wait(20)
        time.sleep(0.01 * (3 - start))
        raise ValueError(f"part {start}")

    with pytest.raises(ValueError, match="part 0"):
        each_part(3, work)


def test_after_an_error_no_more_parts_are_begun():
    tg.set_num_threads(2)
    begun = []

    def work(start, stop):
        begun.append(start)
        raise KeyError(start)

    with pytest.raises(KeyError):
        each_part(8, work)
    assert len(begun) <= 2


def test_an_interrupt_waits_for_the_other_parts():
    """Ctrl-C while the caller waits: the part that still writes into its arrays ends first."""
    tg.set_num_threads(2)
    ended = []
    both = threading.Barrier(2)
    caller = threading.get_ident()

    def work(start, stop):
        both.wait(20)
        if threading.get_ident() == caller:
            threading.Timer(0.02, lambda: os.kill(os.getpid(), 2)).start()
            return
        time.sleep(0.1)
        ended.append(start)

    with pytest.raises(KeyboardInterrupt):
        each_part(2, work)
    assert len(ended) == 1
    assert meeting(2) == 2


def test_what_asks_from_within_a_part_does_its_work_itself():
    tg.set_num_threads(2)
    nested = []

    def work(start, stop):
        me = threading.get_ident()
        each_part(8, lambda *part: nested.append((part, threading.get_ident() == me)))

    each_part(2, work)
    assert nested == [((0, 8), True)] * 2


def test_many_python_threads_at_once():
    tg.set_num_threads(3)
    source = np.arange(1000.0)

    def call(seed):
        result = np.zeros(1000)

        def work(start, stop):
            result[start:stop] = source[start:stop] * seed

        for _ in range(20):
            each_part(1000, work)
        return result

    with ThreadPoolExecutor(4) as threads:
        for seed, result in enumerate(threads.map(call, range(40))):
            np.testing.assert_array_equal(result, source * seed)


def test_each_part_borrows_memory_of_its_own():
    tg.set_num_threads(2)
    found = [None, None]
    both = threading.Barrier(2)

    def work(start, stop):
        both.wait(20)
        mine = borrow("test of parts", (100,), np.float64)
        mine.fill(start)
        time.sleep(0.01)
        found[start] = set(mine.tolist())

    each_part(2, work)
    assert found == [{0.0}, {1.0}]


def test_parts_see_the_callers_errstate():
    tg.set_num_threads(2)
    zeros, result = np.zeros(2), np.ones(2)

    def work(start, stop):
        np.divide(1, zeros[start:stop], out=result[start:stop])

    with np.errstate(divide="ignore"):
        each_part(2, work)
    assert np.isinf(result).all()
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        each_part(2, work)


def test_no_thread_keeps_arrays_alive_after_its_part():
    tg.set_num_threads(2)
    array = np.zeros(10)

    def work(start, stop, array=array):
        array[start:stop] = 1

    each_part(2, work)
    alive = weakref.ref(array)
    del array, work
    gc.collect()
    assert alive() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_threads_of_its_own():
    """In a process of its own: pytest itself may have threads, and Python warns of forks beside threads."""
    code = """
import os, threading, time, warnings
warnings.simplefilter("ignore")
import tinygrad_cnn as tg
from tinygrad_cnn.kernels.parallel import each_part
tg.set_num_threads(2)
def both():
    seen = set()
    together = threading.Barrier(2)
    def work(start, stop):
        together.wait(20)
        seen.add(threading.get_ident())
    each_part(2, work)
    return len(seen)
assert both() == 2
results = []
def fork(start, stop):
    if start == 1: return
    child = os.fork()
    if child == 0:
        os._exit(0 if both() == 2 else 1)
    results.append(os.waitpid(child, 0)[1])
fork(0, 1)
each_part(2, fork)  # while the lock is held
print(results)
"""
    result = python(code)
    assert result.stdout.strip() == "[0, 0]", result.stderr


class TestNumberOfThreads:
    def test_the_default_is_the_cores_that_the_process_may_run_on(self):
        code = "import tinygrad_cnn as tg; print(tg.get_num_threads())"
        environment = {name: value for name, value in os.environ.items() if name != parallel._VARIABLE}
        result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert int(result.stdout) == len(os.sched_getaffinity(0))

    def test_the_environment_variable_sets_it(self):
        code = "import tinygrad_cnn as tg; print(tg.get_num_threads())"
        assert python(code, TINYGRAD_CNN_NUM_THREADS="5").stdout.strip() == "5"
        result = python(code, TINYGRAD_CNN_NUM_THREADS="two")
        assert result.returncode != 0
        assert "TINYGRAD_CNN_NUM_THREADS: the number of threads must be an int of at least 1, got 'two'" in result.stderr

    @pytest.mark.parametrize("bad", [0, -1, 1.5, "2", None, True])
    def test_bad_numbers_are_refused_and_change_nothing(self, bad):
        tg.set_num_threads(3)
        with pytest.raises(ArgumentError, match=r"set_num_threads: .* int of at least 1, got"):
            tg.set_num_threads(bad)
        assert tg.get_num_threads() == 3


class TestBlas:
    """BLAS has one thread as soon as work is divided, and keeps what it has until then."""

    threadpoolctl = pytest.importorskip("threadpoolctl")

    def threads(self):
        return {each["num_threads"] for each in self.threadpoolctl.threadpool_info() if each["user_api"] == "blas"}

    @pytest.mark.parametrize("products", [False, True])
    def test_a_part_has_one_thread_and_it_stays_so(self, products):
        tg.set_num_threads(2)
        with self.threadpoolctl.threadpool_limits(2, user_api="blas"):
            seen = [set(), set()]

            def work(start, stop):
                seen[start] = self.threads()
                time.sleep(0.01)

            each_part(2, work, products=products)
            assert seen == [{1}, {1}]
            assert self.threads() == {1}

    def test_undivided_work_keeps_the_threads_of_blas(self):
        tg.set_num_threads(2)
        with self.threadpoolctl.threadpool_limits(2, user_api="blas"):
            each_part(1, lambda *part: self.threads() == {2} or pytest.fail("limited"), products=True)

    def test_a_blas_that_was_loaded_later_is_limited_by_set_num_threads(self):
        """SciPy brings an OpenBLAS of its own: found when the number is set, not only when the first work was divided."""
        code = """
import tinygrad_cnn as tg
from tinygrad_cnn.kernels.parallel import each_part
tg.set_num_threads(2)
each_part(2, lambda *part: None)
import scipy.linalg
from threadpoolctl import threadpool_info, threadpool_limits
threadpool_limits(2, user_api="blas")
tg.set_num_threads(1)
print({each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"})
"""
        result = python(code, OPENBLAS_NUM_THREADS="2")
        assert result.stdout.strip() == "{1}", result.stderr

    def test_set_num_threads_limits_blas_too(self):
        with self.threadpoolctl.threadpool_limits(2, user_api="blas"):
            tg.set_num_threads(1)
            assert self.threads() == {1}
            tg.set_num_threads(2)
            assert self.threads() == {2}


class TestWithoutThreadpoolctl:
    """BLAS cannot be told: products stay undivided, unless it was told before Python started."""

    @pytest.fixture(autouse=True)
    def _without(self):
        tg.set_num_threads(2)
        with mock.patch.object(parallel, "_blas_libraries", return_value=None):
            yield

    @pytest.mark.parametrize(("told", "expected"), [("1", 2), ("2", 1)])
    def test_products(self, told, expected):
        with mock.patch.dict(os.environ, OPENBLAS_NUM_THREADS=told):
            assert len(parts_of(2, products=True)[0]) == expected

    def test_loops_are_divided(self):
        assert len(parts_of(2)[0]) == 2

    def test_the_number_can_be_set(self):
        tg.set_num_threads(1)
        assert tg.get_num_threads() == 1


def test_the_search_for_blas_says_none_without_threadpoolctl():
    with mock.patch.dict(sys.modules, {"threadpoolctl": None}):
        assert parallel._blas_libraries.__wrapped__() is None
