"""Cases of the ops that move elements, and of matrix products; explicit index loops as the reference."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from ..ops import linalg, shape
from ..tensor import Tensor
from .case import Array, Case, normal

_REPEATED = np.array([0, 2, 2, 1])
_MASK = np.array([[True, False, True], [False, True, True]])


def _assigned(index: Any) -> Callable[[Tensor, Tensor], Tensor]:
    def call(x: Tensor, value: Tensor) -> Tensor:
        y = x.clone()
        y[index] = value
        return y

    return call


def _assigned_by_loops(index: Any) -> Callable[[Array, Array], Array]:
    """Element after element, so that of a repeated index the last one stays."""

    def reference(x: Array, value: Array) -> Array:
        numbers = np.arange(x.size).reshape(x.shape)[index]
        flat, new = x.copy().reshape(-1), np.broadcast_to(value, numbers.shape)
        for place, v in zip(numbers.reshape(-1), new.reshape(-1), strict=True):
            flat[place] = v
        return flat.reshape(x.shape)

    return reference


def _added_by_loops(index: Any, to_shape: tuple[int, ...]) -> Callable[[Array], Array]:
    def reference(x: Array) -> Array:
        numbers = np.arange(int(np.prod(to_shape))).reshape(to_shape)[index]
        flat = np.zeros(int(np.prod(to_shape)))
        for place, v in zip(numbers.reshape(-1), x.reshape(-1), strict=True):
            flat[place] += v
        return flat.reshape(to_shape)

    return reference


def _get(label: str, index: Any, *x_shape: int) -> Case:
    return Case(shape.GetItem, label, lambda x: x[index], (normal(*x_shape),), lambda x: x[index], (0,))


def _put(label: str, index: Any, to_shape: tuple[int, ...], *x_shape: int) -> Case:
    return Case(
        shape.PutItem, label, lambda x: shape.PutItem.apply(x, index=index, to_shape=to_shape), (normal(*x_shape),),
        _added_by_loops(index, to_shape), (0,),
    )  # fmt: skip


def _set(label: str, index: Any, x_shape: tuple[int, ...], value_shape: tuple[int, ...]) -> Case:
    return Case(
        shape.SetItem, label, _assigned(index), (normal(*x_shape), normal(*value_shape)), _assigned_by_loops(index), (0, 1)
    )


def _matmul_loops(a: Array, b: Array) -> Array:
    (n, k), m = a.shape, b.shape[1]
    return np.array([[sum(a[i, t] * b[t, j] for t in range(k)) for j in range(m)] for i in range(n)])


def _batched_loops(a: Array, b: Array) -> Array:
    return np.stack([np.stack([_matmul_loops(a[i, 0], b[j]) for j in range(len(b))]) for i in range(len(a))])


def _einsum(equation: str, *shapes: tuple[int, ...]) -> Case:
    # NumPy's own evaluation without its BLAS route: one loop over all letters.
    return Case(
        linalg.Einsum, equation, lambda *x: ops.einsum(equation, *x), tuple(normal(*s) for s in shapes),
        lambda *x: np.einsum(equation, *x, optimize=False), tuple(range(len(shapes))),
    )  # fmt: skip


CASES: list[Case] = [
    Case(shape.Reshape, "", lambda x: x.reshape(4, -1), (normal(2, 6),),
         lambda x: np.array(x.ravel().tolist()).reshape(4, 3), (0,)),
    Case(shape.Reshape, "not contiguous", lambda x: x.T.reshape(2, 6), (normal(4, 3),),
         lambda x: np.array([x[i, j] for j in range(3) for i in range(4)]).reshape(2, 6), (0,)),
    Case(shape.Permute, "", lambda x: x.permute(2, 0, 1), (normal(2, 3, 4),),
         lambda x: np.array([[[x[i, j, k] for j in range(3)] for i in range(2)] for k in range(4)]), (0,)),
    Case(shape.Expand, "size 1", lambda x: x.expand(2, 3, 4), (normal(3, 1),),
         lambda x: np.array([[[x[i, 0]] * 4 for i in range(3)]] * 2), (0,)),
    _get("slices", (slice(1, None), slice(None, None, 2)), 3, 5),
    _get("integer, None, ellipsis", (1, None, ..., slice(0, 2)), 2, 3, 4),
    _get("repeated integers", _REPEATED, 3, 2),
    _get("integer arrays together", (_REPEATED, np.array([1, 0, 0, 1])), 3, 2),
    _get("mask", _MASK, 2, 3),
    _put("slices", (slice(1, None), slice(None, None, 2)), (3, 5), 2, 3),
    _put("repeated integers", _REPEATED, (3, 2), 4, 2),
    _put("mask", _MASK, (2, 3), 4),
    _set("slices", (slice(1, None), slice(0, 2)), (3, 4), (2, 2)),
    _set("value broadcast", slice(1, None), (3, 4), (4,)),
    _set("repeated integers", _REPEATED, (3, 2), (4, 2)),
    _set("mask", _MASK, (2, 3), (4,)),
    Case(shape.Cat, "three along 1", lambda a, b, c: ops.cat([a, b, c], 1), (normal(2, 1), normal(2, 3), normal(2, 2)),
         lambda a, b, c: np.array([[*a[i], *b[i], *c[i]] for i in range(2)]), (0, 1, 2)),
    Case(shape.Cat, "the same twice", lambda a: ops.cat([a, a], 0), (normal(2, 3),), lambda a: np.array([*a, *a]), (0,)),
    Case(shape.Flip, "", lambda x: x.flip(0, 2), (normal(2, 3, 4),), lambda x: x[::-1, :, ::-1], (0,)),
    Case(shape.Pad, "unequal", lambda x: ops.pad(x, (1, 2, 0, 3), value=1.5), (normal(2, 3),), lambda x: np.array(
        [[x[i, j - 1] if i < 2 and 1 <= j < 4 else 1.5 for j in range(6)] for i in range(5)]), (0,)),
    Case(linalg.MatMul, "", ops.matmul, (normal(3, 4), normal(4, 2)), _matmul_loops, (0, 1)),
    Case(linalg.MatMul, "stacks broadcast", ops.matmul, (normal(2, 1, 3, 4), normal(3, 4, 2)), _batched_loops, (0, 1)),
    Case(linalg.MatMul, "vector", ops.matmul, (normal(4), normal(4, 2)), lambda a, b: _matmul_loops(a[None], b)[0], (0, 1)),
    Case(linalg.Linear, "bias", ops.linear, (normal(3, 4), normal(2, 4), normal(2)),
         lambda x, weight, bias: _matmul_loops(x, weight.T) + bias, (0, 1, 2)),
    Case(linalg.Linear, "no bias, more dimensions", ops.linear, (normal(2, 3, 4), normal(2, 4)),
         lambda x, weight: np.stack([_matmul_loops(rows, weight.T) for rows in x]), (0, 1)),
    _einsum("ij,jk->ik", (2, 3), (3, 4)),
    _einsum("ij,kl->i", (2, 3), (2, 2)),
    _einsum("bij,bjk->bki", (2, 2, 3), (2, 3, 2)),
    _einsum("ij,jk,ki->", (2, 3), (3, 2), (2, 2)),
    _einsum("iij->ji", (3, 3, 2)),
    _einsum("...ij,...j->...i", (2, 3, 4), (4,)),
]  # fmt: skip
