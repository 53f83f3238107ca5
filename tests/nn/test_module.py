"""Module: its parts, the walks over them, its state, and its settings."""

import copy
import pickle
import re
from collections import OrderedDict

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, AutogradError, CheckpointError, DTypeError


class Block(nn.Module):
    def __init__(self, channels=2):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.scale = nn.Parameter(tg.ones(1))

    def forward(self, x):
        return self.scale * self.norm(self.conv(x))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Block()
        self.second = Block()
        self.register_buffer("mean", tg.zeros(2, 1, 1))
        self.register_buffer("cache", tg.zeros(3), persistent=False)

    def forward(self, x):
        return self.second(self.first(x - self.mean))


def names(pairs):
    return [name for name, _ in pairs]


# Parts -------------------------------------------------------------------------------------------------------------


def test_assignment_registers_by_kind():
    net = Net()
    assert names(net.named_children()) == ["first", "second"]
    assert names(net.named_parameters(recurse=False)) == []
    assert names(net.first.named_parameters()) == ["scale", "conv.weight", "conv.bias", "norm.weight", "norm.bias"]
    assert names(net.named_buffers(recurse=False)) == ["mean", "cache"]
    assert isinstance(net.mean, tg.Tensor)
    assert "scale" in dir(net.first)
    assert "conv" in dir(net.first)


def test_parameters_are_named_by_their_attribute_unless_they_have_a_name():
    block = Block()
    assert block.scale.name == "scale"
    assert block.conv.weight.name == "weight"
    own = nn.Parameter(tg.ones(1))
    own.name = "temperature"
    block.other = own
    assert own.name == "temperature"


def test_none_switches_a_part_off_and_a_parameter_on_again():
    layer = nn.Linear(2, 3)
    layer.bias = None
    assert layer.bias is None
    assert names(layer.named_parameters()) == ["weight"]
    assert list(layer.state_dict()) == ["weight"]
    layer.bias = nn.Parameter(tg.zeros(3))
    assert names(layer.named_parameters()) == ["weight", "bias"]
    net = Net()
    net.second = None
    assert names(net.named_children()) == ["first"]
    assert len(list(net.modules())) == 4


def test_replacing_keeps_the_place_and_changing_kind_moves():
    net = Net()
    net.first = nn.Identity()
    assert names(net.named_children()) == ["first", "second"]
    net.plain = 3
    net.plain = nn.ReLU()
    assert names(net.named_children()) == ["first", "second", "plain"]
    assert "plain" not in net.__dict__
    net.mean = nn.Parameter(tg.zeros(1))
    assert names(net.named_buffers(recurse=False)) == ["cache"]
    assert names(net.named_parameters(recurse=False)) == ["mean"]


def test_buffer_can_be_assigned_anew():
    net = Net()
    net.mean = tg.ones(2, 1, 1)
    assert net.state_dict()["mean"].tolist() == [[[1.0]], [[1.0]]]


def test_a_tensor_that_is_no_parameter_is_a_plain_attribute():
    net = Net()
    net.note = tg.ones(2)
    assert "note" not in net.state_dict()
    assert net.note.tolist() == [1, 1]


def test_delete():
    net = Net()
    del net.first, net.cache
    assert names(net.named_modules())[1] == "second"
    assert not hasattr(net, "first")
    net.register_buffer("cache", tg.zeros(1))
    assert "cache" in net.state_dict(), "it was not persistent before; that must not stick to the name"
    net.register_buffer("other", tg.zeros(1), persistent=False)
    net.other = nn.Parameter(tg.zeros(1))
    assert "other" in net.state_dict()
    net.plain = 1
    del net.plain
    with pytest.raises(AttributeError):
        del net.plain


def test_missing_attribute():
    with pytest.raises(AttributeError, match=r"^Net has no attribute 'third'$"):
        _ = Net().third


