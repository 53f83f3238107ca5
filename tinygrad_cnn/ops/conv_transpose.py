r"""Transposed convolution: a convolution's input gradient, used as a layer that enlarges.

A convolution is linear in its input: written out, it is a matrix A. What its backward pass multiplies by is the
transpose A', which maps something of the size of the output to something of the size of the input. In one dimension and
one channel, with stride s, padding p and dilation d,

    y[j] = sum over i, t with s i + d t - p = j of weight[t] * x[i]

each input is a stamp of the kernel, s positions after the one before, and what overlaps adds up. It does not undo the
convolution (A' is not the inverse); it has its connections, run backwards.

    conv             out = floor((in + 2 p - (d (k - 1) + 1)) / s) + 1
    conv_transpose   out = (in - 1) s - 2 p + d (k - 1) + 1 + output_padding

The floor makes s different input sizes share an output size, and `output_padding` says which of them is meant.

The same view says what a `padding_mode` other than zeros means here. A convolution that pads by reflection is A P, with P
the copying of border values; its transpose is P' A', and P' adds each border position's value to the position that it
would have been copied from. So the transposed convolution computes the border too and, where the zeros' mode crops it
off, folds it back in.

References
----------
Dumoulin, Visin 2016, "A guide to convolution arithmetic for deep learning", section 4.
"""

from typing import Any

import numpy as np

from .. import kernels
from ..autograd.function import Array
from ..errors import ArgumentError, ShapeError
from ..kernels.geometry import ConvGeometry
from ..kernels.spelling import Pairs, axis_names
from ..tensor import Tensor, TensorLike
from ._arguments import as_tensor, operands
from .conv import Conv, ConvWeightGrad, Padding, PerAxis, _ConvOp, channel_sum
from .shape import PutItem, _border_index, _slice, cat

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class ConvTranspose(_ConvOp):
    """Transposed convolution of x (n, c, h, w) with weight (c, o / groups, kh, kw), plus a bias (o); 1 to 3 dimensions.

    `geometry` is that of the convolution whose transpose it is: its output has the shape of x.

    Gradient
        gx = conv(gy, weight), gweight = conv_weight_grad(gy, x), gbias = sum of gy over n, oh, ow
    Saves
        x where weight needs a gradient, weight where x does
    """

    @property
    def settings(self) -> dict[str, Any]:
        g = self.geometry
        left_over = tuple(
            size + before + after - (dilation * (kernel - 1) + 1) - (out - 1) * stride
            for size, (before, after), dilation, kernel, out, stride in zip(
                g.in_size, g.padding, g.dilation, g.kernel_size, g.out_size, g.stride, strict=True
            )
        )
        return super().settings | ({"output_padding": left_over} if any(left_over) else {})

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        self.save_for_backward(x if self.needs_input_grad[1] else None, weight if self.needs_input_grad[0] else None)
        y: Array = kernels.conv_input_grad(x, weight, self.geometry)
        if bias is not None:
            y += bias.reshape(-1, *(1,) * self.geometry.dims)
        return y

    def backward(self, gy: Tensor) -> Any:
        x, weight = self.saved
        gx = Conv.apply(gy, weight, geometry=self.geometry) if self.needs_input_grad[0] else None
        gweight = ConvWeightGrad.apply(gy, x, geometry=self.geometry) if self.needs_input_grad[1] else None
        if len(self.edges) == 2:
            return gx, gweight
        return gx, gweight, channel_sum(gy) if self.needs_input_grad[2] else None

    def backward_kernel(self, gy: Array) -> Any:
        x, weight = self.saved_arrays
        gx = kernels.conv(gy, weight, None, self.geometry) if self.needs_input_grad[0] else None
        gweight = kernels.conv_weight_grad(gy, x, self.geometry) if self.needs_input_grad[1] else None
        if len(self.edges) == 2:
            return gx, gweight
        return gx, gweight, kernels.channel_sum(gy) if self.needs_input_grad[2] else None


# The functions that users call ----------------------------------------------------------------------------------------


def conv_transpose1d(
    input: TensorLike,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
    *,
    padding_mode: str = "zeros",
) -> Tensor:
    """Transposed convolution over one dimension; see `conv_transpose2d`."""
    return _conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation, padding_mode)


