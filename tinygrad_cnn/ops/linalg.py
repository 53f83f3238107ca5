"""Matrix products: matmul, the linear layer, einsum.

The gradient of a product is again a product, with one factor replaced by gy and the other transposed, so these ops are
their own backward.
"""

import re
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..autograd.function import Array, Function
from ..errors import ArgumentError, ShapeError
from ..kernels import products
from ..tensor import Tensor, TensorLike
from ._arguments import as_tensor, operands, own
from .reduce import sum_to


class MatMul(Function):
    """Product of matrices, or of stacks of matrices that broadcast, y = a b.

    Gradient
        ga = gy b', gb = a' gy
    Saves
        a where b needs a gradient, b where a does
    """

    def forward(self, a: Array, b: Array) -> Array:
        self.save_for_backward(a if self.needs_input_grad[1] else None, b if self.needs_input_grad[0] else None)
        return np.matmul(a, b)

    def backward(self, gy: Tensor) -> Any:
        a, b = self.saved
        ga = sum_to(gy @ b.mT, self.input_shapes[0]) if self.needs_input_grad[0] else None
        gb = sum_to(a.mT @ gy, self.input_shapes[1]) if self.needs_input_grad[1] else None
        return ga, gb


class Linear(Function):
    """The fully connected layer on rows, y = x weight' + bias, with x (n, in), weight (out, in), bias (out).

    Gradient
        gx = gy weight, gweight = gy' x, gbias = sum of gy over n
    Saves
        x where weight needs a gradient, weight where x does
    """

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        self.save_for_backward(
            x if self.needs_input_grad[1] else None, weight if self.needs_input_grad[0] else None
        )
        y = products.matmul(x, weight.T)
        if bias is not None:
            y += bias
        return y

    def backward(self, gy: Tensor) -> Any:
        x, weight = self.saved
        gx = gy @ weight if self.needs_input_grad[0] else None
        gweight = gy.T @ x if self.needs_input_grad[1] else None
        return (gx, gweight, gy.sum(0))[: len(self.edges)]

    def backward_kernel(self, gy: Array) -> Any:
        x, weight = self.saved_arrays
        gx = products.matmul(gy, weight) if self.needs_input_grad[0] else None
        gweight = products.matmul(gy.T, x) if self.needs_input_grad[1] else None
        return (gx, gweight, kernels.channel_sum(gy))[: len(self.edges)]


class Einsum(Function):
    """Einstein's summation: multiply along equal letters, sum over those that the output lacks.

    No letter appears twice in one operand (`einsum` takes diagonals first), and the output's letters are distinct. Of a
    single operand whose letters are only put in another order, NumPy returns a view.

    Gradient
        each operand's is the einsum of gy and the other operands, expanded along the letters that only it has
    Saves
        the operands
    """

    operands: tuple[str, ...]
    result: str
    is_view = True

    def forward(self, *inputs: Array) -> Array:
        self.save_for_backward(*inputs)
        equation = f"{','.join(self.operands)}->{self.result}"
        return np.asarray(np.einsum(equation, *inputs, optimize=len(inputs) > 1))

    def backward(self, gy: Tensor) -> Any:
        inputs = self.saved
        return tuple(
            self._gradient_of(i, gy, inputs) if needed else None for i, needed in enumerate(self.needs_input_grad)
        )

    def _gradient_of(self, i: int, gy: Tensor, inputs: Sequence[Tensor]) -> Tensor:
        letters, shape = self.operands[i], self.input_shapes[i]
        others = [j for j in range(len(inputs)) if j != i]
        known = set(self.result).union(*(self.operands[j] for j in others))
        reached = "".join(letter for letter in letters if letter in known)
        gradient = Einsum.apply(
            gy, *(inputs[j] for j in others), operands=(self.result, *(self.operands[j] for j in others)), result=reached
        )
        # A letter that no other operand and not the output has was summed over: every position gets the same gradient.
        kept = tuple(n if letter in known else 1 for letter, n in zip(letters, shape, strict=True))
        return gradient.reshape(kept).expand(shape)


# The functions that users call ----------------------------------------------------------------------------------------


def matmul(input: TensorLike, other: TensorLike) -> Tensor:
    """Matrix product; vectors count as a row on the left and a column on the right, leading dimensions broadcast.

    Two dtypes are promoted as in arithmetic (PyTorch refuses them).

    Parameters
    ----------
    input : Tensor, shape (..., n, k) or (k,)
    other : Tensor, shape (..., k, m) or (k,)

    Returns
    -------
    Tensor, shape (..., n, m), without the dimension that a vector lacks

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.matmul(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), tg.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    a, b = operands(input, other)
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(f"matmul: needs vectors or matrices, got shapes {a.shape} and {b.shape}; use * for numbers")
    k, rows = a.shape[-1], b.shape[-2 if b.ndim > 1 else 0]
    if k != rows:
        raise ShapeError(
            f"matmul: {a.shape} @ {b.shape}: the left has {k} columns and the right {rows} rows; they must agree"
        )
    left = a.unsqueeze(0) if a.ndim == 1 else a
    right = b.unsqueeze(1) if b.ndim == 1 else b
    try:
        np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    except ValueError:
        raise ShapeError(f"matmul: the leading dimensions of {a.shape} and {b.shape} do not broadcast") from None
    y = MatMul.apply(left, right)
    if a.ndim == 1:
        y = own(y.squeeze(-2))
    return own(y.squeeze(-1)) if b.ndim == 1 else y


mm = bmm = matmul


def dot(input: TensorLike, other: TensorLike) -> Tensor:
    """Inner product of two vectors."""
    a, b = as_tensor(input), as_tensor(other)
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError(f"dot: needs two vectors, got shapes {a.shape} and {b.shape}; use matmul")
    return matmul(a, b)


def linear(input: TensorLike, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The fully connected layer, ``input @ weight.T + bias``.

    Parameters
    ----------
    input : Tensor, shape (..., in)
    weight : Tensor, shape (out, in)
    bias : Tensor, shape (out,), optional

    Returns
    -------
    Tensor, shape (..., out)

    Raises
    ------
    ShapeError
        If the last dimension of the input is not ``weight.shape[1]``.
    """
    x, weight = operands(input, weight)
    if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"linear: an input of shape {x.shape} has {x.shape[-1] if x.ndim else 0} features, but weight {weight.shape} "
            f"(out, in) takes {weight.shape[-1]}; change in_features, or flatten the input"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"linear: weight {weight.shape} makes {weight.shape[0]} outputs, but bias has shape {bias.shape}")
    rows = x if x.ndim == 2 else x.reshape(-1, x.shape[-1]) if x.numel() else x.reshape(0, x.shape[-1])
    y = Linear.apply(rows, weight) if bias is None else Linear.apply(rows, weight, bias.to(weight.dtype))
    return y if x.ndim == 2 else own(y.reshape(x.shape[:-1] + (weight.shape[0],)))


