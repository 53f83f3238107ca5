"""Losses against numbers: squared and absolute errors, what lies between them, and two likelihoods.

The square punishes an outlier by its square, the absolute value only in proportion, but has a kink at 0. Huber's loss is
the square near 0 and straight beyond, and `smooth_l1_loss` the same in another scale:

    smooth_l1_loss(x, y, beta=b) = huber_loss(x, y, delta=b) / b

Input and target have one shape; every loss keeps their dtype.
"""

import math

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor, TensorLike
from ._arguments import as_float, as_tensor
from ._loss import reduced, weight_for, with_target
from .elementwise import exp, log, where


def mse_loss(
    input: TensorLike, target: TensorLike, reduction: str = "mean", weight: TensorLike | None = None
) -> Tensor:
    """Squared error, ``(input - target)^2``.

    Parameters
    ----------
    input, target : Tensor
        Of one shape; the result has their dtype.
    reduction : {"mean", "sum", "none"}
    weight : Tensor, in the shape of `input`, optional
        A factor for each element; the mean is then the weighted one, divided by the sum of the weights.

    Raises
    ------
    ShapeError
        If shapes differ: nothing is broadcast.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.mse_loss(tg.tensor([1.0, 2.0]), tg.tensor([0.0, 4.0]))
    tensor(2.5)
    """
    x, y = with_target("mse_loss", input, target)
    return _weighted_mean("mse_loss", (x - y).square(), reduction, weight)


def l1_loss(
    input: TensorLike, target: TensorLike, reduction: str = "mean", weight: TensorLike | None = None
) -> Tensor:
    """Absolute error, ``|input - target|``; its gradient is 0 where they are equal.

    Parameters
    ----------
    input, target : Tensor
        Of one shape; the result has their dtype.
    reduction : {"mean", "sum", "none"}
    weight : Tensor, in the shape of `input`, optional
        A factor for each element; the mean is then the weighted one, divided by the sum of the weights.

    Raises
    ------
    ShapeError
        If shapes differ: nothing is broadcast.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.l1_loss(tg.tensor([1.0, 2.0]), tg.tensor([0.0, 4.0]))
    tensor(1.5)
    """
    x, y = with_target("l1_loss", input, target)
    return _weighted_mean("l1_loss", (x - y).abs(), reduction, weight)


def _elementwise_weight(name: str, losses: Tensor, weight: TensorLike) -> Tensor:
    w = as_tensor(weight)
    if w.shape != losses.shape:
        raise ShapeError(f"{name}: weight has shape {w.shape}, but it must have the input's, {losses.shape}")
    return w.to(losses.dtype)


def _weighted_mean(name: str, losses: Tensor, reduction: str, weight: TensorLike | None) -> Tensor:
    if weight is None:
        return reduced(name, losses, reduction)
    w = _elementwise_weight(name, losses, weight)
    if reduction == "mean":
        return (losses * w).sum() / w.sum()
    return reduced(name, losses * w, reduction)


def huber_loss(
    input: TensorLike,
    target: TensorLike,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: TensorLike | None = None,
) -> Tensor:
    """Huber's loss: the squared error near 0, the absolute one beyond `delta`, joined without a kink.

    With ``d = input - target``: ``d^2 / 2`` where ``|d| <= delta``, else ``delta * (|d| - delta / 2)``.

    Parameters
    ----------
    input, target : Tensor
        Of one shape; the result has their dtype.
    reduction : {"mean", "sum", "none"}
    delta : float
        Where the square ends, positive.
    weight : Tensor, in the shape of `input`, optional
        A factor for each element. The mean still divides by the number of elements (PyTorch's rule, unlike that of
        `mse_loss`).

    References
    ----------
    Huber 1964, "Robust estimation of a location parameter".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.huber_loss(tg.tensor([0.5, 3.0]), tg.zeros(2), reduction="none")
    tensor([0.125, 2.5  ])
    """
    if not delta > 0:
        raise ArgumentError(f"huber_loss: delta must be positive, got {delta}")
    x, y = with_target("huber_loss", input, target)
    losses = _huber(x - y, delta)
    if weight is not None:
        losses = losses * _elementwise_weight("huber_loss", losses, weight)
    return reduced("huber_loss", losses, reduction)


def _huber(d: Tensor, delta: float) -> Tensor:
    """c (d - c / 2) with c = d limited to [-delta, delta]: smooth at 0 in every derivative, which |d| would not be."""
    c = d.clamp(-delta, delta)
    return c * (d - c / 2)


