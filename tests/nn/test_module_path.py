"""The path of the running module, as the nodes of the graph get it."""

import threading

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.autograd.mode import STATE


class Mark(nn.Module):
    """A layer that leaves one node, so that a test can ask for its path."""

    def forward(self, x):
        return x.sin()


def path_of(y):
    return y.grad_fn.module


def paths_behind(y):
    """The paths along a chain of one-input nodes, first op first."""
    paths, node = [], y.grad_fn
    while node is not None and node.edges:
        paths.append(node.module)
        node = next(edge for edge in node.edges if edge is not None)
    return paths[::-1]


def x():
    return tg.ones(1, 1, requires_grad=True)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(Mark(), nn.Sequential(Mark(), Mark()), Mark())
        self.head = Mark()

    def forward(self, x):
        return self.head(self.features(x).tanh())


def test_paths_are_relative_to_the_outermost_module():
    net = Net()
    assert paths_behind(net(x())) == ["features.0", "features.1.0", "features.1.1", "features.2", "", "head"]
    assert paths_behind(net.features(x())) == ["0", "1.0", "1.1", "2"]
    assert path_of(net.head(x())) == ""
    assert path_of(x() * 2) == ""


def test_path_and_parameters_name_a_leaf():
    net = nn.Sequential(nn.ReLU(), nn.Linear(1, 1))
    y = net(x())
    leaf = next(edge for edge in y.grad_fn.edges if getattr(edge, "variable", None) is net[1].weight)
    assert (leaf.module, leaf.variable.name) == ("1", "weight")


def test_errors_name_the_path():
    net = Net()
    assert net(x()).grad_fn.described == "Sin (in head)"


def test_module_called_by_its_grandparent():
    class Reaching(Net):
        def forward(self, x):
            for module in self.features:
                x = module(x)
            return self.features[1][1](x)

    paths = ["features.0", "features.1.0", "features.1.1", "features.2", "features.1.1"]
    net = Reaching()
    assert paths_behind(net(x())) == paths
    net.named_modules = None  # the second time, the paths are remembered and nothing is searched
    assert paths_behind(net(x())) == paths


def test_module_list():
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([Mark(), Mark()])

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    assert paths_behind(Listed()(x())) == ["blocks.0", "blocks.1"]


def test_module_shared_by_two_parents_has_the_path_of_its_caller():
    act = Mark()

    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = act

        def forward(self, x):
            return self.act(x)

    net = nn.Sequential(Branch(), Branch())
    assert paths_behind(net(x())) == ["0.act", "1.act"]


def test_module_that_is_twice_in_a_sequential_runs_under_both_names():
    act = Mark()
    assert paths_behind(nn.Sequential(act, nn.Tanh(), act)(x())) == ["0", "1", "2"]


def test_direct_child_comes_before_a_deeper_place():
    act = Mark()

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.deep = nn.Sequential(act)
            self.act = act

        def forward(self, x):
            return self.act(x)

    assert path_of(Both()(x())) == "act"


def test_module_that_is_no_part_of_its_caller_is_named_by_its_class():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = [Net()]  # a plain list, which registers nothing

        def forward(self, x):
            return self.parts[0](x)

    assert path_of(nn.Sequential(Hidden())(x())) == "0.Net.head"


def test_names_follow_a_changed_tree():
    class Changing(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = Mark(), Mark()

        def forward(self, x):
            return self.b(self.a(x))

    net = Changing()
    assert paths_behind(net(x())) == ["a", "b"]
    net.a, net.b = net.b, net.a
    assert paths_behind(net(x())) == ["a", "b"]
    group = nn.Sequential(net.b)
    net.b = nn.Identity()
    net.group = group
    net.forward = lambda x: group[0](x)
    assert path_of(net(x())) == "group.0"


def test_recursion_keeps_the_path():
    class Countdown(nn.Module):
        def forward(self, x, n=2):
            return x.exp() if n == 0 else self(x, n - 1)

    assert path_of(nn.Sequential(Countdown())(x())) == "0"


class Failing(nn.Module):
    def forward(self, x):
        raise ValueError("on purpose")


def test_path_is_restored_after_an_exception():
    class Catching(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(Failing())
            self.mark = Mark()

        def forward(self, x):
            try:
                self.inner(x)
            except ValueError:
                return self.mark(x).tanh()

    assert paths_behind(nn.Sequential(Catching())(x())) == ["0.mark", "0"]
    with pytest.raises(ValueError, match="on purpose"):
        nn.Sequential(Failing())(x())
    assert STATE.module is None
    assert STATE.module_path == ""
    assert path_of(Net()(x())) == "head"


def test_hooks_run_inside_the_module():
    net = Net()
    seen = []
    net.head.register_forward_pre_hook(lambda m, args: seen.append(STATE.module_path))
    net.head.register_forward_hook(lambda m, args, out: out.tanh())
    assert path_of(net(x())) == "head"
    assert seen == ["head"]


def test_threads_have_paths_of_their_own():
    inside, go_on, found = threading.Event(), threading.Event(), []

    class Waiting(nn.Module):
        def forward(self, x):
            inside.set()
            assert go_on.wait(10)
            return x.exp()

    def work():
        found.append(path_of(nn.Sequential(nn.Identity(), Waiting())(x())))

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(10)
    try:
        found.append(path_of(Net()(x())))
        found.append(path_of(x().exp()))
    finally:
        go_on.set()
        thread.join()
    assert found == ["head", "", "1"]
