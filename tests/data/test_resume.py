"""A loader's state: where one run stopped, another goes on with the very next batch."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import random
from tinygrad_cnn.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    transforms,
)
from tinygrad_cnn.errors import ArgumentError

SIZE, BATCHES, EPOCHS = 11, 4, 3


class Noisy(Dataset[tuple[int, float]]):
    def __len__(self) -> int:
        return SIZE

    def __getitem__(self, index: int) -> tuple[int, float]:
        return index, random.default_generator().random()


class Shuffled:
    """A foreign sampler: no generator that the loader could see, no state."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        return iter(np.random.default_rng(self.seed).permutation(SIZE))

    def __len__(self) -> int:
        return SIZE


def own(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


MAKERS: dict[str, Callable[[int], DataLoader]] = {
    "in order": lambda seed: DataLoader(Noisy(), 3),
    "shuffled": lambda seed: DataLoader(Noisy(), 3, shuffle=True),
    "own generator": lambda seed: DataLoader(Noisy(), 3, shuffle=True, generator=own(seed)),
    "MT19937": lambda seed: DataLoader(Noisy(), 3, shuffle=True, generator=np.random.Generator(np.random.MT19937(seed))),
    "Philox": lambda seed: DataLoader(Noisy(), 3, shuffle=True, generator=np.random.Generator(np.random.Philox(seed))),
    "SFC64": lambda seed: DataLoader(Noisy(), 3, shuffle=True, generator=np.random.Generator(np.random.SFC64(seed))),
    "sampler": lambda seed: DataLoader(Noisy(), 3, sampler=RandomSampler(range(SIZE))),
    "sampler's generator": lambda seed: DataLoader(Noisy(), 3, sampler=RandomSampler(range(SIZE), generator=own(seed))),
    "weighted": lambda seed: DataLoader(Noisy(), 3, sampler=WeightedRandomSampler(np.arange(SIZE), SIZE, generator=own(seed))),
    "batch sampler": lambda seed: DataLoader(
        Noisy(), batch_sampler=BatchSampler(SubsetRandomSampler(range(SIZE), own(seed)), 3, drop_last=False)
    ),
    "foreign sampler": lambda seed: DataLoader(Noisy(), 3, sampler=Shuffled(1)),
    "transformed": lambda seed: DataLoader(
        TensorDataset(np.random.default_rng(0).random((SIZE, 1, 6, 6))),
        3,
        shuffle=True,
        input_transform=transforms.RandomAffine(20),
    ),
}


def plain(batch: Any) -> Any:
    return [field.tolist() for field in batch]


def run(loader: DataLoader, epochs: int) -> list[Any]:
    """All batches of some epochs, drawing from the package's generator in between as dropout does."""
    seen = []
    for _ in range(epochs):
        for batch in loader:
            seen.append(plain(batch))
            random.default_generator().random()
    return seen


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_resumed_after_any_batch(make: Callable[[int], DataLoader], workers: int) -> None:
    random.manual_seed(1)
    loader = make(5)
    loader.num_workers = workers
    everything: list[Any] = []
    states = []
    for _ in range(EPOCHS):
        states.append((len(everything), loader.state_dict()))
        for batch in loader:
            everything.append(plain(batch))
            states.append((len(everything), json.dumps(loader.state_dict())))
            random.default_generator().random()
    assert len(everything) == EPOCHS * BATCHES
    for done, state in states:
        random.manual_seed(77)  # another process
        resumed = make(88)
        resumed.num_workers = 2 - workers
        resumed.load_state_dict(json.loads(state) if isinstance(state, str) else state)
        # The state was taken before "dropout" drew, after the batch.
        if isinstance(state, str):
            random.default_generator().random()
        epoch = resumed.state_dict()["epoch"]
        assert epoch == (done - (1 if isinstance(state, str) else 0)) // BATCHES
        assert run(resumed, EPOCHS - epoch) == everything[done:]


def test_state_is_of_what_was_given_out_not_of_what_was_loaded() -> None:
    loaded = []

    class Recorded(Noisy):
        def __getitem__(self, index: int) -> tuple[int, float]:
            loaded.append(index)
            return super().__getitem__(index)

    loader = DataLoader(Recorded(), 1, num_workers=2, prefetch_factor=4)
    epoch = iter(loader)
    next(epoch)
    state = loader.state_dict()
    assert (state["epoch"], state["batch"]) == (0, 1)
    resumed = DataLoader(Recorded(), 1)
    resumed.load_state_dict(state)
    assert next(iter(resumed))[0].tolist() == [1]
    del epoch
    assert len(loaded) > 2


def test_state_after_the_last_batch_ends_the_epoch_and_begins_the_next() -> None:
    loader = DataLoader(range(4), 2)
    for _ in loader:
        state = loader.state_dict()
    assert (state["epoch"], state["batch"]) == (0, 2)
    resumed = DataLoader(range(4), 2)
    resumed.load_state_dict(state)
    assert list(resumed) == []
    assert resumed.state_dict()["epoch"] == 1
    assert [batch.tolist() for batch in resumed] == [[0, 1], [2, 3]]


def test_epochs_are_counted_also_when_left_early() -> None:
    loader = DataLoader(range(4), 2)
    numbers = []
    for _ in range(3):
        for _batch in loader:
            break
        numbers.append(loader.state_dict()["epoch"])
    assert numbers == [0, 1, 2]
    list(loader)
    assert loader.state_dict()["epoch"] == 4


def test_state_of_a_loader_that_waits_to_go_on_is_the_one_that_it_was_given() -> None:
    loader = DataLoader(Noisy(), 3, shuffle=True, generator=own(0))
    next(iter(loader))
    state = loader.state_dict()
    other = DataLoader(Noisy(), 3, shuffle=True, generator=own(9))
    other.load_state_dict(state)
    assert other.state_dict() == state
    other.load_state_dict(DataLoader(Noisy(), 3, shuffle=True, generator=own(0)).state_dict())
    assert other.state_dict()["batch"] == 0


def test_saving_a_state_changes_nothing() -> None:
    loader = DataLoader(Noisy(), 3, shuffle=True, generator=own(0))
    with_states = []
    for batch in loader:
        loader.state_dict()
        with_states.append(plain(batch))
    assert run(DataLoader(Noisy(), 3, shuffle=True, generator=own(0)), 1) == with_states


def altered(state: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return state | changes


@pytest.mark.parametrize(
    ("make_state", "message"),
    [
        (lambda: {"epoch": 1}, "this is no state of a DataLoader: it has no batch, begun, generator, loader, sampler"),
        (lambda: DataLoader(range(7), 2, shuffle=True).state_dict(), "the state is of a loader with {'samples': 7, .*make it"),
        (lambda: DataLoader(range(8), 3, shuffle=True).state_dict(), "the state is of a loader with .*'batch_size': 3"),
        (lambda: DataLoader(range(8), 2).state_dict(), "the state is of a loader with .*'shuffle': False"),
        (
            lambda: DataLoader(range(8), 2, shuffle=True, generator=np.random.Generator(np.random.Philox(0))).state_dict(),
            "the generator is a PCG64, but the state that it should take is that of a Philox: give the loader",
        ),
        (
            lambda: altered(DataLoader(range(8), 2, shuffle=True).state_dict(), generator={"bit_generator": "PCG64"}),
            "this is no state of a PCG64 generator: KeyError",
        ),
        (
            lambda: altered(
                DataLoader(range(8), 2, shuffle=True).state_dict(),
                begun={"seed": 1, "drawn_at": {"bit_generator": "Dice"}, "rest": None},
            ),
            "the state of a generator must be one of PCG64, .*, got 'Dice'",
        ),
    ],
)
def test_refused_state_changes_nothing(make_state: Callable[[], dict[str, Any]], message: str) -> None:
    foreign = make_state()
    loader = DataLoader(range(8), 2, shuffle=True, generator=own(0))
    next(iter(loader))
    before = loader.state_dict()
    with pytest.raises(ArgumentError, match=message):
        loader.load_state_dict(foreign)
    assert loader.state_dict() == before


def test_refused_state_of_a_sampler_changes_nothing() -> None:
    with_own = DataLoader(range(8), 2, sampler=RandomSampler(range(8), generator=own(0)))
    without = DataLoader(range(8), 2, sampler=RandomSampler(range(8)))
    for loader, foreign, message in (
        (without, with_own, "the sampler that was saved had a generator of its own, this RandomSampler has none: make it"),
        (with_own, without, "the sampler that was saved had no generator of its own, this RandomSampler has one: make it"),
    ):
        before = loader.state_dict()
        with pytest.raises(ArgumentError, match=message):
            loader.load_state_dict(foreign.state_dict())
        assert loader.state_dict() == before
