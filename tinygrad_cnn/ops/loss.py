"""Losses against classes: what the network's scores cost, as one number to differentiate.

Cross-entropy in its forms: against class indices or probabilities, weighted, smoothed, focal; and the Kullback-Leibler
divergence. The other families are in `loss_regression`, `loss_binary`, `loss_margin`, `loss_distance` and `rbf`.
"""

import math
from typing import Any

import numpy as np

from ..autograd.function import Array, Function
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor, TensorLike
from ._arguments import as_float, as_tensor
from ._loss import class_indices, class_weight, reduced, with_batch, with_target
from .activation import log_softmax
from .elementwise import exp, log, where
from .reduce import logsumexp


class NLLLoss(Function):
    """Negative log-likelihood of the target classes, one for each sample, y_n = -coefficient_n * x[n, target_n].

    Inputs are the log-probabilities x (n, c, ...), the targets (n, ...) and a constant coefficient (n, ...). Where the
    coefficient is 0 so is y, even for a log-probability of -inf.

    Gradient
        gx = -coefficient * gy at the target class, 0 elsewhere
    Saves
        targets, coefficients
    """

    def forward(self, x: Array, target: Array, coefficient: Array) -> Array:
        self.save_for_backward(target, coefficient)
        picked = np.take_along_axis(x, np.expand_dims(target, 1), 1).squeeze(1)
        return coefficient * np.where(coefficient == 0, 0, -picked)

    def backward(self, gy: Tensor) -> Any:
        target, coefficient = self.saved
        classes = np.arange(self.input_shapes[0][1]).reshape((1, -1) + (1,) * (gy.ndim - 1))
        chosen = Tensor(np.expand_dims(target.array, 1) == classes)
        return -(coefficient * gy).unsqueeze(1) * chosen, None, None

    def backward_kernel(self, gy: Array) -> Any:
        target, coefficient = self.saved_arrays
        gx = np.zeros(self.input_shapes[0], gy.dtype)
        np.put_along_axis(gx, np.expand_dims(target, 1), np.expand_dims(-coefficient * gy, 1), 1)
        return gx, None, None


# The functions that users call ----------------------------------------------------------------------------------------


def _coefficients(
    name: str, x: Tensor, target: Tensor, weight: TensorLike | None, ignore_index: int, what: str = "weight"
) -> tuple[Tensor, Array]:
    """The targets, with class 0 for those to ignore, and how much each counts: its class's weight, or 0."""
    classes = class_indices(name, x.shape, target, ignore_index)
    kept = classes != ignore_index
    classes = np.where(kept, classes, 0)
    coefficient = kept.astype(x.dtype)
    if weight is not None:
        coefficient *= _constant_weight(name, x, weight, what)[classes]
    return Tensor(classes), coefficient


def _constant_weight(name: str, x: Tensor, weight: TensorLike, what: str = "weight") -> Array:
    """The weights of the classes, which these losses do not differentiate: a gradient asked for would be lost."""
    w = class_weight(name, x, weight, what)
    if w.requires_grad:
        raise ArgumentError(
            f"{name}: {what} requires a gradient, but with class indices as targets the class weights are constants: pass "
            f"{what}.detach()"
        )
    return w.array


def _finished(name: str, losses: Tensor, coefficient: Array, reduction: str, unbatched: bool) -> Tensor:
    """The reduction in which the mean is over the weights of the samples.

    Where they add up to nothing it is 0 / 0, NaN, but as in PyTorch with a gradient of 0: a batch in which all is to be
    ignored does no harm.
    """
    if reduction == "mean":
        total = float(coefficient.sum(dtype=np.float64))
        return losses.sum() / total if total else losses.sum() * 0 + math.nan
    return reduced(name, losses.squeeze(0) if unbatched else losses, reduction)


