"""Initial values of weights.

The weights of a layer are drawn at random, because units that start equal stay equal: they get equal gradients. How
large the draws are decides whether signals survive the depth. For a unit y = sum over its n inputs of w x, with
independent zero-mean weights,

    Var y = n Var w E[x^2],

so variances neither explode nor fade from layer to layer if Var w is gain^2 / n, the gain making up for what the
nonlinearity takes (a ReLU halves E[x^2]: gain sqrt(2)). The schemes here differ in what n is (inputs, outputs, or their
mean) and in the shape of the distribution.

Every function writes into the tensor that it is given, from the package's generator (`manual_seed` repeats the draws),
records nothing, and returns the tensor.

References
----------
Glorot, Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks".
He, Zhang, Ren, Sun 2015, "Delving deep into rectifiers", section 2.2.
"""

import math

from ..autograd.mode import no_grad
from ..errors import ArgumentError, ShapeError
from ..random import default_generator
from ..tensor import Tensor
from .init_structured import dirac_, eye_, orthogonal_, sparse_
from .skip_init import unless_skipped

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "fan_in_and_fan_out",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_normal_",
    "lecun_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_GAIN_ONE = ("linear", "conv1d", "conv2d", "conv3d", "sigmoid")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor on the standard deviation that makes up for a nonlinearity.

    Parameters
    ----------
    nonlinearity : {"linear", "conv1d", "conv2d", "conv3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"}
    param : float, optional
        The negative slope s of leaky_relu, 0.01 by default; its gain is sqrt(2 / (1 + s^2)).

    Raises
    ------
    ArgumentError
        For another name, and for a `param` that the nonlinearity does not have.

    Examples
    --------
    >>> calculate_gain("leaky_relu", 1.0), round(calculate_gain("tanh"), 4)
    (1.0, 1.6667)
    """
    if param is not None and nonlinearity != "leaky_relu":
        raise ArgumentError(f"calculate_gain: only leaky_relu has a parameter, {nonlinearity!r} was given {param}")
    if nonlinearity in _GAIN_ONE:
        return 1.0
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2 / (1 + slope**2))
    gains = {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    if nonlinearity not in gains:
        known = ", ".join((*_GAIN_ONE, *gains, "leaky_relu"))
        raise ArgumentError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}; choose one of {known}")
    return gains[nonlinearity]


def fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs a unit has, and how many units an input goes to.

    Parameters
    ----------
    tensor : Tensor, shape (out, in) or (out, in, kernel...)
        A weight. A unit of a convolution sees `in` channels at each tap of the kernel.

    Raises
    ------
    ShapeError
        For fewer than two dimensions (a bias has no fans).

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> fan_in_and_fan_out(tg.empty(20, 10, 5, 5))
    (250, 500)
    """
    if tensor.ndim < 2:
        raise ShapeError(
            f"fan in and fan out need a weight of shape (out, in, ...), got {tensor.shape}; use uniform_ or zeros_ for a bias"
        )
    taps = math.prod(tensor.shape[2:])
    return tensor.shape[1] * taps, tensor.shape[0] * taps


@unless_skipped
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Draw from the uniform distribution over [a, b)."""
    with no_grad():
        return tensor.uniform_(a, b)


@unless_skipped
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Draw from the normal distribution N(mean, std^2)."""
    with no_grad():
        return tensor.normal_(mean, std)


