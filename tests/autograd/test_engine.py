"""The backward pass: what accumulates, what is kept, what is freed, and that nothing is recursive or leaks."""

import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import Function, grad
from tinygrad_cnn.errors import ArgumentError, AutogradError, GraphFreedError, ShapeError


def leaf(*values: float) -> tg.Tensor:
    return tg.tensor(list(values), dtype=tg.float64, requires_grad=True)


class TestAccumulation:
    def test_the_same_tensor_twice(self):
        x = leaf(3.0)
        (x * x).sum().backward()
        assert x.grad.item() == 6.0

    def test_a_diamond_adds_both_ways(self):
        x = leaf(2.0)
        a, b = x * 3, x * 5
        (a * b).sum().backward()
        assert x.grad.item() == 60.0  # d(15 x^2) = 30 x

    def test_a_ladder_of_diamonds_is_visited_once_a_node(self):
        x = leaf(1.0)
        y = x
        for _ in range(60):
            y = y + y  # 2^60 paths
        y.sum().backward()
        assert x.grad.item() == 2.0**60

    def test_grad_adds_up_over_calls(self):
        x = leaf(1.0, 2.0)
        for _ in range(3):
            (x * x).sum().backward()
        np.testing.assert_array_equal(x.grad.array, [6.0, 12.0])

    def test_no_two_leaves_share_a_buffer(self):
        a, b = leaf(1.0), leaf(2.0)
        (a + b).sum().backward()
        a.grad.array[...] = 7
        assert b.grad.item() == 1.0

    def test_the_gradient_of_a_sum_is_the_leafs_own(self):
        x = leaf(1.0, 2.0)
        x.sum().backward()
        x.grad.array[0] = 7  # the rule's own array is one number, expanded
        np.testing.assert_array_equal(x.grad.array, [7.0, 1.0])

    def test_the_gradient_given_by_the_user_is_not_written(self):
        x, start = leaf(1.0, 2.0), tg.tensor([1.0, 1.0], dtype=tg.float64)
        y = x.clone()
        y.backward(start, retain_graph=True)
        y.backward(start)
        np.testing.assert_array_equal(start.array, [1.0, 1.0])
        np.testing.assert_array_equal(x.grad.array, [2.0, 2.0])

    def test_three_consumers_do_not_corrupt_a_borrowed_array(self):
        x = leaf(1.0)
        y = x * 1
        y.retain_grad()
        a, b, c = y + 0, y + 0, y + 0
        for t in (a, b, c):
            t.retain_grad()
        (a + b + c).sum().backward()
        assert [t.grad.item() for t in (a, b, c, y)] == [1.0, 1.0, 1.0, 3.0]

    def test_only_leaves_keep_a_gradient(self):
        x = leaf(1.0)
        y = x * 2
        y.sum().backward()
        assert y.grad is None
        assert x.grad.item() == 2.0

    def test_retain_grad(self):
        x = leaf(1.0)
        y = x * 2
        y.retain_grad()
        assert y.retains_grad
        (y * 3).sum().backward()
        assert y.grad.item() == 3.0

    def test_gradients_keep_the_dtype_of_their_input(self):
        x = tg.tensor([1.0, 2.0], dtype=tg.float32, requires_grad=True)
        y = leaf(3.0, 4.0)
        (x * y).sum().backward()
        assert x.grad.dtype == np.float32
        assert y.grad.dtype == np.float64


