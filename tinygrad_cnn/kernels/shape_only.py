"""Arrays that have a shape and a dtype, and no values: what `nn.plan` sends through a network.

A `ShapeOnly` is an array of one number with steps of zero, so its views (reshape, transpose, slices) cost nothing and are
NumPy's own. What would compute says only what shape the result has: NumPy's elementwise functions and reductions all in one
place, `__array_ufunc__`, and the kernels of this package by their geometry (`kernels_on_shapes`). A function of NumPy that
has no rule here computes on copies of the number and forgets them again: slower, and right.

The one number is what an input of zeros would give, as far as that is cheap to say. It is there for the ops, which check
what they are given (probabilities, indices). A user who asks a tensor for its value is refused: a network whose path
depends on values has no plan.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tinygrad_cnn import kernels
from tinygrad_cnn.errors import ArgumentError

Array = NDArray[Any]
Shape = tuple[int, ...]


class ShapeOnly(np.ndarray[Any, Any]):
    """An array without values; make one with `shape_only`."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        out = options.pop("out", None)
        result = _ufunc(ufunc, method, inputs, options)
        if out is None:
            return result
        results = result if isinstance(result, tuple) else (result,)
        for target, made in zip(out, results, strict=True):
            if target is not None and np.broadcast_shapes(target.shape, made.shape) != target.shape:
                raise ValueError(f"{ufunc.__name__}: a result of shape {made.shape} does not fit into {target.shape}")
        given = tuple(made if target is None else target for target, made in zip(out, results, strict=True))
        return given if isinstance(result, tuple) else given[0]

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in _FUNCTIONS:
            return _FUNCTIONS[function](*args, **kwargs)
        return _forgotten(super().__array_function__(function, types, args, kwargs))

    def __getitem__(self, index: Any) -> Any:
        return _forgotten(super().__getitem__(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        """There is nothing to write; that the value fits is checked where it is written for real."""

    def astype(self, dtype: DTypeLike, *_: Any, **__: Any) -> Any:  # type: ignore[override]
        """The same shape in another dtype."""
        return shape_only(self.shape, dtype)

    def copy(self, *_: Any) -> Any:
        """The same shape."""
        return shape_only(self.shape, self.dtype)

    def _refused(self, *_: Any, **__: Any) -> Any:
        raise ArgumentError(
            f"the forward pass looks at a value (of an array of shape {self.shape}), and a plan has shapes only: a path that "
            "depends on values cannot be planned; call the model on real inputs instead"
        )

    item = tolist = _refused


def shape_only(shape: Sequence[int], dtype: DTypeLike, number: Any = 0) -> ShapeOnly:
    """Make an array without values; `number` is the one that stands for all of them.

    Examples
    --------
    >>> x = shape_only((100, 64, 224, 224), "float32")
    >>> (x + 1).shape, x.reshape(100, -1).shape, x.reshape(100, -1).strides
    ((100, 64, 224, 224), (100, 3211264), (0, 0))
    """
    held = np.full(1, number, dtype)
    made = np.ndarray(tuple(shape), held.dtype, held, strides=(0,) * len(shape))
    return made.view(ShapeOnly)


def _forgotten(result: Any) -> Any:
    """The same, without the values that were computed."""
    if isinstance(result, (tuple, list)):
        return type(result)(_forgotten(part) for part in result)
    if isinstance(result, np.ndarray) and (type(result) is not ShapeOnly or any(result.strides)):
        return shape_only(result.shape, result.dtype)
    return result


def _tiny(value: Any) -> Any:
    """A stand-in with the same dtype and number of dimensions, and one element; Python numbers stay."""
    if not isinstance(value, np.ndarray):
        return value
    first = np.asarray(value)[(0,) * value.ndim] if value.size else 0
    return np.full((1,) * value.ndim, first, value.dtype)


def _ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """The result's shape by the rule of the ufunc's kind; its dtype from one element."""
    options.pop("where", None)
    options.pop("subok", None)
    if ufunc is np.matmul and method == "__call__":
        return _matmul(*inputs)
    if ufunc.signature is not None or method not in ("__call__", "reduce", "accumulate"):
        plain = [np.asarray(value) if isinstance(value, ShapeOnly) else value for value in inputs]
        return _forgotten(getattr(ufunc, method)(*plain, **options))
    with np.errstate(all="ignore"):
        tiny = getattr(ufunc, method)(*map(_tiny, inputs), **options)
    if method == "__call__":
        shape = np.broadcast_shapes(*(np.shape(value) for value in inputs))
    elif method == "accumulate":
        shape = inputs[0].shape
    else:
        shape = _reduced(inputs[0].shape, options.get("axis", 0), bool(options.get("keepdims", False)))
    if isinstance(tiny, tuple):
        return tuple(shape_only(shape, part.dtype, np.ravel(part)[0]) for part in tiny)
    return shape_only(shape, tiny.dtype, np.ravel(tiny)[0])


def _reduced(shape: Shape, axis: int | Sequence[int] | None, keepdims: bool) -> Shape:
    if axis is None:
        gone = set(range(len(shape)))
    else:
        gone = {int(a) % len(shape) for a in (axis if isinstance(axis, Sequence) else (axis,))}
    if keepdims:
        return tuple(1 if i in gone else size for i, size in enumerate(shape))
    return tuple(size for i, size in enumerate(shape) if i not in gone)


def _matmul(a: Array, b: Array) -> ShapeOnly:
    rows, columns = a.shape[-2:-1], b.shape[-1:] if b.ndim > 1 else ()
    inner = a.shape[-1], b.shape[-2] if b.ndim > 1 else b.shape[0]
    if inner[0] != inner[1]:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit: {inner[0]} against {inner[1]}")
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return shape_only((*batch, *rows, *columns), np.result_type(a.dtype, b.dtype))


def _concatenate(arrays: Sequence[Array], axis: int | None = 0, **_: Any) -> ShapeOnly:
    # Along `axis` the stand-ins are as the arrays, so that NumPy checks the rest.
    if axis is None:
        return shape_only((sum(array.size for array in arrays),), np.result_type(*arrays))
    first, at = arrays[0], axis % max(arrays[0].ndim, 1)
    for array in arrays:
        if array.ndim != first.ndim or any(array.shape[i] != first.shape[i] for i in range(first.ndim) if i != at):
            raise ValueError(f"concatenate: shapes {[a.shape for a in arrays]} differ in another dimension than {axis}")
    shape = (*first.shape[:at], sum(array.shape[at] for array in arrays), *first.shape[at + 1 :])
    return shape_only(shape, np.result_type(*(array.dtype for array in arrays)))


def _where(condition: Any, *branches: Any) -> Any:
    if not branches:
        return condition._refused() if isinstance(condition, ShapeOnly) else np.asarray(condition).nonzero()
    shape = np.broadcast_shapes(*(np.shape(value) for value in (condition, *branches)))
    return shape_only(shape, np.where(True, *map(_tiny, branches)).dtype)


def _like(array: Any, *fill: Any, dtype: DTypeLike | None = None, shape: Any = None, **_: Any) -> ShapeOnly:
    return shape_only(np.shape(array) if shape is None else shape, array.dtype if dtype is None else dtype)


def _pad(array: Array, pad_width: Any, *_: Any, **__: Any) -> ShapeOnly:
    widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2))
    return shape_only([size + int(width.sum()) for size, width in zip(array.shape, widths, strict=True)], array.dtype)


