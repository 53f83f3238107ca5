"""How much memory a workload takes: what the process has at its height, less what it had before.

Before: the framework is imported and has trained a small network for a step, so that what it loads late is there. Both
numbers are the operating system's, of physical memory: parameters, gradients, the optimizer's state, activations, scratch
space, and whatever the framework keeps to itself. All sides are measured so.
"""

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")

IS_MEASURED = _CLEAR.exists()
"""Whether this system tells: Linux does."""


def growth(run: Callable[[], object]) -> int:
    """Bytes by which the process grew at the height of `run`."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    _CLEAR.write_text("5")  # the high-water mark begins anew
    before = _kilobytes("VmRSS")
    run()
    return (_kilobytes("VmHWM") - before) * 1024


def _kilobytes(field: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1])
