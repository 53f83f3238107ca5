"""The losses against numbers: their relations to each other, kinks, large errors and the messages."""

import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.errors import ArgumentError, ShapeError


def leaf(*values, dtype=tg.float64):
    return tg.tensor(list(values), dtype=dtype, requires_grad=True)


def slopes(loss, x):
    return grad(loss.sum(), x)[0].tolist()


def test_huber_is_the_square_inside_and_the_line_outside():
    x = leaf(0.7, -0.7, 2.0, 0.0, -3.0)
    loss = tg.huber_loss(x, tg.zeros(5), "none", 0.7)
    np.testing.assert_allclose(loss.tolist(), [0.245, 0.245, 1.155, 0, 1.855], rtol=1e-14)
    np.testing.assert_allclose(slopes(loss, x), [0.7, -0.7, 0.7, 0, -0.7], rtol=1e-14)


def test_huber_has_curvature_one_also_at_zero():
    x = leaf(0.0, 0.3, 2.0)
    (first,) = grad(tg.huber_loss(x, tg.zeros(3), "sum"), x, create_graph=True)
    assert grad(first.sum(), x)[0].tolist() == [1, 1, 0]


def test_smooth_l1_is_huber_in_another_scale():
    x, y = tg.randn(50, dtype=tg.float64) * 3, tg.randn(50, dtype=tg.float64)
    for beta in (0.1, 1.0, 4.0):
        expected = tg.huber_loss(x, y, "none", beta).numpy() / beta
        np.testing.assert_allclose(tg.smooth_l1_loss(x, y, "none", beta).numpy(), expected, rtol=1e-14)
    assert tg.smooth_l1_loss(x, y, "none", 0).tolist() == tg.l1_loss(x, y, "none").tolist()
    np.testing.assert_allclose(tg.huber_loss(x, y, delta=1e6).item(), tg.mse_loss(x, y).item() / 2, rtol=1e-14)


