"""Smooth nonlinearities: the error function and GELU, the sigmoid's relatives, and gates made of them.

Sigmoid, tanh, softmax and log_softmax are in `activation`. The formulas are arranged so that no input overflows and
that small results keep their digits: where a textbook writes 1 + tanh(u), which is 0 for u = -20, the code has
2 sigmoid(2 u), which is e^-40.
"""

import math
from typing import Any

import numpy as np

from .. import kernels
from ..autograd.function import Array, Function
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor, TensorLike
from ._arguments import accepts_numpy_names, as_float, one_dim
from .activation import sigmoid, softmax, tanh
from .elementwise import where
from .inplace import maybe_in_place
from .shape import split

_TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)
_SQRT_HALF = math.sqrt(0.5)
_NORMAL_DENSITY_AT_0 = 1 / math.sqrt(2 * math.pi)

# Hendrycks, Gimpel 2016, section 2: Phi(x) is close to sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3).
_GELU_SLOPE = 2 * math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715


class Erf(Function):
    """Error function, y = 2 / sqrt(pi) * (integral of e^(-t^2) from 0 to x).

    Gradient
        gx = gy * 2 / sqrt(pi) * e^(-x^2)
    Saves
        x
    """

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        return kernels.erf(x)

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        return gy * ((-x * x).exp() * _TWO_OVER_SQRT_PI)


class Erfc(Function):
    """Complement of the error function without cancellation, y = 1 - erf(x).

    Gradient
        gx = -gy * 2 / sqrt(pi) * e^(-x^2)
    Saves
        x
    """

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        return kernels.erfc(x)

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        return -gy * ((-x * x).exp() * _TWO_OVER_SQRT_PI)


class GELU(Function):
    """Gaussian error linear unit, y = x * Phi(x), with Phi(x) = erfc(-x / sqrt(2)) / 2 the normal distribution function.

    Gradient
        gx = gy * (Phi(x) + x * phi(x)), with phi(x) = e^(-x^2 / 2) / sqrt(2 pi) the normal density
    Saves
        x
    """

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        return x * (kernels.erfc(x * x.dtype.type(-_SQRT_HALF)) / 2)

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        below = Erfc.apply(x * -_SQRT_HALF) / 2
        density = (x * x * -0.5).exp() * _NORMAL_DENSITY_AT_0
        return gy * (below + x * density)


class TanhGELU(Function):
    """GELU's approximation, y = x * s, with s = sigmoid(2 u) = (1 + tanh(u)) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3).

    Gradient
        gx = gy * (s + x * s * (1 - s) * 2 u'), with u' = sqrt(2 / pi) (1 + 3 * 0.044715 x^2)
    Saves
        x
    """

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        with np.errstate(over="ignore"):  # x^3 may be infinite: its sigmoid is 0 or 1 long before
            return x * kernels.sigmoid(_GELU_SLOPE * (x + _GELU_CUBIC * x**3))

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        s = sigmoid(_GELU_SLOPE * (x + _GELU_CUBIC * x**3))
        slope = _GELU_SLOPE * (1 + 3 * _GELU_CUBIC * x * x)
        return gy * (s + x * s * (1 - s) * slope)


class SiLU(Function):
    """Sigmoid-weighted linear unit (also called swish), y = x * s, with s = sigmoid(x).

    Gradient
        gx = gy * (s + x * s * (1 - s))
    Saves
        x
    """

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        return x * kernels.sigmoid(x)

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        s = sigmoid(x)
        return gy * (s + x * s * (1 - s))


class Softplus(Function):
    """Smooth rectifier, y = log(1 + e^(beta * x)) / beta, and y = x where beta * x > threshold.

    Computed as max(z, 0) + log(1 + e^-|z|) with z = beta * x, which does not overflow.

    Gradient
        gx = gy * sigmoid(beta * x), and gy where beta * x > threshold
    Saves
        x
    """

    beta: float
    threshold: float

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        z = x * x.dtype.type(self.beta)
        return np.where(z > self.threshold, x, _softplus(z) / x.dtype.type(self.beta))

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        z = self.beta * x
        return gy * where(z > self.threshold, 1.0, sigmoid(z))


