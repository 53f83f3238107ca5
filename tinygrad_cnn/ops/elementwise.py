"""Arithmetic and elementary functions, element by element.

Two inputs of different shapes are broadcast as in NumPy. The transpose of "copy along an axis" is "sum along it", so
the gradient of a broadcast input is summed back to its shape (`sum_to`).

Arithmetic keeps the dtype of its inputs; functions such as exp turn integers into the default dtype.
"""

import math
from typing import Any

import numpy as np

from .. import kernels
from ..autograd.function import Array, Function
from ..errors import ArgumentError, DTypeError, TinygradError
from ..kernels import numpy_reduce
from ..tensor import Tensor, TensorLike
from ._arguments import as_float, as_tensor, broadcast_shape, operands
from .reduce import sum_to


class Add(Function):
    """Sum of two tensors, y = a + b.

    Gradient
        ga = gy, gb = gy
    Saves
        nothing
    """

    def forward(self, a: Array, b: Array) -> Array:
        return kernels.add(a, b)

    def backward(self, gy: Tensor) -> Any:
        return tuple(sum_to(gy, shape) for shape in self.input_shapes)

    def backward_kernel(self, gy: Array) -> Any:
        return tuple(numpy_reduce.sum_to(gy, shape) for shape in self.input_shapes)


class Sub(Function):
    """Difference of two tensors, y = a - b.

    Gradient
        ga = gy, gb = -gy
    Saves
        nothing
    """

    def forward(self, a: Array, b: Array) -> Array:
        return a - b

    def backward(self, gy: Tensor) -> Any:
        a_shape, b_shape = self.input_shapes
        ga = sum_to(gy, a_shape) if self.needs_input_grad[0] else None
        gb = -sum_to(gy, b_shape) if self.needs_input_grad[1] else None
        return ga, gb


class Mul(Function):
    """Product of two tensors, y = a * b.

    Gradient
        ga = gy * b, gb = gy * a
    Saves
        a where b needs a gradient, b where a does
    """

    def forward(self, a: Array, b: Array) -> Array:
        self.save_for_backward(a if self.needs_input_grad[1] else None, b if self.needs_input_grad[0] else None)
        return a * b

    def backward(self, gy: Tensor) -> Any:
        a, b = self.saved
        ga = sum_to(gy * b, self.input_shapes[0]) if self.needs_input_grad[0] else None
        gb = sum_to(gy * a, self.input_shapes[1]) if self.needs_input_grad[1] else None
        return ga, gb

    def backward_kernel(self, gy: Array) -> Any:
        a, b = self.saved_arrays
        ga = numpy_reduce.sum_to(gy * b, self.input_shapes[0]) if self.needs_input_grad[0] else None
        gb = numpy_reduce.sum_to(gy * a, self.input_shapes[1]) if self.needs_input_grad[1] else None
        return ga, gb


class Div(Function):
    """Quotient of two tensors, y = a / b.

    Gradient
        ga = gy / b, gb = -gy * (a / b) / b
    Saves
        b, and a where b needs a gradient
    """

    def forward(self, a: Array, b: Array) -> Array:
        self.save_for_backward(a if self.needs_input_grad[1] else None, b)
        with np.errstate(all="ignore"):
            return a / b

    def backward(self, gy: Tensor) -> Any:
        a, b = self.saved
        ga = sum_to(gy / b, self.input_shapes[0]) if self.needs_input_grad[0] else None
        gb = sum_to(-gy * (a / b) / b, self.input_shapes[1]) if self.needs_input_grad[1] else None
        return ga, gb


class Neg(Function):
    """Negative, y = -x.

    Gradient
        gx = -gy
    Saves
        nothing
    """

    def forward(self, x: Array) -> Array:
        return -x

    def backward(self, gy: Tensor) -> Any:
        return -gy


