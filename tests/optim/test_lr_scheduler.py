"""Schedules: PyTorch's rates epoch by epoch, alone, together and with a hand in between; closed forms; resuming."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import optim
from tinygrad_cnn.errors import ArgumentError, CheckpointError
from tinygrad_cnn.optim import lr_scheduler as s

from .optim_cases import BY_HAND_AT, SCHEDULE_LENGTH, SCHEDULES, momentum_of

GOLDEN = json.loads((Path(__file__).parent / "golden" / "schedules.json").read_text())


def parameter():
    return tg.zeros(1, requires_grad=True)


def two_groups():
    return [{"params": [parameter()], "lr": 0.1}, {"params": [parameter()], "lr": 0.02}]


def made(schedulers):
    names = {"s": s, "o": optim.SGD(two_groups(), momentum=0.9), "a": optim.Adam(two_groups())}
    return [eval(one, names) for one in schedulers]


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("case", SCHEDULES)
def test_rates_are_pytorchs(case, by_hand):
    schedulers = made(SCHEDULES[case])
    groups = schedulers[0].optimizer.param_groups
    rows = []
    for t in range(SCHEDULE_LENGTH):
        rows.append([[group["lr"], momentum_of(group)] for group in groups])
        for scheduler in schedulers:
            scheduler.step()
        assert schedulers[-1].get_last_lr() == [group["lr"] for group in groups]
        for group in groups:
            group["lr"] *= 2 if by_hand and t == BY_HAND_AT else 1
    np.testing.assert_allclose(rows, GOLDEN[case][by_hand], rtol=1e-12, atol=1e-15)


def test_golden_rates_differ_by_case():
    assert len({json.dumps(golden) for golden in GOLDEN.values()}) == len(SCHEDULES) == len(GOLDEN)


CLOSED = {
    "step": (lambda o: s.StepLR(o, 3, 0.5), lambda t: 0.5 ** (t // 3)),
    "every step": (lambda o: s.StepLR(o, 1), lambda t: 0.1**t),
    "multistep": (lambda o: s.MultiStepLR(o, [2, 5]), lambda t: 0.1 ** ((t >= 2) + (t >= 5))),
    "exponential": (lambda o: s.ExponentialLR(o, 0.9), lambda t: 0.9**t),
    "linear": (lambda o: s.LinearLR(o, 0.2, 1.0, 5), lambda t: 0.2 + 0.8 * min(t, 5) / 5),
    "cosine": (lambda o: s.CosineAnnealingLR(o, 7), lambda t: (1 + math.cos(math.pi * t / 7)) / 2),
}


@pytest.mark.parametrize("case", CLOSED)
def test_recursion_adds_up_to_the_closed_form(case):
    make, factor = CLOSED[case]
    optimizer = optim.SGD(two_groups())
    scheduler = make(optimizer)
    for t in range(30):
        np.testing.assert_allclose(scheduler.get_last_lr(), [0.1 * factor(t), 0.02 * factor(t)], rtol=1e-9, atol=1e-18)
        scheduler.step()


def test_caffes_inverse_decay():
    """facts: lr(100) = 0.00992565, printed in the log of Caffe's LeNet."""
    optimizer = optim.SGD([parameter()], lr=0.01)
    scheduler = s.LambdaLR(optimizer, lambda t: (1 + 1e-4 * t) ** -0.75)
    for _ in range(100):
        scheduler.step()
    assert round(optimizer.param_groups[0]["lr"], 8) == 0.00992565


def test_one_cycle_stays_at_its_last_rate():
    optimizer = optim.SGD([parameter()], momentum=0.9)
    scheduler = s.OneCycleLR(optimizer, 1.0, total_steps=10, anneal_strategy="linear")
    for _ in range(9):
        scheduler.step()
    last = scheduler.get_last_lr()[0]
    np.testing.assert_allclose(last, 1 / 25 / 1e4)
    scheduler.step()  # after the last batch, as the usual loop does
    assert scheduler.get_last_lr() == [last]
    with pytest.raises(ArgumentError, match="step 11 of a cycle of 10 steps"):
        scheduler.step()


def test_one_cycle_whose_rise_takes_no_step():
    """pct_start * total_steps = 1: the first phase ends where it begins, at the top."""
    optimizer = optim.SGD([parameter()], momentum=0.9)
    assert s.OneCycleLR(optimizer, 1.0, total_steps=10, pct_start=0.1).get_last_lr() == [1.0]


def test_one_cycle_reaches_the_top_when_the_rise_ends():
    optimizer = optim.SGD([parameter()], momentum=0.9)
    scheduler = s.OneCycleLR(optimizer, 2.0, total_steps=10, pct_start=0.5)
    rates = []
    for _ in range(9):
        rates.append(scheduler.get_last_lr()[0])
        scheduler.step()
    assert rates[0] == pytest.approx(2.0 / 25)
    assert max(rates) == rates[4] == 2.0


def test_rates_become_python_floats():
    optimizer = optim.SGD([parameter()], lr=np.float32(0.5))
    s.LambdaLR(optimizer, lambda t: np.float64(0.5))
    assert type(optimizer.param_groups[0]["lr"]) is float


def test_group_that_is_added_later_has_its_own_initial_rate():
    optimizer = optim.SGD([parameter()], lr=1.0)
    schedulers = [s.LambdaLR(optimizer, lambda t: 0.5**t), s.CosineAnnealingLR(optimizer, 10**9)]
    optimizer.add_param_group({"params": [parameter()], "lr": 0.1})
    for scheduler in schedulers:
        scheduler.step()
    np.testing.assert_allclose([group["lr"] for group in optimizer.param_groups], [0.5, 0.05])


RESUMABLE = {**CLOSED, "one cycle": (lambda o: s.OneCycleLR(o, 1.0, 30), None)}


