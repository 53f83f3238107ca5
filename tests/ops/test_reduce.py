"""Reductions: values over every spelling of dimensions, accuracy, ties, zeros and infinities, dtypes."""

import math

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError

from .checking import check, distinct, gradient_of, leaf, normal, positive

DIMS = [None, 0, -1, (0, 2), (-1, -3), (1,), [0, 1]]


def axes(dim):
    return tuple(dim) if isinstance(dim, list) else dim


def p_norm(p):
    return lambda x, dim, keepdim: np.sum(np.abs(x) ** p, axis=axes(dim), keepdims=keepdim) ** (1 / p)


REDUCTIONS = {
    "sum": (lambda x, dim, keepdim: np.sum(x, axis=axes(dim), keepdims=keepdim), tg.sum, normal),
    "mean": (lambda x, dim, keepdim: np.mean(x, axis=axes(dim), keepdims=keepdim), tg.mean, normal),
    "var": (lambda x, dim, keepdim: np.mean(x * x, axis=axes(dim), keepdims=keepdim)
            - np.mean(x, axis=axes(dim), keepdims=keepdim) ** 2,
            lambda x, dim, keepdim: tg.var(x, dim, correction=0, keepdim=keepdim), normal),
    "std": (lambda x, dim, keepdim: np.std(x, axis=axes(dim), ddof=1, keepdims=keepdim),
            lambda x, dim, keepdim: tg.std(x, dim, keepdim=keepdim), normal),
    "amax": (lambda x, dim, keepdim: np.max(x, axis=axes(dim), keepdims=keepdim), tg.amax, distinct),
    "amin": (lambda x, dim, keepdim: np.min(x, axis=axes(dim), keepdims=keepdim), tg.amin, distinct),
    "logsumexp": (lambda x, dim, keepdim: np.log(np.sum(np.exp(x), axis=axes(dim), keepdims=keepdim)), tg.logsumexp, normal),
    "norm 2": (p_norm(2), lambda x, dim, keepdim: tg.norm(x, 2, dim, keepdim), normal),
    "norm fro": (p_norm(2), lambda x, dim, keepdim: tg.norm(x, "fro", dim, keepdim), normal),
    "norm 1": (p_norm(1), lambda x, dim, keepdim: tg.norm(x, 1, dim, keepdim), distinct),
    "norm 3": (p_norm(3), lambda x, dim, keepdim: tg.norm(x, 3, dim, keepdim), distinct),
    "norm 1.5": (p_norm(1.5), lambda x, dim, keepdim: tg.norm(x, 1.5, dim, keepdim), distinct),
    "norm 0.5": (p_norm(0.5), lambda x, dim, keepdim: tg.norm(x, 0.5, dim, keepdim), distinct),
    "norm inf": (lambda x, dim, keepdim: np.max(np.abs(x), axis=axes(dim), keepdims=keepdim),
                 lambda x, dim, keepdim: tg.norm(x, math.inf, dim, keepdim), lambda *shape: distinct(*shape) + 0.1),
}  # fmt: skip


@pytest.mark.parametrize("name", REDUCTIONS)
def test_values_and_gradients(name):
    reference, call, draw = REDUCTIONS[name]
    x = draw(2, 3, 2)
    for i, dim in enumerate(DIMS):
        keepdim = i % 2 == 1
        check(lambda t, d=dim, k=keepdim: call(t, d, k), lambda a, d=dim, k=keepdim: reference(a, d, k), x, second=i in (0, 3))


@pytest.mark.parametrize("name", ["prod", "max", "min"])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 8])
def test_along_one_dimension(name, n):
    """7 and 8: the product halves the dimension until one is left, and an odd one over must not be lost."""
    call = {"prod": tg.prod, "max": lambda *a: tg.max(*a).values, "min": lambda *a: tg.min(*a).values}[name]
    reference = {"prod": np.prod, "max": np.max, "min": np.min}[name]
    for shape, dim in (((n, 2), 0), ((2, n), -1)):
        x = distinct(*shape)
        check(lambda t, d=dim: call(t, d), lambda a, d=dim: reference(a, axis=d), x, second=n in (2, 3))
        check(lambda t, d=dim: call(t, d, True), lambda a, d=dim: reference(a, axis=d, keepdims=True), x, second=False)


