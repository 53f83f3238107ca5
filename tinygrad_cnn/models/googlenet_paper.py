"""GoogLeNet as in the paper: 22 layers, most of them in Inception modules; it won ImageNet's competition of 2014.

An Inception module looks at its input with 1x1, 3x3 and 5x5 convolutions and with a pooling, all side by side, and stacks
what they find. What makes that affordable is the 1x1 convolutions in front of the larger ones: they are fully connected
over the channels of a pixel, and reduce their number first.

`models.googlenet` is torchvision's network of that name, with batch normalization and a 3x3 in the 5x5's place.
"""

from .. import nn
from ..tensor import Tensor
from .inception import Branches, GoogLeNetOutputs, InceptionTower
from .initial import glorot_caffe, initialize


def conv_relu(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size (up to its stride), and a ReLU: every convolution of the paper has one."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2)
    return nn.Sequential({"conv": conv, "relu": nn.ReLU()})


class InceptionPaper(Branches):
    """The Inception module of figure 2b; the arguments are a row of the paper's table 1.

    Parameters
    ----------
    in_channels : int
    ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj : int
        Maps that each convolution makes: the 1x1; the reduction in front of the 3x3, and the 3x3; the same for 5x5; and
        the 1x1 behind the pooling. The output has ``ch1x1 + ch3x3 + ch5x5 + pool_proj`` maps, in this order.
    """

    def __init__(
        self, in_channels: int, ch1x1: int, ch3x3red: int, ch3x3: int, ch5x5red: int, ch5x5: int, pool_proj: int
    ) -> None:
        super().__init__()
        self.branch1 = conv_relu(in_channels, ch1x1, 1)
        self.branch2 = nn.Sequential(conv_relu(in_channels, ch3x3red, 1), conv_relu(ch3x3red, ch3x3, 3))
        self.branch3 = nn.Sequential(conv_relu(in_channels, ch5x5red, 1), conv_relu(ch5x5red, ch5x5, 5))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv_relu(in_channels, pool_proj, 1))


def auxiliary_head(in_channels: int, num_classes: int, dropout: float) -> nn.Sequential:
    """A small classifier halfway, which gives the layers below a gradient of their own (section 5)."""
    return nn.Sequential(
        {
            "pool": nn.AvgPool2d(5, stride=3),
            "conv": conv_relu(in_channels, 128, 1),
            "flatten": nn.Flatten(),
            "fc1": nn.Linear(128 * 4 * 4, 1024),
            "relu": nn.ReLU(),
            "dropout": nn.Dropout(dropout),
            "fc2": nn.Linear(1024, num_classes),
        }
    )


class GoogLeNetPaper(InceptionTower):
    """GoogLeNet as in table 1 of the paper.

    ============ ============================================= ================= ==========
    layer        what                                          output            parameters
    ============ ============================================= ================= ==========
    conv1        7x7 stride 2                                  (n, 64, 112, 112)      9,472
    maxpool1     3x3 stride 2; response normalization          (n, 64, 56, 56)
    conv2        1x1                                           (n, 64, 56, 56)        4,160
    conv3        3x3; response normalization                   (n, 192, 56, 56)     110,784
    maxpool2     3x3 stride 2                                  (n, 192, 28, 28)
    inception3a  64; 96, 128; 16, 32; 32                       (n, 256, 28, 28)     163,696
    inception3b  128; 128, 192; 32, 96; 64                     (n, 480, 28, 28)     388,736
    maxpool3     3x3 stride 2                                  (n, 480, 14, 14)
    inception4a  192; 96, 208; 16, 48; 64                      (n, 512, 14, 14)     376,176
    inception4b  160; 112, 224; 24, 64; 64                     (n, 512, 14, 14)     449,160
    inception4c  128; 128, 256; 24, 64; 64                     (n, 512, 14, 14)     510,104
    inception4d  112; 144, 288; 32, 64; 64                     (n, 528, 14, 14)     605,376
    inception4e  256; 160, 320; 32, 128; 128                   (n, 832, 14, 14)     868,352
    maxpool4     3x3 stride 2                                  (n, 832, 7, 7)
    inception5a  256; 160, 320; 32, 128; 128                   (n, 832, 7, 7)     1,043,456
    inception5b  384; 192, 384; 48, 128; 128                   (n, 1024, 7, 7)    1,444,080
    avgpool      average over each map; dropout                (n, 1024)
    fc           a score for each class                        (n, num_classes)   1,025,000
    ============ ============================================= ================= ==========

    6,998,552 parameters for 1000 classes; with the auxiliary heads on 4a and 4d (3,188,840 and 3,190,888), 13,378,280.
    The parameters that the paper's table prints do not fit its own numbers of maps. The pools round up: 112 rows become
    56. Weights begin uniform over +-sqrt(3 / fan_in), biases at 0.2, as in Caffe's model; the paper does not say.

    Parameters
    ----------
    num_classes : int
    aux_logits : bool
        Whether there are auxiliary heads. They speak in training only; the paper adds their losses to the network's,
        weighted by 0.3.
    dropout, dropout_aux : float
        The probability that a unit is dropped in front of the output, and in the heads.

    References
    ----------
    Szegedy et al. 2014, "Going deeper with convolutions", table 1 and section 5.
    Caffe, ``models/bvlc_googlenet/train_val.prototxt``.
    """

    def __init__(
        self, num_classes: int = 1000, aux_logits: bool = True, dropout: float = 0.4, dropout_aux: float = 0.7
    ) -> None:
        super().__init__()
        self.conv1 = conv_relu(3, 64, 7, stride=2)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm1 = nn.LocalResponseNorm(5)
        self.conv2 = conv_relu(64, 64, 1)
        self.conv3 = conv_relu(64, 192, 3)
        self.norm2 = nn.LocalResponseNorm(5)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self._add_modules(InceptionPaper, nn.MaxPool2d(3, stride=2, ceil_mode=True))
        self.aux1 = auxiliary_head(512, num_classes, dropout_aux) if aux_logits else None
        self.aux2 = auxiliary_head(528, num_classes, dropout_aux) if aux_logits else None
        self._add_classifier(num_classes, dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values anew."""
        initialize(self, glorot_caffe, bias=0.2)

    def forward(self, input: Tensor) -> Tensor | GoogLeNetOutputs:
        """Images ``(n, 3, 224, 224)`` to scores ``(n, num_classes)``; in training with heads, to `GoogLeNetOutputs`."""
        x = self.norm1(self.maxpool1(self.conv1(input)))
        x = self.norm2(self.conv3(self.conv2(x)))
        return self._classify(self.maxpool2(x))
