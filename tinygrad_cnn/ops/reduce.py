"""Reductions: sums, means, extrema, and what is built from them.

Sum and expand are a pair: each is the other's backward. Sums over large float32 arrays are accumulated in float64.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from ..autograd.function import Array, Function
from ..errors import ArgumentError, DTypeError, ShapeError
from ..kernels import numpy_reduce
from ..tensor import Dims, Tensor, TensorLike
from ._arguments import accepts_numpy_names, all_dims, as_float, as_tensor, one_dim, own
from .shape import cat


class Extremum(NamedTuple):
    """What `max` and `min` along a dimension return."""

    values: Tensor
    indices: Tensor


def _over(name: str, x: Tensor, dim: Dims, keepdim: bool) -> dict[str, Any]:
    """The parameters of a reduction; of ``x.sum(0, 1)`` the 1 would be taken for a true `keepdim`."""
    if keepdim is not True and keepdim is not False and not isinstance(keepdim, np.bool_):
        raise DTypeError(f"{name}: keepdim is True or False, got {keepdim!r}; several dimensions are a tuple, dim=(0, 1)")
    return {"dims": all_dims(name, dim, x.ndim), "keepdim": bool(keepdim)}


def _kept(shape: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with the reduced dimensions left in, with size 1."""
    return tuple(1 if axis in dims else size for axis, size in enumerate(shape))


class Reduction(Function):
    """What the reductions over `dims` share: their parameters, and the way back to the input's shape."""

    dims: tuple[int, ...]
    keepdim: bool

    def spread(self, reduced: Tensor) -> Tensor:
        """A tensor of the output's shape, expanded along the reduced dimensions."""
        shape = self.input_shapes[0]
        return reduced.reshape(_kept(shape, self.dims)).expand(shape)

    def spread_array(self, reduced: Array) -> Array:
        """The same for an array: a view of it that cannot be written."""
        shape = self.input_shapes[0]
        return np.broadcast_to(reduced.reshape(_kept(shape, self.dims)), shape)

    def finish(self, kept: Array) -> Array:
        """Drop the reduced dimensions from an array that still has them, unless `keepdim`."""
        return kept if self.keepdim else kept.squeeze(self.dims)


class Sum(Reduction):
    """Sum over dimensions, y = sum of x.

    Gradient
        gx = gy, expanded
    Saves
        nothing
    """

    def forward(self, x: Array) -> Array:
        return numpy_reduce.accurate_sum(x, self.dims, self.keepdim)

    def backward(self, gy: Tensor) -> Any:
        return self.spread(gy)

    def backward_kernel(self, gy: Array) -> Any:
        return self.spread_array(gy)


class Mean(Reduction):
    """Mean over dimensions, y = (sum of x) / n with n the number of elements summed.

    Gradient
        gx = gy / n, expanded
    Saves
        nothing
    """

    def forward(self, x: Array) -> Array:
        if x.dtype == np.float16:  # whose sum, or count, may be beyond its largest number
            return np.asarray(np.mean(x, self.dims, np.float64, keepdims=self.keepdim)).astype(x.dtype)
        return numpy_reduce.accurate_sum(x, self.dims, self.keepdim) / x.dtype.type(self._count(x.shape))

    def backward(self, gy: Tensor) -> Any:
        return self.spread(gy / self._count(self.input_shapes[0]))

    def backward_kernel(self, gy: Array) -> Any:
        return self.spread_array(gy / gy.dtype.type(self._count(self.input_shapes[0])))

    def _count(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape[dim] for dim in self.dims)


class Var(Reduction):
    """Variance over dimensions, y = sum of (x - mean)^2 / (n - correction).

    Gradient
        gx = gy * 2 * (x - mean) / (n - correction)
    Saves
        x
    """

    correction: int

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        # In float64 throughout: NumPy adds float32 one after the other along all but the last axis.
        wide = np.promote_types(x.dtype, np.float64)
        y = np.var(x, axis=self.dims, dtype=wide, ddof=self.correction, keepdims=self.keepdim)
        return np.asarray(y).astype(x.dtype, copy=False)

    def backward(self, gy: Tensor) -> Any:
        (x,) = self.saved
        n = math.prod(x.shape[dim] for dim in self.dims)
        return self.spread(gy) * (x - x.mean(self.dims, keepdim=True)) * (2 / (n - self.correction))


class Amax(Reduction):
    """The largest value over dimensions.

    Gradient
        gy to the maximum; equal maxima share it equally
    Saves
        share: 1 / (number of maxima) at the maxima, 0 elsewhere
    """

    def forward(self, x: Array) -> Array:
        y = np.max(x, axis=self.dims, keepdims=True)
        self.save_for_backward(_shares(x == y, self.dims, x.dtype))
        return self.finish(y)

    def backward(self, gy: Tensor) -> Any:
        (share,) = self.saved
        return self.spread(gy) * share


