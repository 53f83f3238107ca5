"""What every case has to pass. Each check returns None, or says in a sentence what is wrong."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from .. import kernels
from ..autograd.function import Function
from ..autograd.functional import grad
from ..autograd.gradcheck import gradcheck, gradgradcheck
from ..errors import GradcheckError, TinygradError
from ..random import frozen, manual_seed
from ..tensor import Tensor
from .case import Array, Case

Check = Callable[[Case], "str | None"]

_RNG_STATE = np.random.default_rng(7).bit_generator.state


def _leaves(arrays: list[Array]) -> list[Tensor]:
    return [Tensor(array.copy(), requires_grad=True) for array in arrays]


def _evaluate(case: Case, tensors: list[Tensor]) -> Tensor:
    with frozen(dict(_RNG_STATE)):
        return case.call(*tensors)


def _expected(case: Case, arrays: list[Array]) -> Array:
    with frozen(dict(_RNG_STATE)):
        return np.asarray(case.reference(*arrays), np.float64)


def _nodes(y: Tensor) -> set[type[Function]]:
    stack: list[Function | None] = [y.grad_fn]
    seen: set[Function] = set()
    while stack:
        node = stack.pop()
        if node is not None and node not in seen:
            seen.add(node)
            stack.extend(node.edges)
    return {type(node) for node in seen}


def _differs(what: str, got: Array, expected: Array, tolerance: float) -> str | None:
    if got.shape != expected.shape:
        return f"{what}: shape {got.shape}, expected {expected.shape}"
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    error = float(np.max(np.abs(got.astype(np.float64) - expected), initial=0.0))
    return None if error <= tolerance * scale else f"{what}: off by {error:.3g} (largest value {scale:.3g})"


def check_forward(case: Case) -> str | None:
    """The values of the reference, from contiguous inputs and from others; and the case goes through its op."""
    arrays = case.inputs()
    expected = _expected(case, arrays)
    y = _evaluate(case, _leaves(arrays))
    if case.op not in _nodes(y):
        return f"the case does not go through {case.op.__name__}"
    strided = [Tensor(np.repeat(array, 2, -1)[..., ::2] if array.ndim else array, requires_grad=True) for array in arrays]
    return _differs("forward", y.array, expected, 1e-11) or _differs(
        "forward, not contiguous", _evaluate(case, strided).array, expected, 1e-11
    )


def check_dtype(case: Case) -> str | None:
    """float32 in, float32 out, near the float64 values; every gradient in the dtype of its input."""
    arrays = case.inputs()
    for dtype, tolerance in ((np.float32, 2e-5), (np.float64, 1e-11)):
        leaves = [Tensor(array.astype(dtype), requires_grad=True) for array in arrays]
        y = _evaluate(case, leaves)
        # A cast to a wider type is the one op whose result has another dtype.
        if y.dtype != dtype and y.dtype != np.longdouble:
            return f"{np.dtype(dtype)} inputs gave {y.dtype}"
        gradients = grad(y.sum(), leaves, materialize_grads=True)
        for i, gradient in enumerate(gradients):
            assert gradient is not None
            if gradient.dtype != dtype:
                return f"the gradient of input {i} has dtype {gradient.dtype} for {np.dtype(dtype)}"
        problem = _differs(f"forward in {np.dtype(dtype)}", y.array, _expected(case, arrays), tolerance)
        if problem:
            return problem
    return None


def check_untouched(case: Case) -> str | None:
    """Neither the forward nor the backward pass writes into an input, or into the gradient that it is given."""
    arrays = case.inputs()
    leaves = _leaves(arrays)
    y = _evaluate(case, leaves)
    v = np.random.default_rng(4).standard_normal(y.shape).astype(y.dtype)
    given = Tensor(v.copy())
    grad(y, leaves, given, materialize_grads=True)
    if not np.array_equal(given.array, v):
        return "the backward pass changed the gradient that it was given"
    for i, (leaf, array) in enumerate(zip(leaves, arrays, strict=True)):
        if not np.array_equal(leaf.array, array):
            return f"input {i} was changed"
    return None


def check_gradcheck(case: Case) -> str | None:
    """The gradient against finite differences, entry by entry."""
    try:
        gradcheck(lambda *xs: _evaluate(case, list(xs)), _leaves(case.inputs()))
    except GradcheckError as error:
        return str(error)
    return None


def check_gradgradcheck(case: Case) -> str | None:
    """The gradient's gradient against finite differences."""
    try:
        gradgradcheck(lambda *xs: _evaluate(case, list(xs)), _leaves(case.inputs()))
    except GradcheckError as error:
        return str(error)
    return None


