"""One update: forward, loss, backward, step. The heart of the training loop, and what may be wished for around it."""

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..errors import ArgumentError, TrainingError
from ..nn import Module
from ..nn.utils import clip_grad_norm_, clip_grad_value_
from ..optim import Optimizer
from ..tensor import Tensor
from .evaluate import Loss

Batch = tuple[Tensor, Tensor]


@runtime_checkable
class Scheduler(Protocol):
    """What is asked of a learning-rate schedule; if its ``step`` takes ``metrics``, it is given the monitored value."""

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """Set the rates for what comes next."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Go on from a state."""
        ...


class Average(Protocol):
    """What is asked of an average of the weights, as `optim.AveragedModel` is one: a module that is told of each update."""

    module: Module

    def update_parameters(self, model: Module, /) -> Any:
        """Take in the present weights."""
        ...


def wants_metric(scheduler: Scheduler) -> bool:
    """Whether a schedule, as `ReduceLROnPlateau`, goes by the value that is monitored, and so by epochs."""
    return "metrics" in inspect.signature(scheduler.step).parameters


@dataclass
class Updater:
    """Makes one update of the weights from one batch, or from several whose gradients add up.

    Attributes
    ----------
    model, optimizer, loss
        As of `fit`.
    schedulers : sequence of Scheduler
        Those that go by updates.
    clip_norm, clip_value : float or None
        Limits on the gradients, see `nn.utils.clip_grad_norm_` and `nn.utils.clip_grad_value_`.
    ema : Average or None
        Told after each update.
    """

    model: Module
    optimizer: Optimizer
    loss: Loss
    schedulers: Sequence[Scheduler] = ()
    clip_norm: float | None = None
    clip_value: float | None = None
    ema: Average | None = None

    def __post_init__(self) -> None:
        for name in ("clip_norm", "clip_value"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise ArgumentError(f"fit: {name} must be above 0, or None for no limit; got {limit}")

    @np.errstate(over="ignore", invalid="ignore")  # what overflows is seen in the loss, of this step or the next
    def __call__(self, batches: Sequence[Batch], step: int) -> tuple[float, int]:
        """Update once; the gradient is that of the mean loss over the samples of all the batches.

        Returns
        -------
        loss : float
            That mean, before the update.
        images : int
            How many samples there were.
        """
        images = sum(len(targets) for _, targets in batches)
        self.optimizer.zero_grad()
        loss = 0.0
        for inputs, targets in batches:
            share = len(targets) / images
            loss += share * self._backward(inputs, targets, share, step)
        self._clip(step)
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update_parameters(self.model)
        for scheduler in self.schedulers:
            scheduler.step()
        return loss, images

    def _backward(self, inputs: Tensor, targets: Tensor, share: float, step: int) -> float:
        """Add a batch's share to the gradients; return its loss."""
        loss = self.loss(self.model(inputs), targets)
        value = float(loss)
        if not math.isfinite(value):
            # Before the update: one step on a gradient of nan would make every weight nan.
            raise self._failure("loss", value, step)
        (loss if share == 1 else loss * share).backward()
        return value

    def _clip(self, step: int) -> None:
        if self.clip_norm is not None:
            norm = float(clip_grad_norm_(self.model.parameters(), self.clip_norm))
            if not math.isfinite(norm):
                raise self._failure("norm of the gradients", norm, step)
        if self.clip_value is not None:
            clip_grad_value_(self.model.parameters(), self.clip_value)

    def _failure(self, what: str, value: float, step: int) -> TrainingError:
        rate = self.optimizer.param_groups[0]["lr"]
        remedies = ["lower the learning rate, or let it rise slowly (LinearLR)"]
        if self.clip_norm is None:
            remedies.append("limit the gradients (clip_norm=1.0)")
        remedies.append("look for nan in the data, or for the op that makes the first one (autograd.detect_anomaly())")
        return TrainingError(
            f"the {what} became {value} in step {step} at a learning rate of {rate:g}, training stopped before the update: "
            + "; ".join(remedies)
        )
