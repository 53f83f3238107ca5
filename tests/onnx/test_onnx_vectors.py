"""The test vectors of the `onnx` package, which nobody here wrote, through the thin adapter.

Three banks: models that PyTorch exported (`pytorch-operator`, `pytorch-converted`), and the node cases of every operator that
we have. A case that asks for something that we do not have is listed in REASONS, by what it asks for; it must still ask for it.
"""

import collections
import functools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from . import adapter_cnn  # noqa: F401 - registers the second half
from .adapter import OPS, UnsupportedError, run

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"

# What a case may ask for that we do not have.
REASONS = (
    "integer division: ours is true division, as PyTorch's",
    "fmod: ours is the remainder with the divisor's sign",
    "a shrink whose bias is neither 0 nor lambda",
    "indices under padding of more than half a window",
    "the maximum of nothing: ours raises, as PyTorch's",
    "dilated average pooling",
    "dilated Lp pooling",
    "dropout's mask from NumPy's old generator",
    "fold over other than two dimensions",
    "fold with unequal padding",
    "resize ",
    "a cubic kernel with another coefficient than PyTorch's",
    "grid_sample of volumes",
    "affine_grid of volumes",
)


@functools.cache
def node_cases() -> dict[str, Any]:
    """The cases of one node whose operator we have, with data that NumPy can hold."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    kept = {}
    for case in cases:
        nodes = case.model.graph.node
        arrays = [array for inputs, outputs in case.data_sets for array in (*inputs, *outputs)]
        if len(nodes) == 1 and nodes[0].op_type in OPS and all(_plain(array) for array in arrays):
            kept[case.name] = case
    return kept


def _plain(array: Any) -> bool:
    names = ("bool", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    return isinstance(array, (np.ndarray, np.generic)) and array.dtype.name in names


def _compare(got: Any, expected: Any, rtol: float = 1e-4, atol: float = 1e-6) -> None:
    expected = np.asarray(expected)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol, equal_nan=True)


def _check(model: onnx.ModelProto, inputs: list[Any], outputs: list[Any], rtol: float, atol: float) -> None:
    try:
        results = run(model, inputs)
    except UnsupportedError as unsupported:
        reason = str(unsupported)
    else:
        reason = ""
    if reason:
        assert reason.startswith(REASONS)
        return
    for got, expected in zip(results, outputs, strict=True):
        _compare(got, expected, rtol, atol)


def _exported(bank: str) -> list[str]:
    return sorted(path.name for path in (DATA / bank).iterdir())


def _protobufs(folder: Path, kind: str) -> list[Any]:
    paths = sorted(folder.glob(f"{kind}_*.pb"), key=lambda path: int(path.stem.rpartition("_")[2]))
    return [numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes())) for path in paths]


@pytest.mark.parametrize(
    ("bank", "name"), [(bank, name) for bank in ("pytorch-operator", "pytorch-converted") for name in _exported(bank)]
)
def test_model_exported_by_pytorch(bank: str, name: str) -> None:
    model = onnx.load(DATA / bank / name / "model.onnx")
    folder = DATA / bank / name / "test_data_set_0"
    _check(model, _protobufs(folder, "input"), _protobufs(folder, "output"), 1e-4, 1e-5)


@pytest.mark.parametrize("name", sorted(node_cases()))
def test_node(name: str) -> None:
    case = node_cases()[name]
    for inputs, outputs in case.data_sets:
        _check(case.model, list(inputs), list(outputs), max(case.rtol, 1e-5), max(case.atol, 1e-6))


def counts() -> dict[str, tuple[int, int]]:
    """For each operator, how many node cases there are and how many of them our ops compute."""
    total, computed = collections.Counter(), collections.Counter()
    for case in node_cases().values():
        name = case.model.graph.node[0].op_type
        total[name] += 1
        try:
            run(case.model, list(case.data_sets[0][0]))
            computed[name] += 1
        except UnsupportedError:
            continue
    return {name: (computed[name], total[name]) for name in sorted(total)}


def test_nearly_all_node_cases_are_computed() -> None:
    """That "unsupported" does not quietly become the answer."""
    computed = sum(done for done, _ in counts().values())
    assert computed > 0.85 * sum(total for _, total in counts().values())
