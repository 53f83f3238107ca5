"""The training loop, as one function: `fit`.

One step is: forward, loss, backward, update (`update.py`). Around it (`training.py`) are the epochs, the measuring on held-out
data, and the checkpoints from which a training that was killed goes on as if nothing had happened. This file checks what was
asked for and puts the parts together.
"""

import contextlib
import math
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

from .. import ops
from ..data import Dataset
from ..errors import ArgumentError, DataError
from ..nn import Module
from ..optim import Optimizer
from .callbacks import Callback
from .evaluate import Batches, Loss, Metric, Predict
from .folder import LOG, begin_folder, checkpoint_to_resume, remove_fragments
from .history import History
from .interrupt import CtrlC
from .log import JSONLines
from .progress import Progress
from .run import Best, EarlyStopping, Run
from .training import Measuring, Saving, SizedBatches, Training
from .update import Average, Scheduler, Updater, wants_metric

StrPath = str | os.PathLike[str]


def fit(
    model: Module,
    train: SizedBatches,
    val: Batches | None = None,
    *,
    epochs: int,
    optimizer: Optimizer,
    scheduler: Scheduler | Sequence[Scheduler] | None = None,
    scheduler_every: Literal["batch", "epoch"] = "batch",
    loss: Loss = ops.cross_entropy,
    predict: Predict = "argmax",
    metrics: Mapping[str, Metric] | None = None,
    monitor: str | None = None,
    mode: Literal["min", "max"] = "min",
    early_stopping: EarlyStopping | None = None,
    accumulate: int = 1,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    ema: Average | None = None,
    checkpoint: StrPath | None = None,
    every: int | None = None,
    every_seconds: float | None = None,
    resume: StrPath | None = None,
    about: Mapping[str, Any] | None = None,
    log: StrPath | None = None,
    log_every: int = 1,
    callbacks: Sequence[Callback] = (),
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
        How many passes over the training data, those before a resumption included.
    optimizer : Optimizer
        Holds the model's parameters.
    scheduler : object with ``step()``, or several, optional
        Schedules of the learning rate. One whose ``step`` takes ``metrics``, such as `ReduceLROnPlateau`, is given the
        monitored value after each epoch.
    scheduler_every : {"batch", "epoch"}
        When the other ones are stepped: after every update, as one-cycle schedules and those of a few epochs need it, or
        after every epoch.
    loss : callable
        ``loss(scores, targets)``, the mean over a batch; a function or a module.
    predict, metrics
        How the outputs tell the class, see `evaluate`; and what else to measure on `val`: functions of an `Evaluation` by
        name, such as ``{"top5": lambda result: result.top_k(5)}``.
    monitor : str, optional
        The value that tells the best epoch: ``"loss"``, ``"val_loss"``, ``"val_error"`` or one of `metrics`; by default the
        error if there is `val`, or else the loss.
    mode : {"min", "max"}
        Whether small monitored values are good.
    early_stopping : EarlyStopping, optional
        Stop when that value gets no better.
    accumulate : int
        How many batches make one update: their gradients add up to that of one large batch.
    clip_norm, clip_value : float, optional
        The largest norm of all gradients together; the largest absolute value of each.
    ema : AveragedModel, optional
        An average of the weights. It is told of each update, and measured on `val` in the model's place.
    checkpoint : path-like, optional
        A folder for ``last.safetensors``, from which the training can be resumed, ``best.safetensors`` and ``log.jsonl``.
    every, every_seconds : int, float, optional
        Besides after each epoch, save after so many updates, or so many seconds after the last time.
    resume : path-like, optional
        Go on from this checkpoint or folder. Everything else has to be as it was; then the result is, bit by bit, that of a
        training without the interruption. If it is the folder of `checkpoint` and nothing was saved in it yet, begin.
    about : mapping, optional
        What the checkpoints say: ``arguments``, ``normalization`` and ``seed`` of `CheckpointInfo`.
    log : path-like, optional
        Where to write a line of JSON for each step and epoch; by default ``log.jsonl`` in the folder of `checkpoint`.
    log_every : int
        Write a line for every so many steps only.
    callbacks : sequence of Callback
        Called at certain moments, see `Callback`.
    progress : bool
        Show a progress bar on stderr, and a line for each epoch on stdout.

    Returns
    -------
    History

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C; its message says how far the training was. With `checkpoint`, the step is completed and saved first (a
        second Ctrl-C stops at once).
    TrainingError
        If the loss, or the norm of the gradients, is not finite any more; the weights are those before the step.
    CheckpointError
        If the checkpoint to resume is missing, truncated or of another training; model and optimizer are as before.
    ArgumentError, DataError
        If an argument is out of its range, `checkpoint` holds another training, or `train` has no batch.

    Examples
    --------
    A training of six epochs that is cut in two:

    >>> import tempfile
    >>> import numpy as np
    >>> from tinygrad_cnn import data, nn, optim, random
    >>> _ = random.manual_seed(0)
    >>> rows = data.TensorDataset(np.eye(4, dtype=np.float32), np.arange(4))
    >>> net, folder = nn.Linear(4, 4), tempfile.mkdtemp()
    >>> options = {"optimizer": optim.SGD(net.parameters(), lr=1.0), "checkpoint": folder, "resume": folder, "progress": False}
    >>> for epochs in (2, 6):
    ...     history = fit(net, data.DataLoader(rows, 2), epochs=epochs, **options)
    >>> len(history.epochs), history.losses[-1] < history.losses[0]
    (6, True)
    """
    for name, count in (("epochs", epochs), ("accumulate", accumulate), ("log_every", log_every)):
        if not isinstance(count, Integral) or count < 1:
            raise ArgumentError(f"fit: {name} must be a whole number, 1 or more, got {count}")
    _check_batches(train)
    _check_parameters(model, optimizer)
    saving = _saving(checkpoint, every, every_seconds, about, train)
    by_update, by_epoch = _schedules(scheduler, scheduler_every, mode)
    measuring = Measuring(val, loss, predict, metrics or {})
    best = _best(monitor, mode, early_stopping, measuring)
    updater = Updater(model, optimizer, loss, by_update, clip_norm, clip_value, ema)
    run = Run(model, optimizer, epochs, math.ceil(len(train) / accumulate), best)
    with contextlib.ExitStack() as stack:
        ctrl_c = stack.enter_context(CtrlC()) if saving.folder is not None else CtrlC()
        training = Training(
            run, train, updater, by_epoch, measuring, saving, accumulate, early_stopping, callbacks, None, log_every, ctrl_c
        )
        _load_or_begin(training, None if resume is None else Path(resume))
        if log is not None or saving.folder is not None:
            path = Path(log) if log is not None else Path(saving.folder or ".", LOG)
            training.log = stack.enter_context(contextlib.closing(JSONLines(path, run.log_position)))
        bar = stack.enter_context(Progress(epochs, run.steps_per_epoch, run.step, shown=progress))
        _go(training, bar)
    return run.history


def _go(training: Training, bar: Progress) -> None:
    """Train, with the callbacks' first and last moments, and say how far it was if Ctrl-C stops it."""
    run = training.run
    for callback in training.callbacks:
        callback.on_fit_begin(run)
    try:
        training.go(bar)
    except KeyboardInterrupt:
        steps = f"{run.step} of {run.epochs * run.steps_per_epoch} steps"
        raise KeyboardInterrupt(f"{steps}, {len(run.history.epochs)} of {run.epochs} epochs complete") from None
    finally:
        for callback in training.callbacks:
            callback.on_fit_end(run)


def _load_or_begin(training: Training, resume: Path | None) -> None:
    """Bring the training to where it was, or make the folder of a new one."""
    folder = training.saving.folder
    file = None if resume is None else checkpoint_to_resume(resume, folder)
    if file is not None:
        training.load(file)
    if folder is not None:
        # A training may be resumed from elsewhere into a new folder, but not into that of a third one.
        if file is None or file.parent.resolve() != folder.resolve():
            begin_folder(folder)
        remove_fragments(folder)


def _check_batches(train: Any) -> None:
    if isinstance(train, Dataset) or not hasattr(train, "__len__"):
        raise ArgumentError(
            f"fit: the training data must be batches of a known number, anew in each epoch; a {type(train).__name__} gives "
            "none: put the samples into a DataLoader(dataset, batch_size)"
        )
    if not len(train):
        raise DataError("fit: the training data has no batch: there is nothing to learn from")


def _check_parameters(model: Module, optimizer: Optimizer) -> None:
    own = {id(parameter) for parameter in model.parameters()}
    if not any(id(parameter) in own for group in optimizer.param_groups for parameter in group["params"]):
        raise ArgumentError(
            f"fit: the {type(optimizer).__name__} holds none of the parameters of this {type(model).__name__}, which would "
            "learn nothing: make the optimizer of model.parameters()"
        )


def _saving(
    checkpoint: StrPath | None,
    every: int | None,
    every_seconds: float | None,
    about: Mapping[str, Any] | None,
    train: SizedBatches,
) -> Saving:
    asked = every is not None or every_seconds is not None
    if asked and checkpoint is None:
        raise ArgumentError("fit: every= and every_seconds= say how often to save, but not where: give checkpoint=, a folder")
    if (every is not None and every < 1) or (every_seconds is not None and not every_seconds > 0):
        raise ArgumentError(
            f"fit: every is a number of steps, 1 or more, and every_seconds a time above 0; got {every} and {every_seconds}"
        )
    if asked and not hasattr(train, "load_state_dict"):
        raise ArgumentError(
            "fit: to save in the middle of an epoch, the training data has to know its position, with state_dict and "
            f"load_state_dict, which {type(train).__name__} has not: use a DataLoader, or save after each epoch only"
        )
    return Saving(None if checkpoint is None else Path(checkpoint), every, every_seconds, dict(about or {}))


def _schedules(
    scheduler: Scheduler | Sequence[Scheduler] | None, scheduler_every: str, mode: str
) -> tuple[list[Scheduler], list[Scheduler]]:
    """The schedules that are stepped after each update, and those after each epoch."""
    if scheduler_every not in ("batch", "epoch"):
        raise ArgumentError(f"fit: scheduler_every must be 'batch' or 'epoch', got {scheduler_every!r}")
    given = [] if scheduler is None else [scheduler] if isinstance(scheduler, Scheduler) else list(scheduler)
    for one in given:
        if wants_metric(one) and getattr(one, "mode", mode) != mode:
            raise ArgumentError(
                f"fit: {type(one).__name__} takes {one.mode!r} of the monitored value for the best, fit takes {mode!r}: give "  # type: ignore[attr-defined]
                "both the same mode="
            )
    by_update = [one for one in given if scheduler_every == "batch" and not wants_metric(one)]
    return by_update, [one for one in given if one not in by_update]


def _best(
    monitor: str | None, mode: Literal["min", "max"], early_stopping: EarlyStopping | None, measuring: Measuring
) -> Best:
    if mode not in ("min", "max"):
        raise ArgumentError(f"fit: mode must be 'min' or 'max', got {mode!r}")
    if early_stopping is not None and not isinstance(early_stopping, EarlyStopping):
        raise ArgumentError(
            f"fit: early_stopping must be an EarlyStopping, got {early_stopping!r}: write "
            "early_stopping=train.EarlyStopping(patience=3)"
        )
    own = ["loss", *(["val_loss", "val_error"] if measuring.val is not None else [])]
    if taken := [name for name in own if name in measuring.metrics]:
        raise ArgumentError(f"fit: {', '.join(taken)} of metrics= is measured anyway: call yours by another name")
    if measuring.metrics and measuring.val is None:
        raise ArgumentError(f"fit: {', '.join(measuring.metrics)} cannot be measured without held-out data: give val=")
    known = [*own, *measuring.metrics]
    if monitor is not None and monitor not in known:
        near = get_close_matches(monitor, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        without = "" if measuring.val is not None else ", because there is no val="
        raise ArgumentError(f"fit: nothing called {monitor!r} is measured: {hint}there is {', '.join(known)}{without}")
    name = monitor or ("loss" if measuring.val is None else "val_error")
    return Best(name, mode, 0.0 if early_stopping is None else early_stopping.min_delta)
