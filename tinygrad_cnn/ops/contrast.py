r"""Local contrast normalization: each pixel compared with its surroundings, over space and all channels.

For an input x (n, c, h, w), with positions j, k and channels i,

    subtractive   v_ijk = x_ijk - m_jk,                m_jk = sum over i, p, q of w_pq x_(i, j+p, k+q)
    divisive      y_ijk = v_ijk / max(floor, s_jk),    s_jk = sqrt(sum over i, p, q of w_pq v_(i, j+p, k+q)^2)

The window w is a Gaussian, exp(-(p^2 + q^2) / (2 sigma^2)) for \|p\|, \|q\| <= size // 2, scaled so that its weights add
up to 1 over the window and all channels.

What the paper leaves open, and what is done here:

- At the border only the part of the window inside the image counts, and its weights are scaled to add up to 1 again, as
  in Torch 7's SpatialSubtractiveNormalization. So a constant image gives v = 0 up to its edges.
- sigma: size / 4 unless given.
- An image of one grey has v = s = floor = 0: no divisor is smaller than `eps`, so that it gives 0 rather than 0 / 0.

References
----------
Jarrett, Kavukcuoglu, Ranzato, LeCun 2009, "What is the best multi-stage architecture for object recognition?", section
2.1, "Local contrast normalization layer"; it sets the floor to the mean of s over the image.
"""

import numpy as np

from ..autograd.function import Array
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor, TensorLike
from ._arguments import as_float
from .conv import conv2d
from .elementwise import maximum, where


def _gaussian(size: int, sigma: float) -> Array:
    """The window along one dimension, not yet scaled; the product of two is the window over two."""
    distance = np.arange(size) - size // 2
    return np.asarray(np.exp(-0.5 * (distance / sigma) ** 2))


def _weight_inside(length: int, window: Array) -> Array:
    """For each position of a line, the sum of the window's weights that lie inside the line."""
    reach = len(window) // 2
    return np.convolve(np.ones(length), window)[reach : reach + length]


def _local_mean(x: Tensor, size: int, sigma: float | None) -> Tensor:
    """The weighted mean over each window and all channels, shape (n, 1, h, w)."""
    window = _gaussian(size, size / 4 if sigma is None else sigma)
    inside = np.outer(_weight_inside(x.shape[2], window), _weight_inside(x.shape[3], window))
    weights = Tensor(window.astype(x.dtype))
    mean = x.mean(1, keepdim=True)
    mean = conv2d(mean, weights.reshape(1, 1, size, 1), padding=(size // 2, 0))
    mean = conv2d(mean, weights.reshape(1, 1, 1, size), padding=(0, size // 2))
    return mean / Tensor(inside.astype(x.dtype))


def _root(square: Tensor) -> Tensor:
    """Square root whose gradient at 0, where an image is flat, is 0 and not infinite."""
    flat = square <= 0
    return where(flat, 0.0, where(flat, 1.0, square).sqrt())


def _batched(name: str, input: TensorLike, size: int, sigma: float | None) -> tuple[Tensor, bool]:
    """The input with a batch dimension, and whether it was given one here; the options checked."""
    x = as_float(input)
    if x.ndim not in (3, 4):
        raise ShapeError(f"{name}: needs an input (n, c, h, w), or (c, h, w) without a batch; got shape {x.shape}")
    if size < 1 or size % 2 == 0:
        raise ArgumentError(f"{name}: size is that of a window around a pixel, so it must be odd and positive; got {size}")
    if sigma is not None and not sigma > 0:
        raise ArgumentError(f"{name}: sigma is the window's width in pixels and must be positive, got {sigma}")
    if 0 in x.shape[-3:]:
        raise ShapeError(f"{name}: the images of the input {x.shape} have no values to compare")
    return (x.unsqueeze(0), True) if x.ndim == 3 else (x, False)


# The functions that users call ----------------------------------------------------------------------------------------


def subtractive_norm(input: TensorLike, size: int = 9, sigma: float | None = None) -> Tensor:
    """Each value minus the weighted mean of its surroundings, over space and all channels.

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (c, h, w)
    size : int
        Of the square window, in pixels; odd.
    sigma : float, optional
        The Gaussian's standard deviation, in pixels; size / 4 by default.

    Returns
    -------
    Tensor, shape of the input

    References
    ----------
    Jarrett et al. 2009, section 2.1; see the top of this module for the border.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> bool((tg.subtractive_norm(tg.full((1, 1, 4, 5), 3.0)).abs() < 1e-5).all())
    True
    """
    x, unbatched = _batched("subtractive_norm", input, size, sigma)
    v = x - _local_mean(x, size, sigma)
    return v.squeeze(0) if unbatched else v


def divisive_norm(
    input: TensorLike, size: int = 9, sigma: float | None = None, floor: float | None = None, eps: float = 1e-4
) -> Tensor:
    """Each value divided by the weighted root mean square of its surroundings, over space and all channels.

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (c, h, w)
    size : int
        Of the square window, in pixels; odd.
    sigma : float, optional
        The Gaussian's standard deviation, in pixels; size / 4 by default.
    floor : float, optional
        The smallest divisor: weaker contrasts are not amplified to full strength. By default the mean of the root mean
        squares over the image, as in the paper; gradients flow through it.
    eps : float
        No divisor is smaller than this, whatever the floor.

    Returns
    -------
    Tensor, shape of the input

    References
    ----------
    Jarrett et al. 2009, section 2.1; see the top of this module for the border.
    """
    x, unbatched = _batched("divisive_norm", input, size, sigma)
    if not eps > 0 or (floor is not None and floor < 0):
        raise ArgumentError(f"divisive_norm: eps must be positive and floor not negative, got eps = {eps}, floor = {floor}")
    s = _root(_local_mean(x * x, size, sigma))
    lowest = s.mean((2, 3), keepdim=True) if floor is None else floor
    y = x / maximum(maximum(s, lowest), eps)
    return y.squeeze(0) if unbatched else y


def local_contrast_norm(
    input: TensorLike, size: int = 9, sigma: float | None = None, floor: float | None = None, eps: float = 1e-4
) -> Tensor:
    """Subtractive, then divisive normalization: each value's difference from its surroundings, in units of their spread.

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (c, h, w)
    size, sigma
        As for `subtractive_norm`.
    floor, eps
        As for `divisive_norm`.

    Returns
    -------
    Tensor, shape of the input

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato, LeCun 2009, section 2.1. Window and floor are the paper's; the border, sigma and eps
    are not in it, see the top of this module.

    Examples
    --------
    Brightness and contrast do not matter:

    >>> import tinygrad_cnn as tg
    >>> _ = tg.manual_seed(0)
    >>> x = tg.rand(1, 3, 12, 12)
    >>> tg.allclose(tg.local_contrast_norm(x), tg.local_contrast_norm(5 * x + 7), atol=1e-4)
    True
    """
    return divisive_norm(subtractive_norm(input, size, sigma), size, sigma, floor, eps)
