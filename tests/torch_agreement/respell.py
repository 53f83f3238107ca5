"""The cases of `verify`, run by PyTorch: since the names are PyTorch's, the same lambda can be given torch instead of us.

A case's `call` is a function over `ops.something(...)`, tensor methods and operators. `respelled` makes the same function
over again with other globals, in which `ops` is torch. What has no counterpart there (a backward op called by itself, an
option that is ours alone) cannot be respelled and raises `OursAlone`.
"""

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tinygrad_cnn import ops
from tinygrad_cnn.autograd.function import Function
from tinygrad_cnn.tensor import Tensor


class OursAlone(Exception):  # noqa: N818 - no error: it says that there is nothing to compare
    """The case uses what PyTorch does not have."""


def to_torch(value: Any) -> Any:
    """The same value with torch's tensors in place of ours and of arrays."""
    if isinstance(value, Tensor):
        return torch.from_numpy(np.array(value.array))
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.array(value))
    if isinstance(value, (tuple, list)):
        return type(value)(to_torch(part) for part in value)
    if isinstance(value, type) and issubclass(value, np.generic):
        return getattr(torch, np.dtype(value).name, None) or _ours_alone(f"dtype {value.__name__}")
    return value


def _ours_alone(what: str) -> Any:
    raise OursAlone(what)


class TorchOps:
    """`tinygrad_cnn.ops`, played by torch: the functional namespace first, then torch itself."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        for place in (torch.nn.functional, torch, torch.special):
            if hasattr(place, name):
                return _called_with_torch(getattr(place, name), getattr(ops, name))
        raise OursAlone(name)

    def conv2d(self, *args: Any, **kwargs: Any) -> Any:
        return _conv(torch.nn.functional.conv2d, *args, **kwargs)

    def batch_norm(self, *args: Any, relu: bool = False, **kwargs: Any) -> Any:
        y = torch.nn.functional.batch_norm(*to_torch(args), **{name: to_torch(value) for name, value in kwargs.items()})
        return torch.relu(y) if relu else y

    def norm(self, x: Any, p: Any = 2.0, dim: Any = None, keepdim: bool = False) -> Any:
        return torch.linalg.vector_norm(x, 2 if p == "fro" else p, dim, keepdim)


def _conv(
    function: Any, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, *rest: Any, **kwargs: Any
) -> Any:
    if isinstance(padding, tuple) and padding and isinstance(padding[0], tuple):
        # Ours alone, but easily said in torch: pad first.
        x = torch.nn.functional.pad(x, [n for pair in reversed(padding) for n in pair])
        padding = 0
    if padding == "same" and stride != 1:
        raise OursAlone("strided same")
    return function(x, weight, bias, stride, padding, *rest, **kwargs)


def _called_with_torch(function: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    parameters = inspect.signature(ours).parameters

    def call(*args: Any, **kwargs: Any) -> Any:
        if "reduction" in parameters:
            # Torch still has two abolished arguments before this one: name what ours takes by position.
            named = dict(zip(list(parameters)[2:], args[2:], strict=False))
            args, kwargs = args[:2], {**named, **kwargs}
        return function(*to_torch(args), **{name: to_torch(value) for name, value in kwargs.items()})

    return call


class _NoOp:
    """An op called by itself: there is nothing like it in torch."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        raise OursAlone(f"{self._name}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise OursAlone(self._name)


def _other(value: Any, seen: dict[int, Any]) -> Any:
    """What a global or captured variable of a case means to torch."""
    if value is ops:
        return TorchOps()
    if value is Tensor:
        return lambda array: to_torch(array)
    if isinstance(value, type) and issubclass(value, Function):
        return _NoOp(value.__name__)
    if isinstance(value, types.ModuleType) and value.__name__.startswith("tinygrad_cnn.ops."):
        return _NoOp(value.__name__)
    if isinstance(value, (types.FunctionType, functools.partial)):
        return respelled(value, seen)
    return to_torch(value) if isinstance(value, (Tensor, np.ndarray)) else value


def respelled(function: Any, seen: dict[int, Any] | None = None) -> Callable[..., Any]:
    """The same function over torch."""
    seen = {} if seen is None else seen
    if id(function) in seen:
        return seen[id(function)]
    if isinstance(function, functools.partial):
        inner = respelled(function.func, seen)
        return functools.partial(inner, *to_torch(function.args), **{k: to_torch(v) for k, v in function.keywords.items()})
    if not isinstance(function, types.FunctionType):
        raise OursAlone(repr(function))
    if function.__module__.startswith("tinygrad_cnn.ops"):
        return getattr(TorchOps(), function.__name__)
    used = _names_in(function.__code__)
    names = {name: _other(value, seen) for name, value in function.__globals__.items() if name in used}
    cells = tuple(types.CellType(_other(cell.cell_contents, seen)) for cell in function.__closure__ or ())
    defaults = tuple(_other(value, seen) for value in function.__defaults__ or ())
    made = types.FunctionType(
        function.__code__, {**names, "__builtins__": __builtins__}, function.__name__, defaults, cells
    )
    made.__kwdefaults__ = {k: _other(v, seen) for k, v in (function.__kwdefaults__ or {}).items()} or None
    seen[id(function)] = made
    return made


def _names_in(code: types.CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*(_names_in(part) for part in inner))
