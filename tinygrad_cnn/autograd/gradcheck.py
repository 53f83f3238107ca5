"""Is a gradient right? Compare it with finite differences.

For a function f of inputs x, the engine's Jacobian (one backward pass for each output element) is held against the
central difference

    (f(x + eps e_i) - f(x - eps e_i)) / (2 eps)

for every input element i: an error of order eps^2 in exact arithmetic, and about 1e-16 / eps from rounding, which is why
float64 and eps = 1e-6 go together, and why a float32 input gets a warning.

A finite difference says nothing where f has a kink between the points that it looks at (a ReLU at 0, a tie in max
pooling). The two one-sided differences show it: where f is smooth they differ by eps f'', in proportion to eps; across a
kink they differ by the jump of the slope, however small eps is.
"""

import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, GradcheckError
from ..random import frozen, get_rng_state
from ..tensor import Array, Tensor
from .functional import grad
from .mode import enable_grad

Outputs = tuple[Tensor, ...]

# Jacobians of more entries than this are looked at along random directions.
_LARGE_JACOBIAN = 4_000_000
_DIRECTIONS = 5


@dataclass(frozen=True)
class _Settings:
    eps: float
    atol: float
    rtol: float
    kinks: str


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Tensor],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    fast_mode: bool = False,
    kinks: str = "raise",
    freeze_rng: bool = True,
) -> bool:
    """Check the gradients of a function against central differences.

    Parameters
    ----------
    func : callable
        Takes the inputs, returns a tensor or a tuple of tensors.
    inputs : Tensor or sequence of Tensor
        Those with ``requires_grad`` are checked; float64, or a warning says that rounding may hide the truth. Their
        values are changed during the check and put back.
    eps : float
        The step of the finite difference.
    atol, rtol : float
        A gradient passes where ``|got - expected| <= atol + rtol * |expected|``.
    raise_exception : bool
        Raise on failure; otherwise return False.
    fast_mode : bool
        Compare along a few random directions rather than entry by entry. Jacobians of more than 4 million entries are
        always done so, with a warning.
    kinks : {"raise", "skip"}
        What to do with an entry whose finite difference straddles a kink: fail and say so, or leave it out.
    freeze_rng : bool
        Give every evaluation the same random draws (dropout).

    Returns
    -------
    bool
        True if all gradients pass.

    Raises
    ------
    GradcheckError
        Naming the function, the input, the index, what was got and what was expected.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.randn(2, 3, dtype=tg.float64, requires_grad=True)
    >>> tg.autograd.gradcheck(tg.sigmoid, x)
    True
    """
    xs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if kinks not in ("raise", "skip"):
        raise ArgumentError(f"gradcheck: kinks must be 'raise' or 'skip', got {kinks!r}")
    checked = _check_inputs(_name(func), xs)
    state = get_rng_state()

    def evaluate() -> Outputs:
        with enable_grad():
            if not freeze_rng:
                return _as_outputs(func, func(*xs))
            with frozen(state):
                return _as_outputs(func, func(*xs))

    try:
        check = _Check(_name(func), evaluate, xs, checked, _Settings(eps, atol, rtol, kinks))
        check.run(fast_mode)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    fast_mode: bool = False,
) -> bool:
    """Check the gradients of a function's gradients, with respect to its inputs and to the cotangents.

    Parameters
    ----------
    func, inputs, eps, atol, rtol, raise_exception, fast_mode
        As for `gradcheck`.
    grad_outputs : Tensor or sequence of Tensor, optional
        The cotangents to start with, one for each output. Drawn at random by default: with ones, errors hide (the
        gradient of a softmax's sum is zero whatever its rule says).

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.randn(2, 3, dtype=tg.float64, requires_grad=True)
    >>> tg.autograd.gradgradcheck(tg.tanh, x)
    True
    """
    xs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    wanted = [x for x in xs if x.requires_grad]
    state = get_rng_state()
    with frozen(state), enable_grad():
        outputs = [y for y in _as_outputs(func, func(*xs)) if y.requires_grad]
    if grad_outputs is None:
        generator = np.random.default_rng(0)
        cotangents = [Tensor(generator.standard_normal(y.shape).astype(y.dtype)) for y in outputs]
    else:
        given = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
        cotangents = [Tensor(gradient.array.copy()) for gradient in given]
    for cotangent in cotangents:
        cotangent.requires_grad = True

    def gradients(*arguments: Tensor) -> tuple[Tensor, ...]:
        ys = [y for y in _as_outputs(func, func(*arguments[: len(xs)])) if y.requires_grad]
        found = grad(ys, wanted, arguments[len(xs) :], create_graph=True, materialize_grads=True)
        return tuple(gradient for gradient in found if gradient is not None)

    gradients.__name__ = f"the gradient of {_name(func)}"
    return gradcheck(
        gradients, (*xs, *cotangents), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, fast_mode=fast_mode
    )


