"""Timeline: what a profile has seen, as plain data. Tables, traces and JSON are made of it; it holds no tensor and no node.

Seconds are added up without counting any twice. An op's own seconds are without those of ops that ran inside it (an op of
yours may use others), those of a region are without its ops. What is left belongs to nobody: modules, the engine, your code.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Literal, TypeAlias

from ..nn.planning import Shape
from .chrome import trace
from .table import Group, Order, Row, grouped, written

Pass: TypeAlias = Literal["forward", "backward"]
Shapes: TypeAlias = tuple[Shape | None, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One run of an op, or of its rule.

    Attributes
    ----------
    name : str
        The op's, with ``"Backward"`` after it for its rule.
    kind : {"forward", "backward"}
    module : str
        Path of the module that was running, ``"features.3"``, or ``""``; of a rule, that of its op.
    start, seconds : float
        When it began, from the beginning of the profile, and how long it took.
    inner : float
        How many of the seconds belong to calls inside it.
    flops, bytes : int
        See `profile`.
    input_shapes : tuple of shapes
        Of the arguments; of a rule, of the gradient that it was given.
    output_shapes : tuple of (shape or None)
        Of the result; of a rule, of the gradients that it made, None for those that were not needed.
    dtype : str
        Of the result, or of the gradient that a rule was given.
    forward : int, optional
        Of a rule, which of the calls ran its op; None if the profile did not see it.
    """

    name: str
    kind: Pass
    module: str
    start: float
    seconds: float
    inner: float
    flops: int
    bytes: int
    input_shapes: Shapes
    output_shapes: Shapes
    dtype: str
    forward: int | None = None

    @property
    def own_seconds(self) -> float:
        """Without the calls inside it."""
        return self.seconds - self.inner


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of the program that was given a name; the attributes are as those of a `Call`."""

    name: str
    start: float
    seconds: float
    inner: float

    @property
    def own_seconds(self) -> float:
        """Without the calls and regions inside it."""
        return self.seconds - self.inner


@dataclass
class Memory:
    """Bytes of arrays that ops made and that are still alive: values, what rules keep, gradients on their way.

    Each is counted from the op that made it until it is freed, at its true size however many views there are. Not counted:
    what no op made (parameters, batches, the optimizer's state), and ``.grad`` where the engine copied what a rule returned.

    Attributes
    ----------
    samples : list of (float, int)
        The second, and the bytes from then on.
    """

    samples: list[tuple[float, int]] = field(default_factory=list)

    @property
    def peak(self) -> int:
        """The most bytes at one time."""
        return max((held for _, held in self.samples), default=0)

    @property
    def peak_at(self) -> float:
        """When that was, in seconds from the beginning; the first time, if there were several."""
        return max(self.samples, key=lambda sample: sample[1], default=(0.0, 0))[0]


@dataclass(eq=False)
class Timeline:
    """What a profile has seen.

    Attributes
    ----------
    calls : list of Call
        In the order in which they ended.
    regions : list of Region
    seconds : float
        Between the beginning of the block and its end.
    own_seconds : float
        How many of them the profile itself took.
    memory : Memory
    """

    calls: list[Call] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    seconds: float = 0.0
    own_seconds: float = 0.0
    memory: Memory = field(default_factory=Memory)

    @property
    def op_seconds(self) -> float:
        """Seconds in ops and rules."""
        return sum(call.own_seconds for call in self.calls)

    @property
    def region_seconds(self) -> float:
        """Seconds in regions, outside of ops."""
        return sum(region.own_seconds for region in self.regions)

    @property
    def other_seconds(self) -> float:
        """Seconds that belong to no op, to no region and not to the profile: modules, the engine, other code."""
        return self.seconds - self.own_seconds - self.op_seconds - self.region_seconds

    def rows(self, sort_by: Order = "time", *, group_by: Group = "op", depth: int | None = None) -> list[Row]:
        """The numbers of the table; the parameters are those of `table`."""
        return grouped(self, sort_by, group_by, depth)

    def table(
        self,
        sort_by: Order = "time",
        row_limit: int | None = None,
        *,
        group_by: Group = "op",
        depth: int | None = None,
    ) -> str:
        """Where the time went, as a table.

        Parameters
        ----------
        sort_by : {"time", "forward", "backward", "calls", "flops", "bytes", "order", "name"}
            The largest first; or in the order in which things began, or of the alphabet.
        row_limit : int, optional
            How many rows to show; the sums below are of all.
        group_by : {"op", "module", "call"}
            A row for each op and for each rule; for each module; or for each call.
        depth : int, optional
            By module only: add modules up whose path begins with the same so many names.

        Returns
        -------
        str
            Milliseconds; MiB; 10^6 FLOPs; and FLOPs and bytes for each second, in units of 10^9. Regions are in brackets,
            ``[SGD.step]``.

        Raises
        ------
        ArgumentError
            For an option that there is not.
        """
        return written(self, sort_by, row_limit, group_by, depth)

    def __str__(self) -> str:
        return self.table()

    __repr__ = __str__

    def to_json(self, indent: int | None = None) -> str:
        """Everything as JSON text; `from_json` reads it back."""
        return json.dumps(asdict(self), indent=indent, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Timeline":
        """What `to_json` wrote."""
        data = json.loads(text)
        return Timeline(
            [Call(**call | {name: _shapes(call[name]) for name in _SHAPES}) for call in data["calls"]],
            [Region(**region) for region in data["regions"]],
            data["seconds"],
            data["own_seconds"],
            Memory([(second, held) for second, held in data["memory"]["samples"]]),
        )

    def chrome_trace(self, path: str | PathLike[str]) -> Path:
        """Write the trace that chrome://tracing and ui.perfetto.dev open.

        It has a lane each for the forward pass, the backward pass and the regions, with the ops in the frames of their
        modules; an arrow from each op to its rule; and the memory as a curve.

        Parameters
        ----------
        path : path
            By custom ending in .json.

        Returns
        -------
        Path
        """
        path = Path(path)
        path.write_text(json.dumps(trace(self), allow_nan=False), encoding="utf-8")
        return path

    export_chrome_trace = chrome_trace


_SHAPES = ("input_shapes", "output_shapes")


def _shapes(lists: Sequence[Sequence[int] | None]) -> Shapes:
    """JSON has lists only; shapes are tuples."""
    return tuple(None if shape is None else tuple(shape) for shape in lists)
