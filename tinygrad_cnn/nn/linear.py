"""The fully connected layer, and the two layers that only pass things on."""

import math
from collections.abc import Sequence
from typing import Any

from ..creation import empty
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


def reset_weight_and_bias(weight: Parameter, bias: Parameter | None) -> None:
    """Draw the initial values that PyTorch's linear and convolution layers start from.

    Both are uniform over [-b, b) with b = 1 / sqrt(fan_in): for the weight that is He's scheme with a = sqrt(5), whose
    gain of sqrt(1 / 3) cancels the sqrt(3) of the uniform distribution.
    """
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in, _ = init.fan_in_and_fan_out(weight)
        bound = 1 / math.sqrt(max(fan_in, 1))
        init.uniform_(bias, -bound, bound)


class Linear(Module):
    """The fully connected layer, y = x weight' + bias.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
        False for no bias, where what follows has one (batch normalization).

    Attributes
    ----------
    weight : Parameter, shape (out_features, in_features)
        Initially uniform over +-1 / sqrt(in_features).
    bias : Parameter, shape (out_features,), or None
        Initially uniform over +-1 / sqrt(in_features).

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> layer = nn.Linear(20, 30)
    >>> layer
    Linear(in_features=20, out_features=30, bias=True)
    >>> layer(tg.randn(128, 20)).shape
    (128, 30)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        if in_features < 0 or out_features < 0:
            raise ArgumentError(f"Linear: the sizes must not be negative, got Linear({in_features}, {out_features})")
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty(out_features, in_features))
        self.register_parameter("bias", Parameter(empty(out_features)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values anew."""
        reset_weight_and_bias(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """``(..., in_features)`` to ``(..., out_features)``."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Flatten(Module):
    """Merge dimensions into one; by default all but the batch, so that a fully connected layer can follow.

    Parameters
    ----------
    start_dim, end_dim : int
        The first and the last dimension that are merged.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, h, w)`` to ``(n, c h w)``."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Split one dimension into several, as before a transposed convolution.

    Parameters
    ----------
    dim : int
        The dimension to split.
    unflattened_size : tuple of int
        What it is split into; one of them may be -1 for the rest.

    Raises
    ------
    ShapeError
        When called, if the sizes do not multiply to that of the dimension.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.Unflatten(1, (16, 5, 5))(tg.zeros(2, 400)).shape
    (2, 16, 5, 5)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        if not isinstance(dim, int):
            raise ArgumentError(f"Unflatten: dim must be an integer, got {dim!r}: dimensions have no names here")
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c h w)`` to ``(n, c, h, w)``."""
        if not -input.ndim <= self.dim < input.ndim:
            raise ShapeError(f"Unflatten: there is no dimension {self.dim} in an input of shape {input.shape}")
        dim = self.dim % input.ndim
        known = math.prod(size for size in self.unflattened_size if size != -1)
        rest = input.shape[dim] / max(known, 1) if -1 in self.unflattened_size else 1
        if known * rest != input.shape[dim] or rest != int(rest):
            product = " * ".join(map(str, self.unflattened_size))
            raise ShapeError(
                f"Unflatten: dimension {self.dim} has size {input.shape[dim]}, which is not {product}; got shape {input.shape}"
            )
        return input.reshape(*input.shape[:dim], *self.unflattened_size, *input.shape[dim + 1 :])

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Identity(Module):
    """Nothing: the output is the input.

    It stands where another layer might be (``norm = nn.BatchNorm2d if use_norm else nn.Identity``) and is therefore
    built with whatever arguments that layer takes.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """The input itself."""
        return input
