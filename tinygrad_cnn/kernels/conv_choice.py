"""Which algorithm computes a convolution: the one whose predicted time is least.

There are seven, and each computes all three kernels (`conv`, `conv_input_grad`, `conv_weight_grad`):

    columns     `numpy_conv`      columns of windows and a matrix product; the plain product where that is enough
    planes      `numba_conv`      tap by tap from shifted planes, in vector loops
    channels    `numba_channels`  tap by tap in vectors of channels, for strides and small maps, in single precision
    winograd2   `numba_winograd`  4 / 9 of the multiplications, for 3 x 3 kernels with stride 1 in single precision
    winograd4   `numba_winograd`  1 / 4 of the multiplications, at the price of some accuracy
    winograd5   `numba_winograd`  9 / 25 of them, for 5 x 5 kernels, at the same price
    fft         `fft_conv`        spectra, for large kernels

The time of each is predicted from what it has to do: a constant for the call, so much for each multiplication, number
moved, weight. The *rates* are measured: `conv_rates.json` holds those of the machine that it names, made by

    tinygrad-cnn tune

which times the geometries below and fits the rates to them. On another machine run it once: it writes the file into the
user's cache directory, from where it is preferred (TINYGRAD_CNN_RATES names another place).

Columns are left out where planes are possible: timed alone they win for some small maps with many channels, but the threads of
BLAS go on waiting for more work, on the cores that the next kernel needs.

The choice depends on sizes and rates only. Equal calls give equal bits. `kernels.use_algorithm` has one algorithm compute all
that it can.
"""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.kernels import conv_planes
from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.geometry import ConvGeometry
from tinygrad_cnn.kernels.numpy_conv import is_one_product

KERNELS = ("conv", "conv_input_grad", "conv_weight_grad")

_PLACES = {
    "columns": ("numpy_conv", ""),
    "planes": ("numba_conv", ""),
    "channels": ("numba_channels", "algorithm"),
    "winograd2": ("numba_winograd", "f2"),
    "winograd4": ("numba_winograd", "f4"),
    "winograd5": ("numba_winograd", "f5"),
    "fft": ("fft_conv", ""),
}
"""The module that has each, and what in it, if it is not the module itself."""

ALGORITHMS = tuple(_PLACES)

Rates = dict[str, dict[str, list[float]]]
"""For each algorithm and kernel, the time of one of each feature, in microseconds: see `features`."""

_asked_for: str | None = None

VARIABLE, _FILE = "TINYGRAD_CNN_RATES", "conv_rates.json"


def conv(x: Array, weight: Array, bias: Array | None, geometry: ConvGeometry) -> Array:
    """Cross-correlate `x` with `weight`, and add `bias`: see `numpy_conv.conv`."""
    y: Array = algorithm(choose("conv", geometry, x.dtype), "conv")(x, weight, bias, geometry)
    return y


def conv_weight_grad(x: Array, gy: Array, geometry: ConvGeometry) -> Array:
    """Correlate the input with the output's gradient: see `numpy_conv.conv_weight_grad`."""
    name = choose("conv_weight_grad", geometry, x.dtype)
    gweight: Array = algorithm(name, "conv_weight_grad")(x, gy, geometry)
    return gweight


def conv_input_grad(gy: Array, weight: Array, geometry: ConvGeometry) -> Array:
    """Spread the output's gradient back over the windows: see `numpy_conv.conv_input_grad`."""
    gx: Array = algorithm(choose("conv_input_grad", geometry, gy.dtype), "conv_input_grad")(gy, weight, geometry)
    return gx


@functools.cache
def algorithm(name: str, kernel: str) -> Callable[..., Array]:
    """One algorithm's function for one kernel."""
    function: Callable[..., Array] = getattr(_place(name), kernel)
    return function


@functools.cache
def _place(name: str) -> Any:
    module, within = _PLACES[name]
    found = import_module(f"tinygrad_cnn.kernels.{module}")
    return getattr(found, within) if within else found


def strict(name: str, kernel: str) -> Callable[..., Array]:
    """One algorithm's function, which refuses what the algorithm cannot compute with an ArgumentError."""

    def function(*arguments: Any) -> Array:
        geometry, dtype = arguments[-1], arguments[0].dtype
        if not serves(name, geometry, dtype):
            raise ArgumentError(
                f"{kernel}: {name} cannot compute {geometry} in {dtype}; choose another of {', '.join(ALGORITHMS)}"
            )
        return algorithm(name, kernel)(*arguments)

    return function


