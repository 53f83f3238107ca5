"""Memory that is freed stays with the process, for the next array of its size.

A training step makes and drops the same arrays again and again. Left alone, the C library gives those of some megabytes back to
the system and asks for them anew, and the system hands memory out page by page, each page cleared, when it is first written
to: writing 25 MB of ones takes 1 ms into memory that the process has, and 7 ms into memory that it has just got. In a step of
LeNet-5 that was 15 % of the time, of ResNet-20 4 %.

So the C library is asked, once, to keep up to 512 MB that are free at the end of its heap, and to serve arrays of up to
32 MB (more it does not allow) from there. The peak of a process is what it was; after it, less is given back. Whoever has
told the C library what to do, by its own environment variables, is not contradicted, and TINYGRAD_CNN_KEEP_MEMORY=0 leaves
everything as it is. There is nothing to be done outside Linux, or with a C library other than GNU's.
"""

from __future__ import annotations

import ctypes
import os
import platform

_VARIABLE = "TINYGRAD_CNN_KEEP_MEMORY"
_OTHERS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")

# Numbers of options, from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

_KEPT_BYTES = 512 << 20
_LARGEST_KEPT_ARRAY = 32 << 20


def keep_freed_memory() -> bool:
    """Ask the C library to keep what is freed; return whether it does now."""
    if os.environ.get(_VARIABLE) == "0" or any(name in os.environ for name in _OTHERS):
        return False
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    asked = ((_M_TRIM_THRESHOLD, _KEPT_BYTES), (_M_MMAP_THRESHOLD, _LARGEST_KEPT_ARRAY))
    return all(library.mallopt(option, value) == 1 for option, value in asked)
