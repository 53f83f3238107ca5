"""The clock of a profile, in the hands of the test."""

import pytest

from tinygrad_cnn.profiler import recorder

from .profiler_cases import Clock


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(recorder, "perf_counter", made)
    return made
