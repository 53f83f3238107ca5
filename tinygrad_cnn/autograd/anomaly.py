"""Where does the first NaN come from? `detect_anomaly` looks at every result as it is made.

Without it a NaN shows itself in the loss, hundreds of ops after the one that made it. With it the first op whose output (or
whose gradient) is not a number raises, and says which element, what its operands were there, which module was running, and
which line of the user's code called the op.
"""

import traceback
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import AnomalyError
from .mode import STATE
from .observers import Observer, joined

if TYPE_CHECKING:
    from ..tensor import Array, Tensor
    from .function import Function

_PACKAGE = __name__.partition(".")[0]


class detect_anomaly(Observer):  # noqa: N801 - PyTorch's spelling
    """Raise at the first op that makes a NaN (or an infinity), in the forward or the backward pass.

    Parameters
    ----------
    check_nan : bool
        Look for NaN.
    check_inf : bool
        Look for infinities as well.
    check_forward : bool
        Look at the results of the forward pass, not only at gradients.

    Raises
    ------
    AnomalyError
        By the op, inside the block. What an op was *given* is not its fault: only a NaN that none of its operands had
        counts.

    Notes
    -----
    Every result is read once more and every op notes the line that called it; expect it to be slow.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> with tg.autograd.detect_anomaly():
    ...     tg.tensor([1.0, -1.0]).sqrt()
    Traceback (most recent call last):
        ...
    tinygrad_cnn.errors.AnomalyError: the forward of Sqrt made nan at (1,), called at ...
    """

    def __init__(self, check_nan: bool = True, check_inf: bool = False, check_forward: bool = True) -> None:
        self.check_nan = check_nan
        self.check_inf = check_inf
        self.check_forward = check_forward
        self._previous: list[Observer | None] = []

    def __enter__(self) -> "detect_anomaly":
        self._previous.append(STATE.observer)
        STATE.observer = joined(STATE.observer, self)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        STATE.observer = self._previous.pop()

    def after_forward(self, node: "Function", inputs: tuple["Tensor", ...], output: "Tensor") -> None:
        """Note who called the op, and look at what it made."""
        node.called_at = _line_of_user()
        if not self.check_forward:
            return
        index = self._first(output.array)
        if index is not None and not any(self._has_any(x.array) for x in inputs):
            operands = {f"input {i}": x.array for i, x in enumerate(inputs)}
            raise AnomalyError(_message("forward", node, "", index, output.array, operands))

    def after_backward(self, node: "Function", gradient: "Array", results: tuple[Any, ...]) -> None:
        """Look at the gradients that a rule returned."""
        if self._has_any(gradient):
            return
        for i, result in enumerate(results):
            array = getattr(result, "array", result)
            index = None if array is None else self._first(array)
            if index is None:
                continue
            saved = {f"saved {k}": value for k, value in enumerate(node.saved_arrays) if value is not None}
            operands = {"the gradient of the output": gradient, **saved}
            raise AnomalyError(_message("backward", node, f" in the gradient of input {i}", index, array, operands))

    def _bad(self, array: "Array") -> "Array":
        if array.dtype.kind != "f":
            return np.zeros(array.shape, bool)
        bad = np.isnan(array) if self.check_nan else np.zeros(array.shape, bool)
        return bad | np.isinf(array) if self.check_inf else bad

    def _has_any(self, array: "Array") -> bool:
        return bool(self._bad(array).any())

    def _first(self, array: "Array") -> tuple[int, ...] | None:
        bad = self._bad(array)
        return tuple(int(i) for i in np.argwhere(bad)[0]) if bad.any() else None


def _line_of_user() -> str:
    """The innermost line of the stack that is not in this package: file, line number and its text."""
    for frame, number in traceback.walk_stack(None):
        if frame.f_globals.get("__name__", "").partition(".")[0] != _PACKAGE:
            summary = traceback.extract_stack(frame, limit=1)[0]
            text = f": {summary.line}" if summary.line else ""
            return f"{frame.f_code.co_filename}:{number}{text}"
    return "an unknown line"


def _message(
    phase: str, node: "Function", where: str, index: tuple[int, ...], array: "Array", operands: dict[str, "Array"]
) -> str:
    described = "; ".join(f"{name} {_at(value, index, array.shape)}" for name, value in operands.items())
    called_at = node.called_at or "a line outside detect_anomaly (put the forward pass inside the block too)"
    return (
        f"the {phase} of {node.described} made {array[index]}{where} at {index}, called at {called_at}. Operands: {described}. "
        "The operands were all right; look at this op's domain (a logarithm or a square root of what is not positive, a "
        "division by zero, an overflow)"
    )


def _at(value: "Array", index: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """The operand at the element, if it has that element (perhaps by a broadcast); otherwise its range."""
    try:
        return f"= {np.broadcast_to(value, shape)[index]}"
    except ValueError:
        low, high = (np.min(value), np.max(value)) if value.size else ("nothing", "nothing")
        return f"of shape {value.shape}, between {low} and {high}"