class _Check:
    """One function at one point: what was asked, and the comparisons."""

    def __init__(
        self, name: str, evaluate: Callable[[], Outputs], xs: tuple[Tensor, ...], checked: list[int], settings: _Settings
    ) -> None:
        self.name = name
        self.evaluate = evaluate
        self.xs = xs
        self.checked = checked
        self.settings = settings

    def run(self, fast_mode: bool) -> None:
        outputs = self.evaluate()
        again = self.evaluate()
        for j, (y, z) in enumerate(zip(outputs, again, strict=True)):
            if not np.array_equal(y.array, z.array, equal_nan=True):
                raise GradcheckError(
                    f"gradcheck of {self.name}: output {j} differs between two calls with the same inputs, so no finite "
                    "difference is possible; if it draws random numbers, draw them from tinygrad_cnn's generator and leave "
                    "freeze_rng=True"
                )
        entries = sum(y.numel() for y in outputs) * sum(self.xs[i].numel() for i in self.checked)
        if entries > _LARGE_JACOBIAN and not fast_mode:
            fast_mode = True
            warnings.warn(
                f"gradcheck of {self.name}: the Jacobian has {entries} entries; it is checked along {_DIRECTIONS} random "
                "directions (fast_mode=True)",
                stacklevel=4,
            )
        if fast_mode:
            self._along_directions(outputs)
        else:
            self._entry_by_entry(outputs)

    # Entry by entry ---------------------------------------------------------------------------------------------------

    def _entry_by_entry(self, outputs: Outputs) -> None:
        expected, kinked = self._numerical(outputs)
        for j, y in enumerate(outputs):
            got = self._analytical(y)
            for i in self.checked:
                self._compare(i, j, y.shape, got[i], expected[i][j], kinked[i][j])

    def _analytical(self, y: Tensor) -> dict[int, Array]:
        """For each input, its Jacobian, shape (elements of y, elements of the input): one backward pass a row."""
        rows = {i: np.zeros((y.numel(), self.xs[i].numel()), self.xs[i].dtype) for i in self.checked}
        if not y.requires_grad:
            return rows
        for row in range(y.numel()):
            cotangent = np.zeros(y.shape, y.dtype)
            cotangent.flat[row] = 1
            for i, gradient in self._gradients(y, cotangent).items():
                rows[i][row] = gradient.reshape(-1)
        return rows

    def _gradients(self, y: Tensor, cotangent: Array) -> dict[int, Array]:
        """One backward pass; None counts as zero, and the dtype must be the input's."""
        wanted = [self.xs[i] for i in self.checked]
        found = grad(y, wanted, Tensor(cotangent), retain_graph=True, allow_unused=True)
        result = {}
        for i, x, gradient in zip(self.checked, wanted, found, strict=True):
            if gradient is not None and (gradient.shape, gradient.dtype) != (x.shape, x.dtype):
                raise GradcheckError(
                    f"gradcheck of {self.name}: the gradient of input {i} is {gradient.dtype} of shape {gradient.shape}, "
                    f"expected {x.dtype} of shape {x.shape}"
                )
            result[i] = np.zeros(x.shape, x.dtype) if gradient is None else gradient.array
        return result

    def _numerical(self, outputs: Outputs) -> tuple[dict[int, list[Array]], dict[int, list[Array]]]:
        """For each input and output: the Jacobian by central differences, and where a kink lies between the points."""
        base = [y.array.astype(np.float64) for y in outputs]
        jacobians: dict[int, list[Array]] = {}
        kinked: dict[int, list[Array]] = {}
        for i in self.checked:
            n = self.xs[i].numel()
            jacobians[i] = [np.zeros((y.size, n)) for y in base]
            kinked[i] = [np.zeros((y.size, n), bool) for y in base]
            for column, index in enumerate(_indices(self.xs[i])):
                slopes = self._slopes({i: _unit(self.xs[i], index)}, base)
                for j, (slope, kink) in enumerate(slopes):
                    jacobians[i][j][:, column] = slope.reshape(-1)
                    kinked[i][j][:, column] = kink.reshape(-1)
        return jacobians, kinked

    def _slopes(self, direction: dict[int, Array], base: list[Array]) -> list[tuple[Array, Array]]:
        """For each output, its central difference along a direction, and where the slope jumps."""
        eps = self.settings.eps
        slopes, jumps = self._slope_and_jump(direction, base, eps)
        # Smooth functions jump by eps f''; what is small beside the slope and the tolerance is no kink worth the name.
        suspects = [
            jump > 10 * (self.settings.atol + self.settings.rtol * np.abs(slope))
            for jump, slope in zip(jumps, slopes, strict=True)
        ]
        if any(suspect.any() for suspect in suspects):
            kinks = [np.zeros(suspect.shape, bool) for suspect in suspects]
            # A kink beside the point can keep the proportion at one smaller step by accident, but not at two.
            for share in (1 / 2, 1 / 8):
                _, smaller = self._slope_and_jump(direction, base, share * eps)
                for kink, jump, small, y in zip(kinks, jumps, smaller, base, strict=True):
                    rounding = 16 * np.finfo(np.float64).eps * np.abs(y) / (share * eps)
                    kink |= np.abs(small - share * jump) > share * jump / 4 + rounding
            suspects = [suspect & kink for suspect, kink in zip(suspects, kinks, strict=True)]
        return list(zip(slopes, suspects, strict=True))

    def _slope_and_jump(self, direction: dict[int, Array], base: list[Array], eps: float) -> tuple[list[Array], list[Array]]:
        """For each output, the central difference, and how much the one-sided differences differ."""
        above, below = self._at(direction, eps), self._at(direction, -eps)
        slopes = [(up - down) / (2 * eps) for up, down in zip(above, below, strict=True)]
        jumps = [np.abs(up - 2 * y + down) / eps for up, down, y in zip(above, below, base, strict=True)]
        return slopes, jumps

    def _at(self, direction: dict[int, Array], step: float) -> list[Array]:
        """The outputs with the inputs moved along a direction; the inputs are put back."""
        kept = {i: self.xs[i].array.copy() for i in direction}
        try:
            for i, along in direction.items():
                self.xs[i].array[...] = kept[i] + step * along
            return [y.array.astype(np.float64) for y in self.evaluate()]
        finally:
            for i, values in kept.items():
                self.xs[i].array[...] = values

    def _compare(self, i: int, j: int, y_shape: tuple[int, ...], got: Array, expected: Array, kinked: Array) -> None:
        if kinked.any() and self.settings.kinks == "raise":
            row, column = np.argwhere(kinked)[0]
            raise GradcheckError(
                f"gradcheck of {self.name}: output {j} at {_index(row, y_shape)} has a kink within eps = "
                f"{self.settings.eps} of input {i} at {_index(column, self.xs[i].shape)} (value "
                f"{float(self.xs[i].array.reshape(-1)[column])!r}): the slopes on its two sides differ, so a finite difference "
                "says nothing there; move the input away from the kink, or pass kinks='skip'"
            )
        with np.errstate(invalid="ignore"):
            wrong = ~(np.abs(got - expected) <= self.settings.atol + self.settings.rtol * np.abs(expected))
        wrong &= ~kinked
        if not wrong.any():
            return
        with np.errstate(invalid="ignore"):
            error = np.where(wrong, np.nan_to_num(np.abs(got - expected), nan=np.inf), -1)
        row, column = np.unravel_index(int(np.argmax(error)), error.shape)
        raise GradcheckError(
            f"gradcheck of {self.name}: wrong gradient of output {j} at {_index(row, y_shape)} with respect to input {i} "
            f"(shape {self.xs[i].shape}) at {_index(column, self.xs[i].shape)}: got {float(got[row, column]):.10g}, expected "
            f"{float(expected[row, column]):.10g}; the worst of {int(wrong.sum())} wrong entries out of {wrong.size}"
        )

    # Along random directions --------------------------------------------------------------------------------------------

    def _along_directions(self, outputs: Outputs) -> None:
        """Compare v' J u for random cotangents v and random unit directions u, one input at a time."""
        generator = np.random.default_rng(0)
        base = [y.array.astype(np.float64) for y in outputs]
        for _, i in itertools.product(range(_DIRECTIONS), self.checked):
            u = generator.standard_normal(self.xs[i].shape)
            u /= max(float(np.linalg.norm(u.reshape(-1))), 1e-300)
            for j, (slope, kink) in enumerate(self._slopes({i: u}, base)):
                if not outputs[j].requires_grad and not slope.any():
                    continue
                v = generator.standard_normal(slope.shape)
                if self.settings.kinks == "skip":
                    v[kink] = 0
                self._compare_direction(i, j, outputs[j], u, slope, kink, v)

    def _compare_direction(self, i: int, j: int, y: Tensor, u: Array, slope: Array, kink: Array, v: Array) -> None:
        if kink.any() and self.settings.kinks == "raise":
            raise GradcheckError(
                f"gradcheck of {self.name}: output {j} at {tuple(int(k) for k in np.argwhere(kink)[0])} has a kink within "
                f"eps = {self.settings.eps} along a random direction of input {i}; move the input away from the kink, or "
                "pass kinks='skip'"
            )
        gradient = self._gradients(y, v.astype(y.dtype))[i] if y.requires_grad else np.zeros(u.shape)
        got, expected = float((gradient * u).sum()), float((v * slope).sum())
        scale = float((np.abs(v) * np.abs(slope)).sum())
        if not abs(got - expected) <= self.settings.atol + self.settings.rtol * max(abs(expected), 1e-3 * scale):
            raise GradcheckError(
                f"gradcheck of {self.name}: wrong gradient of output {j} with respect to input {i} (shape "
                f"{self.xs[i].shape}) along a random direction: got {got:.10g}, expected {expected:.10g}; use "
                "fast_mode=False on smaller inputs to see the index"
            )


