"""The three ReLU rules, against matrices multiplied by hand."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import explain, nn
from tinygrad_cnn.errors import ArgumentError, AutogradError, ShapeError
from tinygrad_cnn.nn import functional as F


def by_hand(rule, weights, x, unit):
    """Through linear layers with a ReLU between them, in NumPy."""
    gates, values = [], x
    for weight in weights[:-1]:
        values = weight @ values
        gates.append(values > 0)
        values = np.maximum(values, 0)
    g = weights[-1][unit]
    for weight, gate in zip(weights[-2::-1], gates[::-1], strict=True):
        if rule in ("deconvnet", "guided"):
            g = np.maximum(g, 0)
        if rule in ("gradient", "guided"):
            g = g * gate
        g = weight.T @ g
    return g


@pytest.mark.parametrize("rule", ["gradient", "deconvnet", "guided"])
def test_rules_at_every_relu_also_of_one_module_used_twice(rule):
    generator = np.random.default_rng(0)
    weights = [generator.standard_normal(shape) for shape in ((6, 4), (5, 6), (3, 5))]
    x = tg.tensor(generator.standard_normal((1, 4)), requires_grad=True)
    relu, y = nn.ReLU(), x
    for weight in weights[:-1]:
        y = relu(F.linear(y, tg.tensor(weight)))
    y = F.linear(y, tg.tensor(weights[-1]))
    np.testing.assert_allclose(
        explain.attribution(y, x, (0, 2), rule=rule)[0], by_hand(rule, weights, x.array[0], 2), rtol=1e-12
    )
    # The rules are put back.
    (plain,) = tg.autograd.grad(y[0, 2], x)
    np.testing.assert_allclose(plain.array[0], by_hand("gradient", weights, x.array[0], 2), rtol=1e-12)


def test_unpooling_goes_to_the_recorded_maxima_and_contrast_normalization_is_passed_by():
    x = tg.tensor([[[[1.0, 3.0], [2.0, 0.0]]]], requires_grad=True)
    y = F.max_pool2d(F.local_response_norm(x, 1, alpha=0.1), 2)
    assert explain.attribution(y, x, (0, 0, 0, 0), rule="deconvnet").tolist() == [[[[0.0, 1.0], [0.0, 0.0]]]]
    assert explain.attribution(y, x, (0, 0, 0, 0))[0, 0, 0, 1] < 1


@pytest.mark.parametrize("rule", ["gradient", "deconvnet", "guided"])
def test_the_relu_in_a_batch_norm_gets_the_rule_too(rule):
    generator = np.random.default_rng(0)
    x = tg.tensor(generator.standard_normal((3, 2, 5)), requires_grad=True)
    weight = tg.tensor(generator.standard_normal((4, 10)))
    fused = F.batch_norm(x, None, None, training=True, relu=True)
    two = F.relu(F.batch_norm(x, None, None, training=True))
    ours, expected = (explain.attribution(F.linear(y.flatten(1), weight), x, (2, 3), rule=rule) for y in (fused, two))
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-15)


def test_no_grad_changes():
    x = tg.tensor([1.0, -2.0], requires_grad=True)
    hidden = x * 2
    hidden.retain_grad()
    explain.attribution(hidden.relu(), x, (0,), rule="guided")
    assert hidden.grad is None
    assert x.grad is None


def test_messages():
    x = tg.ones(2, requires_grad=True)
    with pytest.raises(ArgumentError, match="gradient, deconvnet, guided; got 'smooth'"):
        explain.attribution(x.relu(), x, (0,), rule="smooth")
    with pytest.raises(ShapeError, match=r"no unit \(2,\)"):
        explain.attribution(x.relu(), x, (2,))
    with pytest.raises(AutogradError, match="do not depend"):
        explain.attribution(x.relu(), tg.ones(1, requires_grad=True), (0,))
