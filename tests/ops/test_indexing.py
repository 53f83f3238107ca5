"""Reading and assigning with every kind of index: PyTorch's shapes, and gradients that find each element."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.errors import ShapeError

from .checking import check, gradient_of, leaf, normal

ARRAY = np.array([1, 0, -1])
MASK = np.array([[True, False, True], [False, False, True]])

# Indices of a tensor of shape (2, 3, 4), and the shape of the result as PyTorch 2.13 gives it.
INDICES = {
    "integer": (1, (3, 4)),
    "negative integer": (-1, (3, 4)),
    "integers for all": ((1, 2, -1), ()),
    "slice": (slice(1, None), (1, 3, 4)),
    "step": ((slice(None), slice(None, None, 2)), (2, 2, 4)),
    "backwards": ((..., slice(None, None, -1)), (2, 3, 4)),
    "empty slice": ((slice(2, 1), 0), (0, 4)),
    "ellipsis": ((..., 0), (2, 3)),
    "none": ((None, 1, None, ..., None), (1, 1, 3, 4, 1)),
    "list": ([0, 1, 1], (3, 3, 4)),
    "array": (ARRAY, (3, 3, 4)),
    "matrix": (np.array([[0, 1], [1, 1]]), (2, 2, 3, 4)),
    "array and array": ((ARRAY, ARRAY), (3, 4)),
    "arrays that broadcast": ((ARRAY[:, None], ARRAY), (3, 3, 4)),
    "array last": ((..., ARRAY), (2, 3, 3)),
    "arrays apart": ((ARRAY, slice(None), ARRAY), (3, 3)),
    "array beside integer": ((slice(None), 0, ARRAY), (2, 3)),
    "integer, slice, array": ((0, slice(None), ARRAY), (3, 3)),
    "integer, ellipsis, array": ((-1, ..., ARRAY), (3, 3)),
    "integer, none, array": ((0, None, ARRAY), (1, 3, 4)),
    "array, slice, integer": ((ARRAY, slice(None), 0), (3, 3)),
    "integer, slice, mask": ((1, slice(None), np.array([True, False, False, True])), (3, 2)),
    "ellipsis for nothing": ((None, ARRAY, ..., ARRAY, ARRAY), (1, 3)),
    "mask": (MASK, (3, 4)),
    "mask of a row": ((slice(None), MASK[0]), (2, 2, 4)),
    "mask that chooses nothing": (np.zeros((2, 3), bool), (0, 4)),
    "true": (True, (1, 2, 3, 4)),
    "false": (False, (0, 2, 3, 4)),
    "integer, slice, array, true": ((1, slice(None), ARRAY, True), (3, 3)),
    "no numbers": ([], (0, 3, 4)),
    "no numbers inside": ((slice(None), np.zeros((0,), np.int64)), (2, 0, 4)),
    "range": ((slice(None), range(2)), (2, 2, 4)),
    "nothing": ((), (2, 3, 4)),
}  # fmt: skip


def positions(index, shape):
    """The flat position of each element of x[index]: integers first, then the rest, in two plain steps of NumPy."""
    parts = index if isinstance(index, tuple) else (index,)
    parts = [np.asarray(p, None if len(p) else np.int64) if isinstance(p, (list, range)) else p for p in parts]
    if not any(isinstance(p, np.ndarray) for p in parts):
        return np.arange(np.prod(shape)).reshape(shape)[tuple(parts)]

    def spans(p):
        return (p.ndim if p.dtype == bool else 1) if isinstance(p, np.ndarray) else int(type(p) is int or isinstance(p, slice))

    fill = [slice(None)] * (len(shape) - sum(map(spans, parts)))
    full = [q for p in parts for q in (fill if p is ... else [p])]
    first = [q for p in full for q in ([slice(None)] * spans(p) if isinstance(p, np.ndarray) else [p]) if type(q) is not bool]
    then = [p if isinstance(p, np.ndarray) or type(p) is bool else slice(None) for p in full if type(p) is not int]
    return np.arange(np.prod(shape)).reshape(shape)[tuple(first)][tuple(then)]


def as_tensors(index):
    """The same index with tensors in place of arrays."""
    if isinstance(index, tuple):
        return tuple(map(as_tensors, index))
    return tg.tensor(index) if isinstance(index, np.ndarray) else index


@pytest.mark.parametrize("name", INDICES)
def test_reading(name):
    index, shape = INDICES[name]
    expected = positions(index, (2, 3, 4))
    assert expected.shape == shape
    check(lambda x: x[as_tensors(index)], lambda x: x.ravel()[expected], normal(2, 3, 4), second=False)
    x = leaf(normal(2, 3, 4))
    assert x[index].array.tolist() == x[as_tensors(index)].array.tolist() == x.array.ravel()[expected].tolist()
    # The gradient adds up where an element is read more than once, and reads back at the second order.
    (g,) = grad(x[index], x, cotangent := leaf(normal(*shape, seed=1)), create_graph=True)
    counted = np.zeros(24)
    np.add.at(counted, expected, cotangent.array)
    np.testing.assert_allclose(g.array.ravel(), counted)
    (back,) = grad(g, cotangent, Tensor(normal(2, 3, 4, seed=2)))
    np.testing.assert_allclose(back.array, normal(2, 3, 4, seed=2).ravel()[expected])


@pytest.mark.parametrize("name", INDICES)
@pytest.mark.parametrize("value_shape", ["same", "one", "row", "leading ones"])
def test_assigning(name, value_shape):
    index, shape = INDICES[name]
    where = positions(index, (2, 3, 4))
    value = normal(*{"same": shape, "one": (), "row": shape[-1:], "leading ones": (1, *shape)}[value_shape], seed=1)

    def by_loops(x, v):
        flat, new = x.copy().ravel(), np.broadcast_to(v.reshape(v.shape[-len(shape) :] if shape else ()), shape)
        for place, number in zip(where.ravel(), new.ravel(), strict=True):
            flat[place] = number
        return flat.reshape(2, 3, 4)

    def assigned(x, v):
        y = x.clone()
        y[as_tensors(index)] = v
        return y

    check(assigned, by_loops, normal(2, 3, 4), value, second=False)
    plain = Tensor(normal(2, 3, 4))
    plain[index] = value
    np.testing.assert_array_equal(plain.array, by_loops(normal(2, 3, 4), value))


def test_reading_and_assigning_to_the_second_order():
    def call(x, v):
        y = x * x
        y[[0, 2, 0]] = v * v
        return y[[0, 0, 1]] * y[..., :1]

    def reference(x, v):
        y = x * x
        y[2], y[0] = v[1] ** 2, v[2] ** 2
        return y[[0, 0, 1]] * y[..., :1]

    check(call, reference, normal(3, 2), normal(3, 2, seed=1))


def test_of_a_repeated_index_only_the_last_value_gets_a_gradient():
    g = gradient_of(lambda v: assigned_into_zeros(v, [0, 2, 0]), [5.0, 6.0, 7.0], cotangent=[10.0, 20.0, 30.0])
    assert g.tolist() == [0.0, 30.0, 10.0]


def assigned_into_zeros(value, index):
    y = tg.zeros(3, dtype=np.float64)
    y[index] = value
    return y


def test_what_was_overwritten_gets_no_gradient_not_even_an_infinite_one():
    x = leaf([4.0, 4.0])
    y = x * 1
    y[0] = 0.0
    y.sqrt().sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]


def test_a_buffer_filled_step_by_step():
    parts = [leaf(normal(2, seed=k)) for k in range(3)]
    rows = tg.zeros(3, 2, dtype=np.float64)
    for k, part in enumerate(parts):
        rows[k] = part * part
    (rows * rows).sum().backward()
    for part in parts:
        np.testing.assert_allclose(part.grad.array, 4 * part.array**3)


def test_assigning_from_the_tensor_itself():
    x = leaf([1.0, 2.0, 3.0, 4.0])
    y = x * 1
    y[1:] = y[:-1]
    assert y.tolist() == [1.0, 1.0, 2.0, 3.0]
    (y * tg.tensor([1.0, 10.0, 100.0, 1000.0], dtype=np.float64)).sum().backward()
    assert x.grad.tolist() == [11.0, 100.0, 1000.0, 0.0]


def test_basic_indices_are_views_and_others_are_copies():
    x = tg.zeros(2, 3)
    for i, index in enumerate([0, (1, 2), (slice(None), 1), (0, ...), (None, 1)], 1):
        x[index].fill_(i)
        assert (x[index] == i).all()
        assert (x.array[index] == i).all()
    before = x.tolist()
    for index in ([0], tg.tensor([1]), x > 0, (0, [1])):
        x[index].fill_(99)
    assert x.tolist() == before


def test_integer_tensors_count_as_integers():
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x[tg.tensor(1)].tolist() == x[np.int64(1)].tolist() == [3.0, 4.0]
    assert x[tg.tensor(1), tg.tensor(0)].item() == 3.0
    x[tg.tensor(1)].zero_()
    assert x.tolist() == [[1.0, 2.0], [0.0, 0.0]]
    assert x[tg.tensor([0, 1], dtype=np.uint8)].shape == (2, 2)
    assert x[[tg.tensor(1), tg.tensor(1)]].shape == (2, 2)


def test_a_tuple_inside_an_index_is_a_list():
    """If it were not seen as an array, the gradient of what it names twice would be lost."""
    assert gradient_of(lambda x: x[(0, 0),], [1.0, 2.0]).tolist() == [2.0, 0.0]
    assert gradient_of(lambda x: x[:, (1, 1)], [[1.0, 2.0]]).tolist() == [[0.0, 2.0]]


def test_assignment_converts_to_the_dtype_of_the_target():
    x = tg.zeros(2, dtype=np.int64)
    x[0] = 2.7
    x[1:] = leaf([3.2])
    assert x.tolist() == [2, 3]
    assert not x.requires_grad
    y = tg.zeros(2)
    w = leaf([1.0, 2.0])
    y[:] = w
    assert y.dtype == np.float32
    y.sum().backward()
    assert (w.grad.dtype, w.grad.tolist()) == (np.float64, [1.0, 1.0])


def test_errors():
    x = tg.zeros(2, 3)
    with pytest.raises(IndexError, match="index 2 is out of bounds for axis 0 with size 2"):
        x[2]
    with pytest.raises(IndexError, match="too many indices"):
        x[0, 0, 0]
    with pytest.raises(IndexError):
        x[tg.tensor([0.5])]
    with pytest.raises(
        ShapeError, match=r"assignment: a value of shape \(2,\) does not fit into the indexed part of shape \(3,\)"
    ):
        x[0] = tg.ones(2)
    with pytest.raises(ShapeError, match=r"a value of shape \(2, 3\) does not fit into the indexed part of shape \(3,\)"):
        x[0] = tg.ones(2, 3)
