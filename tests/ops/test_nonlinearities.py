"""All nonlinearities over one table: far from 0, NaN, their kinks, writing in place. Values between are in `verify`."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.errors import DTypeError, InplaceError
from tinygrad_cnn.nn import functional as F

Op = Callable[[Tensor], Tensor]


class Far(NamedTuple):
    """A function's values at -1e4 and 1e4, and its slopes there."""

    op: Op
    values: tuple[float, float]
    slopes: tuple[float, float]


FAR = {
    "relu": Far(F.relu, (0, 1e4), (0, 1)),
    "leaky_relu": Far(lambda x: F.leaky_relu(x, 0.2), (-2e3, 1e4), (0.2, 1)),
    "prelu": Far(lambda x: F.prelu(x, tg.tensor([0.2], dtype=x.dtype)), (-2e3, 1e4), (0.2, 1)),
    "rrelu": Far(lambda x: F.rrelu(x, 0.1, 0.3), (-2e3, 1e4), (0.2, 1)),
    "elu": Far(lambda x: F.elu(x, 0.7), (-0.7, 1e4), (0, 1)),
    "celu": Far(lambda x: F.celu(x, 0.01), (-0.01, 1e4), (0, 1)),
    "selu": Far(F.selu, (-1.7580993408473766, 1.0507009873554805e4), (0, 1.0507009873554805)),
    "hardtanh": Far(F.hardtanh, (-1, 1), (0, 0)),
    "relu6": Far(F.relu6, (0, 6), (0, 0)),
    "hardsigmoid": Far(F.hardsigmoid, (0, 1), (0, 0)),
    "hardswish": Far(F.hardswish, (0, 1e4), (0, 1)),
    "threshold": Far(lambda x: F.threshold(x, 0.5, -3.0), (-3, 1e4), (0, 1)),
    "softshrink": Far(F.softshrink, (-9999.5, 9999.5), (1, 1)),
    "hardshrink": Far(F.hardshrink, (-1e4, 1e4), (1, 1)),
    "erf": Far(tg.erf, (-1, 1), (0, 0)),
    "erfc": Far(tg.erfc, (2, 0), (0, 0)),
    "gelu": Far(F.gelu, (0, 1e4), (0, 1)),
    "gelu tanh": Far(lambda x: F.gelu(x, "tanh"), (0, 1e4), (0, 1)),
    "silu": Far(F.silu, (0, 1e4), (0, 1)),
    "mish": Far(F.mish, (0, 1e4), (0, 1)),
    "softplus": Far(F.softplus, (0, 1e4), (0, 1)),
    "softplus without threshold": Far(lambda x: F.softplus(x, 1.0, math.inf), (0, 1e4), (0, 1)),
    "softplus sharp": Far(lambda x: F.softplus(x, 50.0, 1e9), (0, 1e4), (0, 1)),
    "logsigmoid": Far(F.logsigmoid, (-1e4, 0), (1, 0)),
    "softsign": Far(F.softsign, (-1e4 / 10001, 1e4 / 10001), (1 / 10001**2, 1 / 10001**2)),
    "sigmoid": Far(F.sigmoid, (0, 1), (0, 0)),
    "tanh": Far(F.tanh, (-1, 1), (0, 0)),
    "scaled_tanh": Far(F.scaled_tanh, (-1.7159, 1.7159), (0, 0)),
    "tanhshrink": Far(F.tanhshrink, (-9999, 9999), (1, 1)),
    "softmin": Far(lambda x: F.softmin(x, 0), (1, 0), (0, 0)),
    "glu": Far(lambda x: F.glu(tg.cat([x, x])), (0, 1e4), (0, 1)),
}
CURVATURE = {"softsign": (2 / 10001**3, -2 / 10001**3)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FAR)
def test_far_from_zero(name, dtype):
    """Nothing overflows (warnings are errors), and value, slope and curvature are the limits."""
    op, values, slopes = FAR[name]
    x = tg.tensor([-1e4, 1e4], dtype=dtype, requires_grad=True)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y = op(x)
    assert y.dtype == dtype
    (gx,) = grad(y.sum() if name != "softmin" else y[0], x, create_graph=True)
    (ggx,) = grad(gx.sum(), x, materialize_grads=True) if gx.requires_grad else (tg.zeros(2),)
    np.testing.assert_allclose(y.detach(), values, rtol=1e-6, atol=0)
    np.testing.assert_allclose(gx.detach(), slopes, rtol=1e-6, atol=0)
    np.testing.assert_allclose(ggx.detach(), CURVATURE.get(name, (0, 0)), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", FAR)
def test_nan_stays_nan(name):
    y = FAR[name].op(tg.tensor([math.nan, math.nan], dtype=tg.float64))
    assert np.isnan(y.numpy()).all()


@pytest.mark.parametrize("name", [name for name in FAR if name not in ("softmin", "glu")])
def test_shapes_without_elements_and_without_dimensions(name):
    for shape in ((0, 3, 2), (3, 0), (0,)):
        x = tg.zeros(*shape, requires_grad=True)
        y = FAR[name].op(x)
        assert y.shape == shape
        y.sum().backward()
        assert x.grad.shape == shape
    assert FAR[name].op(tg.tensor(0.5)).shape == ()


@pytest.mark.parametrize("name", [name for name in FAR if name not in ("relu", "prelu")])
def test_integers_become_floats(name):
    y = FAR[name].op(tg.tensor([-2, 3]))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, FAR[name].op(tg.tensor([-2.0, 3.0])))


