"""Writing into a tensor: recorded rightly, or refused with the reason.

An in-place op computes its result as the out-of-place op would, from a snapshot of the tensor as it was; then the
result is copied into the storage, and the tensor takes over the result's place in the graph. The storage's version
counts up, so a value that another op had saved from it is found out when the backward pass reads it.

Refused, because the graph could not be told the truth:

- writing into a leaf that requires grad: its gradient would be that of a value it no longer has;
- a *recorded* write through a view: the base would have changed without its history saying so. (Reading from a view that
  was taken before its base was written is refused where that happens, in `Tensor._refuse_if_stale`.)
- an unrecorded write, outside `no_grad`, through a view whose base has a history that the view knows nothing of.
"""

from collections.abc import Callable
from typing import Any

from ..autograd.mode import STATE
from ..errors import DTypeError, InplaceError, ShapeError
from ..random import default_generator
from ..tensor import Tensor, TensorLike, as_array
from . import activation, elementwise, logic
from ._arguments import as_float, as_tensor
from .shape import SetItem, plain_index


def _snapshot(target: Tensor) -> Tensor:
    """The tensor as it is now, with its place in the graph; the name `target` is about to mean something else."""
    before = Tensor(target.array)
    before.grad_fn, before._requires_grad = target.grad_fn, target._requires_grad
    before._counter = target._shared_counter()
    before.name = target.name
    return before


def _refuse_unless_recordable(target: Tensor, name: str) -> None:
    if target.grad_fn is None and target._requires_grad:
        raise InplaceError(
            f"{name}: {target._described()} requires grad and cannot be written in place while ops are recorded; write "
            "inside `with no_grad():` (an update of a parameter), or use the out-of-place form (a new value)"
        )
    if target._is_view or target._is_alias:
        raise InplaceError(
            f"{name}: {target._described()} is a view, and the graph records this write; its base would change without "
            "knowing. Write through the base (base[index] = value, and base[index] = base[index] * 2 for *=), or clone() the "
            "view first"
        )


def _refuse_blind_write(target: Tensor, name: str) -> None:
    """A view without a history of its own must not change, unrecorded, what has one."""
    if target._lost_history:
        raise InplaceError(
            f"{name}: the target is a view (shape {target.shape}) that was taken under no_grad from a tensor that requires "
            "grad; write inside no_grad as well, or take the view outside"
        )
    target._refuse_if_stale(name)


def _refuse_read_only(target: Tensor, name: str) -> None:
    if not target.array.flags.writeable:
        raise InplaceError(
            f"{name}: {target._described()} of shape {target.shape} cannot be written, several elements may share a place in "
            "memory (it was expanded, or made from a read-only array); clone() it first"
        )


def _adopt(target: Tensor, result: Tensor, name: str) -> Tensor:
    """Let `target` take the place of `result` in the graph."""
    target._wrote(name)
    counter = target._shared_counter()
    counter.recorded += 1
    target._recorded_when_made = counter.recorded
    before, after = target.grad_fn, result.grad_fn
    if before is not None and after is not None and target.retains_grad:
        # `.grad` is the gradient of the value that the tensor has in the end.
        after.retains_grad, before.retains_grad = before.retains_grad, None
    target.grad_fn, target._requires_grad = after, True
    return target


# Booleans fit into integers, both into floats, and not the other way.
_RANK = {"b": 0, "u": 1, "i": 1, "f": 2}


