"""The losses against classes, and what all losses share: reductions, dtypes, shapes that do not fit, empty batches."""

import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError


def leaf(*values, dtype=tg.float64):
    return tg.tensor(list(values), dtype=dtype, requires_grad=True)


# Every loss, on float inputs of shape (n, 3): how it is called. -------------------------------------------------------

SIGNS = np.array([[1, -1, 1], [-1, 1, 1]])
ROW_SIGNS = np.array([1, -1])
CLASSES = np.array([2, 0])
LOSSES = {
    "cross_entropy": lambda x, y, n, **o: tg.cross_entropy(x, CLASSES[:n], **o),
    "cross_entropy, smoothed": lambda x, y, n, **o: tg.cross_entropy(x, CLASSES[:n], label_smoothing=0.1, **o),
    "cross_entropy, soft": lambda x, y, n, **o: tg.cross_entropy(x, y, **o),
    "nll_loss": lambda x, y, n, **o: tg.nll_loss(x, CLASSES[:n], **o),
    "focal_loss": lambda x, y, n, **o: tg.focal_loss(x, CLASSES[:n], **o),
    "kl_div": lambda x, y, n, **o: tg.kl_div(x, y, **o),
    "mse_loss": lambda x, y, n, **o: tg.mse_loss(x, y, **o),
    "l1_loss": lambda x, y, n, **o: tg.l1_loss(x, y, **o),
    "huber_loss": lambda x, y, n, **o: tg.huber_loss(x, y, **o),
    "smooth_l1_loss": lambda x, y, n, **o: tg.smooth_l1_loss(x, y, **o),
    "poisson_nll_loss": lambda x, y, n, **o: tg.poisson_nll_loss(x, y, full=True, **o),
    "gaussian_nll_loss": lambda x, y, n, **o: tg.gaussian_nll_loss(x, y, 2.0, **o),
    "binary_cross_entropy": lambda x, y, n, **o: tg.binary_cross_entropy(x, y, **o),
    "binary_cross_entropy_with_logits": lambda x, y, n, **o: tg.binary_cross_entropy_with_logits(x, y, **o),
    "sigmoid_focal_loss": lambda x, y, n, **o: tg.sigmoid_focal_loss(x, SIGNS[:n] > 0, **{"reduction": "mean", **o}),
    "soft_margin_loss": lambda x, y, n, **o: tg.soft_margin_loss(x, SIGNS[:n], **o),
    "hinge_loss": lambda x, y, n, **o: tg.hinge_loss(x, SIGNS[:n], **o),
    "multilabel_soft_margin_loss": lambda x, y, n, **o: tg.multilabel_soft_margin_loss(x, y, **o),
    "hinge_embedding_loss": lambda x, y, n, **o: tg.hinge_embedding_loss(x, SIGNS[:n], **o),
    "margin_ranking_loss": lambda x, y, n, **o: tg.margin_ranking_loss(x, y, SIGNS[:n], **o),
    "multi_margin_loss": lambda x, y, n, **o: tg.multi_margin_loss(x, CLASSES[:n], **o),
    "multilabel_margin_loss": lambda x, y, n, **o: tg.multilabel_margin_loss(x, np.array([[1, -1, 0]] * 2)[:n], **o),
    "cosine_embedding_loss": lambda x, y, n, **o: tg.cosine_embedding_loss(x, y, ROW_SIGNS[:n], **o),
    "triplet_margin_loss": lambda x, y, n, **o: tg.triplet_margin_loss(x, y, x * 2, **o),
    "rbf_mse_loss": lambda x, y, n, **o: tg.rbf_mse_loss(x, CLASSES[:n], **o),
    "rbf_map_loss": lambda x, y, n, **o: tg.rbf_map_loss(x, CLASSES[:n], 0.5, **o),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def pair(n, dtype=np.float32):
    generator = np.random.default_rng(0)
    x, y = (tg.tensor(generator.uniform(0.1, 0.9, (n, 3)).astype(dtype)) for _ in range(2))
    return x.requires_grad_(), y


@every_loss
def test_reductions(loss):
    x, y = pair(2, np.float64)
    losses = loss(x, y, 2, reduction="none")
    assert losses.shape[0] == 2
    np.testing.assert_allclose(loss(x, y, 2, reduction="sum").item(), losses.sum().item(), rtol=1e-12)
    np.testing.assert_allclose(loss(x, y, 2).item(), losses.mean().item(), rtol=1e-12)
    with pytest.raises(ArgumentError, match=r"reduction must be 'mean', 'sum' or 'none', got 'average'"):
        loss(x, y, 2, reduction="average")


@every_loss
def test_the_dtype_is_that_of_the_input(loss):
    x, y = pair(2)
    result = loss(x, y.to(np.float64) if loss not in TWO_INPUTS else y, 2)
    assert result.dtype == np.float32
    assert grad(result, x)[0].dtype == np.float32


TWO_INPUTS = [LOSSES[name] for name in ("margin_ranking_loss", "cosine_embedding_loss", "triplet_margin_loss")]


@every_loss
def test_an_empty_batch(loss):
    x, y = pair(0)
    assert loss(x, y, 0, reduction="none").shape[0] == 0
    assert loss(x, y, 0, reduction="sum").item() == 0
    mean = loss(x, y, 0)
    assert math.isnan(mean.item())
    assert grad(mean, x)[0].shape == (0, 3)


@every_loss
def test_a_batch_of_one_stays_a_batch(loss):
    x, y = pair(1)
    assert loss(x, y, 1, reduction="none").shape[0] == 1


@every_loss
def test_targets_of_another_shape_are_refused(loss):
    x, y = pair(2)
    with pytest.raises(ShapeError):
        loss(x.reshape(2, 3, 1, 1), y, 2)
    with pytest.raises(ShapeError):
        loss(x, y.reshape(1, 2, 3), 1)


def test_messages_say_how_to_make_the_shapes_fit():
    with pytest.raises(ShapeError) as error:
        tg.mse_loss(tg.zeros(4, 1), tg.zeros(4))
    assert str(error.value) == (
        "mse_loss: input has shape (4, 1) and target (4,); they must agree (a broadcast here is nearly always a mistake): use "
        "target.reshape(4, 1)"
    )
    with pytest.raises(ShapeError, match=r"use target\.squeeze\(\)"):
        tg.mse_loss(tg.tensor(1.0), tg.zeros(1))
    with pytest.raises(ShapeError, match="if a broadcast is what you want, expand one of them first"):
        tg.l1_loss(tg.zeros(4, 2), tg.zeros(2))


# Cross-entropy ---------------------------------------------------------------------------------------------------------


def test_the_gradient_is_the_softmax_minus_the_target():
    x = tg.randn(5, 4, dtype=tg.float64, requires_grad=True)
    target = tg.tensor([0, 3, 1, 1, 2])
    (gx,) = grad(tg.cross_entropy(x, target), x)
    np.testing.assert_allclose(gx.numpy(), (tg.softmax(x, 1).detach().numpy() - np.eye(4)[target.numpy()]) / 5, rtol=1e-12)


def test_a_uniform_guess_costs_log_classes():
    for smoothing in (0.0, 0.4, 1.0):
        loss = tg.cross_entropy(tg.zeros(3, 10, dtype=tg.float64), tg.tensor([1, 2, 3]), label_smoothing=smoothing)
        np.testing.assert_allclose(loss.item(), math.log(10), rtol=1e-15)


def test_smoothing_and_one_hot_probabilities_are_the_same_thing():
    x = tg.randn(4, 3, 2, dtype=tg.float64)
    target = np.array([[0, 2], [1, 1], [2, 0], [0, 0]])
    one_hot = tg.tensor(np.moveaxis(np.eye(3)[target], -1, 1))
    for options in ({}, {"label_smoothing": 0.3}, {"label_smoothing": 0.3, "reduction": "none"}):
        by_class, by_share = tg.cross_entropy(x, tg.tensor(target), **options), tg.cross_entropy(x, one_hot, **options)
        np.testing.assert_allclose(by_class.numpy(), by_share.numpy(), rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.25])
