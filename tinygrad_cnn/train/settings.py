"""Everything that decides a training, as plain data: what a recipe says, what the command line changes, what a run keeps.

`Settings` holds names and numbers only. The tables and functions below turn them into optimizers, schedules and losses.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from .. import nn, ops, optim
from ..data.files import atomic_write
from ..errors import ArgumentError, CheckpointError
from ..models import GoogLeNetOutputs
from ..nn import Module
from ..optim import Optimizer, lr_scheduler
from ..tensor import Tensor
from .evaluate import Loss
from .update import Scheduler

FORMAT = 1
"""The number of the format of a run's ``config.json``."""


@dataclass(frozen=True)
class Settings:
    """What a training is.

    Attributes
    ----------
    model : str
        A name of `models.list_models`.
    data : str
        A name of `pipeline.DATA_SETS`, or a directory of images.
    epochs, batch_size : int
    lr : float or None
        The learning rate, the highest one of a schedule; None for the optimizer's own default.
    optimizer : str
        A name of `OPTIMIZERS`, with `optimizer_options`.
    schedule : str
        A name of `SCHEDULES`, with `schedule_options`.
    loss : str
        A name of `LOSSES`.
    predict : {"argmax", "argmin"}
        Which output tells the class.
    normalization : str
        How digits are scaled, see `data.normalize_digits`.
    augment : bool
        Whether the training images are distorted.
    clip_norm : float or None
        A limit on the norm of the gradients.
    ema : float or None
        The decay of a moving average of the weights, which is measured in their place.
    loop : str
        A name of `recipes.LOOPS`.
    root : str or None
        Where the files of a named data set are.
    limit : int or None
        Take only so many training images, and held-out ones.
    seed, workers : int
    threads : int or None
        Threads of the matrix products; None for as many as BLAS takes by itself.
    every : int or None
        Save after so many updates, besides after each epoch.
    tensorboard : bool
        Write files for TensorBoard as well.
    """

    model: str
    data: str
    epochs: int
    batch_size: int
    lr: float | None
    optimizer: str = "sgd"
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    schedule: str = "constant"
    schedule_options: Mapping[str, Any] = field(default_factory=dict)
    loss: str = "cross_entropy"
    predict: Literal["argmax", "argmin"] = "argmax"
    normalization: str = "unit"
    augment: bool = False
    clip_norm: float | None = None
    ema: float | None = None
    loop: str = "fit"
    root: str | None = None
    limit: int | None = None
    seed: int = 0
    workers: int = 0
    threads: int | None = None
    every: int | None = None
    tensorboard: bool = False

    def save(self, path: Path) -> None:
        """Write the settings as JSON."""
        with atomic_write(path) as file:
            file.write(json.dumps({"format": FORMAT, **asdict(self)}, indent=2).encode() + b"\n")

    def _check(self) -> None:
        """Refuse what cannot stand in a field, as a file that was edited by hand may have it."""
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            least = {"epochs": 1, "batch_size": 1, "limit": 1, "threads": 1, "every": 1, "seed": 0, "workers": 0}.get(name)
            if not _is_a(value, kind) or (least is not None and value is not None and value < least):
                raise ValueError(f"{name} cannot be {value!r}")

    @classmethod
    def load(cls, path: Path) -> "Settings":
        """Read what `save` wrote.

        Raises
        ------
        CheckpointError
            If the file is missing, damaged, or of a newer version.
        """
        try:
            said = json.loads(path.read_bytes())
            number = said.pop("format")
            settings = cls(**said)
            settings._check()
        except FileNotFoundError as error:
            raise CheckpointError(f"there is no {path}: name the folder of a run of `tinygrad-cnn train`") from error
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            known = ", ".join(one.name for one in fields(cls))
            raise CheckpointError(f"{path} does not hold the settings of a run ({error}); they are: {known}") from error
        if number != FORMAT:
            raise CheckpointError(f"{path} has format {number}, this version reads format {FORMAT}: install a newer one")
        return settings


def _is_a(value: Any, kind: Any) -> bool:
    """Whether a value of a JSON file, where 1.0 may stand as 1, is of the kind that a field is annotated with."""
    members = get_args(kind)
    if get_origin(kind) is Literal:
        return value in members
    if get_origin(kind) is UnionType:
        return any(_is_a(value, member) for member in members)
    if kind in (int, float):
        return type(value) in (int, kind)
    return isinstance(value, get_origin(kind) or kind)


def chosen(what: str, name: str, table: Mapping[str, Any]) -> Any:
    """The entry of a table.

    Raises
    ------
    ArgumentError
        For a name that is not in it; says which is nearest.

    Examples
    --------
    >>> chosen("optimizer", "adamm", OPTIMIZERS)
    Traceback (most recent call last):
        ...
    tinygrad_cnn.errors.ArgumentError: there is no optimizer 'adamm': did you mean 'adam'?
    """
    if name in table:
        return table[name]
    near = get_close_matches(name.lower(), table, n=1)
    raise ArgumentError(
        f"there is no {what} {name!r}: " + (f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(table)}")
    )


