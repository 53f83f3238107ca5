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

from .optim_cases import BY_HAND_AT, PLATEAUS, SCHEDULE_LENGTH, SCHEDULES, measure, momentum_of

GOLDEN = np.load(Path(__file__).parent / "golden" / "schedules.npz")


def parameter():
    return tg.zeros(1, requires_grad=True)


def two_groups():
    return [{"params": [parameter()], "lr": 0.1}, {"params": [parameter()], "lr": 0.02}]


def stepped(kind, *args, **options):
    """An optimizer that has made a step, as a scheduler expects before its own."""
    optimizer = kind(*args, **options)
    optimizer.step()
    return optimizer


def made(schedulers):
    names = {"s": s, "w": optim.swa_utils, "a": stepped(optim.Adam, two_groups())}
    names["o"] = stepped(optim.SGD, two_groups(), momentum=0.9)
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
    np.testing.assert_allclose(rows, GOLDEN[case][int(by_hand)], rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("case", PLATEAUS)
def test_rates_on_a_plateau_are_pytorchs(case):
    (scheduler,) = made([PLATEAUS[case]])
    rates = []
    for t in range(SCHEDULE_LENGTH):
        rates.append([group["lr"] for group in scheduler.optimizer.param_groups])
        scheduler.step(measure(t))
        assert scheduler.get_last_lr() == [group["lr"] for group in scheduler.optimizer.param_groups]
    np.testing.assert_allclose(rates, GOLDEN[case][:, :, 0], rtol=1e-12)


def test_golden_rates_differ_by_case():
    assert set(GOLDEN.files) == {*SCHEDULES, *PLATEAUS}
    assert len({GOLDEN[case].tobytes() for case in GOLDEN.files}) == len(GOLDEN.files)


CLOSED = {
    "step": (lambda o: s.StepLR(o, 3, 0.5), lambda t: 0.5 ** (t // 3)),
    "every step": (lambda o: s.StepLR(o, 1), lambda t: 0.1**t),
    "multistep": (lambda o: s.MultiStepLR(o, [2, 5]), lambda t: 0.1 ** ((t >= 2) + (t >= 5))),
    "exponential": (lambda o: s.ExponentialLR(o, 0.9), lambda t: 0.9**t),
    "linear": (lambda o: s.LinearLR(o, 0.2, 1.0, 5), lambda t: 0.2 + 0.8 * min(t, 5) / 5),
    "cosine": (lambda o: s.CosineAnnealingLR(o, 7), lambda t: (1 + math.cos(math.pi * t / 7)) / 2),
    "inverse": (lambda o: s.InverseLR(o, 0.5, 2.0), lambda t: (1 + 0.5 * t) ** -2.0),
    "polynomial": (lambda o: s.PolynomialLR(o, 12, 2.0), lambda t: (1 - min(t, 12) / 12) ** 2),
    "constant": (lambda o: s.ConstantLR(o, 0.3, 4), lambda t: 0.3 if t < 4 else 1.0),
    "constant of nothing": (lambda o: s.ConstantLR(o, 0.0, 4), lambda t: 0.0 if t < 4 else 1.0),
}


@pytest.mark.parametrize("case", CLOSED)
def test_recursion_adds_up_to_the_closed_form(case):
    make, factor = CLOSED[case]
    optimizer = stepped(optim.SGD, two_groups())
    scheduler = make(optimizer)
    for t in range(30):
        np.testing.assert_allclose(scheduler.get_last_lr(), [0.1 * factor(t), 0.02 * factor(t)], rtol=1e-9, atol=1e-18)
        scheduler.step()


def test_caffes_inverse_decay():
    """facts: lr(100) = 0.00992565, printed in the log of Caffe's LeNet."""
    optimizer = stepped(optim.SGD, [parameter()], lr=0.01)
    scheduler = s.InverseLR(optimizer)
    rates = []
    for t in range(10_001):
        rates.append(scheduler.get_last_lr()[0] / (0.01 * (1 + 1e-4 * t) ** -0.75))
        if t == 100:
            assert round(optimizer.param_groups[0]["lr"], 8) == 0.00992565
        scheduler.step()
    np.testing.assert_allclose(rates, 1, rtol=1e-10)  # to the last of LeNet's 10,000 iterations


# Compositions -------------------------------------------------------------------------------------------------------


def rates_of(scheduler, steps):
    rows = []
    for _ in range(steps):
        rows.append(scheduler.get_last_lr()[0])
        scheduler.step()
    return rows


def test_a_chain_and_a_sequence_within_a_sequence():
    """PyTorch has neither; the closed form: the inner ones start at their epoch 0, from the initial rates."""
    o = stepped(optim.SGD, [parameter()], lr=1.0)
    chain = s.ChainedScheduler([s.ConstantLR(o, 0.5, 2), s.ExponentialLR(o, 0.9)])
    inner = s.SequentialLR(o, [s.ConstantLR(o, 0.1, 10), s.StepLR(o, 1, 0.5)], [2])
    sequence = s.SequentialLR(o, [s.LinearLR(o, 0.25, 1.0, 3), chain, inner], [2, 6])
    expected = [0.25, 0.5, 0.5, 0.45, 0.81, 0.729, 0.1, 0.1, 1.0, 0.5]
    np.testing.assert_allclose(rates_of(sequence, 10), expected, rtol=1e-12)


def test_restarts_between_epochs():
    """step(epoch + i / batches), as PyTorch documents: eta = (1 + cos(pi T_cur / T_i)) / 2."""
    o = stepped(optim.SGD, [parameter()], lr=1.0)
    scheduler = s.CosineAnnealingWarmRestarts(o, 2, 3)
    for epoch, position in [(0.5, 0.25), (1.75, 0.875), (2.0, 0.0), (5.0, 0.5), (8.0, 0.0), (17.0, 0.5), (1.0, 0.5)]:
        scheduler.step(epoch)
        np.testing.assert_allclose(scheduler.get_last_lr(), [(1 + math.cos(math.pi * position)) / 2], atol=1e-15)
        assert scheduler.last_epoch == int(epoch)
    scheduler.step()
    assert scheduler.get_last_lr() == [1.0]
    scheduler.step(2.5)
    scheduler.step()  # an epoch later, so at 3.5, which is a quarter of the second cycle
    np.testing.assert_allclose(scheduler.get_last_lr(), [(1 + math.cos(math.pi / 4)) / 2])
    with pytest.raises(ArgumentError, match=r"CosineAnnealingWarmRestarts\.step: epoch must be at least 0, got -1"):
        scheduler.step(-1)


def test_restarts_made_anew_with_last_epoch():
    o = stepped(optim.SGD, [parameter()], lr=1.0)
    whole = s.CosineAnnealingWarmRestarts(o, 2, 2)
    expected = rates_of(whole, 12)
    resumed = s.CosineAnnealingWarmRestarts(o, 2, 2, last_epoch=6)
    np.testing.assert_allclose(rates_of(resumed, 5), expected[7:], rtol=1e-12)


def test_sequence_of_a_resumed_optimizer():
    def make(o, **options):
        return s.SequentialLR(o, [s.ConstantLR(o, 0.1, 9, **options), s.ExponentialLR(o, 0.5)], [5], **options)

    o = stepped(optim.SGD, [parameter()], lr=1.0)
    expected = rates_of(make(o), 12)
    again = stepped(optim.SGD, [parameter()], lr=1.0)
    rates_of(make(again), 3)
    np.testing.assert_allclose(rates_of(make(again, last_epoch=2), 9), expected[3:], rtol=1e-12)


def test_averaging_is_exposed_beside_its_models():
    assert optim.swa_utils.SWALR is s.SWALR


# The order of steps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda o: s.StepLR(o, 2), lambda o: s.SequentialLR(o, [s.StepLR(o, 2)], [])])
def test_scheduler_before_optimizer_warns(make):
    optimizer = optim.SGD([parameter()], lr=1.0)
    scheduler = make(optimizer)
    with pytest.warns(UserWarning, match=r"StepLR\.step\(\) was called before SGD\.step\(\), which skips the first"):
        scheduler.step()
    scheduler.step()  # once is enough


def test_restarts_before_optimizer_warn():
    scheduler = s.CosineAnnealingWarmRestarts(optim.Adam([parameter()]), 2)
    with pytest.warns(UserWarning, match=r"CosineAnnealingWarmRestarts\.step\(\) was called before Adam\.step\(\)"):
        scheduler.step()


def test_a_warning_made_an_error_leaves_the_schedule():
    optimizer = optim.SGD([parameter()], lr=1.0)
    scheduler = s.StepLR(optimizer, 1)
    with pytest.raises(UserWarning, match="call optimizer"):
        scheduler.step()
    assert (scheduler.last_epoch, optimizer.param_groups[0]["lr"]) == (0, 1.0)


def test_right_order_and_resumed_schedules_do_not_warn():
    optimizer = optim.SGD([parameter()], lr=1.0)
    scheduler = s.StepLR(optimizer, 2)
    optimizer.step()
    scheduler.step()
    again = optim.SGD([parameter()], lr=1.0)
    resumed = s.StepLR(again, 2)
    again.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    resumed.step()


def test_one_cycle_stays_at_its_last_rate():
    optimizer = stepped(optim.SGD, [parameter()], momentum=0.9)
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
    optimizer = stepped(optim.SGD, [parameter()], momentum=0.9)
    assert s.OneCycleLR(optimizer, 1.0, total_steps=10, pct_start=0.1).get_last_lr() == [1.0]


def test_one_cycle_reaches_the_top_when_the_rise_ends():
    optimizer = stepped(optim.SGD, [parameter()], momentum=0.9)
    scheduler = s.OneCycleLR(optimizer, 2.0, total_steps=10, pct_start=0.5)
    rates = []
    for _ in range(9):
        rates.append(scheduler.get_last_lr()[0])
        scheduler.step()
    assert rates[0] == pytest.approx(2.0 / 25)
    assert max(rates) == rates[4] == 2.0


def test_rates_become_python_floats():
    optimizer = stepped(optim.SGD, [parameter()], lr=np.float32(0.5))
    s.LambdaLR(optimizer, lambda t: np.float64(0.5))
    assert type(optimizer.param_groups[0]["lr"]) is float


def test_group_that_is_added_later_has_its_own_initial_rate():
    optimizer = stepped(optim.SGD, [parameter()], lr=1.0)
    schedulers = [s.LambdaLR(optimizer, lambda t: 0.5**t), s.CosineAnnealingLR(optimizer, 10**9)]
    optimizer.add_param_group({"params": [parameter()], "lr": 0.1})
    for scheduler in schedulers:
        scheduler.step()
    np.testing.assert_allclose([group["lr"] for group in optimizer.param_groups], [0.5, 0.05])


@pytest.mark.parametrize("interrupted_at", [1, 13])
@pytest.mark.parametrize("case", [case for case, made_of in SCHEDULES.items() if len(made_of) == 1] + ["inverse"])
def test_resumed_schedule_goes_on_through_json(case, interrupted_at):
    def make(optimizer):
        expression = {**SCHEDULES, "inverse": ["s.InverseLR(o, 0.5)"]}[case][0]
        return eval(expression, {"s": s, "w": optim.swa_utils, "o": optimizer, "a": optimizer})

    optimizer = stepped(optim.SGD, two_groups(), momentum=0.9)
    scheduler = make(optimizer)
    for _ in range(interrupted_at):
        scheduler.step()
    saved = json.loads(json.dumps(scheduler.state_dict()))
    again = stepped(optim.SGD, two_groups(), momentum=0.9)
    resumed = make(again)
    again.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(saved)
    assert resumed.get_last_lr() == scheduler.get_last_lr()
    for _ in range(40):
        scheduler.step()
        resumed.step()
        for ours, theirs in zip(again.param_groups, optimizer.param_groups, strict=True):
            assert (ours["lr"], ours["momentum"]) == (theirs["lr"], theirs["momentum"])


@pytest.mark.parametrize("case", PLATEAUS)
def test_resumed_plateau_goes_on_through_json(case):
    (scheduler,), (resumed,) = made([PLATEAUS[case]]), made([PLATEAUS[case]])
    for t in range(SCHEDULE_LENGTH):
        if t == 20:
            resumed.optimizer.load_state_dict(scheduler.optimizer.state_dict())
            resumed.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
        scheduler.step(measure(t))
        if t >= 20:
            resumed.step(measure(t))
            assert resumed.state_dict() == scheduler.state_dict()
            assert resumed.get_last_lr() == [group["lr"] for group in resumed.optimizer.param_groups]


@pytest.mark.parametrize("case", ["step", "multistep", "exponential", "linear", "cosine"])
def test_made_anew_with_last_epoch(case):
    """A scheduler made for a resumed optimizer with the last epoch's index stands where the old one would."""
    make, factor = CLOSED[case]
    kinds = {"step": s.StepLR, "multistep": s.MultiStepLR, "exponential": s.ExponentialLR}
    kinds |= {"linear": s.LinearLR, "cosine": s.CosineAnnealingLR}
    options = {"step": (3, 0.5), "multistep": ([2, 5], 0.1), "exponential": (0.9,), "linear": (0.2, 1.0, 5), "cosine": (7,)}
    optimizer = stepped(optim.SGD, two_groups())
    scheduler = make(optimizer)
    for _ in range(4):
        scheduler.step()  # now at epoch 4, whose index 3 was the last one done
    resumed = kinds[case](optimizer, *options[case], last_epoch=3)
    assert resumed.last_epoch == 4
    np.testing.assert_allclose(resumed.get_last_lr(), [0.1 * factor(4), 0.02 * factor(4)], rtol=1e-12)
    resumed.step()
    np.testing.assert_allclose(resumed.get_last_lr(), [0.1 * factor(5), 0.02 * factor(5)], rtol=1e-12)


def test_functions_are_not_saved():
    scheduler = s.LambdaLR(stepped(optim.SGD, [parameter()]), lambda t: 1 / (1 + t))
    scheduler.step()
    state = scheduler.state_dict()
    assert not any(callable(value) for value in state.values())
    other = s.LambdaLR(stepped(optim.SGD, [parameter()]), lambda t: 1 / (1 + t))
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
        (lambda o: s.OneCycleLR("o", 1.0, 5), "OneCycleLR: needs an Optimizer, got str"),
        (lambda o: s.OneCycleLR(o, 1.0), "give total_steps, or both epochs and steps_per_epoch"),
        (lambda o: s.OneCycleLR(o, 1.0, epochs=3), "give total_steps, or both"),
        (lambda o: s.OneCycleLR(o, 1.0, 0), "must be at least 1, got total_steps=0"),
        (lambda o: s.OneCycleLR(o, 1.0, epochs=0, steps_per_epoch=5), "must be at least 1, got total_steps=None, epochs=0"),
        (lambda o: s.OneCycleLR(o, 1.0, 5, pct_start=30), "pct_start is a part of all steps, between 0 and 1; got 30"),
        (lambda o: s.OneCycleLR(o, 1.0, 5, anneal_strategy="cosine"), "must be 'cos' or 'linear', got 'cosine'"),
        (lambda o: s.OneCycleLR(o, [1.0], 5), "OneCycleLR: max_lr has 1 values for 2 groups"),
        (lambda o: s.OneCycleLR(o, 1.0, 5, base_momentum=[0.8]), "OneCycleLR: base_momentum has 1 values for 2 groups"),
        (lambda o: s.LRScheduler(o), "LRScheduler has no get_lr"),
        (lambda o: s.MultiplicativeLR(o, [abs]).step(), "MultiplicativeLR: got 1 functions for 2 groups"),
        (lambda o: s.InverseLR(o, -1e-4), "InverseLR: gamma must be at least 0, got -0.0001"),
        (lambda o: s.PolynomialLR(o, 0), "PolynomialLR: total_iters must be at least 1, got 0"),
        (lambda o: s.ConstantLR(o, 1.5), "ConstantLR: factor must lie between 0 and 1, got 1.5"),
        (lambda o: s.ConstantLR(o, 0.5, 0), "ConstantLR: total_iters must be at least 1, got 0"),
        (lambda o: s.CosineAnnealingWarmRestarts(o, 0), "T_0 must be a whole number of at least 1, got 0"),
        (lambda o: s.CosineAnnealingWarmRestarts(o, 2, 1.5), "T_mult must be a whole number of at least 1, got 1.5"),
        (lambda o: s.CyclicLR("o", 0.1, 1.0), "CyclicLR: needs an Optimizer, got str"),
        (lambda o: s.CyclicLR(o, 0.1, 1.0, 0), "CyclicLR: step_size_up must be at least 1, got 0"),
        (lambda o: s.CyclicLR(o, 0.1, 1.0, 5, 0), "CyclicLR: step_size_down must be at least 1, got 0"),
        (lambda o: s.CyclicLR(o, 0.1, 1.0, mode="square"), "must be 'triangular', 'triangular2' or 'exp_range', got 'square'"),
        (lambda o: s.CyclicLR(o, 0.1, 1.0, scale_mode="epochs"), "scale_mode must be 'cycle' or 'iterations', got 'epochs'"),
        (lambda o: s.CyclicLR(o, [0.1], 1.0), "CyclicLR: base_lr has 1 values for 2 groups"),
        (lambda o: s.SWALR("o", 0.1), "SWALR: needs an Optimizer, got str"),
        (lambda o: s.SWALR(o, 0.1, anneal_strategy="cosine"), "SWALR: anneal_strategy must be 'cos' or 'linear', got 'cosine'"),
        (lambda o: s.SWALR(o, 0.1, 1.5), "SWALR: anneal_epochs must be a whole number of at least 0, got 1.5"),
        (lambda o: s.SWALR(o, [0.1]), "SWALR: swa_lr has 1 values for 2 groups"),
        (lambda o: s.ReduceLROnPlateau("o"), "ReduceLROnPlateau: needs an Optimizer, got str"),
        (lambda o: s.ReduceLROnPlateau(o, "least"), "ReduceLROnPlateau: mode must be 'min' or 'max', got 'least'"),
        (lambda o: s.ReduceLROnPlateau(o, factor=1.0), "ReduceLROnPlateau: factor must be below 1, got 1.0"),
        (lambda o: s.ReduceLROnPlateau(o, threshold_mode="any"), "threshold_mode must be 'rel' or 'abs', got 'any'"),
        (lambda o: s.ReduceLROnPlateau(o, min_lr=[0.1]), "ReduceLROnPlateau: min_lr has 1 values for 2 groups"),
        (lambda o: s.SequentialLR(o, [], []), "SequentialLR: got no schedulers"),
        (lambda o: s.ChainedScheduler([]), "ChainedScheduler: got no schedulers; give a list of at least one"),
        (lambda o: s.ChainedScheduler([o]), "ChainedScheduler: scheduler 0 must be a scheduler, got SGD"),
        (lambda o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]), "scheduler 0 is a ReduceLROnPlateau, whose step"),
        (
            lambda o: s.SequentialLR(o, [s.StepLR(o, 1), s.StepLR(optim.SGD([parameter()]), 1)], [1]),
            "SequentialLR: scheduler 1, a StepLR, belongs to another optimizer",
        ),
        (lambda o: s.SequentialLR(o, [s.StepLR(o, 1)], [3]), "need 0 milestones, one for each but the first; got 1"),
        (lambda o: s.SequentialLR(o, [s.StepLR(o, 1)] * 3, [3, 2]), "milestones must be in rising order, got [3, 2]"),
    ],
)
def test_errors_name_what_was_given(make, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make(stepped(optim.SGD, two_groups(), momentum=0.9))


def test_cycles_need_a_momentum_to_cycle():
    class Plain(optim.Optimizer):
        pass

    with pytest.raises(ArgumentError, match="Plain has neither momentum nor betas; pass cycle_momentum=False"):
        s.OneCycleLR(Plain([parameter()], {"lr": 1.0}), 1.0, 5)
    s.OneCycleLR(Plain([parameter()], {"lr": 1.0}), 1.0, 5, cycle_momentum=False)
    with pytest.raises(ArgumentError, match="CyclicLR: Plain has neither momentum nor betas; pass cycle_momentum=False"):
        s.CyclicLR(Plain([parameter()], {"lr": 1.0}), 0.1, 1.0)
    s.CyclicLR(Plain([parameter()], {"lr": 1.0}), 0.1, 1.0, cycle_momentum=False)


def test_state_of_another_kind_is_refused():
    optimizer = stepped(optim.SGD, [parameter()])
    state = s.StepLR(optimizer, 3).state_dict()
    message = r"not that of a ExponentialLR: it lacks \[\] and has \['step_size'\] too many"
    with pytest.raises(CheckpointError, match=message):
        s.ExponentialLR(optimizer, 0.5).load_state_dict(state)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        (lambda o: [s.StepLR(o, 3)], r"the state is of 1 schedulers, this ChainedScheduler has 2"),
        (lambda o: [s.StepLR(o, 3), s.StepLR(o, 3)], r"not that of a ExponentialLR"),
    ],
)
def test_states_of_other_schedulers_are_refused_before_anything_changes(others, message):
    optimizer = stepped(optim.SGD, [parameter()])
    foreign = s.ChainedScheduler(others(optimizer))
    foreign.step()
    chain = s.ChainedScheduler([s.StepLR(optimizer, 4), s.ExponentialLR(optimizer, 0.5)])
    before = chain.state_dict()
    with pytest.raises(CheckpointError, match=message):
        chain.load_state_dict(foreign.state_dict())
    assert chain.state_dict() == before
