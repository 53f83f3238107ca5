"""Schedules that fall, or rise, by a plain rule: steps, powers, lines, and functions of one's own."""

from collections.abc import Iterable, Sequence

from ...errors import ArgumentError
from ..optimizer import Optimizer
from .base import LRLambda, LRScheduler, check_count


class LambdaLR(LRScheduler):
    """The initial rate times a function of the epoch, lr(t) = initial_lr * f(t).

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable, or list of callables
        From the epoch to the factor; or one for each group. They are not part of `state_dict`.
    last_epoch : int
    """

    _unsaved = ("optimizer", "lr_lambda")

    def __init__(self, optimizer: Optimizer, lr_lambda: LRLambda | Sequence[LRLambda], last_epoch: int = -1) -> None:
        self.lr_lambda = lr_lambda
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Sequence[float]:
        return [base * factor for base, factor in zip(self.base_lrs, self._factors(), strict=True)]

    def _factors(self) -> list[float]:
        """What the functions give for the present epoch, one for each group."""
        count = len(self.optimizer.param_groups)
        functions = [self.lr_lambda] * count if callable(self.lr_lambda) else list(self.lr_lambda)
        if len(functions) != count:
            raise ArgumentError(
                f"{type(self).__name__}: got {len(functions)} functions for {count} groups; give one for each, or one for all"
            )
        return [function(self.last_epoch) for function in functions]


class MultiplicativeLR(LambdaLR):
    """The present rate times a function of the epoch, lr(t) = lr(t - 1) * f(t).

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable, or list of callables
        From the epoch to the factor; or one for each group. They are not part of `state_dict`.
    last_epoch : int
    """

    def get_lr(self) -> Sequence[float]:
        if self._is_initial:
            return self._present()
        return [lr * factor for lr, factor in zip(self._present(), self._factors(), strict=True)]

    def _begin(self) -> None:
        # It knows no initial rate: it goes on from what the schedule before it has left.
        self.last_epoch = 0
        self._set_rates()


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
    ...     sgd.step()
    ...     schedule.step()
    1.0 1.0 0.5 0.5 0.25
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        check_count("StepLR", "step_size", step_size, " epoch")
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


class InverseLR(LRScheduler):
    """The "inv" policy of Caffe, lr(t) = initial_lr * (1 + gamma t)^-power. Not in PyTorch.

    The defaults are those of Caffe's LeNet; t counts batches there.

    Parameters
    ----------
    optimizer : Optimizer
    gamma : float
        At least 0; after 1 / gamma steps the rate has come down to 2^-power.
    power : float
    last_epoch : int

    Examples
    --------
    Caffe's log of the training of LeNet has this rate at step 100:

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import optim
    >>> sgd = optim.SGD([tg.ones(1, requires_grad=True)], lr=0.01)
    >>> schedule = optim.lr_scheduler.InverseLR(sgd, gamma=1e-4, power=0.75)
    >>> for _ in range(100):
    ...     sgd.step()
    ...     schedule.step()
    >>> f"{schedule.get_last_lr()[0]:.8f}"
    '0.00992565'
    """

    def __init__(self, optimizer: Optimizer, gamma: float = 1e-4, power: float = 0.75, last_epoch: int = -1) -> None:
        if gamma < 0:
            raise ArgumentError(f"InverseLR: gamma must be at least 0, got {gamma}")
        self.gamma = gamma
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Sequence[float]:
        if self._is_initial:
            return self._present()
        ratio = (1 + self.gamma * self.last_epoch) / (1 + self.gamma * (self.last_epoch - 1))
        return self._scaled(ratio**-self.power)


class PolynomialLR(LRScheduler):
    """The rate falls to 0 as a power of the time that is left, until it is up at t = total_iters.

    lr(t) = initial_lr * (1 - min(t, total_iters) / total_iters)^power.

    Parameters
    ----------
    optimizer : Optimizer
    total_iters : int
        When 0 is reached.
    power : float
        1 gives a straight line.
    last_epoch : int
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        check_count("PolynomialLR", "total_iters", total_iters)
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Sequence[float]:
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._present()
        left, before = self.total_iters - self.last_epoch, self.total_iters - self.last_epoch + 1
        return self._scaled((left / before) ** self.power)


class ConstantLR(LRScheduler):
    """A part of the initial rate for the first epochs, lr(t) = initial_lr * (factor if t < total_iters else 1).

    Parameters
    ----------
    optimizer : Optimizer
    factor : float
        From 0 to 1.
    total_iters : int
        For how many epochs.
    last_epoch : int
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 <= factor <= 1:
            raise ArgumentError(f"ConstantLR: factor must lie between 0 and 1, got {factor}")
        check_count("ConstantLR", "total_iters", total_iters)
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Sequence[float]:
        if self.last_epoch == 0:
            return self._scaled(self.factor)
        if self._is_initial or self.last_epoch != self.total_iters:
            return self._present()
        # No ratio leads away from a rate of 0.
        return self._scaled(1 / self.factor) if self.factor > 0 else self.base_lrs


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

    Examples
    --------
    Warm-up: five epochs (or batches: whatever `step` is called after) from a tenth of the rate to all of it, then a cosine
    to 0 in the 20 that are left:

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import optim
    >>> sgd = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> warm_up = optim.lr_scheduler.LinearLR(sgd, start_factor=0.1, total_iters=5)
    >>> cosine = optim.lr_scheduler.CosineAnnealingLR(sgd, T_max=20)
    >>> schedule = optim.lr_scheduler.SequentialLR(sgd, [warm_up, cosine], milestones=[5])
    >>> for epoch in range(25):
    ...     if epoch % 5 == 0:
    ...         print(f"{sgd.param_groups[0]['lr']:.3f}", end=" ")
    ...     sgd.step()
    ...     schedule.step()
    0.100 1.000 0.854 0.500 0.146
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
        check_count("LinearLR", "total_iters", total_iters)
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
