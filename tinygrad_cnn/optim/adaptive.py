"""A step size for each element: Adagrad, RMSprop, Adadelta, and Rprop, which knows only signs."""

import numpy as np

from ..errors import ArgumentError
from ..kernels.scratch import borrow
from ..tensor import Array
from .optimizer import Group, Optimizer, Params, State, check_number
from .rules import average_in, average_in_square, check_numbers, count_step, descent_gradient, kept, scratch_like


class Adagrad(Optimizer):
    r"""Each element's step is divided by the root of the sum of all its squared gradients so far.

    With gradient g and parameter w, in step t = 1, 2, ...:

        s <- s + g^2
        w <- w - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups of them with options of their own.
    lr : float
        The learning rate, which is the size of the first step.
    lr_decay : float
        How fast the rate falls, beside the growth of s.
    weight_decay : float
        Of an L2 penalty.
    initial_accumulator_value : float
        What s begins with.
    eps : float
        Keeps the divisor away from 0.
    maximize : bool
        Climb instead: use -g for g.

    References
    ----------
    Duchi, Hazan, Singer 2011, "Adaptive subgradient methods for online learning and stochastic optimization".
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "maximize": maximize,
            },
        )

    def check_options(self, group: Group) -> None:
        check_numbers("Adagrad", group, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def update(self, parameter: Array, gradient: Array, state: State, group: Group) -> None:
        step = count_step(state)
        gradient = descent_gradient(parameter, gradient, group)
        total = kept(state, "sum", parameter, float(group["initial_accumulator_value"]))
        change = np.square(gradient, out=scratch_like(parameter))
        total += change
        np.sqrt(total, out=change)
        change += float(group["eps"])
        np.divide(gradient, change, out=change)
        change *= float(group["lr"]) / (1 + (step - 1) * float(group["lr_decay"]))
        parameter -= change


class RMSprop(Optimizer):
    r"""Each element's step is divided by the root of the mean square of its gradients of late.

    With gradient g and parameter w:

        v <- alpha v + (1 - alpha) g^2
        w <- w - lr g / (sqrt(v) + eps)

    With centered, the square of the mean gradient is taken off v: the divisor is a standard deviation. With momentum,
    b <- momentum b + g / (sqrt(v) + eps) and w <- w - lr b.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups of them with options of their own.
    lr : float
        The learning rate.
    alpha : float
        How much of v stays from step to step.
    eps : float
        Keeps the divisor away from 0.
    weight_decay : float
        Of an L2 penalty.
    momentum : float
        How much of b stays from step to step.
    centered : bool
        Divide by the standard deviation.
    maximize : bool
        Climb instead: use -g for g.

    References
    ----------
    Tieleman, Hinton 2012, "Neural networks for machine learning", lecture 6.5.
    Graves 2013, "Generating sequences with recurrent neural networks", equations 38 to 41 (centered, with momentum).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def check_options(self, group: Group) -> None:
        check_numbers("RMSprop", group, "lr", "alpha", "eps", "weight_decay", "momentum")

    def update(self, parameter: Array, gradient: Array, state: State, group: Group) -> None:
        alpha, momentum = float(group["alpha"]), float(group["momentum"])
        gradient = descent_gradient(parameter, gradient, group)
        mean_square = kept(state, "square_avg", parameter)
        average_in_square(mean_square, gradient, alpha)
        if group["centered"]:
            mean = kept(state, "grad_avg", parameter)
            average_in(mean, gradient, alpha)
            change = np.square(mean, out=scratch_like(parameter))
            np.subtract(mean_square, change, out=change)
            # Rounding can leave a variance of 0 below it.
            np.maximum(change, 0, out=change)
            np.sqrt(change, out=change)
        else:
            change = np.sqrt(mean_square, out=scratch_like(parameter))
        change += float(group["eps"])
        np.divide(gradient, change, out=change)
        if momentum != 0:
            velocity = kept(state, "momentum_buffer", parameter)
            velocity *= momentum
            velocity += change
            np.multiply(velocity, float(group["lr"]), out=change)
        else:
            change *= float(group["lr"])
        parameter -= change


