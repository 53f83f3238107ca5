"""What the losses share: the reduction, and the refusal of shapes and targets that do not fit.

A loss that quietly broadcasts is nearly always a mistake: a prediction of shape (n, 1) beside targets of shape (n,) would
be compared pair by pair, n * n times, and train towards the mean. So input and target must have one shape here. A loss has
the dtype of its input, to which targets and weights are converted.
"""

from collections.abc import Sequence

import numpy as np

from ..autograd.function import Array
from ..errors import ArgumentError, DTypeError, ShapeError
from ..tensor import Tensor, TensorLike
from ._arguments import as_float, as_tensor, operands

REDUCTIONS = ("mean", "sum", "none")


def reduced(name: str, losses: Tensor, reduction: str) -> Tensor:
    """The losses as they are, their sum, or their mean; the mean of none at all is 0 / 0, NaN, as in PyTorch."""
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.mean() if losses.numel() else losses.sum() / 0
    raise ArgumentError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def with_target(name: str, input: TensorLike, target: TensorLike, what: str = "target") -> tuple[Tensor, Tensor]:
    """The input, as floats, and a target of its shape, in its dtype."""
    x = as_float(input)
    y = as_tensor(target)
    _refuse_unequal(name, x, y, what)
    return x, y.to(x.dtype)


def two_inputs(name: str, input: TensorLike, other: TensorLike, what: str) -> tuple[Tensor, Tensor]:
    """Two inputs of one shape and one floating-point dtype."""
    x, y = operands(as_float(input), other)
    _refuse_unequal(name, x, y, what)
    return x, y


def _refuse_unequal(name: str, x: Tensor, y: Tensor, what: str) -> None:
    """Raise, for two shapes, an error that says how to make them one."""
    if x.shape != y.shape:
        raise ShapeError(
            f"{name}: input has shape {x.shape} and {what} {y.shape}; they must agree (a broadcast here is nearly always a "
            f"mistake): {_repair(x.shape, y.shape, what)}"
        )


def _repair(shape: tuple[int, ...], other: tuple[int, ...], what: str) -> str:
    """What to do about two shapes: where only dimensions of size 1 differ, the call that drops or adds them."""
    if [n for n in shape if n != 1] == [n for n in other if n != 1]:
        return f"use {what}.reshape({', '.join(map(str, shape))})" if shape else f"use {what}.squeeze()"
    return "if a broadcast is what you want, expand one of them first"


def rescaled(name: str, losses: Tensor, weight: TensorLike | None, what: str = "weight") -> Tensor:
    """The losses times a weight, which may broadcast to their shape but not beyond it."""
    if weight is None:
        return losses
    return losses * weight_for(name, losses, weight, what)


def weight_for(name: str, x: Tensor, weight: TensorLike, what: str = "weight") -> Tensor:
    """A weight in the dtype of `x` that fits its elements: its dimensions, counted from the last, are those of `x` or 1."""
    w = as_tensor(weight)
    fits = w.ndim <= x.ndim and all(n in (1, m) for n, m in zip(reversed(w.shape), reversed(x.shape), strict=False))
    if not fits:
        raise ShapeError(
            f"{name}: {what} has shape {w.shape}, which does not broadcast to the input's {x.shape}; give it that shape, or "
            "a 1 for each dimension that it does not depend on"
        )
    return w.to(x.dtype)


def class_weight(name: str, x: Tensor, weight: TensorLike, what: str = "weight", dim: int = 1) -> Tensor:
    """A weight for each class of an input that has them along `dim`, in its dtype."""
    classes = x.shape[dim]
    w = as_tensor(weight)
    if w.shape != (classes,):
        raise ShapeError(
            f"{name}: {what} has shape {w.shape}, but the input has {classes} classes: give one number for each, shape "
            f"({classes},)"
        )
    return w.to(x.dtype)


def class_indices(name: str, shape: tuple[int, ...], target: TensorLike, ignore_index: int | None = None) -> Array:
    """Targets that name classes of an input of shape (n, classes, ...): integers, of the right shape and range."""
    classes = as_tensor(target).array
    if classes.dtype.kind not in "iu":
        raise DTypeError(f"{name}: targets are class indices and must be integers, got {classes.dtype}: use .long()")
    if len(shape) < 2 or classes.shape != shape[:1] + shape[2:]:
        raise ShapeError(
            f"{name}: an input of shape {shape} (n, classes, ...) needs targets of shape {shape[:1] + shape[2:]}, got "
            f"{classes.shape}"
        )
    bad = (classes < 0) | (classes >= shape[1])
    if ignore_index is not None:
        bad &= classes != ignore_index
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ArgumentError(
            f"{name}: target {classes[at]} at {at} is no class of an input with {shape[1]} classes (0 to {shape[1] - 1})"
            + (f"; ignore_index is {ignore_index}" if ignore_index is not None else "")
        )
    return classes


def with_batch(x: Tensor, target: TensorLike) -> tuple[Tensor, Tensor, bool]:
    """PyTorch takes one sample, (classes) and its target, without a batch dimension."""
    if x.ndim == 1:
        return x.unsqueeze(0), as_tensor(target).unsqueeze(0), True
    return x, as_tensor(target), False


def signs(name: str, target: TensorLike, shape: tuple[int, ...]) -> Array:
    """Targets that are 1 or -1, in a given shape."""
    array = as_tensor(target).array
    if array.shape != shape:
        raise ShapeError(f"{name}: target has shape {array.shape}, but this input needs one of shape {shape}")
    return one_of(name, array, (1, -1), "for labels 0 and 1 use 2 * target - 1")


def one_of(name: str, target: Array, allowed: Sequence[int], otherwise: str) -> Array:
    """Targets out of two values; names the first one that is neither, and its place."""
    bad = ~np.isin(target, allowed)
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ArgumentError(
            f"{name}: targets must be {allowed[0]} or {allowed[1]}, got {target[at]} at {at}; {otherwise}"
        )
    return target