def test_assigning_before_init():
    class Forgot(nn.Module):
        def __init__(self, part):
            self.part = part

    for part in (nn.Parameter(tg.ones(1)), nn.ReLU()):
        with pytest.raises(ArgumentError, match=r"Forgot\.part was assigned before .* call super\(\).__init__\(\) first"):
            Forgot(part)
    for register in ("register_parameter", "register_buffer", "add_module"):
        with pytest.raises(ArgumentError, match=r"Forgot\.b was assigned before"):
            getattr(Forgot(3), register)("b", None)
    forgot = Forgot(3)  # a plain attribute does no harm yet, the call does
    with pytest.raises(AttributeError, match=r"its __init__ has not called super\(\).__init__\(\)"):
        forgot(1)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda net: setattr(net.first, "scale", tg.ones(1)), "Block.scale is a Parameter and was assigned a Tensor"),
        (lambda net: setattr(net, "first", 3), "Net.first is a Module and was assigned a int: assign a Module or None"),
        (lambda net: setattr(net, "mean", 3), "Net.mean is a Tensor and was assigned a int"),
        (lambda net: net.register_parameter("scale", tg.ones(1)), "expected a Parameter or None, got Tensor; wrap it in"),
        (lambda net: net.register_parameter("first", nn.Parameter(tg.ones(1))), "Net already has an attribute 'first'"),
        (lambda net: net.register_parameter("a.b", None), "'a.b' cannot name a part: use a string without dots"),
        (lambda net: net.register_parameter("", None), "'' cannot name a part"),
        (lambda net: net.register_buffer(3, None), "3 cannot name a part"),
        (lambda net: net.register_buffer("forward", tg.ones(1)), "Net already has an attribute 'forward'"),
        (lambda net: net.register_buffer("b", np.ones(1)), "register_buffer('b'): expected a Tensor or None, got ndarray"),
        (lambda net: net.add_module("m", tg.ones(1)), "add_module('m'): expected a Module or None, got Tensor"),
        (lambda net: net.add_module("mean", nn.ReLU()), "Net already has an attribute 'mean'"),
        (lambda net: net.train(3), "train: mode must be True or False, got 3"),
        (lambda net: net.register_forward_hook(3), "a hook must be a function, got int"),
        (lambda net: net.load_state_dict([1]), "expected a mapping of names to arrays, got list"),
        (lambda net: net.get_submodule("first.pool"), "first has no submodule 'pool'; it has 'conv', 'norm'"),
        (lambda net: net.get_submodule("third"), "Net has no submodule 'third'; it has 'first', 'second'"),
        (lambda net: net.get_parameter("first.w"), "get_parameter('first.w'): first has no parameter 'w'; it has 'scale'"),
        (lambda net: net.get_parameter("mean"), "get_parameter('mean'): Net has no parameter 'mean'; it has no parameters"),
        (lambda net: net.get_parameter("third.w"), "Net has no submodule 'third'"),
        (lambda net: net.get_buffer("first.norm.mean"), "first.norm has no buffer 'mean'; it has 'running_mean', "),
        (lambda net: net.get_submodule("first.conv.x"), "first.conv has no submodule 'x'; it has no submodules"),
    ],
)
def test_errors_name_what_was_given(act, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        act(Net())


def test_no_forward():
    with pytest.raises(AutogradError, match=r"ModuleList has no forward: define forward\(self, ...\)"):
        nn.ModuleList()(1)


# Walks -------------------------------------------------------------------------------------------------------------


def test_named_modules_in_order_with_prefix():
    assert names(Net().named_modules(prefix="net")) == [
        "net", "net.first", "net.first.conv", "net.first.norm", "net.second", "net.second.conv", "net.second.norm",
    ]  # fmt: skip


def test_named_parameters_with_prefix():
    block = Block()
    assert names(block.named_parameters("b")) == ["b.scale", "b.conv.weight", "b.conv.bias", "b.norm.weight", "b.norm.bias"]
    assert names(block.named_parameters("b", recurse=False)) == ["b.scale"]


def shared():
    net = Net()
    net.second = net.first
    net.alias = net.first.scale
    return net


def test_shared_parts_come_once():
    net = shared()
    assert names(net.named_children()) == ["first"]
    assert names(net.named_modules()) == ["", "first", "first.conv", "first.norm"]
    assert names(net.named_parameters()) == [
        "alias", "first.conv.weight", "first.conv.bias", "first.norm.weight", "first.norm.bias",
    ]  # fmt: skip
    assert len(list(net.buffers())) == 2 + 3


def test_shared_parts_under_each_path_on_request():
    net = shared()
    assert "second.conv" in names(net.named_modules(remove_duplicate=False))
    with_all = names(net.named_parameters(remove_duplicate=False))
    assert {"alias", "first.scale", "second.scale"} <= set(with_all)
    assert {"first.norm.running_mean", "second.norm.running_mean"} <= set(names(net.named_buffers(remove_duplicate=False)))


def test_get_submodule():
    net = Net()
    assert net.get_submodule("first.conv") is net.first.conv
    assert net.get_submodule("") is net


def test_apply_goes_from_the_leaves_up():
    seen = []
    net = Net()
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    assert seen == ["Conv2d", "BatchNorm2d", "Block", "Conv2d", "BatchNorm2d", "Block", "Net"]


def test_parts_by_path():
    net = Net()
    assert net.get_parameter("first.conv.weight") is net.first.conv.weight
    assert net.first.get_parameter("scale") is net.first.scale
    assert net.get_buffer("first.norm.running_mean") is net.first.norm.running_mean
    assert net.get_buffer("cache") is net.cache
    assert net.get_submodule("first.conv") is net.first.conv
    net.register_module("third", nn.ReLU())
    assert isinstance(net.third, nn.ReLU)


# State -------------------------------------------------------------------------------------------------------------


def test_state_dict():
    net = Net()
    state = net.state_dict(prefix="net.")
    assert type(state) is OrderedDict
    block = ["scale", "conv.weight", "conv.bias", "norm.weight", "norm.bias"]
    block += ["norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]
    assert list(state) == ["net.mean", *[f"net.first.{n}" for n in block], *[f"net.second.{n}" for n in block]]
    assert not any(tensor.requires_grad for tensor in state.values())
    assert state["net.first.scale"].array is net.first.scale.array
    assert net.state_dict(keep_vars=True)["first.scale"] is net.first.scale


def test_shared_parts_are_in_the_state_under_each_path():
    assert {"alias", "first.scale", "second.scale"} <= set(shared().state_dict())


@pytest.mark.parametrize("form", [lambda t: t.detach().clone(), lambda t: t.detach().numpy().copy()])
def test_state_round_trip(form):
    tg.manual_seed(0)
    source, target = Net(), Net()
    source.train()(tg.randn(4, 2, 5, 5))  # moves the running statistics
    state = {name: form(tensor) for name, tensor in source.state_dict().items()}
    parameters = list(target.parameters())
    arrays = [p.array for p in parameters]
    result = target.load_state_dict(state)
    assert result == ([], [])
    assert result.missing_keys == []
    assert repr(result) == "<All keys matched successfully>"
    for name, tensor in target.state_dict().items():
        np.testing.assert_array_equal(tensor.array, source.state_dict()[name].array)
        assert not np.shares_memory(tensor.array, source.state_dict()[name].array)
    assert all(p.array is a and p.requires_grad for p, a in zip(parameters, arrays, strict=True))
    x = tg.randn(4, 2, 5, 5)
    np.testing.assert_array_equal(source.eval()(x).detach().numpy(), target.eval()(x).detach().numpy())


class Versioned(OrderedDict):
    """A state_dict as PyTorch makes it: with the versions of the modules that it is of."""


def counted(version):
    """The state of a batch norm behind a ReLU, without its count; what the module said of itself (None: nothing)."""
    state = Versioned((f"1.{name}", np.full(3, 2.0)) for name in ("weight", "bias", "running_mean", "running_var"))
    state._metadata = {"": {"version": 1}, "1": {} if version is None else {"version": version}}
    return state


@pytest.mark.parametrize("state", [counted(None), counted(1), dict(counted(2))], ids=["unsaid", "version 1", "plain"])
@pytest.mark.parametrize("strict", [True, False])
def test_a_count_of_batches_that_old_files_lack_stays_as_it_was(state, strict):
    net = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3))
    net[1].num_batches_tracked.fill_(5)
    assert net.load_state_dict(state, strict) == ([], [])
    assert net[1].num_batches_tracked.item() == 5
    assert net[1].running_var.tolist() == [2, 2, 2]


