"""Pools that sum: the Lp norm of windows, and LeNet-5's trainable subsampling.

Both are made of other ops and have no rule of their own.
"""

import math

import numpy as np

from .. import kernels
from ..errors import ArgumentError, ShapeError
from ..kernels.geometry import PoolGeometry
from ..kernels.spelling import PerAxis
from ..tensor import Tensor, TensorLike
from .elementwise import where
from .fold import Unfold
from .norm import ChannelAffine
from .pool import MaxPool, avg_pool2d, batched


def lp_pool1d(
    input: TensorLike, norm_type: float, kernel_size: PerAxis, stride: PerAxis | None = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of each window of a line, channel by channel; see `lp_pool2d`."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: TensorLike, norm_type: float, kernel_size: PerAxis, stride: PerAxis | None = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of each window, (sum of x^p)^(1/p), channel by channel.

    p = 1 gives sums, p = 2 is the root of the sum of squares, and p = inf is max pooling. Powers of the values themselves
    are summed, as in PyTorch, not of their magnitudes: for an odd p negative values count against positive ones, and a
    negative sum has a negative root (PyTorch: NaN). For a p that is not whole, negative values give NaN.

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (c, h, w)
    norm_type : float
        p, larger than 0.
    kernel_size : int or (int, int)
        The window, in pixels.
    stride : int or (int, int), optional
        The step between windows; the window's size by default.
    ceil_mode : bool
        Round the output's size up rather than down: the last window may hang over the edge, and its sum is scaled up to
        that of a whole window, as in PyTorch.

    Returns
    -------
    Tensor, shape (n, c, oh, ow)
        With oh and ow as for `max_pool2d`; in the dtype of the input. The gradient where the sum is 0 (where there is
        none) is 0.

    Raises
    ------
    ArgumentError
        For a p that is not positive, or another option out of its range.
    ShapeError
        With the arithmetic, where no window fits.

    References
    ----------
    Sermanet, Chintala, LeCun 2012, "Convolutional neural networks applied to house numbers digit classification",
    section 2.2.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.lp_pool2d(tg.tensor([[[[3.0, 0.0], [4.0, 0.0]]]]), norm_type=2, kernel_size=2)
    tensor([[[[5.]]]])
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: TensorLike, norm_type: float, kernel_size: PerAxis, stride: PerAxis | None = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of each window of a volume, channel by channel; see `lp_pool2d`."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


def _lp_pool(
    dims: int, input: TensorLike, norm_type: float, kernel_size: PerAxis, stride: PerAxis | None, ceil_mode: bool
) -> Tensor:
    if not norm_type > 0:
        raise ArgumentError(
            f"lp_pool{dims}d: norm_type must be larger than 0 (1: sums, 2: Euclidean norms, inf: maxima); got {norm_type}"
        )
    x, unbatched = batched("lp_pool", input, dims)
    geometry = PoolGeometry.of(x.shape, kernel_size, stride, 0, 1, ceil_mode, op="lp_pool")
    y = MaxPool.apply(x, geometry=geometry) if math.isinf(norm_type) else _norm_of_windows(x, float(norm_type), geometry)
    return y.squeeze(0) if unbatched else y


def _norm_of_windows(x: Tensor, p: float, geometry: PoolGeometry) -> Tensor:
    """Each window in units of its largest magnitude, so that no power is larger than 1: ||w|| = m ||w / m||."""
    windows = Unfold.apply(x, geometry=geometry)  # (n, c, taps, windows)
    # The equation holds for any constant m, so m needs no gradient.
    m = np.abs(windows.array).max(axis=2, keepdims=True)
    m = Tensor(np.where((m > 0) & np.isfinite(m), m, m.dtype.type(1)))
    inside = kernels.unfold(np.ones((1, 1, *geometry.in_size), x.dtype), geometry).sum(axis=2, keepdims=True)
    total = ((windows / m) ** p).sum(2, keepdim=True) * Tensor(windows.shape[2] / inside)
    if p == 1:
        root = total
    else:  # the root has no slope at 0; a number in its place lets no gradient through
        empty = total.array == 0
        root = where(empty, 0.0, where(empty, 1.0, total.abs()) ** (1 / p)) * Tensor(np.sign(total.array))
    return (m * root).reshape(*x.shape[:2], *geometry.out_size)


def subsample2d(
    input: TensorLike, weight: Tensor, bias: Tensor, kernel_size: PerAxis = 2, stride: PerAxis | None = None
) -> Tensor:
    """LeNet-5's subsampling: the sum of each window, times one coefficient and plus one bias for each map.

    y[n, c, i, j] = weight[c] * (sum of x[n, c] over the window) + bias[c]. The paper passes it through the squashing
    function: with a small coefficient the unit then blurs, with a large one it is a noisy OR or AND, depending on the bias.

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (c, h, w)
    weight, bias : Tensor, shape (c,)
    kernel_size : int or (int, int)
        The window, in pixels; the paper's is 2 x 2.
    stride : int or (int, int), optional
        The step between windows; the window's size by default.

    Returns
    -------
    Tensor, shape (n, c, oh, ow)
        With oh and ow as for `max_pool2d`; in the dtype of the input.

    Raises
    ------
    ShapeError
        For a weight or a bias that does not have one number for each map.

    References
    ----------
    LeCun et al. 1998, "Gradient-based learning applied to document recognition", section II.B.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> tg.subsample2d(x, tg.tensor([0.5]), tg.tensor([1.0]))
    tensor([[[[6.]]]])
    """
    x, unbatched = batched("subsample2d", input, 2)
    sums = avg_pool2d(x, kernel_size, stride, divisor_override=1)
    channels = sums.shape[1]
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector.shape != (channels,):
            raise ShapeError(f"subsample2d: {name} has shape {vector.shape}, but {channels} maps need ({channels},)")
    y = ChannelAffine.apply(sums, weight.to(sums.dtype), bias.to(sums.dtype))
    return y.squeeze(0) if unbatched else y
