"""Schedules that go up and down: cosines, triangles, and one cycle for all of training."""

import math
from collections.abc import Callable, Sequence

from ...errors import ArgumentError
from ..optimizer import Optimizer
from .base import LRScheduler, check_count, check_has_momentum, check_optimizer, for_groups, set_momentum


class CosineAnnealingLR(LRScheduler):
    r"""Half a cosine from the initial rate to a minimum, and up again if training goes on.

    lr(t) = eta_min + (initial_lr - eta_min) * (1 + cos(pi t / T_max)) / 2.

    Parameters
    ----------
    optimizer : Optimizer
    T_max : int
        When the minimum is reached.
    eta_min : float
        The minimum.
    last_epoch : int

    References
    ----------
    Loshchilov, Hutter 2016, "SGDR: stochastic gradient descent with warm restarts", equation 5 (without the restarts).
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:  # noqa: N803
        check_count("CosineAnnealingLR", "T_max", T_max, " epoch")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Sequence[float]:
        if self._is_initial:
            return self._present()
        if (self.last_epoch - 1) % (2 * self.T_max) == self.T_max:
            # The epoch before was at the minimum, from which no ratio leads away.
            rise = self._height(self.last_epoch)
            return [lr + (base - self.eta_min) * rise for lr, base in zip(self._present(), self.base_lrs, strict=True)]
        ratio = self._height(self.last_epoch) / self._height(self.last_epoch - 1)
        return [self.eta_min + (lr - self.eta_min) * ratio for lr in self._present()]

    def _height(self, epoch: int) -> float:
        """How much of the way from the minimum to the initial rate there is at an epoch."""
        return (1 + math.cos(math.pi * epoch / self.T_max)) / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    r"""Half a cosine from the initial rate to a minimum, again and again, in cycles that may grow longer.

    lr = eta_min + (initial_lr - eta_min) * (1 + cos(pi T_cur / T_i)) / 2, with T_cur epochs since the last restart and T_i
    from it to the next. The rates are set absolutely.

    Parameters
    ----------
    optimizer : Optimizer
    T_0 : int
        The length of the first cycle.
    T_mult : int
        How many times as long as the one before each further cycle is.
    eta_min : float
        The minimum, which is reached just before a restart.
    last_epoch : int

    References
    ----------
    Loshchilov, Hutter 2016, "SGDR: stochastic gradient descent with warm restarts", equation 5.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,  # noqa: N803
        T_mult: int = 1,  # noqa: N803
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ArgumentError(f"CosineAnnealingWarmRestarts: {name} must be a whole number of at least 1, got {value!r}")
        self.T_0 = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: float | None = None) -> None:
        """Go on by one epoch, or to a given one.

        Parameters
        ----------
        epoch : float, optional
            Where to, which may be between two epochs: ``schedule.step(epoch + i / len(loader))`` after batch i.

        Raises
        ------
        ArgumentError
            For an epoch below 0.
        """
        if epoch is None:
            self._warn_of_order()
            if self._is_initial:
                self._go_to(self.last_epoch + 1)
            else:
                self._go_to_in_cycle(self.T_cur + 1)
            self.last_epoch += 1
        elif epoch < 0:
            raise ArgumentError(f"CosineAnnealingWarmRestarts.step: epoch must be at least 0, got {epoch}")
        else:
            self._go_to(epoch)
            self.last_epoch = math.floor(epoch)
        self._set_rates()

    def _go_to(self, epoch: float) -> None:
        self.T_i = self.T_0
        self._go_to_in_cycle(epoch)

    def _go_to_in_cycle(self, since: float) -> None:
        """Say where one is, so many epochs after the start of the cycle of length T_i."""
        while since >= self.T_i:
            since -= self.T_i
            self.T_i *= self.T_mult
        self.T_cur = since

    def get_lr(self) -> Sequence[float]:
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]


