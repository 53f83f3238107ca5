"""Whether ops are recorded, and on whose behalf: the state of the current thread.

Each thread has its own, so a data loader or a second model in another thread is not affected by a `no_grad` here.
"""

import functools
import inspect
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from ..errors import ArgumentError

P = ParamSpec("P")
R = TypeVar("R")


class _ThreadState(threading.local):
    """What the ops of one thread look at while they are applied."""

    grad_enabled: bool = True
    observer: Any = None  # who looks at each op, if anybody does: see `observers`
    module: Any = None  # the nn.Module that is running, and its path inside the outermost one (`nn.Module._run`)
    module_path: str = ""


STATE = _ThreadState()


def is_grad_enabled() -> bool:
    """Whether ops applied now in this thread are recorded."""
    return STATE.grad_enabled


class _GradMode:
    """A context manager and decorator that sets the mode and puts the former one back."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._previous: list[bool] = []

    def __enter__(self) -> None:
        self._previous.append(STATE.grad_enabled)
        STATE.grad_enabled = self._enabled

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        STATE.grad_enabled = self._previous.pop()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isgeneratorfunction(function):
            raise ArgumentError(
                f"{type(self).__name__}() cannot decorate the generator function {function.__name__!r}: its body runs "
                f"after the call has returned; put `with {type(self).__name__}():` inside it"
            )

        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            # A mode of its own for each call: a decorated function may be running in several threads at once.
            with _GradMode(self._enabled):
                return function(*args, **kwargs)

        return wrapped


class no_grad(_GradMode):  # noqa: N801 - PyTorch's spelling
    """Record nothing: ``with no_grad():`` or ``@no_grad()``.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.ones(2, requires_grad=True)
    >>> with tg.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_GradMode):  # noqa: N801 - PyTorch's spelling
    """Record again, inside a `no_grad`: ``with enable_grad():`` or ``@enable_grad()``."""

    def __init__(self) -> None:
        super().__init__(True)


class set_grad_enabled(_GradMode):  # noqa: N801 - PyTorch's spelling
    """Set the mode at once; as a context manager, put the former one back at the end.

    Parameters
    ----------
    mode : bool
        Whether ops are recorded from here on.
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
        self._at_construction = STATE.grad_enabled
        STATE.grad_enabled = mode

    def __enter__(self) -> None:
        self._previous.append(self._at_construction)
        STATE.grad_enabled = self._enabled

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        # Used as a decorator, it was never meant to change the mode around it.
        STATE.grad_enabled = self._at_construction
        return super().__call__(function)
