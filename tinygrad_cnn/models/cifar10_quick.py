"""Caffe's quick network for CIFAR-10: 75 % of the test images in a few minutes of 2014."""

from .. import nn


class CIFAR10Quick(nn.Sequential):
    """Three 5x5 convolutions, max pooling before the first ReLU, average pooling behind the others.

    ====== ================================== ================= ==========
    layer  what                               output            parameters
    ====== ================================== ================= ==========
    conv1  5x5, to 32 maps                    (n, 32, 32, 32)        2,432
    pool1  max, 3x3 stride 2, then ReLU       (n, 32, 16, 16)
    conv2  5x5, to 32 maps, ReLU              (n, 32, 16, 16)       25,632
    pool2  average, 3x3 stride 2              (n, 32, 8, 8)
    conv3  5x5, to 64 maps, ReLU              (n, 64, 8, 8)         51,264
    pool3  average, 3x3 stride 2              (n, 64, 4, 4)
    fc1    64 units, no nonlinearity          (n, 64)               65,600
    fc2    a score for each class             (n, num_classes)         650
    ====== ================================== ================= ==========

    145,578 parameters for ten classes. Caffe's pools round up: from 32 rows a last window, which reaches over the edge,
    makes the 16th row, and an average divides by the pixels that are there. Weights begin as N(0, std^2) with std 1e-4,
    0.01, 0.01, 0.1, 0.1, biases at 0. Caffe subtracts the mean image from pixels of 0 to 255.

    Parameters
    ----------
    num_classes : int

    References
    ----------
    Caffe, ``examples/cifar10/cifar10_quick_train_test.prototxt`` (there fc1 and fc2 are called ip1 and ip2); the network
    is one of A. Krizhevsky's cuda-convnet.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__(
            {
                "conv1": nn.Conv2d(3, 32, kernel_size=5, padding=2),
                "pool1": nn.MaxPool2d(3, stride=2, ceil_mode=True),
                "relu1": nn.ReLU(),
                "conv2": nn.Conv2d(32, 32, kernel_size=5, padding=2),
                "relu2": nn.ReLU(),
                "pool2": nn.AvgPool2d(3, stride=2, ceil_mode=True),
                "conv3": nn.Conv2d(32, 64, kernel_size=5, padding=2),
                "relu3": nn.ReLU(),
                "pool3": nn.AvgPool2d(3, stride=2, ceil_mode=True),
                "flatten": nn.Flatten(),
                "fc1": nn.Linear(64 * 4 * 4, 64),
                "fc2": nn.Linear(64, num_classes),
            }
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values anew."""
        layers = (self.conv1, 1e-4), (self.conv2, 0.01), (self.conv3, 0.01), (self.fc1, 0.1), (self.fc2, 0.1)
        for layer, std in layers:
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)