class Amin(Reduction):
    """The smallest value over dimensions.

    Gradient
        gy to the minimum; equal minima share it equally
    Saves
        share: 1 / (number of minima) at the minima, 0 elsewhere
    """

    def forward(self, x: Array) -> Array:
        y = np.min(x, axis=self.dims, keepdims=True)
        self.save_for_backward(_shares(x == y, self.dims, x.dtype))
        return self.finish(y)

    def backward(self, gy: Tensor) -> Any:
        (share,) = self.saved
        return self.spread(gy) * share


def _shares(hit: Array, dims: tuple[int, ...], dtype: Any) -> Array:
    """Where a NaN is the extreme, nothing is equal to it: 0 / 0, and the gradient is NaN too."""
    with np.errstate(invalid="ignore"):
        return (hit / np.sum(hit, axis=dims, keepdims=True)).astype(dtype)


class LogSumExp(Reduction):
    """y = log of the sum of e^x over dimensions, computed from the maximum m as m + log(sum of e^(x - m)).

    Gradient
        gx = gy * e^(x - y), the softmax of x; 0 where every x is -inf, and NaN at an x of +inf
    Saves
        x, y
    """

    def forward(self, x: Array) -> Array:
        top = np.max(x, axis=self.dims, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, 0).astype(x.dtype)
        with np.errstate(divide="ignore", over="ignore"):
            y = self.finish(top + np.log(numpy_reduce.accurate_sum(np.exp(x - top), self.dims, keepdims=True)))
        self.save_for_backward(x)
        self.save_output(y)
        return y

    def backward(self, gy: Tensor) -> Any:
        x, y = self.saved
        # Where y is -inf, every x is: x - y would be NaN, and x - 0 is still -inf.
        shift = y.masked_fill(y.isinf() & (y < 0), 0.0)
        return self.spread(gy) * (x - self.spread(shift)).exp()


class Norm(Reduction):
    """Euclidean length over dimensions, y = sqrt(sum of x^2).

    Gradient
        gx = gy * x / y, and 0 at the zero vector
    Saves
        x, y
    """

    def forward(self, x: Array) -> Array:
        # The squares in float64: those of float32 overflow from 2e19 on, those of float16 from 256 on.
        squares = np.square(x, dtype=np.promote_types(x.dtype, np.float64))
        y = np.sqrt(np.sum(squares, axis=self.dims, keepdims=self.keepdim)).astype(x.dtype)
        self.save_for_backward(x)
        self.save_output(y)
        return y

    def backward(self, gy: Tensor) -> Any:
        x, y = self.saved
        return x * self.spread((gy / y.masked_fill(y == 0, 1.0)).masked_fill(y == 0, 0.0))


class Cumsum(Function):
    """Running sum along a dimension, y_i = x_0 + ... + x_i.

    Gradient
        gx_i = gy_i + ... + gy_n: the running sum from the other end
    Saves
        nothing
    """

    dim: int

    def forward(self, x: Array) -> Array:
        if x.dtype.kind != "f":
            return np.cumsum(x, axis=self.dim, dtype=np.int64)
        return np.cumsum(x, axis=self.dim, dtype=np.promote_types(x.dtype, np.float64)).astype(x.dtype, copy=False)

    def backward(self, gy: Tensor) -> Any:
        return gy.flip(self.dim).cumsum(self.dim).flip(self.dim)


# The functions that users call ----------------------------------------------------------------------------------------


def sum_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Sum down to `shape`, over every dimension that a broadcast from `shape` has stretched."""
    if x.array.shape == shape:
        return x
    axes = numpy_reduce.stretched_axes(x.array.shape, shape)
    return Sum.apply(x, dims=axes, keepdim=True).reshape(shape)


@accepts_numpy_names
def sum(input: TensorLike, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Sum over one, several or all dimensions; integers and booleans add up to int64.

    Parameters
    ----------
    input : Tensor
    dim : int or sequence of int, optional
        The dimensions to sum over (NumPy's ``axis`` works too); all by default.
    keepdim : bool
        Leave them in, with size 1.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.sum(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=1)
    tensor([3., 7.])
    """
    x = as_tensor(input)
    x = x.to(np.int64) if x.array.dtype.kind == "u" else x  # NumPy would add up to uint64
    return Sum.apply(x, **_over("sum", x, dim, keepdim))


