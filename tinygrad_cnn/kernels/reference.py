"""Every kernel as plain loops: the definition that the fast kernels are tested against.

Read a function here to know what a kernel means; nothing is arranged for speed. The index algebra of every window is
in one place, `_window`: output position i sees, under tap t, input position i * stride + t * dilation - before. Where
that is not a position of the input there is padding, which the loops skip: 0 changes no sum, and -inf no maximum.

Where there are windows, the loops go over positions and taps. What happens there is the same for every image and every channel,
so it is written once for all of them: x[_in_planes((i, j))], which is x[:, :, i, j], is what all planes have at (i, j).

Sums are accumulated in float64 and rounded to the input's dtype once, at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from tinygrad_cnn.kernels.arrays import Array, Indices
from tinygrad_cnn.kernels.geometry import ConvGeometry, PoolGeometry

Position = tuple[int, ...]
Place = tuple[slice | int, ...]
"""An index of one position, in all images and some channels."""


def _positions(size: tuple[int, ...]) -> Iterator[Position]:
    """List every position of a plane (or line, or volume) in row-major order."""
    return product(*(range(length) for length in size))


def _window(geometry: ConvGeometry | PoolGeometry, output: Position) -> Iterator[tuple[Position, Position]]:
    """List (tap, input position) for every tap of one output's window that lies inside the input."""
    for tap in _positions(geometry.kernel_size):
        at = tuple(
            i * stride + t * dilation - before
            for i, t, stride, dilation, (before, _) in zip(
                output, tap, geometry.stride, geometry.dilation, geometry.padding, strict=True
            )
        )
        if all(0 <= i < size for i, size in zip(at, geometry.in_size, strict=True)):
            yield tap, at


def _in_planes(at: Position) -> Place:
    """Index one position in every plane: of all images, all channels."""
    return (slice(None), slice(None), *at)


def _conv_terms(geometry: ConvGeometry) -> Iterator[tuple[Place, Place, Place]]:
    """List where every product of a convolution is: in y, in weight, in x; for one group, output position and tap at a time.

    Group g makes output channels g * filters to (g + 1) * filters, of input channels g * channels to (g + 1) * channels.
    What is listed is y's (n, filters), weight's (filters, channels) and x's (n, channels) at one position each: between
    them lie all images and every pair of a filter and a channel.
    """
    channels, filters = geometry.weight_shape[1], geometry.out_channels // geometry.groups
    images = slice(None)
    for group in range(geometry.groups):
        made = slice(group * filters, (group + 1) * filters)
        read = slice(group * channels, (group + 1) * channels)
        for output in _positions(geometry.out_size):
            for tap, at in _window(geometry, output):
                yield (images, made, *output), (made, slice(None), *tap), (images, read, *at)


def conv(x: Array, weight: Array, bias: Array | None, geometry: ConvGeometry) -> Array:
    """Sum x * weight over each window, and add the bias.

    y[n, o, i] = bias[o] + sum over c and t of x[n, c, at(i, t)] * weight[o, c, t]
    """
    y = np.zeros(geometry.y_shape)
    if bias is not None:
        for o in range(geometry.out_channels):
            y[:, o] = bias[o]
    wide_x, wide_weight = x.astype(np.float64), weight.astype(np.float64)
    for in_y, in_weight, in_x in _conv_terms(geometry):
        y[in_y] += wide_x[in_x] @ wide_weight[in_weight].T
    return y.astype(x.dtype)


def conv_input_grad(gy: Array, weight: Array, geometry: ConvGeometry) -> Array:
    """Send each gy back to every x that it was computed from, times the weight between them."""
    gx = np.zeros(geometry.x_shape)
    wide_gy, wide_weight = gy.astype(np.float64), weight.astype(np.float64)
    for in_y, in_weight, in_x in _conv_terms(geometry):
        gx[in_x] += wide_gy[in_y] @ wide_weight[in_weight]
    return gx.astype(gy.dtype)


def conv_weight_grad(x: Array, gy: Array, geometry: ConvGeometry) -> Array:
    """Send each gy back to every weight that it was computed with, times the x between them, summed over the images."""
    gweight = np.zeros(geometry.weight_shape)
    wide_x, wide_gy = x.astype(np.float64), gy.astype(np.float64)
    for in_y, in_weight, in_x in _conv_terms(geometry):
        gweight[in_weight] += wide_gy[in_y].T @ wide_x[in_x]
    return gweight.astype(x.dtype)


