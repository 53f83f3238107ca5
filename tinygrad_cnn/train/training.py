"""The parts of a training put together: updates, measuring, logging, and checkpoints at moments from which one can go on.

A checkpoint is taken between two updates, never within one. It has the weights, the optimizer, the schedules, the average,
the loader's position, the random generators, the counters with the sums of the epoch that is going on, the state of the
callbacks, and the length of the log. A process that loads it does from there on, bit by bit, what the one that saved it did.
"""

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..errors import ArgumentError, DataError
from ..nn import Module
from .callbacks import Callback
from .checkpoint import Stateful, load_checkpoint, save_checkpoint
from .evaluate import Batches, Loss, Metric, Predict, evaluate
from .folder import BEST, LAST
from .generators import GeneratorStates
from .history import Epoch
from .interrupt import CtrlC
from .log import JSONLines
from .progress import Progress
from .run import EarlyStopping, Run
from .update import Scheduler, Updater, wants_metric


class SizedBatches(Batches, Sized, Protocol):
    """Batches whose number is known, as those of a `DataLoader`."""


@dataclass
class Measuring:
    """How a model is measured on held-out data after each epoch; the fields are arguments of `fit`."""

    val: Batches | None
    loss: Loss
    predict: Predict
    metrics: Mapping[str, Metric]

    def __call__(self, model: Module, epoch: Epoch) -> None:
        """Write what is measured into the epoch."""
        if self.val is not None:
            result = evaluate(model, self.val, loss=self.loss, predict=self.predict)
            epoch.val_loss, epoch.val_error = result.loss, result.error
            epoch.metrics = {name: _number(name, metric(result)) for name, metric in self.metrics.items()}


def _number(name: str, measured: Any) -> float:
    try:
        return float(measured)
    except (TypeError, ValueError) as error:
        kind = type(measured).__name__
        raise ArgumentError(f"fit: the metric {name!r} must give a number, it gave a {kind}: {measured!r}") from error


@dataclass
class Saving:
    """Where and how often a training is saved; the fields are arguments of `fit`."""

    folder: Path | None = None
    every: int | None = None
    every_seconds: float | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    _saved_at: float = field(default_factory=time.monotonic)

    def due(self, step: int) -> bool:
        """Whether a checkpoint is due after this step."""
        if self.folder is None:
            return False
        by_time = self.every_seconds is not None and time.monotonic() - self._saved_at >= self.every_seconds
        return by_time or (self.every is not None and step % self.every == 0)

    def done(self) -> None:
        """A checkpoint was written."""
        self._saved_at = time.monotonic()