def check_adjoint(case: Case) -> str | None:
    """<A x, v> = <x, A' v>, with A from the forward and A' from the backward pass: exact but for rounding."""
    for i in case.linear_in:
        arrays = case.inputs()
        leaves = _leaves(arrays)
        y = _evaluate(case, leaves)
        v = np.random.default_rng(1).standard_normal(y.shape)
        (back,) = grad(y, leaves[i], Tensor(v.astype(y.dtype)))
        assert back is not None
        x = np.random.default_rng(2).standard_normal(arrays[i].shape)
        at_x = _evaluate(case, [*leaves[:i], Tensor(x), *leaves[i + 1 :]]).array
        at_0 = _evaluate(case, [*leaves[:i], Tensor(np.zeros_like(x)), *leaves[i + 1 :]]).array
        left, right = ((at_x - at_0) * v).sum(), (x * back.array).sum()
        problem = _differs(f"adjoint in input {i}", np.asarray(right), np.asarray(left), 1e-13 * max(x.size, v.size))
        if problem:
            return problem
    return None


def check_kernels(case: Case) -> str | None:
    """Every implementation of the kernels, and `backward_kernel` beside `backward`: the same numbers."""
    for choice in ("reference", "numpy", "numba"):
        if choice == "numba" and find_spec("numba") is None:
            continue
        with kernels.use(choice):
            problem = _check_one_implementation(case)
        if problem:
            return f"{choice} kernels: {problem}"
    return None


def _check_one_implementation(case: Case) -> str | None:
    arrays = case.inputs()
    leaves = _leaves(arrays)
    y = _evaluate(case, leaves)
    problem = _differs("forward", y.array, _expected(case, arrays), 1e-11)
    if problem:
        return problem
    v = np.random.default_rng(3).standard_normal(y.shape)
    fast = grad(y, leaves, Tensor(v.astype(y.dtype)), retain_graph=True, materialize_grads=True)
    by_definition = grad(y, leaves, Tensor(v.astype(y.dtype)), create_graph=True, materialize_grads=True)
    single = [Tensor(array.astype(np.float32), requires_grad=True) for array in arrays]
    y_single = _evaluate(case, single)
    in_single = grad(y_single, single, Tensor(v.astype(y_single.dtype)), materialize_grads=True)
    for i, (a, b, c) in enumerate(zip(fast, by_definition, in_single, strict=True)):
        assert a is not None
        assert b is not None
        assert c is not None
        if a.dtype != np.float64 or c.dtype != np.float32:
            return f"the gradient of input {i} has dtype {a.dtype} for float64, {c.dtype} for float32"
        problem = _differs(f"backward_kernel, input {i}", a.array, b.array, 1e-10) or _differs(
            f"float32 gradient, input {i}", c.array, b.array, 1e-4
        )
        if problem:
            return problem
    return None


CHECKS: dict[str, Check] = {
    "forward": check_forward,
    "dtype kept": check_dtype,
    "untouched": check_untouched,
    "gradcheck": check_gradcheck,
    "gradgradcheck": check_gradgradcheck,
    "adjoint": check_adjoint,
    "kernels": check_kernels,
}


def applies(name: str, case: Case) -> bool:
    """Whether a check says anything about a case: the adjoint test is for linear ops."""
    return name != "adjoint" or bool(case.linear_in)


def problem_of(name: str, case: Case) -> str | None:
    """Run one check on one case; what it raises is a problem too."""
    manual_seed(0)
    try:
        return CHECKS[name](case)
    except (TinygradError, ValueError, TypeError, IndexError, AttributeError, AssertionError, ArithmeticError) as error:
        return f"{type(error).__name__}: {error}"


def find_problem(case: Case, names: Any = tuple(CHECKS)) -> str | None:
    """The first problem of a case, or None."""
    for name in names:
        if applies(name, case):
            problem = problem_of(name, case)
            if problem:
                return f"{name}: {problem}"
    return None