def _take(array: Array, indices: Any, axis: int | None = None, *_: Any, **__: Any) -> ShapeOnly:
    if axis is None:
        return shape_only(np.shape(indices), array.dtype)
    at = axis % array.ndim
    return shape_only((*array.shape[:at], *np.shape(indices), *array.shape[at + 1 :]), array.dtype)


def _broadcast_to(array: Array, shape: Any, **_: Any) -> ShapeOnly:
    wanted = (shape,) if isinstance(shape, int) else tuple(shape)
    if np.broadcast_shapes(array.shape, wanted) != wanted:
        raise ValueError(f"an array of shape {array.shape} cannot be broadcast to {wanted}")
    return shape_only(wanted, array.dtype)


def _einsum(equation: str, *arrays: Array, **_: Any) -> ShapeOnly:
    operands, _arrow, result = equation.partition("->")
    size = {
        letter: n
        for letters, array in zip(operands.split(","), arrays, strict=True)
        for letter, n in zip(letters, array.shape, strict=True)
    }
    return shape_only([size[letter] for letter in result], np.result_type(*(array.dtype for array in arrays)))


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.concatenate: _concatenate,
    np.where: _where,
    np.empty_like: _like,
    np.zeros_like: _like,
    np.ones_like: _like,
    np.full_like: _like,
    np.copyto: lambda *_, **__: None,
    np.pad: _pad,
    np.take: _take,
    np.broadcast_to: _broadcast_to,
    np.einsum: _einsum,
}


