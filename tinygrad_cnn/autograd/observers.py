"""Observers: who looks at each op while it runs.

`Function` and the engine tell the observer of their thread (``STATE.observer``) what they do: `detect_anomaly` looks for NaN,
`nn.plan` writes shapes down, `profile` takes the time. Without an observer they make one comparison and tell nobody.

There is one observer at a time. Blocks within one another become one: `joined` makes an observer that tells all of them. A
program may say what a stretch of it is for (`record_function`); an observer that cares about time is told that too.
"""

from types import TracebackType
from typing import TYPE_CHECKING, Any

from .mode import STATE

if TYPE_CHECKING:
    from ..tensor import Array, Tensor
    from .function import Function


class Observer:
    """What an observer is told; a subclass defines what it wants to hear.

    Attributes
    ----------
    takes_time : bool
        Whether it measures time: then it stands nearest to the op, and what other observers do is not measured.
    """

    takes_time = False

    def before_forward(self, node: "Function", inputs: "tuple[Tensor, ...]") -> None:
        """An op is about to compute."""

    def after_forward(self, node: "Function", inputs: "tuple[Tensor, ...]", output: "Tensor") -> None:
        """An op has computed; the node has saved what it saves, and has no edges yet."""

    def before_backward(self, node: "Function", gradient: "Array") -> None:
        """The rule of an op is about to be applied to the gradient of what the op made."""

    def after_backward(self, node: "Function", gradient: "Array", gradients: tuple[Any, ...]) -> None:
        """A rule has returned its gradients, tensors or arrays; what the node saved is still there."""

    def begin_region(self, name: str) -> None:
        """A stretch of the program that has a name begins."""

    def end_region(self, name: str) -> None:
        """It ends."""

    def others_done(self) -> None:
        """Whatever the other observers had to do after an op is done, too."""


class Joined(Observer):
    """Several observers as one, those that take time nearest to the op."""

    def __init__(self, members: tuple[Observer, ...]) -> None:
        self.members = tuple(sorted(members, key=lambda member: not member.takes_time))

    def before_forward(self, node: "Function", inputs: "tuple[Tensor, ...]") -> None:
        for member in reversed(self.members):
            member.before_forward(node, inputs)

    def after_forward(self, node: "Function", inputs: "tuple[Tensor, ...]", output: "Tensor") -> None:
        for member in self.members:
            member.after_forward(node, inputs, output)
        self.others_done()

    def before_backward(self, node: "Function", gradient: "Array") -> None:
        for member in reversed(self.members):
            member.before_backward(node, gradient)

    def after_backward(self, node: "Function", gradient: "Array", gradients: tuple[Any, ...]) -> None:
        for member in self.members:
            member.after_backward(node, gradient, gradients)
        self.others_done()

    def begin_region(self, name: str) -> None:
        for member in reversed(self.members):
            member.begin_region(name)

    def end_region(self, name: str) -> None:
        for member in self.members:
            member.end_region(name)

    def others_done(self) -> None:
        for member in self.members:
            member.others_done()


def joined(present: Observer | None, new: Observer) -> Observer:
    """The observer that tells those who are there already, and a new one.

    Of a kind that takes no time the new one replaces the one before: an inner `detect_anomaly` decides what is looked for.
    """
    if present is None:
        return new
    members = present.members if isinstance(present, Joined) else (present,)
    kept = tuple(member for member in members if member.takes_time or type(member) is not type(new))
    return Joined((*kept, new)) if kept else new


class record_function:  # noqa: N801 - PyTorch's spelling
    """Give a stretch of the program a name in the profiles that are around; without one, do nothing.

    Parameters
    ----------
    name : str
        Such as ``"augment"``. Optimizers and loaders name what they do by themselves.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.ones(3)
    >>> with tg.profile() as p:
    ...     with tg.profiler.record_function("twice"):
    ...         y = x + x
    >>> [region.name for region in p.regions]
    ['twice']
    """

    __slots__ = ("_observer", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._observer: Observer | None = None

    def __enter__(self) -> "record_function":
        self._observer = STATE.observer
        if self._observer is not None:
            self._observer.begin_region(self.name)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._observer is not None:
            self._observer.end_region(self.name)
