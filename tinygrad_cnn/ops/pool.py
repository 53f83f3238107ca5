"""Pooling: the maximum or the mean of windows, on each channel separately.

A pool that chooses one value of each window (max pooling, and the adaptive, fractional and stochastic pools of other
files) remembers where it was, as its position in the input's plane; its backward scatters to these positions, whose
backward gathers from them. Both are linear, so pooling is closed under differentiation.
"""

from typing import Any

import numpy as np

from .. import kernels
from ..autograd.function import Array, Function
from ..errors import ArgumentError, ShapeError
from ..kernels.geometry import PoolGeometry
from ..kernels.spelling import Padding, PerAxis
from ..tensor import Tensor, TensorLike
from ._arguments import as_float


class ChoosingPool(Function):
    """What all pools have in common whose output is one of the values of each window.

    A subclass has a `forward` that finds the values and their positions, and hands them to `remember`.

    Gradient
        gx = gy at the position of each window's value, 0 elsewhere; where windows overlap, gradients add up
    Saves
        the positions
    """

    def remember(self, y: Array, indices: Array) -> Array:
        """Keep the positions for the backward pass, and for `return_indices`; a plane has fewer than 2^31 of them."""
        indices = indices.astype(np.int32, copy=False)
        self.save_for_backward(indices)
        self.auxiliary = (indices,)
        return y

    def backward(self, gy: Tensor) -> Any:
        (indices,) = self.saved
        return PoolScatter.apply(gy, indices, in_size=self.input_shapes[0][2:])

    def backward_kernel(self, gy: Array) -> Any:
        (indices,) = self.saved_arrays
        return kernels.pool_scatter(gy, indices, self.input_shapes[0][2:])


class WindowedPool:
    """What the pools with windows of one size have in common, beside `Function`: how they introduce themselves."""

    geometry: PoolGeometry

    @property
    def op_name(self) -> str:
        return f"{type(self).__name__}{self.geometry.dims}d"

    @property
    def settings(self) -> dict[str, Any]:
        g = self.geometry
        shown: dict[str, Any] = {"kernel_size": g.kernel_size, "stride": g.stride}
        if any(before or after for before, after in g.padding):
            shown["padding"] = g.padding
        if set(g.dilation) != {1}:
            shown["dilation"] = g.dilation
        if g.ceil_mode:
            shown["ceil_mode"] = True
        return shown


class MaxPool(WindowedPool, ChoosingPool):
    """The largest value of each window; padding counts as -inf, ties go to the first (in row order).

    Gradient
        gx = gy at the position of each window's maximum, 0 elsewhere; where windows overlap, gradients add up
    Saves
        the positions of the maxima
    """

    def forward(self, x: Array) -> Array:
        return self.remember(*kernels.max_pool(x, self.geometry))


class PoolScatter(Function):
    """Values added at positions of a plane of zeros, x[n, c, indices[n, c, i]] += gy[n, c, i].

    Gradient
        ggy = the values of ggx at the positions
    Saves
        the positions
    """

    in_size: tuple[int, ...]

    def forward(self, gy: Array, indices: Array) -> Array:
        self.save_for_backward(indices)
        return kernels.pool_scatter(gy, indices, self.in_size)

    def backward(self, ggx: Tensor) -> Any:
        (indices,) = self.saved
        return PoolGather.apply(ggx, indices), None


class PoolGather(Function):
    """Values picked at positions of a plane, y[n, c, i] = x[n, c, indices[n, c, i]].

    Gradient
        gx = gy added at the positions
    Saves
        the positions
    """

    def forward(self, x: Array, indices: Array) -> Array:
        self.save_for_backward(indices)
        return kernels.pool_gather(x, indices)

    def backward(self, gy: Tensor) -> Any:
        (indices,) = self.saved
        return PoolScatter.apply(gy, indices, in_size=self.input_shapes[0][2:]), None


class AvgPool(WindowedPool, Function):
    """The mean of each window.

    Gradient
        gx = the sum of gy / divisor over the windows that a pixel is in
    Saves
        nothing
    """

    count_include_pad: bool
    divisor_override: int | None

    def forward(self, x: Array) -> Array:
        return kernels.avg_pool(x, self.geometry, self.count_include_pad, self.divisor_override)

    def backward(self, gy: Tensor) -> Any:
        return AvgPoolInputGrad.apply(gy, **self.params)

    def backward_kernel(self, gy: Array) -> Any:
        return kernels.avg_pool_input_grad(gy, self.geometry, self.count_include_pad, self.divisor_override)


class AvgPoolInputGrad(WindowedPool, Function):
    """The transpose of average pooling: each gradient spread evenly over its window.

    Gradient
        ggy = the average pooling of ggx
    Saves
        nothing
    """

    count_include_pad: bool
    divisor_override: int | None

    def forward(self, gy: Array) -> Array:
        return kernels.avg_pool_input_grad(gy, self.geometry, self.count_include_pad, self.divisor_override)

    def backward(self, ggx: Tensor) -> Any:
        return AvgPool.apply(ggx, **self.params)


