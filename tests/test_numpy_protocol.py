"""Tensors in NumPy's hands: arithmetic stays ours, a gradient is never lost unseen, nothing is written unseen."""

import operator
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor
from tinygrad_cnn.errors import ArgumentError, DTypeError


@pytest.fixture
def x():
    return tg.tensor([1.0, 2.0], requires_grad=True)


@pytest.fixture
def t():
    return tg.tensor([1.0, 2.0])


OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow, operator.matmul,
    operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge,
]  # fmt: skip


@pytest.mark.parametrize("op", OPERATORS)
def test_an_array_beside_a_tensor(op, x):
    array = np.array([3.0, 5.0])
    left, right = op(array, x), op(x, array)
    assert isinstance(left, Tensor)
    assert isinstance(right, Tensor)
    np.testing.assert_allclose(left.detach(), op(array, x.array))
    np.testing.assert_allclose(right.detach(), op(x.array, array))
    for result in (left, right):
        if result.requires_grad:
            x.grad = None
            result.sum().backward()
            assert x.grad.isfinite().all()


@pytest.mark.parametrize("op", [operator.and_, operator.or_, operator.xor])
def test_logic_beside_an_array(op):
    array, flags = np.array([True, False]), tg.tensor([True, True])
    assert isinstance(op(array, flags), Tensor)
    assert op(array, flags).tolist() == op(array, flags.array).tolist()


def test_the_gradient_goes_through(x):
    (np.array([3.0, 5.0]) * x).sum().backward()
    assert x.grad.tolist() == [3.0, 5.0]
    (np.float32(2) * x - np.float64(1)).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]
    np.multiply(x, 10).sum().backward()
    assert x.grad.tolist() == [15.0, 17.0]


def test_an_array_that_is_changed_in_place_by_a_tensor(x, t):
    array = np.ones(2)
    array += t
    assert isinstance(array, np.ndarray)
    assert array.tolist() == [2.0, 3.0]
    array[:] = t
    assert array.tolist() == [1.0, 2.0]
    with pytest.raises(DTypeError, match=r"np\.add on a tensor that requires grad would lose its gradient"):
        array += x
    with pytest.raises(DTypeError, match="conversion to a NumPy array on a tensor that requires grad would lose its gradient"):
        array[:] = x


@pytest.mark.parametrize(
    ("call", "name", "instead"),
    [
        (np.exp, "exp", "use tinygrad_cnn.exp(...)"),
        (np.sqrt, "sqrt", "use tinygrad_cnn.sqrt(...)"),
        (np.sum, "sum", "tinygrad_cnn.sum"),
        (np.mean, "mean", "tinygrad_cnn.mean"),
        (np.absolute, "absolute", "tinygrad_cnn.abs"),
        (np.negative, "negative", "tinygrad_cnn.neg"),
        (np.add.reduce, "add.reduce", "tinygrad_cnn.sum"),
        (np.multiply.reduce, "multiply.reduce", "tinygrad_cnn.prod"),
        (np.max, "max", "tinygrad_cnn.max"),
        (np.linalg.norm, "norm", "tinygrad_cnn.norm"),
        (np.arctan, "arctan", "compose it from ops"),
        (np.sort, "sort", "compose it from ops"),
        (lambda x: np.concatenate([x, x]), "concatenate", "tinygrad_cnn.cat"),
        (lambda x: np.stack([x, x]), "stack", "tinygrad_cnn.stack"),
        (lambda x: np.clip(x, 0, 1), "clip", "tinygrad_cnn.clip"),
        (lambda x: np.where(x.detach() > 0, x, 0), "where", "tinygrad_cnn.where"),
        (lambda x: np.einsum("i->", x), "einsum", "einsum"),
        (lambda x: np.multiply(x, 2, dtype=np.float64), "multiply", "tinygrad_cnn.mul"),
        (lambda x: np.dot(x, x), "dot", "tinygrad_cnn.dot"),
        (lambda x: np.divide(1, x, where=True), "divide", "tinygrad_cnn.div"),
        (lambda x: np.multiply.outer(x, x), "multiply.outer", "compose"),
    ],
)
def test_a_function_that_would_lose_the_gradient(call, name, instead, x):
    message = rf"np\.{name} on a tensor that requires grad would lose its gradient: .*{re.escape(instead)}.*or detach\(\) first"
    with pytest.raises(DTypeError, match=message):
        call(x)
    with tg.no_grad():
        call(x)
    call(x.detach())


def test_without_a_gradient_numpy_computes(t):
    assert isinstance(np.exp(t), Tensor)
    np.testing.assert_allclose(np.exp(t), np.exp([1.0, 2.0]), rtol=1e-6)
    assert np.add.reduce(t).item() == 3.0
    assert np.sum(t) == 3.0
    assert np.stack([t, t]).tolist() == [[1.0, 2.0], [1.0, 2.0]]
    quotient, rest = np.divmod(t, 2)
    assert (quotient.tolist(), rest.tolist()) == ([0.0, 1.0], [1.0, 0.0])
    assert np.concatenate(tg.max(tg.ones(2, 2), 1)).tolist() == [1.0, 1.0, 0.0, 0.0]
    np.testing.assert_array_equal(t, [1.0, 2.0])


def test_looking_at_shape_and_dtype_loses_nothing(x):
    assert np.shape(x) == (2,)
    assert np.ndim(x) == 1
    assert np.size(x) == 2
    assert np.zeros_like(x).tolist() == [0.0, 0.0]
    assert np.result_type(x, np.float64) == np.float64


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda t: np.add(t, 1, out=t), "add"),
        (lambda t: np.add(np.ones(2), 1, out=t), "add"),
        (lambda t: np.add.at(t, [0], 1), "add.at"),
        (lambda t: np.copyto(t, 1), "copyto"),
        (lambda t: np.copyto(dst=t, src=np.ones(2)), "copyto"),
        (lambda t: np.sum([[1.0], [2.0]], 1, out=t), "sum"),
        (lambda t: np.clip(t, 0, 1, out=t), "clip"),
        (lambda t: np.put(t, [0], 5), "put"),
        (lambda t: np.place(t, [True, False], 5), "place"),
        (lambda t: np.putmask(t, [True, False], 5), "putmask"),
        (lambda t: np.fill_diagonal(t[None], 5), "fill_diagonal"),
        (lambda t: np.put_along_axis(t, np.array([0]), 5, 0), "put_along_axis"),
    ],
)
def test_writing_into_a_tensor_behind_the_graphs_back(call, name, t):
    with pytest.raises(
        ArgumentError, match=rf"np\.{name} into a tensor would write behind the graph's back; use .* in-place methods"
    ):
        call(t)
    assert t.tolist() == [1.0, 2.0]


def test_reading_from_a_tensor_into_an_array(t):
    array = np.zeros(2)
    np.copyto(array, t)
    assert array.tolist() == [1.0, 2.0]
    assert np.add(t, 1, out=array).tolist() == array.tolist() == [2.0, 3.0]


def test_arrays_of_tensors(x, t):
    assert np.array([t, t]).tolist() == [[1.0, 2.0], [1.0, 2.0]]
    with pytest.raises(DTypeError, match="would lose its gradient"):
        np.array([x, x])


def test_tensors_index_arrays():
    array = np.array([5.0, 6.0, 7.0])
    assert array[tg.tensor(1)] == 6.0
    assert array[tg.tensor([0, 2])].tolist() == [5.0, 7.0]
    assert array[tg.tensor([True, False, True])].tolist() == [5.0, 7.0]
