"""What holds for all tests: in CI, Hypothesis draws the same examples each time; outside, new ones.

Tests marked `torch` compare with PyTorch, which is no dependency; they run with ``pytest -m torch`` where it is installed.
"""

import os
from importlib.util import find_spec

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("random", deadline=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "random")

collect_ignore = [] if find_spec("torch") else ["torch_agreement"]
