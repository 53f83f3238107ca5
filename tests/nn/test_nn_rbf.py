"""LeNet-5's output layer: the bitmaps are those of the paper, bit by bit, and the layer measures distances from them."""

import hashlib
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.nn.rbf import digit_bitmaps

ZERO = """
.#####.
.......
..###..
.##.##.
##...##
##...##
##...##
##...##
.##.##.
..###..
.......
.......
"""


def test_the_bitmaps_are_the_papers():
    bitmaps = digit_bitmaps()
    assert bitmaps.shape == (10, 12, 7)
    assert bitmaps.dtype == np.float32
    ink = bitmaps > 0
    text = "".join("1" if bit else "0" for bit in ink.ravel())
    assert hashlib.sha256(text.encode()).hexdigest() == "8437a8e0d44d9c3f5ba09489c1f8d950aefec5da185dd91f0b121390747ddf8b"
    assert ink.sum((1, 2)).tolist() == [35, 27, 33, 32, 41, 35, 39, 25, 43, 39]
    assert ["".join(".#"[int(bit)] for bit in row) for row in ink[0]] == ZERO.split()


def test_distances_between_the_digits():
    centres = digit_bitmaps().reshape(10, 84)
    distances = nn.RBFOutput()(tg.tensor(centres)).numpy()
    assert np.diag(distances).tolist() == [0] * 10
    apart = distances[~np.eye(10, dtype=bool)]
    assert (apart.min(), apart.max()) == (48, 200)
    assert distances[6, 8] == 48
    assert distances[1, 4] == distances[1, 8] == distances[4, 7] == 200


def test_the_layer():
    layer = nn.RBFOutput()
    assert layer(tg.zeros(3, 84)).tolist() == [[84] * 10] * 3
    assert list(layer.parameters()) == []
    assert list(layer.state_dict()) == ["weight"]
    assert layer.state_dict()["weight"].shape == (10, 84)
    assert repr(layer) == "RBFOutput(in_features=84, out_features=10)"
    x = layer.weight + 0.3 * tg.randn(10, 84)
    penalties = layer(x)
    assert layer.predict(penalties).tolist() == list(range(10))
    np.testing.assert_allclose(penalties.numpy(), ((x.numpy()[:, None] - layer.weight.numpy()) ** 2).sum(-1), rtol=1e-5)
    assert nn.RBFOutput.predict(tg.tensor([3.0, 1.0, 1.0])).item() == 1


def test_learned_centres_move():
    layer = nn.RBFOutput(tg.tensor([[0.0, 0.0], [4.0, 0.0]]), learnable=True)
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert repr(layer) == "RBFOutput(in_features=2, out_features=2, learnable=True)"
    nn.RBFMSELoss()(layer(tg.tensor([[1.0, 1.0]])), tg.tensor([0])).backward()
    assert layer.weight.grad.tolist() == [[-2, -2], [0, 0]]


def test_modules_do_not_share_the_bitmaps():
    first, second = nn.RBFOutput(), nn.RBFOutput()
    with tg.no_grad():
        first.weight.zero_()
    assert second(tg.zeros(84)).tolist() == [84] * 10


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: nn.RBFOutput(tg.zeros(84)), ShapeError, "floats of shape (classes, features); got float32 of shape (84,)"),
        (lambda: nn.RBFOutput(tg.zeros(2, 3).long()), ShapeError, "got int64 of shape (2, 3)"),
        (lambda: nn.RBFMAPLoss(0), ArgumentError, "RBFMAPLoss: j must be positive, got 0"),
    ],
)
def test_messages(call, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        call()
