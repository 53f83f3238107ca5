"""What an op has to do, by its shapes: floating-point operations, and bytes to read and to write.

The rule for floating-point operations (FLOPs):

    convolutions, linear layers, matrix products   two for each multiply-add, in the forward pass and again for each of the two
                                                   gradients that the rule makes; a bias is not counted
    ops that only move elements (`ops.shape`)      none, and none for a view
    every other op                                 one for each element of its largest argument or of its result, whichever has
                                                   more: exact for a sum or a ReLU, a lower bound for what takes several steps

The bytes are those of the arguments and the result of an op; of a rule, those of the gradient that it is given, of what the op
saved for it, and of the gradients that it returns. What shares memory with what was given is not written, and a call that
writes nothing counts nothing. A cache may serve some of them, and an algorithm may need more besides: they are the least that
has to move, and so a yardstick for ops that are bound by memory.
"""

import math
from collections.abc import Sequence

import numpy as np

from ..autograd.function import Array, Function
from ..nn.planning import Shape, mult_adds
from ..ops import shape as moving
from ..ops.linalg import Einsum


def product_flops(node: Function, input_shapes: Sequence[Shape], shape: Shape) -> int:
    """FLOPs of the products of an op, two for each multiply-add; 0 for an op that is no product."""
    return 2 * mult_adds(node, input_shapes, shape)


def gradients_of_products(node: Function, made: Sequence[bool]) -> int:
    """For how many of the gradients that a rule makes the multiply-adds of the forward pass come back.

    Parameters
    ----------
    node : Function
    made : sequence of bool
        For each argument, whether its gradient is made; that of a bias, the third, is a sum.
    """
    return sum(made if isinstance(node, Einsum) else made[:2])


def forward_flops(node: Function, inputs: Sequence[Array], output: Array, moved: int) -> int:
    """FLOPs of an op that has computed; `moved` are its bytes."""
    work = product_flops(node, [x.shape for x in inputs], output.shape)
    return work or _elements(node, (*inputs, output), moved)


def backward_flops(node: Function, gradient: Array, gradients: Sequence[Array | None], moved: int) -> int:
    """FLOPs of a rule that was applied."""
    work = product_flops(node, node.input_shapes, node.shape)
    if work:
        return work * gradients_of_products(node, [made is not None for made in gradients])
    return _elements(node, (gradient, *(made for made in gradients if made is not None)), moved)


def _elements(node: Function, arrays: Sequence[Array], moved: int) -> int:
    if not moved or type(node).__module__ == moving.__name__:
        return 0
    return max(math.prod(array.shape) for array in arrays)


def bytes_moved(read: Sequence[Array], written: Sequence[Array]) -> int:
    """The bytes that are read and written, none if nothing is."""
    made = [array for array in written if not any(np.may_share_memory(array, given) for given in read)]
    return sum(array.nbytes for array in (*read, *made)) if made else 0
