"""What there is to measure on a graph: time, memory, work, gradients. Numbers for the boxes; `colour` makes colours of them.

    time      seconds that an op took in a profile; without one, takes when it is run again by itself on arrays of its
              shapes, the least of three runs
    bytes     of the value that it makes; a view has none of its own
    flops     of convolutions, linear layers and matrix products, two for a multiply-add; other ops are not counted
    gradnorm  length (L2) of the gradient of the output with respect to the value
    saved     bytes that it keeps for its backward rule; what several keep is counted once, with the first of them, and
              parameters, which are there anyway, not at all

A rule in a backward graph has its own time and its own flops: one multiply-add of the forward pass comes back in each gradient
that is needed.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from ..autograd.function import AccumulateGrad, Function
from ..autograd.mode import STATE, enable_grad
from ..autograd.walk import kept
from ..errors import ArgumentError
from ..nn.parameter import Parameter
from ..profiler.counting import gradients_of_products, product_flops
from ..profiler.recorder import profile
from ..random import drawing_from
from ..tensor import Tensor
from .graph import Graph

Measure: TypeAlias = Literal["time", "bytes", "flops", "gradnorm", "saved"]

RUNS = 3


def measured(
    graph: Graph,
    ids: Mapping[Function, str],
    what: Measure,
    gradients: Mapping[Function, Any],
    profiled: profile | None = None,
) -> Graph:
    """Write a measure onto the boxes of a graph.

    Parameters
    ----------
    graph : Graph
    ids : dict of Function to str
        Both from `trace_nodes`.
    what : {"time", "bytes", "flops", "gradnorm", "saved"}
    gradients : dict of Function to ndarray
        Of the nodes' values; needed for "gradnorm" only.
    profiled : profile, optional
        Where the "time" is taken from.

    Returns
    -------
    Graph
        A box without the measure (an op that the profile has not seen, or that cannot run again by itself; a value that no
        gradient reaches) goes without.
    """
    seen: set[int] = set()
    rules: Mapping[Measure, Callable[[Function], dict[str, float]]] = {
        "time": _time if profiled is None else lambda node: _seconds(node, profiled),
        "bytes": _bytes,
        "flops": _flops,
        "gradnorm": lambda node: {"gradnorm": _norm(gradients[node])} if node in gradients else {},
        "saved": lambda node: _saved(node, seen),
    }
    found: dict[str, dict[str, float]] = {}
    for node, name in ids.items():
        found[name] = found.get(name, {}) | rules[what](node)
    return replace(graph, nodes=tuple(replace(node, measures=found.get(node.id, {})) for node in graph.nodes))


def check_measure(what: str | None) -> None:
    """Refuse a measure that there is not."""
    if what is not None and what not in get_args(Measure):
        raise ArgumentError(f"color must be {', '.join(map(repr, get_args(Measure)))} or None, got {what!r}")


def _bytes(node: Function) -> dict[str, float]:
    return {"bytes": 0 if node.is_view else math.prod(node.shape) * node.dtype.itemsize}


def _saved(node: Function, seen: set[int]) -> dict[str, float]:
    """The arrays that nobody has kept so far; a view keeps what it is a view of."""
    if isinstance(node, AccumulateGrad):
        return {}
    total = 0
    for tensor, array in kept(node):
        memory = array.__array_interface__["data"][0]
        if not isinstance(tensor, Parameter) and memory not in seen:
            seen.add(memory)
            total += array.nbytes
    return {"saved": total}


def _flops(node: Function) -> dict[str, float]:
    if isinstance(node, AccumulateGrad):
        return {}
    work = product_flops(node, node.input_shapes, node.shape)
    return {"flops": work, "backward flops": work * gradients_of_products(node, node.needs_input_grad)}


def _norm(gradient: Any) -> float:
    return float(np.sqrt(np.sum(np.square(gradient, dtype=np.float64))))


def _time(node: Function) -> dict[str, float]:
    """Run an op again, forward and backward; nothing for an op of the user's that does not take such arrays."""
    if isinstance(node, AccumulateGrad):
        return {}
    observer, STATE.observer = STATE.observer, None
    try:
        with drawing_from(np.random.default_rng(0)), np.errstate(all="ignore"):
            runs = [_run(node) for _ in range(RUNS)]
    except Exception:  # the op may be anybody's, and a picture must not fail because it wants other numbers
        return {}
    finally:
        STATE.observer = observer
    return {name: min(run[name] for run in runs) for name in runs[0]}


def _run(node: Function) -> dict[str, float]:
    """Profile the forward and the rule of an op, on ones where it takes floats, on zeros where it takes integers."""
    inputs = []
    for shape, dtype, needs in zip(node.input_shapes, node.input_dtypes, node.needs_input_grad, strict=True):
        fill = np.ones if dtype.kind == "f" else np.zeros
        inputs.append(Tensor(fill(shape, dtype), requires_grad=needs))
    again = type(node)(**node.params)
    with enable_grad(), profile(profile_memory=False) as profiled:
        y = again(*inputs)
        y.backward(Tensor(np.ones(y.shape, y.dtype)))
    return _seconds(again, profiled)


def _seconds(node: Function, profiled: profile) -> dict[str, float]:
    """What a profile knows of an op."""
    found = profiled.seconds_of(node)
    return {} if found is None else {"time": found[0], "backward time": found[1]}
