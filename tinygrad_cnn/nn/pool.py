"""Pooling layers: each map made smaller, separately."""

from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError
from ..kernels.spelling import per_axis
from ..tensor import Tensor
from . import functional as F
from .module import Module

PerAxis = int | Sequence[int]


def _check_window(layer: str, kernel_size: PerAxis, stride: PerAxis, padding: PerAxis, dilation: PerAxis = 1) -> None:
    """Refuse a window that no input could have, when the layer is made rather than when it is called."""
    per_axis(layer, "kernel_size", kernel_size, 2, at_least=1)
    per_axis(layer, "stride", stride, 2, at_least=1)
    per_axis(layer, "padding", padding, 2, at_least=0)
    per_axis(layer, "dilation", dilation, 2, at_least=1)


class MaxPool2d(Module):
    """The largest value of each window of each map.

    The order of the arguments is PyTorch's, where `return_indices` comes before `ceil_mode`; the function
    `functional.max_pool2d` has them the other way round.

    Parameters
    ----------
    kernel_size : int or (int, int)
        The window, in pixels.
    stride : int or (int, int), optional
        The step between windows; the window's size by default.
    padding : int or (int, int)
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

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: PerAxis = 0,
        dilation: PerAxis = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        _check_window("MaxPool2d", kernel_size, self.stride, padding, dilation)
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        """``(n, c, h, w)`` to ``(n, c, oh, ow)``."""
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean of each window of each map.

    Parameters
    ----------
    kernel_size : int or (int, int)
        The window, in pixels.
    stride : int or (int, int), optional
        The step between windows; the window's size by default.
    padding : int or (int, int)
        Of zeros, at most half of the window.
    ceil_mode : bool
        Round the output's size up: the last window may hang over the edge.
    count_include_pad : bool
        Whether padding counts in the divisor.
    divisor_override : int, optional
        Divide by this instead of by the window's size.
    """

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: PerAxis = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        if divisor_override is not None and divisor_override <= 0:
            raise ArgumentError(f"AvgPool2d: divisor_override must be a positive number, got {divisor_override}")
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        _check_window("AvgPool2d", kernel_size, self.stride, padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, h, w)`` to ``(n, c, oh, ow)``."""
        return F.avg_pool2d(
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
