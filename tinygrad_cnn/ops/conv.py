r"""Convolution, and the two products that are its backward.

What deep learning calls convolution is cross-correlation: the kernel is not flipped. In one dimension and one channel,
with stride s, padding p and dilation d,

    y[i] = sum over t of weight[t] * x[s i + d t - p]

Write T(x, weight, gy) = sum over i, t of weight[t] * x[s i + d t - p] * gy[i]. It is linear in each of its three
arguments, and the derivatives with respect to each are the three ops here:

    Conv            dT/dgy      y[i]       = sum over t of weight[t] * x[s i + d t - p]
    ConvInputGrad   dT/dx       gx[j]      = sum over i, t with s i + d t - p = j of weight[t] * gy[i]
    ConvWeightGrad  dT/dweight  gweight[t] = sum over i of x[s i + d t - p] * gy[i]

So each one's backward is the other two, to every order, and nothing else has to be derived. A transposed convolution
*is* ConvInputGrad, applied forward. Channels, groups, the batch and more dimensions add sums and change nothing.

References
----------
Dumoulin, Visin 2016, "A guide to convolution arithmetic for deep learning".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..autograd.function import Array, Function
from ..errors import ShapeError
from ..kernels.geometry import ConvGeometry
from ..tensor import Tensor, TensorLike
from ._arguments import as_tensor, operands

PerAxis = int | Sequence[int]
Padding = int | str | Sequence[int] | Sequence[tuple[int, int]]


class _ConvOp(Function):
    """What the three have in common: the geometry, and how they introduce themselves."""

    geometry: ConvGeometry
    algo: str | None = None
    """Who computes it, and its gradients: one of `kernels.conv_algorithms`, or, if None, whoever is fastest."""

    @property
    def op_name(self) -> str:
        return f"{type(self).__name__}{self.geometry.dims}d"

    @property
    def settings(self) -> dict[str, Any]:
        g = self.geometry
        shown: dict[str, Any] = {"kernel_size": g.kernel_size}
        if set(g.stride) != {1}:
            shown["stride"] = g.stride
        if g.is_padded:
            symmetric = all(before == after for before, after in g.padding)
            shown["padding"] = tuple(before for before, _ in g.padding) if symmetric else g.padding
        if set(g.dilation) != {1}:
            shown["dilation"] = g.dilation
        if g.groups != 1:
            shown["groups"] = g.groups
        if self.algo is not None:
            shown["algo"] = self.algo
        return shown

    def _conv(self, x: Array, weight: Array, bias: Array | None) -> Array:
        y: Array = self._kernels(x)[0](x, weight, bias, self.geometry)
        return y

    def _input_grad(self, gy: Array, weight: Array) -> Array:
        gx: Array = self._kernels(gy)[1](gy, weight, self.geometry)
        return gx

    def _weight_grad(self, x: Array, gy: Array) -> Array:
        gweight: Array = self._kernels(x)[2](x, gy, self.geometry)
        return gweight

    def _kernels(self, array: Array) -> tuple[kernels.Kernel, ...]:
        if self.algo is None or type(array) is not np.ndarray:  # of an array without values there is nothing to choose
            return kernels.conv, kernels.conv_input_grad, kernels.conv_weight_grad
        return kernels.conv_algorithm(self.algo)

    @property
    def _params(self) -> dict[str, Any]:
        """What the two ops of the backward pass take over."""
        return {"geometry": self.geometry, "algo": self.algo}


class Conv(_ConvOp):
    """Cross-correlation of x (n, c, h, w) with weight (o, c / groups, kh, kw), plus a bias (o); 1, 2 or 3 dimensions.

    Gradient
        gx = conv_input_grad(gy, weight), gweight = conv_weight_grad(x, gy), gbias = sum of gy over n, oh, ow
    Saves
        x where weight needs a gradient, weight where x does
    """

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        self.save_for_backward(x if self.needs_input_grad[1] else None, weight if self.needs_input_grad[0] else None)
        return self._conv(x, weight, bias)

    def backward(self, gy: Tensor) -> Any:
        x, weight = self.saved
        gx = ConvInputGrad.apply(gy, weight, **self._params) if self.needs_input_grad[0] else None
        gweight = ConvWeightGrad.apply(x, gy, **self._params) if self.needs_input_grad[1] else None
        if len(self.edges) == 2:
            return gx, gweight
        return gx, gweight, channel_sum(gy) if self.needs_input_grad[2] else None

    def backward_kernel(self, gy: Array) -> Any:
        x, weight = self.saved_arrays
        gx = self._input_grad(gy, weight) if self.needs_input_grad[0] else None
        gweight = self._weight_grad(x, gy) if self.needs_input_grad[1] else None
        if len(self.edges) == 2:
            return gx, gweight
        return gx, gweight, kernels.channel_sum(gy) if self.needs_input_grad[2] else None


class ConvInputGrad(_ConvOp):
    """The gradient of a convolution with respect to its input, from gy and weight; also the transposed convolution.

    Gradient
        ggy = conv(ggx, weight), gweight = conv_weight_grad(ggx, gy)
    Saves
        gy where weight needs a gradient, weight where gy does
    """

    def forward(self, gy: Array, weight: Array) -> Array:
        self.save_for_backward(gy if self.needs_input_grad[1] else None, weight if self.needs_input_grad[0] else None)
        return self._input_grad(gy, weight)

    def backward(self, ggx: Tensor) -> Any:
        gy, weight = self.saved
        ggy = Conv.apply(ggx, weight, **self._params) if self.needs_input_grad[0] else None
        gweight = ConvWeightGrad.apply(ggx, gy, **self._params) if self.needs_input_grad[1] else None
        return ggy, gweight


class ConvWeightGrad(_ConvOp):
    """The gradient of a convolution with respect to its weight, from x and gy.

    Gradient
        gx = conv_input_grad(gy, ggweight), ggy = conv(x, ggweight)
    Saves
        x where gy needs a gradient, gy where x does
    """

    def forward(self, x: Array, gy: Array) -> Array:
        self.save_for_backward(x if self.needs_input_grad[1] else None, gy if self.needs_input_grad[0] else None)
        return self._weight_grad(x, gy)

    def backward(self, ggweight: Tensor) -> Any:
        x, gy = self.saved
        gx = ConvInputGrad.apply(gy, ggweight, **self._params) if self.needs_input_grad[0] else None
        ggy = Conv.apply(x, ggweight, **self._params) if self.needs_input_grad[1] else None
        return gx, ggy


def channel_sum(x: Tensor) -> Tensor:
    """Sum over every dimension but 1: the gradient of what was added to each channel."""
    return x.sum([axis for axis in range(x.ndim) if axis != 1])


# The functions that users call ----------------------------------------------------------------------------------------


def conv1d(
    input: TensorLike,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    *,
    algo: str | None = None,
) -> Tensor:
    """Cross-correlation over one dimension; see `conv2d`."""
    return _conv(1, input, weight, bias, stride, padding, dilation, groups, algo)


def conv2d(
    input: TensorLike,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    *,
    algo: str | None = None,
) -> Tensor:
    """Cross-correlation over two dimensions.

    y[n, o, i, j] = bias[o] + sum over c, kh, kw of
    weight[o, c, kh, kw] * x[n, c, sh i + dh kh - ph, sw j + dw kw - pw], with x = 0 outside.

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (c, h, w)
    weight : Tensor, shape (o, c / groups, kh, kw)
    bias : Tensor, shape (o,), optional
    stride, dilation : int or (int, int)
        Steps between windows, and between the taps of one window, in pixels.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid" or "same"
        Rows and columns of zeros around the input. "same" gives ceil(h / stride) rows.
    groups : int
        Split the channels into groups that do not see each other.
    algo : str, optional
        Which algorithm computes it, and its gradients: one of `kernels.conv_algorithms`. None is whichever is fastest here.

    Returns
    -------
    Tensor, shape (n, o, oh, ow)
        ``oh = floor((h + top + bottom - (dh (kh - 1) + 1)) / sh) + 1``, and ow alike; in the dtype of the input.

    Raises
    ------
    ShapeError
        With the arithmetic, where sizes do not fit.
    ArgumentError
        For an algorithm that is unknown, or cannot compute this.
    MissingExtraError
        For one that needs numba, where that is not installed.

    References
    ----------
    Dumoulin, Visin 2016, section 2.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.arange(9.0).reshape(1, 1, 3, 3)
    >>> weight = tg.arange(4.0).reshape(1, 1, 2, 2)
    >>> tg.conv2d(x, weight)
    tensor([[[[19., 25.],
              [37., 43.]]]])
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups, algo)


