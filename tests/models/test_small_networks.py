"""The digit network of the tutorials and Caffe's quick network for CIFAR-10."""

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.models import CIFAR10Quick, DigitNet

from .networks import check_that_gradients_reach_every_parameter, parameters, trace


def counts(net):
    return {name: parameters(child) for name, child in net.named_children() if parameters(child)}


class TestDigitNet:
    def test_counts_and_sizes(self):
        """facts 7: 72 weights without bias, 26x26x8, 13x13x8, 13,530 parameters in the softmax layer."""
        net = DigitNet()
        assert counts(net) == {"conv": 72, "fc": 13_530}
        macs, shapes = trace(net, 1, 28, 28)
        assert (shapes["conv"], shapes["pool"], shapes["fc"]) == ((8, 26, 26), (8, 13, 13), (10,))
        assert macs == {"conv": 72 * 26 * 26, "fc": 13_520}

    def test_initial_values(self):
        tg.manual_seed(0)
        net = DigitNet()
        assert abs(net.conv.weight.array.std() * 9 - 1) < 4 / np.sqrt(2 * 72)
        assert abs(net.fc.weight.array.std() * 1352 - 1) < 4 / np.sqrt(2 * 13_520)
        assert not net.fc.bias.array.any()

    def test_against_plain_arithmetic(self):
        net = DigitNet()
        x = np.random.default_rng(0).normal(size=(28, 28)).astype(np.float32)
        maps = np.zeros((8, 26, 26))
        for i in range(26):
            for j in range(26):
                maps[:, i, j] = (net.conv.weight.array[:, 0] * x[i : i + 3, j : j + 3]).sum(axis=(1, 2))
        pooled = maps.reshape(8, 13, 2, 13, 2).max(axis=(2, 4))
        wanted = net.fc.weight.array @ pooled.ravel() + net.fc.bias.array
        np.testing.assert_allclose(net(tg.tensor(x[None, None])).array[0], wanted, rtol=1e-4, atol=1e-6)

    def test_gradients(self):
        check_that_gradients_reach_every_parameter(DigitNet(), 1, 28, 28)


class TestCIFAR10Quick:
    def test_counts_and_sizes(self):
        """facts 8: 145,578."""
        net = CIFAR10Quick()
        assert counts(net) == {"conv1": 2_432, "conv2": 25_632, "conv3": 51_264, "fc1": 65_600, "fc2": 650}
        assert parameters(net) == 145_578
        _, shapes = trace(net, 3, 32, 32)
        wanted = {
            "conv1": (32, 32, 32), "pool1": (32, 16, 16), "conv2": (32, 16, 16), "pool2": (32, 8, 8), "conv3": (64, 8, 8),
            "pool3": (64, 4, 4), "fc1": (64,), "fc2": (10,),
        }  # fmt: skip
        assert {name: shapes[name] for name in wanted} == wanted

    def test_order(self):
        """The first ReLU comes behind its pool, the others before theirs; nothing between the last two layers."""
        assert [name for name, _ in CIFAR10Quick().named_children()] == [
            "conv1", "pool1", "relu1", "conv2", "relu2", "pool2", "conv3", "relu3", "pool3", "flatten", "fc1", "fc2",
        ]  # fmt: skip

    def test_pools(self):
        """Windows of 3 pixels every 2; the last has only 2, and an average divides by these."""
        x = tg.tensor(np.broadcast_to(np.arange(16, dtype=np.float32), (1, 1, 16, 16)).copy())
        net = CIFAR10Quick()
        np.testing.assert_array_equal(net.pool1(x).array[0, 0], [[2, 4, 6, 8, 10, 12, 14, 15]] * 8)
        for pool in (net.pool2, net.pool3):
            np.testing.assert_allclose(pool(x).array[0, 0], [[1, 3, 5, 7, 9, 11, 13, 14.5]] * 8, rtol=1e-6)

    def test_initial_values(self):
        tg.manual_seed(0)
        net = CIFAR10Quick()
        for name, std in (("conv1", 1e-4), ("conv2", 0.01), ("conv3", 0.01), ("fc1", 0.1), ("fc2", 0.1)):
            layer = net.get_submodule(name)
            assert abs(layer.weight.array.std() / std - 1) < 4 / np.sqrt(2 * layer.weight.numel())
            assert not layer.bias.array.any()

    def test_gradients(self):
        check_that_gradients_reach_every_parameter(CIFAR10Quick(), 3, 32, 32)
