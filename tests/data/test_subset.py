"""The digits that come with the package: real, balanced, small, unchanged, and said to be whose they are."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn.data import MNIST, _make_subset, mnist
from tinygrad_cnn.errors import ArgumentError, DataError

DIRECTORY = Path(mnist.__file__).with_name("mnist_subset")


@pytest.mark.parametrize(("train", "size"), [(True, 5000), (False, 1000)])
def test_balanced_and_of_the_right_types(train: bool, size: int) -> None:
    digits = MNIST(train=train, subset=True)
    assert digits.images.shape == (size, 28, 28)
    assert digits.images.dtype == np.uint8
    assert digits.targets.shape == (size,)
    assert digits.targets.dtype == np.int64
    assert np.bincount(digits.targets).tolist() == [size // 10] * 10
    # Shuffled: the first batch of 64 must not be all of one class.
    assert len(set(digits.targets[:64].tolist())) == 10


@pytest.mark.parametrize("train", [True, False])
def test_each_digit_is_in_the_full_set_once_with_its_label(train: bool, request: pytest.FixtureRequest) -> None:
    full = request.getfixturevalue("full_train" if train else "full_test")
    subset = MNIST(train=train, subset=True)
    known = {image.tobytes(): label for image, label in zip(full.images, full.targets.tolist(), strict=True)}
    found = [image.tobytes() for image in subset.images]
    assert [known.get(image) for image in found] == subset.targets.tolist()
    assert len(set(found)) == len(found)


def test_no_test_digit_is_a_training_digit() -> None:
    train, test = ({image.tobytes() for image in MNIST(train=part, subset=True).images} for part in (True, False))
    assert not train & test


def test_script_makes_the_same_files_again(needs_extra: None) -> None:
    made = _make_subset.subset_files()
    assert {f"{name}.gz" for name in made} | {"README.txt"} == {entry.name for entry in DIRECTORY.iterdir()}
    for name, content in made.items():
        zipped = (DIRECTORY / f"{name}.gz").read_bytes()
        assert gzip.decompress(zipped) == content


def test_script_writes_and_says_the_checksums(
    needs_extra: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_make_subset, "__file__", str(tmp_path / "_make_subset.py"))
    _make_subset.main()
    readme = (DIRECTORY / "README.txt").read_text()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    for line in lines:
        digest, name, *_ = line.split()
        assert f"{digest}  {name}\n" in readme
        zipped = (tmp_path / "mnist_subset" / f"{name}.gz").read_bytes()
        assert hashlib.sha256(gzip.decompress(zipped)).hexdigest() == digest
        assert zipped[4:8] == bytes(4)  # no time of making: the same digits make the same file


def test_small_enough_to_ship() -> None:
    assert sum(entry.stat().st_size for entry in DIRECTORY.iterdir()) < 1_500_000


@pytest.mark.parametrize("word", ["LeCun", "Cortes", "Burges", "NIST", "CC BY-SA 3.0", "_make_subset.py", "1998"])
def test_readme_says_whose_they_are_and_how_they_were_chosen(word: str) -> None:
    assert word in (DIRECTORY / "README.txt").read_text()


def test_readme_quotes_the_checksums_that_are_checked() -> None:
    readme = (DIRECTORY / "README.txt").read_text()
    for file in mnist._SUBSET_TRAIN + mnist._SUBSET_TEST:
        assert f"{file.sha256}  {file.name}\n" in readme


def test_damaged_subset_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for entry in DIRECTORY.iterdir():
        (tmp_path / entry.name).write_bytes(entry.read_bytes())
    labels = tmp_path / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(labels.read_bytes()))
    content[-1] = (content[-1] + 1) % 10  # one wrong label
    labels.write_bytes(gzip.compress(content))
    monkeypatch.setattr(mnist, "_SUBSET_DIRECTORY", tmp_path)
    with pytest.raises(DataError, match=r"t10k-labels.*is damaged.*installation of tinygrad_cnn is damaged: ins"):
        MNIST(train=False, subset=True)


def test_subset_and_root_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"subset=True takes .* but root='.*' asks for the full set.*give one"):
        MNIST(tmp_path, subset=True)


def test_choice_is_the_first_of_each_class_in_the_shuffled_order() -> None:
    labels = np.repeat(np.arange(10), 30)
    order = np.random.RandomState(1998).permutation(300).tolist()
    left, expected = dict.fromkeys(range(10), 4), []
    for index in order:
        if left[index // 30] > 0:
            left[index // 30] -= 1
            expected.append(index)
    assert _make_subset.choose(labels, 4).tolist() == expected
