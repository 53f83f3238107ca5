"""Asking for gradients: `Tensor.backward`, which adds to ``.grad``, and `grad`, which returns them.

Both only prepare the request (which gradient to start with, what to keep) and hand it to the engine.
"""

from collections.abc import Sequence

import numpy as np

from ..errors import ArgumentError, AutogradError, DTypeError, ShapeError
from ..tensor import Tensor
from .engine import run_backward

Tensors = Tensor | Sequence[Tensor]


def _as_tuple(tensors: Tensors) -> tuple[Tensor, ...]:
    return (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)


def _start(output: Tensor, gradient: Tensor | None) -> Tensor:
    """The gradient that a backward pass starts with at this output."""
    if not (output._requires_grad or output.requires_grad):
        raise AutogradError(
            "backward from a tensor that needs no gradient: none of what it was computed from has requires_grad=True, or "
            "it was computed under no_grad() or detached"
        )
    if output._is_view:
        output._refuse_if_stale("backward")
    if gradient is None:
        if output.array.size != 1:
            raise AutogradError(
                f"backward from a tensor of shape {output.shape} needs the gradient to start with, of the same shape; "
                "only for a tensor with one element it is 1 by itself (did you forget .sum() or .mean()?)"
            )
        one = output.array.copy()
        one.fill(1)
        return Tensor(one)
    if not isinstance(gradient, Tensor):
        raise DTypeError(f"the gradient to start with must be a tensor, got {type(gradient).__name__}: use tensor(gradient)")
    if gradient.shape != output.shape:
        raise ShapeError(f"the gradient has shape {gradient.shape}, the tensor that it is of has {output.shape}")
    return gradient.to(output.dtype)


def backward(
    output: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """What `Tensor.backward` does."""
    start = _start(output, gradient)
    targets = None
    if inputs is not None:
        targets = [x._edge() for x in _as_tuple(inputs)]
        if not targets:
            raise ArgumentError("backward: inputs is empty; leave it out to collect the gradients of all leaves")
        for x in _as_tuple(inputs):
            x.retain_grad()
    run_backward(
        [output],
        [start],
        targets,
        accumulate=True,
        retain_graph=create_graph if retain_graph is None else retain_graph,
        create_graph=create_graph,
    )


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of outputs with respect to inputs, without touching any ``.grad``.

    Parameters
    ----------
    outputs : Tensor or sequence of Tensor
        What is differentiated; of several, the sum.
    inputs : Tensor or sequence of Tensor
        With respect to what: leaves, or results of ops.
    grad_outputs : Tensor or sequence of Tensor, optional
        The gradient to start with at each output (the vector of a vector-Jacobian product); 1 for a scalar.
    retain_graph : bool, optional
        Keep the graph for another pass; default: the value of `create_graph`.
    create_graph : bool
        Record the pass, so that the result can be differentiated again.
    allow_unused : bool, optional
        Whether an input that the outputs do not depend on gives None; otherwise it raises.
    materialize_grads : bool
        Give zeros instead of None for such inputs.

    Returns
    -------
    tuple of Tensor
        One for each input, in its shape and dtype.

    Examples
    --------
    The third derivative of x^4 at 2:

    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> y = x ** 4
    >>> for _ in range(3):
    ...     y, = tg.autograd.grad(y, x, create_graph=True)
    >>> y.item()
    48.0
    """
    ys, xs = _as_tuple(outputs), _as_tuple(inputs)
    starts = (None,) * len(ys) if grad_outputs is None else grad_outputs
    starts = (starts,) if isinstance(starts, Tensor) else tuple(starts)
    if len(starts) != len(ys):
        raise ArgumentError(f"grad: {len(starts)} grad_outputs for {len(ys)} outputs; give one for each, or None")
    for i, x in enumerate(xs):
        if not x.requires_grad:
            raise AutogradError(
                f"grad: input {i} (shape {x.shape}) does not require grad; set requires_grad=True before it is used"
            )
        x._refuse_if_stale("grad")
    if materialize_grads and allow_unused is False:
        raise ArgumentError("grad: materialize_grads=True gives zeros for unused inputs, so allow_unused cannot be False")
    targets = [x._edge() for x in xs]
    found = run_backward(
        ys,
        [_start(y, start) for y, start in zip(ys, starts, strict=True)],
        targets,
        accumulate=False,
        retain_graph=create_graph if retain_graph is None else retain_graph,
        create_graph=create_graph,
    )
    gradients = [found.get(target) for target in targets]
    for i, (x, gradient) in enumerate(zip(xs, gradients, strict=True)):
        if gradient is None and materialize_grads:
            gradients[i] = Tensor(np.zeros_like(x.array))
        elif gradient is None and not allow_unused:
            raise AutogradError(
                f"grad: the outputs do not depend on input {i} (shape {x.shape}); pass allow_unused=True to get None for it"
            )
    return tuple(gradients)
