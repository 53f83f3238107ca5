"""Which positions of an op's input its outputs read, dimension by dimension: the steps that receptive fields are made of.

Along one dimension, element i of the unit's axis sees the positions from ``jump * i + low`` to ``jump * i + high``. A window
op with stride s, dilation d, kernel k and padding p in front reads, for its output positions lo to hi, the inputs

    s * lo - p   to   s * hi - p + d (k - 1)

and a transposed convolution, whose output j adds up the inputs i with s i + d t - p = j, those from

    (j + p - d (k - 1)) / s   to   (j + p) / s

so jumps are fractions. What has no such form (a sum, a matrix product, a reordering) sees everything along a dimension.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..autograd.function import Array, Function
from ..kernels.geometry import ConvGeometry, PoolGeometry
from ..ops import activation, elementwise, pool_adaptive, rectifier, reduce, shape, smooth
from ..ops.conv import Conv, ConvInputGrad
from ..ops.conv_transpose import ConvTranspose
from ..ops.dropout import Dropout
from ..ops.linalg import Linear
from ..ops.norm import BatchNorm, BatchNormReLU, ChannelAffine, ChannelWindowSum, LocalResponseNorm
from ..ops.pool import AvgPool, MaxPool
from ..ops.pool_random import StochasticPool
from ..ops.resample import Resample

Line = tuple[int, Fraction]
"""The unit's axis that positions move along, and how far for each step of it."""


@dataclass(frozen=True)
class Sees:
    """What a unit sees along one dimension of a tensor.

    Attributes
    ----------
    spans : dict of (axis, jump) to (low, high)
        Element i of the unit's `axis` sees from ``jump * i + low`` to ``jump * i + high``. More than one where paths with
        different jumps meet.
    everything : bool
        Whether it sees the whole dimension, wherever it is.
    aligned : bool
        Whether all paths so far had one jump and one centre.
    """

    spans: dict[Line, tuple[Fraction, Fraction]]
    everything: bool = False
    aligned: bool = True

    def moved(self, scale: Fraction | int, low: Fraction | int, high: Fraction | int) -> "Sees":
        """Through an op whose output j reads from ``scale * j + low`` to ``scale * j + high``."""
        spans = {
            (axis, jump * scale): (lo * scale + low, hi * scale + high) for (axis, jump), (lo, hi) in self.spans.items()
        }
        return Sees(spans, self.everything, self.aligned)

    def joined(self, other: "Sees") -> "Sees":
        """Seen by either of two paths."""
        spans = dict(self.spans)
        aligned = self.aligned and other.aligned and self.everything == other.everything
        aligned = aligned and set(self.spans) == set(other.spans)
        for line, (lo, hi) in other.spans.items():
            low, high = spans.get(line, (lo, hi))
            aligned = aligned and low + high == lo + hi
            spans[line] = min(low, lo), max(high, hi)
        return Sees(spans, self.everything or other.everything, aligned)


EVERYTHING = Sees({}, everything=True)


def through(node: Function, argument: int, seen: Sequence[Sees]) -> list[Sees]:
    """What is seen of an argument, from what is seen of the op's output, one for each dimension."""
    rule = RULES.get(type(node))
    found = rule(node, argument, seen) if rule is not None else None
    return [EVERYTHING] * len(node.input_shapes[argument]) if found is None else found


Rule = Callable[[Function, int, Sequence[Sees]], list[Sees] | None]


def _same(node: Function, argument: int, seen: Sequence[Sees]) -> list[Sees]:
    """Element by element; dimensions are broadcast from the last."""
    shape_in = node.input_shapes[argument]
    kept = seen[len(seen) - len(shape_in) :]
    return [s if n == m else EVERYTHING for s, n, m in zip(kept, shape_in, node.shape[len(seen) - len(kept) :], strict=True)]


def _channelwise(node: Function, argument: int, seen: Sequence[Sees]) -> list[Sees] | None:
    """A parameter for each channel; the statistics of batch norm are left out, as is the custom."""
    return list(seen) if argument == 0 else None


def _across_channels(node: Function, argument: int, seen: Sequence[Sees]) -> list[Sees]:
    return [seen[0], EVERYTHING, *seen[2:]]


def _along_dim(node: Function, argument: int, seen: Sequence[Sees]) -> list[Sees]:
    return [EVERYTHING if i == node.params["dim"] % len(seen) else s for i, s in enumerate(seen)]


def _window(node: Function, argument: int, seen: Sequence[Sees]) -> list[Sees] | None:
    if argument:
        return None
    g: ConvGeometry | PoolGeometry = node.params["geometry"]
    spatial = [
        s.moved(stride, -before, dilation * (kernel - 1) - before)
        for s, stride, (before, _), dilation, kernel in zip(
            seen[2:], g.stride, g.padding, g.dilation, g.kernel_size, strict=True
        )
    ]
    return [seen[0], seen[1] if isinstance(g, PoolGeometry) else EVERYTHING, *spatial]


def _transposed(node: Function, argument: int, seen: Sequence[Sees]) -> list[Sees] | None:
    if argument:
        return None
    g: ConvGeometry = node.params["geometry"]
    spatial = [
        s.moved(Fraction(1, stride), Fraction(before - dilation * (kernel - 1), stride), Fraction(before, stride))
        for s, stride, (before, _), dilation, kernel in zip(
            seen[2:], g.stride, g.padding, g.dilation, g.kernel_size, strict=True
        )
    ]
    return [seen[0], EVERYTHING, *spatial]