class CyclicLR(LRScheduler):
    """Up and down between two rates, in triangles that may become smaller; step it after each batch.

    With the position x in a cycle's slope, from 0 at the bottom to 1 at the top:

        lr = base_lr + (max_lr - base_lr) * x * scale

    where scale is 1 for "triangular", 1 / 2^(cycle - 1) for "triangular2" with cycles counted from 1, and gamma^iteration for
    "exp_range". The momentum goes the other way. The rates are set absolutely.

    Parameters
    ----------
    optimizer : Optimizer
    base_lr, max_lr : float, or list of float for the groups
        Bottom and top.
    step_size_up : int
        How many batches a rise takes.
    step_size_down : int, optional
        And a fall; as many as the rise by default.
    mode : {"triangular", "triangular2", "exp_range"}
        The scale; not used with `scale_fn`.
    gamma : float
        Of "exp_range".
    scale_fn : callable, optional
        The scale as a function of the cycle (from 1) or of the iteration (from 0). It is not part of `state_dict`.
    scale_mode : {"cycle", "iterations"}
        Which of the two `scale_fn` is given.
    cycle_momentum : bool
        Whether the momentum (of Adam, beta1) is moved as well.
    base_momentum, max_momentum : float, or list of float for the groups
        At the top of the rate and at its bottom.
    last_epoch : int

    References
    ----------
    Smith 2015, "Cyclical learning rates for training neural networks".
    """

    _unsaved = ("optimizer", "scale_fn")

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[int], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("CyclicLR", optimizer)
        self.step_size_up = step_size_up
        self.step_size_down = step_size_up if step_size_down is None else step_size_down
        check_count("CyclicLR", "step_size_up", self.step_size_up)
        check_count("CyclicLR", "step_size_down", self.step_size_down)
        if mode not in ("triangular", "triangular2", "exp_range"):
            raise ArgumentError(f"CyclicLR: mode must be 'triangular', 'triangular2' or 'exp_range', got {mode!r}")
        if scale_mode not in ("cycle", "iterations"):
            raise ArgumentError(f"CyclicLR: scale_mode must be 'cycle' or 'iterations', got {scale_mode!r}")
        self.mode = mode
        self.gamma = gamma
        self.scale_fn = scale_fn
        self.scale_mode = scale_mode
        self.lowest = for_groups("CyclicLR", "base_lr", base_lr, optimizer)
        self.highest = for_groups("CyclicLR", "max_lr", max_lr, optimizer)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            check_has_momentum("CyclicLR", optimizer)
        self.base_momentums = for_groups("CyclicLR", "base_momentum", base_momentum, optimizer)
        self.max_momentums = for_groups("CyclicLR", "max_momentum", max_momentum, optimizer)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, self.lowest, strict=True):
                group["lr"] = lr
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Sequence[float]:
        cycle, iteration = divmod(self.last_epoch, self.step_size_up + self.step_size_down)
        if iteration <= self.step_size_up:
            height = iteration / self.step_size_up
        else:
            height = (self.step_size_up + self.step_size_down - iteration) / self.step_size_down
        height *= self._scale(cycle + 1)
        if self.cycle_momentum:
            slopes = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, slopes, strict=True):
                set_momentum(group, high - (high - low) * height)
        return [low + (high - low) * height for low, high in zip(self.lowest, self.highest, strict=True)]

    def _scale(self, cycle: int) -> float:
        if self.scale_fn is not None:
            return self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.mode == "triangular":
            return 1.0
        return 0.5 ** (cycle - 1) if self.mode == "triangular2" else float(self.gamma**self.last_epoch)


