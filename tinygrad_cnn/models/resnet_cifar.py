"""The residual networks of the paper's section 4.2: thin and deep, for the 32x32 pixels of CIFAR-10.

They train in hours where ImageNet's take weeks, and show the paper's point: plain networks get worse with depth, on their
own training data too; with shortcuts they get better.
"""

from typing import Any

from .. import nn
from ..errors import ArgumentError
from ..tensor import Tensor
from .initial import he, initialize
from .residual import BasicBlock, make_stage


class CIFARResNet(nn.Module):
    """The residual network of 6 n + 2 layers for images of 32x32 pixels.

    ======= ======================================= ===================================
    layer   what                                    output
    ======= ======================================= ===================================
    conv1   3x3, normalization, ReLU                (n, 16, 32, 32)
    layer1  blocks of 16 maps                       (n, 16, 32, 32)
    layer2  blocks of 32 maps, stride 2             (n, 32, 16, 16)
    layer3  blocks of 64 maps, stride 2             (n, 64, 8, 8)
    avgpool average over each map                   (n, 64, 1, 1)
    fc      a score for each class                  (n, num_classes)
    ======= ======================================= ===================================

    Every stage has (depth - 2) / 6 basic blocks. Parameters for ten classes:

    ====== ============ ============ ==========================
    depth  option A     option B     test error in the paper, %
    ====== ============ ============ ==========================
    20     269,722      272,474      8.75
    32     464,154      466,906      7.51
    44     658,586      661,338      7.17
    56     853,018      855,770      6.97
    110    1,727,962    1,730,714    6.43
    1202   19,421,274   19,424,026   7.93
    ====== ============ ============ ==========================

    Plain networks have as many as option A. Weights begin as N(0, 2 / fan_in), the biases of fc at 0.

    Parameters
    ----------
    depth : int
        The number of layers with weights: 6 n + 2, that is 8, 14, 20, ...
    num_classes : int
    shortcut : {"A", "B", "C", "none"}
        Where the number of maps changes: A pads with zero maps, B and C project; see `ResNet`. "none" is the plain network.

    Raises
    ------
    ArgumentError
        For a depth that is not 6 n + 2, and for another shortcut.

    References
    ----------
    He, Zhang, Ren, Sun 2015, "Deep residual learning for image recognition", section 4.2 and table 6; the weights as in
    He et al. 2015, "Delving deep into rectifiers", equation 10.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import models
    >>> net = models.CIFARResNet(8)
    >>> net(tg.zeros(2, 3, 32, 32)).shape
    (2, 10)
    """

    def __init__(self, depth: int, num_classes: int = 10, *, shortcut: str = "A") -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ArgumentError(f"CIFARResNet: depth is 6 n + 2 (20, 32, 44, 56, 110, ...), got {depth}")
        self.conv1 = nn.Conv2d(3, 16, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = make_stage(BasicBlock, 16, 16, blocks, 1, shortcut)
        self.layer2 = make_stage(BasicBlock, 16, 32, blocks, 2, shortcut)
        self.layer3 = make_stage(BasicBlock, 32, 64, blocks, 2, shortcut)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(64, num_classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values anew; those of the normalizations stay."""
        initialize(self, he("fan_in"))

    def forward(self, input: Tensor) -> Tensor:
        """Images ``(n, 3, 32, 32)`` to scores ``(n, num_classes)``."""
        x = self.relu(self.bn1(self.conv1(input)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.avgpool(x).flatten(1))


def resnet20(**config: Any) -> CIFARResNet:
    """`CIFARResNet` of 20 layers: 269,722 parameters."""
    return CIFARResNet(20, **config)


def resnet32(**config: Any) -> CIFARResNet:
    """`CIFARResNet` of 32 layers: 464,154 parameters."""
    return CIFARResNet(32, **config)


def resnet44(**config: Any) -> CIFARResNet:
    """`CIFARResNet` of 44 layers: 658,586 parameters."""
    return CIFARResNet(44, **config)


def resnet56(**config: Any) -> CIFARResNet:
    """`CIFARResNet` of 56 layers: 853,018 parameters."""
    return CIFARResNet(56, **config)


def resnet110(**config: Any) -> CIFARResNet:
    """`CIFARResNet` of 110 layers: 1,727,962 parameters."""
    return CIFARResNet(110, **config)


def resnet1202(**config: Any) -> CIFARResNet:
    """`CIFARResNet` of 1,202 layers: 19,421,274 parameters."""
    return CIFARResNet(1202, **config)


def plain20(**config: Any) -> CIFARResNet:
    """`resnet20` without its shortcuts: 269,722 parameters."""
    return CIFARResNet(20, **config, shortcut="none")


def plain32(**config: Any) -> CIFARResNet:
    """`resnet32` without its shortcuts: 464,154 parameters."""
    return CIFARResNet(32, **config, shortcut="none")


def plain44(**config: Any) -> CIFARResNet:
    """`resnet44` without its shortcuts: 658,586 parameters."""
    return CIFARResNet(44, **config, shortcut="none")


def plain56(**config: Any) -> CIFARResNet:
    """`resnet56` without its shortcuts: 853,018 parameters."""
    return CIFARResNet(56, **config, shortcut="none")


def plain110(**config: Any) -> CIFARResNet:
    """`resnet110` without its shortcuts: 1,727,962 parameters."""
    return CIFARResNet(110, **config, shortcut="none")
