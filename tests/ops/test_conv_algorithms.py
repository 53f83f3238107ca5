"""Which algorithm computes a convolution: `algo=` for one, `kernels.use_algorithm` for all."""

from unittest import mock

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import kernels, nn
from tinygrad_cnn.errors import ArgumentError, MissingExtraError
from tinygrad_cnn.kernels import conv_choice

pytest.importorskip("numba")


def operands(dtype=tg.float32):
    rng = np.random.default_rng(0)
    arrays = (rng.standard_normal(shape) for shape in ((2, 5, 9, 8), (6, 5, 3, 3), (6,), (2, 6, 9, 8)))
    return [tg.tensor(array, dtype=dtype, requires_grad=True) for array in arrays]


def called(name):
    """Watch who computes: the names of algorithms and kernels, in order."""
    calls = []

    def algorithm(name, kernel):
        calls.append((name, kernel))
        return before(name, kernel)

    before = conv_choice.algorithm
    return mock.patch.object(conv_choice, "algorithm", algorithm), calls


@pytest.mark.parametrize("name", ["columns", "planes", "channels", "winograd2", "winograd4", "fft"])
def test_one_convolution_and_its_gradients_by_one_algorithm(name):
    x, weight, bias, gy = operands()
    watch, calls = called(name)
    with watch:
        y = tg.conv2d(x, weight, bias, padding=1, algo=name)
        y.backward(gy)
    assert calls == [(name, "conv"), (name, "conv_input_grad"), (name, "conv_weight_grad")]
    exact = operands(tg.float64)
    wanted = tg.conv2d(*exact[:3], padding=1)
    wanted.backward(exact[3])
    np.testing.assert_allclose(y.detach(), wanted.detach(), atol=1e-4)
    for ours, theirs in zip((x, weight, bias), exact[:3], strict=True):
        np.testing.assert_allclose(ours.grad, theirs.grad, atol=1e-3)


def test_the_second_derivative_is_by_the_same_algorithm():
    x, weight, _, gy = operands(tg.float64)
    y = tg.conv2d(x, weight, padding=1, algo="fft")
    gx, gweight = tg.autograd.grad(y, (x, weight), gy, create_graph=True)
    watch, calls = called("fft")
    with watch:
        tg.autograd.grad((gx * gx).sum() + (gweight * gweight).sum(), (x, weight))
    assert calls
    assert {name for name, _ in calls} == {"fft"}
    assert tg.autograd.gradgradcheck(lambda x, weight: tg.conv2d(x, weight, padding=1, algo="fft"), (x[:1, :2], weight[:2, :2]))


def test_a_layer_has_it_and_shows_it():
    layer = nn.Conv2d(5, 6, 3, padding=1, algo="winograd2")
    assert "algo='winograd2'" in repr(layer)
    y = layer(operands()[0])
    assert y.grad_fn.settings["algo"] == "winograd2"
    assert "algo" not in repr(nn.Conv2d(5, 6, 3))
    assert "algo" not in nn.Conv2d(5, 6, 3)(operands()[0]).grad_fn.settings


def test_a_plan_of_it_computes_nothing():
    watch, calls = called("winograd2")
    with watch:
        plan = nn.plan(nn.Sequential(nn.Conv2d(5, 6, 3, padding=1, algo="winograd2")), (5, 9, 8))
    assert plan.output_shape[1:] == (6, 9, 8)
    assert not calls


def test_all_convolutions_that_it_can_compute():
    x, weight, bias, _ = operands()
    watch, calls = called("fft")
    with watch, kernels.use_algorithm("winograd2"):
        tg.conv2d(x, weight, bias)
        tg.conv2d(x, weight, bias, stride=2)
        with kernels.use("numpy"):  # the choice of kernels leaves that of the algorithm alone
            tg.conv2d(x, weight, bias)
        with kernels.use_algorithm(None):
            tg.conv2d(x, weight, bias)
    assert next(name for name, _ in calls) == "winograd2"
    assert [name for name, _ in calls].count("winograd2") == 2
    assert conv_choice._asked_for is None


@pytest.mark.parametrize("ask", [kernels.use_algorithm, lambda name: tg.conv2d(*operands()[:2], algo=name)], ids=["all", "one"])
def test_an_unknown_algorithm(ask):
    with pytest.raises(ArgumentError, match=r"conv: unknown algorithm 'gemm'; use one of 'columns', 'planes', 'channels'"):
        ask("gemm")


def test_what_it_cannot_compute():
    x, weight, bias, _ = operands()
    with pytest.raises(ArgumentError, match=r"conv: winograd4 cannot compute .* choose another of columns"):
        tg.conv2d(x, weight, bias, stride=2, algo="winograd4")


def test_without_numba():
    with mock.patch.object(kernels, "find_spec", return_value=None), pytest.raises(MissingExtraError, match="fast"):
        kernels.use_algorithm("planes")
