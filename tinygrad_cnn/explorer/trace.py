"""A recorded backward pass as plain data: what the explorer's page is made from.

The data are one dictionary that JSON can hold, with the arrays beside it; the page's script reads exactly this:

``nodes``
    In the order of the forward pass. Each has `id`, `kind` ("op", "parameter", "leaf" or "input"), `name`, `module`,
    `shape`, `dtype`, and for its value and gradient `value` and `grad`: numbers of tensors, or null where unknown. An op
    also has `settings` ([name, text] pairs), `inputs` (ids), `arguments` (what its forward calls them), `flows` (for each
    input the tensor that this op contributed to its gradient, or null), `rule` (see `rules`), `extra` (tensors that the
    rule names), `source` (a key of `sources`), and its place in the drawing, `lane` and `row`.
``tensors``
    Made by `pack`: what of each array is in the file, and where.
``sources``
    For each op's class: what it computes, its gradient's formula, and its Python source.
"""

import inspect
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..autograd.function import AccumulateGrad, Array, Function
from ..nn.module import Module
from ..nn.parameter import Parameter
from ..recording import Recording, record
from ..tensor import Tensor
from ..viz.plain import plain, spelled
from .layout import places
from .rules import rule_of


@dataclass
class Trace:
    """The plain data, and the arrays that its numbers of tensors stand for.

    Attributes
    ----------
    data : dict
        ``nodes`` and ``sources`` as the module's docstring says.
    arrays : list of ndarray
    batched : set of int
        The arrays whose first dimension is the batch, rather than a parameter's.
    """

    data: dict[str, Any] = field(default_factory=dict)
    arrays: list[Array] = field(default_factory=list)
    batched: set[int] = field(default_factory=set)


def trace(loss: Tensor, model: Module | None = None, inputs: Mapping[str, Tensor] | None = None) -> Trace:
    """Run the backward pass of a loss once more, on the side, and write everything down.

    Parameters
    ----------
    loss : Tensor
        One number, with a graph that was not freed.
    model : Module, optional
        Gives the parameters their paths.
    inputs : mapping of str to Tensor, optional
        Names for tensors that went in.

    Returns
    -------
    Trace

    Raises
    ------
    ArgumentError, AutogradError, GraphFreedError, InplaceError
        As `record` does.
    """
    names = {id(tensor): name for name, tensor in (inputs or {}).items()}
    if model is not None:
        names |= {id(parameter): path for path, parameter in model.named_parameters()}
    return _Writer(record(loss, "explore"), names).written()


