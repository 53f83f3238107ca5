"""Arithmetic and elementary functions: values, kinks and poles, integers and booleans, messages."""

import math
import operator

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.errors import ArgumentError, DTypeError

from .checking import check, distinct, gradient_of, leaf, normal, positive

UNARY = {
    "neg": (operator.neg, normal), "abs": (np.abs, distinct), "exp": (np.exp, normal), "exp2": (lambda x: 2.0**x, normal),
    "expm1": (lambda x: np.exp(x) - 1, normal), "log": (np.log, positive), "log2": (lambda x: np.log(x) / np.log(2), positive),
    "log10": (lambda x: np.log(x) / np.log(10), positive), "log1p": (lambda x: np.log(1 + x), positive),
    "sqrt": (lambda x: x**0.5, positive), "rsqrt": (lambda x: x**-0.5, positive), "square": (lambda x: x * x, normal),
    "reciprocal": (lambda x: 1 / x, positive), "sin": (np.sin, normal), "cos": (np.cos, normal),
    "tan": (lambda x: np.sin(x) / np.cos(x), positive), "sinh": (lambda x: (np.exp(x) - np.exp(-x)) / 2, normal),
    "cosh": (lambda x: (np.exp(x) + np.exp(-x)) / 2, normal), "clone": (np.copy, normal),
    "floor": (np.floor, distinct), "ceil": (np.ceil, distinct), "round": (np.rint, distinct), "sign": (np.sign, distinct),
}  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_tensor(name):
    reference, draw = UNARY[name]
    # tan has a pole at pi / 2, which 0.5 ... 1.2 keeps away from.
    x = draw(3, 4) * (0.6 if name == "tan" else 1.0)
    check(getattr(tg, name), reference, x)
    assert getattr(tg, name)(Tensor(x.T)).array.tolist() == getattr(Tensor(x.T), name)().array.tolist()
    check(getattr(tg, name), reference, x[0, 0], second=False)
    empty = leaf(np.zeros((0, 3)))
    getattr(tg, name)(empty).sum().backward()
    assert empty.grad.shape == (0, 3)


BINARY = {
    "add": (operator.add, normal, normal), "sub": (operator.sub, normal, normal), "mul": (operator.mul, normal, normal),
    "div": (operator.truediv, normal, positive), "pow": (operator.pow, positive, normal),
    "maximum": (np.maximum, distinct, normal), "minimum": (np.minimum, distinct, normal),
    "remainder": (lambda a, b: a - b * np.floor(a / b), distinct, positive),
}  # fmt: skip


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(
    ("a_shape", "b_shape"), [((2, 3), (2, 3)), ((2, 1), (3,)), ((), (2,)), ((2, 3), ()), ((1, 3), (2, 1, 1))]
)
def test_functions_of_two_tensors(name, a_shape, b_shape):
    reference, draw_a, draw_b = BINARY[name]
    check(getattr(tg, name), reference, draw_a(*a_shape, seed=1), draw_b(*b_shape, seed=2))


OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow, operator.eq,
    operator.ne, operator.lt, operator.le, operator.gt, operator.ge, operator.matmul,
]  # fmt: skip


@pytest.mark.parametrize("op", OPERATORS)
def test_operators_on_both_sides(op):
    """Tensor with tensor, with an array on either side, and (but for @) with a number on either side."""
    a, b = positive(3, 3, seed=1), positive(3, 3, seed=2)
    expected = op(a, b)
    for left, right in ((Tensor(a), Tensor(b)), (a, Tensor(b)), (Tensor(a), b)):
        result = op(left, right)
        assert isinstance(result, Tensor)
        np.testing.assert_allclose(result.array, expected, rtol=1e-13)
    if op is not operator.matmul:
        for number in (2, 1.5, np.float64(1.5), np.float32(1.5)):
            for result, expected in ((op(Tensor(a), number), op(a, number)), (op(number, Tensor(a)), op(number, a))):
                assert isinstance(result, Tensor)
                np.testing.assert_allclose(result.array, expected, rtol=1e-13)


@pytest.mark.parametrize("op", [operator.sub, operator.truediv, operator.pow, operator.mod, operator.matmul])
def test_the_gradient_knows_which_side_it_is_on(op):
    a, b = positive(2, 2, seed=1), positive(2, 2, seed=2)
    both = gradient_of(op, a, b)
    np.testing.assert_array_equal(gradient_of(lambda x: op(x, b), a), both[0])
    np.testing.assert_array_equal(gradient_of(lambda x: op(a, x), b), both[1])