def test_prod_of_everything():
    check(tg.prod, np.prod, positive(2, 3))
    assert tg.prod(tg.full((2, 3), 2.0), keepdim=True).tolist() == [[64.0]]
    assert tg.prod(tg.tensor(5.0)).item() == tg.prod(tg.tensor(5.0), 0).item() == 5.0


def test_prod_with_zeros():
    """A rule that divides the product by each factor would say NaN."""
    assert gradient_of(tg.prod, [2.0, 0.0, 5.0]).tolist() == [0.0, 10.0, 0.0]
    assert gradient_of(tg.prod, [2.0, 0.0, 0.0]).tolist() == [0.0, 0.0, 0.0]
    assert gradient_of(lambda x: tg.prod(x, 1), [[0.0, 3.0], [4.0, 5.0]]).tolist() == [[3.0, 0.0], [5.0, 4.0]]
    x = leaf([0.0, 0.0, 3.0])
    (g,) = grad(tg.prod(x), x, create_graph=True)
    (h,) = grad(g[0], x)
    assert h.tolist() == [0.0, 3.0, 0.0]


def test_prod_of_nothing_is_one_and_keeps_its_place_in_the_graph():
    x = leaf(np.zeros((2, 0)))
    y = tg.prod(x, 1)
    assert y.tolist() == [1.0, 1.0]
    y.sum().backward()
    assert x.grad.shape == (2, 0)
    assert tg.prod(tg.zeros(0)).item() == 1.0


@pytest.mark.parametrize("name", ["sum", "prod", "cumsum"])
@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int8, np.int32, np.int64])
def test_integers_add_and_multiply_to_int64(name, dtype):
    y = getattr(tg, name)(tg.ones(300, dtype=dtype) if name != "prod" else tg.ones(3, dtype=dtype), 0)
    assert y.dtype == np.int64
    assert y.tolist() == {"sum": 300, "prod": 1, "cumsum": list(range(1, 301))}[name]


def test_bytes_do_not_overflow_in_a_product():
    assert tg.tensor([100, 100, 100], dtype=np.uint8).prod().item() == 1_000_000


def test_cumsum():
    check(lambda x: tg.cumsum(x, 0), lambda x: np.stack([x[: i + 1].sum(0) for i in range(4)]), normal(4, 2))
    check(lambda x: x.cumsum(-1), lambda x: np.array([[sum(row[: j + 1]) for j in range(3)] for row in x]), normal(2, 3))
    assert tg.cumsum(tg.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist() == [1.0, 3.0, 6.0, 10.0]
    assert tg.cumsum(tg.tensor(2.0), 0).shape == ()
    assert tg.cumsum(tg.zeros(0, 2), 0).shape == (0, 2)


# Accuracy -------------------------------------------------------------------------------------------------------------


def test_float32_over_many_numbers():
    """One after the other in float32, the sums over the first dimension would keep three or four digits."""
    x = (np.random.default_rng(0).standard_normal((200_000, 2)) + 100).astype(np.float32)
    exact = x.astype(np.float64)
    t = Tensor(x)
    expected = {
        "sum": exact.sum(0), "mean": exact.mean(0), "var": exact.var(0, ddof=1), "std": exact.std(0, ddof=1),
        "norm": np.sqrt((exact**2).sum(0)),
    }  # fmt: skip
    for name, value in expected.items():
        result = tg.norm(t, 2, 0) if name == "norm" else getattr(t, name)(0)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result.array, value, rtol=2e-7, err_msg=name)
    np.testing.assert_allclose(t.cumsum(0).array, exact.cumsum(0), rtol=2e-7)


def test_norm_does_not_overflow_in_its_squares():
    assert tg.tensor([3e30, 4e30]).norm().item() == pytest.approx(5e30, rel=1e-6)
    assert tg.tensor([300.0, 400.0], dtype=np.float16).norm().item() == 500.0
    assert tg.tensor([3e-30, 4e-30]).norm().item() == pytest.approx(5e-30, rel=1e-6)
    assert tg.tensor([3, 4]).norm().dtype == tg.tensor([3, 4]).norm(1).dtype == np.float32


