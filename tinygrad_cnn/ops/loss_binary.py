"""Losses of yes-or-no questions: each element is a question of its own, whatever the others say.

The cross-entropies take targets between 0 and 1 (labels, or probabilities of "yes"); `hinge_loss` and `soft_margin_loss`
take signs, 1 and -1. Those on logits go through log(sigmoid(x)), which neither overflows nor loses digits at any size of
score, and whose gradient is right at 0.
"""

from typing import Any

import numpy as np

from ..autograd.function import Array, Function
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor, TensorLike
from ._arguments import as_float
from ._loss import one_of, reduced, rescaled, signs, weight_for, with_target
from .elementwise import exp, log, where
from .smooth import logsigmoid

# Logarithms of probabilities are cut off here, and x (1 - x) in the gradient there: PyTorch's numbers.
_LOG_FLOOR = -100.0
_SLOPE_FLOOR = 1e-12


class BinaryCrossEntropy(Function):
    """Cross-entropy of a probability x with a target t, y = -(t log x + (1 - t) log(1 - x)), logarithms not below -100.

    Gradient
        gx = gy * (x - t) / max(x (1 - x), 1e-12), finite at x = 0 and 1; gt = gy * (log(1 - x) - log x)
    Saves
        x, t
    """

    def forward(self, x: Array, t: Array) -> Array:
        self.save_for_backward(x, t)
        with np.errstate(divide="ignore"):
            log_yes = np.maximum(np.log(x), x.dtype.type(_LOG_FLOOR))
            log_no = np.maximum(np.log1p(-x), x.dtype.type(_LOG_FLOOR))
        return -(t * log_yes + (1 - t) * log_no)

    def backward(self, gy: Tensor) -> Any:
        x, t = self.saved
        gx = gt = None
        if self.needs_input_grad[0]:
            gx = gy * (x - t) / (x * (1 - x)).clamp(min=_SLOPE_FLOOR)
        if self.needs_input_grad[1]:
            gt = gy * (_floored_log(1 - x) - _floored_log(x))
        return gx, gt


def _floored_log(p: Tensor) -> Tensor:
    """max(log p, -100), with a gradient of 0 rather than NaN at p = 0."""
    return where(p > 0, log(where(p > 0, p, 1.0)), _LOG_FLOOR).clamp(min=_LOG_FLOOR)


# The functions that users call ----------------------------------------------------------------------------------------


def binary_cross_entropy(
    input: TensorLike, target: TensorLike, weight: TensorLike | None = None, reduction: str = "mean"
) -> Tensor:
    """Cross-entropy of probabilities with targets between 0 and 1, in nats.

    ``-(target * log input + (1 - target) * log(1 - input))``. For the output of a sigmoid, use
    `binary_cross_entropy_with_logits` on its input instead: there nothing has been rounded away yet.

    Parameters
    ----------
    input : Tensor
        Probabilities. The logarithms are cut off at -100, so a certain and wrong answer costs 100, not infinity.
    target : Tensor, in the shape of `input`
    weight : Tensor, broadcasts to the shape of `input`, optional
        A factor for each element.
    reduction : {"mean", "sum", "none"}
        The mean is over the number of elements, whatever the weights.

    Raises
    ------
    ArgumentError
        For an input outside [0, 1]; names it and its place.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.binary_cross_entropy(tg.tensor([0.5, 0.9, 0.0]), tg.tensor([1.0, 1.0, 1.0]), reduction="none")
    tensor([  0.6931,   0.1054, 100.    ])
    """
    x, t = with_target("binary_cross_entropy", input, target)
    outside = ~((x.array >= 0) & (x.array <= 1) | np.isnan(x.array))
    if outside.any():
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        raise ArgumentError(
            f"binary_cross_entropy: the input must be probabilities between 0 and 1, got {x.array[at]} at {at}; for scores "
            "of any size use binary_cross_entropy_with_logits"
        )
    losses = rescaled("binary_cross_entropy", BinaryCrossEntropy.apply(x, t), weight)
    return reduced("binary_cross_entropy", losses, reduction)


def binary_cross_entropy_with_logits(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    reduction: str = "mean",
    pos_weight: TensorLike | None = None,
) -> Tensor:
    """Cross-entropy of the sigmoid of scores with targets between 0 and 1, in nats; without overflow.

    ``-(pos_weight * target * log s + (1 - target) * log(1 - s))`` with ``s = sigmoid(input)``. Its gradient is s - target
    (without weights), also at 0.

    Parameters
    ----------
    input : Tensor
        Scores (logits), of any size.
    target : Tensor, in the shape of `input`
    weight : Tensor, broadcasts to the shape of `input`, optional
        A factor for each element.
    reduction : {"mean", "sum", "none"}
        The mean is over the number of elements, whatever the weights.
    pos_weight : Tensor, broadcasts to the shape of `input`, optional
        A factor for the "yes" part: (number of negatives) / (number of positives) balances the two, for each class.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([0.0, 1e4, -1e4], requires_grad=True)
    >>> loss = tg.binary_cross_entropy_with_logits(x, tg.tensor([1.0, 1.0, 1.0]), reduction="sum")
    >>> loss.backward()
    >>> x.grad
    tensor([-0.5,  0. , -1. ])
    """
    name = "binary_cross_entropy_with_logits"
    x, t = with_target(name, input, target)
    return reduced(name, rescaled(name, _with_logits(name, x, t, pos_weight), weight), reduction)


