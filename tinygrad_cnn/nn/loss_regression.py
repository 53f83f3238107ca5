"""Losses against numbers as modules; `MSELoss` and `L1Loss` are in `loss`."""

from ..tensor import Tensor
from . import functional as F
from .loss import Loss


class SmoothL1Loss(Loss):
    """Absolute error with its kink rounded off, d^2 / (2 beta) where the error d is below beta, else |d| - beta / 2.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    beta : float
        Where the square ends; 0 gives the absolute error.
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape to the loss."""
        return F.smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(Loss):
    """Squared error near 0 and absolute error beyond delta, joined without a kink: `SmoothL1Loss` times delta.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    delta : float
        Where the square ends, positive.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape to the loss."""
        return F.huber_loss(input, target, self.reduction, self.delta)


class PoissonNLLLoss(Loss):
    """Negative log-likelihood of counts under a Poisson distribution, exp(input) - target * input.

    Parameters
    ----------
    log_input : bool
        Whether the input is the logarithm of the expected count, or the count itself.
    full : bool
        Add Stirling's approximation of log(target!).
    eps : float
        Keeps the logarithm of an expected count of 0 finite.
    reduction : {"mean", "sum", "none"}
    """

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape to the loss."""
        return F.poisson_nll_loss(input, target, self.log_input, self.full, self.eps, self.reduction)


class GaussianNLLLoss(Loss):
    """Negative log-likelihood under a normal distribution, (log var + (input - target)^2 / var) / 2.

    Parameters
    ----------
    full : bool
        Add the constant, log(2 pi) / 2.
    eps : float
        The smallest variance.
    reduction : {"mean", "sum", "none"}
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        """Expectations, targets and variances to the loss; see `functional.gaussian_nll_loss` for their shapes."""
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)
