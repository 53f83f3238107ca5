"""Samplers: in which order a loader takes the samples of a data set.

A sampler is anything that can be iterated over anew for each epoch and gives indices; a batch sampler gives lists of
them. Those here draw from the generator that they are given, or else from the package's, which inside a `DataLoader`
is the loader's own.
"""

import math
from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from .. import random
from ..errors import ArgumentError
from .generators import require_same_kind, state_of

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """Base of the samplers: a subclass writes ``__iter__`` and ``__len__``.

    Attributes
    ----------
    generator : numpy.random.Generator or None
        What it draws from, if it has one of its own.
    """

    generator: np.random.Generator | None = None

    def __iter__(self) -> Iterator[T_co]:
        """Begin an epoch."""
        raise NotImplementedError(f"{type(self).__name__} must define __iter__: the indices of an epoch")

    def __len__(self) -> int:
        """Return how much one epoch gives."""
        raise NotImplementedError(f"{type(self).__name__} must define __len__: how much one epoch gives")

    def state_dict(self) -> dict[str, Any]:
        """Return where its own generator stands, as plain data; nothing if it has none."""
        return {} if self.generator is None else {"generator": state_of(self.generator)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Put its own generator to where it stood.

        Raises
        ------
        ArgumentError
            If the state is of a generator and the sampler has none, or another kind; or the reverse.
        """
        if ("generator" in state_dict) != (self.generator is not None):
            had, has = ("had a", "has none") if "generator" in state_dict else ("had no", "has one")
            raise ArgumentError(
                f"the sampler that was saved {had} generator of its own, this {type(self).__name__} {has}: make it as it was"
            )
        if self.generator is not None:
            require_same_kind(self.generator, state_dict["generator"])
            self.generator.bit_generator.state = state_dict["generator"]

    def _generator(self) -> np.random.Generator:
        return self.generator or random.default_generator()


class SequentialSampler(Sampler[int]):
    """The samples in order.

    Examples
    --------
    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """The samples in a random order, or drawn with replacement.

    Parameters
    ----------
    data_source : sized
        The data set.
    replacement : bool, default False
        Whether a sample may come again before all have come.
    num_samples : int, optional
        How many indices an epoch has; by default as many as there are samples. Without replacement, more of them are
        whole shuffled rounds and a part of one.
    generator : numpy.random.Generator, optional
        What it draws from.

    Raises
    ------
    ArgumentError
        If `num_samples` is less than 1.

    Examples
    --------
    >>> sorted(RandomSampler("abcd"))
    [0, 1, 2, 3]
    >>> len(list(RandomSampler("abcd", replacement=True, num_samples=10)))
    10
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: np.random.Generator | None = None,
    ) -> None:
        if num_samples is not None and num_samples < 1:
            raise ArgumentError(f"num_samples must be 1 or more, got {num_samples}")
        self.data_source = data_source
        self.replacement = replacement
        self.num_samples = num_samples
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        size, wanted, generator = len(self.data_source), len(self), self._generator()
        drawn: list[int] = []
        if size and self.replacement:
            drawn = generator.integers(size, size=wanted).tolist()
        elif size:
            rounds = [generator.permutation(size) for _ in range(math.ceil(wanted / size))]
            drawn = np.concatenate(rounds)[:wanted].tolist()
        return iter(drawn)

    def __len__(self) -> int:
        return len(self.data_source) if self.num_samples is None else self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """Some samples, in a random order.

    Examples
    --------
    >>> sorted(SubsetRandomSampler([7, 3, 5]))
    [3, 5, 7]
    """

    def __init__(self, indices: Sequence[int], generator: np.random.Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        return iter([self.indices[place] for place in self._generator().permutation(len(self.indices)).tolist()])

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Samples drawn in proportion to weights, for example to see rare classes as often as frequent ones.

    Parameters
    ----------
    weights : sequence of float
        One for each sample, 0 or more; they need not add up to 1.
    num_samples : int
        How many indices an epoch has.
    replacement : bool, default True
        Whether a sample may come more than once.
    generator : numpy.random.Generator, optional
        What it draws from.

    Raises
    ------
    ArgumentError
        If a weight is negative or not finite, all are 0, or `num_samples` is less than 1 or, without replacement, more
        than the weights that are not 0.

    Examples
    --------
    >>> set(WeightedRandomSampler([0, 1, 0, 3], 20)) <= {1, 3}
    True
    """

    def __init__(
        self,
        weights: Sequence[float] | npt.NDArray[Any],
        num_samples: int,
        replacement: bool = True,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.weights = np.asarray(weights, np.float64)
        if self.weights.ndim != 1 or not np.isfinite(self.weights).all() or (self.weights < 0).any() or not self.weights.any():
            raise ArgumentError(f"weights must be a list of numbers of 0 or more, not all 0, got {weights}")
        drawable = int(np.count_nonzero(self.weights))
        if num_samples < 1 or (not replacement and num_samples > drawable):
            limit = "1 or more" if replacement else f"1 to {drawable}, the number of weights that are not 0"
            raise ArgumentError(f"num_samples must be {limit}, got {num_samples}")
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        share = self.weights / self.weights.sum()
        drawn: list[int] = self._generator().choice(len(share), self.num_samples, self.replacement, share).tolist()
        return iter(drawn)

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of the indices that another sampler gives.

    Parameters
    ----------
    sampler : iterable of int
        The other sampler.
    batch_size : int
        How many indices a list has.
    drop_last : bool
        Whether to leave out a last list that is shorter.

    Raises
    ------
    ArgumentError
        If `batch_size` is less than 1.

    Examples
    --------
    >>> list(BatchSampler(SequentialSampler(range(5)), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool) -> None:
        require_batch_size(batch_size)
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        order = [int(index) for index in self.sampler]
        return (list(batch) for batch in cut(order, self.batch_size, self.drop_last))

    def __len__(self) -> int:
        return number_of_batches(len(self.sampler), self.batch_size, self.drop_last)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the other sampler, if that has any."""
        return self.sampler.state_dict() if hasattr(self.sampler, "state_dict") else {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Put the other sampler to where it stood; see `Sampler.load_state_dict`."""
        if hasattr(self.sampler, "load_state_dict"):
            self.sampler.load_state_dict(state_dict)


def require_batch_size(batch_size: int) -> None:
    """Raise ArgumentError unless a batch has a sample."""
    if batch_size < 1:
        raise ArgumentError(f"batch_size must be 1 or more samples, got {batch_size}")


def number_of_batches(samples: int, size: int, drop_last: bool) -> int:
    """Return into how many batches `cut` cuts."""
    return samples // size if drop_last else math.ceil(samples / size)


def cut(order: Sequence[int], size: int, drop_last: bool) -> list[Sequence[int]]:
    """Cut an order into batches."""
    return [order[batch * size : (batch + 1) * size] for batch in range(number_of_batches(len(order), size, drop_last))]
