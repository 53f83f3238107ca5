"""Convolution by the Fourier transform, for kernels so large that multiplying tap by tap takes longest.

Correlating two signals is multiplying their spectra, one of them conjugated. With the images padded and the kernel set into
zeros of the same size S = (padded height, padded width), for every frequency f

    Y[f] (n, o) = X[f] (n, c) @ conj(W[f]) (c, o)             conv
    gW[f] (o, c) = conj(gY[f]).T (o, n) @ X[f] (n, c)         conv_weight_grad
    gX[f] (n, c) = gY[f] (n, o) @ W[f] (o, c)                 conv_input_grad

so that each output costs as much as a kernel of one tap, whatever the kernel's size, and log2(S) additions and multiplications
for each number to get there and back. A stride keeps every so-manieth output, of all that are computed; dilation sets the taps
further apart. Nothing wraps around: the padded image is longer than any sum that is kept.

Rounding errors are of the size of the largest numbers of an image, not of each output's own.

Mathieu, Henaff, LeCun 2014, "Fast training of convolutional networks through FFTs".
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tinygrad_cnn.kernels.arrays import Array
from tinygrad_cnn.kernels.geometry import ConvGeometry


def conv(x: Array, weight: Array, bias: Array | None, geometry: ConvGeometry) -> Array:
    """Cross-correlate `x` with `weight`, and add `bias`: see `numpy_conv.conv`."""
    size = _padded(geometry)
    signal = _by_frequency(_pad(x, geometry), size, geometry.groups)
    filters = _by_frequency(_apart(weight, geometry), size, geometry.groups, first=True)
    y = _back(signal @ filters.conj().swapaxes(-1, -2), size, x.dtype)[_kept(geometry)]
    return np.ascontiguousarray(y if bias is None else y + bias.reshape(-1, *(1,) * geometry.dims))


def conv_weight_grad(x: Array, gy: Array, geometry: ConvGeometry) -> Array:
    """Correlate the input with the output's gradient: see `numpy_conv.conv_weight_grad`."""
    size = _padded(geometry)
    signal = _by_frequency(_pad(x, geometry), size, geometry.groups)
    gradient = _by_frequency(_spread(gy, geometry), size, geometry.groups)
    gweight = _back(gradient.conj().swapaxes(-1, -2) @ signal, size, x.dtype, first=True)
    return np.ascontiguousarray(gweight[_taps(geometry)])


def conv_input_grad(gy: Array, weight: Array, geometry: ConvGeometry) -> Array:
    """Spread the output's gradient back over the windows: see `numpy_conv.conv_input_grad`."""
    size = _padded(geometry)
    gradient = _by_frequency(_spread(gy, geometry), size, geometry.groups)
    filters = _by_frequency(_apart(weight, geometry), size, geometry.groups, first=True)
    gx = _back(gradient @ filters, size, gy.dtype)
    inside = (slice(before, before + n) for (before, _), n in zip(geometry.padding, geometry.in_size, strict=True))
    return np.ascontiguousarray(gx[_of_all(inside)])


def _padded(geometry: ConvGeometry) -> tuple[int, ...]:
    return tuple(n + before + after for n, (before, after) in zip(geometry.in_size, geometry.padding, strict=True))


def _pad(x: Array, geometry: ConvGeometry) -> Array:
    return np.pad(x, ((0, 0), (0, 0), *geometry.padding)) if geometry.is_padded else x


def _apart(weight: Array, geometry: ConvGeometry) -> Array:
    """Set the taps as far apart as dilation says."""
    if set(geometry.dilation) == {1}:
        return weight
    reach = [d * (k - 1) + 1 for k, d in zip(geometry.kernel_size, geometry.dilation, strict=True)]
    result = np.zeros((*weight.shape[:2], *reach), weight.dtype)
    result[_taps(geometry)] = weight
    return result


def _kept(geometry: ConvGeometry) -> tuple[slice, ...]:
    """The outputs that a stride keeps of all that fit."""
    ends = (slice(0, (n - 1) * s + 1, s) for n, s in zip(geometry.out_size, geometry.stride, strict=True))
    return _of_all(ends)


def _taps(geometry: ConvGeometry) -> tuple[slice, ...]:
    """Where the taps of a kernel are that has been set apart."""
    return _of_all(slice(0, d * (k - 1) + 1, d) for k, d in zip(geometry.kernel_size, geometry.dilation, strict=True))


def _of_all(spatial: Iterable[slice]) -> tuple[slice, ...]:
    """Take slices of the spatial axes, of all images and channels."""
    return (slice(None), slice(None), *spatial)


def _spread(gy: Array, geometry: ConvGeometry) -> Array:
    """Put the gradients where the outputs were before a stride left others out."""
    if set(geometry.stride) == {1}:
        return gy
    size = [(n - 1) * s + 1 for n, s in zip(geometry.out_size, geometry.stride, strict=True)]
    result = np.zeros((*gy.shape[:2], *size), gy.dtype)
    result[_kept(geometry)] = gy
    return result


def _by_frequency(x: Array, size: tuple[int, ...], groups: int, *, first: bool = False) -> Array:
    """Transform the spatial axes: (g, frequencies, n, channels of a group). `first`: the group divides the first axis."""
    spectrum = np.fft.rfftn(x, size, axes=tuple(range(2, 2 + len(size))))
    n, channels = x.shape[:2]
    if first:
        return np.moveaxis(spectrum.reshape(groups, n // groups, channels, -1), -1, 1)
    return np.moveaxis(spectrum.reshape(n, groups, channels // groups, -1), (1, 3), (0, 1))


def _back(spectrum: Array, size: tuple[int, ...], dtype: np.dtype, *, first: bool = False) -> Array:
    """Undo `_by_frequency`."""
    groups, _, n, channels = spectrum.shape
    frequencies = (*size[:-1], size[-1] // 2 + 1)
    if first:
        ordered = np.moveaxis(spectrum, 1, -1).reshape(groups * n, channels, *frequencies)
    else:
        ordered = np.moveaxis(spectrum, (0, 1), (1, 3)).reshape(n, groups * channels, *frequencies)
    return np.fft.irfftn(ordered, size, axes=tuple(range(2, 2 + len(size)))).astype(dtype, copy=False)
