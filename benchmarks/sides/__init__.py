"""The sides of a comparison: one module for each framework, run by `benchmarks.worker` in a process of its own.

A side's module imports its framework at the top and offers

    VERSION                       the framework's
    prepare(workload, options)    a `Prepared`, or raises `Unsupported` with the reason

It must not import another framework: the interpreter that runs it may not have one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..values import Array

SIDES = ("ours", "torch", "jax", "mygrad", "smallpebble")

LEARNING_RATE = 1e-4
MOMENTUM = 0.9
"""Of the SGD of every training step."""


class Unsupported(Exception):  # noqa: N818 - it is an answer, not a mistake
    """This framework has no way to compute the workload; the message says what is missing."""


@dataclass(frozen=True)
class Options:
    """How a side is to run: a `variant` that it knows, on how many threads.

    For a check, `exact` is true: all numbers are float64, so that sums in another order do not look like mistakes, and
    nothing is dropped out.
    """

    variant: str = ""
    threads: int = 2
    exact: bool = False

    @property
    def dtype(self) -> str:
        """As NumPy calls it."""
        return "float64" if self.exact else "float32"


@dataclass(frozen=True)
class Prepared:
    """A workload ready to run.

    Attributes
    ----------
    step : callable
        Does it once, to the end; returns the loss as the framework's own scalar where there is one.
    check : callable, optional
        Loss, and the gradients of all parameters in our order and layout, at the initial values; nothing is updated.
    """

    step: Callable[[], Any]
    check: Callable[[], tuple[float, list[Array]]] | None = None