def test_alpha():
    check(lambda a, b: tg.add(a, b, alpha=3), lambda a, b: a + 3 * b, normal(2, 3), normal(3))
    check(lambda a, b: tg.sub(a, b, alpha=0.5), lambda a, b: a - 0.5 * b, normal(2, 3), normal(3))


def test_x_times_its_own_detached_values():
    """The two hold one array; the constant must stay one, at the second order too."""
    x = leaf([1.0, 2.0, 3.0])
    for constant in (x.detach(), x.data, Tensor(x.array), x.array):
        (g,) = grad((x * constant).sum(), x, create_graph=True)
        assert g.tolist() == [1.0, 2.0, 3.0]
        assert not g.requires_grad
        (g,) = grad((constant * x * x).sum(), x, create_graph=True)
        assert g.tolist() == [2.0, 8.0, 18.0]
        (h,) = grad(g.sum(), x)
        assert h.tolist() == [2.0, 4.0, 6.0]


# Kinks, ties and poles ------------------------------------------------------------------------------------------------


def test_abs_and_sign_at_zero():
    assert gradient_of(tg.abs, [-2.0, 0.0, 3.0]).tolist() == [-1.0, 0.0, 1.0]
    assert gradient_of(tg.sign, [-2.0, 0.0, 3.0]).tolist() == [0.0, 0.0, 0.0]
    assert tg.sign(tg.tensor([-2.0, 0.0, math.nan])).tolist()[:2] == [-1.0, 0.0]
    assert tg.sign(tg.tensor(math.nan)).isnan()


def test_equal_values_share_the_gradient_of_maximum_and_minimum():
    for op in (tg.maximum, tg.minimum):
        a, b = gradient_of(op, [1.0, 2.0], [1.0, 2.0], cotangent=[4.0, 6.0])
        assert a.tolist() == b.tolist() == [2.0, 3.0]
        x = leaf([5.0])
        op(x, x).backward()
        assert x.grad.tolist() == [1.0]


def test_maximum_and_minimum_of_nan():
    for op in (tg.maximum, tg.minimum):
        assert op(tg.tensor([math.nan, 1.0]), tg.tensor([1.0, math.nan])).isnan().all()


def test_clamp_passes_the_gradient_at_its_ends():
    x = [-1.0, 0.0, 0.5, 1.0, 2.0]
    assert gradient_of(lambda x: x.clamp(0, 1), x).tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    assert gradient_of(lambda x: x.clamp(min=0), x).tolist() == [0.0, 1.0, 1.0, 1.0, 1.0]
    assert gradient_of(lambda x: x.clip(max=0), x).tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_clamp_with_tensors_gives_a_tie_to_x():
    """`maximum` would share it; PyTorch 2.13 gives these values."""
    x, low, high = [0.0, 1.0, 2.0, 3.0, 5.0], [1.0, 1.0, 1.0, 3.0, 6.0], [2.0, 2.0, 2.0, 3.0, 5.5]
    gx, glow, ghigh = gradient_of(tg.clamp, x, low, high)
    assert gx.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    assert glow.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert ghigh.tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]
    check(
        tg.clamp, lambda x, low, high: np.minimum(np.maximum(x, low), high), distinct(4, 3), normal(3) - 0.5, normal(4, 1) + 0.6
    )


def test_clamp_of_integers_by_floats_becomes_float():
    y = tg.arange(4).clamp(0.5, 2.5)
    assert y.dtype == np.float32
    assert y.tolist() == [0.5, 1.0, 2.0, 2.5]
    assert tg.arange(4).clamp(1, 2).dtype == np.int64
    assert tg.arange(4).clamp(min=np.float64(1.5)).tolist() == [1.5, 1.5, 2.0, 3.0]
    assert tg.ones(2).clamp(np.float64(2), np.float64(3)).dtype == np.float32


def test_clamp_keeps_nan_and_takes_nan_limits():
    x = tg.tensor([math.nan, 1.0])
    assert x.clamp(0, 2).isnan().tolist() == [True, False]
    assert x.clamp(tg.tensor([0.0, math.nan])).isnan().tolist() == [True, True]
    assert tg.ones(1).clamp(math.nan, 3.0).isnan().item()


