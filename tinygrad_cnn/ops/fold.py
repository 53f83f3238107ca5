"""Windows as columns (`unfold`, which others call im2col) and columns added back up (`fold`, col2im).

Each is the other's transpose, and so the other's backward. With the windows as columns a convolution is one matrix
product, weight (o, c kh kw) @ columns (c kh kw, windows), and anything else that looks at windows is a formula along one
dimension.

`fold(unfold(x))` is not x: a pixel that k windows see comes back k times.
"""

from collections.abc import Sequence
from typing import Any

from .. import kernels
from ..autograd.function import Array, Function
from ..errors import ShapeError
from ..kernels.geometry import ConvGeometry, PoolGeometry
from ..kernels.spelling import Padding, PerAxis, per_axis
from ..tensor import Tensor, TensorLike
from ._arguments import as_float


class _FoldOp(Function):
    """What the two have in common: the windows, and how they introduce themselves."""

    geometry: ConvGeometry | PoolGeometry

    @property
    def settings(self) -> dict[str, Any]:
        g = self.geometry
        shown: dict[str, Any] = {"kernel_size": g.kernel_size}
        if set(g.stride) != {1}:
            shown["stride"] = g.stride
        if any(before or after for before, after in g.padding):
            shown["padding"] = g.padding
        if set(g.dilation) != {1}:
            shown["dilation"] = g.dilation
        return shown


class Unfold(_FoldOp):
    """The windows of x (n, c, *in_size) as columns (n, c, taps, windows); 0 in the padding.

    Gradient
        gx = fold(gy)
    Saves
        nothing
    """

    def forward(self, x: Array) -> Array:
        return kernels.unfold(x, self.geometry)

    def backward(self, gy: Tensor) -> Any:
        return Fold.apply(gy, geometry=self.geometry)


class Fold(_FoldOp):
    """Columns (n, c, taps, windows) added up where their windows lie, to (n, c, *in_size).

    Gradient
        gcolumns = unfold(gy)
    Saves
        nothing
    """

    def forward(self, columns: Array) -> Array:
        return kernels.fold(columns, self.geometry)

    def backward(self, gy: Tensor) -> Any:
        return Unfold.apply(gy, geometry=self.geometry)


# The functions that users call ----------------------------------------------------------------------------------------


def unfold(
    input: TensorLike, kernel_size: PerAxis, dilation: PerAxis = 1, padding: Padding = 0, stride: PerAxis = 1
) -> Tensor:
    """Lay out every window of the images as a column.

    y[n, (c kh + p) kw + q, i ow + j] = x[n, c, sh i + dh p - ph, sw j + dw q - pw], with x = 0 outside.

    Parameters
    ----------
    input : Tensor, shape (n, c, h, w) or (c, h, w)
    kernel_size : int or (int, int)
        The window, in pixels.
    dilation : int or (int, int)
        The step between the pixels of a window.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid" or "same"
        Rows and columns of zeros around the input.
    stride : int or (int, int)
        The step between windows.

    Returns
    -------
    Tensor, shape (n, c kh kw, oh ow) or (c kh kw, oh ow)
        With oh and ow as for `conv2d`; in the dtype of the input.

    Raises
    ------
    ShapeError
        With the arithmetic, where the window does not fit.

    References
    ----------
    Chellapilla, Puri, Simard 2006, "High performance convolutional neural networks for document processing", section 3.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> x = tg.arange(9.0).reshape(1, 1, 3, 3)
    >>> tg.unfold(x, 2)
    tensor([[[0., 1., 3., 4.],
             [1., 2., 4., 5.],
             [3., 4., 6., 7.],
             [4., 5., 7., 8.]]])
    """
    x = as_float(input)
    if x.ndim == 3:
        return unfold(x.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    if x.ndim != 4:
        raise ShapeError(f"unfold: needs an input of 4 dimensions (n, c, h, w), or 3 without a batch; got shape {x.shape}")
    geometry = _geometry("unfold", x.shape, kernel_size, dilation, padding, stride)
    columns = Unfold.apply(x, geometry=geometry)
    return columns.reshape(x.shape[0], columns.shape[1] * columns.shape[2], columns.shape[3])


def fold(
    input: TensorLike,
    output_size: PerAxis,
    kernel_size: PerAxis,
    dilation: PerAxis = 1,
    padding: Padding = 0,
    stride: PerAxis = 1,
) -> Tensor:
    """Add columns up to images, each where its window lies: the transpose of `unfold`.

    Parameters
    ----------
    input : Tensor, shape (n, c kh kw, windows) or (c kh kw, windows)
    output_size : int or (int, int)
        Of the images, in pixels.
    kernel_size, dilation, padding, stride
        As for `unfold`.

    Returns
    -------
    Tensor, shape (n, c, h, w) or (c, h, w)
        What lies in the padding is dropped; in the dtype of the input.

    Raises
    ------
    ShapeError
        With the arithmetic, where the columns are not those of such images.

    Examples
    --------
    How many windows of 2 x 2 see each pixel:

    >>> import tinygrad_cnn as tg
    >>> tg.fold(tg.ones(1, 4, 4), output_size=3, kernel_size=2)
    tensor([[[[1., 2., 1.],
              [2., 4., 2.],
              [1., 2., 1.]]]])
    """
    columns = as_float(input)
    if columns.ndim == 2:
        return fold(columns.unsqueeze(0), output_size, kernel_size, dilation, padding, stride).squeeze(0)
    if columns.ndim != 3:
        raise ShapeError(
            f"fold: needs an input of 3 dimensions (n, c kh kw, windows), or 2 without a batch; got shape {columns.shape}"
        )
    kh, kw = per_axis("fold", "kernel_size", kernel_size, 2, at_least=1)
    h, w = per_axis("fold", "output_size", output_size, 2, at_least=1)
    n, rows, windows = columns.shape
    if rows == 0 or rows % (kh * kw):
        raise ShapeError(
            f"fold: dimension 1 of the input {columns.shape} is {rows} = {rows // (kh * kw)} * {kh * kw} + {rows % (kh * kw)}, "
            f"but must be c * {kh * kw}: each channel has one row for each of the {kh} * {kw} pixels of the kernel"
        )
    c = rows // (kh * kw)
    geometry = _geometry("fold", (n, c, h, w), (kh, kw), dilation, padding, stride)
    oh, ow = geometry.out_size
    if windows != oh * ow:
        raise ShapeError(
            f"fold: the input {columns.shape} has {windows} windows, but an image of {h} x {w} has {oh} * {ow} = {oh * ow} "
            f"with kernel_size {(kh, kw)}, stride {geometry.stride}, padding {geometry.padding} and dilation "
            f"{geometry.dilation}: give the options that `unfold` was given"
        )
    return Fold.apply(columns.reshape(n, c, kh * kw, windows), geometry=geometry)


def _geometry(
    name: str, shape: Sequence[int], kernel_size: PerAxis, dilation: PerAxis, padding: Padding, stride: PerAxis
) -> ConvGeometry:
    """The windows as those of a convolution with one filter, whose padding, unlike a pool's, has no limit."""
    kernel = per_axis(name, "kernel_size", kernel_size, 2, at_least=1)
    return ConvGeometry.of(shape, (1, shape[1], *kernel), stride, padding, dilation, op=name)
