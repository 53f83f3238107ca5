"""What holds for all tests: in CI, Hypothesis draws the same examples each time; outside, new ones.

Tests marked `torch` compare with PyTorch, which is no dependency; they run with ``pytest -m torch`` where it is installed.
"""

import os
import signal
from importlib.util import find_spec

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("random", deadline=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "random")

# A process that a shell starts in the background ignores Ctrl-C, and so would the trainings that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

collect_ignore = [] if find_spec("torch") else ["torch_agreement"]
