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
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from ..autograd.mode import STATE, is_grad_enabled, no_grad
from ..errors import ArgumentError, AutogradError, CheckpointError, DTypeError, TinygradError
from ..tensor import Array, HookHandle, Tensor
from .hooks import BackwardHook, ComputesWeight, ModuleTap
from .parameter import WithoutValues, clear_gradients
from .parts import Parts, join_path
from .state import IncompatibleKeys, fitting_arrays, mismatch_message, versions_of

ForwardPreHook = Callable[["Module", tuple[Any, ...]], Any]
ForwardHook = Callable[["Module", tuple[Any, ...], Any], Any]


class Module(Parts):
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
    _forward_pre_hooks: list[ForwardPreHook]
    _forward_hooks: list[ForwardHook]
    _backward_hooks: list[BackwardHook]
    _paths: dict[int, str]

    _saved_since: Mapping[str, int] = MappingProxyType({})
    """Entries of the state that versions of the class before this one did not save."""

    def __init__(self) -> None:
        super().__init__()
        self.__dict__.update(training=True, _forward_pre_hooks=[], _forward_hooks=[], _backward_hooks=[], _paths={})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; call the module itself rather than this, so that hooks run and the path is kept."""
        raise AutogradError(f"{type(self).__name__} has no forward: define forward(self, ...) in the class")

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
        tensors = self._saved_tensors().items()
        return OrderedDict((prefix + path, tensor if keep_vars else tensor.detach()) for path, tensor in tensors)

    def _saved_tensors(self) -> dict[str, Tensor]:
        """The parameters and the saved buffers, each under all of its paths."""
        state: dict[str, Tensor] = {}
        for path, module in self.named_modules(remove_duplicate=False):
            saved = [item for item in module._buffers.items() if item[0] not in module._unsaved_buffers]
            for name, tensor in (*module._parameters.items(), *saved):
                if tensor is not None:
                    state[join_path(path, name)] = tensor
        return state

    def load_state_dict(self, state_dict: Mapping[str, Tensor | Array], strict: bool = True) -> IncompatibleKeys:
        """Take over the values of a `state_dict`, converted to the dtypes of this module.

        Everything is checked before anything is written: after an error the module is as it was.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or ndarray
        strict : bool
            Whether the names must be the same on both sides. Shapes always must, for the names that are on both.
            As in PyTorch, the count of batches that batch normalization keeps (``num_batches_tracked``) may be missing
            where the state does not say that it is of 2018 or later: the count stays as it was.

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
        own = self._saved_tensors()
        excused = self._unknown_to(versions_of(state_dict))
        missing = [name for name in own if name not in state_dict and name not in excused]
        unexpected = [name for name in state_dict if name not in own]
        arrays, misfits = fitting_arrays(own, state_dict)
        if misfits or (strict and (missing or unexpected)):
            raise CheckpointError(
                mismatch_message(type(self).__name__, missing if strict else [], unexpected if strict else [], misfits)
            )
        with no_grad():
            for name, array in arrays.items():
                tensor = own[name]
                if isinstance(tensor, WithoutValues):
                    tensor.materialize(array.shape)
                tensor.copy_(array)
        return IncompatibleKeys(missing, unexpected)

    def _unknown_to(self, versions: Mapping[str, int]) -> set[str]:
        """The names that a state cannot have which modules of these versions wrote; no version at all is the oldest."""
        return {
            join_path(path, name)
            for path, module in self.named_modules(remove_duplicate=False)
            for name, version in module._saved_since.items()
            if versions.get(path, 0) < version
        }

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
        tensors = [tensor for tensor in (*self.parameters(), *self.buffers()) if tensor.dtype.kind == "f"]
        dtypes = {t.dtype: Tensor(np.zeros(0, t.dtype)).to(*args, dtype=dtype, device=device).dtype for t in tensors}
        for wanted in dtypes.values():
            if wanted.kind != "f":
                raise DTypeError(f"{type(self).__name__}.to: parameters are floating-point numbers, {wanted} is not")
        for tensor in tensors:
            wanted = dtypes[tensor.dtype]
            if isinstance(tensor, WithoutValues):
                tensor.dtype = wanted
            elif wanted != tensor.dtype:
                tensor.data = tensor.array.astype(wanted)
                tensor.grad = None if tensor.grad is None else tensor.grad.detach().to(wanted)
        return self

    def type(self, dst_type: DTypeLike) -> Self:
        """Convert all floating-point parameters and buffers, as `to` does."""
        return self.to(dtype=dst_type)

    def half(self) -> Self:
        """Convert all floating-point parameters and buffers to float16."""
        return self.to(np.float16)

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
        STATE.module_path = "" if caller is None else join_path(path, name or caller._path_to(self))
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

    def register_forward_pre_hook(self, hook: ForwardPreHook, *, prepend: bool = False) -> HookHandle:
        """Call ``hook(module, args)`` before each `forward`; what it returns replaces the positional arguments.

        Parameters
        ----------
        hook : callable
        prepend : bool
            Call it before the hooks that are there already, rather than after them.

        Returns
        -------
        HookHandle
            Its ``remove()`` takes the hook away.
        """
        return _registered(self._forward_pre_hooks, hook, prepend)

    def register_forward_hook(self, hook: ForwardHook, *, prepend: bool = False) -> HookHandle:
        """Call ``hook(module, args, output)`` after each `forward`; what it returns replaces the output."""
        return _registered(self._forward_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: BackwardHook, *, prepend: bool = False) -> HookHandle:
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
        return _registered(self._backward_hooks, hook, prepend)

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


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def _registered(hooks: list[Any], hook: Any, prepend: bool) -> HookHandle:
    if not callable(hook):
        raise ArgumentError(f"a hook must be a function, got {type(hook).__name__}")
    hooks.insert(0 if prepend else len(hooks), hook)
    return HookHandle(hooks, hook)
