"""The smallest convolutional network that still reads digits: eight filters, one pooling layer, one linear layer."""

import math

from .. import nn


class DigitNet(nn.Sequential):
    """The 8-filter digit network of the tutorials.

    ======= ================================= ================= ==========
    layer   what                              output            parameters
    ======= ================================= ================= ==========
    conv    3x3, to 8 maps, no bias           (n, 8, 26, 26)            72
    pool    max, 2x2                          (n, 8, 13, 13)
    fc      a score for each class            (n, num_classes)      13,530
    ======= ================================= ================= ==========

    13,602 parameters for ten digits. There is no nonlinearity but the pooling. The softmax is part of the loss
    (`nn.CrossEntropyLoss`), as everywhere in this package. The filters begin as N(0, (1/9)^2), the linear layer's
    weights as N(0, (1/fan_in)^2), its biases at 0. The tutorial's pixels are x / 255 - 0.5.

    Parameters
    ----------
    num_classes : int

    References
    ----------
    V. Zhou, "CNNs, part 1: an introduction to convolutional neural networks" (``vzhou842/cnn-from-scratch``).

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn.models import DigitNet
    >>> net = DigitNet()
    >>> net[:2](tg.zeros(1, 1, 28, 28)).shape
    (1, 8, 13, 13)
    >>> net(tg.zeros(1, 1, 28, 28)).shape
    (1, 10)
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__(
            {
                "conv": nn.Conv2d(1, 8, kernel_size=3, bias=False),
                "pool": nn.MaxPool2d(2),
                "flatten": nn.Flatten(),
                "fc": nn.Linear(8 * 13 * 13, num_classes),
            }
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values anew."""
        nn.init.normal_(self.conv.weight, std=1 / math.prod(self.conv.kernel_size))
        nn.init.normal_(self.fc.weight, std=1 / self.fc.in_features)
        nn.init.zeros_(self.fc.bias)
