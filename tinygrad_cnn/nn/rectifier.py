"""Rectifiers as layers, and the piecewise linear functions that stand in for smooth ones; ReLU is in `activation`."""

from ..creation import full
from ..errors import ArgumentError
from ..ops.rectifier import SELU_ALPHA, SELU_SCALE
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class _MaybeInPlace(Module):
    """An elementwise layer that can write its result over the input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""

    def _settings(self, settings: str) -> str:
        return f"{settings}, inplace=True" if self.inplace else settings


class PReLU(Module):
    """Rectifier with a learned slope, y = x for x > 0, else weight * x.

    Parameters
    ----------
    num_parameters : int
        1 for one slope, or the number of channels for a slope of each.
    init : float
        The slope at the start.

    Attributes
    ----------
    weight : Parameter, shape (num_parameters,)
        Should be left out of weight decay, which would pull it to ReLU.

    References
    ----------
    He, Zhang, Ren, Sun 2015, "Delving deep into rectifiers", section 2.1.

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> nn.PReLU(16)
    PReLU(num_parameters=16)
    """

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        if num_parameters < 1:
            raise ArgumentError(f"PReLU: num_parameters must be 1, or the number of channels; got {num_parameters}")
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(full((num_parameters,), float(init)))

    def reset_parameters(self) -> None:
        """Set all slopes to `init` again."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, ...)`` to the same shape."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(_MaybeInPlace):
    """Rectifier with a random slope below zero in training, for each value anew; in evaluation, the mean of the slopes.

    Parameters
    ----------
    lower, upper : float
        The slopes are uniform between them.
    inplace : bool
        Write the result over the input.

    References
    ----------
    Xu, Wang, Chen, Li 2015, "Empirical evaluation of rectified activations in convolutional network", section 2.4.
    """

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        super().__init__(inplace)
        if not lower <= upper:
            raise ArgumentError(f"RReLU: the slopes lie between lower and upper, but lower = {lower} exceeds upper = {upper}")
        self.lower = lower
        self.upper = upper

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return self._settings(f"lower={self.lower}, upper={self.upper}")


class ELU(_MaybeInPlace):
    """Exponential linear unit, y = x for x > 0, else alpha * (e^x - 1).

    Parameters
    ----------
    alpha : float
        What it saturates at, with a minus sign.
    inplace : bool
        Write the result over the input.

    References
    ----------
    Clevert, Unterthiner, Hochreiter 2015, "Fast and accurate deep network learning by exponential linear units".
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return self._settings(f"alpha={self.alpha}")


class CELU(_MaybeInPlace):
    """ELU whose slope at 0 is 1 for every alpha, y = x for x > 0, else alpha * (e^(x / alpha) - 1).

    Parameters
    ----------
    alpha : float
        Not 0.
    inplace : bool
        Write the result over the input.

    References
    ----------
    Barron 2017, "Continuously differentiable exponential linear units".
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        if alpha == 0:
            raise ArgumentError("CELU: alpha divides the input, so it cannot be 0; use ReLU, the limit as alpha goes to 0")
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return self._settings(f"alpha={self.alpha}")


class SELU(_MaybeInPlace):
    """``scale * ELU(alpha)`` with the two numbers that keep activations at mean 0 and variance 1.

    Parameters
    ----------
    inplace : bool
        Write the result over the input.

    Attributes
    ----------
    alpha, scale : float
        1.6733 and 1.0507.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter 2017, "Self-normalizing neural networks"; wants weights of variance 1 /
    fan_in at the start, and `AlphaDropout`.
    """

    alpha = SELU_ALPHA
    scale = SELU_SCALE

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.selu(input, self.inplace)


class Hardtanh(_MaybeInPlace):
    """Cut off at two values, y = min(max(x, min_val), max_val); the gradient is 0 at both.

    Parameters
    ----------
    min_val, max_val : float
    inplace : bool
        Write the result over the input.
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        if not min_val < max_val:
            raise ArgumentError(f"Hardtanh: max_val = {max_val} must be greater than min_val = {min_val}")
        self.min_val = min_val
        self.max_val = max_val

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return self._settings(f"min_val={self.min_val}, max_val={self.max_val}")


class ReLU6(_MaybeInPlace):
    """y = min(max(x, 0), 6).

    Parameters
    ----------
    inplace : bool
        Write the result over the input.

    References
    ----------
    Krizhevsky 2010, "Convolutional deep belief networks on CIFAR-10", section 2.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.relu6(input, self.inplace)


class Hardsigmoid(_MaybeInPlace):
    """A line for the logistic function, y = min(max(x + 3, 0), 6) / 6.

    Parameters
    ----------
    inplace : bool
        Write the result over the input.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.hardsigmoid(input, self.inplace)


class Hardswish(_MaybeInPlace):
    """SiLU with lines, y = x * min(max(x + 3, 0), 6) / 6.

    Parameters
    ----------
    inplace : bool
        Write the result over the input.

    References
    ----------
    Howard et al. 2019, "Searching for MobileNetV3", section 5.2.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.hardswish(input, self.inplace)


class Threshold(_MaybeInPlace):
    """y = x for x > threshold, else value.

    Parameters
    ----------
    threshold, value : float
    inplace : bool
        Write the result over the input.
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold = threshold
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return self._settings(f"threshold={self.threshold}, value={self.value}")


class _Shrink(Module):
    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        if not lambd >= 0:
            raise ArgumentError(f"{type(self).__name__}: lambd is a distance from 0 and cannot be negative, got {lambd}")
        self.lambd = lambd

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(_Shrink):
    """Each value moved towards 0 by `lambd`, and 0 where it is no farther than that.

    Parameters
    ----------
    lambd : float
        Not negative.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.softshrink(input, self.lambd)


class Hardshrink(_Shrink):
    """Each value as it is, but 0 where it is no farther than `lambd` from 0.

    Parameters
    ----------
    lambd : float
        Not negative.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.hardshrink(input, self.lambd)


class Maxout(Module):
    """The largest of each `pieces` neighbouring channels.

    After a linear or convolution layer with `pieces` times the wanted channels, each output is a learned convex function
    made of that many linear pieces.

    Parameters
    ----------
    pieces : int
    dim : int
        The dimension of the channels.

    References
    ----------
    Goodfellow, Warde-Farley, Mirza, Courville, Bengio 2013, "Maxout networks".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.Sequential(nn.Conv2d(3, 32, 5), nn.Maxout(2))(tg.randn(1, 3, 8, 8)).shape
    (1, 16, 4, 4)
    """

    def __init__(self, pieces: int, dim: int = 1) -> None:
        super().__init__()
        if pieces < 1:
            raise ArgumentError(f"Maxout: each output is the maximum of at least 1 piece, got pieces = {pieces}")
        self.pieces = pieces
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, ...)`` to ``(n, c / pieces, ...)``."""
        return F.maxout(input, self.pieces, self.dim)

    def extra_repr(self) -> str:
        return f"pieces={self.pieces}" + (f", dim={self.dim}" if self.dim != 1 else "")