def test_the_mean_of_many_float16():
    assert tg.ones(100_000, dtype=np.float16).mean().item() == 1.0


def test_logsumexp_of_large_numbers():
    assert tg.logsumexp(tg.tensor([1000.0, 1000.0]), 0).item() == pytest.approx(1000 + math.log(2))
    assert tg.logsumexp(tg.tensor([-1000.0, -1000.0]), 0).item() == pytest.approx(-1000 + math.log(2))


# Ties, zeros, infinities ----------------------------------------------------------------------------------------------


def test_equal_extrema_share_the_gradient():
    for op in (tg.amax, lambda x: tg.max(x), lambda x: x.norm(math.inf)):
        assert gradient_of(op, [1.0, 3.0, 3.0, 3.0], cotangent=6.0).tolist() == [0.0, 2.0, 2.0, 2.0]
    assert gradient_of(tg.min, [1.0, 1.0, 3.0], cotangent=6.0).tolist() == [3.0, 3.0, 0.0]
    assert gradient_of(lambda x: tg.amin(x, 1), [[1.0, 1.0], [0.0, 3.0]], cotangent=[6.0, 5.0]).tolist() == [
        [3.0, 3.0],
        [5.0, 0.0],
    ]


def test_along_a_dimension_the_first_extremum_gets_the_gradient():
    x = [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]
    assert gradient_of(lambda x: tg.max(x, 1).values, x).tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    assert gradient_of(lambda x: tg.min(x, 1)[0], x).tolist() == [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    values, indices = tg.max(tg.tensor(x), 1)
    assert (values.tolist(), indices.tolist()) == ([3.0, 2.0], [1, 0])
    assert indices.dtype == np.int64
    assert tg.min(tg.tensor(x), dim=0, keepdim=True).indices.tolist() == [[0, 1, 1]]


def test_max_in_its_other_uses():
    x = tg.tensor([[1.0, 5.0], [4.0, 3.0]])
    assert x.max().item() == 5.0
    assert x.max(keepdim=True).tolist() == [[5.0]]
    assert x.max(tg.tensor([2.0, 4.0])).tolist() == [[2.0, 5.0], [4.0, 4.0]]
    assert x.min(np.array([2.0, 4.0])).tolist() == [[1.0, 4.0], [2.0, 3.0]]
    number = tg.max(tg.tensor(3.0), 0)
    assert (number.values.item(), number.indices.item()) == (3.0, 0)


def test_a_nan_is_not_lost():
    x = leaf([1.0, math.nan, 3.0])
    for y in (x.amax(), x.amin(), x.sum(), x.logsumexp(0), x.norm()):
        assert y.isnan()
    x.amax().backward()
    assert x.grad.isnan().any()
    assert x.argmax().item() == 1


def test_argmax_and_argmin():
    x = tg.tensor([[1.0, 5.0, 5.0], [7.0, 3.0, 0.0]])
    assert x.argmax().item() == 3
    assert x.argmin().item() == 5
    assert x.argmax(1).tolist() == [1, 0]
    assert x.argmin(0, keepdim=True).tolist() == [[0, 1, 1]]
    assert x.argmax(-1).dtype == np.int64
    assert tg.tensor(3.0).argmax(0).item() == 0
    assert not leaf([1.0]).argmax().requires_grad


def test_norms_at_the_zero_vector():
    for p in (0.5, 1, 1.5, 2, 3, "fro"):
        x = leaf([[0.0, 0.0], [3.0, 4.0]])
        (g,) = grad(x.norm(p, 1).sum(), x, create_graph=True)
        assert g[0].tolist() == [0.0, 0.0]
        assert g.isfinite().all()
        if g.requires_grad:
            (h,) = grad((g * g).sum(), x)
            assert h[0].tolist() == [0.0, 0.0]
    # A single zero in a vector that is not zero.
    for p in (0.5, 1.5, 2, 3):
        g = gradient_of(lambda x, p=p: x.norm(p), [0.0, 2.0])
        assert g[0] == 0.0
        assert g[1] == pytest.approx(1.0)


def test_std_where_nothing_varies():
    assert gradient_of(lambda x: x.std(1), [[2.0, 2.0, 2.0], [1.0, 2.0, 3.0]]).tolist() == [[0.0, 0.0, 0.0], [-0.5, 0.0, 0.5]]
    assert tg.full((4,), 0.1).std().item() == 0.0


def test_logsumexp_with_infinities():
    rows = [[-math.inf, 1.0], [-math.inf, -math.inf], [math.inf, 1.0]]
    y = tg.logsumexp(tg.tensor(rows), 1)
    assert y.tolist() == [1.0, -math.inf, math.inf]
    g = gradient_of(lambda x: tg.logsumexp(x, 1), rows)
    assert g[:2].tolist() == [[0.0, 1.0], [0.0, 0.0]]
    assert math.isnan(g[2, 0])
    assert g[2, 1] == 0.0
    assert tg.logsumexp(tg.zeros(2, 0), 1).tolist() == [-math.inf, -math.inf]


# Spellings and messages -----------------------------------------------------------------------------------------------


def test_the_divisor_of_the_variance():
    x = tg.tensor([1.0, 2.0, 3.0, 6.0])
    assert x.var().item() == pytest.approx(14 / 3)
    for biased in (x.var(False), x.var(unbiased=False), x.var(0, False), x.var(correction=0), tg.var(x, False)):
        assert biased.item() == pytest.approx(3.5)
    assert x.var(correction=2).item() == pytest.approx(7.0)
    assert x.std(False).item() == pytest.approx(3.5**0.5)
    assert x.reshape(2, 2).std(1, True, True).shape == (2, 1)
    assert tg.var(tg.tensor([1, 3])).dtype == np.float32


def test_any_and_all():
    x = tg.tensor([[0.0, 2.0], [0.0, 0.0]])
    assert (x.any().item(), x.all().item()) == (True, False)
    assert x.any(1).tolist() == [True, False]
    assert (x == 0).all(0, keepdim=True).tolist() == [[True, False]]
    assert x.any(dim=(0, 1)).dtype == np.bool_
    assert tg.zeros(0).all().item() is True
    assert tg.zeros(0).any().item() is False


def test_an_empty_tuple_of_dimensions_is_all_of_them():
    x = tg.ones(2, 3)
    assert x.sum(()).item() == x.sum([]).item() == x.sum().item() == 6.0


def test_sum_of_nothing():
    x = leaf(np.zeros((0, 3)))
    assert x.sum(0).tolist() == [0.0, 0.0, 0.0]
    x.sum().backward()
    assert x.grad.shape == (0, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: tg.tensor([1, 2]).mean(),
            DTypeError,
            r"mean\(\) needs a floating-point tensor, got int64: use \.float\(\) first",
        ),
        (
            lambda: tg.zeros(0, 3).mean(0),
            ShapeError,
            r"mean\(\) over dimensions \(0,\) of a tensor of shape \(0, 3\) has no element",
        ),
        (lambda: tg.ones(1).var(), ShapeError, r"var\(\) over 1 elements with correction 1 divides by 0"),
        (lambda: tg.zeros(0, 3).amax(0), ShapeError, r"amax\(\) over dimensions \(0,\) .* has no element to choose from"),
        (lambda: tg.zeros(0).min(), ShapeError, r"amin\(\) over dimensions \(0,\) .* has no element to choose from"),
        (lambda: tg.zeros(0).max(0), ShapeError, r"max\(\) over dimensions \(0,\) .* has no element to choose from"),
        (lambda: tg.zeros(2, 0).argmax(), ShapeError, r"argmax\(\) over dimensions \(0, 1\) .* has no element to choose from"),
        (lambda: tg.ones(2).norm(0), ArgumentError, r"norm: p must be a positive number, inf or 'fro', got 0"),
        (lambda: tg.ones(2).norm("nuc"), ArgumentError, r"norm: p must be a positive number, inf or 'fro', got 'nuc'"),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()
