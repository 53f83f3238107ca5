"""What was measured, as Markdown to read and as JSON to keep."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .machine import BUSY_CORES
from .rounds import Measured
from .sweeps import SWEEPS, exponent

OURS = "ours"


@dataclass
class Report:
    """One run of the benchmarks.

    Attributes
    ----------
    machine : str
    date : str
    threads, rounds : int
    seconds : float
        Of a turn, as asked for.
    versions : dict of str to str
        Of each side that ran.
    notes : list of str
        Warnings, and sides that did not run.
    peak : float or None
        GFLOP/s of NumPy's matrix product here.
    measured : list of Measured
    startup : dict of str to (float, float)
        Seconds of the import, and to the first result.
    """

    machine: str
    date: str
    threads: int
    rounds: int
    seconds: float
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    peak: float | None = None
    measured: list[Measured] = field(default_factory=list)
    startup: dict[str, tuple[float, float]] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Everything, each step's seconds too."""
        return asdict(self)

    def markdown(self) -> str:
        """The tables."""
        peers = [name for name in self.versions if name != OURS]
        training = [found for found in self.measured if "/" not in found.workload]
        single = [found for found in self.measured if "/" in found.workload and not found.workload.startswith("sweep/")]
        parts = [self._head()]
        if training:
            parts += [_table(*_times(training, peers, self.peak)), means(training, peers)]
        if any(found.memory for found in training):
            parts += [
                "Peak memory of a process that does this alone, less what it had before:",
                _table(*_memory(training, peers)),
            ]
        if self.startup:
            parts.append(_table(*_startup(self.startup)))
        if single:
            parts += ["Layers, losses and optimizers alone:", _table(*_times(single, peers, self.peak)), means(single, peers)]
        parts += sweep_parts([found for found in self.measured if found.workload.startswith("sweep/")], list(self.versions))
        refused = {f"{name}: {why}" for found in self.measured for name, why in found.unsupported.items()}
        if refused:
            parts.append("\n".join(f"- {line}" for line in sorted(refused)))
        return "\n\n".join(filter(None, parts)) + "\n"

    def _head(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        lines = [
            f"{self.date}; {self.machine}; float32, {self.threads} threads on every side; {versions}; "
            f"{self.rounds} rounds of turns of {self.seconds:g} s.",
        ]
        if self.peak:
            lines[0] += f" NumPy's matrix product reaches {self.peak:.0f} GFLOP/s."
        crowded = [found for found in self.measured if found.others >= BUSY_CORES]
        if crowded:
            most = max(found.others for found in crowded)
            lines.append(
                f"**The machine was busy**: during {len(crowded)} of {len(self.measured)} workloads other processes used up to "
                f"{most:.1f} cores. Times are too long, and ratios may be off."
            )
        return "\n\n".join(lines + self.notes)


def _times(rows: Sequence[Measured], peers: Sequence[str], peak: float | None) -> tuple[list[str], list[list[str]]]:
    head = ["workload", "ours", "GFLOP/s"]
    for peer in peers:
        head += [peer, f"ours / {peer}", "of bests"]
    lines = []
    for found in rows:
        ours = found.timings.get(OURS)
        speed = ""
        if ours and found.operations:
            speed = f"{found.operations / ours.median / 1e9:.0f}"
            speed += f" ({found.operations / ours.median / 1e9 / peak:.0%})" if peak else ""
        line = [found.title, duration(ours.median) if ours else "-", speed]
        for peer in peers:
            theirs = found.timings.get(peer)
            if ours and theirs:
                line += [duration(theirs.median), f"{ours.median / theirs.median:.2f}", f"{ours.best / theirs.best:.2f}"]
            else:
                line += ["-", "", ""]
        lines.append(line)
    return head, lines


def means(rows: Sequence[Measured], peers: Sequence[str]) -> str:
    """A line with the geometric mean of the ratios, for each peer."""
    words = []
    for peer in peers:
        pairs = [(found.timings[OURS], found.timings[peer]) for found in rows if {OURS, peer} <= found.timings.keys()]
        if len(pairs) > 1:
            medians = geometric_mean([ours.median / theirs.median for ours, theirs in pairs])
            bests = geometric_mean([ours.best / theirs.best for ours, theirs in pairs])
            words.append(f"ours / {peer} {medians:.2f} (of bests {bests:.2f}, {len(pairs)} workloads)")
    return f"Geometric means: {'; '.join(words)}." if words else ""


def _memory(rows: Sequence[Measured], peers: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    head = ["workload", "ours"]
    for peer in peers:
        head += [peer, f"ours / {peer}"]
    lines = []
    for found in rows:
        if not found.memory:
            continue
        ours = found.memory.get(OURS)
        line = [found.title, megabytes(ours)]
        for peer in peers:
            theirs = found.memory.get(peer)
            line += [megabytes(theirs), f"{ours / theirs:.2f}" if ours and theirs else ""]
        lines.append(line)
    return head, lines


def _startup(seconds: dict[str, tuple[float, float]]) -> tuple[list[str], list[list[str]]]:
    lines = [[name, duration(first), duration(second)] for name, (first, second) in seconds.items()]
    return ["fresh process", "import", "to the first result (import, simplified LeNet, one step)"], lines


def sweep_parts(rows: Sequence[Measured], sides: Sequence[str]) -> list[str]:
    """A table for each sweep, and a line with the fitted exponents."""
    by_name = {found.workload: found for found in rows}
    parts = []
    for sweep in SWEEPS:
        points = [(size, by_name[name]) for size in sweep.sizes if (name := f"sweep/{sweep.name}/{size}") in by_name]
        if not points:
            continue
        lines = [
            [str(size), *(duration(found.timings[side].median) if side in found.timings else "-" for side in sides)]
            for size, found in points
        ]
        words = []
        for side in sides:
            fitted = [
                (size, found.timings[side].median)
                for size, found in points
                if size >= sweep.fitted_from and side in found.timings
            ]
            if len(fitted) > 1:
                words.append(f"{side} {exponent(*zip(*fitted, strict=True)):.2f}")
        parts += [
            f"A training step by {sweep.title}:",
            _table(["size", *sides], lines),
            f"Exponent from {sweep.fitted_from} on: {', '.join(words)}; arithmetic alone would give {sweep.expected:g}.",
        ]
    return parts


def geometric_mean(ratios: Sequence[float]) -> float:
    """The mean that treats 2 and 1/2 alike.

    Examples
    --------
    >>> round(geometric_mean([2.0, 0.5, 1.0]), 6)
    1.0
    """
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def duration(seconds: float) -> str:
    """Three digits with a unit.

    Examples
    --------
    >>> duration(0.01234), duration(1.234), duration(5.6e-6), duration(0.2841)
    ('12.3 ms', '1.23 s', '5.6 us', '284 ms')
    """
    if seconds >= 1:
        return f"{seconds:.2f} s"
    value, unit = (seconds * 1e3, "ms") if seconds >= 1e-3 else (seconds * 1e6, "us")
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"


def megabytes(count: int | None) -> str:
    """Of 10^6 bytes; a dash for none."""
    return "-" if count is None else f"{count / 1e6:.0f} MB"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))
