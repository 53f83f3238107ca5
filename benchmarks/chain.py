"""A chain of n ops, forward and backward: are time and memory linear in n, and is the memory returned?

Run ``python -m benchmarks.chain``. Prints a row for each length: seconds forward, backward and for ``del``; bytes that
Python holds with the graph alive, after ``del`` and per op; and the peak of the process. The garbage collector is off, so
whatever is returned is returned by reference counting.
"""

import gc
import resource
import time
import tracemalloc

import tinygrad_cnn as tg

LENGTHS = (1_000, 10_000, 100_000)


def seconds(length: int) -> tuple[float, float, float]:
    """Wall time of the forward pass, of the backward pass, and of letting go."""
    x = tg.ones(1, requires_grad=True)
    start = time.perf_counter()
    y = x
    for _ in range(length):
        y = y * 1.0
    forward = time.perf_counter()
    y.backward()
    backward = time.perf_counter()
    del y
    return forward - start, backward - forward, time.perf_counter() - backward


def megabytes(length: int) -> tuple[float, float]:
    """What Python holds after the backward pass, and after ``del``."""
    x = tg.ones(1, requires_grad=True)
    tracemalloc.start()
    y = x
    for _ in range(length):
        y = y * 1.0
    y.backward()
    held = tracemalloc.get_traced_memory()[0]
    del y
    left = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return held / 1e6, left / 1e6


def main() -> None:
    """Print the table."""
    gc.disable()
    print(f"{'ops':>8} {'forward s':>10} {'backward s':>11} {'del s':>7} {'graph MB':>9} {'after del':>10} {'bytes/op':>9}")
    for length in LENGTHS:
        forward, backward, freed = seconds(length)
        held, left = megabytes(length)
        print(
            f"{length:>8} {forward:>10.3f} {backward:>11.3f} {freed:>7.3f} {held:>9.2f} {left:>10.2f} "
            f"{held * 1e6 / length:>9.0f}"
        )
    print(f"peak resident memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
