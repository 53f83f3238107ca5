"""The generator: repeatable, put back, its own in a thread; and what the draws look like."""

import json
import threading

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.random import default_generator, drawing_from, frozen


def test_a_seed_repeats_every_kind_of_draw():
    def draws():
        return [
            tg.rand(3), tg.randn(3), tg.randint(10, (3,)), tg.randperm(5), tg.empty(3).normal_(), tg.empty(3).uniform_(),
            tg.dropout(tg.ones(10), 0.5), tg.rand_like(tg.ones(2)), tg.randn_like(tg.ones(2)),
        ]  # fmt: skip

    tg.manual_seed(3)
    first = [draw.tolist() for draw in draws()]
    again = [draw.tolist() for draw in draws()]
    tg.manual_seed(3)
    assert [draw.tolist() for draw in draws()] == first
    assert first != again
    tg.manual_seed(4)
    assert [draw.tolist() for draw in draws()] != first


def test_manual_seed_returns_the_generator():
    assert tg.manual_seed(0) is default_generator()


def test_the_state_is_plain_data():
    tg.manual_seed(0)
    state = json.loads(json.dumps(tg.get_rng_state()))
    a = tg.rand(5).tolist()
    tg.set_rng_state(state)
    assert tg.rand(5).tolist() == a


def test_frozen_gives_the_same_draws_and_puts_the_state_back():
    tg.manual_seed(0)
    state = tg.get_rng_state()
    with frozen(state):
        a = tg.rand(3).tolist()
    with frozen(state):
        assert tg.rand(3).tolist() == a
    assert tg.get_rng_state() == state
    with pytest.raises(KeyError), frozen(state):
        tg.rand(3)
        raise KeyError
    assert tg.get_rng_state() == state


def test_drawing_from_is_for_one_thread():
    tg.manual_seed(0)
    expected = np.random.default_rng(5).random(3, dtype=np.float32).tolist()
    before = tg.get_rng_state()
    seen = []
    with drawing_from(np.random.default_rng(5)):
        assert tg.rand(3).tolist() == expected
        thread = threading.Thread(target=lambda: seen.append(default_generator()))
        thread.start()
        thread.join()
    assert tg.get_rng_state() == before
    assert seen == [default_generator()]


def test_a_generator_of_ones_own():
    tg.manual_seed(0)
    before = tg.get_rng_state()
    for draw in (
        lambda g: tg.rand(3, generator=g), lambda g: tg.randn(3, generator=g), lambda g: tg.randint(9, (3,), generator=g),
        lambda g: tg.randperm(5, generator=g),
    ):  # fmt: skip
        assert draw(np.random.default_rng(1)).tolist() == draw(np.random.default_rng(1)).tolist()
    assert tg.get_rng_state() == before


def test_distributions():
    tg.manual_seed(0)
    u, z, n = tg.rand(50_000), tg.randn(50_000), tg.randint(-2, 3, (50_000,))
    assert 0 <= u.min().item() < 1e-3 < 0.999 < u.max().item() < 1
    assert u.mean().item() == pytest.approx(0.5, abs=0.01)
    assert z.mean().item() == pytest.approx(0, abs=0.02)
    assert z.std().item() == pytest.approx(1, abs=0.02)
    assert sorted(set(n.tolist())) == [-2, -1, 0, 1, 2]


def test_integers():
    assert tg.randint(3, (4,)).dtype == np.int64
    assert tg.randint(3, (4,), dtype=np.uint8).dtype == np.uint8
    assert (
        tg.randint(5, size=(2, 2)).shape
        == tg.randint(1, 5, (2, 2)).shape
        == tg.randint(low=1, high=5, size=(2, 2)).shape
        == (2, 2)
    )
    for draws in (tg.randint(3, (200,)), tg.randint(3, size=(200,)), tg.randint(0, 3, (200,))):
        assert sorted(set(draws.tolist())) == [0, 1, 2]
    assert sorted(tg.randperm(6).tolist()) == [0, 1, 2, 3, 4, 5]
    assert tg.randperm(0).shape == (0,)
