"""Max unpooling: the maxima put back where they were, zeros elsewhere.

It is how a deconvnet goes down through a pooling layer: with the positions that the pool recorded (its "switches") a
picture of features becomes one of the size before the pool.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..autograd.function import Array, Function
from ..errors import ArgumentError, DTypeError, ShapeError
from ..kernels.spelling import PerAxis, axis_names, integer, per_axis
from ..tensor import Tensor, TensorLike
from ._arguments import as_tensor
from .elementwise import where
from .pool import PoolGather, batched


class MaxUnpool(Function):
    """Values of x (n, c, ...) written to positions of planes of zeros; of several at one position the last stays.

    Gradient
        gx = gy at x's position, 0 where another value was written over it
    Saves
        the positions, and which values are still there (None if all are)
    """

    out_size: tuple[int, ...]

    @property
    def op_name(self) -> str:
        return f"MaxUnpool{len(self.out_size)}d"

    def forward(self, x: Array, indices: Array) -> Array:
        stayed = _last_at_its_place(indices, self.out_size)
        self.save_for_backward(indices, stayed)
        # Nothing meets at a position any more, so adding is writing.
        return kernels.pool_scatter(x if stayed is None else np.where(stayed, x, x.dtype.type(0)), indices, self.out_size)

    def backward(self, gy: Tensor) -> Any:
        indices, stayed = self.saved
        gx = PoolGather.apply(gy, indices)
        return gx if stayed is None else where(stayed, gx, 0.0), None


def _last_at_its_place(indices: Array, out_size: tuple[int, ...]) -> Array | None:
    """Whether each position is the last of its kind in its plane; None where no position occurs twice."""
    planes = math.prod(indices.shape[:2])
    per_plane = math.prod(indices.shape[2:])
    flat = indices.reshape(planes, per_plane) + np.arange(planes)[:, None] * math.prod(out_size)
    number = np.arange(flat.size).reshape(flat.shape)
    written_last = np.empty(planes * math.prod(out_size), np.int64)
    written_last[flat] = number  # of equal positions, NumPy keeps the last
    stayed = np.asarray(written_last[flat] == number)
    return None if stayed.all() else stayed.reshape(indices.shape)


# The functions that users call ----------------------------------------------------------------------------------------


def max_unpool1d(
    input: TensorLike,
    indices: TensorLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Maxima put back into lines; see `max_unpool2d`."""
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: TensorLike,
    indices: TensorLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Maxima put back where max pooling found them, zeros elsewhere.

    y[n, c].flat[indices[n, c, i, j]] = x[n, c, i, j]. Where windows overlap, several outputs of the pool may be at one
    position: the last one, in row order, is written, and it alone gets the gradient. (PyTorch leaves open which is written,
    and gives the gradient to all.)

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (c, h, w)
    indices : Tensor of integers, of the input's shape
        Positions in the output's plane, row * width + column: what `max_pool2d` gives with ``return_indices=True``.
    kernel_size, stride, padding : int or (int, int)
        Those of the pool.
    output_size : sequence of int, optional
        Of the output, (oh, ow) or its whole shape: several sizes before a pool give one size after it. It may differ
        from the usual one by less than the stride.

    Returns
    -------
    Tensor, shape (n, c, oh, ow)
        ``oh = (h - 1) stride - 2 padding + kernel`` unless `output_size` says otherwise; in the dtype of the input.

    Raises
    ------
    ShapeError
        For indices of another shape, and an `output_size` that is not near.
    ArgumentError
        For indices outside the output.
    DTypeError
        For indices that are not integers.

    References
    ----------
    Zeiler, Fergus 2014, "Visualizing and understanding convolutional networks", section 2.1.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([[[[1.0, 2.0], [4.0, 3.0]]]])
    >>> y, indices = tg.max_pool2d(x, 2, return_indices=True)
    >>> tg.max_unpool2d(y, indices, 2)
    tensor([[[[0., 0.],
              [4., 0.]]]])
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: TensorLike,
    indices: TensorLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Maxima put back into volumes; see `max_unpool2d`."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


def _max_unpool(
    dims: int,
    input: TensorLike,
    indices: TensorLike,
    kernel_size: PerAxis,
    stride: PerAxis | None,
    padding: PerAxis,
    output_size: Sequence[int] | None,
) -> Tensor:
    name = f"max_unpool{dims}d"
    x, unbatched = batched("max_unpool", input, dims)
    places = as_tensor(indices)
    places = places.unsqueeze(0) if unbatched and places.ndim == dims + 1 else places
    if places.dtype.kind not in "iu":
        raise DTypeError(f"{name}: indices must be integers, as max_pool{dims}d returns them; got {places.dtype}")
    if places.shape != x.shape:
        raise ShapeError(f"{name}: one index for each value is needed, got indices of shape {places.shape} for {x.shape}")
    kernel = per_axis(name, "kernel_size", kernel_size, dims, at_least=1)
    step = kernel if stride is None else per_axis(name, "stride", stride, dims, at_least=1)
    border = per_axis(name, "padding", padding, dims, at_least=0)
    usual = tuple(
        (size - 1) * s - 2 * p + k for size, s, p, k in zip(x.shape[2:], step, border, kernel, strict=True)
    )
    out_size = usual if output_size is None else _checked_size(name, output_size, usual, step)
    for axis, size in zip(axis_names(dims), out_size, strict=True):
        if size < 1:
            raise ShapeError(f"{name}: the output's {axis} would be {size}; lessen the padding, or give output_size")
    positions = math.prod(out_size)
    if places.numel() and not 0 <= places.array.min() <= places.array.max() < positions:
        raise ArgumentError(
            f"{name}: indices run from {places.array.min()} to {places.array.max()}, but an output of size {out_size} has the "
            f"positions 0 to {positions - 1}: give the output_size that the pool's input had"
        )
    y = MaxUnpool.apply(x, places.to(np.int64), out_size=out_size)
    return y.squeeze(0) if unbatched else y


def _checked_size(name: str, output_size: Sequence[int], usual: tuple[int, ...], stride: tuple[int, ...]) -> tuple[int, ...]:
    """The spatial part of a size, each number less than a stride away from the usual one, as in PyTorch."""
    dims = len(usual)
    if len(output_size) not in (dims, dims + 1, dims + 2):
        raise ShapeError(
            f"{name}: output_size must have {dims} numbers ({', '.join(axis_names(dims))}) or be a whole shape; got "
            f"{tuple(output_size)}"
        )
    asked = tuple(integer(name, "output_size", size, at_least=1) for size in output_size[-dims:])
    for axis, size, middle, step in zip(axis_names(dims), asked, usual, stride, strict=True):
        if not middle - step < size < middle + step:
            raise ShapeError(
                f"{name}: output_size {size} along the {axis} must be between {middle - step + 1} and {middle + step - 1}: "
                f"the usual size {middle}, give or take less than the stride {step}"
            )
    return asked
