"""Tensor: an array, its gradient, and the node that made it.

A tensor is a thin thing: the mathematics is in `ops` (each operator and method here is one line to it), the graph is in
the nodes (`autograd.function`), the backward pass in `autograd.engine`. What lives here is what belongs to the value
itself: the array, whether it needs a gradient, the gradient, and the version of the storage, which says whether a value
that the graph saved has been changed since.
"""

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .errors import AutogradError, DTypeError, InplaceError, ShapeError
from .kernels.shape_only import ShapeOnly

if TYPE_CHECKING:
    from .autograd.function import AccumulateGrad, Function

Array: TypeAlias = NDArray[Any]
Dims: TypeAlias = int | Sequence[int] | None
TensorLike: TypeAlias = Union["Tensor", Array, float, int, bool]

# The class has methods bool(), int() and float(), which would hide the built-ins in its annotations.
Bool: TypeAlias = bool
Int: TypeAlias = int
Float: TypeAlias = float

_ndarray = np.ndarray
_default_dtype: np.dtype[Any] = np.dtype(np.float32)


def get_default_dtype() -> np.dtype[Any]:
    """The dtype of tensors made from Python floats; float32 unless set."""
    return _default_dtype


def set_default_dtype(dtype: DTypeLike) -> None:
    """Set the dtype of tensors made from Python floats.

    Raises
    ------
    DTypeError
        If it is not a floating-point dtype.
    """
    global _default_dtype
    if np.dtype(dtype).kind != "f":
        raise DTypeError(f"the default dtype must be floating-point, got {np.dtype(dtype)}; use float32 or float64")
    _default_dtype = np.dtype(dtype)


def as_array(data: Any, dtype: DTypeLike | None = None) -> Array:
    """The array of anything that can be a tensor; Python floats become the default dtype, arrays keep theirs."""
    if isinstance(data, Tensor):
        data = data.array
    elif isinstance(data, (list, tuple)):
        data = _array_of_sequence(data, dtype)
    elif isinstance(data, float) and not isinstance(data, np.generic):
        data = np.asarray(data, dtype or _default_dtype)
    array = data if type(data) is ShapeOnly and dtype in (None, data.dtype) else np.asarray(data, dtype)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"a tensor holds booleans, integers or floats; got {type(data).__name__} of dtype {array.dtype}")
    return array


def _array_of_sequence(data: Sequence[Any], dtype: DTypeLike | None) -> Array:
    """Nested lists of numbers, arrays or tensors; plain Python floats take the default dtype, if none is asked for."""
    if any(isinstance(item, Tensor) for item in data):
        arrays = [as_array(item) for item in data]
        floats = [array.dtype for array in arrays if array.dtype.kind == "f"]
        kind = np.result_type(*floats) if floats else None  # NumPy would make float64 of float32 beside int64
        return np.stack(arrays, dtype=dtype or kind, casting="unsafe")
    try:
        array = np.asarray(data, dtype)
    except ValueError as error:
        raise ShapeError(f"the rows of a nested list must have equal lengths to make a tensor: {error}") from None
    holds_numpy = array.size > 0 and isinstance(_first(data), (np.generic, np.ndarray))
    if dtype is None and array.dtype == np.float64 and not holds_numpy:
        return array.astype(_default_dtype)
    return array


def _first(data: Any) -> Any:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return data


class VersionCounter:
    """How often a storage was written in place; shared by a tensor, its views and its detached aliases.

    Attributes
    ----------
    value : int
        Writes of any kind. A value saved at another version is no longer what the graph computed with.
    recorded : int
        Writes that the graph recorded. A view made before such a write has a history that no longer describes it.
    writer : str
        The operation that wrote last, for messages.
    """

    # Class attributes are the defaults, as a tensor's are: most storages are never written.
    value: int = 0
    recorded: int = 0
    writer: str = ""


