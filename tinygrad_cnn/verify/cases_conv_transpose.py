"""Cases of transposed convolution; the reference stamps the kernel on a canvas, and crops or folds the border.

It knows nothing of convolutions: no geometry, no input gradient. Nothing is square, and the strides exceed the kernels in
places, so that gaps and overlaps both occur.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from ..ops.conv_transpose import ConvTranspose
from ..tensor import Tensor
from .case import Array, Case, normal

Shape = tuple[int, ...]

# label: input, weight, options (each for every axis, padding as pairs)
_CASES: dict[str, tuple[Shape, Shape, dict[str, Any]]] = {
    "plain": ((2, 2, 2, 3), (2, 3, 2, 3), {}),
    "stride": ((1, 2, 2, 3), (2, 2, 3, 2), {"stride": (2, 3)}),
    "padding": ((2, 1, 3, 4), (1, 2, 3, 2), {"padding": ((2, 2), (1, 1))}),
    "asymmetric padding": ((1, 2, 3, 3), (2, 1, 2, 3), {"padding": ((0, 1), (2, 0)), "stride": (1, 2)}),
    "output padding": ((1, 2, 2, 2), (2, 1, 3, 2), {"stride": (2, 3), "output_padding": (1, 2), "padding": ((1, 1), (0, 0))}),
    "dilation": ((1, 1, 2, 3), (1, 2, 3, 2), {"dilation": (2, 3)}),
    "groups": ((2, 4, 2, 2), (4, 2, 2, 2), {"groups": 2, "stride": (1, 2)}),
    "depthwise": ((1, 3, 2, 3), (3, 1, 2, 3), {"groups": 3, "stride": (2, 1), "padding": ((1, 1), (1, 1))}),
    "everything": ((2, 2, 2, 3), (2, 1, 2, 3), {"stride": (2, 3), "padding": ((1, 0), (2, 1)), "output_padding": (1, 0),
                                                "dilation": (3, 2), "groups": 2}),
    "reflect": ((1, 2, 3, 3), (2, 1, 2, 3), {"padding": ((1, 0), (2, 1)), "padding_mode": "reflect", "stride": (1, 2)}),
    "replicate": ((2, 1, 2, 2), (1, 2, 3, 2), {"padding": ((2, 1), (1, 0)), "padding_mode": "replicate", "stride": (2, 3)}),
    "circular": ((1, 2, 3, 2), (2, 1, 2, 3), {"padding": ((1, 1), (2, 0)), "padding_mode": "circular", "dilation": (2, 1),
                                              "groups": 2}),
    "one dimension": ((2, 2, 4), (2, 3, 3), {"stride": (2,), "padding": ((1, 1),), "output_padding": (1,)}),
    "one dimension, circular": ((1, 2, 4), (2, 1, 3), {"padding": ((1, 2),), "padding_mode": "circular"}),
    "three dimensions": ((1, 2, 2, 2, 1), (2, 1, 1, 2, 3), {"stride": (2, 1, 1), "padding": ((0, 0), (1, 0), (0, 1))}),
    "three dimensions, reflect": ((1, 1, 2, 2, 2), (1, 1, 2, 2, 3),
                                  {"padding": ((1, 0), (0, 0), (0, 1)), "padding_mode": "reflect"}),
}  # fmt: skip


def _source(i: int, size: int, mode: str) -> int | None:
    """From where inside an axis of `size` the padding at i is copied; None where it is zero."""
    if mode == "zeros":
        return i if 0 <= i < size else None
    if mode == "replicate":
        return min(max(i, 0), size - 1)
    if mode == "circular":
        return i % size
    while not 0 <= i < size:
        i = -i if i < 0 else 2 * (size - 1) - i
    return i


def stamp(
    x: Array, weight: Array, bias: Array | None = None, *, stride: Shape = (), padding: tuple[Shape, ...] = (),
    output_padding: Shape = (), groups: int = 1, dilation: Shape = (), padding_mode: str = "zeros",
) -> Array:  # fmt: skip
    """Transposed convolution as a picture: every input pixel puts a copy of its kernels on a canvas."""
    dims = x.ndim - 2
    stride, dilation = stride or (1,) * dims, dilation or (1,) * dims
    padding, output_padding = padding or ((0, 0),) * dims, output_padding or (0,) * dims
    canvas_size = tuple(
        (n - 1) * s + d * (k - 1) + 1 + extra
        for n, s, d, k, extra in zip(x.shape[2:], stride, dilation, weight.shape[2:], output_padding, strict=True)
    )
    filters, channels = weight.shape[1], x.shape[1] // groups
    canvas = np.zeros((x.shape[0], filters * groups, *canvas_size))
    for n, c, *pixel in np.ndindex(x.shape):
        for o, *tap in np.ndindex(weight.shape[1:]):
            place = [i * s + t * d for i, s, t, d in zip(pixel, stride, tap, dilation, strict=True)]
            canvas[n, c // channels * filters + o, *place] += x[n, c, *pixel] * weight[c, o, *tap]
    size = [n - before - after for n, (before, after) in zip(canvas_size, padding, strict=True)]
    y = np.zeros((*canvas.shape[:2], *size))
    for at in np.ndindex(canvas_size):
        source = [_source(i - before, n, padding_mode) for i, (before, _), n in zip(at, padding, size, strict=True)]
        if None not in source:
            y[(..., *source)] += canvas[(..., *at)]
    return y if bias is None else y + bias.reshape(-1, *(1,) * dims)


def _cases(label: str) -> list[Case]:
    x_shape, weight_shape, options = _CASES[label]
    function: Callable[..., Tensor] = (ops.conv_transpose1d, ops.conv_transpose2d, ops.conv_transpose3d)[len(x_shape) - 3]
    x, weight, bias = normal(*x_shape), normal(*weight_shape), normal(weight_shape[1] * options.get("groups", 1))

    def call(*inputs: Tensor) -> Tensor:
        return function(*inputs, **options)

    def expected(*inputs: Array) -> Array:
        return stamp(*inputs, **options)

    return [
        Case(ConvTranspose, label, call, (x, weight), expected, (0, 1)),
        Case(ConvTranspose, f"{label}, bias", call, (x, weight, bias), expected, (0, 1, 2)),
    ]


CASES: list[Case] = [case for label in _CASES for case in _cases(label)]
