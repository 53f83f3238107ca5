"""Initial values: distributions, bounds and moments; the generator; versions; errors."""

import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.nn import init

SHAPE = (60, 40, 3, 5)
FAN_IN, FAN_OUT = 40 * 15, 60 * 15


@pytest.fixture(autouse=True)
def seed():
    tg.manual_seed(0)


UNIFORM = {
    "xavier": (lambda t: init.xavier_uniform_(t), math.sqrt(6 / (FAN_IN + FAN_OUT))),
    "xavier gain": (lambda t: init.xavier_uniform_(t, gain=3), 3 * math.sqrt(6 / (FAN_IN + FAN_OUT))),
    "kaiming": (lambda t: init.kaiming_uniform_(t), math.sqrt(6 / FAN_IN)),
    "kaiming relu": (lambda t: init.kaiming_uniform_(t, nonlinearity="relu"), math.sqrt(6 / FAN_IN)),
    "kaiming slope": (lambda t: init.kaiming_uniform_(t, a=math.sqrt(5)), math.sqrt(1 / FAN_IN)),
    "kaiming out": (lambda t: init.kaiming_uniform_(t, mode="fan_out"), math.sqrt(6 / FAN_OUT)),
    "caffe": (lambda t: init.kaiming_uniform_(t, nonlinearity="linear"), math.sqrt(3 / FAN_IN)),
    "lecun": (lambda t: init.lecun_uniform_(t), math.sqrt(3 / FAN_IN)),
    "lenet": (lambda t: init.lecun_uniform_(t, rule="lenet"), 2.4 / FAN_IN),
    "plain": (lambda t: init.uniform_(t, -2, 2), 2),
}