@pytest.mark.parametrize("case", RESUMABLE)
def test_resumed_schedule_goes_on_through_json(case):
    make = RESUMABLE[case][0]
    optimizer = optim.SGD(two_groups(), momentum=0.9)
    scheduler = make(optimizer)
    for _ in range(6):
        scheduler.step()
    saved = json.loads(json.dumps(scheduler.state_dict()))
    again = optim.SGD(two_groups(), momentum=0.9)
    resumed = make(again)
    again.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(saved)
    assert resumed.get_last_lr() == scheduler.get_last_lr()
    for _ in range(10):
        scheduler.step()
        resumed.step()
        assert [g["lr"] for g in again.param_groups] == [g["lr"] for g in optimizer.param_groups]


@pytest.mark.parametrize("case", ["step", "multistep", "exponential", "linear", "cosine"])
def test_made_anew_with_last_epoch(case):
    """A scheduler made for a resumed optimizer with the last epoch's index stands where the old one would."""
    make, factor = CLOSED[case]
    kinds = {"step": s.StepLR, "multistep": s.MultiStepLR, "exponential": s.ExponentialLR}
    kinds |= {"linear": s.LinearLR, "cosine": s.CosineAnnealingLR}
    options = {"step": (3, 0.5), "multistep": ([2, 5], 0.1), "exponential": (0.9,), "linear": (0.2, 1.0, 5), "cosine": (7,)}
    optimizer = optim.SGD(two_groups())
    scheduler = make(optimizer)
    for _ in range(4):
        scheduler.step()  # now at epoch 4, whose index 3 was the last one done
    resumed = kinds[case](optimizer, *options[case], last_epoch=3)
    assert resumed.last_epoch == 4
    np.testing.assert_allclose(resumed.get_last_lr(), [0.1 * factor(4), 0.02 * factor(4)], rtol=1e-12)
    resumed.step()
    np.testing.assert_allclose(resumed.get_last_lr(), [0.1 * factor(5), 0.02 * factor(5)], rtol=1e-12)


def test_functions_are_not_saved():
    scheduler = s.LambdaLR(optim.SGD([parameter()]), lambda t: 1 / (1 + t))
    scheduler.step()
    state = scheduler.state_dict()
    assert not any(callable(value) for value in state.values())
    other = s.LambdaLR(optim.SGD([parameter()]), lambda t: 1 / (1 + t))
    other.load_state_dict(state)
    assert other.last_epoch == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: s.StepLR("o", 3), "StepLR: needs an Optimizer, got str"),
        (lambda o: s.StepLR(o, 0), "StepLR: step_size must be at least 1 epoch, got 0"),
        (lambda o: s.StepLR(o, 3, last_epoch=5), "group 0 of the optimizer has no 'initial_lr'; load the optimizer's state"),
        (lambda o: s.LinearLR(o, 0.0), "LinearLR: start_factor must be above 0 and at most 1, got 0.0"),
        (lambda o: s.LinearLR(o, 1.5), "LinearLR: start_factor"),
        (lambda o: s.LinearLR(o, 1.0, 2.0), "LinearLR: end_factor must lie between 0 and 1, got 2.0"),
        (lambda o: s.LinearLR(o, total_iters=0), "LinearLR: total_iters must be at least 1, got 0"),
        (lambda o: s.CosineAnnealingLR(o, 0), "CosineAnnealingLR: T_max must be at least 1 epoch, got 0"),
        (lambda o: s.LambdaLR(o, [abs, abs, abs]), "LambdaLR: got 3 functions for 2 groups"),
        (lambda o: s.OneCycleLR(o, 1.0), "give total_steps, or both epochs and steps_per_epoch"),
        (lambda o: s.OneCycleLR(o, 1.0, epochs=3), "give total_steps, or both"),
        (lambda o: s.OneCycleLR(o, 1.0, 0), "must be at least 1, got total_steps=0"),
        (lambda o: s.OneCycleLR(o, 1.0, epochs=0, steps_per_epoch=5), "must be at least 1, got total_steps=None, epochs=0"),
        (lambda o: s.OneCycleLR(o, 1.0, 5, pct_start=30), "pct_start is a part of all steps, between 0 and 1; got 30"),
        (lambda o: s.OneCycleLR(o, 1.0, 5, anneal_strategy="cosine"), "must be 'cos' or 'linear', got 'cosine'"),
        (lambda o: s.OneCycleLR(o, [1.0], 5), "OneCycleLR: max_lr has 1 values for 2 groups"),
        (lambda o: s.OneCycleLR(o, 1.0, 5, base_momentum=[0.8]), "OneCycleLR: base_momentum has 1 values for 2 groups"),
        (lambda o: s.LRScheduler(o), "LRScheduler has no get_lr"),
    ],
)
def test_errors_name_what_was_given(make, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make(optim.SGD(two_groups(), momentum=0.9))


def test_one_cycle_needs_a_momentum_to_cycle():
    class Plain(optim.Optimizer):
        pass

    with pytest.raises(ArgumentError, match="Plain has neither momentum nor betas; pass cycle_momentum=False"):
        s.OneCycleLR(Plain([parameter()], {"lr": 1.0}), 1.0, 5)
    s.OneCycleLR(Plain([parameter()], {"lr": 1.0}), 1.0, 5, cycle_momentum=False)


def test_state_of_another_kind_is_refused():
    optimizer = optim.SGD([parameter()])
    state = s.StepLR(optimizer, 3).state_dict()
    message = r"not that of a ExponentialLR: it lacks \[\] and has \['step_size'\] too many"
    with pytest.raises(CheckpointError, match=message):
        s.ExponentialLR(optimizer, 0.5).load_state_dict(state)
