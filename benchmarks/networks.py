"""The networks of the benchmarks as plain data, so that every framework builds the very same one.

A network is a list of layers; a layer is one of the dataclasses below. Each side (`benchmarks.sides`) turns the list into
what its framework calls a network. Ours takes its own `models` instead, and ``python -m benchmarks check`` compares the two.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple


@dataclass(frozen=True)
class Conv:
    """A convolution with square windows."""

    in_channels: int
    out_channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    bias: bool = True


@dataclass(frozen=True)
class Linear:
    """A fully connected layer."""

    in_features: int
    out_features: int


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalization of each channel, by the batch's own moments; with `relu`, a ReLU behind it."""

    channels: int
    eps: float = 1e-5
    relu: bool = False


@dataclass(frozen=True)
class LayerNorm:
    """Normalization of each sample over all its channels and pixels."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class GroupNorm:
    """Normalization of each sample over groups of channels."""

    groups: int
    channels: int


@dataclass(frozen=True)
class ResponseNorm:
    """Local response normalization over 5 neighbouring channels, with AlexNet's constants."""

    size: int = 5
    alpha: float = 5e-4
    beta: float = 0.75
    k: float = 2.0


@dataclass(frozen=True)
class ReLU:
    """max(x, 0)."""


@dataclass(frozen=True)
class MaxPool:
    """The largest of each window."""

    kernel: int
    stride: int
    padding: int = 0
    ceil: bool = False


@dataclass(frozen=True)
class AvgPool:
    """The mean of each window."""

    kernel: int
    stride: int


@dataclass(frozen=True)
class AdaptiveAvgPool:
    """Means, over windows that give `size` rows and columns."""

    size: int


@dataclass(frozen=True)
class Dropout:
    """Units dropped with probability p."""

    p: float


@dataclass(frozen=True)
class Flatten:
    """All but the batch in one dimension."""


@dataclass(frozen=True)
class Residual:
    """relu(layers(x) + shortcut(x)); without layers in `shortcut`, x itself."""

    layers: tuple["Layer", ...]
    shortcut: tuple["Layer", ...] = ()


@dataclass(frozen=True)
class ZeroPaddedShortcut:
    """Every `stride`-th pixel, with `before` maps of zeros in front and `after` behind."""

    stride: int
    before: int
    after: int


@dataclass(frozen=True)
class Branches:
    """Lists of layers side by side on one input, their maps stacked."""

    branches: tuple[tuple["Layer", ...], ...]


@dataclass(frozen=True)
class Tap:
    """Where an auxiliary head, `Network.heads[index]`, reads; what follows reads the same."""

    index: int


Layer = (
    Conv | Linear | BatchNorm | LayerNorm | GroupNorm | ResponseNorm | ReLU | MaxPool | AvgPool | AdaptiveAvgPool | Dropout
    | Flatten | Residual | ZeroPaddedShortcut | Branches | Tap
)  # fmt: skip


class Network(NamedTuple):
    """The layers in the order of their parameters: the body, the heads, the classifier behind the body.

    The loss is the classifier's cross-entropy, and 0.3 times that of each head.
    """

    body: tuple[Layer, ...]
    classifier: tuple[Layer, ...] = ()
    heads: tuple[tuple[Layer, ...], ...] = ()


HEAD_WEIGHT = 0.3


def lenet5() -> Network:
    """LeNet-5's maps and units (6, 16, 120, 84) with ReLU and max pooling, for 28x28 pixels."""
    return Network(
        (
            *(Conv(1, 6, 5, padding=2), ReLU(), MaxPool(2, 2)),
            *(Conv(6, 16, 5), ReLU(), MaxPool(2, 2), Flatten()),
            *(Linear(400, 120), ReLU(), Linear(120, 84), ReLU(), Linear(84, 10)),
        )
    )


def lenet() -> Network:
    """Caffe's simplified LeNet: 20 and 50 maps, 500 units."""
    return Network(
        (
            *(Conv(1, 20, 5), MaxPool(2, 2), Conv(20, 50, 5), MaxPool(2, 2)),
            *(Flatten(), Linear(800, 500), ReLU(), Linear(500, 10)),
        )
    )


