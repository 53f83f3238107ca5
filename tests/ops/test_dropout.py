"""Dropout: what is switched off together, what the statistics become, and the 2012 paper's claim about test time."""

import itertools
import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.random import drawing_from


class Scripted:
    """A generator that draws what it was told: 1 keeps a unit, 0 switches it off."""

    def __init__(self, mask):
        self.mask = np.array(mask, np.float32)

    def random(self, shape, dtype):
        return self.mask.reshape(shape)


def test_halving_at_test_time_is_the_geometric_mean_of_all_masked_networks():
    """Krizhevsky et al. 2012, section 4.2: exact for one softmax layer; here over all 32 masks of its 5 inputs."""
    rng = np.random.default_rng(0)
    x, weight, bias = Tensor(rng.standard_normal(5)), Tensor(rng.standard_normal((3, 5))), Tensor(rng.standard_normal(3))

    def network(training):
        return F.log_softmax(F.linear(F.dropout(x, 0.5, training, inverted=False), weight, bias), dim=-1).numpy()

    logs = []
    for mask in itertools.product((0, 1), repeat=5):
        with drawing_from(Scripted(mask)):
            logs.append(network(training=True))
    geometric_mean = np.exp(np.mean(logs, axis=0))
    np.testing.assert_allclose(np.exp(network(training=False)), geometric_mean / geometric_mean.sum(), rtol=1e-13)


@pytest.mark.parametrize("inverted", [True, False])
def test_training_and_test_time_have_the_same_mean(inverted):
    tg.manual_seed(0)
    x = tg.full((200_000,), 2.0)
    trained = F.dropout(x, 0.3, inverted=inverted).numpy()
    kept = 2.0 / 0.7 if inverted else 2.0
    assert set(np.unique(trained)) == {np.float32(0), np.float32(kept)}
    assert (trained == 0).mean() == pytest.approx(0.3, abs=0.005)
    tested = F.dropout(x, 0.3, training=False, inverted=inverted)
    np.testing.assert_allclose(tested, 2.0 if inverted else 1.4, rtol=1e-6)
    assert trained.mean() == pytest.approx(tested.numpy().mean(), abs=0.02)


