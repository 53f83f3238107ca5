"""The recipes of examples/, called as from a command line; and a CIFAR-10 of a few pictures, in the published format."""

import hashlib
import importlib.util
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tinygrad_cnn.data import CIFAR10, FashionMNIST
from tinygrad_cnn.data.files import DATA_VARIABLE

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    """The file of a recipe as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's own data sets, the cache and the network away."""
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(FashionMNIST, "debian", tmp_path / "debian")
    for kind in (CIFAR10, FashionMNIST):
        monkeypatch.setattr(kind, "mirrors", ("http://127.0.0.1:9/",))


@pytest.fixture
def cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A directory with CIFAR-10 of 60 and 30 pictures, whose classes are easily told apart by a bright row."""
    rng = np.random.default_rng(0)

    def records(count: int) -> bytes:
        labels = np.arange(count) % 10
        pictures = rng.integers(0, 60, (count, 3, 32, 32), dtype=np.uint8)
        pictures[np.arange(count), :, 3 * labels + 1] += 180
        return np.concatenate([labels[:, None].astype(np.uint8), pictures.reshape(count, -1)], axis=1).tobytes()

    files = {f"data_batch_{number}.bin": records(12) for number in range(1, 6)}
    files |= {"test_batch.bin": records(30), "batches.meta.txt": "\n".join("abcdefghij").encode()}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    archive = replace(CIFAR10._archive, md5=hashlib.md5(out.getvalue()).hexdigest())
    monkeypatch.setattr(CIFAR10, "_archive", archive)
    root = tmp_path / "cifar"
    root.mkdir()
    (root / archive.name).write_bytes(out.getvalue())
    return str(root)


@pytest.fixture
def refusal() -> Callable[..., str]:
    """A function that runs a recipe which has to end with a message, and gives that message."""

    def run(module: ModuleType, *arguments: str) -> str:
        with pytest.raises(SystemExit) as caught:
            module.main(list(arguments))
        return str(caught.value)

    return run