def choose(kernel: str, geometry: ConvGeometry, dtype: np.dtype) -> str:
    """Name the algorithm that is asked for, if it can compute this, or else the one that is predicted to take the least time.

    Parameters
    ----------
    kernel : str
        One of `KERNELS`.
    geometry : ConvGeometry
    dtype : numpy dtype

    Returns
    -------
    str
        One of `ALGORITHMS`.

    Examples
    --------
    >>> wide = ConvGeometry.of((16, 64, 32, 32), (128, 64, 3, 3), padding=1)
    >>> choose("conv", wide, np.dtype("float64")) in ("columns", "planes")
    True
    """
    if _asked_for is not None and serves(_asked_for, geometry, dtype):
        return _asked_for
    return _cheapest(kernel, geometry, dtype)


def ask_for(name: str | None) -> None:
    """Have one algorithm compute all that it can, or none in particular: see `kernels.use_algorithm`."""
    global _asked_for
    _asked_for = name


@functools.lru_cache(maxsize=2048)
def _cheapest(kernel: str, geometry: ConvGeometry, dtype: np.dtype) -> str:
    possible = [name for name in ALGORITHMS if serves(name, geometry, dtype)]
    if "planes" in possible:
        possible.remove("columns")
    if len(possible) == 1:
        return possible[0]
    known = rates()
    return min(possible, key=lambda name: predicted(name, kernel, geometry, known))


def serves(name: str, geometry: ConvGeometry, dtype: np.dtype) -> bool:
    """Whether an algorithm can compute this at all."""
    if name == "columns":
        return True
    if name == "fft":
        return dtype.char in "fd" and not is_one_product(geometry) and geometry.batch > 0
    if not find_spec("numba"):
        return False
    return bool(_place(name).serves(geometry, dtype))


def predicted(name: str, kernel: str, geometry: ConvGeometry, known: Rates) -> float:
    """Microseconds that an algorithm is expected to take."""
    return float(np.dot(known[name][kernel], features(name, geometry, is_backward=kernel == "conv_input_grad")))


def features(name: str, geometry: ConvGeometry, *, is_backward: bool = False) -> list[float]:
    """What an algorithm has to do: [1, multiplications, numbers moved, weights], as far as time depends on them.

    Parameters
    ----------
    name : str
        One of `ALGORITHMS`.
    geometry : ConvGeometry
    is_backward : bool
        Whether it is for the input's gradient.
    """
    images, weights = geometry.batch, math.prod(geometry.weight_shape)
    x, y = (math.prod(shape) for shape in (geometry.x_shape, geometry.y_shape))
    if name == "columns":
        return [1, geometry.column_numbers * geometry.out_channels / geometry.groups, geometry.column_numbers, weights]
    if name == "planes":
        products = [p for *_, p in conv_planes.backward(geometry)] if is_backward else [conv_planes.forward(geometry)]
        multiplied = sum(conv_planes.numbers_multiplied(p, images) for p in products)
        moved = sum(
            images * p.row_bytes(1) * p.rows.length + 8 * images * p.groups * p.sources * p.rows.length for p in products
        )
        return [1, multiplied, moved, weights]
    if name == "channels" or name.startswith("winograd"):
        return [1, *_place(name).work(geometry, is_backward=is_backward)]
    padded = math.prod(n + sum(pad) for n, pad in zip(geometry.in_size, geometry.padding, strict=True))
    spectra = images * (geometry.in_channels + geometry.out_channels) + math.prod(geometry.weight_shape[:2])
    pairs = images * geometry.out_channels * geometry.in_channels / geometry.groups
    return [1, padded * pairs, padded * math.log2(padded + 1) * spectra, x + y + weights]


# Rates ----------------------------------------------------------------------------------------------------------------


@functools.cache
def rates() -> Rates:
    """Read the rates: the user's own if there are any, else those that come with the package."""
    path = user_file()
    if not path.exists():
        path = Path(__file__).with_name(_FILE)
    try:
        read = json.loads(path.read_text())["rates"]
        if all(len(read[name][kernel]) == 4 for name in ALGORITHMS for kernel in KERNELS):
            return {name: read[name] for name in ALGORITHMS}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ArgumentError(
        f"kernels: {path} does not hold rates of convolution; make it anew with `tinygrad-cnn tune`, or delete it"
    )


def user_file() -> Path:
    """Where the rates of this user's machine are kept."""
    given = os.environ.get(VARIABLE)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else cache / "tinygrad_cnn" / _FILE


def forget() -> None:
    """Read the rates again at the next call, and choose anew."""
    rates.cache_clear()
    _cheapest.cache_clear()
