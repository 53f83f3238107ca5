"""Schedules made of schedules: one after the other, or all at once."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ArgumentError, CheckpointError
from ..optimizer import Optimizer
from .base import LRScheduler, set_to_initial
from .plateau import ReduceLROnPlateau


class _Combined(LRScheduler):
    """What schedules of schedules have in common."""

    _unsaved = ("optimizer", "_schedulers")
    _schedulers: list[LRScheduler]

    def _take(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        name = type(self).__name__
        if not schedulers:
            raise ArgumentError(f"{name}: got no schedulers; give a list of at least one")
        for i, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise ArgumentError(f"{name}: scheduler {i} must be a scheduler, got {type(scheduler).__name__}")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ArgumentError(f"{name}: scheduler {i} is a ReduceLROnPlateau, whose step needs a measure; step it itself")
        self.optimizer = schedulers[0].optimizer if optimizer is None else optimizer
        for i, scheduler in enumerate(schedulers):
            if scheduler.optimizer is not self.optimizer:
                raise ArgumentError(f"{name}: scheduler {i}, a {type(scheduler).__name__}, belongs to another optimizer")
        self._schedulers = list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        """The states of all schedulers, and where one is."""
        return {**super().state_dict(), "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a `state_dict` of the same schedulers in the same order.

        Raises
        ------
        CheckpointError
            For the state of other schedulers; this one is as it was.
        """
        self._check_state(state_dict)
        self.__dict__.update({name: value for name, value in state_dict.items() if name != "_schedulers"})
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)

    def _check_state(self, state_dict: Mapping[str, Any]) -> None:
        super()._check_state(state_dict)
        count = len(state_dict["_schedulers"])
        if count != len(self._schedulers):
            raise CheckpointError(
                f"load_state_dict: the state is of {count} schedulers, this {type(self).__name__} has {len(self._schedulers)}"
            )
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler._check_state(state)


class SequentialLR(_Combined):
    """One schedule after the other, such as a warm-up and what follows it.

    When a schedule's turn comes, it starts at its epoch 0 from the initial rates (a `MultiplicativeLR`, which knows none, from
    the present ones).

    Parameters
    ----------
    optimizer : Optimizer
    schedulers : list of LRScheduler
        Made for this optimizer; step only the sequence, not these.
    milestones : list of int
        The epochs at which the second, third ... schedule starts, in rising order.
    last_epoch : int
        For a resumed optimizer the index of its last epoch; then the schedulers must have been made with theirs.

    Examples
    --------
    See `LinearLR` for the warm-up of a cosine. A warm-up of 3 epochs for a rate that falls in steps:

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import optim
    >>> sgd = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> warm_up = optim.lr_scheduler.LinearLR(sgd, start_factor=0.25, total_iters=3)
    >>> steps = optim.lr_scheduler.StepLR(sgd, step_size=2)
    >>> schedule = optim.lr_scheduler.SequentialLR(sgd, [warm_up, steps], milestones=[3])
    >>> for epoch in range(6):
    ...     print(sgd.param_groups[0]["lr"], end=" ")
    ...     sgd.step()
    ...     schedule.step()
    0.25 0.5 0.75 1.0 1.0 0.1
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        self._take(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ArgumentError(
                f"SequentialLR: {len(schedulers)} schedulers need {len(schedulers) - 1} milestones, one for each but the "
                f"first; got {len(milestones)}"
            )
        if list(milestones) != sorted(milestones):
            raise ArgumentError(f"SequentialLR: milestones must be in rising order, got {list(milestones)}")
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        if last_epoch == -1:
            self._begin()
        self._last_lr = self._present()

    def _begin(self) -> None:
        self.last_epoch = 0
        set_to_initial(self.optimizer)
        self._schedulers[bisect_right(self._milestones, 0)]._begin()
        self._last_lr = self._present()

    def step(self) -> None:
        """Go on by one epoch of the schedule whose turn it is, or start the next."""
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            self._schedulers[i]._begin()
        else:
            self._schedulers[i].step()
        self._last_lr = self._present()


class ChainedScheduler(_Combined):
    """Several schedules at once, each of which changes what the one before has left.

    Parameters
    ----------
    schedulers : list of LRScheduler
        Made for one optimizer, in the order in which they step; step only the chain, not these.
    optimizer : Optimizer, optional
        Theirs.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import optim
    >>> sgd = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> first = optim.lr_scheduler.ConstantLR(sgd, factor=0.1, total_iters=2)
    >>> always = optim.lr_scheduler.ExponentialLR(sgd, gamma=0.5)
    >>> schedule = optim.lr_scheduler.ChainedScheduler([first, always])
    >>> for epoch in range(4):
    ...     print(sgd.param_groups[0]["lr"], end=" ")
    ...     sgd.step()
    ...     schedule.step()
    0.1 0.05 0.25 0.125
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._take(schedulers, optimizer)
        self.last_epoch = schedulers[-1].last_epoch
        self._last_lr = self._present()

    def _begin(self) -> None:
        set_to_initial(self.optimizer)
        for scheduler in self._schedulers:
            scheduler.last_epoch = -1
            scheduler._initial_step()
        self.last_epoch = 0
        self._last_lr = self._present()

    def step(self) -> None:
        """Go on by one epoch of each schedule."""
        self.last_epoch += 1
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._present()
