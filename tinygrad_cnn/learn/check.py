"""`check`: a backward pass that a learner wrote in NumPy, graded; what is wrong is named.

How the name is found: the learner's gradients are compared, case by case, with those of the true backward pass and, where
they differ, with what every known mistake gives (see `exercise`). The mistake that agrees with the learner in all cases is
the one. If none does, every two together are tried; and if none of these does, where it goes wrong is said: only with a
stride, only where height and width differ ...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ..autograd.function import Array
from ..errors import ArgumentError
from .exercise import Arrays, Case, Exercise, Wrong, name_of
from .exercise_conv import CONV2D, CONV_TRANSPOSE2D
from .exercise_dense import BATCH_NORM, CROSS_ENTROPY, LINEAR, RELU, SIGMOID, SOFTMAX, TANH
from .exercise_pool import AVG_POOL2D, MAX_POOL2D

EXERCISES = {
    exercise.op: exercise
    for exercise in (
        CONV2D, CONV_TRANSPOSE2D, LINEAR, RELU, SIGMOID, TANH, MAX_POOL2D, AVG_POOL2D, BATCH_NORM, SOFTMAX, CROSS_ENTROPY,
    )
}  # fmt: skip

Result = Array | Exception | None


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """One thing that is wrong.

    Attributes
    ----------
    name : str
        The misconception; of two together, both, with "and" between.
    gradient : str
        In which of the gradients: "gx", "gweight" ...
    why : str
        Why it is wrong, in a sentence or two.
    case : Case
        The smallest case that shows it.
    expected : ndarray
        The right gradient in that case.
    got : ndarray, Exception or None
        What came instead.
    """

    name: str
    gradient: str
    why: str
    case: Case
    expected: Array
    got: Result

    def __str__(self) -> str:
        lines = [f"in {self.gradient}: {self.name}", f"  {self.why}", "  The smallest case that shows it:"]
        lines += [f"    {name} = {_shown(value)}" for name, value in self.case.settings.items()]
        lines += [_array(name, array) for name, array in self.case.inputs.items()]
        lines.append(_array(f"expected {self.gradient}", self.expected))
        lines.append(_array(f"got {self.gradient}", self.got) if isinstance(self.got, np.ndarray) else f"    got {self.got!r}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, eq=False)
class Grade:
    """What `check` found; printed, it says all of it.

    Attributes
    ----------
    op : str
    findings : tuple of Finding
        One for each gradient that is wrong; none if all is right.
    cases : int
        How many cases were tried.
    left_out : tuple of str
        Settings that the function does not take, so that no case used them.
    """

    op: str
    findings: tuple[Finding, ...]
    cases: int
    left_out: tuple[str, ...]

    @property
    def correct(self) -> bool:
        """Whether every gradient was right in every case."""
        return not self.findings

    @property
    def name(self) -> str:
        """``"correct"``, or the names of what is wrong, each once."""
        return " and ".join(dict.fromkeys(finding.name for finding in self.findings)) or "correct"

    def __repr__(self) -> str:
        text = f"{self.name} ({self.op}, {self.cases} cases)"
        if self.left_out:
            text += f"; not tried, since the function does not take it: {', '.join(self.left_out)}"
        return "\n\n".join([text, *map(str, self.findings)])


def check(my_backward: Callable[..., Any], op: str = "conv2d") -> Grade:
    """Grade a backward pass written in NumPy, and name what is misunderstood.

    Parameters
    ----------
    my_backward : callable
        Takes float64 arrays, returns the gradients in order. By `op`:

        ================  ======================================================  ====================
        conv2d            (gy, x, weight, *, stride, padding, dilation, groups)   (gx, gweight, gbias)
        conv_transpose2d  the same; weight is (in, out / groups, kh, kw)          (gx, gweight, gbias)
        linear            (gy, x, weight)                                         (gx, gweight, gbias)
        relu              (gy, x), and so are sigmoid and tanh                    gx
        max_pool2d        (gy, x, *, kernel_size, stride, padding)                gx
        avg_pool2d        the same; the padding counts in the mean                gx
        batch_norm        (gy, x, weight, *, eps), training, x (n, c, h, w)       (gx, gweight, gbias)
        softmax           (gy, x), over the last axis                             gx
        cross_entropy     (gy, x, target), the mean; gy is a number               gx
        ================  ======================================================  ====================

        Settings are pairs (height, width), groups an int. What the function does not take is not tried: a conv2d without
        `dilation` and `groups` is graded where these are 1.
    op : str
        One of the above.

    Returns
    -------
    Grade
        Print it. ``.correct`` and ``.name`` are for programs.

    Raises
    ------
    ArgumentError
        For another op, or something that cannot be called.

    Examples
    --------
    >>> from tinygrad_cnn import learn
    >>> def my_backward(gy, x):
    ...     return gy * (x >= 0)
    >>> learn.check(my_backward, op="relu")
    relu: >= at 0 (relu, 7 cases)
    <BLANKLINE>
    in gx: relu: >= at 0
      At 0 there is no slope; the convention, here as in PyTorch, is 0: x > 0.
      The smallest case that shows it:
        gy, shape (1, 1) =
          [[3]]
        x, shape (1, 1) =
          [[0]]
        expected gx, shape (1, 1) =
          [[0]]
        got gx, shape (1, 1) =
          [[3]]
    """
    exercise = _exercise(op)
    if not callable(my_backward):
        raise ArgumentError(f"check: needs a function my_backward{_signature(exercise)}; got {type(my_backward).__name__}")
    cases, left_out = _cases(exercise, my_backward)
    return Grade(op, tuple(_Grader(exercise, cases, my_backward).findings()), len(cases), left_out)


def template(op: str = "conv2d") -> None:
    """Print a backward pass to fill in, for `check`.

    Examples
    --------
    >>> from tinygrad_cnn import learn
    >>> learn.template("tanh")
    import numpy as np
    from tinygrad_cnn import learn
    <BLANKLINE>
    # forward: y = tanh(x)
    def my_backward(gy, x):
        # gy (2, 3), x (2, 3), for example
        gx = np.zeros_like(x)
        ...
        return gx
    <BLANKLINE>
    print(learn.check(my_backward, op="tanh"))
    """
    exercise = _exercise(op)
    example = exercise.cases()[-2 if op in ("relu", "sigmoid", "tanh") else -1]
    like = {"gx": "np.zeros_like(x)", "gweight": "np.zeros_like(weight)"}
    channels = {"conv_transpose2d": "weight.shape[1] * groups", "batch_norm": "len(weight)"}.get(op, "len(weight)")
    lines = ["import numpy as np", "from tinygrad_cnn import learn", "", f"# forward: {exercise.formula}"]
    lines.append(f"def my_backward{_signature(exercise)}:")
    lines.append(f"    # {', '.join(f'{name} {array.shape}' for name, array in example.inputs.items())}, for example")
    lines += [f"    {name} = {like.get(name, f'np.zeros({channels})')}" for name in exercise.returns]
    lines += ["    ...", f"    return {', '.join(exercise.returns)}", "", f'print(learn.check(my_backward, op="{op}"))']
    print("\n".join(lines))


def _exercise(op: str) -> Exercise:
    if op not in EXERCISES:
        raise ArgumentError(f"check: op must be one of {', '.join(EXERCISES)}; got {op!r}")
    return EXERCISES[op]


def _signature(exercise: Exercise) -> str:
    case = exercise.cases()[0]
    return f"({', '.join([*case.inputs, *(['*'] if case.settings else []), *case.settings])})"


def _cases(exercise: Exercise, my_backward: Callable[..., Any]) -> tuple[list[Case], tuple[str, ...]]:
    """The cases in order of size, without settings that the function does not take."""
    cases = sorted(exercise.cases(), key=lambda case: case.size)
    accepted = inspect.signature(my_backward).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
        return cases, ()
    usual = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    left_out = tuple(name for name in cases[0].settings if name not in accepted and name in usual)
    kept = [case for case in cases if all(case.settings[name] == usual[name] for name in left_out)]
    settings = [{name: value for name, value in case.settings.items() if name not in left_out} for case in kept]
    return [Case(case.inputs, taken) for case, taken in zip(kept, settings, strict=True)], left_out


class _Grader:
    """One learner's results beside the truth and the known mistakes."""

    def __init__(self, exercise: Exercise, cases: list[Case], my_backward: Callable[..., Any]) -> None:
        self.exercise, self.cases = exercise, cases
        self.full = [Case(case.inputs, _completed(exercise, case.settings)) for case in cases]
        self.known: dict[tuple[Wrong, int], Arrays | Exception] = {}
        self.modified: list[str] = []
        self.results = [self._run(my_backward, case) for case in cases]

    def _run(self, my_backward: Callable[..., Any], case: Case) -> list[Result]:
        """The learner's gradients, an exception in the place of each if it raised."""
        inputs = {name: array.copy() for name, array in case.inputs.items()}
        count = len(self.exercise.returns)
        try:
            given = my_backward(*inputs.values(), **case.settings)
            values = list(given) if isinstance(given, (tuple, list)) else [given]
            if len(values) != count:
                raise TypeError(f"returns {len(values)} gradients, not the {count} of ({', '.join(self.exercise.returns)})")
            results: list[Result] = [None if value is None else np.asarray(value) for value in values]
        except Exception as error:  # whatever a learner's code does wrong is to be reported
            results = [error] * count
        for name, array in inputs.items():
            if not np.array_equal(array, case.inputs[name]) and name not in self.modified:
                self.modified.append(name)
        return results

    def wrong(self, switches: Wrong, at: int) -> Arrays | Exception:
        """What the backward with these mistakes gives in one case."""
        key = (switches, at)
        if key not in self.known:
            case = self.full[at]
            try:
                self.known[key] = self.exercise.backward(switches, *case.inputs.values(), **case.settings)
            except (IndexError, ValueError) as error:  # as a learner's code would: an index out of range, shapes apart
                self.known[key] = error
        return self.known[key]

    def expected(self, k: int, at: int) -> Array:
        truth = self.wrong(frozenset(), at)
        assert not isinstance(truth, Exception)
        return truth[k]

    def agrees(self, switches: Wrong, k: int, among: Iterable[int]) -> bool:
        """Whether these mistakes give the learner's k-th gradient in all of some cases."""
        for at in among:
            value, got = self.wrong(switches, at), self.results[at][k]
            if isinstance(value, Exception) or isinstance(got, Exception):
                if isinstance(value, Exception) != isinstance(got, Exception):
                    return False
            elif not _same(got, value[k]):
                return False
        return True

    def findings(self) -> list[Finding]:
        """What is wrong, gradient by gradient; a mistake that explains all of them is preferred."""
        count = len(self.exercise.returns)
        everywhere = range(len(self.cases))
        bad = [k for k in range(count) if not self.agrees(frozenset(), k, everywhere)]
        findings = []
        for k in bad:
            matching = [switch for switch in self.exercise.switches if self.agrees(frozenset({switch}), k, everywhere)]
            calm = [at for at in everywhere if not isinstance(self.results[at][k], Exception)]
            if not matching and not self.agrees(frozenset(), k, calm):
                # Code that raises where another form of the same mistake runs on: compare where it does not raise.
                matching = [switch for switch in self.exercise.switches if self.agrees(frozenset({switch}), k, calm)]
            # Two mistakes can look alike in one gradient and differ in another.
            matching.sort(key=lambda switch: -sum(self.agrees(frozenset({switch}), other, everywhere) for other in bad))
            findings.append(self._finding(k, frozenset(matching[:1]) or self._pair(k)))
        if not findings:
            findings = list(self._careless())
        return findings

    def _pair(self, k: int) -> Wrong:
        """Two mistakes that together give the learner's gradient, or none."""
        everywhere = range(len(self.cases))
        telling = [s for s in self.exercise.switches if not self._harmless(s, k)]
        for pair in combinations(telling, 2):
            if name_of(pair[0]) != name_of(pair[1]) and self.agrees(frozenset(pair), k, everywhere):
                return frozenset(pair)
        return frozenset()

    def _harmless(self, switch: str, k: int) -> bool:
        """Whether a mistake leaves this gradient as it should be."""
        for at in range(len(self.cases)):
            value = self.wrong(frozenset({switch}), at)
            if isinstance(value, Exception) or not _same(value[k], self.expected(k, at)):
                return False
        return True

    def _finding(self, k: int, switches: Wrong) -> Finding:
        failing = [at for at in range(len(self.cases)) if not self.agrees(frozenset(), k, [at])]
        at = failing[0]
        if switches:
            names = [name_of(switch) for switch in self.exercise.switches if switch in switches]
            name, why = " and ".join(names), " ".join(self.exercise.whys[one] for one in names)
        else:
            name, why = self._unnamed(k, failing)
        return Finding(name, self.exercise.returns[k], why, self.cases[at], self.expected(k, at), self.results[at][k])

    def _unnamed(self, k: int, failing: list[int]) -> tuple[str, str]:
        """A name for what no known mistake explains, and where it shows."""
        got, expected = self.results[failing[0]][k], self.expected(k, failing[0])
        where = self._only_where(failing)
        if isinstance(got, Exception):
            if where == "height and width differ":
                return "height used for width", f"{self._why('height used for width')} It raises only where they differ."
            return f"raises {type(got).__name__}", f"{got}.{f' It happens only where {where}.' if where else ''}"
        if got is None:
            return "missing", "None was returned: this gradient is still to be written."
        if got.shape != expected.shape:
            return "wrong shape", f"A gradient has the shape of what it belongs to: {expected.shape}, not {got.shape}."
        if not np.isfinite(np.asarray(got, np.float64)).all():
            return "not finite", "There is a NaN or an infinity: a division by 0, or padding with -inf that stayed?"
        factor = self._factor(k)
        if factor == -1:
            return "sign wrong", "Everything is right but the sign."
        if factor is not None:
            return f"a factor of {factor:g} too much", f"Everything is right but for a constant factor {factor:g}."
        at = tuple(int(i) for i in np.argwhere(~np.isclose(got, expected, rtol=1e-6, atol=1e-8))[0])
        name = f"unknown, first difference at {self.exercise.returns[k]}[{', '.join(map(str, at))}]"
        said = f"Expected {expected[at]:g}, got {got[at]:g}."
        return name, f"{said} It is wrong only where {where}." if where else said

    def _why(self, name: str) -> str:
        return self.exercise.whys.get(name, "Height and width need not be equal.")

    def _factor(self, k: int) -> float | None:
        """The constant that the learner's gradient is too large by, in all cases, if there is one."""
        factors = []
        for at in range(len(self.cases)):
            got, expected = self.results[at][k], self.expected(k, at)
            if not isinstance(got, np.ndarray) or got.shape != expected.shape:
                return None
            scale = float((expected * expected).sum())
            if scale:
                factors.append(float((got * expected).sum()) / scale)
            if not _same(got, expected * factors[-1] if scale else expected):
                return None
        return factors[0] if factors and np.allclose(factors, factors[0]) else None

    def _only_where(self, failing: list[int]) -> str:
        """What the failing cases have in common and no other has."""
        features: dict[str, list[bool]] = {
            "there is a stride": [case.settings.get("stride", (1, 1)) != (1, 1) for case in self.full],
            "there is padding": [case.settings.get("padding", (0, 0)) != (0, 0) for case in self.full],
            "there is dilation": [case.settings.get("dilation", (1, 1)) != (1, 1) for case in self.full],
            "there are groups": [case.settings.get("groups", 1) != 1 for case in self.full],
            "the batch has several images": [len(case.inputs["x"]) > 1 for case in self.full],
            "there are several channels": [case.inputs["x"].shape[1] > 1 for case in self.full],
            "height and width differ": [_is_oblong(case) for case in self.full],
        }
        for name, has in features.items():
            if not all(has) and all(has[at] for at in failing):
                return name
        return ""

    def _careless(self) -> Iterable[Finding]:
        """What is wrong beside the values: inputs written to, another dtype."""
        first, got = self.cases[0], self.results[0][0]
        if self.modified:
            names = ", ".join(self.modified)
            why = f"{names} changed while the function ran: the caller still needs it. Write a = a * b, not a *= b."
            yield Finding("modified its inputs", self.exercise.returns[0], why, first, self.expected(0, 0), got)
        for k, name in enumerate(self.exercise.returns):
            got, expected = self.results[0][k], self.expected(k, 0)
            if isinstance(got, np.ndarray) and got.dtype != np.float64:
                why = f"The gradient of a float64 array is float64; this is {got.dtype}, which loses digits."
                yield Finding("wrong dtype", name, why, first, expected, got)


