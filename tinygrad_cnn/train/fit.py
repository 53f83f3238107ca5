"""The training loop: a few lines that matter, and around them what a user sees and keeps.

One step is: forward, loss, backward, update. `_step` has just that. The rest of this file counts, shows a progress bar,
measures on held-out data after each epoch, and sees to it that Ctrl-C costs nothing that was learned.
"""

import math
import sys
import time
from collections.abc import Callable, Sized
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

import numpy as np
from tqdm import tqdm

from .. import ops
from ..errors import ArgumentError, DataError, TrainingError
from ..nn import Module
from ..optim import Optimizer
from ..tensor import Tensor
from .evaluate import Batches, Loss, evaluate

SMOOTHING = 50
"""The loss of single batches jumps about; what is shown beside it is the mean over this many steps."""


class SizedBatches(Batches, Sized, Protocol):
    """Batches whose number is known, as those of a `DataLoader`."""


class Scheduler(Protocol):
    """What is asked of a learning-rate schedule."""

    def step(self) -> None:
        """Set the optimizer's learning rate for the next step."""
        ...


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
    """

    loss: float = 0.0
    steps: int = 0
    images: int = 0
    seconds: float = 0.0
    val_loss: float | None = None
    val_error: float | None = None

    def __str__(self) -> str:
        held_out = "" if self.val_error is None else f", held-out loss {self.val_loss:.4f}, error {100 * self.val_error:.2f} %"
        return f"loss {self.loss:.4f}{held_out}, {self.seconds:.1f} s"


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


def fit(
    model: Module,
    train: SizedBatches,
    val: Batches | None = None,
    *,
    epochs: int,
    optimizer: Optimizer,
    scheduler: Scheduler | None = None,
    loss: Loss = ops.cross_entropy,
    checkpoint: Callable[[History], object] | None = None,
    progress: bool = True,
) -> History:
    """Train a classifier.

    Parameters
    ----------
    model : Module
        Gives scores of shape (n, classes).
    train : DataLoader, or another sized iterable of (inputs, targets)
        The training batches; iterated over once an epoch.
    val : iterable of (inputs, targets), optional
        Held-out batches to measure on after each epoch.
    epochs : int
        How many passes over the training data.
    optimizer : Optimizer
        Holds the model's parameters.
    scheduler : object with ``step()``, optional
        Stepped after every batch, as one-cycle and cosine schedules of a few epochs need it.
    loss : callable
        ``loss(scores, targets)``, the mean over a batch.
    checkpoint : callable, optional
        Called with the history after each epoch, and when Ctrl-C stops the training.
    progress : bool
        Show a progress bar on stderr, and a line for each epoch on stdout.

    Returns
    -------
    History

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C, after `checkpoint` was called; its message says how far the training was.
    TrainingError
        If the loss is not finite any more.
    ArgumentError, DataError
        If `epochs` is less than 1, or `train` has no batch.
    """
    if epochs < 1:
        raise ArgumentError(f"fit: epochs must be 1 or more, got {epochs}")
    if not len(train):
        raise DataError("fit: the training data has no batch: there is nothing to learn from")
    history = History()
    with _Progress(epochs, len(train), shown=progress) as bar:
        try:
            for _ in range(epochs):
                epoch = _train_epoch(model, train, optimizer, scheduler, loss, history, bar)
                if val is not None:
                    result = evaluate(model, val, loss=loss)
                    epoch.val_loss, epoch.val_error = result.loss, result.error
                history.epochs.append(epoch)
                bar.epoch_done(epoch)
                if checkpoint is not None:
                    checkpoint(history)
        except KeyboardInterrupt:
            if checkpoint is not None:
                checkpoint(history)
            done = f"{len(history.losses)} of {epochs * len(train)} steps, {len(history.epochs)} of {epochs} epochs complete"
            raise KeyboardInterrupt(done) from None
    return history


def _train_epoch(
    model: Module,
    train: SizedBatches,
    optimizer: Optimizer,
    scheduler: Scheduler | None,
    loss: Loss,
    history: History,
    bar: "_Progress",
) -> Epoch:
    """Take one step for each batch."""
    model.train()
    epoch = Epoch()
    start = time.perf_counter()
    for inputs, targets in train:
        value = _step(model, inputs, targets, optimizer, loss)
        if scheduler is not None:
            scheduler.step()
        history.losses.append(value)
        epoch.loss += value * len(targets)
        epoch.steps += 1
        epoch.images += len(targets)
        bar.step_done(history.losses, epoch.images / (time.perf_counter() - start))
    epoch.loss /= epoch.images
    epoch.seconds = time.perf_counter() - start
    return epoch


@np.errstate(over="ignore", invalid="ignore")  # what overflows is seen in the loss, of this step or the next
def _step(model: Module, inputs: Tensor, targets: Tensor, optimizer: Optimizer, loss: Loss) -> float:
    """Learn from one batch; return its loss before that."""
    optimizer.zero_grad()
    batch_loss = loss(model(inputs), targets)
    value = float(batch_loss)
    if not math.isfinite(value):
        # Before the update: one step on a gradient of nan would make every weight nan.
        raise TrainingError(f"the loss became {value}, training stopped: lower the learning rate, or look for nan in the data")
    batch_loss.backward()
    optimizer.step()
    return value


class _Progress:
    """The bar: how far, the loss, images a second, the time left; and a line for each finished epoch."""

    def __init__(self, epochs: int, steps: int, shown: bool) -> None:
        self._epochs, self._steps = epochs, steps
        self._bar = tqdm(
            total=epochs * steps,
            disable=not shown,
            desc=f"epoch 1/{epochs}",
            bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed}, {remaining} left{postfix}",
            # Into a file or a CI log, the bar is a line each time it moves: let it move rarely.
            mininterval=0.1 if sys.stderr.isatty() else 10,
            dynamic_ncols=True,
        )

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.close()

    def step_done(self, losses: list[float], rate: float) -> None:
        """Move by one step; `rate` is in images a second."""
        recent = losses[-SMOOTHING:]
        self._bar.set_postfix_str(f"loss {sum(recent) / len(recent):.4f}, {rate:,.0f} images/s", refresh=False)
        self._bar.set_description_str(f"epoch {(len(losses) - 1) // self._steps + 1}/{self._epochs}", refresh=False)
        self._bar.update()

    def epoch_done(self, epoch: Epoch) -> None:
        """Write the epoch's line above the bar."""
        if not self._bar.disable:
            number = self._bar.n // self._steps
            self._bar.write(f"epoch {number}/{self._epochs}: {epoch}")
