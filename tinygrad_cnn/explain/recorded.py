"""What the explanations share: who takes a value, and what a reader calls it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ..autograd.function import AccumulateGrad, Function
from ..autograd.walk import consumers, reachable
from ..nn.parameter import Parameter
from ..tensor import Tensor

Users = dict[Function, list[tuple[Function, int]]]


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
