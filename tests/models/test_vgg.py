"""VGG, the paper's and torchvision's: every count of facts 4, the keys, where they start, gradients."""

import re
from unittest import mock

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import models, nn
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.models import VGGPaper

from .networks import check_that_gradients_reach_every_parameter, parameters, small_head, trace, unfilled

PARAMETERS = {
    "A": 132_863_336, "A-LRN": 132_863_336, "B": 133_047_848, "C": 133_638_952, "D": 138_357_544, "E": 143_667_240,
}  # fmt: skip
MACS = {
    "A": 7_609_090_048, "A-LRN": 7_609_090_048, "B": 11_308_466_176, "C": 11_770_888_192, "D": 15_470_264_320,
    "E": 19_632_062_464,
}  # fmt: skip
# Per torchvision's function: parameters, and under which numbers of `features` the convolutions are.
TORCHVISION = {
    "vgg11": (132_863_336, "0 3 6 8 11 13 16 18"),
    "vgg13": (133_047_848, "0 2 5 7 10 12 15 17 20 22"),
    "vgg16": (138_357_544, "0 2 5 7 10 12 14 17 19 21 24 26 28"),
    "vgg19": (143_667_240, "0 2 5 7 10 12 14 16 19 21 23 25 28 30 32 34"),
    "vgg11_bn": (132_868_840, "0 4 8 11 15 18 22 25"),
    "vgg13_bn": (133_053_736, "0 3 7 10 14 17 21 24 28 31"),
    "vgg16_bn": (138_365_992, "0 3 7 10 14 17 20 24 27 30 34 37 40"),
    "vgg19_bn": (143_678_248, "0 3 7 10 14 17 20 23 27 30 33 36 40 43 46 49"),
}
SMALL = {"classifier.0": (25_088, 64), "classifier.3": (64, 64), "classifier.6": (64, 5)}


@pytest.mark.parametrize("column", PARAMETERS)
def test_paper_parameters_products_and_sizes(column):
    net = unfilled(VGGPaper, column)
    macs, shapes = trace(net, 3, 224, 224)
    assert parameters(net) == PARAMETERS[column]
    assert parameters(net.classifier) == 123_642_856
    assert sum(macs.values()) == MACS[column]
    assert (shapes["features"], shapes[""]) == ((512, 7, 7), (1000,))


@pytest.mark.parametrize(("column", "layers"), [("A", 11), ("A-LRN", 11), ("B", 13), ("C", 16), ("D", 16), ("E", 19)])
def test_paper_layers(column, layers):
    net = unfilled(VGGPaper, column)
    weighted = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(weighted) == layers
    ones = [conv.out_channels for conv in weighted if isinstance(conv, nn.Conv2d) and conv.kernel_size == (1, 1)]
    assert ones == ([256, 512, 512] if column == "C" else [])
    assert [name for name, module in net.named_modules() if isinstance(module, nn.LocalResponseNorm)] == (
        ["features.2"] if column == "A-LRN" else []
    )


def test_paper_initial_values():
    """Section 3.1: a *variance* of 0.01, biases 0; Glorot's as they later found."""
    tg.manual_seed(0)
    for initialization in ("normal", "glorot"):
        sizes = {"classifier.0": (512, 32), "classifier.3": (32, 32), "classifier.6": (32, 5)}
        net = small_head(unfilled(VGGPaper, "A", image_size=32, initialization=initialization), sizes)
        net.reset_parameters()
        for layer in [*net.features, *net.classifier]:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                weight = layer.weight.array
                fans = (weight.shape[0] + weight.shape[1]) * weight[0, 0].size
                std = 0.1 if initialization == "normal" else np.sqrt(2 / fans)
                assert abs(weight.std() / std - 1) < 5 / np.sqrt(2 * weight.size)
                assert not layer.bias.array.any()
                if initialization == "glorot":
                    assert np.abs(weight).max() <= np.sqrt(6 / fans) * (1 + 1e-6)


