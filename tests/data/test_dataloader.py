"""The loader: which batches, in which order, and what becomes of errors."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import random
from tinygrad_cnn.data import MNIST, DataLoader, Dataset, Subset, TensorDataset, default_collate
from tinygrad_cnn.data.transforms import Transform
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_cnn.tensor import Tensor

WORKERS = [0, 1, 3]


class Squares(Dataset[int]):
    """Twenty numbers, one of which may be bad; the later ones are quicker, so that threads finish out of order."""

    def __init__(self, bad: int | None = None, error: type[Exception] = KeyError) -> None:
        self.bad = bad
        self.error = error

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> int:
        time.sleep((20 - index) * 1e-4)
        if index == self.bad:
            raise self.error("the file of this sample is bad")
        return index**2


def batches(*arguments: Any, **options: Any) -> list[Any]:
    return [batch.tolist() for batch in DataLoader(*arguments, **options)]


# Which batches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize(
    ("size", "drop_last", "expected"),
    [
        (1, False, [[0], [1], [2], [3], [4]]),
        (2, False, [[0, 1], [2, 3], [4]]),
        (2, True, [[0, 1], [2, 3]]),
        (5, False, [[0, 1, 2, 3, 4]]),
        (5, True, [[0, 1, 2, 3, 4]]),
        (7, False, [[0, 1, 2, 3, 4]]),
        (7, True, []),
    ],
)
def test_batches_and_their_number(workers: int, size: int, drop_last: bool, expected: list[list[int]]) -> None:
    loader = DataLoader(range(5), size, drop_last=drop_last, num_workers=workers)
    assert [batch.tolist() for batch in loader] == expected
    assert len(loader) == len(expected)


@pytest.mark.parametrize("workers", WORKERS)
def test_no_samples_no_batches(workers: int) -> None:
    assert batches([], 4, shuffle=True, num_workers=workers) == []


def test_shuffled_epoch_has_every_sample_once_and_the_next_another_order() -> None:
    loader = DataLoader(range(50), 8, shuffle=True, generator=np.random.default_rng(0))
    first, second = ([index for batch in loader for index in batch.tolist()] for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert first != list(range(50))


def test_order_is_drawn_when_the_epoch_begins() -> None:
    generator = np.random.default_rng(0)
    epoch = iter(DataLoader(range(50), 50, shuffle=True, generator=generator))
    generator.random(100)  # what somebody else draws before the first batch changes nothing
    assert next(epoch).tolist() == np.random.default_rng(0).permutation(50).tolist()


def test_dropped_samples_are_others_in_each_epoch() -> None:
    loader = DataLoader(range(10), 8, shuffle=True, drop_last=True, generator=np.random.default_rng(0))
    assert len({frozenset(batch.tolist()) for _ in range(5) for batch in loader}) > 1


def test_two_epochs_at_once() -> None:
    loader = DataLoader(range(4), 2)
    first, second = iter(loader), iter(loader)
    assert [next(epoch).tolist() for epoch in (first, second, first, second)] == [[0, 1], [0, 1], [2, 3], [2, 3]]


def test_sampler_decides_and_is_asked_in_each_epoch() -> None:
    class Sampler:
        epoch = 0

        def __len__(self) -> int:
            return 3

        def __iter__(self) -> Any:
            self.epoch += 1
            return iter(np.array([self.epoch, 9, 0]))

    loader = DataLoader(Squares(), 2, sampler=Sampler())
    assert len(loader) == 2
    assert [batch.tolist() for batch in loader] == [[1, 81], [0]]
    assert [batch.tolist() for batch in loader] == [[4, 81], [0]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be 1 or more samples, got 0"),
        ({"num_workers": -1}, r"num_workers must be 0 \(no threads\) or more, got -1"),
        ({"shuffle": True, "sampler": [1]}, "shuffle=True and sampler=... both decide the order .* give only one"),
        ({"batch_sampler": [[1]], "batch_size": 2}, "batch_sampler decides all: give no batch_size, shuffle, sampler or drop"),
        ({"batch_sampler": [[1]], "shuffle": True}, "batch_sampler decides all"),
        ({"batch_sampler": [[1]], "sampler": [1]}, "batch_sampler decides all"),
        ({"batch_sampler": [[1]], "drop_last": True}, "batch_sampler decides all"),
        ({"prefetch_factor": 2}, "prefetch_factor must be 1 or more and needs workers, got 2 with num_workers=0"),
        ({"prefetch_factor": 0, "num_workers": 1}, "prefetch_factor must be 1 or more and needs workers, got 0 with"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        DataLoader(range(5), **options)


@pytest.mark.parametrize("workers", WORKERS)
def test_batch_sampler_decides_the_batches(workers: int) -> None:
    loader = DataLoader(Squares(), batch_sampler=[[3], [1, 2], np.array([0, 4, 5])], num_workers=workers)
    assert len(loader) == 3
    assert [batch.tolist() for batch in loader] == [[9], [1, 4], [0, 16, 25]]


# One seed, one sequence -----------------------------------------------------------------------------------------------


def test_deterministic_for_a_seed_whatever_the_number_of_workers() -> None:
    def epochs(seed: int, workers: int) -> list[Any]:
        loader = DataLoader(
            Squares(), 3, shuffle=True, num_workers=workers, generator=np.random.default_rng(seed)
        )
        return [[batch.tolist() for batch in loader] for _ in range(2)]

    alone = epochs(0, 0)
    assert all(epochs(0, workers) == alone for workers in (1, 2, 5))
    assert epochs(1, 0) != alone


def test_random_transforms_are_deterministic_whatever_the_number_of_workers() -> None:
    class Noisy(Squares):
        def __getitem__(self, index: int) -> float:
            return super().__getitem__(index) + random.default_generator().random()

    def epochs(workers: int) -> list[Any]:
        random.manual_seed(5)
        drawn = []
        for batch in (batch for _ in range(2) for batch in DataLoader(Noisy(), 3, num_workers=workers)):
            drawn.append(batch.tolist())
            random.default_generator().random()  # as dropout does between two batches
        return drawn

    alone = epochs(0)
    assert all(epochs(workers) == alone for workers in (1, 2, 5))
    noise = [value % 1 for batch in alone for value in batch]
    assert len(set(noise)) == len(noise) == 40  # every sample, batch and epoch has noise of its own


def test_default_generator_is_the_packages() -> None:
    state = random.default_generator().bit_generator.state
    first = batches(range(30), 30, shuffle=True)
    assert batches(range(30), 30, shuffle=True) != first
    random.default_generator().bit_generator.state = state
    assert batches(range(30), 30, shuffle=True) == first


# Threads --------------------------------------------------------------------------------------------------------------


def test_workers_work_at_the_same_time() -> None:
    meeting = threading.Barrier(3)  # nobody passes before three threads are there

    class Meeting(Dataset[int]):
        def __len__(self) -> int:
            return 6

        def __getitem__(self, index: int) -> int:
            meeting.wait(timeout=10)
            return index

    assert batches(Meeting(), 1, num_workers=3) == [[0], [1], [2], [3], [4], [5]]


def test_workers_do_not_run_far_ahead() -> None:
    loaded: list[int] = []

    class Recorded(Dataset[int]):
        def __len__(self) -> int:
            return 100

        def __getitem__(self, index: int) -> int:
            loaded.append(index)
            return index

    for prefetch, most in ((None, 1 + 2 * 2), (1, 1 + 2), (5, 1 + 2 * 5)):
        loaded.clear()
        epoch = iter(DataLoader(Recorded(), 1, num_workers=2, prefetch_factor=prefetch))
        next(epoch)
        time.sleep(0.05)
        assert 1 <= len(loaded) <= most
        del epoch
    assert len(loaded) > 1 + 2 * 2


def test_leaving_the_loop_early_ends_the_threads_and_what_had_not_begun() -> None:
    def workers() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("DataLoader")]

    begun: list[int] = []

    class Slow(Dataset[int]):
        def __len__(self) -> int:
            return 20

        def __getitem__(self, index: int) -> int:
            begun.append(index)
            if index > 0:
                time.sleep(0.2)
            return index

    for _ in DataLoader(Slow(), 1, num_workers=1):
        assert len(workers()) == 1
        break
    assert workers() == []
    assert begun == [0, 1] or begun == [0]  # number 2 was waiting for the thread


def test_keyboard_interrupt_ends_the_threads() -> None:
    with pytest.raises(KeyboardInterrupt):
        for _ in DataLoader(Squares(), 1, num_workers=2):
            raise KeyboardInterrupt
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("DataLoader")]


def test_error_ends_the_threads() -> None:
    with pytest.raises(KeyError):
        list(DataLoader(Squares(bad=3), 1, num_workers=2))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("DataLoader")]


# Errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", WORKERS)
def test_error_of_a_sample_comes_through_and_names_it(workers: int) -> None:
    loader = DataLoader(Squares(bad=7), 4, num_workers=workers, sampler=np.arange(20))
    epoch = iter(loader)
    assert next(epoch).tolist() == [0, 1, 4, 9]  # the batches before it are not lost
    with pytest.raises(KeyError, match="the file of this sample is bad") as caught:
        next(epoch)
    assert caught.value.__notes__ == ["This happened while a DataLoader loaded sample 7 of Squares"]
    assert any(entry.name == "__getitem__" for entry in caught.traceback)


@pytest.mark.parametrize("workers", WORKERS)
def test_error_says_the_sample_in_its_message_too(workers: int) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        batches(Squares(bad=7, error=ValueError), 4, num_workers=workers)
    assert str(caught.value) == "the file of this sample is bad [sample 7 of Squares]"


def test_error_without_a_plain_message_keeps_what_it_has() -> None:
    class Broken(Squares):
        def __getitem__(self, index: int) -> int:
            raise FileNotFoundError(2, "No such file", "digit.png")

    with pytest.raises(FileNotFoundError) as caught:
        batches(Broken())
    assert caught.value.args == (2, "No such file")
    assert caught.value.filename == "digit.png"
    assert "sample 0 of Broken" in caught.value.__notes__[0]


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("option", ["input_transform", "batch_transform"])
def test_error_of_a_transform_names_the_samples(workers: int, option: str) -> None:
    def broken(*fields: Any) -> Any:
        raise ValueError("transform")

    with pytest.raises(ValueError, match=r"transform \[samples \[0, 1\] of range\]") as caught:
        batches(range(4), 2, num_workers=workers, **{option: broken})
    assert caught.value.__notes__ == ["This happened while a DataLoader transformed samples [0, 1] of range"]


@pytest.mark.parametrize("workers", WORKERS)
def test_stop_iteration_of_a_sample_does_not_end_the_epoch_in_silence(workers: int) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        batches(Squares(bad=7, error=StopIteration), 4, num_workers=workers)


@pytest.mark.parametrize("workers", WORKERS)
def test_error_of_a_whole_batch_names_its_samples(workers: int) -> None:
    class Broken(TensorDataset):
        def get_batch(self, indices: Sequence[int]) -> Any:
            raise OSError("disk")

    with pytest.raises(OSError, match="disk") as caught:
        batches(Broken(np.zeros(5)), 2, num_workers=workers, sampler=[4, 1])
    assert caught.value.__notes__ == ["This happened while a DataLoader loaded samples [4, 1] of Broken"]


def test_error_of_collating_names_the_samples() -> None:
    with pytest.raises(ShapeError) as caught:
        batches([np.zeros(2), np.zeros(2), np.zeros(3)], 2, sampler=[1, 2])
    assert caught.value.__notes__ == ["This happened while a DataLoader loaded samples [1, 2] of list"]


# Batches made at once -------------------------------------------------------------------------------------------------


def same(one: Any, other: Any) -> None:
    """Assert that two batches are the same, tensor by tensor."""
    assert type(one) is type(other) is tuple
    for tensor, twin in zip(one, other, strict=True):
        assert isinstance(tensor, Tensor)
        assert isinstance(twin, Tensor)
        np.testing.assert_array_equal(tensor.array, twin.array, strict=True)


@pytest.mark.parametrize(
    "dataset",
    [
        TensorDataset(np.arange(24, dtype=np.float32).reshape(12, 2), np.arange(12)),
        Subset(TensorDataset(Tensor(np.arange(24.0).reshape(12, 2)), np.arange(12)), [3, 1, 11, 5, 0]),
        Subset(MNIST(train=False, subset=True, normalization="lecun98"), range(0, 100, 7)),
    ],
    ids=["rows", "subset of rows", "digits"],
)
def test_batch_made_at_once_is_the_samples_collated(dataset: Dataset[Any]) -> None:
    at_once = list(DataLoader(dataset, 4))
    one_by_one = list(DataLoader(dataset, 4, collate_fn=default_collate))  # a collate_fn must be given samples
    assert len(at_once) == len(one_by_one)
    for one, other in zip(at_once, one_by_one, strict=True):
        same(one, other)


def test_arrays_are_indexed_at_once() -> None:
    class NeverOneByOne(TensorDataset):
        def __getitem__(self, index: int) -> Any:
            raise AssertionError("asked for one sample")

    (batch,) = DataLoader(NeverOneByOne(np.arange(5)), 5)
    assert batch[0].tolist() == [0, 1, 2, 3, 4]


def test_batch_method_may_return_other_structures() -> None:
    class Named(Dataset[Any]):
        def __len__(self) -> int:
            return 2

        def get_batch(self, indices: Sequence[int]) -> Any:
            return {"x": np.array(indices), "pair": [np.zeros(2), "text"]}

    (batch,) = DataLoader(Named(), 2)
    assert isinstance(batch["x"], Tensor)
    assert batch["x"].tolist() == [0, 1]
    assert isinstance(batch["pair"][0], Tensor)
    assert batch["pair"][1] == "text"


def test_getitems_returns_a_list_of_samples_as_in_pytorch() -> None:
    class Listed(Squares):
        def __getitems__(self, indices: Sequence[int]) -> list[int]:
            return [-index for index in indices]

    assert batches(Listed(), 2, sampler=[3, 5, 6]) == [[-3, -5], [-6]]
    assert list(DataLoader(Listed(), 2, sampler=[3, 5], collate_fn=sum)) == [-8]


def test_collate_fn_gets_the_list_of_samples() -> None:
    dataset = TensorDataset(np.arange(4), np.arange(4) * 10)
    assert list(DataLoader(dataset, 2, collate_fn=lambda samples: samples)) == [[(0, 0), (1, 10)], [(2, 20), (3, 30)]]


# Transforms of whole batches ------------------------------------------------------------------------------------------


ROWS = np.arange(24.0).reshape(12, 2)


@pytest.mark.parametrize(
    "rows", [(ROWS, np.arange(12)), (Tensor(ROWS), Tensor(np.arange(12)))], ids=["arrays", "tensors"]
)
def test_input_transform_gets_the_inputs_of_a_batch_as_an_array(rows: Any) -> None:
    seen = []

    def doubled(inputs: np.ndarray) -> np.ndarray:
        seen.append(type(inputs))
        return inputs * 2

    first, *_ = DataLoader(TensorDataset(*rows), 4, input_transform=doubled)
    same(first, (Tensor(ROWS[:4] * 2), Tensor(np.arange(4))))
    assert seen == [np.ndarray] * 3
    alone, *_ = DataLoader([np.ones(2), np.zeros(2)], 2, input_transform=doubled)
    assert alone.tolist() == [[2, 2], [0, 0]]


def test_batch_transform_gets_all_fields_after_the_input_transform() -> None:
    loader = DataLoader(
        TensorDataset(ROWS, np.arange(12)),
        4,
        input_transform=lambda inputs: inputs + 1,
        batch_transform=lambda inputs, targets: (inputs * 10, targets, targets * 2),
    )
    first, *_ = loader
    same(first, (Tensor((ROWS[:4] + 1) * 10), Tensor(np.arange(4)), Tensor(np.arange(4) * 2)))


def test_transforms_of_batches_draw_from_the_batchs_stream() -> None:
    def noisy(inputs: np.ndarray) -> np.ndarray:
        time.sleep(random.default_generator().random() * 1e-3)
        return inputs + random.default_generator().random()

    def epochs(workers: int) -> list[Any]:
        loader = DataLoader(
            range(12), 3, num_workers=workers, input_transform=noisy, generator=np.random.default_rng(4)
        )
        return [batch.tolist() for _ in range(2) for batch in loader]

    assert epochs(0) == epochs(1) == epochs(3)


def test_a_transform_of_a_data_set_gets_the_whole_batch() -> None:
    shapes = []

    class Recorded(Transform):
        def apply(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
            shapes.append(images.shape)
            return images + 1

    plain = MNIST(train=False, subset=True)
    digits = MNIST(train=False, subset=True, transform=Recorded())
    images, labels = next(iter(DataLoader(digits, 5)))
    assert shapes == [(5, 1, 28, 28)]
    np.testing.assert_array_equal(images.array, np.stack([plain[index][0] for index in range(5)]) + 1)
    assert labels.tolist() == plain.targets[:5].tolist()
    assert digits[3][0].shape == (1, 28, 28)


# default_collate ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([1, 2], np.array([1, 2], np.int64)),
        ([True, False], np.array([True, False])),
        ([0.5, 1.5], np.array([0.5, 1.5], np.float32)),
        ([np.float64(0.5), np.float64(1)], np.array([0.5, 1.0], np.float64)),
        ([np.uint8(3)], np.array([3], np.uint8)),
        ([np.ones(2, np.float32), np.zeros(2, np.float32)], np.array([[1, 1], [0, 0]], np.float32)),
        ([Tensor(np.ones(2)), Tensor(np.zeros(2))], np.array([[1.0, 1], [0, 0]])),
    ],
)
def test_collate_of_one_field(samples: list[Any], expected: np.ndarray) -> None:
    batch = default_collate(samples)
    assert isinstance(batch, Tensor)
    np.testing.assert_array_equal(batch.array, expected, strict=True)


def test_collate_of_structures() -> None:
    samples = [{"image": np.zeros(2), "meta": ("a", [1, 2.0])}, {"image": np.ones(2), "meta": ("b", [3, 4.0])}]
    batch = default_collate(samples)
    assert batch["image"].tolist() == [[0, 0], [1, 1]]
    names, (whole, real) = batch["meta"]
    assert names == ["a", "b"]
    assert whole.tolist() == [1, 3]
    assert real.tolist() == [2, 4]


def test_collate_does_not_share_memory_with_the_samples() -> None:
    sample = np.zeros(2)
    default_collate([sample]).array[...] = 1
    assert sample.tolist() == [0, 0]


def test_collate_of_unequal_shapes() -> None:
    with pytest.raises(ShapeError, match=r"number 0 of it has \(2, 3\), number 2 has \(3, 2\): crop .* collate_fn"):
        default_collate([np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((3, 2))])


def test_collate_of_unequal_numbers_of_fields() -> None:
    with pytest.raises(ShapeError, match=r"must have equally many fields, got \[1, 2\]: give a collate_fn"):
        default_collate([(1, 2), (1,)])


def test_collate_of_what_has_no_rule() -> None:
    with pytest.raises(DTypeError, match="samples of type object cannot be batched: give a collate_fn, or"):
        default_collate([object()])
