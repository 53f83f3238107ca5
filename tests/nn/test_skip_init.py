"""Building without drawing: what is left out, what is not, and that it ends."""

import threading

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.nn import init

FILLS = [
    lambda t: init.uniform_(t),
    lambda t: init.normal_(t),
    lambda t: init.trunc_normal_(t),
    lambda t: init.constant_(t, 3.0),
    lambda t: init.zeros_(t),
    lambda t: init.ones_(t),
    lambda t: init.xavier_uniform_(t),
    lambda t: init.xavier_normal_(t),
    lambda t: init.kaiming_uniform_(t),
    lambda t: init.kaiming_normal_(tensor=t),
]


@pytest.mark.parametrize("fill", FILLS)
def test_no_function_writes_inside(fill):
    tensor = tg.full((4, 3), 7.5)
    state = tg.get_rng_state()
    assert nn.utils.skip_init(lambda: fill(tensor)) is tensor
    assert tg.get_rng_state() == state
    assert tensor._version == 0
    np.testing.assert_array_equal(tensor.array, 7.5)
    assert fill(tensor) is tensor
    assert (tensor.array != 7.5).all()


def test_arguments_are_passed_on():
    layer = nn.utils.skip_init(nn.Conv2d, 3, 4, kernel_size=5, bias=False)
    assert layer.weight.shape == (4, 3, 5, 5)
    assert layer.bias is None


def test_normalizations_start_as_ever():
    norm = nn.utils.skip_init(nn.BatchNorm2d, 3)
    assert norm.weight.tolist() == norm.running_var.tolist() == [1.0] * 3
    assert norm.bias.tolist() == [0.0] * 3


def test_a_layer_does_not_compute_with_what_is_in_memory(monkeypatch):
    """It may be anything: a product with it overflowed, once in a hundred runs."""
    largest = np.finfo(np.float32).max
    monkeypatch.setattr("tinygrad_cnn.nn.conv_table.empty", lambda *shape: tg.full(shape, largest))
    layer = nn.utils.skip_init(nn.TableConv2d, 3, [(0, 1), (0, 1, 2)], kernel_size=5)
    for parameter in layer.parameters():
        np.testing.assert_array_equal(parameter.array, largest)


def test_it_ends_after_an_error_too():
    with pytest.raises(TypeError):
        nn.utils.skip_init(nn.Linear, 3)
    assert init.ones_(tg.zeros(2)).tolist() == [1.0, 1.0]


def test_nested():
    def build():
        nn.utils.skip_init(nn.Linear, 2, 2)
        return init.ones_(tg.zeros(1))

    assert nn.utils.skip_init(build).tolist() == [0.0]


def test_other_threads_draw():
    tensor = tg.zeros(1)

    def build():
        thread = threading.Thread(target=init.ones_, args=(tensor,))
        thread.start()
        thread.join()

    nn.utils.skip_init(build)
    assert tensor.tolist() == [1.0]
