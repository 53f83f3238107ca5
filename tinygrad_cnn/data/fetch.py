"""Fetching: what a loader's workers do for one batch, and how far they go ahead of its use."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import random
from ..tensor import Tensor
from .collate import default_collate, with_tensors
from .dataset import SizedIndexable, get_batch

Work = tuple[Sequence[int], np.random.Generator]
"""The indices of a batch, and the stream that its random transforms draw from."""


@dataclass(frozen=True)
class Fetcher:
    """Makes batches: takes the samples, collates them, transforms the whole. The options are those of `DataLoader`."""

    dataset: SizedIndexable[Any]
    collate_fn: Callable[[list[Any]], Any] | None
    input_transform: Callable[[Any], Any] | None
    batch_transform: Callable[..., Any] | None

    def __call__(self, indices: Sequence[int], generator: np.random.Generator) -> Any:
        """Return the batch of these samples; what is drawn for them comes from `generator`."""
        with random.drawing_from(generator):
            batch = self._take(indices)
            if self.input_transform is None and self.batch_transform is None:
                return batch
            try:
                return with_tensors(self._transform(batch))
            except Exception as error:
                self._name(error, indices, "transformed")
                raise

    def _take(self, indices: Sequence[int]) -> Any:
        """Return the samples as a batch."""
        now: Sequence[int] | int = indices  # what is being loaded at the moment, for the note on an exception
        try:
            if self.collate_fn is None:
                batch = get_batch(self.dataset, indices)
                if batch is not None:
                    return with_tensors(batch)
            collate = self.collate_fn or default_collate
            if hasattr(self.dataset, "__getitems__"):
                return collate(self.dataset.__getitems__(indices))
            samples = [self.dataset[now := index] for index in indices]
            now = indices
            return collate(samples)
        except Exception as error:
            self._name(error, now, "loaded")
            raise

    def _transform(self, batch: Any) -> Any:
        """Apply the transforms of whole batches."""
        fields = tuple(map(_array, batch)) if isinstance(batch, tuple | list) else (_array(batch),)
        if self.input_transform is not None:
            fields = (self.input_transform(fields[0]), *fields[1:])
        if self.batch_transform is not None:
            return self.batch_transform(*fields)
        return fields if isinstance(batch, tuple | list) else fields[0]

    def _name(self, error: Exception, samples: Sequence[int] | int, done: str) -> None:
        """Tell an exception which samples it is about: in a note and, if its message is one string, in that too."""
        name = type(self.dataset).__name__
        what = f"sample {samples}" if isinstance(samples, int) else f"samples {list(samples)}"
        error.add_note(f"This happened while a DataLoader {done} {what} of {name}")
        if len(error.args) == 1 and isinstance(error.args[0], str):
            error.args = (f"{error.args[0]} [{what} of {name}]",)


def ahead(fetch: Fetcher, works: Iterator[Work], workers: int, prefetch: int) -> Iterator[Any]:
    """Yield the batches in order while threads load the next ones, each thread up to `prefetch` of them."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="DataLoader")
    try:
        loading: deque[Future[Any]] = deque()
        for work in itertools.islice(works, prefetch * workers):
            loading.append(pool.submit(fetch, *work))
        while loading:
            batch = loading.popleft()
            for work in itertools.islice(works, 1):
                loading.append(pool.submit(fetch, *work))
            yield batch.result()
    finally:
        # Also reached when the loop over the loader is left early: what has not begun is not needed any more.
        pool.shutdown(cancel_futures=True)


def _array(field: Any) -> Any:
    """Return the array of a tensor, and anything else as it is."""
    return field.array if isinstance(field, Tensor) else field
