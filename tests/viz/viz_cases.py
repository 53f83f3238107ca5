"""Graphs to draw, and an op whose settings are as awkward as they come."""

from contextlib import contextmanager

import numpy as np

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import models, nn
from tinygrad_cnn.autograd import Function
from tinygrad_cnn.autograd.mode import STATE


@contextmanager
def inside(path):
    """As if the module of that path were running."""
    before, STATE.module_path = STATE.module_path, path
    try:
        yield
    finally:
        STATE.module_path = before


def leaf(*shape, name=None):
    tensor = tg.ones(*shape, requires_grad=True)
    tensor.name = name
    return tensor


def lenet_loss():
    return F.cross_entropy(models.SmallLeNet5()(tg.randn(2, 1, 28, 28)), tg.tensor([3, 7]))


class Block(nn.Module):
    """A residual block, whose shortcut is a convolution of its own."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.shortcut = nn.Sequential(nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4))

    def forward(self, x):
        return F.relu(self.bn1(self.conv1(x)) + self.shortcut(x))


class Net(nn.Module):
    """Two levels of modules, a list whose members run between other ops, and one module that runs twice."""

    def __init__(self):
        super().__init__()
        self.block = Block()
        self.heads = nn.ModuleList([nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)])

    def forward(self, x):
        x = F.relu(self.heads[0](self.block(x)))
        x = F.relu(self.heads[1](x))
        return F.relu(self.heads[0](x))


class Awkward(Function):
    """The identity, with any settings."""

    def forward(self, x):
        return x

    def backward(self, gy):
        return gy


AWKWARD = {
    "markup": """<b>&amp; "quoted" 'single'</b>""",
    "record": "{a|b} <port>",
    "escapes": "C:\\new\\table \\N \\G",
    "lines": "one\ntwo\0three\x1b[0m",
    "unicode": "größe 大きさ \ud800",
    "array": np.arange(6).reshape(2, 3),
    "not_finite": (float("nan"), -np.inf),
    "index": (slice(None, 3), slice(1, None, 2), None, ..., np.int64(2), np.array([0, 1])),
    "function": np.sign,
    "dtype": np.dtype("float32"),
    "nothing": None,
    "off": False,
    "long": tuple(range(1000)),
    "names": {"a": 1, "b": (2, 2)},
    "tensor": tg.ones(2, 2),
    "object": object(),
    "text": "word " * 500,
}
