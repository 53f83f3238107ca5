"""Padding layers: a border around signals, images and volumes, of zeros, of a constant, or of the inside continued.

One class for each number of spatial axes and each way of filling the border, named as PyTorch's; they differ in that only.
"""

from collections.abc import Sequence
from typing import ClassVar

from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor
from . import functional as F
from .module import Module


class _Pad(Module):
    """A border around `_dims` axes, filled by `_mode`."""

    _dims: ClassVar[int]
    _mode: ClassVar[str]
    value: float | None = None

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        widths = (padding,) * (2 * self._dims) if isinstance(padding, int) else tuple(padding)
        if len(widths) != 2 * self._dims or not all(isinstance(width, int) for width in widths):
            raise ArgumentError(
                f"{type(self).__name__}: padding must be one number, or {2 * self._dims}: before and after, the last axis "
                f"first; got {padding!r}"
            )
        self.padding = widths

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, ...)``, or ``(c, ...)``, to the same with each spatial axis longer by its two widths."""
        name, dims = type(self).__name__, self._dims
        if input.ndim not in (dims + 1, dims + 2):
            raise ShapeError(
                f"{name}: needs an input of {dims + 2} dimensions (n, c, ...), or {dims + 1} (c, ...); got shape {input.shape}"
            )
        return F.pad(input, self.padding, self._mode, self.value)

    def extra_repr(self) -> str:
        return str(self.padding)


class _ConstantPad(_Pad):
    _mode = "constant"

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """A border of one value around ``(n, c, width)``; see `ConstantPad2d`."""

    _dims = 1


class ConstantPad2d(_ConstantPad):
    """A border of one value around images.

    Parameters
    ----------
    padding : int, or (left, right, top, bottom)
        In pixels; negative numbers crop.
    value : float

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.ConstantPad2d((1, 0, 0, 1), 7.0)(tg.zeros(1, 1, 1, 2))
    tensor([[[[7., 0., 0.],
              [7., 7., 7.]]]])
    """

    _dims = 2


class ConstantPad3d(_ConstantPad):
    """A border of one value around ``(n, c, depth, h, w)``; see `ConstantPad2d`."""

    _dims = 3


class ZeroPad1d(_Pad):
    """A border of zeros around ``(n, c, width)``; see `ZeroPad2d`."""

    _dims, _mode = 1, "constant"


class ZeroPad2d(_Pad):
    """A border of zeros around images.

    Parameters
    ----------
    padding : int, or (left, right, top, bottom)
        In pixels; negative numbers crop.

    Raises
    ------
    ArgumentError
        For another number of widths.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.ZeroPad2d((1, 2, 3, 4))(tg.ones(1, 1, 5, 5)).shape
    (1, 1, 12, 8)
    """

    _dims, _mode = 2, "constant"


class ZeroPad3d(_Pad):
    """A border of zeros around ``(n, c, depth, h, w)``; see `ZeroPad2d`."""

    _dims, _mode = 3, "constant"


class ReflectionPad1d(_Pad):
    """A border that mirrors ``(n, c, width)`` at its ends; see `ReflectionPad2d`."""

    _dims, _mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """A border that mirrors images at their edge pixels, which are not repeated.

    Parameters
    ----------
    padding : int, or (left, right, top, bottom)
        In pixels, each less than the size of its axis.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.ReflectionPad2d((2, 1, 0, 0))(tg.tensor([[[[1.0, 2.0, 3.0]]]]))
    tensor([[[[3., 2., 1., 2., 3., 2.]]]])
    """

    _dims, _mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """A border that mirrors ``(n, c, depth, h, w)`` at its faces; see `ReflectionPad2d`."""

    _dims, _mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """A border that repeats the ends of ``(n, c, width)``; see `ReplicationPad2d`."""

    _dims, _mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """A border that repeats the edge pixels of images.

    Parameters
    ----------
    padding : int, or (left, right, top, bottom)
        In pixels.
    """

    _dims, _mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """A border that repeats the faces of ``(n, c, depth, h, w)``; see `ReplicationPad2d`."""

    _dims, _mode = 3, "replicate"


class CircularPad1d(_Pad):
    """A border that goes on at the other end of ``(n, c, width)``; see `CircularPad2d`."""

    _dims, _mode = 1, "circular"


class CircularPad2d(_Pad):
    """A border that goes on at the opposite edge of images, as if they were tiled.

    Parameters
    ----------
    padding : int, or (left, right, top, bottom)
        In pixels, each at most the size of its axis.
    """

    _dims, _mode = 2, "circular"


class CircularPad3d(_Pad):
    """A border that goes on at the opposite face of ``(n, c, depth, h, w)``; see `CircularPad2d`."""

    _dims, _mode = 3, "circular"
