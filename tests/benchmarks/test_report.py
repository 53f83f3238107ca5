"""The report: ratios, means, memory and warnings, from numbers made by hand."""

import json

import pytest

from benchmarks.report import Report, duration, geometric_mean, means
from benchmarks.rounds import Measured, Timing


def measured(name: str, ours: float, theirs: float, **more: object) -> Measured:
    timings = {"ours": Timing([[ours, 2 * ours, 3 * ours]]), "torch": Timing([[theirs, theirs, theirs]])}
    return Measured(name, f"the {name}", timings, **more)


def report(*found: Measured, **more: object) -> Report:
    made = Report("a machine", "2026-01-01", threads=2, rounds=1, seconds=0.5, **more)
    made.versions = {"ours": "1", "torch": "2"}
    made.measured = list(found)
    return made


def test_a_line_has_times_ratios_speed_and_memory() -> None:
    one = measured("lenet", 0.01, 0.04, operations=10**9, memory={"ours": 30_000_000, "torch": 60_000_000})
    text = report(one, peak=100.0).markdown()
    # The median of ours is 20 ms, the best 10; 1 GFLOP in 20 ms are 50 GFLOP/s.
    assert "| the lenet | 20.0 ms | 50 (50%) | 40.0 ms | 0.50 | 0.25 |" in text
    assert "| the lenet | 30 MB | 60 MB | 0.50 |" in text
    assert "busy" not in text


def test_means_are_geometric_and_count_what_both_sides_ran() -> None:
    alone = Measured("x", "x", {"ours": Timing([[1.0]])}, {"torch": "it cannot"})
    rows = [measured("a", 0.1, 0.1), measured("b", 0.1, 0.4), alone]
    assert means(rows, ["torch"]) == "Geometric means: ours / torch 1.00 (of bests 0.50, 2 workloads)."
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    text = report(*rows).markdown()
    assert "| x | 1.00 s |  | - |  |  |" in text
    assert "- torch: it cannot" in text


def test_a_busy_machine_is_said() -> None:
    text = report(measured("a", 0.1, 0.1, others=1.3), measured("b", 0.1, 0.1)).markdown()
    assert "**The machine was busy**: during 1 of 2 workloads other processes used up to 1.3 cores." in text


def test_sweeps_get_a_table_and_an_exponent() -> None:
    points = [measured(f"sweep/batch/{size}", 0.01 * size, 0.02 * size**2) for size in (32, 64, 128, 256)]
    text = report(*points).markdown()
    assert "| 64 | 1.28 s | 81.92 s |" in text
    assert "Exponent from 64 on: ours 1.00, torch 2.00; arithmetic alone would give 1." in text


def test_startup_and_notes_are_in_it() -> None:
    made = report(measured("a", 0.1, 0.1), startup={"ours": (0.2, 0.65)}, notes=["mygrad did not run: not here"])
    assert "| ours | 200 ms | 650 ms |" in made.markdown()
    assert "mygrad did not run: not here" in made.markdown()


def test_json_keeps_every_step() -> None:
    kept = json.loads(json.dumps(report(measured("a", 0.1, 0.2)).json()))
    assert kept["measured"][0]["timings"]["torch"]["rounds"] == [[0.2, 0.2, 0.2]]
    assert kept["threads"] == 2


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.50 s"), (0.123456, "123 ms"), (0.0123, "12.3 ms"), (2.5e-5, "25.0 us"), (4e-4, "400 us")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
