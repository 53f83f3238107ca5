"""no_grad and its kin: nesting, decorators, threads, exceptions."""

import threading

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import ArgumentError


def test_nesting_restores_each_level():
    assert tg.is_grad_enabled()
    with tg.no_grad():
        assert not tg.is_grad_enabled()
        with tg.enable_grad():
            assert tg.is_grad_enabled()
        assert not tg.is_grad_enabled()
    assert tg.is_grad_enabled()


def test_an_exception_restores_the_mode():
    with pytest.raises(KeyError), tg.no_grad():
        raise KeyError
    assert tg.is_grad_enabled()


def test_as_a_decorator():
    @tg.no_grad()
    def evaluate(x: tg.Tensor) -> tg.Tensor:
        """Doc."""
        return x * 2

    assert not evaluate(tg.ones(1, requires_grad=True)).requires_grad
    assert evaluate.__doc__ == "Doc."
    assert tg.is_grad_enabled()


def test_a_decorated_function_may_call_itself():
    @tg.no_grad()
    def count(n: int) -> bool:
        return tg.is_grad_enabled() or (n > 0 and count(n - 1))

    assert not count(3)
    assert tg.is_grad_enabled()


def test_a_generator_function_is_refused():
    with pytest.raises(ArgumentError, match="no_grad\\(\\) cannot decorate the generator function 'batches'"):

        @tg.no_grad()
        def batches():
            yield 1


def test_the_same_object_twice():
    mode = tg.no_grad()
    with mode, mode:
        assert not tg.is_grad_enabled()
    assert tg.is_grad_enabled()


def test_set_grad_enabled_at_once_and_as_a_block():
    tg.set_grad_enabled(False)
    assert not tg.is_grad_enabled()
    tg.set_grad_enabled(True)
    with tg.set_grad_enabled(False):
        assert not tg.is_grad_enabled()
    assert tg.is_grad_enabled()

    @tg.set_grad_enabled(False)
    def inside() -> bool:
        return tg.is_grad_enabled()

    assert tg.is_grad_enabled()
    assert not inside()


def test_other_threads_are_not_affected():
    seen = []
    with tg.no_grad():
        thread = threading.Thread(target=lambda: seen.append(tg.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]
