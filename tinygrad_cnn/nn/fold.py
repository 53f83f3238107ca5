"""Windows as columns, and columns added back up, as layers."""

from ..kernels.spelling import Padding, PerAxis, per_axis
from ..tensor import Tensor
from . import functional as F
from .module import Module
from .pool import check_window


class Unfold(Module):
    """Every window of the maps as a column: ``(n, c, h, w)`` to ``(n, c kh kw, windows)``; see `functional.unfold`.

    Parameters
    ----------
    kernel_size : int or (int, int)
        The window, in pixels.
    dilation : int or (int, int)
        The step between the pixels of a window.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid" or "same"
        Rows and columns of zeros around the input.
    stride : int or (int, int)
        The step between windows.
    """

    def __init__(
        self, kernel_size: PerAxis, dilation: PerAxis = 1, padding: Padding = 0, stride: PerAxis = 1
    ) -> None:
        super().__init__()
        check_window(self, 2, kernel_size, stride, padding, dilation)
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, h, w)`` to ``(n, c kh kw, windows)``."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        )


class Fold(Module):
    """Columns added up where their windows lie, ``(n, c kh kw, windows)`` to ``(n, c, h, w)``; see `functional.fold`.

    Parameters
    ----------
    output_size : int or (int, int)
        Of the maps, in pixels.
    kernel_size, dilation, padding, stride
        As for `Unfold`.
    """

    def __init__(
        self,
        output_size: PerAxis,
        kernel_size: PerAxis,
        dilation: PerAxis = 1,
        padding: Padding = 0,
        stride: PerAxis = 1,
    ) -> None:
        super().__init__()
        per_axis(type(self).__name__, "output_size", output_size, 2, at_least=1)
        check_window(self, 2, kernel_size, stride, padding, dilation)
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c kh kw, windows)`` to ``(n, c, h, w)``."""
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )
