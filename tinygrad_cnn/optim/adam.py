"""Adam, and AdamW, which decays the weights apart from the gradient."""

import math
from typing import Any

import numpy as np

from ..tensor import Array
from . import fused
from .optimizer import Group, Optimizer, Params, State
from .rules import average_in, average_in_square, check_betas, check_numbers, count_step, descent_gradient, kept, scratch_like


class Adam(Optimizer):
    r"""Adaptive moments: each element's step is scaled by the size that its gradient has had lately.

    With gradient g, parameter w, and in step t = 1, 2, ... (m and v are 0 before the first):

        g <- g + weight_decay w
        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        w <- w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    The divisors undo the pull of the zeros that m and v begin with. With amsgrad the largest v so far is used.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups of them with options of their own.
    lr : float
        The learning rate, which is about the size of each element's step.
    betas : (float, float)
        How much of m and of v stays from step to step.
    eps : float
        Keeps the divisor away from 0.
    weight_decay : float
        Of an L2 penalty, which enters m and v like the gradient; for a decay that does not, see `AdamW`.
    amsgrad : bool
        Never let v shrink, so that steps never grow.
    maximize : bool
        Climb instead: use -g for g.
    decoupled_weight_decay : bool
        Decay as `AdamW` does.

    References
    ----------
    Kingma, Ba 2014, "Adam: a method for stochastic optimization", algorithm 1.
    Reddi, Kale, Kumar 2018, "On the convergence of Adam and beyond".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import optim
    >>> w = tg.tensor([1.0, -100.0], requires_grad=True)
    >>> optimizer = optim.Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([  0.9, -99.9])
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def check_options(self, group: Group) -> None:
        check_numbers(type(self).__name__, group, "lr", "eps", "weight_decay")
        check_betas(type(self).__name__, group["betas"])

    def update(self, parameter: Array, gradient: Array, state: State, group: Group) -> None:
        beta1, beta2 = (float(beta) for beta in group["betas"])
        step = count_step(state)
        compiled = fused.steps(parameter, gradient, state)
        if compiled is not None:
            _compiled_update(compiled, parameter, gradient, state, group, step)
            return
        gradient = descent_gradient(parameter, gradient, group)
        first, second = kept(state, "exp_avg", parameter), kept(state, "exp_avg_sq", parameter)
        average_in(first, gradient, beta1)
        average_in_square(second, gradient, beta2)
        if group["amsgrad"]:
            largest = kept(state, "max_exp_avg_sq", parameter)
            second = np.maximum(largest, second, out=largest)
        change = np.sqrt(second, out=scratch_like(parameter))
        change /= math.sqrt(1 - beta2**step)
        change += float(group["eps"])
        np.divide(first, change, out=change)
        change *= float(group["lr"]) / (1 - beta1**step)
        parameter -= change


def _compiled_update(compiled: Any, parameter: Array, gradient: Array, state: State, group: Group, step: int) -> None:
    beta1, beta2 = (float(beta) for beta in group["betas"])
    lr, weight_decay, is_apart = float(group["lr"]), float(group["weight_decay"]), group["decoupled_weight_decay"]
    compiled.adam_step(
        parameter,
        gradient,
        kept(state, "exp_avg", parameter),
        kept(state, "exp_avg_sq", parameter),
        kept(state, "max_exp_avg_sq", parameter) if group["amsgrad"] else None,
        rate=lr / (1 - beta1**step),
        beta1=beta1,
        beta2=beta2,
        correction=math.sqrt(1 - beta2**step),
        eps=float(group["eps"]),
        weight_decay=0.0 if is_apart else weight_decay,
        keep=1 - lr * weight_decay if is_apart else 1.0,
        maximize=bool(group["maximize"]),
    )


class AdamW(Adam):
    """Adam with a weight decay of its own: w <- (1 - lr weight_decay) w before each step of `Adam` without decay.

    An L2 penalty is divided by sqrt(v) like everything in the gradient, so that weights with large gradients hardly decay.
    Here all decay alike.

    Parameters
    ----------
    params, lr, betas, eps, amsgrad, maximize
        As for `Adam`.
    weight_decay : float
        Times lr, the fraction by which each weight shrinks in a step.

    References
    ----------
    Loshchilov, Hutter 2017, "Decoupled weight decay regularization", algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True
        )
