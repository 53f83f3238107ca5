"""Matrix products, the linear layer and einsum: every pairing of ranks, against loops; messages."""

import itertools

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError

from .checking import check, leaf, normal


def product_by_loops(a, b):
    """A vector is a row on the left and a column on the right; leading dimensions broadcast."""
    left = a[None] if a.ndim == 1 else a
    right = b[:, None] if b.ndim == 1 else b
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left, right = (np.broadcast_to(m, batch + m.shape[-2:]) for m in (left, right))
    y = np.zeros(batch + (left.shape[-2], right.shape[-1]))
    for place in np.ndindex(*y.shape):
        *at, i, j = place
        y[place] = sum(left[(*at, i, t)] * right[(*at, t, j)] for t in range(left.shape[-1]))
    if a.ndim == 1:
        y = y[..., 0, :]
    return y[..., 0] if b.ndim == 1 else y


@pytest.mark.parametrize("a_shape", [(3,), (2, 3), (4, 2, 3), (1, 2, 3), (2, 1, 2, 3)])
@pytest.mark.parametrize("b_shape", [(3,), (3, 2), (4, 3, 2), (1, 3, 1), (4, 3, 1)])
def test_matmul_of_every_pair_of_ranks(a_shape, b_shape):
    second = len(a_shape) + len(b_shape) < 5
    check(tg.matmul, product_by_loops, normal(*a_shape, seed=1), normal(*b_shape, seed=2), second=second)


def test_other_spellings_of_the_product():
    a, b = normal(2, 3), normal(3, 2, seed=1)
    expected = product_by_loops(a, b)
    for y in (
        Tensor(a) @ Tensor(b),
        Tensor(a) @ b,
        a @ Tensor(b),
        Tensor(a).mm(Tensor(b)),
        tg.mm(a, b),
        Tensor(a).matmul(b),
        tg.bmm(a, b),
    ):
        assert isinstance(y, Tensor)
        np.testing.assert_allclose(y.array, expected)
    v = Tensor(a[0])
    assert v.dot(v).item() == tg.dot(v, v).item() == pytest.approx(float((a[0] ** 2).sum()))


def test_matmul_of_no_rows_and_over_nothing():
    x, y = leaf(np.zeros((0, 3))), leaf(np.ones((3, 2)))
    (x @ y).sum().backward()
    assert (x.grad.shape, y.grad.tolist()) == ((0, 3), [[0.0, 0.0]] * 3)
    assert (tg.ones(2, 0) @ tg.ones(0, 3)).tolist() == [[0.0] * 3] * 2


def test_matmul_of_integers():
    y = tg.tensor([[1, 2]]) @ tg.tensor([[3], [4]])
    assert (y.dtype, y.tolist()) == (np.int64, [[11]])
    assert (tg.tensor([[1, 2]]) @ tg.ones(2, 1)).dtype == np.float32


def test_linear():
    def reference(x, weight, bias):
        return product_by_loops(x, weight.T) + bias

    for shape in ((2, 4), (4,), (2, 3, 4)):
        check(tg.linear, reference, normal(*shape), normal(3, 4, seed=1), normal(3, seed=2), second=len(shape) < 3)
        check(tg.linear, lambda x, w: product_by_loops(x, w.T), normal(*shape), normal(3, 4, seed=1), second=False)
    assert tg.linear(tg.zeros(2, 0, 4), tg.zeros(3, 4)).shape == (2, 0, 3)
    assert tg.linear(tg.zeros(0, 4), tg.zeros(3, 4), tg.zeros(3)).shape == (0, 3)


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_linear_computes_the_gradients_that_are_asked_for(wanted):
    arrays = [normal(2, 4), normal(3, 4, seed=1), normal(3, seed=2)]
    expected = [np.ones((2, 3)) @ arrays[1], np.ones((2, 3)).T @ arrays[0], np.full(3, 2.0)]
    inputs = [Tensor(array, requires_grad=i == wanted) for i, array in enumerate(arrays)]
    for create_graph in (False, True):
        y = tg.linear(*inputs).sum()
        (g,) = grad(y, inputs[wanted], create_graph=create_graph)
        np.testing.assert_allclose(g.array, expected[wanted])