def max_pool(x: Array, geometry: PoolGeometry) -> tuple[Array, Indices]:
    """Take each window's maximum and its flat position; the first of equal ones, and a NaN above all."""
    y = np.empty((*x.shape[:2], *geometry.out_size), x.dtype)
    indices = np.empty(y.shape, np.int64)
    for output in _positions(geometry.out_size):
        window = [at for _, at in _window(geometry, output)]
        best, best_at = x[_in_planes(window[0])], np.full(x.shape[:2], np.ravel_multi_index(window[0], geometry.in_size))
        for at in window[1:]:
            value = x[_in_planes(at)]
            better = (value > best) | (np.isnan(value) & ~np.isnan(best))
            best, best_at = np.where(better, value, best), np.where(better, np.ravel_multi_index(at, geometry.in_size), best_at)
        y[_in_planes(output)], indices[_in_planes(output)] = best, best_at
    return y, indices


def pool_scatter(gy: Array, indices: Indices, in_size: tuple[int, ...]) -> Array:
    """Add each gy to the place in its plane that its index names."""
    gx = np.zeros((*gy.shape[:2], math.prod(in_size)))
    n, c = np.indices(gy.shape[:2])
    for at in _positions(gy.shape[2:]):
        gx[n, c, indices[_in_planes(at)]] += gy[_in_planes(at)]  # one place in each plane: none is named twice
    return gx.reshape(*gy.shape[:2], *in_size).astype(gy.dtype)


def pool_gather(x: Array, indices: Indices) -> Array:
    """Read each plane at the places that the indices name."""
    y = np.empty(indices.shape, x.dtype)
    planes = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
    n, c = np.indices(x.shape[:2])
    for at in _positions(indices.shape[2:]):
        y[_in_planes(at)] = planes[n, c, indices[_in_planes(at)]]
    return y


def _divisor(geometry: PoolGeometry, output: Position, count_include_pad: bool, divisor_override: int | None) -> int:
    """Count the taps that a window's mean divides by.

    Without padding: those inside the input. With it: those inside the input and its padding, but not those beyond,
    which a last window of `ceil_mode` may have.
    """
    if divisor_override is not None:
        return divisor_override
    count = 0
    for tap in _positions(geometry.kernel_size):
        counted = True
        for axis, (before, after) in enumerate(geometry.padding):
            at = output[axis] * geometry.stride[axis] + tap[axis] * geometry.dilation[axis] - before
            low, high = (-before, geometry.in_size[axis] + after) if count_include_pad else (0, geometry.in_size[axis])
            counted = counted and low <= at < high
        count += counted
    return count


def avg_pool(x: Array, geometry: PoolGeometry, count_include_pad: bool, divisor_override: int | None) -> Array:
    """Sum each window and divide by its number of taps."""
    y = np.zeros((*x.shape[:2], *geometry.out_size))
    for output in _positions(geometry.out_size):
        for _, at in _window(geometry, output):
            y[_in_planes(output)] += x[_in_planes(at)]
        y[_in_planes(output)] /= _divisor(geometry, output, count_include_pad, divisor_override)
    return y.astype(x.dtype)


def avg_pool_input_grad(gy: Array, geometry: PoolGeometry, count_include_pad: bool, divisor_override: int | None) -> Array:
    """Give every x of a window an equal share of the window's gy."""
    gx = np.zeros((*gy.shape[:2], *geometry.in_size))
    for output in _positions(geometry.out_size):
        share = gy[_in_planes(output)].astype(np.float64) / _divisor(geometry, output, count_include_pad, divisor_override)
        for _, at in _window(geometry, output):
            gx[_in_planes(at)] += share
    return gx.astype(gy.dtype)


def unfold(x: Array, geometry: ConvGeometry | PoolGeometry) -> Array:
    """Write what each window has under each tap into that window's column; 0 in the padding."""
    taps, windows = math.prod(geometry.kernel_size), math.prod(geometry.out_size)
    columns = np.zeros((*x.shape[:2], taps, windows), x.dtype)
    for number, output in enumerate(_positions(geometry.out_size)):
        for tap, at in _window(geometry, output):
            columns[:, :, np.ravel_multi_index(tap, geometry.kernel_size), number] = x[_in_planes(at)]
    return columns


