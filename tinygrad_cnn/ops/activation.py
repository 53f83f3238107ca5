"""Nonlinearities, each with its own backward."""

from typing import Any

import numpy as np

from .. import kernels
from ..autograd.function import Array, Function
from ..autograd.ownership import reuses_gradient
from ..errors import ArgumentError
from ..tensor import Tensor, TensorLike
from ._arguments import accepts_numpy_names, as_float, as_tensor, one_dim


class ReLU(Function):
    """Rectified linear unit, y = max(x, 0).

    Gradient
        gx = gy where y > 0, else 0; so 0 at the kink x = 0
    Saves
        y
    """

    def forward(self, x: Array) -> Array:
        y = kernels.relu(x)
        self.save_output(y)
        return y

    def backward(self, gy: Tensor) -> Any:
        (y,) = self.saved
        return gy.masked_fill(y <= 0, 0.0)

    @reuses_gradient
    def backward_kernel(self, gy: Array, out: Array | None = None) -> Any:
        (y,) = self.saved_arrays
        return kernels.relu_backward(gy, y, out)


class LeakyReLU(Function):
    """Rectifier with a slope below zero, y = x for x > 0, else negative_slope * x.

    Gradient
        gx = gy where x > 0, else negative_slope * gy (also at x = 0)
    Saves
        the slope at each element
    """

    negative_slope: float

    def forward(self, x: Array) -> Array:
        slope = np.where(x > 0, 1, self.negative_slope).astype(x.dtype)
        self.save_for_backward(slope)
        return x * slope

    def backward(self, gy: Tensor) -> Any:
        (slope,) = self.saved
        return gy * slope


class Sigmoid(Function):
    r"""Logistic function, y = 1 / (1 + exp(-x)); no overflow at large \|x\|.

    Gradient
        gx = gy * y * (1 - y)
    Saves
        y
    """

    def forward(self, x: Array) -> Array:
        y = kernels.sigmoid(x)
        self.save_output(y)
        return y

    def backward(self, gy: Tensor) -> Any:
        (y,) = self.saved
        return gy * y * (1 - y)

    def backward_kernel(self, gy: Array) -> Any:
        (y,) = self.saved_arrays
        return kernels.sigmoid_backward(gy, y)


class Tanh(Function):
    """Hyperbolic tangent.

    Gradient
        gx = gy * (1 - y * y)
    Saves
        y
    """

    def forward(self, x: Array) -> Array:
        y = np.tanh(x)
        self.save_output(y)
        return y

    def backward(self, gy: Tensor) -> Any:
        (y,) = self.saved
        return gy * (1 - y * y)

    def backward_kernel(self, gy: Array) -> Any:
        (y,) = self.saved_arrays
        return kernels.tanh_backward(gy, y)


class Softmax(Function):
    """Exponentials that sum to 1 along a dimension, y_i = e^(x_i) / sum of e^(x_j).

    Gradient
        gx = y * (gy - sum of gy * y)
    Saves
        y
    """

    dim: int

    def forward(self, x: Array) -> Array:
        y = np.exp(kernels.log_softmax(x, self.dim))
        self.save_output(y)
        return y

    def backward(self, gy: Tensor) -> Any:
        (y,) = self.saved
        return y * (gy - (gy * y).sum(self.dim, keepdim=True))


class LogSoftmax(Function):
    """Logarithm of the softmax, y_i = x_i - log of the sum of e^(x_j), computed without overflow.

    Gradient
        gx = gy - e^y * sum of gy
    Saves
        y
    """

    dim: int

    def forward(self, x: Array) -> Array:
        y = kernels.log_softmax(x, self.dim)
        self.save_output(y)
        return y

    def backward(self, gy: Tensor) -> Any:
        (y,) = self.saved
        return gy - y.exp() * gy.sum(self.dim, keepdim=True)

    def backward_kernel(self, gy: Array) -> Any:
        (y,) = self.saved_arrays
        return kernels.log_softmax_backward(gy, y, self.dim)


# The functions that users call ----------------------------------------------------------------------------------------


def relu(input: TensorLike, inplace: bool = False) -> Tensor:
    """max(input, 0); the gradient at 0 is 0.

    Parameters
    ----------
    input : Tensor
    inplace : bool
        Write the result into `input`.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.relu(tg.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])
    """
    x = as_tensor(input)
    return x.relu_() if inplace else ReLU.apply(x)


def leaky_relu(input: TensorLike, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`input` where positive, ``negative_slope * input`` elsewhere; the slope at 0 is `negative_slope`.

    Parameters
    ----------
    input : Tensor
    negative_slope : float
    inplace : bool
        Write the result into `input`.

    References
    ----------
    Maas, Hannun, Ng 2013, "Rectifier nonlinearities improve neural network acoustic models".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.leaky_relu(tg.tensor([-1.0, 0.0, 2.0]), 0.1)
    tensor([-0.1,  0. ,  2. ])
    """
    from .inplace import maybe_in_place  # here, because that module imports this one

    return maybe_in_place(input, inplace, "leaky_relu_", lambda x: LeakyReLU.apply(x, negative_slope=negative_slope))


def sigmoid(input: TensorLike) -> Tensor:
    """1 / (1 + exp(-input)).

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.sigmoid(tg.tensor([-1e4, 0.0, 1e4]))
    tensor([0. , 0.5, 1. ])
    """
    return Sigmoid.apply(as_float(input))


def tanh(input: TensorLike) -> Tensor:
    """Hyperbolic tangent."""
    return Tanh.apply(as_float(input))


def _axis(name: str, x: Tensor, dim: int | None) -> int:
    if dim is None:
        raise ArgumentError(f"{name}: say which dimension sums to 1, for example dim=-1 for (batch, classes)")
    return one_dim(name, dim, x.ndim)


@accepts_numpy_names
def softmax(input: TensorLike, dim: int | None = None, dtype: Any = None) -> Tensor:
    """Exponentials along a dimension, scaled to sum to 1.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.softmax(tg.tensor([0.0, 0.0, 1e4]), dim=0)
    tensor([0., 0., 1.])
    """
    x = as_float(input) if dtype is None else as_tensor(input).to(dtype)
    return Softmax.apply(x, dim=_axis("softmax", x, dim))


@accepts_numpy_names
def log_softmax(input: TensorLike, dim: int | None = None, dtype: Any = None) -> Tensor:
    """Logarithm of `softmax`, without overflow; in nats."""
    x = as_float(input) if dtype is None else as_tensor(input).to(dtype)
    return LogSoftmax.apply(x, dim=_axis("log_softmax", x, dim))