def test_where_the_limits_cross_the_upper_counts():
    assert tg.tensor([0.0, 5.0]).clamp(3, 1).tolist() == [1.0, 1.0]
    assert gradient_of(lambda x: x.clamp(3, 1), [0.0, 1.0, 3.0, 5.0]).tolist() == [0.0] * 4


def test_clamp_needs_a_limit():
    with pytest.raises(ArgumentError, match="clamp: both limits are None; give min, max or both"):
        tg.ones(2).clamp()


@pytest.mark.parametrize(
    ("blocked", "passed"),
    [
        (lambda x: x.clamp(min=0), [0.0, 0.25]), (lambda x: x.relu(), [0.0, 0.25]),
        (lambda x: tg.maximum(x, tg.zeros(2, dtype=np.float64)), [0.0, 0.25]),
        (lambda x: -tg.minimum(-x, tg.zeros(2, dtype=np.float64)), [0.0, 0.25]),
        (lambda x: tg.where(x > 0, x, 0.0), [0.0, 0.25]), (lambda x: x.masked_fill(x < 0, 0.0), [0.0, 0.25]),
        (tg.floor, [0.0, 0.0]), (tg.sign, [0.0, 0.0]), (lambda x: x**0 - 1, [0.0, 0.0]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("create_graph", [False, True])
def test_an_infinite_gradient_stops_where_nothing_passes(blocked, passed, create_graph):
    """0 times infinity is NaN, and one NaN spoils every weight: sqrt has an infinite slope at the 0 that is put there."""
    x = leaf([-1.0, 4.0])

    def root(x):
        y = blocked(x)
        return tg.where(y <= 0, y, 0.0).sqrt() + tg.where(y > 0, y, 1.0).sqrt()

    (g,) = grad(root(x).sum(), x, create_graph=create_graph)
    np.testing.assert_array_equal(g.array, passed)


def test_a_gradient_of_nan_input():
    """A NaN is not below 0: relu lets the gradient pass, by either rule."""
    x = leaf([math.nan, -1.0, 1.0])
    for create_graph in (False, True):
        (g,) = grad(x.relu(), x, tg.full((3,), 2.0, dtype=np.float64), create_graph=create_graph)
        assert g.tolist() == [2.0, 0.0, 2.0]


def test_logarithms_and_roots_at_their_ends():
    x = tg.tensor([0.0, -1.0, math.inf])
    for log in (tg.log, tg.log2, tg.log10):
        y = log(x)
        assert y[0] == -math.inf
        assert y[1].isnan()
        assert y[2] == math.inf
    assert tg.log1p(tg.tensor(-1.0)) == -math.inf
    assert tg.sqrt(x).tolist()[0] == 0.0
    assert tg.sqrt(x)[1].isnan()
    assert gradient_of(tg.sqrt, [0.0, 4.0]).tolist() == [math.inf, 0.25]
    assert tg.rsqrt(tg.tensor([0.0, math.inf])).tolist() == [math.inf, 0.0]
    assert tg.rsqrt(tg.tensor(-math.inf)).isnan()
    assert (1 / tg.zeros(1)).item() == math.inf


def test_powers_of_two_and_ten_are_exact():
    n = np.arange(-20, 60, dtype=np.float32)
    assert tg.log2(Tensor(np.exp2(n))).tolist() == n.tolist()
    assert tg.exp2(Tensor(n)).tolist() == [2.0**k for k in n.tolist()]
    assert tg.log10(tg.tensor([1.0, 10.0, 1e9])).tolist() == [0.0, 1.0, 9.0]


def test_accuracy_near_zero():
    x = tg.tensor(1e-10, dtype=np.float64)
    assert tg.expm1(x).item() == pytest.approx(1e-10, rel=1e-12)
    assert tg.log1p(x).item() == pytest.approx(1e-10, rel=1e-9)


# Powers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [-2, -1, -0.5, 0, 0.5, 1, 2, 3, np.int64(2), np.float32(1.5)])
def test_a_number_as_exponent(exponent):
    check(lambda x: x**exponent, lambda x: np.array([v ** float(exponent) for v in x]), positive(4))
    assert (tg.ones(2) ** exponent).dtype == np.float32


def test_negative_bases_with_whole_exponents():
    check(lambda x: x**3, lambda x: x * x * x, normal(5))
    check(lambda x: x**-2, lambda x: 1 / (x * x), np.array([-2.0, -0.5, 0.7]))
    x = tg.tensor([-2.0, -1.0])
    assert (x ** tg.tensor([2.0, 3.0])).tolist() == [4.0, -1.0]
    assert (x**0.5).isnan().all()


def test_zero_to_the_power():
    x = leaf([0.0, 0.0, 0.0, 0.0])
    p = leaf([0.0, 1.0, 2.0, 0.5])
    y = x**p
    assert y.tolist() == [1.0, 0.0, 0.0, 0.0]
    y.backward(tg.ones(4, dtype=np.float64))
    assert x.grad.tolist() == [0.0, 1.0, 0.0, math.inf]
    assert p.grad.tolist() == [0.0, 0.0, 0.0, 0.0]
    assert gradient_of(lambda x: x**0, [0.0, 3.0]).tolist() == [0.0, 0.0]
    assert gradient_of(lambda x: x**1, [0.0, 3.0]).tolist() == [1.0, 1.0]
    assert gradient_of(lambda x: x**2, [0.0, 3.0]).tolist() == [0.0, 6.0]
    assert gradient_of(lambda p: tg.pow(tg.zeros(1, dtype=np.float64), p), [-1.0]).tolist() == [-math.inf]


def test_powers_of_integers_and_booleans():
    n = tg.tensor([-2, 3])
    assert (n**2).dtype == np.int64
    assert (n**2).tolist() == [4, 9]
    assert ((n**0).dtype, (n**0).tolist()) == (np.int64, [1, 1])
    assert (n**-1).dtype == np.float32
    assert (n**-1).tolist() == [-0.5, pytest.approx(1 / 3)]
    assert (n**0.5).dtype == np.float32
    assert (2 ** tg.tensor([0, 3])).tolist() == [1, 8]
    with pytest.raises(DTypeError, match="pow of int64 and int64: Integers to negative integer powers are not allowed"):
        2 ** tg.tensor([-1])
    flags = tg.tensor([True, False])
    assert (flags**2).dtype == (flags**flags).dtype == np.int64
    assert (flags**flags).tolist() == [1, 1]


# Division -------------------------------------------------------------------------------------------------------------


def test_integers_divide_to_floats():
    y = tg.tensor([1, -3]) / 2
    assert y.dtype == np.float32
    assert y.tolist() == [0.5, -1.5]
    assert (tg.tensor([1, 2]) / tg.tensor([4, 4], dtype=np.int32)).dtype == np.float32


def test_remainder_has_the_sign_of_the_divisor():
    a, b = tg.tensor([7.0, -7.0, 7.0, -7.0]), tg.tensor([3.0, 3.0, -3.0, -3.0])
    assert (a % b).tolist() == [1.0, 2.0, -2.0, -1.0]
    assert (a // b).tolist() == [2.0, -3.0, -3.0, 2.0]
    assert (a.to(np.int64) % b.to(np.int64)).tolist() == [1, 2, -2, -1]
    assert (-7 % tg.tensor([3])).tolist() == [2]
    ga, gb = gradient_of(tg.remainder, [7.0, -7.0], [3.0, 3.0])
    assert ga.tolist() == [1.0, 1.0]
    assert gb.tolist() == [-2.0, 3.0]


def test_floor_divide_carries_no_gradient():
    y = leaf([7.0]) // 2
    assert y.tolist() == [3.0]
    assert not y.requires_grad


def test_division_by_zero():
    assert (tg.tensor([1.0, -1.0]) / 0).tolist() == [math.inf, -math.inf]
    assert (tg.tensor([0.0]) / 0).isnan().item()
    assert (tg.tensor([1.0]) % 0).isnan().item()
    for call, name in ((lambda n: n % 0, "remainder"), (lambda n: n // tg.tensor([1, 0]), "floor_divide")):
        with pytest.raises(ArgumentError, match=rf"{name}: an integer divided by 0; convert with \.float\(\) for inf and NaN"):
            call(tg.tensor([1, 2]))


def test_booleans_count_as_numbers_where_numpy_would_take_bytes():
    flags = tg.tensor([True, True])
    assert (flags % flags).dtype == (flags // flags).dtype == np.int64
    assert (flags + flags).dtype == np.bool_


def test_booleans_that_have_no_negative():
    flags = tg.tensor([True, False])
    with pytest.raises(DTypeError, match="neg of a bool tensor: use ~ to invert a mask"):
        tg.neg(flags)
    with pytest.raises(DTypeError, match="sub of bool and bool: numpy boolean subtract"):
        flags - flags
    assert tg.abs(flags).tolist() == tg.sign(flags).tolist() == [True, False]


def test_integers_stay_as_they_are_when_rounded():
    for function in (tg.floor, tg.ceil, tg.round):
        for dtype in (np.int64, np.int32, np.uint8):
            y = function(tg.tensor([3, 4], dtype=dtype))
            assert y.dtype == dtype
            assert y.tolist() == [3, 4]


def test_round_goes_to_even():
    assert tg.round(tg.tensor([0.5, 1.5, 2.5, -0.5])).tolist() == [0.0, 2.0, 2.0, -0.0]


def test_functions_turn_integers_into_the_default_dtype():
    kept = {"neg", "abs", "square", "clone", "floor", "ceil", "round", "sign"}
    for name in (*UNARY, "sigmoid", "tanh"):
        function = getattr(tg, name)
        assert function(tg.tensor([1, 2])).dtype == (np.int64 if name in kept else np.float32), name


# Choosing -------------------------------------------------------------------------------------------------------------


def test_where():
    condition = normal(3, 1) > 0
    check(lambda a, b: tg.where(condition, a, b), lambda a, b: np.where(condition, a, b), normal(1, 4), normal(4))
    x = tg.tensor([1.0, -2.0])
    assert x.where(x > 0, -1).tolist() == [1.0, -1.0]
    assert tg.where(tg.tensor([2, 0]), x, 0.0).tolist() == [1.0, 0.0]
    assert tg.where(x > 0, 1.0, 0.0).dtype == np.float32
    assert tg.where(x > 0, 1, 0).dtype == np.int64


def test_masked_fill_keeps_the_dtype():
    mask = normal(2, 3) > 0
    check(lambda x: x.masked_fill(mask, 7.0), lambda x: np.where(mask, 7.0, x), normal(2, 3))
    check(lambda x, v: tg.masked_fill(x, mask, v), lambda x, v: np.where(mask, v, x), normal(2, 3), normal())
    n = tg.tensor([1, 2]).masked_fill(tg.tensor([True, False]), 3.5)
    assert n.dtype == np.int64
    assert n.tolist() == [3, 2]
    assert tg.ones(2).masked_fill(tg.tensor([True, False]), tg.tensor(5.0, dtype=np.float64)).dtype == np.float32


def test_clone_has_its_own_memory():
    x = tg.ones(3)
    y = x.clone()
    y.zero_()
    assert x.tolist() == [1.0, 1.0, 1.0]
    assert gradient_of(tg.clone, [1.0, 2.0], cotangent=[3.0, 4.0]).tolist() == [3.0, 4.0]


# Casts ----------------------------------------------------------------------------------------------------------------


def test_gradients_come_back_in_the_dtype_of_the_input():
    x = leaf([1.0, 2.0], np.float32)
    y = x.double() * tg.tensor([3.0, 4.0], dtype=np.float64)
    assert y.dtype == np.float64
    y.sum().backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [3.0, 4.0]


def test_mixed_precision_gives_each_its_own():
    a, b = leaf([1.0, 2.0], np.float32), leaf([3.0, 4.0], np.float64)
    (a * b).sum().backward()
    assert (a.grad.dtype, b.grad.dtype) == (np.float32, np.float64)
    assert a.grad.tolist() == [3.0, 4.0]
    assert b.grad.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("cast", ["long", "int", "bool"])
def test_no_gradient_flows_through_integers(cast):
    y = getattr(leaf([0.0, 1.7]), cast)()
    assert not y.requires_grad
    assert y.grad_fn is None
    assert y.tolist() == [0, 1]


def test_casts_by_name():
    x = tg.tensor([1.5])
    for name, dtype in {
        "double": np.float64,
        "float": np.float32,
        "half": np.float16,
        "long": np.int64,
        "int": np.int32,
    }.items():
        assert getattr(x, name)().dtype == dtype
    assert x.to("float64").dtype == x.to(tg.ones(1, dtype=np.float64)).dtype == x.to(dtype=np.float64).dtype == np.float64
    assert x.type_as(tg.tensor([1])).dtype == np.int64
    assert x.to(np.float32) is x
    assert x.to("cpu") is x
    with pytest.raises(ArgumentError, match="to: device 'cuda' is not available, tensors live on the CPU: use 'cpu'"):
        x.to("cuda")