def fold(columns: Array, geometry: ConvGeometry | PoolGeometry) -> Array:
    """Add each number of a window's column to the place that its tap reads."""
    x = np.zeros((*columns.shape[:2], *geometry.in_size))
    for number, output in enumerate(_positions(geometry.out_size)):
        for tap, at in _window(geometry, output):
            x[_in_planes(at)] += columns[:, :, np.ravel_multi_index(tap, geometry.kernel_size), number]
    return x.astype(columns.dtype)


def _adaptive_window(in_size: tuple[int, ...], out_size: tuple[int, ...], output: Position) -> list[Position]:
    """List the positions i with floor(j * in / out) <= i < ceil((j + 1) * in / out) on every axis, in row-major order."""
    axes = zip(in_size, out_size, output, strict=True)
    return list(product(*(range(math.floor(j * size / out), math.ceil((j + 1) * size / out)) for size, out, j in axes)))


def adaptive_avg_pool(x: Array, out_size: tuple[int, ...]) -> Array:
    """Sum each window and divide by how many numbers it has."""
    y = np.empty((*x.shape[:2], *out_size))
    for n, c, *output in np.ndindex(y.shape):
        window = _adaptive_window(x.shape[2:], out_size, tuple(output))
        y[n, c, *output] = sum(float(x[(n, c, *at)]) for at in window) / len(window)
    return y.astype(x.dtype)


def adaptive_avg_pool_input_grad(gy: Array, in_size: tuple[int, ...]) -> Array:
    """Give every x of a window an equal share of the window's gy."""
    gx = np.zeros((*gy.shape[:2], *in_size))
    for n, c, *output in np.ndindex(gy.shape):
        window = _adaptive_window(in_size, gy.shape[2:], tuple(output))
        for at in window:
            gx[(n, c, *at)] += float(gy[n, c, *output]) / len(window)
    return gx.astype(gy.dtype)


def _first_maximum(plane: Array, window: list[Position]) -> Position:
    """Find the first of the largest values; the first NaN, if there is one."""
    best = window[0]
    for at in window:
        if plane[at] > plane[best] or (math.isnan(plane[at]) and not math.isnan(plane[best])):
            best = at
    return best


def adaptive_max_pool(x: Array, out_size: tuple[int, ...]) -> tuple[Array, Indices]:
    """Take each window's maximum and its flat position."""
    y = np.empty((*x.shape[:2], *out_size), x.dtype)
    indices = np.empty(y.shape, np.int64)
    for n, c, *output in np.ndindex(y.shape):
        best = _first_maximum(x[n, c], _adaptive_window(x.shape[2:], out_size, tuple(output)))
        y[n, c, *output] = x[(n, c, *best)]
        indices[n, c, *output] = np.ravel_multi_index(best, x.shape[2:])
    return y, indices


def fractional_max_pool(x: Array, starts: tuple[Indices, ...], kernel_size: tuple[int, ...]) -> tuple[Array, Indices]:
    """Take the maximum, and its flat position, of the windows that start where `starts` says for each plane and axis."""
    y = np.empty((*x.shape[:2], *(start.shape[2] for start in starts)), x.dtype)
    indices = np.empty(y.shape, np.int64)
    for n, c, *output in np.ndindex(y.shape):
        first = [int(start[n, c, i]) for start, i in zip(starts, output, strict=True)]
        window = list(product(*(range(i, i + kernel) for i, kernel in zip(first, kernel_size, strict=True))))
        best = _first_maximum(x[n, c], window)
        y[n, c, *output] = x[(n, c, *best)]
        indices[n, c, *output] = np.ravel_multi_index(best, x.shape[2:])
    return y, indices


def stochastic_pool(x: Array, draws: Array, geometry: PoolGeometry) -> tuple[Array, Indices]:
    """Walk through each window until the sum so far exceeds the draw's share of the whole sum."""
    y = np.empty(draws.shape, x.dtype)
    indices = np.empty(y.shape, np.int64)
    for n, c, *output in np.ndindex(y.shape):
        window = [at for _, at in _window(geometry, tuple(output))]
        taken = _first_maximum(x[n, c], window)  # where nothing can be drawn
        total = sum(float(x[(n, c, *at)]) for at in window)
        so_far = 0.0
        for at in window if math.isfinite(total) else ():
            so_far += float(x[(n, c, *at)])
            if so_far > float(draws[n, c, *output]) * total:
                taken = at
                break
        y[n, c, *output] = x[(n, c, *taken)]
        indices[n, c, *output] = np.ravel_multi_index(taken, geometry.in_size)
    return y, indices


