"""Losses of yes-or-no questions as modules; `BCEWithLogitsLoss` is in `loss`."""

from ..tensor import Tensor
from . import functional as F
from .loss import Loss


class BCELoss(Loss):
    """Cross-entropy of probabilities with targets between 0 and 1, in nats; logarithms are cut off at -100.

    For the output of a sigmoid use `BCEWithLogitsLoss` on its input instead, which loses no digits.

    Parameters
    ----------
    weight : Tensor, broadcasts to the input, optional
        A factor for each element.
    reduction : {"mean", "sum", "none"}
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Probabilities and targets of one shape to the loss."""
        return F.binary_cross_entropy(input, target, self.weight, self.reduction)


class SigmoidFocalLoss(Loss):
    """Cross-entropy of sigmoids that counts well-classified elements less; torchvision's function as a module.

    Parameters
    ----------
    alpha : float
        The factor of label 1, 1 - alpha that of label 0; a negative one switches both off.
    gamma : float
        The focusing parameter, 0 or more.
    reduction : {"none", "mean", "sum"}
        None by default, as in torchvision.
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "none") -> None:
        super().__init__(reduction)
        self.alpha = alpha
        self.gamma = gamma

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores, and labels 0 or 1 in their shape, to the loss."""
        return F.sigmoid_focal_loss(input, target, self.alpha, self.gamma, self.reduction)


class SoftMarginLoss(Loss):
    """Logistic loss of scores against signs, log(1 + exp(-target * input)), in nats; without overflow.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores, and targets 1 or -1 in their shape, to the loss."""
        return F.soft_margin_loss(input, target, self.reduction)


class HingeLoss(Loss):
    """Hinge loss of scores against signs, max(0, margin - target * input).

    Parameters
    ----------
    margin : float
    squared : bool
        Square it.
    reduction : {"mean", "sum", "none"}
    """

    def __init__(self, margin: float = 1.0, squared: bool = False, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin
        self.squared = squared

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores, and targets 1 or -1 in their shape, to the loss."""
        return F.hinge_loss(input, target, self.margin, self.squared, self.reduction)


class MultiLabelSoftMarginLoss(Loss):
    """Several labels at once: `BCEWithLogitsLoss` of each class, averaged over the classes (the last dimension).

    Parameters
    ----------
    weight : Tensor, shape (c,), optional
        A factor for each class.
    reduction : {"mean", "sum", "none"}
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores and labels ``(..., c)`` to the loss."""
        return F.multilabel_soft_margin_loss(input, target, self.weight, self.reduction)
