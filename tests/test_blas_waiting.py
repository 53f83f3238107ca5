"""What NumPy's BLAS is told when tinygrad_cnn brings NumPy along."""

import os
import subprocess
import sys

import pytest

WATCH = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            print("numpy sees", os.environ.get("OPENBLAS_THREAD_TIMEOUT"))
sys.meta_path.insert(0, Watch())
"""


@pytest.mark.parametrize(
    ("code", "given", "expected"),
    [
        ("import tinygrad_cnn", {}, ["numpy sees 4", "afterwards None"]),
        ("import numpy, tinygrad_cnn", {}, ["numpy sees None", "afterwards None"]),
        ("import tinygrad_cnn", {"OPENBLAS_THREAD_TIMEOUT": "9"}, ["numpy sees 9", "afterwards 9"]),
    ],
    ids=["first", "after NumPy", "the user's wish"],
)
def test_idle_threads_sleep_where_nobody_has_said_otherwise(code, given, expected):
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_THREAD_TIMEOUT"}
    code = f"{WATCH}{code}\nprint('afterwards', os.environ.get('OPENBLAS_THREAD_TIMEOUT'))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment | given)
    assert result.stdout.splitlines() == expected
