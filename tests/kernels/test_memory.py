"""Freed memory stays with the process: counted by the pages that the system has to hand out."""

import os
import subprocess
import sys
from unittest import mock

import pytest

from tinygrad_cnn.kernels import memory

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is done on Linux only")

ROUNDS = 20
CODE = f"""
import resource, numpy as np, tinygrad_cnn
def round():
    first, second = (np.ones(2 << 20, np.float32) for _ in range(2))
for _ in range(3): round()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({ROUNDS}): round()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / {ROUNDS})
"""


def faults(**environment: str) -> float:
    """How many pages the system hands out when two arrays of 8 MB are made and dropped."""
    clean = {name: value for name, value in os.environ.items() if name not in (*memory._OTHERS, memory._VARIABLE)}
    result = subprocess.run([sys.executable, "-c", CODE], env=clean | environment, capture_output=True, text=True, check=True)
    return float(result.stdout)


def test_arrays_are_made_of_memory_that_was_freed():
    assert faults() < 1
    assert faults(TINYGRAD_CNN_KEEP_MEMORY="0") > 4


@pytest.mark.parametrize("name", [*memory._OTHERS, memory._VARIABLE])
def test_who_has_told_the_c_library_what_to_do_is_not_contradicted(name):
    with mock.patch.dict(os.environ, {name: "0"}), mock.patch("ctypes.CDLL", side_effect=AssertionError):
        assert memory.keep_freed_memory() is False


def test_another_c_library_is_left_alone():
    clean = {name: value for name, value in os.environ.items() if name not in (*memory._OTHERS, memory._VARIABLE)}
    with (
        mock.patch.dict(os.environ, clean, clear=True),
        mock.patch("platform.libc_ver", return_value=("", "")),
        mock.patch("ctypes.CDLL", side_effect=AssertionError),
    ):
        assert memory.keep_freed_memory() is False