@unless_skipped
def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Draw from N(mean, std^2), again and again until the value lies in [a, b].

    Raises
    ------
    ArgumentError
        If [a, b] is empty, or so far from the mean (beyond two standard deviations) that hardly a draw would fall into it.
    """
    if not a < b:
        raise ArgumentError(f"trunc_normal_: the bounds must satisfy a < b, got a={a} and b={b}")
    if mean < a - 2 * std or mean > b + 2 * std:
        raise ArgumentError(
            f"trunc_normal_: mean {mean} lies more than two standard deviations ({std}) outside [{a}, {b}]; move it closer"
        )
    generator = default_generator()
    values = generator.normal(mean, std, tensor.shape)
    outside = (values < a) | (values > b)
    while outside.any():
        values[outside] = generator.normal(mean, std, int(outside.sum()))
        outside = (values < a) | (values > b)
    with no_grad():
        return tensor.copy_(values.astype(tensor.dtype))


@unless_skipped
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Set every element to one value."""
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Set every element to 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Set every element to 1."""
    return constant_(tensor, 1.0)


def lecun_normal_(tensor: Tensor) -> Tensor:
    """LeCun's scheme: normal with standard deviation 1 / sqrt(fan_in).

    A unit whose inputs have variance 1 then has a sum of variance 1, where his scaled tanh is neither flat nor linear;
    also the scheme of SELU networks.

    References
    ----------
    LeCun, Bottou, Orr, Mueller 1998, "Efficient backprop", equation 16.
    Klambauer et al. 2017, "Self-normalizing neural networks".
    """
    fan_in, _ = fan_in_and_fan_out(tensor)
    return normal_(tensor, 0.0, 1 / math.sqrt(max(fan_in, 1)))


def lecun_uniform_(tensor: Tensor, *, rule: str = "variance") -> Tensor:
    """LeCun's scheme: uniform over [-b, b) with b = sqrt(3 / fan_in), or as LeNet-5 was.

    Parameters
    ----------
    tensor : Tensor, shape (out, in, ...)
    rule : {"variance", "lenet"}
        "variance" has the standard deviation of `lecun_normal_`. "lenet" is b = 2.4 / fan_in: the standard deviation of the
        sums falls like 1 / sqrt(fan_in) then, so that they stay within the linear part of the scaled tanh however their
        inputs are correlated.

    Raises
    ------
    ArgumentError
        For another rule.

    References
    ----------
    LeCun, Bottou, Orr, Mueller 1998, "Efficient backprop", equation 16.
    LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", appendix A.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> weight = lecun_uniform_(tg.empty(84, 120), rule="lenet")
    >>> 0.019 < float(weight.abs().max()) <= 0.02
    True
    """
    fan_in, _ = fan_in_and_fan_out(tensor)
    bounds = {"variance": math.sqrt(3 / max(fan_in, 1)), "lenet": 2.4 / max(fan_in, 1)}
    if rule not in bounds:
        raise ArgumentError(f"lecun_uniform_: rule must be 'variance' or 'lenet', got {rule!r}")
    return uniform_(tensor, -bounds[rule], bounds[rule])


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Glorot's scheme: uniform over [-b, b) with b = gain sqrt(6 / (fan_in + fan_out)).

    A compromise between the forward pass, which wants a variance of 1 / fan_in, and the backward pass, whose sums run
    over fan_out units.

    References
    ----------
    Glorot, Bengio 2010, equation 16.
    """
    fan_in, fan_out = fan_in_and_fan_out(tensor)
    bound = gain * math.sqrt(6 / max(fan_in + fan_out, 1))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Glorot's scheme: normal with standard deviation gain sqrt(2 / (fan_in + fan_out)).

    References
    ----------
    Glorot, Bengio 2010, equation 12.
    """
    fan_in, fan_out = fan_in_and_fan_out(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2 / max(fan_in + fan_out, 1)))


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fans = dict(zip(("fan_in", "fan_out"), fan_in_and_fan_out(tensor), strict=True))
    if mode not in fans:
        raise ArgumentError(f"kaiming: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    gain = calculate_gain(nonlinearity, a if a or nonlinearity == "leaky_relu" else None)
    # An empty weight has nothing to draw, and no fan to divide by.
    return gain / math.sqrt(max(fans[mode], 1))


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """He's scheme: uniform over [-b, b) with b = gain sqrt(3 / fan).

    Parameters
    ----------
    tensor : Tensor, shape (out, in, ...)
    a : float
        The negative slope of the rectifier behind the layer, where `nonlinearity` is "leaky_relu"; 0 is a ReLU.
    mode : {"fan_in", "fan_out"}
        Keep the variance of the signals in the forward pass, or that of the gradients in the backward pass.
    nonlinearity : str
        See `calculate_gain`. With "linear" this is what Caffe calls xavier.

    References
    ----------
    He et al. 2015, "Delving deep into rectifiers", equations 10 and 14.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> weight = kaiming_uniform_(tg.empty(32, 3, 5, 5), nonlinearity="relu")
    >>> bool(weight.abs().max() <= (6 / 75) ** 0.5)
    True
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """He's scheme: normal with standard deviation gain / sqrt(fan); see `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity))