class TestOptions:
    def test_inputs_limits_what_is_collected(self):
        a, b = leaf(1.0), leaf(2.0)
        (a * b).sum().backward(inputs=[a])
        assert a.grad.item() == 2.0
        assert b.grad is None

    def test_inputs_takes_the_result_of_an_op(self):
        a = leaf(2.0)
        y = a * a
        (y * 3).sum().backward(inputs=y)
        assert y.grad.item() == 3.0
        assert a.grad is None

    def test_empty_inputs(self):
        with pytest.raises(ArgumentError, match="inputs is empty"):
            leaf(1.0).sum().backward(inputs=[])

    def test_what_is_not_on_the_way_is_not_computed(self):
        class Watched(Function):
            asked: list

            def forward(self, a, b):
                return a * b

            def backward(self, gy):
                self.asked.append(self.needs_input_grad)
                return tuple(gy if needed else None for needed in self.needs_input_grad)

        asked = []
        a, b = leaf(1.0), leaf(2.0)
        y = Watched.apply(a, b, asked=asked)
        grad(y.sum(), a, retain_graph=True)
        grad(y.sum(), (a, b))
        assert asked == [(True, False), (True, True)]

    def test_a_second_backward_says_how_to_keep_the_graph(self):
        x = leaf(1.0)
        y = x.exp()
        y.backward()
        with pytest.raises(GraphFreedError, match=r"Exp was already differentiated.*retain_graph=True"):
            y.backward()

    def test_retain_graph_allows_it(self):
        x = leaf(0.0)
        y = x.exp()
        y.backward(retain_graph=True)
        y.backward()
        assert x.grad.item() == 2.0

    def test_create_graph_keeps_the_graph_by_default(self):
        x = leaf(2.0)
        y = (x**3).sum()
        y.backward(create_graph=True)
        x.grad.sum().backward()
        assert x.grad.item() == 12.0 + 12.0  # 3 x^2 and then 6 x on top

    def test_a_gradient_is_needed_for_more_than_one_element(self):
        with pytest.raises(AutogradError, match=r"shape \(2,\) needs the gradient to start with"):
            (leaf(1.0, 2.0) * 2).backward()

    def test_a_gradient_of_another_shape(self):
        with pytest.raises(ShapeError, match=r"gradient has shape \(3,\), the tensor that it is of has \(2,\)"):
            (leaf(1.0, 2.0) * 2).backward(tg.ones(3))

    def test_a_tensor_that_needs_no_gradient(self):
        with pytest.raises(AutogradError, match="needs no gradient"):
            tg.ones(1).backward()


class TestGrad:
    def test_nothing_is_accumulated(self):
        x = leaf(3.0)
        (g,) = grad((x * x).sum(), x)
        assert g.item() == 6.0
        assert x.grad is None

    def test_with_respect_to_a_result_in_the_middle(self):
        x = leaf(3.0)
        y = x * x
        z = (y * y).sum()
        gy, gx = grad(z, (y, x))
        assert (gy.item(), gx.item()) == (18.0, 108.0)

    def test_derivatives_of_every_order(self):
        x = leaf(0.7)
        y = x.sin()
        for expected in (np.cos, lambda t: -np.sin(t), lambda t: -np.cos(t), np.sin, np.cos):
            (y,) = grad(y, x, create_graph=True)
            np.testing.assert_allclose(y.item(), expected(0.7), rtol=1e-14)

    def test_several_outputs_are_summed(self):
        x = leaf(3.0)
        (g,) = grad([x * 2, x * x], x, [tg.tensor([10.0]), None])
        assert g.item() == 26.0

    def test_unused_inputs(self):
        x, unused = leaf(1.0), leaf(1.0, 2.0)
        y = x * 2
        with pytest.raises(AutogradError, match=r"do not depend on input 1 \(shape \(2,\)\); pass allow_unused=True"):
            grad(y, (x, unused), retain_graph=True)
        assert grad(y, (x, unused), allow_unused=True, retain_graph=True)[1] is None
        zeros = grad(y, (x, unused), materialize_grads=True)[1]
        np.testing.assert_array_equal(zeros.array, [0.0, 0.0])

    def test_contradicting_options(self):
        x = leaf(1.0)
        with pytest.raises(ArgumentError, match="allow_unused cannot be False"):
            grad(x * 1, x, materialize_grads=True, allow_unused=False)

    def test_an_input_that_needs_no_gradient(self):
        with pytest.raises(AutogradError, match=r"input 0 .* does not require grad"):
            grad(leaf(1.0) * 2, tg.ones(1))

    def test_too_few_grad_outputs(self):
        x = leaf(1.0)
        with pytest.raises(ArgumentError, match="1 grad_outputs for 2 outputs"):
            grad([x * 1, x * 2], x, [None])


