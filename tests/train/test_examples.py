"""The examples run as they stand, and say what their texts promise."""

import os
import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def output_of(name):
    one_thread = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # the tests run side by side
    done = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True, env=one_thread, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


def test_train_mnist_learns_from_epoch_to_epoch():
    errors = [float(percent) for percent in re.findall(r"^epoch \d: ([\d.]+) %", output_of("train_mnist.py"), re.MULTILINE)]
    assert len(errors) == 3
    assert errors[-1] < errors[0]
    assert errors[-1] < 6


def test_custom_op_finds_the_wrong_gradient():
    shown = output_of("custom_op.py")
    assert "Swish, first derivative:  True" in shown
    assert "Swish, second derivative: True" in shown
    assert "ForgetfulSwish: gradcheck of ForgetfulSwish: wrong gradient of output 0" in shown
