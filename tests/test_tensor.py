"""The tensor itself: what it says of itself, its place in the graph, printing, copying, conversion to Python."""

import copy
import gc
import math
import pickle
import threading
import weakref

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.errors import AutogradError, DTypeError, ShapeError


class TestDescription:
    def test_shape_and_size(self):
        x = tg.zeros(2, 3)
        assert x.shape == x.size() == (2, 3)
        assert (x.size(1), x.size(-2)) == (3, 2)
        assert (x.ndim, x.dim(), x.numel(), len(x)) == (2, 2, 6, 2)
        assert x.device == "cpu"
        assert x.cpu() is x

    def test_dtype(self):
        assert tg.zeros(1).is_floating_point()
        assert not tg.zeros(1, dtype=np.int64).is_floating_point()
        assert tg.float32 == tg.zeros(1).dtype

    def test_contiguity(self):
        x = tg.zeros(2, 3)
        assert x.is_contiguous()
        assert not x.T.is_contiguous()
        assert x.T.contiguous().is_contiguous()
        assert x.contiguous() is x

    def test_an_array_is_taken_as_it_is(self):
        array = np.zeros(3)
        assert tg.Tensor(array).array is array
        assert tg.Tensor([1, 2]).dtype == np.int64
        assert tg.Tensor(2.5).dtype == np.float32

    def test_a_tensor_around_a_tensor_leaves_the_history_and_shares_the_rest(self):
        x = tg.ones(2, requires_grad=True)
        y = x * 2
        z = tg.Tensor(y)
        assert not z.requires_grad
        z.add_(1)
        assert (y.tolist(), y._version) == ([3.0, 3.0], 1)


class TestRequiresGrad:
    def test_of_a_leaf(self):
        x = tg.zeros(2)
        assert x.is_leaf
        assert not x.requires_grad
        assert x.requires_grad_() is x
        assert x.requires_grad
        assert not x.requires_grad_(False).requires_grad

    def test_of_a_result(self):
        x = tg.zeros(2, requires_grad=True)
        y = x * 2
        assert y.requires_grad
        assert not y.is_leaf
        assert repr(y.grad_fn) == "<MulBackward>"
        with pytest.raises(AutogradError, match=r"requires_grad of the output of Mul cannot be set to False.*use \.detach\(\)"):
            y.requires_grad = False

    def test_integers_have_no_gradient(self):
        with pytest.raises(
            DTypeError, match=r"only floating-point tensors can require gradients, this one is int64: use \.float\(\)"
        ):
            tg.tensor([1, 2]).requires_grad_()

    def test_of_a_view_of_a_constant(self):
        base = tg.tensor([1.0, 2.0, 3.0])
        v = base[1:].requires_grad_()
        (v * v).sum().backward()
        assert v.grad.tolist() == [4.0, 6.0]
        assert base.grad is None

    def test_detach_and_data(self):
        x = tg.tensor([1.0, 2.0], requires_grad=True)
        for cut in ((x * 2).detach(), (x * 2).data):
            assert not cut.requires_grad
            assert cut.grad_fn is None
            assert cut.tolist() == [2.0, 4.0]


class TestHooks:
    def test_retain_grad_and_hooks_need_a_gradient(self):
        x = tg.zeros(2)
        with pytest.raises(AutogradError, match=r"retain_grad\(\) was called on a tensor that needs no gradient"):
            x.retain_grad()
        with pytest.raises(AutogradError, match=r"register_hook\(\) was called on a tensor that needs no gradient"):
            x.register_hook(print)

    def test_a_hook_as_a_context(self):
        x, seen = tg.ones(2, requires_grad=True), []
        with x.register_hook(seen.append):
            x.sum().backward()
        x.sum().backward()
        assert len(seen) == 1

    def test_removing_twice(self):
        x = tg.ones(2, requires_grad=True)
        handle = x.register_hook(lambda g: g * 2)
        handle.remove()
        handle.remove()
        x.sum().backward()
        assert x.grad.tolist() == [1.0, 1.0]

    def test_what_a_hook_returns_keeps_the_dtype(self):
        x = tg.ones(2, requires_grad=True)
        x.register_hook(lambda g: g.double() * 3)
        x.sum().backward()
        assert (x.grad.dtype, x.grad.tolist()) == (np.float32, [3.0, 3.0])

    def test_a_hook_that_returns_no_tensor(self):
        x = tg.ones(2, requires_grad=True)
        x.register_hook(lambda g: 3.0)
        with pytest.raises(AutogradError, match=r"a hook on the output of .* returned a float; return a tensor, or None"):
            x.sum().backward()

    def test_retains_grad(self):
        x = tg.ones(2, requires_grad=True)
        y = x * 2
        assert not y.retains_grad
        y.retain_grad()
        assert y.retains_grad
        x.retain_grad()
        assert not x.retains_grad
        (y * 3).sum().backward()
        assert y.grad.tolist() == [3.0, 3.0]
        assert y.grad.array.flags.writeable