def test_l1_is_flat_where_it_is_zero():
    x = leaf(0.5, -0.5, 0.0)
    assert slopes(tg.l1_loss(x, tg.zeros(3), "none"), x) == [1, -1, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_errors(dtype):
    x, zeros = leaf(1e4, -1e4, dtype=dtype), tg.zeros(2)
    for function, value, slope in (
        (tg.mse_loss, 1e8, 2e4),
        (tg.l1_loss, 1e4, 1),
        (tg.huber_loss, 9999.5, 1),
        (tg.smooth_l1_loss, 9999.5, 1),
    ):
        loss = function(x, zeros, "none")
        assert loss.tolist() == [value, value]
        assert slopes(loss, x) == [slope, -slope]


def test_weighted_means_divide_by_the_weights_but_hubers_by_the_count():
    x, y, w = tg.tensor([1.0, 3.0]), tg.zeros(2), tg.tensor([3.0, 1.0])
    assert tg.mse_loss(x, y, weight=w).item() == (3 + 9) / 4
    assert tg.l1_loss(x, y, weight=w).item() == (3 + 3) / 4
    assert tg.huber_loss(x, y, weight=w).item() == (1.5 + 2.5) / 2
    assert tg.mse_loss(x, y, "sum", weight=w).item() == 12
    assert tg.mse_loss(x, y, "none", weight=w.to(tg.float64)).dtype == np.float32


def test_poisson():
    x = leaf(0.0, 1.0, -1e4, 1e4)
    t = tg.tensor([2.0, 3.0, 0.0, 1.0])
    loss = tg.poisson_nll_loss(x, t, reduction="none")
    assert loss.tolist() == [1, math.e - 3, 0, math.inf]
    assert slopes(loss, x) == [-1, math.e - 3, 0, math.inf]


def test_poisson_with_stirlings_term_only_above_one():
    t = tg.tensor([0.0, 1.0, 2.0, 10.0], dtype=tg.float64)
    plain, full = (tg.poisson_nll_loss(tg.zeros(4, dtype=tg.float64), t, full=full, reduction="none") for full in (False, True))
    added = (full - plain).numpy()
    assert added[:2].tolist() == [0, 0]
    np.testing.assert_allclose(added[2:], [math.log(2), math.log(math.factorial(10))], rtol=0.06)
    np.testing.assert_allclose(added[3], math.log(math.factorial(10)), rtol=6e-4)


def test_poisson_of_a_count_of_zero_stays_finite():
    loss = tg.poisson_nll_loss(tg.zeros(1, dtype=tg.float64), tg.ones(1), log_input=False, eps=1e-3)
    np.testing.assert_allclose(loss.item(), -math.log(1e-3), rtol=1e-14)
    by_default = tg.poisson_nll_loss(tg.zeros(1, dtype=tg.float64), tg.ones(1), log_input=False)
    np.testing.assert_allclose(by_default.item(), -math.log(1e-8), rtol=1e-14)


def test_gaussian_is_the_log_density():
    x, t, v = 0.3, 1.1, 0.7
    density = math.exp(-((x - t) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)
    loss = tg.gaussian_nll_loss(leaf(x), leaf(t), leaf(v), full=True)
    np.testing.assert_allclose(loss.item(), -math.log(density), rtol=1e-14)


def test_gaussian_variances_in_every_shape():
    x, t = tg.randn(2, 3, dtype=tg.float64), tg.randn(2, 3, dtype=tg.float64)
    v = np.array([0.5, 2.0])
    expected = tg.gaussian_nll_loss(x, t, np.stack([v] * 3, 1), reduction="none").numpy()
    for shaped in (v, v[:, None]):
        assert tg.gaussian_nll_loss(x, t, shaped, reduction="none").tolist() == expected.tolist()
    volume = tg.randn(2, 3, 4, dtype=tg.float64)
    by_place = np.arange(1.0, 7.0).reshape(2, 3)
    shared, repeated = (tg.gaussian_nll_loss(volume, volume * 2, v) for v in (by_place, by_place[..., None].repeat(4, 2)))
    assert shared.item() == repeated.item()
    ones = tg.gaussian_nll_loss(x, t, 2.0, reduction="none")
    np.testing.assert_allclose(ones.numpy()[1], expected[1], rtol=1e-15)
    np.testing.assert_array_equal(tg.gaussian_nll_loss(x, t, np.full((1, 3), 2.0), reduction="none").numpy(), ones.numpy())


def test_a_variance_below_eps_can_grow_again():
    # PyTorch 2.13 gives 1.3068528194 and -6 here.
    v = leaf(0.0)
    loss = tg.gaussian_nll_loss(leaf(1.0), tg.zeros(1), v, eps=0.25)
    np.testing.assert_allclose(loss.item(), 1.3068528194, rtol=1e-9)
    assert slopes(loss, v) == [-6]


A = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: tg.huber_loss(A, A, delta=0), ArgumentError, "huber_loss: delta must be positive, got 0"),
        (lambda: tg.smooth_l1_loss(A, A, beta=-1), ArgumentError, "smooth_l1_loss: beta must be 0 or more, got -1"),
        (lambda: tg.mse_loss(A, A, weight=np.ones(3)), ShapeError, "weight has shape (3,), but it must have the input's"),
        (lambda: tg.huber_loss(A, A, weight=np.ones(3)), ShapeError, "huber_loss: weight has shape (3,)"),
        (
            lambda: tg.gaussian_nll_loss(A, A, np.ones(3)),
            ShapeError,
            "gaussian_nll_loss: var has shape (3,), the input (2, 3); give a variance for each element, for each but along one "
            "dimension (of size 1 then), or one number",
        ),
        (lambda: tg.gaussian_nll_loss(A, A, np.ones((3, 3))), ShapeError, "var has shape (3, 3), which does not broadcast"),
        (lambda: tg.gaussian_nll_loss(A, A, -1.0), ArgumentError, "a variance cannot be negative, got -1.0"),
        (lambda: tg.gaussian_nll_loss(A, A, 1.0, eps=0), ArgumentError, "eps must be positive, got 0"),
    ],
)
def test_messages(call, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        call()
