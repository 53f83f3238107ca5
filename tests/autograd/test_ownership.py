"""Which gradients are kept without a copy, and that none of them is anybody else's."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd.function import Function
from tinygrad_cnn.autograd.ownership import WORTH_KEEPING, reuses_gradient, unshared

N = WORTH_KEEPING


def leaf(*shape):
    return tg.tensor(np.random.default_rng(0).standard_normal(shape or (N,)), requires_grad=True)


class Remembering(Function):
    """y = x, whose rule makes a new gradient and, if asked to, keeps it as well."""

    kept: list[np.ndarray] = []  # noqa: RUF012 - the test looks at it
    tuples: list[tuple[np.ndarray]] = []  # noqa: RUF012
    how = ""

    def forward(self, x):
        return x.copy()

    def backward_kernel(self, gy):
        gradient = 2.0 * gy
        if self.how == "array":
            self.kept.append(gradient)
        elif self.how == "view":
            self.kept.append(gradient[1:])
        elif self.how == "base":
            self.kept.append(gradient)
            return gradient.reshape(1, -1).reshape(-1)
        elif self.how == "tuple":
            Remembering.tuples.append((gradient,))
            return Remembering.tuples[-1]
        elif self.how == "reshaped":
            return gradient.reshape(1, -1).reshape(-1)
        return gradient


@pytest.mark.parametrize(
    ("how", "is_kept"), [("", True), ("reshaped", True), ("array", False), ("view", False), ("base", False), ("tuple", False)]
)
def test_what_the_rule_keeps_is_copied_and_nothing_else(how, is_kept, monkeypatch):
    made = []
    monkeypatch.setattr(Remembering, "kept", [])
    monkeypatch.setattr(Remembering, "tuples", [])
    original = Remembering.backward_kernel
    monkeypatch.setattr(Remembering, "backward_kernel", lambda self, gy: _noted(original(self, gy), made))
    x = leaf()
    Remembering.apply(x, how=how).sum().backward()
    np.testing.assert_array_equal(x.grad.array, np.full(N, 2.0))
    assert (x.grad.array.ctypes.data in made) == is_kept
    for array in (*Remembering.kept, *(kept for (kept,) in Remembering.tuples)):
        array[...] = 7.0
    np.testing.assert_array_equal(x.grad.array, np.full(N, 2.0))


def _noted(returned, made):
    made.append((returned[0] if type(returned) is tuple else returned).ctypes.data)
    return returned


class Widening(Function):
    """y = x in double precision; the rule leaves it to the engine to give a float32 input a float32 gradient."""

    def forward(self, x):
        return x.astype(np.float64)

    def backward_kernel(self, gy):
        return 2.0 * gy


@pytest.mark.parametrize("size", [10, N])
def test_a_gradient_has_its_inputs_dtype_whatever_its_size(size):
    x = tg.ones(size, dtype="float32", requires_grad=True)
    Widening.apply(x).sum().backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad.array, np.full(size, 2.0, np.float32))


@pytest.mark.parametrize(
    "op",
    [
        lambda x, y: x + y,
        lambda x, y: x - y,
        lambda x, y: x.reshape(2, -1).reshape(-1) + y,
        lambda x, y: x[:] + y.T,
        lambda x, y: tg.cat([x, y]),
        lambda x, y: tg.stack([x, y]),
        lambda x, y: x * 1.0 + y.clone(),
    ],
)
def test_no_two_leaves_share_a_gradient_and_none_is_the_users(op):
    x, y = leaf(), leaf()
    out = op(x, y)
    gradient = tg.tensor(np.random.default_rng(1).standard_normal(out.shape))
    given = gradient.array.copy()
    out.backward(gradient)
    first, second = x.grad.array.copy(), y.grad.array.copy()
    x.grad.array[...] = 5.0
    np.testing.assert_array_equal(y.grad.array, second)
    np.testing.assert_array_equal(gradient.array, given)
    y.grad.array[...] = 6.0
    np.testing.assert_array_equal(gradient.array, given)
    assert not np.shares_memory(x.grad.array, y.grad.array)
    assert first.shape == (N,)


def test_the_users_gradient_of_a_leaf_is_copied():
    x, gradient = leaf(), tg.ones(N)
    x.backward(gradient)
    x.grad.array[...] = 5.0
    assert gradient.array.max() == 1.0


def test_a_hook_that_keeps_the_gradient_keeps_its_own():
    x, kept = leaf(), []
    x.register_hook(kept.append)
    (x * 3.0).sum().backward()
    x.grad.array[...] = 5.0
    np.testing.assert_array_equal(kept[0].array, np.full(N, 3.0))


def test_gradients_of_several_users_add_up():
    """The first gradient that arrives is added to in place where it is ours."""
    rng = np.random.default_rng(0)
    x, w, v = leaf(4, N // 4), leaf(4, N // 4), leaf(4, N // 4)
    gradient = rng.standard_normal((4, N // 4))
    (x * w + x * v + x.exp() + x + x).backward(tg.tensor(gradient))
    expected = gradient * (w.array + v.array + np.exp(x.array) + 2)
    np.testing.assert_allclose(x.grad.array, expected, rtol=1e-12)
    np.testing.assert_allclose(w.grad.array, gradient * x.array, rtol=1e-12)


def test_a_large_weights_gradient_is_not_copied():
    import tracemalloc

    layer = tg.nn.Linear(1024, 2048)
    x = tg.randn(2, 1024)
    layer(x).sum().backward()
    layer.zero_grad()
    y = layer(x).sum()
    tracemalloc.start()
    y.backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * layer.weight.array.nbytes


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (lambda: np.zeros(4), True),
        (lambda: np.zeros((2, 3)).T, False),
        (lambda: np.zeros(4)[1:], False),
        (lambda: np.broadcast_to(np.zeros(1), (4,)), False),
        (lambda: np.frombuffer(bytearray(32)), False),
        (lambda: np.zeros(6).reshape(2, 3), True),
    ],
)
def test_unshared(array, expected):
    assert unshared((array(),), 0) is expected


# Rules that write their result over the gradient they were given ----------------------------------------------------------


class Halved(Function):
    """Passes half of the gradient on, in its own memory where it may; notes where it was."""

    places: list[str] = []  # noqa: RUF012 - the test looks at it

    def forward(self, x):
        return x / 2

    def backward(self, gy):
        return gy / 2

    @reuses_gradient
    def backward_kernel(self, gy, out=None):
        self.places.append("new" if out is None else "same")
        return np.divide(gy, 2, out=out)


@pytest.fixture
def places():
    Halved.places = []
    return Halved.places


def halved(x, times=1):
    for _ in range(times):
        x = Halved.apply(x)
    return x


def test_a_gradient_that_the_engine_made_is_overwritten_and_no_other(places):
    x, given = leaf(N), tg.ones(N, dtype=np.float64)
    halved(x, 4).backward(given)
    np.testing.assert_array_equal(x.grad.array, np.full(N, 1 / 16))
    assert places == ["new", "same", "same", "same"]  # the first was given the user's own
    np.testing.assert_array_equal(given.array, np.ones(N))


def test_small_gradients_are_not_worth_the_question(places):
    halved(leaf(N - 1), 2).backward(tg.ones(N - 1, dtype=np.float64))
    assert places == ["new", "new"]


def test_a_gradient_that_two_inputs_have_is_not_overwritten(places):
    x, w = leaf(N), leaf(N)
    halved(halved(x) + halved(w, 2)).backward(tg.ones(N, dtype=np.float64))
    np.testing.assert_array_equal(x.grad.array, np.full(N, 1 / 4))
    np.testing.assert_array_equal(w.grad.array, np.full(N, 1 / 8))
    assert sorted(places) == ["new", "new", "new", "same"]


def test_a_gradient_that_is_kept_or_was_shown_to_a_hook_is_not_lost(places):
    x, shown = leaf(N), []
    kept = halved(x)
    kept.retain_grad()
    halved(kept).backward(tg.ones(N, dtype=np.float64))
    np.testing.assert_array_equal(kept.grad.array, np.full(N, 1 / 2))
    assert places == ["new", "same"]
    seen = halved(x)
    seen.register_hook(lambda gradient: shown.append(gradient))
    halved(seen).backward(tg.ones(N, dtype=np.float64))
    np.testing.assert_array_equal(shown[0].array, np.full(N, 1 / 2))
    assert places == ["new", "same", "new", "new"]


def test_a_gradient_that_was_asked_for_is_not_overwritten(places):
    x = leaf(N)
    middle = halved(x)
    both = tg.autograd.grad(halved(middle), [middle, x], tg.ones(N, dtype=np.float64))
    assert [part.array[0] for part in both] == [1 / 2, 1 / 4]


def test_a_second_pass_through_the_graph_gives_the_same(places):
    x = leaf(N)
    y = halved(halved(x), 2)
    for times in (1, 2):
        y.backward(tg.ones(N, dtype=np.float64), retain_graph=True)
        np.testing.assert_array_equal(x.grad.array, np.full(N, times / 8))


class Keeping(Halved):
    """Keeps what it returned."""

    kept: list[np.ndarray] = []  # noqa: RUF012 - the test looks at it

    @reuses_gradient
    def backward_kernel(self, gy, out=None):
        self.kept.append(super().backward_kernel(gy, out))
        return self.kept[-1]


def test_what_a_rule_keeps_of_it_is_not_overwritten(places):
    x = leaf(N)
    y = halved(Keeping.apply(halved(x)))
    Keeping.kept.clear()
    y.backward(tg.ones(N, dtype=np.float64))
    np.testing.assert_array_equal(Keeping.kept[0], np.full(N, 1 / 4))
    np.testing.assert_array_equal(x.grad.array, np.full(N, 1 / 8))
    assert places == ["new", "same", "new"]


class Both(Function):
    """a + b, whose rule gives both the memory of the gradient."""

    def forward(self, a, b):
        return a + b

    @reuses_gradient
    def backward_kernel(self, gy, out=None):
        return gy, gy


def test_a_rule_that_gives_it_to_two_inputs_shares_it(places):
    a, b = leaf(N), leaf(N)
    halved(Both.apply(halved(a), halved(b))).backward(tg.ones(N, dtype=np.float64))
    for one in (a, b):
        np.testing.assert_array_equal(one.grad.array, np.full(N, 1 / 4))
    assert places == ["new", "new", "new"]


class Quartered(Halved):
    """Overrides the rule, and knows nothing of memory that may be used."""

    def backward_kernel(self, gy):
        return gy / 4


def test_an_overriding_rule_promises_nothing():
    x = leaf(N)
    y = Quartered.apply(halved(x))
    halved(y).backward(tg.ones(N, dtype=np.float64))
    np.testing.assert_array_equal(x.grad.array, np.full(N, 1 / 16))
    z = halved(x)
    z.grad_fn.backward_kernel = lambda gy: gy / 8
    x.grad = None
    halved(z).backward(tg.ones(N, dtype=np.float64))
    np.testing.assert_array_equal(x.grad.array, np.full(N, 1 / 16))


def test_a_chain_of_rectifiers_and_batch_norms_needs_memory_for_one_gradient():
    import tracemalloc

    pytest.importorskip("numba")
    x, given = tg.randn(4, 8, 64, 64, requires_grad=True), tg.randn(4, 8, 64, 64)
    y = x.relu()
    for norm in (tg.nn.BatchNorm2d(8), tg.nn.BatchNorm2d(8, relu=True)) * 2:
        y = norm(y).relu()
    with tg.kernels.use("numba"):
        y.backward(given, retain_graph=True)
        x.grad = None
        tracemalloc.start()
        y.backward(given)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 1.1 * x.array.nbytes
