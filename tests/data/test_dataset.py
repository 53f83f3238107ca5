"""Data sets of rows, subsets and random splits."""

import numpy as np
import pytest

from tinygrad_cnn.data import ConcatDataset, Dataset, Subset, TensorDataset, random_split
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.tensor import Tensor


class Letters(Dataset[str]):
    """Has no batch method of its own."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> str:
        return "abcde"[index]


def test_dataset_says_what_to_define() -> None:
    with pytest.raises(NotImplementedError, match="Dataset must define __len__: how many samples it has"):
        len(Dataset())
    with pytest.raises(NotImplementedError, match="Dataset must define __getitem__: its sample of a given index"):
        Dataset()[0]


def test_iteration_ends_at_the_length() -> None:
    assert list(Letters()) == ["a", "b", "c", "d", "e"]

    class Endless(Letters):  # its __getitem__ never raises IndexError
        def __getitem__(self, index: int) -> str:
            return "z"

    assert list(Endless()) == ["z"] * 5


def test_tensor_dataset_of_arrays_and_tensors() -> None:
    x, y = np.arange(12.0).reshape(4, 3), Tensor(np.array([5, 6, 7, 8]))
    dataset = TensorDataset(x, y)
    assert len(dataset) == 4
    row, label = dataset[2]
    np.testing.assert_array_equal(row, [6, 7, 8])
    assert isinstance(label, Tensor)
    assert label.tolist() == 7
    assert len(list(dataset)) == 4
    rows, labels = dataset.get_batch([3, 0, 3])
    np.testing.assert_array_equal(rows, x[[3, 0, 3]])
    assert isinstance(labels, Tensor)
    assert labels.tolist() == [8, 5, 8]
    assert dataset.get_batch([])[0].shape == (0, 3)


@pytest.mark.parametrize("arrays", [(np.zeros(3), np.zeros(4)), (np.zeros(()),)])
def test_tensor_dataset_of_unequal_lengths(arrays: tuple[np.ndarray, ...]) -> None:
    shapes = ", ".join(str(array.shape) for array in arrays)
    with pytest.raises(ShapeError) as caught:
        TensorDataset(*arrays)
    assert str(caught.value) == (
        f"the tensors of a TensorDataset must have the same length in dimension 0, got the shapes {shapes}"
    )


def test_tensor_dataset_of_nothing() -> None:
    with pytest.raises(ArgumentError, match="TensorDataset needs at least one tensor or array"):
        TensorDataset()


def test_subset_maps_indices() -> None:
    subset = Subset(Letters(), [3, 1, -1])
    assert len(subset) == 3
    assert list(subset) == ["d", "b", "e"]
    assert Subset(subset, [2, 0])[1] == "d"
    assert subset.get_batch([0, 1]) is None  # its data set has no quicker way
    assert Subset("abc", [0]).get_batch([0]) is None  # and this one not even the method


def test_subset_passes_batches_on() -> None:
    subset = Subset(TensorDataset(np.arange(10) * 10), [7, 2, 5])
    np.testing.assert_array_equal(subset.get_batch([2, 0])[0], [50, 70])


@pytest.mark.parametrize("index", [5, -6])
def test_subset_of_samples_that_do_not_exist(index: int) -> None:
    with pytest.raises(ArgumentError, match=f"the data set has 5 samples, so there is no index {index}"):
        Subset(Letters(), [0, index])


def test_random_split_deals_out_every_sample_once() -> None:
    parts = random_split(range(100), [50, 30, 20], np.random.default_rng(0))
    assert [len(part) for part in parts] == [50, 30, 20]
    dealt = [sample for part in parts for sample in part]
    assert sorted(dealt) == list(range(100))
    assert dealt != list(range(100))


def test_random_split_follows_its_generator() -> None:
    def split(seed: int) -> list[int]:
        return list(random_split(range(50), [25, 25], np.random.default_rng(seed))[0])

    assert split(3) == split(3)
    assert split(3) != split(4)


@pytest.mark.parametrize(
    ("total", "fractions", "sizes"),
    [
        (10, [0.75, 0.25], [8, 2]),  # 7.5 and 2.5, rounded down, and the sample left over to the first
        (11, [1 / 3, 1 / 3, 1 / 3], [4, 4, 3]),
        (5, [0.9, 0.1], [5, 0]),
        (1, [1], [1]),
        (1, [0.5, 0.5], [1, 0]),
        (0, [0.5, 0.5], [0, 0]),
        (100, [0.1] * 10, [10] * 10),  # adds up to 0.9999999999999999
    ],
)
def test_random_split_by_fractions(total: int, fractions: list[float], sizes: list[int]) -> None:
    assert [len(part) for part in random_split(range(total), fractions)] == sizes


def test_random_split_lengths_that_do_not_add_up() -> None:
    with pytest.raises(
        ArgumentError,
        match=r"must add up to the 10 samples of the data set, or to 1 if they are fractions; \[5, 6\] add up to 11",
    ):
        random_split(range(10), [5, 6])
    with pytest.raises(ArgumentError, match=r"\[0.5, 0.4\] add up to 0.9"):
        random_split(range(10), [0.5, 0.4])
    with pytest.raises(ArgumentError, match=r"the lengths of a split must not be negative, got \[11, -1\]"):
        random_split(range(10), [11, -1])


def test_concatenation() -> None:
    both = ConcatDataset([Letters(), "", "xyz"])
    assert list(both) == [both[index - 8] for index in range(8)] == list("abcdexyz")
    assert len(both) == 8
    assert both.cumulative_sizes == [5, 5, 8]


@pytest.mark.parametrize("index", [8, -9])
def test_concatenation_has_no_such_index(index: int) -> None:
    with pytest.raises(IndexError, match=f"have 8 samples together, so there is no index {index}"):
        ConcatDataset([Letters(), "xyz"])[index]


def test_nothing_to_concatenate() -> None:
    with pytest.raises(ArgumentError, match="ConcatDataset needs at least one data set"):
        ConcatDataset([])