@accepts_numpy_names
def mean(input: TensorLike, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Mean over one, several or all dimensions.

    Raises
    ------
    DTypeError
        For an integer tensor: the mean would not be one.
    ShapeError
        If there is nothing to average (PyTorch says NaN).

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.mean(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([2., 3.])
    """
    x = as_tensor(input)
    if not x.is_floating_point():
        raise DTypeError(f"mean() needs a floating-point tensor, got {x.dtype}: use .float() first")
    over = _over("mean", x, dim, keepdim)
    if math.prod(x.shape[d] for d in over["dims"]) == 0:
        raise ShapeError(f"mean() over dimensions {over['dims']} of a tensor of shape {x.shape} has no element to average")
    return Mean.apply(x, **over)


@accepts_numpy_names
def var(
    input: TensorLike, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: int = 1
) -> Tensor:
    """Variance over one, several or all dimensions; integers are converted to the default dtype.

    Parameters
    ----------
    input : Tensor
    dim : int or sequence of int, optional
        The dimensions; all by default.
    unbiased : bool, optional
        PyTorch's older spelling: True is ``correction=1``, False ``correction=0``. It may come in the place of `dim`:
        ``x.var(False)``.
    keepdim : bool
        Leave the dimensions in, with size 1.
    correction : int
        Subtracted from the number of elements in the divisor; 1 is the unbiased estimate, 0 the mean square.

    Raises
    ------
    ShapeError
        If the divisor is not positive.
    """
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    x = as_float(input)
    over = _over("var", x, dim, keepdim)
    correction = correction if unbiased is None else int(unbiased)
    n = math.prod(x.shape[d] for d in over["dims"])
    if n - correction <= 0:
        raise ShapeError(f"var() over {n} elements with correction {correction} divides by {n - correction}")
    return Var.apply(x, **over, correction=correction)


@accepts_numpy_names
def std(
    input: TensorLike, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: int = 1
) -> Tensor:
    """Standard deviation, the square root of `var`; its gradient is 0 where the variance is 0."""
    return _power(var(input, dim, unbiased, keepdim, correction=correction), 0.5)


def _power(x: Tensor, p: float) -> Tensor:
    """x^p for x >= 0, with a gradient of 0 at 0: the lengths and deviations that are computed so have a minimum there."""
    away = x.masked_fill(x == 0, 1.0)
    return (away.sqrt() if p == 0.5 else away**p).masked_fill(x == 0, 0.0)


def _nonempty(name: str, x: Tensor, dims: tuple[int, ...]) -> None:
    if math.prod(x.shape[d] for d in dims) == 0:
        raise ShapeError(f"{name}() over dimensions {dims} of a tensor of shape {x.shape} has no element to choose from")


@accepts_numpy_names
def amax(input: TensorLike, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The largest value over dimensions; equal maxima share the gradient equally."""
    x = as_tensor(input)
    over = _over("amax", x, dim, keepdim)
    _nonempty("amax", x, over["dims"])
    return Amax.apply(x, **over)


@accepts_numpy_names
def amin(input: TensorLike, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The smallest value over dimensions; equal minima share the gradient equally."""
    x = as_tensor(input)
    over = _over("amin", x, dim, keepdim)
    _nonempty("amin", x, over["dims"])
    return Amin.apply(x, **over)


def _along(name: str, input: TensorLike, dim: int, keepdim: bool, choose: Any) -> Extremum:
    x = as_tensor(input)
    axis = one_dim(name, dim, x.ndim)
    _nonempty(name, x, (axis,) if x.ndim else ())
    if x.ndim == 0:
        return Extremum(x.clone(), Tensor(np.zeros((), np.int64)))
    indices = Tensor(choose(x.array, axis=axis, keepdims=True))
    values = x.gather(axis, indices)
    return Extremum(values, indices) if keepdim else Extremum(own(values.squeeze(axis)), own(indices.squeeze(axis)))


@accepts_numpy_names
def max(input: TensorLike, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest value; along a dimension, with its index.

    Parameters
    ----------
    input : Tensor
    dim : int, optional
        Without it the result is one number, and equal maxima share the gradient. With it the result is a pair
        ``(values, indices)``, and the first maximum gets the gradient. A tensor here asks for `maximum`.
    keepdim : bool
        Leave the dimension in, with size 1.

    Returns
    -------
    Tensor, or Extremum (values, indices)

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> values, indices = tg.max(tg.tensor([[1.0, 5.0], [4.0, 3.0]]), dim=1)
    >>> values, indices
    (tensor([5., 4.]), tensor([1, 0]))
    """
    if isinstance(dim, (Tensor, np.ndarray)):
        return as_tensor(input).maximum(dim)
    if dim is None:
        return amax(input, keepdim=keepdim)
    return _along("max", input, dim, keepdim, np.argmax)


@accepts_numpy_names
def min(input: TensorLike, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest value; along a dimension, with its index. See `max`."""
    if isinstance(dim, (Tensor, np.ndarray)):
        return as_tensor(input).minimum(dim)
    if dim is None:
        return amin(input, keepdim=keepdim)
    return _along("min", input, dim, keepdim, np.argmin)


@accepts_numpy_names
def argmax(input: TensorLike, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the first maximum, along a dimension or in the flattened tensor."""
    return _index_of(np.argmax, "argmax", as_tensor(input), dim, keepdim)


@accepts_numpy_names
def argmin(input: TensorLike, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the first minimum, along a dimension or in the flattened tensor."""
    return _index_of(np.argmin, "argmin", as_tensor(input), dim, keepdim)


def _index_of(choose: Any, name: str, x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    axis = None if dim is None else one_dim(name, dim, x.ndim)
    _nonempty(name, x, all_dims(name, axis, x.ndim))
    return Tensor(choose(x.array, axis=axis, keepdims=keepdim))


@accepts_numpy_names
def prod(input: TensorLike, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Product over a dimension, or over all elements; integers and booleans multiply to int64.

    Multiplies the two halves of the dimension with each other until one element is left. That takes log2(n) products
    instead of a division by each element, so that the gradient is right where elements are zero.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([2.0, 0.0, 5.0], requires_grad=True)
    >>> tg.prod(x).backward()
    >>> x.grad
    tensor([ 0., 10.,  0.])
    """
    x = as_tensor(input)
    x = x if x.is_floating_point() else x.to(np.int64)
    if dim is None:
        product = prod(x.reshape(-1), 0)
        return own(product.reshape((1,) * x.ndim)) if keepdim else product
    axis = one_dim("prod", dim, x.ndim)
    if x.ndim == 0 or x.shape[axis] < 2:
        # The product of one number is its sum; that of none is 1, and the sum 0.
        return x.sum(axis, keepdim) + (1 if x.ndim and x.shape[axis] == 0 else 0)
    while x.shape[axis] > 1:
        half = x.shape[axis] // 2
        first, second, *odd = x.split([half, half] + [1] * (x.shape[axis] % 2), axis)
        x = first * second
        if odd:
            x = cat([x, odd[0]], axis) if half > 1 else x * odd[0]
    return x if keepdim else own(x.squeeze(axis))


@accepts_numpy_names
def cumsum(input: TensorLike, dim: int | None = None) -> Tensor:
    """Running sum along a dimension (of the flattened tensor, if none is given); integers and booleans give int64."""
    x = as_tensor(input)
    if dim is None or x.ndim == 0:
        axis = 0 if dim is None else one_dim("cumsum", dim, x.ndim)
        running = Cumsum.apply(x.reshape(-1), dim=axis)
        return running if dim is None else running.reshape(())
    return Cumsum.apply(x, dim=one_dim("cumsum", dim, x.ndim))


@accepts_numpy_names
def logsumexp(input: TensorLike, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Logarithm of the sum of exponentials over one, several or all dimensions, without overflow."""
    x = as_float(input)
    return LogSumExp.apply(x, **_over("logsumexp", x, dim, keepdim))


@accepts_numpy_names
def norm(input: TensorLike, p: float | str = 2.0, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The p-norm over dimensions, (sum of |x|^p)^(1/p); ``inf`` is the largest |x|, ``"fro"`` is 2.

    The gradient at the zero vector is 0. Integers are converted to the default dtype; p is positive.

    Raises
    ------
    ArgumentError
        For p that is not positive, and for the names of matrix norms other than ``"fro"``.
    """
    x = as_float(input)
    if p == "fro" or p == 2:
        return Norm.apply(x, **_over("norm", x, dim, keepdim))
    if p == math.inf:
        return x.abs().amax(dim, keepdim)
    if isinstance(p, str) or p <= 0:
        raise ArgumentError(f"norm: p must be a positive number, inf or 'fro', got {p!r}")
    return x.abs().sum(dim, keepdim) if p == 1 else _power(_power(x.abs(), p).sum(dim, keepdim), 1 / p)


@accepts_numpy_names
def any(input: TensorLike, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether any element is true (nonzero); a bool, whatever the dtype of `input`."""
    x = as_tensor(input)
    return Tensor(np.any(x.array, axis=all_dims("any", dim, x.ndim), keepdims=keepdim))


@accepts_numpy_names
def all(input: TensorLike, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether all elements are true (nonzero); a bool, whatever the dtype of `input`."""
    x = as_tensor(input)
    return Tensor(np.all(x.array, axis=all_dims("all", dim, x.ndim), keepdims=keepdim))
