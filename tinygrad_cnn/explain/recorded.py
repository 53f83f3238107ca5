"""What every explanation starts from: the numbers of one backward pass, and names for the nodes that it went through."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..autograd.function import AccumulateGrad, Function
from ..autograd.walk import consumers, reachable
from ..errors import ArgumentError, AutogradError
from ..nn.parameter import Parameter
from ..tensor import Tensor

if TYPE_CHECKING:
    from ..explorer.record import Recording

Users = dict[Function, list[tuple[Function, int]]]


def checked_loss(asked: str, loss: Tensor) -> Tensor:
    """The loss, if a backward pass can start at it."""
    if not isinstance(loss, Tensor):
        raise ArgumentError(f"explain.{asked}: the loss has to be a Tensor, got a {type(loss).__name__}")
    if loss.numel() != 1:
        raise ArgumentError(
            f"explain.{asked}: the loss has to be one number, got shape {loss.shape}; reduce it first, with .mean() or .sum()"
        )
    if loss.grad_fn is None:
        raise AutogradError(
            f"explain.{asked}: the loss has no graph: nothing that it was computed from requires a gradient, or it was "
            "computed under no_grad() or detached"
        )
    return loss


def recorded(asked: str, loss: Tensor) -> "Recording":
    """Every value and gradient behind a loss; nothing is freed and no ``.grad`` changes."""
    # Here, because the explorer shows what this package explains: each would import the other.
    from ..explorer.record import record

    return record(checked_loss(asked, loss))


def users_of(loss: Tensor) -> Users:
    """For each node behind the loss, who takes its value and as which argument."""
    return consumers(reachable([loss._edge()]))


def name_of(node: Function, users: Users) -> str:
    """What a reader calls the value of a node: ``conv1.weight``, ``x``, ``the output of ReLU (in relu1)``."""
    if not isinstance(node, AccumulateGrad):
        return f"the output of {node.described}"
    name = node.variable.name or "a leaf"
    modules = [user.module for user, _ in users.get(node, ()) if user.module]
    learned = isinstance(node.variable, Parameter)
    return f"{modules[0]}.{name}" if modules and learned and "." not in name else name


def spelled(index: tuple[int, ...]) -> str:
    """An index as it is written: ``[3, 0, 1, 2]``, and nothing for the one element of a scalar."""
    return f"[{', '.join(map(str, index))}]" if index else ""


@contextmanager
def retained_gradients_kept(nodes: Iterable[Function]) -> Iterator[None]:
    """Let a pass leave ``.grad`` alone also where `retain_grad` asked for it: an explanation is no backward of the user's."""
    asked = [(node, node.retains_grad) for node in nodes if node.retains_grad is not None]
    for node, _ in asked:
        node.retains_grad = None
    try:
        yield
    finally:
        for node, tensor in asked:
            node.retains_grad = tensor
