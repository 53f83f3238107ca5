"""Pooling layers: each map made smaller, separately. Maximum, mean, Lp norm, LeNet-5's subsampling, and max unpooling.

The layers of a kind differ in the number of spatial axes only (`_dims`); what they share is in the class whose name
starts with an underscore.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ..creation import full, zeros
from ..errors import ArgumentError
from ..kernels.spelling import Padding, PerAxis, integer, padding_pairs, per_axis
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


def check_window(
    layer: Module, dims: int, kernel_size: PerAxis, stride: PerAxis, padding: Padding = 0, dilation: PerAxis = 1
) -> None:
    """Refuse a window that no input could have, when the layer is made rather than when it is called."""
    name = type(layer).__name__
    kernel = per_axis(name, "kernel_size", kernel_size, dims, at_least=1)
    step = per_axis(name, "stride", stride, dims, at_least=1)
    distance = per_axis(name, "dilation", dilation, dims, at_least=1)
    # The size of the input, which "same" depends on, is not known yet; any size will do to check the spelling.
    padding_pairs(name, padding, (1,) * dims, kernel, step, distance)


class _MaxPool(Module):
    """Max pooling over `_dims` axes."""

    _dims: int
    _function: Callable[..., Any]

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        check_window(self, self._dims, kernel_size, self.stride, padding, dilation)
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        """``(n, c, *in_size)`` to ``(n, c, *out_size)``."""
        return type(self)._function(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest value of each window of each line: ``(n, c, width)``; see `MaxPool2d`."""

    _dims = 1
    _function = F.max_pool1d


class MaxPool2d(_MaxPool):
    """The largest value of each window of each map.

    The order of the arguments is PyTorch's, where `return_indices` comes before `ceil_mode`; the function
    `functional.max_pool2d` has them the other way round.

    Parameters
    ----------
    kernel_size : int or (int, int)
        The window, in pixels.
    stride : int or (int, int), optional
        The step between windows; the window's size by default.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid" or "same"
        Of -inf, at most half of the window.
    dilation : int or (int, int)
        The step between the pixels of a window.
    return_indices : bool
        Return the pair (maxima, their positions).
    ceil_mode : bool
        Round the output's size up: the last window may hang over the edge.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.MaxPool2d(2)(tg.tensor([[[[1.0, 3.0], [4.0, 2.0]]]]))
    tensor([[[[4.]]]])
    """

    _dims = 2
    _function = F.max_pool2d


class MaxPool3d(_MaxPool):
    """The largest value of each window of each volume: ``(n, c, depth, height, width)``; see `MaxPool2d`."""

    _dims = 3
    _function = F.max_pool3d


class _AvgPool(Module):
    """Average pooling over `_dims` axes."""

    _dims: int
    _function: Callable[..., Tensor]

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: float | None = None,
    ) -> None:
        super().__init__()
        if divisor_override is not None and divisor_override <= 0:
            raise ArgumentError(
                f"{type(self).__name__}: divisor_override must be a positive number, got {divisor_override}"
            )
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        check_window(self, self._dims, kernel_size, self.stride, padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, *in_size)`` to ``(n, c, *out_size)``."""
        return type(self)._function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The mean of each window of each line: ``(n, c, width)``; see `AvgPool2d`."""

    _dims = 1
    _function = F.avg_pool1d

    def extra_repr(self) -> str:
        shown = (f"{name}={_as_tuple(getattr(self, name))}" for name in ("kernel_size", "stride", "padding"))
        return ", ".join(shown)


class AvgPool2d(_AvgPool):
    """The mean of each window of each map.

    Parameters
    ----------
    kernel_size : int or (int, int)
        The window, in pixels.
    stride : int or (int, int), optional
        The step between windows; the window's size by default.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid" or "same"
        Of zeros, at most half of the window.
    ceil_mode : bool
        Round the output's size up: the last window may hang over the edge.
    count_include_pad : bool
        Whether padding counts in the divisor.
    divisor_override : number, optional
        Divide by this instead of by the window's size.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.AvgPool2d(2)(tg.tensor([[[[1.0, 3.0], [4.0, 2.0]]]]))
    tensor([[[[2.5]]]])
    """

    _dims = 2
    _function = F.avg_pool2d


class AvgPool3d(_AvgPool):
    """The mean of each window of each volume: ``(n, c, depth, height, width)``; see `AvgPool2d`."""

    _dims = 3
    _function = F.avg_pool3d


class _LPPool(Module):
    """Lp pooling over `_dims` axes."""

    _dims: int
    _function: Callable[..., Tensor]

    def __init__(
        self, norm_type: float, kernel_size: PerAxis, stride: PerAxis | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        if not norm_type > 0:
            raise ArgumentError(f"{type(self).__name__}: norm_type must be larger than 0, got {norm_type}")
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        check_window(self, self._dims, kernel_size, kernel_size if stride is None else stride)
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, *in_size)`` to ``(n, c, *out_size)``."""
        return type(self)._function(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The p-norm of each window of each line: ``(n, c, width)``; see `LPPool2d`."""

    _dims = 1
    _function = F.lp_pool1d


