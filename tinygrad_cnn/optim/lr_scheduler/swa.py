"""The learning rate of stochastic weight averaging."""

import math
from collections.abc import Sequence

from ...errors import ArgumentError
from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer, for_groups


class SWALR(LRScheduler):
    """From the present rate to a constant one, at which weights are averaged (`AveragedModel`).

    Weights at a constant, fairly high rate wander around a good point, and their average is near it; weights at a rate that
    falls to 0 stand still.

    Parameters
    ----------
    optimizer : Optimizer
    swa_lr : float, or list of float for the groups
        The last rate.
    anneal_epochs : int
        How many epochs the change takes; 0 for at once.
    anneal_strategy : {"cos", "linear"}
        The shape of the slope.
    last_epoch : int

    References
    ----------
    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson 2018, "Averaging weights leads to wider optima and better generalization".
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | Sequence[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("SWALR", optimizer)
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"SWALR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ArgumentError(f"SWALR: anneal_epochs must be a whole number of at least 0, got {anneal_epochs!r}")
        for group, lr in zip(optimizer.param_groups, for_groups("SWALR", "swa_lr", swa_lr, optimizer), strict=True):
            group["swa_lr"] = lr
        self.anneal_epochs = anneal_epochs
        self.anneal_strategy = anneal_strategy
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Sequence[float]:
        lasts = [group["swa_lr"] for group in self.optimizer.param_groups]
        if self.last_epoch > self.anneal_epochs or self.anneal_epochs == 0:
            return lasts
        if self._is_initial:
            return self._present()
        # The way that is left shrinks by a ratio, whoever else moves the rate meanwhile.
        ratio = (1 - self._part(self.last_epoch)) / (1 - self._part(self.last_epoch - 1))
        return [last + (lr - last) * ratio for lr, last in zip(self._present(), lasts, strict=True)]

    def _begin(self) -> None:
        # It goes on from what the schedule before it has left.
        self.last_epoch = -1
        self._initial_step()

    def _part(self, epoch: int) -> float:
        """How much of the way is done at an epoch, from 0 to 1."""
        part = epoch / self.anneal_epochs
        return part if self.anneal_strategy == "linear" else (1 - math.cos(math.pi * part)) / 2
