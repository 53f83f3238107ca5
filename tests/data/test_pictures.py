"""The relatives of MNIST, CIFAR and folders of pictures, from files in the true formats: here, in an archive, on a site."""

import gzip
import hashlib
import io
import struct
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tinygrad_cnn.data import (
    CIFAR10,
    CIFAR100,
    KMNIST,
    DataLoader,
    Digits,
    FashionMNIST,
    ImageFolder,
    digits,
    load_image,
    transforms,
)
from tinygrad_cnn.data.files import ArchiveFile, DataFile
from tinygrad_cnn.errors import ArgumentError, DataError, MissingExtraError

if TYPE_CHECKING:
    from conftest import Site

PUBLISHED_FASHION, DEBIAN = FashionMNIST._files, FashionMNIST.debian

# Idx files ------------------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (7, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9, 2], np.uint8)
IDX = {
    "t10k-images-idx3-ubyte": struct.pack(">4I", 0x803, 7, 28, 28) + PIXELS.tobytes(),
    "t10k-labels-idx1-ubyte": struct.pack(">2I", 0x801, 7) + LABELS.tobytes(),
}
ZIPPED = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in IDX.items()}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the test files be the published ones; and nothing be found in Debian's folder."""
    fashion = [DataFile(name, len(content), md5=hashlib.md5(content).hexdigest()) for name, content in IDX.items()]
    kuzushiji = [
        DataFile(name, len(content), packed_md5=hashlib.md5(ZIPPED[f"{name}.gz"]).hexdigest())
        for name, content in IDX.items()
    ]
    monkeypatch.setattr(FashionMNIST, "_files", (*FashionMNIST._files[:2], *fashion))
    monkeypatch.setattr(KMNIST, "_files", (*KMNIST._files[:2], *kuzushiji))
    monkeypatch.setattr(FashionMNIST, "debian", tmp_path / "debian")


