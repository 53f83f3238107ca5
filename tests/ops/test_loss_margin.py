"""The losses with a margin and the distances: small examples by hand, kinks, zero vectors, and the messages."""

import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError


def leaf(*values, dtype=tg.float64):
    return tg.tensor(list(values), dtype=dtype, requires_grad=True)


def slopes(loss, *xs):
    gradients = [g.tolist() for g in grad(loss.sum(), xs)]
    return gradients if len(xs) > 1 else gradients[0]


def test_hinge_embedding():
    x = leaf(0.2, 0.2, 1.5, 1.0, -1e4)
    loss = tg.hinge_embedding_loss(x, np.array([1, -1, -1, -1, -1]), reduction="none")
    assert loss.tolist() == [0.2, 0.8, 0, 0, 10001]
    assert slopes(loss, x) == [1, -1, 0, -1, -1]


def test_ranking_pushes_equal_scores_apart():
    a, b = leaf(3.0, 3.0, 2.0), leaf(1.0, 1.0, 2.0)
    target = np.array([1, -1, 1])
    assert tg.margin_ranking_loss(a, b, target, 0.5, "none").tolist() == [0, 2.5, 0.5]
    loss = tg.margin_ranking_loss(a, b, target, reduction="none")
    assert loss.tolist() == [0, 2, 0]
    assert slopes(loss, a, b) == [[0, 1, -1], [0, -1, 1]]


def test_multi_margin_by_hand():
    x = leaf([0.1, 0.2, 0.8], [2.0, 0.0, 0.5])
    loss = tg.multi_margin_loss(x, np.array([2, 1]), reduction="none")
    np.testing.assert_allclose(loss.tolist(), [(0.3 + 0.4) / 3, (3 + 1.5) / 3], rtol=1e-14)
    squared = tg.multi_margin_loss(x, np.array([2, 1]), 2, 0.8, tg.tensor([1.0, 2.0, 3.0]), "none")
    np.testing.assert_allclose(squared.tolist(), [3 * (0.1**2 + 0.2**2) / 3, 2 * (2.8**2 + 1.3**2) / 3], rtol=1e-14)
    at_the_kink = leaf(1.0, 0.0)
    assert slopes(tg.multi_margin_loss(at_the_kink, np.array(0)), at_the_kink) == [0, 0]


def test_multi_margin_weights_have_a_gradient():
    weight = leaf(1.0, 2.0)
    loss = tg.multi_margin_loss(tg.tensor([[0.0, 0.5]]), np.array([0]), weight=weight.float())
    assert slopes(loss, weight) == [0.75, 0]


def test_multilabel_margin_reads_up_to_the_first_minus_one():
    scores = tg.tensor([0.1, 0.2, 0.4, 0.8], dtype=tg.float64)
    # Classes 3 and 0 against 1 and 2.
    expected = ((1 - 0.8 + 0.2) + (1 - 0.8 + 0.4) + (1 - 0.1 + 0.2) + (1 - 0.1 + 0.4)) / 4
    for rest in (0, 1, 2, -1):
        loss = tg.multilabel_margin_loss(scores, np.array([3, 0, -1, rest]))
        np.testing.assert_allclose(loss.item(), expected, rtol=1e-14)
    assert tg.multilabel_margin_loss(scores, np.array([-1, 0, 1, 2])).item() == 0
    assert tg.multilabel_margin_loss(scores, np.array([3, 2, 1, 0])).item() == 0


def test_one_sample_without_a_batch():
    x = tg.randn(4, dtype=tg.float64)
    for function, target in (
        (tg.multi_margin_loss, np.array(2)),
        (tg.multilabel_margin_loss, np.array([2, 1, -1, 0])),
    ):
        for reduction in ("mean", "sum", "none"):
            one = function(x, target, reduction=reduction)
            assert one.shape == ()
            assert one.item() == function(x.unsqueeze(0), target[None], reduction=reduction).sum().item()
    vectors = [tg.randn(3) for _ in range(3)]
    assert tg.cosine_embedding_loss(*vectors[:2], np.array(1), reduction="none").shape == ()
    assert tg.triplet_margin_loss(*vectors, reduction="none").shape == ()


