"""Ops that move elements about and compute nothing.

They come in adjoint pairs, each the other's backward: expand and sum, index and scatter, concatenate and slice. A
permutation's backward is the inverse permutation, a reshape's the former shape.

Reshape, permute, expand and basic indexing return views where NumPy does: they share the storage and its version.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..autograd.function import Array, Function
from ..errors import ArgumentError, DTypeError, ShapeError
from ..tensor import Dims, Tensor, TensorLike, as_array
from ._arguments import accepts_numpy_names, all_dims, as_tensor, one_dim, operands, own, sizes


class Reshape(Function):
    """The same elements in the same order, in another shape.

    Gradient
        gx = gy, in the shape of x
    Saves
        nothing
    """

    to_shape: tuple[int, ...]
    is_view = True

    def forward(self, x: Array) -> Array:
        return x.reshape(self.to_shape)

    def backward(self, gy: Tensor) -> Any:
        return gy.reshape(self.input_shapes[0])

    def backward_kernel(self, gy: Array) -> Any:
        return gy.reshape(self.input_shapes[0])


class Permute(Function):
    """The dimensions in another order, y.shape[i] = x.shape[dims[i]].

    Gradient
        gx = gy, permuted back
    Saves
        nothing
    """

    dims: tuple[int, ...]
    is_view = True

    def forward(self, x: Array) -> Array:
        return x.transpose(self.dims)

    def backward(self, gy: Tensor) -> Any:
        inverse = sorted(range(len(self.dims)), key=self.dims.__getitem__)
        return gy.permute(inverse)


class Expand(Function):
    """Repetition along new dimensions and along those of size 1.

    Gradient
        gx = gy, summed over the repetitions
    Saves
        nothing
    """

    to_shape: tuple[int, ...]
    is_view = True

    def forward(self, x: Array) -> Array:
        return np.broadcast_to(x, self.to_shape)

    def backward(self, gy: Tensor) -> Any:
        from .reduce import sum_to

        return sum_to(gy, self.input_shapes[0])


class GetItem(Function):
    """Indexing, y = x[index]: slices, integers, None, integer arrays, boolean masks.

    Gradient
        gx = zeros with gy added at the index
    Saves
        nothing (the index is a parameter)
    """

    index: Any
    is_view = True

    def forward(self, x: Array) -> Array:
        y = x[self.index]
        if isinstance(y, np.ndarray):
            return y
        # An integer for every dimension: NumPy answers with a number, and with an Ellipsis added with a view of it.
        return x[(*self.index, ...) if isinstance(self.index, tuple) else (self.index, ...)]

    def backward(self, gy: Tensor) -> Any:
        return PutItem.apply(gy, index=self.index, to_shape=self.input_shapes[0])


class PutItem(Function):
    """Zeros of shape `to_shape` with x added at the index; an element that the index names twice gets both.

    Gradient
        gx = gy[index]
    Saves
        nothing
    """

    index: Any
    to_shape: tuple[int, ...]

    def forward(self, x: Array) -> Array:
        y = np.zeros(self.to_shape, x.dtype)
        if _may_repeat(self.index):
            np.add.at(y, self.index, x)
        else:
            y[self.index] = x
        return y

    def backward(self, gy: Tensor) -> Any:
        return GetItem.apply(gy, index=self.index)


class SetItem(Function):
    """Assignment in place, x[index] = value; the output is x itself, changed.

    Gradient
        gx = gy, with zeros at the index; gvalue = gy[index], and 0 for what a repeated index overwrote
    Saves
        nothing
    """

    index: Any
    is_view = True

    def forward(self, x: Array, value: Array) -> Array:
        x[self.index] = value
        return x

    def backward(self, gy: Tensor) -> Any:
        from .reduce import sum_to

        gx = gvalue = None
        if self.needs_input_grad[0]:
            written = np.zeros(self.shape, bool)
            written[self.index] = True
            gx = gy.masked_fill(written, 0.0)
        if self.needs_input_grad[1]:
            gvalue = GetItem.apply(gy, index=self.index)
            if _may_repeat(self.index):
                gvalue = gvalue.masked_fill(self._overwritten(), 0.0)
            gvalue = sum_to(gvalue, self.input_shapes[1])
        return gx, gvalue

    def _overwritten(self) -> Array:
        """Where a written value is no longer there afterwards, because a later one replaced it."""
        number = np.zeros(self.shape, np.int64)
        written = np.arange(number[self.index].size).reshape(number[self.index].shape)
        number[self.index] = written
        return np.asarray(number[self.index] != written)


class Cat(Function):
    """Tensors one after the other along a dimension.

    Gradient
        to each input, its own slice of gy
    Saves
        nothing
    """

    dim: int

    def forward(self, *inputs: Array) -> Array:
        return np.concatenate(inputs, axis=self.dim)

    def backward(self, gy: Tensor) -> Any:
        gradients, start = [], 0
        for shape, needed in zip(self.input_shapes, self.needs_input_grad, strict=True):
            stop = start + shape[self.dim]
            gradients.append(_slice(gy, self.dim, start, stop) if needed else None)
            start = stop
        return tuple(gradients)


class Flip(Function):
    """Elements in reverse order along dimensions.

    Gradient
        gx = gy, flipped along the same dimensions
    Saves
        nothing
    """

    dims: tuple[int, ...]

    def forward(self, x: Array) -> Array:
        return np.flip(x, self.dims).copy()

    def backward(self, gy: Tensor) -> Any:
        return gy.flip(self.dims)


class Pad(Function):
    """A border of a constant value, `padding` (before, after) for each dimension.

    Gradient
        gx = gy without the border
    Saves
        nothing
    """

    padding: tuple[tuple[int, int], ...]
    value: float

    def forward(self, x: Array) -> Array:
        return np.pad(x, self.padding, constant_values=self.value)

    def backward(self, gy: Tensor) -> Any:
        shape = self.input_shapes[0]
        return gy[tuple(slice(before, before + n) for (before, _), n in zip(self.padding, shape, strict=True))]


def _may_repeat(index: Any) -> bool:
    """Whether an index can name an element twice: only integer arrays can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, np.ndarray) and part.dtype != bool for part in parts)


