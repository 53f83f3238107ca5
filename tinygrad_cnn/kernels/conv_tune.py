"""Measuring the rates by which `conv_choice` predicts times: what `tinygrad-cnn tune` runs.

Every algorithm is timed on geometries that differ in what its time depends on, and for each kernel four rates are fitted to
the times: least squares of the relative error, no rate negative. A choice between two algorithms is then right unless they take
about equally long.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tinygrad_cnn.kernels import conv_choice
from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.conv_choice import ALGORITHMS, KERNELS, Rates
from tinygrad_cnn.kernels.geometry import ConvGeometry
from tinygrad_cnn.kernels.parallel import get_num_threads

# (n, c, h and w, o, kernel, stride, padding, groups)
_GEOMETRIES = (
    (64, 16, 32, 16, 3, 1, 1, 1), (64, 64, 8, 64, 3, 1, 1, 1), (16, 32, 16, 64, 3, 1, 1, 1), (8, 64, 28, 64, 3, 1, 1, 1),
    (16, 64, 32, 128, 3, 1, 1, 1), (8, 128, 14, 128, 3, 1, 1, 1), (8, 256, 7, 256, 3, 1, 1, 1), (4, 256, 16, 256, 3, 1, 1, 1),
    (8, 512, 4, 512, 3, 1, 1, 1), (8, 192, 13, 384, 3, 1, 1, 1), (1, 8, 12, 8, 3, 1, 1, 1), (1, 64, 56, 64, 3, 1, 1, 1),
    (64, 1, 28, 6, 5, 1, 2, 1), (64, 6, 14, 16, 5, 1, 0, 1), (64, 20, 12, 50, 5, 1, 0, 1), (8, 3, 112, 64, 7, 2, 3, 1),
    (16, 32, 28, 32, 3, 1, 1, 32), (4, 8, 64, 8, 31, 1, 15, 1), (4, 16, 40, 16, 15, 1, 7, 1), (2, 4, 24, 4, 9, 1, 4, 1),
    (8, 64, 28, 128, 3, 2, 1, 1),
)  # fmt: skip
"""Narrow and wide, small and large, few images and many; large kernels, strides and groups."""

_SECONDS = 0.04


def tune(path: Path, report: Callable[[str], None]) -> dict[str, object]:
    """Measure the rates and write them, as JSON, with the machine's name.

    Parameters
    ----------
    path : Path
    report : callable
        Is told of each measurement, one line.

    Returns
    -------
    dict
        What was written.
    """
    fitted: Rates = {}
    for name in ALGORITHMS:
        fitted[name] = {}
        measured = dict[str, list[tuple[list[float], float]]]({kernel: [] for kernel in KERNELS})
        for geometry in geometries(name):
            for kernel, microseconds in _times(name, geometry):
                row = conv_choice.features(name, geometry, is_backward=kernel == "conv_input_grad")
                measured[kernel].append((row, microseconds))
                report(f"{name:9} {kernel:17} {_spelled(geometry):42} {microseconds:10.0f} us")
        for kernel, rows in measured.items():
            fitted[name][kernel] = fit([row for row, _ in rows], [took for _, took in rows])
    written: dict[str, object] = {
        "machine": f"{platform.processor() or platform.machine()}, {platform.system()}",
        "threads": get_num_threads(),
        "date": datetime.now(UTC).date().isoformat(),
        "rates": fitted,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(written, indent=1) + "\n")
    conv_choice.forget()
    return written


def geometries(name: str) -> Iterator[ConvGeometry]:
    """The geometries that an algorithm can compute, in single precision."""
    for n, c, size, o, kernel, stride, padding, groups in _GEOMETRIES:
        geometry = ConvGeometry.of((n, c, size, size), (o, c // groups, kernel, kernel), stride, padding, 1, groups)
        if conv_choice.serves(name, geometry, np.dtype(np.float32)):
            yield geometry


def choices() -> Iterator[tuple[str, list[str]]]:
    """For each geometry, what `conv_choice` chooses for each kernel."""
    for geometry in geometries("columns"):
        yield _spelled(geometry), [conv_choice.choose(kernel, geometry, np.dtype(np.float32)) for kernel in KERNELS]


def fit(rows: list[list[float]], times: list[float]) -> list[float]:
    """Find rates, none of them negative, whose predictions are off by the least share: leave out what comes out negative.

    Examples
    --------
    >>> rates = fit([[1, 10, 0, 0], [1, 20, 0, 0], [1, 40, 0, 0]], [25, 45, 85])
    >>> [round(rate, 6) for rate in rates]
    [5.0, 2.0, 0.0, 0.0]
    """
    if not rows:
        return [0.0] * 4
    scaled = np.array(rows, np.float64) / np.array(times)[:, None]
    wanted = [k for k in range(scaled.shape[1]) if scaled[:, k].any()]
    while True:
        columns = scaled[:, wanted]
        sizes = np.linalg.norm(columns, axis=0)
        found = np.linalg.lstsq(columns / sizes, np.ones(len(rows)), rcond=None)[0] / sizes
        if len(wanted) == 1 or found.min() >= 0:
            break
        wanted.pop(int(np.argmin(found * sizes)))
    result = [0.0] * scaled.shape[1]
    for k, rate in zip(wanted, found, strict=True):
        result[k] = max(0.0, float(rate))
    return result


def _times(name: str, geometry: ConvGeometry) -> Iterator[tuple[str, float]]:
    """Time the three kernels: the median of what fits in a moment, in microseconds."""
    rng = np.random.default_rng(0)
    x, weight, gy = (
        rng.standard_normal(shape, dtype=np.float32) for shape in (geometry.x_shape, geometry.weight_shape, geometry.y_shape)
    )
    arguments: dict[str, tuple[Array | ConvGeometry | None, ...]] = {
        "conv": (x, weight, None, geometry),
        "conv_input_grad": (gy, weight, geometry),
        "conv_weight_grad": (x, gy, geometry),
    }
    for kernel in KERNELS:
        function = conv_choice.algorithm(name, kernel)
        function(*arguments[kernel])
        took: list[float] = []
        while len(took) < 3 or (sum(took) < _SECONDS and len(took) < 100):
            began = time.perf_counter()
            function(*arguments[kernel])
            took.append(time.perf_counter() - began)
        yield kernel, float(np.median(took)) * 1e6


def _spelled(geometry: ConvGeometry) -> str:
    height, width = geometry.kernel_size
    return (
        f"{geometry.x_shape} {geometry.out_channels} maps {height}x{width}"
        f"{f' stride {geometry.stride[0]}' if geometry.stride[0] > 1 else ''}"
        f"{f' groups {geometry.groups}' if geometry.groups > 1 else ''}"
    )
