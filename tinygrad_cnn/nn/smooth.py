"""Smooth nonlinearities as layers; Sigmoid, Tanh and Softmax are in `activation`."""

from ..errors import ArgumentError
from ..tensor import Tensor
from . import functional as F
from .activation import _AlongOneDim
from .module import Module
from .rectifier import _MaybeInPlace


class GELU(Module):
    """Each value times the probability that a standard normal number is below it.

    Parameters
    ----------
    approximate : {"none", "tanh"}
        "tanh" for the formula with a hyperbolic tangent, off by up to 5e-4.

    References
    ----------
    Hendrycks, Gimpel 2016, "Gaussian error linear units".
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ArgumentError(f"GELU: approximate must be 'none' (exact) or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(_MaybeInPlace):
    """Each value times its sigmoid, also called swish.

    Parameters
    ----------
    inplace : bool
        Write the result over the input.

    References
    ----------
    Elfwing, Uchibe, Doya 2017, "Sigmoid-weighted linear units"; Ramachandran, Zoph, Le 2017, "Searching for activation
    functions".
    """

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.silu(input, self.inplace)


class Mish(_MaybeInPlace):
    """y = x * tanh(log(1 + e^x)).

    Parameters
    ----------
    inplace : bool
        Write the result over the input.

    References
    ----------
    Misra 2019, "Mish: a self regularized non-monotonic activation function".
    """

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.mish(input, self.inplace)


class Softplus(Module):
    """Smooth rectifier, y = log(1 + e^(beta * x)) / beta.

    Parameters
    ----------
    beta : float
        How sharp the bend is; not 0.
    threshold : float
        Where ``beta * x`` exceeds it, y = x.
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        if beta == 0:
            raise ArgumentError("Softplus: beta divides the result, so it cannot be 0; larger values bend more sharply")
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class LogSigmoid(Module):
    """y = log(sigmoid(x)) without overflow, in nats."""

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.logsigmoid(input)


class Softsign(Module):
    """y = x / (1 + |x|)."""

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.softsign(input)


class Tanhshrink(Module):
    """y = x - tanh(x)."""

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.tanhshrink(input)


class ScaledTanh(Module):
    """LeNet-5's squashing function, y = amplitude * tanh(slope * x), with f(1) = 1 and f(-1) = -1 to 3e-6.

    Parameters
    ----------
    amplitude, slope : float
        A and S in the paper.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", eq. 6 and appendix A.
    """

    def __init__(self, amplitude: float = 1.7159, slope: float = 2 / 3) -> None:
        super().__init__()
        self.amplitude = amplitude
        self.slope = slope

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.scaled_tanh(input, self.amplitude, self.slope)

    def extra_repr(self) -> str:
        return f"amplitude={self.amplitude}, slope={self.slope}"


class Softmin(_AlongOneDim):
    """Softmax of the negative: the smallest input gets the largest share.

    Parameters
    ----------
    dim : int
        Has to be given by the time that the layer is called: it is 1 for (n, classes).
    """

    def forward(self, input: Tensor) -> Tensor:
        """The same shape."""
        return F.softmin(input, self.dim)


class GLU(Module):
    """Gated linear unit: the first half along a dimension, times the sigmoid of the second half.

    Parameters
    ----------
    dim : int

    References
    ----------
    Dauphin, Fan, Auli, Grangier 2016, "Language modeling with gated convolutional networks".
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Half as long along `dim`."""
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
