"""ZFNet: AlexNet corrected by looking at what its layers see; it won ImageNet's competition of 2013.

The pictures of the first layers (`explain` makes such) showed filters of 11x11 that were dead or coarse, and aliasing from
the stride of 4. So the first convolution became 7x7 with stride 2, and no layer is split over two GPUs any more.
"""

from .. import nn
from ..autograd.mode import no_grad
from ..errors import ArgumentError
from .alexnet import response_norm
from .initial import gaussian, initialize


class ZFNet(nn.Sequential):
    """The network of Zeiler and Fergus.

    ====== ================================== ================= ==========
    layer  what                               output            parameters
    ====== ================================== ================= ==========
    conv1  7x7 stride 2, ReLU                 (n, 96, 110, 110)     14,208
    pool1  max, 3x3 stride 2                  (n, 96, 55, 55)
    norm1  normalization across maps
    conv2  5x5 stride 2, ReLU                 (n, 256, 26, 26)     614,656
    pool2  max, 3x3 stride 2                  (n, 256, 13, 13)
    norm2  normalization across maps
    conv3  3x3, ReLU                          (n, 384, 13, 13)     885,120
    conv4  3x3, ReLU                          (n, 384, 13, 13)   1,327,488
    conv5  3x3, ReLU                          (n, 256, 13, 13)     884,992
    pool5  max, 3x3 stride 2                  (n, 256, 6, 6)
    fc6    4096 units, ReLU, dropout          (n, 4096)         37,752,832
    fc7    4096 units, ReLU, dropout          (n, 4096)         16,781,312
    fc8    a score for each class             (n, num_classes)   4,097,000
    ====== ================================== ================= ==========

    62,357,608 parameters for 1000 classes. The paper gives the maps' sizes (55, 26, 13, 6); one pixel of padding in conv1
    and pools that round up lead to them. It does not give the constants of its normalization: here they are AlexNet's.
    Weights begin as N(0, 0.01^2), biases at 0.

    Parameters
    ----------
    num_classes : int
    dropout : float
        The probability that a unit of fc6 or fc7 is dropped.

    References
    ----------
    Zeiler, Fergus 2013, "Visualizing and understanding convolutional networks", figure 3 and section 3.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__(
            {
                "conv1": nn.Conv2d(3, 96, kernel_size=7, stride=2, padding=1),
                "relu1": nn.ReLU(),
                "pool1": nn.MaxPool2d(3, stride=2, ceil_mode=True),
                "norm1": response_norm(),
                "conv2": nn.Conv2d(96, 256, kernel_size=5, stride=2),
                "relu2": nn.ReLU(),
                "pool2": nn.MaxPool2d(3, stride=2, ceil_mode=True),
                "norm2": response_norm(),
                "conv3": nn.Conv2d(256, 384, kernel_size=3, padding=1),
                "relu3": nn.ReLU(),
                "conv4": nn.Conv2d(384, 384, kernel_size=3, padding=1),
                "relu4": nn.ReLU(),
                "conv5": nn.Conv2d(384, 256, kernel_size=3, padding=1),
                "relu5": nn.ReLU(),
                "pool5": nn.MaxPool2d(3, stride=2),
                "flatten": nn.Flatten(),
                "fc6": nn.Linear(256 * 6 * 6, 4096),
                "relu6": nn.ReLU(),
                "drop6": nn.Dropout(dropout),
                "fc7": nn.Linear(4096, 4096),
                "relu7": nn.ReLU(),
                "drop7": nn.Dropout(dropout),
                "fc8": nn.Linear(4096, num_classes),
            }
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values anew."""
        initialize(self, gaussian(0.01))


def renormalize_filters(model: nn.Module, radius: float = 0.1) -> int:
    """Scale every filter of every convolution whose root mean square exceeds `radius` down to it, in place.

    Without it a few filters of the first layer come to dominate. The paper does this in all convolutions during training:
    call it after each step of the optimizer.

    Parameters
    ----------
    model : Module
        All `nn.Conv2d` below it.
    radius : float
        The largest root mean square of a filter's weights.

    Returns
    -------
    int
        How many filters were scaled.

    Raises
    ------
    ArgumentError
        If `radius` is not positive.

    References
    ----------
    Zeiler, Fergus 2013, section 3.1.

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> from tinygrad_cnn.models import renormalize_filters
    >>> conv = nn.Conv2d(1, 2, 2)
    >>> _ = nn.init.constant_(conv.weight, 0.5)
    >>> renormalize_filters(conv)
    2
    >>> conv.weight[0].detach().flatten()
    tensor([0.1, 0.1, 0.1, 0.1])
    """
    if not radius > 0:
        raise ArgumentError(f"renormalize_filters: radius must be positive, got {radius}")
    scaled = 0
    with no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                size = layer.weight.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
                layer.weight.mul_(radius / size.clamp(min=radius))
                scaled += int((size > radius).sum())
    return scaled
