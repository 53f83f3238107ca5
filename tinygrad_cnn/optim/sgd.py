"""Stochastic gradient descent."""

import numpy as np

from ..errors import ArgumentError
from ..kernels.scratch import borrow
from ..tensor import Array, Tensor
from .optimizer import Group, Optimizer, Params, State, check_number


class SGD(Optimizer):
    r"""Stochastic gradient descent, with momentum.

    With gradient g, parameter w and velocity v (at first g itself):

        g <- g + weight_decay w
        v <- momentum v + (1 - dampening) g
        w <- w - lr v                       (with nesterov: w - lr (g + momentum v); without momentum: w - lr g)

    The learning rate multiplies the velocity, so a change of it acts at once. (In Sutskever et al. it is inside the
    velocity: v <- momentum v - lr g; the two are the same while lr stays the same.)

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups of them with options of their own: ``{"params": [...], "lr": 0.1}``.
    lr : float
        The learning rate.
    momentum : float
        How much of the velocity stays from step to step.
    dampening : float
        How much less than whole the gradient enters the velocity.
    weight_decay : float
        Of an L2 penalty of weight_decay / 2 times the sum of w^2 on the loss.
    nesterov : bool
        Look ahead by one step of the velocity; needs a momentum and no dampening.

    References
    ----------
    Polyak 1964, "Some methods of speeding up the convergence of iteration methods".
    Sutskever, Martens, Dahl, Hinton 2013, "On the importance of initialization and momentum in deep learning".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import optim
    >>> w = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = optim.SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.8, 1.6])
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
            },
        )

    def check_options(self, group: Group) -> None:
        for name in ("lr", "momentum", "dampening", "weight_decay"):
            check_number("SGD", name, group[name])
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ArgumentError(
                f"SGD: nesterov=True needs a momentum and no dampening, got momentum={group['momentum']} and "
                f"dampening={group['dampening']}"
            )

    def update(self, parameter: Array, gradient: Array, state: State, group: Group) -> None:
        lr, momentum, dampening = float(group["lr"]), float(group["momentum"]), float(group["dampening"])
        scaled = borrow("optimizer product", parameter.shape, parameter.dtype)
        if group["weight_decay"] != 0:
            decayed = borrow("optimizer gradient", parameter.shape, parameter.dtype)
            np.multiply(parameter, float(group["weight_decay"]), out=decayed)
            decayed += gradient
            gradient = decayed
        direction = gradient
        if momentum != 0:
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = Tensor(gradient.astype(parameter.dtype))
                velocity = state["momentum_buffer"].array
            else:
                velocity = state["momentum_buffer"].array
                velocity *= momentum
                velocity += np.multiply(gradient, 1 - dampening, out=scaled) if dampening != 0 else gradient
            direction = velocity
            if group["nesterov"]:
                np.multiply(velocity, momentum, out=scaled)
                scaled += gradient
                direction = scaled
        parameter -= np.multiply(direction, lr, out=scaled)
