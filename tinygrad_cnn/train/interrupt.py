"""Ctrl-C that waits for the end of a step, so that what is saved then is a state to go on from exactly."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class CtrlC:
    """Inside the block, the first Ctrl-C only sets `asked`; a second one interrupts at once.

    Signals reach the main thread only; in any other, and where somebody has a handler of their own, nothing is changed.

    Attributes
    ----------
    asked : bool
        Whether Ctrl-C was pressed.
    """

    def __init__(self) -> None:
        self.asked = False
        self._former: Any = None

    def __enter__(self) -> "CtrlC":
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._former = signal.signal(signal.SIGINT, self._pressed)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._former is not None:
            signal.signal(signal.SIGINT, self._former)
            self._former = None

    def _pressed(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, self._former)
