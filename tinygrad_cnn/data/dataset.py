"""Data sets: anything that has a length and gives its i-th sample.

The names and rules are PyTorch's. One method is added, `Dataset.get_batch`: a data set that holds its samples in arrays
can give a whole batch with one indexing operation, several times quicker than taking the samples one by one and stacking
them.
"""

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from .. import random
from ..errors import ArgumentError, ShapeError

T_co = TypeVar("T_co", covariant=True)


class SizedIndexable(Protocol[T_co]):
    """What is asked of a data set: a length, and samples by number. A list has both."""

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def __getitem__(self, index: int, /) -> T_co:
        """Return one sample."""
        ...


class Dataset(Generic[T_co]):
    """Base of the data sets: a subclass writes ``__len__`` and ``__getitem__``.

    Examples
    --------
    >>> class Squares(Dataset[int]):
    ...     def __len__(self):
    ...         return 4
    ...     def __getitem__(self, index):
    ...         return index**2
    >>> list(Squares())
    [0, 1, 4, 9]
    """

    def __len__(self) -> int:
        """Return the number of samples."""
        raise NotImplementedError(f"{type(self).__name__} must define __len__: how many samples it has")

    def __getitem__(self, index: int) -> T_co:
        """Return one sample, often a tuple of an input and a target."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__: its sample of a given index")

    def __iter__(self) -> Iterator[T_co]:
        """Go through the samples in order."""
        return (self[index] for index in range(len(self)))

    def get_batch(self, indices: Sequence[int]) -> Any | None:
        """Return several samples, already stacked, if there is a quicker way than one by one.

        Parameters
        ----------
        indices : sequence of int
            Which samples, in which order.

        Returns
        -------
        object or None
            What stacking the samples gives (a tuple of arrays where a sample is a tuple); None, as here, if the samples
            have to be taken one by one.
        """
        return None


def get_batch(dataset: SizedIndexable[Any], indices: Sequence[int]) -> Any | None:
    """Return ``dataset.get_batch(indices)``, or None from a data set that has no such method."""
    method = getattr(dataset, "get_batch", None)
    return None if method is None else method(indices)


class TensorDataset(Dataset[tuple[Any, ...]]):
    """Samples that are rows of tensors or arrays: the i-th is the tuple of the i-th rows.

    Parameters
    ----------
    *tensors : Tensor or ndarray
        Of equal length in their first dimension.

    Attributes
    ----------
    tensors : tuple
        What was given.

    Raises
    ------
    ShapeError
        If the lengths differ, or one has no dimension.
    ArgumentError
        If there is none.

    Examples
    --------
    >>> rows = TensorDataset(np.array([[1, 2], [3, 4], [5, 6]]), np.array([7, 8, 9]))
    >>> len(rows)
    3
    >>> rows[1]
    (array([3, 4]), np.int64(8))
    """

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise ArgumentError("TensorDataset needs at least one tensor or array")
        shapes = [tuple(tensor.shape) for tensor in tensors]
        if () in shapes or len({shape[0] for shape in shapes}) != 1:
            raise ShapeError(
                f"the tensors of a TensorDataset must have the same length in dimension 0, got the shapes "
                f"{', '.join(map(str, shapes))}"
            )
        self.tensors = tensors

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def get_batch(self, indices: Sequence[int]) -> tuple[Any, ...]:
        """Return the rows `indices` of each tensor, taken at once."""
        rows = np.asarray(indices, dtype=np.intp)
        return tuple(tensor[rows] for tensor in self.tensors)


class Subset(Dataset[T_co]):
    """Some samples of another data set, in a given order.

    Parameters
    ----------
    dataset : Dataset
        The other data set.
    indices : sequence of int
        Which of its samples.

    Raises
    ------
    ArgumentError
        If an index is not one of the data set's.

    Examples
    --------
    >>> list(Subset("abcdef", [4, 0]))
    ['e', 'a']
    """

    def __init__(self, dataset: SizedIndexable[T_co], indices: Sequence[int]) -> None:
        size = len(dataset)
        for index in indices:
            if not -size <= index < size:
                raise ArgumentError(f"the data set has {size} samples, so there is no index {index}")
        self.dataset = dataset
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> T_co:
        return self.dataset[self.indices[index]]

    def get_batch(self, indices: Sequence[int]) -> Any | None:
        """Return the other data set's batch of these samples."""
        return get_batch(self.dataset, [self.indices[index] for index in indices])


class ConcatDataset(Dataset[T_co]):
    """Several data sets, one after the other.

    Parameters
    ----------
    datasets : iterable of Dataset
        At least one.

    Attributes
    ----------
    cumulative_sizes : list of int
        Where each ends.

    Raises
    ------
    ArgumentError
        If there is none.

    Examples
    --------
    >>> both = ConcatDataset(["ab", "cde"])
    >>> len(both), both[1], both[2], both[-1]
    (5, 'b', 'c', 'e')
    """

    def __init__(self, datasets: Iterable[SizedIndexable[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("ConcatDataset needs at least one data set")
        self.cumulative_sizes = list(itertools.accumulate(map(len, self.datasets)))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        if not -len(self) <= index < len(self):
            raise IndexError(f"the data sets have {len(self)} samples together, so there is no index {index}")
        index %= len(self)
        place = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[place][index - self.cumulative_sizes[place] + len(self.datasets[place])]


def random_split(
    dataset: SizedIndexable[T_co], lengths: Sequence[float], generator: np.random.Generator | None = None
) -> list[Subset[T_co]]:
    """Deal the samples of a data set out at random to several subsets, each sample to one.

    Parameters
    ----------
    dataset : Dataset
        What to split.
    lengths : sequence of int or float
        The sizes of the subsets, adding up to the data set's; or fractions, adding up to 1: each subset gets the
        fraction rounded down, and the samples left over go to the subsets one each, from the first on.
    generator : numpy.random.Generator, optional
        Where the randomness comes from; by default the package's own generator.

    Returns
    -------
    list of Subset

    Raises
    ------
    ArgumentError
        If a length is negative, or they add up to neither the size nor 1.

    Examples
    --------
    >>> parts = random_split(range(10), [0.75, 0.25], np.random.default_rng(0))
    >>> [len(part) for part in parts]
    [8, 2]
    """
    sizes = _sizes(len(dataset), lengths)
    order = (generator or random.default_generator()).permutation(len(dataset)).tolist()
    ends = np.cumsum(sizes).tolist()
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def _sizes(total: int, lengths: Sequence[float]) -> list[int]:
    """Return the sizes of the subsets, whether given as sizes or as fractions."""
    if any(length < 0 for length in lengths):
        raise ArgumentError(f"the lengths of a split must not be negative, got {list(lengths)}")
    if sum(lengths) == total and all(length == int(length) for length in lengths):
        return [int(length) for length in lengths]
    if not math.isclose(sum(lengths), 1):
        raise ArgumentError(
            f"the lengths of a split must add up to the {total} samples of the data set, or to 1 if they are "
            f"fractions; {list(lengths)} add up to {sum(lengths):g}"
        )
    sizes = [math.floor(total * fraction) for fraction in lengths]
    for part in range(total - sum(sizes)):
        sizes[part % len(sizes)] += 1
    return sizes
