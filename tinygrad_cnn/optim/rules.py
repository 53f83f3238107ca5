"""What the update rules have in common, on arrays and in place.

A network's parameters are many and often small, and a step runs over all of them: these pieces write into the arrays that
the optimizer keeps, or into borrowed ones, and make none of their own.
"""

from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..kernels.scratch import borrow
from ..tensor import Array, Tensor
from .optimizer import Group, State, check_number


def scratch_like(parameter: Array) -> Array:
    """Memory for an intermediate result, until the next call: the pieces below that need some overwrite it as well."""
    return borrow("optimizer product", parameter.shape, parameter.dtype)


def descent_gradient(parameter: Array, gradient: Array, group: Group) -> Array:
    """The gradient of what is minimized: the loss (minus it, with maximize) and the penalty weight_decay / 2 |w|^2.

    With the option decoupled_weight_decay the decay acts at once, w <- (1 - lr weight_decay) w, and is no part of the
    gradient.

    Returns
    -------
    ndarray
        `gradient` itself if there is nothing to do, else borrowed memory.
    """
    weight_decay, maximize = float(group["weight_decay"]), group["maximize"]
    if weight_decay != 0 and group.get("decoupled_weight_decay", False):
        parameter *= 1 - float(group["lr"]) * weight_decay
        weight_decay = 0.0
    if weight_decay == 0 and not maximize:
        return gradient
    total = borrow("optimizer gradient", parameter.shape, parameter.dtype)
    if weight_decay == 0:
        return np.negative(gradient, out=total)
    np.multiply(parameter, weight_decay, out=total)
    return np.subtract(total, gradient, out=total) if maximize else np.add(total, gradient, out=total)


def kept(state: State, name: str, parameter: Array, start: float = 0.0) -> Array:
    """An array of the parameter's shape that stays from step to step; before the first, all of it is `start`."""
    if name not in state:
        state[name] = Tensor(np.full_like(parameter, start))
    array: Array = state[name].array
    return array


def count_step(state: State) -> int:
    """The number of this step, from 1."""
    step: int = int(state.get("step", 0)) + 1
    state["step"] = step
    return step


def average_in(average: Array, value: Array, beta: float) -> None:
    """Take a value into a moving average, average <- beta average + (1 - beta) value."""
    # The same as average += (1 - beta) (value - average), with one product less.
    difference = np.subtract(value, average, out=scratch_like(average))
    difference *= 1 - beta
    average += difference


def average_in_square(average: Array, value: Array, beta: float) -> None:
    """Take a value's square into a moving average, average <- beta average + (1 - beta) value^2."""
    square = np.square(value, out=scratch_like(average))
    square *= 1 - beta
    average *= beta
    average += square


def check_numbers(optimizer: str, group: Group, *names: str) -> None:
    """Refuse options that are not numbers of at least 0."""
    for name in names:
        check_number(optimizer, name, group[name])


def check_betas(optimizer: str, betas: Any) -> None:
    """Refuse anything but a pair of numbers with 0 <= beta < 1."""
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise ArgumentError(f"{optimizer}: betas must be a pair (beta1, beta2), got {betas!r}")
    for i, beta in enumerate(betas):
        check_number(optimizer, f"betas[{i}]", beta, below=1.0)
