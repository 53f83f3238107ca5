"""Parameters as a list or as a dictionary, so that a module finds them; a plain Python list would hide them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from ..errors import ArgumentError
from ..tensor import Tensor
from .module import Module
from .parameter import Parameter, WithoutValues


class _Parameters(Module):
    """Parameters by name. It is not called itself: pick from it in `forward`."""

    def _put(self, name: str, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise ArgumentError(f"{type(self).__name__} holds parameters, got {type(value).__name__}; wrap it in nn.Parameter")
        self.register_parameter(name, value if isinstance(value, Parameter) else Parameter(value))

    def _held(self) -> dict[str, Parameter]:
        return {name: parameter for name, parameter in self._parameters.items() if parameter is not None}

    def __len__(self) -> int:
        return len(self._parameters)

    def _repr_of_parts(self) -> list[tuple[str, str]]:
        return [(name, _described(parameter)) for name, parameter in self._held().items()]


def _described(parameter: Parameter) -> str:
    if isinstance(parameter, WithoutValues):
        return repr(parameter)
    return f"Parameter containing: [{parameter.dtype} of size {'x'.join(map(str, parameter.shape))}]"


class ParameterList(_Parameters):
    """A list of parameters, named by their positions.

    Parameters
    ----------
    values : iterable of Tensor, optional
        A tensor that is no `Parameter` is made one.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> scales = nn.ParameterList([tg.ones(3), tg.ones(2, 5)])
    >>> scales
    ParameterList(
      (0): Parameter containing: [float32 of size 3]
      (1): Parameter containing: [float32 of size 2x5]
    )
    >>> [name for name, _ in scales.named_parameters()]
    ['0', '1']
    """

    def __init__(self, values: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        self.extend(values or ())

    def _name_at(self, index: int) -> str:
        if not -len(self) <= index < len(self):
            # IndexError, which Python's own protocols (iteration, reversed) look for.
            raise IndexError(f"ParameterList: index {index} is out of range, it holds {len(self)} parameters")
        return str(index % len(self))

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return ParameterList(list(self)[index])
        return self._held()[self._name_at(index)]

    def __setitem__(self, index: int, value: Tensor) -> None:
        self._put(self._name_at(index), value)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._held().values())

    def append(self, value: Tensor) -> Self:
        """Add a parameter at the end."""
        self._put(str(len(self)), value)
        return self

    def extend(self, values: Iterable[Tensor]) -> Self:
        """Add parameters at the end."""
        for value in list(values):
            self.append(value)
        return self

    def __iadd__(self, values: Iterable[Tensor]) -> Self:
        return self.extend(values)


class ParameterDict(_Parameters):
    """A dictionary of parameters, in the order of insertion.

    Parameters
    ----------
    parameters : dict of str to Tensor, or iterable of (str, Tensor), optional
        A tensor that is no `Parameter` is made one.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> weights = nn.ParameterDict({"left": tg.ones(3), "right": tg.ones(3)})
    >>> weights["left"].requires_grad
    True
    """

    def __init__(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] | None = None) -> None:
        super().__init__()
        self.update(parameters or {})

    def __getitem__(self, key: str) -> Parameter:
        held = self._held()
        if key not in held:
            raise KeyError(f"ParameterDict has no parameter {key!r}; it has {', '.join(map(repr, held)) or 'none'}")
        return held[key]

    def __setitem__(self, key: str, value: Tensor) -> None:
        self._put(key, value)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, key: str) -> bool:
        return key in self._parameters

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._held().keys()

    def values(self) -> Iterable[Parameter]:
        """The parameters."""
        return self._held().values()

    def items(self) -> Iterable[tuple[str, Parameter]]:
        """(name, parameter) pairs."""
        return self._held().items()

    def clear(self) -> None:
        """Take all parameters out."""
        self._parameters.clear()

    def pop(self, key: str) -> Parameter:
        """Take a parameter out and return it."""
        parameter = self[key]
        del self._parameters[key]
        return parameter

    def update(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]) -> None:
        """Add parameters, or replace those of the same names."""
        pairs = parameters.items() if isinstance(parameters, (Mapping, ParameterDict)) else parameters
        for key, value in list(pairs):
            self[key] = value
