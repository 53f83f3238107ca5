"""Comparisons and logic: values, dtypes, and that no gradient hangs on them."""

import math
import operator

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import DTypeError

from .checking import leaf


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_comparisons(name):
    a, b = np.array([[1.0], [2.0]]), np.array([1.0, 2.0, math.nan])
    expected = getattr(operator, name)(a, b)
    x, y = leaf(a), leaf(b)
    for result in (getattr(tg, name)(x, y), getattr(x, name)(y), getattr(operator, name)(x, y)):
        assert result.dtype == np.bool_
        assert result.tolist() == expected.tolist()
        assert not result.requires_grad
    assert getattr(tg, name)(tg.tensor(1), 1).shape == ()


def test_a_tensor_is_not_equal_to_what_is_no_number():
    x = tg.ones(2)
    assert (x == None) is False  # noqa: E711 - what `param == None` in people's code gets
    assert (x != None) is True  # noqa: E711
    assert (x == "ones") is False
    with pytest.raises(DTypeError, match="expected a tensor, an array or a number beside a tensor, got NoneType"):
        x < None  # noqa: B015


def test_large_integers_are_compared_exactly():
    n = tg.tensor([2**60, 2**60 + 1])
    assert (n == 2**60).tolist() == [True, False]
    assert (n > 2**60).tolist() == [False, True]
    assert (n < 2**70).tolist() == [True, True]


def test_logic_of_booleans():
    a, b = tg.tensor([True, True, False, False]), tg.tensor([True, False, True, False])
    assert (a & b).tolist() == [True, False, False, False]
    assert (a | b).tolist() == [True, True, True, False]
    assert (a ^ b).tolist() == [False, True, True, False]
    assert (~a).tolist() == [False, False, True, True]
    assert (True & b).tolist() == (np.array([True] * 4) & b).tolist() == [True, False, True, False]
    assert (False | b).tolist() == (False ^ b).tolist() == b.tolist()


def test_logic_of_integers_is_on_bits():
    n = tg.tensor([0b1100, 0b1010])
    assert (n & 0b0110).tolist() == [0b0100, 0b0010]
    assert (n | 1).tolist() == [0b1101, 0b1011]
    assert (n ^ n).tolist() == [0, 0]
    assert (~n).tolist() == tg.bitwise_not(n).tolist() == [-13, -11]


def test_logical_not_asks_for_zero_whatever_the_dtype():
    for dtype in (np.int64, np.uint8, np.float32, np.bool_):
        result = tg.logical_not(tg.tensor([0, 1], dtype=dtype))
        assert result.dtype == np.bool_
        assert result.tolist() == [True, False]


@pytest.mark.parametrize("op", [operator.and_, operator.or_, operator.xor, lambda a, _: ~a])
def test_floats_have_no_bits(op):
    with pytest.raises(DTypeError, match=r"bitwise_\w+ is for booleans and integers, got float32: compare first \(x > 0\)"):
        op(tg.ones(2), tg.ones(2))


def test_what_kind_of_number():
    x = leaf([1.0, math.nan, math.inf, -math.inf])
    assert x.isnan().tolist() == tg.isnan(x).tolist() == [False, True, False, False]
    assert x.isinf().tolist() == tg.isinf(x).tolist() == [False, False, True, True]
    assert x.isfinite().tolist() == tg.isfinite(x).tolist() == [True, False, False, False]
    assert tg.isnan(tg.tensor([1])).tolist() == [False]


def test_allclose():
    x = tg.tensor([1.0, math.nan])
    assert not tg.allclose(x, x)
    assert tg.allclose(x, x, equal_nan=True)
    assert tg.allclose(tg.tensor([1.0]), tg.tensor([1.0 + 1e-6]))
    assert not tg.allclose(tg.tensor([1.0]), tg.tensor([1.1]))
    assert tg.allclose(tg.tensor([1.0]), tg.tensor([1.1]), atol=0.2)