def resnet_cifar(depth: int) -> Network:
    """CIFAR's ResNet of 6 n + 2 layers with option A's shortcuts."""
    layers: list[Layer] = [Conv(3, 16, 3, padding=1, bias=False), BatchNorm(16), ReLU()]
    for inputs, channels, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2)):
        pad = (channels - inputs) // 2
        layers.append(_basic_block(inputs, channels, stride, (ZeroPaddedShortcut(2, pad, pad),) if stride == 2 else ()))
        layers += [_basic_block(channels, channels, 1, ())] * ((depth - 2) // 6 - 1)
    return Network((*layers, AdaptiveAvgPool(1), Flatten(), Linear(64, 10)))


def resnet18() -> Network:
    """torchvision's ResNet-18."""
    layers: list[Layer] = [Conv(3, 64, 7, stride=2, padding=3, bias=False), BatchNorm(64), ReLU(), MaxPool(3, 2, padding=1)]
    layers += [_basic_block(64, 64, 1, ())] * 2
    for inputs, channels in pairwise((64, 128, 256, 512)):
        projection = (Conv(inputs, channels, 1, stride=2, bias=False), BatchNorm(channels))
        layers += [_basic_block(inputs, channels, 2, projection), _basic_block(channels, channels, 1, ())]
    return Network((*layers, AdaptiveAvgPool(1), Flatten(), Linear(512, 1000)))


def _basic_block(inputs: int, channels: int, stride: int, shortcut: tuple[Layer, ...]) -> Residual:
    first = Conv(inputs, channels, 3, stride=stride, padding=1, bias=False)
    second = Conv(channels, channels, 3, padding=1, bias=False)
    return Residual((first, BatchNorm(channels), ReLU(), second, BatchNorm(channels)), shortcut)


def vgg11() -> Network:
    """The eight convolutions of VGG-11 and its five pools, for 64x64 pixels, and one linear layer to 10 classes."""
    layers: list[Layer] = []
    inputs = 3
    for item in (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"):
        if isinstance(item, int):
            layers += [Conv(inputs, item, 3, padding=1), ReLU()]
            inputs = item
        else:
            layers.append(MaxPool(2, 2))
    return Network((*layers, Flatten(), Linear(512 * 2 * 2, 10)))


def alexnet() -> Network:
    """torchvision's AlexNet."""
    return Network(
        (
            *(Conv(3, 64, 11, stride=4, padding=2), ReLU(), MaxPool(3, 2)),
            *(Conv(64, 192, 5, padding=2), ReLU(), MaxPool(3, 2)),
            *(Conv(192, 384, 3, padding=1), ReLU(), Conv(384, 256, 3, padding=1), ReLU()),
            *(Conv(256, 256, 3, padding=1), ReLU(), MaxPool(3, 2), AdaptiveAvgPool(6), Flatten()),
            *(Dropout(0.5), Linear(9216, 4096), ReLU(), Dropout(0.5), Linear(4096, 4096), ReLU(), Linear(4096, 1000)),
        )
    )


def alexnet_paper() -> Network:
    """AlexNet of the paper, with groups and response normalization. A padding of 2 makes 224 pixels do for its 227."""
    return Network(
        (
            *(Conv(3, 96, 11, stride=4, padding=2), ReLU(), ResponseNorm(), MaxPool(3, 2)),
            *(Conv(96, 256, 5, padding=2, groups=2), ReLU(), ResponseNorm(), MaxPool(3, 2)),
            *(Conv(256, 384, 3, padding=1), ReLU(), Conv(384, 384, 3, padding=1, groups=2), ReLU()),
            *(Conv(384, 256, 3, padding=1, groups=2), ReLU(), MaxPool(3, 2), Flatten()),
            *(Linear(9216, 4096), ReLU(), Dropout(0.5), Linear(4096, 4096), ReLU(), Dropout(0.5), Linear(4096, 1000)),
        )
    )


INCEPTION = (
    (192, 64, 96, 128, 16, 32, 32),
    (256, 128, 128, 192, 32, 96, 64),
    (480, 192, 96, 208, 16, 48, 64),
    (512, 160, 112, 224, 24, 64, 64),
    (512, 128, 128, 256, 24, 64, 64),
    (512, 112, 144, 288, 32, 64, 64),
    (528, 256, 160, 320, 32, 128, 128),
    (832, 256, 160, 320, 32, 128, 128),
    (832, 384, 192, 384, 48, 128, 128),
)
"""Table 1 of GoogLeNet's paper: maps in; of the 1x1; of reduction and 3x3; of reduction and "5x5"; behind the pooling."""


def googlenet() -> Network:
    """torchvision's GoogLeNet, with batch normalization and both auxiliary heads."""
    modules = [_inception(*row) for row in INCEPTION]
    stem: tuple[Layer, ...] = (*_conv_norm(3, 64, 7, stride=2), MaxPool(3, 2, ceil=True), *_conv_norm(64, 64, 1))
    third: tuple[Layer, ...] = (*modules[:2], MaxPool(3, 2, ceil=True))
    fourth: tuple[Layer, ...] = (modules[2], Tap(0), *modules[3:6], Tap(1), modules[6], MaxPool(2, 2, ceil=True))
    body = (*stem, *_conv_norm(64, 192, 3), MaxPool(3, 2, ceil=True), *third, *fourth, *modules[7:])
    classifier = (AdaptiveAvgPool(1), Flatten(), Dropout(0.2), Linear(1024, 1000))
    return Network(body, classifier, (_head(512), _head(528)))


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> tuple[Layer, ...]:
    return Conv(inputs, outputs, kernel, stride, kernel // 2, bias=False), BatchNorm(outputs, eps=1e-3), ReLU()


def _inception(inputs: int, ch1: int, reduce3: int, ch3: int, reduce5: int, ch5: int, pool: int) -> Branches:
    return Branches(
        (
            _conv_norm(inputs, ch1, 1),
            (*_conv_norm(inputs, reduce3, 1), *_conv_norm(reduce3, ch3, 3)),
            (*_conv_norm(inputs, reduce5, 1), *_conv_norm(reduce5, ch5, 3)),
            (MaxPool(3, 1, padding=1, ceil=True), *_conv_norm(inputs, pool, 1)),
        )
    )


def _head(inputs: int) -> tuple[Layer, ...]:
    conv = _conv_norm(inputs, 128, 1)
    return (AdaptiveAvgPool(4), *conv, Flatten(), Linear(2048, 1024), ReLU(), Dropout(0.7), Linear(1024, 1000))


NETWORKS: dict[str, Callable[[], Network]] = {
    "lenet5": lenet5,
    "lenet": lenet,
    "resnet20": lambda: resnet_cifar(20),
    "vgg11": vgg11,
    "alexnet": alexnet,
    "alexnet_paper": alexnet_paper,
    "resnet18": resnet18,
    "googlenet": googlenet,
}


def without_dropout(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The same layers, none of which draws random numbers."""
    return tuple(layer for layer in layers if not isinstance(layer, Dropout))
