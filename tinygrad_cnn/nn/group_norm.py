"""Normalization layers within one sample: over groups of channels, over each channel, over the last dimensions."""

from collections.abc import Sequence

from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor
from . import functional as F
from .norm import _Affine, _Norm


class GroupNorm(_Affine):
    """Groups of neighbouring channels of one sample brought to mean 0 and variance 1, then weight and bias.

    Parameters
    ----------
    num_groups : int
        Divides the number of channels.
    num_channels : int
        The number of channels c of an input (n, c, ...).
    eps : float
        Added to the variance.
    affine : bool
        Whether there are weight and bias.
    bias : bool
        False for a weight without a bias.

    Attributes
    ----------
    weight, bias : Parameter, shape (num_channels,), or None
        Initially 1 and 0.

    References
    ----------
    Wu, He 2018, "Group normalization".

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> nn.GroupNorm(4, 16)
    GroupNorm(4, 16, eps=1e-05, affine=True, bias=True)
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, bias: bool = True
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            divisors = [d for d in range(1, num_channels + 1) if num_channels % d == 0]
            raise ArgumentError(
                f"GroupNorm: num_groups = {num_groups} does not divide {num_channels} channels; it can be {divisors}"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._register_affine((num_channels,), affine, bias)

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, ...)`` to the same shape."""
        if input.ndim < 2 or input.shape[1] != self.num_channels:
            raise ShapeError(
                f"GroupNorm({self.num_groups}, {self.num_channels}): needs an input (n, {self.num_channels}, ...); got shape "
                f"{input.shape}"
            )
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"
        )


class LayerNorm(_Affine):
    """The last dimensions brought to mean 0 and variance 1, then weight and bias of each element.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The sizes of those dimensions; an int is the last one.
    eps : float
        Added to the variance.
    elementwise_affine : bool
        Whether there are weight and bias.
    bias : bool
        False for a weight without a bias.

    Attributes
    ----------
    weight, bias : Parameter, shape `normalized_shape`, or None
        Initially 1 and 0.

    References
    ----------
    Ba, Kiros, Hinton 2016, "Layer normalization".

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> nn.LayerNorm(20)
    LayerNorm((20,), eps=1e-05, elementwise_affine=True, bias=True)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        shape = tuple(normalized_shape) if isinstance(normalized_shape, Sequence) else (int(normalized_shape),)
        if not shape:
            raise ArgumentError("LayerNorm: normalized_shape is empty; name the size of at least one dimension")
        self.normalized_shape = shape
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._register_affine(shape, elementwise_affine, bias)

    def forward(self, input: Tensor) -> Tensor:
        """``(..., *normalized_shape)`` to the same shape."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class _InstanceNorm(_Norm):
    """Instance normalization over `_dims` spatial dimensions."""

    _dims: int

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias)

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, ...)``, or ``(c, ...)`` without a batch, to the same shape."""
        unbatched = input.ndim == self._dims + 1
        if input.ndim not in (self._dims + 1, self._dims + 2) or input.shape[0 if unbatched else 1] != self.num_features:
            raise ShapeError(
                f"{type(self).__name__}({self.num_features}): needs an input of {self._dims + 2} dimensions, "
                f"(n, {self.num_features}, ...), or {self._dims + 1} without a batch; got shape {input.shape}"
            )
        y = F.instance_norm(
            input.unsqueeze(0) if unbatched else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return y.squeeze(0) if unbatched else y


class InstanceNorm1d(_InstanceNorm):
    """Instance normalization of ``(n, c, width)`` or ``(c, width)``; see `InstanceNorm2d`."""

    _dims = 1


class InstanceNorm2d(_InstanceNorm):
    """Each map of each sample brought to mean 0 and variance 1 over space.

    Parameters
    ----------
    num_features : int
        The number of maps c of an input (n, c, h, w) or (c, h, w).
    eps : float
        Added to the variance.
    momentum : float or None
        The weight of a new batch in the running averages; None leaves them as they are, as in PyTorch.
    affine : bool
        Whether there are weight and bias; note the default.
    track_running_stats : bool
        Whether running averages are kept, and used in evaluation; note the default.
    bias : bool
        False for a weight without a bias.

    Attributes
    ----------
    weight, bias : Parameter, shape (c,), or None
        Initially 1 and 0.
    running_mean, running_var : Tensor, shape (c,), or None
        Initially 0 and 1.
    num_batches_tracked : Tensor of int64, shape (), or None
        Part of the state, as in PyTorch, and always 0.

    References
    ----------
    Ulyanov, Vedaldi, Lempitsky 2016, "Instance normalization: the missing ingredient for fast stylization".

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> nn.InstanceNorm2d(16)
    InstanceNorm2d(16, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=False)
    """

    _dims = 2


class InstanceNorm3d(_InstanceNorm):
    """Instance normalization of ``(n, c, depth, h, w)`` or ``(c, depth, h, w)``; see `InstanceNorm2d`."""

    _dims = 3