# The kernels -------------------------------------------------------------------------------------------------------------


def _same(x: Array, *_: Any, **__: Any) -> ShapeOnly:
    return shape_only(x.shape, x.dtype)


def _per_channel(x: Array) -> ShapeOnly:
    return shape_only(x.shape[1:2], x.dtype)


def _pooled(x: Array, size: Sequence[int]) -> ShapeOnly:
    return shape_only((*x.shape[:2], *size), x.dtype)


def _pooled_with_indices(x: Array, size: Sequence[int]) -> tuple[ShapeOnly, ShapeOnly]:
    y = _pooled(x, size)
    return y, shape_only(y.shape, np.int64)


_KERNELS: dict[str, Callable[..., Any]] = {
    "conv": lambda x, weight, bias, geometry: shape_only(geometry.y_shape, x.dtype),
    "conv_input_grad": lambda gy, weight, geometry: shape_only(geometry.x_shape, gy.dtype),
    "max_pool": lambda x, geometry: _pooled_with_indices(x, geometry.out_size),
    "pool_scatter": lambda gy, indices, in_size: _pooled(gy, in_size),
    "pool_gather": lambda x, indices: shape_only(indices.shape, x.dtype),
    "avg_pool": lambda x, geometry, *_: _pooled(x, geometry.out_size),
    "adaptive_avg_pool": _pooled,
    "adaptive_max_pool": _pooled_with_indices,
    "fractional_max_pool": lambda x, starts, kernel_size: _pooled_with_indices(x, [s.shape[2] for s in starts]),
    "stochastic_pool": lambda x, draws, geometry: _pooled_with_indices(x, geometry.out_size),
    "unfold": lambda x, geometry: _pooled(x, (math.prod(geometry.kernel_size), math.prod(geometry.out_size))),
    "fold": lambda columns, geometry: _pooled(columns, geometry.in_size),
    "channel_window_sum": _same,
    "local_response_norm": lambda x, *_: (_same(x), _same(x)),
    "channel_moments": lambda x: (_per_channel(x), _per_channel(x)),
    "channel_sum": _per_channel,
    "batch_norm": _same,
    "sigmoid": _same,
    "relu": _same,
    "erf": _same,
    "erfc": _same,
    "add": np.add,
    "log_softmax": _same,
}

_lock = threading.Lock()
_blocks = 0
_real: dict[str, Callable[..., Any]] = {}


@contextmanager
def kernels_on_shapes() -> Iterator[None]:
    """Inside the block, kernels that are given an array without values return one; all others work as before.

    The names of the kernels are bound anew for the whole process, to functions that look at their arguments: other threads
    go on computing.
    """
    global _blocks
    with _lock:
        _blocks += 1
        if _blocks == 1:
            _real.update({name: getattr(kernels, name) for name in _KERNELS})
            for name, rule in _KERNELS.items():
                setattr(kernels, name, _by_kind(_real[name], rule))
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if _blocks == 0:
                for name, real in _real.items():
                    setattr(kernels, name, real)


def _by_kind(real: Callable[..., Any], rule: Callable[..., Any]) -> Callable[..., Any]:
    def kernel(*args: Any, **kwargs: Any) -> Any:
        return (rule if any(type(value) is ShapeOnly for value in args) else real)(*args, **kwargs)

    return kernel