def test_linear_keeps_float32_beside_integers():
    """NumPy would compute in float64."""
    weight = leaf(np.ones((2, 3)), np.float32)
    y = tg.linear(tg.tensor([[1, 2, 3]]), weight, tg.zeros(2, dtype=np.float64))
    assert (y.dtype, y.tolist()) == (np.float32, [[6.0, 6.0]])
    y.sum().backward()
    assert (weight.grad.dtype, weight.grad.tolist()) == (np.float32, [[1.0, 2.0, 3.0]] * 2)


# einsum ---------------------------------------------------------------------------------------------------------------

SIZES = {"a": 2, "b": 3, "c": 2, "d": 2, "i": 2, "j": 3, "k": 2, "A": 2}

# One operand, several, diagonals, sums, transpositions, outer products, no arrow, spaces, upper case.
EQUATIONS = [
    "ij->ji",
    "ij->",
    "ij->i",
    "ij",
    "ba",
    "i->i",
    "ii->i",
    "ii->",
    "ii",
    "iij->j",
    "iji->j",
    "iii->i",
    "iikk->ki",
    "ij,jk->ik",
    "ij,jk",
    "ij,jk->ki",
    "ij,ij->",
    "ij,ij->ij",
    "ij,j->i",
    "ij,j->ij",
    "i,j->ij",
    "i,i->",
    "i,i",
    "ij,kd->",
    "ij,kd->k",
    "aij,ajk->aik",
    "ij,jk,kd->id",
    "ij,jk,ki->",
    "ij,ij,ij->ji",
    "a,b,c->cba",
    "ii,i->i",
    "Ab,bA->A",
    "bA,Ac",
    " i j , j k -> i k ",
    ",i->i",
    ",->",
    "->",
    "ij,ij,i->j",
]


