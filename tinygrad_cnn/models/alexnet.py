"""AlexNet: the network that won ImageNet's competition of 2012 and made everybody use convolutional networks.

Two networks have that name. `AlexNetPaper` is the paper's: three of its convolutions see half of the maps each (the two
halves ran on two GPUs), responses are normalized across maps, pooling windows overlap. `AlexNet` is what torchvision
calls so, from a later text of the first author: one GPU, no groups, no normalization, and other numbers of maps.
"""

from typing import Any

from .. import nn
from ..tensor import Tensor
from .initial import gaussian, initialize


class AlexNetPaper(nn.Sequential):
    """AlexNet as in the paper of 2012: five convolutions, three of them in two groups, and three fully connected layers.

    ====== ================================== ================= ==========
    layer  what                               output            parameters
    ====== ================================== ================= ==========
    conv1  11x11 stride 4, ReLU               (n, 96, 55, 55)       34,944
    norm1  local response normalization
    pool1  max, 3x3 stride 2                  (n, 96, 27, 27)
    conv2  5x5, in two groups, ReLU           (n, 256, 27, 27)     307,456
    norm2  local response normalization
    pool2  max, 3x3 stride 2                  (n, 256, 13, 13)
    conv3  3x3, ReLU                          (n, 384, 13, 13)     885,120
    conv4  3x3, in two groups, ReLU           (n, 384, 13, 13)     663,936
    conv5  3x3, in two groups, ReLU           (n, 256, 13, 13)     442,624
    pool5  max, 3x3 stride 2                  (n, 256, 6, 6)
    fc6    4096 units, ReLU, dropout          (n, 4096)         37,752,832
    fc7    4096 units, ReLU, dropout          (n, 4096)         16,781,312
    fc8    a score for each class             (n, num_classes)   4,097,000
    ====== ================================== ================= ==========

    60,965,224 parameters for 1000 classes. The paper says that images have 224x224 pixels, but its 55x55 maps need 227:
    (227 - 11) / 4 + 1 = 55. Weights begin as N(0, 0.01^2); biases at 1 in conv2, conv4, conv5, fc6 and fc7, which gives
    the ReLUs positive inputs at first, and at 0 elsewhere.

    Parameters
    ----------
    num_classes : int
    dropout : float
        The probability that a unit of fc6 or fc7 is dropped. As in the paper nothing is scaled in training, and in
        evaluation the units are multiplied by 1 - dropout.
    groups : int
        1 for convolutions that see all maps (62,378,344 parameters).

    References
    ----------
    Krizhevsky, Sutskever, Hinton 2012, "ImageNet classification with deep convolutional neural networks", figure 2 and
    sections 3 to 5. The names of the layers are those of Caffe's ``models/bvlc_alexnet/train_val.prototxt``.

    Examples
    --------
    >>> from tinygrad_cnn import models, nn
    >>> nn.utils.skip_init(models.AlexNetPaper)[:4]
    Sequential(
      (conv1): Conv2d(3, 96, kernel_size=(11, 11), stride=(4, 4))
      (relu1): ReLU()
      (norm1): LocalResponseNorm(5, alpha=0.0005, beta=0.75, k=2.0)
      (pool1): MaxPool2d(kernel_size=3, stride=2, padding=0, dilation=1, ceil_mode=False)
    )
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5, *, groups: int = 2) -> None:
        super().__init__(
            {
                "conv1": nn.Conv2d(3, 96, kernel_size=11, stride=4),
                "relu1": nn.ReLU(),
                "norm1": response_norm(),
                "pool1": nn.MaxPool2d(3, stride=2),
                "conv2": nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=groups),
                "relu2": nn.ReLU(),
                "norm2": response_norm(),
                "pool2": nn.MaxPool2d(3, stride=2),
                "conv3": nn.Conv2d(256, 384, kernel_size=3, padding=1),
                "relu3": nn.ReLU(),
                "conv4": nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=groups),
                "relu4": nn.ReLU(),
                "conv5": nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=groups),
                "relu5": nn.ReLU(),
                "pool5": nn.MaxPool2d(3, stride=2),
                "flatten": nn.Flatten(),
                "fc6": nn.Linear(256 * 6 * 6, 4096),
                "relu6": nn.ReLU(),
                "drop6": nn.Dropout(dropout, inverted=False),
                "fc7": nn.Linear(4096, 4096),
                "relu7": nn.ReLU(),
                "drop7": nn.Dropout(dropout, inverted=False),
                "fc8": nn.Linear(4096, num_classes),
            }
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values anew, as in section 5."""
        initialize(self, gaussian(0.01))
        for layer in (self.conv2, self.conv4, self.conv5, self.fc6, self.fc7):
            nn.init.ones_(layer.bias)


def response_norm() -> nn.LocalResponseNorm:
    """The paper's normalization across 5 neighbouring maps: k = 2, n = 5, alpha = 1e-4, beta = 0.75 (section 3.3).

    The layer divides its alpha by the number of maps, the paper does not.
    """
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


class AlexNet(nn.Module):
    """AlexNet as torchvision has it.

    ==================== ============================== ================= ==========
    layer                what                           output            parameters
    ==================== ============================== ================= ==========
    features.0           11x11 stride 4, ReLU           (n, 64, 55, 55)       23,296
    features.2           max, 3x3 stride 2              (n, 64, 27, 27)
    features.3           5x5, ReLU                      (n, 192, 27, 27)     307,392
    features.5           max, 3x3 stride 2              (n, 192, 13, 13)
    features.6           3x3, ReLU                      (n, 384, 13, 13)     663,936
    features.8           3x3, ReLU                      (n, 256, 13, 13)     884,992
    features.10          3x3, ReLU                      (n, 256, 13, 13)     590,080
    features.12          max, 3x3 stride 2              (n, 256, 6, 6)
    avgpool              to 6x6, whatever the image
    classifier.1         dropout, 4096 units, ReLU      (n, 4096)         37,752,832
    classifier.4         dropout, 4096 units, ReLU      (n, 4096)         16,781,312
    classifier.6         a score for each class         (n, num_classes)   4,097,000
    ==================== ============================== ================= ==========

    61,100,840 parameters for 1000 classes, which begin as those of `nn.Conv2d` and `nn.Linear` do. The sizes are those of
    images of 224x224 pixels; 63x63 is the smallest that passes.

    Parameters
    ----------
    num_classes : int
    dropout : float
        The probability that an input of the first two fully connected layers is dropped.

    References
    ----------
    Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks".
    torchvision, ``torchvision/models/alexnet.py``.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, num_classes),
        )

    def forward(self, input: Tensor) -> Tensor:
        """Images ``(n, 3, h, w)`` to scores ``(n, num_classes)``."""
        return self.classifier(self.avgpool(self.features(input)).flatten(1))


def alexnet(**config: Any) -> AlexNet:
    """torchvision's `AlexNet`."""
    return AlexNet(**config)
