"""A run of `tinygrad-cnn train`: a folder, the settings in it, and all that is made of them.

    config.json        the settings, from which `resume` makes everything again
    last.safetensors, best.safetensors, log.jsonl      as of `fit`
    summary.json       what came of it
    curves.svg         how it went, if matplotlib is there
    tensorboard        the same for TensorBoard, if asked for
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import kernels, models, optim, random
from ..data import DataLoader
from ..data.files import atomic_write
from ..errors import ArgumentError, MissingExtraError
from ..nn import Module
from .callbacks import Callback
from .checkpoint import load_checkpoint
from .curves import save_curves
from .environment import environment
from .evaluate import Evaluation, Metric, evaluate
from .folder import LAST
from .history import History
from .pipeline import Pipeline
from .recipes import LOOPS
from .run import Run
from .settings import LOSSES, Settings, chosen, make_optimizer, make_schedule
from .tensorboard import TensorBoard

CONFIG, SUMMARY, CURVES, BOARD = "config.json", "summary.json", "curves.svg", "tensorboard"


class _SmallFilters(Callback):
    """ZFNet's filters are scaled down whenever they grow too large (Zeiler, Fergus 2013, section 3.1)."""

    def on_step_end(self, run: Run) -> None:
        models.renormalize_filters(run.model)


@dataclass
class Session:
    """What the settings of a run come to.

    Attributes
    ----------
    settings : Settings
    model : Module
        With the weights that the seed gives it.
    train, val : DataLoader
    source : str
        Where the data came from.
    names : list of str or None
        The classes', if they have names.
    average : AveragedModel or None
        The moving average of the weights, which is measured in the model's place.
    """

    settings: Settings
    model: Module
    train: DataLoader
    val: DataLoader
    source: str
    names: list[str] | None = None
    average: optim.AveragedModel | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Session":
        """Make the model and the loaders.

        Raises
        ------
        ArgumentError
            If the settings name what does not exist, or data that do not fit the model.
        DataError
            If the data are not there; says how to get them.
        """
        for what, table in (("loss", LOSSES), ("loop", LOOPS)):
            chosen(what, getattr(settings, what), table)
        random.manual_seed(settings.seed)
        pipeline = Pipeline.of(settings)
        model, decay = pipeline.model(), settings.ema
        average = None if decay is None else optim.AveragedModel(model, multi_avg_fn=optim.get_ema_multi_avg_fn(decay))
        loaders = pipeline.train_loader(), pipeline.val_loader()
        return cls(settings, model, *loaders, pipeline.source, pipeline.names, average)

    @property
    def parameters(self) -> int:
        """How many numbers the model learns."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def fit(self, folder: Path, *, progress: bool = True) -> History:
        """Begin the training in its folder, or go on with it."""
        settings, model = self.settings, self.model
        optimizer = make_optimizer(settings, model)
        with self.threads():
            return LOOPS[settings.loop](
                model,
                self.train,
                self.val,
                epochs=settings.epochs,
                optimizer=optimizer,
                scheduler=make_schedule(settings, optimizer, len(self.train)),
                loss=LOSSES[settings.loss],
                predict=settings.predict,
                metrics=self.metrics(),
                clip_norm=settings.clip_norm,
                ema=self.average,
                checkpoint=folder,
                every=settings.every,
                resume=folder,
                about=self.about(),
                callbacks=self._callbacks(folder),
                progress=progress,
            )

    def _callbacks(self, folder: Path) -> list[Callback]:
        callbacks: list[Callback] = [_SmallFilters()] if self.settings.model == "zfnet" else []
        return [*callbacks, TensorBoard(folder / BOARD)] if self.settings.tensorboard else callbacks

    def about(self) -> dict[str, Any]:
        """What the checkpoints say of the weights."""
        settings = self.settings
        arguments = {"name": settings.model, "data": settings.data}
        return {"arguments": arguments, "normalization": settings.normalization, "seed": settings.seed}

    def load(self, file: Path) -> None:
        """Give the model the weights of a checkpoint; and the average its own, where they are in it."""
        if file.name == LAST and self.average is not None:
            load_checkpoint(file, self.model, parts={"average": self.average})
        else:
            load_checkpoint(file, self.model)
            self.average = None

    def evaluate(self) -> Evaluation:
        """Measure the model, or the average of its weights, on the held-out images."""
        model = self.model if self.average is None else self.average.module
        with self.threads():
            return evaluate(model, self.val, loss=LOSSES[self.settings.loss], predict=self.settings.predict)

    def metrics(self) -> dict[str, Metric]:
        """The top-5 error is ImageNet's measure; of ten classes it says little."""
        return {} if models.get_entry(self.settings.model).data != "ImageNet" else {"top5": _top5}

    @contextlib.contextmanager
    def threads(self) -> Iterator[None]:
        """Let the matrix products use as many threads as the settings say."""
        with contextlib.ExitStack() as stack:
            if self.settings.threads is not None:
                try:
                    stack.enter_context(kernels.blas_threads(self.settings.threads))
                except MissingExtraError:
                    if self.settings.threads > 1:
                        raise
            yield


def _top5(result: Evaluation) -> float:
    return result.top_k(min(5, result.probabilities.shape[1]))


def begin(settings: Settings, folder: Path) -> Session:
    """Make the session of a new run, and its folder.

    Raises
    ------
    ArgumentError
        If the folder holds another run.
    """
    if (folder / CONFIG).exists() or (folder / LAST).exists():
        raise ArgumentError(
            f"{folder} holds a run: go on with it (tinygrad-cnn resume {folder}), delete it, or name another folder with --out"
        )
    session = Session.of(settings)
    folder.mkdir(parents=True, exist_ok=True)
    settings.save(folder / CONFIG)
    return session


def reopen(folder: Path) -> Session:
    """Make the session of a run that is there, as it was when it began."""
    return Session.of(Settings.load(folder / CONFIG))


def save_results(folder: Path, session: Session, history: History, result: Evaluation) -> list[str]:
    """Write what came of a run; return a line for each thing that is missing, with what it takes."""
    summary = {
        "model": session.settings.model,
        "parameters": session.parameters,
        "data": session.source,
        "error": result.error,
        "loss": result.loss,
        **{name: metric(result) for name, metric in session.metrics().items()},
        "epochs": [asdict(epoch) for epoch in history.epochs],
        "seconds": history.seconds,
        "environment": environment(),
    }
    with atomic_write(folder / SUMMARY) as file:
        file.write(json.dumps(summary, indent=2).encode() + b"\n")
    try:
        save_curves(folder / CURVES, history)
    except MissingExtraError as error:
        return [f"no {folder / CURVES}: {error}"]
    return []
