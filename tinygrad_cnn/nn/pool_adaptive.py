"""Adaptive and global pooling layers: the output's size is given, and any input will do."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ..kernels.spelling import per_axis
from ..tensor import Tensor
from . import functional as F
from .module import Module

OutputSize: TypeAlias = int | Sequence[int | None] | None


class _AdaptivePool(Module):
    """Adaptive pooling over `_dims` axes."""

    _dims: int
    _function: Callable[..., Any]

    def __init__(self, output_size: OutputSize) -> None:
        super().__init__()
        sizes = output_size if isinstance(output_size, Sequence) else (output_size,) * self._dims
        given = tuple(1 if size is None else size for size in sizes)  # None stands for any size
        per_axis(type(self).__name__, "output_size", given, self._dims, at_least=1)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Any:
        """``(n, c, *in_size)`` to ``(n, c, *output_size)``."""
        return type(self)._function(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePool):
    """The mean of each of `output_size` windows that cover a line; see `AdaptiveAvgPool2d`."""

    _dims = 1
    _function = F.adaptive_avg_pool1d


class AdaptiveAvgPool2d(_AdaptivePool):
    """The mean of each of ``oh * ow`` windows that cover a map, whatever its size.

    Parameters
    ----------
    output_size : int, None or (int or None, int or None)
        (oh, ow); None keeps the input's size. 1 is global average pooling.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.AdaptiveAvgPool2d((6, None))(tg.randn(1, 8, 13, 9)).shape
    (1, 8, 6, 9)
    """

    _dims = 2
    _function = F.adaptive_avg_pool2d


class AdaptiveAvgPool3d(_AdaptivePool):
    """The mean of each of ``od * oh * ow`` windows that cover a volume; see `AdaptiveAvgPool2d`."""

    _dims = 3
    _function = F.adaptive_avg_pool3d


class _AdaptiveMaxPool(_AdaptivePool):
    """Adaptive max pooling over `_dims` axes."""

    def __init__(self, output_size: OutputSize, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        """``(n, c, *in_size)`` to ``(n, c, *output_size)``."""
        return type(self)._function(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest value of each of `output_size` windows that cover a line; see `AdaptiveMaxPool2d`."""

    _dims = 1
    _function = F.adaptive_max_pool1d


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest value of each of ``oh * ow`` windows that cover a map, whatever its size.

    Parameters
    ----------
    output_size : int, None or (int or None, int or None)
        (oh, ow); None keeps the input's size. 1 is global max pooling.
    return_indices : bool
        Return the pair (maxima, their positions).
    """

    _dims = 2
    _function = F.adaptive_max_pool2d


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest value of each of ``od * oh * ow`` windows that cover a volume; see `AdaptiveMaxPool2d`."""

    _dims = 3
    _function = F.adaptive_max_pool3d


class _GlobalPool(Module):
    """One number for each map: pooling over the whole of `_dims` axes, which stay with size 1."""

    _function: Callable[..., Tensor]

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, *in_size)`` to ``(n, c, 1, ...)``."""
        return type(self)._function(input)


class GlobalAvgPool1d(_GlobalPool):
    """The mean of each line, ``(n, c, width)`` to ``(n, c, 1)``."""

    _function = F.global_avg_pool1d


class GlobalAvgPool2d(_GlobalPool):
    """The mean of each map, ``(n, c, h, w)`` to ``(n, c, 1, 1)``.

    References
    ----------
    Lin, Chen, Yan 2013, "Network in network", section 3.2.
    """

    _function = F.global_avg_pool2d


class GlobalAvgPool3d(_GlobalPool):
    """The mean of each volume, ``(n, c, d, h, w)`` to ``(n, c, 1, 1, 1)``."""

    _function = F.global_avg_pool3d


class GlobalMaxPool1d(_GlobalPool):
    """The largest value of each line, ``(n, c, width)`` to ``(n, c, 1)``."""

    _function = F.global_max_pool1d


class GlobalMaxPool2d(_GlobalPool):
    """The largest value of each map, ``(n, c, h, w)`` to ``(n, c, 1, 1)``."""

    _function = F.global_max_pool2d


class GlobalMaxPool3d(_GlobalPool):
    """The largest value of each volume, ``(n, c, d, h, w)`` to ``(n, c, 1, 1, 1)``."""

    _function = F.global_max_pool3d
