"""What PyTorch does not have: LARS, and SGD with the learning rate inside the velocity, against straight loops."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import optim

from .optim_cases import OPTIMIZERS, START, STEPS, gradient
from .runs import leaf, run

GOLDEN = np.load(Path(__file__).parent / "golden" / "optimizers.npz")

# The learning rate inside the velocity ------------------------------------------------------------------------------


CAFFE = [(0.9, 0.0, False), (0.9, 0.1, False), (0.9, 0.1, True), (0.0, 0.1, False)]


def caffes_trajectory(rates, momentum, decay, nesterov):
    """The solver of Caffe, straight: v <- momentum v + lr (g + decay w); w <- w - v, or (1 + momentum) v - momentum v_old."""
    w, v = START.copy(), np.zeros(4)
    rows = []
    for t, lr in enumerate(rates):
        former, v = v, momentum * v + lr * (gradient(w, t) + decay * w)
        w = w - ((1 + momentum) * v - momentum * former if nesterov else v)
        rows.append(w)
    return np.array(rows)


@pytest.mark.parametrize(("momentum", "decay", "nesterov"), CAFFE)
def test_lr_in_velocity_is_caffes_solver(momentum, decay, nesterov):
    rates = [0.05 * 0.9**t for t in range(STEPS)]
    w = leaf(START)
    optimizer = optim.SGD([w], momentum=momentum, weight_decay=decay, nesterov=nesterov, lr_in_velocity=True)
    ours = []
    for t, lr in enumerate(rates):
        optimizer.param_groups[0]["lr"] = lr
        ours.extend(run(optimizer, w, 1, t))
    np.testing.assert_allclose(ours, caffes_trajectory(rates, momentum, decay, nesterov), rtol=1e-12, atol=1e-12)


def test_alexnets_first_two_steps_by_hand():
    """facts: v <- 0.9 v - 0.0005 lr w - lr g; w <- w + v, and the rate falls in between."""
    w = leaf([2.0])
    optimizer = optim.SGD([w], lr=0.1, momentum=0.9, weight_decay=0.0005, lr_in_velocity=True)
    w.grad = tg.Tensor(np.array([1.0]))
    optimizer.step()
    v = -0.0005 * 0.1 * 2.0 - 0.1 * 1.0
    np.testing.assert_allclose(w.array, [2.0 + v], rtol=1e-15)
    optimizer.param_groups[0]["lr"] = 0.01
    optimizer.step()
    v2 = 0.9 * v - 0.0005 * 0.01 * (2.0 + v) - 0.01 * 1.0
    np.testing.assert_allclose(w.array, [2.0 + v + v2], rtol=1e-15)


@pytest.mark.parametrize("case", [case for case, (kind, _) in OPTIMIZERS.items() if kind == "SGD"])
def test_both_places_of_the_rate_agree_while_it_stays(case):
    w = leaf(START)
    ours = run(optim.SGD([w], **OPTIMIZERS[case][1], lr_in_velocity=True), w)
    np.testing.assert_allclose(ours, GOLDEN[case], rtol=1e-9, atol=1e-9)


# LARS ---------------------------------------------------------------------------------------------------------------


def lars_trajectory(start, lr, momentum, decay, trust, eps, nesterov, sign):
    """Algorithm 1 of the paper, straight, element by element."""
    w, v = [float(x) for x in start], [0.0] * len(start)
    rows = []
    for t in range(STEPS):
        g = [float(x) for x in gradient(np.array(w), t)]
        weight_norm, gradient_norm = math.hypot(*w), math.hypot(*g)
        local = trust * weight_norm / (gradient_norm + decay * weight_norm + eps) if weight_norm and gradient_norm else 1.0
        for i in range(len(w)):
            step = lr * local * (sign * g[i] + decay * w[i])
            v[i] = momentum * v[i] + step
            w[i] -= step + momentum * v[i] if nesterov else v[i]
        rows.append(list(w))
    return np.array(rows)


@pytest.mark.parametrize(
    ("momentum", "decay", "trust", "eps", "nesterov", "sign"),
    [
        (0.0, 0.0, 0.02, 0.0, False, 1),
        (0.9, 0.0, 0.01, 0.0, False, 1),
        (0.9, 0.3, 0.01, 0.5, False, 1),
        (0.9, 0.3, 0.01, 0.0, True, 1),
        (0.5, 0.3, 0.02, 0.0, False, -1),
    ],
)
@pytest.mark.parametrize("start", [START, np.zeros(4)])
def test_lars_is_the_papers_algorithm(momentum, decay, trust, eps, nesterov, sign, start):
    w = leaf(start)
    optimizer = optim.LARS([w], 1.5, momentum, decay, trust, eps, nesterov, maximize=sign < 0)
    expected = lars_trajectory(start, 1.5, momentum, decay, trust, eps, nesterov, sign)
    np.testing.assert_allclose(run(optimizer, w), expected, rtol=1e-10, atol=1e-10)


def test_lars_does_not_know_the_scale_of_the_loss():
    """The point of it: without decay a layer's step has |lr trust_coefficient w|, whatever the gradient's size."""
    for scale in (1e-6, 1.0, 1e6):
        w = leaf([3.0, 4.0])
        w.grad = tg.Tensor(scale * np.array([1.0, -1.0]))
        optim.LARS([w], lr=2.0, trust_coefficient=0.01).step()
        np.testing.assert_allclose(np.linalg.norm(w.array - [3.0, 4.0]), 2.0 * 0.01 * 5.0, rtol=1e-12)


def test_lars_leaves_a_group_alone():
    w, b = leaf([3.0, 4.0]), leaf([1.0])
    others = {"params": [b], "trust_coefficient": None, "weight_decay": 0}
    optimizer = optim.LARS([{"params": [w]}, others], 0.1, weight_decay=1.0)
    w.grad, b.grad = tg.Tensor(np.array([0.0, 5.0])), tg.Tensor(np.array([2.0]))
    optimizer.step()
    np.testing.assert_allclose(b.array, [1.0 - 0.1 * 2.0])
    np.testing.assert_allclose(w.array, np.array([3.0, 4.0]) - 0.1 * 0.001 * 5 / (5 + 5) * np.array([3.0, 9.0]))


@pytest.mark.parametrize("make", [lambda p: optim.LARS(p, 1.0), lambda p: optim.SGD(p, 0.1, 0.9, lr_in_velocity=True)])
def test_float32_and_resuming_without_a_golden_trajectory(make):
    w = leaf(START, np.float32)
    array, optimizer = w.array, make([w])
    run(optimizer, w, 5)
    assert w.array is array
    assert optimizer.state[w]["momentum_buffer"].dtype == w.dtype == np.float32
    again = leaf(w.array, np.float32)
    other = make([again])
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    np.testing.assert_array_equal(run(other, again, 5, 5), run(optimizer, w, 5, 5))
    given = w.grad.array.copy()
    optimizer.step()
    np.testing.assert_array_equal(w.grad.array, given)
