"""Writing in place: recorded rightly, or refused with the reason; versions, views, detached aliases, kept gradients.

Expected gradients come from the same computation without in-place ops; a few literals are PyTorch 2.13's.
"""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.errors import DTypeError, InplaceError, ShapeError


def leaf(*values: float) -> tg.Tensor:
    return tg.tensor(values, dtype=np.float64, requires_grad=True)


# Recorded rightly -----------------------------------------------------------------------------------------------------

PAIRS = {
    "add_": (lambda y, w: y.add_(w), lambda y, w: y + w),
    "add_ alpha": (lambda y, w: y.add_(w, alpha=3), lambda y, w: y + 3 * w),
    "sub_": (lambda y, w: y.sub_(w, alpha=2), lambda y, w: y - 2 * w),
    "mul_": (lambda y, w: y.mul_(w), lambda y, w: y * w),
    "div_": (lambda y, w: y.div_(w), lambda y, w: y / w),
    "pow_": (lambda y, w: y.pow_(2), lambda y, w: y**2),
    "pow_ tensor": (lambda y, w: y.pow_(w), lambda y, w: y**w),
    "pow_ of a constant": (lambda y, w: y.copy_(y.detach().clone().pow_(w)), lambda y, w: y.detach() ** w),
    "remainder_": (lambda y, w: tg.remainder_(y, w), lambda y, w: y % w),
    "clamp_": (lambda y, w: y.clamp_(0.9, 1.7), lambda y, w: y.clamp(0.9, 1.7)),
    "relu_": (lambda y, w: y.relu_(), lambda y, w: y.relu()),
    "copy_": (lambda y, w: y.copy_(w), lambda y, w: w * 1),
    "fill_": (lambda y, w: y.fill_(w.sum()), lambda y, w: w.sum().expand(3)),
    "zero_": (lambda y, w: y.zero_(), lambda y, w: y * 0),
    "assignment": (lambda y, w: y.__setitem__(slice(1, None), w[:2]), lambda y, w: tg.cat([y[:1], w[:2]])),
    "+=": (lambda y, w: y.__iadd__(w), lambda y, w: y + w),
    "-=": (lambda y, w: y.__isub__(w), lambda y, w: y - w),
    "*=": (lambda y, w: y.__imul__(w), lambda y, w: y * w),
    "/=": (lambda y, w: y.__itruediv__(w), lambda y, w: y / w),
    "%=": (lambda y, w: y.__imod__(w), lambda y, w: y % w),
    "**=": (lambda y, w: y.__ipow__(3), lambda y, w: y**3),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_in_place_ops_give_the_gradients_of_their_counterparts(name):
    in_place, out_of_place = PAIRS[name]
    found = []
    for op in (in_place, out_of_place):
        x, w = leaf(0.5, 1.0, 2.0), leaf(0.8, 1.5, 1.3)
        y = x * 1.1
        result = op(y, w)
        y = y if op is in_place else result
        (g_x, g_w) = grad((y * y).sum(), (x, w), create_graph=True, materialize_grads=True)
        second = grad((g_x * g_x).sum() + (g_w * g_w).sum() + (x * w).sum(), (x, w))
        found.append([tensor.array for tensor in (y.detach(), g_x.detach(), g_w.detach(), *second)])
    for got, expected in zip(*found, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_a_chain_of_them():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * 2
    y += w
    y *= 2
    y -= x
    y /= 4
    y.sum().backward()
    assert y.tolist() == [2.25, 3.5]
    assert (x.grad.tolist(), w.grad.tolist()) == ([0.75, 0.75], [0.5, 0.5])


def test_they_return_the_tensor_itself():
    y = tg.ones(2)
    assert y.add_(1) is y.mul_(2) is y.relu_() is y.zero_() is y.copy_(tg.ones(2)) is y.clamp_(0) is y.pow_(2) is y
    z = y
    z **= 2
    z %= 3
    z //= 1
    assert z is y


def test_logic_in_place():
    mask = tg.tensor([True, True, False, False])
    alias = mask
    alias &= tg.tensor([True, False, True, False])
    assert mask.tolist() == [True, False, False, False]
    alias |= tg.tensor([False, False, True, False])
    assert mask.tolist() == [True, False, True, False]
    alias ^= True
    assert mask.tolist() == [False, True, False, True]


def test_a_constant_turns_into_part_of_the_graph():
    buffer, w = tg.zeros(2, dtype=np.float64), leaf(3.0, 4.0)
    buffer.add_(w * w)
    assert buffer.requires_grad
    buffer.sum().backward()
    assert w.grad.tolist() == [6.0, 8.0]


def test_the_result_keeps_the_dtype_of_the_target():
    x, w = tg.ones(2, requires_grad=True), leaf(1.0, 2.0)
    y = x * 1
    y += w
    assert y.dtype == np.float32
    y.sum().backward()
    assert (x.grad.dtype, w.grad.dtype) == (np.float32, np.float64)
    n = tg.tensor([1, 2], dtype=np.uint8)
    n += tg.tensor([1, 1])
    assert (n.dtype, n.tolist()) == (np.uint8, [2, 3])


# Versions: a saved value that was changed -----------------------------------------------------------------------------

WRITES = {
    "itself": lambda y: y.add_(1),
    "a slice": lambda y: y[0:1].add_(1),
    "one element": lambda y: y[0].add_(1),
    "a slice of a slice": lambda y: y[0:2][1:].zero_(),
    "a reshape": lambda y: y.reshape(1, 3).mul_(2),
    "its transpose": lambda y: y.T.fill_(0.5),
    "detached": lambda y: y.detach().add_(1),
    "a slice of the detached": lambda y: y.detach()[1:].add_(1),
    "data": lambda y: y.data.mul_(2),
    "assignment": lambda y: y.__setitem__(1, 5.0),
    "assignment to data": lambda y: y.data.__setitem__(slice(None), 5.0),
    "a tensor around it": lambda y: tg.Tensor(y).zero_(),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("saved", ["input", "output", "constant"])
def test_a_saved_value_that_was_written_through(write, saved):
    x = leaf(1.0, 2.0, 3.0)
    if saved == "input":
        y = x * 1
        z = y * y
        message = r"Mul needs the output of Mul of shape \(3,\) for its gradient, but the value was changed in place by"
    elif saved == "output":
        y = z = x.exp()
        message = r"Exp needs its own output of shape \(3,\) for its gradient, but the value was changed in place by"
    else:
        y = tg.tensor([1.0, 2.0, 3.0], dtype=np.float64)
        z = x * y
        message = r"Mul needs a leaf tensor of shape \(3,\) for its gradient, but the value was changed in place by"
    with tg.no_grad():
        WRITES[write](y)
    with pytest.raises(InplaceError, match=message):
        z.sum().backward()


def test_the_message_names_the_writer_and_both_versions():
    x = leaf(1.0, 2.0)
    y = x * 1
    z = y * y
    y.mul_(2)
    y.clamp_(0, 1)
    message = "by clamp_: it was saved at version 0 and is now at version 2; use the out-of-place form there, or clone()"
    with pytest.raises(InplaceError, match=re.escape(message)):
        z.sum().backward()
    x.name = "weight"
    z = x * x
    with tg.no_grad():
        x.add_(1)
    with pytest.raises(InplaceError, match="Mul needs the tensor 'weight' of shape"):
        z.sum().backward()


def test_a_step_of_an_optimizer_between_two_losses():
    w = leaf(1.0, 2.0)
    h = w * w
    first, second = h.sum(), (h * 3).sum()
    first.backward(retain_graph=True)
    with tg.no_grad():
        w -= 0.1 * w.grad
    with pytest.raises(InplaceError, match="was changed in place by sub_"):
        second.backward()
    # Where the rule does not need the weight's value, the step does not matter.
    w = leaf(1.0, 2.0)
    h = w * 3
    first, second = h.sum(), (h * 2).sum()
    first.backward(retain_graph=True)
    with tg.no_grad():
        w -= 0.1 * w.grad
    w.grad = None
    second.backward()
    assert w.grad.tolist() == [6.0, 6.0]


def test_what_no_rule_needs_may_be_written():
    x = leaf(1.0, 2.0)
    y = x + 1
    z = y * 2
    y.zero_()
    z.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    a, b = leaf(4.0), leaf(2.0)
    y = a / b
    y += 1  # the quotient's rule keeps the operands, not the quotient
    y.backward()
    assert (a.grad.item(), b.grad.item()) == (0.5, -1.0)


def test_a_training_loop_with_updates_in_place():
    w, x = leaf(0.5, -0.5, 1.0), tg.tensor([1.0, 2.0, 3.0], dtype=np.float64)
    losses = []
    for _ in range(20):
        loss = ((w * x).sum() - 5) ** 2
        w.grad = None
        loss.backward()
        with tg.no_grad():
            w -= 0.01 * w.grad
        losses.append(loss.item())
    assert losses[-1] < 1e-2 * losses[0]


def test_values_replaced_through_data():
    w = leaf(1.0, 2.0)
    z = w * w
    w.data = w.data * 10
    assert w.tolist() == [10.0, 20.0]
    assert w.requires_grad
    with pytest.raises(InplaceError, match="Mul needs a leaf tensor for its gradient, but its values were replaced since"):
        z.sum().backward()
    (w * w).sum().backward()
    assert w.grad.tolist() == [20.0, 40.0]


def test_data_shares_memory_and_version_with_what_was_assigned():
    """Otherwise an update of the parameter would change, unseen, what another graph has saved."""
    x, w = leaf(1.0, 2.0), leaf(0.0, 0.0)
    y = x * 1
    z = y * y
    w.data = y.detach()
    with tg.no_grad():
        w.add_(1)
    assert y.tolist() == [2.0, 3.0]
    with pytest.raises(InplaceError, match="was changed in place by add_"):
        z.sum().backward()


def test_data_given_as_an_array_counts_as_a_write():
    w = leaf(1.0, 2.0)
    old = w.detach()
    version = w._version
    w.data = np.array([5.0, 6.0])
    assert w._version == version + 1
    old.zero_()
    assert (w.tolist(), w._version) == ([5.0, 6.0], version + 1)


def test_an_operator_on_data_writes_once_and_changes_nothing_else():
    w, z = leaf(1.0, 2.0), tg.zeros(2, dtype=np.float64)
    y = w * w
    w.data -= 1
    z.data += 1
    assert (w.tolist(), w._version) == ([0.0, 1.0], 1)
    with pytest.raises(InplaceError, match="was changed in place by sub_"):
        y.sum().backward()
    z.mul_(w)  # a recorded write: z is no view of anything
    assert z.requires_grad


def test_data_of_a_constant_may_be_of_any_kind():
    constant = tg.zeros(2)
    constant.data = tg.tensor([1, 2])
    assert constant.dtype == np.int64


def test_data_of_the_wrong_kind():
    with pytest.raises(
        DTypeError, match=r"a leaf tensor requires grad, so its data must be floating-point; got int64: use \.float"
    ):
        leaf(1.0).data = tg.tensor([1])


# Refused --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [
    lambda x: x.add_(1), lambda x: x.zero_(), lambda x: x.__setitem__(0, 1.0), lambda x: x.normal_(), lambda x: x.__ipow__(2),
    lambda x: x.relu_(),
])  # fmt: skip
def test_a_leaf_that_requires_grad(write):
    x = leaf(1.0, 2.0)
    with pytest.raises(
        InplaceError, match=r"a leaf tensor requires grad and cannot be written in place .* `with no_grad\(\):`"
    ):
        write(x)
    assert x.tolist() == [1.0, 2.0]
    with tg.no_grad():
        write(x)
    assert x._version == 1


@pytest.mark.parametrize(
    "view", [lambda y: y[0:1], lambda y: y[0], lambda y: y.reshape(1, 3), lambda y: y.T, lambda y: y.detach()]
)
def test_a_recorded_write_through_a_view(view):
    x = leaf(1.0, 2.0, 3.0)
    for base in (x * 2, tg.zeros(3, dtype=np.float64)):
        before = base.tolist()
        with pytest.raises(
            InplaceError, match=r"is a view, and the graph records this write; .* base\[index\] = base\[index\] \* 2"
        ):
            view(base).add_(x.sum())
        assert base.tolist() == before


def test_what_the_message_advises():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    y[0:2] = y[0:2] * 5
    (y * y).sum().backward()
    assert y.tolist() == [10.0, 20.0, 6.0]
    assert x.grad.tolist() == [200.0, 400.0, 24.0]


@pytest.mark.parametrize(
    "use", [lambda v: v * 2, lambda v: v.backward(tg.ones(2, dtype=np.float64)), lambda v: grad(v.sum(), v)]
)
def test_a_view_taken_before_a_recorded_write(use):
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    v = y[0:2]
    y.mul_(3)
    with pytest.raises(
        InplaceError, match=r"was given a view \(shape \(2,\)\) that was taken before .* changed in place by mul_"
    ):
        use(v)
    with tg.no_grad():
        assert (v * 1).tolist() == [6.0, 12.0]
    again = y[0:2]
    again.sum().backward()
    assert x.grad.tolist() == [6.0, 6.0, 0.0]


def test_backward_and_grad_name_themselves_in_that_message():
    x = leaf(1.0, 2.0)
    y = x * 2
    v, total = y[0], y[0:1].sum()
    y.mul_(3)
    with pytest.raises(InplaceError, match="backward was given a view"):
        v.backward()
    with pytest.raises(InplaceError, match="grad was given a view"):
        grad(total, v)


def test_a_view_of_a_constant_taken_before_it_got_a_history():
    w = leaf(1.0, 2.0, 3.0)
    base = tg.zeros(3, dtype=np.float64)
    v = base[0:2]
    assert not v.requires_grad
    base.add_(w)
    assert v.requires_grad
    with pytest.raises(InplaceError, match="Mul was given a view"):
        v * v
    with pytest.raises(InplaceError, match="assignment was given a view"):
        v.zero_()
    assert base.tolist() == [1.0, 2.0, 3.0]
    with tg.no_grad():
        v.zero_()
    assert base.tolist() == [0.0, 0.0, 3.0]


def test_a_view_taken_under_no_grad():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    with tg.no_grad():
        v = y[0:2]
        part = v[0:1]
    for target in (v, part, v[1:]):
        with pytest.raises(
            InplaceError, match=r"the target is a view .* that was taken under no_grad from a tensor that requires grad"
        ):
            target.zero_()
        with pytest.raises(InplaceError, match="taken under no_grad"):
            target[...] = 1.0
    with tg.no_grad():
        v.zero_()
    assert y.tolist() == [0.0, 0.0, 6.0]


def test_detached_tensors_follow_the_values_and_nothing_else():
    x = leaf(1.0, 2.0)
    y = x * 2
    d, part = y.detach(), y.detach()[0:1]
    y.mul_(3)
    assert d.tolist() == [6.0, 12.0]
    assert part.tolist() == [6.0]
    (d * y).sum().backward()
    assert x.grad.tolist() == [36.0, 72.0]
    part.zero_()
    assert y.tolist() == [0.0, 12.0]
    leaf_of_it = y.detach().requires_grad_()
    y.mul_(2)
    (leaf_of_it * leaf_of_it).sum().backward()
    assert leaf_of_it.grad.tolist() == [0.0, 48.0]


def test_expanded_and_read_only_memory():
    message = (
        r"a leaf tensor of shape \(3,\) cannot be written, several elements may share a place in memory .*; clone\(\) it first"
    )
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    for x in (tg.ones(1).expand(3), tg.from_numpy(frozen)):
        with pytest.raises(InplaceError, match="add_: " + message):
            x.add_(1)
        with pytest.raises(InplaceError, match="assignment: " + message):
            x[0] = 1.0
        x.clone().add_(1)


def test_what_carries_no_gradient():
    y = leaf(3.0) * 2
    with pytest.raises(
        InplaceError, match="floor_divide_: no gradient flows through it, and the output of Mul requires grad; detach"
    ):
        y //= 2
    assert y.tolist() == [6.0]
    z = tg.tensor([7.0])
    z //= 2
    assert z.tolist() == [3.0]


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (lambda: tg.tensor([1, 2]).add_(1.5), DTypeError, "add_: a float32 result cannot be written into a tensor of int64"),
        (lambda: tg.tensor([1, 2]).div_(2), DTypeError, "div_: a float32 result cannot be written into a tensor of int64"),
        (lambda: tg.tensor([True]).add_(1), DTypeError, "add_: a int64 result cannot be written into a tensor of bool"),
        (
            lambda: tg.ones(3).add_(tg.ones(2, 3)),
            ShapeError,
            r"add_: the result has shape \(2, 3\) and does not fit into \(3,\)",
        ),
        (
            lambda: tg.ones(3).copy_(tg.ones(2)),
            ShapeError,
            r"assignment: a value of shape \(2,\) does not fit into the indexed part",
        ),
        (
            lambda: tg.tensor([1]).normal_(),
            DTypeError,
            r"normal_ draws floating-point numbers, this tensor is int64: use randint",
        ),
        (
            lambda: tg.tensor([1]).uniform_(),
            DTypeError,
            r"uniform_ draws floating-point numbers, this tensor is int64: use randint",
        ),
    ],
)
def test_messages(write, error, message):
    with pytest.raises(error, match=message):
        write()