# The slope at a kink is the one that the docstring gives, which is PyTorch's.
KINKS = {
    "relu": (F.relu, 0, 0),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), 0, 0.2),
    "prelu": (lambda x: F.prelu(x, tg.tensor(0.2, dtype=tg.float64)), 0, 0.2),
    "rrelu": (lambda x: F.rrelu(x, 0.1, 0.3), 0, 0.2),
    "elu": (lambda x: F.elu(x, 0.7), 0, 0.7),
    "celu": (lambda x: F.celu(x, 0.7), 0, 1),
    "selu": (F.selu, 0, 1.7580993408473766),
    "hardtanh below": (lambda x: F.hardtanh(x, -2, 3), -2, 0),
    "hardtanh above": (lambda x: F.hardtanh(x, -2, 3), 3, 0),
    "relu6 below": (F.relu6, 0, 0),
    "relu6 above": (F.relu6, 6, 0),
    "hardsigmoid below": (F.hardsigmoid, -3, 0),
    "hardsigmoid above": (F.hardsigmoid, 3, 0),
    "hardswish below": (F.hardswish, -3, 0),
    "hardswish above": (F.hardswish, 3, 1),
    "threshold": (lambda x: F.threshold(x, 0.5, -3.0), 0.5, 0),
    "softshrink below": (F.softshrink, -0.5, 0),
    "softshrink above": (F.softshrink, 0.5, 0),
    "hardshrink below": (F.hardshrink, -0.5, 0),
    "hardshrink above": (F.hardshrink, 0.5, 0),
    "softplus at its threshold": (lambda x: F.softplus(x, 2.0, 1.0), 0.5, 1 / (1 + math.exp(-1))),
}


@pytest.mark.parametrize("name", KINKS)
def test_slope_at_a_kink(name):
    op, at, slope = KINKS[name]
    x = tg.tensor([at], dtype=tg.float64, requires_grad=True)
    op(x).backward()
    assert x.grad.item() == pytest.approx(slope, rel=1e-15)


IN_PLACE = {
    "relu": F.relu,
    "leaky_relu": lambda x, inplace: F.leaky_relu(x, 0.2, inplace),
    "rrelu in training": lambda x, inplace: F.rrelu(x, 0.1, 0.3, True, inplace),
    "rrelu": lambda x, inplace: F.rrelu(x, 0.1, 0.3, False, inplace),
    "elu": lambda x, inplace: F.elu(x, 0.7, inplace),
    "celu": lambda x, inplace: F.celu(x, 0.7, inplace),
    "selu": F.selu,
    "hardtanh": lambda x, inplace: F.hardtanh(x, -1.0, 0.5, inplace),
    "relu6": F.relu6,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "threshold": lambda x, inplace: F.threshold(x, 0.1, -2.0, inplace),
    "silu": F.silu,
    "mish": F.mish,
    "dropout": lambda x, inplace: F.dropout(x, 0.5, True, inplace),
    "dropout at test time": lambda x, inplace: F.dropout(x, 0.3, False, inplace, inverted=False),
    "dropout1d": lambda x, inplace: F.dropout1d(x, 0.5, True, inplace),
    "dropout2d": lambda x, inplace: F.dropout2d(x, 0.5, True, inplace),
    "dropout3d": lambda x, inplace: F.dropout3d(x, 0.5, True, inplace),
    "alpha_dropout": lambda x, inplace: F.alpha_dropout(x, 0.5, True, inplace),
    "feature_alpha_dropout": lambda x, inplace: F.feature_alpha_dropout(x, 0.5, True, inplace),
}
SHAPES = {"dropout3d": (1, 3, 2, 2, 1)}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_is_the_same_function(name):
    op, shape = IN_PLACE[name], SHAPES.get(name, (3, 2, 2))
    values, gy = np.random.default_rng(0).standard_normal((2, *shape)) * 3
    found = []
    for inplace in (False, True):
        leaf = Tensor(values.copy(), requires_grad=True)
        before = leaf * 2.0
        memory = before.array
        tg.manual_seed(0)
        after = op(before, inplace=inplace)
        assert (after is before) == inplace
        assert np.shares_memory(after.array, memory) == inplace
        after.backward(Tensor(gy.reshape(after.shape)))
        found.append((after.detach().numpy().ravel(), leaf.grad.numpy().ravel()))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])
    assert found[0][1].any()


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_writes_are_refused_where_they_would_be_wrong(name):
    op, shape = IN_PLACE[name], SHAPES.get(name, (3, 2, 2))
    with pytest.raises(InplaceError, match="requires grad and cannot be written in place"):
        op(tg.ones(*shape, requires_grad=True), inplace=True)
    saved = tg.exp(tg.ones(*shape, requires_grad=True))
    op(saved, inplace=True)
    with pytest.raises(InplaceError, match=r"its own output.*changed in place by"):
        saved.sum().backward()
    if name != "relu":
        with pytest.raises(DTypeError, match="cannot be written into a tensor of int64"):
            op(tg.ones(*shape, dtype=tg.int64), inplace=True)
    plain = tg.ones(*shape)
    with tg.no_grad():
        assert op(plain, inplace=True) is plain
    assert plain._version == 1
