"""Losses: what the network's outputs cost, as one number to differentiate."""

from typing import Any

import numpy as np

from ..autograd.function import Array, Function
from ..errors import ArgumentError, DTypeError, ShapeError
from ..tensor import Tensor, TensorLike
from ._arguments import as_float, as_tensor, operands
from .activation import log_softmax


class NLLLoss(Function):
    """Negative log-likelihood of the target classes, one for each sample, y_n = -coefficient_n * x[n, target_n].

    Inputs are the log-probabilities x (n, c, ...), the targets (n, ...) and a constant coefficient (n, ...).

    Gradient
        gx = -coefficient * gy at the target class, 0 elsewhere
    Saves
        targets, coefficients
    """

    def forward(self, x: Array, target: Array, coefficient: Array) -> Array:
        self.save_for_backward(target, coefficient)
        picked = np.take_along_axis(x, np.expand_dims(target, 1), 1).squeeze(1)
        return -coefficient * picked

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


def _reduced(name: str, losses: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    if reduction in ("mean", "sum"):
        return losses.mean() if reduction == "mean" else losses.sum()
    raise ArgumentError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _checked_target(name: str, x: Tensor, target: TensorLike, ignore_index: int) -> Array:
    """Integer targets of the right shape and range."""
    classes = as_tensor(target).array
    if classes.dtype.kind not in "iu":
        raise DTypeError(f"{name}: targets are class indices and must be integers, got {classes.dtype}: use .long()")
    if x.ndim < 1 or classes.shape != x.shape[:1] + x.shape[2:]:
        raise ShapeError(
            f"{name}: an input of shape {x.shape} (n, classes, ...) needs targets of shape {x.shape[:1] + x.shape[2:]}, "
            f"got {classes.shape}"
        )
    count = x.shape[1]
    bad = (classes != ignore_index) & ((classes < 0) | (classes >= count))
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ArgumentError(
            f"{name}: target {classes[where]} at {where} is no class of an input with {count} classes (0 to {count - 1}); "
            f"ignore_index is {ignore_index}"
        )
    return classes


def _with_batch(x: Tensor, target: TensorLike) -> tuple[Tensor, TensorLike, bool]:
    """PyTorch takes one sample, (classes) and a number, without a batch dimension."""
    if x.ndim == 1:
        return x.unsqueeze(0), as_tensor(target).unsqueeze(0), True
    return x, target, False


def nll_loss(
    input: TensorLike,
    target: TensorLike,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of the target classes.

    Parameters
    ----------
    input : Tensor, shape (n, c, ...) or (c,)
        Log-probabilities, as `log_softmax` gives them.
    target : Tensor of int64, shape (n, ...) or ()
        Class indices.
    weight : Tensor, shape (c,), optional
        How much each class counts.
    ignore_index : int
        Samples with this target count nothing.
    reduction : {"mean", "sum", "none"}
        The mean is over the samples' weights.

    Raises
    ------
    ArgumentError
        For a target out of range; names it and its place.
    """
    x, target, unbatched = _with_batch(as_float(input), target)
    classes = _checked_target("nll_loss", x, target, ignore_index)
    kept = classes != ignore_index
    classes = np.where(kept, classes, 0)
    coefficient = kept.astype(x.dtype)
    if weight is not None:
        if weight.shape != (x.shape[1],):
            raise ShapeError(f"nll_loss: weight has shape {weight.shape}, the input has {x.shape[1]} classes")
        coefficient *= weight.array[classes].astype(x.dtype)
    if reduction == "mean":
        # With nothing left to average, 0 / 0: NaN, as in PyTorch.
        with np.errstate(invalid="ignore"):
            coefficient = coefficient / coefficient.sum()
    losses = NLLLoss.apply(x, Tensor(classes), Tensor(coefficient))
    if unbatched and reduction == "none":
        return losses.squeeze(0)
    return _reduced("nll_loss", losses, "sum" if reduction == "mean" else reduction)


def cross_entropy(
    input: TensorLike,
    target: TensorLike,
    weight: Tensor | None = None,
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
        Class indices, or the probability of each class.
    weight : Tensor, shape (c,), optional
        How much each class counts.
    ignore_index : int
        Samples with this target count nothing.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        The share of the target that is spread evenly over all classes.

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
    x, target, unbatched = _with_batch(as_float(input), target)
    log_p = log_softmax(x, 1)
    y = as_tensor(target)
    if y.is_floating_point():
        return _soft_cross_entropy(log_p, y, weight, reduction, label_smoothing)
    if label_smoothing:
        loss = _smoothed(log_p, y, weight, ignore_index, reduction, label_smoothing)
    else:
        loss = nll_loss(log_p, y, weight, ignore_index, reduction)
    return loss.squeeze(0) if unbatched and reduction == "none" else loss


def _soft_cross_entropy(
    log_p: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    if target.shape != log_p.shape:
        raise ShapeError(f"cross_entropy: class probabilities have shape {target.shape}, the input {log_p.shape}")
    classes = log_p.shape[1]
    target = target * (1 - label_smoothing) + label_smoothing / classes
    if weight is not None:
        target = target * weight.reshape((1, -1) + (1,) * (log_p.ndim - 2))
    losses = -(target * log_p).sum(1)
    if reduction == "mean":
        return losses.sum() / max(1, losses.numel())
    return _reduced("cross_entropy", losses, reduction)


def _smoothed(
    log_p: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str, label_smoothing: float
) -> Tensor:
    """(1 - e) times the loss of the target plus e / c times the sum of the losses of all classes."""
    classes = _checked_target("cross_entropy", log_p, target, ignore_index)
    kept = classes != ignore_index
    count = log_p.shape[1]
    of_class = np.ones(count, log_p.dtype) if weight is None else weight.array.astype(log_p.dtype)
    along = (1, -1) + (1,) * (log_p.ndim - 2)
    spread = Tensor(kept.astype(log_p.dtype)) * -(log_p * Tensor(of_class.reshape(along))).sum(1)
    hard = nll_loss(log_p, target, weight, ignore_index, "none")
    losses = (1 - label_smoothing) * hard + label_smoothing / count * spread
    if reduction == "mean":
        return losses.sum() / float((of_class[np.where(kept, classes, 0)] * kept).sum())
    return _reduced("cross_entropy", losses, reduction)


def _same_shape(name: str, input: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor]:
    x, y = operands(as_float(input), target)
    if x.shape != y.shape:
        raise ShapeError(
            f"{name}: input has shape {x.shape} and target {y.shape}; they must agree (a broadcast here is nearly always "
            "a mistake)"
        )
    return x, y


def mse_loss(input: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """Mean squared error, ``(input - target)^2``."""
    x, y = _same_shape("mse_loss", input, target)
    return _reduced("mse_loss", (x - y).square(), reduction)


def l1_loss(input: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """Mean absolute error, ``|input - target|``."""
    x, y = _same_shape("l1_loss", input, target)
    return _reduced("l1_loss", (x - y).abs(), reduction)


def binary_cross_entropy_with_logits(input: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """Cross-entropy of the sigmoid of the input with targets between 0 and 1, without overflow; in nats.

    ``max(x, 0) - x * target + log(1 + exp(-|x|))``.
    """
    x, y = _same_shape("binary_cross_entropy_with_logits", input, target)
    return _reduced("binary_cross_entropy_with_logits", x.relu() - x * y + (-x.abs()).exp().log1p(), reduction)
