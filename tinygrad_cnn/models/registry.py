"""The table of the networks: what each is called, what it comes from, how large it is.

One row for each network, family by family. `get_model` builds one by its name, and
``tinygrad-cnn models`` prints the table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

from ..errors import ArgumentError
from ..nn import Module
from . import resnet, resnet_cifar, vgg
from .alexnet import AlexNetPaper, alexnet
from .cifar10_quick import CIFAR10Quick
from .digit_net import DigitNet
from .googlenet import googlenet
from .googlenet_paper import GoogLeNetPaper
from .lenet import LeNet, SmallLeNet5
from .lenet5 import LeNet5
from .vgg import VGGPaper
from .zfnet import ZFNet


@dataclass(frozen=True)
class Entry:
    """One network of the table.

    Attributes
    ----------
    name : str
        What `get_model` calls it.
    build : callable
        The class, or a function of its options, that makes the network.
    paper : str
        Where it was published: authors, year, table or section.
    parameters : int
        How many numbers it learns, as built without options.
    input_size : tuple of int
        The shape (c, h, w) of one image, in pixels.
    data : str
        The data set that it was made for.
    reached : str
        What was measured here, such as ``"0.95 % MNIST test error"``; empty where nothing was.
    """

    name: str
    build: Callable[..., Module]
    paper: str
    parameters: int
    input_size: tuple[int, int, int]
    data: str
    reached: str = ""


_LENET = "LeCun et al. 1998"
_ALEXNET = "Krizhevsky et al. 2012"
_VGG = "Simonyan, Zisserman 2014"
_GOOGLENET = "Szegedy et al. 2014"
_RESNET = "He et al. 2015"

_DIGIT = (1, 28, 28)
_CIFAR = (3, 32, 32)
_IMAGENET = (3, 224, 224)

_ENTRIES = (
    Entry("lenet5", LeNet5, f"{_LENET}, figure 2", 60_000, (1, 32, 32), "MNIST", "0.76 % MNIST test error"),
    Entry("lenet", LeNet, f"{_LENET}, as simplified by Caffe", 431_080, _DIGIT, "MNIST", "0.75 % MNIST test error"),
    Entry("small_lenet5", SmallLeNet5, f"{_LENET}, with today's parts", 61_706, _DIGIT, "MNIST"),
    Entry("digit_net", DigitNet, "Zhou 2019, the tutorials' 8 filters", 13_602, _DIGIT, "MNIST"),
    Entry("cifar10_quick", CIFAR10Quick, "Caffe's examples/cifar10, after Krizhevsky", 145_578, _CIFAR, "CIFAR-10"),
    Entry("alexnet_paper", AlexNetPaper, f"{_ALEXNET}, figure 2", 60_965_224, (3, 227, 227), "ImageNet"),
    Entry("alexnet", alexnet, "Krizhevsky 2014, torchvision's", 61_100_840, _IMAGENET, "ImageNet"),
    Entry("zfnet", ZFNet, "Zeiler, Fergus 2013, figure 3", 62_357_608, _IMAGENET, "ImageNet"),
    Entry("vgg_a", partial(VGGPaper, "A"), f"{_VGG}, table 1 A", 132_863_336, _IMAGENET, "ImageNet"),
    Entry("vgg_a_lrn", partial(VGGPaper, "A-LRN"), f"{_VGG}, table 1 A-LRN", 132_863_336, _IMAGENET, "ImageNet"),
    Entry("vgg_b", partial(VGGPaper, "B"), f"{_VGG}, table 1 B", 133_047_848, _IMAGENET, "ImageNet"),
    Entry("vgg_c", partial(VGGPaper, "C"), f"{_VGG}, table 1 C", 133_638_952, _IMAGENET, "ImageNet"),
    Entry("vgg_d", partial(VGGPaper, "D"), f"{_VGG}, table 1 D", 138_357_544, _IMAGENET, "ImageNet"),
    Entry("vgg_e", partial(VGGPaper, "E"), f"{_VGG}, table 1 E", 143_667_240, _IMAGENET, "ImageNet"),
    Entry("vgg11", vgg.vgg11, f"{_VGG}, torchvision's A", 132_863_336, _IMAGENET, "ImageNet"),
    Entry("vgg13", vgg.vgg13, f"{_VGG}, torchvision's B", 133_047_848, _IMAGENET, "ImageNet"),
    Entry("vgg16", vgg.vgg16, f"{_VGG}, torchvision's D", 138_357_544, _IMAGENET, "ImageNet"),
    Entry("vgg19", vgg.vgg19, f"{_VGG}, torchvision's E", 143_667_240, _IMAGENET, "ImageNet"),
    Entry("vgg11_bn", vgg.vgg11_bn, f"{_VGG}, torchvision's A", 132_868_840, _IMAGENET, "ImageNet"),
    Entry("vgg13_bn", vgg.vgg13_bn, f"{_VGG}, torchvision's B", 133_053_736, _IMAGENET, "ImageNet"),
    Entry("vgg16_bn", vgg.vgg16_bn, f"{_VGG}, torchvision's D", 138_365_992, _IMAGENET, "ImageNet"),
    Entry("vgg19_bn", vgg.vgg19_bn, f"{_VGG}, torchvision's E", 143_678_248, _IMAGENET, "ImageNet"),
    Entry("googlenet_paper", GoogLeNetPaper, f"{_GOOGLENET}, table 1", 13_378_280, _IMAGENET, "ImageNet"),
    Entry("googlenet", googlenet, f"{_GOOGLENET}, torchvision's", 13_004_888, _IMAGENET, "ImageNet"),
    Entry("resnet18", resnet.resnet18, f"{_RESNET}, table 1", 11_689_512, _IMAGENET, "ImageNet"),
    Entry("resnet34", resnet.resnet34, f"{_RESNET}, table 1", 21_797_672, _IMAGENET, "ImageNet"),
    Entry("resnet50", resnet.resnet50, f"{_RESNET}, table 1", 25_557_032, _IMAGENET, "ImageNet"),
    Entry("resnet101", resnet.resnet101, f"{_RESNET}, table 1", 44_549_160, _IMAGENET, "ImageNet"),
    Entry("resnet152", resnet.resnet152, f"{_RESNET}, table 1", 60_192_808, _IMAGENET, "ImageNet"),
    Entry("plain18", resnet.plain18, f"{_RESNET}, section 4.1", 11_515_688, _IMAGENET, "ImageNet"),
    Entry("plain34", resnet.plain34, f"{_RESNET}, section 4.1", 21_623_848, _IMAGENET, "ImageNet"),
    Entry("resnet20", resnet_cifar.resnet20, f"{_RESNET}, table 6", 269_722, _CIFAR, "CIFAR-10"),
    Entry("resnet32", resnet_cifar.resnet32, f"{_RESNET}, table 6", 464_154, _CIFAR, "CIFAR-10"),
    Entry("resnet44", resnet_cifar.resnet44, f"{_RESNET}, table 6", 658_586, _CIFAR, "CIFAR-10"),
    Entry("resnet56", resnet_cifar.resnet56, f"{_RESNET}, table 6", 853_018, _CIFAR, "CIFAR-10"),
    Entry("resnet110", resnet_cifar.resnet110, f"{_RESNET}, table 6", 1_727_962, _CIFAR, "CIFAR-10"),
    Entry("resnet1202", resnet_cifar.resnet1202, f"{_RESNET}, table 6", 19_421_274, _CIFAR, "CIFAR-10"),
    Entry("plain20", resnet_cifar.plain20, f"{_RESNET}, section 4.2", 269_722, _CIFAR, "CIFAR-10"),
    Entry("plain32", resnet_cifar.plain32, f"{_RESNET}, section 4.2", 464_154, _CIFAR, "CIFAR-10"),
    Entry("plain44", resnet_cifar.plain44, f"{_RESNET}, section 4.2", 658_586, _CIFAR, "CIFAR-10"),
    Entry("plain56", resnet_cifar.plain56, f"{_RESNET}, section 4.2", 853_018, _CIFAR, "CIFAR-10"),
    Entry("plain110", resnet_cifar.plain110, f"{_RESNET}, section 4.2", 1_727_962, _CIFAR, "CIFAR-10"),
)


def entries() -> tuple[Entry, ...]:
    """The whole table, family by family."""
    return _ENTRIES


def list_models() -> list[str]:
    """The names that `get_model` knows, sorted.

    Examples
    --------
    >>> from tinygrad_cnn import models
    >>> [name for name in models.list_models() if name.startswith("small")]
    ['small_lenet5']
    """
    return sorted(entry.name for entry in _ENTRIES)


def get_entry(name: str) -> Entry:
    """The row of a network.

    Raises
    ------
    ArgumentError
        For a name that is not in the table; says which are nearest.
    """
    wanted = name.lower().replace("-", "_")
    for entry in _ENTRIES:
        if entry.name == wanted:
            return entry
    near = get_close_matches(wanted, list_models(), n=3)
    hint = f"the nearest are {', '.join(near)}" if near else f"choose one of {', '.join(list_models())}"
    raise ArgumentError(f"there is no network {name!r}: {hint}")


def get_model(name: str, **config: Any) -> Module:
    """Build a network by its name.

    Parameters
    ----------
    name : str
        One of `list_models`; capitals do not matter, and a hyphen is an underscore.
    **config
        Options of the network, such as ``num_classes=10``.

    Raises
    ------
    ArgumentError
        For a name that is not in the table; says which are nearest.

    Examples
    --------
    >>> from tinygrad_cnn import models
    >>> models.get_model("lenet", num_classes=7).fc2
    Linear(in_features=500, out_features=7, bias=True)
    """
    return get_entry(name).build(**config)
