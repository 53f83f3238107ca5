"""Losses with a margin as modules, and the two measures of distance that they are made of."""

from ..tensor import Tensor
from . import functional as F
from .loss import Loss
from .module import Module


class HingeEmbeddingLoss(Loss):
    """Loss of distances: the distance of similar pairs (target 1), what it lacks to the margin of others (-1).

    Parameters
    ----------
    margin : float
    reduction : {"mean", "sum", "none"}
    """

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Distances, and targets 1 or -1 in their shape, to the loss."""
        return F.hinge_embedding_loss(input, target, self.margin, self.reduction)


class MarginRankingLoss(Loss):
    """Loss of an order, max(0, margin - target * (input1 - input2)).

    Parameters
    ----------
    margin : float
    reduction : {"mean", "sum", "none"}
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """Two tensors of scores, and targets 1 or -1, of one shape to the loss."""
        return F.margin_ranking_loss(input1, input2, target, self.margin, self.reduction)


class MultiMarginLoss(Loss):
    """Hinge loss of class scores: the right one has to be ahead of each other one by the margin.

    Parameters
    ----------
    p : {1, 2}
        2 squares what is lacking.
    margin : float
    weight : Tensor, shape (c,), optional
        How much each class counts.
    reduction : {"mean", "sum", "none"}
    """

    weight: Tensor | None

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.p = p
        self.margin = margin
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores ``(n, c)`` and classes ``(n,)`` to the loss."""
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, self.reduction)


class MultiLabelMarginLoss(Loss):
    """Hinge loss where a sample has several classes: each has to be ahead of each that it has not by 1.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores ``(n, c)``, and lists of classes that end with -1 in their shape, to the loss."""
        return F.multilabel_margin_loss(input, target, self.reduction)


class CosineEmbeddingLoss(Loss):
    """Loss of angles: 1 - cos for similar pairs (target 1), max(0, cos - margin) for others (-1).

    Parameters
    ----------
    margin : float
        A cosine that is allowed to dissimilar vectors.
    reduction : {"mean", "sum", "none"}
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """Vectors ``(n, d)`` twice, and targets ``(n,)``, to the loss."""
        return F.cosine_embedding_loss(input1, input2, target, self.margin, self.reduction)


class TripletMarginLoss(Loss):
    """Loss of triplets: an anchor should be nearer to its like than to its unlike by the margin.

    Parameters
    ----------
    margin : float
        Positive.
    p : float
        The norm of the distance.
    eps : float
        Added to each difference.
    swap : bool
        Measure the unlike from the anchor or from its like, whichever is nearer.
    reduction : {"mean", "sum", "none"}
    """

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Vectors ``(n, d)``, three times, to the loss."""
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction
        )


class CosineSimilarity(Module):
    """The cosine of the angle between vectors.

    Parameters
    ----------
    dim : int
        The dimension that the vectors lie along.
    eps : float
        The smallest length to divide by.
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Two tensors that broadcast to the cosines, without the dimension."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of the difference of vectors, along the last dimension.

    Parameters
    ----------
    p : float
        Positive, or ``math.inf``.
    eps : float
        Added to each difference.
    keepdim : bool
        Leave the last dimension in, with size 1.
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Two tensors ``(..., d)`` that broadcast to the distances."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
