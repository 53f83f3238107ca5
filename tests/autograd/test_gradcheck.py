"""gradcheck itself: what it must reject, what it must say, and what it must not be fooled by."""

import sys

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import Function, gradcheck, gradgradcheck
from tinygrad_cnn.errors import ArgumentError, DTypeError, GradcheckError


def double(*shape: int) -> tg.Tensor:
    return tg.tensor(np.random.default_rng(0).standard_normal(shape), requires_grad=True)


class Cubed(Function):
    """x^3, with the derivative's coefficient as a parameter: 3 is right."""

    coefficient: float

    def forward(self, x):
        self.save_for_backward(x)
        return x**3

    def backward(self, gy):
        (x,) = self.saved
        return gy * self.coefficient * x * x


class Detached(Function):
    """A right gradient whose own gradient is missing: x enters it as a constant."""

    def forward(self, x):
        self.save_for_backward(x)
        return x**3

    def backward(self, gy):
        (x,) = self.saved
        return gy * 3 * x.detach() * x.detach()


def cubed_wrongly(x: tg.Tensor) -> tg.Tensor:
    return Cubed.apply(x, coefficient=2.0)


def test_a_right_gradient_passes():
    assert gradcheck(lambda x: Cubed.apply(x, coefficient=3.0), double(2, 3))


def test_a_wrong_one_is_named_with_its_place_and_both_values():
    x = tg.tensor([[0.1, 2.0]], dtype=tg.float64, requires_grad=True)
    with pytest.raises(GradcheckError) as error:
        gradcheck(cubed_wrongly, x)
    message = str(error.value)
    for part in ("cubed_wrongly", "output 0 at (0, 1)", "input 0", "at (0, 1)", "got 8", "expected 12", "worst of 2 wrong"):
        assert part in message
    assert gradcheck(cubed_wrongly, x, raise_exception=False) is False


def test_an_error_in_a_single_entry_is_found():
    class OneWrong(Function):
        def forward(self, x):
            return x * 2

        def backward(self, gy):
            wrong = np.full(gy.shape, 2.0)
            wrong[1, 2] = 2.1
            return gy * tg.tensor(wrong)

    with pytest.raises(GradcheckError, match=r"at \(1, 2\): got 2.1, expected 2"):
        gradcheck(OneWrong.apply, double(3, 4))


def test_the_fast_mode_finds_it_too():
    with pytest.raises(GradcheckError, match="along a random direction"):
        gradcheck(cubed_wrongly, double(20, 20), fast_mode=True)
    assert gradcheck(lambda x: Cubed.apply(x, coefficient=3.0), double(20, 20), fast_mode=True)


def test_the_second_order_is_checked_separately():
    assert gradcheck(Detached.apply, double(3))
    with pytest.raises(GradcheckError, match="gradcheck of the gradient of Detached"):
        gradgradcheck(Detached.apply, double(3))


def test_softmax_summed_needs_a_random_cotangent():
    """With a cotangent of ones the gradient of a softmax is zero, and so is that of a wrong rule."""

    class Wrong(Function):
        def forward(self, x):
            e = np.exp(x)
            y = e / e.sum(-1, keepdims=True)
            self.save_output(y)
            return y

        def backward(self, gy):
            (y,) = self.saved
            return 2 * y * (gy - (gy * y).sum(-1, keepdim=True))

    assert gradcheck(lambda x: Wrong.apply(x).sum(), double(2, 3))
    with pytest.raises(GradcheckError):
        gradcheck(Wrong.apply, double(2, 3))


