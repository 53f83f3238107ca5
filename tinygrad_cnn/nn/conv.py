"""Convolution layers over one, two and three dimensions.

They differ in the number of spatial axes only; what they share is in `_Conv`.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ..creation import empty
from ..errors import ArgumentError
from ..kernels.spelling import Padding, integer, padding_pairs, per_axis
from ..ops import pad
from ..tensor import Tensor
from . import functional as F
from .linear import reset_weight_and_bias
from .module import Module
from .parameter import Parameter

PerAxis: TypeAlias = int | Sequence[int]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Conv(Module):
    """A convolution layer: its settings, its parameters, and how the input is padded.

    A subclass says over how many axes (`_dims`) and with which function (`_function`).
    """

    weight: Parameter
    bias: Parameter | None
    _dims: int
    _function: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int,
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
        super().__init__()
        name, dims = type(self).__name__, self._dims
        self.in_channels = integer(name, "in_channels", in_channels, at_least=1)
        self.out_channels = integer(name, "out_channels", out_channels, at_least=1)
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, dims, at_least=1)
        self.stride = per_axis(name, "stride", stride, dims, at_least=1)
        self.dilation = per_axis(name, "dilation", dilation, dims, at_least=1)
        self.groups = integer(name, "groups", groups, at_least=1)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{name}: groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}"
            )
        if padding_mode not in _PADDING_MODES:
            raise ArgumentError(f"{name}: padding_mode must be one of {', '.join(_PADDING_MODES)}; got {padding_mode!r}")
        # The size of the input, which "same" depends on, is not known yet; any size will do to check the spelling.
        padding_pairs(name, padding, (1,) * dims, self.kernel_size, self.stride, self.dilation)
        self.padding = _as_shown(padding, dims)
        self.padding_mode = padding_mode
        self.algo = algo
        self.output_padding = (0,) * dims  # only a transposed convolution has another
        self.weight = Parameter(empty(*self._channels_of_weight(), *self.kernel_size))
        self.register_parameter("bias", Parameter(empty(out_channels)) if bias else None)
        self.reset_parameters()

    def _channels_of_weight(self) -> tuple[int, int]:
        """The first two sizes of the weight."""
        return self.out_channels, self.in_channels // self.groups

    def reset_parameters(self) -> None:
        """Draw the initial values anew."""
        reset_weight_and_bias(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """``(n, in_channels, *in_size)`` to ``(n, out_channels, *out_size)``."""
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._padded(input), 0
        return type(self)._function(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups, algo=self.algo
        )

    def _padded(self, input: Tensor) -> Tensor:
        """The input with the border that the convolution itself would fill with zeros."""
        in_size = input.shape[-self._dims :]
        name = type(self).__name__
        pairs = padding_pairs(name, self.padding, in_size, self.kernel_size, self.stride, self.dilation)
        # `pad` wants the last axis first.
        return pad(input, [width for pair in reversed(pairs) for width in pair], mode=self.padding_mode)

    def extra_repr(self) -> str:
        shown: list[Any] = [self.in_channels, self.out_channels]
        shown += [f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        if self.padding != (0,) * self._dims:
            shown.append(f"padding={self.padding}")
        if self.dilation != (1,) * self._dims:
            shown.append(f"dilation={self.dilation}")
        if self.output_padding != (0,) * self._dims:
            shown.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            shown.append(f"groups={self.groups}")
        if self.bias is None:
            shown.append("bias=False")
        if self.padding_mode != "zeros":
            shown.append(f"padding_mode={self.padding_mode}")
        if self.algo is not None:
            shown.append(f"algo={self.algo!r}")
        return ", ".join(map(str, shown))


def _as_shown(padding: Padding, dims: int) -> Padding:
    """One entry for each axis, as tuples; the names "same" and "valid" stay names."""
    if isinstance(padding, str):
        return padding
    sides: Sequence[Any] = padding if isinstance(padding, Sequence) else (padding,) * dims
    return tuple(tuple(side) if isinstance(side, Sequence) else side for side in sides)


class Conv1d(_Conv):
    """Convolution over one axis: ``(n, c, width)`` to ``(n, o, out_width)``; see `Conv2d`."""

    _dims = 1
    _function = F.conv1d


class Conv2d(_Conv):
    """Convolution over images.

    y[n, o] = bias[o] + sum over c of weight[o, c] cross-correlated with x[n, c]: each output map has one kernel for each
    input map (of its group), and sees all of them.

    Parameters
    ----------
    in_channels, out_channels : int
        The number of input maps and of output maps.
    kernel_size : int or (int, int)
        Height and width of the kernel, in pixels.
    stride : int or (int, int)
        The step between windows.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid" or "same"
        The border around the input. "same" gives ceil(in / stride) rows and columns.
    dilation : int or (int, int)
        The step between the taps of a window.
    groups : int
        Split the maps into groups that do not see each other; must divide both numbers of channels.
    bias : bool
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What the border is filled with; see `tinygrad_cnn.pad`.
    algo : str, optional
        Which algorithm computes it; see `tinygrad_cnn.conv2d`.

    Attributes
    ----------
    weight : Parameter, shape (out_channels, in_channels / groups, kh, kw)
        Initially uniform over +-1 / sqrt(fan_in), with fan_in = in_channels / groups * kh * kw.
    bias : Parameter, shape (out_channels,), or None
        Initially uniform over +-1 / sqrt(fan_in).

    Raises
    ------
    ArgumentError
        For settings that make no sense; for sizes that do not fit, the call raises ShapeError.

    References
    ----------
    LeCun et al. 1998, "Gradient-based learning applied to document recognition", section II.A.
    Dumoulin, Visin 2016, "A guide to convolution arithmetic for deep learning".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> layer = nn.Conv2d(3, 32, kernel_size=3, padding=1)
    >>> layer
    Conv2d(3, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    >>> layer(tg.randn(1, 3, 28, 28)).shape
    (1, 32, 28, 28)
    >>> sum(parameter.numel() for parameter in layer.parameters())
    896
    """

    _dims = 2
    _function = F.conv2d


class Conv3d(_Conv):
    """Convolution over volumes: ``(n, c, depth, height, width)``; see `Conv2d`."""

    _dims = 3
    _function = F.conv3d
