"""Images seen through a grid of sampling points: the spatial transformer's two functions.

A point says where in the input an output pixel looks, in coordinates in which the image reaches from -1 to 1 along each
axis. `grid_sample` turns that into pixel coordinates, brings those outside back by the padding's rule, and weighs the
pixels around. It is linear in the image, and in the point it is as smooth as the interpolation: every step is an op, so
gradients of every order come with it.

Kinks, and the value there. Between pixels, bilinear sampling is smooth; where a coordinate is an integer its slope jumps,
and the slope to the right is taken. A coordinate on the border, or beyond, has slope 0 under padding "border", and under
"reflection" where it is folded. "nearest" is flat in the grid, so the gradient is 0. "bicubic" has a continuous slope; its
second derivative jumps at integers.

References
----------
Jaderberg, Simonyan, Zisserman, Kavukcuoglu 2015, "Spatial transformer networks", section 3.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.function import Array, Function
from ..errors import ArgumentError, ShapeError
from ..kernels.numpy_resample import cubic_far, cubic_near
from ..tensor import Tensor, TensorLike
from ._arguments import as_float, operands
from .linalg import einsum, matmul
from .pool import PoolGather
from .shape import stack

_FIRST_TAP = {"nearest": (0, 1), "bilinear": (0, 2), "bicubic": (-1, 3)}
"""For each mode, the range of pixels that are read, counted from the one at or before the point."""
_PADDING_MODES = ("zeros", "border", "reflection")


class PadPosition(Function):
    """Pixel coordinates x (..., axes) outside the image brought back to it, each axis by itself.

    Padding "border" moves them to the edge, "reflection" folds them at the edges; "zeros" leaves them, but none further
    out than where all is zero. For "bicubic" it is each pixel that is brought back, not the point, and coordinates only
    stay within reach.

    Gradient
        gx = gy * slope, with slope 1 for coordinates that stayed where they were, -1 where an odd number of folds turned
        them round, 0 at and beyond the edges that they were moved to
    Saves
        slope
    """

    sizes: tuple[int, ...]
    mode: str
    padding_mode: str
    align_corners: bool

    def forward(self, x: Array) -> Array:
        last = np.array(self.sizes, x.dtype) - 1
        reach = 0
        slope = np.ones_like(x)
        if self.padding_mode == "reflection":
            x, slope = _reflected(x, last, self.align_corners, fold=self.mode != "bicubic")
        if self.mode == "bicubic" or self.padding_mode == "zeros":
            reach = 3
        if self.mode != "bicubic" or self.padding_mode != "reflection":
            slope = np.where((x > -reach) & (x < last + reach), slope, 0)
            x = np.clip(x, -reach, last + reach)
        self.save_for_backward(slope)
        return x

    def backward(self, gy: Tensor) -> Any:
        (slope,) = self.saved
        return gy * slope


def _reflected(x: Array, last: Array, align_corners: bool, fold: bool) -> tuple[Array, Array]:
    """Fold at the centres of the outermost pixels, or at their outer edges; or only take whole periods off."""
    edge = x.dtype.type(0 if align_corners else 0.5)
    span = last + 2 * edge
    with np.errstate(invalid="ignore"):  # of an infinity: NaN
        along = np.remainder(x + edge, np.where(span > 0, 2 * span, 1))
    back = along > span
    if not fold:
        return along - edge, np.ones_like(x)
    return np.where(back, 2 * span - along, along) - edge, np.where(back, -1, 1).astype(x.dtype)


# The functions that users call ----------------------------------------------------------------------------------------


def grid_sample(
    input: TensorLike,
    grid: TensorLike,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Sample images at the points of a grid.

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (n, c, d, h, w)
    grid : Tensor, shape (n, oh, ow, 2) or (n, od, oh, ow, 3)
        For each output pixel the point (x, y) or (x, y, z) where it looks: (-1, -1) is the top left corner, (1, 1) the
        bottom right one. NaN gives NaN.
    mode : {"bilinear", "nearest", "bicubic"}
        How the pixels around a point are weighed: the 2 along each axis by nearness (trilinear for volumes), the nearest
        one (a tie goes to the even one), or 4 along each axis by Keys' cubic with a = -0.75 (images only).
    padding_mode : {"zeros", "border", "reflection"}
        What lies outside: zeros; the edge; or the image mirrored, again and again.
    align_corners : bool, optional
        Whether -1 and 1 are the centres of the corner pixels (True) or the outer edges of the image (False, the default).

    Returns
    -------
    Tensor, shape (n, c, oh, ow) or (n, c, od, oh, ow)
        Differentiable in `input` and in `grid`, to every order; see the top of the module for the kinks.

    Raises
    ------
    ArgumentError
        For an unknown mode or padding.
    ShapeError
        If the grid does not fit the input.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> points = tg.tensor([[[[0.0, 0.0], [-1.0, 0.0], [5.0, 5.0]]]])
    >>> tg.grid_sample(x, points, align_corners=True)
    tensor([[[[2.5, 2. , 0. ]]]])
    """
    x, points = operands(as_float(input), as_float(grid))
    _check_grid(x, points, mode, padding_mode)
    aligned = bool(align_corners)
    sizes = x.shape[2:]
    # Points list the last axis first. An image from -1 to 1 has its middle pixel coordinate, (n - 1) / 2, at 0.
    last = np.array(sizes[::-1], x.dtype) - 1
    position = points * Tensor((last if aligned else last + 1) / 2) + Tensor(last / 2)
    position = PadPosition.apply(
        position, sizes=sizes[::-1], mode=mode, padding_mode=padding_mode, align_corners=aligned
    )
    n, *out = points.shape[:-1]
    flat = position.reshape(n, math.prod(out), len(sizes))
    along_axes = [
        _axis_taps(flat[:, :, -1 - axis], size, mode, padding_mode, aligned) for axis, size in enumerate(sizes)
    ]
    index, weight = along_axes[0]
    for size, (at, share) in zip(sizes[1:], along_axes[1:], strict=True):
        taps = (n, index.shape[1] * at.shape[1], flat.shape[1])
        index = (index[:, :, None] * size + at[:, None]).reshape(taps)
        weight = (weight.unsqueeze(2) * share.unsqueeze(1)).reshape(taps)
    everywhere = np.broadcast_to(index[:, None], (n, x.shape[1], *index.shape[1:]))
    y = einsum("nckp,nkp->ncp", PoolGather.apply(x, Tensor(everywhere)), weight)
    return y.reshape(n, x.shape[1], *out)