@dataclass
class Training:
    """One call of `fit`: see there for what the fields are."""

    run: Run
    train: SizedBatches
    updater: Updater
    schedulers_by_epoch: Sequence[Scheduler]
    measuring: Measuring
    saving: Saving
    accumulate: int
    early_stopping: EarlyStopping | None
    callbacks: Sequence[Callback]
    log: JSONLines | None
    log_every: int
    ctrl_c: CtrlC

    def __post_init__(self) -> None:
        self.generators = GeneratorStates(self.run.model)
        self._best_weights: dict[str, Any] | None = None
        self.complete = False  # whether a checkpoint of this moment exists

    @property
    def measured_model(self) -> Module:
        """The model that is measured, and whose weights are kept as the best: the average, if there is one."""
        return self.run.model if self.updater.ema is None else self.updater.ema.module

    def parts(self) -> dict[str, Stateful]:
        """Everything but the model that a checkpoint keeps; the generators last, for others may draw when they are loaded."""
        parts: dict[str, Any] = {"optimizer": self.run.optimizer}
        parts |= {f"scheduler {i}": one for i, one in enumerate((*self.updater.schedulers, *self.schedulers_by_epoch))}
        parts |= {"average": self.updater.ema} if self.updater.ema is not None else {}
        parts |= {"data": self.train} if hasattr(self.train, "state_dict") else {}
        parts |= {f"callback {i}": callback for i, callback in enumerate(self.callbacks) if callback.state_dict()}
        return {**parts, "run": self.run, "generators": self.generators}

    # The loop -------------------------------------------------------------------------------------------------------

    def go(self, bar: Progress) -> None:
        """Train until the epochs are done, or there is a reason to stop."""
        run = self.run
        while run.epoch <= run.epochs and not run.stop and not self._has_waited_enough():
            if not self._train_epoch(bar):
                return
            self._finish_epoch(bar)
        self._restore_best(bar)

    def _train_epoch(self, bar: Progress) -> bool:
        """Take the epoch's steps; False if the training was stopped before its end."""
        run, epoch = self.run, self.run.current
        run.model.train()
        start, before = time.perf_counter(), epoch.seconds
        images_before = epoch.images
        for batches in self._groups():
            rate = run.lr
            loss, images = self.updater(batches, run.step + 1)
            run.history.losses.append(loss)
            epoch.loss += loss * images
            epoch.steps += 1
            epoch.images += images
            elapsed = time.perf_counter() - start
            epoch.seconds = before + elapsed
            bar.step_done(run.history.losses, (epoch.images - images_before) / elapsed)
            self._step_done(loss, rate)
            last = epoch.steps == run.steps_per_epoch
            if self.saving.due(run.step) and not last:  # the end of the epoch has a checkpoint of its own
                self.save()
            if not last and (run.stop or self.ctrl_c.asked):
                self._stop()
                return False
        if epoch.steps != run.steps_per_epoch:
            raise DataError(
                f"fit: the training data of epoch {run.epoch} ended after {epoch.steps} steps, but by its length "
                f"({len(self.train)} batches) there are {run.steps_per_epoch}: correct its __len__"
            )
        return True

    def _groups(self) -> Iterator[list[Any]]:
        """The batches of an epoch, or what is left of it, in groups that make one update each."""
        batches = iter(self.train)
        while group := list(itertools.islice(batches, self.accumulate)):
            yield group

    def _step_done(self, loss: float, rate: float) -> None:
        run = self.run
        self.complete = False
        if self.log is not None and run.step % self.log_every == 0:
            seconds = round(run.seconds, 3)
            self.log.write(event="step", step=run.step, epoch=run.epoch, loss=loss, lr=rate, seconds=seconds)
        for callback in self.callbacks:
            callback.on_step_end(run)

    def _finish_epoch(self, bar: Progress) -> None:
        """Measure, note what was measured, and save."""
        run, epoch = self.run, self.run.current
        epoch.loss /= epoch.images
        self.measuring(self.measured_model, epoch)
        number, rate = run.epoch, run.lr
        run.history.epochs.append(epoch)
        run.current = Epoch()
        value = epoch.values()[run.best.monitor]
        for scheduler in self.schedulers_by_epoch:
            scheduler.step(value) if wants_metric(scheduler) else scheduler.step()
        bar.epoch_done(number, epoch)
        if self.log is not None:
            seconds = round(run.seconds, 3)
            self.log.write(event="epoch", epoch=number, step=run.step, **epoch.values(), lr=rate, seconds=seconds)
        if run.best.see(number, value):
            self._keep_best()
        for callback in self.callbacks:
            callback.on_epoch_end(run)
        if self.saving.folder is not None:
            self.save()
        if self.ctrl_c.asked:
            self._stop()

    def _has_waited_enough(self) -> bool:
        return self.early_stopping is not None and self.run.best.waited >= self.early_stopping.patience

    def _stop(self) -> None:
        """Save what was done; on Ctrl-C, raise."""
        if self.saving.folder is not None and not self.complete:
            self.save()
        if self.ctrl_c.asked:
            raise KeyboardInterrupt

    # What is saved --------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint of this moment in the place of the one before."""
        assert self.saving.folder is not None
        run = self.run
        run.log_position = 0 if self.log is None else self.log.position()
        epochs = len(run.history.epochs)
        save_checkpoint(self.saving.folder / LAST, run.model, parts=self.parts(), epoch=epochs, **self.saving.about)
        self.saving.done()
        self.complete = True

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        load_checkpoint(path, self.run.model, parts=self.parts())
        self.complete = True

    def _keep_best(self) -> None:
        """Keep the weights of this epoch: in the folder, or in memory if they will be needed and there is no folder."""
        run, model = self.run, self.measured_model
        if self.saving.folder is not None:
            measured, epoch = run.history.epochs[-1].values(), len(run.history.epochs)
            save_checkpoint(self.saving.folder / BEST, model, epoch=epoch, measured=measured, **self.saving.about)
        elif self.early_stopping is not None and self.early_stopping.restore_best:
            self._best_weights = {name: tensor.array.copy() for name, tensor in model.state_dict().items()}

    def _restore_best(self, bar: Progress) -> None:
        """Give the model the weights of the best epoch, if early stopping is to do that."""
        run = self.run
        if self.early_stopping is None or not self.early_stopping.restore_best or not run.best.epoch:
            return
        if self.saving.folder is not None:
            load_checkpoint(self.saving.folder / BEST, run.model)
        elif self._best_weights is not None:
            run.model.load_state_dict(self._best_weights)
        bar.say(f"the weights are those of epoch {run.best.epoch}, the best by {run.best.monitor}: {run.best.value:.4g}")
