"""Lazy layers: the number of input channels or features is taken from the first input.

    net = nn.Sequential(nn.LazyConv2d(8, 5), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
    net(images)        # now it is Conv2d(1, 8, ...) and Linear(4608, 10)

Until then the parameters are `UninitializedParameter`. With its first input, or after a loaded state has given the
parameters their shapes, a lazy layer *becomes* the layer that it is named after: the same object, of the other class.
"""

import math
from typing import Any

from ..autograd.mode import no_grad
from ..errors import ShapeError
from ..kernels.spelling import Padding, PerAxis
from ..tensor import Tensor
from .conv import Conv1d, Conv2d, Conv3d, _Conv
from .conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, _ConvTranspose
from .group_norm import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d, _InstanceNorm
from .linear import Linear
from .module import Module
from .norm import BatchNorm1d, BatchNorm2d, BatchNorm3d, _BatchNorm, _Norm
from .parameter import UninitializedBuffer, UninitializedParameter, WithoutValues


class _Lazy(Module):
    """What the lazy layers have in common; a subclass says which number is missing, and what shapes follow from it."""

    _becomes: type[Module]
    _missing: str  # the attribute that the first input decides

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter and buffer, once the missing number is set."""
        raise NotImplementedError

    def _number_in(self, input: Tensor) -> int:
        """The missing number, from an input."""
        raise NotImplementedError

    def _number_in_weight(self) -> int | None:
        """The missing number, from parameters that were loaded; None if there are none."""
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Draw the initial values anew; nothing to do before there is a shape."""
        if not self.has_uninitialized_params():
            self._becomes.reset_parameters(self)  # type: ignore[attr-defined]

    def _forget(self) -> None:
        """Put places where the layer has made parameters and buffers."""
        setattr(self, self._missing, 0)
        for name, parameter in self._parameters.items():
            if parameter is not None:
                self._parameters[name] = place = UninitializedParameter(dtype=parameter.dtype)
                place.name = name
        for name, buffer in self._buffers.items():
            if buffer is not None and buffer.ndim:
                self._buffers[name] = UninitializedBuffer(dtype=buffer.dtype)

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or a buffer has no shape yet."""
        return any(isinstance(tensor, WithoutValues) for tensor in (*self._parameters.values(), *self._buffers.values()))

    def initialize_parameters(self, input: Tensor) -> None:
        """Give the parameters the shapes that an input asks for, and draw the values of those that have none."""
        setattr(self, self._missing, self._number_in(input))
        try:
            shapes = self._shapes()
        except ShapeError:
            setattr(self, self._missing, 0)
            raise
        loaded = []
        for name, tensor in (*self._parameters.items(), *self._buffers.items()):
            if isinstance(tensor, WithoutValues):
                tensor.materialize(shapes[name])
            elif tensor is not None:
                loaded.append((tensor, tensor.array.copy()))
        self.reset_parameters()
        with no_grad():
            for tensor, array in loaded:
                tensor.copy_(array)

    def forward(self, input: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Become the layer, and do what it does."""
        number = None if self.has_uninitialized_params() else self._number_in_weight()
        if number is None:
            self.initialize_parameters(input)
        else:
            setattr(self, self._missing, number)
        self.__class__ = self._becomes  # type: ignore[assignment]
        return self.forward(input, *args, **kwargs)


class LazyLinear(_Lazy, Linear):
    """A `Linear` whose `in_features` is the last size of its first input.

    Parameters
    ----------
    out_features : int
    bias : bool

    Raises
    ------
    ArgumentError
        From an optimizer, `state_dict`, clipping, or whatever else asks for the shape of the parameters before there is
        one. Run a batch through the model first, or load a state.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> layer = nn.LazyLinear(10)
    >>> layer
    LazyLinear(in_features=0, out_features=10, bias=True)
    >>> layer(tg.zeros(2, 784)).shape, layer
    ((2, 10), Linear(in_features=784, out_features=10, bias=True))
    """

    _becomes = Linear
    _missing = "in_features"

    def __init__(self, out_features: int, bias: bool = True) -> None:
        super().__init__(0, out_features, bias)
        self._forget()

    def _number_in(self, input: Tensor) -> int:
        if not input.ndim:
            raise ShapeError("LazyLinear: needs an input of at least one dimension, (..., in_features); got shape ()")
        return input.shape[-1]

    def _number_in_weight(self) -> int:
        return self.weight.shape[1]

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.out_features, self.in_features), "bias": (self.out_features,)}


class _LazyConv(_Lazy, _Conv):
    """A convolution, in either direction, whose number of input channels is that of its first input."""

    _missing = "in_channels"

    def _number_in(self, input: Tensor) -> int:
        dims = self._dims
        if input.ndim not in (dims + 1, dims + 2):
            raise ShapeError(
                f"{type(self).__name__}: needs an input of {dims + 2} dimensions (n, c, ...), or {dims + 1} without the batch; "
                f"got shape {input.shape}"
            )
        return input.shape[-dims - 1]

    def _number_in_weight(self) -> int:
        of_weight = self.weight.shape[1] * self.groups
        return self.weight.shape[0] if isinstance(self, _ConvTranspose) else of_weight

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        if self.in_channels % self.groups or not self.in_channels:
            least = self.groups * max(1, math.ceil(self.in_channels / self.groups))
            raise ShapeError(
                f"{type(self).__name__}: groups={self.groups} does not divide the {self.in_channels} channels of the input: "
                f"give it {least}, or choose groups that divide both them and out_channels={self.out_channels}"
            )
        return {"weight": (*self._channels_of_weight(), *self.kernel_size), "bias": (self.out_channels,)}


