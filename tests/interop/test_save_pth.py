"""Files for PyTorch: what `torch.load` makes of them (pytest -m torch), and that they come back here."""

import zipfile

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.errors import DTypeError
from tinygrad_cnn.interop import load, save_pth
from tinygrad_cnn.interop.tensor_views import ELEMENT_TYPES

DTYPES = [name for name in ELEMENT_TYPES if name != "bfloat16"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ours.pth"


def arrays():
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=(2, 3)) * 10
    made = {f"{dtype} naïve": np.abs(numbers).astype(dtype) for dtype in DTYPES}
    made |= {"scalar": np.array(2.5), "empty": np.zeros((0, 3)), "transposed": numbers.T, "strided": numbers[:, ::2]}
    return {**made, "big endian": numbers.astype(">f8")}


def test_arrays_come_back(path):
    save_pth(path, arrays())
    found = load(path)
    assert list(found) == list(arrays())
    for name, array in arrays().items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].shape == array.shape


def test_the_numbers_start_where_they_can_be_used_from_a_mapped_file(path):
    save_pth(path, arrays())
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for entry in archive.infolist():
            name, extra = np.frombuffer(content[entry.header_offset + 26 : entry.header_offset + 30], "<u2")
            assert (entry.header_offset + 30 + name + extra) % 64 == 0
    for array in load(path, mmap=True).values():
        assert not array.flags.writeable or not array.size


def test_the_same_weights_give_the_same_bytes(path):
    save_pth(path, arrays())
    first = path.read_bytes()
    save_pth(path, arrays())
    assert path.read_bytes() == first


def test_a_dtype_that_pytorch_lacks_is_refused_and_the_old_file_stays(path):
    save_pth(path, {"a": tg.ones(2)})
    for array in (np.array(["text"]), np.ones(2, np.longdouble), np.array([None])):
        with pytest.raises(DTypeError, match=r"save_pth: b is of the dtype .*, which PyTorch does not have"):
            save_pth(path, {"b": array})
    assert load(path)["a"].tolist() == [1, 1]


@pytest.mark.torch
@pytest.mark.parametrize("mmap", [False, True])
def test_pytorch_reads_it(mmap, path):
    torch = pytest.importorskip("torch")
    save_pth(path, arrays())
    found = torch.load(path, weights_only=True, mmap=mmap)
    assert list(found) == list(arrays())
    for name, array in arrays().items():
        np.testing.assert_array_equal(found[name].numpy(), array)
        assert found[name].numpy().dtype == array.dtype.newbyteorder("=")


@pytest.mark.torch
def test_a_network_of_ours_goes_into_the_same_one_of_pytorch(path):
    torch = pytest.importorskip("torch")
    ours = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))
    ours(tg.rand(4, 1, 4, 4))
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(12, 2)
    )
    save_pth(path, ours.state_dict())
    theirs.load_state_dict(torch.load(path))
    x = np.random.default_rng(0).normal(size=(2, 1, 4, 4)).astype(np.float32)
    with torch.no_grad():
        expected = theirs.eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ours.eval()(tg.tensor(x)).detach().numpy(), expected, rtol=1e-5, atol=1e-6)
