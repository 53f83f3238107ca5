"""Fractional and stochastic pooling: what is drawn, how often, what evaluation gives, and the refusals."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn.errors import ArgumentError, ShapeError


@pytest.fixture(autouse=True)
def seed():
    tg.manual_seed(0)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# Fractional ---------------------------------------------------------------------------------------------------------


def test_fractional_agrees_with_pytorch():
    """PyTorch 2.13's answer; the first sample is the width's, the second the height's."""
    x = (np.arange(72.0) * 29 % 73).reshape(1, 1, 8, 9)
    _, where = F.fractional_max_pool2d(x, 2, 5, return_indices=True, _random_samples=np.array([[[0.2, 0.9]]]))
    assert where[0, 0].tolist() == [
        [10, 2, 12, 5, 7], [10, 20, 12, 15, 25], [27, 30, 30, 32, 35], [45, 47, 40, 50, 52], [55, 65, 57, 60, 70],
    ]  # fmt: skip
    _, where = F.fractional_max_pool2d(x, 2, 5, return_indices=True, _random_samples=np.array([[[0.9, 0.2]]]))
    assert where[0, 0].tolist() == [
        [10, 2, 5, 5, 7], [10, 20, 22, 15, 25], [27, 30, 40, 32, 35], [45, 47, 40, 50, 52], [55, 65, 67, 60, 70],
    ]  # fmt: skip


def test_every_plane_has_windows_of_its_own_and_all_lie_inside():
    """Rising rows: the maximum of a window of one row is where it ends, so the output shows where windows lie."""
    x = np.broadcast_to(np.arange(13.0), (50, 3, 1, 13))
    y = F.fractional_max_pool2d(x, (1, 1), (1, 8)).numpy()[:, :, 0]
    assert (y[:, :, 0] == 0).all()
    assert (y[:, :, -1] == 12).all()
    assert set(np.diff(y, axis=2).ravel()) == {1.0, 2.0}  # alpha = 12 / 7
    assert len({tuple(row) for row in y.reshape(-1, 8).tolist()}) > 3


def test_fractional_ratio_size_and_seed():
    x = draw(2, 3, 10, 9)
    tg.manual_seed(3)
    first = F.fractional_max_pool2d(x, 2, output_ratio=(0.5, 0.7))
    assert first.shape == (2, 3, 5, 6)
    tg.manual_seed(3)
    np.testing.assert_array_equal(F.fractional_max_pool2d(x, 2, (5, 6)).numpy(), first.numpy())
    assert F.fractional_max_pool2d(x, 2, output_ratio=0.5).shape == (2, 3, 5, 4)


def test_fractional_without_a_batch_and_with_an_empty_one():
    x, u = draw(3, 8, 7), np.full((1, 3, 2), 0.3)
    y = F.fractional_max_pool2d(x, 2, 4, _random_samples=u)
    np.testing.assert_array_equal(y.numpy(), F.fractional_max_pool2d(x[None], 2, 4, _random_samples=u).numpy()[0])
    assert F.fractional_max_pool2d(tg.zeros(0, 3, 8, 7), 2, 4).shape == (0, 3, 4, 4)
    assert F.fractional_max_pool2d(x, (8, 7), 1).numpy().ravel().tolist() == x.max((1, 2)).tolist()


