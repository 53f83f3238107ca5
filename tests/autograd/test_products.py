"""vjp, jvp, jacobian, hessian, hvp: against derivatives written out, and against each other's definitions."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import hessian, hvp, jacobian, jvp, vjp
from tinygrad_cnn.errors import ArgumentError, AutogradError, ShapeError

RNG = np.random.default_rng(0)
A = RNG.standard_normal((3, 4))
X = RNG.standard_normal(4)


def double(array: object) -> tg.Tensor:
    return tg.tensor(array, dtype=tg.float64)


def layer(x: tg.Tensor) -> tg.Tensor:
    return (double(A) @ x).tanh()


def layer_jacobian(x: np.ndarray) -> np.ndarray:
    return (1 - np.tanh(A @ x) ** 2)[:, None] * A


class TestProducts:
    def test_vjp(self):
        v = RNG.standard_normal(3)
        y, product = vjp(layer, double(X), double(v))
        np.testing.assert_allclose(y.array, np.tanh(A @ X))
        np.testing.assert_allclose(product.array, v @ layer_jacobian(X))

    def test_jvp(self):
        u = RNG.standard_normal(4)
        y, product = jvp(layer, double(X), double(u))
        np.testing.assert_allclose(y.array, np.tanh(A @ X))
        np.testing.assert_allclose(product.array, layer_jacobian(X) @ u)

    def test_jvp_of_a_convolution_is_the_convolution(self):
        weight, u = double(RNG.standard_normal((2, 1, 2, 3))), double(RNG.standard_normal((1, 1, 4, 5)))
        x = double(RNG.standard_normal((1, 1, 4, 5)))
        _, product = jvp(lambda x: tg.conv2d(x, weight, padding=1), x, u)
        np.testing.assert_allclose(product.array, tg.conv2d(u, weight, padding=1).array)

    def test_jvp_of_what_does_not_depend_on_the_input(self):
        _, product = jvp(lambda x: tg.ones(2, dtype=tg.float64), double(X), double(X))
        assert product.tolist() == [0.0, 0.0]

    def test_several_inputs_and_outputs(self):
        def func(a: tg.Tensor, b: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
            return a * b, a.sum()

        a, b = double([1.0, 2.0]), double([3.0, 4.0])
        _, (ga, gb) = vjp(func, (a, b), (double([1.0, 10.0]), double(100.0)))
        assert (ga.tolist(), gb.tolist()) == ([103.0, 140.0], [1.0, 20.0])
        _, (d0, d1) = jvp(func, (a, b), (double([1.0, 0.0]), double([0.0, 1.0])))
        assert (d0.tolist(), d1.item()) == ([3.0, 2.0], 1.0)

    def test_the_callers_gradients_are_not_touched(self):
        x = double(X).requires_grad_()
        y, product = vjp(layer, x, double(np.ones(3)))
        assert x.grad is None
        assert not y.requires_grad
        assert not product.requires_grad

    def test_create_graph_differentiates_through_the_product(self):
        x = double(2.0).requires_grad_()
        _, product = vjp(lambda x: x**3, x, create_graph=True)
        product.backward()
        assert x.grad.item() == 12.0  # d/dx 3 x^2

    def test_jvp_create_graph(self):
        x = double(2.0).requires_grad_()
        _, product = jvp(lambda x: x**3, x, create_graph=True)
        product.backward()
        assert x.grad.item() == 12.0


class TestMatrices:
    def test_jacobian(self):
        np.testing.assert_allclose(jacobian(layer, double(X)).array, layer_jacobian(X))

    def test_jacobian_of_matrices_has_the_shape_of_both(self):
        j = jacobian(lambda x: x.T, double(RNG.standard_normal((2, 3))))
        assert j.shape == (3, 2, 2, 3)
        for i, k in np.ndindex(2, 3):
            assert j.array[k, i, i, k] == 1.0
        assert j.array.sum() == 6.0

    def test_jacobian_blocks(self):
        blocks = jacobian(lambda a, b: (a * b, b.sum()), (double([1.0, 2.0]), double([3.0, 4.0])))
        np.testing.assert_array_equal(blocks[0][1].array, np.diag([1.0, 2.0]))
        np.testing.assert_array_equal(blocks[1][0].array, [0.0, 0.0])

    def test_jacobian_of_nothing(self):
        assert jacobian(lambda x: x[:0], double(X)).shape == (0, 4)

    def test_hessian(self):
        q = RNG.standard_normal((4, 4))
        np.testing.assert_allclose(hessian(lambda x: x @ double(q) @ x, double(X)).array, q + q.T)

    def test_hessian_blocks(self):
        blocks = hessian(lambda a, b: (a**2 * b).sum(), (double([3.0]), double([5.0])))
        assert [[blocks[i][j].item() for j in range(2)] for i in range(2)] == [[10.0, 6.0], [6.0, 0.0]]

    def test_hvp_is_the_hessian_times_v(self):
        v = RNG.standard_normal(4)

        def func(x: tg.Tensor) -> tg.Tensor:
            return layer(x).exp().sum()

        value, product = hvp(func, double(X), double(v))
        np.testing.assert_allclose(value.item(), np.exp(np.tanh(A @ X)).sum())
        np.testing.assert_allclose(product.array, hessian(func, double(X)).array @ v)

    def test_hvp_of_a_linear_function_is_zero(self):
        assert hvp(lambda x: x.sum(), double(X), double(X))[1].tolist() == [0.0] * 4


class TestErrors:
    def test_a_vector_is_missing(self):
        with pytest.raises(ArgumentError, match=r"vjp: v may be left out for one tensor with one element.*\(3,\)"):
            vjp(layer, double(X))

    def test_too_many_vectors(self):
        with pytest.raises(ArgumentError, match="2 vectors in v for 1 tensors"):
            vjp(layer, double(X), (double(X), double(X)))

    def test_a_vector_of_another_shape(self):
        with pytest.raises(ShapeError, match=r"jvp: v\[0\] has shape \(3,\), what it multiplies has \(4,\)"):
            jvp(layer, double(X), double(np.ones(3)))

    def test_a_hessian_of_many_outputs(self):
        with pytest.raises(AutogradError, match=r"hessian: the function must return one tensor with one element.*\(3,\)"):
            hessian(layer, double(X))

    def test_integers(self):
        with pytest.raises(ArgumentError, match=r"input 0 is int64.*use \.float\(\)"):
            jacobian(layer, tg.arange(4))