class TestHooks:
    def test_a_hook_sees_the_complete_gradient_once(self):
        seen = []
        x = leaf(1.0)
        y = x * 2
        y.register_hook(lambda g: seen.append(g.item()))
        (y * 3 + y * 4).sum().backward()
        assert seen == [7.0]

    def test_a_leafs_hook_sees_the_sum_over_its_uses(self):
        seen = []
        x = leaf(1.0)
        x.register_hook(lambda g: seen.append(g.item()))
        (x * 3 + x * 4).sum().backward()
        assert seen == [7.0]

    def test_a_hook_can_replace_the_gradient(self):
        x = leaf(1.0)
        y = x * 2
        y.register_hook(lambda g: g * 10)
        y.sum().backward()
        assert x.grad.item() == 20.0

    def test_what_a_hook_saw_is_not_written_later(self):
        seen = []
        x = leaf(1.0)
        x.register_hook(seen.append)
        for _ in range(2):
            (x * 1 + x * 1).sum().backward()
        assert [g.item() for g in seen] == [2.0, 2.0]

    def test_a_hook_may_run_a_pass_of_its_own(self):
        x, inner = leaf(0.0), leaf(0.0)

        def run_another(gradient: tg.Tensor) -> None:
            with tg.enable_grad():
                inner.log().sum().backward()  # 1 / 0

        x.register_hook(run_another)
        before = np.geterr()
        with np.errstate(all="raise"):
            y = (x * 2).sum()
            y.backward()
            assert set(np.geterr().values()) == {"raise"}
        assert np.geterr() == before
        assert (x.grad.item(), inner.grad.item()) == (2.0, np.inf)

    def test_numpys_warnings_are_back_after_a_hook_that_raises(self):
        x = leaf(1.0)
        x.register_hook(lambda gradient: 1 / 0)
        before = np.geterr()
        with pytest.raises(ZeroDivisionError):
            (x * 2).sum().backward()
        assert np.geterr() == before

    def test_remove(self):
        x = leaf(1.0)
        handle = x.register_hook(lambda g: g * 0)
        handle.remove()
        handle.remove()
        (x * 1).sum().backward()
        assert x.grad.item() == 1.0

    def test_remove_takes_away_one_of_two_equal_hooks(self):
        def double_it(g: tg.Tensor) -> tg.Tensor:
            return g * 2

        x = leaf(1.0)
        first, _ = x.register_hook(double_it), x.register_hook(double_it)
        first.remove()
        first.remove()
        (x * 1).sum().backward()
        assert x.grad.item() == 2.0

    def test_a_hook_that_returns_another_shape(self):
        x = leaf(1.0, 2.0)
        y = x * 2
        y.register_hook(lambda g: g.sum())
        with pytest.raises(AutogradError, match=r"hook on the output of Mul returned a gradient of shape \(\); expected"):
            y.sum().backward()

    def test_a_hook_where_no_gradient_flows(self):
        with pytest.raises(AutogradError, match="would never run"):
            tg.ones(1).register_hook(print)


