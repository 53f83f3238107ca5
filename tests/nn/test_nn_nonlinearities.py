"""Nonlinearities and the dropout family as layers: that each passes every setting on, and the error messages."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor, nn
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.nn import functional as F

# layer, the same as a function
PAIRS = [
    (nn.PReLU(4, 0.1), lambda x: F.prelu(x, tg.tensor([0.1] * 4))),
    (nn.RReLU(0.1, 0.5).eval(), lambda x: F.rrelu(x, 0.1, 0.5)),
    (nn.RReLU(0.1, 0.5), lambda x: F.rrelu(x, 0.1, 0.5, training=True)),
    (nn.ELU(0.7), lambda x: F.elu(x, 0.7)),
    (nn.CELU(0.7), lambda x: F.celu(x, 0.7)),
    (nn.SELU(), F.selu),
    (nn.Hardtanh(-0.3, 0.6), lambda x: F.hardtanh(x, -0.3, 0.6)),
    (nn.ReLU6(), F.relu6),
    (nn.Hardsigmoid(), F.hardsigmoid),
    (nn.Hardswish(), F.hardswish),
    (nn.Threshold(0.2, -3.0), lambda x: F.threshold(x, 0.2, -3.0)),
    (nn.Softshrink(0.2), lambda x: F.softshrink(x, 0.2)),
    (nn.Hardshrink(0.2), lambda x: F.hardshrink(x, 0.2)),
    (nn.Maxout(2), lambda x: F.maxout(x, 2)),
    (nn.Maxout(3, dim=2), lambda x: F.maxout(x, 3, 2)),
    (nn.GELU(), F.gelu),
    (nn.GELU("tanh"), lambda x: F.gelu(x, "tanh")),
    (nn.SiLU(), F.silu),
    (nn.Mish(), F.mish),
    (nn.Softplus(2.0, 1.0), lambda x: F.softplus(x, 2.0, 1.0)),
    (nn.LogSigmoid(), F.logsigmoid),
    (nn.Softsign(), F.softsign),
    (nn.Tanhshrink(), F.tanhshrink),
    (nn.ScaledTanh(), F.scaled_tanh),
    (nn.ScaledTanh(2.0, 0.5), lambda x: F.scaled_tanh(x, 2.0, 0.5)),
    (nn.Softmin(1), lambda x: F.softmin(x, 1)),
    (nn.GLU(1), lambda x: F.glu(x, 1)),
    (nn.Dropout(0.3), lambda x: F.dropout(x, 0.3)),
    (nn.Dropout(0.3, inverted=False), lambda x: F.dropout(x, 0.3, inverted=False)),
    (nn.Dropout(0.3, inverted=False).eval(), lambda x: F.dropout(x, 0.3, False, inverted=False)),
    (nn.Dropout1d(0.3), lambda x: F.dropout1d(x, 0.3)),
    (nn.Dropout2d(0.3), lambda x: F.dropout2d(x, 0.3)),
    (nn.AlphaDropout(0.3), lambda x: F.alpha_dropout(x, 0.3, training=True)),
    (nn.FeatureAlphaDropout(0.3), lambda x: F.feature_alpha_dropout(x, 0.3, training=True)),
    (nn.StochasticDepth(0.3, "row"), lambda x: F.stochastic_depth(x, 0.3, "row")),
    (nn.StochasticDepth(0.9, "batch"), lambda x: F.stochastic_depth(x, 0.9, "batch")),
]


@pytest.mark.parametrize(("layer", "function"), PAIRS, ids=[repr(layer) for layer, _ in PAIRS])
def test_layers_are_their_functions(layer, function):
    x = Tensor(np.random.default_rng(0).standard_normal((5, 4, 3)).astype(np.float32) * 2)
    tg.manual_seed(1)
    expected = function(x).numpy()
    tg.manual_seed(1)
    np.testing.assert_array_equal(layer(x).detach(), expected)
    assert not np.array_equal(expected, x.numpy())


@pytest.mark.parametrize(
    "layer",
    [
        nn.RReLU(inplace=True),
        nn.ELU(inplace=True),
        nn.CELU(inplace=True),
        nn.SELU(True),
        nn.Hardtanh(inplace=True),
        nn.ReLU6(True),
        nn.Hardsigmoid(True),
        nn.Hardswish(True),
        nn.Threshold(0.1, -1.0, True),
        nn.SiLU(True),
        nn.Mish(True),
        nn.Dropout(inplace=True),
        nn.Dropout1d(inplace=True),
        nn.Dropout2d(inplace=True),
        nn.AlphaDropout(inplace=True),
        nn.FeatureAlphaDropout(inplace=True),
    ],
    ids=repr,
)
def test_inplace_layers_write_over_their_input(layer):
    x = tg.randn(4, 5, 3)
    assert layer(x) is x


@pytest.mark.parametrize(
    "layer",
    [nn.Dropout(), nn.Dropout1d(), nn.Dropout2d(), nn.AlphaDropout(), nn.FeatureAlphaDropout(), nn.StochasticDepth(0.5, "row")],
    ids=repr,
)
def test_dropout_layers_do_nothing_in_evaluation(layer):
    x = tg.randn(4, 5, 3)
    assert layer.eval()(x) is x


def test_dropout3d():
    x = tg.ones(2, 50, 2, 2, 2)
    y = nn.Dropout3d(0.5)(x).numpy().reshape(100, 8)
    assert (y == y[:, :1]).all()
    assert set(np.unique(y)) == {0, 2}
    assert nn.Dropout3d().eval()(x) is x


def test_prelu_learns_its_slopes():
    layer = nn.PReLU(2)
    np.testing.assert_array_equal(layer.weight.detach(), [0.25, 0.25])
    layer(tg.tensor([[-2.0, 3.0], [-1.0, -5.0]])).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad, [-3, -5])
    with tg.no_grad():
        layer.weight.mul_(3.0)
    layer.reset_parameters()
    np.testing.assert_array_equal(layer.weight.detach(), [0.25, 0.25])


def test_the_ends_of_the_ranges_are_allowed():
    x = tg.tensor([[-1.0, 2.0]])
    np.testing.assert_array_equal(nn.Dropout(0.0)(x), x)
    np.testing.assert_array_equal(nn.Dropout(1.0)(x), [[0, 0]])
    np.testing.assert_array_equal(nn.StochasticDepth(1.0, "batch")(x), [[0, 0]])
    np.testing.assert_array_equal(nn.Maxout(1)(x), x)
    np.testing.assert_array_equal(nn.RReLU(0.5, 0.5)(x), [[-0.5, 2]])
    np.testing.assert_array_equal(nn.Softshrink(0.0)(x), x)
    np.testing.assert_array_equal(nn.Hardshrink(0.0)(x), x)


def test_our_own_reprs():
    assert repr(nn.Hardswish(inplace=True)) == "Hardswish(inplace=True)"
    assert repr(nn.Maxout(2)) == "Maxout(pieces=2)"
    assert repr(nn.Maxout(2, -1)) == "Maxout(pieces=2, dim=-1)"
    assert repr(nn.ScaledTanh()) == "ScaledTanh(amplitude=1.7159, slope=0.6666666666666666)"
    assert repr(nn.Dropout(inverted=False)) == "Dropout(p=0.5, inplace=False, inverted=False)"
    assert repr(nn.StochasticDepth(0.2, "row")) == "StochasticDepth(p=0.2, mode=row)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.PReLU(0), "PReLU: num_parameters must be 1, or the number of channels; got 0"),
        (lambda: nn.RReLU(0.5, 0.1), "RReLU: the slopes lie between lower and upper, but lower = 0.5 exceeds upper = 0.1"),
        (lambda: nn.CELU(0.0), "CELU: alpha divides the input, so it cannot be 0"),
        (lambda: nn.Hardtanh(1.0, 1.0), "Hardtanh: max_val = 1.0 must be greater than min_val = 1.0"),
        (lambda: nn.Softshrink(-1.0), "Softshrink: lambd is a distance from 0 and cannot be negative, got -1.0"),
        (lambda: nn.Hardshrink(-1.0), "Hardshrink: lambd is a distance from 0 and cannot be negative, got -1.0"),
        (lambda: nn.Maxout(0), "Maxout: each output is the maximum of at least 1 piece, got pieces = 0"),
        (lambda: nn.GELU("erf"), "GELU: approximate must be 'none' (exact) or 'tanh', got 'erf'"),
        (lambda: nn.Softplus(0), "Softplus: beta divides the result, so it cannot be 0"),
        (lambda: nn.Dropout2d(-0.1), "Dropout2d: p is a probability between 0 and 1, got -0.1"),
        (lambda: nn.AlphaDropout(2), "AlphaDropout: p is a probability between 0 and 1, got 2"),
        (lambda: nn.StochasticDepth(1.5, "row"), "StochasticDepth: p is a probability between 0 and 1, got 1.5"),
        (lambda: nn.StochasticDepth(0.5, "rows"), "StochasticDepth: mode must be 'row' (each sample) or 'batch'"),
    ],
)
def test_errors_name_what_was_given(make, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make()
