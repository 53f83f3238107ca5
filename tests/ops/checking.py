"""What every op has to pass, in one call: the values of another route, both orders of gradients, dtype, memory."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn import Tensor
from tinygrad_cnn.autograd import gradcheck, gradgradcheck


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal, float64."""
    return np.random.default_rng(seed).standard_normal(shape)


def positive(*shape: int, seed: int = 0) -> np.ndarray:
    """Between 0.5 and 2."""
    return np.random.default_rng(seed).uniform(0.5, 2.0, shape)


def distinct(*shape: int, seed: int = 0) -> np.ndarray:
    """Shuffled multiples of 0.37 off zero: no ties and no kink at 0 is near."""
    n = int(np.prod(shape))
    return (np.random.default_rng(seed).permutation(n).reshape(shape) - n // 2 + 0.5) * 0.37


def leaf(array: Any, dtype: Any = np.float64) -> Tensor:
    """A tensor of its own memory that requires grad."""
    return Tensor(np.array(array, dtype), requires_grad=True)


def gradient_of(func: Callable[..., Tensor], *arrays: Any, cotangent: Any = None) -> Any:
    """The gradients of a function with respect to each input; of one input, that gradient."""
    xs = [leaf(array) for array in arrays]
    y = func(*xs)
    y.backward(Tensor(np.ones(y.shape) if cotangent is None else np.asarray(cotangent, y.dtype)))
    gradients = [None if x.grad is None else x.grad.array for x in xs]
    return gradients[0] if len(gradients) == 1 else gradients


def check(func: Callable[..., Tensor], reference: Callable[..., Any], *arrays: np.ndarray, second: bool = True) -> None:
    """Hold `func` against `reference` on float64 arrays, and its gradients against finite differences."""
    expected = np.asarray(reference(*arrays))
    xs = [leaf(array) for array in arrays]
    y = func(*xs)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y.array, expected, rtol=1e-12, atol=1e-12)
    for x, array in zip(xs, arrays, strict=True):
        np.testing.assert_array_equal(x.array, array, err_msg="the op changed its input")
    strided = [np.repeat(array, 2, -1)[..., ::2] if array.ndim else array for array in arrays]
    np.testing.assert_allclose(func(*map(Tensor, strided)).array, expected, rtol=1e-12, atol=1e-12)
    single = [leaf(array, np.float32) for array in arrays]
    y_single = func(*single)
    assert y_single.dtype == np.float32
    np.testing.assert_allclose(y_single.array, expected, rtol=2e-4, atol=2e-5)
    y_single.backward(Tensor(np.ones(y.shape, np.float32)))
    assert {x.grad.dtype for x in single if x.grad is not None} == {np.dtype(np.float32)}
    assert gradcheck(func, xs)
    if second:
        assert gradgradcheck(func, xs)