def _slice(x: Tensor, dim: int, start: int, stop: int) -> Tensor:
    return x[(slice(None),) * dim + (slice(start, stop),)]


def plain_index(index: Any, shape: tuple[int, ...]) -> Any:
    """An index of integers, slices, None, Ellipsis and arrays, which NumPy reads as PyTorch reads the original.

    The arrays are copies: the backward pass has to find them as they were.
    """
    if type(index) is int or type(index) is slice:
        return index
    parts = tuple([_plain_part(part) for part in index]) if isinstance(index, tuple) else (_plain_part(index),)
    if len(parts) > 2 and sum(_spans(part) for part in parts) == len(shape):
        parts = tuple([part for part in parts if part is not ...])  # it stands for no dimension: it parts nothing
    chosen = [i for i, part in enumerate(parts) if isinstance(part, (int, np.ndarray))]
    apart = chosen and chosen[-1] - chosen[0] >= len(chosen)
    if apart and any(type(part) is int for part in parts) and any(type(parts[i]) is not int for i in chosen):
        return _integers_first(parts, shape)
    return parts if isinstance(index, tuple) else parts[0]


def _plain_part(part: Any) -> Any:
    if isinstance(part, (list, tuple, range)):
        return as_array(list(part)) if len(part) else np.zeros(0, np.int64)
    if isinstance(part, Tensor):
        part = part.array
    if isinstance(part, (np.ndarray, np.generic)):
        return part.item() if part.ndim == 0 and part.dtype.kind in "iu" else np.array(part)
    return part


def _spans(part: Any) -> int:
    """How many dimensions a part of an index is about."""
    if isinstance(part, np.ndarray):
        return part.ndim if part.dtype == bool else 1
    return int(type(part) is int or isinstance(part, slice))


def _integers_first(parts: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Array, ...]:
    """An index of arrays alone for one that mixes integers with arrays and has a slice, None or Ellipsis between.

    Of ``x[0, :, [1, 2]]`` PyTorch first takes ``x[0]`` and then ``[:, [1, 2]]``, shape (n, 2). To NumPy the 0 is an array
    as well, arrays apart from each other put their dimensions first, and the result would have shape (2, n).
    """
    basic: list[Any] = []
    advanced: list[Any] = []
    for part in parts:
        if isinstance(part, np.ndarray):
            basic += [slice(None)] * _spans(part)
            advanced.append(part)
        elif type(part) is bool:
            advanced.append(part)
        else:
            basic.append(part)
            if type(part) is not int:
                advanced.append(... if part is ... else slice(None))
    positions = np.ogrid[tuple(slice(n) for n in shape)]
    return tuple(np.broadcast_to(along, shape)[tuple(basic)][tuple(advanced)] for along in positions)


