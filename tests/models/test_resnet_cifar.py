"""The residual and plain networks for CIFAR-10: counts of facts 5, layers, sizes, where they start, gradients."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import models, nn
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.models import CIFARResNet

from .networks import below, check_that_gradients_reach_every_parameter, order, parameters, trace, unfilled

# By depth: parameters with option A (and of the plain network), with option B.
COUNTS = {
    20: (269_722, 272_474),
    32: (464_154, 466_906),
    44: (658_586, 661_338),
    56: (853_018, 855_770),
    110: (1_727_962, 1_730_714),
    1202: (19_421_274, 19_424_026),
}


@pytest.mark.parametrize("depth", COUNTS)
def test_counts(depth):
    option_a, option_b = COUNTS[depth]
    build = getattr(models, f"resnet{depth}")
    net = unfilled(build)
    assert parameters(net) == option_a
    assert parameters(unfilled(build, shortcut="B")) == option_b
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in net.modules()) == depth
    if depth < 1000:
        assert parameters(unfilled(getattr(models, f"plain{depth}"))) == option_a


def test_sizes_and_products():
    """Table of section 4.2: 6 n + 2 layers on maps of 32, 16 and 8 pixels."""
    net = unfilled(models.resnet20, num_classes=7)
    macs, shapes = trace(net, 3, 32, 32)
    wanted = {"conv1": (16, 32, 32), "layer1": (16, 32, 32), "layer2": (32, 16, 16), "layer3": (64, 8, 8), "": (7,)}
    assert {name: shapes[name] for name in wanted} == wanted
    # A stage of 6 convolutions: 32 32 16 16 9 for the first; the next halve the pixels twice and double the maps twice.
    each = 32 * 32 * 16 * 16 * 9
    assert [below(macs, f"layer{i}") for i in (1, 2, 3)] == [6 * each, each // 2 + 5 * each, each // 2 + 5 * each]
    assert macs["conv1"] == 32 * 32 * 16 * 27


def test_order():
    assert order(models.resnet20(), 3, 32, 32) == ["conv1", "bn1", "relu", "layer1", "layer2", "layer3", "avgpool", "fc"]


def test_option_a_stands_where_maps_change():
    net = models.resnet20()
    shortcuts = [name for name, m in net.named_modules() if type(m).__name__ == "ZeroPaddedShortcut"]
    assert shortcuts == ["layer2.0.downsample", "layer3.0.downsample"]
    assert not any("downsample" in name for name, _ in net.named_parameters())
    assert not any(type(m).__name__ == "ZeroPaddedShortcut" for m in models.plain20().modules())


def test_initial_values():
    tg.manual_seed(0)
    net = models.resnet32()
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = module.weight.array
            assert abs(weight.std() / np.sqrt(2 / weight[0].size) - 1) < 5 / np.sqrt(2 * weight.size)
    assert not net.fc.bias.array.any()


@pytest.mark.parametrize("depth", [-4, 2, 18, 21, 52])
def test_depths(depth):
    with pytest.raises(ArgumentError, match=rf"depth is 6 n \+ 2 \(20, 32, 44, 56, 110, ...\), got {depth}"):
        CIFARResNet(depth)


@pytest.mark.parametrize("shortcut", ["A", "B", "none"])
def test_gradients(shortcut):
    check_that_gradients_reach_every_parameter(CIFARResNet(8, shortcut=shortcut), 3, 16, 16, batch=4)