NORMAL = {
    "xavier": (lambda t: init.xavier_normal_(t), 0, math.sqrt(2 / (FAN_IN + FAN_OUT))),
    "xavier gain": (lambda t: init.xavier_normal_(t, 3), 0, 3 * math.sqrt(2 / (FAN_IN + FAN_OUT))),
    "kaiming": (lambda t: init.kaiming_normal_(t), 0, math.sqrt(2 / FAN_IN)),
    "kaiming tanh": (lambda t: init.kaiming_normal_(t, nonlinearity="tanh"), 0, 5 / 3 / math.sqrt(FAN_IN)),
    "kaiming slope": (lambda t: init.kaiming_normal_(t, 2), 0, math.sqrt(2 / 5 / FAN_IN)),
    "msra fan_out": (lambda t: init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"), 0, math.sqrt(2 / FAN_OUT)),
    "lecun": (lambda t: init.lecun_normal_(t), 0, math.sqrt(1 / FAN_IN)),
    "plain": (lambda t: init.normal_(t, 5, 0.5), 5, 0.5),
}


@pytest.mark.parametrize("case", UNIFORM)
def test_uniform_schemes(case):
    fill, bound = UNIFORM[case]
    x = fill(tg.empty(*SHAPE)).numpy().ravel() / bound
    assert np.abs(x).max() <= 1 + 1e-6
    # 36,000 draws: the largest is within 1e-3 of the bound, and each tenth of the range holds a tenth of them.
    assert x.max() > 0.999
    assert x.min() < -0.999
    counts, _ = np.histogram(x, 10, (-1, 1))
    np.testing.assert_allclose(counts / x.size, 0.1, atol=5 * math.sqrt(0.1 * 0.9 / x.size))


@pytest.mark.parametrize("case", NORMAL)
def test_normal_schemes(case):
    fill, mean, std = NORMAL[case]
    x = (fill(tg.empty(*SHAPE)).numpy().ravel().astype(np.float64) - mean) / std
    assert abs(x.mean()) < 4 / math.sqrt(x.size)
    np.testing.assert_allclose(x.std(), 1, rtol=0.02)
    np.testing.assert_allclose((np.abs(x) < 1).mean(), 0.6827, atol=0.012)
    np.testing.assert_allclose((np.abs(x) < 2).mean(), 0.9545, atol=0.006)


def test_truncated_normal():
    x = init.trunc_normal_(tg.empty(200, 200), mean=1.0, std=2.0, a=0.0, b=2.0).numpy()
    assert 0 <= x.min() < 0.01
    assert 1.99 < x.max() <= 2
    # Between half a standard deviation to either side, a normal distribution is all but flat: std 0.2836 of it, not 1/2.
    phi, mass = math.exp(-0.125) / math.sqrt(2 * math.pi), math.erf(0.5 / math.sqrt(2))
    np.testing.assert_allclose(x.std(), 2 * math.sqrt(1 - phi / mass), rtol=0.01)
    np.testing.assert_allclose(x.mean(), 1, atol=0.012)


@pytest.mark.parametrize(("mean", "std"), [(4, 1), (-6, 2), (6, 2)])
def test_truncated_normal_far_from_its_mean(mean, std):
    """Two standard deviations outside the bounds is the farthest that is taken."""
    x = init.trunc_normal_(tg.empty(500), mean, std).numpy()
    assert np.abs(x).max() <= 2
    assert np.sign(mean) * x.mean() > 1
    with pytest.raises(ArgumentError, match="lies more than two standard deviations"):
        init.trunc_normal_(tg.empty(1), mean * 1.01, std)


def test_defaults():
    x = init.uniform_(tg.empty(300, 100)).numpy()
    assert (round(x.min(), 2), round(x.max(), 2)) == (0, 1)
    x = init.normal_(tg.empty(300, 100)).numpy()
    assert (round(x.mean(), 1), round(x.std(), 1)) == (0, 1)
    x = init.trunc_normal_(tg.empty(300, 100)).numpy()
    assert (round(x.min(), 1), round(x.max(), 1), round(x.mean(), 1)) == (-2, 2, 0)
    np.testing.assert_allclose(x.std(), 0.8796, rtol=0.02)  # sqrt(1 - 4 phi(2) / 0.9545)


@pytest.mark.parametrize(("fill", "value"), [(init.zeros_, 0), (init.ones_, 1), (lambda t: init.constant_(t, 2.5), 2.5)])
def test_constants(fill, value):
    assert (fill(tg.empty(3, 4)).numpy() == value).all()


@pytest.mark.parametrize(
    "fill",
    [init.zeros_, init.ones_, init.uniform_, init.normal_, init.trunc_normal_, init.xavier_uniform_, init.xavier_normal_,
     init.kaiming_uniform_, init.kaiming_normal_, lambda t: init.constant_(t, 1.0), init.lecun_uniform_,
     init.lecun_normal_, init.orthogonal_, init.eye_, lambda t: init.sparse_(t, 0.5)],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_writes_a_leaf_in_place_unrecorded_and_counts_the_version(fill, dtype):
    x = tg.zeros(4, 5, dtype=dtype, requires_grad=True)
    array = x.array
    assert fill(x) is x
    assert x.array is array
    assert array.dtype == dtype
    assert x.is_leaf
    assert x.requires_grad
    assert x._version == 1


@pytest.mark.parametrize("fill", [init.uniform_, init.normal_, init.trunc_normal_, init.kaiming_uniform_])
def test_draws_come_from_the_packages_generator(fill):
    draws = []
    for seed in (1, 1, 2):
        tg.manual_seed(seed)
        draws.append(fill(tg.empty(4, 4)).tolist())
    assert draws[0] == draws[1] != draws[2]


def test_fans():
    assert init.fan_in_and_fan_out(tg.empty(*SHAPE)) == (FAN_IN, FAN_OUT)
    assert init.fan_in_and_fan_out(tg.empty(3, 7)) == (7, 3)


@pytest.mark.parametrize(
    ("name", "param", "gain"),
    [
        ("linear", None, 1), ("conv1d", None, 1), ("conv2d", None, 1), ("conv3d", None, 1), ("sigmoid", None, 1),
        ("tanh", None, 5 / 3), ("relu", None, math.sqrt(2)), ("selu", None, 0.75),
        ("leaky_relu", None, math.sqrt(2 / 1.0001)), ("leaky_relu", 0.5, math.sqrt(1.6)),
    ],
)  # fmt: skip
def test_gains(name, param, gain):
    assert init.calculate_gain(name, param) == pytest.approx(gain, rel=1e-15)


def test_kaiming_keeps_the_variance_of_a_deep_relu_network():
    """What the scheme is for: ten layers of ReLU leave the size of the signal; with gain 1 it would be 2^-10 of it."""
    x = tg.randn(500, 300)
    before = (x.numpy() ** 2).mean()
    for _ in range(10):
        x = (x @ init.kaiming_normal_(tg.empty(300, 300), nonlinearity="relu").T).relu()
    # E[relu(y)^2] = Var y / 2, and Var y = 2 E[x^2]
    assert before / 3 < (x.numpy() ** 2).mean() < before * 3


@pytest.mark.parametrize("shape", [(7, 7), (4, 9), (9, 4), (3, 2, 5, 5), (40, 2, 3, 3), (1, 6), (6, 1)])
@pytest.mark.parametrize("gain", [1, 2.5])
def test_orthogonal(shape, gain):
    w = init.orthogonal_(tg.empty(*shape, dtype=np.float64), gain).numpy().reshape(shape[0], -1)
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, gain**2 * np.eye(len(gram)), rtol=0, atol=1e-13 * gain**2)


def test_orthogonal_draws_every_rotation_alike():
    """Haar measure: the trace has mean 0 and variance 1. Without the signs, Q of a QR leans to one side."""
    traces = [np.trace(init.orthogonal_(tg.empty(3, 3, dtype=np.float64)).numpy()) for _ in range(3000)]
    assert abs(np.mean(traces)) < 4 / math.sqrt(3000)
    assert abs(np.var(traces) - 1) < 0.15
    corners = [init.orthogonal_(tg.empty(1, 1)).item() for _ in range(400)]
    assert 140 < corners.count(1.0) < 260


def test_sparse():
    w = init.sparse_(tg.empty(50, 400), 0.33, std=0.2).numpy()
    assert ((w == 0).sum(axis=0) == 17).all(), "ceil(0.33 * 50)"
    # Which rows are 0 is drawn anew for each column.
    assert abs((w == 0).mean(axis=1) - 0.34).max() < 5 * math.sqrt(0.34 * 0.66 / 400)
    np.testing.assert_allclose(w[w != 0].std(), 0.2, rtol=0.03)
    assert (init.sparse_(tg.empty(5, 5), 1).numpy() == 0).all()
    assert (init.sparse_(tg.empty(5, 5), 0.0).numpy() != 0).all()


def test_eye():
    assert init.eye_(tg.empty(3, 2)).tolist() == [[1, 0], [0, 1], [0, 0]]


@pytest.mark.parametrize(
    ("shape", "groups"),
    [((4, 4, 3), 1), ((5, 5, 3, 5), 1), ((6, 2, 3, 3), 3), ((3, 3, 1, 3, 5), 1), ((8, 1, 3, 3), 8)],
)
def test_dirac_hands_the_input_on(shape, groups):
    weight = init.dirac_(tg.empty(*shape, dtype=np.float64), groups)
    convolve = {3: tg.conv1d, 4: tg.conv2d, 5: tg.conv3d}[len(shape)]
    x = tg.randn(2, shape[1] * groups, *[7] * (len(shape) - 2), dtype=np.float64)
    y = convolve(x, weight, padding=[k // 2 for k in shape[2:]], groups=groups)
    np.testing.assert_array_equal(y.numpy(), x.numpy())


def test_dirac_with_other_numbers_of_maps():
    assert init.dirac_(tg.empty(3, 2, 1, 1)).numpy()[:, :, 0, 0].tolist() == [[1, 0], [0, 1], [0, 0]]
    assert init.dirac_(tg.empty(2, 3, 2)).numpy()[:, :, 1].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert init.dirac_(tg.empty(4, 1, 1), groups=2).numpy()[:, 0, 0].tolist() == [1, 0, 1, 0]


def test_structures_are_written_into_a_leaf():
    w = tg.zeros(4, 3, 3, requires_grad=True)
    array = w.array
    assert init.dirac_(w) is w
    assert w.array is array
    assert w.is_leaf


def test_empty_weights_are_left_alone():
    assert init.kaiming_uniform_(tg.empty(0, 4)).shape == (0, 4)
    assert init.xavier_normal_(tg.empty(0, 0)).shape == (0, 0)
    assert init.orthogonal_(tg.empty(0, 3)).shape == (0, 3)
    assert init.lecun_normal_(tg.empty(3, 0)).shape == (3, 0)
    assert init.lecun_uniform_(tg.empty(3, 0)).shape == (3, 0)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: init.kaiming_uniform_(tg.empty(3)), ShapeError, "need a weight of shape (out, in, ...), got (3,)"),
        (lambda: init.xavier_normal_(tg.empty(())), ShapeError, "got ()"),
        (lambda: init.kaiming_normal_(tg.empty(2, 2), mode="fan_avg"), ArgumentError, "'fan_in' or 'fan_out', got 'fan_avg'"),
        (lambda: init.lecun_uniform_(tg.empty(2, 2), rule="relu"), ArgumentError, "must be 'variance' or 'lenet', got 'relu'"),
        (lambda: init.orthogonal_(tg.empty(3)), ShapeError, "orthogonal_: needs a weight of at least two dimensions"),
        (lambda: init.eye_(tg.empty(3, 3, 3)), ShapeError, "eye_: needs a matrix (out, in), got shape (3, 3, 3)"),
        (lambda: init.sparse_(tg.empty(3), 0.1), ShapeError, "sparse_: needs a matrix (out, in), got shape (3,)"),
        (lambda: init.sparse_(tg.empty(3, 3), 1.1), ArgumentError, "sparsity is the part of zeros, from 0 to 1; got 1.1"),
        (lambda: init.dirac_(tg.empty(3, 3)), ShapeError, "dirac_: needs the weight of a convolution"),
        (lambda: init.dirac_(tg.empty(3, 3, 3), 2), ArgumentError, "dirac_: groups 2 does not divide the 3 outputs"),
        (lambda: init.calculate_gain("gelu"), ArgumentError, "unknown nonlinearity 'gelu'; choose one of linear, conv1d"),
        (lambda: init.calculate_gain("relu", 0.1), ArgumentError, "only leaky_relu has a parameter, 'relu' was given 0.1"),
        (lambda: init.kaiming_normal_(tg.empty(2, 2), 0.1, nonlinearity="relu"), ArgumentError, "'relu' was given 0.1"),
        (lambda: init.trunc_normal_(tg.empty(2), a=1, b=1), ArgumentError, "must satisfy a < b, got a=1 and b=1"),
        (lambda: init.trunc_normal_(tg.empty(2), mean=9), ArgumentError, "mean 9 lies more than two standard deviations (1.0)"),
    ],
)
def test_errors_name_what_was_given(act, error, message):
    with pytest.raises(error, match=re.escape(message)):
        act()
