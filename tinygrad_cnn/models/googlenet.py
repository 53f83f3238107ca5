"""GoogLeNet as torchvision has it: batch normalization behind every convolution, no response normalization.

Its modules have a second 3x3 where the paper (`GoogLeNetPaper`) has a 5x5: torchvision calls that a known bug, which its
published weights have made permanent.
"""

from typing import Any

from .. import nn
from ..creation import tensor
from ..tensor import Tensor
from .inception import Branches, GoogLeNetOutputs, InceptionTower


class BasicConv2d(nn.Module):
    """A convolution without bias, batch normalization, ReLU; what it takes is what `nn.Conv2d` takes."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, input: Tensor) -> Tensor:
        """``(n, in_channels, h, w)`` to ``(n, out_channels, oh, ow)``."""
        return self.bn(self.conv(input)).relu()


class Inception(Branches):
    """torchvision's Inception module.

    Parameters
    ----------
    in_channels : int
    ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj : int
        Maps that each convolution makes, named as in the paper's table 1; the "5x5" has 3x3 weights.
    """

    def __init__(
        self, in_channels: int, ch1x1: int, ch3x3red: int, ch3x3: int, ch5x5red: int, ch5x5: int, pool_proj: int
    ) -> None:
        super().__init__()
        self.branch1 = BasicConv2d(in_channels, ch1x1, kernel_size=1)
        self.branch2 = nn.Sequential(
            BasicConv2d(in_channels, ch3x3red, kernel_size=1), BasicConv2d(ch3x3red, ch3x3, kernel_size=3, padding=1)
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(in_channels, ch5x5red, kernel_size=1), BasicConv2d(ch5x5red, ch5x5, kernel_size=3, padding=1)
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True), BasicConv2d(in_channels, pool_proj, kernel_size=1)
        )


class InceptionAux(nn.Module):
    """torchvision's auxiliary head: to 4x4, a 1x1 convolution, two fully connected layers.

    Parameters
    ----------
    in_channels, num_classes : int
    dropout : float
    """

    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.7) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d((4, 4))
        self.conv = BasicConv2d(in_channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, input: Tensor) -> Tensor:
        """``(n, in_channels, h, w)`` to scores ``(n, num_classes)``."""
        x = self.conv(self.avgpool(input)).flatten(1)
        return self.fc2(self.dropout(self.fc1(x).relu()))


class GoogLeNet(InceptionTower):
    """torchvision's GoogLeNet: 6,624,904 parameters for 1000 classes, 13,004,888 with the auxiliary heads.

    The modules have as many maps as the paper's; see the table of `GoogLeNetPaper`.

    Parameters
    ----------
    num_classes : int
    aux_logits : bool
        Whether there are auxiliary heads on modules 4a and 4d, which speak in training only.
    transform_input : bool
        Take images that are normalized as torchvision's others (mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225) and
        scale them to (x - 0.5) / 0.5, which torchvision's published weights want.
    init_weights : bool
        Draw the weights from N(0, 0.01^2), cut off at -2 and 2, as torchvision does; otherwise they stay as the layers
        were made. The biases of the fully connected layers stay so in any case.
    dropout, dropout_aux : float
        The probability that a unit is dropped in front of the output, and in the heads.

    References
    ----------
    Szegedy et al. 2014, "Going deeper with convolutions". torchvision, ``torchvision/models/googlenet.py``.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool = True,
        *,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
    ) -> None:
        super().__init__()
        self.transform_input = transform_input
        self.conv1 = BasicConv2d(3, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = BasicConv2d(64, 64, kernel_size=1)
        self.conv3 = BasicConv2d(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self._add_modules(Inception, nn.MaxPool2d(2, stride=2, ceil_mode=True))
        self.aux1 = InceptionAux(512, num_classes, dropout_aux) if aux_logits else None
        self.aux2 = InceptionAux(528, num_classes, dropout_aux) if aux_logits else None
        self._add_classifier(num_classes, dropout)
        if init_weights:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weights of the convolutions and the fully connected layers anew."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.01)

    def forward(self, input: Tensor) -> Tensor | GoogLeNetOutputs:
        """Images ``(n, 3, h, w)`` to scores ``(n, num_classes)``; in training with heads, to `GoogLeNetOutputs`."""
        x = self._transformed(input) if self.transform_input else input
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        return self._classify(x)

    @staticmethod
    def _transformed(images: Tensor) -> Tensor:
        mean = tensor([0.485, 0.456, 0.406], dtype=images.dtype).reshape(1, 3, 1, 1)
        std = tensor([0.229, 0.224, 0.225], dtype=images.dtype).reshape(1, 3, 1, 1)
        return (images * std + mean - 0.5) / 0.5


def googlenet(**config: Any) -> GoogLeNet:
    """torchvision's `GoogLeNet`."""
    return GoogLeNet(**config)
