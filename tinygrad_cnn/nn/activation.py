"""Nonlinearities as layers; they have no parameters."""

from ..errors import ShapeError
from ..tensor import Tensor
from . import functional as F
from .module import Module


class ReLU(Module):
    """Rectified linear unit, y = max(x, 0).

    Parameters
    ----------
    inplace : bool
        Write the result over the input, which nobody else may then need.

    References
    ----------
    Nair, Hinton 2010, "Rectified linear units improve restricted Boltzmann machines".

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> nn.ReLU(inplace=True)
    ReLU(inplace=True)
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.relu(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """Rectifier with a slope below zero, y = x for x > 0, else negative_slope * x.

    Parameters
    ----------
    negative_slope : float
    inplace : bool
        Write the result over the input.
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class Sigmoid(Module):
    """Logistic function, y = 1 / (1 + exp(-x)); its slope is at most 1/4."""

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.sigmoid(input)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.tanh(input)


class _AlongOneDim(Module):
    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_AlongOneDim):
    """Exponentials along a dimension, scaled to sum to 1.

    Parameters
    ----------
    dim : int
        Has to be given by the time that the layer is called: it is 1 for (n, classes).
    """

    def forward(self, input: Tensor) -> Tensor:
        """The same shape."""
        return F.softmax(input, self.dim)


class Softmax2d(Module):
    """The softmax over the channels, for each pixel of ``(n, c, h, w)`` or ``(c, h, w)``."""

    def forward(self, input: Tensor) -> Tensor:
        """The same shape."""
        if input.ndim not in (3, 4):
            raise ShapeError(f"Softmax2d: needs an input (n, c, h, w) or (c, h, w), got shape {input.shape}")
        return F.softmax(input, -3)


class LogSoftmax(_AlongOneDim):
    """Logarithm of the softmax, without overflow; in nats.

    Parameters
    ----------
    dim : int
        Has to be given by the time that the layer is called: it is 1 for (n, classes).
    """

    def forward(self, input: Tensor) -> Tensor:
        """The same shape."""
        return F.log_softmax(input, self.dim)
