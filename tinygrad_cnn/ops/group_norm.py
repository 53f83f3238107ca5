"""Normalization within one sample: over groups of channels, over each channel, over whole layers.

All three put the values that belong together into one row, bring each row to mean 0 and variance 1, and then scale and
shift. They differ in what a row is, for an input (n, c, h, w):

    group norm      c / groups neighbouring channels of one sample      n * groups rows
    instance norm   one channel of one sample                           n * c rows
    layer norm      the last dimensions, whichever are named            one row for each index of the others

Unlike batch norm's, a sample's result does not depend on the other samples.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..autograd.function import Array, Function
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor, TensorLike
from ._arguments import as_float
from .norm import ChannelAffine, batch_norm, check_channel_vectors, update_running


class Standardize(Function):
    """Each row shifted and scaled to mean 0 and variance 1, y = (x - mean) * rstd, rstd = 1 / sqrt(var + eps).

    The variance is the biased one, of x (rows, m) over its m values.

    Gradient
        gx = rstd * (gy - mean of gy - y * mean of (gy * y)), each mean over a row
    Saves
        x, mean, rstd
    """

    eps: float

    def forward(self, x: Array) -> Array:
        rows = x[None]  # to the kernels of batch norm, each row is a channel of one sample
        mean, var = kernels.channel_moments(rows)
        rstd = 1 / np.sqrt(var + x.dtype.type(self.eps))
        self.save_for_backward(x, mean, rstd)
        self.auxiliary = (mean, var)
        return kernels.batch_norm(rows, None, None, mean, rstd)[0]

    def backward(self, gy: Tensor) -> Any:
        x, _, _ = self.saved
        # The statistics again, as functions of x: the second derivative goes through them.
        centred = x - x.mean(-1, keepdim=True)
        rstd = (centred.square().mean(-1, keepdim=True) + self.eps) ** -0.5
        y = centred * rstd
        return rstd * (gy - gy.mean(-1, keepdim=True) - y * (gy * y).mean(-1, keepdim=True))

    def backward_kernel(self, gy: Array) -> Any:
        x, mean, rstd = self.saved_arrays
        return kernels.batch_norm_input_grad(gy[None], x[None], None, mean, rstd)[0][0]


def _standardized(x: Tensor, rows: int, eps: float) -> Tensor:
    """The elements of `x` in order, cut into rows; an empty tensor as it is."""
    if x.numel() == 0:
        return x
    return Standardize.apply(x.reshape(rows, -1), eps=eps).reshape(x.shape)


def _channel_affine(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """A scale and a shift for each channel; None is 1 and 0."""
    if weight is None and bias is None:
        return y
    scale = Tensor(np.ones(y.shape[1], y.dtype)) if weight is None else weight.to(y.dtype)
    shift = Tensor(np.zeros(y.shape[1], y.dtype)) if bias is None else bias.to(y.dtype)
    return ChannelAffine.apply(y, scale, shift)


# The functions that users call ----------------------------------------------------------------------------------------


def group_norm(
    input: TensorLike, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalization over groups of neighbouring channels of one sample.

    Parameters
    ----------
    input : Tensor, shape (n, c, ...)
    num_groups : int
        Divides c. 1 normalizes all channels together, c each one alone.
    weight, bias : Tensor, shape (c,), optional
        Scale and shift after the normalization.
    eps : float
        Added to the (biased) variance.

    Returns
    -------
    Tensor, shape of the input

    Raises
    ------
    ArgumentError
        For a number of groups that is not positive or does not divide the channels.
    ShapeError
        For fewer than two dimensions, for parameters that do not have one entry for each channel, and for groups of one
        single value, which would all become 0 (PyTorch lets these pass for n > 1).

    References
    ----------
    Wu, He 2018, "Group normalization", eq. 1, 2 and 7.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([[1.0, 3.0, 10.0, 30.0]])
    >>> tg.group_norm(x, 2)
    tensor([[-1.,  1., -1.,  1.]])
    """
    x = as_float(input)
    if x.ndim < 2:
        raise ShapeError(f"group_norm: needs (n, c, ...) with at least 2 dimensions, got shape {x.shape}")
    n, c = x.shape[:2]
    if num_groups < 1 or c % num_groups:
        divisors = [d for d in range(1, c + 1) if c % d == 0]
        raise ArgumentError(f"group_norm: num_groups = {num_groups} does not divide {c} channels; it can be {divisors}")
    check_channel_vectors("group_norm", x, weight=weight, bias=bias)
    if x.numel() and x.numel() == n * num_groups:
        raise ShapeError(
            f"group_norm: each of the {num_groups} groups of the input {x.shape} is a single value and would become 0; use "
            "fewer groups"
        )
    return _channel_affine(_standardized(x, n * num_groups, eps), weight, bias)


