"""How long BLAS's idle threads stay awake: hardly, if NumPy is first imported from here.

Between two products the threads of OpenBLAS, NumPy's BLAS, spin: they look for work again and again for some 20 ms, and may
slow down the thread that has other things to do. Without Numba that is the one that copies windows into columns. On a virtual
machine with two cores, every second process took 1.7 times the time of the others for all of its life (a training step of
ResNet-20 740 ms instead of 430). With threads that go to sleep at once none did; waking them costs a tenth (470 ms).

OpenBLAS reads the wish from the environment when it is loaded, with NumPy. So `tinygrad_cnn` imports this before anything else.
Where NumPy has been imported before, or the variable is set, all stays as it is; no process that is started later sees it.
"""

import os
import sys
from importlib import import_module

_VARIABLE = "OPENBLAS_THREAD_TIMEOUT"

_SHORTEST = "4"
"""The threads look for work for 2 ** 4 cycles; less is not possible."""

if "numpy" not in sys.modules and _VARIABLE not in os.environ:
    os.environ[_VARIABLE] = _SHORTEST
    try:
        import_module("numpy")
    finally:
        del os.environ[_VARIABLE]
