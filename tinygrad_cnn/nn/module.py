"""Module: a function with parameters, made of other modules.

A module is given its parts by plain assignment,

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3)

        def forward(self, x):
            return self.conv(x).relu()

and everything else is a walk over these parts: the parameters for an optimizer, the state for a checkpoint, the switch
between training and evaluation, the picture that ``print`` gives. The names of the walk (``features.3.weight``) are the
names of the attributes.

Calling a module runs its hooks and `forward`, and keeps the path of what is running (``features.3``) where the ops find
it. That is how a node of the graph, and so every drawing and every error message, knows which layer it belongs to.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from ..autograd.mode import STATE, is_grad_enabled, no_grad
from ..errors import ArgumentError, AutogradError, CheckpointError, DTypeError, TinygradError
from ..tensor import Array, HookHandle, Tensor, as_array
from .hooks import BackwardHook, ComputesWeight, ModuleTap
from .parameter import Parameter, clear_gradients

Member = TypeVar("Member")
ForwardPreHook = Callable[["Module", tuple[Any, ...]], Any]
ForwardHook = Callable[["Module", tuple[Any, ...], Any], Any]


class IncompatibleKeys(NamedTuple):
    """What `Module.load_state_dict` found on one side only."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class Module:
    """Base class of all layers and networks.

    A subclass calls ``super().__init__()``, assigns its parameters and submodules, and defines `forward`.

    Attributes
    ----------
    training : bool
        Whether dropout drops and batch normalization uses the batch; see `train` and `eval`.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> class Scaled(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.linear = nn.Linear(2, 1)
    ...         self.scale = nn.Parameter(tg.ones(1))
    ...
    ...     def forward(self, x):
    ...         return self.scale * self.linear(x)
    >>> net = Scaled()
    >>> [name for name, _ in net.named_parameters()]
    ['scale', 'linear.weight', 'linear.bias']
    >>> net
    Scaled(
      (linear): Linear(in_features=2, out_features=1, bias=True)
    )
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: "dict[str, Module | None]"
    _unsaved_buffers: set[str]
    _forward_pre_hooks: list[ForwardPreHook]
    _forward_hooks: list[ForwardHook]
    _backward_hooks: list[BackwardHook]
    _paths: dict[int, str]

    def __init__(self) -> None:
        # Past __setattr__, which needs these to be there.
        self.__dict__.update(training=True, _parameters={}, _buffers={}, _modules={}, _unsaved_buffers=set())
        self.__dict__.update(_forward_pre_hooks=[], _forward_hooks=[], _backward_hooks=[], _paths={})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; call the module itself rather than this, so that hooks run and the path is kept."""
        raise AutogradError(f"{type(self).__name__} has no forward: define forward(self, ...) in the class")

    # Its parts: parameters, buffers, submodules -----------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._take_name(name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._take_name(name, "_modules")
            self.add_module(name, value)
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
        if module is not None and not isinstance(module, Module):
            raise ArgumentError(f"add_module({name!r}): expected a Module or None, got {type(module).__name__}")
        self._modules[name] = module

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
        seen.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(seen, _join(prefix, name), remove_duplicate)

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
        module = self
        for i, name in enumerate(target.split(".") if target else []):
            below = module._modules.get(name)
            if below is None:
                at = ".".join(target.split(".")[:i]) or type(self).__name__
                there = ", ".join(repr(child) for child, _ in module.named_children()) or "no submodules"
                raise ArgumentError(f"get_submodule({target!r}): {at} has no submodule {name!r}; it has {there}")
            module = below
        return module

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
        owners = self.named_modules(None, prefix, remove_duplicate) if recurse else iter([(prefix, self)])
        for path, module in owners:
            for name, member in members_of(module).items():
                if member is not None and not (remove_duplicate and id(member) in seen):
                    seen.add(id(member))
                    yield _join(path, name), member

    def apply(self, fn: "Callable[[Module], Any]") -> Self:
        """Call ``fn(module)`` for all modules below this one, then for itself; for instance to initialize them."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # The state ------------------------------------------------------------------------------------------------------

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> "OrderedDict[str, Tensor]":
        """All parameters and saved buffers by path, a shared one under each of its paths.

        The tensors share the module's memory: training on changes them. Copy them (``copy.deepcopy``) to keep them.

        Parameters
        ----------
        prefix : str
            What all paths start with, such as ``"encoder."``.
        keep_vars : bool
            Give the parameters themselves rather than detached tensors.
        """
        state: OrderedDict[str, Tensor] = OrderedDict()
        for path, module in self.named_modules(remove_duplicate=False):
            saved = [item for item in module._buffers.items() if item[0] not in module._unsaved_buffers]
            for name, tensor in (*module._parameters.items(), *saved):
                if tensor is not None:
                    state[prefix + _join(path, name)] = tensor if keep_vars else tensor.detach()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Tensor | Array], strict: bool = True) -> IncompatibleKeys:
        """Take over the values of a `state_dict`, converted to the dtypes of this module.

        Everything is checked before anything is written: after an error the module is as it was.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or ndarray
        strict : bool
            Whether the names must be the same on both sides. Shapes always must, for the names that are on both.

        Returns
        -------
        IncompatibleKeys (missing_keys, unexpected_keys)
            Names of the module that were not given, and names given that the module does not have.

        Raises
        ------
        CheckpointError
            Once, with the list of all that does not fit.
        """
        if not isinstance(state_dict, Mapping):
            raise ArgumentError(f"load_state_dict: expected a mapping of names to arrays, got {type(state_dict).__name__}")
        own = self.state_dict(keep_vars=True)
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        arrays, misfits = _fitting_arrays(own, state_dict)
        if misfits or (strict and (missing or unexpected)):
            raise CheckpointError(
                _mismatch_message(type(self).__name__, missing if strict else [], unexpected if strict else [], misfits)
            )
        with no_grad():
            for name, array in arrays.items():
                own[name].copy_(array)
        return IncompatibleKeys(missing, unexpected)

    # Settings of the whole tree -------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Set `training` here and in all modules below: True to train, False to evaluate."""
        if not isinstance(mode, bool):
            raise ArgumentError(f"train: mode must be True or False, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set `training` to False here and in all modules below."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Say for all parameters whether they are learned; False freezes them."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with ``set_to_none=False`` fill them with zeros."""
        clear_gradients(self.parameters(), set_to_none)

    def to(self, *args: Any, dtype: DTypeLike | None = None, device: str | None = None) -> Self:
        """Convert all floating-point parameters and buffers, in place: ``to(np.float64)``; the device is always "cpu".

        Make the optimizer afterwards: its own arrays keep the dtype that they were made in.

        Raises
        ------
        DTypeError
            For a dtype that is not floating-point.
        """
        floating = [tensor for tensor in (*self.parameters(), *self.buffers()) if tensor.is_floating_point()]
        converted = [tensor.detach().to(*args, dtype=dtype, device=device) for tensor in floating]
        for tensor, other in zip(floating, converted, strict=True):
            if not other.is_floating_point():
                raise DTypeError(f"{type(self).__name__}.to: parameters are floating-point numbers, {other.dtype} is not")
            if other.dtype != tensor.dtype:
                tensor.data = other.array
                tensor.grad = None if tensor.grad is None else tensor.grad.detach().to(other.dtype)
        return self

    def double(self) -> Self:
        """Convert all floating-point parameters and buffers to float64."""
        return self.to(np.float64)

    def float(self) -> Self:
        """Convert all floating-point parameters and buffers to float32."""
        return self.to(np.float32)

    # Calling it -----------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(None, args, kwargs)

    def _run(self, name: str | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the module, as its caller's part `name` (None: look the name up), and keep the path meanwhile."""
        caller, path = STATE.module, STATE.module_path
        STATE.module_path = "" if caller is None else _join(path, name or caller._path_to(self))
        STATE.module = self
        try:
            if self._forward_pre_hooks or self._forward_hooks or self._backward_hooks:
                return self._forward_with_hooks(args, kwargs)
            return self.forward(*args, **kwargs)
        except TinygradError as error:
            error.module = error.module or STATE.module_path  # the innermost module that was running
            raise
        finally:
            STATE.module, STATE.module_path = caller, path

    def _path_to(self, module: "Module") -> str:
        """The path from this module to one below it; the class's name for one that is not below it."""
        known = self._paths.get(id(module))
        # The id may be that of another module by now, or the module may have been moved: the path itself tells.
        if known is not None and self._at(known) is module:
            return known
        for name, child in (*self._modules.items(), *self.named_modules()):
            if child is module:
                self._paths[id(module)] = name
                return name
        return type(module).__name__

    def _at(self, path: str) -> "Module | None":
        module: Module | None = self
        for name in path.split("."):
            module = module._modules.get(name) if module is not None else None
        return module

    def _forward_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for pre_hook in tuple(self._forward_pre_hooks):
            changed = pre_hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        tap = ModuleTap(self) if self._backward_hooks and is_grad_enabled() else None
        output = self.forward(*(args if tap is None else tap.tap_inputs(args)), **kwargs)
        for hook in tuple(self._forward_hooks):
            changed = hook(self, args, output)
            if changed is not None:
                output = changed
        return output if tap is None else tap.tap_outputs(output)

    def register_forward_pre_hook(self, hook: ForwardPreHook) -> HookHandle:
        """Call ``hook(module, args)`` before each `forward`; what it returns replaces the positional arguments.

        Returns
        -------
        HookHandle
            Its ``remove()`` takes the hook away.
        """
        return _registered(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook: ForwardHook) -> HookHandle:
        """Call ``hook(module, args, output)`` after each `forward`; what it returns replaces the output."""
        return _registered(self._forward_hooks, hook)

    def register_full_backward_hook(self, hook: BackwardHook) -> HookHandle:
        """Call ``hook(module, grad_input, grad_output)`` when the backward pass has gone through the module.

        Parameters
        ----------
        hook : callable
            `grad_input` has one entry for each positional argument, `grad_output` one for each output; None where no
            gradient came. What it returns replaces `grad_input`. It is called as soon as all gradients of the inputs
            are there, which are this module's share of them; if no input needs a gradient, as soon as those of the
            outputs are.

        Notes
        -----
        A module with such a hook must not change its inputs in place (``ReLU(inplace=True)``): that is refused.
        """
        return _registered(self._backward_hooks, hook)

    # Looking at it, copying it --------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of the repr: the settings."""
        return ""

    def __repr__(self) -> str:
        settings = self.extra_repr()
        parts = [f"({name}): {_indented(text)}" for name, text in self._repr_of_parts()]
        if not parts and "\n" not in settings:
            return f"{type(self).__name__}({settings})"
        lines = [*(settings.split("\n") if settings else []), *parts]
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"

    def _repr_of_parts(self) -> list[tuple[str, str]]:
        return [(name, repr(module)) for name, module in self._modules.items()]

    def __getstate__(self) -> dict[str, Any]:
        # A weight that a hook computes before every call has a history, which leads to the original's parameters.
        names = [hook.name for hook in self._forward_pre_hooks if isinstance(hook, ComputesWeight)]
        computed = {name: self.__dict__[name].detach().clone() for name in names if name in self.__dict__}
        # The known paths are by id, which means nothing in a copy.
        return {**self.__dict__, **computed, "_paths": {}}


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def _registered(hooks: list[Any], hook: Any) -> HookHandle:
    if not callable(hook):
        raise ArgumentError(f"a hook must be a function, got {type(hook).__name__}")
    hooks.append(hook)
    return HookHandle(hooks, hook)


def _fitting_arrays(own: Mapping[str, Tensor], given: Mapping[str, Any]) -> tuple[dict[str, Array], list[str]]:
    """The given arrays that a module has a place for, and a line for each that does not fit it."""
    arrays: dict[str, Array] = {}
    misfits = []
    for name in own:
        if name not in given:
            continue
        try:
            arrays[name] = as_array(given[name])
        except (TinygradError, TypeError, ValueError) as error:
            misfits.append(f"{name}: expected an array, got {type(given[name]).__name__} ({error})")
            continue
        if arrays[name].shape != own[name].shape:
            misfits.append(f"{name}: the shape given is {arrays[name].shape}, the module's is {own[name].shape}")
    return arrays, misfits


def _mismatch_message(
    module: str, missing: Iterable[str], unexpected: Iterable[str], misfits: Iterable[str]
) -> str:
    parts = {
        "in the module, but not given": missing,
        "given, but not in the module": unexpected,
        "of another shape or kind": misfits,
    }
    lines = [f"{title}:\n    " + "\n    ".join(names) for title, names in parts.items() if names]
    return (
        f"load_state_dict: the state does not fit {module}, which was left as it was.\n  "
        + "\n  ".join(lines)
        + "\nBuild the module that the state was saved from, rename the keys, or pass strict=False to load only the names "
        "that are on both sides (with equal shapes)."
    )
