"""Images in other sizes: interpolation, and pixels that change places with channels.

Interpolation is linear in the image: along each axis it is a product with a small matrix of weights that depends on the
sizes only. So there is one op, `Resample`, and its backward is itself with the matrices transposed. How the weights come
about is in `kernels.numpy_resample`.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.function import Array, Function
from ..errors import ArgumentError, ShapeError
from ..kernels.numpy_resample import Taps, resample, taps_for
from ..kernels.spelling import axis_names, integer, per_axis
from ..tensor import Tensor, TensorLike
from ._arguments import as_float, as_tensor

_FLAT = ("nearest", "nearest-exact", "area")
# Mode: what each axis does, and for how many axes it is.
_ALONG_AXIS = {
    **{mode: (mode, (1, 2, 3)) for mode in _FLAT},
    "linear": ("linear", (1,)),
    "bilinear": ("linear", (2,)),
    "trilinear": ("linear", (3,)),
    "bicubic": ("cubic", (2,)),
}


class Resample(Function):
    """Resampling of the spatial axes, y = x multiplied along each axis by its matrix M (`taps` holds its entries).

    Gradient
        gx = gy multiplied along each axis by M transposed
    Saves
        nothing
    """

    taps: tuple[Taps, ...]
    mode: str

    @property
    def op_name(self) -> str:
        return f"{type(self).__name__}{len(self.taps)}d"

    @property
    def settings(self) -> dict[str, Any]:
        return {"mode": self.mode, "size": tuple(taps.outputs for taps in self.taps)}

    def forward(self, x: Array) -> Array:
        # The axes that shrink come first: less is left for the others.
        for axis, taps in sorted(enumerate(self.taps, 2), key=lambda entry: entry[1].outputs / entry[1].size):
            x = resample(x, axis, taps)
        return x

    def backward(self, gy: Tensor) -> Any:
        return Resample.apply(gy, taps=tuple(taps.transposed for taps in self.taps), mode=f"{self.mode}, transposed")


# The functions that users call ----------------------------------------------------------------------------------------


def interpolate(
    input: TensorLike,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize images, or signals, or volumes.

    Parameters
    ----------
    input : Tensor, shape (n, c, w), (n, c, h, w) or (n, c, d, h, w)
    size : int, or one for each spatial axis
        The new size, in pixels. Give this or `scale_factor`.
    scale_factor : float, or one for each spatial axis
        The new size is ``floor(size * scale_factor)``.
    mode : str
        "nearest" takes the pixel at ``floor(i * in / out)``, "nearest-exact" the one whose centre is nearest; "area"
        averages the pixels that an output covers; "linear" (1 spatial axis), "bilinear" (2) and "trilinear" (3) weigh the
        neighbours by nearness; "bicubic" (2) weighs four on each axis by Keys' cubic with a = -0.75, and can overshoot.
        Beyond the border the pixel at the edge is taken.
    align_corners : bool, optional
        For the linear and cubic modes. False, the default: the outer edges of the images are laid on each other; True: the
        centres of their corner pixels.
    recompute_scale_factor : bool, optional
        With `scale_factor`, step through the input by ``in / out``, the sizes being rounded, rather than by
        ``1 / scale_factor``. Only where the product is no integer does that make a difference. "area" always does.
    antialias : bool
        For "bilinear" and "bicubic": when an image shrinks, widen the kernel so that all pixels have a share. The cubic has
        a = -0.5 then. Both as in Pillow.

    Returns
    -------
    Tensor, shape (n, c, ...)
        In the dtype of the input (integers become floats).

    Raises
    ------
    ArgumentError
        For an unknown mode, both or none of `size` and `scale_factor`, and options that the mode does not have.
    ShapeError
        For an input whose axes do not suit the mode, and a size of 0.

    References
    ----------
    Keys 1981, "Cubic convolution interpolation for digital image processing".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([[[0.0, 1.0, 4.0]]])
    >>> tg.interpolate(x, scale_factor=2)
    tensor([[[0., 0., 1., 1., 4., 4.]]])
    >>> tg.interpolate(x, size=5, mode="linear", align_corners=True)
    tensor([[[0. , 0.5, 1. , 2.5, 4. ]]])
    """
    x = as_float(input)
    along = _mode_along_axis(x, mode, align_corners, antialias)
    if 0 in x.shape[2:]:
        raise ShapeError(f"interpolate: an input of shape {x.shape} has no pixel to take values from")
    sizes, scales = _output_sizes(x, size, scale_factor, recompute_scale_factor or mode == "area")
    taps = tuple(
        taps_for(along, n, outputs, bool(align_corners), scale, antialias)
        for n, outputs, scale in zip(x.shape[2:], sizes, scales, strict=True)
    )
    return Resample.apply(x, taps=taps, mode=mode)


