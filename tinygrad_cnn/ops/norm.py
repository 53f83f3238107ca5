"""Normalization: local response (AlexNet's, across channels, and Caffe's, within one) and batch.

All divide by something computed from the input itself, so each rule has a second term for that dependence. It is the
term that is easily forgotten, and that a check with weak parameters does not miss.
"""

from typing import Any

import numpy as np

from .. import kernels
from ..autograd.function import Array, Function
from ..autograd.ownership import reuses_gradient
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor, TensorLike
from ._arguments import as_float
from .activation import relu as rectified
from .conv import channel_sum
from .pool import avg_pool2d


def _along_channels(vector: Any, ndim: int) -> Any:
    """A vector with one entry for each channel, shaped to broadcast along dimension 1."""
    return vector.reshape((1, -1) + (1,) * (ndim - 2))


class ChannelWindowSum(Function):
    """Sum over neighbouring channels, y_i = x_(i - before) + ... + x_(i + after), clipped at the ends.

    Gradient
        gx = the same sum of gy with before and after swapped: x_j is in the windows of i = j - after ... j + before
    Saves
        nothing
    """

    before: int
    after: int

    def forward(self, x: Array) -> Array:
        return kernels.channel_window_sum(x, self.before, self.after)

    def backward(self, gy: Tensor) -> Any:
        return ChannelWindowSum.apply(gy, before=self.after, after=self.before)


class LocalResponseNorm(Function):
    """Each value divided by the activity of its neighbours across channels.

    y_i = x_i / d_i^beta, with d = k + (alpha / size) S(x^2) and S the sum over a window of `size` channels.

    Gradient
        gx = gy / d^beta - 2 (alpha / size) beta x S'(gy x / d^(beta + 1)), with S' the transpose of S
    Saves
        x, d
    """

    size: int
    alpha: float
    beta: float
    k: float

    def forward(self, x: Array) -> Array:
        y, d = kernels.local_response_norm(x, self.size, self.alpha, self.beta, self.k)
        self.save_for_backward(x, d)
        return y

    def backward(self, gy: Tensor) -> Any:
        x, _ = self.saved
        before, after = self.size // 2, (self.size - 1) // 2
        # d again, as a function of x: the second derivative goes through it.
        d = self.k + self.alpha / self.size * ChannelWindowSum.apply(x * x, before=before, after=after)
        coupling = ChannelWindowSum.apply(gy * x * d ** (-self.beta - 1), before=after, after=before)
        return gy * d**-self.beta - 2 * self.alpha / self.size * self.beta * x * coupling

    def backward_kernel(self, gy: Array) -> Any:
        x, d = self.saved_arrays
        return kernels.local_response_norm_input_grad(gy, x, d, self.size, self.alpha, self.beta)


class BatchNorm(Function):
    """Each channel shifted and scaled to mean 0 and variance 1 over the batch and space, then weight and bias.

    y = xhat * weight + bias, with xhat = (x - mean) * rstd and rstd = 1 / sqrt(var + eps); var is the biased one.

    Gradient
        gx = rstd * (gxhat - mean of gxhat - xhat * mean of (gxhat * xhat)), with gxhat = gy * weight;
        gweight = sum of gy * xhat, gbias = sum of gy, over all but the channels
    Saves
        x, weight, mean, rstd
    """

    eps: float

    def forward(self, x: Array, weight: Array | None = None, bias: Array | None = None) -> Array:
        mean, rstd = self._statistics(x, weight)
        return kernels.batch_norm(x, weight, bias, mean, rstd)

    def _statistics(self, x: Array, weight: Array | None) -> tuple[Array, Array]:
        """The mean and 1 / sqrt(var + eps) of each channel, saved with what the rule needs beside them."""
        mean, var = kernels.channel_moments(x)
        rstd = 1 / np.sqrt(var + x.dtype.type(self.eps))
        self.save_for_backward(x, weight, mean, rstd)
        self.auxiliary = (mean, var)
        return mean, rstd

    def backward(self, gy: Tensor) -> Any:
        x, weight = self.saved[:2]
        over = [axis for axis in range(x.ndim) if axis != 1]
        # The statistics again, as functions of x: the second derivative goes through them.
        centred = x - x.mean(over, keepdim=True)
        rstd = (centred.square().mean(over, keepdim=True) + self.eps) ** -0.5
        xhat = centred * rstd
        gxhat = gy if weight is None else gy * _along_channels(weight, x.ndim)
        gx = rstd * (gxhat - gxhat.mean(over, keepdim=True) - xhat * (gxhat * xhat).mean(over, keepdim=True))
        return (gx, channel_sum(gy * xhat), channel_sum(gy))[: len(self.edges)]

    @reuses_gradient
    def backward_kernel(self, gy: Array, out: Array | None = None) -> Any:
        x, weight, mean, rstd = self.saved_arrays[:4]
        return kernels.batch_norm_input_grad(gy, x, weight, mean, rstd, None, out)[: len(self.edges)]


