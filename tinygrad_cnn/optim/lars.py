"""LARS: a learning rate of its own for each layer, for large batches."""

import math

import numpy as np

from ..kernels.scratch import borrow
from ..tensor import Array
from .optimizer import Group, Optimizer, Params, State
from .rules import check_numbers, descent_gradient
from .sgd import check_momentum, momentum_direction


class LARS(Optimizer):
    r"""Layer-wise adaptive rate scaling: `SGD` whose steps are in proportion to the size of each layer's weights.

    For each parameter tensor w with gradient g, and their Euclidean norms |w| and |g|:

        trust <- trust_coefficient |w| / (|g| + weight_decay |w| + eps)         (1 where |w| or |g| is 0)
        v <- momentum v + lr trust (g + weight_decay w)
        w <- w - v

    The ratio |w| / |g| differs between layers by orders of magnitude, so that the one rate that all layers bear is too small
    for most. Large batches need large rates; here lr only says how large the step of a layer is for its weights.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups of them with options of their own. Biases and the parameters of normalization layers are
        commonly left out of the scaling, and of the weight decay; see the example.
    lr : float
        The learning rate.
    momentum : float
        How much of the velocity stays from step to step.
    weight_decay : float
        Of an L2 penalty, which the trust ratio knows of.
    trust_coefficient : float or None
        How far a layer trusts its own step, at lr = 1; None for plain SGD (trust = 1) in a group.
    eps : float
        Added to the divisor; the paper has none.
    nesterov : bool
        Look ahead by one step of the velocity.
    maximize : bool
        Climb instead: use -g for g.

    References
    ----------
    You, Gitman, Ginsburg 2017, "Large batch training of convolutional networks", equation 6 and algorithm 1.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn, optim
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    >>> scaled = [p for p in net.parameters() if p.ndim > 1]
    >>> others = [p for p in net.parameters() if p.ndim <= 1]
    >>> optimizer = optim.LARS(
    ...     [{"params": scaled}, {"params": others, "trust_coefficient": None, "weight_decay": 0}],
    ...     lr=1.0, momentum=0.9, weight_decay=5e-4,
    ... )
    >>> len(scaled), len(others)
    (1, 3)
    """

    def __init__(
        self,
        params: Params,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0,
        trust_coefficient: float | None = 1e-3,
        eps: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "weight_decay": weight_decay,
                "trust_coefficient": trust_coefficient,
                "eps": eps,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def check_options(self, group: Group) -> None:
        names = ["lr", "momentum", "weight_decay", "eps"]
        check_numbers("LARS", group, *names, *([] if group["trust_coefficient"] is None else ["trust_coefficient"]))
        check_momentum("LARS", group)

    def update(self, parameter: Array, gradient: Array, state: State, group: Group) -> None:
        rate = float(group["lr"]) * _trust(parameter, gradient, group)
        gradient = descent_gradient(parameter, gradient, group)
        scaled = borrow("optimizer gradient", parameter.shape, parameter.dtype)
        np.multiply(gradient, rate, out=scaled)
        parameter -= momentum_direction(parameter, scaled, state, group)


def _trust(parameter: Array, gradient: Array, group: Group) -> float:
    """How much larger or smaller the step of this tensor is than plain SGD's."""
    if group["trust_coefficient"] is None:
        return 1.0
    weight_norm, gradient_norm = math.sqrt(np.vdot(parameter, parameter)), math.sqrt(np.vdot(gradient, gradient))
    if weight_norm == 0 or gradient_norm == 0:
        return 1.0
    divisor = gradient_norm + float(group["weight_decay"]) * weight_norm + float(group["eps"])
    return float(group["trust_coefficient"]) * weight_norm / divisor
