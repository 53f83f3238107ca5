"""Losses with a margin: right is not enough, it has to be right by some distance, and beyond that nothing more is gained.

Each is made of max(0, margin - difference). At the margin itself, the kink, those with a target of 1 or -1 still push, with
the slope of the inside (so two scores that start equal are ranked even without a margin), and those over classes do not:
PyTorch's rules.
"""

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..tensor import Tensor, TensorLike
from ._arguments import as_float
from ._loss import class_indices, class_weight, reduced, signs, two_inputs, with_batch
from .elementwise import where


def hinge_embedding_loss(
    input: TensorLike, target: TensorLike, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """Loss of distances: those of similar pairs cost themselves, those of dissimilar ones what they lack to a margin.

    ``input`` where the target is 1, ``max(0, margin - input)`` where it is -1.

    Parameters
    ----------
    input : Tensor
        Distances between the two of a pair.
    target : Tensor, in the shape of `input`
        1 or -1.
    margin : float
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    ArgumentError
        For a target that is neither 1 nor -1; PyTorch gives it both terms.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.hinge_embedding_loss(tg.tensor([0.2, 0.2, 1.5]), tg.tensor([1, -1, -1]), reduction="none")
    tensor([0.2, 0.8, 0. ])
    """
    x = as_float(input)
    similar = signs("hinge_embedding_loss", target, x.shape) == 1
    return reduced("hinge_embedding_loss", where(similar, x, (margin - x).clamp(min=0)), reduction)


def margin_ranking_loss(
    input1: TensorLike, input2: TensorLike, target: TensorLike, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Loss of an order: which of two scores is to be the larger one, ``max(0, margin - target * (input1 - input2))``.

    Parameters
    ----------
    input1, input2 : Tensor
        Scores, of one shape.
    target : Tensor, in that shape
        1 where `input1` should be larger, -1 where `input2` should.
    margin : float
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> a, b = tg.tensor([3.0, 3.0]), tg.tensor([1.0, 1.0])
    >>> tg.margin_ranking_loss(a, b, tg.tensor([1, -1]), margin=0.5, reduction="none")
    tensor([0. , 2.5])
    """
    a, b = two_inputs("margin_ranking_loss", input1, input2, "input2")
    sign = signs("margin_ranking_loss", target, a.shape)
    losses = (margin - Tensor(sign.astype(a.dtype)) * (a - b)).clamp(min=0)
    return reduced("margin_ranking_loss", losses, reduction)


def multi_margin_loss(
    input: TensorLike,
    target: TensorLike,
    p: int = 1,
    margin: float = 1.0,
    weight: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Hinge loss of class scores: the right one has to be ahead of each other one by a margin.

    ``loss_n = weight[y] * (sum over i != y of max(0, margin - input[n, y] + input[n, i])^p) / c`` with y = target[n].

    Parameters
    ----------
    input : Tensor, shape (n, c) or (c,)
        Scores.
    target : Tensor of int64, shape (n,) or ()
        Class indices.
    p : {1, 2}
        2 squares the differences.
    margin : float
    weight : Tensor, shape (c,), optional
        How much each class counts.
    reduction : {"mean", "sum", "none"}
        The mean is over the number of samples, whatever their weights.

    References
    ----------
    Crammer, Singer 2001, "On the algorithmic implementation of multiclass kernel-based vector machines", has the largest
    of the terms in place of their sum.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.multi_margin_loss(tg.tensor([[0.1, 0.2, 0.8]]), tg.tensor([2]))
    tensor(0.2333)
    """
    name = "multi_margin_loss"
    if p not in (1, 2):
        raise ArgumentError(f"{name}: p must be 1 or 2, got {p}")
    x, y, unbatched = with_batch(_scores(name, input), target)
    classes, count = class_indices(name, x.shape, y), x.shape[1]
    ahead = x.gather(1, classes[:, None]) - x
    others = Tensor((classes[:, None] != np.arange(count)).astype(x.dtype))
    losses = ((margin - ahead).relu() ** p * others).sum(1) / count
    if weight is not None:
        losses = losses * class_weight(name, x, weight)[classes]
    return reduced(name, losses.squeeze(0) if unbatched else losses, reduction)


def multilabel_margin_loss(input: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """Hinge loss where a sample has several classes: each of them has to be ahead of each that is not by 1.

    ``loss_n = (sum over classes j of the sample, i not of it, of max(0, 1 - input[n, j] + input[n, i])) / c``.

    Parameters
    ----------
    input : Tensor, shape (n, c) or (c,)
        Scores.
    target : Tensor of int64, in the shape of `input`
        The classes of a sample, then -1; what comes after the first -1 is not read.
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.multilabel_margin_loss(tg.tensor([0.1, 0.2, 0.4, 0.8]), tg.tensor([3, 0, -1, 1]))
    tensor(0.85)
    """
    name = "multilabel_margin_loss"
    x, y, unbatched = with_batch(_scores(name, input), target)
    classes, count = y.array, x.shape[1]
    if classes.dtype.kind not in "iu":
        raise DTypeError(f"{name}: targets are class indices and must be integers, got {classes.dtype}: use .long()")
    if classes.shape != x.shape:
        raise ShapeError(f"{name}: targets list classes up to a -1 in the input's shape {x.shape}, got {classes.shape}")
    read = np.logical_and.accumulate(classes != -1, axis=1)
    bad = read & ((classes < 0) | (classes >= count))
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ArgumentError(
            f"{name}: target {classes[at]} at {at} is no class of an input with {count} classes (0 to {count - 1}; -1 ends)"
        )
    # How often each class is named: a class that is named twice counts twice, as in PyTorch.
    named = np.zeros(x.shape, x.dtype)
    sample, place = np.nonzero(read)
    np.add.at(named, (sample, classes[sample, place]), 1)
    pairs = Tensor(named[:, :, None] * (named == 0)[:, None, :])
    lacking = (1 - x.unsqueeze(2) + x.unsqueeze(1)).relu()
    losses = (lacking * pairs).sum((1, 2)) / count
    return reduced(name, losses.squeeze(0) if unbatched else losses, reduction)


def _scores(name: str, input: TensorLike) -> Tensor:
    x = as_float(input)
    if x.ndim not in (1, 2) or x.shape[-1] == 0:
        raise ShapeError(f"{name}: needs an input of shape (n, classes) or (classes,), got {x.shape}")
    return x