class Power(Function):
    """A number as exponent, y = x ** exponent.

    Gradient
        gx = gy * exponent * x ** (exponent - 1), and 0 for exponent 0
    Saves
        x
    """

    exponent: float

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        with np.errstate(all="ignore"):
            return x**self.exponent

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        if self.exponent == 0:
            return gy.masked_fill(True, 0)
        return gy * (self.exponent * x ** (self.exponent - 1))


class Pow(Function):
    """A tensor as exponent, y = a ** b.

    Gradient
        ga = gy * b * a ** (b - 1), gb = gy * y * log(a); at a = 0 the second is 0 for b >= 0 (its limit, for b > 0), and
        the first for b = 0
    Saves
        a, b, and y where b needs a gradient
    """

    def forward(self, a: Array, b: Array) -> Array:
        with np.errstate(all="ignore"):
            y = np.asarray(a**b)
        self.save_for_backward(a, b)
        if self.needs_input_grad[1]:
            self.save_output(y)
        return y

    def backward(self, gy: Tensor) -> Any:
        a, b, *y = self.saved
        ga = gb = None
        if self.needs_input_grad[0]:
            base = where((a == 0) & (b == 0), 1.0, a)
            ga = sum_to(gy * b * base ** (b - 1), self.input_shapes[0])
        if self.needs_input_grad[1]:
            gb = sum_to(gy * y[0] * log(where((a == 0) & (b >= 0), 1.0, a)), self.input_shapes[1])
        return ga, gb


class Exp(Function):
    """Exponential, y = base^x; base is e or 2.

    Gradient
        gx = gy * y * ln base
    Saves
        y
    """

    base: float = math.e

    def forward(self, x: Array) -> Array:
        with np.errstate(over="ignore"):
            y = np.exp2(x) if self.base == 2 else np.exp(x)
        self.save_output(y)
        return y

    def backward(self, gy: Tensor) -> Any:
        (y,) = self.saved
        return gy * y if self.base == math.e else gy * y * math.log(self.base)


class Expm1(Function):
    """Exponential minus one without cancellation near 0, y = e^x - 1.

    Gradient
        gx = gy * (y + 1)
    Saves
        y
    """

    def forward(self, x: Array) -> Array:
        with np.errstate(over="ignore"):
            y = np.expm1(x)
        self.save_output(y)
        return y

    def backward(self, gy: Tensor) -> Any:
        (y,) = self.saved
        return gy * (y + 1)


class Log(Function):
    """Logarithm to base e, 2 or 10; -inf at 0, NaN below.

    Gradient
        gx = gy / (x * ln base)
    Saves
        x
    """

    base: float = math.e

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.base == math.e:
                return np.log(x)
            return np.log2(x) if self.base == 2 else np.log10(x)

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        return gy / x if self.base == math.e else gy / (x * math.log(self.base))


class Log1p(Function):
    """Logarithm of 1 + x without cancellation near 0, y = ln(1 + x).

    Gradient
        gx = gy / (1 + x)
    Saves
        x
    """

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log1p(x)

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        return gy / (1 + x)


class Sqrt(Function):
    """Square root; NaN below 0, an infinite gradient at 0.

    Gradient
        gx = gy / (2 * y)
    Saves
        y
    """

    def forward(self, x: Array) -> Array:
        with np.errstate(invalid="ignore"):
            y = np.sqrt(x)
        self.save_output(y)
        return y

    def backward(self, gy: Tensor) -> Any:
        (y,) = self.saved
        return gy / (2 * y)


class Sin(Function):
    """Sine of an angle in radians.

    Gradient
        gx = gy * cos(x)
    Saves
        x
    """

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        return np.sin(x)

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        return gy * cos(x)


class Cos(Function):
    """Cosine of an angle in radians.

    Gradient
        gx = -gy * sin(x)
    Saves
        x
    """

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        return np.cos(x)

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        return -gy * sin(x)


class Tan(Function):
    """Tangent of an angle in radians.

    Gradient
        gx = gy * (1 + y * y)
    Saves
        y
    """

    def forward(self, x: Array) -> Array:
        y = np.tan(x)
        self.save_output(y)
        return y

    def backward(self, gy: Tensor) -> Any:
        (y,) = self.saved
        return gy * (1 + y * y)


