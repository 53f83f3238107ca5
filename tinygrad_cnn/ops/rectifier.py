"""Rectifiers: nonlinearities with a kink, and the piecewise linear functions that stand in for smooth ones.

ReLU and LeakyReLU are in `activation`. Each function here is given one rule at its kinks, the same as PyTorch's; the
docstrings say which. A NaN stays NaN in all of them.
"""

from typing import Any

import numpy as np

from ..autograd.function import Array, Function
from ..errors import ArgumentError, ShapeError
from ..random import default_generator
from ..tensor import Tensor, TensorLike
from ._arguments import accepts_numpy_names, as_float, one_dim, operands
from .activation import leaky_relu
from .elementwise import where
from .inplace import maybe_in_place
from .reduce import amax, sum_to

# Klambauer et al. 2017, section 2: with these, activations of mean 0 and variance 1 are a fixed point.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


class PReLU(Function):
    """Rectifier with a learned slope, y = x for x > 0, else weight * x; weight is broadcast to the shape of x.

    Gradient
        gx = gy where x > 0, else weight * gy (also at x = 0); gweight = sum of gy * x over x <= 0
    Saves
        x, weight
    """

    def forward(self, x: Array, weight: Array) -> Array:
        self.save_for_backward(x, weight)
        return np.where(x > 0, x, weight * x)

    def backward(self, gy: Tensor) -> Any:
        x, weight = self.saved
        gx = gy * where(x > 0, 1.0, weight) if self.needs_input_grad[0] else None
        gweight = sum_to(gy * where(x > 0, 0.0, x), self.input_shapes[1]) if self.needs_input_grad[1] else None
        return gx, gweight


class RReLU(Function):
    """Rectifier with a random slope, y = x for x > 0, else slope * x, each slope uniform over [lower, upper).

    Gradient
        gx = gy where x > 0, else slope * gy (also at x = 0)
    Saves
        the slope at each element
    """

    lower: float
    upper: float

    def forward(self, x: Array) -> Array:
        draws = default_generator().uniform(self.lower, self.upper, x.shape)
        slope = np.where(x > 0, 1, draws).astype(x.dtype)
        self.save_for_backward(slope)
        return x * slope

    def backward(self, gy: Tensor) -> Any:
        (slope,) = self.saved
        return gy * slope


class ELU(Function):
    """Exponential linear unit, y = scale * x for x > 0, else scale * alpha * (e^(rate * x) - 1).

    ELU has scale = rate = 1, CELU rate = 1 / alpha, SELU a certain alpha and scale.

    Gradient
        gx = gy * scale where x > 0, else gy * scale * alpha * rate * e^(rate * x) (also at x = 0)
    Saves
        x
    """

    alpha: float
    scale: float
    rate: float

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        with np.errstate(over="ignore"):  # for a negative rate only: otherwise no exponent is positive
            below = self.alpha * np.expm1(self.rate * np.minimum(x, 0))
        return np.where(x > 0, x, below) * x.dtype.type(self.scale)

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        slope_below = self.alpha * self.rate * (self.rate * x.clamp(max=0)).exp()
        return gy * where(x > 0, 1.0, slope_below) * self.scale


class Hardtanh(Function):
    """Cut off at two values, y = min(max(x, low), high).

    Gradient
        gx = gy where low < x < high, else 0; so 0 at both kinks (`clamp` lets it pass there)
    Saves
        the mask low < x < high
    """

    low: float
    high: float

    def forward(self, x: Array) -> Array:
        low, high = x.dtype.type(self.low), x.dtype.type(self.high)
        self.save_for_backward(((x > low) & (x < high)).astype(x.dtype))
        return np.minimum(np.maximum(x, low), high)

    def backward(self, gy: Tensor) -> Any:
        (inside,) = self.saved
        return gy * inside


# The functions that users call ----------------------------------------------------------------------------------------


def prelu(input: TensorLike, weight: Tensor) -> Tensor:
    """`input` where positive, ``weight * input`` elsewhere, with a slope for each channel or one for all.

    Parameters
    ----------
    input : Tensor, shape (n, c, ...), or any shape for one slope
    weight : Tensor, shape (c,), (1,) or ()

    Raises
    ------
    ShapeError
        If there are several slopes, but not one for each channel (dimension 1).

    References
    ----------
    He, Zhang, Ren, Sun 2015, "Delving deep into rectifiers", section 2.1.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.prelu(tg.tensor([[-1.0, -1.0], [3.0, -4.0]]), tg.tensor([0.5, 0.25]))
    tensor([[-0.5 , -0.25],
            [ 3.  , -1.  ]])
    """
    x, slope = operands(as_float(input), weight)
    if slope.ndim > 1:
        raise ShapeError(f"prelu: weight must be one slope, or a vector of one for each channel; got shape {slope.shape}")
    if slope.numel() == 1:
        return PReLU.apply(x, slope.reshape((1,) * x.ndim))
    channels = x.shape[1] if x.ndim > 1 else 1
    if slope.numel() != channels:
        raise ShapeError(
            f"prelu: weight has {slope.numel()} slopes, but the input {x.shape} has {channels} "
            f"channel{'s' if channels != 1 else ''} (dimension 1); give one slope for each, or one for all"
        )
    return PReLU.apply(x, slope.reshape((-1,) + (1,) * (x.ndim - 2)))


