"""VGG: nothing but 3x3 convolutions, 8 to 16 of them; it showed that depth is what matters.

Two 3x3 convolutions see as much of the image as one 5x5, three as much as one 7x7, with more nonlinearities between them
and fewer weights: 27 c^2 against 49 c^2 for c maps.

`VGGPaper` builds the six columns of the paper's table 1, `VGG` is torchvision's class, which differs in three ways: its
pooling before the fully connected layers takes images of other sizes, its weights begin as He's, and it comes with batch
normalization too (which is younger than the paper).
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from .. import nn
from ..errors import ArgumentError
from ..tensor import Tensor
from .alexnet import response_norm
from .initial import gaussian, he, initialize

# The convolutions of one network, first layer first: how many maps a 3x3 makes, or one of the words below.
Column: TypeAlias = Sequence[int | str]

# Table 1 of the paper. "M" is max pooling, "LRN" response normalization, "c1-256" a 1x1 convolution to 256 maps.
TABLE_1: dict[str, Column] = {
    "A": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "A-LRN": [64, "LRN", "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "B": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "C": [64, 64, "M", 128, 128, "M", 256, 256, "c1-256", "M", 512, 512, "c1-512", "M", 512, 512, "c1-512", "M"],
    "D": [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"],
    "E": [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"],
}  # fmt: skip


def make_layers(column: Column, batch_norm: bool = False) -> nn.Sequential:
    """The convolutional part of a VGG.

    Parameters
    ----------
    column : sequence of int or str
        As in `TABLE_1`.
    batch_norm : bool
        Normalize between each convolution and its ReLU.
    """
    layers: list[nn.Module] = []
    channels = 3
    for item in column:
        if item == "M":
            layers.append(nn.MaxPool2d(2))
        elif item == "LRN":
            layers.append(response_norm())
        else:
            out_channels, size = (item, 3) if isinstance(item, int) else (int(item.removeprefix("c1-")), 1)
            layers.append(nn.Conv2d(channels, out_channels, kernel_size=size, padding=size // 2))
            layers += [nn.BatchNorm2d(out_channels), nn.ReLU()] if batch_norm else [nn.ReLU()]
            channels = out_channels
    return nn.Sequential(*layers)


def make_classifier(in_features: int, num_classes: int, dropout: float) -> nn.Sequential:
    """The three fully connected layers of every VGG; 123,642,856 parameters behind 7x7 maps."""
    return nn.Sequential(
        nn.Linear(in_features, 4096),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(4096, num_classes),
    )


class VGGPaper(nn.Module):
    """One of the six networks of the paper's table 1.

    ====== ============================================================= =========== ==================
    column 3x3 convolutions to ... maps, each group followed by pooling  layers      parameters
    ====== ============================================================= =========== ==================
    A      64, 128, 2 x 256, 2 x 512, 2 x 512                            11          132,863,336
    A-LRN  A with response normalization behind the first                11          132,863,336
    B      2 x 64, 2 x 128, 2 x 256, 2 x 512, 2 x 512                    13          133,047,848
    C      B and a 1x1 at the end of each of the last three groups       16          133,638,952
    D      2 x 64, 2 x 128, 3 x 256, 3 x 512, 3 x 512                    16          138,357,544
    E      2 x 64, 2 x 128, 4 x 256, 4 x 512, 4 x 512                    19          143,667,240
    ====== ============================================================= =========== ==================

    Each convolution has a padding of one pixel (a 1x1 has none) and a ReLU; the pools are 2x2. Three fully connected
    layers follow, of 4096, 4096 and `num_classes` units, the first two with ReLU and dropout.

    Parameters
    ----------
    column : {"A", "A-LRN", "B", "C", "D", "E"}
    num_classes : int
    dropout : float
        The probability that a unit of the first two fully connected layers is dropped.
    image_size : int
        Height and width of the images, in pixels: 224 in the paper; a multiple of 32, as the five pools halve it.
    initialization : {"normal", "glorot"}
        "normal" is what section 3.1 says: N(0, 0.1^2). The signals of a deep network explode with it: the authors trained
        A so, and let the deeper networks start from it (`start_from`). "glorot" is what they later found to need no such
        start: uniform over +-sqrt(6 / (fan_in + fan_out)). Biases are 0.

    Raises
    ------
    ArgumentError
        For a column, a size or an initialization that is not one of these.

    References
    ----------
    Simonyan, Zisserman 2014, "Very deep convolutional networks for large-scale image recognition", tables 1 and 2 and
    section 3.1.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import models
    >>> models.VGGPaper("A", num_classes=10, image_size=32, initialization="glorot")(tg.zeros(1, 3, 32, 32)).shape
    (1, 10)
    """

    def __init__(
        self,
        column: str = "D",
        num_classes: int = 1000,
        dropout: float = 0.5,
        *,
        image_size: int = 224,
        initialization: str = "normal",
    ) -> None:
        super().__init__()
        if column not in TABLE_1:
            raise ArgumentError(f"VGGPaper: the columns of the paper's table are {', '.join(TABLE_1)}; got {column!r}")
        if image_size < 32 or image_size % 32:
            raise ArgumentError(f"VGGPaper: five pools halve the image, so image_size is a multiple of 32; got {image_size}")
        if initialization not in ("normal", "glorot"):
            raise ArgumentError(f"VGGPaper: initialization must be 'normal' or 'glorot', got {initialization!r}")
        self.initialization = initialization
        self.features = make_layers(TABLE_1[column])
        self.classifier = make_classifier(512 * (image_size // 32) ** 2, num_classes, dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values anew."""
        initialize(self, nn.init.xavier_uniform_ if self.initialization == "glorot" else gaussian(0.1))

    def start_from(self, shallow: "VGGPaper") -> None:
        """Take the first four convolutions and the fully connected layers of a trained network A (section 3.1).

        A convolution goes to the place with its number: A's first four are the first of groups 1, 2 and 3 and the second
        of group 3, and have the same shape in every column.

        Parameters
        ----------
        shallow : VGGPaper
            With as many classes and the same image size.

        Raises
        ------
        ArgumentError
            If a layer of `shallow` has another shape; then nothing was copied.
        """
        mine, others = _numbered(self.features), _numbered(shallow.features)
        pairs = [(mine[place], others[place]) for place in [(1, 1), (2, 1), (3, 1), (3, 2)]]
        pairs += [(self.classifier[i], shallow.classifier[i]) for i in (0, 3, 6)]
        for layer, other in pairs:
            if layer.weight.shape != other.weight.shape:
                raise ArgumentError(
                    f"start_from: a layer with weights {other.weight.shape} cannot give them to one of {layer.weight.shape}"
                )
        for layer, other in pairs:
            layer.load_state_dict(other.state_dict())

    def forward(self, input: Tensor) -> Tensor:
        """Images ``(n, 3, image_size, image_size)`` to scores ``(n, num_classes)``."""
        return self.classifier(self.features(input).flatten(1))