def test_distances_are_norms():
    a, b = np.array([[0.0, 3.0, -1.0]]), np.array([[4.0, 0.0, -1.0]])
    for p in (1, 2, 3, 0.5, math.inf):
        expected = np.linalg.norm((a - b)[0], p)
        np.testing.assert_allclose(tg.pairwise_distance(a, b, p, eps=0).numpy(), [expected], rtol=1e-12)
    assert tg.pairwise_distance(a, b, keepdim=True).shape == (1, 1)
    assert tg.pairwise_distance(np.zeros((5, 3)), np.ones(3)).shape == (5,)


def test_the_distance_of_equal_vectors_has_a_slope():
    # PyTorch 2.13: 1.4142e-06 and 0.7071 all over, with opposite signs.
    a, b = leaf(1.0, 2.0), leaf(1.0, 2.0)
    distance = tg.pairwise_distance(a, b)
    np.testing.assert_allclose(distance.item(), math.sqrt(2) * 1e-6, rtol=1e-9)
    np.testing.assert_allclose(slopes(distance, a, b), [[0.5**0.5] * 2, [-(0.5**0.5)] * 2], rtol=1e-9)


def test_cosines():
    a, b = np.array([[1.0, 0.0], [3.0, 4.0]]), np.array([[1.0, 1.0], [-6.0, -8.0]])
    np.testing.assert_allclose(tg.cosine_similarity(a, b).numpy(), [0.5**0.5, -1], rtol=1e-14)
    np.testing.assert_allclose(tg.cosine_similarity(a, b, dim=0).numpy(), [-17 / 37**0.5 / 10**0.5, -8 / 65**0.5], rtol=1e-12)
    assert tg.cosine_similarity(np.ones((4, 1, 3)), np.ones((5, 3)), dim=-1).shape == (4, 5)
    tiny = np.full((1, 2), 1e-6, np.float32)
    np.testing.assert_allclose(tg.cosine_similarity(tiny, tiny * 7).numpy(), [1], rtol=1e-5)


def test_zero_vectors_have_cosine_zero_and_finite_slopes():
    # PyTorch 2.13 for all four numbers.
    zero, other = leaf(0.0, 0.0), leaf(1.0, 2.0)
    cosine = tg.cosine_similarity(zero, other, dim=0)
    assert cosine.item() == 0
    np.testing.assert_allclose(slopes(cosine, zero, other), [[44721359.55, 89442719.1], [0, 0]], rtol=1e-9)
    loss = tg.cosine_embedding_loss(zero, other, np.array(1))
    assert loss.item() == 1
    np.testing.assert_allclose(slopes(loss, zero, other), [[-447213.5964, -894427.1928], [0, 0]], rtol=1e-8)


def test_cosine_embedding():
    a, b = np.array([[1.0, 0.0]] * 3), np.array([[3.0, 4.0], [3.0, 4.0], [0.0, 5.0]])
    loss = tg.cosine_embedding_loss(a, b, np.array([1, -1, -1]), 0.5, "none")
    np.testing.assert_allclose(loss.numpy(), [0.4, 0.1, 0], rtol=1e-10, atol=1e-12)


def test_triplet_and_its_swap():
    a, p, n = (np.array([v]) for v in ([0.0, 0.0], [1.0, 0.0], [2.0, 0.0]))
    np.testing.assert_allclose(tg.triplet_margin_loss(a, p, n, 1.5, eps=0).item(), 1 - 2 + 1.5, rtol=1e-14)
    # The unlike is nearer to the like, 1, than to the anchor, 2.
    np.testing.assert_allclose(tg.triplet_margin_loss(a, p, n, 1.5, eps=0, swap=True).item(), 1 - 1 + 1.5, rtol=1e-14)
    assert tg.triplet_margin_loss(a, p, n * 10).item() == 0
    same = leaf(1.0, 2.0)
    assert tg.triplet_margin_loss(same, same, same).item() == 1
    x = leaf(1e4, -1e4)
    assert np.isfinite(slopes(tg.triplet_margin_loss(x, tg.zeros(2, dtype=tg.float64), tg.ones(2, dtype=tg.float64)), x)).all()