class Adadelta(Optimizer):
    r"""Steps in the unit of the parameter: the root mean square of late steps over that of late gradients.

    With gradient g and parameter w:

        v <- rho v + (1 - rho) g^2
        d <- sqrt(u + eps) / sqrt(v + eps) g
        u <- rho u + (1 - rho) d^2
        w <- w - lr d

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups of them with options of their own.
    lr : float
        The learning rate; the paper has none, that is 1.
    rho : float
        How much of u and v stays from step to step.
    eps : float
        Keeps the divisor away from 0, and the first steps too.
    weight_decay : float
        Of an L2 penalty.
    maximize : bool
        Climb instead: use -g for g.

    References
    ----------
    Zeiler 2012, "ADADELTA: an adaptive learning rate method", algorithm 1.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        )

    def check_options(self, group: Group) -> None:
        check_numbers("Adadelta", group, "lr", "eps", "weight_decay")
        rho = group["rho"]
        check_number("Adadelta", "rho", rho)
        if rho > 1:
            raise ArgumentError(f"Adadelta: rho must lie between 0 and 1, got {rho!r}")

    def update(self, parameter: Array, gradient: Array, state: State, group: Group) -> None:
        rho, eps = float(group["rho"]), float(group["eps"])
        gradient = descent_gradient(parameter, gradient, group)
        of_gradients, of_steps = kept(state, "square_avg", parameter), kept(state, "acc_delta", parameter)
        average_in_square(of_gradients, gradient, rho)
        divisor = np.add(of_gradients, eps, out=scratch_like(parameter))
        change = borrow("optimizer change", parameter.shape, parameter.dtype)
        np.add(of_steps, eps, out=change)
        change /= divisor
        np.sqrt(change, out=change)
        change *= gradient
        average_in_square(of_steps, change, rho)
        change *= float(group["lr"])
        parameter -= change


class Rprop(Optimizer):
    r"""Resilient propagation: only the sign of the gradient counts; the step of each element grows while it stays.

    The step size of an element begins with lr. It is multiplied by the larger of `etas` when the gradient has the sign of the
    step before, and by the smaller when it has the other one; then the element rests for one step. For whole batches: the
    sign of a small batch's gradient changes by chance.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups of them with options of their own.
    lr : float
        The size of the first step of each element.
    etas : (float, float)
        Below and above 1: what a step size is multiplied by.
    step_sizes : (float, float)
        The least and the largest step size.
    maximize : bool
        Climb instead: use -g for g.

    References
    ----------
    Riedmiller, Braun 1993, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm".
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def check_options(self, group: Group) -> None:
        check_numbers("Rprop", group, "lr")
        for name in ("etas", "step_sizes"):
            if not isinstance(group[name], (tuple, list)) or len(group[name]) != 2:
                raise ArgumentError(f"Rprop: {name} must be a pair of numbers, got {group[name]!r}")
        if not 0 < group["etas"][0] < 1 < group["etas"][1]:
            raise ArgumentError(f"Rprop: etas must lie below and above 1, 0 < etas[0] < 1 < etas[1], got {group['etas']!r}")

    def update(self, parameter: Array, gradient: Array, state: State, group: Group) -> None:
        shrink, grow = (float(eta) for eta in group["etas"])
        former, sizes = kept(state, "prev", parameter), kept(state, "step_size", parameter, float(group["lr"]))
        if group["maximize"]:
            gradient = np.negative(gradient, out=borrow("optimizer gradient", parameter.shape, parameter.dtype))
        agreement = np.multiply(gradient, former, out=scratch_like(parameter))
        turned = agreement < 0
        np.multiply(sizes, grow, out=sizes, where=agreement > 0)
        np.multiply(sizes, shrink, out=sizes, where=turned)
        np.clip(sizes, *(float(size) for size in group["step_sizes"]), out=sizes)
        former[...] = gradient
        former[turned] = 0
        change = np.sign(former, out=agreement)
        change *= sizes
        parameter -= change