def fill(directory: Path, files: dict[str, bytes]) -> Path:
    directory.mkdir(parents=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory


@pytest.mark.parametrize("kind", [FashionMNIST, KMNIST])
def test_relatives_from_a_directory_in_torchvisions_layout(kind: Any, tmp_path: Path) -> None:
    fill(tmp_path / "root" / kind.__name__ / "raw", ZIPPED)
    pictures = kind(tmp_path / "root", train=False, download=False)
    assert pictures.source == "root"
    np.testing.assert_array_equal(pictures.images, PIXELS, strict=True)
    np.testing.assert_array_equal(pictures.targets, LABELS.astype(np.int64), strict=True)
    assert pictures.data is pictures.images
    assert pictures.labels is pictures.targets
    image, label = pictures[2]
    np.testing.assert_array_equal(image, (PIXELS[2:3] / 255).astype(np.float32), strict=True)
    assert (label, type(label), len(pictures), len(pictures.classes)) == (4, int, 7, 10)
    assert pictures.class_to_idx[pictures.classes[4]] == 4
    assert repr(pictures) == f"{kind.__name__}(test, 7 images of 10 classes, from root)"


@pytest.mark.parametrize("kind", [FashionMNIST, KMNIST])
def test_relatives_from_the_network_and_then_from_the_cache(kind: Any, site: "Site") -> None:
    site.pages = {f"/{name}": site.answer_rest(content, at_most=3000) for name, content in ZIPPED.items()}
    pictures = kind(train=False, mirrors=[f"{site.url}/nothing/", site.url])
    assert pictures.source == "download"
    np.testing.assert_array_equal(pictures.images, PIXELS)
    asked = len(site.asked)
    assert kind(train=False, mirrors=[site.url]).source == "cache"
    assert len(site.asked) == asked


def test_fashion_from_debians_folder_or_plain_files(tmp_path: Path) -> None:
    fill(tmp_path / "debian", ZIPPED)
    assert FashionMNIST(train=False, download=False).source == "Debian's package"
    fill(tmp_path / "root", IDX)
    assert FashionMNIST(tmp_path / "root", train=False, download=False).source == "root"


def test_fashion_that_was_packed_otherwise_is_taken_but_not_kuzushiji(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", {f"{name}.gz": gzip.compress(content, 1, mtime=0) for name, content in IDX.items()})
    np.testing.assert_array_equal(FashionMNIST(root, train=False, download=False).images, PIXELS)
    with pytest.raises(DataError, match=r"images-idx3-ubyte.gz is damaged, or is another file: .*.gz has the MD5 .*Delete"):
        KMNIST(root, train=False, download=False)


def test_wrong_fashion(tmp_path: Path) -> None:
    wrong = IDX | {"t10k-labels-idx1-ubyte": IDX["t10k-labels-idx1-ubyte"][:-1] + b"\0"}
    with pytest.raises(DataError, match=r"labels-idx1-ubyte is damaged, or is another file: .* has the MD5 .*, got .*Delete"):
        FashionMNIST(fill(tmp_path / "root", wrong), train=False)


@pytest.mark.parametrize("kind", [FashionMNIST, KMNIST, CIFAR10, CIFAR100])
def test_nothing_found_and_no_network(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        kind(tmp_path, train=False, download=False)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{kind._title} was not found. Tried, in this order:"
    assert lines[1].startswith("  root: no ")
    assert "  download: not tried, because of download=False" in lines
    assert any("as root=... (--root) or in TINYGRAD_CNN_DATA" in line for line in lines)


def test_every_failure_of_a_download_is_told(site: "Site", tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        CIFAR10(tmp_path, mirrors=[f"{site.url}/a/", f"{site.url}/b/"])
    assert f"{site.url}/a/cifar-10-binary.tar.gz: HTTP Error 404: Not Found" in str(caught.value)
    assert f"{site.url}/b/cifar-10-binary.tar.gz: HTTP Error 404: Not Found" in str(caught.value)


def test_published_files_have_the_sizes_of_their_formats() -> None:
    for file, count in zip(PUBLISHED_FASHION, (60_000, 60_000, 10_000, 10_000), strict=True):
        assert file.size == (16 + 784 * count if "images" in file.name else 8 + count)


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
@pytest.mark.parametrize("train", [True, False])
def test_debians_package(train: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FashionMNIST, "_files", PUBLISHED_FASHION)
    assert len(FashionMNIST(DEBIAN, train, download=False)) == (60_000 if train else 10_000)


# Small digits ---------------------------------------------------------------------------------------------------------


SMALL = RNG.integers(0, 17, (5, 8, 8), dtype=np.uint8)
SMALL_CSV = "".join(",".join(map(str, [*image.ravel(), label])) + "\n" for image, label in zip(SMALL, range(5), strict=True))


@pytest.fixture
def small_digits(monkeypatch: pytest.MonkeyPatch) -> bytes:
    content = SMALL_CSV.encode()
    monkeypatch.setattr(digits, "_FILE", DataFile("digits.csv", len(content), hashlib.sha256(content).hexdigest()))
    return gzip.compress(content)


def test_digits_of_an_installed_scikit_learn(
    small_digits: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "sklearn"
    fill(package / "datasets" / "data", {"digits.csv.gz": small_digits})
    (package / "__init__.py").write_text("raise AssertionError('its code must not run')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "sklearn", raising=False)
    found = Digits()
    assert repr(found) == "Digits(5 images of 10 classes, from extra \"digits\")"
    np.testing.assert_array_equal(found.images, SMALL, strict=True)
    assert found.targets.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(found[3][0], (SMALL[3:4] / 16).astype(np.float32), strict=True)
    (package / "datasets" / "data" / "digits.csv.gz").unlink()
    (package / "datasets" / "data").rmdir()
    with pytest.raises(DataError, match=r'extra "digits": scikit-learn is installed, but there is no .*sklearn/datasets/data'):
        Digits()


def test_digits_from_a_directory_or_nowhere(
    small_digits: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert Digits(fill(tmp_path / "root", {"digits.csv.gz": small_digits})).source == "root"
    with pytest.raises(DataError) as caught:
        Digits()
    assert str(caught.value).splitlines() == [
        "The set of small digits was not found. Tried, in this order:",
        '  extra "digits": reading the digits of an installed scikit-learn needs the extra "digits": '
        'pip install "tinygrad_cnn[digits]"',
        f"  cache: no digits.csv (plain or .gz) in {tmp_path}/cache/tinygrad_cnn or its digits",
        "Any one of these gets it:",
        '  pip install "tinygrad_cnn[digits]"',
        "  put digits.csv.gz of scikit-learn into a directory and name it, as root=... or in TINYGRAD_CNN_DATA",
    ]


# CIFAR ----------------------------------------------------------------------------------------------------------------

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
PICTURES = RNG.integers(0, 256, (12, 3, 32, 32), dtype=np.uint8)
FINE = np.array([0, 9, 3, 3, 1, 7, 2, 5, 8, 4, 6, 99], np.uint8)
COARSE = np.arange(12, dtype=np.uint8)


def record(kind: type, picture: int) -> bytes:
    """Write one record as the format says: label or labels, then the planes row by row."""
    labels = [FINE[picture]] if kind is CIFAR10 else [COARSE[picture], FINE[picture]]
    planes = [PICTURES[picture, plane, row].tobytes() for plane in range(3) for row in range(32)]
    return bytes(labels) + b"".join(planes)


def tarball(kind: type, **changed: bytes | None) -> bytes:
    """Write the archive with two pictures in each file of training pictures, and two in that of test pictures."""
    if kind is CIFAR10:
        folder, parts = "cifar-10-batches-bin", [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
        files = {name: record(kind, 2 * place) + record(kind, 2 * place + 1) for place, name in enumerate(parts)}
        files["batches.meta.txt"] = "\n".join([*NAMES, "", ""]).encode()
    else:
        folder = "cifar-100-binary"
        files = {"train.bin": b"".join(record(kind, place) for place in range(10))}
        files["test.bin"] = record(kind, 10) + record(kind, 11)
        files["fine_label_names.txt"] = "\n".join(f"fine_{number}" for number in range(100)).encode() + b"\n"
        files["coarse_label_names.txt"] = "\n".join(f"coarse_{number}" for number in range(20)).encode() + b"\n"
    files["readme.html"] = b"<html></html>"
    files.update({name.replace("_bin", ".bin"): content for name, content in changed.items() if content is not None})
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        directory = tarfile.TarInfo(folder)
        directory.type = tarfile.DIRTYPE
        tar.addfile(directory)
        for name, content in files.items():
            if changed.get(name.replace(".bin", "_bin"), b"") is not None:
                member = tarfile.TarInfo(f"{folder}/{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def publish(monkeypatch: pytest.MonkeyPatch, kind: Any, archive: bytes) -> str:
    """Let this archive be the published one, and return its name."""
    monkeypatch.setattr(kind, "_archive", replace(kind._archive, md5=hashlib.md5(archive).hexdigest()))
    name: str = kind._archive.name
    return name


@pytest.mark.parametrize("kind", [CIFAR10, CIFAR100])
@pytest.mark.parametrize("train", [True, False])
def test_cifar_from_an_archive(kind: Any, train: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tarball(kind)
    fill(tmp_path / "root", {publish(monkeypatch, kind, archive): archive})
    pictures = kind(tmp_path / "root", train, download=False)
    part = slice(0, 10) if train else slice(10, 12)
    np.testing.assert_array_equal(pictures.images, PICTURES[part], strict=True)
    np.testing.assert_array_equal(pictures.targets, FINE[part].astype(np.int64), strict=True)
    image, label = pictures[1]
    np.testing.assert_array_equal(image, (PICTURES[part][1] / 255).astype(np.float32), strict=True)
    assert label == FINE[part][1]
    if kind is CIFAR10:
        assert pictures.classes == tuple(NAMES)
    else:
        np.testing.assert_array_equal(pictures.coarse_targets, COARSE[part])
        assert pictures.classes[37] == "fine_37"
    assert repr(pictures).startswith(f"{kind.__name__}({'train' if train else 'test'}, {len(pictures)} images of 10")
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == [kind._archive.name]  # nothing is unpacked


def test_cifar_from_the_network_resumed(site: "Site", monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tarball(CIFAR10)
    name = publish(monkeypatch, CIFAR10, archive)
    site.pages[f"/{name}"] = site.answer_rest(archive, at_most=len(archive) // 2 + 1)
    pictures = CIFAR10(mirrors=[site.url])
    assert pictures.source == "download"
    assert site.ranges == [None, f"bytes={len(archive) // 2 + 1}-"]
    np.testing.assert_array_equal(pictures.images, PICTURES[:10])
    assert CIFAR10(train=False, mirrors=[]).source == "cache"


def test_cifar_with_another_checksum(site: "Site", tmp_path: Path) -> None:
    site.pages["/cifar-10-binary.tar.gz"] = tarball(CIFAR10)
    with pytest.raises(DataError, match=r"is damaged, or is another file: cifar-10-binary.tar.gz has the MD5 c32a1d4ab5d0"):
        CIFAR10(tmp_path, mirrors=[site.url])
    assert list((tmp_path / "cifar-10-batches-bin").iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"test_batch_bin": None}, r"cifar-10-binary.tar.gz \(root\) has no test_batch.bin in cifar-10-batches-bin. Delete"),
        (
            {"test_batch_bin": bytes(3072)},
            r"test_batch.bin in .* is truncated: its records have 3,073 bytes each, and 3,072 bytes are no whole number",
        ),
    ],
)
def test_archive_of_another_kind(
    changed: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tarball(CIFAR10, **changed)
    fill(tmp_path / "root", {publish(monkeypatch, CIFAR10, archive): archive})
    with pytest.raises(DataError, match=message):
        CIFAR10(tmp_path / "root", train=False)


@pytest.mark.parametrize("damage", [lambda archive: archive[:5000], lambda archive: b"no tar at all"])
def test_damaged_archive(damage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = damage(tarball(CIFAR10))
    fill(tmp_path / "root", {publish(monkeypatch, CIFAR10, archive): archive})
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz \(root\) is damaged: .*Delete the archive and get it again"):
        CIFAR10(tmp_path / "root")


def test_archive_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read: No such file or directory. Look elsewhere"):
        ArchiveFile("x.tar.gz", 10, "").read(tmp_path / "x.tar.gz", "Look elsewhere.")


def test_a_batch_of_cifar_is_transformed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tarball(CIFAR10)
    fill(tmp_path / "root", {publish(monkeypatch, CIFAR10, archive): archive})
    augment = transforms.Compose([transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()])
    pictures = CIFAR10(tmp_path / "root", transform=augment)
    (images, labels), *_ = DataLoader(pictures, 10, shuffle=True)
    assert images.shape == (10, 3, 32, 32)
    assert images.dtype == np.float32
    assert sorted(labels.tolist()) == sorted(FINE[:10].tolist())


# Folders of pictures --------------------------------------------------------------------------------------------------


def ppm(*colour: int) -> bytes:
    return b"P6 2 3 255 " + bytes(colour) * 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("PIL")
    for name, content in {
        "b/2.ppm": ppm(255, 0, 0),
        "b/10.PPM": ppm(0, 255, 0),
        "b/notes.txt": b"no picture",
        "a/deep/er/1.ppm": ppm(0, 0, 51),
        "C/1.ppm": ppm(102, 102, 102),
        "loose.ppm": ppm(1, 1, 1),
    }.items():
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "pictures"


def test_folders_are_classes_sorted_by_name(folder: Path) -> None:
    pictures = ImageFolder(folder)
    assert pictures.classes == ["C", "a", "b"]
    assert pictures.class_to_idx == {"C": 0, "a": 1, "b": 2}
    expected = [("C/1.ppm", 0), ("a/deep/er/1.ppm", 1), ("b/10.PPM", 2), ("b/2.ppm", 2)]
    assert pictures.samples == pictures.imgs == [(str(folder / name), number) for name, number in expected]
    assert pictures.targets == [0, 1, 2, 2]
    assert len(pictures) == 4
    image, label = pictures[1]
    assert label == 1
    assert (image.shape, image.dtype) == ((3, 3, 2), np.float32)
    assert image[:, 2, 1].tolist() == [0, 0, np.float32(0.2)]
    assert repr(pictures) == f"ImageFolder(4 images of 3 classes, from {folder})"


def test_transforms_loader_and_choice_of_files(folder: Path) -> None:
    pictures = ImageFolder(
        folder, transforms.CenterCrop(1), lambda label: label + 10, is_valid_file=lambda path: "1" in Path(path).name
    )
    assert len(pictures) == 3
    image, label = pictures[2]
    assert (image.ravel().tolist(), label) == ([0, 1, 0], 12)
    assert ImageFolder(folder, loader=lambda path: Path(path).name)[3] == ("2.ppm", 2)
    (images, labels), *_ = DataLoader(ImageFolder(folder), 4)
    assert images.shape == (4, 3, 3, 2)
    assert labels.tolist() == [0, 1, 2, 2]


def test_grey_pictures(folder: Path) -> None:
    assert load_image(folder / "C" / "1.ppm", "L")[:, 0, 0].tolist() == [np.float32(0.4)]
    with pytest.raises(ArgumentError, match="mode must be \"RGB\" or \"L\", got 'CMYK'"):
        load_image(folder / "C" / "1.ppm", "CMYK")


@pytest.mark.parametrize("content", [b"", b"no picture", ppm(1, 2, 3)[:20]])
def test_a_bad_file_is_named(folder: Path, content: bytes) -> None:
    bad = folder / "b" / "2.ppm"
    bad.write_bytes(content)
    with pytest.raises(DataError, match=rf"the picture {bad} cannot be read: .*Replace the file, or remove it") as caught:
        list(DataLoader(ImageFolder(folder), 2, num_workers=2))
    assert "sample 3 of ImageFolder" in str(caught.value)
    bad.unlink()
    with pytest.raises(DataError, match=rf"{bad} cannot be read"):
        load_image(bad)


def test_bad_directories(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the directory .*/nothing cannot be read: No such file or directory. Check the path"):
        ImageFolder(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"/b has no folders: put the pictures of each class into a folder of its own in it"):
        ImageFolder(folder / "b")
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"the folder .*/empty has no pictures \(.jpg, .*\): fill it, or remove it"):
        ImageFolder(folder)


def test_without_pillow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match='reading pictures from files needs the extra "plot"'):
        ImageFolder(folder)[0]
