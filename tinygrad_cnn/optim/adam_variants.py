"""Relatives of Adam: NAdam (Nesterov's look ahead), RAdam (careful first steps), Adamax (the largest gradient)."""

import math

import numpy as np

from ..kernels.scratch import borrow
from ..tensor import Array
from .optimizer import Group, Optimizer, Params, State
from .rules import average_in, average_in_square, check_betas, check_numbers, count_step, descent_gradient, kept, scratch_like


class NAdam(Optimizer):
    r"""Adam with Nesterov's momentum: the gradient of this step counts at once, as the next step's average will count it.

    With m and v as in `Adam`, beta1 replaced by the schedule mu_t, and P_t the product of mu_1 to mu_t:

        mu_t <- beta1 (1 - 0.96^(t momentum_decay) / 2)
        n <- mu_{t+1} m / (1 - P_{t+1}) + (1 - mu_t) g / (1 - P_t)
        w <- w - lr n / (sqrt(v / (1 - beta2^t)) + eps)

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups of them with options of their own.
    lr : float
        The learning rate.
    betas : (float, float)
        How much of m and of v stays from step to step.
    eps : float
        Keeps the divisor away from 0.
    weight_decay : float
        Of an L2 penalty.
    momentum_decay : float
        How fast mu rises from about beta1 / 2 to beta1.
    decoupled_weight_decay : bool
        Decay the weights themselves, as `AdamW`.
    maximize : bool
        Climb instead: use -g for g.

    References
    ----------
    Dozat 2016, "Incorporating Nesterov momentum into Adam", algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
            },
        )

    def check_options(self, group: Group) -> None:
        check_numbers("NAdam", group, "lr", "eps", "weight_decay", "momentum_decay")
        check_betas("NAdam", group["betas"])

    def update(self, parameter: Array, gradient: Array, state: State, group: Group) -> None:
        beta1, beta2 = (float(beta) for beta in group["betas"])
        step = count_step(state)
        present, coming = (beta1 * (1 - 0.96 ** (t * float(group["momentum_decay"])) / 2) for t in (step, step + 1))
        product = state["mu_product"] = float(state.get("mu_product", 1.0)) * present
        gradient = descent_gradient(parameter, gradient, group)
        first, second = kept(state, "exp_avg", parameter), kept(state, "exp_avg_sq", parameter)
        average_in(first, gradient, beta1)
        average_in_square(second, gradient, beta2)
        divisor = np.sqrt(second, out=scratch_like(parameter))
        divisor /= math.sqrt(1 - beta2**step)
        divisor += float(group["eps"])
        # The sum of the two terms, with the factor of the gradient's taken out; it is never 0, as mu < 1.
        of_gradient, of_average = (1 - present) / (1 - product), coming / (1 - product * coming)
        change = borrow("optimizer change", parameter.shape, parameter.dtype)
        np.multiply(first, of_average / of_gradient, out=change)
        change += gradient
        change /= divisor
        change *= float(group["lr"]) * of_gradient
        parameter -= change


class RAdam(Optimizer):
    r"""Adam that does not divide by sqrt(v) before enough gradients were seen to know v.

    With m and v as in `Adam`, and the length of v's average,

        rho_inf = 2 / (1 - beta2) - 1,    rho_t = rho_inf - 2 t beta2^t / (1 - beta2^t),

    the step is that of Adam times r_t once rho_t > 5, and plain momentum, w <- w - lr m / (1 - beta1^t), before:

        r_t = sqrt((rho_t - 4) (rho_t - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho_t))

    Here eps is added to sqrt(v) before the bias of v is corrected, as in PyTorch; not after, as in `Adam`.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups of them with options of their own.
    lr : float
        The learning rate.
    betas : (float, float)
        How much of m and of v stays from step to step.
    eps : float
        Keeps the divisor away from 0.
    weight_decay : float
        Of an L2 penalty.
    decoupled_weight_decay : bool
        Decay the weights themselves, as `AdamW`.
    maximize : bool
        Climb instead: use -g for g.

    References
    ----------
    Liu, Jiang, He, Chen, Liu, Gao, Han 2019, "On the variance of the adaptive learning rate and beyond", algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
            },
        )

    def check_options(self, group: Group) -> None:
        check_numbers("RAdam", group, "lr", "eps", "weight_decay")
        check_betas("RAdam", group["betas"])

    def update(self, parameter: Array, gradient: Array, state: State, group: Group) -> None:
        beta1, beta2 = (float(beta) for beta in group["betas"])
        step = count_step(state)
        gradient = descent_gradient(parameter, gradient, group)
        first, second = kept(state, "exp_avg", parameter), kept(state, "exp_avg_sq", parameter)
        average_in(first, gradient, beta1)
        average_in_square(second, gradient, beta2)
        rate = float(group["lr"]) / (1 - beta1**step)
        rectification = _rectification(beta2, step)
        change = scratch_like(parameter)
        if rectification is None:
            np.multiply(first, rate, out=change)
        else:
            np.sqrt(second, out=change)
            change += float(group["eps"])
            np.divide(first, change, out=change)
            change *= rate * math.sqrt(1 - beta2**step) * rectification
        parameter -= change


def _rectification(beta2: float, step: int) -> float | None:
    """The factor r_t of `RAdam`; None while v is not to be trusted."""
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * step * beta2**step / (1 - beta2**step)
    if length <= 5:
        return None
    return math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))


class Adamax(Optimizer):
    r"""Adam with the largest gradient of late, instead of the root of the mean square.

    With m as in `Adam`:

        u <- max(beta2 u, |g| + eps)
        w <- w - lr (m / (1 - beta1^t)) / u

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups of them with options of their own.
    lr : float
        The learning rate, which no element's step exceeds by much.
    betas : (float, float)
        How much of m and of u stays from step to step.
    eps : float
        Keeps the divisor away from 0.
    weight_decay : float
        Of an L2 penalty.
    maximize : bool
        Climb instead: use -g for g.

    References
    ----------
    Kingma, Ba 2014, "Adam: a method for stochastic optimization", algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        )

    def check_options(self, group: Group) -> None:
        check_numbers("Adamax", group, "lr", "eps", "weight_decay")
        check_betas("Adamax", group["betas"])

    def update(self, parameter: Array, gradient: Array, state: State, group: Group) -> None:
        beta1, beta2 = (float(beta) for beta in group["betas"])
        step = count_step(state)
        gradient = descent_gradient(parameter, gradient, group)
        first, largest = kept(state, "exp_avg", parameter), kept(state, "exp_inf", parameter)
        average_in(first, gradient, beta1)
        change = np.abs(gradient, out=scratch_like(parameter))
        change += float(group["eps"])
        largest *= beta2
        np.maximum(largest, change, out=largest)
        np.divide(first, largest, out=change)
        change *= float(group["lr"]) / (1 - beta1**step)
        parameter -= change
