"""Why has this tensor no gradient? The reasons in the order in which they can be told apart."""

import numpy as np

from ..autograd.function import AccumulateGrad, Function
from ..autograd.walk import reachable
from ..errors import ArgumentError
from ..tensor import Tensor
from .answer import Answer


def why_none(t: Tensor, loss: Tensor | None = None) -> Answer:
    """Find out why ``t.grad`` is None.

    Parameters
    ----------
    t : Tensor
    loss : Tensor, optional
        What `backward` was, or will be, called on. Without it, it cannot be told whether the graph leads to `t`.

    Returns
    -------
    Answer

    Raises
    ------
    ArgumentError
        If something else than tensors is given.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> y = x * 2
    >>> y.sum().backward()
    >>> print(why_none(y))
    .grad is None because this is the output of Mul, not a leaf: only leaves keep their gradient.
    What to do: call retain_grad() on it before backward, or ask with autograd.grad(loss, t).
    """
    for name, given in (("t", t), ("loss", loss)):
        if not isinstance(given, Tensor) and not (name == "loss" and given is None):
            raise ArgumentError(f"explain.why_none: {name} has to be a Tensor, got a {type(given).__name__}")
    if t.grad is not None:
        return Answer(f".grad is not None: it holds a gradient of shape {t.grad.shape}.")
    return _of_itself(t) or (_without_loss(t) if loss is None else _with_loss(t, loss))


def _of_itself(t: Tensor) -> Answer | None:
    """What the tensor itself tells."""
    if not t.requires_grad:
        return _needs_none(t)
    if not t.is_leaf and not t.retains_grad:
        return Answer(
            f".grad is None because this is {t._described()}, not a leaf: only leaves keep their gradient.",
            advice="call retain_grad() on it before backward, or ask with autograd.grad(loss, t).",
        )
    return None


def _needs_none(t: Tensor) -> Answer:
    if t.array.dtype.kind != "f":
        return Answer(
            f".grad is None because the tensor holds {t.dtype}: only floating-point numbers have gradients.",
            advice="use .float() and requires_grad_() before it is used.",
        )
    if t._is_alias:
        return Answer(
            ".grad is None because the tensor is cut off from the graph: it came from detach() or .data.",
            advice="look at the gradient of the tensor that it was taken from.",
        )
    if t._lost_history:
        return Answer(
            ".grad is None because the tensor is a view that was taken under no_grad(): it has no history.",
            advice="take the view outside the no_grad() block.",
        )
    return Answer(
        ".grad is None because requires_grad is False: a tensor that was made without it, or computed under no_grad(), or "
        "only from tensors that have none.",
        advice="set requires_grad=True (or requires_grad_()) before the forward pass.",
    )


def _without_loss(t: Tensor) -> Answer:
    if t._accumulator is None and t.is_leaf:
        return Answer(
            ".grad is None because no recorded op has used the tensor: it is not part of any graph.",
            advice="use it in the forward pass, outside no_grad(), before calling backward().",
        )
    return Answer(
        ".grad is None although the tensor can have a gradient: backward() was not called, or what it was called on does not "
        "depend on the tensor, or zero_grad() took the gradient away.",
        advice="give the loss as well, why_none(t, loss), to tell these apart.",
    )


def _with_loss(t: Tensor, loss: Tensor) -> Answer:
    if not loss.requires_grad:
        return Answer(
            ".grad is None because the loss has no graph: it was computed under no_grad() or detached, or from nothing that "
            "requires a gradient."
        )
    order = reachable([loss._edge()])
    if t._edge() in order:
        if any(node._saved is None for node in order):
            return Answer(
                ".grad is None although backward() went through this graph: the gradient was taken away since "
                "(zero_grad(), or .grad = None), or backward(inputs=...) asked for others only."
            )
        return Answer(
            ".grad is None because backward() was not called yet: the loss does depend on the tensor.",
            advice="call loss.backward().",
        )
    readers = [node for node in order if _reads_memory(node, t)]
    leaves = sum(isinstance(node, AccumulateGrad) for node in order)
    steps = (f"the graph of the loss has {len(order) - leaves} ops and {leaves} leaves; the tensor is none of them",)
    if readers:
        named = ", ".join(dict.fromkeys(node.described for node in readers))
        return Answer(
            f".grad is None because the loss does not depend on the tensor: {named} reads its values, but cut off from the "
            "graph (detach(), .data, a NumPy array, or no_grad()).",
            steps,
            tuple(dict.fromkeys(node.described for node in readers)),
            "use the tensor itself there.",
        )
    return Answer(
        ".grad is None because the loss does not depend on the tensor: no path of the graph leads to it.",
        steps,
        advice="look for a detach(), .data, .numpy() or no_grad() between the two, or for a tensor that was never used.",
    )


def _reads_memory(node: Function, t: Tensor) -> bool:
    """Whether the op saved values that lie in the tensor's memory."""
    return any(array is not None and np.may_share_memory(array, t.array) for _, array, _ in node._saved or ())
