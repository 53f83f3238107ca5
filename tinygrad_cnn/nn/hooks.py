"""Hooks: looking at, and changing, the gradients that pass through a module; and weights computed before each call.

A backward hook sees the gradients of all inputs of a module at once, next to those of its outputs. The tensors' own
hooks cannot give that: an input's gradient is the sum over everybody who used it, of which the module's share is one
term (think of ``x + block(x)``). So a module with backward hooks passes its inputs and its outputs through nodes of
their own:

    inputs -> Gate -> Tap, Tap, ...  (the module runs on the taps' outputs)

A tap hands on its input unchanged; in the backward pass it leaves the gradient with the gate. The gate comes after all
of its taps there, because it was made before them, and so it has all gradients when its turn comes; it calls the hooks
and sends what they return to where the inputs came from. The outputs have a gate and taps of their own.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.function import Array, Function
from ..errors import ArgumentError, AutogradError
from ..tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

Gradients = tuple[Tensor | None, ...]
BackwardHook = Callable[["Module", Gradients, Gradients], Any]


class ComputesWeight:
    """A forward pre-hook that computes a weight of its module from other parameters, before every call.

    Parameters
    ----------
    name : str
        Of the attribute that it sets; `Module` leaves its history behind when it is copied or pickled.

    Attributes
    ----------
    what : str
        The function that put the hook there, for messages: ``"weight_norm"``.
    """

    what: str

    def __init__(self, name: str) -> None:
        self.name = name

    def compute(self, module: "Module", training: bool) -> Tensor:
        """The weight."""
        raise AutogradError(f"{type(self).__name__} computes nothing: define compute(self, module, training)")

    def __call__(self, module: "Module", args: tuple[Any, ...]) -> None:
        setattr(module, self.name, self.compute(module, module.training))


class Gate(Function):
    """Where the gradients of several tensors meet; its own output is a zero that ties the taps to it.

    Gradient
        what `on_gradients` makes of the gradients that the taps have left in `arrived`
    Saves
        nothing
    """

    arrived: list[Tensor | None]
    on_gradients: Callable[[Gradients], Gradients]

    @property
    def settings(self) -> dict[str, Any]:
        return {}

    def forward(self, *tensors: Array) -> Array:
        return np.zeros((), tensors[0].dtype)

    def backward(self, gy: Tensor) -> Any:
        gradients = tuple(self.arrived)
        self.arrived[:] = [None] * len(gradients)
        return self.on_gradients(gradients)


class Tap(Function):
    """One input or output of a module, unchanged.

    Gradient
        none to x directly: gy is left for the gate, which passes it on
    Saves
        nothing
    """

    arrived: list[Tensor | None]
    position: int
    is_view = True

    @property
    def settings(self) -> dict[str, Any]:
        return {}

    def forward(self, x: Array, gate: Array) -> Array:
        return x

    def backward(self, gy: Tensor) -> Any:
        self.arrived[self.position] = gy
        return None, Tensor(np.zeros((), self.input_dtypes[1]))


class ModuleTap:
    """The backward hooks of one call of one module.

    Parameters
    ----------
    module : Module
        Its hooks are those that it has when the backward pass comes by.
    """

    def __init__(self, module: "Module") -> None:
        self._module = module
        self._grad_output: Gradients = ()
        self._input_count = 0
        self._inputs_tapped = False

    def tap_inputs(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """The inputs, through taps where they need a gradient."""
        self._input_count = len(inputs)
        tapped = _tapped(inputs, f"an input of {type(self._module).__name__}", self._run_hooks)
        self._inputs_tapped = tapped is not inputs
        return tapped

    def tap_outputs(self, outputs: Any) -> Any:
        """The output, or each of a tuple of outputs, through taps."""
        what = f"an output of {type(self._module).__name__}"
        if isinstance(outputs, tuple):
            return _tapped(outputs, what, self._keep_grad_output)
        return _tapped((outputs,), what, self._keep_grad_output)[0]

    def _keep_grad_output(self, gradients: Gradients) -> Gradients:
        self._grad_output = gradients
        if not self._inputs_tapped:
            # No input needs a gradient (the network's first layer): nothing more will come.
            self._run_hooks((None,) * self._input_count)
        return gradients

    def _run_hooks(self, grad_input: Gradients) -> Gradients:
        grad_output, self._grad_output = self._grad_output, ()
        for hook in tuple(self._module._backward_hooks):
            returned = hook(self._module, grad_input, grad_output)
            if returned is not None:
                grad_input = self._checked(returned, grad_input)
        return grad_input

    def _checked(self, returned: Any, grad_input: Gradients) -> Gradients:
        replacement = returned if isinstance(returned, tuple) else (returned,)
        if len(replacement) != len(grad_input):
            raise ArgumentError(
                f"a backward hook of {type(self._module).__name__} returned {len(replacement)} gradients, the module has "
                f"{len(grad_input)} inputs; return None to change nothing, or a tuple with one entry for each input"
            )
        return replacement


def _tapped(values: tuple[Any, ...], what: str, on_gradients: Callable[[Gradients], Gradients]) -> tuple[Any, ...]:
    """The values with their differentiable tensors tapped; `on_gradients` is given one entry for each value."""
    places = [i for i, value in enumerate(values) if isinstance(value, Tensor) and value.requires_grad]
    if not places:
        return values
    arrived: list[Tensor | None] = [None] * len(values)

    def of_tensors(gradients: Gradients) -> Gradients:
        changed = on_gradients(gradients)
        return tuple(changed[i] for i in places)

    gate = Gate.apply(*[values[i] for i in places], arrived=arrived, on_gradients=of_tensors)
    tapped = list(values)
    for i in places:
        tapped[i] = Tap.apply(values[i], gate, arrived=arrived, position=i)
        # It shares memory with the value, so it must not be written in place; the name says so in the message.
        tapped[i].name = f"{what}, which has a backward hook"
    return tuple(tapped)