def _in_place(target: Tensor, name: str, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """Replace the values of `target` by ``compute(target)``."""
    recorded = STATE.grad_enabled and target._requires_grad
    if recorded:
        _refuse_unless_recordable(target, name)
    elif STATE.grad_enabled:
        _refuse_blind_write(target, name)
    _refuse_read_only(target, name)
    result = compute(_snapshot(target))
    if result.shape != target.shape:
        raise ShapeError(f"{name}: the result has shape {result.shape} and does not fit into {target.shape}")
    if _RANK[result.array.dtype.kind] > _RANK[target.array.dtype.kind]:
        raise DTypeError(f"{name}: a {result.dtype} result cannot be written into a tensor of {target.dtype}")
    if recorded and not result._requires_grad:
        raise InplaceError(f"{name}: no gradient flows through it, and {target._described()} requires grad; detach() it first")
    if result._requires_grad:
        _refuse_unless_recordable(target, name)
        target.array[...] = result.array
        return _adopt(target, result.to(target.dtype), name)
    target.array[...] = result.array
    target._wrote(name)
    return target


def maybe_in_place(
    input: TensorLike, inplace: bool, name: str, compute: Callable[[Tensor], Tensor], *, saves_input: bool = False
) -> Tensor:
    """``compute(input)``; with `inplace` it is written into `input`. This is what an ``inplace=`` argument means.

    Parameters
    ----------
    input : Tensor
    inplace : bool
    name : str
        Of the in-place op, for messages: ``"elu_"``.
    compute : callable
        From a floating-point tensor to the result, of the same shape.
    saves_input : bool
        The rule of `compute` needs the values that are about to be overwritten: it is given a copy to keep.

    Raises
    ------
    InplaceError
        For a leaf that requires grad, and for a view whose write the graph would record.
    DTypeError
        For a tensor of integers, which cannot hold the result.
    """
    if not inplace:
        return compute(as_float(input))
    keeps = saves_input and STATE.grad_enabled
    return _in_place(
        as_tensor(input), name, lambda x: compute(as_float(x.clone() if keeps and x.requires_grad else x))
    )


def add_(target: Tensor, other: TensorLike, *, alpha: float = 1) -> Tensor:
    """Add in place."""
    return _in_place(target, "add_", lambda x: elementwise.add(x, other, alpha=alpha))


def sub_(target: Tensor, other: TensorLike, *, alpha: float = 1) -> Tensor:
    """Subtract in place."""
    return _in_place(target, "sub_", lambda x: elementwise.sub(x, other, alpha=alpha))


def mul_(target: Tensor, other: TensorLike) -> Tensor:
    """Multiply in place."""
    return _in_place(target, "mul_", lambda x: elementwise.mul(_kept(x, _needs_gradient(other)), other))


def div_(target: Tensor, other: TensorLike) -> Tensor:
    """Divide in place."""
    return _in_place(target, "div_", lambda x: elementwise.div(_kept(x, _needs_gradient(other)), other))


def pow_(target: Tensor, exponent: TensorLike) -> Tensor:
    """Raise to a power in place."""
    return _in_place(
        target, "pow_", lambda x: elementwise.pow(_kept(x, x._requires_grad or _needs_gradient(exponent)), exponent)
    )


def floor_divide_(target: Tensor, other: TensorLike) -> Tensor:
    """Divide and round down, in place."""
    return _in_place(target, "floor_divide_", lambda x: elementwise.floor_divide(x, other))


def remainder_(target: Tensor, other: TensorLike) -> Tensor:
    """Replace by the remainder of a floored division."""
    return _in_place(target, "remainder_", lambda x: elementwise.remainder(x, other))


def bitwise_and_(target: Tensor, other: TensorLike) -> Tensor:
    """``target & other`` in place."""
    return _in_place(target, "bitwise_and_", lambda x: logic.bitwise_and(x, other))


def bitwise_or_(target: Tensor, other: TensorLike) -> Tensor:
    """``target | other`` in place."""
    return _in_place(target, "bitwise_or_", lambda x: logic.bitwise_or(x, other))


def bitwise_xor_(target: Tensor, other: TensorLike) -> Tensor:
    """``target ^ other`` in place."""
    return _in_place(target, "bitwise_xor_", lambda x: logic.bitwise_xor(x, other))


def _kept(x: Tensor, needed: bool) -> Tensor:
    """A copy for a rule that needs the values which are about to be overwritten."""
    return x.clone() if needed and STATE.grad_enabled else x


def _needs_gradient(value: TensorLike) -> bool:
    return isinstance(value, Tensor) and value._requires_grad


def clamp_(target: Tensor, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
    """Limit to [min, max] in place."""
    return _in_place(target, "clamp_", lambda x: elementwise.clamp(x, min, max))


def relu_(target: Tensor) -> Tensor:
    """Replace negative values by 0 in place."""
    return _in_place(target, "relu_", activation.relu)


def setitem_(target: Tensor, index: Any, value: TensorLike) -> Tensor:
    """``target[index] = value``; gradients flow to the value and to what was not overwritten."""
    new = value.to(target.dtype) if isinstance(value, Tensor) else Tensor(as_array(value, target.dtype))
    plain = plain_index(index, target.shape)
    room = target.array[plain].shape
    if not _broadcasts(new.shape, room):
        raise ShapeError(f"assignment: a value of shape {new.shape} does not fit into the indexed part of shape {room}")
    if new.ndim > len(room):
        new = new.reshape(new.shape[new.ndim - len(room) :])
    _refuse_read_only(target, "assignment")
    recorded = STATE.grad_enabled and (target._requires_grad or new._requires_grad)
    if STATE.grad_enabled and not recorded:
        _refuse_blind_write(target, "assignment")
    if recorded:
        _refuse_unless_recordable(target, "assignment")
        return _adopt(target, SetItem.apply(_snapshot(target), new, index=plain), "assignment")
    target.array[plain] = new.array
    target._wrote("assignment")
    return target


def _broadcasts(shape: tuple[int, ...], room: tuple[int, ...]) -> bool:
    trimmed = shape[max(0, len(shape) - len(room)) :]
    return all(n == 1 for n in shape[: len(shape) - len(trimmed)]) and all(
        n in (1, m) for n, m in zip(reversed(trimmed), reversed(room), strict=False)
    )


def copy_(target: Tensor, other: TensorLike) -> Tensor:
    """Take the values of another tensor, broadcast."""
    return setitem_(target, ..., other)


def fill_(target: Tensor, value: TensorLike) -> Tensor:
    """Set every element to one value."""
    return setitem_(target, ..., value)


def normal_(target: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Draw every element from the normal distribution N(mean, std^2)."""
    _refuse_integers(target, "normal_")
    return setitem_(target, ..., default_generator().normal(mean, std, target.shape))


def uniform_(target: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Draw every element from the uniform distribution over [a, b)."""
    _refuse_integers(target, "uniform_")
    return setitem_(target, ..., default_generator().uniform(a, b, target.shape))


def _refuse_integers(target: Tensor, name: str) -> None:
    if not target.is_floating_point():
        raise DTypeError(f"{name} draws floating-point numbers, this tensor is {target.dtype}: use randint, or .float() first")
