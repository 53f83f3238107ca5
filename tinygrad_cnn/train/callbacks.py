"""Callbacks: code of the user's own that runs at certain moments of a training.

A callback derives from `Callback` and defines any of four methods; each gets the `Run`, where it finds the model, the history
and the counters, and where it can write a reason to stop. One that remembers something over the steps gives it away in
`state_dict`, and a resumed training gives it back.
"""

from collections.abc import Mapping
from typing import Any

from .run import Run


class Callback:
    """Base of the callbacks; every method does nothing unless a subclass says otherwise.

    Examples
    --------
    >>> class StopBelow(Callback):
    ...     def __init__(self, loss):
    ...         self.loss = loss
    ...
    ...     def on_step_end(self, run):
    ...         if run.history.losses[-1] < self.loss:
    ...             run.stop = f"the loss is below {self.loss}"
    """

    def on_fit_begin(self, run: Run) -> None:
        """Before the first step; after a checkpoint was loaded, if the training is resumed."""

    def on_step_end(self, run: Run) -> None:
        """After each update, ``run.step`` counting it."""

    def on_epoch_end(self, run: Run) -> None:
        """After each epoch and the measuring on held-out data; the epoch is the last one in ``run.history.epochs``."""

    def on_fit_end(self, run: Run) -> None:
        """When the training ends: complete, stopped early, or stopped by Ctrl-C or an error."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to keep of this callback."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave away."""