def test_one_sample_without_a_batch(smoothing):
    x = tg.randn(4, dtype=tg.float64)
    for target, batch in ((tg.tensor(2), tg.tensor([2])), (tg.tensor([0.1, 0.2, 0.3, 0.4], dtype=tg.float64), None)):
        batch = target.unsqueeze(0) if batch is None else batch
        for reduction in ("mean", "sum", "none"):
            options = {"label_smoothing": smoothing, "reduction": reduction, "weight": tg.arange(1.0, 5.0)}
            one = tg.cross_entropy(x, target, **options)
            assert one.shape == ()
            np.testing.assert_allclose(one.item(), tg.cross_entropy(x.unsqueeze(0), batch, **options).sum().item(), rtol=1e-12)
    assert tg.nll_loss(x, tg.tensor(1), reduction="none").tolist() == -x[1].item()
    assert tg.focal_loss(x, tg.tensor(1), reduction="none").shape == ()


@pytest.mark.parametrize("function", [tg.cross_entropy, tg.nll_loss, tg.focal_loss])
def test_what_is_ignored_does_not_count(function):
    x = tg.randn(3, 4, dtype=tg.float64, requires_grad=True)
    kept = function(x[:2], tg.tensor([1, 2]))
    for ignored in (-100, 3, 7):
        loss = function(x, tg.tensor([1, 2, ignored]), ignore_index=ignored)
        np.testing.assert_allclose(loss.item(), kept.item(), rtol=1e-14)
        assert grad(loss, x)[0].numpy()[2].tolist() == [0] * 4
    assert function(x, tg.tensor([1, 7, 7]), ignore_index=7, reduction="none")[1:].tolist() == [0, 0]


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"weight": tg.tensor([1.0, 2.0])}])
def test_nothing_left_to_average_is_nan_and_harmless(options):
    x = leaf([1.0, 2.0])
    loss = tg.cross_entropy(x, tg.tensor([-100]), **options)
    assert math.isnan(loss.item())
    assert grad(loss, x)[0].tolist() == [[0, 0]]