def instance_norm(
    input: TensorLike,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalization of each channel of each sample over space.

    Parameters
    ----------
    input : Tensor, shape (n, c, ...)
    running_mean, running_var : Tensor, shape (c,), or None
        With `use_input_stats` they are updated in place, ``running = (1 - momentum) * running + momentum * now``, where
        now is the mean over the samples of their means and unbiased variances; otherwise they are what is used.
    weight, bias : Tensor, shape (c,), optional
        Scale and shift after the normalization.
    use_input_stats : bool
        Use each sample's own mean and (biased) variance.
    momentum : float
        The weight of the new batch in the running statistics.
    eps : float
        Added to the variance.

    Raises
    ------
    ShapeError
        For parameters that do not have one entry for each channel, and for one pixel alone, which has no variance.
    ArgumentError
        If running statistics are to be used and are missing.

    References
    ----------
    Ulyanov, Vedaldi, Lempitsky 2016, "Instance normalization: the missing ingredient for fast stylization", eq. 4.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.instance_norm(tg.tensor([[[1.0, 3.0], [10.0, 30.0]]]))
    tensor([[[-1.,  1.],
             [-1.,  1.]]])
    """
    x = as_float(input)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ArgumentError("instance_norm: without use_input_stats it needs running_mean and running_var; got None")
        return batch_norm(x, running_mean, running_var, weight, bias, training=False, eps=eps)
    if x.ndim < 3:
        raise ShapeError(f"instance_norm: needs (n, c, ...) with at least 3 dimensions, got shape {x.shape}")
    check_channel_vectors("instance_norm", x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    pixels = math.prod(x.shape[2:])
    if pixels == 1:
        raise ShapeError(
            f"instance_norm: each channel of the input {x.shape} is a single pixel, which has no variance; use larger "
            "images, or group_norm over several channels"
        )
    if x.numel() == 0:
        return _channel_affine(x, weight, bias)
    node = Standardize(eps=eps)
    y = node(x.reshape(-1, pixels)).reshape(x.shape)
    mean, var = (moment.reshape(x.shape[:2]).mean(0) for moment in node.auxiliary)
    update_running("instance_norm", running_mean, mean, momentum)
    update_running("instance_norm", running_var, var * (pixels / (pixels - 1)), momentum)
    return _channel_affine(y, weight, bias)


def layer_norm(
    input: TensorLike,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalization over the last dimensions.

    Parameters
    ----------
    input : Tensor, shape (..., *normalized_shape)
    normalized_shape : int or sequence of int
        The sizes of the dimensions to normalize over; an int is the last one.
    weight, bias : Tensor, shape `normalized_shape`, optional
        Scale and shift of each element after the normalization.
    eps : float
        Added to the (biased) variance.

    Returns
    -------
    Tensor, shape of the input

    Raises
    ------
    ShapeError
        If the input does not end with these sizes, or a parameter does not have them.

    References
    ----------
    Ba, Kiros, Hinton 2016, "Layer normalization", eq. 3 and 4.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.layer_norm(tg.tensor([[1.0, 3.0], [10.0, 30.0]]), 2)
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    x = as_float(input)
    shape = tuple(normalized_shape) if isinstance(normalized_shape, Sequence) else (int(normalized_shape),)
    if not shape or x.shape[x.ndim - len(shape) :] != shape:
        raise ShapeError(
            f"layer_norm: normalizes over the last dimensions, of sizes {shape or '()'}, but the input has shape {x.shape}; "
            f"name at least one, for example {x.shape[-1:]}"
        )
    for name, given in (("weight", weight), ("bias", bias)):
        if given is not None and given.shape != shape:
            raise ShapeError(f"layer_norm: {name} has shape {given.shape}; it needs that of normalized_shape, {shape}")
    y = _standardized(x, math.prod(x.shape[: x.ndim - len(shape)]), eps)
    y = y if weight is None else y * weight.to(y.dtype)
    return y if bias is None else y + bias.to(y.dtype)
