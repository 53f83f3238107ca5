"""Dropout as a layer."""

from ..errors import ArgumentError
from ..tensor import Tensor
from . import functional as F
from .module import Module


class Dropout(Module):
    """In training, set each value to 0 with probability p and divide the others by 1 - p; in evaluation, nothing.

    The expected output equals the input, so evaluation needs no scaling.

    Parameters
    ----------
    p : float
        The probability that a value is dropped.
    inplace : bool
        Write the result over the input.

    References
    ----------
    Hinton et al. 2012, "Improving neural networks by preventing co-adaptation of feature detectors".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.Dropout(0.5).eval()(tg.ones(3))
    tensor([1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ArgumentError(f"Dropout: p is a probability between 0 and 1, got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
