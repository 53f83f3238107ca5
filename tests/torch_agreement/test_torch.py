"""The same cases in PyTorch: values, first gradients, second gradients. Run with ``pytest -m torch`` where it is installed."""

from typing import Any

import numpy as np
import pytest
import torch

from tinygrad_cnn.autograd import grad
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.verify import CASES
from tinygrad_cnn.verify.case import Case

from .respell import OursAlone, respelled

# torch warns of its own plans; none of them is about us.
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

# Where we differ on purpose (the docstrings say so), or torch has no second derivative.
DIFFERENT = {
    "SetItem-repeated integers": "what a later write replaced gets no gradient",
    "MaxUnpool-positions that meet": "what a later value replaced gets no gradient",
    "MaxUnpool-one dimension": "what a later value replaced gets no gradient",
    "MaxUnpool-three dimensions": "what a later value replaced gets no gradient",
    "Unfold-lp_pool, p 3, signs": "a negative sum has its real root, not NaN",
    "MaxPool-lp_pool, p inf": "p = inf is the maximum",
    "ELU-celu": "torch rounds a constant to float32",
    "Hardtanh-hardsigmoid": "torch rounds 1/6 to float32",
    "ChannelAffine-group norm, bias alone": "torch fails in the backward pass without a weight",
    "BatchNorm-bias alone": "torch has no second derivative without a weight",
    "ReLU-multi_margin_loss, mean": "torch has no second derivative",
    "ReLU-multi_margin_loss, squared, weights": "torch has no second derivative",
    "ReLU-multi_margin_loss, none": "torch has no second derivative",
    "ReLU-multilabel_margin_loss, mean": "torch has no second derivative",
    "ReLU-multilabel_margin_loss, none": "torch has no second derivative",
    "Norm-cosine_similarity, short vectors": "torch differentiates the length that eps has replaced",
}

RANDOM = ("Dropout", "RReLU", "StochasticPool", "FractionalMaxPool")


def in_torch(case: Case) -> tuple[Any, list[Any]] | None:
    """The case's output and leaves in torch; None where torch has nothing like it."""
    leaves = [torch.tensor(array, requires_grad=True) for array in case.inputs()]
    try:
        y = respelled(case.call)(*leaves)
    except (OursAlone, NotImplementedError):
        return None
    except (TypeError, AttributeError, RuntimeError, ValueError) as error:
        # An option that only we have is refused by torch; anything else would be a difference.
        if any(part in str(error) for part in ("argument", "attribute", "padding", "must be", "expected", "Expected", "step")):
            return None
        raise
    return (y, leaves) if isinstance(y, torch.Tensor) and y.requires_grad else None


COMPARED = [case for case in CASES if not case.op.__name__.startswith(RANDOM)]


def name(case: Case) -> str:
    return f"{case.op.__name__}-{case.label}"


@pytest.mark.parametrize("case", [case for case in COMPARED if name(case) not in DIFFERENT], ids=name)
def test_a_case_agrees_with_pytorch(case: Case) -> None:
    compare(case)


@pytest.mark.parametrize("case", [case for case in COMPARED if name(case) in DIFFERENT], ids=name)
def test_a_difference_is_still_there(case: Case) -> None:
    with pytest.raises((AssertionError, RuntimeError)):
        compare(case)


def compare(case: Case) -> None:
    """Values, first and second gradients, in float64; nothing where torch has nothing like it."""
    theirs = in_torch(case)
    if theirs is None:
        return
    torch_y, torch_leaves = theirs
    leaves = [Tensor(array, requires_grad=True) for array in case.inputs()]
    y = case.call(*leaves)
    close(y, torch_y, 1e-11)
    rng = np.random.default_rng(0)
    v = rng.standard_normal(y.shape).astype(y.dtype)
    ours = grad(y, leaves, Tensor(v), create_graph=True, materialize_grads=True)
    first = torch.autograd.grad(torch_y, torch_leaves, torch.tensor(v), create_graph=True, materialize_grads=True)
    for a, b in zip(ours, first, strict=True):
        close(a, b, 1e-9)
    weights = [rng.standard_normal(a.shape) for a in ours]
    total, torch_total = Tensor(np.zeros(())), torch.zeros((), dtype=torch.float64)
    for a, b, u in zip(ours, first, weights, strict=True):
        total, torch_total = total + (a * Tensor(u)).sum(), torch_total + (b * torch.tensor(u)).sum()
    if not torch_total.requires_grad:
        assert not total.requires_grad or all(not g.array.any() for g in grad(total, leaves, materialize_grads=True))
        return
    second = torch.autograd.grad(torch_total, torch_leaves, materialize_grads=True, allow_unused=True)
    if not total.requires_grad:
        assert all(not b.any() for b in second)
        return
    for a, b in zip(grad(total, leaves, materialize_grads=True), second, strict=True):
        close(a, b, 1e-8)


def close(ours: Tensor, theirs: Any, tolerance: float) -> None:
    expected = theirs.detach().numpy()
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours.array, expected, rtol=tolerance, atol=tolerance)


def test_most_cases_are_compared() -> None:
    compared = sum(in_torch(case) is not None for case in COMPARED)
    print(f"{compared} of {len(COMPARED)} cases exist in PyTorch")
    assert compared > 0.6 * len(COMPARED)
