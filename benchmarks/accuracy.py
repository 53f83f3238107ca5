"""How exact is each algorithm of a convolution? Its float32 result and gradients against im2col in float64.

``python -m benchmarks accuracy``. The table has a line for each algorithm and geometry, with the largest error of the output,
of the input gradient and of the weight gradient, each as a multiple of the root mean square of the exact numbers; and how
many times im2col's error that is.

The algorithms are whatever the kernels offer: each implementation of `conv` and its two gradients
(`kernels.implementations`), and where there is ``kernels.conv_algorithms()``, which is to return a dict of name to a triple
of callables (conv, conv_input_grad, conv_weight_grad) with the kernels' own signatures, each of those. One that does not
serve a geometry raises `tinygrad_cnn.errors.ArgumentError`, and its line is left out.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn import kernels
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.kernels import ConvGeometry
from tinygrad_cnn.kernels.numpy_conv import conv, conv_input_grad, conv_weight_grad

from .values import Array

Triple = tuple[Callable[..., Array], Callable[..., Array], Callable[..., Array]]

YARDSTICK = "numpy"
TRIO = ("conv", "conv_input_grad", "conv_weight_grad")

GEOMETRIES = {
    "16 channels, 3x3, 32x32": ConvGeometry.of((2, 16, 32, 32), (16, 16, 3, 3), padding=1),
    "64 channels, 3x3, 28x28": ConvGeometry.of((2, 64, 28, 28), (64, 64, 3, 3), padding=1),
    "256 channels, 3x3, 14x14": ConvGeometry.of((2, 256, 14, 14), (256, 256, 3, 3), padding=1),
    "32 channels, 5x5, 28x28": ConvGeometry.of((2, 32, 28, 28), (32, 32, 5, 5), padding=2),
    "3 to 32 channels, 11x11 stride 4, 64x64": ConvGeometry.of((2, 3, 64, 64), (32, 3, 11, 11), stride=4, padding=2),
}


def algorithms() -> dict[str, Triple]:
    """Every way to convolve that this installation has, by name; plain Python loops are left out, as too slow."""
    kinds = [kernels.implementations(name) for name in TRIO]
    found: dict[str, Triple] = {
        name: (kinds[0][name], kinds[1][name], kinds[2][name]) for name in kinds[0] if name != "reference"
    }
    offered: Callable[[], dict[str, Triple]] | None = getattr(kernels, "conv_algorithms", None)
    return found | (offered() if offered else {})


def errors(triple: Triple, geometry: ConvGeometry, dtype: Any = np.float32) -> tuple[float, float, float]:
    """The errors of output, input gradient and weight gradient: the largest, over the exact numbers' root mean square.

    Raises
    ------
    ArgumentError
        If the algorithm does not serve this geometry.
    """
    rng = np.random.default_rng(11)
    x, weight, gy = (rng.standard_normal(shape) for shape in (geometry.x_shape, geometry.weight_shape, geometry.y_shape))
    x, weight, gy = (array.astype(dtype).astype(np.float64) for array in (x, weight, gy))
    exact = (
        conv(x, weight, None, geometry),
        conv_input_grad(gy, weight, geometry),
        conv_weight_grad(x, gy, geometry),
    )
    x, weight, gy = (array.astype(dtype) for array in (x, weight, gy))
    forward, input_grad, weight_grad = triple
    got = (
        forward(x, weight, None, geometry),
        input_grad(gy, weight, geometry),
        weight_grad(x, gy, geometry),
    )
    first, second, third = (float(np.abs(a - b).max() / np.sqrt((b * b).mean())) for a, b in zip(got, exact, strict=True))
    return first, second, third


def table() -> str:
    """The table, as Markdown."""
    known = algorithms()
    lines = [
        "| geometry | algorithm | output | input gradient | weight gradient | worst / im2col's |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for title, geometry in GEOMETRIES.items():
        yardstick = errors(known[YARDSTICK], geometry)
        for name, triple in known.items():
            try:
                found = errors(triple, geometry)
            except ArgumentError:
                continue
            worst = max(mine / theirs for mine, theirs in zip(found, yardstick, strict=True))
            label = "im2col (numpy)" if name == YARDSTICK else name
            numbers = " | ".join(f"{error:.1e}" for error in found)
            lines.append(f"| {title} | {label} | {numbers} | {worst:.1f} |")
    return "\n".join(lines) + "\n"
