"""The table of networks: each row says what is built."""

import copy
import re
from inspect import isfunction

import pytest

from tinygrad_cnn import models, nn
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.models import registry

from .networks import parameters, trace, unfilled

NAMES = [entry.name for entry in registry.entries()]


@pytest.mark.parametrize("name", NAMES)
def test_a_row_says_how_many_parameters_there_are(name):
    entry = models.get_entry(name)
    assert parameters(unfilled(entry.build)) == entry.parameters


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("lenet5") and name != "resnet1202"])
def test_a_row_says_what_images_go_in(name):
    """And `nn.plan` counts the multiply-adds that the tests' own formulas give."""
    entry = models.get_entry(name)
    net = unfilled(entry.build)
    macs, shapes = trace(net, *entry.input_size)
    assert nn.plan(net, entry.input_size).mult_adds == sum(macs.values())
    assert shapes[""] == ({"ImageNet": 1000, "CIFAR-10": 10, "MNIST": 10}[entry.data],)


def test_names():
    assert len(set(NAMES)) == len(NAMES) >= 41
    assert models.list_models() == sorted(NAMES)
    assert all(entry.paper for entry in models.entries())


def test_every_function_of_the_package_that_builds_a_network_has_its_row():
    functions = {
        name: function
        for name, function in vars(models).items()
        if isfunction(function) and name not in ("entries", "get_entry", "get_model", "list_models", "renormalize_filters")
    }
    assert len(functions) == 28
    assert {name: models.get_entry(name).build for name in functions} == functions


def test_get_model():
    net = models.get_model("LeNet", num_classes=3)
    assert type(net) is models.LeNet
    assert net.fc2.out_features == 3
    assert models.get_entry("VGG16-BN").build is models.vgg16_bn
    assert models.get_model("resnet20", shortcut="B").layer2[0].downsample is not None


def test_an_unknown_name():
    with pytest.raises(ArgumentError, match=re.escape("there is no network 'resnet5': the nearest are resnet5")):
        models.get_model("resnet5")
    with pytest.raises(ArgumentError, match="no network 'vgg16bn': the nearest are vgg16_bn, "):
        models.get_entry("vgg16bn")
    everything = ", ".join(models.list_models())
    with pytest.raises(ArgumentError, match=f"no network 'transformer-xl': choose one of {everything}$"):
        models.get_model("transformer-xl")


def test_networks_can_be_copied():
    net = models.get_model("resnet20")
    twin = copy.deepcopy(net)
    assert isinstance(twin, nn.Module)
    assert list(twin.state_dict()) == list(net.state_dict())
