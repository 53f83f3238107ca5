"""Making tensors: dtypes, exact values, every spelling of a size, messages."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError

F32, F64, I64 = np.float32, np.float64, np.int64


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (1, I64, ()), (2.5, F32, ()), (True, np.bool_, ()), ([1, 2], I64, (2,)), ([1, 2.5], F32, (2,)), ([True, 2], I64, (2,)),
        ((1.0, 2.0), F32, (2,)), ([], F32, (0,)), ([[]], F32, (1, 0)), ([[1, 2], [3, 4.0]], F32, (2, 2)), (range(3), I64, (3,)),
        (np.float64(2), F64, ()), (np.float32(2), F32, ()), (np.int32(2), np.int32, ()), ([np.float64(1)], F64, (1,)),
        (np.zeros((2, 3)), F64, (2, 3)), ([np.zeros(2), np.ones(2)], F64, (2, 2)), (np.array([1], np.uint8), np.uint8, (1,)),
    ],
)  # fmt: skip
def test_dtype_and_shape_of_data(data, dtype, shape):
    x = tg.tensor(data)
    assert (x.dtype, x.shape) == (dtype, shape)


def test_lists_of_tensors():
    one, two = tg.tensor(1.0), tg.tensor(2.0)
    assert tg.tensor([one, two]).tolist() == tg.tensor([[one, two]]).tolist()[0] == tg.tensor([one, 2.0]).tolist() == [1.0, 2.0]
    assert tg.tensor([1, two]).dtype == F32
    assert tg.tensor([tg.tensor(1), tg.tensor(2)]).dtype == I64
    assert tg.tensor([one, two], dtype=F64).dtype == F64


def test_python_floats_are_rounded_once():
    """Through float32, 0.1 would become 0.10000000149 in float64."""
    assert tg.tensor(0.1, dtype=F64).item() == 0.1
    assert tg.tensor([[0.1]], dtype=F64).item() == 0.1
    assert tg.tensor([16777217.0], dtype=I64).item() == 16777217
    assert tg.as_tensor([0.1], F64).item() == 0.1
    assert tg.full((1,), 0.1, dtype=F64).item() == 0.1
    assert tg.full_like(tg.zeros(1, dtype=F64), 0.1).item() == 0.1


def test_tensor_copies_and_as_tensor_does_not():
    array = np.zeros(2)
    copied, shared = tg.tensor(array), tg.as_tensor(array)
    array[0] = 1
    assert (copied.tolist(), shared.tolist(), tg.from_numpy(array).tolist()) == ([0.0, 0.0], [1.0, 0.0], [1.0, 0.0])
    assert tg.as_tensor(shared) is shared
    assert tg.as_tensor(shared, F32).dtype == F32
    x = tg.ones(2, requires_grad=True)
    y = tg.tensor(x)
    assert not y.requires_grad
    assert not np.may_share_memory(x.array, y.array)


def test_requires_grad_at_birth():
    for make in (tg.zeros, tg.ones, tg.empty, tg.rand, tg.randn, tg.eye):
        assert make(2, requires_grad=True).requires_grad
        assert not make(2).requires_grad
    for x in (
        tg.full((2,), 1.0, requires_grad=True),
        tg.linspace(0, 1, 2, requires_grad=True),
        tg.arange(2.0, requires_grad=True),
    ):
        assert x.requires_grad
    like = tg.ones(2, dtype=F64)
    for make in (tg.zeros_like, tg.ones_like, tg.rand_like, tg.randn_like):
        x = make(like, requires_grad=True)
        assert (x.requires_grad, x.dtype, x.shape) == (True, F64, (2,))


@pytest.mark.parametrize("make", [tg.zeros, tg.ones, tg.empty, tg.rand, tg.randn])
def test_sizes(make):
    assert make(2, 3).shape == make((2, 3)).shape == make([2, 3]).shape == make(tg.ones(2, 3).shape).shape == (2, 3)
    assert make().shape == make(()).shape == ()
    assert make(0, 2).shape == (0, 2)
    assert make(2).dtype == F32
    assert make(2, dtype=F64).dtype == F64
    assert make(2, dtype=np.float16).dtype == np.float16


def test_filled():
    assert tg.zeros(2).tolist() == [0.0, 0.0]
    assert tg.ones(2, dtype=I64).tolist() == [1, 1]
    assert (tg.full((2,), 7).dtype, tg.full((2,), 7.0).dtype, tg.full((2,), True).dtype) == (I64, F32, np.bool_)
    assert tg.full((), 2.0).item() == 2.0
    assert tg.eye(2, 3).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert (tg.eye(2).dtype, tg.eye(2, dtype=F64).dtype) == (F32, F64)
    n = tg.tensor([1, 2])
    assert (tg.zeros_like(n).tolist(), tg.ones_like(n).dtype, tg.full_like(n, 5).tolist()) == ([0, 0], I64, [5, 5])
    assert tg.zeros_like(n, dtype=F32).dtype == F32
    expanded = tg.zeros_like(tg.ones(1).expand(3))
    expanded[0] = 1.0
    assert expanded.tolist() == [1.0, 0.0, 0.0]


def test_arange():
    assert tg.arange(3).tolist() == [0, 1, 2]
    assert tg.arange(3).dtype == I64
    assert tg.arange(3.0).dtype == tg.arange(0, 1, 0.5).dtype == F32
    assert tg.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert tg.arange(1, 2, 0.25).tolist() == [1.0, 1.25, 1.5, 1.75]
    assert tg.arange(3, dtype=F64).dtype == F64
    assert tg.arange(2, 2).shape == (0,)
    with pytest.raises(ArgumentError, match=r"arange\(0, 3, 0\): a step of 0 never arrives; give another"):
        tg.arange(0, 3, 0)


def test_arange_does_not_drift():
    """A step that was rounded to float32 first is wrong by 1.5e-3 at the end of this one."""
    np.testing.assert_array_equal(tg.arange(100.0, 200.0, 0.1).array, (100 + 0.1 * np.arange(1000)).astype(F32))


def test_linspace():
    assert tg.linspace(0, 1, 5).tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert tg.linspace(2, 3, 1).tolist() == [2.0]
    assert tg.linspace(0, 1, 0).shape == (0,)
    assert (tg.linspace(0, 1, 3).dtype, tg.linspace(0, 1, 3, dtype=F64).dtype) == (F32, F64)


def test_the_default_dtype():
    assert tg.get_default_dtype() == F32
    tg.set_default_dtype("float64")
    try:
        assert tg.zeros(1).dtype == tg.tensor(1.0).dtype == tg.rand(1).dtype == tg.arange(1.0).dtype == F64
        assert repr(tg.tensor([1.0])) == "tensor([1.])"
    finally:
        tg.set_default_dtype(F32)
    with pytest.raises(DTypeError, match="the default dtype must be floating-point, got int64; use float32 or float64"):
        tg.set_default_dtype(I64)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tg.tensor("a"), DTypeError, "a tensor holds booleans, integers or floats; got str of dtype <U1"),
        (lambda: tg.ones(1, device="cuda"), ArgumentError, "device 'cuda' is not available"),
        (lambda: tg.empty(1, device="cuda"), ArgumentError, "device 'cuda' is not available"),
        (lambda: tg.randint(1, None, None), ArgumentError, r"randint\(1, None, None\): call it as"),
        (lambda: tg.Tensor(np.zeros(1, complex)), DTypeError, "got ndarray of dtype complex128"),
        (lambda: tg.tensor(1j), DTypeError, "a tensor holds booleans, integers or floats; got complex of dtype complex128"),
        (lambda: tg.tensor(None), DTypeError, "a tensor holds booleans, integers or floats; got NoneType of dtype object"),
        (lambda: tg.tensor([[1], [2, 3]]), ShapeError, "the rows of a nested list must have equal lengths to make a tensor"),
        (
            lambda: tg.tensor([1], requires_grad=True),
            DTypeError,
            "only floating-point tensors can require gradients, this one is int64",
        ),
        (lambda: tg.from_numpy([1]), ArgumentError, r"from_numpy expects an ndarray, got list: use tensor\(data\)"),
        (
            lambda: tg.zeros(1, device="cuda"),
            ArgumentError,
            "device 'cuda' is not available, tensors live on the CPU: use 'cpu' or leave it",
        ),
        (lambda: tg.tensor(1, device="mps"), ArgumentError, "device 'mps' is not available"),
        (
            lambda: tg.rand(2, dtype=I64),
            DTypeError,
            "random draws are floating-point numbers, dtype int64 cannot hold them: use randint",
        ),
        (
            lambda: tg.randn_like(tg.tensor([1])),
            DTypeError,
            "random draws are floating-point numbers, dtype int64 cannot hold them",
        ),
        (
            lambda: tg.randint(3),
            ArgumentError,
            r"randint\(3, None, None\): call it as randint\(high, size\) or randint\(low, high, size\)",
        ),
        (lambda: tg.randint(3, 3, (2,)), ArgumentError, r"randint\(3, 3, \(2,\)\): .* with low < high"),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()
