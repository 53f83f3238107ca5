"""The machine: what it is, and whether somebody else is using it."""

import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
BUSY_CORES = 0.15
"""From how many cores in the hands of others a figure is suspect."""


def description() -> str:
    """Processor, cores and system, in a line."""
    names = [line for line in _read(Path("/proc/cpuinfo")).splitlines() if line.startswith("model name")]
    model = names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


@dataclass
class Others:
    """What other processes do while something is measured.

    The processor time of the whole machine, what a virtual one is denied included, less that of this process and of those
    in `own` (the workers). Linux only; elsewhere it sees nothing.
    """

    own: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.own.add(os.getpid())
        self.begin()

    def begin(self) -> None:
        """Look for the first time."""
        self._start, self._ticks, self._busy = time.perf_counter(), _processor_times(), _busy_ticks()

    def cores(self) -> tuple[float, list[str]]:
        """How many cores others used since `begin`, and the busiest processes in words."""
        seconds = max(time.perf_counter() - self._start, 1e-3)
        now = _processor_times()
        shares = {
            pid: (ticks - self._ticks.get(pid, (name, ticks))[1]) / _TICKS / seconds for pid, (name, ticks) in now.items()
        }
        named = sorted(
            ((share, f"{now[pid][0]} ({pid})") for pid, share in shares.items() if pid not in self.own), reverse=True
        )
        mine = sum(share for pid, share in shares.items() if pid in self.own)
        everybody = (_busy_ticks() - self._busy) / _TICKS / seconds
        return max(0.0, everybody - mine), [f"{name} {share:.0%}" for share, name in named[:3] if share > 0.05]


def idleness(seconds: float = 0.5) -> str | None:
    """A warning if the machine is not idle now, or None."""
    others = Others()
    time.sleep(seconds)
    cores, busiest = others.cores()
    load = os.getloadavg()[0]
    if cores < BUSY_CORES and load < (os.cpu_count() or 1):
        return None
    names = f" ({', '.join(busiest)})" if busiest else ""
    return f"the machine is not idle: other processes use {cores:.1f} cores{names}, load average {load:.1f}"


def _processor_times() -> dict[int, tuple[str, int]]:
    """Name and ticks of processor time of each process."""
    found = {}
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if entry.name.isdigit():
            text = _read(entry / "stat")
            if text:
                name, _, rest = text.partition("(")[2].rpartition(")")
                numbers = rest.split()
                found[int(entry.name)] = (name, int(numbers[11]) + int(numbers[12]))
    return found


def _busy_ticks() -> int:
    """Ticks in which the machine's processors were not idle: user, nice, system, interrupts, and those stolen from it."""
    fields = _read(Path("/proc/stat")).partition("\n")[0].split()[1:]
    return sum(int(fields[i]) for i in (0, 1, 2, 5, 6, 7)) if len(fields) > 7 else 0


def _read(path: Path) -> str:
    """The text of a file that may have gone."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