A = np.zeros((2, 3))
V = np.zeros((2, 1, 3))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: tg.hinge_embedding_loss(A, A),
            ArgumentError,
            "hinge_embedding_loss: targets must be 1 or -1, got 0.0 at (0, 0); for labels 0 and 1 use 2 * target - 1",
        ),
        (lambda: tg.margin_ranking_loss(A, A[0], A), ShapeError, "input has shape (2, 3) and input2 (3,); they must agree"),
        (lambda: tg.margin_ranking_loss(A, A, [1]), ShapeError, "target has shape (1,), but this input needs one of"),
        (lambda: tg.multi_margin_loss(A, np.array([0, 1]), p=3), ArgumentError, "multi_margin_loss: p must be 1 or 2, got 3"),
        (
            lambda: tg.multi_margin_loss(A, np.array([0, 3])),
            ArgumentError,
            "multi_margin_loss: target 3 at (1,) is no class of an input with 3 classes (0 to 2)",
        ),
        (lambda: tg.multi_margin_loss(A, np.array([0.0, 1])), DTypeError, "must be integers, got float64: use .long()"),
        (lambda: tg.multi_margin_loss(V, np.array([0, 1])), ShapeError, "shape (n, classes) or (classes,), got (2, 1, 3)"),
        (lambda: tg.multi_margin_loss(A, np.array([0, 1]), weight=np.ones(2)), ShapeError, "weight has shape (2,), but"),
        (
            lambda: tg.multilabel_margin_loss(A, np.array([[0, 1, -1], [3, -1, 0]])),
            ArgumentError,
            "target 3 at (1, 0) is no class of an input with 3 classes (0 to 2; -1 ends)",
        ),
        (
            lambda: tg.multilabel_margin_loss(A, np.array([0, 1])),
            ShapeError,
            "targets list classes up to a -1 in the input's shape (2, 3), got (2,)",
        ),
        (lambda: tg.multilabel_margin_loss(A, A), DTypeError, "must be integers, got float64"),
        (lambda: tg.pairwise_distance(A, np.zeros((2, 2))), ShapeError, "shapes (2, 3) and (2, 2) do not broadcast"),
        (lambda: tg.pairwise_distance(A, 1.0), ShapeError, "needs vectors, shape (..., d); got shapes (2, 3) and ()"),
        (lambda: tg.pairwise_distance(A, A, p=0), ArgumentError, "p must be positive, or math.inf, got 0"),
        (lambda: tg.cosine_similarity(A, np.zeros((2, 2))), ShapeError, "cosine_similarity: shapes (2, 3) and (2, 2)"),
        (lambda: tg.cosine_similarity(A, A, dim=2), ShapeError, "dim 2 does not exist in a tensor of 2 dimensions"),
        (lambda: tg.cosine_similarity(A, A, eps=0), ArgumentError, "eps must be positive, got 0"),
        (lambda: tg.cosine_embedding_loss(V, V, [1, 1]), ShapeError, "needs inputs of shape (n, d) or (d,), got (2, 1, 3)"),
        (
            lambda: tg.cosine_embedding_loss(A, A, np.ones((2, 1))),
            ShapeError,
            "target has shape (2, 1), but this input needs one of shape (2,)",
        ),
        (lambda: tg.triplet_margin_loss(A, A, A[0]), ShapeError, "input has shape (2, 3) and negative (3,)"),
        (lambda: tg.triplet_margin_loss(A, A[0], A), ShapeError, "input has shape (2, 3) and positive (3,)"),
        (lambda: tg.triplet_margin_loss(V, V, V), ShapeError, "needs inputs of shape (n, d) or (d,), got (2, 1, 3)"),
        (lambda: tg.triplet_margin_loss(A, A, A, margin=0), ArgumentError, "margin must be positive, got 0"),
        (lambda: tg.triplet_margin_loss(A, A, A, p=-1), ArgumentError, "triplet_margin_loss: p must be positive, or math.inf"),
    ],
)
def test_messages(call, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        call()