@pytest.mark.parametrize(("column", "places"), [("B", (0, 5, 10, 12)), ("E", (0, 5, 10, 12)), ("C", (0, 5, 10, 12))])
def test_paper_deeper_networks_start_from_a(column, places):
    """conv1_1, conv2_1, conv3_1 and conv3_2, and the classifier; all else stays."""
    sizes = {"classifier.0": (512, 8), "classifier.3": (8, 8), "classifier.6": (8, 5)}
    shallow, deep = (small_head(unfilled(VGGPaper, name, image_size=32), sizes) for name in ("A", column))
    before = {name: tensor.array.copy() for name, tensor in deep.state_dict().items()}
    deep.start_from(shallow)
    taken = {f"features.{mine}": f"features.{other}" for mine, other in zip(places, (0, 3, 6, 8), strict=True)}
    taken |= {f"classifier.{i}": f"classifier.{i}" for i in (0, 3, 6)}
    for name, tensor in deep.state_dict().items():
        layer, kind = name.rsplit(".", 1)
        wanted = shallow.state_dict()[f"{taken[layer]}.{kind}"].array if layer in taken else before[name]
        np.testing.assert_array_equal(tensor.array, wanted)
    other = small_head(unfilled(VGGPaper, "A", image_size=32), {**sizes, "classifier.6": (8, 4)})
    other.features[0].weight.array[:] = 0
    with pytest.raises(ArgumentError, match=re.escape("weights (4, 8) cannot give them to one of (5, 8)")):
        deep.start_from(other)
    assert deep.features[0].weight.array.any()


def test_paper_errors():
    with pytest.raises(ArgumentError, match="VGGPaper: the columns of the paper's table are A, A-LRN, B, C, D, E; got 'F'"):
        VGGPaper("F")
    with pytest.raises(ArgumentError, match="image_size is a multiple of 32; got 100"):
        VGGPaper("A", image_size=100)
    with pytest.raises(ArgumentError, match="image_size is a multiple of 32; got 0"):
        VGGPaper("A", image_size=0)
    with pytest.raises(ArgumentError, match="initialization must be 'normal' or 'glorot', got 'he'"):
        VGGPaper("A", initialization="he")


@pytest.mark.parametrize("column", ["A-LRN", "C"])
def test_paper_gradients(column):
    sizes = {"classifier.0": (512, 64), "classifier.3": (64, 64), "classifier.6": (64, 5)}
    net = small_head(unfilled(VGGPaper, column, image_size=32), sizes)
    check_that_gradients_reach_every_parameter(net, 3, 32, 32, batch=4)


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_parameters_and_keys(name):
    count, convolutions = TORCHVISION[name]
    net = unfilled(getattr(models, name))
    assert parameters(net) == count
    keys = []
    for i in map(int, convolutions.split()):
        keys += [f"features.{i}.weight", f"features.{i}.bias"]
        if name.endswith("_bn"):
            norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
            keys += [f"features.{i + 1}.{kind}" for kind in norm]
    keys += [f"classifier.{i}.{kind}" for i in (0, 3, 6) for kind in ("weight", "bias")]
    assert list(net.state_dict()) == keys


@pytest.mark.parametrize(("name", "column"), [("vgg11", "A"), ("vgg13_bn", "B"), ("vgg16", "D"), ("vgg19_bn", "E")])
def test_torchvision_products(name, column):
    net = unfilled(getattr(models, name), num_classes=1000)
    assert sum(trace(net, 3, 224, 224)[0].values()) == MACS[column]


@pytest.mark.parametrize("size", [32, 100, 224])
def test_torchvision_takes_other_sizes(size):
    _, shapes = trace(unfilled(models.vgg11, num_classes=3), 3, size, size)
    assert (shapes["features"], shapes["avgpool"], shapes[""]) == ((512, size // 32, size // 32), (512, 7, 7), (3,))


def test_torchvision_initial_values():
    """facts 7: Kaiming normal, fan_out; N(0, 0.01^2) in the fully connected layers."""
    tg.manual_seed(0)
    net = small_head(unfilled(models.vgg11_bn), SMALL)
    net.reset_parameters()
    for layer in [*net.features, *net.classifier]:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            weight = layer.weight.array
            std = np.sqrt(2 / (layer.out_channels * 9)) if isinstance(layer, nn.Conv2d) else 0.01
            assert abs(weight.std() / std - 1) < 5 / np.sqrt(2 * weight.size)
            assert not layer.bias.array.any()


@pytest.mark.parametrize("init_weights", [True, False])
def test_torchvision_init_weights(init_weights):
    features = nn.Sequential(nn.Conv2d(3, 512, 3))
    before = features[0].weight.array.copy()
    with mock.patch.object(models.VGG, "reset_parameters") as reset:
        unfilled(models.VGG, features, 3, init_weights)
    assert reset.called == init_weights
    assert (features[0].weight.array == before).all()


def test_torchvision_gradients():
    check_that_gradients_reach_every_parameter(small_head(unfilled(models.vgg11_bn), SMALL), 3, 32, 32, batch=4)
