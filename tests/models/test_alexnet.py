"""AlexNet, both of them: counts, sizes, where they start, gradients; the constants of the paper's normalization."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import models, nn
from tinygrad_cnn.models import AlexNet, AlexNetPaper

from .networks import check_that_gradients_reach_every_parameter, parameters, small_head, trace, unfilled

SMALL = {"fc6": (9216, 32), "fc7": (32, 32), "fc8": (32, 5)}


LAYERS = (*(f"features.{i}" for i in (0, 3, 6, 8, 10)), *(f"classifier.{i}" for i in (1, 4, 6)))
KEYS = [f"{layer}.{kind}" for layer in LAYERS for kind in ("weight", "bias")]


class TestPaper:
    def test_parameters(self):
        """facts 2.1."""
        net = unfilled(AlexNetPaper)
        counts = {name: parameters(child) for name, child in net.named_children() if parameters(child)}
        assert counts == {
            "conv1": 34_944, "conv2": 307_456, "conv3": 885_120, "conv4": 663_936, "conv5": 442_624,
            "fc6": 37_752_832, "fc7": 16_781_312, "fc8": 4_097_000,
        }  # fmt: skip
        assert sum(counts.values()) == 60_965_224
        assert parameters(unfilled(AlexNetPaper, groups=1)) == 62_378_344

    def test_sizes_and_products(self):
        macs, shapes = trace(unfilled(AlexNetPaper), 3, 227, 227)
        assert sum(macs.values()) == 724_406_816
        wanted = {
            "conv1": (96, 55, 55), "pool1": (96, 27, 27), "conv2": (256, 27, 27), "pool2": (256, 13, 13),
            "conv3": (384, 13, 13), "conv4": (384, 13, 13), "conv5": (256, 13, 13), "pool5": (256, 6, 6), "fc6": (4096,),
            "fc7": (4096,), "fc8": (1000,),
        }  # fmt: skip
        assert {name: shapes[name] for name in wanted} == wanted

    def test_order(self):
        """Convolution, ReLU, normalization, pooling (table of facts 2.1); dropout behind the ReLU."""
        assert [name for name, _ in unfilled(AlexNetPaper).named_children()] == [
            "conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "norm2", "pool2", "conv3", "relu3", "conv4", "relu4",
            "conv5", "relu5", "pool5", "flatten", "fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8",
        ]  # fmt: skip

    def test_normalization_is_the_papers(self):
        """facts 2.1: the vector for k = 2, n = 5, alpha = 1e-4, beta = 0.75 on channels 1 to 6."""
        norm = unfilled(AlexNetPaper).norm2
        y = norm(tg.arange(1.0, 7.0, dtype=tg.float64).reshape(1, 6, 1, 1)).array.ravel()
        wanted = [0.5942915817, 1.1878710105, 1.7801403936, 2.3704185590, 2.9634657383, 3.5573544195]
        np.testing.assert_allclose(y, wanted, rtol=1e-9)

    def test_dropout_halves_at_test_time(self):
        """Section 4.2: all units, their outputs multiplied by 0.5; nothing is scaled in training."""
        for layer in (unfilled(AlexNetPaper).drop6, unfilled(AlexNetPaper, dropout=0.25).drop7):
            x = tg.ones(1000)
            assert set(layer.train()(x).tolist()) == {0.0, 1.0}
            assert set(layer.eval()(x).tolist()) == {1 - layer.p}

    def test_initial_values(self):
        """Section 5: N(0, 0.01^2); biases 1 in conv2, conv4, conv5 and the hidden layers, else 0."""
        tg.manual_seed(0)
        net = small_head(unfilled(AlexNetPaper), SMALL)
        net.reset_parameters()
        biases = {name: set(child.bias.tolist()) for name, child in net.named_children() if parameters(child)}
        ones = ("conv2", "conv4", "conv5", "fc6", "fc7")
        assert biases == {name: {1.0 if name in ones else 0.0} for name in biases}
        for name in biases:
            weight = net.get_submodule(name).weight.array.ravel()
            assert abs(weight.std() / 0.01 - 1) < 4 / np.sqrt(2 * weight.size), name
            assert abs(weight.mean()) < 0.05 / np.sqrt(weight.size), name

    def test_gradients(self):
        net = small_head(unfilled(AlexNetPaper), SMALL)
        check_that_gradients_reach_every_parameter(net, 3, 227, 227, batch=1)


class TestTorchvision:
    def test_parameters_and_keys(self):
        net = unfilled(models.alexnet)
        assert type(net) is AlexNet
        assert parameters(net) == 61_100_840
        assert list(net.state_dict()) == KEYS
        assert [layer.out_channels for layer in net.features if isinstance(layer, nn.Conv2d)] == [64, 192, 384, 256, 256]

    @pytest.mark.parametrize(("size", "last"), [(224, (256, 6, 6)), (63, (256, 1, 1)), (160, (256, 4, 4))])
    def test_sizes(self, size, last):
        _, shapes = trace(unfilled(models.alexnet, num_classes=7), 3, size, size)
        assert (shapes["features"], shapes["avgpool"], shapes[""]) == (last, (256, 6, 6), (7,))
        if size == 224:
            assert shapes["features.0"] == (64, 55, 55)

    def test_dropout_comes_before_the_layers(self):
        classifier = unfilled(models.alexnet, dropout=0.3).classifier
        assert [type(layer).__name__ for layer in classifier] == [
            "Dropout", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Linear",
        ]  # fmt: skip
        assert (classifier[0].p, classifier[3].p) == (0.3, 0.3)

    def test_gradients(self):
        sizes = {"classifier.1": (9216, 64), "classifier.4": (64, 64), "classifier.6": (64, 5)}
        net = small_head(unfilled(models.alexnet), sizes)
        check_that_gradients_reach_every_parameter(net, 3, 95, 95, batch=4)