class TestBackward:
    def test_the_gradient_to_start_with(self):
        x = tg.tensor([1.0, 2.0], requires_grad=True)
        (x * 3).backward(tg.tensor([1.0, 10.0]))
        assert x.grad.tolist() == [3.0, 30.0]
        with pytest.raises(
            DTypeError, match=r"the gradient to start with must be a tensor, got ndarray: use tensor\(gradient\)"
        ):
            (x * 3).backward(np.ones(2))

    def test_going_on_from_a_target_of_grad(self):
        """`grad` stops at its inputs: what made them keeps what it saved."""
        x = tg.tensor([1.0, 2.0], requires_grad=True)
        y = x.exp()
        (g,) = grad((y * y).sum(), y)
        y.backward(g)
        np.testing.assert_allclose(x.grad.array, 2 * np.exp([2.0, 4.0]), rtol=1e-6)

    def test_inside_threads(self):
        """Each thread builds and differentiates its own graph on shared weights."""
        w = tg.tensor([1.0, 2.0], dtype=np.float64, requires_grad=True)
        found = {}

        def work(k):
            for _ in range(50):
                (g,) = grad(((w * k).exp() * w).sum(), w)
            found[k] = g.array

        threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for k in range(1, 4):
            np.testing.assert_allclose(found[k], np.exp(k * w.array) * (1 + k * w.array))

    def test_no_grad_in_one_thread_is_not_no_grad_in_another(self):
        inside, done = threading.Event(), threading.Event()

        def hold():
            with tg.no_grad():
                inside.set()
                done.wait(5)

        thread = threading.Thread(target=hold)
        thread.start()
        inside.wait(5)
        recorded = (tg.ones(1, requires_grad=True) * 2).requires_grad
        done.set()
        thread.join()
        assert recorded

    def test_in_place_ops_and_views_make_no_cycles(self):
        gc.collect()
        gc.disable()
        try:
            x = tg.ones(4, requires_grad=True)
            y = x * 2
            y.mul_(3)
            y[0] = y[1] + y[2]
            v = y[1:]
            y.retain_grad()
            (v * v).sum().backward()
            watched = [weakref.ref(tensor) for tensor in (x, y, v)]
            del x, y, v
            assert [reference() for reference in watched] == [None, None, None]
        finally:
            gc.enable()


class TestPython:
    def test_numbers(self):
        x = tg.tensor([2.5])
        assert x.item() == float(x) == 2.5
        assert int(x) == 2
        assert math.sqrt(tg.tensor(4.0)) == 2.0
        assert isinstance(tg.tensor(3).item(), int)
        assert isinstance(tg.tensor(True).item(), bool)
        assert float(tg.tensor(2.0, requires_grad=True)) == 2.0

    def test_as_an_index(self):
        assert ["a", "b"][tg.tensor(1)] == "b"
        assert list(range(tg.tensor([3]))) == [0, 1, 2]
        with pytest.raises(DTypeError, match="only an integer tensor with one element can be an index, this one is float32"):
            ["a"][tg.tensor(0.0)]

    def test_truth(self):
        assert tg.tensor([1.0])
        assert not tg.tensor(0)
        with pytest.raises(
            ShapeError, match=r"the truth of a tensor of shape \(2,\) is ambiguous: use \.any\(\), \.all\(\), or & and \|"
        ):
            bool(tg.ones(2))

    def test_item_of_several(self):
        with pytest.raises(ShapeError, match=r"item\(\) needs a tensor with one element, this one has shape \(2,\)"):
            tg.ones(2).item()

    def test_a_number_has_no_length(self):
        with pytest.raises(DTypeError, match=r"len\(\) of a 0-dimensional tensor"):
            len(tg.tensor(1.0))
        with pytest.raises(DTypeError, match=r"iteration over a 0-dimensional tensor; use \.item\(\)"):
            iter(tg.tensor(1.0))

    def test_containment_and_identity(self):
        x = tg.tensor([1.0, 2.0])
        assert 2.0 in x
        assert 3.0 not in x
        assert tg.tensor(1.0) in x
        assert {x: "found"}[x] == "found"
        assert x in [x]

    def test_tolist_and_unpacking(self):
        assert tg.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
        a, b = tg.tensor([1.0, 2.0])
        assert (a.item(), b.item()) == (1.0, 2.0)