X = tg.ones(1, 1, 6, 7)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: F.fractional_max_pool2d(X, 2), ArgumentError,
         "fractional_max_pool2d: give either output_size or output_ratio; "
         "got output_size=None, output_ratio=None"),
        (lambda: F.fractional_max_pool2d(X, 2, 3, 0.5), ArgumentError, "got output_size=3, output_ratio=0.5"),
        (lambda: F.fractional_max_pool2d(X, 2, output_ratio=1.0), ArgumentError,
         "output_ratio must be a number between 0 and 1"),
        (lambda: F.fractional_max_pool2d(X, 2, output_ratio=(0.5, 0.5, 0.5)), ArgumentError,
         "or one for each of the 2 spatial"),
        (lambda: F.fractional_max_pool2d(X, 1, output_ratio=0.1), ArgumentError,
         "the output size, input size * output_ratio, along the height must be at least 1; got 0"),
        (lambda: F.fractional_max_pool2d(X, (2, 3), (5, 6)), ShapeError,
         "output width 6 + kernel width 3 - 1 = 8 is more than the input width 7: use an output of at most 5, or a smaller"),
        (lambda: F.fractional_max_pool2d(X, 2, 3, _random_samples=tg.ones(1, 2)), ShapeError,
         "_random_samples must have shape (n, c, 2) = (1, 1, 2); got (1, 2)"),
        (lambda: F.fractional_max_pool2d(tg.ones(3, 3), 2, 1), ShapeError, "needs an input of 4 dimensions"),
    ],
)  # fmt: skip
def test_fractional_refusals(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


# Stochastic ---------------------------------------------------------------------------------------------------------


def test_each_value_is_drawn_in_proportion_to_itself():
    """20,000 windows [[1, 0], [3, 4]]: shares 1/8, 0, 3/8, 1/2, each within 5 standard deviations."""
    n = 20_000
    x = np.broadcast_to([[1.0, 0.0], [3.0, 4.0]], (n, 1, 2, 2))
    y, where = F.stochastic_pool2d(x, 2, return_indices=True)
    counts = np.bincount(where.numpy().ravel(), minlength=4)
    for count, p in zip(counts, (1 / 8, 0, 3 / 8, 1 / 2), strict=True):
        assert abs(count - n * p) <= 5 * np.sqrt(n * p * (1 - p))
    expectation = F.stochastic_pool2d(x, 2, training=False).numpy()
    np.testing.assert_allclose(expectation, 1 / 8 * 1 + 3 / 8 * 3 + 1 / 2 * 4)
    assert abs(y.numpy().mean() - expectation[0].item()) < 0.05


def test_the_gradient_goes_to_the_drawn_value():
    x = tg.tensor(np.abs(draw(2, 3, 6, 7)), requires_grad=True)
    y, where = F.stochastic_pool2d(x, (2, 3), 2, padding=(1, 1), ceil_mode=True, return_indices=True)
    v = draw(*y.shape, seed=1)
    y.backward(tg.tensor(v))
    expected = np.zeros(x.shape)
    for at in np.ndindex(y.shape):
        expected[at[:2]].flat[where.numpy()[at]] += v[at]
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-13)


def test_a_window_of_zeros_gives_zero():
    x = tg.zeros(1, 1, 2, 4, requires_grad=True)
    y, where = F.stochastic_pool2d(x, 2, return_indices=True)
    assert y.tolist() == [[[[0, 0]]]]
    assert where.tolist() == [[[[0, 2]]]]
    expectation = F.stochastic_pool2d(x, 2, training=False)
    assert expectation.tolist() == [[[[0, 0]]]]
    expectation.sum().backward()
    assert not x.grad.numpy().any()


def test_large_and_infinite_values_pool_without_a_warning():
    x = tg.tensor([[[1e4, 3e4, 0.0, np.inf]]])
    assert F.stochastic_pool1d(x, 2, training=False)[0, 0, 0].item() == 2.5e4
    assert F.stochastic_pool1d(x, 2)[0, 0, 1].item() == np.inf
    assert np.isnan(F.stochastic_pool1d(tg.tensor([[[1.0, np.nan]]]), 2).item())


def test_stochastic_repeats_by_seed_without_a_batch_and_with_an_empty_one():
    x = np.abs(draw(3, 6, 8))
    tg.manual_seed(5)
    y = F.stochastic_pool2d(x, 2)
    tg.manual_seed(5)
    np.testing.assert_array_equal(F.stochastic_pool2d(x[None], 2).numpy()[0], y.numpy())
    assert (F.stochastic_pool2d(x, 2).numpy() != y.numpy()).any()
    for training in (True, False):
        assert F.stochastic_pool2d(tg.zeros(0, 3, 6, 8), 2, training=training).shape == (0, 3, 3, 4)
        assert F.stochastic_pool1d(x[0], 3, 2, 1, training=training).shape == (6, 4)


def test_stochastic_is_called_so_in_graphs():
    node = F.stochastic_pool2d(tg.ones(1, 1, 4, 4, requires_grad=True), 2).grad_fn
    assert repr(node) == "<StochasticPool2dBackward>"
    assert node.settings == {"kernel_size": (2, 2), "stride": (2, 2)}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: F.stochastic_pool2d(-X, 2), ArgumentError,
         "stochastic_pool2d: the input is what the probabilities are made of and "
         "must not be negative, but its smallest value is -1.0: put a ReLU before it"),
        (lambda: F.stochastic_pool2d(X, 2, training=False, return_indices=True), ArgumentError,
         "outside training nothing is drawn"),
        (lambda: F.stochastic_pool1d(X[0], 9), ShapeError, "stochastic_pool1d: input width 7 + padding 0 + 0 is smaller than"),
        (lambda: F.stochastic_pool2d(X, 2, padding=2), ArgumentError, "more than half of the kernel's reach"),
    ],
)  # fmt: skip
def test_stochastic_refusals(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()