def test_an_ignored_sample_may_be_impossible():
    log_p = leaf([0.0, -math.inf], [-math.inf, 0.0])
    loss = tg.nll_loss(log_p, tg.tensor([-100, 1]))
    assert loss.item() == 0
    assert grad(loss, log_p)[0].tolist() == [[0, 0], [0, -1]]
    scores = leaf([0.0, -math.inf], [1.0, 2.0])
    assert math.isfinite(tg.cross_entropy(scores, tg.tensor([-100, 1]), label_smoothing=0.1).item())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_scores(dtype):
    x = leaf([1e4, -1e4], [1e4, -1e4], dtype=dtype)
    loss = tg.cross_entropy(x, tg.tensor([0, 1]), reduction="none")
    assert loss.tolist() == [0, 2e4]
    assert grad(loss.sum(), x)[0].tolist() == [[0, 0], [1, -1]]
    soft = tg.cross_entropy(x, tg.tensor([[1.0, 0.0], [0.5, 0.5]]), reduction="none")
    assert soft.tolist() == [0, 1e4]


def test_weights_of_classes_are_constants_but_those_of_probabilities_are_not():
    x, weight = tg.randn(2, 3), leaf(1.0, 2.0, 3.0, dtype=tg.float32)
    for options in ({}, {"label_smoothing": 0.1}):
        with pytest.raises(ArgumentError, match=r"weight requires a gradient.* pass weight\.detach\(\)"):
            tg.cross_entropy(x, tg.tensor([0, 1]), weight, **options)
    target = tg.full((2, 3), 1 / 3)
    (gweight,) = grad(tg.cross_entropy(x, target, weight), weight)
    np.testing.assert_allclose(gweight.numpy(), -(target * tg.log_softmax(x, 1)).sum(0).numpy() / 2, rtol=1e-5)


X = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: tg.cross_entropy(X, np.array([0, 3])),
            ArgumentError,
            "cross_entropy: target 3 at (1,) is no class of an input with 3 classes (0 to 2); ignore_index is -100",
        ),
        (
            lambda: tg.nll_loss(X, np.array([-1, 0])),
            ArgumentError,
            "nll_loss: target -1 at (0,) is no class of an input with 3 classes (0 to 2); ignore_index is -100",
        ),
        (
            lambda: tg.nll_loss(X, np.array([0.0, 1.0])),
            DTypeError,
            "nll_loss: targets are class indices and must be integers, got float64: use .long()",
        ),
        (
            lambda: tg.cross_entropy(X, np.array([0.0, 1.0])),
            ShapeError,
            "floating-point targets are class probabilities and have the input's shape (2, 3), got (2,); class indices are "
            "integers: use .long()",
        ),
        (
            lambda: tg.cross_entropy(X, np.array([[0], [1]])),
            ShapeError,
            "cross_entropy: an input of shape (2, 3) (n, classes, ...) needs targets of shape (2,), got (2, 1)",
        ),
        (lambda: tg.cross_entropy(1.0, np.array(0)), ShapeError, "shape (classes,) or (n, classes, ...), got a single number"),
        (
            lambda: tg.cross_entropy(X, np.array([0, 1]), np.ones(2)),
            ShapeError,
            "weight has shape (2,), but the input has 3 classes: give one number for each, shape (3,)",
        ),
        (lambda: tg.cross_entropy(X, np.array([0, 1]), np.ones((1, 3)), label_smoothing=0.1), ShapeError, "has shape (1, 3)"),
        (lambda: tg.cross_entropy(X, X, np.ones(1)), ShapeError, "weight has shape (1,), but the input has 3 classes"),
        (lambda: tg.cross_entropy(X, X, label_smoothing=-0.1), ArgumentError, "between 0 and 1, got -0.1"),
        (lambda: tg.focal_loss(X, np.array([0, 1]), gamma=-1), ArgumentError, "gamma must be 0 or more, got -1"),
        (lambda: tg.focal_loss(X, np.array([0, 1]), gamma=math.nan), ArgumentError, "gamma must be 0 or more, got nan"),
        (lambda: tg.focal_loss(X, np.array([0, 1]), alpha=np.ones(2)), ShapeError, "focal_loss: alpha has shape (2,), but"),
        (lambda: tg.kl_div(1.0, 1.0, "batchmean"), ShapeError, "size of dimension 0, the input is a single number"),
    ],
)
def test_messages(call, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        call()


# Focal loss and Kullback-Leibler divergence ----------------------------------------------------------------------------


def test_focal_loss_without_focus_is_cross_entropy():
    x, target = tg.randn(4, 3, 2, dtype=tg.float64), tg.randint(0, 3, (4, 2))
    np.testing.assert_allclose(tg.focal_loss(x, target, gamma=0).item(), tg.cross_entropy(x, target).item(), rtol=1e-14)
    assert tg.focal_loss(tg.tensor([0.0, -math.inf]), tg.tensor(0), gamma=0).item() == 0
    weight = tg.tensor([0.5, 1.0, 2.0])
    by_weight = tg.cross_entropy(x, target, weight, reduction="sum").item() / 8
    np.testing.assert_allclose(tg.focal_loss(x, target, 0, weight).item(), by_weight, rtol=1e-14)


def test_focal_loss_where_no_other_class_is_possible():
    for scores in ([3.0], [0.0, -math.inf]):
        x = leaf(scores)
        loss = tg.focal_loss(x, tg.tensor([0]), gamma=0.5)
        assert loss.item() == 0
        assert grad(loss, x)[0].tolist() == [[0] * len(scores)]


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_focal_loss_of_large_scores(gamma, dtype):
    x = leaf([1e4, -1e4, 0.0], [1e4, -1e4, 0.0], dtype=dtype)
    loss = tg.focal_loss(x, tg.tensor([0, 1]), gamma, reduction="none")
    assert loss.tolist() == [0, 2e4]
    assert grad(loss.sum(), x)[0].tolist() == [[0, 0, 0], [1, -1, 0]]


def test_divergence():
    p, q = np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([[0.5, 0.5], [0.1, 0.9]])
    expected = (q * np.log(q / p)).sum() / 2
    assert expected > 0
    x = tg.tensor(np.log(p))
    np.testing.assert_allclose(tg.kl_div(x, q, "batchmean").item(), expected, rtol=1e-14)
    np.testing.assert_allclose(tg.kl_div(x, np.log(q), "batchmean", log_target=True).item(), expected, rtol=1e-14)
    assert tg.kl_div(x, p, "batchmean").item() == pytest.approx(0, abs=1e-16)


def test_divergence_of_an_impossible_class():
    x, target = leaf(-1.0, -0.5), leaf(0.0, 1.0)
    loss = tg.kl_div(x, target, "none")
    assert loss.tolist() == [0, 0.5]
    gx, gtarget = grad(loss.sum(), (x, target))
    assert gx.tolist() == [0, -1]
    assert gtarget.tolist() == [1, 1.5]
    assert math.isnan(tg.kl_div(x, tg.tensor([-1.0, 2.0]), "sum").item())