class Mish(Function):
    """y = x * t, with t = tanh(log(1 + e^x)).

    Gradient
        gx = gy * (t + x * (1 - t^2) * sigmoid(x))
    Saves
        x
    """

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        return x * np.tanh(_softplus(x))

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        t = tanh(Softplus.apply(x, beta=1.0, threshold=math.inf))
        return gy * (t + x * (1 - t * t) * sigmoid(x))


class Softsign(Function):
    """y = x / (1 + |x|).

    Gradient
        gx = gy / (1 + |x|)^2
    Saves
        x
    """

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        return x / (1 + np.abs(x))

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        return gy / (1 + x.abs()) ** 2


def _softplus(z: Array) -> Array:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


class ScaledTanh(Function):
    """The hyperbolic tangent, stretched: y = amplitude * tanh(slope * x).

    Gradient
        gx = gy * slope * (amplitude - y * y / amplitude)
    Saves
        y
    """

    amplitude: float
    slope: float

    def forward(self, x: Array) -> Array:
        y = np.tanh(self.slope * x)
        y *= self.amplitude
        self.save_output(y)
        return y

    def backward(self, gy: Tensor) -> Any:
        (y,) = self.saved
        return gy * (self.slope * (self.amplitude - y * y / self.amplitude))

    def backward_kernel(self, gy: Array) -> Any:
        (y,) = self.saved_arrays
        gx = y * y
        gx *= -self.slope / self.amplitude
        gx += self.slope * self.amplitude
        gx *= gy
        return gx


# The functions that users call ----------------------------------------------------------------------------------------


def erf(input: TensorLike) -> Tensor:
    """Error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to `input`.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.erf(tg.tensor([-1e4, 0.0, 0.5, 1e4]))
    tensor([-1.    ,  0.    ,  0.5205,  1.    ])
    """
    return Erf.apply(as_float(input))


def erfc(input: TensorLike) -> Tensor:
    """``1 - erf(input)``, with all its digits where `erf` is nearly 1."""
    return Erfc.apply(as_float(input))


def gelu(input: TensorLike, approximate: str = "none") -> Tensor:
    """`input` times the probability that a standard normal number is below it.

    Parameters
    ----------
    input : Tensor
    approximate : {"none", "tanh"}
        "tanh" for ``input / 2 * (1 + tanh(sqrt(2 / pi) * (input + 0.044715 * input^3)))``, which is off by up to 5e-4.

    Raises
    ------
    ArgumentError
        For another approximation.

    References
    ----------
    Hendrycks, Gimpel 2016, "Gaussian error linear units", section 2.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.gelu(tg.tensor([-1e4, -1.0, 0.0, 1.0, 1e4]))
    tensor([-0.0000e+00, -1.5866e-01,  0.0000e+00,  8.4134e-01,  1.0000e+04])
    """
    x = as_float(input)
    if approximate == "none":
        return GELU.apply(x)
    if approximate == "tanh":
        return TanhGELU.apply(x)
    raise ArgumentError(f"gelu: approximate must be 'none' (exact) or 'tanh', got {approximate!r}")


def silu(input: TensorLike, inplace: bool = False) -> Tensor:
    """``input * sigmoid(input)``, also called swish.

    Parameters
    ----------
    input : Tensor
    inplace : bool
        Write the result into `input`.

    References
    ----------
    Elfwing, Uchibe, Doya 2017, "Sigmoid-weighted linear units for neural network function approximation in reinforcement
    learning"; Ramachandran, Zoph, Le 2017, "Searching for activation functions".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.silu(tg.tensor([-1e4, 0.0, 1.0]))
    tensor([-0.    ,  0.    ,  0.7311])
    """
    return maybe_in_place(input, inplace, "silu_", SiLU.apply, saves_input=True)


def mish(input: TensorLike, inplace: bool = False) -> Tensor:
    """``input * tanh(softplus(input))``.

    Parameters
    ----------
    input : Tensor
    inplace : bool
        Write the result into `input`.

    References
    ----------
    Misra 2019, "Mish: a self regularized non-monotonic activation function".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.mish(tg.tensor([-1e4, 0.0, 1.0]))
    tensor([-0.    ,  0.    ,  0.8651])
    """
    return maybe_in_place(input, inplace, "mish_", Mish.apply, saves_input=True)


