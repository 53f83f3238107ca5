"""One element's effect on the outputs of one op: which outputs, how strongly, and what that strength is made of.

By the chain rule the gradient of x[index] is a sum over the outputs of the ops that read it,

    gx[index] = sum over out of  dy[out] / dx[index]  *  gy[out]

and the first factor is what the rules here list. For convolutions, linear layers, batch norm's parameters and max pooling
they do it by index algebra, from the node's own geometry and saved arrays, so that the factor has a name (``x[0, 2, 5, 7]``).
Every other op is asked by its own backward rule (`products`). The ledger then holds the sum against the engine's gradient.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from ..autograd.function import Array, Function
from ..kernels.geometry import ConvGeometry, PoolGeometry, tap_slices
from ..ops.conv import Conv, ConvInputGrad, ConvWeightGrad
from ..ops.conv_transpose import ConvTranspose
from ..ops.linalg import Linear
from ..ops.norm import BatchNorm, BatchNormReLU, ChannelAffine
from ..ops.pool import MaxPool
from .products import column

Index = tuple[int, ...]


@dataclass(frozen=True)
class Effects:
    """The outputs that an element of an input has an effect on.

    Attributes
    ----------
    outputs : ndarray of int, shape (k, ndim of the output)
    factors : ndarray, shape (k,)
        dy[output] / dx[index].
    sources : ndarray of int, shape (k, ndim of the source), or None
        Where the factors were read, if they are elements of another operand.
    source : str
        What that operand, or the factor itself, is called: ``"x"``, ``"weight"``, ``"xhat"``, ``""``.
    """

    outputs: Array
    factors: Array
    sources: Array | None = None
    source: str = ""


def at(array: Array, indices: Array) -> Array:
    """The elements at rows of indices; of a number without dimensions, that number for each."""
    return array[tuple(indices.T)] if array.ndim else np.full(len(indices), array[()])


Rule = Callable[[Function, int, Index], Effects | None]


def effects(node: Function, argument: int, index: Index) -> Effects:
    """What one element of one argument does to the outputs of a node."""
    for kind in type(node).__mro__:
        if kind in RULES:
            found = RULES[kind](node, argument, index)
            if found is not None:
                return found
    return _by_own_rule(node, argument, index)


def _by_own_rule(node: Function, argument: int, index: Index) -> Effects:
    """The outputs that change; of an op that works element by element also the one that does not, because a gate is shut."""
    changes = column(node, argument, index)
    outputs = np.argwhere(changes != 0)
    if not len(outputs) and node.shape == node.input_shapes[argument]:
        outputs = np.array([index], int).reshape(1, len(index))
    return Effects(outputs, at(changes, outputs))


# Convolutions ---------------------------------------------------------------------------------------------------------
#
# All of them are one sum, T = sum of weight[o, c, t] * x[n, C, s i + d t - p] * y[n, o, i] with C the c-th channel of o's
# group. An op takes two of the three and its output is the third. One element held fixed leaves pairs of the other two.

_ROLES: dict[type[Function], tuple[str, str, str]] = {
    Conv: ("x", "weight", "y"),
    ConvTranspose: ("y", "weight", "x"),
    ConvInputGrad: ("y", "weight", "x"),
    ConvWeightGrad: ("x", "y", "weight"),
}


def conv_pairs(geometry: ConvGeometry, role: str, index: Index) -> dict[str, Array]:
    """The index pairs that one element of x, weight or y meets in a convolution's sum.

    Parameters
    ----------
    geometry : ConvGeometry
    role : {"x", "weight", "y"}
        Which of the three the element is of.
    index : tuple of int
        Which element.

    Returns
    -------
    dict of str to ndarray of int, shape (k, ndim)
        The indices in the other two, row by row in partnership.

    Examples
    --------
    The third pixel of five, under a kernel of three taps: it meets tap 2 in window 0, tap 1 in window 1, tap 0 in window 2.

    >>> pairs = conv_pairs(ConvGeometry.of((1, 1, 5), (1, 1, 3)), "x", (0, 0, 2))
    >>> pairs["weight"].tolist(), pairs["y"].tolist()
    ([[0, 0, 0], [0, 0, 1], [0, 0, 2]], [[0, 0, 2], [0, 0, 1], [0, 0, 0]])
    """
    g = geometry
    rows: dict[str, list[Index]] = {"x": [], "weight": [], "y": []}
    inner, outer = g.in_channels // g.groups, g.out_channels // g.groups
    if role == "weight":
        (o, c), tap = index[:2], index[2:]
        steps, places = _under_one_tap(g, tap)
        return {"x": _crossed(g.batch, o // outer * inner + c, places), "y": _crossed(g.batch, o, steps)}
    if role == "x":
        (n, channel), place = index[:2], index[2:]
        group = channel // inner
        windows = _windows(g, place)
        for o, (step, tap) in product(range(group * outer, (group + 1) * outer), windows):
            rows["weight"].append((o, channel % inner, *tap))
            rows["y"].append((n, o, *step))
    else:
        (n, o), step = index[:2], index[2:]
        for c, tap in product(range(inner), product(*(range(k) for k in g.kernel_size))):
            read = _place(g, step, tap)
            if read is not None:
                rows["x"].append((n, o // outer * inner + c, *read))
                rows["weight"].append((o, c, *tap))
    return {name: np.array(found, int).reshape(-1, g.dims + 2) for name, found in rows.items() if name != role}


def _under_one_tap(g: ConvGeometry, tap: Index) -> tuple[list[Array], list[Array]]:
    """Along each axis the windows whose tap lies inside the input, and where it lies."""
    axes = [
        tap_slices(t, size, out, stride, before, dilation)
        for t, size, out, stride, (before, _), dilation in zip(
            tap, g.in_size, g.out_size, g.stride, g.padding, g.dilation, strict=True
        )
    ]
    numbers = [(np.arange(out)[steps], np.arange(size)[places]) for (steps, places), out, size in zip(
        axes, g.out_size, g.in_size, strict=True
    )]
    return [steps for steps, _ in numbers], [places for _, places in numbers]


def _crossed(batch: int, channel: int, axes: list[Array]) -> Array:
    """Every index of one channel with the given positions, image by image."""
    grid = np.meshgrid(np.arange(batch), [channel], *axes, indexing="ij")
    return np.stack([along.ravel() for along in grid], 1)


def _place(g: ConvGeometry | PoolGeometry, step: Index, tap: Index) -> Index | None:
    """Where a tap of a window lies in the input; None in the padding."""
    place = tuple(
        i * stride + t * dilation - before
        for i, t, stride, dilation, (before, _) in zip(step, tap, g.stride, g.dilation, g.padding, strict=True)
    )
    return place if all(0 <= j < size for j, size in zip(place, g.in_size, strict=True)) else None


def _windows(g: ConvGeometry | PoolGeometry, place: Index) -> list[tuple[Index, Index]]:
    """The windows that a position of the input is in, and under which tap."""
    axes = []
    for j, kernel, stride, dilation, (before, _), out in zip(
        place, g.kernel_size, g.stride, g.dilation, g.padding, g.out_size, strict=True
    ):
        reached = [(divmod(j + before - t * dilation, stride), t) for t in range(kernel)]
        axes.append([(i, t) for (i, remainder), t in reached if remainder == 0 and 0 <= i < out])
    return [(tuple(i for i, _ in along), tuple(t for _, t in along)) for along in product(*axes)]


def _conv(node: Function, argument: int, index: Index) -> Effects | None:
    roles = next(_ROLES[kind] for kind in type(node).__mro__ if kind in _ROLES)
    if argument == 2:
        return _bias(node, index, axis=1)
    pairs = conv_pairs(node.params["geometry"], roles[argument], index)
    other = 1 - argument
    sources = pairs[roles[other]]
    name = list(inspect.signature(node.forward).parameters)[other]
    return Effects(pairs[roles[2]], node.saved_arrays[other][tuple(sources.T)], sources, name)


def _bias(node: Function, index: Index, axis: int) -> Effects:
    """What is added to each output of a channel: a factor 1 everywhere in it."""
    outputs = np.argwhere(np.ones(node.shape, bool))
    outputs = outputs[outputs[:, axis] == index[0]]
    return Effects(outputs, np.ones(len(outputs)))


# The other rules that know the names of their factors -----------------------------------------------------------------


def _linear(node: Function, argument: int, index: Index) -> Effects | None:
    rows, width = node.shape
    if argument == 2:
        return _bias(node, index, axis=1)
    if argument == 1:
        n = np.arange(rows)
        outputs = np.stack([n, np.full(rows, index[0])], 1)
        sources = np.stack([n, np.full(rows, index[1])], 1)
    else:
        o = np.arange(width)
        outputs = np.stack([np.full(width, index[0]), o], 1)
        sources = np.stack([o, np.full(width, index[1])], 1)
    factors = node.saved_arrays[1 - argument][tuple(sources.T)]
    return Effects(outputs, factors, sources, ("weight", "x")[argument])


def _batch_norm(node: Function, argument: int, index: Index) -> Effects | None:
    if argument == 0:
        return None  # through the statistics it has an effect on its whole channel: the op's own rule knows how
    if argument == 2:
        return _bias(node, index, axis=1)
    x, _, mean, rstd = node.saved_arrays[:4]
    c = index[0]
    outputs = _bias(node, index, axis=1).outputs
    xhat = (x[tuple(outputs.T)].astype(np.float64) - mean.reshape(-1)[c]) * rstd.reshape(-1)[c]
    return Effects(outputs, xhat, outputs, "xhat")


def _batch_norm_relu(node: Function, argument: int, index: Index) -> Effects | None:
    """Batch norm's where the rectifier is open, 0 where it is shut."""
    found = _batch_norm(node, argument, index)
    if found is None:
        return None
    is_open = at(node.saved_arrays[4], found.outputs) > 0
    return replace(found, factors=np.where(is_open, found.factors, 0.0))


def _channel_affine(node: Function, argument: int, index: Index) -> Effects | None:
    if argument == 0:
        return None
    if argument == 2:
        return _bias(node, index, axis=1)
    outputs = _bias(node, index, axis=1).outputs
    return Effects(outputs, node.saved_arrays[0][tuple(outputs.T)], outputs, "x")


def _max_pool(node: Function, argument: int, index: Index) -> Effects | None:
    """Every window that the element is in, with 1 where it was chosen and 0 where another was."""
    geometry: PoolGeometry = node.params["geometry"]
    (indices,) = node.saved_arrays
    steps = [step for step, _ in _windows(geometry, index[2:])]
    outputs = np.array([(*index[:2], *step) for step in steps], int).reshape(-1, len(index))
    flat = np.ravel_multi_index(index[2:], geometry.in_size)
    return Effects(outputs, (indices[tuple(outputs.T)] == flat).astype(node.dtype))


RULES: dict[type[Function], Rule] = {
    **dict.fromkeys(_ROLES, _conv),
    Linear: _linear,
    BatchNorm: _batch_norm,
    BatchNormReLU: _batch_norm_relu,
    ChannelAffine: _channel_affine,
    MaxPool: _max_pool,
}
