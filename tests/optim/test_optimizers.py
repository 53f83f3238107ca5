"""SGD, Adam and AdamW: the trajectories that PyTorch's take, and what they have in common."""

import copy
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim
from tinygrad_cnn.errors import ArgumentError, AutogradError, CheckpointError, InplaceError, ShapeError

from .optim_cases import OPTIMIZERS, START, STEPS, gradient

GOLDEN = np.load(Path(__file__).parent / "golden" / "optimizers.npz")


def leaf(values, dtype=np.float64):
    return tg.tensor(np.array(values, dtype), requires_grad=True)


def run(optimizer, w, steps=STEPS, first=0):
    rows = []
    for t in range(first, first + steps):
        w.grad = tg.Tensor(gradient(w.detach().numpy(), t).astype(w.dtype))
        optimizer.step()
        rows.append(w.detach().numpy().copy())
    return np.array(rows)


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_trajectory_is_pytorchs(case):
    kind, options = OPTIMIZERS[case]
    w = leaf(START)
    ours = run(getattr(optim, kind)([w], **options), w)
    np.testing.assert_allclose(ours, GOLDEN[case], rtol=1e-10, atol=1e-10)


def test_golden_trajectories_differ_by_option():
    """Each option matters in the problem: two settings never give the same trajectory."""
    ends = [GOLDEN[case][-1] for case in OPTIMIZERS]
    distances = [np.abs(a - b).max() for i, a in enumerate(ends) for b in ends[:i]]
    assert min(distances) > 1e-6
    assert set(GOLDEN.files) == set(OPTIMIZERS)


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_float32_stays_float32_and_close(case):
    kind, options = OPTIMIZERS[case]
    w = leaf(START, np.float32)
    array = w.array
    # A rate that NumPy made, as a lambda of a schedule may return it, does not widen anything either.
    optimizer = getattr(optim, kind)([w], **{**options, "lr": np.float64(options["lr"])})
    ours = run(optimizer, w)
    assert w.dtype == np.float32
    assert w.array is array, "the update must be in place"
    kept = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, tg.Tensor)]
    assert all(value.dtype == np.float32 for value in kept)
    np.testing.assert_allclose(ours, GOLDEN[case], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_gradient_is_left_as_it_was(case):
    kind, options = OPTIMIZERS[case]
    w = leaf(START)
    optimizer = getattr(optim, kind)([w], **options)
    given = np.array([1.0, -2.0, 3.0, 0.5])
    w.grad = tg.Tensor(given.copy())
    for _ in range(3):
        optimizer.step()
    np.testing.assert_array_equal(w.grad.array, given)


def test_first_step_of_adam_is_lr_whatever_the_gradient():
    """m / sqrt(v) is g / |g| in step 1: the closed form that the bias corrections are for."""
    w = leaf([1.0, 1.0, 1.0])
    w.grad = tg.Tensor(np.array([1e-3, -5.0, 1e4]))
    optim.Adam([w], lr=0.1, eps=0.0).step()
    np.testing.assert_allclose(w.array, [0.9, 1.1, 0.9], rtol=1e-12)


def test_adamw_decays_what_has_no_gradient_to_speak_of():
    w = leaf([2.0])
    w.grad = tg.Tensor(np.zeros(1))
    optim.AdamW([w], lr=0.1, weight_decay=0.5).step()
    np.testing.assert_allclose(w.array, [2.0 * (1 - 0.1 * 0.5)], rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "defaults"),
    [
        (optim.SGD, {"lr": 1e-3, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False}),
        (optim.Adam, {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "amsgrad": False}),
        (optim.AdamW, {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-2, "amsgrad": False}),
    ],
)
def test_defaults(make, defaults):
    assert make([leaf([1.0])]).defaults == defaults


# Non-contiguous and zero-dimensional parameters ---------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, 0.1, 0.9, weight_decay=0.1), lambda p: optim.Adam(p, 0.1)])
def test_memory_layout_does_not_matter(make):
    values = np.arange(6.0).reshape(2, 3)
    plain, transposed = leaf(values), tg.Tensor(np.asfortranarray(values), requires_grad=True)
    scalar = leaf(5.0)
    for w in (plain, transposed, scalar):
        optimizer = make([w])
        for _ in range(3):
            w.grad = tg.Tensor(np.asarray(np.sin(w.array) + 1))
            optimizer.step()
    np.testing.assert_allclose(transposed.array, plain.array, rtol=1e-14)
    np.testing.assert_allclose(scalar.array, plain.array[1, 2], rtol=1e-14)
    assert scalar.shape == ()