# Kept gradients and hooks ---------------------------------------------------------------------------------------------


def test_a_kept_gradient_is_that_of_the_final_value():
    """PyTorch 2.13 gives these numbers."""
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    y.add_(1)
    assert y.retains_grad
    (y * y).sum().backward()
    assert y.grad.tolist() == [14.0, 26.0]
    assert x.grad.tolist() == [84.0, 156.0]


def test_a_kept_gradient_after_an_assignment():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y[0] = 1.0
    (y * y).sum().backward()
    assert y.grad.tolist() == [2.0, 8.0]
    assert x.grad.tolist() == [0.0, 16.0]


def test_a_hook_sees_the_gradient_of_the_value_that_it_was_registered_on():
    """As in PyTorch: before the write the gradient of what was there, after it that of the new value."""
    x, seen = leaf(1.0, 2.0), []
    y = x * 2
    y.register_hook(lambda g: seen.append(("before", g.tolist())))
    y.mul_(3)
    y.register_hook(lambda g: seen.append(("after", g.tolist())))
    (y * y).sum().backward()
    assert seen == [("after", [12.0, 24.0]), ("before", [36.0, 72.0])]


def test_random_fills():
    tg.manual_seed(0)
    x = tg.empty(20_000).normal_(3, 2)
    assert x.mean().item() == pytest.approx(3, abs=0.1)
    assert x.std().item() == pytest.approx(2, abs=0.1)
    y = tg.empty(20_000).uniform_(-1, 3)
    assert (y.min().item(), y.max().item()) == (pytest.approx(-1, abs=0.01), pytest.approx(3, abs=0.01))
    assert x.dtype == y.dtype == np.float32
    assert x._version == 1
    x.normal_()
    y.uniform_()
    assert (x.mean().item(), x.std().item()) == (pytest.approx(0, abs=0.05), pytest.approx(1, abs=0.05))
    assert (y.min().item(), y.max().item()) == (pytest.approx(0, abs=0.01), pytest.approx(1, abs=0.01))
