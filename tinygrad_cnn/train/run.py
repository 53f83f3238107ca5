"""Where a training stands: what its callbacks see, and what its checkpoints keep of it besides the weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ..errors import ArgumentError
from ..nn import Module
from ..optim import Optimizer
from .history import Epoch, History


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the monitored value has not got better for a while.

    Parameters
    ----------
    patience : int
        After how many epochs without a better value.
    min_delta : float
        By how much a value has to be better, to count.
    restore_best : bool
        Whether the model ends with the weights of its best epoch rather than with the last ones.
    """

    patience: int
    min_delta: float = 0.0
    restore_best: bool = True

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise ArgumentError(f"EarlyStopping: patience must be 1 epoch or more, got {self.patience}")
        if not self.min_delta >= 0:
            raise ArgumentError(f"EarlyStopping: min_delta must not be negative, got {self.min_delta}")


@dataclass
class Best:
    """The best epoch so far.

    Attributes
    ----------
    monitor : str
        By which value of an epoch.
    mode : {"min", "max"}
        Whether small values are good.
    min_delta : float
        By how much a value has to be better.
    value : float or None
        The best value; None before there is one.
    epoch : int
        Its epoch, from 1 on.
    waited : int
        How many epochs there were since.
    """

    monitor: str
    mode: Literal["min", "max"] = "min"
    min_delta: float = 0.0
    value: float | None = None
    epoch: int = 0
    waited: int = 0

    def see(self, number: int, value: float) -> bool:
        """Take in an epoch's value, and say whether it is the best; nan never is.

        Examples
        --------
        >>> best = Best("val_error")
        >>> [best.see(epoch, value) for epoch, value in enumerate([0.5, 0.25, 0.25, 0.3], 1)]
        [True, True, False, False]
        >>> best.epoch, best.waited
        (2, 2)
        """
        sign = 1 if self.mode == "min" else -1
        better = value == value and (self.value is None or sign * value < sign * self.value - self.min_delta)
        if better:
            self.value, self.epoch, self.waited = value, number, 0
        else:
            self.waited += 1
        return better


@dataclass
class Run:
    """A training that is going on.

    Attributes
    ----------
    model : Module
    optimizer : Optimizer
    epochs, steps_per_epoch : int
        How many epochs there will be, of how many updates.
    best : Best
        The best epoch so far.
    history : History
        What is done.
    current : Epoch
        The epoch that is going on. Its ``loss`` is the *sum* over the samples until the epoch is complete.
    stop : str
        A callback that writes a reason here ends the training after this step.
    log_position : int
        Where the log's file ended at the last checkpoint, in bytes.
    """

    model: Module
    optimizer: Optimizer
    epochs: int
    steps_per_epoch: int
    best: Best
    history: History = field(default_factory=History)
    current: Epoch = field(default_factory=Epoch)
    stop: str = ""
    log_position: int = 0

    @property
    def step(self) -> int:
        """How many updates were made."""
        return len(self.history.losses)

    @property
    def epoch(self) -> int:
        """The number of the epoch that is going on, from 1 on."""
        return len(self.history.epochs) + 1

    @property
    def lr(self) -> float:
        """The learning rate of the first group, of the next step."""
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def seconds(self) -> float:
        """How long the training took so far, without the measuring on held-out data."""
        return self.history.seconds + self.current.seconds

    def state_dict(self) -> dict[str, Any]:
        """The counters, the sums in the middle of an epoch, the best epoch, and the history."""
        return {
            "history": self.history.state_dict(),
            "current": asdict(self.current),
            "best": asdict(self.best),
            "log_position": self.log_position,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a `state_dict`; what is monitored, and how, stays as it is here."""
        history = History()
        history.load_state_dict(state["history"])
        current, saved = Epoch(**state["current"]), state["best"]
        if (saved["monitor"], saved["mode"]) == (self.best.monitor, self.best.mode):
            self.best.value, self.best.epoch, self.best.waited = saved["value"], saved["epoch"], saved["waited"]
        self.history, self.current, self.log_position = history, current, int(state["log_position"])
