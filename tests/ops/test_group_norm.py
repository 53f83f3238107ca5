"""Group, instance and layer normalization: how they relate, running statistics, empty inputs, error messages."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.nn import functional as F


def drawn(*shape):
    return Tensor(np.random.default_rng(0).standard_normal(shape) * 3 + 1)


def test_one_group_is_layer_norm_and_a_group_for_each_channel_is_instance_norm():
    x = drawn(3, 4, 2, 5)
    np.testing.assert_allclose(F.group_norm(x, 1), F.layer_norm(x, (4, 2, 5)), rtol=1e-12)
    np.testing.assert_allclose(F.group_norm(x, 4), F.instance_norm(x), rtol=1e-12)
    np.testing.assert_allclose(F.instance_norm(x)[1, 2], F.batch_norm(x[1:2, 2:3], None, None, training=True)[0, 0])


def test_a_sample_does_not_depend_on_the_others():
    x = drawn(3, 4, 5)
    for norm in (lambda x: F.group_norm(x, 2), F.instance_norm, lambda x: F.layer_norm(x, (4, 5))):
        np.testing.assert_allclose(norm(x)[1], norm(x[1:2])[0], rtol=1e-12)


def test_instance_norm_averages_its_statistics_over_the_samples():
    x = drawn(3, 2, 4)
    mean, var = Tensor(np.array([1.0, 2.0])), Tensor(np.array([3.0, 4.0]))
    F.instance_norm(x, mean, var, momentum=0.3)
    np.testing.assert_allclose(mean, 0.7 * np.array([1, 2]) + 0.3 * x.numpy().mean((0, 2)))
    np.testing.assert_allclose(var, 0.7 * np.array([3, 4]) + 0.3 * x.numpy().var(2, ddof=1).mean(0))
    assert mean._version == var._version == 1
    by_default = Tensor(np.zeros(2))
    F.instance_norm(x, by_default)
    np.testing.assert_allclose(by_default, 0.1 * x.numpy().mean((0, 2)))
    y = F.instance_norm(x, mean, var, use_input_stats=False, eps=0.1)
    np.testing.assert_allclose(y, (x.numpy() - mean.numpy()[:, None]) / np.sqrt(var.numpy() + 0.1)[:, None])


def test_layer_norm_of_a_single_value_is_its_bias():
    """As in PyTorch; group and instance normalization refuse it."""
    y = F.layer_norm(tg.tensor([[3.0], [4.0]]), 1, tg.tensor([2.0]), tg.tensor([5.0]))
    np.testing.assert_array_equal(y, [[5], [5]])


def test_inputs_without_elements_keep_their_shape():
    for shape in ((0, 4, 3), (2, 4, 0)):
        weight, bias = tg.ones(4, requires_grad=True), tg.ones(4, requires_grad=True)
        x = tg.zeros(*shape, requires_grad=True)
        for y in (F.group_norm(x, 2, weight, bias), F.instance_norm(x, weight=weight), F.layer_norm(x, shape[1:])):
            assert y.shape == shape
            y.sum().backward()
        assert x.grad.shape == shape
        np.testing.assert_array_equal(weight.grad, np.zeros(4))


def test_float32_far_from_zero():
    """The variance is summed around the mean: E[x^2] - E[x]^2 would have no digit left here."""
    x = np.random.default_rng(0).standard_normal((3, 400)).astype(np.float32) + np.float32(4096)
    exact = x.astype(np.float64)
    expected = (exact - exact.mean(1, keepdims=True)) / exact.std(1, keepdims=True)
    y = F.layer_norm(Tensor(x), 400, eps=0.0)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, atol=2e-3)


def test_parameters_take_the_dtype_of_the_input():
    x = drawn(2, 4).float()
    double = tg.ones(4, dtype=tg.float64, requires_grad=True)
    for y in (F.group_norm(x, 2, double, double), F.layer_norm(x, 4, double, double)):
        assert y.dtype == np.float32
        y.sum().backward()
    assert double.grad.dtype == np.float64


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.group_norm(tg.ones(4), 2), ShapeError, "needs (n, c, ...) with at least 2 dimensions, got shape (4,)"),
        (lambda: F.group_norm(tg.ones(2, 6, 3), 4), ArgumentError,
         "num_groups = 4 does not divide 6 channels; it can be [1, 2, 3, 6]"),
        (lambda: F.group_norm(tg.ones(2, 6, 3), 0), ArgumentError, "num_groups = 0 does not divide 6 channels"),
        (lambda: F.group_norm(tg.ones(2, 4), 4), ShapeError,
         "each of the 4 groups of the input (2, 4) is a single value and would become 0; use fewer groups"),
        (lambda: F.group_norm(tg.ones(2, 4, 3), 2, tg.ones(2)), ShapeError,
         "group_norm: weight has shape (2,), but the input (2, 4, 3) has 4 channels"),
        (lambda: F.instance_norm(tg.ones(2, 4)), ShapeError, "instance_norm: needs (n, c, ...) with at least 3 dimensions"),
        (lambda: F.instance_norm(tg.ones(2, 4, 1)), ShapeError, "input (2, 4, 1) is a single pixel, which has no variance"),
        (lambda: F.instance_norm(tg.ones(2, 4, 3), tg.ones(3)), ShapeError, "instance_norm: running_mean has shape (3,)"),
        (lambda: F.instance_norm(tg.ones(2, 4, 3), use_input_stats=False), ArgumentError,
         "instance_norm: without use_input_stats it needs running_mean and running_var"),
        (lambda: F.instance_norm(tg.ones(2, 4, 3), tg.ones(4), use_input_stats=False), ArgumentError,
         "instance_norm: without use_input_stats it needs running_mean and running_var"),
        (lambda: F.layer_norm(tg.ones(2, 3), 2), ShapeError,
         "layer_norm: normalizes over the last dimensions, of sizes (2,), but the input has shape (2, 3)"),
        (lambda: F.layer_norm(tg.ones(2, 3), ()), ShapeError, "name at least one, for example (3,)"),
        (lambda: F.layer_norm(tg.ones(3), (2, 3)), ShapeError, "of sizes (2, 3), but the input has shape (3,)"),
        (lambda: F.layer_norm(tg.ones(2, 3), 3, bias=tg.ones(2)), ShapeError,
         "bias has shape (2,); it needs that of normalized_shape, (3,)"),
    ],
)  # fmt: skip
def test_errors_say_what_was_given_and_what_to_do(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()