def conv3d(
    input: TensorLike,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    *,
    algo: str | None = None,
) -> Tensor:
    """Cross-correlation over three dimensions; see `conv2d`."""
    return _conv(3, input, weight, bias, stride, padding, dilation, groups, algo)


def _conv(
    dims: int,
    input: TensorLike,
    weight: Tensor,
    bias: Tensor | None,
    stride: PerAxis,
    padding: Padding,
    dilation: PerAxis,
    groups: int,
    algo: str | None,
) -> Tensor:
    x, weight = operands(as_tensor(input), as_tensor(weight))
    if x.ndim == dims + 1:
        return _conv(dims, x.unsqueeze(0), weight, bias, stride, padding, dilation, groups, algo).squeeze(0)
    if x.ndim != dims + 2 or weight.ndim != dims + 2:
        raise ShapeError(
            f"conv{dims}d: needs an input of {dims + 2} dimensions (n, c, ...) and a weight of {dims + 2} (o, c / groups, "
            f"...); got shapes {x.shape} and {weight.shape}"
        )
    geometry = ConvGeometry.of(x.shape, weight.shape, stride, padding, dilation, groups)
    params: dict[str, Any] = {"geometry": geometry} if algo is None else {"geometry": geometry, "algo": algo}
    if bias is None:
        return Conv.apply(x, weight, **params)
    if bias.shape != (geometry.out_channels,):
        raise ShapeError(f"conv{dims}d: bias has shape {bias.shape}, weight {weight.shape} needs ({geometry.out_channels},)")
    return Conv.apply(x, weight, bias.to(x.dtype), **params)