class Tensor:
    """A multi-dimensional array that remembers how it was computed.

    Parameters
    ----------
    data : array_like
        Numbers; an ndarray is taken as it is, without a copy (`tensor` copies).
    requires_grad : bool
        Whether gradients should be collected in ``.grad``; only floating-point tensors can.

    Attributes
    ----------
    array : ndarray
        The values.
    grad : Tensor or None
        The gradient, of the same shape and dtype, added up over calls of `backward`. A later call puts a new tensor here;
        unlike in PyTorch, one that was taken from here before stays as it was.
    grad_fn : Function or None
        The node that made it; None for a leaf.
    name : str or None
        A name for drawings and messages; `nn.Module` gives its parameters theirs.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> y = (x * x).sum()
    >>> y
    tensor(14., grad_fn=<SumBackward>)
    >>> y.backward()
    >>> x.grad
    tensor([2., 4., 6.])
    """

    # Class attributes are the defaults: making a tensor sets one attribute, not ten.
    grad: "Tensor | None" = None
    grad_fn: "Function | None" = None
    name: str | None = None
    _requires_grad: Bool = False
    _is_view: Bool = False  # shares another tensor's memory, and its history (a slice, a reshape)
    _is_alias: Bool = False  # shares another tensor's memory and not its history (detach, data)
    _lost_history: Bool = False  # a view that was taken under no_grad from a tensor that requires grad
    _recorded_when_made: Int = 0
    _counter: VersionCounter | None = None
    _hooks: "list[Callable[[Tensor], Tensor | None]] | None" = None
    _accumulator: "weakref.ref[AccumulateGrad] | None" = None

    def __init__(self, data: Any, requires_grad: Bool = False) -> None:
        if type(data) is _ndarray and data.dtype.kind in "biuf":
            self.array: Array = data
        else:
            self.array = as_array(data)
            if isinstance(data, Tensor):
                data._alias(self, cut_off=True)
        if requires_grad:
            self.requires_grad = True

    # What it is -----------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[Int, ...]:
        """The sizes of the dimensions."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type, a NumPy dtype."""
        return self.array.dtype

    @property
    def ndim(self) -> Int:
        """The number of dimensions."""
        return self.array.ndim

    @property
    def device(self) -> str:
        """Always ``"cpu"``."""
        return "cpu"

    def dim(self) -> Int:
        """The number of dimensions."""
        return self.array.ndim

    def size(self, dim: Int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        return self.array.shape if dim is None else self.array.shape[dim]

    def numel(self) -> Int:
        """The number of elements."""
        return self.array.size

    def is_floating_point(self) -> Bool:
        """Whether the dtype is a floating-point one."""
        return self.array.dtype.kind == "f"

    def is_contiguous(self) -> Bool:
        """Whether the elements lie in memory in C order."""
        return bool(self.array.flags.c_contiguous)

    # Its place in the graph -----------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> Bool:
        """Whether a gradient flows to this tensor; also through a view whose base was given a history since."""
        return self._requires_grad or self._is_stale

    @requires_grad.setter
    def requires_grad(self, value: Bool) -> None:
        if value and self.array.dtype.kind != "f":
            raise DTypeError(f"only floating-point tensors can require gradients, this one is {self.dtype}: use .float()")
        if self.grad_fn is not None and not value:
            raise AutogradError(
                f"requires_grad of {self._described()} cannot be set to False: it was computed from tensors that need "
                "a gradient; use .detach() to cut it off"
            )
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: Bool = True) -> "Tensor":
        """Set `requires_grad` in place and return the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> Bool:
        """Whether it was made by the user rather than by a recorded op."""
        return self.grad_fn is None

    @property
    def _version(self) -> Int:
        """How often the storage was written in place."""
        return 0 if self._counter is None else self._counter.value

    def _edge(self) -> "Function":
        """The node that this tensor's gradient goes to."""
        if self.grad_fn is not None:
            return self.grad_fn
        node = self._accumulator() if self._accumulator is not None else None
        if node is None:
            node = autograd.function.AccumulateGrad(self)
            self._accumulator = weakref.ref(node)
        return node

    def _described(self) -> str:
        """What it is, for messages: its name, the op that made it, or that it is a leaf."""
        if self.name:
            return f"the tensor {self.name!r}"
        return f"the output of {self.grad_fn.described}" if self.grad_fn is not None else "a leaf tensor"

    def backward(
        self,
        gradient: "Tensor | None" = None,
        retain_graph: Bool | None = None,
        create_graph: Bool = False,
        inputs: "Sequence[Tensor] | Tensor | None" = None,
    ) -> None:
        """Add the gradient of this tensor to ``.grad`` of the leaves that it was computed from.

        Parameters
        ----------
        gradient : Tensor, shape of this tensor, optional
            The gradient of whatever comes after with respect to this tensor; 1 for a scalar.
        retain_graph : bool, optional
            Keep what the graph saved, so that it can be differentiated again; default: the value of `create_graph`.
        create_graph : bool
            Record the backward pass itself, so that gradients can be differentiated.
        inputs : Tensor or sequence of Tensor, optional
            Only collect the gradients of these.

        Raises
        ------
        AutogradError
            If the tensor needs no gradient, or is no scalar and `gradient` is missing.
        GraphFreedError
            If an earlier pass freed the graph.
        """
        autograd.functional.backward(self, gradient, retain_graph, create_graph, inputs)

    def detach(self) -> "Tensor":
        """The same values, cut off from the graph; shares the storage."""
        return self._alias(Tensor(self.array), cut_off=True)

    @property
    def data(self) -> "Tensor":
        """The same values, cut off from the graph, as `detach` gives them.

        Assigning replaces the values and keeps the tensor; the memory of what is assigned is shared. Unlike PyTorch's,
        writes through ``.data`` are noticed: a backward pass that needs the values as they were raises.
        """
        return self.detach()

    @data.setter
    def data(self, value: TensorLike) -> None:
        array = as_array(value)
        if self._requires_grad and array.dtype.kind != "f":
            raise DTypeError(
                f"{self._described()} requires grad, so its data must be floating-point; got {array.dtype}: use .float()"
            )
        if array is self.array:
            return  # `x.data -= 1` has written it already, through the alias
        version = self._version
        self.array = array
        self._is_view = self._is_alias = self._lost_history = False
        if isinstance(value, Tensor):
            value._alias(self, cut_off=True)
            return
        # A storage of its own: whoever shared the old one goes on counting without this tensor.
        self._counter = VersionCounter()
        self._counter.value = version
        self._recorded_when_made = 0
        self._wrote("data = ...")

    def retain_grad(self) -> None:
        """Keep the gradient of a tensor that is not a leaf in ``.grad`` as well."""
        if not self._requires_grad:
            raise AutogradError("retain_grad() was called on a tensor that needs no gradient")
        if self.grad_fn is not None:
            self.grad_fn.retains_grad = weakref.ref(self)

    @property
    def retains_grad(self) -> Bool:
        """Whether a tensor that is not a leaf keeps its gradient."""
        kept = self.grad_fn.retains_grad if self.grad_fn is not None else None
        return kept is not None and kept() is self

    def register_hook(self, hook: "Callable[[Tensor], Tensor | None]") -> "HookHandle":
        """Call ``hook(gradient)`` once this tensor's gradient is complete; what it returns replaces the gradient.

        The hook must not write into its argument, which other tensors may share. It belongs to the value that the tensor
        has now: after an in-place op it still gets the gradient of what was there before.

        Returns
        -------
        HookHandle
            Its ``remove()`` takes the hook away.
        """
        if not self._requires_grad:
            raise AutogradError("register_hook() was called on a tensor that needs no gradient: it would never run")
        if self.grad_fn is not None:
            hooks = self.grad_fn.hooks = self.grad_fn.hooks if self.grad_fn.hooks is not None else []
        else:
            hooks = self._hooks = self._hooks if self._hooks is not None else []
        hooks.append(hook)
        return HookHandle(hooks, hook)

    # Writing in place -----------------------------------------------------------------------------------------------

    def _shared_counter(self) -> VersionCounter:
        if self._counter is None:
            self._counter = VersionCounter()
        return self._counter

    def _wrote(self, writer: str) -> None:
        """Note that the storage was written in place."""
        counter = self._shared_counter()
        counter.value += 1
        counter.writer = writer

    def _alias(self, view: "Tensor", cut_off: Bool = False) -> "Tensor":
        """Make `view`, whose array shares this tensor's memory, share its version as well; `cut_off`: not its history."""
        view._counter = counter = self._shared_counter()
        view._recorded_when_made = counter.recorded
        if cut_off or self._is_alias:
            view._is_alias = True
            return view
        view._is_view = True
        if self._lost_history or (self._requires_grad and not view._requires_grad):
            view._lost_history = True
        return view

    @property
    def _is_stale(self) -> Bool:
        """Whether it is a view whose storage was since written by a *recorded* op: its history is no longer true."""
        return self._is_view and self._counter is not None and self._counter.recorded != self._recorded_when_made

    def _refuse_if_stale(self, op: str) -> None:
        if self._is_stale and autograd.mode.STATE.grad_enabled:
            raise InplaceError(
                f"{op} was given a view (shape {self.shape}) that was taken before its storage was changed in place by "
                f"{self._shared_counter().writer}, which the graph recorded: the view's gradient would be wrong. Take the "
                "view again after the change, or clone() before it"
            )

    # Out to NumPy and Python ----------------------------------------------------------------------------------------

    def numpy(self) -> Array:
        """The array itself, shared; refused where a gradient would be lost."""
        self._refuse_to_lose_gradient("numpy()", "call .detach().numpy()")
        return self.array

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self.array.size != 1:
            raise ShapeError(f"item() needs a tensor with one element, this one has shape {self.shape}")
        return self.array.item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self.array.tolist()

    def _refuse_to_lose_gradient(self, what: str, instead: str) -> None:
        if self._requires_grad and autograd.mode.STATE.grad_enabled:
            raise DTypeError(f"{what} on a tensor that requires grad would lose its gradient: {instead}")

    def __array__(self, dtype: DTypeLike | None = None, copy: Bool | None = None) -> Array:
        self._refuse_to_lose_gradient("conversion to a NumPy array", "call .detach() first")
        return np.array(self.array, dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return numpy_protocol.call_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        return numpy_protocol.call_function(function, args, kwargs)

    def __float__(self) -> Float:
        return float(self.item())

    def __int__(self) -> Int:
        return int(self.item())

    def __index__(self) -> Int:
        if self.array.dtype.kind not in "iu":
            raise DTypeError(f"only an integer tensor with one element can be an index, this one is {self.dtype}")
        return int(self.item())

    def __bool__(self) -> Bool:
        if self.array.size != 1:
            raise ShapeError(
                f"the truth of a tensor of shape {self.shape} is ambiguous: use .any(), .all(), or & and | for logic"
            )
        return bool(self.array.item())

    def __len__(self) -> Int:
        if self.array.ndim == 0:
            raise DTypeError("len() of a 0-dimensional tensor")
        return len(self.array)

    def __iter__(self) -> "Iterator[Tensor]":
        if self.array.ndim == 0:
            raise DTypeError("iteration over a 0-dimensional tensor; use .item()")
        return (self[i] for i in range(len(self.array)))

    def __contains__(self, value: TensorLike) -> Bool:
        return bool(np.any(self.array == as_array(value)))

    def __hash__(self) -> Int:
        return id(self)

    def __format__(self, spec: str) -> str:
        if self.array.ndim == 0:
            return format(self.item(), spec)
        if spec:
            raise DTypeError(f"format {spec!r} is for one number, this tensor has shape {self.shape}: use .item() or .tolist()")
        return repr(self)

    def __repr__(self) -> str:
        dtype = self.array.dtype
        values = np.array2string(self.array, precision=4, separator=", ", prefix="tensor(", threshold=1000)
        parts = [values]
        if self.array.size == 0 and self.array.ndim != 1:
            parts.append(f"size={self.shape}")
        if dtype not in (_default_dtype, np.int64, np.bool_):
            parts.append(f"dtype={dtype}")
        if self.grad_fn is not None:
            parts.append(f"grad_fn={self.grad_fn!r}")
        elif self._requires_grad:
            parts.append("requires_grad=True")
        return f"tensor({', '.join(parts)})"

    def __deepcopy__(self, memo: dict[Int, Any]) -> "Tensor":
        if self.grad_fn is not None:
            raise AutogradError(f"only leaf tensors can be deep-copied, this is {self._described()}; detach() it first")
        copied = self.__reduce__()[0](*self.__reduce__()[1])
        copied.array = self.array.copy()
        memo[id(self)] = copied
        copied.grad = None if self.grad is None else self.grad.detach().clone()
        return copied

    def __reduce__(self) -> "tuple[Callable[..., Tensor], tuple[Any, ...]]":
        if self.grad_fn is not None:
            raise AutogradError(f"only leaf tensors can be pickled, this is {self._described()}; detach() it first")
        return _rebuild, (type(self), self.array, self._requires_grad, self.name)

    # Operators and methods: each one line to ops, whose docstring says what it does ------------------------------------

    def __add__(self, other: TensorLike) -> "Tensor": return ops.add(self, other)
    def __radd__(self, other: TensorLike) -> "Tensor": return ops.add(other, self)
    def __sub__(self, other: TensorLike) -> "Tensor": return ops.sub(self, other)
    def __rsub__(self, other: TensorLike) -> "Tensor": return ops.sub(other, self)
    def __mul__(self, other: TensorLike) -> "Tensor": return ops.mul(self, other)
    def __rmul__(self, other: TensorLike) -> "Tensor": return ops.mul(other, self)
    def __truediv__(self, other: TensorLike) -> "Tensor": return ops.div(self, other)
    def __rtruediv__(self, other: TensorLike) -> "Tensor": return ops.div(other, self)
    def __floordiv__(self, other: TensorLike) -> "Tensor": return ops.floor_divide(self, other)
    def __rfloordiv__(self, other: TensorLike) -> "Tensor": return ops.floor_divide(other, self)
    def __mod__(self, other: TensorLike) -> "Tensor": return ops.remainder(self, other)
    def __rmod__(self, other: TensorLike) -> "Tensor": return ops.remainder(other, self)
    def __pow__(self, exponent: TensorLike) -> "Tensor": return ops.pow(self, exponent)
    def __rpow__(self, base: TensorLike) -> "Tensor": return ops.pow(base, self)
    def __matmul__(self, other: TensorLike) -> "Tensor": return ops.matmul(self, other)
    def __rmatmul__(self, other: TensorLike) -> "Tensor": return ops.matmul(other, self)
    def __neg__(self) -> "Tensor": return ops.neg(self)
    def __pos__(self) -> "Tensor": return self
    def __abs__(self) -> "Tensor": return ops.abs(self)
    def __invert__(self) -> "Tensor": return ops.bitwise_not(self)
    def __and__(self, other: TensorLike) -> "Tensor": return ops.bitwise_and(self, other)
    def __rand__(self, other: TensorLike) -> "Tensor": return ops.bitwise_and(other, self)
    def __or__(self, other: TensorLike) -> "Tensor": return ops.bitwise_or(self, other)
    def __ror__(self, other: TensorLike) -> "Tensor": return ops.bitwise_or(other, self)
    def __xor__(self, other: TensorLike) -> "Tensor": return ops.bitwise_xor(self, other)
    def __rxor__(self, other: TensorLike) -> "Tensor": return ops.bitwise_xor(other, self)
    def __eq__(self, other: Any) -> "Tensor":  # type: ignore[override]
        return NotImplemented if other is None or isinstance(other, str) else ops.eq(self, other)
    def __ne__(self, other: Any) -> "Tensor":  # type: ignore[override]
        return NotImplemented if other is None or isinstance(other, str) else ops.ne(self, other)
    def __lt__(self, other: TensorLike) -> "Tensor": return ops.lt(self, other)  # type: ignore[misc]
    def __le__(self, other: TensorLike) -> "Tensor": return ops.le(self, other)  # type: ignore[misc]
    def __gt__(self, other: TensorLike) -> "Tensor": return ops.gt(self, other)  # type: ignore[misc]
    def __ge__(self, other: TensorLike) -> "Tensor": return ops.ge(self, other)  # type: ignore[misc]
    def __getitem__(self, index: Any) -> "Tensor": return ops.getitem(self, index)
    def __setitem__(self, index: Any, value: TensorLike) -> None: ops.setitem_(self, index, value)
    def __iadd__(self, other: TensorLike) -> "Tensor": return ops.add_(self, other)
    def __isub__(self, other: TensorLike) -> "Tensor": return ops.sub_(self, other)
    def __imul__(self, other: TensorLike) -> "Tensor": return ops.mul_(self, other)
    def __itruediv__(self, other: TensorLike) -> "Tensor": return ops.div_(self, other)
    def __ifloordiv__(self, other: TensorLike) -> "Tensor": return ops.floor_divide_(self, other)
    def __imod__(self, other: TensorLike) -> "Tensor": return ops.remainder_(self, other)
    def __ipow__(self, exponent: TensorLike) -> "Tensor": return ops.pow_(self, exponent)
    def __iand__(self, other: TensorLike) -> "Tensor": return ops.bitwise_and_(self, other)
    def __ior__(self, other: TensorLike) -> "Tensor": return ops.bitwise_or_(self, other)
    def __ixor__(self, other: TensorLike) -> "Tensor": return ops.bitwise_xor_(self, other)

    def add(self, other: TensorLike, *, alpha: Float = 1) -> "Tensor": return ops.add(self, other, alpha=alpha)
    def sub(self, other: TensorLike, *, alpha: Float = 1) -> "Tensor": return ops.sub(self, other, alpha=alpha)
    def mul(self, other: TensorLike) -> "Tensor": return ops.mul(self, other)
    def div(self, other: TensorLike) -> "Tensor": return ops.div(self, other)
    def pow(self, exponent: TensorLike) -> "Tensor": return ops.pow(self, exponent)
    def neg(self) -> "Tensor": return ops.neg(self)
    def abs(self) -> "Tensor": return ops.abs(self)
    def sign(self) -> "Tensor": return ops.sign(self)
    def exp(self) -> "Tensor": return ops.exp(self)
    def exp2(self) -> "Tensor": return ops.exp2(self)
    def expm1(self) -> "Tensor": return ops.expm1(self)
    def log(self) -> "Tensor": return ops.log(self)
    def log2(self) -> "Tensor": return ops.log2(self)
    def log10(self) -> "Tensor": return ops.log10(self)
    def log1p(self) -> "Tensor": return ops.log1p(self)
    def sqrt(self) -> "Tensor": return ops.sqrt(self)
    def rsqrt(self) -> "Tensor": return ops.rsqrt(self)
    def square(self) -> "Tensor": return ops.square(self)
    def reciprocal(self) -> "Tensor": return ops.reciprocal(self)
    def sin(self) -> "Tensor": return ops.sin(self)
    def cos(self) -> "Tensor": return ops.cos(self)
    def tan(self) -> "Tensor": return ops.tan(self)
    def sinh(self) -> "Tensor": return ops.sinh(self)
    def cosh(self) -> "Tensor": return ops.cosh(self)
    def tanh(self) -> "Tensor": return ops.tanh(self)
    def sigmoid(self) -> "Tensor": return ops.sigmoid(self)
    def relu(self) -> "Tensor": return ops.relu(self)
    def floor(self) -> "Tensor": return ops.floor(self)
    def ceil(self) -> "Tensor": return ops.ceil(self)
    def round(self) -> "Tensor": return ops.round(self)
    def maximum(self, other: TensorLike) -> "Tensor": return ops.maximum(self, other)
    def minimum(self, other: TensorLike) -> "Tensor": return ops.minimum(self, other)
    def clamp(self, min: TensorLike | None = None, max: TensorLike | None = None) -> "Tensor":
        return ops.clamp(self, min, max)
    clip = clamp
    def where(self, condition: TensorLike, other: TensorLike) -> "Tensor": return ops.where(condition, self, other)
    def masked_fill(self, mask: TensorLike, value: TensorLike) -> "Tensor": return ops.masked_fill(self, mask, value)
    def isnan(self) -> "Tensor": return ops.isnan(self)
    def isinf(self) -> "Tensor": return ops.isinf(self)
    def isfinite(self) -> "Tensor": return ops.isfinite(self)
    def eq(self, other: TensorLike) -> "Tensor": return ops.eq(self, other)
    def ne(self, other: TensorLike) -> "Tensor": return ops.ne(self, other)
    def lt(self, other: TensorLike) -> "Tensor": return ops.lt(self, other)
    def le(self, other: TensorLike) -> "Tensor": return ops.le(self, other)
    def gt(self, other: TensorLike) -> "Tensor": return ops.gt(self, other)
    def ge(self, other: TensorLike) -> "Tensor": return ops.ge(self, other)

    def sum(self, dim: Dims = None, keepdim: Bool = False, **numpy_names: Any) -> "Tensor":
        return ops.sum(self, dim, keepdim, **numpy_names)
    def mean(self, dim: Dims = None, keepdim: Bool = False, **numpy_names: Any) -> "Tensor":
        return ops.mean(self, dim, keepdim, **numpy_names)
    def var(
        self, dim: "Dims | Bool" = None, unbiased: Bool | None = None, keepdim: Bool = False, **options: Any
    ) -> "Tensor":
        return ops.var(self, dim, unbiased, keepdim, **options)
    def std(
        self, dim: "Dims | Bool" = None, unbiased: Bool | None = None, keepdim: Bool = False, **options: Any
    ) -> "Tensor":
        return ops.std(self, dim, unbiased, keepdim, **options)
    def max(self, dim: Int | None = None, keepdim: Bool = False, **numpy_names: Any) -> Any:
        return ops.max(self, dim, keepdim, **numpy_names)
    def min(self, dim: Int | None = None, keepdim: Bool = False, **numpy_names: Any) -> Any:
        return ops.min(self, dim, keepdim, **numpy_names)
    def amax(self, dim: Dims = None, keepdim: Bool = False, **numpy_names: Any) -> "Tensor":
        return ops.amax(self, dim, keepdim, **numpy_names)
    def amin(self, dim: Dims = None, keepdim: Bool = False, **numpy_names: Any) -> "Tensor":
        return ops.amin(self, dim, keepdim, **numpy_names)
    def argmax(self, dim: Int | None = None, keepdim: Bool = False, **numpy_names: Any) -> "Tensor":
        return ops.argmax(self, dim, keepdim, **numpy_names)
    def argmin(self, dim: Int | None = None, keepdim: Bool = False, **numpy_names: Any) -> "Tensor":
        return ops.argmin(self, dim, keepdim, **numpy_names)
    def prod(self, dim: Int | None = None, keepdim: Bool = False, **numpy_names: Any) -> "Tensor":
        return ops.prod(self, dim, keepdim, **numpy_names)
    def cumsum(self, dim: Int | None = None, **numpy_names: Any) -> "Tensor":
        return ops.cumsum(self, dim, **numpy_names)
    def logsumexp(self, dim: Dims = None, keepdim: Bool = False, **numpy_names: Any) -> "Tensor":
        return ops.logsumexp(self, dim, keepdim, **numpy_names)
    def softmax(self, dim: Int | None = None, **numpy_names: Any) -> "Tensor":
        return ops.softmax(self, dim, **numpy_names)
    def log_softmax(self, dim: Int | None = None, **numpy_names: Any) -> "Tensor":
        return ops.log_softmax(self, dim, **numpy_names)
    def any(self, dim: Dims = None, keepdim: Bool = False, **numpy_names: Any) -> "Tensor":
        return ops.any(self, dim, keepdim, **numpy_names)
    def all(self, dim: Dims = None, keepdim: Bool = False, **numpy_names: Any) -> "Tensor":
        return ops.all(self, dim, keepdim, **numpy_names)
    def norm(self, p: Float | str = 2.0, dim: Dims = None, keepdim: Bool = False, **numpy_names: Any) -> "Tensor":
        return ops.norm(self, p, dim, keepdim, **numpy_names)

    def reshape(self, *shape: Any) -> "Tensor": return ops.reshape(self, *shape)
    def view(self, *shape: Any) -> "Tensor":
        """`reshape`: a view where memory allows and a copy where it does not (PyTorch's view refuses to copy)."""
        return ops.reshape(self, *shape)
    def view_as(self, other: "Tensor") -> "Tensor": return ops.reshape(self, other.shape)
    def flatten(self, start_dim: Int = 0, end_dim: Int = -1) -> "Tensor": return ops.flatten(self, start_dim, end_dim)
    def permute(self, *dims: Any) -> "Tensor": return ops.permute(self, *dims)
    def transpose(self, dim0: Int, dim1: Int) -> "Tensor": return ops.transpose(self, dim0, dim1)
    def t(self) -> "Tensor": return ops.t(self)
    @property
    def T(self) -> "Tensor": return ops.permute(self, *reversed(range(self.ndim)))  # noqa: N802
    @property
    def mT(self) -> "Tensor": return ops.transpose(self, -2, -1)  # noqa: N802
    def squeeze(self, dim: Dims = None, **numpy_names: Any) -> "Tensor": return ops.squeeze(self, dim, **numpy_names)
    def unsqueeze(self, dim: Int) -> "Tensor": return ops.unsqueeze(self, dim)
    def expand(self, *shape: Any) -> "Tensor": return ops.expand(self, *shape)
    def expand_as(self, other: "Tensor") -> "Tensor": return ops.expand(self, other.shape)
    def repeat(self, *counts: Any) -> "Tensor": return ops.repeat(self, *counts)
    def flip(self, *dims: Any, **numpy_names: Any) -> "Tensor": return ops.flip(self, *dims, **numpy_names)
    def roll(self, shifts: Int | Sequence[Int], dims: Dims = None) -> "Tensor": return ops.roll(self, shifts, dims)
    def split(self, split_size: Int | Sequence[Int], dim: Int = 0) -> "tuple[Tensor, ...]":
        return ops.split(self, split_size, dim)
    def chunk(self, chunks: Int, dim: Int = 0) -> "tuple[Tensor, ...]": return ops.chunk(self, chunks, dim)
    def unbind(self, dim: Int = 0) -> "tuple[Tensor, ...]": return ops.unbind(self, dim)
    def gather(self, dim: Int, index: "Tensor | Array") -> "Tensor": return ops.gather(self, dim, index)
    def index_select(self, dim: Int, index: "Tensor | Array") -> "Tensor": return ops.index_select(self, dim, index)
    def contiguous(self) -> "Tensor": return self if self.is_contiguous() else ops.clone(self)
    def clone(self) -> "Tensor": return ops.clone(self)

    def matmul(self, other: TensorLike) -> "Tensor": return ops.matmul(self, other)
    mm = bmm = matmul
    def dot(self, other: TensorLike) -> "Tensor": return ops.dot(self, other)

    def to(self, *args: Any, dtype: DTypeLike | None = None, device: str | None = None) -> "Tensor":
        return ops.to(self, *args, dtype=dtype, device=device)
    def type_as(self, other: "Tensor") -> "Tensor": return ops.to(self, other.dtype)
    def double(self) -> "Tensor": return ops.to(self, np.float64)
    def float(self) -> "Tensor": return ops.to(self, np.float32)
    def half(self) -> "Tensor": return ops.to(self, np.float16)
    def long(self) -> "Tensor": return ops.to(self, np.int64)
    def int(self) -> "Tensor": return ops.to(self, np.int32)
    def bool(self) -> "Tensor": return ops.to(self, np.bool_)
    def cpu(self) -> "Tensor": return self

    def add_(self, other: TensorLike, *, alpha: Float = 1) -> "Tensor":
        return ops.add_(self, other, alpha=alpha)
    def sub_(self, other: TensorLike, *, alpha: Float = 1) -> "Tensor":
        return ops.sub_(self, other, alpha=alpha)
    def mul_(self, other: TensorLike) -> "Tensor": return ops.mul_(self, other)
    def div_(self, other: TensorLike) -> "Tensor": return ops.div_(self, other)
    def pow_(self, exponent: TensorLike) -> "Tensor": return ops.pow_(self, exponent)
    def copy_(self, other: TensorLike) -> "Tensor": return ops.copy_(self, other)
    def zero_(self) -> "Tensor": return ops.fill_(self, 0)
    def fill_(self, value: TensorLike) -> "Tensor": return ops.fill_(self, value)
    def clamp_(self, min: "TensorLike | None" = None, max: "TensorLike | None" = None) -> "Tensor":
        return ops.clamp_(self, min, max)
    def relu_(self) -> "Tensor": return ops.relu_(self)
    def normal_(self, mean: Float = 0.0, std: Float = 1.0) -> "Tensor":
        return ops.normal_(self, mean, std)
    def uniform_(self, a: Float = 0.0, b: Float = 1.0) -> "Tensor":
        return ops.uniform_(self, a, b)


class HookHandle:
    """What `register_hook` returns: ``remove()`` takes the hook away, and so does leaving a ``with`` block."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks = hooks
        self._hook = hook

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        # Only once: the same function may be registered a second time, with a handle of its own.
        hooks, self._hooks = self._hooks, []
        if self._hook in hooks:
            hooks.remove(self._hook)

    def __enter__(self) -> "HookHandle":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


def _rebuild(kind: type[Tensor], array: Array, requires_grad: bool, name: str | None) -> Tensor:
    """Make a leaf again from what pickle and deepcopy kept of it."""
    tensor = kind(array)
    tensor._requires_grad = requires_grad
    tensor.name = name
    return tensor


# Below the class, because these modules need it: they are imported once it exists.
from . import autograd, numpy_protocol, ops  # noqa: E402

for _name, _member in list(vars(Tensor).items()):
    # A method that is one line to an op is documented by that op: add_ by add_, __add__ by add.
    _op = getattr(ops, _name, None) or getattr(ops, _name.strip("_"), None)
    if callable(_member) and _member.__doc__ is None and _op is not None:
        _member.__doc__ = _op.__doc__