def smooth_l1_loss(
    input: TensorLike, target: TensorLike, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """Absolute error with its kink rounded off: ``d^2 / (2 beta)`` where ``|d| < beta``, else ``|d| - beta / 2``.

    Parameters
    ----------
    input, target : Tensor
        Of one shape; the result has their dtype.
    reduction : {"mean", "sum", "none"}
    beta : float
        Where the square ends; 0 gives `l1_loss`.

    References
    ----------
    Girshick 2015, "Fast R-CNN", equation 3 (with beta = 1).

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.smooth_l1_loss(tg.tensor([0.5, 3.0]), tg.zeros(2), reduction="none")
    tensor([0.125, 2.5  ])
    """
    if not beta >= 0:
        raise ArgumentError(f"smooth_l1_loss: beta must be 0 or more, got {beta}")
    x, y = with_target("smooth_l1_loss", input, target)
    return reduced("smooth_l1_loss", (x - y).abs() if beta == 0 else _huber(x - y, beta) / beta, reduction)


def poisson_nll_loss(
    input: TensorLike,
    target: TensorLike,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of counts under a Poisson distribution, in nats, without the term log(target!).

    ``exp(input) - target * input``, or ``input - target * log(input + eps)`` without `log_input`.

    Parameters
    ----------
    input : Tensor
        The logarithm of the expected count, or the count itself without `log_input`.
    target : Tensor, in the shape of `input`
        Counts.
    log_input : bool
    full : bool
        Add Stirling's approximation of log(target!), ``t log t - t + log(2 pi t) / 2``, for targets above 1.
    eps : float
        Keeps the logarithm of an expected count of 0 finite.
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.poisson_nll_loss(tg.tensor([0.0, 1.0]), tg.tensor([2.0, 3.0]), reduction="none")
    tensor([ 1.    , -0.2817])
    """
    x, t = with_target("poisson_nll_loss", input, target)
    losses = exp(x) - t * x if log_input else x - t * log(x + eps)
    if full:
        many = where(t > 1, t, 2.0)
        stirling = many * log(many) - many + 0.5 * log(2 * math.pi * many)
        losses = losses + where(t > 1, stirling, 0.0)
    return reduced("poisson_nll_loss", losses, reduction)


def gaussian_nll_loss(
    input: TensorLike,
    target: TensorLike,
    var: TensorLike,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of the target under a normal distribution, in nats.

    ``(log v + (input - target)^2 / v) / 2`` with ``v = max(var, eps)``.

    Parameters
    ----------
    input : Tensor
        The expected values.
    target : Tensor, in the shape of `input`
    var : Tensor, or float
        The variances: in the shape of `input`; with a 1 in place of one dimension, or without the last one, where all along
        it share a variance; or a number.
    full : bool
        Add the constant, ``log(2 pi) / 2``.
    eps : float
        The smallest variance. Below it the gradient of `var` is that at `eps`, so that a variance can grow again.
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    ArgumentError
        For a negative variance.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.gaussian_nll_loss(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 4.0]), tg.tensor([1.0, 4.0]), reduction="none")
    tensor([0.    , 1.1931])
    """
    x, t = with_target("gaussian_nll_loss", input, target)
    if not eps > 0:
        raise ArgumentError(f"gaussian_nll_loss: eps must be positive, got {eps}")
    v = _variance(x, var)
    # max(var, eps), but with the gradient of var everywhere.
    v = v + Tensor(np.maximum(v.array, v.dtype.type(eps)) - v.array)
    losses = 0.5 * (log(v) + (x - t).square() / v)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduced("gaussian_nll_loss", losses, reduction)


def _variance(x: Tensor, var: TensorLike) -> Tensor:
    v = as_float(var).to(x.dtype)
    if v.ndim and v.shape == x.shape[:-1]:
        v = v.unsqueeze(-1)
    if v.ndim not in (0, x.ndim):
        raise ShapeError(
            f"gaussian_nll_loss: var has shape {v.shape}, the input {x.shape}; give a variance for each element, for each "
            "but along one dimension (of size 1 then), or one number"
        )
    v = weight_for("gaussian_nll_loss", x, v, "var")
    if (v.array < 0).any():
        raise ArgumentError(f"gaussian_nll_loss: a variance cannot be negative, got {v.array.min()}")
    return v
