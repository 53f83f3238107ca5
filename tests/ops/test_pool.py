"""Max and average pooling: the documented rules at ties, borders and edges, printed examples, and the refusals."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.kernels import PoolGeometry, reference

MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_average_in_ceil_mode_divides_by_what_is_inside():
    x = tg.arange(49.0).reshape(1, 1, 7, 7)
    assert F.avg_pool2d(x, 2, 3, ceil_mode=True).tolist() == [[[[4, 7, 9.5], [25, 28, 30.5], [42.5, 45.5, 48]]]]


def test_padding_of_a_maximum_is_minus_infinity():
    """The example of the fact sheet, section 7, and the same with every value negative."""
    x = tg.arange(32.0).reshape(1, 2, 4, 4)
    y = F.max_pool2d(x, 3, (2, 1), 1)
    assert y.tolist() == [[[[5, 6, 7, 7], [13, 14, 15, 15]], [[21, 22, 23, 23], [29, 30, 31, 31]]]]
    assert F.max_pool2d(x - 100, 3, (2, 1), 1).tolist() == (y - 100).tolist()


def test_gradients_of_the_worked_example():
    """X and g of the fact sheet's pooling paragraph: the gradient's sum is conserved, 20 in all."""
    x = tg.tensor([[[[1.0, 3, 2, 1], [4, 2, 0, 5], [3, 1, 1, 2], [0, 2, 6, 4]]]], requires_grad=True)
    g = tg.tensor([[[[2.0, 8], [4, 6]]]])
    (by_max,) = tg.autograd.grad(F.max_pool2d(x, 2), [x], g)
    assert by_max[0, 0].tolist() == [[0, 0, 0, 0], [2, 0, 0, 8], [4, 0, 0, 0], [0, 0, 6, 0]]
    (by_mean,) = tg.autograd.grad(F.avg_pool2d(x, 2), [x], g)
    assert by_mean[0, 0].tolist() == [[0.5, 0.5, 2, 2], [0.5, 0.5, 2, 2], [1, 1, 1.5, 1.5], [1, 1, 1.5, 1.5]]


@pytest.mark.parametrize("pool", [lambda x: F.max_pool2d(x, 2, 1), lambda x: F.adaptive_max_pool2d(x, (3, 2)),
                                  F.global_max_pool2d])  # fmt: skip
def test_ties_go_to_the_first_maximum_and_conserve_the_gradients_sum(pool):
    x = tg.tensor(np.tile([[1.0, 2.0], [2.0, 2.0]], (2, 2))[None, None], requires_grad=True)
    y = pool(x)
    y.backward(tg.ones_like(y))
    assert x.grad.sum().item() == y.numel()
    assert not x.grad.numpy()[0, 0, 0, 0]
    window = tg.tensor([[[[3.0, 7.0], [7.0, 7.0]]]], requires_grad=True)
    z, where = F.max_pool2d(window, 2, return_indices=True)
    z.sum().backward()
    assert window.grad.tolist() == [[[[0, 1], [0, 0]]]]
    assert where.item() == 1


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_indices_are_flat_positions_in_the_plane(dims):
    x = draw(2, 3, *(5, 6, 4)[:dims])
    y, where = MAX[dims](x, 2, 1, 1, 2, return_indices=True)
    assert where.dtype == np.int64
    found = np.take_along_axis(x.reshape(2, 3, -1), where.numpy().reshape(2, 3, -1), 2)
    np.testing.assert_array_equal(found.ravel(), y.numpy().ravel())


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_without_a_batch_and_with_an_empty_one(dims):
    x = draw(3, *(5, 6, 4)[:dims])
    for function in (lambda x: MAX[dims](x, 2, 2, 1), lambda x: AVG[dims](x, 2, 2, 1, count_include_pad=False)):
        y = function(x)
        np.testing.assert_array_equal(y.numpy(), function(x[None]).numpy()[0])
        empty = tg.zeros(0, *x.shape, requires_grad=True)
        none = function(empty)
        assert none.shape == (0, *y.shape)
        none.sum().backward()
        assert empty.grad.shape == empty.shape
    y, where = MAX[dims](x, 2, return_indices=True)
    assert where.shape == y.shape


def test_one_dimension_is_two_with_a_height_of_one():
    x = draw(2, 3, 9)
    flat = F.max_pool2d(x[:, :, None], (1, 3), (1, 2), (0, 1), (1, 2), ceil_mode=True)
    np.testing.assert_array_equal(F.max_pool1d(x, 3, 2, 1, 2, True).numpy(), flat.numpy()[:, :, 0])
    flat = F.avg_pool2d(x[:, :, None], (1, 3), (1, 2), (0, 1), True, False)
    np.testing.assert_array_equal(F.avg_pool1d(x, 3, 2, 1, True, False).numpy(), flat.numpy()[:, :, 0])


def test_three_dimensions_separate():
    """A maximum over a volume is one over its slices and then over the depth."""
    x = draw(1, 2, 4, 5, 6)
    slices = np.stack([F.max_pool2d(x[:, :, d], (2, 3)).numpy() for d in range(4)], 2)
    expected = np.maximum(slices[:, :, ::2], slices[:, :, 1::2])
    np.testing.assert_array_equal(F.max_pool3d(x, (2, 2, 3)).numpy(), expected)


def test_asymmetric_and_same_padding():
    x = draw(1, 2, 5, 7)
    pairs = ((0, 1), (1, 0))
    padded = np.pad(x, ((0, 0), (0, 0), *pairs), constant_values=-np.inf)
    np.testing.assert_array_equal(F.max_pool2d(x, 3, 2, pairs).numpy(), F.max_pool2d(padded, 3, 2).numpy())
    same = F.max_pool2d(x, (2, 3), 2, "same")
    assert same.shape == (1, 2, 3, 4)
    np.testing.assert_array_equal(same.numpy(), F.max_pool2d(x, (2, 3), 2, ((0, 1), (1, 1))).numpy())


@pytest.mark.parametrize(("size", "options"), [
    ((2, 5), {"kernel_size": (4, 3), "stride": (4, 2)}),
    ((1, 2), {"kernel_size": 3, "stride": 3, "padding": (0, 1)}),
    ((3, 4), {"kernel_size": 3, "stride": (3, 2), "dilation": (2, 1)}),
])  # fmt: skip
def test_in_ceil_mode_even_the_first_window_may_hang_over(size, options):
    x = draw(2, 2, *size)
    g = PoolGeometry.of(x.shape, **options, ceil_mode=True)
    np.testing.assert_array_equal(F.max_pool2d(x, **options, ceil_mode=True).numpy(), reference.max_pool(x, g)[0])
    for choice in ("numpy", "numba"):
        pytest.importorskip("numba")
        with tg.kernels.use(choice):
            np.testing.assert_array_equal(F.max_pool2d(x, **options, ceil_mode=True).numpy(), reference.max_pool(x, g)[0])
    with pytest.raises(ShapeError, match="is smaller than the kernel's reach"):
        F.max_pool2d(x, **options)


def test_a_nan_is_above_all():
    x = tg.tensor([[[[1.0, float("nan")], [float("inf"), 0.0]]]], requires_grad=True)
    for pool in (lambda x: F.max_pool2d(x, 2), F.global_max_pool2d):
        y = pool(x)
        assert np.isnan(y.item())
        (g,) = tg.autograd.grad(y, [x], tg.ones_like(y))
        assert g.tolist() == [[[[0, 1], [0, 0]]]]


def test_divisor_override_of_one_gives_sums():
    x = draw(1, 2, 4, 4)
    np.testing.assert_allclose(F.avg_pool2d(x, 2, divisor_override=1).numpy(), 4 * F.avg_pool2d(x, 2).numpy(), rtol=1e-13)
    fifths = F.avg_pool1d(x[0], 2, divisor_override=5).numpy()
    np.testing.assert_allclose(fifths, F.avg_pool1d(x[0], 2).numpy() * 0.4, rtol=1e-13)


def test_how_they_are_called_in_graphs():
    x = tg.ones(1, 1, 4, 4, 4, requires_grad=True)
    assert repr(F.max_pool3d(x, 2).grad_fn) == "<MaxPool3dBackward>"
    assert F.max_pool3d(x, 2, padding=1, ceil_mode=True).grad_fn.settings == {
        "kernel_size": (2, 2, 2), "stride": (2, 2, 2), "padding": ((1, 1),) * 3, "ceil_mode": True,
    }  # fmt: skip
    assert F.avg_pool1d(x.reshape(1, 1, 64), 2).grad_fn.op_name == "AvgPool1d"


def test_the_extremes_pool_without_a_warning():
    x = tg.tensor([[[[1e4, -1e4], [1e4, 1e4]]]])
    assert F.max_pool2d(x, 2).item() == 1e4
    assert F.avg_pool2d(x, 2).item() == 5e3


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: F.max_pool1d(tg.ones(3), 2), ShapeError,
         "max_pool1d: needs an input of 3 dimensions (n, c, ...), or 2 without "
         "a batch; got shape (3,)"),
        (lambda: F.avg_pool3d(tg.ones(1, 2, 3), 2), ShapeError, "avg_pool3d: needs an input of 5 dimensions"),
        (lambda: F.max_pool2d(tg.ones(1, 1, 3, 5), (4, 2)), ShapeError, "max_pool2d: input height 3 + padding 0 + 0 is smaller "
         "than the kernel's reach 4 = 1 * (4 - 1) + 1. The nearest that fit: input height 4 or padding 0 + 1 or kernel height 3"
         ),
        (lambda: F.max_pool2d(tg.ones(1, 1, 5, 5), 2, padding=2), ArgumentError,
         "padding 2 along the height is more than half of "
         "the kernel's reach 2 = 1 * (2 - 1) + 1, so that a window could lie in the padding alone: use at most 1"),
        (lambda: F.max_pool2d(tg.ones(1, 1, 5, 5), 2, stride=0), ArgumentError, "max_pool2d: stride must be at least 1; got 0"),
        (lambda: F.max_pool3d(tg.ones(1, 1, 5, 5, 5), 2, dilation=(1, 2)), ArgumentError, "dilation must be an int or have one "
         "number for each of the 3 spatial axes (depth, height, width); got (1, 2)"),
        (lambda: F.avg_pool2d(tg.ones(1, 1, 0, 5), 1), ShapeError, "input height is 0, but only the batch may be empty"),
        (lambda: F.avg_pool1d(tg.ones(1, 1, 5), 1, divisor_override=0), ArgumentError,
         "avg_pool1d: divisor_override must be a positive number, got 0"),
    ],
)  # fmt: skip
def test_refusals(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()
