"""What a convolution does, one sum at a time, as plain data.

Every number that a convolution computes, forward or backward, is a sum of products of two cells, and which cells they are
follows from one line of index algebra along each axis:

    output i meets, under tap t, the input at  i * stride + t * dilation - before

Each triple (output, tap, input) is one product. Collected by output they are the forward pass, by input the gradient of
the input, by tap the gradient of the weight. A transposed convolution has the same triples with input and output
exchanged. A `Frame` is one of these sums; a `Story` is all of them, in order, with the planes that they are drawn on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Literal

from ..errors import ArgumentError
from ..kernels.geometry import ConvGeometry
from ..kernels.spelling import Pairs, Sizes

Cell = tuple[int, ...]
Show = Literal["forward", "input_grad", "weight_grad"]
SHOWS = ("forward", "input_grad", "weight_grad")
MOST_PRODUCTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Term:
    """One product of a sum.

    Attributes
    ----------
    source : tuple of int
        The cell read on the source plane. Row -1 is the first row of padding before the plane.
    factor : tuple of int
        The cell that it is multiplied with: a tap of the kernel or, for the weight's gradient, a cell of the other plane.
    padding : bool
        Whether the source lies in the padding, so that the product is 0.
    """

    source: Cell
    factor: Cell
    padding: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """One sum: the cell that it makes and its products. No products: nothing reaches this cell, it is 0.

    Attributes
    ----------
    group : int
        The group of channels; within a group every channel reads every other in the same way.
    target : tuple of int
        The cell that is computed.
    terms : tuple of Term
        In the order of the factors.
    """

    group: int
    target: Cell
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Plane:
    """One of the three planes: what it is called, its size, and its border of padding (or of what is cropped off)."""

    name: str
    size: Sizes
    border: Pairs


@dataclass(frozen=True, slots=True)
class Story:
    """All sums of one convolution.

    Attributes
    ----------
    op : str
        "conv2d", "conv_transpose2d" and so on.
    show : {"forward", "input_grad", "weight_grad"}
    settings : dict
        Stride, padding, dilation and groups.
    source, factor, target : Plane
        What is read, what it is multiplied with, what is made.
    groups : int
    frames : tuple of Frame
        By group, then in row-major order of the target.
    """

    op: str
    show: Show
    settings: dict[str, object]
    source: Plane
    factor: Plane
    target: Plane
    groups: int
    frames: tuple[Frame, ...]

    def to_json(self) -> str:
        """The same as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))


def positions(size: Sizes) -> Iterator[Cell]:
    """List every cell of a plane in row-major order."""
    return product(*(range(length) for length in size))


def products(geometry: ConvGeometry) -> Iterator[tuple[Cell, Cell, Cell, bool]]:
    """List (output, tap, input, whether that input is padding) for every product on one pair of channels."""
    for output in positions(geometry.out_size):
        for tap in positions(geometry.kernel_size):
            at = tuple(
                i * stride + t * dilation - before
                for i, t, stride, dilation, (before, _) in zip(
                    output, tap, geometry.stride, geometry.dilation, geometry.padding, strict=True
                )
            )
            yield output, tap, at, not all(0 <= i < size for i, size in zip(at, geometry.in_size, strict=True))


def story(geometry: ConvGeometry, transposed: bool = False, show: Show = "forward") -> Story:
    """Collect the products of a convolution, or of the transposed one, by what they are summed into.

    Parameters
    ----------
    geometry : ConvGeometry
        For a transposed convolution, that of the convolution whose transpose it is.
    transposed : bool
    show : {"forward", "input_grad", "weight_grad"}
        Which of the three sums.

    Returns
    -------
    Story

    Raises
    ------
    ArgumentError
        For another `show`, or more than a million products on a pair of channels.
    """
    if show not in SHOWS:
        raise ArgumentError(f"animate_conv: show must be one of {', '.join(SHOWS)}; got {show!r}")
    count = math.prod(geometry.out_size) * math.prod(geometry.kernel_size) * geometry.groups
    if count > MOST_PRODUCTS:
        raise ArgumentError(
            f"animate_conv: {count:,} products are more than can be watched: give a smaller input, such as input=(7, 7)"
        )
    flat = ((0, 0),) * geometry.dims
    # A convolution goes from its wide plane (which has the padding) to its narrow one, a transposed one the other way.
    into_narrow = (show == "forward") != transposed
    into, out_of = ("y", "x") if show == "forward" else ("gx", "gy")
    weight = Plane("weight", geometry.kernel_size, flat)
    if show == "weight_grad":
        names = ("gy", "x") if transposed else ("x", "gy")
        planes = (
            Plane(names[0], geometry.in_size, geometry.padding),
            Plane(names[1], geometry.out_size, flat),
            Plane("gweight", geometry.kernel_size, flat),
        )
        sums: dict[Cell, list[Term]] = {tap: [] for tap in positions(geometry.kernel_size)}
        for output, tap, at, padding in products(geometry):
            sums[tap].append(Term(at, output, padding))
    elif into_narrow:
        planes = (Plane(out_of, geometry.in_size, geometry.padding), weight, Plane(into, geometry.out_size, flat))
        sums = {output: [] for output in positions(geometry.out_size)}
        for output, tap, at, padding in products(geometry):
            sums[output].append(Term(at, tap, padding))
    else:
        planes = (Plane(out_of, geometry.out_size, flat), weight, Plane(into, geometry.in_size, geometry.padding))
        sums = {cell: [] for cell in positions(geometry.in_size)}
        for output, tap, at, padding in products(geometry):
            if not padding:
                sums[at].append(Term(output, tap, False))
        for terms in sums.values():
            terms.sort(key=lambda term: term.factor)
    frames = [Frame(group, target, tuple(terms)) for group in range(geometry.groups) for target, terms in sums.items()]
    settings: dict[str, object] = {name: getattr(geometry, name) for name in ("stride", "padding", "dilation", "groups")}
    op = f"{'conv_transpose' if transposed else 'conv'}{geometry.dims}d"
    return Story(op, show, settings, *planes, geometry.groups, tuple(frames))
