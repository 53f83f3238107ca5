"""Comparisons and logic. Their results are booleans, so no gradient flows and no node is recorded."""

from typing import Any

import numpy as np

from ..tensor import Tensor, TensorLike
from ._arguments import as_tensor, broadcast_shape, operands


def _compare(ufunc: np.ufunc, a: TensorLike, b: TensorLike) -> Tensor:
    x, y = operands(a, b)
    broadcast_shape(ufunc.__name__, x, y)
    return Tensor(np.asarray(ufunc(x.array, y.array)))


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
    return _compare(np.bitwise_and, input, other)


def bitwise_or(input: TensorLike, other: TensorLike) -> Tensor:
    """``input | other``, for booleans and integers."""
    return _compare(np.bitwise_or, input, other)


def bitwise_xor(input: TensorLike, other: TensorLike) -> Tensor:
    """``input ^ other``, for booleans and integers."""
    return _compare(np.bitwise_xor, input, other)


def logical_not(input: TensorLike) -> Tensor:
    """``~input`` of booleans; for integers, the bits inverted."""
    return Tensor(np.asarray(np.invert(as_tensor(input).array)))


def isnan(input: TensorLike) -> Tensor:
    """Where an element is not a number."""
    return Tensor(np.asarray(np.isnan(as_tensor(input).array)))


def isinf(input: TensorLike) -> Tensor:
    """Where an element is infinite."""
    return Tensor(np.asarray(np.isinf(as_tensor(input).array)))


def isfinite(input: TensorLike) -> Tensor:
    """Where an element is neither infinite nor NaN."""
    return Tensor(np.asarray(np.isfinite(as_tensor(input).array)))


def allclose(input: TensorLike, other: TensorLike, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
    """Whether ``|input - other| <= atol + rtol * |other|`` everywhere."""
    return bool(np.allclose(as_tensor(input).array, as_tensor(other).array, rtol=rtol, atol=atol))
