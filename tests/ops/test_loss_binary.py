"""The losses of yes-or-no questions: certain answers, large scores, a score of 0, and the messages."""

import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.errors import ArgumentError, ShapeError

BOTH_DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def leaf(*values, dtype=tg.float64):
    return tg.tensor(list(values), dtype=dtype, requires_grad=True)


def slopes(loss, x):
    return grad(loss.sum(), x)[0].tolist()


@BOTH_DTYPES
def test_certain_answers(dtype):
    # The values and gradients of PyTorch 2.13.
    x = leaf(0.0, 1.0, 0.0, 1.0, 0.25, dtype=dtype)
    loss = tg.binary_cross_entropy(x, tg.tensor([1.0, 0.0, 0.0, 1.0, 1.0]), reduction="none")
    np.testing.assert_allclose(loss.tolist(), [100, 100, 0, 0, math.log(4)], rtol=1e-6)
    np.testing.assert_allclose(slopes(loss, x), [-1e12, 1e12, 0, 0, -4], rtol=1e-6)


def test_targets_have_a_gradient_also_at_certain_answers():
    x, t = leaf(0.0, 1.0, 0.25), leaf(0.3, 0.3, 0.3)
    gx, gt = grad(tg.binary_cross_entropy(x, t, reduction="sum"), (x, t), create_graph=True)
    np.testing.assert_allclose(gt.tolist(), [100, -100, math.log(3)], rtol=1e-14)
    assert all(np.isfinite(g.numpy()).all() for g in grad((gx[2] + gt.sum()), (x, t)))


@BOTH_DTYPES
def test_a_score_of_zero_has_the_slope_of_the_sigmoid(dtype):
    x = leaf(0.0, 0.0, 0.0, dtype=dtype)
    loss = tg.binary_cross_entropy_with_logits(x, tg.tensor([1.0, 0.0, 0.3]), reduction="none")
    np.testing.assert_allclose(loss.tolist(), [math.log(2)] * 3, rtol=1e-6)
    np.testing.assert_allclose(slopes(loss, x), [-0.5, 0.5, 0.2], rtol=1e-6)
    (first,) = grad(tg.binary_cross_entropy_with_logits(x, tg.ones(3), reduction="sum"), x, create_graph=True)
    np.testing.assert_allclose(slopes(first, x), [0.25] * 3, rtol=1e-6)


@BOTH_DTYPES
def test_large_scores(dtype):
    x, t = leaf(1e4, -1e4, 1e4, -1e4, dtype=dtype), tg.tensor([1.0, 0.0, 0.0, 1.0])
    for options in ({}, {"pos_weight": tg.tensor(1.0)}):
        loss = tg.binary_cross_entropy_with_logits(x, t, reduction="none", **options)
        assert loss.tolist() == [0, 0, 1e4, 1e4]
        assert slopes(loss, x) == [0, 0, 1, -1]


def test_confident_answers_keep_their_digits_in_float32():
    x = leaf(-15.0, 15.0, dtype=np.float32)
    loss = tg.binary_cross_entropy_with_logits(x, tg.tensor([0.0, 1.0]), reduction="none")
    np.testing.assert_allclose(loss.tolist(), [math.log1p(math.exp(-15))] * 2, rtol=1e-5)
    share = 1 / (1 + math.exp(15))
    np.testing.assert_allclose(slopes(loss, x), [share, -share], rtol=1e-5)


def test_both_forms_agree():
    x, t = tg.randn(4, 3, dtype=tg.float64) * 3, tg.rand(4, 3, dtype=tg.float64)
    w = tg.rand(3, dtype=tg.float64)
    for reduction in ("mean", "none"):
        a = tg.binary_cross_entropy(tg.sigmoid(x), t, w, reduction)
        b = tg.binary_cross_entropy_with_logits(x, t, w, reduction)
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


