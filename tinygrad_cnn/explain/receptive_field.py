"""Receptive fields: which pixels a unit can see, over every path of the recorded graph.

The field of a unit grows from the unit backwards. Each op says what its outputs read of its inputs (`sees`); where paths
meet (a skip connection, the branches of an Inception module) the unit sees what any of them sees. This is the *theoretical*
field. How much each pixel counts is another matter: the *effective* field is the gradient of one unit with respect to the
image, and is usually a small bump in the middle of the theoretical one.

References
----------
Araujo, Norris, Sim 2019, "Computing receptive fields of convolutional neural networks", Distill.
Luo, Li, Urtasun, Zemel 2016, "Understanding the effective receptive field in deep convolutional neural networks".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..autograd.function import Array
from ..autograd.functional import grad
from ..autograd.walk import consumers, reachable
from ..errors import ArgumentError, AutogradError, ShapeError
from ..ops.group_norm import Standardize
from ..ops.norm import BatchNorm
from ..tensor import Tensor
from .recorded import retained_gradients_kept
from .sees import EVERYTHING, Sees, through

Span = tuple[int, int]


@dataclass(frozen=True)
class ReceptiveField:
    """What the units of a tensor see of an input, for each spatial axis of the input.

    Attributes
    ----------
    size : tuple of int or Fraction
        Pixels that a unit sees, padding included. Along an axis that every unit sees whole, the input's size.
    jump : tuple of (int or Fraction) or None
        Pixels between the fields of neighbouring units: the product of the strides, a fraction behind transposed
        convolutions; 0 where every unit sees all. None where paths have different jumps.
    start : tuple of (int or Fraction)
        The first pixel that unit 0 sees; negative in the padding.
    centre : tuple of (int or Fraction)
        The middle of what unit 0 sees, in pixels.
    aligned : bool
        Whether all paths have the same jump and centre, along every axis. If not, the field's size still is that of the
        union, but its centre is not the centre of each path.
    input_size, units : tuple of int
        The input's spatial size, and that of the tensor that the units are of.
    notes : tuple of str
        What the field leaves out: the statistics of batch norm in training mode see the whole batch.
    """

    size: tuple[Fraction, ...]
    jump: tuple[Fraction | None, ...]
    start: tuple[Fraction, ...]
    centre: tuple[Fraction, ...]
    aligned: bool
    input_size: tuple[int, ...]
    units: tuple[int, ...]
    notes: tuple[str, ...]
    _seen: tuple[Sees, ...]

    def of(self, unit: Sequence[int], *, clip: bool = True) -> tuple[Span, ...]:
        """The pixels (first, last) that one unit sees along each axis.

        Parameters
        ----------
        unit : sequence of int
            Its position along each spatial axis of the tensor.
        clip : bool
            Only count pixels of the input, not of the padding around it.

        Raises
        ------
        ShapeError
            If there is no such unit.
        """
        at = tuple(int(i) for i in unit)
        if len(at) != len(self.units) or not all(0 <= i < n for i, n in zip(at, self.units, strict=True)):
            raise ShapeError(f"receptive_field: there is no unit {at}: the tensor has spatial size {self.units}")
        return tuple(_of_unit(seen, at, n, clip) for seen, n in zip(self._seen, self.input_size, strict=True))

    def __str__(self) -> str:
        """A row for each axis."""
        names = ("length",) if len(self.size) == 1 else ("depth", "height", "width")[-len(self.size) :]
        rows: list[tuple[str, ...]] = [("axis", "size", "jump", "start", "centre")]
        for name, *values in zip(names, self.size, self.jump, self.start, self.centre, strict=True):
            rows.append((name, *("-" if value is None else str(value) for value in values)))
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        if not self.aligned:
            lines.append("The paths are not aligned: they have different jumps or centres; the field is their union.")
        return "\n".join([*lines, *self.notes])


def _of_unit(seen: Sees, at: tuple[int, ...], n: int, clip: bool) -> Span:
    """Positions are whole, so a bound between two pixels is the one inside."""
    if seen.everything:
        return 0, n - 1
    shifted = [(jump * at[axis - 2] if jump else 0, lo, hi) for (axis, jump), (lo, hi) in seen.spans.items()]
    bounds = [(math.ceil(shift + lo), math.floor(shift + hi)) for shift, lo, hi in shifted]
    low, high = min((b[0] for b in bounds), default=0), max((b[1] for b in bounds), default=-1)
    return (max(low, 0), min(high, n - 1)) if clip else (low, high)


def receptive_field(y: Tensor, wrt: Tensor) -> ReceptiveField:
    """Find what the units of a tensor see of an input, from the recorded graph.

    Parameters
    ----------
    y : Tensor, shape (n, c, ...)
        The units: an output, or any tensor on the way to it.
    wrt : Tensor, shape (n, c, ...)
        The input, with 1 to 3 spatial axes; it must require a gradient, or it is no part of the graph.

    Returns
    -------
    ReceptiveField

    Raises
    ------
    AutogradError
        If `y` does not depend on `wrt`.
    ShapeError
        If the input has no spatial axes.

    References
    ----------
    Araujo, Norris, Sim 2019; their r, S and the distance from -P are size, jump and start here.

    Examples
    --------
    Two 3x3 convolutions see what one 5x5 sees:

    >>> import tinygrad_cnn as tg
    >>> x = tg.zeros(1, 1, 8, 8).requires_grad_()
    >>> weight = tg.ones(1, 1, 3, 3)
    >>> y = tg.conv2d(tg.conv2d(x, weight, padding=1), weight, padding=1)
    >>> print(receptive_field(y, wrt=x))
      axis  size  jump  start  centre
    height     5     1     -2       0
     width     5     1     -2       0
    """
    if wrt.ndim < 3:
        raise ShapeError(f"receptive_field: the input has shape {wrt.shape}, it needs (n, c, ...) with 1 to 3 spatial axes")
    target = wrt._edge()
    order = reachable([y._edge()])
    if target not in order or not wrt.requires_grad:
        raise AutogradError(
            f"receptive_field: the units do not depend on the input of shape {wrt.shape}, as far as the graph knows; set "
            "requires_grad=True on the input before the forward pass"
        )
    start = Fraction(0), Fraction(0)
    # Batch and channel are no places in the picture: a unit is one of them all.
    own = [EVERYTHING if i < 2 else Sees({(i, Fraction(1)): start}) for i in range(y.ndim)]
    users = consumers(order)
    known = {y._edge(): own}
    for node in order:
        for user, argument in users[node]:
            if user in known:
                found = through(user, argument, known[user])
                held = known.get(node)
                known[node] = found if held is None else [a.joined(b) for a, b in zip(held, found, strict=True)]
        if node is target:
            break
    between = [node for node in order if isinstance(node, BatchNorm | Standardize) and node in known]
    return _described(known[target], y, wrt, [node.described for node in between])


def _described(seen: Sequence[Sees], y: Tensor, wrt: Tensor, coupled: Sequence[str]) -> ReceptiveField:
    axes = [_axis(s, n, y.shape) for s, n in zip(seen[2:], wrt.shape[2:], strict=True)]
    size, jump, start, centre = zip(*axes, strict=True)
    notes: tuple[str, ...] = ()
    if coupled:
        notes = (f"Left out: {', '.join(dict.fromkeys(coupled))} also sees all that its statistics are of.",)
    aligned = all(s.aligned for s in seen[2:])
    return ReceptiveField(
        size, jump, start, centre, aligned, tuple(wrt.shape[2:]), tuple(y.shape[2:]), notes, tuple(seen[2:])
    )


def _axis(seen: Sees, n: int, units: Sequence[int]) -> tuple[Fraction, Fraction | None, Fraction, Fraction]:
    """Size, jump, start and centre along one axis."""
    if seen.everything:
        return Fraction(n), Fraction(0), Fraction(0), Fraction(n - 1, 2)
    low, high = min(lo for lo, _ in seen.spans.values()), max(hi for _, hi in seen.spans.values())
    if len(seen.spans) == 1:
        ((_, jump),) = seen.spans
        return high - low + 1, jump, low, (low + high) / 2
    widest = max(
        max(jump * i + hi for (_, jump), (_, hi) in seen.spans.items())
        - min(jump * i + lo for (_, jump), (lo, _) in seen.spans.items())
        for i in range(max(units[axis] for axis, _ in seen.spans))
    )
    return widest + 1, None, low, (low + high) / 2


def effective_field(y: Tensor, wrt: Tensor, unit: Sequence[int] | None = None, *, channel: int = 0, sample: int = 0) -> Array:
    """How strongly each pixel counts for one unit: the magnitude of its gradient.

    Parameters
    ----------
    y : Tensor, shape (n, c, ...)
        The units; the graph is kept.
    wrt : Tensor, shape (n, c, ...)
        The input.
    unit : sequence of int, optional
        The unit's position along the spatial axes of `y`; the middle one if not given.
    channel, sample : int
        Which channel of `y`, and which image of the batch.

    Returns
    -------
    ndarray, of the input's spatial size
        The sum over the input's channels of the absolute gradient.

    Raises
    ------
    ArgumentError
        If there is no such unit.

    References
    ----------
    Luo, Li, Urtasun, Zemel 2016.
    """
    at = tuple(n // 2 for n in y.shape[2:]) if unit is None else tuple(int(i) for i in unit)
    index = (sample, channel, *at)
    if len(index) != y.ndim or not all(0 <= i < n for i, n in zip(index, y.shape, strict=True)):
        raise ArgumentError(f"effective_field: there is no unit at {index} (sample, channel, ...) in a tensor of {y.shape}")
    start = np.zeros(y.shape, y.dtype)
    start[index] = 1
    with retained_gradients_kept(reachable([y._edge()])):
        (gradient,) = grad(y, wrt, Tensor(start), retain_graph=True, materialize_grads=True)
    assert gradient is not None
    field: Array = np.abs(gradient.array[sample]).sum(0)
    return field