def nll_loss(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of the target classes, ``-weight[target] * input[target]``.

    Parameters
    ----------
    input : Tensor, shape (n, c, ...) or (c,)
        Log-probabilities, as `log_softmax` gives them; the result has its dtype.
    target : Tensor of int64, shape (n, ...) or ()
        Class indices.
    weight : Tensor, shape (c,), optional
        How much each class counts; a constant.
    ignore_index : int
        Samples with this target count nothing.
    reduction : {"mean", "sum", "none"}
        The mean is over the samples' weights; with nothing left to average it is NaN.

    Returns
    -------
    Tensor, shape (), or (n, ...) without reduction

    Raises
    ------
    ArgumentError
        For a target out of range; names it and its place.
    DTypeError
        For targets that are no integers.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.nll_loss(tg.tensor([[-0.1, -2.4], [-1.2, -0.4]]), tg.tensor([0, 1]))
    tensor(0.25)
    """
    return _nll_loss("nll_loss", as_float(input), as_tensor(target), weight, ignore_index, reduction)


def _nll_loss(
    name: str, x: Tensor, y: Tensor, weight: TensorLike | None, ignore_index: int, reduction: str
) -> Tensor:
    x, y, unbatched = with_batch(x, y)
    classes, coefficient = _coefficients(name, x, y, weight, ignore_index)
    losses = NLLLoss.apply(x, classes, Tensor(coefficient))
    return _finished(name, losses, coefficient, reduction, unbatched)


def cross_entropy(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of class scores (logits) with the target classes, in nats.

    ``loss_n = -log softmax(input_n)[target_n]``; its gradient with respect to the scores is the softmax minus the
    one-hot target, divided by n for the mean.

    Parameters
    ----------
    input : Tensor, shape (n, c, ...) or (c,)
        Scores, of any size.
    target : Tensor of int64, shape (n, ...) or (); or of floats, in the shape of `input`
        Class indices, or the probability of each class (with a gradient, if it needs one).
    weight : Tensor, shape (c,), optional
        How much each class counts.
    ignore_index : int
        Samples with this target count nothing. It has no meaning for probabilities.
    reduction : {"mean", "sum", "none"}
        The mean is over the samples' weights for class indices, over the number of samples for probabilities.
    label_smoothing : float
        The share of the target, between 0 and 1, that is spread evenly over all classes.

    Returns
    -------
    Tensor, shape (), or (n, ...) without reduction

    Raises
    ------
    ArgumentError
        For a target out of range (names it and its place) and a share out of [0, 1].
    ShapeError, DTypeError
        For targets of another shape, or weights that are not one for each class.

    References
    ----------
    Szegedy, Vanhoucke, Ioffe, Shlens, Wojna 2015, "Rethinking the Inception architecture for computer vision", section 7,
    for the label smoothing.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> scores = tg.tensor([[2.0, 1.0, 0.0]], requires_grad=True)
    >>> loss = tg.cross_entropy(scores, tg.tensor([0]))
    >>> loss.backward()
    >>> scores.grad
    tensor([[-0.3348,  0.2447,  0.09  ]])
    """
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"cross_entropy: label_smoothing must lie between 0 and 1, got {label_smoothing}")
    x, y = as_float(input), as_tensor(target)
    if x.ndim == 0:
        raise ShapeError("cross_entropy: needs an input of shape (classes,) or (n, classes, ...), got a single number")
    log_p = log_softmax(x, 0 if x.ndim == 1 else 1)
    if y.is_floating_point():
        return _soft_cross_entropy(log_p, y, weight, reduction, label_smoothing)
    if label_smoothing:
        return _smoothed(log_p, y, weight, ignore_index, reduction, label_smoothing)
    return _nll_loss("cross_entropy", log_p, y, weight, ignore_index, reduction)


def _soft_cross_entropy(
    log_p: Tensor, target: Tensor, weight: TensorLike | None, reduction: str, label_smoothing: float
) -> Tensor:
    if target.shape != log_p.shape:
        raise ShapeError(
            f"cross_entropy: floating-point targets are class probabilities and have the input's shape {log_p.shape}, got "
            f"{target.shape}; class indices are integers: use .long()"
        )
    along = 0 if log_p.ndim == 1 else 1
    target = target.to(log_p.dtype)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / log_p.shape[along]
    if weight is not None:
        of_class = class_weight("cross_entropy", log_p, weight, dim=along)
        target = target * of_class.reshape((-1,) + (1,) * (log_p.ndim - along - 1))
    return reduced("cross_entropy", -(target * log_p).sum(along), reduction)


