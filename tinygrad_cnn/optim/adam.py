"""Adam, and AdamW, which decays the weights apart from the gradient."""

import math

import numpy as np

from ..errors import ArgumentError
from ..kernels.scratch import borrow
from ..tensor import Array, Tensor
from .optimizer import Group, Optimizer, Params, State, check_number


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

    # Whether the decay acts on the parameter itself (AdamW) rather than through the gradient.
    _decoupled = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        )

    def check_options(self, group: Group) -> None:
        name = type(self).__name__
        for option in ("lr", "eps", "weight_decay"):
            check_number(name, option, group[option])
        if not isinstance(group["betas"], (tuple, list)) or len(group["betas"]) != 2:
            raise ArgumentError(f"{name}: betas must be a pair (beta1, beta2), got {group['betas']!r}")
        for i, beta in enumerate(group["betas"]):
            check_number(name, f"betas[{i}]", beta, below=1.0)

    def update(self, parameter: Array, gradient: Array, state: State, group: Group) -> None:
        lr, weight_decay, eps = float(group["lr"]), float(group["weight_decay"]), float(group["eps"])
        beta1, beta2 = (float(beta) for beta in group["betas"])
        moments = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq")
        for name in moments:
            if name not in state:
                state[name] = Tensor(np.zeros_like(parameter))
        step = state["step"] = int(state.get("step", 0)) + 1
        scratch = borrow("optimizer product", parameter.shape, parameter.dtype)
        if weight_decay != 0 and self._decoupled:
            parameter *= 1 - lr * weight_decay
        elif weight_decay != 0:
            decayed = borrow("optimizer gradient", parameter.shape, parameter.dtype)
            np.multiply(parameter, weight_decay, out=decayed)
            decayed += gradient
            gradient = decayed
        # m += (1 - beta1) (g - m), the same as the formula with one product less
        first, second = state["exp_avg"].array, state["exp_avg_sq"].array
        np.subtract(gradient, first, out=scratch)
        scratch *= 1 - beta1
        first += scratch
        second *= beta2
        np.square(gradient, out=scratch)
        scratch *= 1 - beta2
        second += scratch
        if group["amsgrad"]:
            second = np.maximum(state["max_exp_avg_sq"].array, second, out=state["max_exp_avg_sq"].array)
        np.sqrt(second, out=scratch)
        scratch /= math.sqrt(1 - beta2**step)
        scratch += eps
        np.divide(first, scratch, out=scratch)
        scratch *= lr / (1 - beta1**step)
        parameter -= scratch


class AdamW(Adam):
    """Adam with a weight decay of its own: w <- (1 - lr weight_decay) w before each step of `Adam` without decay.

    An L2 penalty is divided by sqrt(v) like everything in the gradient, so that weights with large gradients hardly decay.
    Here all decay alike.

    Parameters
    ----------
    params, lr, betas, eps, amsgrad
        As for `Adam`.
    weight_decay : float
        Times lr, the fraction by which each weight shrinks in a step.

    References
    ----------
    Loshchilov, Hutter 2017, "Decoupled weight decay regularization", algorithm 2.
    """

    _decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad)
