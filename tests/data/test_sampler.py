"""Samplers: which indices, how often, and from which generator."""

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import random
from tinygrad_cnn.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from tinygrad_cnn.errors import ArgumentError


def test_base_says_what_to_define() -> None:
    with pytest.raises(NotImplementedError, match="Sampler must define __iter__: the indices of an epoch"):
        iter(Sampler())
    with pytest.raises(NotImplementedError, match="Sampler must define __len__: how much one epoch gives"):
        len(Sampler())


def test_sequential() -> None:
    sampler = SequentialSampler("abc")
    assert list(sampler) == list(sampler) == [0, 1, 2]
    assert len(sampler) == 3


@pytest.mark.parametrize("wanted", [None, 1, 5, 6, 14])
def test_random_without_replacement_goes_in_rounds(wanted: int | None) -> None:
    sampler = RandomSampler("abcde", num_samples=wanted, generator=np.random.default_rng(0))
    drawn = list(sampler)
    assert len(drawn) == len(sampler) == (wanted or 5)
    for start in range(0, len(drawn), 5):
        assert len(set(drawn[start : start + 5])) == len(drawn[start : start + 5])
    if len(drawn) >= 5:
        assert list(sampler) != drawn


def test_random_with_replacement() -> None:
    drawn = list(RandomSampler("ab", replacement=True, num_samples=4000, generator=np.random.default_rng(0)))
    assert set(drawn) == {0, 1}
    assert abs(sum(drawn) - 2000) < 4 * np.sqrt(1000)


def test_no_samples() -> None:
    assert list(RandomSampler([])) == list(RandomSampler([], replacement=True)) == []


def test_subset() -> None:
    sampler = SubsetRandomSampler([7, 3, 5], np.random.default_rng(0))
    orders = {tuple(sampler) for _ in range(50)}
    assert len(orders) == 6
    assert {frozenset(order) for order in orders} == {frozenset({3, 5, 7})}
    assert len(sampler) == 3


def test_weights_are_frequencies() -> None:
    sampler = WeightedRandomSampler([1, 0, 3], 4000, generator=np.random.default_rng(0))
    counts = np.bincount(list(sampler), minlength=3)
    assert counts[1] == 0
    assert abs(counts[0] - 1000) < 4 * np.sqrt(750)
    assert len(sampler) == counts.sum() == 4000


def test_weights_without_replacement() -> None:
    sampler = WeightedRandomSampler([1, 0, 3, 1], 3, replacement=False)
    assert sorted(sampler) == [0, 2, 3]


@pytest.mark.parametrize("drop_last", [False, True])
def test_batches(drop_last: bool) -> None:
    sampler = BatchSampler(SequentialSampler(range(7)), 3, drop_last)
    assert list(sampler) == [[0, 1, 2], [3, 4, 5], [6]][: 2 if drop_last else 3]
    assert len(sampler) == 3 - drop_last


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomSampler("ab", num_samples=0), "num_samples must be 1 or more, got 0"),
        (lambda: WeightedRandomSampler([1, -1], 1), "weights must be a list of numbers of 0 or more, not all 0"),
        (lambda: WeightedRandomSampler([0, 0], 1), "weights must be a list of numbers of 0 or more, not all 0"),
        (lambda: WeightedRandomSampler([1, np.inf], 1), "weights must be a list"),
        (lambda: WeightedRandomSampler([1], 0), "num_samples must be 1 or more, got 0"),
        (lambda: WeightedRandomSampler([1, 0], 2, False), "num_samples must be 1 to 1, the number of weights .* got 2"),
        (lambda: BatchSampler([1], 0, False), "batch_size must be 1 or more samples, got 0"),
    ],
)
def test_options_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomSampler(range(20)),
        lambda: RandomSampler(range(20), True),
        lambda: SubsetRandomSampler(range(20)),
        lambda: WeightedRandomSampler(np.ones(20), 20),
        lambda: BatchSampler(RandomSampler(range(20)), 4, False),
    ],
)
def test_default_generator_is_the_packages(make: Any) -> None:
    with random.drawing_from(np.random.default_rng(0)):
        first, second = list(make()), list(make())
    with random.drawing_from(np.random.default_rng(0)):
        again = list(make())
    assert first == again != second


def test_in_a_loader_the_generator_is_the_loaders() -> None:
    def order(seed: int) -> Any:
        loader = DataLoader(range(20), 20, sampler=RandomSampler(range(20)), generator=np.random.default_rng(seed))
        return next(iter(loader)).tolist()

    assert order(0) == order(0) != order(1)