def softplus(input: TensorLike, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta * input)) / beta``, a smooth rectifier.

    Parameters
    ----------
    input : Tensor
    beta : float
        How sharp the bend is; not 0.
    threshold : float
        Where ``beta * input`` exceeds it, the result is `input` (and the slope 1), as in PyTorch. It is not needed for
        stability here; ``math.inf`` turns it off.

    Raises
    ------
    ArgumentError
        For beta = 0.

    References
    ----------
    Dugas, Bengio, Belisle, Nadeau, Garcia 2001, "Incorporating second-order functional knowledge for better option
    pricing".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.softplus(tg.tensor([-1e4, 0.0, 1e4]))
    tensor([0.0000e+00, 6.9315e-01, 1.0000e+04])
    """
    if beta == 0:
        raise ArgumentError("softplus: beta divides the result, so it cannot be 0; larger values bend more sharply")
    return Softplus.apply(as_float(input), beta=beta, threshold=threshold)


def logsigmoid(input: TensorLike) -> Tensor:
    """``log(sigmoid(input))`` without overflow or log(0), in nats: ``-softplus(-input)``.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.logsigmoid(tg.tensor([-1e4, 0.0, 1e4]))
    tensor([-1.0000e+04, -6.9315e-01, -0.0000e+00])
    """
    return -Softplus.apply(-as_float(input), beta=1.0, threshold=math.inf)


def softsign(input: TensorLike) -> Tensor:
    """``input / (1 + |input|)``; it goes to +-1 like a power, where tanh goes exponentially.

    References
    ----------
    Glorot, Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", section 2.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.softsign(tg.tensor([-1.0, 0.0, 3.0]))
    tensor([-0.5 ,  0.  ,  0.75])
    """
    return Softsign.apply(as_float(input))


def scaled_tanh(input: TensorLike, amplitude: float = 1.7159, slope: float = 2 / 3) -> Tensor:
    """``amplitude * tanh(slope * input)``, LeNet-5's squashing function.

    With the defaults f(1) = 1 and f(-1) = -1 (to 3e-6), so that targets of +-1 lie where the second derivative is largest
    and not at the asymptotes, and the gain is about 1.

    Parameters
    ----------
    input : Tensor
    amplitude : float
        A in the paper.
    slope : float
        S in the paper.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", eq. 6 and appendix A.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.scaled_tanh(tg.tensor([-1e4, 0.0, 1.0]))
    tensor([-1.7159,  0.    ,  1.    ])
    """
    return ScaledTanh.apply(as_float(input), amplitude=float(amplitude), slope=float(slope))


def tanhshrink(input: TensorLike) -> Tensor:
    """``input - tanh(input)``."""
    x = as_float(input)
    return x - tanh(x)


@accepts_numpy_names
def softmin(input: TensorLike, dim: int | None = None, dtype: Any = None) -> Tensor:
    """Softmax of the negative: the smallest input gets the largest share.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.softmin(tg.tensor([0.0, 0.0, 1e4]), dim=0)
    tensor([0.5, 0.5, 0. ])
    """
    return softmax(-as_float(input), dim, dtype)


@accepts_numpy_names
def glu(input: TensorLike, dim: int = -1) -> Tensor:
    """Gated linear unit: the first half along `dim`, times the sigmoid of the second half.

    Parameters
    ----------
    input : Tensor
    dim : int

    Returns
    -------
    Tensor
        Half as long along `dim`.

    Raises
    ------
    ShapeError
        If the dimension has an odd size.

    References
    ----------
    Dauphin, Fan, Auli, Grangier 2016, "Language modeling with gated convolutional networks", eq. 1.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.glu(tg.tensor([2.0, 4.0, 0.0, 1e4]))
    tensor([1., 4.])
    """
    x = as_float(input)
    axis = one_dim("glu", dim, x.ndim)
    if x.ndim == 0 or x.shape[axis] % 2:
        size = x.shape[axis] if x.ndim else 1
        raise ShapeError(
            f"glu: dimension {dim} of the input {x.shape} has the odd size {size}: it holds values and as many gates, so its "
            "size must be even"
        )
    values, gates = split(x, [x.shape[axis] // 2] * 2, axis)
    return values * sigmoid(gates)
