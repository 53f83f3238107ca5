"""Saving and loading an optimizer: a resumed run equals the uninterrupted one, and what does not fit is refused."""

import copy
import json
import pickle
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import optim
from tinygrad_cnn.errors import CheckpointError

from .optim_cases import OPTIMIZERS, START, STEPS
from .runs import leaf, run


@pytest.mark.parametrize(
    "case", [case for case in OPTIMIZERS if " " in case] + ["sgd-0.9-0.3-0.1-False", "adam-0.5-1e-08-0.1-True"]
)
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
    whole = leaf(START)
    uninterrupted = run(getattr(optim, kind)([whole], **options), whole)
    np.testing.assert_array_equal(run(other, again, STEPS - 10, first=10), uninterrupted[10:])


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_state_is_arrays_and_numbers(case):
    """So that it can be saved as safetensors and JSON, and comes back to the last bit."""
    kind, options = OPTIMIZERS[case]
    w = leaf(START)
    optimizer = getattr(optim, kind)([w], **options)
    run(optimizer, w, 3)
    state = optimizer.state_dict()
    for value in state["state"].get(0, {}).values():
        assert type(value) in (tg.Tensor, int, float)
    groups = json.loads(json.dumps(state["param_groups"]))
    again = getattr(optim, kind)([leaf(w.array)], **options)
    again.load_state_dict({"state": state["state"], "param_groups": groups})
    twin = again.param_groups[0]["params"][0]
    np.testing.assert_array_equal(run(again, twin, 5, 3), run(optimizer, w, 5, 3))


def test_a_state_of_before_an_option_was_added_leaves_that_option():
    w = leaf([1.0])
    state = optim.AdamW([w], lr=0.5).state_dict()
    for option in ("maximize", "decoupled_weight_decay"):
        del state["param_groups"][0][option]
    optimizer = optim.AdamW([w], maximize=True)
    optimizer.load_state_dict(state)
    group = optimizer.param_groups[0]
    assert (group["lr"], group["maximize"], group["decoupled_weight_decay"]) == (0.5, True, True)


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


def test_names_in_a_state_are_compared():
    a, b = leaf([1.0]), leaf([2.0])
    named = optim.SGD([("first", a), ("second", b)], lr=0.5)
    renamed = optim.SGD([("first", a), ("other", b)], lr=0.1)
    with pytest.raises(CheckpointError, match=r"group 0 has the parameter 'other' here, 'second' in the state"):
        renamed.load_state_dict(named.state_dict())
    assert renamed.param_groups[0]["lr"] == 0.1
    nameless = optim.SGD([a, b], lr=0.25)
    named.load_state_dict(nameless.state_dict())
    assert (named.param_groups[0]["lr"], named.param_groups[0]["param_names"]) == (0.25, ["first", "second"])
    nameless.load_state_dict(renamed.state_dict())
    assert nameless.param_groups[0]["lr"] == 0.1
