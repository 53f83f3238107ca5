"""Ops that move elements: values against NumPy or loops, both orders of gradients, edges, messages."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError

from .checking import check, gradient_of, leaf, normal

MOVES = {
    "reshape": (lambda x: x.reshape(4, 6), lambda x: np.array(x.ravel().tolist()).reshape(4, 6)),
    "reshape, inferred": (lambda x: tg.reshape(x, (-1, 3)), lambda x: np.array(x.ravel().tolist()).reshape(8, 3)),
    "reshape, same": (lambda x: x.reshape(2, 3, 4), lambda x: x),
    "reshape, transposed": (
        lambda x: x.transpose(0, 2).reshape(-1),
        lambda x: np.array([x[k, j, i] for i in range(4) for j in range(3) for k in range(2)]),
    ),
    "view": (lambda x: x.view(6, 4), lambda x: x.reshape(6, 4)),
    "view_as": (lambda x: x.view_as(tg.zeros(24)), lambda x: x.reshape(24)),
    "flatten": (lambda x: x.flatten(), np.ravel),
    "flatten the last two": (lambda x: tg.flatten(x, 1), lambda x: x.reshape(2, 12)),
    "flatten the first two": (lambda x: x.flatten(0, -2), lambda x: x.reshape(6, 4)),
    "permute": (
        lambda x: x.permute(2, 0, 1),
        lambda x: np.array([[[x[i, j, k] for j in range(3)] for i in range(2)] for k in range(4)]),
    ),
    "permute, negative": (lambda x: tg.permute(x, (-1, 0, 1)), lambda x: np.transpose(x, (2, 0, 1))),
    "transpose": (lambda x: x.transpose(0, -1), lambda x: np.swapaxes(x, 0, 2)),
    "T": (lambda x: x.T, lambda x: np.transpose(x, (2, 1, 0))),
    "mT": (lambda x: x.mT, lambda x: np.swapaxes(x, 1, 2)),
    "squeeze": (lambda x: x[:, :1].squeeze(), lambda x: x[:, 0]),
    "squeeze one": (lambda x: x[:1, :1].squeeze(1), lambda x: x[:1, 0]),
    "squeeze what is wider": (lambda x: x[:1].squeeze((0, 1)), lambda x: x[0]),
    "squeeze nothing": (lambda x: x[:1].squeeze(()), lambda x: x[:1]),
    "unsqueeze": (lambda x: x.unsqueeze(-1).unsqueeze(0), lambda x: x[None, ..., None]),
    "expand": (lambda x: x[:, :1].expand(5, 2, -1, 4), lambda x: np.broadcast_to(x[:, :1], (5, 2, 1, 4))),
    "expand size 1": (lambda x: x[:, :1].expand(2, 6, 4), lambda x: np.repeat(x[:, :1], 6, 1)),
    "expand_as": (lambda x: x[:1].expand_as(tg.zeros(3, 3, 4)), lambda x: np.repeat(x[:1], 3, 0)),
    "broadcast_to": (lambda x: tg.broadcast_to(x, (2, 2, 3, 4)), lambda x: np.stack([x, x])),
    "repeat": (lambda x: x.repeat(2, 1, 3), lambda x: np.tile(x, (2, 1, 3))),
    "repeat, more dimensions": (lambda x: tg.repeat(x, (2, 1, 2, 1)), lambda x: np.tile(x, (2, 1, 2, 1))),
    "repeat once": (lambda x: x.repeat(1, 1, 1), lambda x: x),
    "flip": (lambda x: x.flip(0, -1), lambda x: x[::-1, :, ::-1]),
    "flip one": (lambda x: tg.flip(x, [1]), lambda x: x[:, ::-1]),
    "flip all": (lambda x: x.flip(), lambda x: x[::-1, ::-1, ::-1]),
    "flip none": (lambda x: x.flip(()), lambda x: x),
    "roll": (
        lambda x: x.roll(1, 2),
        lambda x: np.array([[[x[i, j, (k - 1) % 4] for k in range(4)] for j in range(3)] for i in range(2)]),
    ),
    "roll back and far": (
        lambda x: tg.roll(x, (-1, 7), (0, 1)),
        lambda x: np.array([[x[(i + 1) % 2, (j - 7) % 3] for j in range(3)] for i in range(2)]),
    ),
    "roll twice along one": (lambda x: x.roll((1, 1), (2, 2)), lambda x: np.roll(x, 2, 2)),
    "roll flat": (lambda x: x.roll(5), lambda x: np.array([x.ravel()[(i - 5) % 24] for i in range(24)]).reshape(2, 3, 4)),
    "roll by nothing": (lambda x: x.roll(0, 1), lambda x: x),
    "split": (
        lambda x: tg.stack([x.split(2, 2)[1], x.split((3, 0, 1), 2)[0][..., 1:]]),
        lambda x: np.stack([x[..., 2:], x[..., 1:3]]),
    ),
    "chunk": (lambda x: tg.cat([*x.chunk(2, 1)][::-1], 1), lambda x: np.concatenate([x[:, 2:], x[:, :2]], 1)),
    "unbind": (lambda x: x.unbind(1)[2] * x.unbind(1)[0], lambda x: x[:, 2] * x[:, 0]),
    "contiguous": (lambda x: x.transpose(0, 2).contiguous(), lambda x: np.swapaxes(x, 0, 2)),
}


@pytest.mark.parametrize("name", MOVES)
def test_values_and_gradients(name):
    call, reference = MOVES[name]
    check(call, reference, normal(2, 3, 4))


def test_joining():
    check(lambda a, b, c: tg.cat([a, b, c], 1), lambda a, b, c: np.array([[*a[i], *b[i], *c[i]] for i in range(2)]),
          normal(2, 1), normal(2, 3), normal(2, 2))  # fmt: skip
    check(lambda a, b: tg.concatenate((a, b), dim=-2), lambda a, b: np.array([*a, *b]), normal(2, 3), normal(1, 3))
    check(lambda a: tg.cat([a, a]), lambda a: np.array([*a, *a]), normal(3))
    check(lambda a, b: tg.stack([a, b]), lambda a, b: np.array([a, b]), normal(2, 3), normal(2, 3))
    check(
        lambda a, b: tg.stack([a, b], -1), lambda a, b: np.array([[[a[i], b[i]]] for i in range(3)])[:, 0], normal(3), normal(3)
    )
    check(lambda a, b: tg.stack([a, b]), lambda a, b: np.array([a, b]), normal(), normal())
    assert tg.cat([tg.ones(2, 3), tg.zeros(0, 3)]).shape == (2, 3)
    assert tg.cat([tg.ones(2), tg.tensor([1])]).dtype == tg.stack([tg.tensor([1]), tg.ones(1)]).dtype == np.float32
    assert tg.cat([tg.ones(1), tg.ones(1, dtype=np.float64), tg.tensor([1])]).dtype == np.float64


def test_pieces():
    x = tg.arange(7)
    assert [piece.tolist() for piece in x.split(3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [piece.tolist() for piece in x.split([1, 0, 6])] == [[0], [], [1, 2, 3, 4, 5, 6]]
    assert [piece.tolist() for piece in x.chunk(3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [len(piece) for piece in tg.chunk(tg.arange(4), 3)] == [2, 2]
    assert [piece.shape for piece in tg.zeros(2, 0).chunk(3, 1)] == [(2, 0)] * 3
    assert [piece.shape for piece in tg.zeros(0, 2).split(3)] == [(0, 2)]
    assert [row.tolist() for row in tg.tensor([[1, 2], [3, 4]]).unbind(-1)] == [[1, 3], [2, 4]]
    assert [row.tolist() for row in tg.tensor([[1, 2], [3, 4]]).unbind()] == [[1, 2], [3, 4]]
    assert [piece.tolist() for piece in tg.arange(3).split(1)] == [[0], [1], [2]]
    assert len(x.split(np.int64(4))) == 2


def test_iteration_gives_the_rows():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    total = sum(((i + 1) * row).sum() for i, row in enumerate(x))
    total.backward()
    assert x.grad.tolist() == [[1.0, 1.0], [2.0, 2.0]]


# Padding --------------------------------------------------------------------------------------------------------------


def padded_by_loops(mode, before, after, value=0.0):
    """One dimension, element by element."""

    def pad(x):
        n = len(x)
        x = x[max(-before, 0) : n - max(-after, 0)]
        n, first, last = len(x), max(before, 0), max(after, 0)
        row = []
        for i in range(-first, n + last):
            if 0 <= i < n:
                row.append(x[i])
            elif mode == "constant":
                row.append(value)
            elif mode == "replicate":
                row.append(x[0] if i < 0 else x[n - 1])
            elif mode == "circular":
                row.append(x[i % n])
            else:
                row.append(x[-i] if i < 0 else x[2 * n - 2 - i])
        return np.array(row)

    return pad


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize(("before", "after"), [(1, 2), (0, 3), (3, 0), (0, 0), (-1, 2), (2, -1), (-1, -2)])
def test_pad_along_one_dimension(mode, before, after):
    check(lambda x: tg.pad(x, (before, after), mode), padded_by_loops(mode, before, after), normal(5))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_pad_along_several_starts_with_the_last(mode):
    def reference(x):
        x = np.apply_along_axis(padded_by_loops(mode, 1, 2), 2, x)
        return np.apply_along_axis(padded_by_loops(mode, 2, 0), 1, x)

    check(lambda x: tg.pad(x, (1, 2, 2, 0), mode), reference, normal(2, 3, 4))


def test_pad_with_a_value():
    check(
        lambda x: tg.pad(x, (1, 0, 0, 2), value=2.5), lambda x: np.pad(x, ((0, 2), (1, 0)), constant_values=2.5), normal(2, 3)
    )
    assert tg.pad(tg.tensor([1, 2]), (1, 1)).tolist() == [0, 1, 2, 0]
    assert tg.pad(tg.tensor(3.0), ()).item() == 3.0
    assert tg.pad(tg.zeros(2, 0), (1, 1)).shape == (2, 2)
    # More than the dimension has: an edge element may repeat for ever, a mirror may not.
    assert tg.pad(tg.tensor([1.0, 2.0]), (3, 3), "replicate").tolist() == [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]


# Gathering ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_gather(dim):
    index = np.random.default_rng(3).integers(0, 2, (2, 2, 2))

    def reference(x):
        y = np.empty(index.shape)
        for i, j, k in np.ndindex(*index.shape):
            place = [i, j, k]
            place[dim] = index[i, j, k]
            y[i, j, k] = x[tuple(place)]
        return y

    check(lambda x: tg.gather(x, dim, tg.tensor(index)), reference, normal(2, 3, 4))


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_index_select_adds_up_what_repeats(dim):
    index = [0, 2, 0, 0] if dim else [1, 0, 1]
    check(lambda x: x.index_select(dim, tg.tensor(index)), lambda x: np.take(x, index, axis=dim), normal(2, 3))
    assert gradient_of(
        lambda x: tg.index_select(x, 0, np.array([1, 1, 1])), [1.0, 2.0], cotangent=[1.0, 2.0, 4.0]
    ).tolist() == [0.0, 7.0]


def test_gathering_at_the_edges():
    x = tg.tensor([1.0, 2.0, 3.0])
    assert x.gather(0, tg.tensor([-1, 0])).tolist() == [3.0, 1.0]
    assert x.index_select(0, tg.tensor(1)).tolist() == [2.0]
    assert x.index_select(0, tg.tensor([], dtype=np.int64)).shape == (0,)
    assert tg.tensor(5.0).gather(0, tg.tensor(0)).item() == 5.0
    with pytest.raises(IndexError, match="index 3 is out of bounds for axis 0 with size 3"):
        x.gather(0, tg.tensor([3]))


def test_an_index_may_be_changed_after_it_was_used():
    x = leaf([1.0, 2.0, 3.0])
    for pick in (
        lambda i: x[i],
        lambda i: x.gather(0, i),
        lambda i: x.index_select(0, i),
        lambda i: x[i.array],
        lambda i: x[i, ...],
    ):
        index = tg.tensor([0, 1])
        y = pick(index)
        index.add_(1)
        x.grad = None
        y.sum().backward()
        assert x.grad.tolist() == [1.0, 1.0, 0.0]


# Zero sizes and messages ----------------------------------------------------------------------------------------------


def test_tensors_of_no_elements():
    x = leaf(np.zeros((0, 3)))
    for y in (
        x.reshape(3, 0), x.T, x.flip(0), x.roll(1, 0), x.expand(2, 0, 3), x.repeat(2, 1), tg.cat([x, x]), tg.pad(x, (1, 1)),
        x.flatten(), x.unsqueeze(0), x[:, 0], x[[]], x.squeeze(), tg.stack([x, x]),
    ):  # fmt: skip
        assert 0 in y.shape or y.shape == (0,)
        x.grad = None
        y.sum().backward()
        assert x.grad.shape == (0, 3)


def test_dimensions_of_a_number():
    x = tg.tensor(2.0)
    assert tg.flatten(tg.ones(2, 3)).shape == (6,)
    assert x.flatten().shape == x.reshape(1).shape == x.unsqueeze(0).shape == (1,)
    assert x.transpose(0, -1).shape == x.t().shape == x.T.shape == x.squeeze(0).shape == x.permute(()).shape == ()
    assert x.flip(0).item() == x.roll(1).item() == x.expand(()).item() == 2.0
    assert x.expand(3).tolist() == x.repeat(3).tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x: x.reshape(5, 2),
            ShapeError,
            r"reshape: \(2, 3\) has 6 elements, but \(5, 2\) has 10; the counts must agree",
        ),
        (lambda x: x.reshape(-2, -3), ShapeError, r"reshape: \(2, 3\) has 6 elements, but \(-2, -3\) has 6"),
        (
            lambda x: x.reshape(-1, 4),
            ShapeError,
            r"reshape: .* exactly one size may be -1, and the others \(4 elements\) must divide 6",
        ),
        (lambda x: x.reshape(-1, -1), ShapeError, r"exactly one size may be -1"),
        (lambda x: x.flatten(1, 0), ShapeError, r"flatten: start_dim 1 comes after end_dim 0 in a tensor of 2 dimensions"),
        (lambda x: x.permute(0, 0), ShapeError, r"permute: \(0, 0\) does not name each of the 2 dimensions of \(2, 3\) once"),
        (
            lambda x: x.unsqueeze(0).t(),
            ShapeError,
            r"t\(\) is for matrices, this tensor has 3 dimensions: use transpose\(dim0, dim1\)",
        ),
        (
            lambda x: x.expand(4, 3),
            ShapeError,
            r"expand: \(2, 3\) does not expand to \(4, 3\): only sizes of 1 can be repeated",
        ),
        (lambda x: x.expand(-1, 2, 3), ShapeError, r"expand: \(2, 3\) does not expand to \(-1, 2, 3\)"),
        (lambda x: x[:1].expand(-2, 3), ShapeError, r"expand: \(1, 3\) does not expand to \(-2, 3\)"),
        (
            lambda x: x.repeat(2),
            ShapeError,
            r"repeat: got \(2,\) for a tensor of 2 dimensions; give one count, 0 or more, for each",
        ),
        (lambda x: x.repeat(2, -1), ShapeError, r"repeat: got \(2, -1\) for a tensor of 2 dimensions"),
        (
            lambda x: x.gather(0, tg.tensor([1])),
            ShapeError,
            r"gather: the index has 1 dimensions, the input 2; they must agree",
        ),
        (
            lambda x: x.gather(0, x > 0),
            DTypeError,
            r"gather: the index holds positions and must be of integers, got bool: use \.long\(\)",
        ),
        (
            lambda x: x.index_select(0, tg.ones(1)),
            DTypeError,
            r"index_select: the index holds positions and must be of integers",
        ),
        (
            lambda x: x.index_select(0, tg.tensor([[0]])),
            ShapeError,
            r"index_select: needs a vector of positions .* shape \(1, 1\)",
        ),
        (lambda _: tg.cat([]), ShapeError, r"cat: got an empty list of tensors; give at least one"),
        (
            lambda x: tg.cat([x.sum(), x.sum()]),
            ShapeError,
            r"cat: tensors without dimensions cannot be joined end to end; use stack",
        ),
        (
            lambda x: tg.cat([x, x.T]),
            ShapeError,
            r"cat: tensor 1 has shape \(3, 2\), tensor 0 has \(2, 3\); apart from dimension 0",
        ),
        (
            lambda x: tg.stack([x, x.T]),
            ShapeError,
            r"stack: tensor 1 has shape \(3, 2\), tensor 0 has \(2, 3\); they must agree",
        ),
        (lambda x: x.split(0), ArgumentError, r"split: the size of a piece must be positive, got 0"),
        (
            lambda x: x.split([1, 2]),
            ShapeError,
            r"split: the sizes \[1, 2\] add up to 3; they must not be negative, and dimension 0 has 2",
        ),
        (lambda x: x.split([3, -1]), ShapeError, r"split: the sizes \[3, -1\] add up to 2; they must not be negative"),
        (lambda x: x.chunk(0), ArgumentError, r"chunk: the number of pieces must be positive, got 0"),
        (lambda x: x.sum().split(1), ShapeError, r"split: a tensor without dimensions cannot be cut into pieces"),
        (lambda x: x.sum().chunk(1), ShapeError, r"chunk: a tensor without dimensions cannot be cut into pieces"),
        (lambda x: x.sum().unbind(), ShapeError, r"unbind: a tensor without dimensions cannot be cut into pieces"),
        (lambda x: x.roll((1, 2), 0), ArgumentError, r"roll: 2 shifts for 1 dimensions; give one for each"),
        (
            lambda x: tg.pad(x, (1,)),
            ArgumentError,
            r"pad: got 1 numbers for a tensor of 2 dimensions; give \(before, after\) pairs",
        ),
        (lambda x: tg.pad(x, (1,) * 6), ArgumentError, r"pad: got 6 numbers for a tensor of 2 dimensions"),
        (
            lambda x: tg.pad(x, (0, 0), "mirror"),
            ArgumentError,
            r"pad: unknown mode 'mirror'; choose constant, reflect, replicate or circular",
        ),
        (lambda x: tg.pad(x, (1, 1), "reflect", 0.0), ArgumentError, r"pad: value=0.0 goes with mode='constant' only"),
        (
            lambda x: tg.pad(x, (3, 0), "reflect"),
            ShapeError,
            r"pad: reflect padding of \(3, 0\) needs more than the dimension of size 3 has",
        ),
        (lambda x: tg.pad(x, (4, 0), "circular"), ShapeError, r"pad: circular padding of \(4, 0\) needs more .*: at most 3"),
        (lambda x: tg.pad(x, (-2, -2)), ShapeError, r"pad: cropping 2 and 2 leaves less than nothing of size 3"),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call(Tensor(normal(2, 3)))