def test_a_count_of_batches_that_a_newer_file_lacks_is_missed():
    net = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3))
    with pytest.raises(CheckpointError, match=r"not given:\n    1\.num_batches_tracked"):
        net.load_state_dict(counted(2))
    assert net.load_state_dict(counted(2), strict=False) == (["1.num_batches_tracked"], [])


def test_load_counts_as_a_write():
    layer = nn.Linear(2, 2)
    before = layer.weight._version
    layer.load_state_dict(layer.state_dict())
    assert layer.weight._version == before + 1


def test_load_converts_dtypes():
    layer = nn.Linear(2, 1, bias=False)
    layer.load_state_dict({"weight": np.array([[1, 2]])})
    assert layer.weight.dtype == np.float32
    assert layer.weight.tolist() == [[1, 2]]


def test_load_lists_everything_at_once_and_leaves_the_module_as_it_was():
    net = Net()
    before = {name: tensor.array.copy() for name, tensor in net.state_dict().items()}
    state = {name: tensor.array + 1 for name, tensor in net.state_dict().items()}
    del state["first.scale"], state["mean"]
    state["classifier.weight"] = np.ones(2)
    state["second.conv.bias"] = np.ones(5)
    state["second.norm.bias"] = "text"
    with pytest.raises(CheckpointError) as caught:
        net.load_state_dict(state)
    message = str(caught.value)
    assert message.startswith("load_state_dict: the state does not fit Net, which was left as it was.")
    assert "in the module, but not given:\n    mean\n    first.scale\n" in message
    assert "given, but not in the module:\n    classifier.weight\n" in message
    assert "second.conv.bias: the shape given is (5,), the module's is (2,)" in message
    assert "second.norm.bias: expected an array, got str" in message
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(tensor.array, before[name])


