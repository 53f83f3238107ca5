"""The table of `tinygrad-cnn verify`: every op, every case, every check; what fails is listed below it."""

import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from ..autograd.function import Function
from . import (
    cases_activation,
    cases_cnn,
    cases_conv_transpose,
    cases_dropout,
    cases_elementwise,
    cases_loss,
    cases_norm,
    cases_pool,
    cases_reduce,
    cases_resample,
    cases_shape,
)
from .case import Case
from .checks import CHECKS, applies, problem_of
from .page import page

CASES: list[Case] = [
    *cases_elementwise.CASES,
    *cases_reduce.CASES,
    *cases_shape.CASES,
    *cases_cnn.CASES,
    *cases_conv_transpose.CASES,
    *cases_pool.CASES,
    *cases_activation.CASES,
    *cases_dropout.CASES,
    *cases_norm.CASES,
    *cases_loss.CASES,
    *cases_resample.CASES,
]


def all_ops() -> list[type[Function]]:
    """Every op that the package defines, by name: the subclasses of `Function` in `ops` that have a forward."""
    found, stack = [], [Function]
    while stack:
        for op in stack.pop().__subclasses__():
            stack.append(op)
            if op.__module__.startswith("tinygrad_cnn.ops.") and "forward" in vars(op):
                found.append(op)
    return sorted(found, key=lambda op: op.__name__)


def cases_of(op: type[Function]) -> list[Case]:
    """The cases that are about one op."""
    return [case for case in CASES if case.op is op]


@dataclass
class Row:
    """What became of one op, or of one case: for each check, how many cases it ran on; and the problems found."""

    name: str
    cases: int
    ran: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    failed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    problems: list[str] = field(default_factory=list)

    def cell(self, check: str) -> str:
        """``ok`` with the number of cases, ``FAIL`` with how many of them, or a dash where it does not apply."""
        if self.failed[check]:
            return f"FAIL {self.failed[check]}/{self.ran[check]}"
        return f"ok {self.ran[check]}" if self.ran[check] else "-"

    def add(self, case: Case) -> None:
        """Run every check on one case."""
        for check in CHECKS:
            if not applies(check, case):
                continue
            self.ran[check] += 1
            problem = problem_of(check, case)
            if problem:
                self.failed[check] += 1
                self.problems.append(f"{case.op.__name__} ({case.label or 'plain'}), {check}: {problem}")


def rows_of(op: type[Function], full: bool) -> Iterator[Row]:
    """Verify one op: one row for all of its cases, or with `full` one row for each; without a case, a problem."""
    cases = cases_of(op)
    if not cases:
        yield Row(op.__name__, 0, problems=[f"{op.__name__}: no case covers this op"])
    elif full:
        for case in cases:
            row = Row(f"{op.__name__}: {case.label}" if case.label else op.__name__, 1)
            row.add(case)
            yield row
    else:
        row = Row(op.__name__, len(cases))
        for case in cases:
            row.add(case)
        yield row


def run(full: bool = False, stream: TextIO = sys.stdout, html: Path | None = None) -> bool:
    """Verify every op, print the table, and say whether all is well.

    Parameters
    ----------
    full : bool
        A row for each case (op and option) instead of one for each op.
    stream : text file
        Where the table goes.
    html : Path, optional
        Where to write the table as a page as well.

    Returns
    -------
    bool
        Whether every check of every case passed, and every op had a case.
    """
    start = time.perf_counter()
    width = 60 if full else 22
    header = f"{'op':<{width}}{'cases':>6}  " + "".join(f"{name:<15}" for name in CHECKS)
    print(header, "-" * len(header), sep="\n", file=stream)
    rows = []
    for op in all_ops():
        for row in rows_of(op, full):
            rows.append(row)
            cells = "".join(f"{row.cell(name):<15}" for name in CHECKS)
            print(f"{row.name:<{width}}{row.cases:>6}  {cells}", file=stream, flush=True)
    problems = [problem for row in rows for problem in row.problems]
    for problem in problems:
        print(f"FAIL  {problem}", file=stream)
    summary = (
        f"{len(all_ops())} ops, {sum(row.cases for row in rows)} cases, {sum(sum(row.ran.values()) for row in rows)} checks, "
        f"{len(problems)} problems, {time.perf_counter() - start:.1f} s"
    )
    print(summary, file=stream)
    if html is not None:
        html.write_text(page(rows, problems, summary), encoding="utf-8")
    return not problems
