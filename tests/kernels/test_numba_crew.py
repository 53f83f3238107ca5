"""The crew of compiled kernels: every item once, each thread its own slot, and the right results whoever else is at work."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("numba")

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import numba_crew
from tinygrad_cnn.kernels.numba_crew import grain_of, rooms, share, shared


@shared
def _mark(times, slots, rounds, slot, start, stop):
    for i in range(start, stop):
        value = 0.0
        for k in range(rounds):
            value += np.sin(float(i + k))
        times[i] += 1 if value < 1e30 else 0
        slots[i] = slot


@pytest.fixture(autouse=True)
def _restore():
    before = tg.get_num_threads()
    yield
    tg.set_num_threads(before)


def marked(count, *, rounds=1, **options):
    """How often each item was done, and by which thread the last time."""
    times, slots = np.zeros(count, np.int64), np.full(count, -1, np.int64)
    share(_mark, times, slots, rounds, count=count, **options)
    return times, slots


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 2, 3, 10, 101])
def test_every_item_is_done_once_in_a_slot_that_there_is(threads, count):
    tg.set_num_threads(threads)
    for _ in range(200):
        times, slots = marked(count)
        assert (times == 1).all()
        assert slots.min() >= 0
        assert slots.max() < threads


def test_nothing_is_called_for_no_items():
    share(None, count=0)


def test_several_threads_take_part_when_the_work_is_long():
    tg.set_num_threads(2)
    seen = set()
    for _ in range(20):
        seen |= set(marked(64, rounds=20_000)[1])
    assert seen == {0, 1}


def test_one_thread_does_what_is_less_than_two_grains():
    tg.set_num_threads(2)
    assert set(marked(63, rounds=20_000, grain=32)[1]) == {0}


def test_no_thread_without_a_room_of_its_own_helps():
    tg.set_num_threads(3)
    marked(64, rounds=2_000)  # all three are awake
    tg.set_num_threads(2)
    room = rooms("crew test", 5, np.float32)
    assert room.shape == (2, 16)
    assert room.strides[0] % 64 == 0
    tg.set_num_threads(3)
    for _ in range(50):
        assert marked(64, rounds=2_000, slots=len(room))[1].max() < 2


def test_a_thread_sleeps_when_there_is_nothing_to_do_and_is_woken():
    tg.set_num_threads(2)
    marked(64)
    (helper, *_) = numba_crew._crew._helpers
    give_up = time.monotonic() + 10
    while not helper.sleeps:
        assert time.monotonic() < give_up
        time.sleep(0.001)
    seen = set()
    for _ in range(20):
        seen |= set(marked(64, rounds=20_000)[1])
    assert 1 in seen


def test_kernels_of_several_python_threads_do_not_mix():
    tg.set_num_threads(2)

    def check(_):
        return all((marked(count)[0] == 1).all() for count in range(1, 300))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(check, range(4)))


def test_a_kernel_that_a_part_of_parallel_calls_runs_in_that_thread():
    tg.set_num_threads(2)
    found = []

    def work(start, stop):
        found.append(set(marked(64, rounds=100)[1]))

    tg.kernels.parallel.each_part(8, work)
    assert found
    assert all(slots == {0} for slots in found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_has_a_crew_of_its_own():
    code = """if 1:
        import os, warnings
        import numpy as np, tinygrad_cnn as tg
        from tinygrad_cnn.kernels.numba_activation import relu
        tg.set_num_threads(2)
        x = np.linspace(-1, 1, 1 << 20, dtype=np.float32)
        relu(x)
        warnings.simplefilter("ignore")
        child = os.fork()
        if child == 0:
            os._exit(0 if np.array_equal(relu(x), np.maximum(x, 0)) else 1)
        raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0


def test_a_grain_is_a_sixteenth_of_parallels():
    assert grain_of(1 << 14) * 16 == tg.kernels.parallel.grain_of(1 << 14) == 16
