"""Pools with chance in them: fractional max pooling draws where its windows lie, stochastic pooling which value wins.

Both draw from the package's generator, so `manual_seed` repeats them.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..autograd.function import Array
from ..errors import ArgumentError, ShapeError
from ..kernels.geometry import PoolGeometry
from ..kernels.spelling import Padding, PerAxis, axis_names, per_axis
from ..random import default_generator
from ..tensor import Tensor, TensorLike
from ._arguments import as_tensor
from .elementwise import where
from .pool import AvgPool, ChoosingPool, WindowedPool, batched, chosen


class FractionalMaxPool(ChoosingPool):
    """The largest value of windows at uneven distances, drawn for each plane; ties go to the first (in row order).

    Gradient
        gx = gy at the position of each window's maximum, 0 elsewhere; where windows overlap, gradients add up
    Saves
        the positions of the maxima
    """

    kernel_size: tuple[int, ...]
    starts: tuple[Array, ...]

    @property
    def op_name(self) -> str:
        return f"FractionalMaxPool{len(self.kernel_size)}d"

    @property
    def settings(self) -> dict[str, Any]:
        return {"kernel_size": self.kernel_size, "output_size": tuple(start.shape[2] for start in self.starts)}

    def forward(self, x: Array) -> Array:
        return self.remember(*kernels.fractional_max_pool(x, self.starts, self.kernel_size))


class StochasticPool(WindowedPool, ChoosingPool):
    """One value of each window, drawn with a probability in proportion to itself.

    Gradient
        gx = gy at the position of each window's value, 0 elsewhere; where windows overlap, gradients add up
    Saves
        the positions of the values
    """

    def forward(self, x: Array) -> Array:
        draws = default_generator().random((*x.shape[:2], *self.geometry.out_size))
        return self.remember(*kernels.stochastic_pool(x, draws, self.geometry))


# The functions that users call ----------------------------------------------------------------------------------------


def fractional_max_pool2d(
    input: TensorLike,
    kernel_size: PerAxis,
    output_size: PerAxis | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: TensorLike | None = None,
) -> Any:
    """Max pooling that shrinks an image by any factor: the windows lie at uneven distances, drawn at random.

    Along an axis of n pixels, window i of m starts at floor((i + u) alpha) - floor(u alpha), with alpha = (n - kernel) /
    (m - 1) and u drawn from [0, 1) for each map and axis; the last window ends at the edge. The steps between windows are
    floor(alpha) and ceil(alpha), in an order that u decides.

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (c, h, w)
    kernel_size : int or (int, int)
        The window, in pixels.
    output_size : int or (int, int), optional
        (oh, ow).
    output_ratio : float or (float, float), optional
        Instead of `output_size`: the output's size as a part of the input's, between 0 and 1.
    return_indices : bool
        Return the maxima's positions as well, row * width + column in the input's plane, as int64.
    _random_samples : Tensor, shape (n, c, 2), optional
        u for the width and for the height of each map; drawn if not given.

    Returns
    -------
    Tensor, shape (n, c, oh, ow), or (Tensor, Tensor)
        In the dtype of the input.

    Raises
    ------
    ArgumentError
        Unless exactly one of `output_size` and `output_ratio` is given.
    ShapeError
        With the arithmetic, where the input has no room for the windows.

    References
    ----------
    Graham 2014, "Fractional max-pooling", section 2. The paper's windows have the size of the steps (or one pixel more,
    to overlap); here, as in PyTorch, their size is given.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.arange(25.0).reshape(1, 1, 5, 5)
    >>> tg.fractional_max_pool2d(x, 2, output_size=3, _random_samples=tg.full((1, 1, 2), 0.5))
    tensor([[[[ 6.,  8.,  9.],
              [16., 18., 19.],
              [21., 23., 24.]]]])
    """
    name = "fractional_max_pool2d"
    x, unbatched = batched("fractional_max_pool", input, 2)
    kernel = per_axis(name, "kernel_size", kernel_size, 2, at_least=1)
    out_size = _fractional_size(name, output_size, output_ratio, x.shape[2:])
    _check_room(name, x.shape[2:], kernel, out_size)
    samples = _samples(name, _random_samples, (*x.shape[:2], 2))
    # PyTorch has the width first.
    starts = tuple(
        _window_starts(samples[:, :, 1 - axis], x.shape[2 + axis], out_size[axis], kernel[axis]) for axis in range(2)
    )
    return chosen(FractionalMaxPool(kernel_size=kernel, starts=starts), x, unbatched, return_indices)


def _fractional_size(
    name: str, output_size: PerAxis | None, output_ratio: float | Sequence[float] | None, in_size: tuple[int, ...]
) -> tuple[int, ...]:
    if (output_size is None) == (output_ratio is None):
        raise ArgumentError(
            f"{name}: give either output_size or output_ratio; got output_size={output_size}, output_ratio={output_ratio}"
        )
    if output_size is not None:
        return per_axis(name, "output_size", output_size, len(in_size), at_least=1)
    ratios = tuple(output_ratio) if isinstance(output_ratio, Sequence) else (output_ratio,) * len(in_size)
    if len(ratios) != len(in_size) or not all(ratio is not None and 0 < ratio < 1 for ratio in ratios):
        raise ArgumentError(
            f"{name}: output_ratio must be a number between 0 and 1, or one for each of the {len(in_size)} spatial axes; got "
            f"{output_ratio!r}"
        )
    sizes = tuple(int(size * float(ratio or 0)) for size, ratio in zip(in_size, ratios, strict=True))
    return per_axis(name, "the output size, input size * output_ratio,", sizes, len(in_size), at_least=1)


def _check_room(name: str, in_size: tuple[int, ...], kernel_size: tuple[int, ...], out_size: tuple[int, ...]) -> None:
    """Every window needs a place of its own: they may be one pixel apart, not less."""
    for axis, size, k, out in zip(axis_names(len(in_size)), in_size, kernel_size, out_size, strict=True):
        if out + k - 1 > size:
            raise ShapeError(
                f"{name}: output {axis} {out} + kernel {axis} {k} - 1 = {out + k - 1} is more than the input {axis} {size}: "
                f"use an output of at most {size - k + 1}, or a smaller kernel"
            )


def _samples(name: str, given: TensorLike | None, shape: tuple[int, ...]) -> Array:
    if given is None:
        return default_generator().random(shape)
    samples = as_tensor(given).array
    if samples.shape != shape:
        raise ShapeError(f"{name}: _random_samples must have shape (n, c, 2) = {shape}; got {samples.shape}")
    return samples


def _window_starts(u: Array, size: int, out: int, kernel: int) -> Array:
    """The first pixel of each window of each plane, shape (n, c, out)."""
    starts = np.full((*u.shape, out), size - kernel, np.int64)
    if out > 1:
        alpha = u.dtype.type((size - kernel) / (out - 1))  # in the samples' precision, as PyTorch has it
        along = np.arange(out - 1, dtype=u.dtype)
        starts[..., :-1] = ((along + u[..., None]) * alpha).astype(np.int64) - (u[..., None] * alpha).astype(np.int64)
    return starts


def stochastic_pool1d(
    input: TensorLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    training: bool = True,
    return_indices: bool = False,
) -> Any:
    """One value of each window of a line, drawn by its size; see `stochastic_pool2d`."""
    return _stochastic_pool(1, input, kernel_size, stride, padding, ceil_mode, training, return_indices)


def stochastic_pool2d(
    input: TensorLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    training: bool = True,
    return_indices: bool = False,
) -> Any:
    """Pooling that regularizes: in training, one value of each window drawn with a probability in proportion to itself.

    With p_i = x_i / (sum of x over the window), training gives x_l for a draw l from p, and testing gives the expectation,
    the sum of p_i x_i. A window of zeros gives 0: in training its first pixel is taken; in testing its gradient is 0.

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (c, h, w)
        Not negative: what comes out of a ReLU.
    kernel_size : int or (int, int)
        The window, in pixels.
    stride : int or (int, int), optional
        The step between windows; the window's size by default.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid" or "same"
        Of pixels that are never drawn, at most half of the window.
    ceil_mode : bool
        Round the output's size up rather than down: the last window may hang over the edge.
    training : bool
        Draw; otherwise weight by the probabilities.
    return_indices : bool
        Return the drawn positions as well, row * width + column in the input's plane, as int64; in training only.

    Returns
    -------
    Tensor, shape (n, c, oh, ow), or (Tensor, Tensor)
        With oh and ow as for `max_pool2d`; in the dtype of the input.

    Raises
    ------
    ArgumentError
        For a negative input, and for indices outside training.
    ShapeError
        With the arithmetic, where no window fits.

    References
    ----------
    Zeiler, Fergus 2013, "Stochastic pooling for regularization of deep convolutional neural networks", equations 4 to 6.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([[[[1.0, 0.0], [0.0, 3.0]]]])
    >>> tg.stochastic_pool2d(x, 2, training=False)      # 1/4 * 1 + 3/4 * 3
    tensor([[[[2.5]]]])
    """
    return _stochastic_pool(2, input, kernel_size, stride, padding, ceil_mode, training, return_indices)


def _stochastic_pool(
    dims: int,
    input: TensorLike,
    kernel_size: PerAxis,
    stride: PerAxis | None,
    padding: Padding,
    ceil_mode: bool,
    training: bool,
    return_indices: bool,
) -> Any:
    name = f"stochastic_pool{dims}d"
    x, unbatched = batched("stochastic_pool", input, dims)
    lowest = float(x.array.min(initial=math.inf))
    if lowest < 0:
        raise ArgumentError(
            f"{name}: the input is what the probabilities are made of and must not be negative, but its smallest value is "
            f"{lowest}: put a ReLU before it"
        )
    geometry = PoolGeometry.of(x.shape, kernel_size, stride, padding, 1, ceil_mode, op="stochastic_pool")
    if training:
        return chosen(StochasticPool(geometry=geometry), x, unbatched, return_indices)
    if return_indices:
        raise ArgumentError(f"{name}: outside training nothing is drawn, so there are no indices: return_indices=False")
    y = _expectation(x, geometry)
    return y.squeeze(0) if unbatched else y


def _expectation(x: Tensor, geometry: PoolGeometry) -> Tensor:
    """The sum of p_i x_i over each window, p_i = x_i / sum of x: the sum of squares over the sum."""
    total, squares = (
        AvgPool.apply(values, geometry=geometry, count_include_pad=True, divisor_override=1) for values in (x, x * x)
    )
    return squares / where(total == 0, 1.0, total)
