"""The terms themselves, against plain loops over the definition of each op."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import explain, nn
from tinygrad_cnn.nn import functional as F

MANY = 10**6


def terms_of(ledger):
    """Every term as (factor's name, output, value), in a fixed order; of a ledger with one consumer."""
    (consumer,) = ledger.consumers
    assert consumer.count == len(consumer.terms)
    return sorted((term.source, term.output, round(term.value, 9)) for term in consumer.terms)


def loss_of(y, generator):
    """A loss whose gradient at y is drawn, and that gradient."""
    gy = generator.standard_normal(y.shape)
    return (y * tg.tensor(gy)).sum(), gy


def spelled(name, index):
    return f"{name}[{', '.join(map(str, index))}]"


def meetings(x_shape, weight_shape, y_shape, stride, before, dilation, groups):
    """(x index, weight index, y index) of every product in a convolution: loops over everything, and a test."""
    inner, outer = x_shape[1] // groups, weight_shape[0] // groups
    for y_index in product(*map(range, y_shape)):
        n, o, *step = y_index
        for c, *tap in product(*map(range, weight_shape[1:])):
            place = [i * s + t * d - p for i, s, t, d, p in zip(step, stride, tap, dilation, before, strict=True)]
            if all(0 <= j < size for j, size in zip(place, x_shape[2:], strict=True)):
                yield (n, (o // outer) * inner + c, *place), (o, c, *tap), y_index


@st.composite
def convolutions(draw):
    dims = draw(st.integers(1, 3))

    def per_axis(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(dims))

    groups = draw(st.sampled_from([1, 2]))
    kernel, stride, dilation = per_axis(1, 3 if dims < 3 else 2), per_axis(1, 3), per_axis(1, 2)
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(dims))
    size = tuple(
        max(1, d * (k - 1) + 1 - a - b) + draw(st.integers(0, 3 if dims < 3 else 1))
        for k, d, (a, b) in zip(kernel, dilation, padding, strict=True)
    )
    channels, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    return draw(st.integers(1, 2)), channels, outputs, size, kernel, stride, padding, dilation, groups, draw(st.integers(0, 99))


@settings(max_examples=40)
@given(convolutions())
def test_conv_terms_are_those_of_the_loops(drawn):
    n, channels, outputs, size, kernel, stride, padding, dilation, groups, seed = drawn
    generator = np.random.default_rng(seed)
    conv = (F.conv1d, F.conv2d, F.conv3d)[len(size) - 1]
    x = tg.tensor(generator.standard_normal((n, channels, *size)), requires_grad=True)
    weight = tg.tensor(generator.standard_normal((outputs, channels // groups, *kernel)), requires_grad=True)
    bias = tg.tensor(generator.standard_normal(outputs), requires_grad=True)
    y = conv(x, weight, bias, stride, padding, dilation, groups)
    loss, gy = loss_of(y, generator)
    before = [p for p, _ in padding]
    met = list(meetings(x.shape, weight.shape, y.shape, stride, before, dilation, groups))

    pixel = tuple(int(generator.integers(k)) for k in x.shape)
    expected = [
        (spelled("weight", w), o, round(float(weight.array[w] * gy[o]), 9)) for p, w, o in met if p == pixel
    ]
    assert terms_of(explain.gradient(loss, x, pixel, top=MANY)) == sorted(expected)
    tap = tuple(int(generator.integers(k)) for k in weight.shape)
    expected = [(spelled("x", p), o, round(float(x.array[p] * gy[o]), 9)) for p, w, o in met if w == tap]
    assert terms_of(explain.gradient(loss, weight, tap, top=MANY)) == sorted(expected)
    channel = int(generator.integers(outputs))
    expected = [("added as it is", o, round(float(gy[o]), 9)) for o in product(*map(range, y.shape)) if o[1] == channel]
    assert terms_of(explain.gradient(loss, bias, channel, top=MANY)) == sorted(expected)


@settings(max_examples=40)
@given(convolutions(), st.data())
def test_transposed_conv_terms_are_those_of_the_loops(drawn, data):
    n, channels, outputs, size, kernel, stride, _, dilation, groups, seed = drawn
    generator = np.random.default_rng(seed)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple((data.draw(st.integers(0, (r - 1) // 2)), data.draw(st.integers(0, (r - 1) // 2))) for r in reach)
    extra = tuple(data.draw(st.integers(0, s - 1)) for s in stride)
    conv = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(size) - 1]
    x = tg.tensor(generator.standard_normal((n, outputs, *size)), requires_grad=True)
    weight = tg.tensor(generator.standard_normal((outputs, channels // groups, *kernel)), requires_grad=True)
    y = conv(x, weight, None, stride, padding, extra, groups, dilation)
    loss, gy = loss_of(y, generator)
    # The convolution whose transpose it is reads y and writes x.
    met = list(meetings(y.shape, weight.shape, x.shape, stride, [p for p, _ in padding], dilation, groups))

    pixel = tuple(int(generator.integers(k)) for k in x.shape)
    expected = [(spelled("weight", w), o, round(float(weight.array[w] * gy[o]), 9)) for o, w, p in met if p == pixel]
    assert terms_of(explain.gradient(loss, x, pixel, top=MANY)) == sorted(expected)
    tap = tuple(int(generator.integers(k)) for k in weight.shape)
    expected = [(spelled("x", p), o, round(float(x.array[p] * gy[o]), 9)) for o, w, p in met if w == tap]
    assert terms_of(explain.gradient(loss, weight, tap, top=MANY)) == sorted(expected)


def test_conv_terms_of_its_own_gradients():
    """Second order: the weight's gradient is an op too, and so is the input's."""
    generator = np.random.default_rng(0)
    x = tg.tensor(generator.standard_normal((1, 2, 4, 4)), requires_grad=True)
    weight = tg.tensor(generator.standard_normal((3, 2, 2, 2)), requires_grad=True)
    y = F.conv2d(x, weight, stride=2)
    gx, gweight = tg.autograd.grad((y * y).sum(), [x, weight], create_graph=True)
    loss = (gx * gx).sum() + (gweight * gweight).sum()
    expected = tg.autograd.grad(loss, [x, weight], retain_graph=True)
    for tensor, gradient, index in zip((x, weight), expected, ((0, 1, 2, 3), (2, 1, 0, 1)), strict=True):
        ledger = explain.gradient(loss, tensor, index)
        assert {consumer.op for consumer in ledger.consumers} >= {"Conv2d"}
        assert ledger.total == pytest.approx(gradient.array[index], rel=1e-10)


def test_linear_terms():
    generator = np.random.default_rng(0)
    x = tg.tensor(generator.standard_normal((3, 4)), requires_grad=True)
    weight = tg.tensor(generator.standard_normal((2, 4)), requires_grad=True)
    bias = tg.tensor(generator.standard_normal(2), requires_grad=True)
    loss, gy = loss_of(F.linear(x, weight, bias), generator)
    expected = [(f"x[{n}, 3]", (n, 1), round(float(x.array[n, 3] * gy[n, 1]), 9)) for n in range(3)]
    assert terms_of(explain.gradient(loss, weight, (1, 3))) == expected
    expected = [(f"weight[{o}, 3]", (2, o), round(float(weight.array[o, 3] * gy[2, o]), 9)) for o in range(2)]
    assert terms_of(explain.gradient(loss, x, (2, 3))) == expected
    expected = [("added as it is", (n, 1), round(float(gy[n, 1]), 9)) for n in range(3)]
    assert terms_of(explain.gradient(loss, bias, 1)) == expected


@settings(max_examples=25)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 1), st.integers(1, 2), st.integers(0, 99))
def test_max_pool_terms_are_the_windows_that_the_pixel_is_in(kernel, stride, padding, dilation, seed):
    generator = np.random.default_rng(seed)
    padding = min(padding, (dilation * (kernel - 1) + 1) // 2)
    x = tg.tensor(generator.standard_normal((2, 2, 6, 5)), requires_grad=True)
    y = F.max_pool2d(x, kernel, stride, padding, dilation)
    loss, gy = loss_of(y, generator)
    n, c, h, w = index = tuple(int(generator.integers(k)) for k in x.shape)
    expected = []
    for i, j in product(*map(range, y.shape[2:])):
        window = [
            (i * stride + t * dilation - padding, j * stride + u * dilation - padding)
            for t, u in product(range(kernel), range(kernel))
        ]
        window = [(a, b) for a, b in window if 0 <= a < 6 and 0 <= b < 5]
        if (h, w) in window:
            best = max(window, key=lambda place: x.array[n, c, place[0], place[1]])
            won = best == (h, w)
            expected.append((f"{'won' if won else 'lost'} window [{i}, {j}]", (n, c, i, j), won * round(gy[n, c, i, j], 9)))
    assert terms_of(explain.gradient(loss, x, index)) == sorted(expected)


def test_batch_norm_terms_of_weight_bias_and_input():
    generator = np.random.default_rng(0)
    array = generator.standard_normal((3, 2, 2))
    x = tg.tensor(array, requires_grad=True)
    layer = nn.BatchNorm1d(2).double()
    loss, gy = loss_of(layer(x), generator)
    xhat = (array - array.mean((0, 2), keepdims=True)) / np.sqrt(array.var((0, 2), keepdims=True) + layer.eps)
    places = [(n, 1, i) for n, i in product(range(3), range(2))]
    expected = [(spelled("xhat", p), p, round(float(xhat[p] * gy[p]), 9)) for p in places]
    assert terms_of(explain.gradient(loss, layer.weight, 1)) == expected
    expected = [("added as it is", p, round(float(gy[p]), 9)) for p in places]
    assert terms_of(explain.gradient(loss, layer.bias, 1)) == expected
    notes = {source: output for source, output, _ in terms_of(explain.gradient(loss, x, (2, 1, 0), top=MANY))}
    assert notes["itself"] == (2, 1, 0)
    assert len(terms_of(explain.gradient(loss, x, (2, 1, 0)))) == 6


def test_batch_norm_relu_terms_name_the_gate():
    generator = np.random.default_rng(0)
    array = generator.standard_normal((3, 2, 2))
    x = tg.tensor(array, requires_grad=True)
    layer = nn.BatchNorm1d(2, relu=True).double()
    y = layer(x)
    loss, gy = loss_of(y, generator)
    xhat = (array - array.mean((0, 2), keepdims=True)) / np.sqrt(array.var((0, 2), keepdims=True) + layer.eps)
    places = [(n, 1, i) for n, i in product(range(3), range(2))]
    terms = dict.fromkeys(places, 0.0) | {p: round(float(xhat[p] * gy[p]), 9) for p in places if xhat[p] > 0}
    assert 0 < sum(v == 0 for v in terms.values()) < 6
    found = terms_of(explain.gradient(loss, layer.weight, 1))
    assert {output: value for _, output, value in found} == terms
    found = terms_of(explain.gradient(loss, layer.bias, 1))
    said = {output: source for source, output, _ in found}
    assert said == {p: "added as it is" if xhat[p] > 0 else "gate shut" for p in places}
    assert {output: value for _, output, value in found} == {p: round(float(gy[p] * (xhat[p] > 0)), 9) for p in places}
    ledger = explain.gradient(loss, x, (2, 1, 0), top=MANY)
    assert len(terms_of(ledger)) == sum(xhat[p] > 0 for p in places)


def test_prelu_weight_gets_each_negative_input():
    x = tg.tensor([[1.0, -2.0, -3.0]], dtype=tg.float64)
    weight = tg.tensor([0.25], dtype=tg.float64, requires_grad=True)
    loss = (F.prelu(x.reshape(3, 1), weight) * tg.tensor([[1.0], [10.0], [100.0]])).sum()
    assert [term[1:] for term in terms_of(explain.gradient(loss, weight, 0))] == [((1, 0), -20.0), ((2, 0), -300.0)]


def test_embedding_row_gets_the_gradient_of_each_use():
    table = tg.tensor(np.zeros((3, 2)), requires_grad=True)
    loss = (table[[0, 2, 2]] * tg.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=tg.float64)).sum()
    assert [term[1:] for term in terms_of(explain.gradient(loss, table, (2, 1)))] == [((1, 1), 4.0), ((2, 1), 6.0)]


def test_rbf_centre_is_pulled_by_its_distance_from_each_input():
    x = tg.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=tg.float64)
    centre = tg.tensor([[0.0, 1.0]], dtype=tg.float64, requires_grad=True)
    loss = tg.ops.euclidean_rbf(x, centre).sum()
    assert [term[1:] for term in terms_of(explain.gradient(loss, centre, (0, 1)))] == [((0, 0), -2.0), ((1, 0), -8.0)]


def test_table_convolution_and_subsampling():
    tg.manual_seed(0)
    layer = nn.TableConv2d(3, table=[(0, 1), (1, 2), (0, 1, 2)], kernel_size=2).double()
    x = tg.randn(2, 3, 5, 5, dtype=tg.float64)
    pool = nn.Subsample2d(3, 2).double()
    loss = pool(layer(x)).square().sum()
    parameters = [*layer.parameters(), *pool.parameters()]
    for parameter, gradient in zip(parameters, tg.autograd.grad(loss, parameters, retain_graph=True), strict=True):
        index = tuple(n - 1 for n in parameter.shape)
        assert explain.gradient(loss, parameter, index).total == pytest.approx(gradient.array[index], rel=1e-10)
