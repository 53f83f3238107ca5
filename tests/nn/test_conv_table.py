"""The convolution through a table: against loops over the connections that exist."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.autograd import gradcheck
from tinygrad_cnn.errors import ArgumentError

TABLE = [(2, 0), (1,), (0, 1, 2), (1, 3)]


def by_loops(x, weight, bias, table, stride, padding):
    """One kernel at a time, in the order of the table's rows."""
    x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    kh, kw = weight.shape[1:]
    oh, ow = (x.shape[2] - kh) // stride[0] + 1, (x.shape[3] - kw) // stride[1] + 1
    y = np.tile(bias[:, None, None], (len(x), 1, oh, ow)).astype(float)
    kernels = iter(weight)
    for o, row in enumerate(table):
        for c in sorted(row):
            kernel = next(kernels)
            for i, j in np.ndindex(oh, ow):
                window = x[:, c, i * stride[0] : i * stride[0] + kh, j * stride[1] : j * stride[1] + kw]
                y[:, o, i, j] += (window * kernel).sum((1, 2))
    return y


@pytest.mark.parametrize(("stride", "padding"), [((1, 1), (0, 0)), ((2, 1), (1, 2))])
def test_equals_loops_over_the_connections(stride, padding):
    layer = nn.TableConv2d(4, TABLE, (3, 2), stride, padding)
    x = np.random.default_rng(0).standard_normal((2, 4, 7, 6)).astype(np.float32)
    expected = by_loops(x, layer.weight.detach().array, layer.bias.detach().array, TABLE, stride, padding)
    np.testing.assert_allclose(layer(tg.tensor(x)).detach().array, expected, rtol=1e-5, atol=1e-6)


def test_gradients():
    layer = nn.TableConv2d(4, TABLE, (3, 2))
    weight = tg.tensor(np.random.default_rng(1).standard_normal(layer.weight.shape), requires_grad=True)
    x = tg.tensor(np.random.default_rng(2).standard_normal((2, 4, 4, 5)), requires_grad=True)

    def call(x, weight):
        layer._parameters["weight"] = weight
        return layer(x)

    assert gradcheck(call, (x, weight))


def test_only_connections_are_parameters():
    layer = nn.TableConv2d(4, TABLE, 3)
    assert layer.weight.shape == (8, 3, 3)
    dense = layer.dense_weight().detach().array
    assert [tuple(np.flatnonzero(np.abs(row).sum((1, 2)))) for row in dense] == [(0, 2), (1,), (0, 1, 2), (1, 3)]
    assert layer.fan_in().tolist() == [18, 9, 27, 18]


def test_starts_within_the_fan_in_of_each_map():
    layer = nn.TableConv2d(100, [tuple(range(4)), tuple(range(100))], 5)
    small, large = np.abs(layer.weight.detach().array[:4]).max(), np.abs(layer.weight.detach().array[4:]).max()
    assert 0.9 * 0.1 < small <= 0.1
    assert 0.9 * 0.02 < large <= 0.02
    before = layer.weight.detach().array.copy()
    layer.reset_parameters()
    assert not np.array_equal(before, layer.weight.detach().array)


@pytest.mark.parametrize(
    ("table", "message"),
    [([], "table is empty"), ([(0,), ()], r"output map 1 reads \(\)"), ([(0, 4)], "0 to 3"), ([(1, 1)], "each once")],
)
def test_refuses_tables_that_name_no_connections(table, message):
    with pytest.raises(ArgumentError, match=message):
        nn.TableConv2d(4, table, 3)
