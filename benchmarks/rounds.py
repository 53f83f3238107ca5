"""Timing two or more sides fairly: in rounds, in which each side in turn runs some steps while the others wait.

A machine's speed drifts, with its temperature and with what else it does. Sides that take turns every half second share
the drift, so the ratio of their times hardly feels it. A side's figure is the median over the rounds of the median of each
round; its best is the fastest step of all. Where the two ratios (of medians, of bests) agree, the measurement is good.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from statistics import median

from .machine import Others
from .process import WorkerProcess
from .workloads import Workload

SHORTEST_BLOCK = 2e-3
"""Seconds. Shorter steps are timed many at a time, so that reading the clock does not count."""


@dataclass
class Timing:
    """The steps of one side: seconds of each, by rounds."""

    rounds: list[list[float]]
    loss: float | None = None

    @property
    def median(self) -> float:
        """The median of the rounds' medians."""
        return median(median(seconds) for seconds in self.rounds)

    @property
    def best(self) -> float:
        """The fastest step."""
        return min(min(seconds) for seconds in self.rounds)


@dataclass
class Measured:
    """One workload on all sides.

    Attributes
    ----------
    workload : str
    title : str
    timings : dict of str to Timing
        By the side's spelling.
    unsupported : dict of str to str
        Why a side has none.
    others : float
        How many cores other processes used meanwhile.
    operations : int or None
        See `flops`.
    memory : dict of str to int
        Peak bytes, where it was measured.
    """

    workload: str
    title: str
    timings: dict[str, Timing] = field(default_factory=dict)
    unsupported: dict[str, str] = field(default_factory=dict)
    others: float = 0.0
    operations: int | None = None
    memory: dict[str, int] = field(default_factory=dict)


def measure(workers: Mapping[str, WorkerProcess], workload: Workload, rounds: int, seconds: float) -> Measured:
    """Time a workload on each side, in turns of about so many seconds."""
    found = Measured(workload.name, workload.title)
    turns: dict[str, dict[str, int]] = {}
    for name, worker in workers.items():
        answer = worker.ask("prepare", workload=workload.name)
        if "unsupported" in answer:
            found.unsupported[name] = answer["unsupported"]
        else:
            turns[name] = turn(answer["seconds"], seconds)
            found.timings[name] = Timing([])
    others = Others({worker.pid for worker in workers.values()})
    for i in range(rounds):
        order = list(turns) if i % 2 == 0 else list(reversed(turns))
        for name in order:
            ran = workers[name].ask("run", **turns[name])
            found.timings[name].rounds.append(ran["seconds"])
            found.timings[name].loss = ran["loss"]
    found.others = others.cores()[0]
    return found


def turn(step: float, seconds: float) -> dict[str, int]:
    """How many blocks of how many steps make a turn: three at least, unless they would take ten times as long as wished.

    Examples
    --------
    >>> turn(0.01, seconds=0.5), turn(5e-6, seconds=0.5), turn(0.4, seconds=0.5), turn(4.0, seconds=0.5)
    ({'steps': 50, 'block': 1}, {'steps': 250, 'block': 400}, {'steps': 3, 'block': 1}, {'steps': 1, 'block': 1})
    """
    block = max(1, ceil(SHORTEST_BLOCK / step - 1e-6))
    steps = round(seconds / (step * block))
    fewest = 3 if 3 * step <= 10 * seconds else 1
    return {"steps": max(fewest, steps), "block": block}
