"""How much each output of one op depends on one of its inputs, by the op's own backward rule.

A backward rule computes gx = J' gy: it is linear in gy, and J is the op's Jacobian. Differentiated once more, with respect
to gy, it gives J v for any direction v. So the rule itself tells what the op does to a change of its input, for every op
and without a second formula that could disagree with it; v with a single 1 picks a column of J, the effect of one element.
"""

from typing import Any

import numpy as np

from ..autograd.function import Array, Function
from ..autograd.functional import grad
from ..autograd.mode import STATE, enable_grad
from ..tensor import Tensor


def along(node: Function, argument: int, direction: Array) -> Array:
    """J v: the change of the node's output when an argument changes along a direction.

    Parameters
    ----------
    node : Function
        A node whose saved values were not freed.
    argument : int
        Which of its inputs.
    direction : ndarray, of that input's shape

    Returns
    -------
    ndarray, of the output's shape
    """
    gy = Tensor(np.zeros(node.shape, node.dtype), requires_grad=True)
    gx = _input_gradient(node, argument, gy)
    if gx is None:
        return np.zeros(node.shape, node.dtype)
    if not isinstance(gx, Tensor) or not gx.requires_grad:
        return _row_by_row(node, argument, direction)
    with np.errstate(all="ignore"):
        (product,) = grad(gx, gy, Tensor(direction.astype(gx.dtype)), allow_unused=True)
    return np.zeros(node.shape, node.dtype) if product is None else product.array


def column(node: Function, argument: int, index: tuple[int, ...]) -> Array:
    """dy / dx[index] for every element of the output y."""
    direction = np.zeros(node.input_shapes[argument], node.input_dtypes[argument])
    direction[index] = 1
    return along(node, argument, direction)


def _input_gradient(node: Function, argument: int, gy: Tensor) -> Any:
    """The node's rule, asked for one input only."""
    needed, observer = node.needs_input_grad, STATE.observer
    node.needs_input_grad = tuple(i == argument for i in range(len(node.edges)))
    STATE.observer = None
    try:
        with enable_grad(), np.errstate(all="ignore"):
            returned = node.backward(gy)
    finally:
        node.needs_input_grad, STATE.observer = needed, observer
    return returned[argument] if isinstance(returned, tuple) else returned


def _row_by_row(node: Function, argument: int, direction: Array) -> Array:
    """J v for a rule that is not written in differentiable ops: one row of J for each element of the output."""
    product = np.zeros(node.shape, node.dtype)
    for position in np.ndindex(node.shape):
        gy = np.zeros(node.shape, node.dtype)
        gy[position] = 1
        row = _input_gradient(node, argument, Tensor(gy))
        product[position] = (getattr(row, "array", row) * direction).sum()
    return product
