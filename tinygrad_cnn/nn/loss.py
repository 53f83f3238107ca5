"""Losses as modules: the function with its options filled in, called as ``criterion(output, target)``.

Here are those against classes and the common ones; the other families are in `loss_regression`, `loss_binary`,
`loss_margin` and `rbf`, as the functions are.
"""

from ..errors import ArgumentError
from ..tensor import Tensor
from . import functional as F
from .module import Module


class Loss(Module):
    """A loss with a reduction over its elements."""

    reductions: tuple[str, ...] = ("mean", "sum", "none")

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in self.reductions:
            choices = f"{', '.join(map(repr, self.reductions[:-1]))} or {self.reductions[-1]!r}"
            raise ArgumentError(f"{type(self).__name__}: reduction must be {choices}, got {reduction!r}")
        self.reduction = reduction


class _ClassLoss(Loss):
    """A loss against class indices, with a weight for each class."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index


class CrossEntropyLoss(_ClassLoss):
    """Cross-entropy of class scores (logits) with the target classes, -log softmax(x)[target], in nats.

    The network before it ends without a softmax.

    Parameters
    ----------
    weight : Tensor, shape (c,), optional
        How much each class counts.
    ignore_index : int
        Samples with this target count nothing.
    reduction : {"mean", "sum", "none"}
        The mean is over the samples' weights.
    label_smoothing : float
        The share of the target that is spread evenly over all classes.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.CrossEntropyLoss()(tg.zeros(3, 10), tg.tensor([1, 2, 3])).item() == tg.tensor(10.0).log().item()
    True
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, ignore_index, reduction)
        if not 0 <= label_smoothing <= 1:
            raise ArgumentError(f"CrossEntropyLoss: label_smoothing must lie between 0 and 1, got {label_smoothing}")
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores ``(n, c, ...)`` and classes ``(n, ...)`` (or probabilities, in the shape of the scores) to the loss."""
        return F.cross_entropy(input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)


class NLLLoss(_ClassLoss):
    """Negative log-likelihood of the target classes, -x[target], of log-probabilities as `LogSoftmax` gives them.

    Parameters
    ----------
    weight : Tensor, shape (c,), optional
        How much each class counts.
    ignore_index : int
        Samples with this target count nothing.
    reduction : {"mean", "sum", "none"}
        The mean is over the samples' weights.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Log-probabilities ``(n, c, ...)`` and classes ``(n, ...)`` to the loss."""
        return F.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class FocalLoss(Loss):
    """Cross-entropy that counts well-classified samples less, -alpha[target] (1 - p)^gamma log p; see `functional.focal_loss`.

    Parameters
    ----------
    gamma : float
        The focusing parameter, 0 or more; 0 gives the cross-entropy.
    alpha : Tensor, shape (c,), optional
        A factor for each class.
    ignore_index : int
        Samples with this target count nothing.
    reduction : {"mean", "sum", "none"}

    References
    ----------
    Lin, Goyal, Girshick, He, Dollar 2017, "Focal loss for dense object detection".
    """

    alpha: Tensor | None

    def __init__(
        self, gamma: float = 2.0, alpha: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.gamma = gamma
        self.register_buffer("alpha", alpha)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores ``(n, c, ...)`` and classes ``(n, ...)`` to the loss."""
        return F.focal_loss(input, target, self.gamma, self.alpha, self.ignore_index, self.reduction)


class KLDivLoss(Loss):
    """Kullback-Leibler divergence of the target distribution from the predicted one, target (log target - input), in nats.

    Parameters
    ----------
    reduction : {"mean", "sum", "batchmean", "none"}
        "batchmean" is the mean divergence of a batch; "mean" divides by the number of elements.
    log_target : bool
        Whether the target holds log-probabilities.
    """

    reductions = ("mean", "sum", "batchmean", "none")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Log-probabilities, and probabilities of one shape, to the loss."""
        return F.kl_div(input, target, self.reduction, self.log_target)


class MSELoss(Loss):
    """Squared error, (input - target)^2; both in one shape.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape to the loss."""
        return F.mse_loss(input, target, self.reduction)


class L1Loss(Loss):
    """Absolute error, the size of input - target; both in one shape.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape to the loss."""
        return F.l1_loss(input, target, self.reduction)


class BCEWithLogitsLoss(Loss):
    """Cross-entropy of sigmoid(input) with targets between 0 and 1, in nats; without overflow.

    Parameters
    ----------
    weight : Tensor, broadcast to the input, optional
        How much each element counts.
    reduction : {"mean", "sum", "none"}
    pos_weight : Tensor, broadcast to the input, optional
        How much a positive target counts against a negative one.
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, reduction: str = "mean", pos_weight: Tensor | None = None
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores and targets of one shape to the loss."""
        return F.binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight)
