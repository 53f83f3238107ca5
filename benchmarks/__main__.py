"""The commands: ``python -m benchmarks run``, ``check`` and ``accuracy``. See README.md beside this file."""

import argparse
import contextlib
import json
import sys
from contextlib import ExitStack
from datetime import date
from pathlib import Path

from .checks import compare
from .machine import description, idleness
from .process import NotInstalled, Side, WorkerProcess
from .report import OURS, Report
from .rounds import Measured, measure
from .sides import SIDES
from .startup import startup
from .workloads import Training, Workload, select

DEFAULT = ["training", "one_op"]
PEERS = [name for name in SIDES if name != OURS]


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and do what it says; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Times this package beside others.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="time workloads on all sides, in interleaved rounds")
    check = commands.add_parser("check", help="do the sides compute the same? compares losses and gradients")
    commands.add_parser("accuracy", help="convolution algorithms against float64")
    for command in (run, check):
        command.add_argument(
            "--against", default="", metavar="SIDES", help=f"peers, with commas: {', '.join(PEERS)}, torch:channels_last"
        )
        command.add_argument(
            "--workloads",
            default=",".join(DEFAULT),
            help="names with commas; conv/, layer/, loss/, update/, sweep/ for all of a kind",
        )
        command.add_argument(
            "--peer-python",
            action="append",
            default=[],
            metavar="PEER=PATH",
            help="the interpreter that has a peer; repeatable",
        )
        command.add_argument("--threads", type=int, default=2)
    run.add_argument("--rounds", type=int, default=5)
    run.add_argument("--seconds", type=float, default=0.5, help="of one turn of one side")
    run.add_argument("--no-memory", action="store_true", help="do not measure memory")
    run.add_argument("--startup", action="store_true", help="measure imports and first results too")
    run.add_argument("--json", type=Path, metavar="FILE")
    run.add_argument("--markdown", type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    if given.command == "accuracy":
        from .accuracy import table

        print(table(), end="")
        return 0
    sides = _sides(given.against, given.peer_python, parser)
    workloads = select(given.workloads.split(","))
    return _check(sides, workloads, given) if given.command == "check" else _run(sides, workloads, given)


def _sides(against: str, peer_python: list[str], parser: argparse.ArgumentParser) -> list[Side]:
    pythons = dict(pair.partition("=")[::2] for pair in peer_python)
    sides = [Side(OURS)]
    for spelling in filter(None, against.split(",")):
        peer = spelling.partition(":")[0]
        if peer not in PEERS:
            parser.error(f"--against: no peer is called {spelling!r}; there are {', '.join(PEERS)}")
        sides.append(Side(spelling, pythons.get(peer, sys.executable)))
    return sides


def _start(sides: list[Side], threads: int, stack: ExitStack, notes: list[str]) -> dict[str, WorkerProcess]:
    """A worker for each side that is installed; a note for each that is not."""
    workers = {}
    for side in sides:
        try:
            workers[side.spelling] = stack.enter_context(WorkerProcess(side, threads))
        except NotInstalled as missing:
            notes.append(f"{side.spelling} did not run: {missing}")
    return workers


def _run(sides: list[Side], workloads: list[Workload], given: argparse.Namespace) -> int:
    report = Report(description(), date.today().isoformat(), given.threads, given.rounds, given.seconds)
    warning = idleness()
    if warning:
        report.notes.append(f"Before the run {warning}.")
        print(f"warning: {warning}", file=sys.stderr)
    with ExitStack() as stack:
        workers = _start(sides, given.threads, stack, report.notes)
        report.versions = {name: worker.version for name, worker in workers.items()}
        present = [side for side in sides if side.spelling in workers]
        report.peak = workers[OURS].ask("peak")["gflops"]
        for workload in workloads:
            found = measure(workers, workload, given.rounds, given.seconds)
            found.operations = _operations(workload)
            if not given.no_memory and isinstance(workload, Training) and "/" not in workload.name:
                found.memory = _memory(present, workload, given.threads)
            report.measured.append(found)
            _progress(found)
            _save(report, given)
    if given.startup:
        report.startup = startup(present, given.threads, min(given.rounds, 5))
        _save(report, given)
    print(report.markdown(), end="")
    return 0


def _operations(workload: Workload) -> int | None:
    from .flops import operations

    return operations(workload)


def _memory(sides: list[Side], workload: Workload, threads: int) -> dict[str, int]:
    """Peak bytes by side, each in a process that does nothing else."""
    found = {}
    for side in sides:
        with WorkerProcess(side, threads) as worker:
            answer = worker.ask("memory", workload=workload.name)
        with contextlib.suppress(KeyError):
            found[side.spelling] = answer["bytes"]
    return found


def _progress(found: Measured) -> None:
    """A line on standard error, so that the tables can be redirected."""
    times = ", ".join(f"{name} {timing.median * 1e3:.3g} ms" for name, timing in found.timings.items())
    busy = f" (others use {found.others:.1f} cores)" if found.others > 0.1 else ""
    print(f"{found.workload}: {times}{busy}", file=sys.stderr, flush=True)


def _save(report: Report, given: argparse.Namespace) -> None:
    if given.json:
        given.json.write_text(json.dumps(report.json(), indent=1), encoding="utf-8")
    if given.markdown:
        given.markdown.write_text(report.markdown(), encoding="utf-8")


def _check(sides: list[Side], workloads: list[Workload], given: argparse.Namespace) -> int:
    notes: list[str] = []
    wrong = 0
    with ExitStack() as stack:
        workers = _start(sides, given.threads, stack, notes)
        for note in notes:
            print(note)
        for name, worker in workers.items():
            for workload in workloads if name != OURS else []:
                try:
                    found = compare(workers[OURS], worker, workload.name)
                except LookupError as reason:
                    print(f"{workload.name}: not compared: {reason}")
                    continue
                wrong += bool(found)
                print(f"{workload.name}: {name} {'; '.join(found[:4]) if found else 'agrees'}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
