"""Averages of weights: PyTorch's values update by update, resuming, batch normalization, and what is refused."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim
from tinygrad_cnn.errors import ArgumentError, InplaceError
from tinygrad_cnn.optim import swa_utils

from .optim_cases import AVERAGES, STEPS, averaged_values

GOLDEN = np.load(Path(__file__).parent / "golden" / "averages.npz")


def set_to(norm, t):
    parts = [norm.weight, norm.bias, norm.running_mean, norm.running_var]
    for part, values in zip(parts, averaged_values(t), strict=True):
        part.data.copy_(values)
    norm.num_batches_tracked.fill_(t)


def made(case, norm):
    options, use_buffers = AVERAGES[case]
    return eval(f"a.AveragedModel(norm, use_buffers={use_buffers}, {options})", {"a": swa_utils, "norm": norm})


def run(averaged, norm, steps=range(STEPS)):
    rows = []
    for t in steps:
        set_to(norm, t)
        averaged.update_parameters(norm)
        rows.append(np.concatenate([value.array.ravel() for value in averaged.state_dict().values()]))
    return np.array(rows)


@pytest.mark.parametrize("case", AVERAGES)
def test_averages_are_pytorchs(case):
    norm = nn.BatchNorm1d(3).double()
    np.testing.assert_allclose(run(made(case, norm), norm), GOLDEN[case], rtol=1e-10, atol=1e-10)


def test_golden_averages_differ_by_case():
    assert set(GOLDEN.files) == set(AVERAGES)
    weights = {case: tuple(GOLDEN[case][-1, 1:4].round(12)) for case in AVERAGES}  # after n_averaged: the weight
    assert len(set(weights.values())) == 5, "the mean, and four more"
    assert np.abs(GOLDEN["mean"] - GOLDEN["mean with buffers"]).max() > 0.1


def test_state_has_pytorchs_names():
    averaged = optim.AveragedModel(nn.BatchNorm1d(3))
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert list(averaged.state_dict()) == ["n_averaged", *(f"module.{name}" for name in norm)]


@pytest.mark.parametrize("case", AVERAGES)
def test_resumed_average_goes_on_bit_for_bit(case):
    norm = nn.BatchNorm1d(3).double()
    whole = run(made(case, norm), norm)
    first = made(case, norm)
    run(first, norm, range(10))
    again = made(case, nn.BatchNorm1d(3).double())
    again.load_state_dict(copy.deepcopy(first.state_dict()))
    np.testing.assert_array_equal(run(again, norm, range(10, STEPS)), whole[10:])


def test_float32_stays_float32_and_the_update_is_in_place():
    net = nn.Linear(3, 2)
    averaged = optim.AveragedModel(net, multi_avg_fn=optim.get_ema_multi_avg_fn(0.5))
    array = averaged.module.weight.array
    start = net.weight.array.copy()
    averaged.update_parameters(net)
    net.weight.data.fill_(3.0)
    averaged.update_parameters(net)
    assert averaged.module.weight.array is array
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, (start + 3) / 2, rtol=1e-6)


def test_the_model_is_left_alone_and_shares_nothing():
    net = nn.Linear(3, 2)
    version = net.weight._version
    averaged = optim.AveragedModel(net)
    averaged.update_parameters(net)
    assert not np.shares_memory(averaged.module.weight.array, net.weight.array)
    assert net.weight._version == version
    assert averaged.module.weight.requires_grad


def test_it_computes_with_the_averaged_weights():
    net = nn.Linear(2, 1, bias=False)
    averaged = optim.AveragedModel(net)
    for value in (1.0, 3.0):
        net.weight.data.fill_(value)
        averaged.update_parameters(net)
    assert averaged(tg.ones(1, 2)).item() == 4.0


@pytest.mark.parametrize("options", [{}, {"multi_avg_fn": optim.get_ema_multi_avg_fn()}, {"avg_fn": optim.get_swa_avg_fn()}])
def test_backward_through_a_stale_average_is_refused(options):
    net = nn.Linear(2, 1, bias=False)
    averaged = optim.AveragedModel(net, **options)
    averaged.update_parameters(net)
    loss = averaged(tg.ones(1, 2, requires_grad=True)).sum()
    averaged.update_parameters(net)
    with pytest.raises(InplaceError):
        loss.backward()


def test_a_count_that_stands_still_keeps_its_value():
    """A whole number is cut after each update: the weights must not add up to less than 1."""
    norm = nn.BatchNorm1d(3)
    norm.num_batches_tracked.fill_(7)
    averaged = optim.AveragedModel(norm, multi_avg_fn=optim.get_ema_multi_avg_fn(0.9), use_buffers=True)
    for _ in range(20):
        averaged.update_parameters(norm)
    assert int(averaged.module.num_batches_tracked) == 7


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda net: optim.AveragedModel("net"), "AveragedModel: model must be a Module, got str"),
        (
            lambda net: optim.AveragedModel(net, avg_fn=optim.get_swa_avg_fn(), multi_avg_fn=optim.get_swa_multi_avg_fn()),
            "avg_fn and multi_avg_fn are two ways to say the same: give one of them",
        ),
        (lambda net: optim.get_ema_avg_fn(1.5), "get_ema_avg_fn: decay must lie between 0 and 1, got 1.5"),
        (lambda net: optim.get_ema_multi_avg_fn(-0.1), "get_ema_multi_avg_fn: decay must lie between 0 and 1, got -0.1"),
        (
            lambda net: optim.AveragedModel(net).update_parameters(nn.Linear(3, 2, bias=False)),
            "the averaged model has 2 parameters and buffers, the model given has 1; pass the model that",
        ),
        (
            lambda net: optim.AveragedModel(net).update_parameters(nn.Linear(2, 2)),
            "tensor 0 of the averaged model has shape (2, 3), that of the model given (2, 2); pass",
        ),
    ],
)
def test_errors_name_what_was_given(make, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make(nn.Linear(3, 2))


def test_refused_update_leaves_the_average():
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    averaged = optim.AveragedModel(net)
    before = [p.array.copy() for p in averaged.parameters()]
    with pytest.raises(ArgumentError):
        averaged.update_parameters(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)))
    assert int(averaged.n_averaged) == 0
    for p, values in zip(averaged.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.array, values)


# update_bn ----------------------------------------------------------------------------------------------------------


def normed():
    net = nn.Sequential(nn.BatchNorm2d(2, momentum=0.3), nn.Dropout(0.5), nn.BatchNorm2d(2, track_running_stats=False))
    net.double()
    net.eval()
    net[1].train()
    return net


BATCHES = [np.random.default_rng(i).normal(i, 1 + i, (3 + i, 2, 4, 5)) for i in range(3)]


def test_update_bn_is_the_plain_mean_over_batches():
    net = normed()
    net[0].running_mean.fill_(100.0)
    wrapped = [tg.Tensor(BATCHES[0]), (tg.Tensor(BATCHES[1]), "label"), [tg.Tensor(BATCHES[2]), "label"]]
    optim.update_bn(iter(wrapped), net)
    means = [batch.mean((0, 2, 3)) for batch in BATCHES]
    variances = [batch.var((0, 2, 3), ddof=1) for batch in BATCHES]
    np.testing.assert_allclose(net[0].running_mean.array, np.mean(means, 0), rtol=1e-12)
    np.testing.assert_allclose(net[0].running_var.array, np.mean(variances, 0), rtol=1e-12)
    assert int(net[0].num_batches_tracked) == 3
    assert net[0].momentum == 0.3
    assert [module.training for module in net] == [False, True, False]


def test_update_bn_of_an_averaged_model():
    net = normed()
    averaged = swa_utils.AveragedModel(net)
    optim.update_bn([tg.Tensor(batch) for batch in BATCHES], averaged, device="cpu")
    np.testing.assert_allclose(averaged.module[0].running_mean.array, np.mean([b.mean((0, 2, 3)) for b in BATCHES], 0))
    np.testing.assert_array_equal(net[0].running_mean.array, [0, 0])


@pytest.mark.parametrize("batches", [[], [tg.Tensor(BATCHES[0]), tg.ones(2, 3)]])
def test_refused_update_bn_leaves_the_statistics(batches):
    net = normed()
    net[0].running_mean.fill_(5.0)
    with pytest.raises(ValueError, match=r"the loader gave no batches|needs an input of 4 dimensions"):
        optim.update_bn(batches, net)
    np.testing.assert_array_equal(net[0].running_mean.array, [5, 5])
    assert int(net[0].num_batches_tracked) == 0
    assert net[0].momentum == 0.3
    assert [module.training for module in net] == [False, True, False]


def test_update_bn_without_batch_normalization_asks_for_no_batch():
    optim.update_bn(pytest.fail, nn.Linear(2, 2))
