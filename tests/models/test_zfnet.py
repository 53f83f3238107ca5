"""ZFNet: counts, the sizes that the paper gives, where it starts, and the filters that are kept small."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.models import ZFNet, renormalize_filters

from .networks import check_that_gradients_reach_every_parameter, parameters, small_head, trace, unfilled

SMALL = {"fc6": (9216, 32), "fc7": (32, 32), "fc8": (32, 5)}


def test_parameters():
    """In closed form from the figure; from conv3 on they are those of an AlexNet without groups."""
    net = unfilled(ZFNet)
    counts = {name: parameters(child) for name, child in net.named_children() if parameters(child)}
    assert counts == {
        "conv1": 96 * 3 * 49 + 96, "conv2": 256 * 96 * 25 + 256, "conv3": 384 * 256 * 9 + 384, "conv4": 384 * 384 * 9 + 384,
        "conv5": 256 * 384 * 9 + 256, "fc6": 37_752_832, "fc7": 16_781_312, "fc8": 4_097_000,
    }  # fmt: skip
    assert sum(counts.values()) == 62_357_608


def test_sizes():
    """facts 6: 55x55 behind the first pool, 6 * 6 * 256 = 9216 in front of the fully connected layers."""
    _, shapes = trace(unfilled(ZFNet), 3, 224, 224)
    wanted = {
        "conv1": (96, 110, 110), "pool1": (96, 55, 55), "conv2": (256, 26, 26), "pool2": (256, 13, 13),
        "conv5": (256, 13, 13), "pool5": (256, 6, 6), "flatten": (9216,), "fc8": (1000,),
    }  # fmt: skip
    assert {name: shapes[name] for name in wanted} == wanted


def test_pooling_comes_before_normalization():
    names = [name for name, _ in unfilled(ZFNet).named_children()]
    assert names[:8] == ["conv1", "relu1", "pool1", "norm1", "conv2", "relu2", "pool2", "norm2"]


def test_initial_values():
    tg.manual_seed(0)
    net = small_head(unfilled(ZFNet), SMALL)
    net.reset_parameters()
    for layer in net:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert abs(layer.weight.array.std() / 0.01 - 1) < 4 / np.sqrt(2 * layer.weight.numel())
            assert not layer.bias.array.any()


def test_gradients():
    check_that_gradients_reach_every_parameter(small_head(unfilled(ZFNet), SMALL), 3, 224, 224, batch=1)


def test_renormalize_filters():
    """Filters beyond the radius are scaled to it, the others are left exactly as they were."""
    conv = nn.Conv2d(2, 3, 2, bias=False)
    rng = np.random.default_rng(0)
    filters = rng.normal(size=(3, 2, 2, 2)).astype(np.float32)
    filters /= np.sqrt(np.mean(filters**2, axis=(1, 2, 3), keepdims=True))  # root mean square 1
    sizes = np.array([0.05, 0.3, 7.0], np.float32).reshape(3, 1, 1, 1)
    with tg.no_grad():
        conv.weight.copy_(filters * sizes)
    net = nn.Sequential(nn.Sequential(conv), nn.Linear(2, 2))
    before = net[1].weight.array.copy()
    assert renormalize_filters(net) == 2
    np.testing.assert_array_equal(conv.weight.array[0], (filters * sizes)[0])
    np.testing.assert_allclose(conv.weight.array[1:], 0.1 * filters[1:], rtol=1e-5)
    np.testing.assert_array_equal(net[1].weight.array, before)
    assert renormalize_filters(net, radius=0.05) == 2
    assert conv.weight.is_leaf


@pytest.mark.parametrize("radius", [0, -0.1, float("nan")])
def test_renormalize_filters_refuses(radius):
    with pytest.raises(ArgumentError, match=f"renormalize_filters: radius must be positive, got {radius}"):
        renormalize_filters(nn.Conv2d(1, 1, 1), radius)
