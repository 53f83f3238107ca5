"""Parts: the tree that a module is, with its parameters, buffers and submodules, and the walks over it.

A part is found by its kind when it is assigned as an attribute. The names of a walk (``features.3.weight``) are the names
of the attributes, joined by dots.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from ..errors import ArgumentError
from ..tensor import Tensor
from .parameter import Parameter

if TYPE_CHECKING:
    from .module import Module

Member = TypeVar("Member")


class Parts:
    """What `Module` knows about what it is made of.

    Examples
    --------
    >>> from tinygrad_cnn import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 8, 5), nn.Flatten(), nn.Linear(8, 10))
    >>> [name for name, _ in net.named_parameters()]
    ['0.weight', '0.bias', '2.weight', '2.bias']
    >>> net.get_submodule("2")
    Linear(in_features=8, out_features=10, bias=True)
    """

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: "dict[str, Module | None]"
    _unsaved_buffers: set[str]

    def __init__(self) -> None:
        # Past __setattr__, which needs these to be there.
        self.__dict__.update(_parameters={}, _buffers={}, _modules={}, _unsaved_buffers=set())

    @property
    def _module(self) -> "Module":
        """This, which is always a `Module`."""
        return cast("Module", self)

    # Its parts: parameters, buffers, submodules -----------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._take_name(name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Parts):
            self._take_name(name, "_modules")
            self.add_module(name, value._module)
        elif (registry := self._registry_of(name)) is None:
            object.__setattr__(self, name, value)
        elif value is None or (registry is self._buffers and isinstance(value, Tensor)):
            registry[name] = value
        else:
            kind = self._kind_of(name)
            raise ArgumentError(
                f"{type(self).__name__}.{name} is a {kind} and was assigned a {type(value).__name__}: assign a {kind} or "
                f"None, change its values in place (`with no_grad(): module.{name}.copy_(value)`), or `del` it first"
            )

    def __getattr__(self, name: str) -> Any:
        # Only asked where Python finds no plain attribute.
        registry = self._registry_of(name)
        if registry is not None:
            return registry[name]
        hint = "" if "_modules" in self.__dict__ else "; its __init__ has not called super().__init__()"
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}")

    def __delattr__(self, name: str) -> None:
        registry = self._registry_of(name)
        if registry is None:
            object.__delattr__(self, name)
        else:
            del registry[name]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def _registry_of(self, name: str) -> Any:
        """The dictionary that holds this name: of parameters, buffers or submodules; None if none does."""
        for kind in ("_parameters", "_modules", "_buffers"):
            registry = self.__dict__.get(kind)
            if registry is not None and name in registry:
                return registry
        return None

    def _kind_of(self, name: str) -> str:
        if name in self._parameters:
            return "Parameter"
        return "Module" if name in self._modules else "Tensor"

    def _take_name(self, name: str, kind: str) -> None:
        """Make room for a part, which may have been something else before."""
        self._refuse_before_init(name)
        self.__dict__.pop(name, None)
        for other in ("_parameters", "_modules", "_buffers"):
            if other != kind:
                self.__dict__[other].pop(name, None)

    def _refuse_before_init(self, name: str) -> None:
        if "_modules" not in self.__dict__:
            raise ArgumentError(
                f"{type(self).__name__}.{name} was assigned before Module.__init__ had run: call super().__init__() first"
            )

    def _refuse_name(self, name: str, kind: str) -> None:
        self._refuse_before_init(name)
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(
                f"{type(self).__name__}: {name!r} cannot name a part: use a string without dots, which separate the steps "
                "of a path such as 'features.3.weight'"
            )
        if hasattr(self, name) and name not in self.__dict__[kind]:
            raise ArgumentError(f"{type(self).__name__} already has an attribute {name!r}: `del` it first, or use another")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under a name, as assignment does; None keeps the name for one that is switched off.

        Raises
        ------
        ArgumentError
            For a name that is taken or holds a dot, and for anything but a `Parameter`.
        """
        self._refuse_name(name, "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise ArgumentError(
                f"register_parameter({name!r}): expected a Parameter or None, got {type(param).__name__}; wrap it in "
                "nn.Parameter, or use register_buffer for a tensor that is not learned"
            )
        if param is not None and param.name is None:
            param.name = name
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the state but is not learned, such as a running mean.

        Parameters
        ----------
        name : str
        tensor : Tensor or None
        persistent : bool
            Whether `state_dict` contains it.
        """
        self._refuse_name(name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise ArgumentError(f"register_buffer({name!r}): expected a Tensor or None, got {type(tensor).__name__}")
        self._buffers[name] = tensor
        (self._unsaved_buffers.discard if persistent else self._unsaved_buffers.add)(name)

    def add_module(self, name: str, module: "Module | None") -> None:
        """Add a submodule under a name, as assignment does."""
        self._refuse_name(name, "_modules")
        if module is not None and not isinstance(module, Parts):
            raise ArgumentError(f"add_module({name!r}): expected a Module or None, got {type(module).__name__}")
        self._modules[name] = module

    def register_module(self, name: str, module: "Module | None") -> None:
        """Add a submodule under a name; another name of `add_module`."""
        self.add_module(name, module)

    # Walks over the parts ---------------------------------------------------------------------------------------------

    def named_children(self) -> "Iterator[tuple[str, Module]]":
        """The direct submodules with their names; one that is there twice comes once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> "Iterator[Module]":
        """The direct submodules."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: "set[Module] | None" = None, prefix: str = "", remove_duplicate: bool = True
    ) -> "Iterator[tuple[str, Module]]":
        """This module (its name is the prefix) and all below it, with their paths; a shared one comes once.

        Parameters
        ----------
        memo : set of Module, optional
            Modules to leave out; those found are added to it.
        prefix : str
            What all paths start with.
        remove_duplicate : bool
            False to get a shared module under each of its paths.
        """
        seen = set() if memo is None else memo
        if remove_duplicate and self in seen:
            return
        seen.add(self._module)
        yield prefix, self._module
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(seen, join_path(prefix, name), remove_duplicate)

    def modules(self) -> "Iterator[Module]":
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def get_submodule(self, target: str) -> "Module":
        """The module at a path such as ``"features.3"``; ``""`` is this one.

        Raises
        ------
        ArgumentError
            If there is none; names the step that failed and what there is instead.
        """
        module = self._module
        for i, name in enumerate(target.split(".") if target else []):
            below = module._modules.get(name)
            if below is None:
                at = ".".join(target.split(".")[:i]) or type(self).__name__
                there = ", ".join(repr(child) for child, _ in module.named_children()) or "no submodules"
                raise ArgumentError(f"get_submodule({target!r}): {at} has no submodule {name!r}; it has {there}")
            module = below
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as ``"features.3.weight"``.

        Raises
        ------
        ArgumentError
            If there is none; names the step that failed and what there is instead.
        """
        return self._member_at(target, "parameter", lambda module: module._parameters)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path such as ``"features.1.running_mean"``; raises as `get_parameter` does."""
        return self._member_at(target, "buffer", lambda module: module._buffers)

    def _member_at(self, target: str, kind: str, members_of: "Callable[[Module], dict[str, Member | None]]") -> Member:
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        members = members_of(owner)
        member = members.get(name)
        if member is None:
            there = ", ".join(repr(other) for other, value in members.items() if value is not None) or f"no {kind}s"
            raise ArgumentError(
                f"get_{kind}({target!r}): {path or type(owner).__name__} has no {kind} {name!r}; it has {there}"
            )
        return member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their paths, each shared one once (under each path without `remove_duplicate`)."""
        return self._named_members(lambda module: module._parameters, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters of this module and, with `recurse`, of all below it."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their paths, saved or not, each shared one once."""
        return self._named_members(lambda module: module._buffers, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers of this module and, with `recurse`, of all below it."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named_members(
        self,
        members_of: "Callable[[Module], dict[str, Member | None]]",
        prefix: str,
        recurse: bool,
        remove_duplicate: bool,
    ) -> Iterator[tuple[str, Member]]:
        seen: set[int] = set()
        owners = self.named_modules(None, prefix, remove_duplicate) if recurse else iter([(prefix, self._module)])
        for path, module in owners:
            for name, member in members_of(module).items():
                if member is not None and not (remove_duplicate and id(member) in seen):
                    seen.add(id(member))
                    yield join_path(path, name), member

    def apply(self, fn: "Callable[[Module], Any]") -> Self:
        """Call ``fn(module)`` for all modules below this one, then for itself; for instance to initialize them."""
        for module in self.children():
            module.apply(fn)
        fn(self._module)
        return self


def join_path(path: str, name: str) -> str:
    """``features`` and ``3`` to ``features.3``; either may be empty."""
    return f"{path}.{name}" if path and name else path or name
