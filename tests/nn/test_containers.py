"""Containers: of modules and of parameters, as lists and as dictionaries."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError


def kinds(modules):
    return [type(module).__name__ for module in modules]


def states(module):
    return [name for name, _ in module.named_parameters()]


# Modules in an order -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda *m: nn.Sequential(*m), lambda *m: nn.ModuleList(m)])
def test_lists_of_modules_are_edited_as_lists_are(make):
    box = make(nn.ReLU(), nn.Tanh(), nn.Linear(2, 2))
    assert box.insert(1, nn.Sigmoid()) is box
    assert kinds(box) == ["ReLU", "Sigmoid", "Tanh", "Linear"]
    assert states(box) == ["3.weight", "3.bias"]
    del box[0]
    assert states(box) == ["2.weight", "2.bias"]
    assert kinds([box.pop(0)]) == ["Sigmoid"]
    assert kinds([box.pop()]) == ["Linear"]
    assert kinds(box) == ["Tanh"]
    box.append(nn.Linear(2, 2))
    assert states(box) == ["1.weight", "1.bias"]
    joined = box + [nn.ReLU()]
    assert type(joined) is type(box)
    assert kinds(joined) == ["Tanh", "Linear", "ReLU"]
    assert len(box) == 2
    box += [nn.ReLU()]
    assert kinds(box) == ["Tanh", "Linear", "ReLU"]
    assert box[2] in box
    del box[:2]
    assert kinds(box) == ["ReLU"]
    assert [name for name, _ in box.named_children()] == ["0"]
    box.insert(-5, nn.Tanh())
    assert kinds(box) == ["Tanh", "ReLU"]


def test_named_modules_keep_their_names():
    net = nn.Sequential({"a": nn.ReLU(), "b": nn.Tanh(), "c": nn.ReLU()})
    del net[1]
    assert [name for name, _ in net.named_children()] == ["a", "c"]
    with pytest.raises(ArgumentError, match=r"insert: its modules have names \('a', 'c'\), not positions; use append"):
        net.insert(0, nn.ReLU())
    with pytest.raises(ArgumentError, match="Sequential holds modules, got int"):
        nn.Sequential().insert(0, 3)
    with pytest.raises(IndexError, match="index 2 is out of range, it holds 2 modules"):
        del net[2]


def test_edited_sequential_runs():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    net.insert(1, nn.ReLU())
    assert net(tg.zeros(1, 2)).shape == (1, 4)
    with pytest.raises(Exception, match="in the module 2"):
        del net[0]
        net.append(nn.Linear(3, 1))
        net(tg.zeros(1, 3))


# Modules by name ---------------------------------------------------------------------------------------------------


def test_module_dict():
    heads = nn.ModuleDict([("a", nn.Linear(2, 3)), ("b", nn.ReLU())])
    assert (len(heads), list(heads), "a" in heads, "c" in heads) == (2, ["a", "b"], True, False)
    assert states(heads) == ["a.weight", "a.bias"]
    heads["c"] = nn.Tanh()
    heads.update({"b": nn.Sigmoid()})
    assert [(name, type(module)) for name, module in heads.items()] == [
        ("a", nn.Linear), ("b", nn.Sigmoid), ("c", nn.Tanh),
    ]  # fmt: skip
    assert kinds(heads.values()) == ["Linear", "Sigmoid", "Tanh"]
    assert kinds([heads.pop("b")]) == ["Sigmoid"]
    del heads["a"]
    assert list(heads.keys()) == ["c"]
    twin = nn.ModuleDict(heads)
    assert twin["c"] is heads["c"]
    heads.clear()
    assert repr(heads) == "ModuleDict()"
    assert len(twin) == 1


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda d: d["x"], KeyError, "ModuleDict has no module 'x'; it has 'a'"),
        (lambda d: d.pop("x"), KeyError, "ModuleDict has no module 'x'"),
        (lambda d: d.update({"b": 3}), ArgumentError, "ModuleDict holds modules, got int"),
        (lambda d: d.update({"a.b": nn.ReLU()}), ArgumentError, "'a.b' cannot name a part"),
        (lambda d: d.update({"keys": nn.ReLU()}), ArgumentError, "already has an attribute 'keys'"),
    ],
)
def test_module_dict_errors(act, error, message):
    box = nn.ModuleDict({"a": nn.ReLU()})
    with pytest.raises(error, match=re.escape(message)):
        act(box)
    assert list(box) == ["a"]


# Parameters --------------------------------------------------------------------------------------------------------


def test_parameter_list():
    shared = nn.Parameter(tg.ones(2))
    box = nn.ParameterList([shared, tg.zeros(3, 2)])
    assert box[0] is shared
    assert type(box[1]) is nn.Parameter
    assert box.append(shared) is box
    assert states(box) == ["0", "1"], "the shared one once"
    assert list(box.state_dict()) == ["0", "1", "2"]
    box[-1] = tg.zeros(4)
    assert [p.shape for p in box] == [(2,), (3, 2), (4,)]
    assert [p.shape for p in box[1:]] == [(3, 2), (4,)]
    box += [tg.zeros(5)]
    assert len(box.extend([tg.zeros(6)])) == 5
    assert repr(nn.ParameterList()) == "ParameterList()"
    assert "(1): Parameter containing: [float32 of size 3x2]" in repr(box)
    assert "(0): <UninitializedParameter>" in repr(nn.ParameterList([nn.UninitializedParameter()]))


def test_parameter_dict():
    box = nn.ParameterDict({"left": tg.ones(2)})
    box["right"] = nn.Parameter(tg.zeros(3))
    box.update([("left", tg.zeros(1))])
    assert states(box) == ["left", "right"]
    assert ("left" in box, "up" in box, len(box), list(box)) == (True, False, 2, ["left", "right"])
    assert [(name, p.shape) for name, p in box.items()] == [("left", (1,)), ("right", (3,))]
    assert [p.shape for p in box.values()] == [(1,), (3,)]
    assert nn.ParameterDict(box)["right"] is box["right"]
    assert box.pop("left").shape == (1,)
    del box["right"]
    assert list(box.keys()) == []
    box["a"] = tg.ones(1)
    box.clear()
    assert repr(box) == "ParameterDict()"


def test_a_module_finds_the_parameters_in_it():
    class Mixture(nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = nn.ParameterList(tg.full((2,), float(i)) for i in range(3))
            self.scale = nn.ParameterDict({"a": tg.ones(1)})

        def forward(self, x):
            for weight in self.weights:
                x = x + weight
            return x * self.scale["a"]

    net = Mixture()
    assert states(net) == ["weights.0", "weights.1", "weights.2", "scale.a"]
    y = net(tg.zeros(2))
    assert y.tolist() == [3, 3]
    y.sum().backward()
    np.testing.assert_array_equal(net.weights[2].grad.numpy(), [1, 1])
    net.double()
    assert net.weights[0].dtype == np.float64


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: nn.ParameterList([np.ones(2)]), ArgumentError, "ParameterList holds parameters, got ndarray; wrap it in"),
        (lambda: nn.ParameterList()[0], IndexError, "index 0 is out of range, it holds 0 parameters"),
        (lambda: nn.ParameterList([tg.ones(1)]).__setitem__(1, tg.ones(1)), IndexError, "index 1 is out of range, it holds 1"),
        (lambda: nn.ParameterDict({"a": 3}), ArgumentError, "ParameterDict holds parameters, got int"),
        (lambda: nn.ParameterDict({"a": tg.ones(1)})["b"], KeyError, "ParameterDict has no parameter 'b'; it has 'a'"),
        (lambda: nn.ParameterDict({"a": tg.arange(2)}), Exception, "only floating-point tensors can require gradients"),
    ],
)
def test_parameter_errors(act, error, message):
    with pytest.raises(error, match=re.escape(message)):
        act()
