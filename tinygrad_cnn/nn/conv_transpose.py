"""Transposed convolution layers over one, two and three dimensions: convolutions run backwards, which enlarge."""

from collections.abc import Sequence

from ..errors import ArgumentError, ShapeError
from ..kernels.spelling import Padding, PerAxis, Sizes, axis_names, integer, padding_pairs, per_axis, reach
from ..tensor import Tensor
from . import functional as F
from .conv import _Conv


class _ConvTranspose(_Conv):
    """A transposed convolution layer over `_dims` axes."""

    def __init__(
        self,
        in_channels: int,
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
        name = type(self).__name__
        if padding == "same":
            raise ArgumentError(
                f'{name}: padding="same" is not defined, since several input sizes share an output size; give the padding of '
                "the convolution to be transposed as numbers"
            )
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode
        )
        self.output_padding = per_axis(name, "output_padding", output_padding, self._dims, at_least=0)
        for axis, extra, step in zip(axis_names(self._dims), self.output_padding, self.stride, strict=True):
            if extra >= step:
                raise ArgumentError(
                    f"{name}: output_padding {extra} along the {axis} must be smaller than the stride {step}: use at most "
                    f"{step - 1}"
                )

    def _channels_of_weight(self) -> tuple[int, int]:
        return self.in_channels, self.out_channels // self.groups

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """``(n, in_channels, *in_size)`` to ``(n, out_channels, *out_size)``."""
        output_padding = self.output_padding if output_size is None else self._output_padding(input, output_size)
        return type(self)._function(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            output_padding,
            self.groups,
            self.dilation,
            padding_mode=self.padding_mode,
        )

    def _output_padding(self, input: Tensor, output_size: Sequence[int]) -> Sizes:
        """What must be added for the output to have a certain size."""
        name, dims = type(self).__name__, self._dims
        if len(output_size) not in (dims, input.ndim):
            raise ShapeError(
                f"{name}: output_size must have {dims} numbers ({', '.join(axis_names(dims))}), or {input.ndim} for the whole "
                f"shape; got {tuple(output_size)}"
            )
        in_size = input.shape[-dims:]
        padding = padding_pairs(name, self.padding, in_size, self.kernel_size, self.stride, self.dilation)
        extras = []
        for axis, asked, size, step, (before, after), kernel, dilation in zip(
            axis_names(dims), output_size[-dims:], in_size, self.stride, padding, self.kernel_size, self.dilation, strict=True
        ):
            least = (size - 1) * step - before - after + reach(kernel, dilation)
            if not least <= integer(name, "output_size", asked, at_least=1) < least + step:
                raise ShapeError(
                    f"{name}: output_size {asked} along the {axis} is not one of {list(range(least, least + step))}, the "
                    f"sizes that a convolution of stride {step} maps to {size}"
                )
            extras.append(asked - least)
        return tuple(extras)


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution over one axis: ``(n, c, width)`` to ``(n, o, out_width)``; see `ConvTranspose2d`."""

    _dims = 1
    _function = F.conv_transpose1d


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution over images: the connections of a `Conv2d`, run from its output to its input.

    Every input pixel puts a copy of the kernel, times its value, on the output; the copies are `stride` pixels apart, and
    add up where they overlap. The layer with the settings of a `Conv2d` undoes what that does to the size, not to the
    values.

    Parameters
    ----------
    in_channels, out_channels : int
        The number of input maps and of output maps.
    kernel_size : int or (int, int)
        Height and width of the kernel, in pixels.
    stride : int or (int, int)
        The step between the copies, in pixels of the output.
    padding : int, (int, int), ((top, bottom), (left, right)) or "valid"
        Rows and columns cropped off the output.
    output_padding : int or (int, int)
        Rows and columns added at the far end of the output, fewer than the stride. Several input sizes of a convolution
        share an output size, and this says which of them to give; `output_size` in the call says it more plainly.
    groups : int
        Split the maps into groups that do not see each other; must divide both numbers of channels.
    bias : bool
    dilation : int or (int, int)
        The step between the taps of a copy.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        Of the convolution whose transpose this is: what it copied into its border comes back from there, and is added to
        where it was copied from. PyTorch has zeros only.

    Attributes
    ----------
    weight : Parameter, shape (in_channels, out_channels / groups, kh, kw)
        Initially uniform over +-1 / sqrt(fan), with fan = out_channels / groups * kh * kw, as in PyTorch.
    bias : Parameter, shape (out_channels,), or None
        Initially uniform over the same range.

    Raises
    ------
    ArgumentError
        For settings that make no sense; for sizes that do not fit, the call raises ShapeError.

    References
    ----------
    Dumoulin, Visin 2016, "A guide to convolution arithmetic for deep learning", section 4.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> layer = nn.ConvTranspose2d(16, 8, kernel_size=3, stride=2, padding=1)
    >>> x = tg.randn(1, 16, 12, 12)
    >>> layer(x).shape
    (1, 8, 23, 23)
    >>> layer(x, output_size=(24, 24)).shape
    (1, 8, 24, 24)
    """

    _dims = 2
    _function = F.conv_transpose2d


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution over volumes: ``(n, c, depth, height, width)``; see `ConvTranspose2d`."""

    _dims = 3
    _function = F.conv_transpose3d
