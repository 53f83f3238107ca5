"""Stochastic gradient descent."""

from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..kernels.scratch import borrow
from ..tensor import Array
from . import fused
from .optimizer import Group, Optimizer, Params, State
from .rules import check_numbers, descent_gradient, kept, scratch_like


class SGD(Optimizer):
    r"""Stochastic gradient descent, with momentum.

    With gradient g, parameter w and velocity v (at first g itself):

        g <- g + weight_decay w
        v <- momentum v + (1 - dampening) g
        w <- w - lr v                       (with nesterov: w - lr (g + momentum v); without momentum: w - lr g)

    The learning rate multiplies the velocity, so a change of it acts at once. In AlexNet's paper, Sutskever et al. and
    Caffe it is inside, which `lr_in_velocity` gives:

        v <- momentum v + (1 - dampening) lr g
        w <- w - v                          (with nesterov: w - (lr g + momentum v))

    (The papers write -v for v.) There a change of lr acts on later gradients only, and the velocity keeps the larger steps
    of before for some 1 / (1 - momentum) steps; while lr stays the same, the two are the same.

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
    maximize : bool
        Climb instead: use -g for g.
    lr_in_velocity : bool
        Not in PyTorch: the form of Caffe and of AlexNet's paper, see above.

    References
    ----------
    Polyak 1964, "Some methods of speeding up the convergence of iteration methods".
    Krizhevsky, Sutskever, Hinton 2012, section 5 (with lr in the velocity).
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
        *,
        maximize: bool = False,
        lr_in_velocity: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "lr_in_velocity": lr_in_velocity,
            },
        )

    def check_options(self, group: Group) -> None:
        check_numbers("SGD", group, "lr", "momentum", "dampening", "weight_decay")
        check_momentum("SGD", group)

    def update(self, parameter: Array, gradient: Array, state: State, group: Group) -> None:
        compiled = fused.steps(parameter, gradient, state)
        if compiled is not None and not group["lr_in_velocity"]:
            _compiled_update(compiled, parameter, gradient, state, group)
            return
        gradient = descent_gradient(parameter, gradient, group)
        if group["lr_in_velocity"]:
            scaled = borrow("optimizer gradient", parameter.shape, parameter.dtype)
            np.multiply(gradient, float(group["lr"]), out=scaled)
            parameter -= momentum_direction(parameter, scaled, state, group)
        else:
            direction = momentum_direction(parameter, gradient, state, group)
            parameter -= np.multiply(direction, float(group["lr"]), out=scratch_like(parameter))


def _compiled_update(compiled: Any, parameter: Array, gradient: Array, state: State, group: Group) -> None:
    momentum, is_first = float(group["momentum"]), "momentum_buffer" not in state
    compiled.sgd_step(
        parameter,
        gradient,
        kept(state, "momentum_buffer", parameter) if momentum else None,
        lr=float(group["lr"]),
        momentum=momentum,
        undamped=1.0 if is_first else 1 - float(group["dampening"]),
        weight_decay=float(group["weight_decay"]),
        nesterov=bool(group["nesterov"]),
        maximize=bool(group["maximize"]),
    )


def momentum_direction(parameter: Array, gradient: Array, state: State, group: Group) -> Array:
    """Take a gradient into the velocity, and give the direction in which the parameter goes down."""
    momentum, dampening = float(group["momentum"]), float(group.get("dampening", 0))
    if momentum == 0:
        return gradient
    is_first = "momentum_buffer" not in state
    velocity = kept(state, "momentum_buffer", parameter)
    if is_first:
        velocity += gradient
    else:
        velocity *= momentum
        velocity += gradient if dampening == 0 else np.multiply(gradient, 1 - dampening, out=scratch_like(parameter))
    if not group["nesterov"]:
        return velocity
    ahead = np.multiply(velocity, momentum, out=scratch_like(parameter))
    ahead += gradient
    return ahead


def check_momentum(optimizer: str, group: Group) -> None:
    """Refuse a Nesterov step without a velocity to look ahead by."""
    dampening = group.get("dampening", 0)
    if group["nesterov"] and (group["momentum"] == 0 or dampening != 0):
        raise ArgumentError(
            f"{optimizer}: nesterov=True needs a momentum and no dampening, got momentum={group['momentum']} and "
            f"dampening={dampening}"
        )