def _with_logits(name: str, x: Tensor, t: Tensor, pos_weight: TensorLike | None) -> Tensor:
    """By log(1 - sigmoid(x)) = log sigmoid(-x). The shorter (1 - t) x - log sigmoid(x) cancels where x is far below 0."""
    yes = t * logsigmoid(x)
    if pos_weight is not None:
        yes = yes * weight_for(name, x, pos_weight, "pos_weight")
    return -(yes + (1 - t) * logsigmoid(-x))


def sigmoid_focal_loss(
    inputs: TensorLike, targets: TensorLike, alpha: float = 0.25, gamma: float = 2, reduction: str = "none"
) -> Tensor:
    """Focal loss of scores that are a yes-or-no question each, in nats; well-classified elements count less.

    ``-alpha_t * (1 - p_t)^gamma * log p_t``, with p_t the probability that ``sigmoid(inputs)`` gives to the right answer,
    and alpha_t = alpha for "yes", 1 - alpha for "no". The signature is torchvision's, where nothing is averaged by default:
    the paper divides the sum by the number of anchors that were assigned to an object. `focal_loss` is the softmax form.

    Parameters
    ----------
    inputs : Tensor
        Scores (logits), of any size.
    targets : Tensor, in the shape of `inputs`
        Labels, 0 or 1.
    alpha : float
        The factor of "yes", between 0 and 1; a negative one switches both factors off.
    gamma : float
        The focusing parameter, 0 or more.
    reduction : {"none", "mean", "sum"}

    References
    ----------
    Lin, Goyal, Girshick, He, Dollar 2017, "Focal loss for dense object detection", equation 5.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.sigmoid_focal_loss(tg.tensor([0.0, 1.0, 1.0]), tg.tensor([1.0, 1.0, 0.0]))
    tensor([0.0433, 0.0057, 0.5264])
    """
    if not gamma >= 0 or alpha > 1:
        raise ArgumentError(
            f"sigmoid_focal_loss: gamma must be 0 or more and alpha at most 1 (negative for none), got {gamma} and {alpha}"
        )
    x, t = with_target("sigmoid_focal_loss", inputs, targets, "targets")
    labels = one_of("sigmoid_focal_loss", t.array, (0, 1), "the loss is defined for labels")
    towards = Tensor(2 * labels - 1) * x  # the score of the right answer
    losses = -logsigmoid(towards)
    if gamma:
        # (1 - p_t)^gamma by its logarithm: the power itself has an infinite slope at p_t = 1 for gamma < 1.
        losses = losses * exp(gamma * logsigmoid(-towards))
    if alpha >= 0:
        losses = losses * Tensor(alpha * labels + (1 - alpha) * (1 - labels))
    return reduced("sigmoid_focal_loss", losses, reduction)


def soft_margin_loss(input: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """Logistic loss of scores against signs, ``log(1 + exp(-target * input))``, in nats; without overflow.

    Parameters
    ----------
    input : Tensor
        Scores, of any size.
    target : Tensor, in the shape of `input`
        1 or -1.
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.soft_margin_loss(tg.tensor([0.0, 2.0, -1e4]), tg.tensor([1, -1, 1]), reduction="none")
    tensor([6.9315e-01, 2.1269e+00, 1.0000e+04])
    """
    x = as_float(input)
    sign = signs("soft_margin_loss", target, x.shape)
    return reduced("soft_margin_loss", -logsigmoid(Tensor(sign.astype(x.dtype)) * x), reduction)


def hinge_loss(
    input: TensorLike, target: TensorLike, margin: float = 1.0, squared: bool = False, reduction: str = "mean"
) -> Tensor:
    """Hinge loss of scores against signs, ``max(0, margin - target * input)``: the loss of support vector machines.

    PyTorch has it for several classes only, as `multi_margin_loss`.

    Parameters
    ----------
    input : Tensor
        Scores; the sign is the answer.
    target : Tensor, in the shape of `input`
        1 or -1.
    margin : float
        How far on the right side a score has to be to cost nothing. At the margin itself the slope is that of the inside.
    squared : bool
        Square it, which takes the kink away.
    reduction : {"mean", "sum", "none"}

    References
    ----------
    Cortes, Vapnik 1995, "Support-vector networks"; Tang 2013, "Deep learning using linear support vector machines",
    equations 4 and 5, for both on top of a network.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.hinge_loss(tg.tensor([0.5, 2.0, 0.5]), tg.tensor([1, 1, -1]), reduction="none")
    tensor([0.5, 0. , 1.5])
    """
    x = as_float(input)
    sign = signs("hinge_loss", target, x.shape)
    losses = (margin - Tensor(sign.astype(x.dtype)) * x).clamp(min=0)
    return reduced("hinge_loss", losses.square() if squared else losses, reduction)


def multilabel_soft_margin_loss(
    input: TensorLike, target: TensorLike, weight: TensorLike | None = None, reduction: str = "mean"
) -> Tensor:
    """Several labels at once: `binary_cross_entropy_with_logits` of each class, averaged over the classes.

    Parameters
    ----------
    input : Tensor, shape (..., c)
        Scores, of any size.
    target : Tensor, in the shape of `input`
        Labels 0 or 1, or probabilities.
    weight : Tensor, broadcasts to the shape of `input`, optional
        A factor for each class, usually.
    reduction : {"mean", "sum", "none"}
        Over what is left without the classes.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.multilabel_soft_margin_loss(tg.tensor([[0.0, 2.0]]), tg.tensor([[1.0, 1.0]]))
    tensor(0.41)
    """
    name = "multilabel_soft_margin_loss"
    x, t = with_target(name, input, target)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ShapeError(f"{name}: needs an input of shape (..., classes) with at least one class, got {x.shape}")
    return reduced(name, rescaled(name, _with_logits(name, x, t, None), weight).mean(-1), reduction)
