"""A schedule that looks at how training goes: lower the rate when nothing gets better."""

import math
from collections.abc import Sequence

from ...errors import ArgumentError
from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer, for_groups


class ReduceLROnPlateau(LRScheduler):
    """The rate times a factor whenever a measure, such as the validation loss, has not got better for some epochs.

    Parameters
    ----------
    optimizer : Optimizer
    mode : {"min", "max"}
        Whether less is better (a loss) or more (an accuracy).
    factor : float
        Below 1.
    patience : int
        How many epochs without improvement are borne; the rate falls after one more.
    threshold : float
        What counts as better: in mode "min", less than best * (1 - threshold), or than best - threshold.
    threshold_mode : {"rel", "abs"}
        Which of the two.
    cooldown : int
        For how many epochs after a reduction nothing is counted.
    min_lr : float, or list of float for the groups
        Where the rate ends.
    eps : float
        A change of the rate by no more than this is not made.

    Attributes
    ----------
    best : float
        The best measure so far; at first an infinity.
    num_bad_epochs : int
        How many epochs there were without improvement.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import optim
    >>> sgd = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.ReduceLROnPlateau(sgd, patience=1)
    >>> for loss in [2.0, 1.0, 1.1, 1.2, 0.9]:
    ...     sgd.step()
    ...     schedule.step(loss)
    ...     print(schedule.get_last_lr()[0], end=" ")
    1.0 1.0 1.0 0.1 0.1
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        check_optimizer("ReduceLROnPlateau", optimizer)
        if factor >= 1:
            raise ArgumentError(f"ReduceLROnPlateau: factor must be below 1, got {factor}")
        if mode not in ("min", "max"):
            raise ArgumentError(f"ReduceLROnPlateau: mode must be 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ArgumentError(f"ReduceLROnPlateau: threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}")
        for_groups("ReduceLROnPlateau", "min_lr", min_lr, optimizer)
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.eps = eps
        self.last_epoch = 0
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self._last_lr = self._present()

    def step(self, metrics: float) -> None:  # type: ignore[override]
        """Go on by one epoch, and lower the rate if it is time to.

        Parameters
        ----------
        metrics : float
            The measure of this epoch. One that is not a number is no improvement.
        """
        self.last_epoch += 1
        value = float(metrics)
        if self._is_better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._set_rates()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._present()

    def _is_better(self, value: float) -> bool:
        if self.threshold_mode == "rel":
            limit = self.best * (1 - self.threshold if self.mode == "min" else 1 + self.threshold)
        else:
            limit = self.best - self.threshold if self.mode == "min" else self.best + self.threshold
        return value < limit if self.mode == "min" else value > limit

    def get_lr(self) -> Sequence[float]:
        """The rates after a reduction of the present ones."""
        least = for_groups("ReduceLROnPlateau", "min_lr", self.min_lr, self.optimizer)
        reduced = [max(lr * self.factor, low) for lr, low in zip(self._present(), least, strict=True)]
        return [new if lr - new > self.eps else lr for lr, new in zip(self._present(), reduced, strict=True)]