class TestNumpy:
    def test_numpy_shares_the_memory(self):
        x = tg.zeros(2)
        x.numpy()[0] = 5
        assert x.tolist() == [5.0, 0.0]
        assert np.asarray(x) is x.array
        assert np.array(x) is not x.array
        assert np.asarray(x, np.float64).dtype == np.float64

    def test_a_gradient_is_not_lost(self):
        x = tg.zeros(2, requires_grad=True)
        with pytest.raises(
            DTypeError, match=r"numpy\(\) on a tensor that requires grad would lose .*: call \.detach\(\)\.numpy\(\)"
        ):
            x.numpy()
        with pytest.raises(
            DTypeError, match=r"conversion to a NumPy array .* would lose its gradient: call \.detach\(\) first"
        ):
            np.asarray(x)
        with tg.no_grad():
            assert x.numpy() is x.array
        assert x.detach().numpy().tolist() == [0.0, 0.0]


class TestPrinting:
    """PyTorch's layout; digits as NumPy prints them (no zeros added: 1.5, not 1.5000)."""

    @pytest.mark.parametrize(
        ("make", "text"),
        [
            (lambda: tg.tensor(2.5), "tensor(2.5)"),
            (lambda: tg.tensor(3), "tensor(3)"),
            (lambda: tg.tensor([1.0, 2.0]), "tensor([1., 2.])"),
            (lambda: tg.tensor([1.23456, 10.5]), "tensor([ 1.2346, 10.5   ])"),
            (lambda: tg.tensor([True, False]), "tensor([ True, False])"),
            (lambda: tg.tensor([[1, 2], [30, 4]]), "tensor([[ 1,  2],\n        [30,  4]])"),
            (lambda: tg.tensor([math.nan, math.inf]), "tensor([nan, inf])"),
            (lambda: tg.tensor([1.0], dtype=np.float64), "tensor([1.], dtype=float64)"),
            (lambda: tg.tensor([1], dtype=np.uint8), "tensor([1], dtype=uint8)"),
            (lambda: tg.tensor([]), "tensor([])"),
            (lambda: tg.zeros(0, 3), "tensor([], size=(0, 3))"),
            (lambda: tg.ones(1, requires_grad=True), "tensor([1.], requires_grad=True)"),
            (lambda: tg.ones(1, requires_grad=True) * 2, "tensor([2.], grad_fn=<MulBackward>)"),
            (
                lambda: tg.ones(1, 1, dtype=np.float64, requires_grad=True).T,
                "tensor([[1.]], dtype=float64, grad_fn=<PermuteBackward>)",
            ),
            (lambda: tg.arange(2000), "tensor([   0,    1,    2, ..., 1997, 1998, 1999])"),
        ],
    )
    def test_repr(self, make, text):
        assert repr(make()) == str(make()) == text

    def test_format(self):
        x = tg.tensor(1.23456)
        assert f"{x:.2f}" == "1.23"
        assert f"{tg.tensor(7)}" == "7"
        assert f"{tg.tensor([1.0, 2.0])}" == "tensor([1., 2.])"
        with pytest.raises(DTypeError, match=r"format '\.2f' is for one number, this tensor has shape \(2,\): use \.item\(\)"):
            f"{tg.ones(2):.2f}"


class TestCopying:
    def test_deepcopy(self):
        x = tg.tensor([1.0, 2.0], requires_grad=True)
        x.name = "w"
        (x * x).sum().backward()
        y = copy.deepcopy(x)
        y.grad.zero_()
        with tg.no_grad():
            y.zero_()
        assert (x.tolist(), x.grad.tolist()) == ([1.0, 2.0], [2.0, 4.0])
        assert (y.requires_grad, y.name) == (True, "w")
        a, b = copy.deepcopy([x, x])
        assert a is b

    def test_pickle(self):
        x = tg.tensor([[1.0, 2.0]], dtype=np.float64, requires_grad=True)
        y = pickle.loads(pickle.dumps(x))
        assert (y.tolist(), y.dtype, y.requires_grad) == ([[1.0, 2.0]], np.float64, True)
        assert not pickle.loads(pickle.dumps(tg.tensor([1]))).requires_grad

    def test_a_copied_view_is_on_its_own(self):
        base = tg.zeros(3)
        v = copy.deepcopy(base[1:])
        v.fill_(5)
        assert base.tolist() == [0.0, 0.0, 0.0]
        w = tg.ones(2, requires_grad=True)
        v.mul_(w)  # a recorded write: it would be refused through a view
        assert v.requires_grad

    def test_what_has_a_history(self):
        y = tg.ones(2, requires_grad=True) * 2
        with pytest.raises(
            AutogradError, match=r"only leaf tensors can be deep-copied, this is the output of Mul; detach\(\) it first"
        ):
            copy.deepcopy(y)
        with pytest.raises(
            AutogradError, match=r"only leaf tensors can be pickled, this is the output of Mul; detach\(\) it first"
        ):
            pickle.dumps(y)


def test_the_docstring_of_a_method_is_that_of_its_op():
    assert tg.Tensor.exp.__doc__ == tg.exp.__doc__
    assert tg.Tensor.add_.__doc__ == tg.ops.add_.__doc__
    assert "refuses to copy" in tg.Tensor.view.__doc__