def _mode_along_axis(x: Tensor, mode: str, align_corners: bool | None, antialias: bool) -> str:
    """What the mode does along each axis, once it is clear that everything suits it."""
    if mode not in _ALONG_AXIS:
        raise ArgumentError(f"interpolate: unknown mode {mode!r}; choose one of {', '.join(_ALONG_AXIS)}")
    along, suited = _ALONG_AXIS[mode]
    if x.ndim - 2 not in suited:
        instead = [name for name, (_, dims) in _ALONG_AXIS.items() if x.ndim - 2 in dims]
        hint = f"for this input choose one of {', '.join(instead)}" if instead else "add the batch and channel dimensions"
        raise ShapeError(
            f"interpolate: mode {mode!r} is for inputs of {' or '.join(str(n + 2) for n in suited)} dimensions (n, c, ...), "
            f"got shape {x.shape}; {hint}"
        )
    if align_corners is not None and mode in _FLAT:
        raise ArgumentError(f"interpolate: align_corners is for the linear and cubic modes, {mode!r} has no corners to align")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ArgumentError(f"interpolate: antialias is for the modes 'bilinear' and 'bicubic', the mode is {mode!r}")
    return along


def _output_sizes(
    x: Tensor, size: Any, scale_factor: Any, recompute: bool
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The new size of each axis, and the factor to step by; None where the sizes say it."""
    dims = x.ndim - 2
    if (size is None) == (scale_factor is None):
        raise ArgumentError(f"interpolate: give either size or scale_factor, got size={size} and scale_factor={scale_factor}")
    if size is not None:
        return per_axis("interpolate", "size", size, dims, at_least=1), (None,) * dims
    scales = tuple(scale_factor) if isinstance(scale_factor, Sequence) else (scale_factor,) * dims
    if len(scales) != dims or not all(isinstance(s, (int, float, np.number)) and 0 < s < math.inf for s in scales):
        raise ArgumentError(
            f"interpolate: scale_factor must be a positive number, or one for each of the {dims} spatial axes "
            f"({', '.join(axis_names(dims))}); got {scale_factor}"
        )
    sizes = tuple(int(n * s) for n, s in zip(x.shape[2:], scales, strict=True))
    for name, n, s, outputs in zip(axis_names(dims), x.shape[2:], scales, sizes, strict=True):
        if outputs == 0:
            raise ShapeError(
                f"interpolate: a {name} of {n} times {s:g} is {n * s:g}, less than one pixel; use a scale_factor of at least "
                f"1 / {n}"
            )
    return sizes, (None,) * dims if recompute else scales


def _channels_first(name: str, input: TensorLike) -> tuple[Tensor, tuple[int, ...], tuple[int, int, int]]:
    """The input, its leading dimensions, and its channels, height and width."""
    x = as_tensor(input)
    if x.ndim < 3:
        raise ShapeError(f"{name}: needs an input of shape (..., c, h, w), got {x.shape}")
    c, h, w = x.shape[-3:]
    return x, x.shape[:-3], (c, h, w)


def pixel_shuffle(input: TensorLike, upscale_factor: int) -> Tensor:
    """Make pixels out of channels: r * r channels become one of r times the height and width.

    ``y[c, h r + i, w r + j] = x[c r r + i r + j, h, w]`` with r = `upscale_factor`. After a convolution, that is learned
    upsampling without the overlaps of a transposed convolution.

    Parameters
    ----------
    input : Tensor, shape (..., c * r * r, h, w)
    upscale_factor : int

    Returns
    -------
    Tensor, shape (..., c, h * r, w * r)

    References
    ----------
    Shi et al. 2016, "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
    network", equation 4.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.pixel_shuffle(tg.arange(4.0).reshape(4, 1, 1), 2)
    tensor([[[0., 1.],
             [2., 3.]]])
    """
    r = integer("pixel_shuffle", "upscale_factor", upscale_factor, at_least=1)
    x, leading, (c, h, w) = _channels_first("pixel_shuffle", input)
    if c % (r * r):
        raise ShapeError(
            f"pixel_shuffle: {c} channels do not divide into groups of upscale_factor^2 = {r * r}; the nearest number that "
            f"does is {max(round(c / (r * r)), 1) * r * r}"
        )
    k = len(leading)
    split = x.reshape((*leading, c // (r * r), r, r, h, w))
    apart = split.permute(*range(k), k, k + 3, k + 1, k + 4, k + 2)
    return apart.reshape((*leading, c // (r * r), h * r, w * r))


def pixel_unshuffle(input: TensorLike, downscale_factor: int) -> Tensor:
    """Make channels out of pixels, the inverse of `pixel_shuffle`: each r by r square becomes r * r channels.

    Parameters
    ----------
    input : Tensor, shape (..., c, h * r, w * r)
    downscale_factor : int

    Returns
    -------
    Tensor, shape (..., c * r * r, h, w)

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.pixel_unshuffle(tg.arange(4.0).reshape(1, 2, 2), 2).flatten()
    tensor([0., 1., 2., 3.])
    """
    r = integer("pixel_unshuffle", "downscale_factor", downscale_factor, at_least=1)
    x, leading, (c, h, w) = _channels_first("pixel_unshuffle", input)
    if h % r or w % r:
        raise ShapeError(
            f"pixel_unshuffle: a height of {h} and a width of {w} do not divide into squares of {r}; pad or crop to "
            f"{h - h % r} x {w - w % r}"
        )
    k = len(leading)
    split = x.reshape((*leading, c, h // r, r, w // r, r))
    return split.permute(*range(k), k, k + 2, k + 4, k + 1, k + 3).reshape((*leading, c * r * r, h // r, w // r))


def channel_shuffle(input: TensorLike, groups: int) -> Tensor:
    """Deal the channels of each group out to all groups, so that the next grouped convolution mixes them.

    Channel ``g * (c / groups) + i`` goes to ``i * groups + g``: (c) seen as (groups, c / groups) and transposed.

    Parameters
    ----------
    input : Tensor, shape (n, c, ...)
        With at least one spatial dimension.
    groups : int

    References
    ----------
    Zhang, Zhou, Lin, Sun 2018, "ShuffleNet: an extremely efficient convolutional neural network for mobile devices",
    section 3.1.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.channel_shuffle(tg.arange(6.0).reshape(1, 6, 1), 2).flatten()
    tensor([0., 3., 1., 4., 2., 5.])
    """
    count = integer("channel_shuffle", "groups", groups, at_least=1)
    x = as_tensor(input)
    if x.ndim < 3:
        raise ShapeError(f"channel_shuffle: needs an input of shape (n, c, ...) with a spatial dimension, got {x.shape}")
    n, c, *space = x.shape
    if c % count:
        raise ShapeError(f"channel_shuffle: {c} channels do not divide into {count} groups")
    return x.reshape((n, count, c // count, *space)).transpose(1, 2).reshape(x.shape)
