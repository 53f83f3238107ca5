"""Optimizer: from gradients to new values of the parameters.

What every optimizer has in common is here: the groups of parameters with their options, the state that is kept for each
parameter (a momentum, say), saving and loading, and the loop of `step`. A particular optimizer is one method on arrays,
`update`, which reads like the formula that it is.

An update writes into the parameter's own array, and the parameter's version counts up. A graph that still needs the
former value, because it is differentiated only after the step, refuses instead of using the new one.
"""

import math
import numbers
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import zip_longest
from typing import Any, ClassVar, TypeAlias

import numpy as np

from ..autograd.mode import enable_grad
from ..autograd.observers import record_function
from ..errors import ArgumentError, AutogradError, CheckpointError, ShapeError
from ..nn.parameter import WithoutValues, clear_gradients
from ..tensor import Array, Tensor

Group: TypeAlias = dict[str, Any]
State: TypeAlias = dict[str, Any]
Params: TypeAlias = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[Group]


class Optimizer:
    """Base class of the optimizers.

    A subclass defines `update`, and `check_options` for the options that it has.

    Parameters
    ----------
    params : iterable of Tensor, of (str, Tensor), or of dict
        The parameters; or with their names, as ``model.named_parameters()`` gives them, which messages use and which a
        group keeps as ``"param_names"``; or groups of them, each with ``"params"`` and the options in which it differs.
    defaults : dict
        The options of groups that do not say otherwise.

    Attributes
    ----------
    param_groups : list of dict
        Each with ``"params"`` and its options, such as ``"lr"``; change an option here to change it from the next step
        on, which is what the schedulers do.
    state : dict of Tensor to dict
        What is kept for each parameter: tensors and plain numbers, so that it can be saved without pickle.
    has_stepped : bool
        Whether `step` was called.

    Raises
    ------
    ArgumentError
        For an empty list, something that is no leaf tensor, a parameter that appears twice, or an option out of range.
    """

    # What a saved group may lack, as one of an earlier version does; then it stays what it is.
    _added_options: ClassVar[frozenset[str]] = frozenset(
        {"maximize", "decoupled_weight_decay", "lr_in_velocity", "param_names"}
    )

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        if isinstance(params, (Tensor, Mapping)) or not isinstance(params, Iterable):
            raise ArgumentError(
                f"{type(self).__name__}: params must be an iterable of parameters or of groups, got "
                f"{type(params).__name__}; put it into a list, or pass model.parameters()"
            )
        self._refuse_set(params)
        self.defaults = defaults
        # Whether there was a step yet, which the schedulers ask: a rate that was never used was scheduled too early.
        self.has_stepped = False
        self.state: defaultdict[Tensor, State] = defaultdict(dict)
        self.param_groups: list[Group] = []
        given: list[Any] = list(params)
        if not given:
            raise ArgumentError(
                f"{type(self).__name__}: got no parameters; model.parameters() can be gone through once only, and a module "
                "has only those parameters and modules that were assigned to it as attributes"
            )
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    # What an optimizer defines ----------------------------------------------------------------------------------------

    def check_options(self, group: Group) -> None:
        """Raise ArgumentError for options that are out of their range; here, for none."""

    def update(self, parameter: Array, gradient: Array, state: State, group: Group) -> None:
        """Change a parameter in place.

        Parameters
        ----------
        parameter : ndarray
            Its values, to be written.
        gradient : ndarray, shape of `parameter`
            Not to be written: it stays the parameter's ``.grad``.
        state : dict
            What earlier updates kept for this parameter; at first empty.
        group : dict
            The options.
        """
        raise AutogradError(f"{type(self).__name__} has no update: define update(self, parameter, gradient, state, group)")

    # What users call ------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient.

        Parameters
        ----------
        closure : callable, optional
            Called first, with gradients recorded: it clears the gradients, computes the loss, calls ``backward`` on it
            and returns it.

        Returns
        -------
        What the closure returned, or None
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with record_function(f"{type(self).__name__}.step"):
            self._update_all()
        self.has_stepped = True
        return loss

    def _update_all(self) -> None:
        writer = f"{type(self).__name__}.step()"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                array, gradient = parameter.array, parameter.grad.array
                if gradient.shape != array.shape:
                    raise ShapeError(
                        f"{writer}: {parameter._described()} has shape {array.shape}, its gradient {gradient.shape}"
                    )
                self.update(array, gradient, self.state[parameter], group)
                parameter._wrote(writer)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with ``set_to_none=False`` fill them with zeros."""
        clear_gradients((p for group in self.param_groups for p in group["params"]), set_to_none)

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with options of their own, such as a layer that is unfrozen later in training.

        Parameters
        ----------
        param_group : dict
            ``"params"`` and the options that differ from the defaults.

        Raises
        ------
        ArgumentError
            As for the optimizer itself; then the group is not added.
        """
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise ArgumentError(
                f"{type(self).__name__}: a group must be a dict with 'params' and options, got {param_group!r}; groups and "
                "single parameters cannot be mixed in one list"
            )
        params = param_group["params"]
        self._refuse_set(params)
        params = [params] if isinstance(params, Tensor) else list(params)
        group = {**self.defaults, **param_group, "params": params}
        labels = [f"parameter {i}" for i in range(len(params))]
        if params and all(isinstance(pair, tuple) and len(pair) == 2 for pair in params):
            group["param_names"], group["params"] = ([pair[i] for pair in params] for i in (0, 1))
            labels = [f"parameter {i} {name!r}" for i, name in enumerate(group["param_names"])]
        taken = {id(p) for other in self.param_groups for p in other["params"]}
        for label, parameter in zip(labels, group["params"], strict=True):
            self._check_parameter(label, parameter, taken)
            taken.add(id(parameter))
        self.check_options(group)
        self.param_groups.append(group)

    def _refuse_set(self, params: Any) -> None:
        if isinstance(params, (set, frozenset)):
            raise ArgumentError(
                f"{type(self).__name__}: params is a set, whose order may differ from run to run (the saved state goes by "
                "order); pass a list"
            )

    def _check_parameter(self, label: str, parameter: Any, taken: set[int]) -> None:
        name = type(self).__name__
        if not isinstance(parameter, Tensor):
            raise ArgumentError(f"{name}: {label} must be a Tensor, got {type(parameter).__name__}")
        if isinstance(parameter, WithoutValues):
            raise parameter.not_ready()
        if not parameter.is_leaf:
            raise ArgumentError(
                f"{name}: {label} is {parameter._described()}, no leaf: it would be computed anew in each pass; pass "
                "the tensors that it is computed from, or detach() it"
            )
        if id(parameter) in taken:
            raise ArgumentError(
                f"{name}: {label} ({parameter._described()} of shape {parameter.shape}) appears twice and would be "
                "updated twice in each step; list it once, in one group"
            )

    # Saving and loading ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The state and the options as plain data, with parameters numbered in the order of the groups.

        The tensors in it are those that `step` writes to; copy them (``copy.deepcopy``) to keep them.

        Returns
        -------
        dict with ``"state"``, number to dict, and ``"param_groups"``, whose ``"params"`` are numbers
        """
        number: dict[int, int] = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                number[id(parameter)] = len(number)
        groups = [{**group, "params": [number[id(p)] for p in group["params"]]} for group in self.param_groups]
        state = {number[id(p)]: dict(kept) for p, kept in self.state.items() if kept and id(p) in number}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a `state_dict`, of an optimizer of the same kind over parameters of the same shapes.

        Arrays are copied, in the dtypes of the parameters. After an error the optimizer is as it was.

        Raises
        ------
        CheckpointError
            Once, with the list of all that does not fit.
        """
        problems = self._misfits(state_dict)
        if problems:
            raise CheckpointError(
                f"load_state_dict: the state does not fit this {type(self).__name__}, which was left as it was.\n    "
                + "\n    ".join(problems)
                + "\nMake the optimizer as the saved one was: the same class, the same groups, in the same order."
            )
        parameters = self._numbered(state_dict)
        state = {
            parameters[number]: {name: _copied(value, parameters[number]) for name, value in kept.items()}
            for number, kept in state_dict["state"].items()
        }
        self.state = defaultdict(dict, state)
        self.param_groups = [
            {**{name: group[name] for name in self._added_options & set(group)}, **saved, "params": group["params"]}
            for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True)
        ]

    def _numbered(self, state_dict: Mapping[str, Any]) -> dict[Any, Tensor]:
        """The parameters by their numbers in a state whose groups are as long as ours."""
        return {
            number: parameter
            for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True)
            for number, parameter in zip(saved["params"], group["params"], strict=True)
        }

    def _misfits(self, state_dict: Mapping[str, Any]) -> list[str]:
        """A line for each thing in a state that is not as here."""
        if (
            not isinstance(state_dict, Mapping)
            or not {"state", "param_groups"} <= set(state_dict)
            or not all("params" in group for group in state_dict["param_groups"])
        ):
            return ["expected what state_dict() returns: a dict with 'state' and 'param_groups', each with 'params'"]
        ours = [len(group["params"]) for group in self.param_groups]
        saved = [len(group["params"]) for group in state_dict["param_groups"]]
        if ours != saved:
            return [f"the groups here have {ours} parameters, those given {saved}"]
        problems = []
        for i, (own, group) in enumerate(zip(self.param_groups, state_dict["param_groups"], strict=True)):
            absent = sorted(set(self.defaults) - set(group) - self._added_options)
            if absent:
                problems.append(f"group {i} lacks the options {', '.join(absent)}")
            if "param_names" in own and "param_names" in group:
                for ours_here, given in zip_longest(own["param_names"], group["param_names"]):
                    if ours_here != given:
                        problems.append(f"group {i} has the parameter {ours_here!r} here, {given!r} in the state")
        parameters = self._numbered(state_dict)
        for number, kept in state_dict["state"].items():
            if number not in parameters:
                problems.append(f"there is a state for parameter {number}, which is in no group")
                continue
            for name, value in kept.items():
                shape = np.shape(value.array if isinstance(value, Tensor) else value)
                if shape not in ((), parameters[number].shape):
                    problems.append(
                        f"{name} of parameter {number} has shape {shape}, the parameter here {parameters[number].shape}"
                    )
        return problems

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join(lines) + "\n)"


def check_number(optimizer: str, name: str, value: Any, below: float = math.inf) -> None:
    """Refuse an option that is not a number with 0 <= value < below.

    Examples
    --------
    >>> check_number("SGD", "lr", -1)
    Traceback (most recent call last):
        ...
    tinygrad_cnn.errors.ArgumentError: SGD: lr must be a number of at least 0, got -1
    """
    if not isinstance(value, numbers.Real) or not 0 <= float(value) < below:
        limit = f" and below {below}" if below != math.inf else ""
        raise ArgumentError(f"{optimizer}: {name} must be a number of at least 0{limit}, got {value!r}")


def _copied(value: Any, parameter: Tensor) -> Any:
    """A copy of something kept for a parameter; arrays in the parameter's dtype."""
    if isinstance(value, (Tensor, np.ndarray)):
        array = value.array if isinstance(value, Tensor) else value
        return Tensor(np.array(array, parameter.dtype if array.dtype.kind == "f" else array.dtype))
    return value