def _check_inputs(name: str, xs: tuple[Tensor, ...]) -> list[int]:
    """Which inputs are checked; warns about float32 and refuses what cannot be perturbed element by element."""
    checked = []
    for i, x in enumerate(xs):
        if not isinstance(x, Tensor):
            raise DTypeError(f"gradcheck of {name}: input {i} is a {type(x).__name__}; pass tensors, and close over the rest")
        if not x.requires_grad:
            continue
        checked.append(i)
        if x.dtype.itemsize < 8:
            warnings.warn(
                f"gradcheck of {name}: input {i} is {x.dtype}; finite differences need float64, rounding alone can make this "
                "fail (use .double())",
                stacklevel=3,
            )
        if not x.array.flags.writeable or any(
            stride == 0 and size > 1 and x.numel() for stride, size in zip(x.array.strides, x.shape, strict=True)
        ):
            raise ArgumentError(
                f"gradcheck of {name}: input {i} (shape {x.shape}) is expanded or read-only, so its elements cannot be moved "
                "one by one; pass x.clone().detach().requires_grad_()"
            )
    if not checked:
        raise ArgumentError(f"gradcheck of {name}: no input has requires_grad=True, so there is nothing to check")
    return checked


def _as_outputs(func: Callable[..., Any], returned: Any) -> Outputs:
    outputs = (returned,) if isinstance(returned, Tensor) else tuple(returned)
    for y in outputs:
        if not isinstance(y, Tensor):
            raise DTypeError(f"gradcheck of {_name(func)}: it returned a {type(y).__name__}; a tensor or a tuple is expected")
    return tuple(y for y in outputs if y.is_floating_point())


def _name(func: Callable[..., Any]) -> str:
    """What a reader calls it; of an op's `apply`, the op."""
    op = getattr(func, "__self__", None)
    return op.__name__ if isinstance(op, type) else str(getattr(func, "__name__", type(func).__name__))


def _indices(x: Tensor) -> Iterator[tuple[int, ...]]:
    return iter(np.ndindex(*x.shape))


def _unit(x: Tensor, index: tuple[int, ...]) -> Array:
    direction = np.zeros(x.shape, x.dtype)
    direction[index] = 1
    return direction


def _index(flat: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A flat position as a tuple of plain integers."""
    return tuple(int(k) for k in np.unravel_index(int(flat), shape)) if math.prod(shape) and shape else ()
