"""Hooks: their order, what they may change, their removal; and the gradients that backward hooks see."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, InplaceError


class Scale(nn.Module):
    def __init__(self, factor=2.0):
        super().__init__()
        self.factor = nn.Parameter(tg.tensor(factor))

    def forward(self, x):
        return self.factor * x


def leaf(*values):
    return tg.tensor(np.array(values, np.float64), requires_grad=True)


def test_order():
    seen = []
    module = Scale()
    module.register_forward_hook(lambda m, args, out: seen.append("after 1"))
    module.register_forward_pre_hook(lambda m, args: seen.append("before 1"))
    module.register_forward_pre_hook(lambda m, args: seen.append("before 2"))
    module.register_forward_hook(lambda m, args, out: seen.append("after 2"))
    module.register_full_backward_hook(lambda m, gi, go: seen.append("backward 1"))
    module.register_full_backward_hook(lambda m, gi, go: seen.append("backward 2"))
    y = module(leaf(1.0))
    assert seen == ["before 1", "before 2", "after 1", "after 2"]
    y.sum().backward()
    assert seen[4:] == ["backward 1", "backward 2"]


def test_forward_hooks_are_given_the_module_its_arguments_and_output():
    module, x = Scale(), leaf(1.0)
    calls = []
    module.register_forward_pre_hook(lambda m, args: calls.append((m, args)))
    module.register_forward_hook(lambda m, args, out: calls.append((m, args, out)))
    y = module(x)
    assert calls[0] == (module, (x,))
    assert calls[1][:2] == (module, (x,))
    assert calls[1][2] is y


def test_forward_hooks_may_change_arguments_and_output():
    module = Scale(3.0)
    module.register_forward_pre_hook(lambda m, args: args[0] + 1)
    module.register_forward_pre_hook(lambda m, args: (args[0] * 10,))
    module.register_forward_hook(lambda m, args, out: out + args[0])
    assert module(leaf(1.0, 2.0)).tolist() == [3 * 20 + 20, 3 * 30 + 30]


def test_hooks_do_not_run_on_forward_itself():
    module = Scale()
    module.register_forward_hook(lambda m, args, out: out * 0)
    assert module.forward(leaf(1.0)).tolist() == [2]


@pytest.mark.parametrize("register", ["register_forward_pre_hook", "register_forward_hook", "register_full_backward_hook"])
def test_removal(register):
    module, seen = Scale(), []
    first = getattr(module, register)(lambda *a: seen.append(1))
    second = getattr(module, register)(lambda *a: seen.append(2))
    first.remove()
    first.remove()
    module(leaf(1.0)).sum().backward()
    assert seen == [2]
    with second:
        pass
    module(leaf(1.0)).sum().backward()
    assert seen == [2]


def test_a_hook_may_remove_itself():
    module, seen = Scale(), []

    def once(m, args, out):
        seen.append(1)
        handle.remove()

    handle = module.register_forward_hook(once)
    module.register_forward_hook(lambda m, args, out: seen.append(2))
    module(leaf(1.0))
    module(leaf(1.0))
    assert seen == [1, 2, 2]


def test_backward_hook_sees_the_modules_share_of_the_gradient():
    """In x + scale(x), the gradient of x is 1 + 3; the module's share is 3."""
    module, x, seen = Scale(3.0), leaf(1.0, 2.0), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append((m, gi, go)))
    (x + module(x) * 5).sum().backward()
    assert len(seen) == 1
    assert seen[0][0] is module
    assert [g.tolist() for g in seen[0][1]] == [[15, 15]]
    assert [g.tolist() for g in seen[0][2]] == [[5, 5]]
    assert x.grad.tolist() == [16, 16]


def test_gradients_are_the_same_with_and_without_a_hook():
    tg.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 1)).double()
    x = tg.randn(3, 1, 4, 4, dtype=np.float64, requires_grad=True)
    net(x).sum().backward()
    plain = [x.grad.array, *(p.grad.array for p in net.parameters())]
    x.grad = None
    net.zero_grad()
    for module in net.modules():
        module.register_full_backward_hook(lambda m, gi, go: None)
    net(x).sum().backward()
    hooked = [x.grad.array, *(p.grad.array for p in net.parameters())]
    for a, b in zip(plain, hooked, strict=True):
        np.testing.assert_array_equal(a, b)


class TwoInTwoOut(nn.Module):
    def forward(self, a, b, note, c):
        return a * b, c * 7, note


def test_backward_hook_of_several_inputs_and_outputs():
    module, seen = TwoInTwoOut(), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    a, b, c = leaf(2.0), leaf(3.0), tg.tensor([4.0])
    product, seven, note = module(a, b, "note", c)
    assert note == "note"
    (product * 10 + seven).sum().backward()
    ((ga, gb, g_note, gc), (g_product, g_seven, g_out_note)) = seen[0]
    assert (ga.tolist(), gb.tolist(), g_note, gc) == ([30], [20], None, None)
    assert (g_product.tolist(), g_seven, g_out_note) == ([10], None, None)
    assert (a.grad.tolist(), b.grad.tolist()) == ([30], [20])
    assert len(seen) == 1


