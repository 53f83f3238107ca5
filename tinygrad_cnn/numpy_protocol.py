"""Tensors in NumPy's functions: ``array * tensor`` is a tensor, and a gradient is never lost without a word.

NumPy asks an argument that is not its own array what to do (``__array_ufunc__``, ``__array_function__``). Arithmetic and
comparison become our ops. Any other function is computed by NumPy on the arrays, unless a tensor needs a gradient: then
it raises and names the function here that does the same.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import ops
from .autograd.mode import STATE
from .errors import ArgumentError, DTypeError
from .tensor import Tensor

_OURS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: ops.add,
    np.subtract: ops.sub,
    np.multiply: ops.mul,
    np.true_divide: ops.div,
    np.floor_divide: ops.floor_divide,
    np.remainder: ops.remainder,
    np.power: ops.pow,
    np.matmul: ops.matmul,
    np.equal: ops.eq,
    np.not_equal: ops.ne,
    np.less: ops.lt,
    np.less_equal: ops.le,
    np.greater: ops.gt,
    np.greater_equal: ops.ge,
    np.bitwise_and: ops.bitwise_and,
    np.bitwise_or: ops.bitwise_or,
    np.bitwise_xor: ops.bitwise_xor,
}

# Where our name is not NumPy's.
_NAMES = {
    "absolute": "abs", "add.reduce": "sum", "concatenate": "cat", "divide": "div", "multiply": "mul", "multiply.reduce": "prod",
    "negative": "neg", "power": "pow", "subtract": "sub",
}  # fmt: skip

# NumPy's functions that write into their first argument; a tensor's storage keeps count of its writes.
_WRITES = {"copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"}

# Those that look at shape and dtype only: there is no gradient to lose.
_LOOKS = {"empty_like", "full_like", "ndim", "ones_like", "result_type", "shape", "size", "zeros_like"}


def call_ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What ``ufunc(tensor)`` does; see `numpy.ndarray.__array_ufunc__`."""
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    if any(isinstance(out, Tensor) for out in kwargs.get("out", ())) or (method == "at" and isinstance(inputs[0], Tensor)):
        _refuse_to_write(name)
    if method == "__call__" and ufunc in _OURS and not kwargs:
        return _OURS[ufunc](*inputs)
    _refuse_to_lose_gradient(name, inputs)
    result = getattr(ufunc, method)(*_arrays(inputs), **_arrays(kwargs))
    # Given an array to write into, the result is that array: after `array += tensor` it still is one.
    return Tensor(result) if isinstance(result, (np.ndarray, np.generic)) and "out" not in kwargs else result


def call_function(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """What a NumPy function on tensors does; the result is NumPy's."""
    name = function.__name__
    first = next(iter((*args, *kwargs.values())), None)
    if isinstance(kwargs.get("out"), Tensor) or (name in _WRITES and isinstance(first, Tensor)):
        _refuse_to_write(name)
    if name not in _LOOKS:
        _refuse_to_lose_gradient(name, (args, kwargs))
    return function(*_arrays(args), **_arrays(kwargs))


def _refuse_to_write(name: str) -> None:
    raise ArgumentError(
        f"np.{name} into a tensor would write behind the graph's back; use the tensor's in-place methods (add_, copy_, "
        "...) or assign to tensor[...]"
    )


def _arrays(value: Any) -> Any:
    """The same nesting with arrays in place of tensors."""
    if isinstance(value, Tensor):
        return value.array
    if isinstance(value, (list, tuple)):
        items = [_arrays(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    return {key: _arrays(item) for key, item in value.items()} if isinstance(value, dict) else value


def _needs_gradient(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.requires_grad
    if isinstance(value, dict):
        return any(_needs_gradient(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(_needs_gradient(item) for item in value)


def _refuse_to_lose_gradient(name: str, arguments: Any) -> None:
    if not STATE.grad_enabled or not _needs_gradient(arguments):
        return
    ours = _NAMES.get(name, name)
    instead = f"use tinygrad_cnn.{ours}(...)" if hasattr(ops, ours) else "compose it from ops of tinygrad_cnn"
    raise DTypeError(f"np.{name} on a tensor that requires grad would lose its gradient: {instead}, or detach() first")