def _smoothed(
    log_p: Tensor, target: Tensor, weight: TensorLike | None, ignore_index: int, reduction: str, label_smoothing: float
) -> Tensor:
    """(1 - e) times the loss of the target plus e / c times the sum of the losses of all classes."""
    log_p, target, unbatched = with_batch(log_p, target)
    classes, coefficient = _coefficients("cross_entropy", log_p, target, weight, ignore_index)
    weighted = log_p
    if weight is not None:
        of_class = _constant_weight("cross_entropy", log_p, weight)
        weighted = log_p * Tensor(of_class.reshape((-1,) + (1,) * (log_p.ndim - 2)))
    spread = where(target.array != ignore_index, -weighted.sum(1), 0.0)
    hard = NLLLoss.apply(log_p, classes, Tensor(coefficient))
    losses = (1 - label_smoothing) * hard + label_smoothing / log_p.shape[1] * spread
    return _finished("cross_entropy", losses, coefficient, reduction, unbatched)


def focal_loss(
    input: TensorLike,
    target: TensorLike,
    gamma: float = 2.0,
    alpha: TensorLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Focal loss of class scores: cross-entropy that counts well-classified samples less, in nats.

    ``loss_n = -alpha[target_n] * (1 - p_n)^gamma * log p_n`` with ``p_n = softmax(input_n)[target_n]``. For ``gamma=0`` it
    is the cross-entropy. 1 - p is computed as the sum of the other classes' probabilities, by their logarithms: the
    gradient is finite and right where p is 1, also for gamma < 1, where the power has an infinite slope. With one score for
    each class on its own it is `sigmoid_focal_loss`.

    Parameters
    ----------
    input : Tensor, shape (n, c, ...) or (c,)
        Scores, of any size.
    target : Tensor of int64, shape (n, ...) or ()
        Class indices.
    gamma : float
        The focusing parameter, 0 or more.
    alpha : Tensor, shape (c,), optional
        A factor for each class.
    ignore_index : int
        Samples with this target count nothing.
    reduction : {"mean", "sum", "none"}
        The mean is over the samples that are not ignored, whatever their `alpha`.

    References
    ----------
    Lin, Goyal, Girshick, He, Dollar 2017, "Focal loss for dense object detection", equations 4 and 5.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> scores = tg.tensor([[2.0, 1.0, 0.0]])
    >>> tg.focal_loss(scores, tg.tensor([0])), tg.focal_loss(scores, tg.tensor([0]), gamma=0)
    (tensor(0.0457), tensor(0.4076))
    """
    if not gamma >= 0:
        raise ArgumentError(f"focal_loss: gamma must be 0 or more, got {gamma}")
    x, y, unbatched = with_batch(as_float(input), as_tensor(target))
    classes, coefficient = _coefficients("focal_loss", x, y, alpha, ignore_index, "alpha")
    log_p = log_softmax(x, 1)
    losses = NLLLoss.apply(log_p, classes, Tensor(coefficient))
    if gamma:
        chosen = np.expand_dims(classes.array, 1) == np.arange(x.shape[1]).reshape((-1,) + (1,) * (x.ndim - 2))
        losses = losses * exp(gamma * logsumexp(log_p.masked_fill(Tensor(chosen), -math.inf), 1))
    kept = (y.array != ignore_index).reshape(losses.shape)
    return _finished("focal_loss", losses, kept, reduction, unbatched)


def kl_div(input: TensorLike, target: TensorLike, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """Kullback-Leibler divergence of the target distribution from the predicted one, in nats, element by element.

    ``target * (log target - input)``, summed over the classes the divergence; 0 log 0 counts as 0.

    Parameters
    ----------
    input : Tensor
        Log-probabilities of the prediction.
    target : Tensor, in the shape of `input`
        Probabilities, or log-probabilities with `log_target`. Its gradient at a probability of 0, which would be -inf,
        leaves out the infinite term.
    reduction : {"mean", "sum", "none", "batchmean"}
        "batchmean" divides the sum by the size of dimension 0, which makes it the mean divergence of a batch (n, classes);
        "mean" divides by the number of elements, as in PyTorch.
    log_target : bool
        Whether the target holds logarithms.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> uniform = tg.tensor([[0.5, 0.5]])
    >>> tg.kl_div(tg.tensor([[0.25, 0.75]]).log(), uniform, reduction="batchmean")
    tensor(0.1438)
    """
    x, y = with_target("kl_div", input, target)
    losses = exp(y) * (y - x) if log_target else y * log(where(y == 0, 1.0, y)) - y * x
    if reduction != "batchmean":
        return reduced("kl_div", losses, reduction)
    if x.ndim == 0:
        raise ShapeError("kl_div: reduction='batchmean' divides by the size of dimension 0, the input is a single number")
    return losses.sum() / x.shape[0]