class TestRulesOfUsers:
    def test_too_few_gradients(self):
        class Forgetful(Function):
            def forward(self, a, b):
                return a + b

            def backward(self, gy):
                return gy

        with pytest.raises(AutogradError, match="Forgetful has 2 inputs, but its backward returned 1 gradients"):
            Forgetful.apply(leaf(1.0), leaf(2.0)).backward()

    def test_a_gradient_of_the_wrong_shape(self):
        class Wrong(Function):
            def forward(self, x):
                return x.sum(keepdims=True)

            def backward(self, gy):
                return gy

        with pytest.raises(AutogradError, match=r"backward of Wrong, for input 0, returned a gradient of shape \(1,\)"):
            Wrong.apply(leaf(1.0, 2.0)).backward()

    def test_no_backward(self):
        class NoBackward(Function):
            def forward(self, x):
                return x

        with pytest.raises(AutogradError, match=r"NoBackward has no backward: define backward\(self, gy\)"):
            NoBackward.apply(leaf(1.0)).backward()

    def test_no_forward(self):
        with pytest.raises(AutogradError, match="has no forward"):
            Function.apply(leaf(1.0))

    def test_the_example_of_the_docstring(self):
        class Square(Function):
            def forward(self, x):
                self.save_for_backward(x)
                return x * x

            def backward(self, gy):
                (x,) = self.saved
                return 2 * x * gy

        x = leaf(1.5, -2.0)
        assert tg.autograd.gradcheck(Square.apply, x)
        assert tg.autograd.gradgradcheck(Square.apply, x)


class TestMemory:
    def test_a_chain_of_100_000_ops(self):
        x = leaf(0.5)
        y = x
        for _ in range(100_000):
            y = y + 1e-6
        y.backward()
        assert x.grad.item() == 1.0

    def test_time_and_memory_are_linear_and_del_returns_the_memory(self):
        def chain_bytes(length: int) -> tuple[int, int]:
            x = tg.ones(1, requires_grad=True)
            gc.collect()
            gc.disable()
            tracemalloc.start()
            try:
                y = x
                for _ in range(length):
                    y = y * 1.0
                y.backward()
                held = tracemalloc.get_traced_memory()[0]
                del y
                return held, tracemalloc.get_traced_memory()[0]
            finally:
                tracemalloc.stop()
                gc.enable()

        held_1, left_1 = chain_bytes(10_000)
        held_4, left_4 = chain_bytes(40_000)
        assert 3.8 < held_4 / held_1 < 4.2
        # Without the garbage collector; what is left is CPython's list of free tuples, which does not grow.
        assert left_4 < 0.02 * held_4
        assert left_4 < 1.1 * left_1

    def test_no_reference_cycles(self):
        x = tg.randn(2, 3, 8, 8, requires_grad=True)
        weight = tg.randn(4, 3, 3, 3, requires_grad=True)
        gc.collect()
        gc.disable()
        try:
            y = tg.max_pool2d(tg.relu(tg.conv2d(x, weight)).sigmoid(), 2)
            loss = tg.cross_entropy(y.flatten(1), tg.tensor([0, 1]))
            watched = [weakref.ref(loss.grad_fn), weakref.ref(y.grad_fn), weakref.ref(y)]
            loss.backward()
            del loss, y
            assert [ref() for ref in watched] == [None, None, None]
        finally:
            gc.enable()

    def test_backward_frees_what_was_saved(self):
        x = tg.randn(4, requires_grad=True)
        y = x.exp()
        array = weakref.ref(y.array)
        z = (y * y).sum()
        del y
        z.backward()
        assert array() is None

    def test_without_gradients_nothing_is_kept(self):
        with tg.no_grad():
            x = tg.randn(4, requires_grad=True)
            y = x.exp() * 2
        assert y.grad_fn is None
        assert not y.requires_grad

    def test_a_graph_keeps_its_leaves_alive(self):
        x = leaf(2.0)
        ref = weakref.ref(x)
        y = x + 1
        del x
        assert ref() is not None
        y.backward()
        assert ref().grad.item() == 1.0


def test_two_threads_differentiate_at_the_same_time():
    results = {}

    def work(k: int) -> None:
        x = leaf(float(k))
        for _ in range(50):
            x.grad = None
            (x * x * x).sum().backward()
        results[k] = x.grad.item()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {k: 3.0 * k * k for k in range(1, 5)}