# Optimizers -----------------------------------------------------------------------------------------------------------

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": optim.SGD,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "nadam": optim.NAdam,
    "radam": optim.RAdam,
    "rmsprop": optim.RMSprop,
    "adagrad": optim.Adagrad,
    "adadelta": optim.Adadelta,
    "lars": optim.LARS,
}


def make_optimizer(settings: Settings, model: Module) -> Optimizer:
    """The optimizer that the settings name, over a model's parameters."""
    kind: Callable[..., Optimizer] = chosen("optimizer", settings.optimizer, OPTIMIZERS)
    options = dict(settings.optimizer_options) if settings.lr is None else {**settings.optimizer_options, "lr": settings.lr}
    known = [name for name in inspect.signature(kind).parameters if name != "params"]
    if unknown := [name for name in options if name not in known]:
        raise ArgumentError(
            f"settings: optimizer_options has {', '.join(map(repr, unknown))}, which {settings.optimizer} does not take; it "
            f"takes {', '.join(known)}"
        )
    return kind([parameter for parameter in model.parameters() if parameter.requires_grad], **options)


# Schedules: from the optimizer, the updates in an epoch and the number of epochs; stepped after each update -----------------


def _one_cycle(optimizer: Optimizer, steps: int, epochs: int) -> list[Scheduler]:
    rates = [group["lr"] for group in optimizer.param_groups]
    return [lr_scheduler.OneCycleLR(optimizer, rates, epochs=epochs, steps_per_epoch=steps, cycle_momentum=False)]


def _cosine(optimizer: Optimizer, steps: int, epochs: int) -> list[Scheduler]:
    return [lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps * epochs)]


def _step(
    optimizer: Optimizer, steps: int, epochs: int, milestones: tuple[float, ...] = (0.5, 0.75), warm_up: int = 0
) -> list[Scheduler]:
    """A tenth of the rate after each of the given parts of the training; and, if asked for, before so many first updates."""
    falls = lr_scheduler.MultiStepLR(optimizer, [round(part * steps * epochs) for part in milestones], gamma=0.1)
    # A short training is not to be warmed up for all its length.
    calm = min(warm_up, steps * epochs // 10)
    return [falls, lr_scheduler.ConstantLR(optimizer, factor=0.1, total_iters=calm)] if calm else [falls]


def _plateau(optimizer: Optimizer, steps: int, epochs: int, patience: int = 5) -> list[Scheduler]:
    return [lr_scheduler.ReduceLROnPlateau(optimizer, patience=patience)]


def _exponential(optimizer: Optimizer, steps: int, epochs: int, gamma: float = 0.96, every: int = 8) -> list[Scheduler]:
    return [lr_scheduler.StepLR(optimizer, step_size=every * steps, gamma=gamma)]


def _inverse(optimizer: Optimizer, steps: int, epochs: int, gamma: float = 1e-4, power: float = 0.75) -> list[Scheduler]:
    """Caffe's "inv" policy, lr (1 + gamma t)^-power."""
    return [lr_scheduler.LambdaLR(optimizer, lambda t: (1 + gamma * t) ** -power)]


def _constant(optimizer: Optimizer, steps: int, epochs: int) -> list[Scheduler]:
    return []


SCHEDULES: dict[str, Callable[..., list[Scheduler]]] = {
    "constant": _constant,
    "onecycle": _one_cycle,
    "cosine": _cosine,
    "step": _step,
    "exponential": _exponential,
    "inverse": _inverse,
    "plateau": _plateau,
}


def make_schedule(settings: Settings, optimizer: Optimizer, steps: int) -> list[Scheduler]:
    """The schedules that the settings name, for a training of so many updates an epoch."""
    make = chosen("schedule", settings.schedule, SCHEDULES)
    schedules: list[Scheduler] = make(optimizer, steps, settings.epochs, **settings.schedule_options)
    return schedules


# Losses ---------------------------------------------------------------------------------------------------------------


def with_auxiliary_heads(outputs: Tensor | GoogLeNetOutputs, targets: Tensor) -> Tensor:
    """Cross-entropy; of a GoogLeNet in training, plus 0.3 times that of each auxiliary head (Szegedy 2014, section 5)."""
    if isinstance(outputs, Tensor):
        return ops.cross_entropy(outputs, targets)
    main, *heads = outputs
    losses = [ops.cross_entropy(head, targets) for head in heads if head is not None]
    return ops.cross_entropy(main, targets) + 0.3 * sum(losses[1:], losses[0]) if losses else ops.cross_entropy(main, targets)


LOSSES: dict[str, Loss] = {
    "cross_entropy": with_auxiliary_heads,
    # The paper says of j only that it is positive.
    "rbf_map": nn.RBFMAPLoss(j=0.1),
}