class LPPool2d(_LPPool):
    """The p-norm of each window of each map, (sum of x^p)^(1/p); see `functional.lp_pool2d`.

    Parameters
    ----------
    norm_type : float
        p: 1 gives sums, 2 Euclidean norms, inf maxima.
    kernel_size : int or (int, int)
        The window, in pixels.
    stride : int or (int, int), optional
        The step between windows; the window's size by default.
    ceil_mode : bool
        Round the output's size up: the last window may hang over the edge.
    """

    _dims = 2
    _function = F.lp_pool2d


class LPPool3d(_LPPool):
    """The p-norm of each window of each volume: ``(n, c, depth, height, width)``; see `LPPool2d`."""

    _dims = 3
    _function = F.lp_pool3d


class _MaxUnpool(Module):
    """Max unpooling over `_dims` axes."""

    _dims: int
    _function: Callable[..., Tensor]

    def __init__(self, kernel_size: PerAxis, stride: PerAxis | None = None, padding: PerAxis = 0) -> None:
        super().__init__()
        name, dims = type(self).__name__, self._dims
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, dims, at_least=1)
        self.stride = self.kernel_size if stride is None else per_axis(name, "stride", stride, dims, at_least=1)
        self.padding = per_axis(name, "padding", padding, dims, at_least=0)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Maxima and their positions, both ``(n, c, *in_size)``, to ``(n, c, *out_size)``."""
        return type(self)._function(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Maxima put back into lines; see `MaxUnpool2d`."""

    _dims = 1
    _function = F.max_unpool1d


class MaxUnpool2d(_MaxUnpool):
    """Maxima put back where a `MaxPool2d` with ``return_indices=True`` found them, zeros elsewhere.

    Called with the maxima, their positions and, where the pool had left a remainder, the `output_size`.

    Parameters
    ----------
    kernel_size : int or (int, int)
        The pool's window, in pixels.
    stride : int or (int, int), optional
        The pool's step; the window's size by default.
    padding : int or (int, int)
        The pool's.

    References
    ----------
    Zeiler, Fergus 2014, "Visualizing and understanding convolutional networks", section 2.1.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> pool, unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)
    >>> unpool(*pool(tg.tensor([[[[1.0, 3.0], [4.0, 2.0]]]])))
    tensor([[[[0., 0.],
              [4., 0.]]]])
    """

    _dims = 2
    _function = F.max_unpool2d


class MaxUnpool3d(_MaxUnpool):
    """Maxima put back into volumes; see `MaxUnpool2d`."""

    _dims = 3
    _function = F.max_unpool3d


class Subsample2d(Module):
    """LeNet-5's trainable subsampling: the sum of each window, times a coefficient and plus a bias for each map.

    The paper passes the result through its squashing function, which is a layer of its own here.

    Parameters
    ----------
    num_features : int
        The number of maps.
    kernel_size : int or (int, int)
        The window, in pixels; the paper's is 2 x 2.
    stride : int or (int, int), optional
        The step between windows; the window's size by default.

    Attributes
    ----------
    weight : Parameter, shape (num_features,)
        The coefficients. Initially 1 / (pixels of a window), which makes the layer a mean; the paper does not say.
    bias : Parameter, shape (num_features,)
        Initially 0.

    References
    ----------
    LeCun et al. 1998, "Gradient-based learning applied to document recognition", section II.B.

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> layer = nn.Subsample2d(6)
    >>> layer
    Subsample2d(6, kernel_size=(2, 2), stride=(2, 2))
    >>> sum(parameter.numel() for parameter in layer.parameters())
    12
    """

    weight: Parameter
    bias: Parameter

    def __init__(self, num_features: int, kernel_size: PerAxis = 2, stride: PerAxis | None = None) -> None:
        super().__init__()
        name = type(self).__name__
        self.num_features = integer(name, "num_features", num_features, at_least=1)
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, 2, at_least=1)
        self.stride = self.kernel_size if stride is None else per_axis(name, "stride", stride, 2, at_least=1)
        self.weight = Parameter(full((num_features,), self._coefficient()))
        self.bias = Parameter(zeros(num_features))

    def _coefficient(self) -> float:
        return 1 / (self.kernel_size[0] * self.kernel_size[1])

    def reset_parameters(self) -> None:
        """Start anew as a mean."""
        init.constant_(self.weight, self._coefficient())
        init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """``(n, num_features, h, w)`` to ``(n, num_features, oh, ow)``."""
        return F.subsample2d(input, self.weight, self.bias, self.kernel_size, self.stride)

    def extra_repr(self) -> str:
        return f"{self.num_features}, kernel_size={self.kernel_size}, stride={self.stride}"


def _as_tuple(value: Any) -> Any:
    return value if isinstance(value, (tuple, list, str)) else (value,)