# Groups ------------------------------------------------------------------------------------------------------------


def test_groups_have_options_of_their_own():
    a, b = leaf([1.0]), leaf([1.0])
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5, "weight_decay": 1.0}], lr=0.1)
    for w in (a, b):
        w.grad = tg.Tensor(np.array([1.0]))
    optimizer.step()
    np.testing.assert_allclose(a.array, [0.9])
    np.testing.assert_allclose(b.array, [1 - 0.5 * (1 + 1)])


def test_added_group_and_changed_option_count_from_the_next_step():
    a, b = leaf([1.0]), leaf([1.0])
    optimizer = optim.SGD([a], lr=0.1)
    optimizer.add_param_group({"params": [b], "lr": 0.2})
    optimizer.param_groups[0]["lr"] = 0.4
    for w in (a, b):
        w.grad = tg.Tensor(np.array([1.0]))
    optimizer.step()
    np.testing.assert_allclose([a.item(), b.item()], [0.6, 0.8])


def test_parameters_without_gradient_are_passed_over():
    a, b = leaf([1.0]), leaf([1.0])
    optimizer = optim.Adam([a, b])
    a.grad = tg.Tensor(np.array([1.0]))
    optimizer.step()
    assert a.item() != 1
    assert b.item() == 1
    assert b not in optimizer.state
    assert b._version == 0


def test_a_generator_of_parameters_is_taken_once():
    net = nn.Linear(2, 3)
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    assert optimizer.param_groups[0]["params"] == [net.weight, net.bias]


# step, zero_grad and the graph ---------------------------------------------------------------------------------------


def test_closure_is_called_with_gradients_recorded_and_its_loss_returned():
    w = leaf([3.0])
    optimizer = optim.SGD([w], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with tg.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 9
    np.testing.assert_allclose(w.array, [3 - 0.1 * 6])
    assert optimizer.step() is None


def test_zero_grad():
    w = leaf([3.0])
    optimizer = optim.SGD([w])
    (w * w).sum().backward()
    held = w.grad.array
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.array is held
    np.testing.assert_array_equal(held, [0])
    optimizer.zero_grad()
    assert w.grad is None


def test_zero_grad_ends_the_history_of_a_gradient():
    w = leaf([3.0])
    (w**3).sum().backward(create_graph=True)
    assert w.grad.requires_grad
    optim.SGD([w]).zero_grad(set_to_none=False)
    assert not w.grad.requires_grad


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.AdamW])
def test_backward_through_a_stale_value_is_refused(make):
    w = leaf([3.0])
    optimizer = make([w])
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(InplaceError, match=rf"{make.__name__}\.step\(\).*version 0 and is now at version 1"):
        loss.backward()


def test_a_gradient_of_another_shape_is_refused():
    w = leaf([3.0, 4.0])
    w.name = "weight"
    w.grad = tg.Tensor(np.ones(1))
    message = r"SGD\.step\(\): the tensor 'weight' has shape \(2,\), its gradient \(1,\)"
    with pytest.raises(ShapeError, match=message):
        optim.SGD([w]).step()
    np.testing.assert_array_equal(w.array, [3, 4])


def test_an_optimizer_is_one_method():
    class SignDescent(optim.Optimizer):
        def update(self, parameter, gradient, state, group):
            parameter -= group["lr"] * np.sign(gradient)

    w = leaf([3.0, -3.0])
    w.grad = tg.Tensor(np.array([7.0, -7.0]))
    SignDescent([w], {"lr": 0.5}).step()
    np.testing.assert_allclose(w.array, [2.5, -2.5])


def test_without_that_method_it_says_so():
    w = leaf([3.0])
    w.grad = tg.Tensor(np.ones(1))
    with pytest.raises(AutogradError, match=r"Optimizer has no update: define update\(self, parameter"):
        optim.Optimizer([w], {"lr": 0.5}).step()


