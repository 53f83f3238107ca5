"""Rounds, blocks, medians: what `benchmarks.rounds` makes of a worker's answers."""

from typing import Any

import pytest

from benchmarks.rounds import Timing, measure, turn
from benchmarks.workloads import ONE_OP


class Stub:
    """A worker that says how long its steps took, and notes what it was asked."""

    def __init__(self, name: str, log: list[str], seconds: list[list[float]], refuses: str = "") -> None:
        self.name, self.log, self.seconds, self.refuses = name, log, iter(seconds), refuses
        self.pid = 0

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        self.log.append(f"{self.name} {do}")
        if do == "prepare":
            return {"unsupported": self.refuses} if self.refuses else {"seconds": 0.1}
        assert arguments == {"steps": 5, "block": 1}
        return {"seconds": next(self.seconds), "loss": 1.5}


def test_sides_take_turns_and_the_median_is_that_of_the_rounds() -> None:
    log: list[str] = []
    workers: Any = {
        "a": Stub("a", log, [[1.0, 2.0, 9.0], [4.0, 4.0, 4.0], [3.0, 3.0, 0.5]]),
        "b": Stub("b", log, [[1.0], [1.0], [1.0]]),
        "c": Stub("c", log, [], refuses="it has no conv"),
    }
    found = measure(workers, ONE_OP, rounds=3, seconds=0.5)
    assert log == ["a prepare", "b prepare", "c prepare", "a run", "b run", "b run", "a run", "a run", "b run"]
    assert found.timings["a"].median == 3.0  # of 2, 4 and 3
    assert found.timings["a"].best == 0.5
    assert found.timings["a"].loss == 1.5
    assert found.unsupported == {"c": "it has no conv"}
    assert "c" not in found.timings


def test_one_slow_round_does_not_move_the_median() -> None:
    assert Timing([[1.0, 1.0], [1.0, 1.0], [50.0, 60.0]]).median == 1.0


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0.1, {"steps": 5, "block": 1}),
        (1e-5, {"steps": 250, "block": 200}),  # the clock is read every 2 ms
        (0.4, {"steps": 3, "block": 1}),
        (1.0, {"steps": 3, "block": 1}),
        (3.0, {"steps": 1, "block": 1}),
    ],
)
def test_turns_are_about_as_long_as_wished(step: float, expected: dict[str, int]) -> None:
    assert turn(step, seconds=0.5) == expected
