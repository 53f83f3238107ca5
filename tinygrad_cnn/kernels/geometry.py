"""Where a window falls: the sizes of convolutions and poolings, checked once, before any number is touched.

Along one spatial axis everything follows from one line of index algebra. Output position i reads, under tap t of the
kernel, the input position

    i * stride + t * dilation - before            0 <= i < out,   0 <= t < kernel

where `before` is the padding in front of the axis. The taps of one window span `reach = dilation * (kernel - 1) + 1`
input positions, so that the number of windows which fit is

    out = floor((in + before + after - reach) / stride) + 1

A geometry is made once for an op and is then trusted by every kernel: no kernel checks a size. It can be hashed and
compared, and holds for 1, 2 or 3 spatial axes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.kernels.spelling import (
    Padding,
    Pairs,
    PerAxis,
    Sizes,
    axis_names,
    integer,
    padding_pairs,
    per_axis,
    reach,
    spatial_axes,
)

Slices = tuple[slice, ...]


def tap_slices(tap: int, in_size: int, out_size: int, stride: int, before: int, dilation: int) -> tuple[slice, slice]:
    """Pair the outputs along one axis with the inputs that they read under one tap, leaving padding out.

    Parameters
    ----------
    tap : int
        Which tap of the kernel, from 0.
    in_size, out_size, stride, before, dilation : int
        The axis: its sizes, the step, the padding in front, the distance between taps.

    Returns
    -------
    outputs, inputs : slice
        Of equal length. Output ``outputs[j]`` reads input ``inputs[j]``; outputs that read padding are not listed.

    Examples
    --------
    >>> tap_slices(0, in_size=5, out_size=3, stride=2, before=1, dilation=1)   # reads -1, 1, 3
    (slice(1, 3, None), slice(1, 4, 2))
    """
    shift = tap * dilation - before
    # 0 <= i * stride + shift < in_size, solved for i:
    # ceil(-shift / stride) <= i <= floor((in_size - 1 - shift) / stride)
    first = max(0, -(shift // stride))
    stop = min(out_size, (in_size - 1 - shift) // stride + 1)
    if stop <= first:
        return slice(0, 0), slice(0, 0)
    return slice(first, stop), slice(first * stride + shift, (stop - 1) * stride + shift + 1, stride)


@dataclass(frozen=True, slots=True)
class ConvGeometry:
    """All sizes of one convolution: n images, `groups` groups of channels, 1 to 3 spatial axes.

    Make one with `of` from shapes and a user's spellings, or directly from the normalised values below.

    Parameters
    ----------
    batch, in_channels : int
        n and c. The batch may be empty.
    in_size : tuple of int
        The input's spatial size, such as (h, w).
    out_channels : int
        o.
    kernel_size, stride : tuple of int
        One for each spatial axis.
    padding : tuple of (int, int)
        (before, after) for each spatial axis.
    dilation : tuple of int
        The distance between neighbouring taps, in input positions.
    groups : int
        Output channel j reads only the input channels of its own group, of which there are c / groups.

    Attributes
    ----------
    out_size : tuple of int
        The output's spatial size, such as (oh, ow).
    column_numbers : int
        How many numbers all windows of the batch hold together: the size of the columns that a product would read.
    op : str
        The op's name in error messages; not part of equality.

    Examples
    --------
    >>> ConvGeometry.of((4, 3, 32, 32), (8, 3, 5, 5), stride=2, padding="same").y_shape
    (4, 8, 16, 16)
    """

    batch: int
    in_channels: int
    in_size: Sizes
    out_channels: int
    kernel_size: Sizes
    stride: Sizes
    padding: Pairs
    dilation: Sizes
    groups: int
    op: str = field(default="conv", compare=False, repr=False)
    out_size: Sizes = field(init=False)
    column_numbers: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        op = f"{self.op}{self.dims}d"
        _check_ranges(op, self)
        _check_groups(op, self.in_channels, self.out_channels, self.groups)
        out_size = tuple(_windows_that_fit(op, *axis, ceil_mode=False) for axis in _axes(self))
        column_numbers = self.batch * self.in_channels * math.prod(self.kernel_size) * math.prod(out_size)
        object.__setattr__(self, "out_size", out_size)  # frozen: this is the one place that fills them in
        object.__setattr__(self, "column_numbers", column_numbers)

    @classmethod
    def of(
        cls,
        x_shape: Sequence[int],
        weight_shape: Sequence[int],
        stride: PerAxis = 1,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
        *,
        op: str = "conv",
    ) -> ConvGeometry:
        """Check shapes and options as a user writes them.

        Parameters
        ----------
        x_shape : sequence of int
            (n, c, *spatial), with 1 to 3 spatial axes.
        weight_shape : sequence of int
            (o, c / groups, *kernel).
        stride, dilation : int or sequence of int
            One for all spatial axes, or one each.
        padding : int, sequence, "valid" or "same"
            One for all axes, one for each, or a (before, after) pair for each. "valid" is 0. "same" makes the output
            ``ceil(in / stride)``; where the total is odd, the extra one comes after.
        groups : int
            Must divide both numbers of channels.
        op : str
            The op's name for messages, without its number of axes.

        Raises
        ------
        ShapeError
            Shapes that do not fit together; the message gives the arithmetic.
        ArgumentError
            An option out of its range.
        """
        dims = spatial_axes(op, x_shape)
        op_name = f"{op}{dims}d"
        if len(weight_shape) != len(x_shape):
            raise ShapeError(
                f"{op_name}: input of shape {tuple(x_shape)} has {dims} spatial axes, so weight must have shape "
                f"(out_channels, in_channels / groups, {', '.join(f'kernel {a}' for a in axis_names(dims))}); "
                f"got weight of shape {tuple(weight_shape)}"
            )
        groups = integer(op_name, "groups", groups, at_least=1)
        _check_groups(op_name, x_shape[1], weight_shape[0], groups)
        _check_channels(op_name, x_shape, weight_shape, groups)
        in_size, kernel_size = tuple(x_shape[2:]), tuple(weight_shape[2:])
        stride = per_axis(op_name, "stride", stride, dims, at_least=1)
        dilation = per_axis(op_name, "dilation", dilation, dims, at_least=1)
        padding = padding_pairs(op_name, padding, in_size, kernel_size, stride, dilation)
        return _conv_geometry(
            x_shape[0], x_shape[1], in_size, weight_shape[0], kernel_size, stride, padding, dilation, groups, op=op
        )

    @classmethod
    def for_transpose(
        cls,
        gy_shape: Sequence[int],
        weight_shape: Sequence[int],
        stride: PerAxis = 1,
        padding: Padding = 0,
        output_padding: PerAxis = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
    ) -> ConvGeometry:
        """Find the convolution whose input gradient a transposed convolution is.

        The transposed convolution reads `gy`, where that convolution's output was, and gives what has the shape of its
        input: ``(in - 1) * stride - before - after + reach + output_padding`` along each axis.

        Parameters
        ----------
        gy_shape : sequence of int
            The transposed convolution's input, (n, in, *spatial).
        weight_shape : sequence of int
            (in, out / groups, *kernel), which is (o, c / groups, *kernel) to the convolution.
        stride, padding, dilation, groups
            Of the convolution; `padding` not "same".
        output_padding : int or sequence of int
            Which of the `stride` inputs sizes that give this output size is meant: 0 for the smallest.
        """
        op = "conv_transpose"
        dims = spatial_axes(op, gy_shape)
        op_name = f"{op}{dims}d"
        groups = integer(op_name, "groups", groups, at_least=1)
        if len(weight_shape) != len(gy_shape) or weight_shape[0] != gy_shape[1]:
            raise ShapeError(
                f"{op_name}: input of shape {tuple(gy_shape)} has {gy_shape[1]} channels and {dims} spatial axes, so "
                f"weight must have shape ({gy_shape[1]}, out_channels / groups, "
                f"{', '.join(f'kernel {a}' for a in axis_names(dims))}); got weight of shape {tuple(weight_shape)}"
            )
        if gy_shape[1] % groups:
            raise ArgumentError(
                f"{op_name}: groups {groups} does not divide the input's {gy_shape[1]} channels = "
                f"{gy_shape[1] // groups} * {groups} + {gy_shape[1] % groups}: choose one of "
                f"{[n for n in range(1, gy_shape[1] + 1) if gy_shape[1] % n == 0]}"
            )
        kernel_size = tuple(weight_shape[2:])
        stride = per_axis(op_name, "stride", stride, dims, at_least=1)
        dilation = per_axis(op_name, "dilation", dilation, dims, at_least=1)
        output_padding = per_axis(op_name, "output_padding", output_padding, dims, at_least=0)
        if padding == "same":
            raise ArgumentError(
                f'{op_name}: padding="same" is not defined, since several input sizes share an output size; '
                f"give the padding of the convolution to be transposed as numbers"
            )
        padding = padding_pairs(op_name, padding, gy_shape[2:], kernel_size, stride, dilation)
        per_axis(op_name, "kernel_size", kernel_size, dims, at_least=1)
        in_size = tuple(
            _transposed_size(op_name, name, *axis)
            for name, *axis in zip(
                axis_names(dims), gy_shape[2:], kernel_size, stride, padding, dilation, output_padding, strict=True
            )
        )
        in_channels = weight_shape[1] * groups
        return cls(gy_shape[0], in_channels, in_size, gy_shape[1], kernel_size, stride, padding, dilation, groups, op=op)

    @property
    def dims(self) -> int:
        """The number of spatial axes."""
        return len(self.in_size)

    @property
    def x_shape(self) -> Sizes:
        """(n, c, *in_size)."""
        return (self.batch, self.in_channels, *self.in_size)

    @property
    def weight_shape(self) -> Sizes:
        """(o, c / groups, *kernel_size)."""
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    @property
    def y_shape(self) -> Sizes:
        """(n, o, *out_size)."""
        return (self.batch, self.out_channels, *self.out_size)

    @property
    def is_padded(self) -> bool:
        """Whether any window reads padding."""
        return any(before or after for before, after in self.padding)

    def taps(self) -> Iterator[tuple[Sizes, Slices, Slices]]:
        """List each tap of the kernel in row-major order, with the outputs and the inputs that it pairs."""
        return _taps(self)


@dataclass(frozen=True, slots=True)
class PoolGeometry:
    """The windows of one pooling, over 1 to 3 spatial axes; batch and channels are free.

    Make one with `of` from a shape and a user's spellings, or directly from the normalised values below.

    Parameters
    ----------
    in_size, kernel_size, stride : tuple of int
        One for each spatial axis.
    padding : tuple of (int, int)
        (before, after) for each spatial axis, each at most half of the window's reach: no window is all padding.
    dilation : tuple of int
        The distance between neighbouring taps, in input positions.
    ceil_mode : bool
        Count a last window that hangs over the far edge, as long as it starts inside the input or the padding before.

    Attributes
    ----------
    out_size : tuple of int
        The output's spatial size.
    op : str
        The op's name in error messages; not part of equality.

    Examples
    --------
    >>> PoolGeometry.of((1, 1, 7, 7), kernel_size=2, stride=3, ceil_mode=True).out_size
    (3, 3)
    >>> PoolGeometry.of((1, 1, 7, 7), kernel_size=2, stride=3).out_size
    (2, 2)
    """

    in_size: Sizes
    kernel_size: Sizes
    stride: Sizes
    padding: Pairs
    dilation: Sizes
    ceil_mode: bool = False
    op: str = field(default="pool", compare=False, repr=False)
    out_size: Sizes = field(init=False)

    def __post_init__(self) -> None:
        op = f"{self.op}{self.dims}d"
        _check_ranges(op, self)
        _check_pool_padding(op, self.kernel_size, self.dilation, self.padding)
        out_size = tuple(_windows_that_fit(op, *axis, ceil_mode=self.ceil_mode) for axis in _axes(self))
        object.__setattr__(self, "out_size", out_size)  # frozen: this is the one place that fills it in
        _check_no_empty_window(op, self)

    @classmethod
    def of(
        cls,
        x_shape: Sequence[int],
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        ceil_mode: bool = False,
        *,
        op: str = "pool",
    ) -> PoolGeometry:
        """Check a shape and options as a user writes them.

        Parameters
        ----------
        x_shape : sequence of int
            (n, c, *spatial), with 1 to 3 spatial axes.
        kernel_size : int or sequence of int
            One for all spatial axes, or one each.
        stride : int or sequence of int, optional
            `kernel_size` if not given: windows side by side.
        padding, dilation
            As for `ConvGeometry.of`.
        ceil_mode : bool
            Whether a last window may hang over the far edge.
        op : str
            The op's name for messages, without its number of axes.

        Raises
        ------
        ShapeError
            The input is smaller than the window.
        ArgumentError
            An option out of its range, such as padding above half of the window's reach.
        """
        dims = spatial_axes(op, x_shape)
        op_name = f"{op}{dims}d"
        in_size = tuple(x_shape[2:])
        kernel_size = per_axis(op_name, "kernel_size", kernel_size, dims, at_least=1)
        stride = kernel_size if stride is None else per_axis(op_name, "stride", stride, dims, at_least=1)
        dilation = per_axis(op_name, "dilation", dilation, dims, at_least=1)
        padding = padding_pairs(op_name, padding, in_size, kernel_size, stride, dilation)
        return _pool_geometry(in_size, kernel_size, stride, padding, dilation, bool(ceil_mode), op=op)

    @property
    def dims(self) -> int:
        """The number of spatial axes."""
        return len(self.in_size)

    def taps(self) -> Iterator[tuple[Sizes, Slices, Slices]]:
        """List each tap of the window in row-major order, with the outputs and the inputs that it pairs."""
        return _taps(self)


# Every step of a training asks for the same geometries: each is made, and checked, once.
_conv_geometry = functools.lru_cache(maxsize=1024)(ConvGeometry)
_pool_geometry = functools.lru_cache(maxsize=1024)(PoolGeometry)


def _axes(geometry: ConvGeometry | PoolGeometry) -> Iterator[tuple[str, int, int, int, tuple[int, int], int]]:
    """List (name, size, kernel, stride, padding, dilation) of each axis."""
    return zip(
        axis_names(geometry.dims),
        geometry.in_size,
        geometry.kernel_size,
        geometry.stride,
        geometry.padding,
        geometry.dilation,
        strict=True,
    )


def _taps(geometry: ConvGeometry | PoolGeometry) -> Iterator[tuple[Sizes, Slices, Slices]]:
    """Cross the taps of every axis: the last axis moves fastest, as in the flat order of the kernel."""
    along = []
    for (_, size, kernel, stride, (before, _), dilation), out in zip(_axes(geometry), geometry.out_size, strict=True):
        slices = (tap_slices(tap, size, out, stride, before, dilation) for tap in range(kernel))
        along.append([(tap, outputs, inputs) for tap, (outputs, inputs) in enumerate(slices)])
    for chosen in product(*along):
        taps, outputs, inputs = zip(*chosen, strict=True)
        yield taps, outputs, inputs


def _windows_that_fit(
    op: str,
    axis: str,
    size: int,
    kernel: int,
    stride: int,
    padding: tuple[int, int],
    dilation: int,
    *,
    ceil_mode: bool,
) -> int:
    """Count the windows along one axis."""
    before, after = padding
    span = reach(kernel, dilation)
    room = size + before + after - span
    if size < 1:
        raise ShapeError(f"{op}: input {axis} is {size}, but only the batch may be empty: give at least 1")
    out = (-(-room // stride) if ceil_mode else room // stride) + 1
    if room < 0 and not (ceil_mode and out >= 1):  # in ceil mode even the first window may hang over the edge
        raise ShapeError(
            f"{op}: input {axis} {size} + padding {before} + {after} is smaller than the kernel's reach "
            f"{span} = {dilation} * ({kernel} - 1) + 1. The nearest that fit: {_nearest(axis, size, kernel, padding, dilation)}"
        )
    # The last window must start inside the input or the padding before it, not in the padding after.
    return out - 1 if ceil_mode and (out - 1) * stride >= size + before else out


def _nearest(axis: str, size: int, kernel: int, padding: tuple[int, int], dilation: int) -> str:
    """For a window that does not fit, what would: each of its four sizes changed by itself, as little as possible."""
    before, after = padding
    span, padded = reach(kernel, dilation), size + before + after
    missing = span - padded
    choices = [f"input {axis} {size + missing}"]
    more = (before + missing // 2, after + missing - missing // 2)
    if max(more) <= span // 2:  # what a pool accepts; beyond it, a window can lie in the padding alone
        choices.append(f"padding {more[0]} + {more[1]}")
    if padded > 0:
        # The largest k with dilation * (k - 1) + 1 <= padded, and the largest dilation for this kernel.
        choices.append(f"kernel {axis} {(padded - 1) // dilation + 1}")
    if dilation > 1 and (padded - 1) // (kernel - 1) >= 1:
        choices.append(f"dilation {(padded - 1) // (kernel - 1)}")
    return " or ".join(choices)


def _transposed_size(
    op: str,
    axis: str,
    size: int,
    kernel: int,
    stride: int,
    padding: tuple[int, int],
    dilation: int,
    output_padding: int,
) -> int:
    """Invert the formula of the output size; `output_padding` says which of `stride` answers is meant."""
    if output_padding >= stride:
        raise ArgumentError(
            f"{op}: output_padding {output_padding} along the {axis} must be smaller than the stride {stride}: it only "
            f"chooses among the {stride} input sizes that a convolution of stride {stride} maps to one output size; use at "
            f"most {stride - 1}, or lessen the padding after"
        )
    before, after = padding
    span = reach(kernel, dilation)
    result = (size - 1) * stride - before - after + span + output_padding
    if result < 1 or size < 1:
        raise ShapeError(
            f"{op}: output {axis} {result} = ({size} - 1) * {stride} - {before} - {after} + {span} + {output_padding} "
            f"must be at least 1: lessen the padding or enlarge the input"
        )
    return result


def _check_ranges(op: str, geometry: ConvGeometry | PoolGeometry) -> None:
    """Check the numbers of a geometry made directly; `of` has checked those that a user spelled."""
    for what, numbers in (
        ("kernel_size", geometry.kernel_size),
        ("stride", geometry.stride),
        ("dilation", geometry.dilation),
    ):
        per_axis(op, what, numbers, geometry.dims, at_least=1)
    padding_pairs(op, geometry.padding, geometry.in_size, geometry.kernel_size, geometry.stride, geometry.dilation)


def _check_channels(op: str, x_shape: Sequence[int], weight_shape: Sequence[int], groups: int) -> None:
    if x_shape[1] != weight_shape[1] * groups:
        raise ShapeError(
            f"{op}: input has {x_shape[1]} channels, but the weight reads {weight_shape[1] * groups} = "
            f"weight.shape[1] {weight_shape[1]} * groups {groups} (input shape {tuple(x_shape)}, weight shape "
            f"{tuple(weight_shape)}): give the input {weight_shape[1] * groups} channels, or make the weight with "
            f"in_channels={x_shape[1]}"
        )


def _check_groups(op: str, in_channels: int, out_channels: int, groups: int) -> None:
    integer(op, "groups", groups, at_least=1)
    for what, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels < 1:
            raise ShapeError(f"{op}: {what} must be at least 1; got {channels}")
        if channels % groups:
            raise ArgumentError(
                f"{op}: groups {groups} does not divide {what} {channels} = {channels // groups} * {groups} + "
                f"{channels % groups}: choose groups that divide both in_channels {in_channels} and out_channels "
                f"{out_channels}"
            )


def _check_pool_padding(op: str, kernel_size: Sizes, dilation: Sizes, padding: Pairs) -> None:
    """Keep every window over at least one real input: a maximum over padding alone would be -inf."""
    for name, kernel, step, (before, after) in zip(axis_names(len(kernel_size)), kernel_size, dilation, padding, strict=True):
        span = reach(kernel, step)
        if max(before, after) > span // 2:
            raise ArgumentError(
                f"{op}: padding {max(before, after)} along the {name} is more than half of the kernel's reach {span} = "
                f"{step} * ({kernel} - 1) + 1, so that a window could lie in the padding alone: use at most {span // 2}"
            )


def _check_no_empty_window(op: str, geometry: PoolGeometry) -> None:
    """Refuse dilated windows whose taps all miss a short input.

    Without dilation the limit on padding rules them out.
    """
    for (name, size, kernel, stride, (before, _), dilation), out in zip(_axes(geometry), geometry.out_size, strict=True):
        if dilation == 1:
            continue
        seen: set[int] = set()
        for tap in range(kernel):
            outputs, _ = tap_slices(tap, size, out, stride, before, dilation)
            seen.update(range(out)[outputs])
        if len(seen) < out:
            empty = min(set(range(out)) - seen)
            raise ShapeError(
                f"{op}: every tap of window {empty} along the {name} misses the input {name} {size}: they lie at "
                f"{[empty * stride - before + tap * dilation for tap in range(kernel)]}; lessen dilation {dilation} or "
                f"padding {before}"
            )