# Saving and loading -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["sgd-0.9-0.3-0.1-False", "adam-0.5-1e-08-0.1-True", "adamw-0.9-0.1-0.1-False"])
@pytest.mark.parametrize("through", [copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))])
def test_resumed_run_equals_the_uninterrupted_one(case, through):
    kind, options = OPTIMIZERS[case]
    w = leaf(START)
    optimizer = getattr(optim, kind)([w], **options)
    run(optimizer, w, 10)
    saved, values = through(optimizer.state_dict()), w.array.copy()
    run(optimizer, w, 3, first=10)  # the saved state must not move with it
    again = leaf(values)
    other = getattr(optim, kind)([again], **{**options, "lr": 123.0})
    other.load_state_dict(saved)
    np.testing.assert_allclose(run(other, again, STEPS - 10, first=10), GOLDEN[case][10:], rtol=1e-10, atol=1e-10)


def test_state_dict_layout():
    a, b, c = leaf([1.0]), leaf([2.0]), leaf([3.0])
    optimizer = optim.Adam([{"params": [a, b]}, {"params": [c], "lr": 0.5}])
    for w in (a, c):
        w.grad = tg.Tensor(np.ones(1))
    optimizer.step()
    state = optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0, 1], [2]]
    assert state["param_groups"][1]["lr"] == 0.5
    assert list(state["state"]) == [0, 2]
    assert sorted(state["state"][0]) == ["exp_avg", "exp_avg_sq", "step"]
    assert state["state"][0]["step"] == 1


def test_sgd_keeps_pytorchs_momentum_buffer_and_nothing_without_momentum():
    w = leaf([1.0])
    w.grad = tg.Tensor(np.full(1, 4.0))
    optimizer = optim.SGD([w], momentum=0.9)
    optimizer.step()
    assert optimizer.state_dict()["state"][0]["momentum_buffer"].tolist() == [4.0]
    plain = optim.SGD([w])
    plain.step()
    assert plain.state_dict()["state"] == {}


def test_loading_takes_the_parameters_dtype_and_copies():
    w, wide = leaf([1.0], np.float32), leaf([1.0])
    wide.grad = tg.Tensor(np.ones(1))
    source = optim.SGD([wide], momentum=0.9)
    source.step()
    optimizer = optim.SGD([w])
    state = source.state_dict()
    optimizer.load_state_dict(state)
    buffer = optimizer.state[w]["momentum_buffer"]
    assert buffer.dtype == np.float32
    optimizer.load_state_dict(optimizer.state_dict())
    assert not np.shares_memory(optimizer.state[w]["momentum_buffer"].array, buffer.array)
    assert optimizer.param_groups[0]["params"] == [w]


def test_a_state_may_hold_arrays():
    w = leaf([1.0], np.float32)
    optimizer = optim.SGD([w], momentum=0.5, lr=1.0)
    state = optimizer.state_dict()
    state["state"] = {0: {"momentum_buffer": np.array([4.0])}}
    optimizer.load_state_dict(state)
    w.grad = tg.Tensor(np.zeros(1, np.float32))
    optimizer.step()
    assert optimizer.state[w]["momentum_buffer"].dtype == np.float32
    assert w.tolist() == [1 - 0.5 * 4]


def test_load_errors_are_collected_and_leave_the_optimizer_as_it_was():
    a = leaf([1.0, 2.0])
    optimizer = optim.SGD([a], lr=0.25, momentum=0.9)
    group = optimizer.param_groups[0]
    saved_group = {"lr": 1.0, "params": [0]}
    state = {
        "state": {0: {"momentum_buffer": tg.zeros(3)}, 7: {"momentum_buffer": tg.zeros(3)}},
        "param_groups": [saved_group],
    }
    with pytest.raises(CheckpointError) as caught:
        optimizer.load_state_dict(state)
    message = str(caught.value)
    assert "does not fit this SGD, which was left as it was" in message
    assert "group 0 lacks the options dampening, momentum, nesterov, weight_decay" in message
    assert "momentum_buffer of parameter 0 has shape (3,), the parameter here (2,)" in message
    assert "a state for parameter 7, which is in no group" in message
    assert optimizer.param_groups[0] is group
    assert group["lr"] == 0.25
    assert not optimizer.state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"state": {}, "param_groups": [{"params": [0, 1]}]}, "the groups here have [1] parameters, those given [2]"),
        ({"state": {}}, "expected what state_dict() returns"),
        ([], "expected what state_dict() returns"),
        ({"state": {}, "param_groups": [{}]}, "each with 'params'"),
    ],
)
def test_states_that_are_none_of_ours(state, message):
    with pytest.raises(CheckpointError, match=re.escape(message)):
        optim.SGD([leaf([1.0])]).load_state_dict(state)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_pickle_and_deepcopy_go_on_as_the_original(clone):
    w = leaf(START)
    optimizer = optim.Adam([w], lr=0.1)
    run(optimizer, w, 5)
    twin_optimizer, twin = clone((optimizer, w))
    np.testing.assert_array_equal(run(twin_optimizer, twin, 5, 5), run(optimizer, w, 5, 5))
    assert twin_optimizer.param_groups[0]["params"][0] is twin


# Errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda w: optim.SGD([w], lr=-0.1), "SGD: lr must be a number of at least 0, got -0.1"),
        (lambda w: optim.SGD([w], lr=float("nan")), "SGD: lr must be a number of at least 0, got nan"),
        (lambda w: optim.SGD([w], lr="0.1"), "SGD: lr must be a number of at least 0, got '0.1'"),
        (lambda w: optim.SGD([w], momentum=-1), "SGD: momentum must be a number of at least 0, got -1"),
        (lambda w: optim.SGD([w], weight_decay=-1), "SGD: weight_decay must be"),
        (lambda w: optim.SGD([w], dampening=-1), "SGD: dampening must be"),
        (lambda w: optim.SGD([w], nesterov=True), "nesterov=True needs a momentum and no dampening, got momentum=0"),
        (lambda w: optim.SGD([w], momentum=0.9, dampening=0.1, nesterov=True), "dampening=0.1"),
        (lambda w: optim.SGD([{"params": [w], "lr": -1}]), "SGD: lr must be"),
        (lambda w: optim.Adam([w], lr=-1), "Adam: lr must be"),
        (lambda w: optim.Adam([w], eps=-1), "Adam: eps must be"),
        (lambda w: optim.Adam([w], betas=(0.9, 1.0)), "Adam: betas[1] must be a number of at least 0 and below 1.0, got 1.0"),
        (lambda w: optim.Adam([w], betas=(-0.1, 0.9)), "Adam: betas[0] must be"),
        (lambda w: optim.Adam([w], betas=0.9), "Adam: betas must be a pair (beta1, beta2), got 0.9"),
        (lambda w: optim.AdamW([w], weight_decay=-1), "AdamW: weight_decay must be"),
        (lambda w: optim.SGD([]), "SGD: got no parameters"),
        (lambda w: optim.SGD(w), "SGD: params must be an iterable of parameters or of groups, got Tensor"),
        (lambda w: optim.SGD({"params": [w]}), "of parameters or of groups, got dict; put it into a list"),
        (lambda w: optim.SGD(3), "got int"),
        (lambda w: optim.SGD({w}), "SGD: params is a set"),
        (lambda w: optim.SGD([w, "w"]), "SGD: parameter 1 must be a Tensor, got str"),
        (lambda w: optim.SGD([w, w]), "SGD: parameter 1 (a leaf tensor of shape (1,)) appears twice"),
        (lambda w: optim.SGD([{"params": [w]}, {"params": [w]}]), "appears twice"),
        (lambda w: optim.SGD([w * 2]), "SGD: parameter 0 is the output of Mul, no leaf"),
        (lambda w: optim.SGD([{"params": [w]}, w]), "a group must be a dict with 'params' and options"),
        (lambda w: optim.SGD([{"lr": 1}]), "a group must be a dict with 'params' and options, got {'lr': 1}"),
    ],
)
def test_errors_name_what_was_given(make, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make(leaf([1.0]))


def test_refused_group_is_not_added():
    a = leaf([1.0])
    optimizer = optim.SGD([a])
    with pytest.raises(ArgumentError):
        optimizer.add_param_group({"params": [leaf([1.0]), a]})
    assert len(optimizer.param_groups) == 1


def test_repr():
    optimizer = optim.SGD([{"params": [leaf([1.0])]}, {"params": [leaf([1.0])], "lr": 0.5}], lr=0.1)
    assert repr(optimizer) == (
        "SGD (\n"
        "Parameter Group 0\n    dampening: 0\n    lr: 0.1\n    momentum: 0\n    nesterov: False\n    weight_decay: 0\n"
        "Parameter Group 1\n    dampening: 0\n    lr: 0.5\n    momentum: 0\n    nesterov: False\n    weight_decay: 0\n"
        ")"
    )