def _rows(lows: Array, highs: Array, size: int) -> tuple[Fraction, Fraction, Fraction]:
    """Scale, low and high that hold for every output, from what each one reads."""
    scale = Fraction(size, len(lows))
    return (
        scale,
        min(int(low) - scale * j for j, low in enumerate(lows)),
        max(int(high) - scale * j for j, high in enumerate(highs)),
    )


def _adaptive(node: Function, argument: int, seen: Sequence[Sees]) -> list[Sees]:
    spatial = []
    for s, size, out in zip(seen[2:], node.input_shapes[0][2:], node.shape[2:], strict=True):
        j = np.arange(out)
        spatial.append(EVERYTHING if out == 1 else s.moved(*_rows(j * size // out, -(-(j + 1) * size // out) - 1, size)))
    return [*seen[:2], *spatial]


def _resample(node: Function, argument: int, seen: Sequence[Sees]) -> list[Sees]:
    spatial = []
    for s, taps in zip(seen[2:], node.params["taps"], strict=True):
        lows = np.where(taps.weight != 0, taps.index, taps.size).min(1)
        highs = np.where(taps.weight != 0, taps.index, -1).max(1)
        spatial.append(s.moved(*_rows(np.minimum(lows, highs), highs, taps.size)))
    return [*seen[:2], *spatial]


def _reduced(node: Function, argument: int, seen: Sequence[Sees]) -> list[Sees]:
    kept = iter(seen)
    found = []
    for i in range(len(node.input_shapes[0])):
        gone = i in node.params["dims"]
        if not gone or node.params["keepdim"]:
            s = next(kept)
        found.append(EVERYTHING if gone else s)
    return found


def _rows_of(node: Function, argument: int, seen: Sequence[Sees]) -> list[Sees] | None:
    return [seen[0], EVERYTHING] if argument == 0 else None


def _reshape(node: Function, argument: int, seen: Sequence[Sees]) -> list[Sees]:
    """Dimensions that are the same, counted from the first or from the last, stay; between them all is mixed."""
    before, after = node.input_shapes[0], node.shape
    front = 0
    while front < min(len(before), len(after)) and before[front] == after[front]:
        front += 1
    back = 0
    while back < min(len(before), len(after)) - front and before[-1 - back] == after[-1 - back]:
        back += 1
    mixed = len(before) - front - back
    return [*seen[:front], *[EVERYTHING] * mixed, *seen[len(seen) - back :]]


def _permute(node: Function, argument: int, seen: Sequence[Sees]) -> list[Sees]:
    found = list(seen)
    for s, dim in zip(seen, node.params["dims"], strict=True):
        found[dim] = s
    return found


def _getitem(node: Function, argument: int, seen: Sequence[Sees]) -> list[Sees] | None:
    """Slices shift and scale, a number picks one position; anything else may pick any."""
    index = node.params["index"]
    parts = list(index) if isinstance(index, tuple) else [index]
    shape_in = node.input_shapes[0]
    if any(not isinstance(part, int | slice) or isinstance(part, bool) for part in parts):
        return None
    outputs = iter(seen)
    found = []
    for part, size in zip(parts + [slice(None)] * (len(shape_in) - len(parts)), shape_in, strict=True):
        if isinstance(part, int):
            here = Fraction(part % size)
            found.append(Sees({(0, Fraction(0)): (here, here)}))
        else:
            start, _, step = part.indices(size)
            found.append(next(outputs).moved(step, start, start))
    return found


def _cat(node: Function, argument: int, seen: Sequence[Sees]) -> list[Sees]:
    dim = node.params["dim"]
    offset = sum(taken[dim] for taken in node.input_shapes[:argument])
    return [s.moved(1, -offset, -offset) if i == dim else s for i, s in enumerate(seen)]


def _pad(node: Function, argument: int, seen: Sequence[Sees]) -> list[Sees]:
    return [s.moved(1, -before, -before) for s, (before, _) in zip(seen, node.params["padding"], strict=True)]


def _ops_of(*modules: object) -> list[type[Function]]:
    return [
        op
        for module in modules
        for op in vars(module).values()
        if isinstance(op, type) and issubclass(op, Function) and op.__module__ == getattr(module, "__name__", "")
    ]


RULES: dict[type[Function], Rule] = {
    **dict.fromkeys(_ops_of(elementwise, activation, rectifier, smooth), _same),
    Dropout: _same,
    activation.Softmax: _along_dim,
    activation.LogSoftmax: _along_dim,
    BatchNorm: _channelwise,
    BatchNormReLU: _channelwise,
    ChannelAffine: _channelwise,
    LocalResponseNorm: _across_channels,
    ChannelWindowSum: _across_channels,
    Conv: _window,
    MaxPool: _window,
    AvgPool: _window,
    StochasticPool: _window,
    ConvTranspose: _transposed,
    ConvInputGrad: _transposed,
    pool_adaptive.AdaptiveAvgPool: _adaptive,
    pool_adaptive.AdaptiveMaxPool: _adaptive,
    Resample: _resample,
    **dict.fromkeys(_ops_of(reduce), _reduced),
    reduce.Cumsum: lambda node, argument, seen: None,
    Linear: _rows_of,
    shape.Reshape: _reshape,
    shape.Permute: _permute,
    shape.Expand: _same,
    shape.GetItem: _getitem,
    shape.Cat: _cat,
    shape.Pad: _pad,
}
