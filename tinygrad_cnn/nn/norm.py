"""Normalization layers over the batch, over neighbouring channels (AlexNet's), and over the surroundings of a pixel.

Those within one sample are in `group_norm`.
"""

from types import MappingProxyType

from ..creation import ones, zeros
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class LocalResponseNorm(Module):
    """Each value divided by the activity of its neighbours: in other channels, or around it in its own.

    y_i = x_i / (k + alpha / size * sum of x_j^2)^beta, with j over the `size` channels around i; or, within a channel,
    over the `size` by `size` pixels, and alpha divided by their number.

    Parameters
    ----------
    size : int
        The number of channels in a window, or its height and width in pixels (odd).
    alpha, beta, k : float
        alpha is divided as said, as in PyTorch and Caffe. The paper's n = 5, alpha = 1e-4, beta = 0.75, k = 2 are
        ``LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)``.
    norm_region : {"across_channels", "within_channel"}
        Not in PyTorch; the name is Caffe's, whose k is always 1 within a channel.

    References
    ----------
    Krizhevsky, Sutskever, Hinton 2012, section 3.3; Caffe's ``lrn_layer.cpp``.
    """

    def __init__(
        self,
        size: int,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        *,
        norm_region: str = "across_channels",
    ) -> None:
        super().__init__()
        if norm_region not in ("across_channels", "within_channel"):
            raise ArgumentError(
                f"LocalResponseNorm: norm_region must be 'across_channels' or 'within_channel', got {norm_region!r}"
            )
        if norm_region == "within_channel" and (size < 1 or size % 2 == 0):
            raise ArgumentError(f"LocalResponseNorm: size is that of a window around a pixel: odd and positive; got {size}")
        if size < 1:
            raise ArgumentError(f"LocalResponseNorm: size must be at least 1 channel, got {size}")
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.norm_region = norm_region

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, ...)`` to the same shape."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k, norm_region=self.norm_region)

    def extra_repr(self) -> str:
        region = "" if self.norm_region == "across_channels" else f", norm_region={self.norm_region!r}"
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}{region}"


