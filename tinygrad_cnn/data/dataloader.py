"""DataLoader: a data set in batches, shuffled anew in every epoch.

The order of the samples is drawn when an epoch begins, in the thread that asked for it, and batches come out in that
order however many threads work on them. A random transform of the data set draws from a stream that belongs to the
batch. So one seed gives one sequence of batches, whatever ``num_workers`` is.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from .. import ops, random
from ..errors import ArgumentError, DTypeError, ShapeError
from ..tensor import Tensor, as_array
from .dataset import SizedIndexable, get_batch

_AHEAD = 2  # batches that each worker may be ahead of the consumer


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
    num_workers : int, default 0
        Threads that load batches ahead of their use; 0 loads each when it is asked for. Threads pay where loading waits
        for a disk or spends its time in NumPy; pure Python code gains nothing.
    collate_fn : callable, optional
        Makes a batch of a list of samples; by default `default_collate`.
    drop_last : bool, default False
        Leave out the last batch if it is smaller than the others.
    generator : numpy.random.Generator, optional
        Where the order comes from, and the seed of what the data set draws; by default the package's own generator.

    Raises
    ------
    ArgumentError
        If `batch_size` or `num_workers` is out of range, or both `shuffle` and `sampler` are given.

    Notes
    -----
    An exception raised by the data set is passed on as it is, with a note that names the sample.

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
        *,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        drop_last: bool = False,
        generator: np.random.Generator | None = None,
    ) -> None:
        if batch_size < 1:
            raise ArgumentError(f"batch_size must be 1 or more samples, got {batch_size}")
        if num_workers < 0:
            raise ArgumentError(f"num_workers must be 0 (no threads) or more, got {num_workers}")
        if shuffle and sampler is not None:
            raise ArgumentError("shuffle=True and sampler=... both decide the order of the samples: give only one")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = bool(shuffle)
        self.sampler = sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.generator = generator

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        samples = len(self.dataset if self.sampler is None else self.sampler)
        return samples // self.batch_size if self.drop_last else math.ceil(samples / self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        """Begin an epoch."""
        generator = self.generator or random.default_generator()
        batches = self._batches(self._order(generator), int(generator.integers(2**63)))
        # Generators, not `map`: a data set that raises StopIteration by mistake must not end the epoch in silence.
        return self._load_ahead(batches) if self.num_workers else (self._load(*batch) for batch in batches)

    def _order(self, generator: np.random.Generator) -> Sequence[int]:
        """Return the indices of one epoch."""
        if self.sampler is not None:
            return [int(index) for index in self.sampler]
        if self.shuffle:
            order: list[int] = generator.permutation(len(self.dataset)).tolist()
            return order
        return range(len(self.dataset))

    def _batches(self, order: Sequence[int], seed: int) -> Iterator[tuple[Sequence[int], np.random.Generator]]:
        """Return, for each batch of one epoch, the indices of its samples and a generator of its own."""
        size = self.batch_size
        stop = len(order) // size * size if self.drop_last else len(order)
        return ((order[start : start + size], np.random.default_rng([seed, start])) for start in range(0, stop, size))

    def _load(self, indices: Sequence[int], generator: np.random.Generator) -> Any:
        """Return the batch of these samples; what they draw comes from `generator`."""
        with random.drawing_from(generator):
            return self._fetch(indices)

    def _fetch(self, indices: Sequence[int]) -> Any:
        """Return the batch of these samples."""
        now: Sequence[int] | int = indices  # what is being loaded at the moment, for the note on an exception
        try:
            if self.collate_fn is None:
                batch = get_batch(self.dataset, indices)
                if batch is not None:
                    return _with_tensors(batch)
            collate = self.collate_fn or default_collate
            if hasattr(self.dataset, "__getitems__"):
                return collate(self.dataset.__getitems__(indices))
            samples = [self.dataset[now := index] for index in indices]
            now = indices
            return collate(samples)
        except Exception as error:
            what = f"sample {now}" if isinstance(now, int) else f"samples {list(now)}"
            error.add_note(f"This happened while a DataLoader loaded {what} of {type(self.dataset).__name__}")
            raise

    def _load_ahead(self, batches: Iterator[tuple[Sequence[int], np.random.Generator]]) -> Iterator[Any]:
        """Yield the batches in order while threads load the next ones."""
        pool = ThreadPoolExecutor(self.num_workers, thread_name_prefix="DataLoader")
        try:
            ahead: deque[Future[Any]] = deque()
            for work in itertools.islice(batches, _AHEAD * self.num_workers):
                ahead.append(pool.submit(self._load, *work))
            while ahead:
                batch = ahead.popleft()
                for work in itertools.islice(batches, 1):
                    ahead.append(pool.submit(self._load, *work))
                yield batch.result()
        finally:
            # Also reached when the loop over the loader is left early: what has not begun is not needed any more.
            pool.shutdown(cancel_futures=True)


def default_collate(samples: Sequence[Any]) -> Any:
    """Make one batch of several samples: numbers, arrays and tensors are stacked along a new first dimension.

    Parameters
    ----------
    samples : sequence
        At least one sample. Tuples, lists and dicts are batched field by field; strings stay a list.

    Returns
    -------
    Tensor, tuple, dict or list
        Like one sample, with a batch in the place of each value. Python floats get the default dtype.

    Raises
    ------
    ShapeError
        If the samples have different shapes or numbers of fields.
    DTypeError
        If they are of a type that has no rule.

    Examples
    --------
    >>> images, labels = default_collate([(np.zeros((1, 28, 28)), 3), (np.ones((1, 28, 28)), 4)])
    >>> images.shape, labels.tolist()
    ((2, 1, 28, 28), [3, 4])
    """
    first = samples[0]
    if isinstance(first, Tensor | np.ndarray):
        return _stack(samples)
    if isinstance(first, str | bytes):
        return list(samples)
    if isinstance(first, int | float | np.generic):
        return Tensor(as_array(list(samples)))
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple | list):
        lengths = sorted({len(sample) for sample in samples})
        if len(lengths) > 1:
            raise ShapeError(f"the samples of a batch must have equally many fields, got {lengths}: give a collate_fn")
        return tuple(default_collate(field) for field in zip(*samples, strict=True))
    raise DTypeError(
        f"samples of type {type(first).__name__} cannot be batched: give a collate_fn, or let the data set return "
        "arrays, tensors or numbers"
    )


def _stack(samples: Sequence[Any]) -> Tensor:
    """Stack arrays or tensors of equal shapes."""
    shapes = [tuple(sample.shape) for sample in samples]
    if len(set(shapes)) > 1:
        odd = next(place for place, shape in enumerate(shapes) if shape != shapes[0])
        raise ShapeError(
            f"the samples of a batch must have equal shapes: number 0 of it has {shapes[0]}, number {odd} has "
            f"{shapes[odd]}: crop or pad them in the data set, or give a collate_fn"
        )
    return ops.stack(samples) if isinstance(samples[0], Tensor) else Tensor(np.stack(samples))


def _with_tensors(batch: Any) -> Any:
    """Turn the arrays of a batch that came stacked into tensors, without a copy."""
    if isinstance(batch, np.ndarray):
        return Tensor(batch)
    if isinstance(batch, Mapping):
        return {key: _with_tensors(value) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        return tuple(map(_with_tensors, batch))
    return batch