# The functions that users call ----------------------------------------------------------------------------------------


def reshape(input: TensorLike, *shape: Any) -> Tensor:
    """The same elements in another shape; one size may be -1 and is inferred.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.reshape(tg.arange(6), 2, -1).shape
    (2, 3)
    """
    x, to_shape = as_tensor(input), sizes("reshape", shape)
    if to_shape == x.array.shape:
        return Reshape.apply(x, to_shape=to_shape)
    if -1 in to_shape:
        known = math.prod(size for size in to_shape if size != -1)
        if to_shape.count(-1) > 1 or known == 0 or x.numel() % known:
            raise ShapeError(
                f"reshape: {x.shape} has {x.numel()} elements, which do not fill {to_shape}: exactly one size may be -1, "
                f"and the others ({known} elements) must divide {x.numel()}"
            )
        to_shape = tuple(x.numel() // known if size == -1 else size for size in to_shape)
    if math.prod(to_shape) != x.numel() or min(to_shape, default=0) < 0:
        raise ShapeError(
            f"reshape: {x.shape} has {x.numel()} elements, but {to_shape} has {math.prod(to_shape)}; the counts must agree"
        )
    return Reshape.apply(x, to_shape=to_shape)


def flatten(input: TensorLike, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge the dimensions from `start_dim` to `end_dim` (included) into one."""
    x = as_tensor(input)
    first, last = one_dim("flatten", start_dim, x.ndim), one_dim("flatten", end_dim, x.ndim)
    if x.ndim == 0:
        return x.reshape(1)
    if first > last:
        raise ShapeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in a tensor of {x.ndim} dimensions")
    merged = math.prod(x.shape[first : last + 1])
    return reshape(x, x.shape[:first] + (merged,) + x.shape[last + 1 :])


def permute(input: TensorLike, *dims: Any) -> Tensor:
    """The dimensions in another order."""
    x = as_tensor(input)
    order = tuple(one_dim("permute", d, x.ndim) for d in sizes("permute", dims))
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"permute: {sizes('permute', dims)} does not name each of the {x.ndim} dimensions of {x.shape} once")
    return Permute.apply(x, dims=order)


def transpose(input: TensorLike, dim0: int, dim1: int) -> Tensor:
    """Two dimensions swapped."""
    x = as_tensor(input)
    order = list(range(max(x.ndim, 1)))
    i, j = one_dim("transpose", dim0, x.ndim), one_dim("transpose", dim1, x.ndim)
    order[i], order[j] = order[j], order[i]
    return Permute.apply(x, dims=tuple(order[: x.ndim]))


def t(input: TensorLike) -> Tensor:
    """The transpose of a matrix; tensors of fewer dimensions as they are."""
    x = as_tensor(input)
    if x.ndim > 2:
        raise ShapeError(f"t() is for matrices, this tensor has {x.ndim} dimensions: use transpose(dim0, dim1) or .mT")
    return permute(x, *reversed(range(x.ndim)))


@accepts_numpy_names
def squeeze(input: TensorLike, dim: Dims = None) -> Tensor:
    """Without the dimensions of size 1 (all of them, or those named)."""
    x = as_tensor(input)
    dims = _named_dims("squeeze", dim, x.ndim)
    return reshape(x, tuple(n for axis, n in enumerate(x.shape) if axis not in dims or n != 1))


def unsqueeze(input: TensorLike, dim: int) -> Tensor:
    """With a new dimension of size 1 at position `dim`."""
    x = as_tensor(input)
    axis = one_dim("unsqueeze", dim, x.ndim + 1)
    return reshape(x, x.shape[:axis] + (1,) + x.shape[axis:])


def expand(input: TensorLike, *shape: Any) -> Tensor:
    """Repeat along new leading dimensions and along those of size 1, without copying; -1 keeps a size."""
    x, to_shape = as_tensor(input), sizes("expand", shape)
    added = len(to_shape) - x.ndim
    fits = added >= 0 and all(
        new in (-1, old) or (old == 1 and new >= 0) for new, old in zip(to_shape[added:], x.shape, strict=True)
    )
    if not fits or min(to_shape[:added], default=0) < 0:
        raise ShapeError(f"expand: {x.shape} does not expand to {to_shape}: only sizes of 1 can be repeated")
    kept = tuple(x.shape[axis - added] if n == -1 else n for axis, n in enumerate(to_shape))
    return x if kept == x.shape else Expand.apply(x, to_shape=kept)


def broadcast_to(input: TensorLike, shape: Sequence[int]) -> Tensor:
    """`expand`, in NumPy's spelling."""
    return expand(input, tuple(shape))


def repeat(input: TensorLike, *counts: Any) -> Tensor:
    """The whole tensor repeated along each dimension, `counts` times (NumPy's ``tile``)."""
    x, times = as_tensor(input), sizes("repeat", counts)
    if len(times) < x.ndim or min(times, default=0) < 0:
        raise ShapeError(f"repeat: got {times} for a tensor of {x.ndim} dimensions; give one count, 0 or more, for each")
    shape = (1,) * (len(times) - x.ndim) + x.shape
    # (n) -> (1, n) -> (count, n) -> (count * n), for every dimension at once
    split = tuple(size for n in shape for size in (1, n))
    stretched = tuple(size for count, n in zip(times, shape, strict=True) for size in (count, n))
    y = x.reshape(split).expand(stretched).reshape(tuple(c * n for c, n in zip(times, shape, strict=True)))
    # With counts of 1 nothing had to be copied so far, but the result is a tensor of its own.
    return y.clone() if np.may_share_memory(y.array, x.array) else y


def getitem(input: TensorLike, index: Any) -> Tensor:
    """``input[index]``; tensors, arrays and lists may be part of the index.

    As in PyTorch, integers, slices, None and Ellipsis alone give a view. With arrays it is a copy, and integers beside
    them are taken first (NumPy treats them as arrays, which may put dimensions in another order). An array of uint8
    holds positions, as in NumPy; only booleans are masks. Slices may have negative steps.
    """
    x = as_tensor(input)
    return GetItem.apply(x, index=plain_index(index, x.array.shape))


def gather(input: TensorLike, dim: int, index: TensorLike) -> Tensor:
    """Pick along a dimension: for dim 1, ``y[i, j] = input[i, index[i, j]]``.

    Parameters
    ----------
    input : Tensor
    dim : int
    index : Tensor of int64, with as many dimensions as `input`
        The result has its shape. Negative positions count from the end.
    """
    x, positions = as_tensor(input), _positions("gather", index)
    axis = one_dim("gather", dim, x.ndim)
    if positions.ndim != x.ndim:
        raise ShapeError(f"gather: the index has {positions.ndim} dimensions, the input {x.ndim}; they must agree")
    if x.ndim == 0:
        return gather(x.reshape(1), 0, positions.reshape(1)).reshape(())
    grid = list(np.ogrid[tuple(slice(n) for n in positions.shape)])
    grid[axis] = positions
    return GetItem.apply(x, index=tuple(grid))


def index_select(input: TensorLike, dim: int, index: TensorLike) -> Tensor:
    """The slices along `dim` that a vector of positions names; a position may repeat, and count from the end."""
    x, positions = as_tensor(input), _positions("index_select", index)
    if x.ndim == 0 or positions.ndim > 1:
        raise ShapeError(
            f"index_select: needs a vector of positions along a dimension, got an index of shape {positions.shape} for an "
            f"input of shape {x.shape}"
        )
    return GetItem.apply(x, index=(slice(None),) * one_dim("index_select", dim, x.ndim) + (positions.reshape(-1),))


def _positions(name: str, index: TensorLike) -> Array:
    """A copy of an array of positions; booleans would be read as a mask."""
    positions = as_tensor(index).array
    if positions.dtype.kind not in "iu":
        raise DTypeError(f"{name}: the index holds positions and must be of integers, got {positions.dtype}: use .long()")
    return positions.copy()


def cat(tensors: Sequence[TensorLike], dim: int = 0) -> Tensor:
    """Concatenate along an existing dimension.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.cat([tg.ones(1, 2), tg.zeros(2, 2)]).shape
    (3, 2)
    """
    parts = [as_tensor(part) for part in tensors]
    if not parts:
        raise ShapeError("cat: got an empty list of tensors; give at least one")
    if parts[0].ndim == 0:
        raise ShapeError("cat: tensors without dimensions cannot be joined end to end; use stack")
    axis = one_dim("cat", dim, parts[0].ndim)
    for i, part in enumerate(parts[1:], 1):
        others = part.shape[:axis] + part.shape[axis + 1 :]
        if part.ndim != parts[0].ndim or others != parts[0].shape[:axis] + parts[0].shape[axis + 1 :]:
            raise ShapeError(
                f"cat: tensor {i} has shape {part.shape}, tensor 0 has {parts[0].shape}; apart from dimension {dim} "
                "they must agree"
            )
        parts[0], parts[i] = operands(parts[0], part)
    return Cat.apply(*[part.to(parts[0].dtype) for part in parts], dim=axis)


concatenate = cat


def stack(tensors: Sequence[TensorLike], dim: int = 0) -> Tensor:
    """Join along a new dimension."""
    parts = [as_tensor(part) for part in tensors]
    for i, part in enumerate(parts):
        if part.shape != parts[0].shape:
            raise ShapeError(f"stack: tensor {i} has shape {part.shape}, tensor 0 has {parts[0].shape}; they must agree")
    return cat([unsqueeze(part, dim) for part in parts], dim)


def split(input: TensorLike, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces of `split_size` along a dimension (the last may be smaller), or of the sizes listed."""
    x = as_tensor(input)
    axis, n = _length("split", x, dim)
    if not isinstance(split_size, Sequence):
        if split_size <= 0:
            raise ArgumentError(f"split: the size of a piece must be positive, got {split_size}")
        starts = list(range(0, n, split_size)) or [0]
        return tuple(_slice(x, axis, start, start + split_size) for start in starts)
    if sum(split_size) != n or min(split_size, default=0) < 0:
        raise ShapeError(
            f"split: the sizes {list(split_size)} add up to {sum(split_size)}; they must not be negative, and dimension {dim} "
            f"has {n}"
        )
    ends = np.cumsum(split_size).tolist()
    return tuple(_slice(x, axis, end - size, end) for end, size in zip(ends, split_size, strict=True))


def chunk(input: TensorLike, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` pieces of equal size along a dimension (the last may be smaller)."""
    x = as_tensor(input)
    if chunks <= 0:
        raise ArgumentError(f"chunk: the number of pieces must be positive, got {chunks}")
    _, n = _length("chunk", x, dim)
    return split(x, -(-n // chunks), dim) if n else split(x, [0] * chunks, dim)


def unbind(input: TensorLike, dim: int = 0) -> tuple[Tensor, ...]:
    """All slices along a dimension, which they lose."""
    x = as_tensor(input)
    axis, n = _length("unbind", x, dim)
    return tuple(x[(slice(None),) * axis + (i,)] for i in range(n))


def _length(name: str, x: Tensor, dim: int) -> tuple[int, int]:
    """A dimension counted from the front, and its size."""
    if x.ndim == 0:
        raise ShapeError(f"{name}: a tensor without dimensions cannot be cut into pieces")
    axis = one_dim(name, dim, x.ndim)
    return axis, x.shape[axis]


@accepts_numpy_names
def flip(input: TensorLike, *dims: Any, dim: Dims = None) -> Tensor:
    """Reverse the order along dimensions (all of them, in NumPy's way, if none is named)."""
    x = as_tensor(input)
    return Flip.apply(x, dims=_named_dims("flip", sizes("flip", dims) if dims else dim, x.ndim))


def _named_dims(name: str, dim: Dims, ndim: int) -> tuple[int, ...]:
    """As `all_dims`, but () is none: what is done to the other dimensions is nothing."""
    return () if isinstance(dim, Sequence) and len(dim) == 0 else all_dims(name, dim, ndim)


def roll(input: TensorLike, shifts: int | Sequence[int], dims: Dims = None) -> Tensor:
    """Shift along dimensions; what leaves at one end comes in at the other.

    Without `dims` the flattened tensor is shifted.
    """
    x = as_tensor(input)
    if dims is None:
        return own(roll(x.reshape(-1), shifts, 0).reshape(x.shape))
    steps = list(shifts) if isinstance(shifts, Sequence) else [shifts]
    axes = [one_dim("roll", d, x.ndim) for d in (dims if isinstance(dims, Sequence) else (dims,)) if x.ndim]
    if len(steps) != len(axes):
        raise ArgumentError(f"roll: {len(steps)} shifts for {len(axes)} dimensions; give one for each")
    for step, axis in zip(steps, axes, strict=True):
        n = x.shape[axis]
        cut = n - step % n if n else 0
        x = cat([_slice(x, axis, cut, n), _slice(x, axis, 0, cut)], axis)
    return x


def pad(input: TensorLike, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Pad the last dimensions.

    Parameters
    ----------
    input : Tensor
    pad : sequence of int
        (before, after) of the *last* dimension, then of the one before it, and so on: (left, right, top, bottom).
        Negative numbers crop, before the rest is padded.
    mode : {"constant", "reflect", "replicate", "circular"}
        What fills the border: a constant; the inside mirrored at the edge element, which is not repeated; the edge
        element; or the other end.
    value : float, optional
        The constant, 0 by default.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.pad(tg.tensor([1.0, 2.0, 3.0]), (2, 1), mode="reflect")
    tensor([3., 2., 1., 2., 3., 2.])
    """
    x = as_tensor(input)
    if len(pad) % 2 or len(pad) > 2 * x.ndim:
        raise ArgumentError(
            f"pad: got {len(pad)} numbers for a tensor of {x.ndim} dimensions; give (before, after) pairs, last dimension "
            "first"
        )
    if mode not in _PAD_MODES:
        raise ArgumentError(f"pad: unknown mode {mode!r}; choose constant, reflect, replicate or circular")
    if mode != "constant" and value is not None:
        raise ArgumentError(f"pad: value={value} goes with mode='constant' only, the mode is {mode!r}")
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2) + [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    y = x
    for axis, (before, after) in enumerate(pairs):
        y = _cropped(y, axis, max(-before, 0), max(-after, 0))
    border = tuple((max(before, 0), max(after, 0)) for before, after in pairs)
    if mode == "constant" and x.ndim:
        return Pad.apply(y, padding=border, value=0.0 if value is None else value)
    for axis, (before, after) in enumerate(border):
        if before or after:
            y = index_select(y, axis, Tensor(_border_index(mode, y.shape[axis], before, after)))
    return y.clone() if np.may_share_memory(y.array, x.array) else y


_PAD_MODES = ("constant", "reflect", "replicate", "circular")


def _cropped(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    if before == after == 0:
        return x
    if before + after > x.shape[axis]:
        raise ShapeError(f"pad: cropping {before} and {after} leaves less than nothing of size {x.shape[axis]}")
    return _slice(x, axis, before, x.shape[axis] - after)


def _border_index(mode: str, n: int, before: int, after: int) -> Array:
    """Which element of a dimension of size n stands at each place of the padded one."""
    most = {"reflect": n - 1, "replicate": max(before, after) if n else 0, "circular": n}[mode]
    if max(before, after) > most:
        raise ShapeError(
            f"pad: {mode} padding of ({before}, {after}) needs more than the dimension of size {n} has: at most {most}"
        )
    i = np.arange(-before, n + after)
    if mode == "circular":
        return i % n
    if mode == "replicate":
        return np.clip(i, 0, n - 1)
    i = np.abs(i)
    return np.where(i >= n, 2 * (n - 1) - i, i)


def to(
    input: Tensor, *args: Any, dtype: DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """Another dtype: ``x.to(np.float64)``, ``x.to("float64")``, ``x.to(other_tensor)``; the device is always "cpu".

    A tensor that has the dtype is returned itself. No gradient flows through integers and booleans.
    """
    if len(args) == 1 and args[0] is input.array.dtype and dtype is None and device is None:
        return input  # how ops ask for the dtype of another input

    from .elementwise import Cast

    for arg in args:
        if isinstance(arg, Tensor):
            dtype = arg.dtype
        elif arg == "cpu" or (isinstance(arg, str) and arg.split(":")[0] in ("cuda", "mps", "gpu")):
            device = arg
        else:
            dtype = arg
    if device not in (None, "cpu"):
        raise ArgumentError(f"to: device {device!r} is not available, tensors live on the CPU: use 'cpu'")
    target = input.dtype if dtype is None else np.dtype(dtype)
    if target == input.dtype:
        return input
    return Cast.apply(input if target.kind == "f" else input.detach(), to_dtype=target)
