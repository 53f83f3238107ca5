"""Normalization layers: batch normalization, and AlexNet's local response normalization."""

from ..creation import ones, zeros
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class LocalResponseNorm(Module):
    """Each value divided by the activity of its neighbours across channels.

    y_i = x_i / (k + alpha / size * sum of x_j^2)^beta, with j over the `size` channels around i.

    Parameters
    ----------
    size : int
        The number of channels in a window.
    alpha, beta, k : float
        alpha is divided by `size`, as in PyTorch and Caffe. The paper's n = 5, alpha = 1e-4, beta = 0.75, k = 2 are
        ``LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)``.

    References
    ----------
    Krizhevsky, Sutskever, Hinton 2012, section 3.3.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        if size < 1:
            raise ArgumentError(f"LocalResponseNorm: size must be at least 1 channel, got {size}")
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, ...)`` to the same shape."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class _BatchNorm(Module):
    """Batch normalization of inputs with `_dims` dimensions."""

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
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
    ) -> None:
        super().__init__()
        if num_features < 1:
            raise ArgumentError(f"{type(self).__name__}: num_features must be at least 1 channel, got {num_features}")
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.register_parameter("weight", Parameter(ones(num_features)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_features)) if affine and bias else None)
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
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

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
        )

    def _count_batch(self) -> float:
        """The weight of this batch in the running statistics; 1 / count makes them the mean over all batches."""
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                return 1 / int(self.num_batches_tracked)
        return 0.0 if self.momentum is None else self.momentum

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


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
