"""The table of `tinygrad-cnn verify`: every op, every case, every check; what fails is listed below it."""

import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TextIO

from ..autograd.function import Function
from . import cases_cnn, cases_elementwise, cases_reduce, cases_shape
from .case import Case
from .checks import CHECKS, applies, problem_of

CASES: list[Case] = [*cases_elementwise.CASES, *cases_reduce.CASES, *cases_shape.CASES, *cases_cnn.CASES]


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
    """What became of one op: for each check, how many cases it ran on; and the problems found."""

    op: str
    cases: int
    ran: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    failed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    problems: list[str] = field(default_factory=list)

    def cell(self, check: str) -> str:
        """``ok`` with the number of cases, ``FAIL`` with how many of them, or a dash where it does not apply."""
        if self.failed[check]:
            return f"FAIL {self.failed[check]}/{self.ran[check]}"
        return f"ok {self.ran[check]}" if self.ran[check] else "-"


def verify_op(op: type[Function]) -> Row:
    """Run every check on every case of one op; an op without a case is a problem."""
    cases = cases_of(op)
    row = Row(op.__name__, len(cases))
    if not cases:
        row.problems.append(f"{op.__name__}: no case covers this op")
    for case in cases:
        for check in CHECKS:
            if not applies(check, case):
                continue
            row.ran[check] += 1
            problem = problem_of(check, case)
            if problem:
                row.failed[check] += 1
                row.problems.append(f"{op.__name__} ({case.label or 'plain'}), {check}: {problem}")
    return row


def run(stream: TextIO = sys.stdout) -> bool:
    """Verify every op, print the table, and say whether all is well."""
    start = time.perf_counter()
    header = f"{'op':<20}{'cases':>6}  " + "".join(f"{name:<15}" for name in CHECKS)
    print(header, "-" * len(header), sep="\n", file=stream)
    rows = []
    for op in all_ops():
        row = verify_op(op)
        rows.append(row)
        print(f"{row.op:<20}{row.cases:>6}  " + "".join(f"{row.cell(name):<15}" for name in CHECKS), file=stream, flush=True)
    problems = [problem for row in rows for problem in row.problems]
    for problem in problems:
        print(f"FAIL  {problem}", file=stream)
    total = sum(row.cases for row in rows)
    print(
        f"{len(rows)} ops, {total} cases, {sum(sum(row.ran.values()) for row in rows)} checks, {len(problems)} problems, "
        f"{time.perf_counter() - start:.1f} s",
        file=stream,
    )
    return not problems
