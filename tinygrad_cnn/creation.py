"""Making tensors: from data, filled with a value, or drawn at random."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .errors import ArgumentError, DTypeError
from .random import default_generator
from .tensor import Array, Tensor, TensorLike, as_array, get_default_dtype


def tensor(
    data: Any, *, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor with a copy of the data.

    Parameters
    ----------
    data : array_like
        Numbers, nested lists, arrays, tensors (whose history is left behind). Python floats become the default dtype
        (float32), integers int64; arrays keep their dtype.
    dtype : dtype, optional
    device : str, optional
        None or "cpu".
    requires_grad : bool

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    _refuse_other_devices(device)
    return Tensor(np.array(as_array(data, dtype)), requires_grad)


def as_tensor(data: Any, dtype: DTypeLike | None = None) -> Tensor:
    """A tensor that shares the data's memory where it can; a tensor of that dtype as it is."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    return Tensor(as_array(data, dtype))


def from_numpy(array: Array) -> Tensor:
    """A tensor that shares the array's memory."""
    if not isinstance(array, np.ndarray):
        raise ArgumentError(f"from_numpy expects an ndarray, got {type(array).__name__}: use tensor(data)")
    return Tensor(array)


def _refuse_other_devices(device: str | None) -> None:
    if device not in (None, "cpu"):
        raise ArgumentError(f"device {device!r} is not available, tensors live on the CPU: use 'cpu' or leave it out")


def _shape(size: tuple[Any, ...]) -> tuple[int, ...]:
    if len(size) == 1 and isinstance(size[0], Sequence):
        return tuple(size[0])
    return size


def zeros(
    *size: Any, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of a shape."""
    _refuse_other_devices(device)
    return Tensor(np.zeros(_shape(size), dtype or get_default_dtype()), requires_grad)


def ones(*size: Any, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Ones of a shape."""
    _refuse_other_devices(device)
    return Tensor(np.ones(_shape(size), dtype or get_default_dtype()), requires_grad)


def empty(
    *size: Any, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor whose values are whatever was in memory."""
    _refuse_other_devices(device)
    return Tensor(np.empty(_shape(size), dtype or get_default_dtype()), requires_grad)


def full(
    size: Sequence[int], fill_value: float, *, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """One value in every element."""
    kind = dtype or (get_default_dtype() if isinstance(fill_value, float) else None)
    return Tensor(np.full(tuple(size), fill_value, kind), requires_grad)


def eye(n: int, m: int | None = None, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """The identity matrix, or a rectangle with ones on its diagonal."""
    return Tensor(np.eye(n, m, dtype=dtype or get_default_dtype()), requires_grad)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """``start, start + step, ...`` up to but without `end`; with one argument, from 0 up to it.

    Raises
    ------
    ArgumentError
        For a step of 0.
    """
    first, last = (0, start) if end is None else (start, end)
    if step == 0:
        raise ArgumentError(f"arange({first}, {last}, {step}): a step of 0 never arrives; give another")
    floats = any(isinstance(number, float) for number in (first, last, step))
    # NumPy multiplies the step after rounding it to the dtype: in float32 the last numbers would be off by 1e-5.
    numbers = np.arange(first, last, step, dtype=np.float64 if floats else None)
    return Tensor(numbers.astype(dtype or (get_default_dtype() if floats else numbers.dtype)), requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers at equal distances, both ends included."""
    return Tensor(np.linspace(start, end, steps, dtype=dtype or get_default_dtype()), requires_grad)


def zeros_like(input: TensorLike, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the shape and dtype of another tensor."""
    return Tensor(np.zeros_like(as_array(input), dtype=dtype), requires_grad)


def ones_like(input: TensorLike, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape and dtype of another tensor."""
    return Tensor(np.ones_like(as_array(input), dtype=dtype), requires_grad)


def full_like(
    input: TensorLike, fill_value: float, *, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """One value in the shape and dtype of another tensor."""
    return Tensor(np.full_like(as_array(input), fill_value, dtype=dtype), requires_grad)


def _drawn(
    draw: Any, size: tuple[int, ...], dtype: DTypeLike | None, generator: np.random.Generator | None
) -> Array:
    """Float draws, made directly in the dtype where NumPy can."""
    kind = np.dtype(dtype or get_default_dtype())
    if kind.kind != "f":
        raise DTypeError(f"random draws are floating-point numbers, dtype {kind} cannot hold them: use randint")
    direct = kind if kind in (np.float32, np.float64) else np.dtype(np.float64)
    return np.asarray(draw(generator or default_generator())(size, dtype=direct), kind)


def rand(
    *size: Any,
    dtype: DTypeLike | None = None,
    generator: np.random.Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform over [0, 1) (in float16, whose numbers are coarse, 1 can come up)."""
    return Tensor(_drawn(lambda g: g.random, _shape(size), dtype, generator), requires_grad)


def randn(
    *size: Any,
    dtype: DTypeLike | None = None,
    generator: np.random.Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal with mean 0 and variance 1."""
    return Tensor(_drawn(lambda g: g.standard_normal, _shape(size), dtype, generator), requires_grad)


def randint(
    low: int,
    high: int | Sequence[int] | None = None,
    size: Sequence[int] | None = None,
    *,
    dtype: DTypeLike = np.int64,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Integers from `low` up to but without `high`: ``randint(high, size)`` or ``randint(low, high, size)``."""
    if isinstance(high, Sequence) and size is None:
        return randint(0, low, high, dtype=dtype, generator=generator)
    if high is None and size is not None:
        return randint(0, low, size, dtype=dtype, generator=generator)
    if size is None or high is None or isinstance(high, Sequence) or low >= high:
        raise ArgumentError(
            f"randint({low}, {high}, {size}): call it as randint(high, size) or randint(low, high, size), with low < high"
        )
    return Tensor((generator or default_generator()).integers(low, high, tuple(size), dtype=np.dtype(dtype)))


def randperm(n: int, *, generator: np.random.Generator | None = None) -> Tensor:
    """The integers from 0 to n - 1 in random order."""
    return Tensor((generator or default_generator()).permutation(n))


def rand_like(input: TensorLike, *, requires_grad: bool = False) -> Tensor:
    """Uniform over [0, 1), in the shape and dtype of another tensor."""
    array = as_array(input)
    return rand(array.shape, dtype=array.dtype, requires_grad=requires_grad)


def randn_like(input: TensorLike, *, requires_grad: bool = False) -> Tensor:
    """Standard normal, in the shape and dtype of another tensor."""
    array = as_array(input)
    return randn(array.shape, dtype=array.dtype, requires_grad=requires_grad)
