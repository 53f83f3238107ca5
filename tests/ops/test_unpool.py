"""Max unpooling: the way back from max pooling, positions that meet, and the refusals."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError

MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
UNPOOL = {1: F.max_unpool1d, 2: F.max_unpool2d, 3: F.max_unpool3d}


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("batch", [(2, 3), (3,), (0, 2)])
def test_maxima_go_back_and_all_else_is_zero(dims, batch):
    """Windows of 2 on 7 pixels leave one over, so the size has to be said."""
    x = draw(*batch, *(7, 5, 4)[:dims])
    y, where = MAX[dims](x, 2, return_indices=True)
    back = UNPOOL[dims](y, where, 2, output_size=x.shape).numpy()
    assert back.shape == x.shape
    flat, found = back.reshape(*batch, np.prod(x.shape[-dims:])), where.numpy().reshape(*batch, np.prod(y.shape[-dims:]))
    np.testing.assert_array_equal(np.take_along_axis(flat, found, -1), y.numpy().reshape(found.shape))
    assert np.count_nonzero(back) == y.numel()


def test_the_usual_size():
    y, where = F.max_pool2d(draw(1, 1, 7, 8), (3, 2), (2, 3), (1, 0), return_indices=True)
    assert y.shape == (1, 1, 4, 3)
    assert F.max_unpool2d(y, where, (3, 2), (2, 3), (1, 0)).shape == (1, 1, (4 - 1) * 2 - 2 + 3, (3 - 1) * 3 + 2)
    assert F.max_unpool2d(y, where, (3, 2), (2, 3), (1, 0), (8, 8)).shape == (1, 1, 8, 8)
    assert F.max_unpool2d(y, where, (3, 2), (2, 3), (1, 0), [1, 8, 8]).shape == (1, 1, 8, 8)


def test_positions_that_meet_keep_the_last_value_and_its_gradient():
    x = tg.tensor([[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]], requires_grad=True)
    y = F.max_unpool1d(x, tg.tensor([[[1, 3, 1]], [[0, 0, 0]]]), 2, output_size=(5,))
    assert y.tolist() == [[[0, 3, 0, 2, 0]], [[6, 0, 0, 0, 0]]]
    y.backward(tg.tensor(np.arange(1.0, 11.0).reshape(2, 1, 5)))
    assert x.grad.tolist() == [[[0, 4, 2]], [[0, 0, 6]]]


def test_what_is_written_over_may_be_infinite():
    y = F.max_unpool1d(tg.tensor([[[np.inf, np.nan, 3.0]]]), tg.tensor([[[1, 1, 1]]]), 2, output_size=(5,))
    assert y.tolist() == [[[0, 3, 0, 0, 0]]]


def test_how_it_is_called_in_graphs():
    x = tg.ones(1, 1, 2, 2, requires_grad=True)
    y = F.max_unpool2d(x, tg.tensor([[[[0, 3], [8, 15]]]]), 2)
    assert repr(y.grad_fn) == "<MaxUnpool2dBackward>"
    assert y.grad_fn.settings == {"out_size": (4, 4)}


ONE = tg.zeros(1, 1, 2, 2)
FLAT = tg.zeros(1, 1, 2, 2, dtype="int64")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: F.max_unpool2d(ONE, ONE, 2), DTypeError, "max_unpool2d: indices must be integers, as max_pool2d returns them; "
         "got float32"),
        (lambda: F.max_unpool2d(ONE, FLAT[:, :, 0], 2), ShapeError, "one index for each value is needed, got indices of shape "
         "(1, 1, 2) for (1, 1, 2, 2)"),
        (lambda: F.max_unpool2d(ONE, FLAT + 16, 2), ArgumentError,
         "indices run from 16 to 16, but an output of size (4, 4) has "
         "the positions 0 to 15: give the output_size that the pool's input had"),
        (lambda: F.max_unpool2d(ONE, FLAT - 1, 2), ArgumentError, "indices run from -1 to -1"),
        (lambda: F.max_unpool2d(ONE, FLAT, 2, output_size=(4, 6)), ShapeError,
         "output_size 6 along the width must be between 3 "
         "and 5: the usual size 4, give or take less than the stride 2"),
        (lambda: F.max_unpool2d(ONE, FLAT, 2, output_size=(2, 4)), ShapeError,
         "output_size 2 along the height must be between 3"),
        (lambda: F.max_unpool2d(ONE, FLAT, 2, output_size=(4,)), ShapeError,
         "output_size must have 2 numbers (height, width) or "
         "be a whole shape; got (4,)"),
        (lambda: F.max_unpool2d(ONE, FLAT, 1, 1, (1, 0)), ShapeError, "the output's height would be 0; lessen the padding"),
        (lambda: F.max_unpool2d(ONE, FLAT, 0), ArgumentError, "max_unpool2d: kernel_size must be at least 1; got 0"),
        (lambda: F.max_unpool3d(tg.ones(2, 2), FLAT, 2), ShapeError, "max_unpool3d: needs an input of 5 dimensions"),
    ],
)  # fmt: skip
def test_refusals(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()