def channel_window_sum(x: Array, before: int, after: int) -> Array:
    """Sum channels i - before to i + after, as far as they exist."""
    s = np.zeros(x.shape)
    channels = x.shape[1]
    for i in range(channels):
        for j in range(max(0, i - before), min(channels, i + after + 1)):
            s[:, i] += x[:, j]
    return s.astype(x.dtype)


def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float) -> tuple[Array, Array]:
    """Compute d[i] = k + alpha / size * sum of x[j]^2 over i's window, and y[i] = x[i] * d[i] ** -beta."""
    y, d = np.empty(x.shape), np.empty(x.shape)
    channels = x.shape[1]
    for n, i, *at in np.ndindex(x.shape):
        window = range(max(0, i - size // 2), min(channels, i + (size - 1) // 2 + 1))
        energy = sum(float(x[n, j, *at]) ** 2 for j in window)
        d[n, i, *at] = k + alpha / size * energy
        y[n, i, *at] = x[n, i, *at] * d[n, i, *at] ** -beta
    return y.astype(x.dtype), d.astype(x.dtype)


def local_response_norm_input_grad(gy: Array, x: Array, d: Array, size: int, alpha: float, beta: float) -> Array:
    """Follow both paths from x[j] to y[i]: the factor in front, where i = j, and the d of every window that j is in.

    dy[i] / dx[j] = [i = j] * d[i] ** -beta - beta * x[i] * d[i] ** (-beta - 1) * 2 * alpha / size * x[j]
    """
    gx = np.zeros(x.shape)
    channels = x.shape[1]
    for n, i, *at in np.ndindex(x.shape):
        g, x_i, d_i = float(gy[n, i, *at]), float(x[n, i, *at]), float(d[n, i, *at])
        gx[n, i, *at] += g * d_i**-beta
        for j in range(max(0, i - size // 2), min(channels, i + (size - 1) // 2 + 1)):
            gx[n, j, *at] -= g * beta * x_i * d_i ** (-beta - 1) * 2 * alpha / size * float(x[n, j, *at])
    return gx.astype(x.dtype)


def channel_sum(gy: Array) -> Array:
    """Sum everything that belongs to a channel."""
    total = np.zeros(gy.shape[1])
    for at in _positions(gy.shape[2:]):
        total += gy[_in_planes(at)].sum(axis=0, dtype=np.float64)
    return total.astype(gy.dtype)


def channel_moments(x: Array) -> tuple[Array, Array]:
    """Average everything that belongs to a channel, then the squares of the distances from that average."""
    count = x.size // x.shape[1]
    mean, var = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for at in _positions(x.shape[2:]):
        mean += x[_in_planes(at)].sum(axis=0, dtype=np.float64) / count
    for at in _positions(x.shape[2:]):
        var += ((x[_in_planes(at)] - mean) ** 2).sum(axis=0) / count
    return mean.astype(x.dtype), var.astype(x.dtype)


def batch_norm(
    x: Array, weight: Array | None, bias: Array | None, mean: Array, rstd: Array, relu: bool = False
) -> Array:
    """Compute (x - mean) * rstd * weight + bias, each with the number of its channel, and rectify it if asked to."""
    y = np.empty(x.shape)
    for at in np.ndindex(x.shape):
        c = at[1]
        xhat = (float(x[at]) - float(mean[c])) * float(rstd[c])
        y[at] = xhat * (1.0 if weight is None else float(weight[c])) + (0.0 if bias is None else float(bias[c]))
        if relu and y[at] < 0:
            y[at] = 0.0
    return y.astype(x.dtype)


def batch_norm_input_grad(
    gy: Array,
    x: Array,
    weight: Array | None,
    mean: Array,
    rstd: Array,
    y: Array | None = None,
    out: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Follow the three paths from x to y: directly, through the variance, and through the mean.

    With m numbers a channel, var = sum((x - mean)^2) / m and rstd = (var + eps) ** -1/2,

        gxhat = gy * weight
        gvar  = sum(gxhat * (x - mean)) * -1/2 * rstd^3
        gmean = sum(gxhat) * -rstd                                  (var does not change with mean: sum(x - mean) = 0)
        gx    = gxhat * rstd + gvar * 2 * (x - mean) / m + gmean / m

    Where a rectified output is 0, nothing comes in: gy is 0 there.
    """
    if y is not None:
        gy = relu_backward(gy, y)
    channels = x.shape[1]
    m = x.size // channels
    gweight, gbias, gvar, gmean = np.zeros(channels), np.zeros(channels), np.zeros(channels), np.zeros(channels)
    gx = np.empty(x.shape)
    for at in np.ndindex(x.shape):
        c = at[1]
        g, centred, r = float(gy[at]), float(x[at]) - float(mean[c]), float(rstd[c])
        gxhat = g if weight is None else g * float(weight[c])
        gbias[c] += g
        gweight[c] += g * centred * r
        gvar[c] += gxhat * centred * -0.5 * r**3
        gmean[c] += gxhat * -r
    for at in np.ndindex(x.shape):
        c = at[1]
        g, centred, r = float(gy[at]), float(x[at]) - float(mean[c]), float(rstd[c])
        gxhat = g if weight is None else g * float(weight[c])
        gx[at] = gxhat * r + gvar[c] * 2 * centred / m + gmean[c] / m
    return gx.astype(x.dtype), gweight.astype(x.dtype), gbias.astype(x.dtype)


def _each(formula: Callable[..., float], *arrays: Array) -> Array:
    """Compute a formula for one number after the other, of arrays that have one shape."""
    numbers = map(formula, *(array.ravel().tolist() for array in arrays))
    return np.fromiter(numbers, arrays[-1].dtype, arrays[-1].size).reshape(arrays[-1].shape)


def sigmoid(x: Array) -> Array:
    """Compute 1 / (1 + exp(-x)), as exp(x) / (1 + exp(x)) where x < 0, so that no exponent is positive."""
    return _each(lambda x: math.exp(x) / (1 + math.exp(x)) if x < 0 else 1 / (1 + math.exp(-x)), x)


def sigmoid_backward(gy: Array, y: Array) -> Array:
    """Compute gy * y * (1 - y)."""
    return _each(lambda gy, y: gy * y * (1 - y), gy, y)


def relu(x: Array) -> Array:
    """Take x where it is positive, else 0; a NaN stays."""
    return _each(lambda x: x if x > 0 or math.isnan(x) else 0.0, x)


def relu_backward(gy: Array, y: Array, out: Array | None = None) -> Array:
    """Let gy through where y is not 0."""
    return _each(lambda gy, y: gy if y > 0 or math.isnan(y) else 0.0, gy, y)


def add(a: Array, b: Array, out: Array | None = None) -> Array:
    """Add two arrays number by number, with broadcasting."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    wide_a, wide_b = np.broadcast_to(a, shape), np.broadcast_to(b, shape)
    y = np.empty(shape, np.result_type(a, b)) if out is None else out
    for at in np.ndindex(shape):
        y[at] = wide_a[at] + wide_b[at]
    return y


def tanh_backward(gy: Array, y: Array) -> Array:
    """Compute gy * (1 - y^2)."""
    return _each(lambda gy, y: gy * (1 - y**2), gy, y)


def erf(x: Array) -> Array:
    """Compute the error function, one number after the other."""
    return _each(math.erf, x)


def erfc(x: Array) -> Array:
    """Compute the complement of the error function, one number after the other."""
    return _each(math.erfc, x)


def log_softmax(x: Array, axis: int) -> Array:
    """Compute x - log(sum(exp(x))) for every row along `axis`, with the row's maximum taken out of the exponents."""
    y = np.empty(x.shape, x.dtype)
    rows, y_rows = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
    for at in np.ndindex(rows.shape[:-1]):
        row = [float(value) for value in rows[at]]
        highest = max(row, default=0.0)
        if highest == -math.inf:
            y_rows[at] = math.nan  # nothing but -inf: no distribution
            continue
        log_sum = highest + math.log(sum(math.exp(value - highest) for value in row)) if row else 0.0
        y_rows[at] = [value - log_sum for value in row]
    return y


def log_softmax_backward(gy: Array, y: Array, axis: int) -> Array:
    """Compute gy - exp(y) * sum(gy) for every row along `axis`."""
    gx = np.empty(y.shape, y.dtype)
    gy_rows, y_rows, gx_rows = (np.moveaxis(array, axis, -1) for array in (gy, y, gx))
    for at in np.ndindex(y_rows.shape[:-1]):
        total = sum(float(value) for value in gy_rows[at])
        for i, (g, value) in enumerate(zip(gy_rows[at], y_rows[at], strict=True)):
            gx_rows[at][i] = float(g) - math.exp(float(value)) * total
    return gx