class Sinh(Function):
    """Hyperbolic sine.

    Gradient
        gx = gy * cosh(x)
    Saves
        x
    """

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        return np.sinh(x)

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        return gy * cosh(x)


class Cosh(Function):
    """Hyperbolic cosine.

    Gradient
        gx = gy * sinh(x)
    Saves
        x
    """

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        return np.cosh(x)

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        return gy * sinh(x)


class Abs(Function):
    """Absolute value.

    Gradient
        gx = gy * sign(x), so 0 at the kink x = 0
    Saves
        sign(x)
    """

    def forward(self, x: Array) -> Array:
        self.save_for_backward(np.sign(x))
        return np.abs(x)

    def backward(self, gy: Tensor) -> Any:
        (sign_of_x,) = self.saved
        return gy * sign_of_x


class Maximum(Function):
    """The larger of two tensors, element by element; NaN where either is NaN.

    Gradient
        gy to the larger input; at a tie, half of it to each
    Saves
        share_a: 1 where a is larger, 1/2 at a tie, 0 where b is
    """

    def forward(self, a: Array, b: Array) -> Array:
        self.save_for_backward(_share_of_first(a > b, a == b, np.result_type(a, b)))
        return np.maximum(a, b)

    def backward(self, gy: Tensor) -> Any:
        (share_a,) = self.saved
        return _shared_out(gy, share_a, self.input_shapes[0]), _shared_out(gy, 1 - share_a, self.input_shapes[1])


class Minimum(Function):
    """The smaller of two tensors, element by element; NaN where either is NaN.

    Gradient
        gy to the smaller input; at a tie, half of it to each
    Saves
        share_a: 1 where a is smaller, 1/2 at a tie, 0 where b is
    """

    def forward(self, a: Array, b: Array) -> Array:
        self.save_for_backward(_share_of_first(a < b, a == b, np.result_type(a, b)))
        return np.minimum(a, b)

    def backward(self, gy: Tensor) -> Any:
        (share_a,) = self.saved
        return _shared_out(gy, share_a, self.input_shapes[0]), _shared_out(gy, 1 - share_a, self.input_shapes[1])


class Clamp(Function):
    """Limit to [low, high], y = min(max(x, low), high); either may be None.

    Gradient
        gx = gy where low <= x <= high (the ends included), else 0
    Saves
        the mask low <= x <= high
    """

    low: float | None
    high: float | None

    def forward(self, x: Array) -> Array:
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        self.save_for_backward((low <= x) & (x <= high))
        y = x if self.low is None else np.maximum(x, x.dtype.type(self.low))
        return y if self.high is None else np.minimum(y, x.dtype.type(self.high))

    def backward(self, gy: Tensor) -> Any:
        (inside,) = self.saved
        return where(inside, gy, 0.0)


class Where(Function):
    """Choose element by element, y = a where the condition holds, else b.

    Gradient
        ga = gy where the condition holds, else 0; gb the rest; none for the condition
    Saves
        the condition
    """

    def forward(self, condition: Array, a: Array, b: Array) -> Array:
        self.save_for_backward(condition)
        return np.where(condition, a, b)

    def backward(self, gy: Tensor) -> Any:
        (condition,) = self.saved
        _, a_shape, b_shape = self.input_shapes
        ga = sum_to(where(condition, gy, 0.0), a_shape) if self.needs_input_grad[1] else None
        gb = sum_to(where(condition, 0.0, gy), b_shape) if self.needs_input_grad[2] else None
        return None, ga, gb


