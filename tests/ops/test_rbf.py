"""LeNet-5's output units and criteria: the worked numbers of the fact sheet, the limits, and the messages."""

import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError


def leaf(*values, dtype=tg.float64):
    return tg.tensor(list(values), dtype=dtype, requires_grad=True)


def test_penalties_are_squared_distances():
    x, weight = leaf([1.0, 2.0], [0.0, 0.0]), leaf([1.0, 0.0], [4.0, 6.0], [1.0, 2.0])
    assert tg.euclidean_rbf(x, weight).tolist() == [[4, 25, 0], [1, 52, 5]]
    assert tg.euclidean_rbf(x[0], weight).tolist() == [4, 25, 0]
    assert tg.euclidean_rbf(tg.zeros(0, 2), tg.zeros(3, 2)).shape == (0, 3)
    assert tg.euclidean_rbf(tg.zeros(2, 5, 2), tg.zeros(3, 2)).shape == (2, 5, 3)


def test_the_mse_criterion_is_the_right_classs_penalty():
    y = leaf([1.0, 4.0, 9.0], [2.0, 5.0, 7.0])
    loss = tg.rbf_mse_loss(y, np.array([1, 0]))
    assert loss.item() == 3
    assert grad(loss, y)[0].tolist() == [[0, 0.5, 0], [0.5, 0, 0]]
    assert tg.rbf_mse_loss(y, np.array([1, 0]), "none").tolist() == [4, 2]


def test_the_map_criterion_has_the_worked_numbers():
    y = leaf([1.0, 4.0, 9.0])
    loss = tg.rbf_map_loss(y, np.array([0]), 0.1)
    np.testing.assert_allclose(loss.item(), 1.2555378697939, rtol=1e-12)
    np.testing.assert_allclose(grad(loss, y)[0].numpy(), [[0.715077444, -0.0141854588, -0.0000955808693]], rtol=1e-7)
    ten_zeros = tg.rbf_map_loss(tg.zeros(1, 10, dtype=tg.float64), np.array([3]), 0.1)
    np.testing.assert_allclose(ten_zeros.item(), 2.3892064906, rtol=1e-10)


def test_the_map_criterion_by_its_formula():
    y, target, j = np.random.default_rng(0).uniform(0, 5, (6, 4)), np.array([0, 1, 2, 3, 0, 1]), 0.7
    formula = y[np.arange(6), target] + np.log(math.exp(-j) + np.exp(-y).sum(1))
    np.testing.assert_allclose(tg.rbf_map_loss(y, target, j, "none").numpy(), formula, rtol=1e-12)
    assert (formula >= 0).all()
    np.testing.assert_allclose(tg.rbf_map_loss(y[2], np.array(2), j).item(), formula[2], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_penalties(dtype):
    y = leaf([1e4, 2e4], [0.0, 1e4], dtype=dtype)
    loss = tg.rbf_map_loss(y, np.array([0, 0]), 0.5, "none")
    # Far from every centre the rubbish class wins; on the right one, log(1 + e^-j) is left.
    np.testing.assert_allclose(loss.tolist(), [1e4 - 0.5, math.log1p(math.exp(-0.5))], rtol=1e-6)
    share = 1 / (1 + math.exp(-0.5))
    np.testing.assert_allclose(grad(loss.sum(), y)[0].tolist(), [[1, 0], [1 - share, 0]], rtol=1e-6)


def test_learned_centres_get_the_opposite_gradient():
    x, weight = leaf([1.0, 2.0]), leaf([0.5, 0.0], [3.0, 1.0])
    loss = tg.rbf_map_loss(tg.euclidean_rbf(x, weight), np.array([1]), 0.3)
    gx, gweight = grad(loss, (x, weight))
    np.testing.assert_allclose(gx.numpy()[0], -gweight.numpy().sum(0), rtol=1e-12)


Y = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: tg.euclidean_rbf(np.zeros((2, 5)), np.zeros((10, 84))),
            ShapeError,
            "euclidean_rbf: an input of shape (2, 5) has 5 features, but the centres have shape (10, 84) (classes, features)",
        ),
        (lambda: tg.euclidean_rbf(np.zeros(3), np.zeros(3)), ShapeError, "the centres have shape (3,) (classes, features)"),
        (lambda: tg.euclidean_rbf(1.0, np.zeros((2, 2))), ShapeError, "an input of shape () has 0 features"),
        (lambda: tg.rbf_map_loss(Y, [0, 1], 0), ArgumentError, "rbf_map_loss: j must be positive, got 0"),
        (lambda: tg.rbf_map_loss(Y, [0, 1], math.inf), ArgumentError, "rbf_map_loss: j must be positive, got inf"),
        (lambda: tg.rbf_map_loss(Y, [0, 3], 1), ArgumentError, "target 3 at (1,) is no class of an input with 3 classes"),
        (lambda: tg.rbf_mse_loss(Y, [0, -100]), ArgumentError, "target -100 at (1,) is no class of an input with 3 classes"),
        (lambda: tg.rbf_mse_loss(Y, np.zeros(2)), DTypeError, "rbf_mse_loss: targets are class indices and must be integers"),
        (lambda: tg.rbf_mse_loss(Y, [0]), ShapeError, "needs targets of shape (2,), got (1,)"),
        (lambda: tg.rbf_map_loss(Y[None], [[0, 1]], 1), ShapeError, "of shape (n, classes) or (classes,), got (1, 2, 3)"),
    ],
)
def test_messages(call, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        call()
