"""profile: an observer that takes the time of every op and every rule.

What it does when an op has run is a fixed number of small steps, whatever the size of the arrays and however much was recorded
before; what takes longer (sums, tables) waits until it is asked for. It knows nodes by weak references only, so that a graph
is freed while it is profiled as it would be otherwise.
"""

from time import perf_counter
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

from ..autograd.function import Array, Function
from ..autograd.mode import STATE
from ..autograd.observers import Observer, joined, record_function
from ..autograd.walk import kept
from ..errors import AutogradError
from ..tensor import Tensor
from .counting import backward_flops, bytes_moved, forward_flops
from .holding import Holding
from .timeline import Call, Pass, Region, Shapes, Timeline


class _Frame:
    """An op, a rule or a region that has begun and not ended."""

    __slots__ = ("inner", "start", "what")
    start: float

    def __init__(self, what: Function | str) -> None:
        self.what = what
        self.inner = 0.0


class profile(Observer, Timeline):  # noqa: N801 - PyTorch's spelling
    """Take the time of every op and every rule of this thread in a ``with`` block, and count its bytes and operations.

    ``print(p)`` afterwards shows a table; `table`, `rows`, `chrome_trace` and `to_json` show more, and
    ``viz.graph(loss, color="time", profile=p)`` colours the graph by it. Ops under ``no_grad()`` are profiled too. Entered
    again, it adds to what it has. Profiles may be within one another, and within or around `autograd.detect_anomaly`, whose
    time is not counted to the ops.

    Parameters
    ----------
    profile_memory : bool
        Whether to follow the memory of what ops make, see `Memory`.

    Attributes
    ----------
    calls, regions, seconds, own_seconds, memory
        See `Timeline`.

    Raises
    ------
    AutogradError
        If it is entered while it is running.

    Notes
    -----
    **Operations** (FLOPs) are two for each multiply-add of convolutions, linear layers and matrix products, in the forward pass
    and again for each of the two gradients of the backward pass, biases not counted; none for what only moves elements; and
    otherwise one for each element of the largest argument or result, whichever has more. **Bytes** are those of the arguments
    and results (of a rule, also of what was saved for it): the least that has to move. See `profiler.counting`.

    A rule is one call, whatever ops it consists of. Threads that the program starts are not seen: what a loader's workers do
    shows only as the time in which the program waits for them.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x, weight = tg.randn(8, 3, 16, 16), tg.randn(4, 3, 3, 3, requires_grad=True)
    >>> with tg.profile() as p:
    ...     tg.conv2d(x, weight).relu().sum().backward()
    >>> [(call.name, call.flops) for call in p.calls]
    [('Conv2d', 338688), ('ReLU', 6272), ('Sum', 6272), ('SumBackward', 0), ('ReLUBackward', 6272), ('Conv2dBackward', 338688)]
    >>> p.memory.peak >= 2 * 8 * 4 * 14 * 14
    True
    """

    takes_time = True

    def __init__(self, *, profile_memory: bool = True) -> None:
        super().__init__()
        self._profile_memory = profile_memory
        self._holding = Holding(self._note_memory)
        self._previous: Observer | None = None
        self._running = False
        self._zero = 0.0  # the clock at second 0: of the first entry, later moved on by the time outside of the blocks
        self._open: list[_Frame] = []
        self._last = 0.0  # the clock when the call before was done with
        self._runs: WeakKeyDictionary[Function, list[int]] = WeakKeyDictionary()  # which of the calls are a node's

    def __enter__(self) -> Self:
        if self._running:
            raise AutogradError("this profile is running already; for a profile within a profile, make another: tg.profile()")
        self._running = True
        self._previous = STATE.observer
        STATE.observer = joined(self._previous, self)
        self._last = perf_counter()
        self._zero = self._last - self.seconds
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.seconds = perf_counter() - self._zero
        STATE.observer, self._previous = self._previous, None
        self._running = False
        self._open.clear()
        self._holding.forget()

    def region(self, name: str) -> record_function:
        """Name a stretch of the block: ``with p.region("augment"):``; the same as `profiler.record_function`.

        Raises
        ------
        AutogradError
            If the profile is not running.
        """
        if not self._running:
            raise AutogradError(f"region({name!r}): this profile is not running; use it inside `with tg.profile() as p:`")
        return record_function(name)

    def seconds_of(self, node: Function) -> tuple[float, float] | None:
        """Seconds of an op, and of all runs of its rule; None for a node that the profile has not seen."""
        calls = [self.calls[i] for i in self._runs.get(node, ())]
        if not calls:
            return None
        forward = sum(call.own_seconds for call in calls if call.kind == "forward")
        return forward, sum(call.own_seconds for call in calls) - forward

    # What an observer is told ---------------------------------------------------------------------------------------

    def before_forward(self, node: Function, inputs: tuple[Tensor, ...]) -> None:
        self._begin(node)

    def after_forward(self, node: Function, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        now = perf_counter()
        given, saved = [x.array for x in inputs], [array for tensor, array in kept(node) if tensor is None]
        moved = bytes_moved(given, [output.array])
        flops = forward_flops(node, given, output.array, moved)
        shapes = tuple([array.shape for array in given]), (output.array.shape,)
        self._add(node, "forward", STATE.module_path, now, flops, moved, shapes, str(output.array.dtype))
        self._done(now, [output.array, *saved], given)

    def before_backward(self, node: Function, gradient: Array) -> None:
        self._begin(node)

    def after_backward(self, node: Function, gradient: Array, gradients: tuple[Any, ...]) -> None:
        now = perf_counter()
        arrays = [None if value is None else getattr(value, "array", value) for value in gradients]
        made = [array for array in arrays if array is not None]
        given = [gradient, *(array for _, array in kept(node))]
        moved = bytes_moved(given, made)
        flops = backward_flops(node, gradient, arrays, moved)
        shapes = (gradient.shape,), tuple([None if array is None else array.shape for array in arrays])
        self._add(node, "backward", node.module, now, flops, moved, shapes, str(gradient.dtype))
        self._done(now, made, given)

    def others_done(self) -> None:
        now = perf_counter()
        self.own_seconds += now - self._last
        self._last = now

    def begin_region(self, name: str) -> None:
        self._begin(name)

    def end_region(self, name: str) -> None:
        self._last = perf_counter()
        frame = self._close(name)
        if frame is not None:
            seconds = self._last - frame.start
            self.regions.append(Region(name, frame.start - self._zero, seconds, frame.inner))
            self._count_in(seconds)

    # Keeping it -----------------------------------------------------------------------------------------------------

    def _begin(self, what: Function | str) -> None:
        frame = _Frame(what)
        self._open.append(frame)
        self._last = frame.start = perf_counter()

    def _add(
        self,
        node: Function,
        kind: Pass,
        module: str,
        now: float,
        flops: int,
        moved: int,
        shapes: tuple[Shapes, Shapes],
        dtype: str,
    ) -> None:
        """Write a call down that has ended now."""
        frame = self._close(node)
        # Where nobody said when it began, it is what ran since the call before.
        start, inner = (self._last, 0.0) if frame is None else (frame.start, frame.inner)
        runs = self._runs.setdefault(node, [])
        name, op = node.op_name, None
        if kind == "backward":
            name, op = f"{name}Backward", next((i for i in runs[:1] if self.calls[i].kind == "forward"), None)
        runs.append(len(self.calls))
        seconds = now - start
        self.calls.append(Call(name, kind, module, start - self._zero, seconds, inner, flops, moved, *shapes, dtype, op))
        self._count_in(seconds)

    def _done(self, now: float, made: list[Array], given: list[Array]) -> None:
        """Follow the memory of what was made, and note how long all this took."""
        if self._profile_memory:
            self._holding.made(made, given)
        self._last = now
        self.others_done()

    def _close(self, what: Function | str) -> _Frame | None:
        """End what has begun, and all inside it that an exception kept from ending; None if its beginning was not seen."""
        for i in range(len(self._open) - 1, -1, -1):
            if self._open[i].what is what:
                frame = self._open[i]
                frame.inner += sum(lost.inner for lost in self._open[i + 1 :])
                del self._open[i:]
                return frame
        return None

    def _count_in(self, seconds: float) -> None:
        """Tell what is around it that so many of its seconds are not its own."""
        if self._open:
            self._open[-1].inner += seconds

    def _note_memory(self, held: int) -> None:
        if self._running:
            self.memory.samples.append((perf_counter() - self._zero, held))
