"""What is kept of a training: the loss of every step, and a summary of every epoch."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


@dataclass
class Epoch:
    """One pass over the training data, summed up.

    Attributes
    ----------
    loss : float
        The mean over its samples, each taken when the model saw it.
    steps, images : int
        How many updates it made, and how many samples it saw.
    seconds : float
        How long it trained; measuring on the held-out data is not counted.
    val_loss, val_error : float or None
        Measured after it on the held-out data; None without such data.
    metrics : dict of str to float
        What else was measured on them.
    """

    loss: float = 0.0
    steps: int = 0
    images: int = 0
    seconds: float = 0.0
    val_loss: float | None = None
    val_error: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)

    def values(self) -> dict[str, float]:
        """Everything measured, by name: the loss, ``val_loss`` and ``val_error`` if there are, and the metrics."""
        measured = {"loss": self.loss, "val_loss": self.val_loss, "val_error": self.val_error, **self.metrics}
        return {name: value for name, value in measured.items() if value is not None}

    def __str__(self) -> str:
        parts = [f"loss {self.loss:.4f}"]
        if self.val_error is not None:
            parts.append(f"held-out loss {self.val_loss:.4f}, error {100 * self.val_error:.2f} %")
        parts += [f"{name} {value:.4f}" for name, value in self.metrics.items()]
        return ", ".join([*parts, f"{self.seconds:.1f} s"])


@dataclass
class History:
    """How a training went, as plain data (`dataclasses.asdict` gives dicts and lists).

    Attributes
    ----------
    losses : list of float
        The loss of each step's batch, before the step.
    epochs : list of Epoch
        The epochs that were completed.
    """

    losses: list[float] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long the completed epochs trained."""
        return sum(epoch.seconds for epoch in self.epochs)

    @property
    def images_per_second(self) -> float:
        """Training samples a second over the completed epochs; nan before the first is."""
        return sum(epoch.images for epoch in self.epochs) / self.seconds if self.epochs else math.nan

    def state_dict(self) -> dict[str, Any]:
        """The history for a checkpoint: the losses as one array."""
        return {"losses": np.array(self.losses, np.float64), "epochs": [asdict(epoch) for epoch in self.epochs]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a `state_dict`."""
        epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        self.losses, self.epochs = np.asarray(state["losses"], np.float64).tolist(), epochs