def conv_transpose2d(
    input: TensorLike,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
    *,
    padding_mode: str = "zeros",
) -> Tensor:
    """Transposed convolution over two dimensions: the input gradient of `conv2d` with the same options.

    y[n, o, sh i + dh kh - ph, sw j + dw kw - pw] = bias[o] + the sum of weight[c, o, kh, kw] * x[n, c, i, j] over all
    c, i, j, kh, kw that give that position.

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (c, h, w)
    weight : Tensor, shape (c, o / groups, kh, kw)
        As `conv2d` has it, where c is the number of its output channels.
    bias : Tensor, shape (o,), optional
    stride, dilation : int or (int, int)
        Steps between stamps of the kernel, and between the taps of one stamp, in pixels of the output.
    padding : int, (int, int), ((top, bottom), (left, right)) or "valid"
        Rows and columns cropped off the output: what the convolution padded.
    output_padding : int or (int, int)
        Rows and columns added at the far end of the output, fewer than the stride.
    groups : int
        Split the channels into groups that do not see each other.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        Of the convolution whose transpose this is. A border that was copied from the inside is not cropped off but
        added to where it was copied from: <conv(x), y> = <x, conv_transpose(y)> in every mode. PyTorch has zeros only.

    Returns
    -------
    Tensor, shape (n, o, oh, ow)
        ``oh = (h - 1) sh - top - bottom + dh (kh - 1) + 1 + output_padding``, and ow alike; in the dtype of the input.

    Raises
    ------
    ShapeError
        With the arithmetic, where sizes do not fit.
    ArgumentError
        For an option out of its range, such as an output_padding that the stride does not exceed.

    References
    ----------
    Dumoulin, Visin 2016, section 4.
    Zeiler, Krishnan, Taylor, Fergus 2010, "Deconvolutional networks".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([[[[1.0, 2.0]]]])
    >>> weight = tg.tensor([[[[1.0, 1.0, 1.0]]]])
    >>> tg.conv_transpose2d(x, weight, stride=2)
    tensor([[[[1., 1., 3., 2., 2.]]]])
    """
    return _conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation, padding_mode)


def conv_transpose3d(
    input: TensorLike,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
    *,
    padding_mode: str = "zeros",
) -> Tensor:
    """Transposed convolution over three dimensions; see `conv_transpose2d`."""
    return _conv_transpose(3, input, weight, bias, stride, padding, output_padding, groups, dilation, padding_mode)


def _conv_transpose(
    dims: int,
    input: TensorLike,
    weight: Tensor,
    bias: Tensor | None,
    stride: PerAxis,
    padding: Padding,
    output_padding: PerAxis,
    groups: int,
    dilation: PerAxis,
    padding_mode: str,
) -> Tensor:
    name = f"conv_transpose{dims}d"
    x, weight = operands(as_tensor(input), as_tensor(weight))
    if x.ndim == dims + 1:
        options = (stride, padding, output_padding, groups, dilation, padding_mode)
        return _conv_transpose(dims, x.unsqueeze(0), weight, bias, *options).squeeze(0)
    if x.ndim != dims + 2 or weight.ndim != dims + 2:
        raise ShapeError(
            f"{name}: needs an input of {dims + 2} dimensions (n, c, ...) and a weight of {dims + 2} (c, o / groups, ...); "
            f"got shapes {x.shape} and {weight.shape}"
        )
    if padding_mode not in PADDING_MODES:
        raise ArgumentError(f"{name}: padding_mode must be one of {', '.join(PADDING_MODES)}; got {padding_mode!r}")
    geometry = ConvGeometry.for_transpose(x.shape, weight.shape, stride, padding, output_padding, dilation, groups)
    if bias is not None and bias.shape != (geometry.in_channels,):
        raise ShapeError(
            f"{name}: bias has shape {bias.shape}, weight {weight.shape} with groups {groups} needs "
            f"({geometry.in_channels},) = ({weight.shape[1]} * {groups},)"
        )
    if padding_mode == "zeros" or not geometry.is_padded:
        operators = (x, weight) if bias is None else (x, weight, bias.to(x.dtype))
        return ConvTranspose.apply(*operators, geometry=geometry)
    uncropped = ConvGeometry.for_transpose(x.shape, weight.shape, stride, 0, output_padding, dilation, groups)
    y = _fold_border(name, ConvTranspose.apply(x, weight, geometry=uncropped), geometry.padding, padding_mode)
    # After the fold: a bias that were folded with the rest would count twice at some positions.
    return y if bias is None else y + bias.to(x.dtype).reshape(-1, *(1,) * dims)


def _fold_border(name: str, y: Tensor, padding: Pairs, mode: str) -> Tensor:
    """Crop the border off each axis and add it where padding would have copied it from: the transpose of `pad`."""
    for axis, (axis_name, (before, after)) in enumerate(zip(axis_names(len(padding)), padding, strict=True), 2):
        n = y.shape[axis] - before - after
        most = {"reflect": n - 1, "replicate": max(before, after), "circular": n}[mode]
        if max(before, after) > most:
            raise ShapeError(
                f"{name}: {mode} padding of ({before}, {after}) along the {axis_name} copies more than the output {axis_name} "
                f"{n} = {y.shape[axis]} - {before} - {after} has to copy: use at most {most}, or another padding_mode"
            )
        source = _border_index(mode, n, before, after)
        border = cat([_slice(y, axis, 0, before), _slice(y, axis, before + n, y.shape[axis])], axis)
        inside = _slice(y, axis, before, before + n)
        index = (slice(None),) * axis + (np.concatenate([source[:before], source[before + n :]]),)
        y = inside + PutItem.apply(border, index=index, to_shape=inside.shape)
    return y
