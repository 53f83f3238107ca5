r"""A convolution as the matrix that it is.

Flatten the input and the output: every output is a weighted sum of inputs, so y = A x + bias with one row of A for each
output number and one column for each input number. Each row holds the same weights, moved along by the stride, and zeros
everywhere else (a Toeplitz matrix, of blocks in two dimensions). So the backward pass needs no new idea: gx = A' gy. A
transposed convolution *is* A' as a layer; it has the connections of the convolution, and does not invert it.

Several input sizes have the same output size, since windows that would not fit whole are left out. The transposed
convolution therefore has to be told which of them to give back: that is `output_padding`.

References
----------
Dumoulin, Visin 2016, "A guide to convolution arithmetic for deep learning", section 4.1.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import product
from typing import Any

import numpy as np

from ..autograd.function import Array
from ..errors import ArgumentError
from ..kernels.geometry import ConvGeometry
from ..kernels.spelling import axis_names, per_axis, reach
from ..nn.conv import _Conv
from ..nn.conv_transpose import _ConvTranspose
from .frames import positions, products
from .stage import colour

MOST_NUMBERS = 20_000_000
MOST_DRAWN = 400  # rows or columns of a picture

STYLE = """#{id}{{color-scheme:light dark;--ink:#16191f;--line:#b9c1cc;--cell:#fff}}
@media(prefers-color-scheme:dark){{#{id}{{--ink:#e8eaee;--line:#4a5361;--cell:#20252d}}}}
.{id}t{{font:{small}px system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:var(--ink)}}
.{id}n{{font:{number}px system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#16191f;text-anchor:middle}}"""


@dataclass(frozen=True, slots=True, eq=False)
class ConvMatrix:
    """A convolution's matrix, with the names of its rows and columns.

    Attributes
    ----------
    array : ndarray, shape (outputs, inputs)
        y.ravel() = array @ x.ravel() for one image, plus the bias of each row's channel.
    taps : ndarray of int, shape (outputs, inputs)
        Which weight stands there, as an index into ``weight.ravel()``; -1 where there is none and the entry is 0.
    rows, columns : tuple of str
        ``"y[0, 1, 2]"``: channel, row and column of the output; and ``"x[0, 1, 2]"`` of the input.
    weight_shape : tuple of int
    sizes : dict
        For each spatial axis of the convolution, the input sizes that have one output size, by the output_padding with
        which the transposed convolution gives each back: ``{"width": {0: 5, 1: 6}}``.
    out_size : tuple of int
        That one output size, for each axis.
    """

    array: Array
    taps: Array
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    weight_shape: tuple[int, ...]
    sizes: dict[str, dict[int, int]]
    out_size: tuple[int, ...]

    @property
    def T(self) -> ConvMatrix:  # noqa: N802 - NumPy's name
        """The transpose: the matrix of the transposed convolution with the same weight, and of the backward pass."""
        rows = tuple(f"gx{name[1:]}" if name[0] == "x" else name for name in self.columns)
        columns = tuple(f"gy{name[1:]}" if name[0] == "y" else name for name in self.rows)
        return ConvMatrix(self.array.T, self.taps.T, rows, columns, self.weight_shape, self.sizes, self.out_size)

    def sizes_table(self) -> str:
        """The sizes that `output_padding` tells apart, as a small table."""
        lines = [f"{'axis':8}{'conv maps these inputs':>26}  {'to output':>9}   conv_transpose gives them with output_padding"]
        for (name, sizes), out in zip(self.sizes.items(), self.out_size, strict=True):
            lines.append(f"{name:8}{', '.join(map(str, sizes.values())):>26}  {out:>9}   {', '.join(map(str, sizes))}")
        return "\n".join(lines)

    def svg(self) -> str:
        """Draw the matrix, with one colour for each tap of the kernel.

        Raises
        ------
        ArgumentError
            For more than 400 rows or columns, which nobody could read; `array` has them.
        """
        height, width = self.array.shape
        if max(height, width) > MOST_DRAWN:
            raise ArgumentError(
                f"as_matrix: a matrix of {height} x {width} could not be read, at most {MOST_DRAWN} rows and columns are "
                "drawn: take a smaller input_size"
            )
        return _drawn(self)

    def _repr_html_(self) -> str:
        if max(self.array.shape) > MOST_DRAWN:
            return f"<p>{escape(repr(self))}</p><pre>{escape(self.sizes_table())}</pre>"
        return f"{self.svg()}<pre>{escape(self.sizes_table())}</pre>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.array, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        filled = int((self.taps >= 0).sum())
        share = 100 * filled / self.array.size
        return (
            f"<ConvMatrix {self.array.shape[0]} x {self.array.shape[1]}: {filled} entries ({share:.0f}%) from "
            f"{math.prod(self.weight_shape)} weights>"
        )


def as_matrix(conv: _Conv, input_size: Sequence[int] | int) -> ConvMatrix:
    """Write out the matrix of a convolution layer.

    Parameters
    ----------
    conv : Conv1d, Conv2d, Conv3d or ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
        Padded with zeros. The bias is no part of the matrix.
    input_size : (h, w), or int for the same along each axis
        The layer's input, in pixels.

    Returns
    -------
    ConvMatrix
        A notebook shows it, coloured by tap.

    Raises
    ------
    ArgumentError
        If `conv` is no such layer, pads otherwise, or the matrix would have more than 20 million numbers.
    ShapeError
        Sizes that do not fit, with the arithmetic.

    Examples
    --------
    >>> import numpy as np
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import learn, nn
    >>> conv = nn.Conv1d(1, 1, kernel_size=3, stride=2, padding=1, bias=False)
    >>> conv.weight.data = tg.tensor([[[1.0, 2.0, 3.0]]])
    >>> matrix = learn.as_matrix(conv, 6)
    >>> matrix.array
    array([[2., 3., 0., 0., 0., 0.],
           [0., 1., 2., 3., 0., 0.],
           [0., 0., 0., 1., 2., 3.]], dtype=float32)
    >>> matrix.sizes
    {'width': {0: 5, 1: 6}}
    """
    if not isinstance(conv, _Conv):
        raise ArgumentError(f"as_matrix: needs a convolution layer, such as nn.Conv2d(1, 1, 3); got {type(conv).__name__}")
    if conv.padding_mode != "zeros":
        raise ArgumentError(
            f"as_matrix: draws padding with zeros; this layer has padding_mode={conv.padding_mode!r}, which is a matrix before "
            "the convolution's: pad first"
        )
    transposed = isinstance(conv, _ConvTranspose)
    size = per_axis("as_matrix", "input_size", input_size, conv._dims, at_least=1)
    x_shape, weight = (1, conv.in_channels, *size), conv.weight.array
    options = (conv.stride, conv.padding)
    if transposed:
        geometry = ConvGeometry.for_transpose(
            x_shape, weight.shape, *options, conv.output_padding, conv.dilation, conv.groups
        )
    else:
        geometry = ConvGeometry.of(x_shape, weight.shape, *options, conv.dilation, conv.groups)
    if math.prod(geometry.x_shape) * math.prod(geometry.y_shape) > MOST_NUMBERS:
        raise ArgumentError(
            f"as_matrix: {math.prod(geometry.y_shape):,} x {math.prod(geometry.x_shape):,} numbers are more than a dense "
            "matrix should have: take a smaller input_size or fewer channels"
        )
    taps = _tap_of_each_entry(geometry)
    array = np.where(taps >= 0, weight.ravel()[taps], weight.dtype.type(0))
    names = [f"[{', '.join(map(str, at))}]" for at in positions(geometry.y_shape[1:])]
    wide = [f"[{', '.join(map(str, at))}]" for at in positions(geometry.x_shape[1:])]
    sizes = {name: same_output(geometry, axis) for axis, name in enumerate(axis_names(geometry.dims))}
    if transposed:
        array, taps, names, wide = array.T, taps.T, wide, names
    rows, columns = tuple(f"y{name}" for name in names), tuple(f"x{name}" for name in wide)
    return ConvMatrix(array, taps, rows, columns, geometry.weight_shape, sizes, geometry.out_size)


def _tap_of_each_entry(geometry: ConvGeometry) -> Array:
    """For each output and each input number, the flat index of the weight between them, or -1."""
    taps = np.full((*geometry.y_shape[1:], *geometry.x_shape[1:]), -1)
    channels, filters = geometry.weight_shape[1], geometry.out_channels // geometry.groups
    for output, tap, at, padding in products(geometry):
        if padding:
            continue
        for o, c in product(range(geometry.out_channels), range(channels)):
            weight = np.ravel_multi_index((o, c, *tap), geometry.weight_shape)
            taps[(o, *output, o // filters * channels + c, *at)] = weight
    return taps.reshape(math.prod(geometry.y_shape), math.prod(geometry.x_shape))


def same_output(geometry: ConvGeometry, axis: int) -> dict[int, int]:
    """Map output_padding to the input size, for all input sizes along one axis that have this geometry's output size."""
    before, after = geometry.padding[axis]
    span = reach(geometry.kernel_size[axis], geometry.dilation[axis])
    least = (geometry.out_size[axis] - 1) * geometry.stride[axis] - before - after + span
    return {extra: least + extra for extra in range(geometry.stride[axis]) if least + extra >= 1}


def _drawn(matrix: ConvMatrix) -> str:
    height, width = matrix.array.shape
    cell = max(2, min(26, 720 // width, 900 // height))
    name = "m" + hashlib.sha1(matrix.array.tobytes() + matrix.taps.tobytes()).hexdigest()[:6]
    labelled = cell >= 12
    small, number = 11, max(7, round(cell * 0.42))
    # Labels along the rows are as long as the longest name; those of the columns are turned by a right angle.
    left = 7 * max(map(len, matrix.rows)) + 8 if labelled else 12
    top = 7 * max(map(len, matrix.columns)) + 8 if labelled else 12
    of_kernel = math.prod(matrix.weight_shape[2:])
    pieces = [f'<rect x="{left}" y="{top}" width="{width * cell}" height="{height * cell}" fill="var(--cell)"/>']
    for i, j in np.argwhere(matrix.taps >= 0):
        x, y = left + j * cell, top + i * cell
        tap = int(matrix.taps[i, j]) % of_kernel
        pieces.append(f'<rect x="{x}" y="{y}" width="{cell}" height="{cell}" fill="{colour(tap, of_kernel)}"/>')
        if labelled:
            value = f"{matrix.array[i, j]:.2g}"
            pieces.append(f'<text class="{name}n" x="{x + cell / 2:g}" y="{y + cell * 0.65:.4g}">{value}</text>')
    if cell >= 5:
        lines = "".join(f"M{left} {top + i * cell}h{width * cell}" for i in range(height + 1))
        lines += "".join(f"M{left + j * cell} {top}v{height * cell}" for j in range(width + 1))
        pieces.append(f'<path d="{lines}" stroke="var(--line)" fill="none"/>')
    if labelled:
        for i, row in enumerate(matrix.rows):
            pieces.append(f'<text class="{name}t" x="2" y="{top + (i + 0.68) * cell:.4g}">{row}</text>')
        for j, column in enumerate(matrix.columns):
            x = left + (j + 0.68) * cell
            pieces.append(f'<text class="{name}t" transform="translate({x:.4g} {top - 5})rotate(-90)">{column}</text>')
    full_width, full_height = left + width * cell + 8, top + height * cell + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" id="{name}" viewBox="0 0 {full_width} {full_height}" width="{full_width}" '
        f'height="{full_height}" role="img" aria-label="{escape(repr(matrix), quote=True)}">'
        f"<style>{STYLE.format(id=name, small=small, number=number)}</style>{''.join(pieces)}</svg>"
    )
