"""Layers that change the size of images by interpolation, or by making pixels out of channels."""

from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError
from ..kernels.spelling import integer
from ..tensor import Tensor
from . import functional as F
from .module import Module


class Upsample(Module):
    """Interpolation to another size; see `functional.interpolate`.

    Parameters
    ----------
    size : int, or one for each spatial axis, optional
        The new size, in pixels. Give this or `scale_factor`.
    scale_factor : float, or one for each spatial axis, optional
    mode : {"nearest", "nearest-exact", "area", "linear", "bilinear", "bicubic", "trilinear"}
    align_corners : bool, optional
        For the linear and cubic modes: lay the centres of the corner pixels on each other, rather than the images' edges.
    recompute_scale_factor : bool, optional
        Step by the ratio of the sizes, rounded, rather than by `scale_factor`.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.Upsample(scale_factor=2)(tg.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ArgumentError(f"Upsample: give either size or scale_factor, got size={size} and scale_factor={scale_factor}")
        self.size = size
        self.scale_factor: Any = scale_factor
        if isinstance(scale_factor, Sequence):
            self.scale_factor = tuple(float(factor) for factor in scale_factor)
        elif scale_factor is not None:
            self.scale_factor = float(scale_factor)
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, ...)`` to ``(n, c, ...)`` of another size."""
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        new_size = f"size={self.size!r}" if self.scale_factor is None else f"scale_factor={self.scale_factor!r}"
        return f"{new_size}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` of images by repeating the nearest pixel; an older name.

    Parameters
    ----------
    size : int or (int, int), optional
    scale_factor : float or (float, float), optional
    """

    def __init__(
        self, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None
    ) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` of images by bilinear interpolation between aligned corner pixels; an older name.

    Parameters
    ----------
    size : int or (int, int), optional
    scale_factor : float or (float, float), optional
    """

    def __init__(
        self, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None
    ) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


class PixelShuffle(Module):
    """Pixels out of channels, ``(..., c r r, h, w)`` to ``(..., c, h r, w r)``.

    Parameters
    ----------
    upscale_factor : int
        r.
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = integer("PixelShuffle", "upscale_factor", upscale_factor, at_least=1)

    def forward(self, input: Tensor) -> Tensor:
        """``(..., c r r, h, w)`` to ``(..., c, h r, w r)``."""
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Channels out of pixels, the inverse of `PixelShuffle`.

    Parameters
    ----------
    downscale_factor : int
        r.
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = integer("PixelUnshuffle", "downscale_factor", downscale_factor, at_least=1)

    def forward(self, input: Tensor) -> Tensor:
        """``(..., c, h r, w r)`` to ``(..., c r r, h, w)``."""
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """The channels of each group dealt out to all groups.

    Parameters
    ----------
    groups : int
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = integer("ChannelShuffle", "groups", groups, at_least=1)

    def forward(self, input: Tensor) -> Tensor:
        """``(n, c, ...)`` to the same shape."""
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
