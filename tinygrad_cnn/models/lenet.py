"""LeNet: the convolutional networks that read handwritten digits.

Two small networks for MNIST. `LeNet` is the one that Caffe's tutorial made known; `SmallLeNet5` has the maps and the
units of LeNet-5 with today's parts. Neither is the network of the 1998 paper in every detail: there, subsampling layers
have a trainable coefficient and bias, the second convolution connects each of its maps to some of the first maps only,
units squash by a scaled tanh, and the output units measure distances to drawn digits.
"""

from .. import nn
from ..errors import ArgumentError
from ..tensor import Tensor
from .initial import glorot_caffe, initialize


class LeNet(nn.Module):
    """Caffe's simplified LeNet: two convolutions, each with max pooling, and two fully connected layers.

    ====== ============================= ================= ==========
    layer  what                          output            parameters
    ====== ============================= ================= ==========
    conv1  5x5, to 20 maps               (n, 20, 24, 24)          520
    pool1  max, 2x2                      (n, 20, 12, 12)
    conv2  5x5, to 50 maps               (n, 50, 8, 8)         25,050
    pool2  max, 2x2                      (n, 50, 4, 4)
    fc1    500 units, ReLU               (n, 500)             400,500
    fc2    a score for each class        (n, 10)                5,010
    ====== ============================= ================= ==========

    The ReLU behind fc1 is the only nonlinearity besides the pooling. Weights begin uniform over +-sqrt(3 / fan_in)
    (Caffe's "xavier"), biases at 0. Caffe divides the pixels, 0 to 255, by 256.

    Parameters
    ----------
    num_classes : int

    References
    ----------
    LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", section II.
    Caffe, ``examples/mnist/lenet_train_test.prototxt`` (there fc1 and fc2 are called ip1 and ip2).

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn.models import LeNet
    >>> net = LeNet()
    >>> net(tg.zeros(2, 1, 28, 28)).shape
    (2, 10)
    >>> sum(parameter.numel() for parameter in net.parameters())
    431080
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, kernel_size=5)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(20, 50, kernel_size=5)
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(50 * 4 * 4, 500)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(500, num_classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values anew."""
        initialize(self, glorot_caffe)

    def forward(self, input: Tensor) -> Tensor:
        """Images ``(n, 1, 28, 28)`` to scores ``(n, num_classes)``."""
        x = self.pool1(self.conv1(input))
        x = self.pool2(self.conv2(x))
        x = self.relu(self.fc1(self.flatten(x)))
        return self.fc2(x)


class SmallLeNet5(nn.Module):
    """The maps and units of LeNet-5 (6, 16, 120, 84) with ReLU, max pooling and a linear output.

    ====== ============================= ================= ==========
    layer  what                          output            parameters
    ====== ============================= ================= ==========
    conv1  5x5, to 6 maps, ReLU          (n, 6, 28, 28)           156
    pool1  max, 2x2                      (n, 6, 14, 14)
    conv2  5x5, to 16 maps, ReLU         (n, 16, 10, 10)        2,416
    pool2  max, 2x2                      (n, 16, 5, 5)
    fc1    120 units, ReLU               (n, 120)              48,120
    fc2    84 units, ReLU                (n, 84)               10,164
    fc3    a score for each class        (n, 10)                  850
    ====== ============================= ================= ==========

    61,706 parameters in all. The layer that the paper calls C5 is fc1: on maps of 5x5, a 5x5 convolution is fully
    connected.

    Parameters
    ----------
    num_classes : int
    image_size : {28, 32}
        MNIST's images of 28x28 are padded by 2 pixels of zeros in conv1; the paper's of 32x32 are taken as they are.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", section II.B.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn.models import SmallLeNet5
    >>> SmallLeNet5(image_size=32)(tg.zeros(2, 1, 32, 32)).shape
    (2, 10)
    """

    def __init__(self, num_classes: int = 10, image_size: int = 28) -> None:
        super().__init__()
        if image_size not in (28, 32):
            raise ArgumentError(f"SmallLeNet5: image_size must be 28 or 32 pixels, got {image_size}")
        self.conv1 = nn.Conv2d(1, 6, kernel_size=5, padding=(32 - image_size) // 2)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(120, 84)
        self.relu4 = nn.ReLU()
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, input: Tensor) -> Tensor:
        """Images ``(n, 1, image_size, image_size)`` to scores ``(n, num_classes)``."""
        x = self.pool1(self.relu1(self.conv1(input)))
        x = self.pool2(self.relu2(self.conv2(x)))
        x = self.relu3(self.fc1(self.flatten(x)))
        x = self.relu4(self.fc2(x))
        return self.fc3(x)
