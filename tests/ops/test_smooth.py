"""Smooth nonlinearities: digits in the tails, the paper's numbers, and the error messages."""

import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.nn import functional as F


@pytest.mark.parametrize("x", [-30.0, -10.0, -6.0, -2.0])
def test_gelu_keeps_its_digits_below_zero(x):
    """1 + erf(x / sqrt(2)) has none left at -9; the complement has them all."""
    y = F.gelu(tg.tensor([x], dtype=tg.float64)).item()
    assert y == pytest.approx(x * math.erfc(-x / math.sqrt(2)) / 2, rel=1e-14)
    assert y < 0


@pytest.mark.parametrize("x", [-30.0, -8.0])
def test_the_sigmoids_relatives_keep_their_digits_below_zero(x):
    at = tg.tensor([x], dtype=tg.float64, requires_grad=True)
    small = math.exp(x)
    assert F.silu(at).item() == pytest.approx(x * small / (1 + small), rel=1e-14)
    assert F.softplus(at).item() == pytest.approx(math.log1p(small), rel=1e-14)
    assert F.mish(at).item() == pytest.approx(x * math.tanh(math.log1p(small)), rel=1e-14)
    (slope,) = grad(F.softplus(at), at)
    assert slope.item() == pytest.approx(small / (1 + small), rel=1e-14)
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    assert F.gelu(at, "tanh").item() == pytest.approx(x * math.exp(2 * u) / (1 + math.exp(2 * u)), rel=1e-12)


def test_the_approximate_gelu_is_near_but_not_the_same():
    x = tg.linspace(-5, 5, 1001, dtype=tg.float64)
    off = np.abs((F.gelu(x) - F.gelu(x, approximate="tanh")).numpy()).max()
    assert 1e-4 < off < 5e-4


def test_gelu_tanh_of_numbers_whose_cube_overflows():
    with np.errstate(over="raise", invalid="raise"):
        y = F.gelu(tg.tensor([-1e20, 1e20]), "tanh")
    np.testing.assert_allclose(y, [0, 1e20])


def test_erf_and_erfc_add_up_to_1():
    x = tg.linspace(-4, 4, 101, dtype=tg.float64)
    np.testing.assert_allclose(tg.erf(x) + tg.erfc(x), 1, rtol=4e-16)
    np.testing.assert_allclose(tg.erfc(tg.tensor([10.0], dtype=tg.float64)), 2.088487583762545e-45, rtol=1e-14)


def test_scaled_tanh_has_the_papers_numbers():
    """LeCun et al. 1998, appendix A: f(+-1) = +-1, gain near 1, and the second derivative peaks at +-1 (at 0.98772)."""
    x = tg.tensor([0.0, 1.0, 0.98772, 0.98672, 0.98872], dtype=tg.float64, requires_grad=True)
    y = F.scaled_tanh(x)
    (slope,) = grad(y.sum(), x, create_graph=True)
    (curvature,) = grad(slope.sum(), x)
    assert y.detach()[1].item() == pytest.approx(0.9999972559, abs=1e-10)
    assert slope.detach()[0].item() == pytest.approx(1.1439333, abs=1e-7)
    assert slope.detach()[1].item() == pytest.approx(0.7554124, abs=1e-7)
    _, _, peak, before, after = np.abs(curvature.numpy())
    assert peak > max(before, after)
    np.testing.assert_allclose(F.scaled_tanh(tg.tensor([2.0]), 3.0, 0.5), 3 * math.tanh(1.0), rtol=1e-6)


def test_softplus_is_the_input_above_its_threshold_only():
    x = tg.tensor([0.99, 1.01], dtype=tg.float64)
    y = F.softplus(x, beta=2.0, threshold=2.0).numpy()
    assert y[0] == pytest.approx(math.log(1 + math.exp(1.98)) / 2)
    assert y[1] == 1.01
    at = F.softplus(tg.tensor([1.0], dtype=tg.float64), beta=2.0, threshold=2.0)
    assert at.item() == pytest.approx(math.log(1 + math.exp(2)) / 2)
    by_default = F.softplus(tg.tensor([19.5, 20.5], dtype=tg.float64)).numpy()
    np.testing.assert_array_equal(by_default == [19.5, 20.5], [False, True])


def test_glu_gates_the_first_half_with_the_second():
    x = tg.tensor([[2.0, 0.0], [3.0, 1e4]])
    np.testing.assert_allclose(F.glu(x), [[1], [3]])
    np.testing.assert_allclose(F.glu(x, dim=0), 2 / (1 + np.exp(-3)) * np.array([[1, 0]]), rtol=1e-6)
    assert F.glu(tg.zeros(2, 0)).shape == (2, 0)
    np.testing.assert_array_equal(F.glu(x, axis=0), F.glu(x, dim=0))


def test_softmin_prefers_the_smallest():
    y = F.softmin(tg.tensor([[3.0, 1.0, 2.0]]), dim=1)
    np.testing.assert_allclose(y, F.softmax(tg.tensor([[-3.0, -1.0, -2.0]]), dim=1))
    assert F.softmin(tg.tensor([1, 2]), dim=0, dtype=tg.float64).dtype == np.float64


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.gelu(tg.ones(2), "sigmoid"), ArgumentError, "approximate must be 'none' (exact) or 'tanh', got 'sigmoid'"),
        (lambda: F.softplus(tg.ones(2), 0), ArgumentError, "beta divides the result, so it cannot be 0"),
        (lambda: F.glu(tg.ones(2, 3)), ShapeError, "glu: dimension -1 of the input (2, 3) has the odd size 3"),
        (lambda: F.glu(tg.tensor(1.0)), ShapeError, "glu: dimension -1 of the input () has the odd size 1"),
        (lambda: F.glu(tg.ones(2, 3), 2), ShapeError, "glu: dim 2 does not exist in a tensor of 2 dimensions"),
        (lambda: F.softmin(tg.ones(2)), ArgumentError, "say which dimension sums to 1"),
    ],
)
def test_errors_say_what_was_given_and_what_to_do(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()