class BatchNormReLU(BatchNorm):
    """Batch normalization and the rectifier behind it in one pass over memory, y = max(0, xhat * weight + bias).

    Gradient
        gx = rstd * (gxhat - mean of gxhat - xhat * mean of (gxhat * xhat)), with gxhat = gy * weight where y > 0, else 0;
        gweight = sum of gy * xhat where y > 0, gbias = sum of gy where y > 0, over all but the channels
    Saves
        x, weight, mean, rstd, y
    """

    def forward(self, x: Array, weight: Array | None = None, bias: Array | None = None) -> Array:
        mean, rstd = self._statistics(x, weight)
        y = kernels.batch_norm(x, weight, bias, mean, rstd, relu=True)
        self.save_output(y)
        return y

    def backward(self, gy: Tensor) -> Any:
        y = self.saved[4]
        return BatchNorm.backward(self, gy.masked_fill(y <= 0, 0.0))

    @reuses_gradient
    def backward_kernel(self, gy: Array, out: Array | None = None) -> Any:
        x, weight, mean, rstd, y = self.saved_arrays
        return kernels.batch_norm_input_grad(gy, x, weight, mean, rstd, y, out)[: len(self.edges)]


class ChannelAffine(Function):
    """One scale and one shift for each channel, y = x * scale + shift: batch normalization at test time.

    Gradient
        gx = gy * scale; gscale = sum of gy * x, gshift = sum of gy, over all but the channels
    Saves
        x where scale needs a gradient, scale where x does
    """

    def forward(self, x: Array, scale: Array, shift: Array) -> Array:
        self.save_for_backward(x if self.needs_input_grad[1] else None, scale if self.needs_input_grad[0] else None)
        y = x * _along_channels(scale, x.ndim)
        y += _along_channels(shift, x.ndim)
        return y

    def backward(self, gy: Tensor) -> Any:
        x, scale = self.saved
        gx = gy * _along_channels(scale, gy.ndim) if self.needs_input_grad[0] else None
        gscale = channel_sum(gy * x) if self.needs_input_grad[1] else None
        return gx, gscale, channel_sum(gy) if self.needs_input_grad[2] else None

    def backward_kernel(self, gy: Array) -> Any:
        x, scale = self.saved_arrays
        gx = gy * _along_channels(scale, gy.ndim) if self.needs_input_grad[0] else None
        gscale = kernels.channel_sum(gy * x) if self.needs_input_grad[1] else None
        return gx, gscale, kernels.channel_sum(gy) if self.needs_input_grad[2] else None


# The functions that users call ----------------------------------------------------------------------------------------


def local_response_norm(
    input: TensorLike,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    norm_region: str = "across_channels",
) -> Tensor:
    """Each value divided by the activity of its neighbours: in other channels, or around it in its own.

    Across channels (AlexNet's), ``y_i = x_i / (k + alpha / size * sum of x_j^2)^beta`` with j from ``i - size // 2`` to
    ``i + (size - 1) // 2``, cut off at the first and last channel. Within a channel (Caffe's), the sum is over the
    ``size`` by ``size`` pixels around a value, zeros outside the image, and alpha is divided by ``size^2``.

    Parameters
    ----------
    input : Tensor, shape (n, c, ...); within a channel (n, c, h, w) or (c, h, w)
    size : int
        The number of channels in a window, or its height and width in pixels (odd).
    alpha, beta, k : float
        As in PyTorch and Caffe, alpha is divided by the number of values in a window. The paper's is not: its alpha =
        1e-4, n = 5, k = 2 is ``local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2)`` here.
    norm_region : {"across_channels", "within_channel"}
        Not in PyTorch; the name is Caffe's, whose k is always 1 within a channel.

    Raises
    ------
    ShapeError
        For too few dimensions.
    ArgumentError
        For a size that is not positive, or even within a channel, and for another region.

    References
    ----------
    Krizhevsky, Sutskever, Hinton 2012, section 3.3. Jia et al. 2014, "Caffe: convolutional architecture for fast feature
    embedding", ``src/caffe/layers/lrn_layer.cpp``: average pooling of the squares with padding ``(size - 1) / 2``.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.arange(1.0, 7.0).reshape(1, 6, 1)
    >>> tg.local_response_norm(x, 5, alpha=5e-4, k=2).flatten()
    tensor([0.5943, 1.1879, 1.7801, 2.3704, 2.9635, 3.5574])
    """
    x = as_float(input)
    if norm_region not in ("across_channels", "within_channel"):
        raise ArgumentError(
            f"local_response_norm: norm_region must be 'across_channels' or 'within_channel', got {norm_region!r}"
        )
    if norm_region == "within_channel":
        return _norm_within_channel(x, size, alpha, beta, k)
    if x.ndim < 3:
        raise ShapeError(f"local_response_norm: needs (n, c, ...) with at least 3 dimensions, got shape {x.shape}")
    if size < 1:
        raise ArgumentError(f"local_response_norm: size must be at least 1 channel, got {size}")
    return LocalResponseNorm.apply(x, size=size, alpha=alpha, beta=beta, k=k)


