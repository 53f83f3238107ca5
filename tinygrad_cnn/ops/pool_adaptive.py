"""Adaptive and global pooling: the output's size is given, and the windows follow from it.

Along an axis of size n, output i of m takes the inputs from floor(i n / m) up to, but without, ceil((i + 1) n / m). One
output for the whole plane is global pooling.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from .. import kernels
from ..autograd.function import Array, Function
from ..errors import ArgumentError, ShapeError
from ..kernels.spelling import axis_names, per_axis
from ..tensor import Tensor, TensorLike
from .pool import ChoosingPool, batched, chosen

OutputSize: TypeAlias = int | Sequence[int | None] | None


class AdaptiveAvgPool(Function):
    """The mean of each of `out_size` windows that cover x.

    Gradient
        gx = the sum of gy / (size of the window) over the windows that a pixel is in
    Saves
        nothing
    """

    out_size: tuple[int, ...]

    @property
    def op_name(self) -> str:
        return f"{type(self).__name__}{len(self.out_size)}d"

    def forward(self, x: Array) -> Array:
        return kernels.adaptive_avg_pool(x, self.out_size)

    def backward(self, gy: Tensor) -> Any:
        return AdaptiveAvgPoolInputGrad.apply(gy, in_size=self.input_shapes[0][2:])

    def backward_kernel(self, gy: Array) -> Any:
        return kernels.adaptive_avg_pool_input_grad(gy, self.input_shapes[0][2:])


class AdaptiveAvgPoolInputGrad(Function):
    """The transpose of adaptive average pooling: each gradient spread evenly over its window.

    Gradient
        ggy = the adaptive average pooling of ggx
    Saves
        nothing
    """

    in_size: tuple[int, ...]

    @property
    def op_name(self) -> str:
        return f"{type(self).__name__}{len(self.in_size)}d"

    def forward(self, gy: Array) -> Array:
        return kernels.adaptive_avg_pool_input_grad(gy, self.in_size)

    def backward(self, ggx: Tensor) -> Any:
        return AdaptiveAvgPool.apply(ggx, out_size=self.input_shapes[0][2:])


class AdaptiveMaxPool(ChoosingPool):
    """The largest value of each of `out_size` windows that cover x; ties go to the first (in row order).

    Gradient
        gx = gy at the position of each window's maximum, 0 elsewhere; where windows overlap, gradients add up
    Saves
        the positions of the maxima
    """

    out_size: tuple[int, ...]

    @property
    def op_name(self) -> str:
        return f"AdaptiveMaxPool{len(self.out_size)}d"

    def forward(self, x: Array) -> Array:
        return self.remember(*kernels.adaptive_max_pool(x, self.out_size))


# The functions that users call ----------------------------------------------------------------------------------------


def adaptive_avg_pool1d(input: TensorLike, output_size: OutputSize) -> Tensor:
    """The mean of each of `output_size` windows that cover a line; see `adaptive_avg_pool2d`."""
    return _adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input: TensorLike, output_size: OutputSize) -> Tensor:
    """The mean of each of ``oh * ow`` windows that cover the image, whatever its size.

    y[i, j] is the mean over the rows from floor(i h / oh) to ceil((i + 1) h / oh) - 1, and the columns alike. Where oh
    divides h, that is `avg_pool2d` with windows of h / oh rows.

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (c, h, w)
    output_size : int, None or (int or None, int or None)
        (oh, ow); None keeps the input's size.

    Returns
    -------
    Tensor, shape (n, c, oh, ow)
        In the dtype of the input.

    Raises
    ------
    ArgumentError
        For an `output_size` that is no size.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.arange(15.0).reshape(1, 1, 3, 5)
    >>> tg.adaptive_avg_pool2d(x, (1, 2))
    tensor([[[[6., 8.]]]])
    """
    return _adaptive_avg_pool(2, input, output_size)


def adaptive_avg_pool3d(input: TensorLike, output_size: OutputSize) -> Tensor:
    """The mean of each of ``od * oh * ow`` windows that cover a volume; see `adaptive_avg_pool2d`."""
    return _adaptive_avg_pool(3, input, output_size)


def adaptive_max_pool1d(input: TensorLike, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The largest value of each of `output_size` windows that cover a line; see `adaptive_max_pool2d`."""
    return _adaptive_max_pool(1, input, output_size, return_indices)


