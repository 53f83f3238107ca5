"""Arrays without values: every rule against NumPy, and every kernel against the real one, by shape and dtype."""

import numpy as np
import pytest

from tinygrad_cnn import kernels
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.kernels.geometry import ConvGeometry, PoolGeometry
from tinygrad_cnn.kernels.shape_only import _KERNELS, ShapeOnly, kernels_on_shapes, shape_only


def blank(array):
    return shape_only(array.shape, array.dtype)


def array(*shape, dtype="float32"):
    return np.random.default_rng(0).integers(0, 3, shape).astype(dtype)


# Functions of arrays and the shapes they are given; all of one array type, then of the other.
FUNCTIONS = {
    "broadcast": (lambda a, b: a * b + 1, (2, 1, 4), (3, 1)),
    "python number": (lambda a: 2.5 * a, (2,)),
    "comparison": (lambda a, b: a > b, (2, 3), (3,)),
    "divmod": (lambda a, b: np.divmod(a, b + 1)[1], (2, 3), (3,)),
    "two outputs": (lambda a: np.modf(a)[0], (2, 3)),
    "sum": (lambda a: a.sum(), (2, 3)),
    "sum of one axis": (lambda a: a.sum(-2), (2, 3, 4)),
    "sum, kept": (lambda a: a.sum((0, 2), keepdims=True), (2, 3, 4)),
    "mean": (lambda a: a.mean(1), (2, 3)),
    "var": (lambda a: a.var((0, 1)), (2, 3, 4)),
    "max": (lambda a: a.max(0), (2, 3)),
    "any": (lambda a: (a > 1).any(1), (2, 3)),
    "argmax": (lambda a: a.argmax(1), (2, 3)),
    "cumsum": (lambda a: np.cumsum(a, 1), (2, 3)),
    "accumulate": (lambda a: np.maximum.accumulate(a, 1), (2, 3)),
    "outer": (lambda a, b: np.multiply.outer(a, b), (2,), (3,)),
    "matrix product": (lambda a, b: a @ b, (2, 3), (3, 4)),
    "stacked products": (lambda a, b: a @ b, (5, 1, 2, 3), (7, 3, 4)),
    "matrix and vector": (lambda a, b: a @ b, (5, 2, 3), (3,)),
    "vector and matrix": (lambda a, b: a @ b, (3,), (5, 3, 2)),
    "dot": (lambda a, b: a @ b, (3,), (3,)),
    "einsum": (lambda a, b: np.einsum("nij,jk->nki", a, b, optimize=True), (2, 3, 4), (4, 5)),
    "concatenate": (lambda a, b: np.concatenate([a, b], -1), (2, 3), (2, 5)),
    "concatenate flat": (lambda a, b: np.concatenate([a, b], None), (2, 3), (4, 5)),
    "stack": (lambda a, b: np.stack([a, b], 1), (2, 3), (2, 3)),
    "where": (lambda a, b: np.where(a > 0, b, 0), (2, 1), (3,)),
    "pad": (lambda a: np.pad(a, ((1, 2), (0, 3))), (2, 3)),
    "take": (lambda a: np.take(a, np.array([[0, 1]]), 1), (2, 3, 4)),
    "take flat": (lambda a: np.take(a, np.array([0, 1])), (2, 3)),
    "slice": (lambda a: a[:, ::2, None, 1:], (2, 5, 4)),
    "index": (lambda a: a[np.array([0, 1, 1]), :, [0, 1, 2]], (2, 5, 4)),
    "reshape": (lambda a: a.transpose(2, 0, 1).reshape(4, -1), (2, 5, 4)),
    "ravel": (lambda a: a.transpose(1, 0).ravel(), (2, 5)),
    "astype": (lambda a: a.astype(np.int64), (2, 5)),
    "copy": (lambda a: a.copy(), (2, 5)),
    "like": (lambda a: np.zeros_like(a), (2, 5)),
    "like, other": (lambda a: np.full_like(a, 1, dtype=bool, shape=(3,)), (2, 5)),
    "broadcast_to": (lambda a: np.broadcast_to(a, (4, 2, 5)), (2, 5)),
    "expand_dims": (lambda a: np.expand_dims(a, 1), (2, 5)),
    "flip": (lambda a: np.flip(a, 1), (2, 5)),
    "clip": (lambda a: np.clip(a, 0, 1), (2, 5)),
    "take_along_axis": (lambda a: np.take_along_axis(a, np.array([[1], [0]]), 1), (2, 5)),
    "no rule": (lambda a: np.kron(a, np.ones((2, 2), np.float32)), (2, 5)),
}