def test_gradients_at_the_papers_test_time_are_halved_too():
    x = tg.ones(3, requires_grad=True)
    F.dropout(x, 0.5, training=False, inverted=False).sum().backward()
    np.testing.assert_array_equal(x.grad, [0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("drop", "shape", "channels"),
    [
        (F.dropout1d, (20, 30, 4), 2),
        (F.dropout1d, (600, 4), 1),
        (F.dropout2d, (20, 30, 2, 3), 2),
        (F.dropout2d, (600, 2, 3), 1),
        (F.dropout3d, (20, 30, 2, 1, 3), 2),
        (F.dropout3d, (600, 2, 1, 3), 1),
        (lambda x, p: F.feature_alpha_dropout(x, p, training=True), (20, 30, 2, 3), 2),
        (lambda x, p: F.feature_alpha_dropout(x, p, training=True), (20, 30), 2),
    ],
)
def test_channels_live_or_die_as_a_whole(drop, shape, channels):
    tg.manual_seed(0)
    y = drop(tg.ones(*shape), 0.4).numpy().reshape(math.prod(shape[:channels]), -1)
    assert (y == y[:, :1]).all()
    low, high = np.unique(y)
    assert (y[:, 0] == low).mean() == pytest.approx(0.4, abs=0.06)
    assert high > 0 >= low


def test_alpha_dropout_keeps_mean_0_and_variance_1():
    tg.manual_seed(0)
    x = Tensor(np.random.default_rng(1).standard_normal(400_000))
    for p in (0.1, 0.5):
        y = F.alpha_dropout(x, p, training=True).numpy()
        assert y.mean() == pytest.approx(0, abs=0.01)
        assert y.var() == pytest.approx(1, abs=0.02)
        _, counts = np.unique(y, return_counts=True)
        assert counts.max() / len(y) == pytest.approx(p, abs=0.01)


def test_alpha_dropout_of_everything_is_0():
    x = tg.ones(2, 3, requires_grad=True)
    for drop in (F.alpha_dropout, F.feature_alpha_dropout):
        np.testing.assert_array_equal(drop(x, 1.0, training=True).detach(), np.zeros((2, 3)))


@pytest.mark.parametrize(("mode", "counts"), [("row", range(1, 40)), ("batch", (0, 40))])
def test_stochastic_depth_decides_for_samples_or_for_the_batch(mode, counts):
    tg.manual_seed(0)
    seen = set()
    for _ in range(20):
        y = F.stochastic_depth(tg.ones(40, 2, 3), 0.5, mode).numpy().reshape(40, -1)
        assert (y == y[:, :1]).all()
        assert set(np.unique(y)) <= {0, 2}
        seen.add(int((y[:, 0] == 0).sum()))
    assert seen <= set(counts)
    assert len(seen) > 1


@pytest.mark.parametrize(
    "drop",
    [
        F.dropout,
        F.dropout2d,
        F.alpha_dropout,
        F.feature_alpha_dropout,
        lambda x, p, training: F.stochastic_depth(x, p, "row", training),
        lambda x, p, training: F.stochastic_depth(x, p, "batch", training),
    ],
)
def test_nothing_is_drawn_outside_training_or_for_p_0(drop):
    tg.manual_seed(0)
    state = tg.get_rng_state()
    x = tg.randn(2, 3, 2, 2)
    drawn = tg.get_rng_state()
    assert drawn != state
    assert drop(x, 0.5, training=False) is x
    assert drop(x, 0.0, training=True) is x
    assert tg.get_rng_state() == drawn
    np.testing.assert_array_equal(drop(x, 1.0, training=True), np.zeros((2, 3, 2, 2)))
    assert drop(tg.ones(0, 3, 2, 2), 0.5, training=True).shape == (0, 3, 2, 2)


@pytest.mark.parametrize("drop", [F.dropout, F.dropout1d, F.alpha_dropout, F.feature_alpha_dropout])
@pytest.mark.parametrize("options", [{"p": 0.0, "training": True}, {"p": 0.5, "training": False}])
def test_where_nothing_is_dropped_nothing_is_written(drop, options):
    leaf = tg.ones(2, 3, requires_grad=True)
    assert drop(leaf, inplace=True, **options) is leaf
    assert leaf._version == 0


@pytest.mark.parametrize(
    "drop",
    [F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout],
)
def test_half_is_switched_off_by_default(drop):
    tg.manual_seed(0)
    shape = {F.dropout1d: (100, 20, 1), F.dropout2d: (100, 20, 1, 1), F.dropout3d: (100, 20, 1, 1, 1)}.get(drop, (100, 20))
    y = drop(tg.ones(*shape), training=True).numpy()
    assert (y == y.min()).mean() == pytest.approx(0.5, abs=0.04)
    if drop not in (F.alpha_dropout, F.feature_alpha_dropout):
        assert y.max() == 2


def test_alpha_dropout_is_off_unless_training_is_said():
    x = tg.randn(3, 4)
    assert F.alpha_dropout(x, 0.5) is x
    assert F.feature_alpha_dropout(x, 0.5) is x


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.dropout(tg.ones(2), 1.5), ArgumentError, "dropout: p is a probability between 0 and 1, got 1.5"),
        (lambda: F.dropout2d(tg.ones(1, 2, 2), -0.1), ArgumentError, "dropout2d: p is a probability between 0 and 1, got -0.1"),
        (lambda: F.alpha_dropout(tg.ones(2), 2), ArgumentError, "alpha_dropout: p is a probability"),
        (lambda: F.feature_alpha_dropout(tg.ones(2, 2), math.nan), ArgumentError, "feature_alpha_dropout: p is a probability"),
        (lambda: F.stochastic_depth(tg.ones(2), 2, "row"), ArgumentError, "stochastic_depth: p is a probability"),
        (lambda: F.stochastic_depth(tg.ones(2), 0.5, "column"), ArgumentError,
         "mode must be 'row' (each sample) or 'batch' (all of them), got 'column'"),
        (lambda: F.stochastic_depth(tg.tensor(1.0), 0.5, "row"), ShapeError, "mode 'row' needs a batch dimension"),
        (lambda: F.dropout1d(tg.ones(2, 3, 4, 5)), ShapeError,
         "dropout1d: needs an input of 3 dimensions (n, c, ...), or 2 without a batch"),
        (lambda: F.dropout2d(tg.ones(2, 3)), ShapeError, "so that it knows the channels; got shape (2, 3)"),
        (lambda: F.dropout3d(tg.ones(2, 3, 4), training=False), ShapeError, "dropout3d: needs an input of 5 dimensions"),
        (lambda: F.feature_alpha_dropout(tg.ones(3), 0.5, True), ShapeError,
         "needs (n, c, ...) with at least 2 dimensions, got shape (3,)"),
    ],
)  # fmt: skip
def test_errors_say_what_was_given_and_what_to_do(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()