def test_pos_weight_is_as_good_as_repeating_the_positives():
    x = tg.randn(6, dtype=tg.float64)
    t = tg.tensor([1.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    repeated = [i for i in range(6) for _ in range(3 if t[i] else 1)]
    by_hand = tg.binary_cross_entropy_with_logits(x[repeated], t[repeated], reduction="sum").item()
    weighted = tg.binary_cross_entropy_with_logits(x, t, reduction="sum", pos_weight=tg.tensor(3.0)).item()
    np.testing.assert_allclose(weighted, by_hand, rtol=1e-14)


def test_focal_loss_without_focus_is_cross_entropy():
    x, t = tg.randn(4, 3, dtype=tg.float64), tg.randint(0, 2, (4, 3))
    plain = tg.binary_cross_entropy_with_logits(x, t, reduction="none").numpy()
    np.testing.assert_allclose(tg.sigmoid_focal_loss(x, t, alpha=-1, gamma=0).numpy(), plain, rtol=1e-14)
    balanced = tg.sigmoid_focal_loss(x, t, alpha=0.3, gamma=0).numpy()
    np.testing.assert_allclose(balanced, plain * np.where(t.numpy() == 1, 0.3, 0.7), rtol=1e-14)


def test_focal_loss_by_its_formula():
    x, t = np.random.default_rng(0).standard_normal((4, 3)), np.random.default_rng(1).integers(0, 2, (4, 3))
    p = 1 / (1 + np.exp(-x))
    p_t, alpha_t = np.where(t == 1, p, 1 - p), np.where(t == 1, 0.25, 0.75)
    np.testing.assert_allclose(tg.sigmoid_focal_loss(x, t).numpy(), -alpha_t * (1 - p_t) ** 2 * np.log(p_t), rtol=1e-12)


@BOTH_DTYPES
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_loss_of_large_scores(gamma, dtype):
    x = leaf(1e4, -1e4, dtype=dtype)
    loss = tg.sigmoid_focal_loss(x, tg.tensor([1.0, 1.0]), alpha=-1, gamma=gamma)
    assert loss.tolist() == [0, 1e4]
    assert slopes(loss, x) == [0, -1]


@BOTH_DTYPES
def test_soft_margin_of_large_scores_where_pytorch_overflows(dtype):
    x = leaf(1e4, -1e4, 1e4, 0.0, dtype=dtype)
    loss = tg.soft_margin_loss(x, np.array([-1, 1, 1, 1]), "none")
    np.testing.assert_allclose(loss.tolist(), [1e4, 1e4, 0, math.log(2)], rtol=1e-6)
    np.testing.assert_allclose(slopes(loss, x), [1, -1, 0, -0.5], rtol=1e-6)


def test_hinge():
    x = leaf(0.5, 2.0, 0.5, 1.0, -1e4)
    signs = np.array([1, 1, -1, 1, 1])
    loss = tg.hinge_loss(x, signs, reduction="none")
    assert loss.tolist() == [0.5, 0, 1.5, 0, 10001]
    assert slopes(loss, x) == [-1, 0, 1, -1, -1]
    squared = tg.hinge_loss(x, signs, squared=True, reduction="none")
    assert squared.tolist() == [0.25, 0, 2.25, 0, 10001**2]
    assert slopes(squared, x) == [-1, 0, 3, 0, -20002]
    assert tg.hinge_loss(leaf(0.5), np.array([1]), margin=0.2).item() == 0


def test_several_labels_are_averaged_over_the_last_dimension():
    x, t = tg.randn(2, 4, 3, dtype=tg.float64), tg.rand(2, 4, 3, dtype=tg.float64)
    each = tg.binary_cross_entropy_with_logits(x, t, reduction="none").numpy()
    np.testing.assert_allclose(tg.multilabel_soft_margin_loss(x, t, reduction="none").numpy(), each.mean(-1), rtol=1e-12)
    w = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(tg.multilabel_soft_margin_loss(x, t, w).item(), (each * w).mean(), rtol=1e-12)


A, ONES = np.full((2, 3), 0.5), np.ones((2, 3), int)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: tg.binary_cross_entropy(A + np.array([0, 0, 1]), A),
            ArgumentError,
            "binary_cross_entropy: the input must be probabilities between 0 and 1, got 1.5 at (0, 2); for scores of any size "
            "use binary_cross_entropy_with_logits",
        ),
        (
            lambda: tg.binary_cross_entropy(A, A, np.ones((2, 1, 1))),
            ShapeError,
            "weight has shape (2, 1, 1), which does not broadcast to the input's (2, 3); give it that shape, or a 1 for each "
            "dimension that it does not depend on",
        ),
        (lambda: tg.binary_cross_entropy(A, A, np.ones(2)), ShapeError, "weight has shape (2,), which does not broadcast"),
        (
            lambda: tg.binary_cross_entropy_with_logits(A, A, pos_weight=np.ones(2)),
            ShapeError,
            "pos_weight has shape (2,), which does not broadcast to the input's (2, 3)",
        ),
        (
            lambda: tg.sigmoid_focal_loss(A, A),
            ArgumentError,
            "sigmoid_focal_loss: targets must be 0 or 1, got 0.5 at (0, 0); the loss is defined for labels",
        ),
        (lambda: tg.sigmoid_focal_loss(A, ONES, gamma=-1), ArgumentError, "gamma must be 0 or more and alpha at most 1"),
        (lambda: tg.sigmoid_focal_loss(A, ONES, alpha=2), ArgumentError, "(negative for none), got 2 and 2"),
        (
            lambda: tg.soft_margin_loss(A, ONES - 1),
            ArgumentError,
            "soft_margin_loss: targets must be 1 or -1, got 0 at (0, 0); for labels 0 and 1 use 2 * target - 1",
        ),
        (lambda: tg.hinge_loss(A, ONES[0]), ShapeError, "target has shape (3,), but this input needs one of shape (2, 3)"),
        (
            lambda: tg.multilabel_soft_margin_loss(np.zeros((2, 0)), np.zeros((2, 0))),
            ShapeError,
            "needs an input of shape (..., classes) with at least one class, got (2, 0)",
        ),
    ],
)
def test_messages(call, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        call()
