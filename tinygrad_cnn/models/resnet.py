"""ResNet for ImageNet: 18 to 152 layers of residual blocks; it won the competition of 2015. Plain networks beside it.

`ResNet` is torchvision's class, with what the paper has besides: the other shortcuts, the stride in the bottleneck's first
convolution, the pooling of the original Caffe model. The blocks are in `residual`.
"""

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..errors import ArgumentError
from ..tensor import Tensor
from .initial import he, initialize
from .residual import BasicBlock, Bottleneck, make_stage


class ResNet(nn.Module):
    """A residual network for images of 224x224 pixels (table 1 of the paper).

    ======= ======================================= ===================================
    layer   what                                    output
    ======= ======================================= ===================================
    conv1   7x7 stride 2, normalization, ReLU       (n, 64, 112, 112)
    maxpool 3x3 stride 2                            (n, 64, 56, 56)
    layer1  blocks of 64 maps                       (n, 64 e, 56, 56)
    layer2  blocks of 128 maps, stride 2            (n, 128 e, 28, 28)
    layer3  blocks of 256 maps, stride 2            (n, 256 e, 14, 14)
    layer4  blocks of 512 maps, stride 2            (n, 512 e, 7, 7)
    avgpool average over each map                   (n, 512 e, 1, 1)
    fc      a score for each class                  (n, num_classes)
    ======= ======================================= ===================================

    with the block's expansion e: 1 for a `BasicBlock`, 4 for a `Bottleneck`. Parameters for 1000 classes:

    ====== ============ ============== ============ ============ =============
    layers blocks       of             option A     option B     option C
    ====== ============ ============== ============ ============ =============
    18     2, 2, 2, 2   BasicBlock     11,515,688   11,689,512   12,043,816
    34     3, 4, 6, 3   BasicBlock     21,623,848   21,797,672   22,716,840
    50     3, 4, 6, 3   Bottleneck     22,780,456   25,557,032   40,128,552
    101    3, 4, 23, 3  Bottleneck     41,772,584   44,549,160   76,981,288
    152    3, 8, 36, 3  Bottleneck     57,416,232   60,192,808   107,335,720
    ====== ============ ============== ============ ============ =============

    Convolutions have no bias. Their weights begin as N(0, 2 / fan_out), as torchvision's; the fully connected layer as
    `nn.Linear` does.

    Parameters
    ----------
    block : {BasicBlock, Bottleneck}
    layers : sequence of int
        The number of blocks in each of the four stages.
    num_classes : int
    zero_init_residual : bool
        Begin with 0 as the weight of each block's last normalization, so that every block begins as its shortcut.
    shortcut : {"B", "A", "C", "none"}
        Where the size or the number of maps changes: B projects by a 1x1 convolution with normalization, as torchvision; A
        pads with zero maps; C projects in every block. "none" is the plain network: no shortcuts at all.
    stride_in : {"3x3", "1x1"}
        Which convolution of a bottleneck has the stride: the 3x3, as in torchvision, or the first 1x1, as in the paper
        (ResNet-50 then takes 3.86e9 instead of 4.09e9 multiply-adds). Basic blocks have 3x3 convolutions only.
    ceil_pool : bool
        Pool as the authors' Caffe model: no padding, rounding up, rather than a padding of one pixel.

    Raises
    ------
    ArgumentError
        For another number of stages, and for options that are not among these.

    References
    ----------
    He, Zhang, Ren, Sun 2015, "Deep residual learning for image recognition", table 1 and section 4.1.
    torchvision, ``torchvision/models/resnet.py``; ``KaimingHe/deep-residual-networks``.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import models
    >>> net = models.resnet18(num_classes=10)
    >>> net(tg.zeros(1, 3, 64, 64)).shape
    (1, 10)
    >>> net.layer2[0].downsample[0]
    Conv2d(64, 128, kernel_size=(1, 1), stride=(2, 2), bias=False)
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        *,
        shortcut: str = "B",
        stride_in: str = "3x3",
        ceil_pool: bool = False,
    ) -> None:
        super().__init__()
        if len(layers) != 4:
            raise ArgumentError(f"ResNet has 4 stages: give the number of blocks of each; got {list(layers)}")
        if stride_in != "3x3" and not issubclass(block, Bottleneck):
            raise ArgumentError(f"ResNet: {block.__name__} has 3x3 convolutions only, so stride_in cannot be {stride_in!r}")
        options: dict[str, Any] = {"stride_in": stride_in} if issubclass(block, Bottleneck) else {}
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True) if ceil_pool else nn.MaxPool2d(3, stride=2, padding=1)
        in_channels = 64
        for i, blocks in enumerate(layers):
            channels, stride = 64 * 2**i, 1 if i == 0 else 2
            stage = make_stage(block, in_channels, channels, blocks, stride, shortcut, **options)
            self.add_module(f"layer{i + 1}", stage)
            in_channels = channels * block.expansion
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(in_channels, num_classes)
        self.zero_init_residual = zero_init_residual
        self._last_norm = "bn3.weight" if issubclass(block, Bottleneck) else "bn2.weight"
        self.reset_convolutions()

    def reset_convolutions(self) -> None:
        """Draw the initial values of the convolutions anew."""
        for name, module in self.named_children():
            if name != "fc":
                initialize(module, he("fan_out"))
        if self.zero_init_residual:
            for name, parameter in self.named_parameters():
                if name.endswith(self._last_norm):
                    nn.init.zeros_(parameter)

    def forward(self, input: Tensor) -> Tensor:
        """Images ``(n, 3, h, w)`` to scores ``(n, num_classes)``."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(input))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def resnet18(**config: Any) -> ResNet:
    """The residual network of 18 layers: 11,689,512 parameters."""
    return ResNet(BasicBlock, [2, 2, 2, 2], **config)


def resnet34(**config: Any) -> ResNet:
    """The residual network of 34 layers: 21,797,672 parameters."""
    return ResNet(BasicBlock, [3, 4, 6, 3], **config)


def resnet50(**config: Any) -> ResNet:
    """The residual network of 50 layers: 25,557,032 parameters."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **config)


def resnet101(**config: Any) -> ResNet:
    """The residual network of 101 layers: 44,549,160 parameters."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **config)


def resnet152(**config: Any) -> ResNet:
    """The residual network of 152 layers: 60,192,808 parameters."""
    return ResNet(Bottleneck, [3, 8, 36, 3], **config)


def plain18(**config: Any) -> ResNet:
    """`resnet18` without its shortcuts: 11,515,688 parameters."""
    return ResNet(BasicBlock, [2, 2, 2, 2], **config, shortcut="none")


def plain34(**config: Any) -> ResNet:
    """`resnet34` without its shortcuts: 21,623,848 parameters."""
    return ResNet(BasicBlock, [3, 4, 6, 3], **config, shortcut="none")
