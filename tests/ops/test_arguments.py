"""What an operator makes of its two operands: dtypes, Python numbers, NumPy's scalars, sizes and dimensions."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError

F16, F32, F64, I32, I64, U8, B = np.float16, np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_


def of(dtype, shape=(2,)):
    return tg.ones(*shape, dtype=dtype)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (F32, F32, F32), (F32, F64, F64), (F16, F32, F32), (F32, I64, F32), (F16, I64, F16), (F32, B, F32),
        (I32, I64, I64), (U8, I32, I32), (U8, B, U8), (I64, B, I64), (B, B, B),
    ],
)  # fmt: skip
def test_two_tensors_of_the_same_rank(a, b, expected):
    assert (of(a) + of(b)).dtype == expected
    assert (of(b) + of(a)).dtype == expected


@pytest.mark.parametrize(
    ("with_dims", "without", "expected"),
    [
        (F32, F64, F32), (F16, F64, F16), (U8, I64, U8), (I32, I64, I32), (I64, F64, F64), (I64, F32, F32), (B, I64, I64),
        (B, B, B), (F32, I64, F32),
    ],
)  # fmt: skip
def test_a_tensor_without_dimensions_gives_way(with_dims, without, expected):
    assert (of(with_dims) * of(without, ())).dtype == expected
    assert (of(without, ()) * of(with_dims)).dtype == expected


@pytest.mark.parametrize("number", [2, 2.0, True, np.float64(2), np.float32(2), np.int64(2), np.bool_(True), np.uint8(2)])
@pytest.mark.parametrize("dtype", [F16, F32, F64])
def test_a_number_takes_the_dtype_of_a_float_tensor(dtype, number):
    for y in (of(dtype) + number, number + of(dtype), of(dtype) ** number, of(dtype) / number, number / of(dtype)):
        assert isinstance(y, tg.Tensor)
        assert y.dtype == dtype


@pytest.mark.parametrize(
    ("dtype", "number", "expected"),
    [
        (I32, 2, I32), (U8, 2, U8), (I32, True, I32), (I32, np.bool_(True), I32), (I32, np.int64(2), I32),
        (I32, 2.5, F32), (I64, np.float64(2.5), F32), (B, 2, I64), (B, 2.5, F32), (B, True, B), (B, np.bool_(True), B),
    ],
)  # fmt: skip
def test_a_number_beside_integers_and_booleans(dtype, number, expected):
    assert (of(dtype) * number).dtype == expected
    assert (number * of(dtype)).dtype == expected


def test_the_default_dtype_is_what_integers_become():
    tg.set_default_dtype(np.float64)
    try:
        assert (of(I64) * 2.5).dtype == F64
        assert (of(I64) / 2).dtype == F64
        assert tg.exp(of(I64)).dtype == F64
    finally:
        tg.set_default_dtype(np.float32)


def test_numbers_are_not_rounded_on_the_way_into_a_float64_tensor():
    """Through the default dtype, 0.1 would become 0.10000000149."""
    x = tg.zeros(1, dtype=F64)
    assert (x + 0.1).item() == 0.1
    assert tg.add(x, 0.1, alpha=3).item() == 0.1 * 3
    assert tg.sub(x, 0.1, alpha=3).item() == -0.1 * 3
    assert tg.maximum(x, 0.1).item() == 0.1
    assert tg.clamp(x, min=0.1).item() == 0.1
    assert tg.where(x > 0, x, 0.1).item() == 0.1
    assert x.masked_fill(x == 0, 0.1).item() == 0.1
    x[0] = 0.1
    assert x.item() == 0.1
    assert x.fill_(0.2).item() == 0.2
    assert tg.zeros(2, dtype=F64).copy_([0.1, 0.2]).tolist() == [0.1, 0.2]


@pytest.mark.parametrize("other", [None, "2", {}, b"2"])
def test_what_is_no_number(other):
    with pytest.raises(DTypeError, match="expected a tensor, an array or a number beside a tensor, got"):
        of(F32) + other


def test_a_number_that_does_not_fit():
    with pytest.raises(DTypeError, match=r"-1 does not fit the uint8 tensor beside it: use \.long\(\) or \.float\(\)"):
        of(U8) * -1
    assert (of(U8) / -1).tolist() == (-1 / of(U8)).tolist() == [-1.0, -1.0]
    assert (of(U8) > -1).tolist() == [True, True]
    assert (of(U8) > -1).tolist() == [True, True]
    assert (of(U8) == 300).tolist() == [False, False]
    assert tg.lt(-1, of(U8)).tolist() == tg.ne(300, of(U8)).tolist() == [True, True]


def test_lists_are_operands_on_both_sides():
    assert ([1, 2] + of(F32)).tolist() == [2.0, 3.0]
    assert (of(F32) + [1, 2]).tolist() == [2.0, 3.0]


def test_shapes_that_do_not_broadcast():
    x, y = tg.ones(2, 3), tg.ones(4, 3)
    message = r"shapes \(2, 3\) and \(4, 3\) do not broadcast: in dimension -2 they have 2 and 4"
    for call in (tg.add, tg.mul, tg.div, tg.maximum, tg.remainder, tg.pow, tg.floor_divide, tg.eq, tg.lt):
        with pytest.raises(ShapeError, match=message):
            call(x, y)
    with pytest.raises(ShapeError, match=message):
        tg.where(x > 0, x, y)
    with pytest.raises(ShapeError, match=message):
        (x > 0) & (y > 0)


REDUCTIONS = ["sum", "mean", "var", "std", "amax", "amin", "max", "min", "prod", "logsumexp", "norm", "any", "all"]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_numpys_names_in_functions_and_methods(name):
    x = tg.tensor([[1.0, 2.0, 4.0], [3.0, 5.0, 7.0]])

    def values(result):
        return (result.values if isinstance(result, tuple) else result).tolist()

    for function in (getattr(tg, name), lambda *args, **kwargs: getattr(tg.Tensor, name)(*args, **kwargs)):
        assert values(function(x, axis=0)) == values(function(x, dim=0))
        assert values(function(x, axis=-1, keepdims=True)) == values(function(x, dim=1, keepdim=True))
        with pytest.raises(ArgumentError, match=rf"{name}\(\) was given both dim and axis: give one"):
            function(x, dim=0, axis=1)
        with pytest.raises(ArgumentError, match=rf"{name}\(\) was given both keepdim and keepdims: give one"):
            function(x, dim=0, keepdim=True, keepdims=True)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "cumsum", "argmax", "argmin", "squeeze", "flip"])
def test_axis_of_what_keeps_the_dimension(name):
    x = tg.tensor([[1.0, 2.0, 4.0], [3.0, 5.0, 7.0]])
    by_method = getattr(x, name)
    assert getattr(tg, name)(x, axis=1).tolist() == by_method(axis=1).tolist() == by_method(1).tolist()


def test_an_unknown_name_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'axes'"):
        tg.ones(2).sum(axes=0)


def test_a_second_dimension_is_not_taken_for_keepdim():
    x = tg.ones(2, 3)
    for name in ("sum", "mean", "amax", "amin", "var", "logsumexp", "norm"):
        arguments = {"var": (0, None, 1), "norm": (2, 0, 1)}.get(name, (0, 1))
        with pytest.raises(DTypeError, match=rf"{name}: keepdim is True or False, got 1; several dimensions are a tuple"):
            getattr(x, name)(*arguments)


def test_dimensions_out_of_range_and_twice():
    x = tg.ones(2, 3)
    with pytest.raises(ShapeError, match=r"sum: dim 2 does not exist in a tensor of 2 dimensions \(valid: -2 to 1\)"):
        x.sum(2)
    with pytest.raises(ShapeError, match=r"amax: a dimension appears twice in dim=\(0, -2\)"):
        x.amax((0, -2))
    with pytest.raises(DTypeError, match=r"sum: a dimension is an integer, got 1\.0"):
        x.sum(1.0)
    with pytest.raises(DTypeError, match=r"reshape: sizes are integers, got \(3\.0, 2\)"):
        x.reshape(3.0, 2)


@pytest.mark.parametrize("dim", [None, 0, -1, (0,), (-1,), ()])
def test_a_tensor_without_dimensions_counts_as_a_vector_of_one(dim):
    x = tg.tensor(2.0)
    assert x.sum(dim).shape == ()
    assert x.sum(dim, keepdim=True).shape == ()
    assert x.amax(dim).item() == 2.0
    for bad in (1, -2, (1,)):
        with pytest.raises(ShapeError, match=r"does not exist in a tensor of 0 dimensions \(valid: -1 to 0\)"):
            x.sum(bad)


def test_dimensions_may_be_numpy_integers_and_tensors():
    x = tg.ones(2, 3)
    assert x.sum(np.int64(1)).shape == x.sum(tg.tensor(1)).shape == (2,)
    assert x.reshape(np.int64(3), tg.tensor(2)).shape == (3, 2)
