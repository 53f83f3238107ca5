"""The table of a profile: calls added up by op, by module or one by one, and written in columns."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from ..errors import ArgumentError

if TYPE_CHECKING:
    from .timeline import Call, Region, Timeline

Group: TypeAlias = Literal["op", "module", "call"]
Order: TypeAlias = Literal["time", "forward", "backward", "calls", "flops", "bytes", "order", "name"]

OUTSIDE = "(no module)"


@dataclass(frozen=True, slots=True)
class Row:
    """What several calls, or one, add up to.

    Attributes
    ----------
    name : str
        Of the op, the module, the call (with its module and the shape of its result), or the region.
    calls : int
        Of ops and of rules together; of a region, how often it ran.
    forward, backward : float
        Seconds in ops, and in rules; those of a region are in `forward`.
    flops, bytes : int
        As `profile` counts them.
    began : float
        When the first call began.
    """

    name: str
    calls: int
    forward: float
    backward: float
    flops: int
    bytes: int
    began: float

    @property
    def time(self) -> float:
        """Seconds in ops and in rules."""
        return self.forward + self.backward

    @property
    def flops_per_second(self) -> float:
        """0 where nothing was counted."""
        return self.flops / self.time if self.time else 0.0

    @property
    def bytes_per_second(self) -> float:
        """0 where nothing moved."""
        return self.bytes / self.time if self.time else 0.0


_KEYS: dict[Order, Callable[[Row], Any]] = {
    "time": lambda row: -row.time,
    "forward": lambda row: -row.forward,
    "backward": lambda row: -row.backward,
    "calls": lambda row: -row.calls,
    "flops": lambda row: -row.flops,
    "bytes": lambda row: -row.bytes,
    "order": lambda row: row.began,
    "name": lambda row: row.name,
}


def grouped(timeline: "Timeline", sort_by: Order, group_by: Group, depth: int | None) -> list[Row]:
    """Add calls and regions up; see `Timeline.table` for the options."""
    if group_by not in get_args(Group):
        raise ArgumentError(f"group_by must be {', '.join(map(repr, get_args(Group)))}, got {group_by!r}")
    if sort_by not in _KEYS:
        raise ArgumentError(f"sort_by must be {', '.join(map(repr, _KEYS))}, got {sort_by!r}")
    if depth is not None and (group_by != "module" or depth < 1):
        raise ArgumentError(
            f"depth={depth}: it is a number of names in a module's path, 1 or more, and goes with group_by='module' only"
        )
    groups: dict[Any, list[Call]] = {}
    for i, call in enumerate(timeline.calls):
        groups.setdefault((i, _title(call)) if group_by == "call" else (0, _name(call, group_by, depth)), []).append(call)
    regions: dict[str, list[Region]] = {}
    for region in timeline.regions:
        regions.setdefault(f"[{region.name}]", []).append(region)
    rows = [_sum(name, calls) for (_, name), calls in groups.items()]
    rows += [_sum_of_regions(name, each) for name, each in regions.items()]
    return sorted(rows, key=_KEYS[sort_by])


def _name(call: "Call", group_by: Group, depth: int | None) -> str:
    if group_by == "op":
        return call.name
    return ".".join(call.module.split(".")[:depth]) or OUTSIDE


def _title(call: "Call") -> str:
    """A call by itself: what ran, where, and the shape of the result; of a rule, of the gradient that it was given."""
    shape = call.output_shapes[0] if call.kind == "forward" else call.input_shapes[0]
    return " ".join(filter(None, (call.name, call.module, str(shape))))


def _sum(name: str, calls: Sequence["Call"]) -> Row:
    return Row(
        name,
        len(calls),
        sum(call.own_seconds for call in calls if call.kind == "forward"),
        sum(call.own_seconds for call in calls if call.kind == "backward"),
        sum(call.flops for call in calls),
        sum(call.bytes for call in calls),
        min(call.start for call in calls),
    )


def _sum_of_regions(name: str, regions: Iterable["Region"]) -> Row:
    regions = list(regions)
    seconds, began = sum(region.own_seconds for region in regions), min(region.start for region in regions)
    return Row(name, len(regions), seconds, 0.0, 0, 0, began)


def written(timeline: "Timeline", sort_by: Order, row_limit: int | None, group_by: Group, depth: int | None) -> str:
    """The table as text; see `Timeline.table`."""
    if row_limit is not None and row_limit < 1:
        raise ArgumentError(f"row_limit is a number of rows, 1 or more, or None for all; got {row_limit}")
    rows = grouped(timeline, sort_by, group_by, depth)
    shown = rows[:row_limit]
    by_module = group_by == "module"
    head = [group_by, "calls", "ms", "%", *(("forward", "backward") if by_module else ("ms/call",))]
    head += ["MiB", "MFLOP", "GFLOP/s", "GB/s"]
    lines = [head, *(_cells(row, timeline.seconds, by_module) for row in shown)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = ["  ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])]) for cells in lines]
    rule = "-" * len(text[0])
    more = [f"... and {len(rows) - len(shown)} more"] if len(shown) < len(rows) else []
    return "\n".join([text[0], rule, *text[1:], *more, rule, *_sums(timeline)])


def _cells(row: Row, seconds: float, by_module: bool) -> list[str]:
    share = f"{100 * row.time / seconds:.1f}" if seconds else "-"
    parts = [_ms(row.forward), _ms(row.backward)] if by_module else [_ms(row.time / row.calls)]
    cells = [row.name, f"{row.calls:,}", _ms(row.time), share, *parts]
    cells.append(f"{row.bytes / 2**20:,.2f}" if row.bytes else "-")
    cells += [f"{row.flops / 1e6:,.2f}", f"{row.flops_per_second / 1e9:,.2f}"] if row.flops else ["-", "-"]
    cells.append(f"{row.bytes_per_second / 1e9:,.2f}" if row.bytes else "-")
    return cells


def _sums(timeline: "Timeline") -> list[str]:
    """Where all the time went, and the most memory."""
    parts = [f"{_ms(timeline.op_seconds)} in {len(timeline.calls):,} calls"]
    if timeline.regions:
        parts.append(f"{_ms(timeline.region_seconds)} in regions")
    parts += [f"{_ms(timeline.other_seconds)} between them", f"{_ms(timeline.own_seconds)} of the profile itself"]
    lines = [f"{_ms(timeline.seconds)} ms: {', '.join(parts)}"]
    if timeline.memory.samples:
        peak, at = timeline.memory.peak / 2**20, _ms(timeline.memory.peak_at)
        lines.append(f"{peak:,.2f} MiB made by ops and alive, at the most (after {at} ms)")
    return lines


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:,.3f}"
