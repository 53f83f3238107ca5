"""The optimizers: the trajectories that PyTorch's take, and what they have in common."""

import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim
from tinygrad_cnn.errors import ArgumentError, AutogradError, InplaceError, ShapeError

from .optim_cases import OPTIMIZERS, START
from .runs import leaf, run

GOLDEN = np.load(Path(__file__).parent / "golden" / "optimizers.npz")


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


ADAMS = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0}


@pytest.mark.parametrize(
    ("make", "defaults"),
    [
        (optim.SGD, {"lr": 1e-3, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False, "lr_in_velocity": False}),
        (optim.Adam, {**ADAMS, "amsgrad": False, "decoupled_weight_decay": False}),
        (optim.AdamW, {**ADAMS, "amsgrad": False, "weight_decay": 1e-2, "decoupled_weight_decay": True}),
        (optim.NAdam, {**ADAMS, "lr": 2e-3, "momentum_decay": 4e-3, "decoupled_weight_decay": False}),
        (optim.RAdam, {**ADAMS, "decoupled_weight_decay": False}),
        (optim.Adamax, {**ADAMS, "lr": 2e-3}),
        (optim.Adagrad, {"lr": 1e-2, "lr_decay": 0, "weight_decay": 0, "initial_accumulator_value": 0, "eps": 1e-10}),
        (optim.RMSprop, {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0, "momentum": 0, "centered": False}),
        (optim.Adadelta, {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0}),
        (optim.ASGD, {"lr": 1e-2, "lambd": 1e-4, "alpha": 0.75, "t0": 1e6, "weight_decay": 0}),
        (optim.Rprop, {"lr": 1e-2, "etas": (0.5, 1.2), "step_sizes": (1e-6, 50)}),
    ],
)
def test_defaults(make, defaults):
    assert make([leaf([1.0])]).defaults == {**defaults, "maximize": False}


def test_a_standard_deviation_of_zero_is_no_nan():
    """Gradients of one value: the mean square and the squared mean differ by rounding only, in either direction."""
    w = leaf([1.0, 1.0, 1.0], np.float32)
    optimizer = optim.RMSprop([w], lr=1e-9, alpha=0.5, centered=True)
    w.grad = tg.Tensor(np.array([0.14915255, 0.49322033, 0.73898304], np.float32))
    for _ in range(40):
        optimizer.step()
    assert np.isfinite(w.array).all()


def test_asgd_averages_from_t0_on():
    """Up to step t0 + 2 the average is the parameter itself; then the mean of all from that step on."""
    w = leaf(START)
    optimizer = optim.ASGD([w], lr=0.05, t0=5.0)
    rows = run(optimizer, w, 7)
    np.testing.assert_allclose(optimizer.state[w]["ax"].array, rows[6], rtol=1e-14)
    later = run(optimizer, w, 10, first=7)
    np.testing.assert_allclose(optimizer.state[w]["ax"].array, np.concatenate([rows[6:], later]).mean(0), rtol=1e-12)


# Non-contiguous and zero-dimensional parameters ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, 0.1, 0.9, weight_decay=0.1),
        lambda p: optim.SGD(p, 0.1, 0.9, nesterov=True, lr_in_velocity=True),
        *(getattr(optim, kind) for kind in sorted({kind for kind, _ in OPTIMIZERS.values()})),
    ],
)
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


def test_named_parameters_are_taken_with_their_names():
    net = nn.Sequential(nn.Linear(2, 3))
    optimizer = optim.SGD(net.named_parameters(), lr=0.1)
    (group,) = optimizer.param_groups
    assert group["params"] == list(net.parameters())
    assert group["param_names"] == ["0.weight", "0.bias"]
    with pytest.raises(ArgumentError, match=r"SGD: parameter 1 'again' \(.*appears twice"):
        optim.SGD([("weight", net[0].weight), ("again", net[0].weight)])
    with pytest.raises(ArgumentError, match=r"SGD: parameter 0 'x' must be a Tensor, got str"):
        optimizer.add_param_group({"params": [("x", "y")]})
    assert len(optimizer.param_groups) == 1


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
        (lambda w: optim.NAdam([w], momentum_decay=-1), "NAdam: momentum_decay must be a number of at least 0, got -1"),
        (lambda w: optim.NAdam([w], betas=(1.0, 0.9)), "NAdam: betas[0] must be"),
        (lambda w: optim.RAdam([w], betas=(0.9,)), "RAdam: betas must be a pair (beta1, beta2), got (0.9,)"),
        (lambda w: optim.RAdam([w], lr=-1), "RAdam: lr must be"),
        (lambda w: optim.Adamax([w], eps=-1), "Adamax: eps must be"),
        (lambda w: optim.Adamax([w], betas=(0.9, 2)), "Adamax: betas[1] must be"),
        (lambda w: optim.Adagrad([w], lr_decay=-1), "Adagrad: lr_decay must be"),
        (lambda w: optim.Adagrad([w], initial_accumulator_value=-1), "Adagrad: initial_accumulator_value must be"),
        (lambda w: optim.RMSprop([w], alpha=-1), "RMSprop: alpha must be"),
        (lambda w: optim.Adadelta([w], rho=1.5), "Adadelta: rho must lie between 0 and 1, got 1.5"),
        (lambda w: optim.Adadelta([w], rho=-0.5), "Adadelta: rho must be a number of at least 0, got -0.5"),
        (lambda w: optim.ASGD([w], t0=-1), "ASGD: t0 must be"),
        (lambda w: optim.Rprop([w], etas=0.5), "Rprop: etas must be a pair of numbers, got 0.5"),
        (lambda w: optim.Rprop([w], step_sizes=(1, 2, 3)), "Rprop: step_sizes must be a pair of numbers, got (1, 2, 3)"),
        (lambda w: optim.Rprop([w], etas=(1.5, 0.5)), "0 < etas[0] < 1 < etas[1], got (1.5, 0.5)"),
        (lambda w: optim.LARS([w], lr=-1), "LARS: lr must be"),
        (lambda w: optim.LARS([w], 1.0, trust_coefficient=-1), "LARS: trust_coefficient must be"),
        (lambda w: optim.LARS([w], 1.0, momentum=0, nesterov=True), "LARS: nesterov=True needs a momentum and no dampening"),
        (lambda w: optim.SGD([]), "SGD: got no parameters"),
        (lambda w: optim.SGD(w), "SGD: params must be an iterable of parameters or of groups, got Tensor"),
        (lambda w: optim.SGD({"params": [w]}), "of parameters or of groups, got dict; put it into a list"),
        (lambda w: optim.SGD(3), "got int"),
        (lambda w: optim.SGD({w}), "SGD: params is a set"),
        (lambda w: optim.SGD([{"params": {w}}]), "SGD: params is a set"),
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
    options = "    lr_in_velocity: False\n    maximize: False\n    momentum: 0\n    nesterov: False\n    weight_decay: 0\n"
    assert repr(optimizer) == (
        f"SGD (\nParameter Group 0\n    dampening: 0\n    lr: 0.1\n{options}"
        f"Parameter Group 1\n    dampening: 0\n    lr: 0.5\n{options})"
    )
