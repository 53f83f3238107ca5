"""Who shares memory with whom, for every op: no op hands out its input unseen, and none is fooled by a later write."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.errors import InplaceError
from tinygrad_cnn.random import frozen
from tinygrad_cnn.verify import CASES, Case

RNG_STATE = np.random.default_rng(0).bit_generator.state

# One case of each op (and of each of its options) is enough here.
SOME = [next(cases) for _, cases in itertools.groupby(CASES, key=lambda case: case.op)]


def name_of(case: Case) -> str:
    return f"{case.op.__name__} {case.label}"


def inputs(case: Case) -> list[Tensor]:
    return [Tensor(array, requires_grad=True) for array in case.inputs()]


def called(case: Case, xs: list[Tensor]) -> Tensor:
    with frozen(dict(RNG_STATE)):
        return case.call(*xs)


def gradients(case: Case, disturb: Callable[[list[Tensor], Tensor], object]) -> list[np.ndarray]:
    """The gradients along a random cotangent, with `disturb` called between forward and backward."""
    xs = inputs(case)
    y = called(case, xs)
    cotangent = Tensor(np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype))
    with tg.no_grad():
        disturb(xs, y)
    return [g.array for g in grad(y, xs, cotangent, materialize_grads=True)]


@pytest.mark.parametrize("case", SOME, ids=name_of)
def test_an_output_that_shares_memory_is_known_to_be_a_view(case: Case):
    for requires_grad in (True, False):
        xs = [Tensor(array, requires_grad=requires_grad) for array in case.inputs()]
        y = called(case, xs)
        for x in xs:
            if np.may_share_memory(x.array, y.array):
                assert y is x or y._is_view
                assert y._counter is x._counter


@pytest.mark.parametrize("case", SOME, ids=name_of)
def test_a_write_between_forward_and_backward_is_noticed_or_harmless(case: Case):
    expected = gradients(case, lambda _, __: None)

    def writes():
        for i in range(len(expected)):
            yield lambda xs, _, i=i: xs[i].mul_(2)
            yield lambda xs, _, i=i: xs[i].reshape(-1)[:1].zero_()
        yield lambda _, y: y.mul_(2)
        yield lambda _, y: y.detach().reshape(-1)[-1:].zero_()

    for write in writes():
        try:
            found = gradients(case, write)
        except InplaceError:
            continue
        for got, g in zip(found, expected, strict=True):
            np.testing.assert_array_equal(got, g)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.repeat(1),
        lambda x: x.reshape(1, 3).prod(0),
        lambda x: x.reshape(1, 3).sum(0),
        lambda x: x.reshape(1, 3).mean(0),
        lambda x: x.reshape(1, 3).amax(0),
        lambda x: x.reshape(1, 3).max(0)[0],
        lambda x: x.reshape(1, 3).logsumexp(0),
        lambda x: tg.cat([x]),
        lambda x: tg.stack([x]),
        lambda x: x.flip(()),
        lambda x: x.roll(0, 0),
        lambda x: tg.pad(x, (0, 0)),
        lambda x: x.cumsum(0),
        lambda x: tg.pad(x.reshape(1, 3), (0, 0), "reflect"),
        lambda x: x.clamp(min=-100),
        lambda x: x.sum(()),
        lambda x: x.abs(),
        lambda x: tg.where(x == x, x, x),
        lambda x: x[[0, 1, 2]],
        lambda x: x * 1,
        lambda x: x.clone(),
        lambda x: tg.round(x.long()),
        lambda x: tg.tensor(x),
        lambda x: x.double(),
        lambda x: tg.einsum("i,->i", x, 1.0),
    ],
)
def test_results_of_their_own_memory(call):
    """NumPy hands out views of its input here and there, for sizes of 1 and options that change nothing."""
    x = tg.tensor([1.0, 2.0, 3.0])
    call(x).zero_()
    assert x.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.detach(),
        lambda x: x.data,
        lambda x: x.reshape(3),
        lambda x: x.unsqueeze(0),
        lambda x: x.T,
        lambda x: x.flatten(),
        lambda x: x.expand(3),
        lambda x: x.squeeze(),
        lambda x: x.contiguous(),
        lambda x: x.float(),
        lambda x: +x,
        lambda x: x[:],
        lambda x: x[..., None],
        lambda x: x.split(3)[0],
        lambda x: tg.as_tensor(x),
        lambda x: Tensor(x),
        lambda x: tg.from_numpy(x.numpy()),
    ],
)
def test_results_that_share_memory(call):
    x = tg.tensor([1.0, 2.0, 3.0])
    call(x).zero_()
    assert x.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x @ tg.ones(3),
        lambda x: x.prod(1),
        lambda x: x.max(0).values,
        lambda x: tg.linear(x.reshape(1, 2, 3), tg.ones(4, 3)),
        lambda x: x.roll(1),
        lambda x: tg.ones(2) @ x,
        lambda x: x.repeat(1, 1),
        lambda x: x.sum(0, keepdim=True),
    ],
)
def test_results_that_are_views_of_a_temporary_can_be_written(call):
    """Nobody else sees the temporary, so the write does not have to be refused as one through a view."""
    x = tg.ones(2, 3, requires_grad=True)
    y = call(x)
    expected = grad((call(x) * 3).sum(), x)[0].tolist()
    y *= 3
    y.sum().backward()
    assert x.grad.tolist() == expected


def test_no_gradient_of_a_leaf_shares_memory():
    a, b = tg.ones(3, requires_grad=True), tg.ones(3, requires_grad=True)
    given = tg.ones(3)
    (a + b).backward(given)
    a.grad.mul_(5)
    assert b.grad.tolist() == given.tolist() == [1.0, 1.0, 1.0]


def test_no_kept_gradient_shares_memory():
    a, b = tg.ones(3, requires_grad=True), tg.ones(3, requires_grad=True)
    p, q = a * 2, b * 2
    p.retain_grad()
    q.retain_grad()
    (p + q).sum().backward()
    p.grad.mul_(5)
    assert p.grad.tolist() == [5.0] * 3
    assert q.grad.tolist() == [1.0] * 3
    assert a.grad.tolist() == [2.0] * 3