def _norm_within_channel(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    if x.ndim not in (3, 4):
        raise ShapeError(
            f"local_response_norm: within a channel it needs (n, c, h, w), or (c, h, w) without a batch; got shape {x.shape}"
        )
    if size < 1 or size % 2 == 0:
        raise ArgumentError(
            "local_response_norm: within a channel the window lies around a pixel: its size must be odd and positive; got "
            f"{size}"
        )
    # The zeros of the padding count: every window is divided by size * size.
    energy = avg_pool2d(x * x, size, stride=1, padding=(size - 1) // 2)
    return x * (k + alpha * energy) ** -beta


def batch_norm(
    input: TensorLike,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    relu: bool = False,
) -> Tensor:
    """Batch normalization.

    Parameters
    ----------
    input : Tensor, shape (n, c, ...)
    running_mean, running_var : Tensor, shape (c,), or None
        In training they are updated in place, ``running = (1 - momentum) * running + momentum * batch`` (the variance
        with the unbiased one of the batch); otherwise they are what is used.
    weight, bias : Tensor, shape (c,), optional
        Scale and shift after the normalization.
    training : bool
        Use the batch's own mean and (biased) variance.
    momentum : float
        The weight of the new batch in the running statistics.
    eps : float
        Added to the variance.
    relu : bool
        Not in PyTorch. ``batch_norm(..., relu=True)`` is ``relu(batch_norm(...))``; in training it is one op, one pass over
        memory instead of two and, for the gradients, two instead of three.

    Raises
    ------
    ShapeError
        For parameters that do not have one entry for each channel, and for a training batch with one value in a channel.
        An empty batch is returned empty, and leaves the running statistics alone.
    ArgumentError
        Outside training, if there are no running statistics.

    References
    ----------
    Ioffe, Szegedy 2015, algorithms 1 and 2.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([[1.0], [3.0]])
    >>> [tg.batch_norm(x, None, None, training=True, relu=relu).flatten().tolist() for relu in (False, True)]
    [[-0.9999949932098389, 0.9999949932098389], [0.0, 0.9999949932098389]]
    """
    x = as_float(input)
    if x.ndim < 2:
        raise ShapeError(f"batch_norm: needs (n, c, ...), got shape {x.shape}")
    check_channel_vectors("batch_norm", x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if training:
        return _batch_norm_training(x, running_mean, running_var, weight, bias, momentum, eps, relu)
    if running_mean is None or running_var is None:
        raise ArgumentError("batch_norm: outside training it needs running_mean and running_var; got None")
    scale = (running_var + eps) ** -0.5 if weight is None else weight * (running_var + eps) ** -0.5
    shift = -running_mean * scale if bias is None else bias - running_mean * scale
    y = ChannelAffine.apply(x, scale.to(x.dtype), shift.to(x.dtype))
    return rectified(y) if relu else y


def _batch_norm_training(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
    relu: bool,
) -> Tensor:
    count = x.numel() // x.shape[1] if x.shape[1] else 0
    if count == 1:
        raise ShapeError(
            f"batch_norm: in training each channel needs more than one value to have a variance, the input {x.shape} has "
            "one; use a larger batch, or eval()"
        )
    if count == 0 or (weight is None) != (bias is None):
        weight = Tensor(np.ones(x.shape[1], x.dtype)) if weight is None else weight
        bias = Tensor(np.zeros(x.shape[1], x.dtype)) if bias is None else bias
        if count == 0:
            y = ChannelAffine.apply(x, weight.to(x.dtype), bias.to(x.dtype))
            return rectified(y) if relu else y
    node = BatchNormReLU(eps=eps) if relu else BatchNorm(eps=eps)
    y = node(x) if weight is None or bias is None else node(x, weight.to(x.dtype), bias.to(x.dtype))
    mean, var = node.auxiliary
    update_running("batch_norm", running_mean, mean, momentum)
    update_running("batch_norm", running_var, var * (count / (count - 1)), momentum)
    return y


def check_channel_vectors(op: str, x: Tensor, **vectors: Tensor | None) -> None:
    """Refuse parameters, given by name, that do not have one entry for each channel of (n, c, ...)."""
    for name, vector in vectors.items():
        if vector is not None and vector.shape != (x.shape[1],):
            raise ShapeError(f"{op}: {name} has shape {vector.shape}, but the input {x.shape} has {x.shape[1]} channels")


def update_running(op: str, running: Tensor | None, now: Array, momentum: float) -> None:
    """Move a running statistic towards what was just seen, in place; None is not kept."""
    if running is not None:
        running.array[...] = (1 - momentum) * running.array + momentum * now
        running._wrote(op)
