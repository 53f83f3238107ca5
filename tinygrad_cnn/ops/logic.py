"""Comparisons and logic. Their results are booleans, so no gradient flows and no node is recorded."""

from typing import Any

import numpy as np

from ..errors import DTypeError
from ..tensor import Tensor, TensorLike
from ._arguments import as_tensor, broadcast_shape, operands


def _compare(ufunc: np.ufunc, a: TensorLike, b: TensorLike) -> Tensor:
    if isinstance(a, int) or isinstance(b, int):
        # NumPy compares a Python integer exactly, also one that does not fit the other's dtype: uint8 > -1.
        left, right = (v.array if isinstance(v, Tensor) else v for v in (a, b))
        return Tensor(ufunc(left, right))
    x, y = operands(a, b)
    broadcast_shape(ufunc.__name__, x, y)
    return Tensor(ufunc(x.array, y.array))


def _bitwise(ufunc: np.ufunc, a: TensorLike, b: TensorLike) -> Tensor:
    x, y = operands(a, b)
    _refuse_floats(ufunc.__name__, x)
    broadcast_shape(ufunc.__name__, x, y)
    return Tensor(ufunc(x.array, y.array))


def _refuse_floats(name: str, x: Tensor) -> None:
    if x.is_floating_point():
        raise DTypeError(f"{name} is for booleans and integers, got {x.dtype}: compare first (x > 0), or use .bool()")


def eq(input: TensorLike, other: Any) -> Tensor:
    """``input == other``, element by element."""
    return _compare(np.equal, input, other)


def ne(input: TensorLike, other: Any) -> Tensor:
    """``input != other``, element by element."""
    return _compare(np.not_equal, input, other)


def lt(input: TensorLike, other: TensorLike) -> Tensor:
    """``input < other``, element by element."""
    return _compare(np.less, input, other)


def le(input: TensorLike, other: TensorLike) -> Tensor:
    """``input <= other``, element by element."""
    return _compare(np.less_equal, input, other)


def gt(input: TensorLike, other: TensorLike) -> Tensor:
    """``input > other``, element by element."""
    return _compare(np.greater, input, other)


def ge(input: TensorLike, other: TensorLike) -> Tensor:
    """``input >= other``, element by element."""
    return _compare(np.greater_equal, input, other)


def bitwise_and(input: TensorLike, other: TensorLike) -> Tensor:
    """``input & other``, for booleans and integers."""
    return _bitwise(np.bitwise_and, input, other)


def bitwise_or(input: TensorLike, other: TensorLike) -> Tensor:
    """``input | other``, for booleans and integers."""
    return _bitwise(np.bitwise_or, input, other)


def bitwise_xor(input: TensorLike, other: TensorLike) -> Tensor:
    """``input ^ other``, for booleans and integers."""
    return _bitwise(np.bitwise_xor, input, other)


def bitwise_not(input: TensorLike) -> Tensor:
    """``~input``: not, for booleans; the bits inverted, for integers."""
    x = as_tensor(input)
    _refuse_floats("bitwise_not", x)
    return Tensor(np.invert(x.array))


def logical_not(input: TensorLike) -> Tensor:
    """Where an element is false (zero)."""
    return Tensor(np.logical_not(as_tensor(input).array))


def isnan(input: TensorLike) -> Tensor:
    """Where an element is not a number."""
    return Tensor(np.isnan(as_tensor(input).array))


def isinf(input: TensorLike) -> Tensor:
    """Where an element is infinite."""
    return Tensor(np.isinf(as_tensor(input).array))


def isfinite(input: TensorLike) -> Tensor:
    """Where an element is neither infinite nor NaN."""
    return Tensor(np.isfinite(as_tensor(input).array))


def allclose(
    input: TensorLike, other: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether ``|input - other| <= atol + rtol * |other|`` everywhere; `equal_nan` counts two NaN as equal."""
    return bool(np.allclose(as_tensor(input).array, as_tensor(other).array, rtol, atol, equal_nan))
