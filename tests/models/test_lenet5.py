"""LeNet-5 of 1998 against the numbers that the paper prints."""

import hashlib

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.models.lenet5 import TABLE_1


@pytest.fixture(scope="module")
def net():
    tg.manual_seed(0)
    return LeNet5()


def test_parameters_of_each_layer(net):
    counts = {name: sum(p.numel() for p in layer.parameters()) for name, layer in net.named_children()}
    assert {name: n for name, n in counts.items() if n} == {
        "c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48120, "f6": 10164,
    }  # fmt: skip
    assert sum(counts.values()) == 60_000


def test_connections_are_340_908(net):
    """Each unit's inputs and its bias; a subsampling unit has four inputs, an output unit none but its features."""
    sizes = {}
    for name, layer in net.named_children():
        layer.register_forward_hook(lambda _, __, y, name=name: sizes.update({name: y.shape[1:]}))
    net(tg.zeros(1, 1, 32, 32))
    pixels = {name: int(np.prod(size[1:])) for name, size in sizes.items()}
    connections = {
        "c1": pixels["c1"] * net.c1.weight[0].numel() * 6 + pixels["c1"] * 6,
        "s2": pixels["s2"] * 6 * (4 + 1),
        "c3": pixels["c3"] * (int(net.c3.fan_in().sum()) + 16),
        "s4": pixels["s4"] * 16 * (4 + 1),
        "c5": net.c5.weight.numel() + 120,
        "f6": net.f6.weight.numel() + 84,
        "output": net.output.weight.numel(),
    }
    assert connections == {"c1": 122_304, "s2": 5_880, "c3": 151_600, "s4": 2_000, "c5": 48_120, "f6": 10_164, "output": 840}
    assert sum(connections.values()) == 340_908


def test_table_1():
    assert len(TABLE_1) == 16
    assert sum(map(len, TABLE_1)) == 60
    assert [sum(c in row for row in TABLE_1) for c in range(6)] == [10] * 6


def test_outputs_are_distances_from_the_bitmaps(net):
    text = "".join("1" if pixel > 0 else "0" for pixel in net.output.weight.array.ravel())
    assert hashlib.sha256(text.encode()).hexdigest() == "8437a8e0d44d9c3f5ba09489c1f8d950aefec5da185dd91f0b121390747ddf8b"
    penalties = net(tg.randn(3, 1, 32, 32))
    assert penalties.shape == (3, 10)
    assert bool((penalties > 0).array.all())
    np.testing.assert_array_equal(net.predict(penalties).array, penalties.detach().array.argmin(1))


def test_starts_within_the_papers_bounds():
    """U(-2.4 / F, 2.4 / F), with F the inputs of the unit: 25 in C1, 75 to 150 in C3, 400 in C5, 120 in F6."""
    tg.manual_seed(1)
    net = LeNet5()
    for layer, fan_in in ((net.c1, 25), (net.c5, 400), (net.f6, 120)):
        largest = np.abs(layer.weight.detach().array).max()
        assert 0.95 * 2.4 / fan_in < largest <= 2.4 / fan_in
    weight = net.c3.dense_weight().detach().array
    for o, row in enumerate(TABLE_1):
        largest = np.abs(weight[o]).max()
        assert 0.9 * 2.4 / (25 * len(row)) < largest <= 2.4 / (25 * len(row))


def test_a_larger_image_gives_larger_maps_in_c5(net):
    """Why C5 is called convolutional."""
    x = net.squash(net.s2(net.squash(net.c1(tg.zeros(1, 1, 36, 40)))))
    assert net.c5(net.squash(net.s4(net.squash(net.c3(x))))).shape == (1, 120, 2, 3)


def test_learns_ten_patterns_by_heart():
    tg.manual_seed(0)
    net, criterion = LeNet5(), nn.RBFMAPLoss(0.1)
    optimizer = tg.optim.Adam(net.parameters(), lr=1e-2)
    x, y = tg.randn(10, 1, 32, 32), np.arange(10)
    for _ in range(60):
        optimizer.zero_grad()
        loss = criterion(net(x), y)
        loss.backward()
        optimizer.step()
    assert net.predict(net(x)).tolist() == list(range(10))
