"""The process of one side: takes commands on its standard input, a line of JSON each, and answers on its standard output.

    python -m benchmarks.worker torch --variant channels_last --threads 2

It says at first which framework it has, or that it is missing:

    {"side": "torch", "version": "2.13.0+cpu"}    or    {"missing": "No module named 'torch'"}

and then answers

    {"do": "prepare", "workload": "lenet5"}            {"seconds": 0.012} for one step, after warming up
    {"do": "run", "steps": 20, "block": 1}             {"seconds": [...], "loss": 2.3}: of 20 blocks, for one step each
    {"do": "check", "workload": ..., "file": ...}      {}: loss and gradients are in the file, by numpy.savez
    {"do": "memory", "workload": "lenet5"}             {"bytes": ...}; see `memory`
    {"do": "peak"}                                     {"gflops": ...} of NumPy's matrix product

or {"unsupported": "why"}. Between commands it waits without using the processor. What a framework prints goes to standard
error, so that it cannot get between the answers.
"""

import argparse
import gc
import json
import math
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

MODULES = {
    "ours": "ours",
    "torch": "torch_side",
    "jax": "jax_side",
    "mygrad": "mygrad_side",
    "smallpebble": "smallpebble_side",
}
"""The module of each side in `benchmarks.sides`. Not called as their frameworks, which they import."""

PACKAGES = {"ours": "tinygrad_cnn"}
"""What a side's framework is imported as, where that is not the side's name."""

WARM_UP_SECONDS = 0.3
MEMORY_STEPS = 3


class Worker:
    """One side, and the workload that it is ready to run."""

    def __init__(self, side: str, variant: str, threads: int) -> None:
        # Before anything else, as in a program of its own: what a framework asks of NumPy's BLAS is read only once.
        import_module(PACKAGES.get(side, side))
        from .sides import Options

        self.module: Any = import_module(f".sides.{MODULES[side]}", __package__)
        self.options = Options(variant, threads)
        self.prepared: Any = None

    def prepare(self, workload: str) -> dict[str, Any]:
        """Build it, warm up, and say how long a step takes."""
        from .workloads import registry

        self.prepared = None
        gc.collect()
        self.prepared = self.module.prepare(registry()[workload], self.options)
        self.prepared.step()  # compiles, allocates, fills caches
        steps, start = 0, time.perf_counter()
        while steps < 2 or (time.perf_counter() - start < WARM_UP_SECONDS and steps < 1000):
            self.prepared.step()
            steps += 1
            if time.perf_counter() - start > 20 * WARM_UP_SECONDS:
                break
        return {"seconds": (time.perf_counter() - start) / steps}

    def run(self, steps: int, block: int) -> dict[str, Any]:
        """Time `steps` blocks of `block` steps; one more at first, which fetches from memory what others displaced."""
        step: Callable[[], Any] = self.prepared.step
        step()
        seconds = []
        for _ in range(steps):
            start = time.perf_counter()
            for _ in range(block):
                value = step()
            seconds.append((time.perf_counter() - start) / block)
        return {"seconds": seconds, "loss": None if value is None else float(value)}

    def check(self, workload: str, file: str) -> dict[str, Any]:
        """Write the loss and all gradients at the initial values into a file."""
        import numpy as np

        from .sides import Options, Unsupported
        from .workloads import registry

        options = Options(self.options.variant, self.options.threads, exact=True)
        prepared = self.module.prepare(registry()[workload], options)
        if prepared.check is None:
            raise Unsupported("nothing to compare: no loss, no gradients")
        loss, gradients = prepared.check()
        np.savez(file, np.float64(loss), *gradients)
        return {}

    def memory(self, workload: str) -> dict[str, Any]:
        """Measure the growth of this process, which should be a fresh one."""
        from .memory import IS_MEASURED, growth
        from .sides import Unsupported
        from .workloads import registry

        if not IS_MEASURED:
            raise Unsupported("memory is measured on Linux only")

        def some_steps() -> None:
            self.prepared = self.module.prepare(registry()[workload], self.options)
            for _ in range(MEMORY_STEPS):
                self.prepared.step()

        self.module.prepare(registry()["lenet5"], self.options).step()
        return {"bytes": growth(some_steps)}

    def peak(self) -> dict[str, Any]:
        """Measure NumPy's matrix product of two 2048x2048 float32 matrices, the best of several."""
        import numpy as np

        a = np.ones((2048, 2048), dtype=np.float32)
        best = math.inf
        for _ in range(12):
            start = time.perf_counter()
            a @ a
            best = min(best, time.perf_counter() - start)
        return {"gflops": 2 * 2048**3 / best / 1e9}

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        """Do what a command says."""
        from .sides import Unsupported

        arguments = {key: value for key, value in command.items() if key != "do"}
        try:
            answer: dict[str, Any] = getattr(self, command["do"])(**arguments)
        except Unsupported as reason:
            return {"unsupported": str(reason)}
        return answer


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worker", description=__doc__.split("\n")[0])
    parser.add_argument("side", choices=MODULES)
    parser.add_argument("--variant", default="")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if hasattr(os, "sched_setaffinity"):  # holds back those who take as many threads as there are cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.threads])

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        worker = Worker(given.side, given.variant, given.threads)
    except ImportError as missing:
        say({"missing": str(missing)})
        return
    say({"side": given.side, "version": worker.module.VERSION})
    for line in sys.stdin:
        say(worker.answer(json.loads(line)))


if __name__ == "__main__":
    main()
