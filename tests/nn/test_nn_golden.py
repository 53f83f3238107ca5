"""Layers print as PyTorch's do, and name their state as PyTorch's do."""

import json
from collections import OrderedDict
from pathlib import Path

import pytest

from tinygrad_cnn import nn

from .nn_cases import LAYERS

GOLDEN = json.loads((Path(__file__).parent / "golden" / "layers.json").read_text())


@pytest.mark.parametrize("expression", LAYERS)
def test_repr_and_state_keys_are_pytorchs(expression):
    layer = eval(expression, {"nn": nn, "OrderedDict": OrderedDict})
    assert repr(layer) == GOLDEN[expression]["repr"]
    state = {name: list(tensor.shape) for name, tensor in layer.state_dict().items()}
    assert state == GOLDEN[expression]["state"]
    assert list(state) == list(GOLDEN[expression]["state"])


def test_our_own_padding_is_shown():
    layer = nn.Conv2d(1, 2, 3, padding=((1, 2), (0, 3)))
    assert repr(layer) == "Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=((1, 2), (0, 3)))"
