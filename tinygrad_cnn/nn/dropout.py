"""The dropout family as layers: each does something in training only, but for the 2012 paper's `Dropout`."""

from ..errors import ArgumentError
from ..tensor import Tensor
from . import functional as F
from .module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        _check_probability(self, p)
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


def _check_probability(layer: Module, p: float) -> None:
    if not 0 <= p <= 1:
        raise ArgumentError(f"{type(layer).__name__}: p is a probability between 0 and 1, got {p}")


class Dropout(_Dropout):
    """In training, set each value to 0 with probability p and divide the others by 1 - p; in evaluation, nothing.

    The expected output equals the input, so evaluation needs no scaling.

    Parameters
    ----------
    p : float
        The probability that a value is dropped.
    inplace : bool
        Write the result over the input.
    inverted : bool
        False for the 2012 papers' way: no scaling in training, and in evaluation all values are multiplied by 1 - p.

    References
    ----------
    Hinton et al. 2012, "Improving neural networks by preventing co-adaptation of feature detectors"; Krizhevsky,
    Sutskever, Hinton 2012, section 4.2.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.Dropout(0.5).eval()(tg.ones(3))
    tensor([1., 1., 1.])
    >>> nn.Dropout(0.5, inverted=False).eval()(tg.ones(3))
    tensor([0.5, 0.5, 0.5])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False, *, inverted: bool = True) -> None:
        super().__init__(p, inplace)
        self.inverted = inverted

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.dropout(input, self.p, self.training, self.inplace, inverted=self.inverted)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.inverted else ", inverted=False")


class Dropout1d(_Dropout):
    """In training, whole channels of (n, c, width) or (c, width) set to 0; see `Dropout2d`."""

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, width)`` to the same shape."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """In training, whole maps of (n, c, h, w) or (c, h, w) set to 0, and the others divided by 1 - p.

    Parameters
    ----------
    p : float
        The probability that a map is dropped.
    inplace : bool
        Write the result over the input.

    References
    ----------
    Tompson, Goroshin, Jain, LeCun, Bregler 2014, "Efficient object localization using convolutional networks".
    """

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, h, w)`` to the same shape."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """In training, whole channels of (n, c, d, h, w) or (c, d, h, w) set to 0; see `Dropout2d`."""

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, d, h, w)`` to the same shape."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout for networks with `SELU`: dropped values take its lower limit, and mean 0 and variance 1 are kept.

    Parameters
    ----------
    p : float
        The probability that a value is dropped.
    inplace : bool
        Write the result over the input.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter 2017, "Self-normalizing neural networks", section 3.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels of (n, c, ...)."""

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, ...)`` to the same shape."""
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)


class StochasticDepth(Module):
    """In training, a residual branch set to 0 with probability p, or divided by 1 - p; then ``x + layer(branch(x))``.

    Parameters
    ----------
    p : float
        The probability that the branch is dropped; the paper lets it grow from block to block, up to 0.5.
    mode : {"row", "batch"}
        Decide for each sample, or once for the whole batch.

    References
    ----------
    Huang, Sun, Liu, Sedra, Weinberger 2016, "Deep networks with stochastic depth".
    """

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        _check_probability(self, p)
        if mode not in ("row", "batch"):
            raise ArgumentError(f"StochasticDepth: mode must be 'row' (each sample) or 'batch' (all of them), got {mode!r}")
        self.p = p
        self.mode = mode

    def forward(self, input: Tensor) -> Tensor:
        """``(n, ...)`` to the same shape."""
        return F.stochastic_depth(input, self.p, self.mode, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode}"
