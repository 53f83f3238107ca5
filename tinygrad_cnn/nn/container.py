"""Modules that hold others: one after the other, as a list, or as a dictionary; and parameters alike.

A plain Python list would hide its modules from `Module.parameters`; these do not.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import count, groupby
from typing import Any, Self

from ..errors import ArgumentError
from .module import Module


class _Ordered(Module):
    """Modules in an order, found by their position; their names are the positions, unless they were given others."""

    def _items(self) -> list[tuple[str, Module]]:
        return [(name, module) for name, module in self._modules.items() if module is not None]

    def _item_at(self, index: int) -> tuple[str, Module]:
        items = self._items()
        if not -len(items) <= index < len(items):
            # IndexError, which Python's own protocols (iteration, reversed) look for.
            raise IndexError(f"{type(self).__name__}: index {index} is out of range, it holds {len(items)} modules")
        return items[index]

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self._items())

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(self._item_at(index)[0], _checked(type(self).__name__, module))

    def __delitem__(self, index: int | slice) -> None:
        items = self._items()
        gone = items[index] if isinstance(index, slice) else [self._item_at(index)]
        for name, _ in gone:
            del self._modules[name]
        self._renumber()

    def _renumber(self) -> None:
        """Name the modules by their positions, unless one of them has a name of its own."""
        modules = [module for _, module in self._items()]
        if all(name.isdecimal() for name in self._modules):
            self._modules.clear()
            self._modules.update((str(i), module) for i, module in enumerate(modules))

    def insert(self, index: int, module: Module) -> Self:
        """Put a module before the one at a position; those behind it move up by one."""
        named = [name for name in self._modules if not name.isdecimal()]
        if named:
            raise ArgumentError(
                f"{type(self).__name__}.insert: its modules have names ({', '.join(map(repr, named))}), not positions; use "
                "append, or add_module with a name"
            )
        modules = [module for _, module in self._items()]
        modules.insert(index, _checked(type(self).__name__, module))
        self._modules.clear()
        self._modules.update((str(i), module) for i, module in enumerate(modules))
        return self

    def pop(self, index: int = -1) -> Module:
        """Take a module out and return it; those behind it move down by one."""
        module = self._item_at(index)[1]
        del self[index]
        return module

    def __add__(self, other: Iterable[Module]) -> Self:
        return type(self)().extend(self).extend(other)

    def __iadd__(self, other: Iterable[Module]) -> Self:
        return self.extend(other)

    def append(self, module: Module) -> Self:
        """Add a module at the end, named by its position (or by the next number that is no name yet)."""
        name = next(str(i) for i in count(len(self)) if str(i) not in self._modules)
        self.add_module(name, _checked(type(self).__name__, module))
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in list(modules):
            self.append(module)
        return self


def _checked(owner: str, module: Any) -> Module:
    if isinstance(module, Module):
        return module
    hint = "; write *modules for a list" if isinstance(module, (list, tuple)) else ""
    raise ArgumentError(f"{owner} holds modules, got {type(module).__name__}{hint}")


class Sequential(_Ordered):
    """Modules applied one after the other.

    Parameters
    ----------
    *args : Module, or one dictionary of str to Module
        Named "0", "1", ..., or as in the dictionary.

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2))
    >>> net[1:]
    Sequential(
      (1): ReLU()
      (2): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    )
    """

    def __init__(self, *args: Module | dict[str, Module]) -> None:
        super().__init__()
        named: Iterable[tuple[str, Any]] = ((str(i), module) for i, module in enumerate(args))
        if len(args) == 1 and isinstance(args[0], dict):
            named = args[0].items()
        for name, module in named:
            self.add_module(name, _checked("Sequential", module))

    def forward(self, input: Any) -> Any:
        """The output of each module is the input of the next."""
        for name, module in self._items():
            # By name: a module that is here twice (one ReLU for all layers) runs under a path of its own each time.
            input = module._run(name, (input,), {})
        return input

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Sequential(OrderedDict(self._items()[index]))
        return self._item_at(index)[1]


class ModuleList(_Ordered):
    """A list of modules. It is not called itself: go through it in `forward`.

    Parameters
    ----------
    modules : iterable of Module, optional

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    ModuleList(
      (0-2): 3 x Linear(in_features=4, out_features=4, bias=True)
    )
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return ModuleList(module for _, module in self._items()[index])
        return self._item_at(index)[1]

    def _repr_of_parts(self) -> list[tuple[str, str]]:
        """Equal neighbours once, with their number."""
        parts = []
        for text, run in groupby(super()._repr_of_parts(), key=lambda part: part[1]):
            names = [name for name, _ in run]
            repeated = (f"{names[0]}-{names[-1]}", f"{len(names)} x {text}")
            parts.append(repeated if len(names) > 1 else (names[0], text))
        return parts


class ModuleDict(Module):
    """A dictionary of modules, in the order of insertion. It is not called itself: pick from it in `forward`.

    Parameters
    ----------
    modules : dict of str to Module, or iterable of (str, Module), optional

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> heads = nn.ModuleDict({"digit": nn.Linear(84, 10), "parity": nn.Linear(84, 2)})
    >>> heads["parity"]
    Linear(in_features=84, out_features=2, bias=True)
    >>> [name for name, _ in heads.named_parameters()]
    ['digit.weight', 'digit.bias', 'parity.weight', 'parity.bias']
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def __getitem__(self, key: str) -> Module:
        module = self._modules.get(key)
        if module is None:
            raise KeyError(f"ModuleDict has no module {key!r}; it has {', '.join(map(repr, self._modules)) or 'none'}")
        return module

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, _checked("ModuleDict", module))

    def __delitem__(self, key: str) -> None:
        del self._modules[self._name_of(key)]

    def _name_of(self, key: str) -> str:
        self[key]
        return key

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        """The modules."""
        return [self[key] for key in self]

    def items(self) -> Iterable[tuple[str, Module]]:
        """(name, module) pairs."""
        return [(key, self[key]) for key in self]

    def clear(self) -> None:
        """Take all modules out."""
        self._modules.clear()

    def pop(self, key: str) -> Module:
        """Take a module out and return it."""
        module = self[key]
        del self[key]
        return module

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules, or replace those of the same names."""
        pairs = modules.items() if isinstance(modules, (Mapping, ModuleDict)) else modules
        for key, module in list(pairs):
            self[key] = module
