"""Pooling layers with chance in them: fractional max pooling and stochastic pooling."""

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ArgumentError
from ..kernels.spelling import Padding, PerAxis, per_axis
from ..tensor import Tensor
from . import functional as F
from .module import Module
from .pool import check_window


class FractionalMaxPool2d(Module):
    """Max pooling that shrinks maps by any factor, over windows at uneven distances that are drawn at each call.

    They are drawn in evaluation too, as in PyTorch; the paper averages the network's answers to several draws.

    Parameters
    ----------
    kernel_size : int or (int, int)
        The window, in pixels.
    output_size : int or (int, int), optional
        (oh, ow).
    output_ratio : float or (float, float), optional
        Instead of `output_size`: the output's size as a part of the input's, between 0 and 1.
    return_indices : bool
        Return the pair (maxima, their positions).
    _random_samples : Tensor, shape (n, c, 2), optional
        What would be drawn; see `functional.fractional_max_pool2d`.

    References
    ----------
    Graham 2014, "Fractional max-pooling".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.FractionalMaxPool2d(2, output_ratio=0.7)(tg.randn(1, 3, 10, 10)).shape
    (1, 3, 7, 7)
    """

    def __init__(
        self,
        kernel_size: PerAxis,
        output_size: PerAxis | None = None,
        output_ratio: float | Sequence[float] | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, 2, at_least=1)
        if (output_size is None) == (output_ratio is None):
            raise ArgumentError(
                f"{name}: give either output_size or output_ratio; got output_size={output_size}, "
                f"output_ratio={output_ratio}"
            )
        self.output_size = None if output_size is None else per_axis(name, "output_size", output_size, 2, at_least=1)
        ratios = output_ratio if isinstance(output_ratio, Sequence) else (output_ratio,)
        if not all(ratio is None or 0 < ratio < 1 for ratio in ratios):
            raise ArgumentError(f"{name}: output_ratio must be between 0 and 1, got {output_ratio}")
        self.output_ratio = output_ratio
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, input: Tensor) -> Any:
        """``(n, c, h, w)`` to ``(n, c, oh, ow)``."""
        return F.fractional_max_pool2d(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )

    def extra_repr(self) -> str:
        size = f"output_size={self.output_size}" if self.output_ratio is None else f"output_ratio={self.output_ratio}"
        return f"kernel_size={self.kernel_size}, {size}"


class _StochasticPool(Module):
    """Stochastic pooling over `_dims` axes."""

    _dims: int
    _function: Callable[..., Tensor]

    def __init__(
        self, kernel_size: PerAxis, stride: PerAxis | None = None, padding: Padding = 0, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        check_window(self, self._dims, kernel_size, self.stride, padding)
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, *in_size)``, not negative, to ``(n, c, *out_size)``."""
        return type(self)._function(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, training=self.training
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, ceil_mode={self.ceil_mode}"


class StochasticPool1d(_StochasticPool):
    """Stochastic pooling of lines: ``(n, c, width)``; see `StochasticPool2d`."""

    _dims = 1
    _function = F.stochastic_pool1d


class StochasticPool2d(_StochasticPool):
    """In training, one value of each window, drawn with a probability in proportion to itself; in evaluation, the
    window's values weighted by these probabilities.

    Parameters
    ----------
    kernel_size : int or (int, int)
        The window, in pixels.
    stride : int or (int, int), optional
        The step between windows; the window's size by default.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid" or "same"
        Of pixels that are never drawn, at most half of the window.
    ceil_mode : bool
        Round the output's size up: the last window may hang over the edge.

    References
    ----------
    Zeiler, Fergus 2013, "Stochastic pooling for regularization of deep convolutional neural networks".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.StochasticPool2d(2).eval()(tg.tensor([[[[1.0, 0.0], [0.0, 3.0]]]]))
    tensor([[[[2.5]]]])
    """

    _dims = 2
    _function = F.stochastic_pool2d
