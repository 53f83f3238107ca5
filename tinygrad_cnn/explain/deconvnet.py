"""What does a unit look for? One backward pass to the image, with another rule at each ReLU.

Zeiler and Fergus's deconvolutional network goes back from one unit to the pixels: unpool to the recorded maxima, rectify,
convolve with the transposed filters. A backward pass does the same, because the transposed convolution is a convolution's
input gradient and a max pool's gradient goes to its recorded maximum. The three methods differ at the ReLU alone:

    gradient    g where x > 0              the slope of the unit, nothing else
    deconvnet   max(g, 0)                  what speaks for the unit; the sign of x is ignored
    guided      max(g, 0) where x > 0      both (Springenberg et al. 2015)

The rule is replaced at each ReLU *node* of the recorded graph, so a module that is used twice, or a plain `x.relu()`, is
found like any other, and so is the ReLU in a batch normalization (`BatchNormReLU`). Local response normalization is not
inverted by the deconvnet: gradients pass it as they are.

References
----------
Zeiler, Fergus 2014, "Visualizing and understanding convolutional networks", section 2.1.
Springenberg, Dosovitskiy, Brox, Riedmiller 2015, "Striving for simplicity: the all convolutional net".
Simonyan, Vedaldi, Zisserman 2014, "Deep inside convolutional networks" (the plain gradient).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from .. import kernels
from ..autograd.function import Array, Function
from ..autograd.functional import grad
from ..autograd.walk import reachable
from ..errors import ArgumentError, ShapeError
from ..ops.activation import ReLU
from ..ops.norm import BatchNorm, BatchNormReLU, LocalResponseNorm
from ..tensor import Tensor
from .recorded import retained_gradients_kept

RULES = ("gradient", "deconvnet", "guided")


def attribution(y: Tensor, wrt: Tensor, index: Sequence[int], *, rule: str = "gradient") -> Array:
    """Go back from one unit to the image.

    Parameters
    ----------
    y : Tensor
        The units: the output of a layer, or the scores. Its graph is kept.
    wrt : Tensor, shape (n, c, h, w)
        The image; it must require a gradient.
    index : sequence of int
        The unit: one number for each dimension of `y`.
    rule : {"gradient", "deconvnet", "guided"}
        What happens at each ReLU.

    Returns
    -------
    ndarray, of the shape of `wrt`
        The gradient, or what the rule makes of it, for a start of 1 at the unit. Zeiler and Fergus start with the unit's
        activation, which scales the picture.

    Raises
    ------
    ArgumentError
        If the rule is none of the three.
    ShapeError
        If there is no such unit.
    AutogradError
        If `y` does not depend on `wrt`.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([[1.0, -1.0]], requires_grad=True)
    >>> y = x.relu() @ tg.tensor([[2.0, -3.0], [5.0, 4.0]])
    >>> [attribution(y, x, (0, 1), rule=rule).tolist() for rule in RULES]
    [[[-3.0, 0.0]], [[0.0, 4.0]], [[0.0, 0.0]]]
    """
    if rule not in RULES:
        raise ArgumentError(f"explain.attribution: rule has to be one of {', '.join(RULES)}; got {rule!r}")
    at = tuple(int(i) for i in index)
    if len(at) != y.ndim or not all(-n <= i < n for i, n in zip(at, y.shape, strict=True)):
        raise ShapeError(f"explain.attribution: there is no unit {at} in a tensor of shape {y.shape}")
    start = np.zeros(y.shape, y.dtype)
    start[at] = 1
    nodes = reachable([y._edge()])
    with retained_gradients_kept(nodes), _rules_replaced(nodes, rule):
        (gradient,) = grad(y, wrt, Tensor(start), retain_graph=True)
    assert gradient is not None
    return gradient.array


@contextmanager
def _rules_replaced(nodes: Sequence[Function], rule: str) -> Iterator[None]:
    """Give each ReLU of the graph another rule; an attribute of the node hides that of its class."""
    replaced: dict[Function, Callable[[Array], Array]] = {}
    for node in nodes:
        if isinstance(node, ReLU | BatchNormReLU) and rule != "gradient":
            replaced[node] = _at_relu(node, rule)
        elif isinstance(node, LocalResponseNorm) and rule == "deconvnet":
            replaced[node] = _as_it_is
    for node, other in replaced.items():
        node.__dict__["backward_kernel"] = other
    try:
        yield
    finally:
        for node in replaced:
            del node.__dict__["backward_kernel"]


def _as_it_is(gy: Array) -> Array:
    return gy


def _at_relu(node: ReLU | BatchNormReLU, rule: str) -> Callable[[Array], Array]:
    """The rule of a rectifier; of one in batch normalization, with the normalization's own behind it."""

    def rectified(gy: Array) -> Array:
        gx = np.maximum(gy, 0)
        return gx if rule == "deconvnet" else kernels.relu_backward(gx, node.saved_arrays[-1])

    if isinstance(node, ReLU):
        return rectified
    return lambda gy: BatchNorm.backward_kernel(node, rectified(gy))