def test_load_not_strict_takes_what_fits():
    layer = nn.Linear(2, 2)
    result = layer.load_state_dict({"weight": np.full((2, 2), 3.0), "extra": np.ones(1)}, strict=False)
    assert result == (["bias"], ["extra"])
    assert repr(result) == "IncompatibleKeys(missing_keys=['bias'], unexpected_keys=['extra'])"
    assert layer.weight.tolist() == [[3, 3], [3, 3]]
    only_missing = layer.load_state_dict({"bias": np.zeros(2)}, strict=False)
    assert repr(only_missing) == "IncompatibleKeys(missing_keys=['weight'], unexpected_keys=[])"


def test_load_not_strict_still_refuses_shapes():
    layer = nn.Linear(2, 2)
    before = layer.weight.array.copy()
    with pytest.raises(CheckpointError, match="of another shape") as caught:
        layer.load_state_dict({"weight": np.ones((2, 3)), "extra": np.ones(1)}, strict=False)
    assert "extra" not in str(caught.value)
    np.testing.assert_array_equal(layer.weight.array, before)


# Settings ----------------------------------------------------------------------------------------------------------


def test_train_and_eval_reach_every_module():
    net = Net()
    assert net.training
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.first.train()
    assert net.first.conv.training
    assert not net.second.training
    assert not net.training
    net.train()
    assert all(module.training for module in net.modules())


def test_requires_grad_freezes():
    net = Net()
    assert net.first.requires_grad_(False) is net.first
    net(tg.randn(2, 2, 4, 4)).sum().backward()
    assert all(p.grad is None for p in net.first.parameters())
    assert all(p.grad is not None for p in net.second.parameters())
    assert all(p.requires_grad for p in net.requires_grad_().parameters())


def test_zero_grad():
    net = Net()
    (net(tg.randn(2, 2, 4, 4)) ** 2).sum().backward()
    held = net.first.scale.grad.array
    assert held != 0
    net.zero_grad(set_to_none=False)
    assert net.first.scale.grad.array is held
    assert held == 0
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_to_converts_in_place_and_leaves_integers():
    net = Net()
    parameters = list(net.parameters())
    net(tg.randn(2, 2, 4, 4)).sum().backward()
    assert net.double() is net
    assert list(map(id, net.parameters())) == list(map(id, parameters))
    assert {p.dtype for p in parameters} == {p.grad.dtype for p in parameters} == {np.dtype(np.float64)}
    assert net.first.norm.running_mean.dtype == np.float64
    assert net.first.norm.num_batches_tracked.dtype == np.int64
    y = net(tg.randn(2, 2, 4, 4, dtype=np.float64))
    assert y.dtype == np.float64
    assert net.float().first.scale.dtype == np.float32
    assert net.to("float64").first.scale.dtype == np.float64
    assert net.to(dtype=np.float32).first.scale.dtype == np.float32
    assert net.to("cpu").to(device="cpu").first.scale.dtype == np.float32
    assert net.to("cpu", np.float64).first.scale.dtype == np.float64
    assert net.half().first.scale.dtype == np.float16
    assert net.type("float64") is net
    assert net.first.scale.dtype == np.float64


def test_to_is_a_write_and_keeps_values():
    layer = nn.Linear(3, 3)
    values, version = layer.weight.array.copy(), layer.weight._version
    layer.double()
    np.testing.assert_array_equal(layer.weight.array, values)
    assert layer.weight._version == version + 1


def test_to_shared_parameters_stay_shared():
    net = shared()
    net.double()
    assert net.alias is net.first.scale
    assert net.alias.dtype == np.float64


@pytest.mark.parametrize(
    ("to", "error", "message"),
    [
        (lambda net: net.to(np.int64), DTypeError, "Net.to: parameters are floating-point numbers, int64 is not"),
        (lambda net: net.to("cuda"), ArgumentError, "device 'cuda' is not available"),
    ],
)
def test_to_errors(to, error, message):
    net = Net()
    with pytest.raises(error, match=re.escape(message)):
        to(net)
    assert net.first.scale.dtype == np.float32


# Copies and pictures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_are_whole_and_apart(clone):
    tg.manual_seed(0)
    net = shared()
    x = tg.randn(2, 2, 4, 4)
    net.eval()
    net(x)  # fills what is remembered about paths
    twin = clone(net)
    assert twin.alias is twin.first.scale
    assert twin.second is twin.first
    np.testing.assert_array_equal(twin(x).detach().numpy(), net(x).detach().numpy())
    assert twin._paths.keys() != net._paths.keys()
    with tg.no_grad():
        twin.alias.fill_(0)
    assert net.alias.item() == 1


def test_repr_of_settings_beside_parts():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = nn.Sequential(nn.ReLU())

        def extra_repr(self):
            return "a=1\nb=2"

    assert repr(Odd()) == "Odd(\n  a=1\n  b=2\n  (part): Sequential(\n    (0): ReLU()\n  )\n)"
    assert repr(nn.Module()) == "Module()"
