"""Residual blocks: two or three convolutions that learn a correction to their input, which goes around them.

A deep plain network is worse than a shallow one even on its training data, although it could copy the shallow one and
leave the other layers at the identity. A block computes relu(f(x) + shortcut(x)), so the identity is what it does when f
is zero, and gradients reach the first layers through the additions.

Where a block changes the number of maps or their size, x does not fit f(x). The paper has three ways out (section 4.1):
A pads with zero maps, B projects with a 1x1 convolution, C projects in every block.
"""

from typing import Any

from .. import nn
from ..errors import ArgumentError, AutogradError
from ..ops import pad
from ..tensor import Tensor


class ResidualBlock(nn.Module):
    """relu(f(x) + shortcut(x)); a subclass is an f.

    Parameters
    ----------
    plain : bool
        Leave the shortcut out: relu(f(x)), a block of the plain network.

    Attributes
    ----------
    downsample : Module or None
        What stands on the shortcut, where the input has to be made to fit.
    expansion : int
        How many times `channels` maps go out.
    """

    expansion: int

    downsample: nn.Module | None

    def __init__(self, plain: bool) -> None:
        super().__init__()
        self.plain = plain

    def residual(self, input: Tensor) -> Tensor:
        """The function f."""
        raise AutogradError(f"{type(self).__name__} has no residual: define residual(self, input) in the class")

    def forward(self, input: Tensor) -> Tensor:
        """``(n, in_channels, h, w)`` to ``(n, expansion * channels, h / stride, w / stride)``."""
        x = self.residual(input)
        if self.plain:
            return x.relu()
        return (x + (input if self.downsample is None else self.downsample(input))).relu()


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions with batch normalization, and the shortcut (figure 5, left).

    Parameters
    ----------
    in_channels, channels : int
        Maps that come in, and that go out.
    stride : int
        Of the first convolution.
    downsample : Module, optional
    plain : bool
        See `ResidualBlock`.
    """

    expansion = 1

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, downsample: nn.Module | None = None, *, plain: bool = False
    ) -> None:
        super().__init__(plain)
        self.conv1 = nn.Conv2d(in_channels, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = downsample

    def residual(self, input: Tensor) -> Tensor:
        """Its last normalization has no ReLU: that comes behind the addition."""
        x = self.bn1(self.conv1(input)).relu()
        return self.bn2(self.conv2(x))


class Bottleneck(ResidualBlock):
    """A 1x1 convolution to few maps, a 3x3, and a 1x1 to four times as many, and the shortcut (figure 5, right).

    Parameters
    ----------
    in_channels, channels : int
        Maps that come in, and of the 3x3; ``4 * channels`` go out.
    stride : int
    downsample : Module, optional
    plain : bool
        See `ResidualBlock`.
    stride_in : {"3x3", "1x1"}
        Which convolution has the stride: the 3x3, as in torchvision, or the first 1x1, as in the paper.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        *,
        plain: bool = False,
        stride_in: str = "3x3",
    ) -> None:
        super().__init__(plain)
        strides = {"3x3": (1, stride), "1x1": (stride, 1)}
        if stride_in not in strides:
            raise ArgumentError(f"Bottleneck: stride_in must be '3x3' or '1x1', got {stride_in!r}")
        first, second = strides[stride_in]
        self.conv1 = nn.Conv2d(in_channels, channels, kernel_size=1, stride=first, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, stride=second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels * self.expansion, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels * self.expansion)
        self.downsample = downsample

    def residual(self, input: Tensor) -> Tensor:
        """Its last normalization has no ReLU: that comes behind the addition."""
        x = self.bn1(self.conv1(input)).relu()
        x = self.bn2(self.conv2(x)).relu()
        return self.bn3(self.conv3(x))


class ZeroPaddedShortcut(nn.Module):
    """Option A: the identity, every `stride`-th pixel of it, with maps of zeros on both sides of its own; no parameters.

    Parameters
    ----------
    in_channels, out_channels : int
    stride : int

    Notes
    -----
    The paper does not say where the maps of zeros are. Half of them on either side is what the widely used repetition of
    its CIFAR-10 results has (``akamaster/pytorch_resnet_cifar10``).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        new = out_channels - in_channels
        self.zeros = (new // 2, new - new // 2)
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """``(n, in_channels, h, w)`` to ``(n, out_channels, h / stride, w / stride)``."""
        return pad(input[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *self.zeros))

    def extra_repr(self) -> str:
        return f"zeros={self.zeros}, stride={self.stride}"


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Options B and C: a 1x1 convolution with batch normalization."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


def make_stage(
    block: type[BasicBlock | Bottleneck],
    in_channels: int,
    channels: int,
    blocks: int,
    stride: int,
    shortcut: str,
    **options: Any,
) -> nn.Sequential:
    """Blocks of equally many maps one behind the other; the first has the stride.

    Parameters
    ----------
    block : {BasicBlock, Bottleneck}
    in_channels, channels, blocks, stride : int
    shortcut : {"A", "B", "C", "none"}
        "none" makes a plain network.
    **options
        Of the block.

    Raises
    ------
    ArgumentError
        For another shortcut.
    """
    if shortcut not in ("A", "B", "C", "none"):
        raise ArgumentError(f"shortcut must be 'A', 'B', 'C' or 'none' (a plain network), got {shortcut!r}")
    out_channels = channels * block.expansion
    stage = []
    for _ in range(blocks):
        changes = stride != 1 or in_channels != out_channels
        downsample: nn.Module | None = None
        if shortcut == "C" or (shortcut == "B" and changes):
            downsample = projection(in_channels, out_channels, stride)
        elif shortcut == "A" and changes:
            downsample = ZeroPaddedShortcut(in_channels, out_channels, stride)
        stage.append(block(in_channels, channels, stride, downsample, plain=shortcut == "none", **options))
        in_channels, stride = out_channels, 1
    return nn.Sequential(*stage)