class _Writer:
    """The trace so far; what a tensor was numbered is remembered by the array's identity."""

    def __init__(self, recording: Recording, names: Mapping[int, str]) -> None:
        self.recording = recording
        self.names = names
        self.trace = Trace()
        self.nodes: list[dict[str, Any]] = []
        self.ids: dict[object, str] = {}
        self._numbers: dict[int, int] = {}
        self._uses = Counter(edge for node in recording.order for edge in node.edges)

    def written(self) -> Trace:
        sources: dict[str, dict[str, str]] = {}
        for node in self.recording.order:
            if isinstance(node, AccumulateGrad):
                self._leaf(node)
            else:
                self._op(node)
                sources.setdefault(_key(node), source_of(type(node)))
        for i, (lane, row) in places(self.nodes).items():
            self.nodes[i] |= {"lane": lane, "row": row}
        self.trace.data = {"nodes": self.nodes, "sources": sources}
        return self.trace

    def _leaf(self, node: AccumulateGrad) -> None:
        learned = isinstance(node.variable, Parameter)
        users = (other for other in self.recording.order if node in other.edges)
        name = self.names.get(id(node.variable)) or node.variable.name or ""
        module = next((user.module for user in users if user.module), "") if learned else ""
        if learned and module and "." not in name and id(node.variable) not in self.names:
            name = f"{module}.{name}"
        self._add(node, "parameter" if learned else "leaf", name or "leaf", module, batched=not learned)

    def _op(self, node: Function) -> None:
        arguments = _argument_names(type(node), len(node.edges))
        ids = [self.ids[edge] if edge is not None else self._input(node, i, arguments[i]) for i, edge in enumerate(node.edges)]
        rule, extra = rule_of(node, self.recording)
        statistics = rule.get("kind") in ("batchnorm", "standardize")
        self._add(node, "op", node.op_name, node.module, batched=True)
        self.nodes[-1] |= {
            "settings": [[name, spelled(plain(value))] for name, value in node.settings.items()],
            "inputs": ids,
            "arguments": arguments,
            "flows": [self._flow(node, i) for i in range(len(node.edges))],
            "rule": rule,
            "extra": {
                name: self._number(array, batched=name == "mask" or not statistics) for name, array in extra.items()
            },
            "source": _key(node),
        }

    def _flow(self, node: Function, argument: int) -> int | None:
        """What the argument contributed; where it is the only contribution, it is the gradient itself."""
        edge, flow = node.edges[argument], self.recording.flows.get((node, argument))
        if edge is None or flow is None:
            return None
        batched = not _is_learned(edge)
        alone = self._uses[edge] == 1 and not _is_hooked(edge)
        return self._number(self.recording.gradients[edge] if alone else flow, batched=batched)

    def _input(self, node: Function, argument: int, name: str) -> str:
        """The id of an argument without a gradient: one node for a tensor that several ops saved."""
        tensor = self.recording.constants.get((node, argument))
        key: object = (node, argument) if tensor is None else id(tensor)
        if key not in self.ids:
            title = name if tensor is None else self.names.get(id(tensor)) or tensor.name or name
            value = None if tensor is None else self._number(tensor.array, batched=True)
            shape, dtype = node.input_shapes[argument], node.input_dtypes[argument]
            self._append(key, "input", title, "", shape, str(dtype), value, None)
        return self.ids[key]

    def _add(self, node: Function, kind: str, name: str, module: str, *, batched: bool) -> None:
        value, grad = self.recording.values.get(node), self.recording.gradients.get(node)
        numbers = [None if array is None else self._number(array, batched=batched) for array in (value, grad)]
        self._append(node, kind, name, module, node.shape, str(node.dtype), *numbers)

    def _append(
        self, key: object, kind: str, name: str, module: str, shape: tuple[int, ...], dtype: str, *numbers: int | None
    ) -> None:
        self.ids[key] = f"n{len(self.nodes)}"
        node = {"id": self.ids[key], "kind": kind, "name": name, "module": module, "shape": list(shape), "dtype": dtype}
        self.nodes.append(node | {"value": numbers[0], "grad": numbers[1]})

    def _number(self, array: Array, *, batched: bool) -> int:
        """The number of an array, the same each time it comes."""
        number = self._numbers.get(id(array))
        if number is None:
            number = self._numbers[id(array)] = len(self.trace.arrays)
            self.trace.arrays.append(np.asarray(array))
            if batched:
                self.trace.batched.add(number)
        return number


def _is_learned(node: Function) -> bool:
    return isinstance(node, AccumulateGrad) and isinstance(node.variable, Parameter)


def _is_hooked(node: Function) -> bool:
    return bool(node.variable._hooks if isinstance(node, AccumulateGrad) else node.hooks)


def _key(node: Function) -> str:
    return type(node).__qualname__


def _argument_names(op: type[Function], count: int) -> list[str]:
    """What the op's forward calls its arguments; their number, where it takes any number of them."""
    parameters = list(inspect.signature(op.forward).parameters.values())[1:]
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return [names[i] if i < len(names) else str(i) for i in range(count)]


def source_of(op: type[Function]) -> dict[str, str]:
    """What an op computes, how its gradient is written, and its source.

    Parameters
    ----------
    op : type of Function

    Returns
    -------
    dict of str to str
        `summary`, `gradient` and `saves` from the docstring; `forward`, `backward` and `kernel` in Python. Empty strings
        where the op has none.

    Examples
    --------
    >>> from tinygrad_cnn.ops.activation import Sigmoid
    >>> source_of(Sigmoid)["gradient"]
    'gx = gy * y * (1 - y)'
    """
    summary: list[str] = []
    sections = {"Gradient": [""], "Saves": [""]}
    lines = summary
    for line in inspect.cleandoc(op.__doc__ or "").splitlines():
        if line.strip() in sections:
            lines = sections[line.strip()] = []
        else:
            lines.append(line.strip())
    return {
        "summary": "\n".join(summary).strip(),
        "gradient": "\n".join(sections["Gradient"]).strip(),
        "saves": " ".join(sections["Saves"]).strip(),
        "forward": _method_source(op, "forward"),
        "backward": _method_source(op, "backward"),
        "kernel": _method_source(op, "backward_kernel"),
    }


def _method_source(op: type[Function], name: str) -> str:
    """The text of a method; empty where there is none, or where it was typed into an interpreter that kept no text."""
    method = getattr(op, name)
    if method is None:
        return ""
    try:
        return inspect.cleandoc("\n" + inspect.getsource(method))
    except (OSError, TypeError):
        return ""
