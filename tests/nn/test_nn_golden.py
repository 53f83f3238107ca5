"""Layers print as PyTorch's do, and name their state as PyTorch's do."""

import json
from collections import OrderedDict
from pathlib import Path

import pytest

from tinygrad_cnn import nn

from .nn_cases import LAYERS, LAZY

GOLDEN = json.loads((Path(__file__).parent / "golden" / "layers.json").read_text())


@pytest.mark.parametrize("expression", LAYERS)
def test_repr_and_state_keys_are_pytorchs(expression):
    layer = eval(expression, {"nn": nn, "OrderedDict": OrderedDict})
    assert repr(layer) == GOLDEN[expression]["repr"]
    state = {name: list(tensor.shape) for name, tensor in layer.state_dict().items()}
    assert state == GOLDEN[expression]["state"]
    assert list(state) == list(GOLDEN[expression]["state"])


@pytest.mark.parametrize("expression", LAZY)
def test_lazy_layers_as_pytorchs(expression):
    layer = eval(expression, {"nn": nn})
    assert repr(layer) == GOLDEN[expression]["repr"]
    assert [name for name, _ in layer.named_parameters()] == GOLDEN[expression]["parameters"]


def test_every_layer_that_pytorch_has_is_compared():
    compared = " ".join((*LAYERS, *LAZY))
    classes = {name for name in nn.__all__ if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)}
    # PyTorch's FractionalMaxPool2d shows no settings, ours does.
    ours_alone = {
        "FocalLoss", "FractionalMaxPool2d", "GlobalAvgPool1d", "GlobalAvgPool2d", "GlobalAvgPool3d",
        "GlobalMaxPool1d", "GlobalMaxPool2d", "GlobalMaxPool3d", "HingeLoss", "LocalContrastNorm", "Maxout", "Module",
        "RBFMAPLoss", "RBFMSELoss", "RBFOutput", "ScaledTanh", "SigmoidFocalLoss", "StochasticDepth",
        "StochasticPool1d", "StochasticPool2d", "Subsample2d", "TableConv2d",
    }  # fmt: skip
    assert {name for name in classes if f"nn.{name}(" not in compared} == ours_alone


def test_our_own_padding_is_shown():
    layer = nn.Conv2d(1, 2, 3, padding=((1, 2), (0, 3)))
    assert repr(layer) == "Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=((1, 2), (0, 3)))"