def _numbered(features: nn.Sequential) -> dict[tuple[int, int], nn.Module]:
    """The convolutions by the number of their group and their number in it, as in conv3_1."""
    places: dict[tuple[int, int], nn.Module] = {}
    group, number = 1, 1
    for layer in features:
        if isinstance(layer, nn.MaxPool2d):
            group, number = group + 1, 1
        elif isinstance(layer, nn.Conv2d):
            places[group, number] = layer
            number += 1
    return places


class VGG(nn.Module):
    """A VGG as torchvision has it: `features`, an average pooling to 7x7, `classifier`.

    Parameters
    ----------
    features : Module
        The convolutional part, to 512 maps; see `make_layers`.
    num_classes : int
    init_weights : bool
        Draw the weights as torchvision does: convolutions from N(0, 2 / fan_out), fully connected layers from N(0, 0.01^2),
        biases 0. Otherwise they stay as the layers were made.
    dropout : float
        The probability that a unit of the first two fully connected layers is dropped.

    References
    ----------
    Simonyan, Zisserman 2014, "Very deep convolutional networks for large-scale image recognition".
    torchvision, ``torchvision/models/vgg.py``.
    """

    def __init__(
        self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = make_classifier(512 * 7 * 7, num_classes, dropout)
        if init_weights:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values of the convolutions and the fully connected layers anew."""
        initialize(self.features, he("fan_out"))
        initialize(self.classifier, gaussian(0.01))

    def forward(self, input: Tensor) -> Tensor:
        """Images ``(n, 3, h, w)``, of 32 pixels at least, to scores ``(n, num_classes)``."""
        return self.classifier(self.avgpool(self.features(input)).flatten(1))


def vgg11(**config: Any) -> VGG:
    """torchvision's VGG of 11 layers, the paper's A: 132,863,336 parameters."""
    return VGG(make_layers(TABLE_1["A"]), **config)


def vgg13(**config: Any) -> VGG:
    """torchvision's VGG of 13 layers, the paper's B: 133,047,848 parameters."""
    return VGG(make_layers(TABLE_1["B"]), **config)


def vgg16(**config: Any) -> VGG:
    """torchvision's VGG of 16 layers, the paper's D: 138,357,544 parameters."""
    return VGG(make_layers(TABLE_1["D"]), **config)


def vgg19(**config: Any) -> VGG:
    """torchvision's VGG of 19 layers, the paper's E: 143,667,240 parameters."""
    return VGG(make_layers(TABLE_1["E"]), **config)


def vgg11_bn(**config: Any) -> VGG:
    """`vgg11` with batch normalization: 132,868,840 parameters."""
    return VGG(make_layers(TABLE_1["A"], batch_norm=True), **config)


def vgg13_bn(**config: Any) -> VGG:
    """`vgg13` with batch normalization: 133,053,736 parameters."""
    return VGG(make_layers(TABLE_1["B"], batch_norm=True), **config)


def vgg16_bn(**config: Any) -> VGG:
    """`vgg16` with batch normalization: 138,365,992 parameters."""
    return VGG(make_layers(TABLE_1["D"], batch_norm=True), **config)


def vgg19_bn(**config: Any) -> VGG:
    """`vgg19` with batch normalization: 143,678,248 parameters."""
    return VGG(make_layers(TABLE_1["E"], batch_norm=True), **config)
