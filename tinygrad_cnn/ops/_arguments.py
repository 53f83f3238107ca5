"""Making sense of what users pass: operands, dimensions, and NumPy's names for PyTorch's arguments."""

import functools
import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..tensor import Dims, Tensor, TensorLike, as_array, get_default_dtype

P = ParamSpec("P")
R = TypeVar("R")

_TORCH_NAME = {"axis": "dim", "keepdims": "keepdim"}


def accepts_numpy_names(function: Callable[P, R]) -> Callable[..., R]:
    """Let an op take ``axis`` and ``keepdims`` for ``dim`` and ``keepdim``."""

    places = {name: place for place, name in enumerate(inspect.signature(function).parameters)}

    def renamed(args: tuple[Any, ...], kwargs: dict[str, Any], numpy_name: str, torch_name: str) -> tuple[Any, ...]:
        """Put the value where the op looks for it: the tensor's methods pass their defaults by position."""
        place = places.get(torch_name, len(args))
        by_position = place < len(args)
        given = args[place] if by_position else kwargs.get(torch_name)
        if given is not None and given is not False:
            raise ArgumentError(f"{function.__name__}() was given both {torch_name} and {numpy_name}: give one")
        value = kwargs.pop(numpy_name)
        if by_position:
            return (*args[:place], value, *args[place + 1 :])
        kwargs[torch_name] = value
        return args

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> R:
        if kwargs:
            for numpy_name, torch_name in _TORCH_NAME.items():
                if numpy_name in kwargs:
                    args = renamed(args, kwargs, numpy_name, torch_name)
        return function(*args, **kwargs)

    return wrapped


def as_tensor(value: TensorLike) -> Tensor:
    """A tensor as it is, anything else wrapped; an array is not copied, so leave it alone until the backward pass."""
    return value if isinstance(value, Tensor) else Tensor(value)


def own(y: Tensor) -> Tensor:
    """A view of a temporary tensor of ours: nobody else sees its memory, so it may be written as if it were no view."""
    y._is_view = False
    return y


def as_float(value: TensorLike) -> Tensor:
    """A floating-point tensor: integers and booleans become the default dtype, as in PyTorch."""
    x = as_tensor(value)
    return x if x.array.dtype.kind == "f" else x.to(get_default_dtype())


def operands(a: TensorLike, b: TensorLike) -> tuple[Tensor, Tensor]:
    """Two tensors of one dtype, by PyTorch's promotion rules.

    A Python number (or a NumPy scalar) takes the other's dtype where its kind allows; so does a 0-dimensional tensor
    next to one with dimensions; a float beside an integer tensor keeps the float's dtype. So float32 stays float32.
    """
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.array.dtype == b.array.dtype:
            return a, b
        dtype = _promoted(a.array, b.array)
        return a.to(dtype), b.to(dtype)
    if isinstance(a, Tensor):
        return _with_other(a, b)
    if isinstance(b, Tensor):
        x, y = _with_other(b, a)
        return y, x
    return operands(Tensor(a), Tensor(b))


def _with_other(x: Tensor, other: Any) -> tuple[Tensor, Tensor]:
    """`x` beside something that is not a tensor yet."""
    if isinstance(other, (bool, int, float, np.generic)):
        dtype = x.array.dtype
        if dtype.kind == "f":
            return x, Tensor(np.asarray(other, dtype))
        if dtype.kind in "iu" and isinstance(other, (int, np.integer, np.bool_)):
            return x, Tensor(_integer_as(other, dtype))
        if dtype.kind == "b" and isinstance(other, (bool, np.bool_)):
            return x, Tensor(np.asarray(other))
        wider = get_default_dtype() if isinstance(other, (float, np.floating)) else np.dtype(np.int64)
        return x.to(wider), Tensor(np.asarray(other, wider))
    if other is None or isinstance(other, (str, bytes, dict)):
        raise DTypeError(f"expected a tensor, an array or a number beside a tensor, got {type(other).__name__}")
    return operands(x, Tensor(as_array(other)))


def _integer_as(number: Any, dtype: np.dtype[Any]) -> Any:
    try:
        return np.asarray(number, dtype)
    except OverflowError:
        raise DTypeError(f"{number} does not fit the {dtype} tensor beside it: use .long() or .float() on that first") from None


def _promoted(a: Any, b: Any) -> np.dtype[Any]:
    a_floats, b_floats = a.dtype.kind == "f", b.dtype.kind == "f"
    if a_floats != b_floats:
        return a.dtype if a_floats else b.dtype
    if (a.ndim == 0) != (b.ndim == 0) and (a.dtype.kind == "b") == (b.dtype.kind == "b"):
        return b.dtype if a.ndim == 0 else a.dtype
    return np.result_type(a.dtype, b.dtype)


def one_dim(op: str, dim: int, ndim: int) -> int:
    """A dimension counted from the front; a number (no dimensions) is taken as a vector of one."""
    if dim.__class__ is int and -ndim <= dim < ndim:
        return dim % ndim
    try:
        dim = operator.index(dim)
    except TypeError:
        raise DTypeError(f"{op}: a dimension is an integer, got {dim!r}") from None
    among = max(ndim, 1)
    if not -among <= dim < among:
        raise ShapeError(f"{op}: dim {dim} does not exist in a tensor of {ndim} dimensions (valid: {-among} to {among - 1})")
    return dim % among


def all_dims(op: str, dim: Dims, ndim: int) -> tuple[int, ...]:
    """The dimensions asked for, counted from the front; None and () are all of them."""
    if dim is None:
        return tuple(range(ndim))
    dims = tuple(one_dim(op, d, ndim) for d in dim) if isinstance(dim, Sequence) else (one_dim(op, dim, ndim),)
    if len(set(dims)) != len(dims):
        raise ShapeError(f"{op}: a dimension appears twice in dim={dim}")
    return dims if dims and ndim else tuple(range(ndim))


def sizes(op: str, shape: tuple[Any, ...]) -> tuple[int, ...]:
    """``reshape(2, 3)`` and ``reshape((2, 3))`` alike."""
    if len(shape) == 1 and isinstance(shape[0], Sequence):
        shape = tuple(shape[0])
    try:
        return tuple(map(operator.index, shape))
    except TypeError:
        raise DTypeError(f"{op}: sizes are integers, got {shape}") from None


def broadcast_shape(op: str, a: Tensor, b: Tensor) -> None:
    """Raise a message with the clashing dimension if two shapes do not broadcast."""
    for i in range(1, min(a.ndim, b.ndim) + 1):
        m, n = a.shape[-i], b.shape[-i]
        if m != n and m != 1 and n != 1:
            raise ShapeError(
                f"{op}: shapes {a.shape} and {b.shape} do not broadcast: in dimension {-i} they have {m} and {n} "
                "(they must be equal, or one of them 1)"
            )
