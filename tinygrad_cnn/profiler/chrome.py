"""A profile in the Trace Event Format, which chrome://tracing and ui.perfetto.dev draw.

Each op is a complete event ("X"): where it begins and how long it lasts, in microseconds. Events of one lane lie inside one
another or apart. A module is an event around its ops, from the first of them to the last, as long as nothing of another module
comes between. An arrow ("s" to "f") leads from an op to its rule; the memory is a counter ("C").

References
----------
Google, "Trace Event Format", sections on complete events, flow events, counter events and metadata events.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .timeline import Call, Timeline

Event = dict[str, Any]

PROCESS = 1
LANES = {"forward": 1, "backward": 2, "regions": 3}


def trace(timeline: "Timeline") -> dict[str, Any]:
    """The whole trace, as plain data."""
    events = [_metadata("process_name", 0, name="tinygrad_cnn")]
    for lane, number in LANES.items():
        events += [_metadata("thread_name", number, name=lane), _metadata("thread_sort_index", number, sort_index=number)]
    timed: list[Event] = [_span(one.name, "region", LANES["regions"], one.start, one.seconds) for one in timeline.regions]
    for kind in ("forward", "backward"):
        # What encloses another begins no later and, beginning together, ends later.
        calls = sorted((call for call in timeline.calls if call.kind == kind), key=lambda call: (call.start, -call.seconds))
        timed += _modules(calls, LANES[kind])
        timed += map(_call, calls)
    timed += _arrows(timeline.calls)
    timed += [
        {"name": "memory", "ph": "C", "pid": PROCESS, "tid": 0, "ts": _microseconds(second), "args": {"bytes": held}}
        for second, held in timeline.memory.samples
    ]
    timed.sort(key=_outermost_first)
    return {"traceEvents": [*events, *timed], "displayTimeUnit": "ms"}


def _outermost_first(event: Event) -> tuple[Any, ...]:
    """In the order of time. Of events that begin and end together, a module comes before its parts, and these before ops."""
    return event["ts"], -event.get("dur", 0.0), event.get("cat") != "module", len(event["name"])


def _metadata(what: str, lane: int, **values: Any) -> Event:
    return {"name": what, "ph": "M", "pid": PROCESS, "tid": lane, "args": values}


def _microseconds(seconds: float) -> float:
    """Rounded to the nanosecond, ends as well as beginnings, so that what lay inside something still does."""
    return round(1e6 * seconds, 3)


def _span(name: str, category: str, lane: int, start: float, seconds: float, **arguments: Any) -> Event:
    began = _microseconds(start)
    duration = round(_microseconds(start + seconds) - began, 3)
    place = {"pid": PROCESS, "tid": lane, "ts": began, "dur": duration}
    return {"name": name, "cat": category, "ph": "X", **place, "args": arguments}


def _call(call: "Call") -> Event:
    return _span(
        f"{call.name} {call.module}".rstrip(),
        call.kind,
        LANES[call.kind],
        call.start,
        call.seconds,
        module=call.module,
        input_shapes=call.input_shapes,
        output_shapes=call.output_shapes,
        dtype=call.dtype,
        bytes=call.bytes,
        flops=call.flops,
    )


def _modules(calls: Sequence["Call"], lane: int) -> Iterator[Event]:
    """Events for the modules that the calls, in the order of time, ran in: ``layer1`` around ``layer1.0``."""
    running: list[tuple[str, float]] = []  # the name of each module that is open, the outermost first, and its beginning
    end = 0.0

    def close(down_to: int) -> Iterator[Event]:
        while len(running) > down_to:
            path = ".".join(name for name, _ in running)
            _, began = running.pop()
            yield _span(path, "module", lane, began, end - began)

    for call in calls:
        if call.start + call.seconds <= end:
            continue  # inside the op before it, and so inside that op's module
        names = call.module.split(".") if call.module else []
        yield from close(_alike([name for name, _ in running], names))
        running += [(name, call.start) for name in names[len(running) :]]
        end = call.start + call.seconds
    yield from close(0)


def _alike(left: Sequence[str], right: Sequence[str]) -> int:
    """How many names are the same from the beginning."""
    for i, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return i
    return min(len(left), len(right))


def _arrows(calls: Sequence["Call"]) -> Iterable[Event]:
    """An arrow from each op to each run of its rule."""
    for number, rule in enumerate(calls):
        if rule.forward is not None:
            for phase, call in (("s", calls[rule.forward]), ("f", rule)):
                place = {"pid": PROCESS, "tid": LANES[call.kind], "ts": _microseconds(call.start)}
                yield {"name": "backward", "cat": "arrow", "ph": phase, "id": number, "bp": "e", **place}
