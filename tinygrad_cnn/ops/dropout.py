"""Dropout: units switched off at random while training."""

from typing import Any

import numpy as np

from ..autograd.function import Array, Function
from ..errors import ArgumentError
from ..random import default_generator
from ..tensor import Tensor, TensorLike
from ._arguments import as_float


class Dropout(Function):
    """Each value set to 0 with probability p, the others divided by 1 - p, y = x * mask.

    Gradient
        gx = gy * mask
    Saves
        mask: 0 or 1 / (1 - p)
    """

    p: float

    def forward(self, x: Array) -> Array:
        draws = default_generator().random(x.shape, dtype=np.float32)
        mask = (draws >= self.p).astype(x.dtype)
        if self.p < 1:
            mask *= x.dtype.type(1 / (1 - self.p))
        self.save_for_backward(mask)
        return x * mask

    def backward(self, gy: Tensor) -> Any:
        (mask,) = self.saved
        return gy * mask


def dropout(input: TensorLike, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Switch units off at random (inverted dropout: the others are scaled up, so that test time needs nothing).

    Parameters
    ----------
    input : Tensor
    p : float
        The probability that a unit is switched off.
    training : bool
        Outside training the input is returned as it is.
    inplace : bool
        Write the result into `input`.

    References
    ----------
    Hinton et al. 2012, "Improving neural networks by preventing co-adaptation of feature detectors", which scales down
    at test time instead.
    """
    if not 0 <= p <= 1:
        raise ArgumentError(f"dropout: p is a probability between 0 and 1, got {p}")
    x = as_float(input)
    if not training or p == 0:
        return x
    y = Dropout.apply(x, p=p)
    return x.copy_(y) if inplace else y
