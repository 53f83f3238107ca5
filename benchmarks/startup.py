"""What a user waits for: the import, and the first result, each in a fresh process.

The import is timed around the ``import`` statement. The first result is timed from outside, from the start of Python to the
end of a program that imports the framework, builds the simplified LeNet and does one training step.
"""

import subprocess
import time
from statistics import median

from .process import ROOT, Side, environment

IMPORTS = {
    "ours": "import tinygrad_cnn",
    "torch": "import torch",
    "jax": "import jax",
    "mygrad": "import mygrad",
    "smallpebble": "import smallpebble",
}


def startup(sides: list[Side], threads: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Seconds of the import and to the first result of each side: medians of interleaved rounds, the first not counted."""
    found: dict[str, list[tuple[float, float]]] = {side.spelling: [] for side in sides}
    for i in range(rounds + 1):
        for side in sides:
            pair = (_import(side, threads), _first_result(side, threads))
            if i > 0:
                found[side.spelling].append(pair)
    return {name: (median(a for a, _ in pairs), median(b for _, b in pairs)) for name, pairs in found.items()}


def _import(side: Side, threads: int) -> float:
    statement = IMPORTS[side.framework]
    source = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    return float(_python(side, threads, source).splitlines()[-1])


def _first_result(side: Side, threads: int) -> float:
    source = (
        "from benchmarks.worker import Worker\n"
        "from benchmarks.workloads import registry\n"
        f"worker = Worker({side.framework!r}, {side.variant!r}, {threads})\n"
        "print(float(worker.module.prepare(registry()['lenet'], worker.options).step()))"
    )
    start = time.perf_counter()
    _python(side, threads, source)
    return time.perf_counter() - start


def _python(side: Side, threads: int, source: str) -> str:
    command = [side.python, "-c", source]
    return subprocess.run(command, cwd=ROOT, env=environment(threads), check=True, capture_output=True, text=True).stdout
