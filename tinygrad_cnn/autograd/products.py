"""Derivatives of functions, asked for as products and matrices: vjp, jvp, jacobian, hessian, hvp.

Reverse mode gives v' J, a row combination of the Jacobian, in one pass. J u, the forward-mode product, comes from two: the
map v -> v' J is linear in v with matrix J', so *its* vector-Jacobian product with u is J u. (Townsend 2017, "A new trick for
calculating Jacobian vector products".) And the Hessian's product with v is the gradient of (gradient . v).

Inputs are taken as values: what `func` gets are fresh leaves, so the gradients of the caller's tensors are not touched. With
``create_graph`` the caller's tensors go in as they are and the results can be differentiated with respect to them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, AutogradError, ShapeError
from ..tensor import Tensor
from .functional import Tensors, grad
from .mode import enable_grad

Func = Callable[..., Any]


def vjp(func: Func, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False) -> tuple[Any, Any]:
    """The vector-Jacobian product v' J of a function at a point.

    Parameters
    ----------
    func : callable
        From tensors to a tensor or a tuple of tensors.
    inputs : Tensor or sequence of Tensor
        The point.
    v : Tensor or sequence of Tensor, optional
        One for each output, of its shape; may be left out for a single output with one element.
    create_graph : bool
        Let the results be differentiated with respect to the inputs.

    Returns
    -------
    outputs
        What `func` returned.
    products
        One for each input (a single tensor for a single input).

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([1.0, 2.0])
    >>> tg.autograd.vjp(lambda x: x * x, x, tg.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    with enable_grad():
        xs, ys = _called(func, inputs, create_graph)
        products = _gradients("vjp", ys, xs, _cotangents("vjp", ys, v), create_graph)
    return _like(ys, create_graph), _packed(products, inputs)


def jvp(func: Func, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False) -> tuple[Any, Any]:
    """The Jacobian-vector product J v of a function at a point: its derivative along v.

    Parameters
    ----------
    func, inputs, create_graph
        As for `vjp`.
    v : Tensor or sequence of Tensor, optional
        One for each input, of its shape; may be left out for a single input with one element.

    Returns
    -------
    outputs
        What `func` returned.
    products
        One for each output.

    References
    ----------
    Townsend 2017, "A new trick for calculating Jacobian vector products".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([1.0, 2.0])
    >>> tg.autograd.jvp(lambda x: x * x.sum(), x, tg.tensor([1.0, 0.0]))
    (tensor([3., 6.]), tensor([4., 2.]))
    """
    with enable_grad():
        xs, ys = _called(func, inputs, create_graph)
        directions = _cotangents("jvp", xs, v)
        cotangents = [Tensor(np.zeros(y.shape, y.dtype), requires_grad=True) for y in ys]
        through = _gradients("jvp", ys, xs, cotangents, create_graph=True)
        reached = [(product, u) for product, u in zip(through, directions, strict=True) if product.requires_grad]
        if reached:
            products, along = zip(*reached, strict=True)
            results = grad(products, cotangents, along, create_graph=create_graph, materialize_grads=True)
        else:
            results = tuple(Tensor(np.zeros(y.shape, y.dtype)) for y in ys)
    outputs = _like(ys, create_graph)
    return outputs, results[0] if isinstance(outputs, Tensor) else tuple(results)


def jacobian(func: Func, inputs: Tensors, create_graph: bool = False) -> Any:
    """The Jacobian of a function at a point, one backward pass for each output element.

    Returns
    -------
    Tensor, shape (*output.shape, *input.shape)
        For several inputs a tuple, one for each; for several outputs a tuple of these.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.autograd.jacobian(lambda x: x * x, tg.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    with enable_grad():
        xs, ys = _called(func, inputs, create_graph)
        blocks = tuple(_packed(_jacobian_of(y, xs, create_graph), inputs) for y in ys)
    return blocks[0] if isinstance(_like(ys, create_graph), Tensor) else blocks


def _jacobian_of(y: Tensor, xs: Sequence[Tensor], create_graph: bool) -> list[Tensor]:
    """The Jacobian of one output with respect to every input, row by row."""
    rows: list[Sequence[Tensor]] = []
    for position in range(y.numel()):
        cotangent = np.zeros(y.shape, y.dtype)
        cotangent.flat[position] = 1
        rows.append(_gradients("jacobian", [y], xs, [Tensor(cotangent)], create_graph, retain_graph=True))
    if not rows:
        return [Tensor(np.zeros(y.shape + x.shape, x.dtype)) for x in xs]
    return [_stacked([row[i] for row in rows]).reshape(y.shape + x.shape) for i, x in enumerate(xs)]


def _stacked(rows: Sequence[Tensor]) -> Tensor:
    from ..ops import stack

    return stack(rows)


def hessian(func: Func, inputs: Tensors, create_graph: bool = False) -> Any:
    """The matrix of second derivatives of a function with one number as its result.

    Returns
    -------
    Tensor, shape (*input.shape, *input.shape)
        For several inputs a tuple of tuples, block by block.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> tg.autograd.hessian(lambda x: x[0] * x[1] ** 2, tg.tensor([2.0, 3.0]))
    tensor([[0., 6.],
            [6., 4.]])
    """

    def gradient(*xs: Tensor) -> Any:
        ys = _as_tuple(func(*xs))
        _check_scalar("hessian", ys)
        found = _gradients("hessian", ys, xs, _cotangents("hessian", ys, None), create_graph=True)
        return _packed(found, inputs)

    return jacobian(gradient, inputs, create_graph)


def hvp(func: Func, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False) -> tuple[Any, Any]:
    """The product of the Hessian with a vector, without the Hessian: the gradient of (gradient . v).

    Parameters
    ----------
    func : callable
        From tensors to a tensor with one element.
    inputs, create_graph
        As for `vjp`.
    v : Tensor or sequence of Tensor
        One for each input, of its shape.

    Returns
    -------
    output
        What `func` returned.
    products
        One for each input.

    References
    ----------
    Pearlmutter 1994, "Fast exact multiplication by the Hessian".

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([2.0, 3.0])
    >>> tg.autograd.hvp(lambda x: x[0] * x[1] ** 2, x, tg.tensor([1.0, 1.0]))[1]
    tensor([ 6., 10.])
    """
    with enable_grad():
        xs, ys = _called(func, inputs, create_graph)
        _check_scalar("hvp", ys)
        directions = _cotangents("hvp", xs, v)
        gradients = _gradients("hvp", ys, xs, _cotangents("hvp", ys, None), create_graph=True)
        products = _gradients("hvp", gradients, xs, directions, create_graph)
    return _like(ys, create_graph), _packed(products, inputs)


def _as_tuple(tensors: Any) -> tuple[Tensor, ...]:
    return (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)


class _Single(tuple[Tensor, ...]):
    """The outputs of a function that returned one tensor rather than a tuple of them."""

    __slots__ = ()


def _called(func: Func, inputs: Tensors, create_graph: bool) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The inputs as the leaves (or, with `create_graph`, the tensors) to differentiate, and the outputs there."""
    xs = _as_tuple(inputs)
    for i, x in enumerate(xs):
        if not x.is_floating_point():
            raise ArgumentError(f"input {i} is {x.dtype}; only floating-point tensors can be differentiated: use .float()")
    if create_graph:
        # A view of its own, so that a gradient with respect to *this use* can be told from any other.
        xs = tuple(x.clone() if x.requires_grad else x.detach().clone().requires_grad_() for x in xs)
    else:
        xs = tuple(x.detach().clone().requires_grad_() for x in xs)
    returned = func(*xs)
    ys = _Single((returned,)) if isinstance(returned, Tensor) else tuple(returned)
    return xs, ys


def _like(ys: tuple[Tensor, ...], create_graph: bool) -> Any:
    """The outputs in the form in which the function returned them, without a graph that nobody asked for."""
    outputs = ys if create_graph else tuple(y.detach() for y in ys)
    return outputs[0] if isinstance(ys, _Single) else outputs


def _packed(results: Sequence[Tensor], inputs: Tensors) -> Any:
    return results[0] if isinstance(inputs, Tensor) else tuple(results)


def _cotangents(name: str, ys: Sequence[Tensor], v: Tensors | None) -> list[Tensor]:
    """The vectors, checked against the shapes of what they multiply."""
    if v is None:
        if len(ys) != 1 or ys[0].numel() != 1:
            raise ArgumentError(
                f"{name}: v may be left out for one tensor with one element; here the shapes are {[y.shape for y in ys]}"
            )
        return [Tensor(np.ones(ys[0].shape, ys[0].dtype))]
    vectors = list(_as_tuple(v))
    if len(vectors) != len(ys):
        raise ArgumentError(f"{name}: {len(vectors)} vectors in v for {len(ys)} tensors; give one for each")
    for i, (y, vector) in enumerate(zip(ys, vectors, strict=True)):
        if vector.shape != y.shape:
            raise ShapeError(f"{name}: v[{i}] has shape {vector.shape}, what it multiplies has {y.shape}")
    return vectors


def _check_scalar(name: str, ys: Sequence[Tensor]) -> None:
    if len(ys) != 1 or ys[0].numel() != 1:
        raise AutogradError(
            f"{name}: the function must return one tensor with one element, got shapes {[y.shape for y in ys]}; reduce it with "
            ".sum() or .mean()"
        )


def _gradients(
    name: str,
    ys: Sequence[Tensor],
    xs: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    create_graph: bool,
    retain_graph: bool | None = None,
) -> list[Tensor]:
    """`grad`, where outputs and inputs that have nothing to do with each other count as zero."""
    pairs = [(y, v) for y, v in zip(ys, cotangents, strict=True) if y.requires_grad]
    if not pairs:
        return [Tensor(np.zeros(x.shape, x.dtype)) for x in xs]
    outputs, starts = zip(*pairs, strict=True)
    found = grad(outputs, xs, starts, retain_graph=retain_graph, create_graph=create_graph, materialize_grads=True)
    return [gradient for gradient in found if gradient is not None]