def einsum(equation: str, *tensors: TensorLike) -> Tensor:
    """Products and sums by named dimensions.

    Parameters
    ----------
    equation : str
        As in NumPy: ``"bij,bjk->bik"``, ``"ii->i"``, ``"...ij->...ji"``. Without an arrow, the result has the letters
        that appear once, in alphabetical order, after the dimensions of the ellipsis. With an arrow and no ellipsis after
        it, those are summed over.
    *tensors : Tensor
        Or one list of them. Dimensions of one letter have one size, or 1, which is broadcast; so have those of the
        ellipsis, counted from the last.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.einsum("ij,j->i", tg.tensor([[1.0, 2.0], [3.0, 4.0]]), tg.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    inputs = [as_tensor(x) for x in given]
    letters, result = _parse(equation, [x.ndim for x in inputs])
    for i, x in enumerate(inputs):
        inputs[i], letters[i] = _diagonals(x, letters[i])
    for x in inputs[1:]:
        inputs[0], _ = operands(inputs[0], x)
    inputs = [x.to(inputs[0].dtype) for x in _broadcast(equation, inputs, letters)]
    return Einsum.apply(*inputs, operands=tuple(letters), result=result)


def _broadcast(equation: str, inputs: Sequence[Tensor], letters: Sequence[str]) -> list[Tensor]:
    """Expand the dimensions of size 1 whose letter has another size elsewhere."""
    sizes: dict[str, int] = {}
    for x, names in zip(inputs, letters, strict=True):
        for letter, n in zip(names, x.shape, strict=True):
            known = sizes.setdefault(letter, n)
            if n not in (known, 1) and known != 1:
                what = repr(letter) if letter in equation else "a dimension of the ellipsis"
                raise ShapeError(f"einsum {equation!r}: {what} is {known} in one operand and {n} in another")
            sizes[letter] = n if known == 1 else known
    return [x.expand([sizes[letter] for letter in names]) for x, names in zip(inputs, letters, strict=True)]


def _parse(equation: str, dims: Sequence[int]) -> tuple[list[str], str]:
    """Letters of each operand and of the result, with an ellipsis spelled out in letters that are not used."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    letters = left.split(",")
    if len(letters) != len(dims):
        raise ArgumentError(f"einsum {equation!r} names {len(letters)} operands, {len(dims)} were given")
    free = [letter for letter in string.ascii_letters if letter not in equation]
    extra = [ndim - len(subscript.replace("...", "")) for subscript, ndim in zip(letters, dims, strict=True)]
    for i, subscript in enumerate(letters):
        if re.fullmatch(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*", subscript) is None:
            raise ArgumentError(f"einsum {equation!r}: operand {i} is {subscript!r}; it takes letters and one ellipsis '...'")
        if extra[i] < 0 or (extra[i] > 0 and "..." not in subscript):
            raise ShapeError(f"einsum {equation!r}: operand {i} has {dims[i]} dimensions, {subscript!r} names another number")
    ellipsis = "".join(free[: max(extra)])
    # The dimensions of an ellipsis are counted from the last, as in every broadcast.
    letters = [
        subscript.replace("...", ellipsis[len(ellipsis) - n :]) for subscript, n in zip(letters, extra, strict=True)
    ]
    if not arrow:
        plain = left.replace(",", "").replace("...", "")
        result = ("..." if "..." in left else "") + "".join(sorted(c for c in set(plain) if plain.count(c) == 1))
    result = result.replace("...", ellipsis)
    unknown = set(result) - set("".join(letters))
    if unknown or len(set(result)) != len(result):
        raise ArgumentError(f"einsum {equation!r}: each letter of the result must appear once there, and in an operand")
    return letters, result


def _diagonals(x: Tensor, letters: str) -> tuple[Tensor, str]:
    """Take the diagonal along every letter that an operand has twice: ii -> i."""
    for letter in sorted(set(letters)):
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ShapeError(f"einsum: {letter!r} is {x.shape[first]} and {x.shape[second]} in one operand")
            rest = [d for d in range(x.ndim) if d not in (first, second)]
            along = np.arange(x.shape[first])
            x = x.permute(first, second, *rest)[along, along]
            letters = letter + "".join(letters[d] for d in rest)
    return x, letters
