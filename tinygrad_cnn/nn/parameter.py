"""Parameter: a tensor that a module learns.

It is a tensor in every respect. What the class adds is that a module which is given one as an attribute finds it again
in `Module.parameters`, and so does an optimizer.
"""

from collections.abc import Iterable
from typing import Any

from ..autograd.mode import no_grad
from ..tensor import Tensor


class Parameter(Tensor):
    """A tensor that requires a gradient and that modules register when it is assigned to them.

    Parameters
    ----------
    data : array_like
        The initial values; an array or tensor is shared, not copied, and a tensor's history is left behind.
    requires_grad : bool
        False for values that a module carries but does not learn, such as a frozen layer's.

    Attributes
    ----------
    name : str or None
        What it is called in drawings and messages; a module gives it the name of its attribute, unless it has one.

    Raises
    ------
    DTypeError
        For integers or booleans with `requires_grad`: there is no gradient with respect to them.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> nn.Parameter(tg.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)
        if isinstance(data, Tensor):
            # One storage, one version: a write through either must be noticed by whoever saved the other.
            self._counter = data._shared_counter()

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


def clear_gradients(parameters: Iterable[Tensor], set_to_none: bool) -> None:
    """Forget the gradients (None), or fill them with zeros in place."""
    for parameter in parameters:
        if set_to_none:
            parameter.grad = None
        elif parameter.grad is not None:
            # Detached: a gradient made with create_graph has a history, which ends here.
            parameter.grad = parameter.grad.detach()
            with no_grad():
                parameter.grad.zero_()
