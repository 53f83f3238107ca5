"""Networks of the literature, ready to train.

    from tinygrad_cnn import models

    net = models.get_model("lenet")
    models.list_models()

`registry` has the table of all of them. Those that torchvision has are spelled as there, with the same keys in their
``state_dict``; where a paper's network differs from torchvision's, it is a class of its own.
"""

from .alexnet import AlexNet, AlexNetPaper, alexnet
from .cifar10_quick import CIFAR10Quick
from .digit_net import DigitNet
from .googlenet import GoogLeNet, googlenet
from .googlenet_paper import GoogLeNetPaper
from .inception import GoogLeNetOutputs
from .lenet import LeNet, SmallLeNet5
from .lenet5 import LeNet5
from .registry import Entry, entries, get_entry, get_model, list_models
from .residual import BasicBlock, Bottleneck
from .resnet import ResNet, plain18, plain34, resnet18, resnet34, resnet50, resnet101, resnet152
from .resnet_cifar import (
    CIFARResNet,
    plain20,
    plain32,
    plain44,
    plain56,
    plain110,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
    resnet1202,
)  # fmt: skip
from .vgg import VGG, VGGPaper, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn
from .zfnet import ZFNet, renormalize_filters

__all__ = [
    "VGG", "AlexNet", "AlexNetPaper", "BasicBlock", "Bottleneck", "CIFAR10Quick", "CIFARResNet", "DigitNet", "Entry",
    "GoogLeNet", "GoogLeNetOutputs", "GoogLeNetPaper", "LeNet", "LeNet5", "ResNet", "SmallLeNet5", "VGGPaper", "ZFNet",
    "alexnet", "entries", "get_entry", "get_model", "googlenet", "list_models", "plain18", "plain20", "plain32", "plain34",
    "plain44", "plain56", "plain110", "renormalize_filters", "resnet18", "resnet20", "resnet32", "resnet34", "resnet44",
    "resnet50", "resnet56", "resnet101", "resnet110", "resnet152", "resnet1202", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn",
    "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
]  # fmt: skip
