"""What all schedules have in common: the epoch, the rates, saving and resuming."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ...errors import ArgumentError, CheckpointError
from ..optimizer import Group, Optimizer

LRLambda: TypeAlias = Callable[[int], float]


class LRScheduler:
    """Base class of the schedulers; a subclass defines `get_lr`.

    Parameters
    ----------
    optimizer : Optimizer
    last_epoch : int
        The index of the last epoch of an interrupted run, if the optimizer is resumed; -1 for a new one.

    Attributes
    ----------
    base_lrs : list of float
        The rates that the groups began with; they live in the groups, as ``"initial_lr"``.
    last_epoch : int
        How often `step` was called.
    """

    # Attributes that are no part of the state.
    _unsaved: tuple[str, ...] = ("optimizer",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(type(self).__name__, optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ArgumentError(
                    f"{type(self).__name__}: last_epoch={last_epoch} resumes a run, but group {i} of the optimizer has no "
                    "'initial_lr'; load the optimizer's state first, or leave last_epoch out"
                )
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        """Say where time stands: a rate that was loaded with the optimizer is already that of the present epoch."""
        self._is_initial = True
        self.step()
        self._is_initial = False

    def _begin(self) -> None:
        """Start anew at epoch 0, from the initial rates; `SequentialLR` asks for it when the turn comes."""
        set_to_initial(self.optimizer)
        self.last_epoch = -1
        self._initial_step()

    @property
    def base_lrs(self) -> list[float]:
        for group in self.optimizer.param_groups:
            # A group that was added since begins with the rate that it was added with.
            group.setdefault("initial_lr", group["lr"])
        return [group["initial_lr"] for group in self.optimizer.param_groups]

    def get_lr(self) -> Sequence[float]:
        """The rates of the groups at `last_epoch`, from their present ones."""
        raise ArgumentError(f"{type(self).__name__} has no get_lr: define get_lr(self), which returns a rate for each group")

    def get_last_lr(self) -> list[float]:
        """The rates that were set last, one for each group."""
        return self._last_lr

    def step(self) -> None:
        """Go on by one epoch (or whatever the schedule counts), and set the rates.

        Warns
        -----
        UserWarning
            At the first step, if the optimizer has not made one: then the first rate was never used.
        """
        self._warn_of_order()
        self.last_epoch += 1
        self._set_rates()

    def _warn_of_order(self) -> None:
        if not self._is_initial and self.last_epoch == 0 and not self.optimizer.has_stepped:
            warnings.warn(
                f"{type(self).__name__}.step() was called before {type(self.optimizer).__name__}.step(), which skips the first "
                "learning rate: call optimizer.step() first, then scheduler.step()",
                UserWarning,
                stacklevel=3,
            )

    def _set_rates(self) -> None:
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = float(lr)
        self._last_lr = self._present()

    def _present(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def _scaled(self, factor: float) -> list[float]:
        return [lr * factor for lr in self._present()]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer (and functions that were given), as plain data; save the optimizer's state with it."""
        return {name: value for name, value in self.__dict__.items() if name not in self._unsaved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a `state_dict` of a scheduler of the same kind. The rates themselves are in the optimizer's state.

        Raises
        ------
        CheckpointError
            For the state of another kind of scheduler; this one is as it was.
        """
        self._check_state(state_dict)
        self.__dict__.update(state_dict)

    def _check_state(self, state_dict: Mapping[str, Any]) -> None:
        own = self.state_dict()
        if set(own) != set(state_dict):
            raise CheckpointError(
                f"load_state_dict: the state is not that of a {type(self).__name__}: it lacks "
                f"{sorted(set(own) - set(state_dict))} and has {sorted(set(state_dict) - set(own))} too many"
            )


def check_optimizer(scheduler: str, optimizer: Any) -> None:
    """Refuse anything but an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(f"{scheduler}: needs an Optimizer, got {type(optimizer).__name__}")


def check_count(scheduler: str, name: str, value: Any, unit: str = "") -> None:
    """Refuse a number of steps below 1."""
    if value < 1:
        raise ArgumentError(f"{scheduler}: {name} must be at least 1{unit}, got {value}")


def set_to_initial(optimizer: Optimizer) -> None:
    """Give all groups the rates that they began with."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"])


def for_groups(scheduler: str, name: str, value: float | Sequence[float], optimizer: Optimizer) -> list[float]:
    """One value for each group, from one for all or a list."""
    count = len(optimizer.param_groups)
    values = list(value) if isinstance(value, Sequence) else [value] * count
    if len(values) != count:
        raise ArgumentError(f"{scheduler}: {name} has {len(values)} values for {count} groups; give one for each, or one")
    return values


def check_has_momentum(scheduler: str, optimizer: Optimizer) -> None:
    """Refuse to move the momentum of an optimizer that has none."""
    if not {"momentum", "betas"} & set(optimizer.defaults):
        raise ArgumentError(
            f"{scheduler}: {type(optimizer).__name__} has neither momentum nor betas; pass cycle_momentum=False"
        )


def set_momentum(group: Group, momentum: float) -> None:
    """Set the momentum, or what of Adam's betas corresponds to it."""
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum
