"""How far apart or how alike two vectors are, and the losses that pull pairs together and push them apart.

At the kink of a margin the losses still push, as those of `loss_margin` do.
"""

import math

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor, TensorLike
from ._arguments import as_float, broadcast_shape, one_dim, operands
from ._loss import reduced, signs, two_inputs
from .elementwise import minimum, where
from .reduce import norm

# PyTorch's guard against zero vectors in the cosine loss, added to squared lengths.
_COSINE_EPS = 1e-12


def pairwise_distance(
    x1: TensorLike, x2: TensorLike, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of ``x1 - x2 + eps`` along the last dimension.

    Parameters
    ----------
    x1, x2 : Tensor, shape (..., d)
        Broadcast against each other.
    p : float
        The norm: positive, or ``math.inf``.
    eps : float
        Added to each difference; it keeps the gradient of equal vectors defined, and makes the distance depend a little on
        their order.
    keepdim : bool
        Leave the last dimension in, with size 1.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.pairwise_distance(tg.tensor([[0.0, 0.0], [1.0, 1.0]]), tg.tensor([[3.0, 4.0], [1.0, 3.0]]))
    tensor([5., 2.])
    """
    a, b = operands(as_float(x1), x2)
    broadcast_shape("pairwise_distance", a, b)
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(f"pairwise_distance: needs vectors, shape (..., d); got shapes {a.shape} and {b.shape}")
    return _distance("pairwise_distance", a, b, p, eps, keepdim)


def _distance(name: str, a: Tensor, b: Tensor, p: float, eps: float, keepdim: bool = False) -> Tensor:
    if not p > 0:
        raise ArgumentError(f"{name}: p must be positive, or math.inf, got {p}")
    return norm(a - b + eps, p, -1, keepdim)


def cosine_similarity(x1: TensorLike, x2: TensorLike, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors, ``x1 . x2 / (max(|x1|, eps) * max(|x2|, eps))``.

    Parameters
    ----------
    x1, x2 : Tensor
        Broadcast against each other.
    dim : int
        The dimension that the vectors lie along; it counts in the broadcast shape, and the result lacks it.
    eps : float
        The smallest length to divide by: a zero vector has similarity 0 with everything. The gradient of a vector that is
        shorter is that of the quotient by `eps`; PyTorch's also goes through the length, which is not in the quotient.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.cosine_similarity(tg.tensor([[1.0, 0.0]]), tg.tensor([[1.0, 1.0], [0.0, -2.0]]))
    tensor([0.7071, 0.    ])
    """
    a, b = operands(as_float(x1), x2)
    broadcast_shape("cosine_similarity", a, b)
    if not eps > 0:
        raise ArgumentError(f"cosine_similarity: eps must be positive, got {eps}")
    shape = np.broadcast_shapes(a.shape, b.shape)
    axis = one_dim("cosine_similarity", dim, len(shape))
    unit_a, unit_b = (x / norm(x, 2, axis, keepdim=True).clamp(min=eps) for x in (a.expand(shape), b.expand(shape)))
    return (unit_a * unit_b).sum(axis)


def cosine_embedding_loss(
    input1: TensorLike, input2: TensorLike, target: TensorLike, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Loss of the angle between two vectors: similar ones should point the same way, others not.

    ``1 - cos`` where the target is 1, ``max(0, cos - margin)`` where it is -1.

    Parameters
    ----------
    input1, input2 : Tensor, shape (n, d) or (d,)
        Of one shape. 1e-12 is added to their squared lengths, so that a zero vector has cosine 0.
    target : Tensor, shape (n,) or ()
        1 or -1.
    margin : float
        Between -1 and 1: a cosine that is allowed to dissimilar vectors.
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> a, b = tg.tensor([[1.0, 0.0], [1.0, 0.0]]), tg.tensor([[1.0, 1.0], [1.0, 1.0]])
    >>> tg.cosine_embedding_loss(a, b, tg.tensor([1, -1]), reduction="none")
    tensor([0.2929, 0.7071])
    """
    name = "cosine_embedding_loss"
    a, b = two_inputs(name, input1, input2, "input2")
    if a.ndim not in (1, 2):
        raise ShapeError(f"{name}: needs inputs of shape (n, d) or (d,), got {a.shape}")
    similar = signs(name, target, a.shape[:-1]) == 1
    lengths = ((a.square().sum(-1) + _COSINE_EPS) * (b.square().sum(-1) + _COSINE_EPS)).sqrt()
    cosine = (a * b).sum(-1) / lengths
    return reduced(name, where(similar, 1 - cosine, (cosine - margin).clamp(min=0)), reduction)


def triplet_margin_loss(
    anchor: TensorLike,
    positive: TensorLike,
    negative: TensorLike,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """Loss of a triplet: the anchor should be nearer to its like than to its unlike by a margin.

    ``max(0, d(anchor, positive) - d(anchor, negative) + margin)``, with d the `pairwise_distance`.

    Parameters
    ----------
    anchor, positive, negative : Tensor, shape (n, d) or (d,)
        Of one shape.
    margin : float
        Positive.
    p : float
        The norm of the distance.
    eps : float
        Added to the differences, see `pairwise_distance`.
    swap : bool
        Take the smaller of d(anchor, negative) and d(positive, negative) as the distance to the unlike (the paper's anchor
        swap). Where they tie, they share the gradient.
    reduction : {"mean", "sum", "none"}

    References
    ----------
    Balntas, Riba, Ponsa, Mikolajczyk 2016, "Learning local feature descriptors with triplets and shallow convolutional
    neural networks", section 2.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> a, p, n = tg.tensor([0.0, 0.0]), tg.tensor([1.0, 0.0]), tg.tensor([0.0, 1.5])
    >>> tg.triplet_margin_loss(a, p, n)
    tensor(0.5)
    """
    name = "triplet_margin_loss"
    if not 0 < margin < math.inf:
        raise ArgumentError(f"{name}: margin must be positive, got {margin}")
    a, b = two_inputs(name, anchor, positive, "positive")
    a, c = two_inputs(name, a, negative, "negative")
    if a.ndim not in (1, 2):
        raise ShapeError(f"{name}: needs inputs of shape (n, d) or (d,), got {a.shape}")
    near, far = _distance(name, a, b, p, eps), _distance(name, a, c, p, eps)
    if swap:
        far = minimum(far, _distance(name, b, c, p, eps))
    return reduced(name, (near - far + margin).clamp(min=0), reduction)
