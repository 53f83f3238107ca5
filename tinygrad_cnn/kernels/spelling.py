"""How a user spells the options of a window, and the one form that they are brought into.

PyTorch lets `stride=2` stand for `(2, 2)` and `padding` be an int, a tuple or "same"; this package adds (before, after)
pairs. Whatever was written becomes one int, or one pair, for each spatial axis; what cannot is refused with a message
that names the op, the option, the axis and the value given.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TypeGuard

from tinygrad_cnn.errors import ArgumentError, ShapeError

Sizes = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
PerAxis = int | Sequence[int]
"""One number for each spatial axis: an int for all of them, or a tuple."""
Padding = int | str | Sequence[int | Sequence[int]]
"""An int, one int for each axis, (before, after) pairs, "valid" or "same"."""

_AXES = ("depth", "height", "width")


def axis_names(dims: int) -> tuple[str, ...]:
    """Give the names of `dims` spatial axes: ("width",), ("height", "width") or ("depth", "height", "width")."""
    return _AXES[-dims:]


def reach(kernel: int, dilation: int) -> int:
    """Count the input positions from the first tap of a window to its last, both included."""
    return dilation * (kernel - 1) + 1


def spatial_axes(op: str, shape: Sequence[int]) -> int:
    """Count the spatial axes of an input of shape (n, c, *spatial)."""
    dims = len(shape) - 2
    if not 1 <= dims <= 3:
        raise ShapeError(
            f"{op}: input must have shape (n, c, *spatial) with 1, 2 or 3 spatial axes; got {len(shape)} axes in "
            f"shape {tuple(shape)}"
        )
    return dims


def integer(op: str, what: str, value: object, at_least: int) -> int:
    """Take an int, or what says that it is one (a NumPy integer), from the smallest that makes sense."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # whatever a user passed: that is what is checked
    except TypeError:
        raise ArgumentError(f"{op}: {what} must be an int; got {value!r}") from None
    if number < at_least:
        raise ArgumentError(f"{op}: {what} must be at least {at_least}; got {number}")
    return number


def _is_spelled_out(value: object, dims: int, at_least: int) -> TypeGuard[Sizes]:
    """Whether it is what a layer keeps and passes at every call, one good int for each axis: nothing to parse then."""
    if type(value) is not tuple or len(value) != dims:
        return False
    return all(type(number) is int and number >= at_least for number in value)


def per_axis(op: str, what: str, value: PerAxis, dims: int, at_least: int) -> Sizes:
    """Spell one number for each axis, from one for all or one each."""
    if _is_spelled_out(value, dims, at_least):
        return value
    if not isinstance(value, (tuple, list)):
        return (integer(op, what, value, at_least),) * dims
    if len(value) != dims:
        raise ArgumentError(
            f"{op}: {what} must be an int or have one number for each of the {dims} spatial axes "
            f"({', '.join(axis_names(dims))}); got {value!r}"
        )
    return tuple(
        integer(op, f"{what} along the {name}", number, at_least) for name, number in zip(axis_names(dims), value, strict=True)
    )


def padding_pairs(op: str, value: Padding, in_size: Sequence[int], kernel_size: Sizes, stride: Sizes, dilation: Sizes) -> Pairs:
    """Spell padding as a (before, after) pair for each axis."""
    dims = len(kernel_size)
    if _is_spelled_out(value, dims, 0):
        return tuple((both, both) for both in value)
    if value == "valid":
        return ((0, 0),) * dims
    if value == "same":
        return tuple(_same_padding(*axis) for axis in zip(in_size, kernel_size, stride, dilation, strict=True))
    if isinstance(value, str):
        raise ArgumentError(f'{op}: padding must be numbers, "valid" or "same"; got {value!r}')
    each = value if isinstance(value, (tuple, list)) else (value,) * dims
    if len(each) != dims:
        raise ArgumentError(
            f"{op}: padding must be an int, or have an int or a (before, after) pair for each of the {dims} spatial "
            f"axes ({', '.join(axis_names(dims))}); got {value!r}"
        )
    return tuple(_pair(op, f"padding along the {name}", one) for name, one in zip(axis_names(dims), each, strict=True))


def _pair(op: str, what: str, value: object) -> tuple[int, int]:
    if not isinstance(value, (tuple, list)):
        both = integer(op, what, value, at_least=0)
        return both, both
    if len(value) != 2:
        raise ArgumentError(f"{op}: {what} must be an int or a (before, after) pair; got {value!r}")
    before, after = value
    return integer(op, what, before, at_least=0), integer(op, what, after, at_least=0)


def _same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Pad so that out = ceil(in / stride); an odd total gives its extra one to the far side."""
    out = -(-size // stride)
    total = max((out - 1) * stride + reach(kernel, dilation) - size, 0)
    return total // 2, total - total // 2
