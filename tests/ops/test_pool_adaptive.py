"""Adaptive and global pooling: where the windows lie, and the refusals."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn.errors import ArgumentError, ShapeError

AVG = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}
MAX = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}
SIZE = (6, 5, 8)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_where_the_windows_lie():
    """7 pixels to 3: [0, 3), [2, 5), [4, 7), one shared with the next; 2 to 3: [0, 1), [0, 2), [1, 2)."""
    x = tg.arange(7.0).reshape(1, 1, 7)
    assert F.adaptive_avg_pool1d(x, 3).tolist() == [[[1, 3, 5]]]
    assert F.adaptive_max_pool1d(x, 3).tolist() == [[[2, 4, 6]]]
    assert F.adaptive_avg_pool1d(x[:, :, :2], 3).tolist() == [[[0, 0.5, 1]]]


def test_sizes_that_divide_are_ordinary_pooling():
    x = draw(2, 3, 6, 8)
    np.testing.assert_allclose(F.adaptive_avg_pool2d(x, (3, 2)).numpy(), F.avg_pool2d(x, (2, 4)).numpy(), rtol=1e-13)
    y, where = F.adaptive_max_pool2d(x, (3, 2), return_indices=True)
    expected, positions = F.max_pool2d(x, (2, 4), return_indices=True)
    np.testing.assert_array_equal(y.numpy(), expected.numpy())
    np.testing.assert_array_equal(where.numpy(), positions.numpy())


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_none_keeps_a_size_and_an_int_is_for_all(dims):
    x = draw(2, 3, *SIZE[:dims])
    assert AVG[dims](x, 2).shape == (2, 3, *(2,) * dims)
    kept = (None, *(2,) * (dims - 1))
    assert MAX[dims](x, kept).shape == (2, 3, 6, *(2,) * (dims - 1))
    np.testing.assert_array_equal(AVG[dims](x, None).numpy(), x)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_without_a_batch_and_with_an_empty_one(dims):
    x = draw(3, *SIZE[:dims])
    for function in (AVG[dims], MAX[dims]):
        np.testing.assert_array_equal(function(x, 4).numpy(), function(x[None], 4).numpy()[0])
        empty = tg.zeros(0, *x.shape, requires_grad=True)
        y = function(empty, 4)
        assert y.shape == (0, 3, *(4,) * dims)
        y.sum().backward()
        assert empty.grad.shape == empty.shape
    y, where = MAX[dims](x, 2, return_indices=True)
    found = np.take_along_axis(x.reshape(3, -1), where.numpy().reshape(3, -1), 1)
    np.testing.assert_array_equal(found.ravel(), y.numpy().ravel())


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_global_pools(dims):
    x = draw(2, 3, *SIZE[:dims])
    axes = tuple(range(2, 2 + dims))
    mean, largest = getattr(F, f"global_avg_pool{dims}d"), getattr(F, f"global_max_pool{dims}d")
    np.testing.assert_allclose(mean(x).numpy(), x.mean(axes, keepdims=True), rtol=1e-13)
    np.testing.assert_array_equal(largest(x).numpy(), x.max(axes, keepdims=True))
    assert mean(x[0]).shape == largest(x[0]).shape == (3, *(1,) * dims)


def test_how_they_are_called_in_graphs():
    x = tg.ones(1, 1, 5, 5, requires_grad=True)
    assert repr(F.adaptive_avg_pool2d(x, 2).grad_fn) == "<AdaptiveAvgPool2dBackward>"
    assert F.global_max_pool2d(x).grad_fn.op_name == "AdaptiveMaxPool2d"
    assert F.global_max_pool2d(x).grad_fn.settings == {"out_size": (1, 1)}


@pytest.mark.parametrize("function", [F.adaptive_avg_pool2d, F.adaptive_max_pool2d])
@pytest.mark.parametrize(
    ("shape", "size", "error", "message"),
    [
        ((3, 4), 1, ShapeError, "pool2d: needs an input of 4 dimensions (n, c, ...), or 3 without a batch; got shape (3, 4)"),
        ((1, 1, 3, 4), 0, ArgumentError, "pool2d: output_size along the height must be at least 1; got 0"),
        ((1, 1, 3, 4), (2, -1), ArgumentError, "pool2d: output_size along the width must be at least 1; got -1"),
        ((1, 1, 3, 4), (2,), ArgumentError,
         "pool2d: output_size must be an int, or have an int or None for each of the 2 spatial "
         "axes (height, width); got (2,)"),
        ((1, 1, 3, 4), 2.5, ArgumentError, "output_size along the height must be an int; got 2.5"),
        ((1, 1, 3, 0), 1, ShapeError, "pool2d: input width is 0, but only the batch may be empty: give at least 1"),
    ],
)  # fmt: skip
def test_refusals(function, shape, size, error, message):
    with pytest.raises(error, match=re.escape(message)):
        function(tg.ones(*shape), size)
