"""Averaged stochastic gradient descent."""

import numpy as np

from ..tensor import Array
from .optimizer import Group, Optimizer, Params, State
from .rules import average_in, check_numbers, count_step, descent_gradient, kept, scratch_like


class ASGD(Optimizer):
    r"""Stochastic gradient descent that keeps the average of the parameters beside them.

    In step t, with gradient g, parameter w, and eta_1 = lr:

        w <- (1 - lambd eta_t) w - eta_t g
        ax <- ax + mu_t (w - ax)
        eta_{t+1} <- lr / (1 + lambd lr t)^alpha,    mu_{t+1} <- 1 / max(1, t - t0)

    So ax is w itself up to step t0 + 2, and then the plain mean of all w from that step on. It is kept as
    ``optimizer.state[parameter]["ax"]``; to evaluate a model with averaged weights, `AveragedModel` is easier.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups of them with options of their own.
    lr : float
        The learning rate.
    lambd : float
        How fast the weights, and with them the rate, decay.
    alpha : float
        The power of the rate's decay.
    t0 : float
        When averaging starts, in steps.
    weight_decay : float
        Of an L2 penalty.
    maximize : bool
        Climb instead: use -g for g.

    References
    ----------
    Polyak, Juditsky 1992, "Acceleration of stochastic approximation by averaging".
    Bottou 2010, "Large-scale machine learning with stochastic gradient descent", section 3.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "maximize": maximize},
        )

    def check_options(self, group: Group) -> None:
        check_numbers("ASGD", group, "lr", "lambd", "alpha", "t0", "weight_decay")

    def update(self, parameter: Array, gradient: Array, state: State, group: Group) -> None:
        lr, lambd = float(group["lr"]), float(group["lambd"])
        step = count_step(state)
        eta, mu = float(state.get("eta", lr)), float(state.get("mu", 1.0))
        gradient = descent_gradient(parameter, gradient, group)
        parameter *= 1 - lambd * eta
        parameter -= np.multiply(gradient, eta, out=scratch_like(parameter))
        average_in(kept(state, "ax", parameter), parameter, 1 - mu)
        state["eta"] = lr / (1 + lambd * lr * step) ** float(group["alpha"])
        state["mu"] = 1 / max(1.0, step - float(group["t0"]))
