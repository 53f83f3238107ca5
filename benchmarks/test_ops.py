"""The small workloads under pytest-benchmark, ours alone: ``pytest benchmarks``. Not part of the default test suite.

For a comparison of two versions of this package: ``pytest benchmarks --benchmark-save before``, change something, and
``pytest benchmarks --benchmark-compare``. Against other frameworks: ``python -m benchmarks run``.
"""

from collections.abc import Callable
from typing import Any

import pytest

import tinygrad_cnn as tg

from .sides import Options
from .sides.ours import prepare
from .workloads import Training, registry

SMALL = [name for name, workload in registry().items() if not isinstance(workload, Training)]

ONE_ELEMENT: dict[str, Callable[[tg.Tensor], tg.Tensor]] = {
    "add": lambda x: x + x,
    "mul": lambda x: x * x,
    "exp": lambda x: x.exp(),
    "relu": lambda x: x.relu(),
    "sum": lambda x: x.sum(),
    "reshape": lambda x: x.reshape(1, 1),
    "matmul": lambda x: x @ x,
    "chain of ten": lambda x: sum((x for _ in range(10)), x),
}


@pytest.mark.parametrize("name", SMALL)
def test_workload(benchmark: Any, name: str) -> None:
    prepared = prepare(registry()[name], Options())
    prepared.step()
    benchmark(prepared.step)


@pytest.mark.parametrize("name", ONE_ELEMENT)
def test_one_element_forward_and_backward(benchmark: Any, name: str) -> None:
    x = tg.ones(1, requires_grad=True)
    op = ONE_ELEMENT[name]

    def step() -> None:
        x.grad = None
        op(x).backward(tg.ones(1, 1) if name == "reshape" else None)

    benchmark(step)


@pytest.mark.parametrize("network", ["lenet5", "lenet"])
def test_training_step(benchmark: Any, network: str) -> None:
    prepared = prepare(registry()[network], Options())
    prepared.step()
    benchmark(prepared.step)