def _completed(exercise: Exercise, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with what a learner's function left out."""
    usual = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    return {name: settings.get(name, usual.get(name)) for name in exercise.cases()[0].settings}


def _is_oblong(case: Case) -> bool:
    """Whether anything along the width differs from the height."""
    pairs = [value for value in case.settings.values() if isinstance(value, tuple)]
    pairs += [array.shape[2:] for array in case.inputs.values() if array.ndim == 4]
    return any(pair[0] != pair[1] for pair in pairs)


def _same(a: Result, b: Result) -> bool:
    """Whether two arrays are equal but for rounding; an FFT rounds, whole numbers or not."""
    if not isinstance(a, np.ndarray) or not isinstance(b, np.ndarray) or a.shape != b.shape:
        return False
    try:
        return bool(np.allclose(a, b, rtol=1e-5, atol=1e-6))
    except TypeError:  # an array of objects
        return False


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _array(name: str, array: Array) -> str:
    """An array as it is read, whole numbers without a point."""
    rounded = np.round(np.asarray(array, np.float64), 4) + 0.0
    whole = bool(np.all(rounded == np.round(rounded)))
    text = np.array2string(rounded.astype(int) if whole else rounded, separator=", ", prefix="      ", threshold=400)
    return f"    {name}, shape {np.shape(array)} =\n      {text}"
