"""Schedules: the learning rate as a function of time.

A scheduler is made for an optimizer and told by `step` that time goes on, once an epoch or once a batch, after the
optimizer's own step. It writes the rate into the optimizer's groups.

Most schedules are recursive: the new rate is computed from the present one, ``lr <- lr * gamma``. So several schedules
can act on one optimizer, each multiplying what the others left, and a rate that was changed by hand stays changed. The
formula in each docstring is what comes out when nobody interferes. LambdaLR and OneCycleLR set the rate absolutely.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import ArgumentError, CheckpointError
from .optimizer import Group, Optimizer

LRLambda = Callable[[int], float]


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

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"{type(self).__name__}: needs an Optimizer, got {type(optimizer).__name__}")
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
        # The call of `step` that ends the construction only says where time stands: a rate that was loaded with the
        # optimizer is already that of the present epoch.
        self._is_initial = True
        self.step()
        self._is_initial = False

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
        """Go on by one epoch (or whatever the schedule counts), and set the rates."""
        self.last_epoch += 1
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = float(lr)
        self._last_lr = self._present()

    def _present(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def _scaled(self, factor: float) -> list[float]:
        return [lr * factor for lr in self._present()]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, as plain data; save the optimizer's state with it."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a `state_dict` of a scheduler of the same kind. The rates themselves are in the optimizer's state.

        Raises
        ------
        CheckpointError
            For the state of another kind of scheduler.
        """
        own = self.state_dict()
        if set(own) != set(state_dict):
            raise CheckpointError(
                f"load_state_dict: the state is not that of a {type(self).__name__}: it lacks "
                f"{sorted(set(own) - set(state_dict))} and has {sorted(set(state_dict) - set(own))} too many"
            )
        self.__dict__.update(state_dict)


class LambdaLR(LRScheduler):
    """The initial rate times a function of the epoch, lr(t) = initial_lr * f(t).

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable, or list of callables
        From the epoch to the factor; or one for each group. It is not part of `state_dict`.
    last_epoch : int

    Examples
    --------
    The "inv" policy of Caffe's LeNet, lr(t) = 0.01 (1 + 1e-4 t)^-0.75, at t = 100:

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import optim
    >>> sgd = optim.SGD([tg.ones(1, requires_grad=True)], lr=0.01)
    >>> schedule = optim.lr_scheduler.LambdaLR(sgd, lambda t: (1 + 1e-4 * t) ** -0.75)
    >>> for _ in range(100):
    ...     schedule.step()
    >>> f"{schedule.get_last_lr()[0]:.8f}"
    '0.00992565'
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: LRLambda | Sequence[LRLambda], last_epoch: int = -1) -> None:
        self.lr_lambda = lr_lambda
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Sequence[float]:
        count = len(self.base_lrs)
        functions = [self.lr_lambda] * count if callable(self.lr_lambda) else list(self.lr_lambda)
        if len(functions) != count:
            raise ArgumentError(
                f"LambdaLR: got {len(functions)} functions for {count} groups; give one for each, or one for all"
            )
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, functions, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and the functions."""
        return {name: value for name, value in super().state_dict().items() if name != "lr_lambda"}


class StepLR(LRScheduler):
    """The rate times gamma every `step_size` epochs, lr(t) = initial_lr * gamma^floor(t / step_size).

    Parameters
    ----------
    optimizer : Optimizer
    step_size : int
    gamma : float
    last_epoch : int

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import optim
    >>> sgd = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.StepLR(sgd, step_size=2, gamma=0.5)
    >>> for epoch in range(5):
    ...     print(sgd.param_groups[0]["lr"], end=" ")
    ...     schedule.step()
    1.0 1.0 0.5 0.5 0.25
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if step_size < 1:
            raise ArgumentError(f"StepLR: step_size must be at least 1 epoch, got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Sequence[float]:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return self._scaled(self.gamma if due else 1)


class MultiStepLR(LRScheduler):
    """The rate times gamma at each milestone, lr(t) = initial_lr * gamma^(number of milestones <= t).

    Parameters
    ----------
    optimizer : Optimizer
    milestones : iterable of int
        Epochs, in any order; one that is listed twice counts twice.
    gamma : float
    last_epoch : int
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Sequence[float]:
        return self._scaled(self.gamma ** self.milestones.count(self.last_epoch))


class ExponentialLR(LRScheduler):
    """The rate times gamma every epoch, lr(t) = initial_lr * gamma^t.

    Parameters
    ----------
    optimizer : Optimizer
    gamma : float
    last_epoch : int
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Sequence[float]:
        return self._scaled(1 if self._is_initial else self.gamma)


class LinearLR(LRScheduler):
    """A straight line between two factors: a warm-up, or a ramp down.

    lr(t) = initial_lr * (start_factor + (end_factor - start_factor) * min(t, total_iters) / total_iters).

    Parameters
    ----------
    optimizer : Optimizer
    start_factor : float
        Above 0 and at most 1.
    end_factor : float
        From 0 to 1.
    total_iters : int
        How long the ramp is.
    last_epoch : int
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ArgumentError(f"LinearLR: start_factor must be above 0 and at most 1, got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise ArgumentError(f"LinearLR: end_factor must lie between 0 and 1, got {end_factor}")
        if total_iters < 1:
            raise ArgumentError(f"LinearLR: total_iters must be at least 1, got {total_iters}")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Sequence[float]:
        if self.last_epoch == 0:
            return self._scaled(self.start_factor)
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._present()
        return self._scaled(self._factor(self.last_epoch) / self._factor(self.last_epoch - 1))

    def _factor(self, epoch: int) -> float:
        return self.start_factor + (self.end_factor - self.start_factor) * epoch / self.total_iters


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
        if T_max < 1:
            raise ArgumentError(f"CosineAnnealingLR: T_max must be at least 1 epoch, got {T_max}")
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
            for group, highest in zip(optimizer.param_groups, _for_groups("max_lr", max_lr, optimizer), strict=True):
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
        if not {"momentum", "betas"} & set(optimizer.defaults):
            raise ArgumentError(
                f"OneCycleLR: {type(optimizer).__name__} has neither momentum nor betas; pass cycle_momentum=False"
            )
        bases, most = _for_groups("base_momentum", base, optimizer), _for_groups("max_momentum", highest, optimizer)
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
                _set_momentum(group, self._between(group[from_momentum], group[to_momentum], part))
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


def _for_groups(name: str, value: float | Sequence[float], optimizer: Optimizer) -> list[float]:
    count = len(optimizer.param_groups)
    values = list(value) if isinstance(value, Sequence) else [value] * count
    if len(values) != count:
        raise ArgumentError(f"OneCycleLR: {name} has {len(values)} values for {count} groups; give one for each, or one")
    return values


def _set_momentum(group: Group, momentum: float) -> None:
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum
