"""Clipping of gradients, and parameters as one vector."""

import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, AutogradError, InplaceError, ShapeError
from tinygrad_cnn.nn import utils


def with_gradients(*gradients, dtype=np.float64):
    parameters = []
    for gradient in gradients:
        parameter = nn.Parameter(np.zeros(np.shape(gradient), dtype))
        parameter.grad = tg.Tensor(np.array(gradient, dtype))
        parameters.append(parameter)
    return parameters


@pytest.mark.parametrize(("p", "norm"), [(2.0, 13.0), (1.0, 19.0), (3.0, (27 + 64 + 12**3) ** (1 / 3)), (math.inf, 12.0)])
def test_clip_grad_norm_scales_all_gradients_together(p, norm):
    parameters = with_gradients([3.0, -4.0], [[12.0]])
    parameters.append(nn.Parameter(tg.ones(1)))  # without a gradient
    total = utils.clip_grad_norm_(iter(parameters), 2.0, p)
    assert total.shape == ()
    assert total.item() == pytest.approx(norm, rel=1e-12)
    scale = 2.0 / (norm + 1e-6)
    np.testing.assert_allclose(parameters[0].grad.numpy(), [3 * scale, -4 * scale], rtol=1e-12)
    np.testing.assert_allclose(parameters[1].grad.numpy(), [[12 * scale]], rtol=1e-12)
    assert parameters[2].grad is None


def test_clip_grad_norm_leaves_small_gradients_alone():
    parameters = with_gradients([3.0, 4.0])
    assert utils.clip_grad_norm_(parameters, 5.1).item() == 5
    np.testing.assert_array_equal(parameters[0].grad.numpy(), [3, 4])
    assert parameters[0].grad._version == 0


def test_clip_grad_norm_of_one_tensor_in_float32():
    (parameter,) = with_gradients([3.0, 4.0], dtype=np.float32)
    held = parameter.grad.array
    total = utils.clip_grad_norm_(parameter, 1.0)
    assert total.dtype == held.dtype == np.float32
    assert parameter.grad.array is held
    np.testing.assert_allclose(held, [0.6, 0.8], rtol=1e-5)


def test_clip_grad_norm_adds_up_accurately_in_float32():
    (parameter,) = with_gradients(np.full(3_000_000, 0.1), dtype=np.float32)
    assert utils.clip_grad_norm_(parameter, 1e9).item() == pytest.approx(0.1 * math.sqrt(3_000_000), rel=1e-6)


def test_clip_grad_norm_without_gradients():
    assert utils.clip_grad_norm_([nn.Parameter(tg.ones(2))], 1.0).item() == 0
    assert utils.clip_grad_norm_([], 1.0, math.inf).item() == 0
    assert utils.clip_grad_norm_(with_gradients(np.zeros((0, 2))), 1.0, math.inf).item() == 0


def test_clip_grad_norm_to_nothing():
    parameters = with_gradients([3.0, 4.0])
    utils.clip_grad_norm_(parameters, 0.0)
    assert parameters[0].grad.tolist() == [0, 0]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_clip_grad_norm_not_finite(bad):
    parameters = with_gradients([1.0, bad])
    with pytest.raises(AutogradError, match=rf"the gradients' 2.0-norm is {bad}; look for the first NaN or inf"):
        utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
    assert parameters[0].grad.numpy()[0] == 1
    with np.errstate(invalid="ignore"):
        utils.clip_grad_norm_(parameters, 1.0)
    assert np.isnan(parameters[0].grad.numpy()[1])


def test_total_norm_and_clipping_by_a_norm_that_is_known():
    parameters = with_gradients([3.0, -4.0], [[12.0]])
    gradients = [p.grad for p in parameters]
    assert utils.get_total_norm(iter(gradients)).item() == pytest.approx(13, rel=1e-12)
    assert utils.get_total_norm(gradients[0], 1.0).item() == 7
    assert utils.get_total_norm(gradients, math.inf).item() == 12
    assert utils.get_total_norm([]).item() == 0
    utils.clip_grads_with_norm_(parameters, 13.0, tg.tensor(26.0))
    np.testing.assert_allclose(parameters[1].grad.numpy(), [[12 * 13 / (26 + 1e-6)]], rtol=1e-12)
    utils.clip_grads_with_norm_(parameters, 13.0, 6.5)
    np.testing.assert_allclose(parameters[1].grad.numpy(), [[12 * 13 / (26 + 1e-6)]], rtol=1e-12)
    with pytest.raises(AutogradError, match=r"get_total_norm: the gradients' 2.0-norm is inf"):
        utils.get_total_norm([tg.tensor([math.inf])], error_if_nonfinite=True)


def test_clipping_counts_as_a_write():
    for clip in (lambda p: utils.clip_grad_norm_(p, 1.0), lambda p: utils.clip_grad_value_(p, 1.0)):
        (parameter,) = with_gradients([3.0, 4.0])
        w = tg.ones(2, dtype=np.float64, requires_grad=True)
        loss = (w * parameter.grad).sum()
        clip(parameter)
        with pytest.raises(InplaceError, match="clip_grad_"):
            loss.backward()


def test_clip_grad_value():
    parameters = with_gradients([3.0, -4.0, 0.5], [[-12.0]])
    held = parameters[0].grad.array
    utils.clip_grad_value_(parameters, 2)
    assert held.tolist() == [2, -2, 0.5]
    assert parameters[1].grad.tolist() == [[-2]]


def test_vector_round_trip():
    tg.manual_seed(0)
    source, target = nn.Conv2d(2, 3, 3), nn.Conv2d(2, 3, 3)
    vector = utils.parameters_to_vector(source.parameters())
    np.testing.assert_array_equal(
        vector.detach().numpy(), np.concatenate([source.weight.array.ravel(), source.bias.array])
    )
    utils.vector_to_parameters(vector, target.parameters())
    np.testing.assert_array_equal(target.weight.array, source.weight.array)
    np.testing.assert_array_equal(target.bias.array, source.bias.array)
    assert not np.shares_memory(target.weight.array, source.weight.array)
    assert target.weight.is_leaf


def test_gradients_flow_through_the_vector():
    layer = nn.Linear(2, 2)
    (utils.parameters_to_vector(layer.parameters()) * tg.arange(6.0)).sum().backward()
    assert layer.weight.grad.tolist() == [[0, 1], [2, 3]]
    assert layer.bias.grad.tolist() == [4, 5]


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda p: utils.clip_grad_norm_(p, -1.0), ArgumentError, "max_norm must not be negative, got -1.0"),
        (lambda p: utils.clip_grad_norm_(p, math.nan), ArgumentError, "max_norm must not be negative, got nan"),
        (lambda p: utils.clip_grad_norm_(p, 1.0, 0), ArgumentError, "norm_type must be a positive number or inf, got 0"),
        (lambda p: utils.get_total_norm(p, -2), ArgumentError, "get_total_norm: norm_type must be a positive number"),
        (lambda p: utils.clip_grads_with_norm_(p, -1.0, 2.0), ArgumentError, "max_norm must not be negative, got -1.0"),
        (lambda p: utils.clip_grad_value_(p, -1.0), ArgumentError, "clip_value must not be negative, got -1.0"),
        (lambda p: utils.parameters_to_vector([]), ArgumentError, "parameters_to_vector: got no parameters"),
        (lambda p: utils.vector_to_parameters(tg.ones(5), p), ShapeError, "have 3 elements together, the vector has (5,)"),
    ],
)
def test_errors_name_what_was_given(act, error, message):
    parameters = with_gradients([1.0, 2.0], [3.0])
    with pytest.raises(error, match=re.escape(message)):
        act(parameters)
    assert [p.tolist() for p in parameters] == [[0, 0], [0]]
