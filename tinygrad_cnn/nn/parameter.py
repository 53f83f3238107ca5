"""Parameter: a tensor that a module learns.

It is a tensor in every respect. What the class adds is that a module which is given one as an attribute finds it again
in `Module.parameters`, and so does an optimizer.

An `UninitializedParameter` holds the place of one whose shape is not known yet. It becomes the parameter, the same
object, once the shape is: whoever has it already, has the parameter then.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike

from ..autograd.mode import no_grad
from ..errors import ArgumentError
from ..tensor import Tensor, get_default_dtype


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


class WithoutValues(Tensor):
    """A tensor before its shape is known; whatever asks for its values, or for their shape, raises."""

    _kind: str
    _becomes: type[Tensor]

    def __init__(self, requires_grad: bool = False, dtype: DTypeLike | None = None) -> None:
        self._dtype = np.dtype(get_default_dtype() if dtype is None else dtype)
        self._requires_grad = requires_grad

    @property
    def array(self) -> NoReturn:  # type: ignore[override]
        """There is none yet."""
        raise self.not_ready()

    def not_ready(self) -> ArgumentError:
        """The error for whoever asks for values, or for a shape."""
        name = f" {self.name!r}" if self.name else ""
        return ArgumentError(
            f"the {self._kind}{name} has neither shape nor values yet: it is part of a lazy module, which takes its shape from "
            "its first input. Run one batch through the model first (or load a state_dict), then make the optimizer, clip, "
            "count or save"
        )

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type that it will have."""
        return self._dtype

    @dtype.setter
    def dtype(self, value: DTypeLike) -> None:
        self._dtype = np.dtype(value)

    @property
    def requires_grad(self) -> bool:
        """Whether it will need a gradient."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self._requires_grad = bool(value)

    def materialize(self, shape: Sequence[int], dtype: DTypeLike | None = None) -> None:
        """Become what this is the place of, with memory of its own that nothing has been written to."""
        array = np.empty(tuple(shape), self._dtype if dtype is None else dtype)
        self.__class__ = self._becomes  # type: ignore[assignment]
        del self.__dict__["_dtype"]
        self.__dict__["array"] = array

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> "WithoutValues":
        make, arguments = self.__reduce__()
        copied: WithoutValues = make(*arguments)
        memo[id(self)] = copied
        return copied

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _place, (type(self), self._requires_grad, self._dtype, self.name)


def _place(kind: type[WithoutValues], requires_grad: bool, dtype: DTypeLike, name: str | None) -> WithoutValues:
    """Make one anew, for copies and pickles."""
    made = kind(requires_grad, dtype)
    made.name = name
    return made


class UninitializedParameter(WithoutValues, Parameter):
    """The place of a parameter whose shape is not known yet; see `nn.LazyLinear`.

    Parameters
    ----------
    requires_grad : bool
    dtype : dtype, optional
        Of the parameter that it will become; the default dtype if not given.

    Raises
    ------
    ArgumentError
        Whenever its shape or its values are asked for, as optimizers, `state_dict` and clipping do.

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> weight = nn.UninitializedParameter()
    >>> weight.materialize((3, 2))
    >>> type(weight).__name__, weight.shape
    ('Parameter', (3, 2))
    """

    _kind = "parameter"
    _becomes = Parameter

    def __init__(self, requires_grad: bool = True, dtype: DTypeLike | None = None) -> None:
        super().__init__(requires_grad, dtype)


class UninitializedBuffer(WithoutValues):
    """The place of a buffer whose shape is not known yet; see `UninitializedParameter`."""

    _kind = "buffer"
    _becomes = Tensor