class LocalContrastNorm(Module):
    """Each value's difference from its surroundings, divided by their spread; over space and all channels.

    v = x - (weighted mean around it), y = v / max(floor, root of the weighted mean of v^2 around it), with the weights of
    a Gaussian window. `ops.contrast` has the details.

    Parameters
    ----------
    size : int
        Of the square window, in pixels; odd.
    sigma : float, optional
        The Gaussian's standard deviation, in pixels; size / 4 by default.
    floor : float, optional
        The smallest divisor; by default the mean of the spread over the image, as in the paper.
    eps : float
        No divisor is smaller than this.

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato, LeCun 2009, "What is the best multi-stage architecture for object recognition?",
    section 2.1.
    """

    def __init__(self, size: int = 9, sigma: float | None = None, floor: float | None = None, eps: float = 1e-4) -> None:
        super().__init__()
        if size < 1 or size % 2 == 0:
            raise ArgumentError(f"LocalContrastNorm: size is that of a window around a pixel: odd and positive; got {size}")
        self.size = size
        self.sigma = sigma
        self.floor = floor
        self.eps = eps

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, h, w)`` to the same shape."""
        return F.local_contrast_norm(input, self.size, self.sigma, self.floor, self.eps)

    def extra_repr(self) -> str:
        shown = [f"size={self.size}"]
        if self.sigma is not None:
            shown.append(f"sigma={self.sigma}")
        if self.floor is not None:
            shown.append(f"floor={self.floor}")
        return ", ".join([*shown, f"eps={self.eps}"])


class _Affine(Module):
    """A layer with a weight that starts at 1 and a bias that starts at 0, either of them perhaps missing."""

    weight: Parameter | None
    bias: Parameter | None

    def _register_affine(self, shape: tuple[int, ...], weight: bool, bias: bool) -> None:
        self.register_parameter("weight", Parameter(ones(*shape)) if weight else None)
        self.register_parameter("bias", Parameter(zeros(*shape)) if weight and bias else None)

    def reset_parameters(self) -> None:
        """Start anew: scale 1, shift 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class _Norm(_Affine):
    """What batch and instance normalization have in common: parameters and running statistics of each channel."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    # PyTorch counts the batches since version 2 of its module (0.4.1, 2018), torchvision's first files are older.
    _saved_since = MappingProxyType({"num_batches_tracked": 2})

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        bias: bool,
    ) -> None:
        super().__init__()
        if num_features < 1:
            raise ArgumentError(f"{type(self).__name__}: num_features must be at least 1 channel, got {num_features}")
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self._register_affine((num_features,), affine, bias)
        self.register_buffer("running_mean", zeros(num_features) if track_running_stats else None)
        self.register_buffer("running_var", ones(num_features) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", zeros(dtype="int64") if track_running_stats else None)

    def reset_running_stats(self) -> None:
        """Forget the batches seen so far: mean 0, variance 1, count 0."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.constant_(self.num_batches_tracked, 0)

    def reset_parameters(self) -> None:
        """Start anew: scale 1, shift 0, no batches seen."""
        self.reset_running_stats()
        super().reset_parameters()

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_Norm):
    """Batch normalization of inputs with `_dims` dimensions."""

    _dims: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        relu: bool = False,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias)
        self.relu = relu

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, ...)`` to the same shape."""
        if input.ndim not in self._dims or input.shape[1] != self.num_features:
            raise ShapeError(
                f"{type(self).__name__}({self.num_features}): needs an input of {' or '.join(map(str, self._dims))} "
                f"dimensions, (n, {self.num_features}, ...); got shape {input.shape}"
            )
        # Without running statistics there is only the batch to go by, in evaluation too.
        use_batch = self.training or self.running_mean is None
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            use_batch,
            self._count_batch() if self.training else 0.0,
            self.eps,
            relu=self.relu,
        )

    def extra_repr(self) -> str:
        return super().extra_repr() + (", relu=True" if self.relu else "")

    def _count_batch(self) -> float:
        """The weight of this batch in the running statistics; 1 / count makes them the mean over all batches."""
        count = self.num_batches_tracked
        if count is not None:
            # As the running statistics are written: an in-place op would check, and be shown, for every layer of every step.
            count.array[...] += 1
            count._wrote("batch_norm")
            if self.momentum is None:
                return 1 / int(count)
        return 0.0 if self.momentum is None else self.momentum


class BatchNorm1d(_BatchNorm):
    """Batch normalization of ``(n, c)`` or ``(n, c, width)``; see `BatchNorm2d`."""

    _dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Each map shifted and scaled to mean 0 and variance 1 over the batch and space, then weight and bias.

    y = (x - mean) / sqrt(var + eps) * weight + bias. In training, mean and (biased) variance are those of the batch, and
    running averages of them are kept; in evaluation the running averages are used, so that an image's result does not
    depend on which others it came with.

    Parameters
    ----------
    num_features : int
        The number of maps c of an input (n, c, h, w).
    eps : float
        Added to the variance.
    momentum : float or None
        The weight of a new batch in the running averages, ``running = (1 - momentum) running + momentum batch`` (with the
        unbiased variance). None gives the plain mean over all batches.
    affine : bool
        Whether there are weight and bias.
    track_running_stats : bool
        Whether running averages are kept; without them evaluation uses the batch as well.
    bias : bool
        False for a weight without a bias.
    relu : bool
        Not in PyTorch: the rectifier that most networks have behind it, y = max(0, ...), done at once. In training both are
        one op, `BatchNormReLU` in a drawing of the graph, which goes over memory less often: a quarter faster than the two
        layers for large maps, about as fast for small ones. Parameters and their names stay the same.

    Attributes
    ----------
    weight, bias : Parameter, shape (c,), or None
        Initially 1 and 0.
    running_mean, running_var : Tensor, shape (c,), or None
        Initially 0 and 1.
    num_batches_tracked : Tensor of int64, shape (), or None

    References
    ----------
    Ioffe, Szegedy 2015, "Batch normalization", algorithms 1 and 2.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> norm = nn.BatchNorm2d(1)
    >>> norm(tg.tensor([[[[1.0, 3.0]]]])).flatten().detach()
    tensor([-1.,  1.])
    >>> norm.running_mean
    tensor([0.2])
    """

    _dims = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalization of ``(n, c, depth, h, w)``; see `BatchNorm2d`."""

    _dims = (5,)