class Remainder(Function):
    """Remainder of a floored division, y = a - b * floor(a / b), with the sign of b.

    Gradient
        ga = gy, gb = -gy * floor(a / b)
    Saves
        floor(a / b)
    """

    def forward(self, a: Array, b: Array) -> Array:
        with np.errstate(all="ignore"):
            self.save_for_backward(np.floor_divide(a, b))
            return np.remainder(a, b)

    def backward(self, gy: Tensor) -> Any:
        (quotient,) = self.saved
        return sum_to(gy, self.input_shapes[0]), sum_to(-gy * quotient, self.input_shapes[1])


class PiecewiseConstant(Function):
    """Rounding and its kin (``function`` names which): flat between its jumps.

    Gradient
        gx = 0
    Saves
        nothing
    """

    function: np.ufunc

    def forward(self, x: Array) -> Array:
        return np.asarray(self.function(x))

    def backward(self, gy: Tensor) -> Any:
        return gy.masked_fill(True, 0)


class Cast(Function):
    """Another dtype, the same values.

    Gradient
        gx = gy, in the dtype of x
    Saves
        nothing
    """

    to_dtype: np.dtype[Any]

    def forward(self, x: Array) -> Array:
        return x.astype(self.to_dtype)

    def backward(self, gy: Tensor) -> Any:
        return gy.to(self.input_dtypes[0])


class Clone(Function):
    """A copy with its own storage.

    Gradient
        gx = gy
    Saves
        nothing
    """

    def forward(self, x: Array) -> Array:
        return x.copy()

    def backward(self, gy: Tensor) -> Any:
        return gy


def _share_of_first(wins: Array, ties: Array, dtype: Any) -> Array:
    return np.where(ties, 0.5, wins).astype(dtype)