class _LazyForwardConv(_LazyConv):
    def __init__(
        self,
        out_channels: int,
        kernel_size: PerAxis,
        stride: PerAxis = 1,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        algo: str | None = None,
    ) -> None:
        super().__init__(groups, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, algo=algo)
        self._forget()


class LazyConv1d(_LazyForwardConv, Conv1d):
    """A `Conv1d` whose `in_channels` is taken from its first input; see `LazyLinear`."""

    _becomes = Conv1d


class LazyConv2d(_LazyForwardConv, Conv2d):
    """A `Conv2d` whose `in_channels` is taken from its first input; see `LazyLinear`."""

    _becomes = Conv2d


class LazyConv3d(_LazyForwardConv, Conv3d):
    """A `Conv3d` whose `in_channels` is taken from its first input; see `LazyLinear`."""

    _becomes = Conv3d


class _LazyConvTranspose(_LazyConv, _ConvTranspose):
    def __init__(
        self,
        out_channels: int,
        kernel_size: PerAxis,
        stride: PerAxis = 1,
        padding: Padding = 0,
        output_padding: PerAxis = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: PerAxis = 1,
        padding_mode: str = "zeros",
    ) -> None:
        super().__init__(
            groups, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode
        )
        self._forget()


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """A `ConvTranspose1d` whose `in_channels` is taken from its first input; see `LazyLinear`."""

    _becomes = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """A `ConvTranspose2d` whose `in_channels` is taken from its first input; see `LazyLinear`."""

    _becomes = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """A `ConvTranspose3d` whose `in_channels` is taken from its first input; see `LazyLinear`."""

    _becomes = ConvTranspose3d


class _LazyNorm(_Lazy, _Norm):
    """A normalization whose number of channels is that of its first input."""

    _missing = "num_features"

    def _dims_of_input(self) -> tuple[tuple[int, ...], int]:
        """How many dimensions an input may have, and with how many the channels are dimension 0 (no batch)."""
        raise NotImplementedError

    def _number_in(self, input: Tensor) -> int:
        dims, unbatched = self._dims_of_input()
        if input.ndim not in dims:
            raise ShapeError(
                f"{type(self).__name__}: needs an input of {' or '.join(map(str, dims))} dimensions; got shape {input.shape}"
            )
        return input.shape[0 if input.ndim == unbatched else 1]

    def _number_in_weight(self) -> int | None:
        given = [tensor for tensor in (self.weight, self.running_mean) if tensor is not None]
        return given[0].shape[0] if given else None

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (self.num_features,))


class _LazyBatchNorm(_LazyNorm, _BatchNorm):
    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        relu: bool = False,
    ) -> None:
        super().__init__(1, eps, momentum, affine, track_running_stats, bias=bias, relu=relu)
        self._forget()

    def _dims_of_input(self) -> tuple[tuple[int, ...], int]:
        return self._dims, 0


class LazyBatchNorm1d(_LazyBatchNorm, BatchNorm1d):
    """A `BatchNorm1d` whose `num_features` is taken from its first input; see `LazyLinear`."""

    _becomes = BatchNorm1d


class LazyBatchNorm2d(_LazyBatchNorm, BatchNorm2d):
    """A `BatchNorm2d` whose `num_features` is taken from its first input; see `LazyLinear`."""

    _becomes = BatchNorm2d


class LazyBatchNorm3d(_LazyBatchNorm, BatchNorm3d):
    """A `BatchNorm3d` whose `num_features` is taken from its first input; see `LazyLinear`."""

    _becomes = BatchNorm3d


class _LazyInstanceNorm(_LazyNorm, _InstanceNorm):
    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(1, eps, momentum, affine, track_running_stats, bias=bias)
        self._forget()

    def _dims_of_input(self) -> tuple[tuple[int, ...], int]:
        return (self._dims + 1, self._dims + 2), self._dims + 1


class LazyInstanceNorm1d(_LazyInstanceNorm, InstanceNorm1d):
    """An `InstanceNorm1d` whose `num_features` is taken from its first input; see `LazyLinear`."""

    _becomes = InstanceNorm1d


class LazyInstanceNorm2d(_LazyInstanceNorm, InstanceNorm2d):
    """An `InstanceNorm2d` whose `num_features` is taken from its first input; see `LazyLinear`."""

    _becomes = InstanceNorm2d


class LazyInstanceNorm3d(_LazyInstanceNorm, InstanceNorm3d):
    """An `InstanceNorm3d` whose `num_features` is taken from its first input; see `LazyLinear`."""

    _becomes = InstanceNorm3d
