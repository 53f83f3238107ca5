"""The memory of what ops make, against sizes known beforehand."""

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.profiler.holding import Holding, owner_of

KB = 4 * 256  # 256 numbers in float32


def held(p):
    return [size for _, size in p.memory.samples]


def test_values_come_and_go():
    x = tg.ones(256)
    with tg.no_grad(), tg.profile() as p:
        y = x.exp()
        z = y.sin()
        del y
        z = z.cos()  # the former value is freed when the new one is there
        del z
    assert held(p) == [KB, 2 * KB, KB, 2 * KB, KB, 0]
    assert p.memory.peak == 2 * KB
    assert p.memory.peak_at == p.memory.samples[1][0]
    seconds = [second for second, _ in p.memory.samples]
    assert seconds == sorted(seconds)


def test_what_a_rule_keeps_stays_until_the_backward_pass():
    x = tg.ones(256, requires_grad=True)
    with tg.profile() as p:
        loss = (x.exp().exp()).sum()
        kept = held(p)[-1]
        loss.backward()
    assert kept == 2 * KB + 4  # both exponentials, and the sum
    assert p.memory.peak >= 3 * KB  # and a gradient on its way


def test_views_and_what_was_there_before_are_not_counted():
    x = tg.ones(16, 16)
    with tg.no_grad(), tg.profile() as p:
        views = x.T, x.reshape(256), x[2:5]
        y = x + 1
        more = y.T, y.reshape(256)
    assert held(p) == [KB]
    assert len(views) + len(more) == 5


def test_a_view_keeps_what_it_is_a_view_of():
    with tg.no_grad(), tg.profile() as p:
        y = (tg.ones(256) + 1)[:2]
        assert held(p) == [KB]
        del y
    assert held(p) == [KB, 0]


def test_parameters_are_not_counted_and_what_a_rule_notes_beside_them_is():
    pool, x = nn.MaxPool2d(2), tg.randn(1, 4, 16, 16, requires_grad=True)
    layer = nn.Conv2d(4, 4, 1)
    with tg.profile() as p:
        y = pool(layer(x))
    noted = sum(array.nbytes for array in y.grad_fn.auxiliary)
    assert noted > 0
    convolved = 0 if not any(array.shape == (1, 4, 16, 16) for _, array in tg.autograd.walk.kept(y.grad_fn)) else 4 * KB
    assert held(p)[-1] == KB + noted + convolved


def test_without_memory():
    with tg.profile(profile_memory=False) as p:
        tg.ones(3).exp()
    assert p.memory.samples == []
    assert (p.memory.peak, p.memory.peak_at) == (0, 0.0)
    assert "MiB made" not in str(p)


def test_arrays_that_live_on_after_the_block_are_forgotten():
    with tg.no_grad(), tg.profile() as p:
        y = tg.ones(256).exp()
    with p:
        del y  # of the block before
        tg.ones(2).exp()
    assert held(p) == [KB, 8, 0]


def test_the_owner_of_a_view_of_a_view():
    array = np.zeros((4, 4))
    assert owner_of(array[1:][:, 2:].T) is array
    assert owner_of(array) is array


def test_the_same_array_twice_counts_once():
    notes = []
    holding = Holding(notes.append)
    array = np.zeros(8)
    holding.made([array, array[2:]], [])
    holding.made([array], [])
    holding.made([array.copy()[:1]], [array])
    del array
    assert notes == [64, 128, 64, 0]