def _shared_out(gy: Tensor, share: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The share of gy, and 0 where there is none even of an infinite gy."""
    return sum_to(where(share == 0, 0.0, gy * share), shape)


# The functions that users call ----------------------------------------------------------------------------------------


def _binary(op: type[Function], name: str, a: TensorLike, b: TensorLike) -> Tensor:
    x, y = operands(a, b)
    try:
        return op()(x, y)
    except TinygradError:
        raise
    except (TypeError, ValueError) as error:
        broadcast_shape(name, x, y)
        raise DTypeError(f"{name} of {x.dtype} and {y.dtype}: {error}") from None


def add(input: TensorLike, other: TensorLike, *, alpha: float = 1) -> Tensor:
    """``input + alpha * other``, broadcast.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.add(tg.tensor([1.0, 2.0]), 10)
    tensor([11., 12.])
    """
    return _binary(Add, "add", input, other if alpha == 1 else other * alpha)


def sub(input: TensorLike, other: TensorLike, *, alpha: float = 1) -> Tensor:
    """``input - alpha * other``, broadcast."""
    return _binary(Sub, "sub", input, other if alpha == 1 else other * alpha)


def mul(input: TensorLike, other: TensorLike) -> Tensor:
    """``input * other``, broadcast."""
    return _binary(Mul, "mul", input, other)


def div(input: TensorLike, other: TensorLike) -> Tensor:
    """``input / other``, broadcast; integers are divided as floats."""
    # A number beside an integer tensor need not fit its dtype: uint8 / -1.
    a, b = operands(as_float(input) if isinstance(other, int) else input, as_float(other) if isinstance(input, int) else other)
    return _binary(Div, "div", as_float(a), as_float(b))


def neg(input: TensorLike) -> Tensor:
    """``-input``."""
    x = as_tensor(input)
    if x.array.dtype.kind == "b":
        raise DTypeError("neg of a bool tensor: use ~ to invert a mask, or .long() first for the number -1")
    return Neg.apply(x)


def pow(input: TensorLike, exponent: TensorLike) -> Tensor:
    """``input ** exponent``; either may be a number.

    An integer tensor to a negative number becomes a float (PyTorch refuses it).

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.pow(tg.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    if isinstance(exponent, np.generic):
        exponent = exponent.item()  # a NumPy float64 would make float64 of a float32 tensor
    if isinstance(exponent, (int, float)) and not isinstance(exponent, bool):
        x = _counted(as_tensor(input))
        if x.array.dtype.kind != "f" and (isinstance(exponent, float) or exponent < 0):
            x = as_float(x)
        return Power.apply(x, exponent=exponent)
    base, exponent = operands(input, exponent)
    return _binary(Pow, "pow", _counted(base), _counted(exponent))


def _counted(x: Tensor) -> Tensor:
    """Booleans as 0 and 1: NumPy computes with them in int8."""
    return x.to(np.int64) if x.array.dtype.kind == "b" else x


def square(input: TensorLike) -> Tensor:
    """``input ** 2``."""
    return pow(input, 2)


def reciprocal(input: TensorLike) -> Tensor:
    """``1 / input``."""
    return pow(as_float(input), -1)


def rsqrt(input: TensorLike) -> Tensor:
    """``1 / sqrt(input)``."""
    return reciprocal(sqrt(input))


def exp(input: TensorLike) -> Tensor:
    """e to the power of each element.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.exp(tg.tensor([0.0, 1.0]))
    tensor([1.    , 2.7183])
    """
    return Exp.apply(as_float(input))


def exp2(input: TensorLike) -> Tensor:
    """2 to the power of each element; exact for integers."""
    return Exp.apply(as_float(input), base=2)


def expm1(input: TensorLike) -> Tensor:
    """``exp(input) - 1``, accurate near 0."""
    return Expm1.apply(as_float(input))


def log(input: TensorLike) -> Tensor:
    """Natural logarithm."""
    return Log.apply(as_float(input))


def log2(input: TensorLike) -> Tensor:
    """Logarithm to base 2; exact for powers of 2."""
    return Log.apply(as_float(input), base=2)


def log10(input: TensorLike) -> Tensor:
    """Logarithm to base 10."""
    return Log.apply(as_float(input), base=10)


def log1p(input: TensorLike) -> Tensor:
    """``log(1 + input)``, accurate near 0."""
    return Log1p.apply(as_float(input))


def sqrt(input: TensorLike) -> Tensor:
    """Square root."""
    return Sqrt.apply(as_float(input))


def sin(input: TensorLike) -> Tensor:
    """Sine, of radians."""
    return Sin.apply(as_float(input))


def cos(input: TensorLike) -> Tensor:
    """Cosine, of radians."""
    return Cos.apply(as_float(input))


def tan(input: TensorLike) -> Tensor:
    """Tangent, of radians."""
    return Tan.apply(as_float(input))


def sinh(input: TensorLike) -> Tensor:
    """Hyperbolic sine."""
    return Sinh.apply(as_float(input))


def cosh(input: TensorLike) -> Tensor:
    """Hyperbolic cosine."""
    return Cosh.apply(as_float(input))


def abs(input: TensorLike) -> Tensor:
    """Absolute value; its gradient at 0 is 0."""
    x = as_tensor(input)
    return x.clone() if x.array.dtype.kind == "b" else Abs.apply(x)


def maximum(input: TensorLike, other: TensorLike) -> Tensor:
    """The larger of two, element by element; a tie shares the gradient equally."""
    return _binary(Maximum, "maximum", input, other)


def minimum(input: TensorLike, other: TensorLike) -> Tensor:
    """The smaller of two, element by element; a tie shares the gradient equally."""
    return _binary(Minimum, "minimum", input, other)


def clamp(input: TensorLike, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
    """Limit to [min, max].

    Parameters
    ----------
    input : Tensor
    min, max : float or Tensor, optional
        The limits; the upper one counts where they cross. The gradient passes where ``min <= x <= max``, the ends
        included; elsewhere it goes to the limit, if that is a tensor.

    Raises
    ------
    ArgumentError
        If both limits are None.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.clamp(tg.tensor([-2.0, 0.5, 2.0]), -1, 1)
    tensor([-1. ,  0.5,  1. ])
    """
    if min is None and max is None:
        raise ArgumentError("clamp: both limits are None; give min, max or both")
    x = as_tensor(input)
    numbers = (int, float, np.generic, type(None))
    if isinstance(min, numbers) and isinstance(max, numbers):
        for limit in (min, max):
            # Integers beside a float become floats; a float takes every number.
            x = x if limit is None or x.is_floating_point() else operands(x, limit)[0]
        return Clamp.apply(x, low=_python_number(min), high=_python_number(max))
    # Not `maximum` and `minimum`: they share a tie, and here all of it is x's. A NaN stays one.
    x = x if min is None else where((x >= min) | (x != x), x, min)
    return x if max is None else where((x <= max) | (x != x), x, max)


def _python_number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


clip = clamp


def where(condition: TensorLike, input: TensorLike, other: TensorLike) -> Tensor:
    """`input` where the condition holds, `other` elsewhere, broadcast.

    Parameters
    ----------
    condition : Tensor or ndarray of bool
        Of numbers, those that are not 0 count as true.
    input, other : Tensor or float

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([-1.0, 2.0])
    >>> tg.where(x > 0, x, 0.0)
    tensor([0., 2.])
    """
    mask = as_tensor(condition)
    a, b = operands(input, other)
    for x, y in ((a, b), (mask, a), (mask, b)):
        broadcast_shape("where", x, y)
    return Where.apply(mask if mask.dtype == bool else mask != 0, a, b)


def masked_fill(input: TensorLike, mask: TensorLike, value: TensorLike) -> Tensor:
    """`value` where the mask holds, `input` elsewhere; in the dtype of `input`, whatever that of `value`."""
    x = as_tensor(input)
    return where(mask, value.to(x.dtype) if isinstance(value, Tensor) else Tensor(np.asarray(value, x.dtype)), x)


def floor_divide(input: TensorLike, other: TensorLike) -> Tensor:
    """``floor(input / other)``; no gradient flows through it (that of `floor` is 0).

    Raises
    ------
    ArgumentError
        For integers divided by 0.
    """
    a, b = _division("floor_divide", input, other)
    broadcast_shape("floor_divide", a, b)
    with np.errstate(all="ignore"):
        return Tensor(np.floor_divide(a.array, b.array))


def remainder(input: TensorLike, other: TensorLike) -> Tensor:
    """``input - other * floor(input / other)``, with the sign of `other`.

    Raises
    ------
    ArgumentError
        For integers divided by 0.
    """
    return _binary(Remainder, "remainder", *_division("remainder", input, other))


def _division(name: str, input: TensorLike, other: TensorLike) -> tuple[Tensor, Tensor]:
    """Both operands of a floored division, which has no result for an integer divided by 0."""
    a, b = operands(input, other)
    a, b = _counted(a), _counted(b)
    if b.array.dtype.kind in "iu" and not b.array.all():
        raise ArgumentError(f"{name}: an integer divided by 0; convert with .float() for inf and NaN, or exclude the zeros")
    return a, b


def sign(input: TensorLike) -> Tensor:
    """-1, 0 or 1; its gradient is 0, and the sign of NaN is NaN."""
    x = as_tensor(input)
    return x.clone() if x.array.dtype.kind == "b" else PiecewiseConstant.apply(x, function=np.sign)


def floor(input: TensorLike) -> Tensor:
    """The next integer below; its gradient is 0."""
    return _rounded(np.floor, input)


def ceil(input: TensorLike) -> Tensor:
    """The next integer above; its gradient is 0."""
    return _rounded(np.ceil, input)


def round(input: TensorLike) -> Tensor:
    """The nearest integer, halves to even; its gradient is 0."""
    return _rounded(np.rint, input)


def _rounded(function: np.ufunc, input: TensorLike) -> Tensor:
    """Integers are round already, and NumPy would make floats of some."""
    x = as_tensor(input)
    return PiecewiseConstant.apply(x, function=function) if x.is_floating_point() else x.clone()


def clone(input: TensorLike) -> Tensor:
    """A copy with its own storage, through which gradients flow."""
    return Clone.apply(as_tensor(input))