def einsum_by_loops(equation, *operands):
    """One loop over every assignment of values to letters; no ellipsis."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    names = left.split(",")
    letters = sorted(set("".join(names)))
    if not arrow:
        plain = "".join(names)
        result = "".join(letter for letter in sorted(set(plain)) if plain.count(letter) == 1)
    sizes = {letter: n for name, x in zip(names, operands, strict=True) for letter, n in zip(name, x.shape, strict=True)}
    y = np.zeros([sizes[letter] for letter in result])
    for values in itertools.product(*(range(sizes[letter]) for letter in letters)):
        at = dict(zip(letters, values, strict=True))
        y[tuple(at[letter] for letter in result)] += np.prod(
            [x[tuple(at[letter] for letter in name)] for name, x in zip(names, operands, strict=True)]
        )
    return y


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum(equation):
    names = equation.replace(" ", "").partition("->")[0].split(",")
    operands = [normal(*(SIZES[letter] for letter in name), seed=i) for i, name in enumerate(names)]
    check(lambda *x: tg.einsum(equation, *x), lambda *x: einsum_by_loops(equation, *x), *operands)


@pytest.mark.parametrize(
    ("equation", "spelled_out", "shapes"),
    [
        ("...ij->...ji", "abij->abji", [(2, 1, 2, 3)]), ("...->...", "ab->ab", [(2, 3)]), ("...i->i", "abi->i", [(2, 3, 2)]),
        ("i...->...i", "iab->abi", [(2, 3, 2)]), ("i...j->j...i", "iaj->jai", [(2, 3, 2)]),
        ("...ij,...jk->...ik", "aij,ajk->aik", [(2, 2, 3), (2, 3, 2)]), ("...ij,jk", "aij,jk->aik", [(2, 2, 3), (3, 2)]),
        # The shorter ellipsis is the end of the longer one, whichever comes first.
        ("...i,...i->...", "bi,abi->ab", [(2, 3), (2, 2, 3)]), ("...i,...i->...i", "abi,bi->abi", [(2, 2, 3), (2, 3)]),
        ("...,...->...", "b,ab->ab", [(2,), (2, 2)]), ("i...,i...->...i", "ib,iab->abi", [(2, 2), (2, 2, 2)]),
        ("...ii->...i", "aii->ai", [(3, 2, 2)]), ("i,...i", "i,abi->ab", [(2,), (2, 3, 2)]),
    ],
)  # fmt: skip
def test_an_ellipsis_stands_for_dimensions_counted_from_the_last(equation, spelled_out, shapes):
    operands = [normal(*shape, seed=i) for i, shape in enumerate(shapes)]
    check(lambda *x: tg.einsum(equation, *x), lambda *x: einsum_by_loops(spelled_out, *x), *operands, second=False)


def test_sizes_of_one_broadcast():
    a, b = normal(1, 2, 3), normal(4, 3, 2, seed=1)
    check(lambda a, b: tg.einsum("...ij,...jk->...ik", a, b), lambda a, b: np.stack([a[0] @ b[i] for i in range(4)]), a, b)
    check(lambda a, b: tg.einsum("ij,ij->i", a, b), lambda a, b: (a * b).sum(1), normal(1, 3), normal(2, 3, seed=1))
    check(lambda a, b: tg.einsum("i,i->", a, b), lambda a, b: (a * b).sum(), normal(1), normal(3, seed=1))


def test_einsum_takes_one_list_and_one_tensor_twice():
    x = leaf(normal(2, 2))
    tg.einsum("ij,ji->", [x, x]).backward()
    np.testing.assert_allclose(x.grad.array, 2 * x.array.T)
    assert tg.einsum("i,i->i", tg.tensor([1, 2]), tg.ones(2)).dtype == np.float32


def test_a_transposition_by_einsum_shares_memory_and_version():
    x = tg.ones(2, 3)
    turned = tg.einsum("ij->ji", x)
    turned.zero_()
    assert x.tolist() == [[0.0] * 3] * 2
    assert x._version == 1


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: tg.ones(2, 3) @ tg.ones(2, 3),
            ShapeError,
            r"matmul: \(2, 3\) @ \(2, 3\): the left has 3 columns and the right 2 rows; they must agree",
        ),
        (
            lambda: tg.ones(2) @ tg.tensor(1.0),
            ShapeError,
            r"matmul: needs vectors or matrices, got shapes \(2,\) and \(\); use \*",
        ),
        (
            lambda: tg.ones(2, 1, 3) @ tg.ones(3, 3, 1),
            ShapeError,
            r"matmul: the leading dimensions of \(2, 1, 3\) and \(3, 3, 1\) do not",
        ),
        (
            lambda: tg.ones(2, 2).dot(tg.ones(2)),
            ShapeError,
            r"dot: needs two vectors, got shapes \(2, 2\) and \(2,\); use matmul",
        ),
        (
            lambda: tg.linear(tg.ones(2, 5), tg.ones(3, 4)),
            ShapeError,
            r"linear: an input of shape \(2, 5\) has 5 features, but weight \(3, 4\) \(out, in\) takes 4; change in_features",
        ),
        (
            lambda: tg.linear(tg.ones(2, 4), tg.ones(3, 4), tg.ones(4)),
            ShapeError,
            r"linear: weight \(3, 4\) makes 3 outputs, but bias has shape \(4,\)",
        ),
        (lambda: tg.einsum("ij,jk", tg.ones(2, 2)), ArgumentError, r"einsum 'ij,jk' names 2 operands, 1 were given"),
        (
            lambda: tg.einsum("ijk", tg.ones(2, 2)),
            ShapeError,
            r"einsum 'ijk': operand 0 has 2 dimensions, 'ijk' names another number",
        ),
        (lambda: tg.einsum("i", tg.ones(2, 2)), ShapeError, r"operand 0 has 2 dimensions, 'i' names another number"),
        (lambda: tg.einsum("i1", tg.ones(2, 2)), ArgumentError, r"operand 0 is 'i1'; it takes letters and one ellipsis '...'"),
        (lambda: tg.einsum("i.j", tg.ones(2, 2)), ArgumentError, r"operand 0 is 'i.j'; it takes letters and one ellipsis"),
        (
            lambda: tg.einsum("ij->ii", tg.ones(2, 2)),
            ArgumentError,
            r"each letter of the result must appear once there, and in an operand",
        ),
        (
            lambda: tg.einsum("ij->k", tg.ones(2, 2)),
            ArgumentError,
            r"each letter of the result must appear once there, and in an operand",
        ),
        (
            lambda: tg.einsum("ij,jk", tg.ones(2, 3), tg.ones(2, 2)),
            ShapeError,
            r"einsum 'ij,jk': 'j' is 3 in one operand and 2 in another",
        ),
        (
            lambda: tg.einsum("...i,...i", tg.ones(2, 3), tg.ones(4, 3)),
            ShapeError,
            r"a dimension of the ellipsis is 2 in one operand and 4",
        ),
        (lambda: tg.einsum("ii", tg.ones(2, 3)), ShapeError, r"einsum: 'i' is 2 and 3 in one operand"),
        (lambda: tg.ones(2) @ None, DTypeError, r"expected a tensor, an array or a number beside a tensor, got NoneType"),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()