def test_backward_hook_with_an_output_that_is_not_used():
    module, seen = TwoInTwoOut(), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    a, b, c = leaf(2.0), leaf(3.0), leaf(4.0)
    module(a, b, None, c)[1].sum().backward()
    ((ga, gb, _, gc), (g_product, g_seven, _)) = seen[0]
    assert (ga, gb, gc.tolist()) == (None, None, [7])
    assert (g_product, g_seven.tolist()) == (None, [1])
    assert a.grad is None


def test_backward_hook_may_replace_the_gradient():
    x = leaf(1.0, 1.0)
    for replacement in (lambda g: g * 100, lambda g: (g * 100,)):
        module = Scale(3.0)
        module.register_full_backward_hook(lambda m, gi, go, change=replacement: change(gi[0]))
        module.register_full_backward_hook(lambda m, gi, go: (gi[0] + 1,))
        x.grad = None
        module(x).sum().backward()
        assert x.grad.tolist() == [301, 301]
        assert module.factor.grad.item() == 2, "the parameters' gradients are not the hook's business"


def test_backward_hook_of_a_module_whose_input_needs_no_gradient():
    module, seen = Scale(3.0), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    module(tg.ones(2)).sum().backward()
    assert seen[0][0] == (None,)
    assert seen[0][1][0].tolist() == [1, 1]
    assert module.factor.grad.item() == 2


def test_backward_hook_runs_in_each_pass():
    module, x, seen = Scale(3.0), leaf(1.0), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append(gi[0].item()))
    y = module(x).sum()
    y.backward(retain_graph=True)
    (y * 2).backward()
    assert seen == [3, 6]


def test_second_derivative_through_a_hooked_module():
    class Cube(nn.Module):
        def forward(self, x):
            return x**3

    module, x = Cube(), leaf(2.0)
    module.register_full_backward_hook(lambda m, gi, go: (gi[0] * 5,))
    (first,) = tg.autograd.grad(module(x).sum(), x, create_graph=True)
    assert first.tolist() == [5 * 3 * 4]
    (second,) = tg.autograd.grad(first.sum(), x)
    # The second pass goes through the module twice (forward graph and its backward), and is scaled there again.
    assert second.tolist() == [5 * 5 * 6 * 2]


def test_backward_hook_that_is_removed_before_the_pass_does_not_run():
    module, x, seen = Scale(3.0), leaf(1.0), []
    handle = module.register_full_backward_hook(lambda m, gi, go: seen.append(1))
    y = module(x).sum()
    handle.remove()
    y.backward()
    assert seen == []
    assert x.grad.tolist() == [3]


def test_without_gradients_backward_hooks_are_out_of_the_way():
    module = Scale()
    module.register_full_backward_hook(lambda m, gi, go: None)
    with tg.no_grad():
        y = module(tg.ones(1))
    assert not y.requires_grad


def test_wrong_number_of_gradients():
    module = Scale()
    module.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    message = "a backward hook of Scale returned 2 gradients, the module has 1 inputs"
    with pytest.raises(ArgumentError, match=re.escape(message)):
        module(leaf(1.0)).sum().backward()


def test_in_place_on_a_hooked_input_is_refused():
    module = nn.ReLU(inplace=True)
    module.register_full_backward_hook(lambda m, gi, go: None)
    x = leaf(1.0) * 2
    with pytest.raises(InplaceError, match="an input of ReLU, which has a backward hook"):
        module(x)


def test_hooked_graph_is_freed_without_the_collector():
    import gc
    import weakref

    module = Scale()
    module.register_full_backward_hook(lambda m, gi, go: None)
    gc.disable()
    try:
        y = module(leaf(1.0) * 2)
        node = weakref.ref(y.grad_fn)
        y.sum().backward()
        del y
        assert node() is None
    finally:
        gc.enable()


def test_a_hook_may_be_put_before_the_others():
    layer, calls = nn.Identity(), []
    for name, prepend in (("first", False), ("second", False), ("zeroth", True)):
        layer.register_forward_pre_hook(lambda m, args, name=name: calls.append(f"pre {name}"), prepend=prepend)
        layer.register_forward_hook(lambda m, args, y, name=name: calls.append(name), prepend=prepend)
        layer.register_full_backward_hook(lambda m, gx, gy, name=name: calls.append(f"back {name}"), prepend=prepend)
    layer(tg.ones(1, requires_grad=True)).backward()
    order = ["zeroth", "first", "second"]
    assert calls == [f"pre {n}" for n in order] + order + [f"back {n}" for n in order]