def adaptive_max_pool2d(input: TensorLike, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The largest value of each of ``oh * ow`` windows that cover the image, whatever its size.

    The windows are those of `adaptive_avg_pool2d`; ties and NaNs are treated as in `max_pool2d`.

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (c, h, w)
    output_size : int, None or (int or None, int or None)
        (oh, ow); None keeps the input's size.
    return_indices : bool
        Return the maxima's positions as well, row * width + column in the input's plane, as int64.

    Returns
    -------
    Tensor, shape (n, c, oh, ow), or (Tensor, Tensor)
        In the dtype of the input.

    Raises
    ------
    ArgumentError
        For an `output_size` that is no size.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.arange(15.0).reshape(1, 1, 3, 5)
    >>> tg.adaptive_max_pool2d(x, (1, 2))
    tensor([[[[12., 14.]]]])
    """
    return _adaptive_max_pool(2, input, output_size, return_indices)


def adaptive_max_pool3d(input: TensorLike, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The largest value of each of ``od * oh * ow`` windows that cover a volume; see `adaptive_max_pool2d`."""
    return _adaptive_max_pool(3, input, output_size, return_indices)


def global_avg_pool1d(input: TensorLike) -> Tensor:
    """The mean of each line, (n, c, width) to (n, c, 1)."""
    return _adaptive_avg_pool(1, input, 1)


def global_avg_pool2d(input: TensorLike) -> Tensor:
    """The mean of each map, (n, c, h, w) to (n, c, 1, 1): ``adaptive_avg_pool2d(input, 1)``.

    References
    ----------
    Lin, Chen, Yan 2013, "Network in network", section 3.2.
    """
    return _adaptive_avg_pool(2, input, 1)


def global_avg_pool3d(input: TensorLike) -> Tensor:
    """The mean of each volume, (n, c, d, h, w) to (n, c, 1, 1, 1)."""
    return _adaptive_avg_pool(3, input, 1)


def global_max_pool1d(input: TensorLike) -> Tensor:
    """The largest value of each line, (n, c, width) to (n, c, 1)."""
    y: Tensor = _adaptive_max_pool(1, input, 1, False)
    return y


def global_max_pool2d(input: TensorLike) -> Tensor:
    """The largest value of each map, (n, c, h, w) to (n, c, 1, 1): ``adaptive_max_pool2d(input, 1)``."""
    y: Tensor = _adaptive_max_pool(2, input, 1, False)
    return y


def global_max_pool3d(input: TensorLike) -> Tensor:
    """The largest value of each volume, (n, c, d, h, w) to (n, c, 1, 1, 1)."""
    y: Tensor = _adaptive_max_pool(3, input, 1, False)
    return y


def _adaptive_avg_pool(dims: int, input: TensorLike, output_size: OutputSize) -> Tensor:
    x, unbatched = batched("adaptive_avg_pool", input, dims)
    y = AdaptiveAvgPool.apply(x, out_size=_out_size(f"adaptive_avg_pool{dims}d", output_size, x.shape[2:]))
    return y.squeeze(0) if unbatched else y


def _adaptive_max_pool(dims: int, input: TensorLike, output_size: OutputSize, return_indices: bool) -> Any:
    x, unbatched = batched("adaptive_max_pool", input, dims)
    node = AdaptiveMaxPool(out_size=_out_size(f"adaptive_max_pool{dims}d", output_size, x.shape[2:]))
    return chosen(node, x, unbatched, return_indices)


def _out_size(name: str, output_size: OutputSize, in_size: tuple[int, ...]) -> tuple[int, ...]:
    """One number for each axis; None becomes the input's."""
    dims = len(in_size)
    for axis, size in zip(axis_names(dims), in_size, strict=True):
        if size < 1:
            raise ShapeError(f"{name}: input {axis} is {size}, but only the batch may be empty: give at least 1")
    asked = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * dims
    if len(asked) != dims:
        raise ArgumentError(
            f"{name}: output_size must be an int, or have an int or None for each of the {dims} spatial axes "
            f"({', '.join(axis_names(dims))}); got {output_size!r}"
        )
    kept = tuple(size if new is None else new for new, size in zip(asked, in_size, strict=True))
    return per_axis(name, "output_size", kept, dims, at_least=1)