def test_several_outputs_and_inputs():
    def both(a: tg.Tensor, b: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        return a * b, cubed_wrongly(b)

    with pytest.raises(GradcheckError, match=r"output 1 .* with respect to input 1"):
        gradcheck(both, (double(2), double(2)))


def test_an_input_that_is_not_used_has_a_zero_gradient():
    assert gradcheck(lambda a, b: a * 2, (double(2), double(3)))


def test_an_output_that_needs_no_gradient_must_not_depend_on_the_input():
    with pytest.raises(GradcheckError, match="got 0, expected 2"):
        gradcheck(lambda x: x.detach() * 2, double(2))


class TestKinks:
    def test_relu_at_zero_is_named(self):
        x = tg.tensor([1.0, 0.0, -1.0], dtype=tg.float64, requires_grad=True)
        with pytest.raises(GradcheckError, match=r"kink within eps = 1e-06 of input 0 at \(1,\) \(value 0.0\)"):
            gradcheck(tg.relu, x)

    def test_near_zero_too(self):
        x = tg.tensor([1.0, 3e-7], dtype=tg.float64, requires_grad=True)
        with pytest.raises(GradcheckError, match="kink"):
            gradcheck(tg.relu, x)

    def test_a_kink_that_the_central_difference_hides(self):
        """abs at 0: gradient 0 and central difference 0 agree by symmetry, and mean nothing."""
        with pytest.raises(GradcheckError, match="kink"):
            gradcheck(tg.abs, tg.zeros(2, dtype=tg.float64, requires_grad=True))

    def test_skip(self):
        x = tg.tensor([1.0, 0.0, -1.0], dtype=tg.float64, requires_grad=True)
        assert gradcheck(tg.relu, x, kinks="skip")
        assert gradcheck(tg.relu, x, kinks="skip", fast_mode=True)

    def test_skip_does_not_hide_other_errors(self):
        x = tg.tensor([1.0, 0.0], dtype=tg.float64, requires_grad=True)
        with pytest.raises(GradcheckError, match="got"):
            gradcheck(lambda x: tg.relu(x) + cubed_wrongly(x), x, kinks="skip")

    def test_a_tie_in_max_pooling(self):
        with pytest.raises(GradcheckError, match="kink"):
            gradcheck(lambda x: tg.max_pool2d(x, 2), tg.ones(1, 1, 2, 2, dtype=tg.float64, requires_grad=True))

    def test_strong_curvature_is_not_a_kink(self):
        x = tg.tensor([0.3, -0.2], dtype=tg.float64, requires_grad=True)
        assert gradcheck(lambda x: (x * 300).sin(), x, atol=1e-3)

    def test_unknown_option(self):
        with pytest.raises(ArgumentError, match="kinks must be 'raise' or 'skip', got 'ignore'"):
            gradcheck(tg.relu, double(1), kinks="ignore")


class TestInputs:
    def test_float32_warns(self):
        x = tg.ones(2, requires_grad=True)
        with pytest.warns(UserWarning, match="input 0 is float32"):
            gradcheck(lambda x: x * 2, x, atol=0.1, rtol=0.1)

    def test_values_are_put_back_after_failure(self):
        x = double(2, 2)
        before = x.array.copy()
        gradcheck(cubed_wrongly, x, raise_exception=False)
        np.testing.assert_array_equal(x.array, before)

    def test_nothing_to_check(self):
        with pytest.raises(ArgumentError, match="no input has requires_grad=True"):
            gradcheck(tg.relu, tg.ones(2, dtype=tg.float64))

    def test_not_a_tensor(self):
        with pytest.raises(DTypeError, match="input 0 is a ndarray"):
            gradcheck(tg.relu, [np.ones(2)])

    def test_not_returning_a_tensor(self):
        with pytest.raises(DTypeError, match="it returned a float"):
            gradcheck(lambda x: [1.0], double(1))

    def test_expanded_inputs_are_refused(self):
        x = double(1).detach().expand(3)
        x.requires_grad = True
        with pytest.raises(ArgumentError, match="expanded or read-only"):
            gradcheck(tg.exp, x)

    def test_closures_over_parameters(self):
        weight = double(2)
        assert gradcheck(lambda _: (weight * weight).sum(), weight)

    def test_a_large_jacobian_is_looked_at_along_directions(self):
        x = double(2100)
        with pytest.warns(UserWarning, match="4410000 entries; it is checked along 5 random directions"):
            assert gradcheck(tg.exp, x)


class TestRandomness:
    def test_dropout_passes_because_the_draws_are_frozen(self):
        assert gradcheck(lambda x: tg.dropout(x, 0.5), double(4, 4))
        assert gradgradcheck(lambda x: tg.dropout(x, 0.5), double(4, 4))

    def test_unfrozen_it_is_reported(self):
        with pytest.raises(GradcheckError, match="differs between two calls"):
            gradcheck(lambda x: tg.dropout(x, 0.5), double(4, 4), freeze_rng=False)

    def test_the_generator_is_where_it_was(self):
        tg.manual_seed(3)
        expected = tg.rand(2).tolist()
        tg.manual_seed(3)
        gradcheck(lambda x: tg.dropout(x, 0.5), double(4, 4))
        assert tg.rand(2).tolist() == expected


def test_a_gradient_in_the_wrong_dtype_is_reported(monkeypatch):
    """The engine casts, so this takes a broken engine."""
    module = sys.modules["tinygrad_cnn.autograd.gradcheck"]
    real = module.grad
    monkeypatch.setattr(module, "grad", lambda *a, **k: tuple(g.to(np.float32) for g in real(*a, **k)))
    with pytest.raises(GradcheckError, match="the gradient of input 0 is float32"):
        gradcheck(tg.exp, double(2))
