"""LeNet: its shapes and counts, where it starts, and that it learns."""

import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.models import LeNet, SmallLeNet5


def sizes(net):
    return {name: sum(p.numel() for p in child.parameters()) for name, child in net.named_children()}


def test_lenet_is_caffes():
    """facts 1.6: 520 + 25,050 + 400,500 + 5,010 = 431,080."""
    net = LeNet()
    counts = {name: count for name, count in sizes(net).items() if count}
    assert counts == {"conv1": 520, "conv2": 25_050, "fc1": 400_500, "fc2": 5_010}
    assert sum(counts.values()) == 431_080


def outputs(net, x):
    shapes = {}
    for name, child in net.named_children():
        child.register_forward_hook(lambda module, args, out, name=name: shapes.__setitem__(name, out.shape[1:]))
    y = net(x)
    return y, shapes


def test_lenet_sizes():
    y, shapes = outputs(LeNet(num_classes=7), tg.zeros(2, 1, 28, 28))
    assert y.shape == (2, 7)
    assert shapes == {
        "conv1": (20, 24, 24), "pool1": (20, 12, 12), "conv2": (50, 8, 8), "pool2": (50, 4, 4), "flatten": (800,),
        "fc1": (500,), "relu": (500,), "fc2": (7,),
    }  # fmt: skip


def test_lenet_starts_as_caffes():
    tg.manual_seed(0)
    net = LeNet()
    for layer, fan_in in ((net.conv1, 25), (net.conv2, 500), (net.fc1, 800), (net.fc2, 500)):
        bound = math.sqrt(3 / fan_in)
        largest = np.abs(layer.weight.array).max()
        assert 0.98 * bound < largest <= bound * (1 + 1e-6)
        assert (layer.bias.array == 0).all()


def test_lenet_has_one_relu():
    """Caffe's network is piecewise linear only by its pooling and the ReLU behind fc1."""
    net = LeNet()
    assert [name for name, m in net.named_modules() if isinstance(m, nn.ReLU)] == ["relu"]
    node = net(tg.zeros(1, 1, 28, 28)).grad_fn
    names = []
    while node.edges:
        names.append((node.op_name, node.module))
        node = node.edges[0] if node.edges[0] is not None else node.edges[1]
    assert names == [
        ("Linear", "fc2"), ("ReLU", "relu"), ("Linear", "fc1"), ("Reshape", "flatten"), ("MaxPool2d", "pool2"),
        ("Conv2d", "conv2"), ("MaxPool2d", "pool1"), ("Conv2d", "conv1"),
    ]  # fmt: skip


@pytest.mark.parametrize("image_size", [28, 32])
def test_small_lenet5(image_size):
    net = SmallLeNet5(image_size=image_size)
    y, shapes = outputs(net, tg.zeros(2, 1, image_size, image_size))
    assert y.shape == (2, 10)
    assert (shapes["conv1"], shapes["pool1"], shapes["conv2"], shapes["pool2"]) == (
        (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5),
    )  # fmt: skip
    counts = {name: count for name, count in sizes(net).items() if count}
    assert counts == {"conv1": 156, "conv2": 2_416, "fc1": 48_120, "fc2": 10_164, "fc3": 850}
    assert sum(counts.values()) == 61_706


def test_errors():
    with pytest.raises(ArgumentError, match="SmallLeNet5: image_size must be 28 or 32 pixels, got 30"):
        SmallLeNet5(image_size=30)
    with pytest.raises(ShapeError, match=re.escape("an input of shape (1, 1250) has 1250 features, but weight (500, 800)")):
        LeNet()(tg.zeros(1, 1, 32, 32))


@pytest.mark.parametrize(
    ("make", "optimizer"),
    [
        (LeNet, lambda p: optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=5e-4)),
        (SmallLeNet5, lambda p: optim.Adam(p, lr=2e-3)),
    ],
)
def test_learns_a_batch_by_heart(make, optimizer):
    tg.manual_seed(0)
    net = make()
    x, y = tg.randn(6, 1, 28, 28), tg.arange(6)
    steps, criterion = optimizer(net.parameters()), nn.CrossEntropyLoss()
    first = criterion(net(x), y).item()
    for _ in range(25):
        steps.zero_grad()
        criterion(net(x), y).backward()
        steps.step()
    assert criterion(net(x), y).item() < 0.2 * first
    assert (net(x).argmax(1) == y).all()
