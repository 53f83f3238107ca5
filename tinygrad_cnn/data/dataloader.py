"""DataLoader: a data set in batches, shuffled anew in every epoch.

The order of the samples is drawn when an epoch begins, in the thread that asked for it, and batches come out in that
order however many threads work on them. What is random in a sample draws from a stream that belongs to its batch. So
one seed gives one sequence of batches, whatever ``num_workers`` is; and where a run stands is a few numbers, from which
another process goes on with the very next batch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import random
from ..autograd.observers import record_function
from ..errors import ArgumentError
from .dataset import SizedIndexable
from .fetch import Fetcher, ahead
from .generators import generator_at, require_same_kind, state_of
from .sampler import cut, number_of_batches, require_batch_size


@dataclass
class _Epoch:
    """One pass over the data set: what decides its batches, and how many of them have been given out."""

    seed: int  # of the streams that belong to the batches
    drawn_at: dict[str, Any] | None  # where the generator stood when it drew the order; None if it drew none
    batches: Sequence[Sequence[int]]  # the indices of each batch
    given: int = 0


class DataLoader:
    """Iterates over a data set in batches; each ``for`` loop over it is one epoch.

    Parameters
    ----------
    dataset : Dataset
        Anything with ``__len__`` and ``__getitem__``. If it has `Dataset.get_batch`, a whole batch is taken at once;
        otherwise, if it has ``__getitems__``, that is asked for the list of samples, as PyTorch does.
    batch_size : int, default 1
        Samples in a batch; the last batch of an epoch may be smaller.
    shuffle : bool, optional
        Whether each epoch has an order of its own; by default the order is that of the data set.
    sampler : iterable of int, optional
        The indices of an epoch, asked for anew in each; excludes `shuffle`.
    batch_sampler : iterable of lists of int, optional
        The indices of each batch of an epoch; excludes `batch_size`, `shuffle`, `sampler` and `drop_last`.
    num_workers : int, default 0
        Threads that load batches ahead of their use; 0 loads each when it is asked for. Threads pay where loading waits
        for a disk or spends its time in NumPy; pure Python code gains nothing.
    collate_fn : callable, optional
        Makes a batch of a list of samples; by default `default_collate`.
    drop_last : bool, default False
        Leave out the last batch if it is smaller than the others.
    generator : numpy.random.Generator, optional
        Where the order comes from, and the seed of what is drawn for the samples; by default the package's own
        generator.
    prefetch_factor : int, optional
        Batches that each worker may be ahead of their use; by default 2.
    input_transform : callable, optional
        Applied to the inputs of each whole batch (the array itself, or the first of several fields): an array in, an
        array out. Every one of `transforms` serves.
    batch_transform : callable, optional
        Applied after that to all the fields of each whole batch, as arrays, and returns the fields of the new one:
        `transforms.MixUp`.

    Raises
    ------
    ArgumentError
        If an option is out of range, or two of them exclude each other.

    Notes
    -----
    An exception raised by the data set is passed on with its own type and the number of the sample, in its message (if
    it has a plain one) and in a note. Workers are threads, which share everything: there is nothing that a
    ``worker_init_fn`` would have to set up, and no memory to pin.

    Examples
    --------
    >>> loader = DataLoader(range(5), batch_size=2)
    >>> len(loader)
    3
    >>> [batch.tolist() for batch in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: SizedIndexable[Any],
        batch_size: int = 1,
        shuffle: bool | None = None,
        sampler: Any | None = None,
        batch_sampler: Any | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        *,
        drop_last: bool = False,
        generator: np.random.Generator | None = None,
        prefetch_factor: int | None = None,
        input_transform: Callable[[Any], Any] | None = None,
        batch_transform: Callable[..., Any] | None = None,
    ) -> None:
        require_batch_size(batch_size)
        if num_workers < 0:
            raise ArgumentError(f"num_workers must be 0 (no threads) or more, got {num_workers}")
        if shuffle and sampler is not None:
            raise ArgumentError("shuffle=True and sampler=... both decide the order of the samples: give only one")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ArgumentError("batch_sampler decides all: give no batch_size, shuffle, sampler or drop_last with it")
        if prefetch_factor is not None and (prefetch_factor < 1 or num_workers == 0):
            raise ArgumentError(
                f"prefetch_factor must be 1 or more and needs workers, got {prefetch_factor} with num_workers={num_workers}"
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = bool(shuffle)
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.generator = generator
        self.prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        self.input_transform = input_transform
        self.batch_transform = batch_transform
        self._number = 0  # of the current epoch, or of the next if none is begun
        self._current: _Epoch | None = None
        self._loaded = False  # whether the current epoch comes from a state and waits to be gone on with

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)
        return number_of_batches(
            len(self.dataset if self.sampler is None else self.sampler), self.batch_size, self.drop_last
        )

    def __iter__(self) -> Iterator[Any]:
        """Begin an epoch, or go on with the one that `load_state_dict` has brought."""
        if not self._loaded:
            if self._current is not None:  # its loop was left early
                self._number += 1
            self._current = self._begin()
        self._loaded = False
        assert self._current is not None
        return self._give(self._current)

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader stands, as plain data that JSON can hold.

        Taken between two batches of a loop, it is a point from which `load_state_dict` goes on with the second of
        them, however far the workers are ahead.

        Returns
        -------
        dict
            ``epoch``, its number from 0 on, and ``batch``, how many of its batches have been given out; then what
            makes the rest of it again, where the generator stands, and what must be alike in the loader that goes on.

        Examples
        --------
        >>> loader = DataLoader(range(6), 2, shuffle=True)
        >>> for batch in loader:
        ...     state = loader.state_dict()
        ...     break
        >>> other = DataLoader(range(6), 2, shuffle=True)
        >>> other.load_state_dict(state)
        >>> len(list(other)), len(list(other))
        (2, 3)
        """
        state: dict[str, Any] = {
            "epoch": self._number,
            "batch": 0,
            "begun": None,
            "generator": state_of(self._generator()),
            "sampler": self._sampler_state(),
            "loader": self._settings(),
        }
        if self._current is not None:
            state["batch"] = self._current.given
            state["begun"] = {
                "seed": self._current.seed,
                "drawn_at": self._current.drawn_at,
                # The order of a sampler cannot be made again, so what is left of it is kept; any other can.
                "rest": list(self._current.batches[self._current.given :]) if self._has_sampler() else None,
            }
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state: the next loop gives the batches that were still to come, the one after it a new epoch.

        The generator (the package's, if the loader has none of its own) is put to where it stood, too.

        Parameters
        ----------
        state_dict : dict
            From `state_dict`, of a loader with the same settings over as many samples.

        Raises
        ------
        ArgumentError
            If it is of another loader; then nothing is changed.
        """
        missing = sorted({"epoch", "batch", "begun", "generator", "sampler", "loader"} - set(state_dict))
        if missing:
            raise ArgumentError(f"this is no state of a DataLoader: it has no {', '.join(missing)}")
        if state_dict["loader"] != self._settings():
            raise ArgumentError(
                f"the state is of a loader with {state_dict['loader']}, this one has {self._settings()}: make it as it was"
            )
        require_same_kind(self._generator(), state_dict["generator"])
        current = self._restored(state_dict)
        if hasattr(self._source(), "load_state_dict"):
            self._source().load_state_dict(state_dict["sampler"])
        self._generator().bit_generator.state = state_dict["generator"]
        self._number = state_dict["epoch"]
        self._current = current
        self._loaded = current is not None

    def _restored(self, state_dict: Mapping[str, Any]) -> _Epoch | None:
        """Return the epoch that a state stands in; None if it stands between two."""
        begun, given = state_dict["begun"], state_dict["batch"]
        if begun is None:
            return None
        if begun["rest"] is not None:
            return _Epoch(begun["seed"], begun["drawn_at"], [[]] * given + begun["rest"], given)
        generator = None if begun["drawn_at"] is None else generator_at(begun["drawn_at"])
        return _Epoch(begun["seed"], begun["drawn_at"], self._order(generator), given)

    def _begin(self) -> _Epoch:
        """Draw a new epoch."""
        generator = self._generator()
        drawn_at = state_of(generator) if self.shuffle else None
        with random.drawing_from(generator):
            batches = self._order(generator)
        return _Epoch(int(generator.integers(2**63)), drawn_at, batches)

    def _order(self, generator: np.random.Generator | None) -> Sequence[Sequence[int]]:
        """Return the indices of each batch of one epoch."""
        if self.batch_sampler is not None:
            return [[int(index) for index in batch] for batch in self.batch_sampler]
        order: Sequence[int] = range(len(self.dataset))
        if self.sampler is not None:
            order = [int(index) for index in self.sampler]
        elif self.shuffle and generator is not None:
            order = generator.permutation(len(self.dataset)).tolist()
        return cut(order, self.batch_size, self.drop_last)

    def _generator(self) -> np.random.Generator:
        return self.generator or random.default_generator()

    def _source(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def _has_sampler(self) -> bool:
        return self._source() is not None

    def _sampler_state(self) -> dict[str, Any]:
        return self._source().state_dict() if hasattr(self._source(), "state_dict") else {}

    def _settings(self) -> dict[str, Any]:
        """Return what must be alike in two loaders of which one goes on where the other stopped."""
        return {
            "samples": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "sampler": self._has_sampler(),
            "drop_last": self.drop_last,
        }

    def _give(self, epoch: _Epoch) -> Iterator[Any]:
        """Yield the batches of an epoch that have not been given out, and count them."""
        works = (
            (epoch.batches[number], np.random.default_rng([epoch.seed, number]))
            for number in range(epoch.given, len(epoch.batches))
        )
        fetch = Fetcher(self.dataset, self.collate_fn, self.input_transform, self.batch_transform)
        # A generator, not `map`: a data set that raises StopIteration by mistake must not end the epoch in silence.
        alone = (fetch(*work) for work in works)
        batches = ahead(fetch, works, self.num_workers, self.prefetch_factor) if self.num_workers else alone
        for _ in range(epoch.given, len(epoch.batches)):
            with record_function("DataLoader.next"):
                batch = next(batches)
            epoch.given += 1
            yield batch
        if self._current is epoch:
            self._current = None
            self._number += 1