# The functions that users call ----------------------------------------------------------------------------------------


def batched(name: str, input: TensorLike, dims: int) -> tuple[Tensor, bool]:
    """The input with a batch dimension, and whether it was given one here."""
    x = as_float(input)
    if x.ndim not in (dims + 1, dims + 2):
        raise ShapeError(
            f"{name}{dims}d: needs an input of {dims + 2} dimensions (n, c, ...), or {dims + 1} without a batch; "
            f"got shape {x.shape}"
        )
    return (x.unsqueeze(0), True) if x.ndim == dims + 1 else (x, False)


def chosen(node: ChoosingPool, x: Tensor, unbatched: bool, return_indices: bool) -> Any:
    """Apply a pool that chooses; its output without the batch that was added, and the positions if asked for."""
    y = node(x)
    if not return_indices:
        return y.squeeze(0) if unbatched else y
    indices = Tensor(node.auxiliary[0].astype(np.int64))
    if unbatched:
        y, indices = y.squeeze(0), indices.squeeze(0)
    return y, indices


def max_pool1d(
    input: TensorLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest value of each window of a line, channel by channel; see `max_pool2d`."""
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: TensorLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest value of each window, channel by channel.

    Of equal values the first, in row order, is the maximum: it alone gets the gradient, so that the gradient's sum is
    conserved. A NaN is larger than every number.

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (c, h, w)
    kernel_size : int or (int, int)
        The window, in pixels.
    stride : int or (int, int), optional
        The step between windows; the window's size by default.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid" or "same"
        Of -inf, at most half of the window.
    dilation : int or (int, int)
        The step between the pixels of a window.
    ceil_mode : bool
        Round the output's size up rather than down: the last window may hang over the edge.
    return_indices : bool
        Return the maxima's positions as well, row * width + column in the input's plane, as int64.

    Returns
    -------
    Tensor, shape (n, c, oh, ow), or (Tensor, Tensor)
        ``oh = floor((h + 2 padding - (dilation (kernel - 1) + 1)) / stride) + 1``; in the dtype of the input.

    Raises
    ------
    ShapeError
        With the arithmetic, where no window fits.
    ArgumentError
        For an option out of its range.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.arange(9.0).reshape(1, 1, 3, 3)
    >>> tg.max_pool2d(x, 2, stride=1)
    tensor([[[[4., 5.],
              [7., 8.]]]])
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: TensorLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest value of each window of a volume, channel by channel; see `max_pool2d`."""
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _max_pool(
    dims: int,
    input: TensorLike,
    kernel_size: PerAxis,
    stride: PerAxis | None,
    padding: Padding,
    dilation: PerAxis,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    x, unbatched = batched("max_pool", input, dims)
    geometry = PoolGeometry.of(x.shape, kernel_size, stride, padding, dilation, ceil_mode, op="max_pool")
    return chosen(MaxPool(geometry=geometry), x, unbatched, return_indices)


def avg_pool1d(
    input: TensorLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: float | None = None,
) -> Tensor:
    """The mean of each window of a line, channel by channel; see `avg_pool2d`."""
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool2d(
    input: TensorLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: float | None = None,
) -> Tensor:
    """The mean of each window, channel by channel.

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (c, h, w)
    kernel_size : int or (int, int)
        The window, in pixels.
    stride : int or (int, int), optional
        The step between windows; the window's size by default.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid" or "same"
        Of zeros, at most half of the window.
    ceil_mode : bool
        Round the output's size up rather than down: the last window may hang over the edge.
    count_include_pad : bool
        Whether padding counts in the divisor. What hangs over the edge in `ceil_mode` never does.
    divisor_override : number, optional
        Divide by this instead: 1 gives sums.

    Returns
    -------
    Tensor, shape (n, c, oh, ow)
        With oh and ow as for `max_pool2d`; in the dtype of the input.

    Raises
    ------
    ShapeError
        With the arithmetic, where no window fits.
    ArgumentError
        For an option out of its range.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.arange(9.0).reshape(1, 1, 3, 3)
    >>> tg.avg_pool2d(x, 2, stride=1)
    tensor([[[[2., 3.],
              [5., 6.]]]])
    """
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input: TensorLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: float | None = None,
) -> Tensor:
    """The mean of each window of a volume, channel by channel; see `avg_pool2d`."""
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _avg_pool(
    dims: int,
    input: TensorLike,
    kernel_size: PerAxis,
    stride: PerAxis | None,
    padding: Padding,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: float | None,
) -> Tensor:
    x, unbatched = batched("avg_pool", input, dims)
    if divisor_override is not None and divisor_override <= 0:
        raise ArgumentError(f"avg_pool{dims}d: divisor_override must be a positive number, got {divisor_override}")
    y = AvgPool.apply(
        x,
        geometry=PoolGeometry.of(x.shape, kernel_size, stride, padding, 1, ceil_mode, op="avg_pool"),
        count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )
    return y.squeeze(0) if unbatched else y