class OneCycleLR(LRScheduler):
    """Up from a small rate to a large one, and down to a tiny one; step it after each batch.

    The rate goes from max_lr / div_factor to max_lr during the first `pct_start` of all steps, and from there to
    max_lr / div_factor / final_div_factor. The momentum goes the other way, from max_momentum to base_momentum and back.

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float, or list of float for the groups
    total_steps : int, optional
        The number of batches in all of training; or give `epochs` and `steps_per_epoch`.
    epochs, steps_per_epoch : int, optional
    pct_start : float
        The part of the steps in which the rate rises.
    anneal_strategy : {"cos", "linear"}
        The shape of each slope.
    cycle_momentum : bool
        Whether the momentum (of Adam, beta1) is moved as well.
    base_momentum, max_momentum : float, or list of float for the groups
    div_factor, final_div_factor : float
    three_phase : bool
        Come down to the first rate in as many steps as the rise took, and to the last one in the rest.
    last_epoch : int

    References
    ----------
    Smith, Topin 2017, "Super-convergence: very fast training of neural networks using large learning rates".
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("OneCycleLR", optimizer)
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        if not 0 <= pct_start <= 1:
            raise ArgumentError(f"OneCycleLR: pct_start is a part of all steps, between 0 and 1; got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        # Where each phase ends, and between which of a group's entries its slopes run.
        rise = pct_start * self.total_steps - 1
        last = self.total_steps - 1
        self._phases = [(rise, "initial_lr", "max_lr", "max_momentum", "base_momentum")]
        if three_phase:
            self._phases.append((2 * rise, "max_lr", "initial_lr", "base_momentum", "max_momentum"))
            self._phases.append((last, "initial_lr", "min_lr", "max_momentum", "max_momentum"))
        else:
            self._phases.append((last, "max_lr", "min_lr", "base_momentum", "max_momentum"))
        if last_epoch == -1:
            tops = for_groups("OneCycleLR", "max_lr", max_lr, optimizer)
            for group, highest in zip(optimizer.param_groups, tops, strict=True):
                group["initial_lr"] = highest / div_factor
                group["max_lr"] = highest
                group["min_lr"] = group["initial_lr"] / final_div_factor
        if cycle_momentum:
            self._prepare_momentum(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    @staticmethod
    def _prepare_momentum(
        optimizer: Optimizer, base: float | Sequence[float], highest: float | Sequence[float], last_epoch: int
    ) -> None:
        check_has_momentum("OneCycleLR", optimizer)
        bases = for_groups("OneCycleLR", "base_momentum", base, optimizer)
        most = for_groups("OneCycleLR", "max_momentum", highest, optimizer)
        if last_epoch == -1:
            for group, low, high in zip(optimizer.param_groups, bases, most, strict=True):
                group["base_momentum"], group["max_momentum"] = low, high

    def get_lr(self) -> Sequence[float]:
        if self.last_epoch > self.total_steps:
            raise ArgumentError(
                f"OneCycleLR: step {self.last_epoch} of a cycle of {self.total_steps} steps: step it once for each batch, "
                "and make it for as many"
            )
        last = len(self._phases) - 1
        i = next((i for i, phase in enumerate(self._phases) if self.last_epoch <= phase[0]), last)
        start = self._phases[i - 1][0] if i > 0 else 0.0
        end, from_lr, to_lr, from_momentum, to_momentum = self._phases[i]
        # Stepped once more after the last batch, it stays where it is.
        part = min((self.last_epoch - start) / (end - start), 1.0) if end > start else 1.0
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[from_lr], group[to_lr], part))
            if self.cycle_momentum:
                set_momentum(group, self._between(group[from_momentum], group[to_momentum], part))
        return rates

    def _between(self, start: float, end: float, part: float) -> float:
        if self.anneal_strategy == "cos":
            return end + (start - end) / 2 * (1 + math.cos(math.pi * part))
        return start + (end - start) * part


def _total_steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is None and (epochs is None or steps_per_epoch is None):
        raise ArgumentError("OneCycleLR: give total_steps, or both epochs and steps_per_epoch")
    product = (epochs or 0) * (steps_per_epoch or 0)
    count = product if total_steps is None else total_steps
    if count < 1:
        raise ArgumentError(
            f"OneCycleLR: the number of steps must be at least 1, got total_steps={total_steps}, epochs={epochs}, "
            f"steps_per_epoch={steps_per_epoch}"
        )
    return count