def _axis_taps(position: Tensor, size: int, mode: str, padding_mode: str, aligned: bool) -> tuple[Array, Tensor]:
    """The pixels to read along one axis and their weights, from positions (n, points); both of shape (n, taps, points)."""
    at = np.nan_to_num(position.array)
    first = (np.rint(at) if mode == "nearest" else np.floor(at)).astype(np.int64)
    past = position - Tensor(first.astype(position.dtype))
    if mode == "nearest":
        weight = (past * 0 + 1).unsqueeze(1)  # flat, but not without a gradient: it is 0
    elif mode == "bilinear":
        weight = stack([1 - past, past], 1)
    else:
        weight = stack([cubic_far(past + 1), cubic_near(past), cubic_near(1 - past), cubic_far(2 - past)], 1)
    index = first[:, None] + np.arange(*_FIRST_TAP[mode])[:, None]
    if padding_mode == "zeros":
        weight = weight * Tensor(((index >= 0) & (index < size)).astype(weight.dtype))
    elif padding_mode == "reflection":
        period = max(2 * size - 2 * aligned, 1)
        index = index % period
        index = np.where(index >= size, period - (not aligned) - index, index)
    return np.clip(index, 0, size - 1), weight


def _check_grid(x: Tensor, points: Tensor, mode: str, padding_mode: str) -> None:
    if mode not in _FIRST_TAP:
        raise ArgumentError(f"grid_sample: unknown mode {mode!r}; choose one of {', '.join(_FIRST_TAP)}")
    if padding_mode not in _PADDING_MODES:
        raise ArgumentError(f"grid_sample: unknown padding_mode {padding_mode!r}; choose one of {', '.join(_PADDING_MODES)}")
    dims = x.ndim - 2
    if dims not in (2, 3) or 0 in x.shape[2:]:
        raise ShapeError(f"grid_sample: needs an input of shape (n, c, h, w) or (n, c, d, h, w) with pixels, got {x.shape}")
    if mode == "bicubic" and dims == 3:
        raise ShapeError(f"grid_sample: mode 'bicubic' is for images (n, c, h, w), got shape {x.shape}; use 'bilinear'")
    if points.ndim != x.ndim or points.shape[0] != x.shape[0] or points.shape[-1] != dims:
        raise ShapeError(
            f"grid_sample: an input of shape {x.shape} needs a grid of shape ({x.shape[0]}, {'od, ' * (dims == 3)}oh, ow, "
            f"{dims}), got {points.shape}"
        )


def affine_grid(theta: TensorLike, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid with which `grid_sample` applies an affine map: for each output pixel, where in the input it comes from.

    ``grid[n, i, j] = theta[n] @ (x_j, y_i, 1)``, with x and y from -1 to 1 over the output.

    Parameters
    ----------
    theta : Tensor, shape (n, 2, 3) or (n, 3, 4)
        Maps coordinates of the output to coordinates of the input: a scale of 2 shows twice as much, half as large.
    size : sequence of int
        The shape of the output, (n, c, h, w) or (n, c, d, h, w).
    align_corners : bool, optional
        Whether -1 and 1 are the centres of the corner pixels (True) or the outer edges of the image (False, the default).

    Returns
    -------
    Tensor, shape (n, h, w, 2) or (n, d, h, w, 3)

    Raises
    ------
    ShapeError
        If `theta` and `size` do not belong together.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> shifted = tg.tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]])
    >>> tg.affine_grid(shifted, (1, 1, 1, 2))
    tensor([[[[0., 0.],
              [1., 0.]]]])
    """
    map_ = as_float(theta)
    shape = tuple(int(n) for n in size)
    dims = len(shape) - 2
    if dims not in (2, 3) or map_.shape != (shape[0], dims, dims + 1):
        raise ShapeError(
            f"affine_grid: size must be (n, c, h, w) with theta of shape (n, 2, 3), or (n, c, d, h, w) with (n, 3, 4); got "
            f"size {shape} and theta of shape {map_.shape}"
        )
    if min(shape[2:]) < 1:
        raise ShapeError(f"affine_grid: the output needs at least one pixel along each axis, got size {shape}")
    axes = [_from_edge_to_edge(n, bool(align_corners)) for n in shape[2:]]
    points = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(shape[2:])], -1).astype(map_.dtype)
    return matmul(Tensor(points.reshape(-1, dims + 1)), map_.mT).reshape(shape[0], *shape[2:], dims)


def _from_edge_to_edge(n: int, aligned: bool) -> Array:
    """The centres of n pixels, in coordinates where the image reaches from -1 to 1; a single one lies at 0."""
    if n == 1:
        return np.zeros(1)
    return np.linspace(-1, 1, n) if aligned else (2 * np.arange(n) + 1) / n - 1