@pytest.mark.parametrize("case", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shapes_and_dtypes_are_numpys(case, dtype):
    function, *shapes = FUNCTIONS[case]
    arrays = [array(*shape, dtype=dtype) for shape in shapes]
    expected, found = function(*arrays), function(*map(blank, arrays))
    assert found.shape == np.shape(expected)
    assert found.dtype == expected.dtype


def test_nothing_is_held():
    x = shape_only((1000, 1000, 1000), "float32")
    made = (x + 1, x.reshape(-1), x.sum(0), x[::2], x.astype("float64"), x @ x)
    for y in (*made, np.concatenate([x, x]), np.where(x > 0, x, 0)):
        assert type(y) is ShapeOnly
        assert not any(y.strides)


def test_writing_does_nothing():
    x = shape_only((4, 5), "float32")
    x[1:] = 7
    x += 3
    np.multiply(x, 2, out=x)
    np.copyto(x, 9)
    assert x.shape == (4, 5)
    out = np.full((4, 5), 3.0, np.float32)
    np.add(x, 1, out=out)
    assert (out == 3).all()
    with pytest.raises(ValueError, match=r"a result of shape \(4, 5\) does not fit into \(5,\)"):
        np.add(x, 1, out=np.zeros(5, np.float32))


def test_the_one_number_is_that_of_zeros():
    """The checks of ops pass: a probability of 0 is one, a variance of 0 is not negative."""
    x = shape_only((3, 4), "float32")
    assert not (x < 0).any()
    assert (np.exp(x) == 1).all()
    assert bool(((x >= 0) & (x <= 1)).all())


@pytest.mark.parametrize("look", [lambda x: x.item(), lambda x: x.tolist(), lambda x: np.where(x > 0)])
def test_values_are_refused(look):
    with pytest.raises(ArgumentError, match="the forward pass looks at a value"):
        look(shape_only((3,), "float32"))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + shape_only((4,), "float32"),
        lambda x: x @ shape_only((2, 2), "float32"),
        lambda x: x @ shape_only((2,), "float32"),
        lambda x: np.concatenate([x, shape_only((3, 4), "float32")]),
        lambda x: np.concatenate([x, shape_only((3,), "float32")]),
        lambda x: np.broadcast_to(x, (2, 4)),
        lambda x: x.reshape(5, -1),
        lambda x: x.sum(2),
        lambda x: np.einsum("ij,jk->ik", x, x[None]),
    ],
)
def test_shapes_that_do_not_fit_are_refused(function):
    with pytest.raises((ValueError, IndexError)):
        function(shape_only((2, 3), "float32"))


CONV = ConvGeometry.of((2, 4, 7, 6), (6, 2, 3, 2), 2, 1, 1, 2)
POOL = PoolGeometry.of((2, 4, 7, 6), 3, 2, 1, ceil_mode=True)
X = array(2, 4, 7, 6)
INDICES = array(2, 4, 3, 2, dtype="int64")

ARGUMENTS = {
    "conv": (X, array(6, 2, 3, 2), array(6), CONV),
    "conv_input_grad": (array(*CONV.y_shape), array(6, 2, 3, 2), CONV),
    "max_pool": (X, POOL),
    "pool_scatter": (array(2, 4, 3, 2), INDICES, (7, 6)),
    "pool_gather": (X, INDICES),
    "avg_pool": (X, POOL, True, None),
    "adaptive_avg_pool": (X, (3, 4)),
    "adaptive_max_pool": (X, (3, 4)),
    "fractional_max_pool": (X, (array(2, 4, 3, dtype="int64"), array(2, 4, 2, dtype="int64")), (2, 2)),
    "stochastic_pool": (X, array(2, 4, *POOL.out_size) / 4, POOL),
    "unfold": (X, POOL),
    "fold": (array(2, 4, 9, POOL.out_size[0] * POOL.out_size[1]), POOL),
    "channel_window_sum": (X, 1, 1),
    "local_response_norm": (X, 3, 1e-4, 0.75, 1.0),
    "channel_moments": (X,),
    "channel_sum": (X,),
    "batch_norm": (X, array(4), array(4), array(4), array(4)),
    "sigmoid": (X,),
    "relu": (X,),
    "erf": (X,),
    "erfc": (X,),
    "add": (X, X),
    "log_softmax": (X, 1),
}


def described(result):
    """Shapes and dtypes; of positions only that they are whole numbers, as kernels may have them in 32 bits or 64."""
    parts = result if isinstance(result, tuple) else (result,)
    return [(part.shape, "positions" if part.dtype.kind == "i" else part.dtype) for part in parts]


@pytest.mark.parametrize("name", _KERNELS)
def test_kernels_as_the_real_ones(name):
    arguments = ARGUMENTS[name]
    expected = getattr(kernels, name)(*arguments)
    without_values = [blank(value) if value is X or i == 0 else value for i, value in enumerate(arguments)]
    with kernels_on_shapes():
        found = getattr(kernels, name)(*without_values)
        again = getattr(kernels, name)(*arguments)
    assert described(found) == described(expected)
    assert all(type(part) is ShapeOnly for part in (found if isinstance(found, tuple) else (found,)))
    assert described(again) == described(expected)
    assert type(again) is type(expected)
    assert not isinstance(again, ShapeOnly)


def test_blocks_nest_and_put_the_kernels_back():
    before = kernels.conv
    with kernels_on_shapes():
        with kernels_on_shapes():
            pass
        assert kernels.conv is not before
    assert kernels.conv is before


def test_every_kernel_of_a_forward_pass_has_a_rule():
    backward = {name for name in kernels.NAMES if name.endswith(("_grad", "_backward"))}
    assert set(kernels.NAMES) - backward <= set(_KERNELS)
