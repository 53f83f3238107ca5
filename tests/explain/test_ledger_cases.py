"""Every op has a ledger, and its terms add up to the gradient: over the table of cases that all ops have."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import explain
from tinygrad_cnn.verify import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.op.__name__}-{case.label}")
def test_terms_of_every_op_add_up_to_its_gradient(case):
    generator = np.random.default_rng(1)
    inputs = [tg.tensor(x, requires_grad=True) for x in case.inputs()]
    y = case.call(*inputs)
    loss = (y * tg.tensor(generator.standard_normal(y.shape))).sum()
    expected = tg.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
    for x, gradient in zip(inputs, expected, strict=True):
        if gradient is None or x.numel() == 0:
            continue
        index = tuple(int(generator.integers(n)) for n in x.shape)
        ledger = explain.gradient(loss, x, index)
        assert ledger.gradient == pytest.approx(gradient.array[index], rel=1e-12, abs=1e-12)
        assert ledger.total == pytest.approx(gradient.array[index], rel=1e-9, abs=1e-9)
        assert str(ledger)
        assert ledger._repr_html_()
