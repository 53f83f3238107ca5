"""Unfold and fold: what columns are for, that they are each other's transpose, and their refusals."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn.errors import ArgumentError, ShapeError

OPTIONS = [
    {"kernel_size": (2, 3)},
    {"kernel_size": 3, "stride": (2, 3)},
    {"kernel_size": (3, 2), "padding": (3, 1), "dilation": (1, 2)},
    {"kernel_size": 2, "padding": ((1, 0), (0, 2)), "stride": (1, 2), "dilation": 2},
    {"kernel_size": (2, 3), "padding": "same"},
]


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("options", OPTIONS)
def test_a_convolution_is_one_product_with_the_columns(options):
    kh, kw = np.broadcast_to(options["kernel_size"], 2).tolist()
    others = {name: value for name, value in options.items() if name != "kernel_size"}
    x, weight = draw(2, 3, 6, 7), draw(4, 3, kh, kw)
    y = F.conv2d(x, tg.tensor(weight), **others).numpy()
    columns = F.unfold(x, **options).numpy()
    np.testing.assert_allclose((weight.reshape(4, -1) @ columns).reshape(y.shape), y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", OPTIONS)
def test_each_is_the_others_transpose_and_gradient(options):
    x = tg.tensor(draw(2, 3, 6, 7), requires_grad=True)
    columns = F.unfold(x, **options)
    v = tg.tensor(draw(*columns.shape, seed=1), requires_grad=True)
    back = F.fold(v, (6, 7), **options)
    np.testing.assert_allclose((columns * v).sum().item(), (x * back).sum().item(), rtol=1e-12)
    columns.backward(v.detach())
    np.testing.assert_array_equal(x.grad.numpy(), back.detach().numpy())
    back.backward(x.detach())
    np.testing.assert_array_equal(v.grad.numpy(), columns.detach().numpy())


def test_rows_and_columns_are_in_order():
    """Rows: channel, then the kernel's row, then its column; columns: the output's rows one after the other."""
    x = np.arange(2 * 3 * 4).reshape(1, 2, 3, 4)
    columns = F.unfold(x.astype(float), (2, 3)).numpy()
    assert columns.shape == (1, 12, 4)
    assert columns[0, :, 1].tolist() == [1, 2, 3, 5, 6, 7, 13, 14, 15, 17, 18, 19]
    assert columns[0, :, 2].tolist() == [4, 5, 6, 8, 9, 10, 16, 17, 18, 20, 21, 22]


def test_fold_of_unfold_counts_the_windows():
    ones = np.ones((1, 1, 4, 5))
    counts = F.fold(F.unfold(ones, (2, 3), padding=(1, 0)), (4, 5), (2, 3), padding=(1, 0)).numpy()
    assert counts[0, 0].tolist() == [[2, 4, 6, 4, 2]] * 4


@pytest.mark.parametrize("options", OPTIONS)
def test_without_a_batch_and_with_an_empty_one(options):
    x = draw(2, 6, 7)
    columns = F.unfold(x, **options)
    np.testing.assert_array_equal(columns.numpy(), F.unfold(x[None], **options).numpy()[0])
    image = F.fold(columns, (6, 7), **options).numpy()
    np.testing.assert_array_equal(image, F.fold(columns.unsqueeze(0), (6, 7), **options).numpy()[0])
    empty = F.unfold(tg.zeros(0, 2, 6, 7), **options)
    assert empty.shape == (0, *columns.shape)
    assert F.fold(empty, (6, 7), **options).shape == (0, 2, 6, 7)


def test_how_they_are_called_in_graphs():
    x = tg.ones(1, 1, 4, 4, requires_grad=True)
    node = F.unfold(x, 2, dilation=2, padding=1, stride=2).grad_fn.edges[0]
    assert node.op_name == "Unfold"
    assert node.settings == {"kernel_size": (2, 2), "stride": (2, 2), "padding": ((1, 1), (1, 1)), "dilation": (2, 2)}
    assert F.fold(tg.ones(1, 4, 9, requires_grad=True), 4, 2).grad_fn.settings == {"kernel_size": (2, 2)}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: F.unfold(tg.ones(3, 3), 2), ShapeError, "unfold: needs an input of 4 dimensions (n, c, h, w), or 3 without"),
        (lambda: F.unfold(tg.ones(1, 1, 3, 3), (2, 4)), ShapeError,
         "input width 3 + padding 0 + 0 is smaller than the kernel's "
         "reach 4 = 1 * (4 - 1) + 1"),
        (lambda: F.unfold(tg.ones(1, 1, 3, 3), (1, 2, 3)), ArgumentError,
         "unfold: kernel_size must be an int or have one number "
         "for each of the 2 spatial axes (height, width); got (1, 2, 3)"),
        (lambda: F.fold(tg.ones(3), 2, 2), ShapeError, "fold: needs an input of 3 dimensions (n, c kh kw, windows)"),
        (lambda: F.fold(tg.ones(1, 10, 4), 3, 2), ShapeError, "dimension 1 of the input (1, 10, 4) is 10 = 2 * 4 + 2, but must "
         "be c * 4: each channel has one row for each of the 2 * 2 pixels of the kernel"),
        (lambda: F.fold(tg.ones(1, 8, 5), 3, 2), ShapeError, "has 5 windows, but an image of 3 x 3 has 2 * 2 = 4 with "
         "kernel_size (2, 2), stride (1, 1), padding ((0, 0), (0, 0)) and dilation (1, 1): give the options that `unfold`"),
        (lambda: F.fold(tg.ones(1, 8, 4), 0, 2), ArgumentError, "fold: output_size must be at least 1; got 0"),
    ],
)  # fmt: skip
def test_refusals(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()