def rrelu(
    input: TensorLike, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """`input` where positive, ``slope * input`` elsewhere, with a random slope for each element while training.

    Parameters
    ----------
    input : Tensor
    lower, upper : float
        The slopes are uniform over [lower, upper).
    training : bool
        Outside training every slope is the mean, ``(lower + upper) / 2``.
    inplace : bool
        Write the result into `input`.

    Raises
    ------
    ArgumentError
        If `lower` exceeds `upper`.

    References
    ----------
    Xu, Wang, Chen, Li 2015, "Empirical evaluation of rectified activations in convolutional network", section 2.4.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.rrelu(tg.tensor([-1.0, 2.0]), 0.2, 0.4)
    tensor([-0.3,  2. ])
    """
    if not lower <= upper:
        raise ArgumentError(f"rrelu: the slopes lie between lower and upper, but lower = {lower} exceeds upper = {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    return maybe_in_place(input, inplace, "rrelu_", lambda x: RReLU.apply(x, lower=lower, upper=upper))


def _elu(name: str, input: TensorLike, inplace: bool, alpha: float, scale: float, rate: float) -> Tensor:
    def compute(x: Tensor) -> Tensor:
        return ELU.apply(x, alpha=alpha, scale=scale, rate=rate)

    return maybe_in_place(input, inplace, name, compute, saves_input=True)


def elu(input: TensorLike, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where positive, ``alpha * (exp(input) - 1)`` elsewhere; it saturates at -alpha. The slope at 0 is `alpha`.

    Parameters
    ----------
    input : Tensor
    alpha : float
    inplace : bool
        Write the result into `input`.

    References
    ----------
    Clevert, Unterthiner, Hochreiter 2015, "Fast and accurate deep network learning by exponential linear units", eq. 15.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.elu(tg.tensor([-1e4, 0.0, 2.0]))
    tensor([-1.,  0.,  2.])
    """
    return _elu("elu_", input, inplace, alpha, 1.0, 1.0)


def celu(input: TensorLike, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where positive, ``alpha * (exp(input / alpha) - 1)`` elsewhere: ELU with slope 1 at 0 for every alpha.

    Parameters
    ----------
    input : Tensor
    alpha : float
        Not 0.
    inplace : bool
        Write the result into `input`.

    Raises
    ------
    ArgumentError
        For alpha = 0.

    References
    ----------
    Barron 2017, "Continuously differentiable exponential linear units".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.celu(tg.tensor([-1e4, 0.0, 2.0]), alpha=0.5)
    tensor([-0.5,  0. ,  2. ])
    """
    if alpha == 0:
        raise ArgumentError("celu: alpha divides the input, so it cannot be 0; use relu, the limit as alpha goes to 0")
    return _elu("celu_", input, inplace, alpha, 1.0, 1 / alpha)


def selu(input: TensorLike, inplace: bool = False) -> Tensor:
    """``scale * elu(input, alpha)`` with the alpha and scale that keep activations at mean 0 and variance 1.

    Parameters
    ----------
    input : Tensor
    inplace : bool
        Write the result into `input`.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter 2017, "Self-normalizing neural networks", eq. 2; alpha = 1.6733, scale =
    1.0507. Weights should start at mean 0 and variance 1 / fan_in, and dropout be `alpha_dropout`.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.selu(tg.tensor([-1e4, 0.0, 1.0]))
    tensor([-1.7581,  0.    ,  1.0507])
    """
    return _elu("selu_", input, inplace, SELU_ALPHA, SELU_SCALE, 1.0)


def hardtanh(input: TensorLike, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` limited to [min_val, max_val]; the gradient is 0 at both ends, where that of `clamp` is 1.

    Parameters
    ----------
    input : Tensor
    min_val, max_val : float
    inplace : bool
        Write the result into `input`.

    Raises
    ------
    ArgumentError
        If `min_val` exceeds `max_val`.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.hardtanh(tg.tensor([-3.0, 0.5, 3.0]))
    tensor([-1. ,  0.5,  1. ])
    """
    if not min_val <= max_val:
        raise ArgumentError(f"hardtanh: min_val = {min_val} exceeds max_val = {max_val}; exchange them")
    return maybe_in_place(input, inplace, "hardtanh_", lambda x: Hardtanh.apply(x, low=min_val, high=max_val))


def relu6(input: TensorLike, inplace: bool = False) -> Tensor:
    """min(max(input, 0), 6); the gradient is 0 at both kinks.

    References
    ----------
    Krizhevsky 2010, "Convolutional deep belief networks on CIFAR-10", section 2.
    """
    return maybe_in_place(input, inplace, "relu6_", lambda x: Hardtanh.apply(x, low=0.0, high=6.0))


def hardsigmoid(input: TensorLike, inplace: bool = False) -> Tensor:
    """``relu6(input + 3) / 6``: 0 below -3, 1 above 3, a line between; the gradient is 0 at both kinks.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.hardsigmoid(tg.tensor([-1e4, 0.0, 1.5, 1e4]))
    tensor([0.  , 0.5 , 0.75, 1.  ])
    """
    return maybe_in_place(input, inplace, "hardsigmoid_", _hardsigmoid)


def _hardsigmoid(x: Tensor) -> Tensor:
    return Hardtanh.apply(x + 3, low=0.0, high=6.0) / 6


def hardswish(input: TensorLike, inplace: bool = False) -> Tensor:
    """``input * hardsigmoid(input)``: 0 below -3, `input` above 3; the slope is 0 at -3 and 1 at 3.

    Parameters
    ----------
    input : Tensor
    inplace : bool
        Write the result into `input`.

    References
    ----------
    Howard et al. 2019, "Searching for MobileNetV3", section 5.2.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.hardswish(tg.tensor([-1e4, -1.5, 0.0, 4.0]))
    tensor([-0.   , -0.375,  0.   ,  4.   ])
    """
    return maybe_in_place(input, inplace, "hardswish_", lambda x: x * _hardsigmoid(x), saves_input=True)


def threshold(input: TensorLike, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """`input` where it is above `threshold`, `value` elsewhere; the gradient at the threshold is 0.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.threshold(tg.tensor([0.5, 1.0, 2.0]), 1.0, -7.0)
    tensor([-7., -7.,  2.])
    """
    return maybe_in_place(input, inplace, "threshold_", lambda x: where(x <= threshold, value, x))


def softshrink(input: TensorLike, lambd: float = 0.5) -> Tensor:
    """`input` moved towards 0 by `lambd`, and 0 where it is no farther than that; the gradient at both kinks is 0.

    Raises
    ------
    ArgumentError
        For a negative `lambd`.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.softshrink(tg.tensor([-2.0, 0.3, 0.7]), 0.5)
    tensor([-1.5,  0. ,  0.2])
    """
    x = as_float(input)
    _not_negative("softshrink", lambd)
    return x - x.clamp(-lambd, lambd)


def hardshrink(input: TensorLike, lambd: float = 0.5) -> Tensor:
    """`input`, but 0 where it is no farther than `lambd` from 0; the gradient is 0 there, both ends included.

    Raises
    ------
    ArgumentError
        For a negative `lambd`.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.hardshrink(tg.tensor([-2.0, 0.3, 0.7]), 0.5)
    tensor([-2. ,  0. ,  0.7])
    """
    x = as_float(input)
    _not_negative("hardshrink", lambd)
    return where((x >= -lambd) & (x <= lambd), 0.0, x)


def _not_negative(name: str, lambd: float) -> None:
    if not lambd >= 0:
        raise ArgumentError(f"{name}: lambd is a distance from 0 and cannot be negative, got {lambd}")


@accepts_numpy_names
def maxout(input: TensorLike, pieces: int, dim: int = 1) -> Tensor:
    """The largest of each `pieces` neighbouring channels: a convex function with that many linear pieces, learned.

    Parameters
    ----------
    input : Tensor, shape (n, c, ...)
    pieces : int
        How many channels make one output: i * pieces to (i + 1) * pieces - 1 make output i.
    dim : int
        The dimension of the channels.

    Returns
    -------
    Tensor, shape (n, c / pieces, ...)
        Equal maxima share the gradient equally.

    Raises
    ------
    ArgumentError
        For fewer than one piece.
    ShapeError
        If `pieces` does not divide the channels.

    References
    ----------
    Goodfellow, Warde-Farley, Mirza, Courville, Bengio 2013, "Maxout networks", section 3.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.maxout(tg.tensor([[1.0, 5.0, -2.0, -3.0]]), 2)
    tensor([[ 5., -2.]])
    """
    x = as_float(input)
    if pieces < 1:
        raise ArgumentError(f"maxout: each output is the maximum of at least 1 piece, got pieces = {pieces}")
    if x.ndim == 0:
        raise ShapeError("maxout: needs a dimension of channels, got a tensor of shape ()")
    axis = one_dim("maxout", dim, x.ndim)
    if x.shape[axis] % pieces:
        raise ShapeError(
            f"maxout: dimension {dim} of the input {x.shape} has {x.shape[axis]} channels, which cannot be split into groups "
            f"of {pieces} pieces; their number must be a multiple of {pieces}"
        )
    split = x.shape[:axis] + (x.shape[axis] // pieces, pieces) + x.shape[axis + 1 :]
    return amax(x.reshape(split), axis + 1)
