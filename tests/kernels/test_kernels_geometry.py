"""Sizes of convolutions and poolings, users' spellings, and the message of every refusal."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.kernels import ConvGeometry, PoolGeometry
from tinygrad_cnn.kernels.geometry import tap_slices

from .kernel_cases import conv_geometries

X = (2, 4, 9, 12)
WEIGHT = (6, 4, 3, 5)


class TestConvSizes:
    """Sizes that papers and documentation print, or that follow from the formula by hand."""

    @pytest.mark.parametrize(
        ("x", "weight", "options", "expected"),
        [
            ((4, 2, 3, 5), (3, 2, 3, 5), {"padding": (1, 2)}, (4, 3, 3, 5)),
            ((1, 3, 100, 100), (4, 3, 3, 3), {"padding": 2}, (1, 4, 102, 102)),
            ((1, 3, 227, 227), (96, 3, 11, 11), {"stride": 4}, (1, 96, 55, 55)),
            ((1, 3, 224, 224), (96, 3, 11, 11), {"stride": 4}, (1, 96, 54, 54)),
            ((1, 96, 27, 27), (256, 48, 5, 5), {"padding": 2, "groups": 2}, (1, 256, 27, 27)),
            ((1, 1, 9), (1, 1, 3), {"dilation": 2}, (1, 1, 5)),
            ((1, 1, 9), (1, 1, 3), {"dilation": 4}, (1, 1, 1)),
            ((1, 1, 5, 6, 7), (1, 1, 2, 3, 4), {"stride": (1, 2, 3)}, (1, 1, 4, 2, 2)),
            ((0, 3, 8, 8), (4, 3, 3, 3), {}, (0, 4, 6, 6)),
            ((1, 1, 2, 2), (1, 1, 3, 3), {"padding": 1}, (1, 1, 2, 2)),
            ((1, 1, 8, 8), (1, 1, 3, 3), {"padding": ((0, 2), (1, 0))}, (1, 1, 8, 7)),
            ((1, 1, 8, 8), (1, 1, 3, 3), {"padding": (2, (1, 0))}, (1, 1, 10, 7)),
            ((1, 1, 8, 8), (1, 1, 3, 3), {"padding": "valid"}, (1, 1, 6, 6)),
        ],
    )
    def test_output_size(self, x, weight, options, expected):
        assert ConvGeometry.of(x, weight, **options).y_shape == expected

    @pytest.mark.parametrize(
        ("size", "kernel", "stride", "dilation", "padding"),
        [
            (28, 5, 1, 1, (2, 2)),
            (28, 4, 1, 1, (1, 2)),  # an odd total: the extra one comes after
            (7, 3, 2, 1, (1, 1)),
            (8, 3, 2, 1, (0, 1)),
            (224, 11, 4, 1, (3, 4)),
            (10, 3, 1, 3, (3, 3)),
            (9, 1, 4, 1, (0, 0)),  # gaps between windows: nothing to pad
        ],
    )
    def test_same_padding(self, size, kernel, stride, dilation, padding):
        geometry = ConvGeometry.of((1, 1, size), (1, 1, kernel), stride=stride, dilation=dilation, padding="same")
        assert geometry.padding == (padding,)
        assert geometry.out_size == (-(-size // stride),)

    def test_shapes_and_fields(self):
        geometry = ConvGeometry.of(X, (6, 2, 3, 5), stride=[1, np.int64(2)], padding=1, groups=2)
        assert geometry == ConvGeometry(2, 4, (9, 12), 6, (3, 5), (1, 2), ((1, 1), (1, 1)), (1, 1), 2)
        assert geometry.x_shape == X
        assert geometry.weight_shape == (6, 2, 3, 5)
        assert geometry.y_shape == (2, 6, 9, 5)
        assert geometry.out_size == (9, 5)
        assert geometry.dims == 2
        assert geometry.is_padded
        assert not ConvGeometry.of(X, WEIGHT).is_padded

    def test_is_a_constant(self):
        geometry = ConvGeometry.of(X, WEIGHT)
        assert hash(geometry) == hash(ConvGeometry.of(X, WEIGHT, op="other"))
        with pytest.raises(dataclasses.FrozenInstanceError):
            geometry.groups = 2

    @settings(max_examples=100, deadline=None)
    @given(conv_geometries())
    def test_output_size_counts_the_windows_that_fit(self, geometry):
        axes = zip(geometry.in_size, geometry.kernel_size, geometry.stride, geometry.padding, geometry.dilation, strict=True)
        for (size, kernel, stride, (before, after), dilation), out in zip(axes, geometry.out_size, strict=True):
            starts = range(-before, size + after, stride)
            assert out == sum(start + dilation * (kernel - 1) < size + after for start in starts)


class TestTranspose:
    @pytest.mark.parametrize(
        ("gy", "weight", "options", "x_shape"),
        [
            ((1, 16, 12, 12), (16, 33, 3, 5), {"stride": (2, 1), "padding": (4, 2)}, (1, 33, 17, 12)),
            ((1, 16, 6, 6), (16, 16, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}, (1, 16, 12, 12)),
            ((2, 4, 5), (4, 3, 3), {"dilation": 2, "groups": 2}, (2, 6, 9)),
        ],
    )
    def test_sizes(self, gy, weight, options, x_shape):
        """The first two are the examples of PyTorch's documentation."""
        geometry = ConvGeometry.for_transpose(gy, weight, **options)
        assert geometry.x_shape == x_shape
        assert geometry.y_shape == gy
        assert geometry.weight_shape == weight

    @settings(max_examples=100, deadline=None)
    @given(conv_geometries())
    def test_inverts_the_output_size(self, geometry):
        """The remainder that the convolution's stride dropped is the output padding that finds its input again."""
        axes = zip(geometry.in_size, geometry.kernel_size, geometry.stride, geometry.padding, geometry.dilation, strict=True)
        remainders = tuple((size + b + a - d * (k - 1) - 1) % s for size, k, s, (b, a), d in axes)
        found = ConvGeometry.for_transpose(
            geometry.y_shape,
            geometry.weight_shape,
            geometry.stride,
            geometry.padding,
            remainders,
            geometry.dilation,
            geometry.groups,
        )
        assert found == geometry


class TestPoolSizes:
    @pytest.mark.parametrize(
        ("size", "options", "expected"),
        [
            ((55, 55), {"kernel_size": 3, "stride": 2}, (27, 27)),  # AlexNet
            ((28, 28), {"kernel_size": 2}, (14, 14)),
            ((112, 112), {"kernel_size": 3, "stride": 2}, (55, 55)),
            ((112, 112), {"kernel_size": 3, "stride": 2, "ceil_mode": True}, (56, 56)),  # GoogLeNet
            ((7,), {"kernel_size": 2, "stride": 3, "ceil_mode": True}, (3,)),
            ((4,), {"kernel_size": 2, "stride": 3, "ceil_mode": True}, (2,)),
            # ceil(2 / 3) + 1 = 2 windows would start at -1 and 2: inside. With 3 inputs and stride 4, the second would
            # start at 3, in the padding after: not counted.
            ((3,), {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True}, (2,)),
            ((3,), {"kernel_size": 3, "stride": 4, "padding": 1, "ceil_mode": True}, (1,)),
            ((5, 6, 7), {"kernel_size": (1, 2, 3), "stride": 1}, (5, 5, 5)),
            ((7,), {"kernel_size": 3, "stride": 2, "padding": "same"}, (4,)),
            ((8,), {"kernel_size": 3, "stride": 1, "padding": ((0, 1),)}, (7,)),
            ((9,), {"kernel_size": 3, "stride": 1, "dilation": 3}, (3,)),
        ],
    )
    def test_output_size(self, size, options, expected):
        assert PoolGeometry.of((2, 3, *size), **options).out_size == expected

    def test_stride_defaults_to_the_kernel(self):
        assert PoolGeometry.of(X, (2, 3)) == PoolGeometry((9, 12), (2, 3), (2, 3), ((0, 0), (0, 0)), (1, 1), False)


@settings(max_examples=200, deadline=None)
@given(
    tap=st.integers(0, 4),
    in_size=st.integers(1, 8),
    out_size=st.integers(1, 8),
    stride=st.integers(1, 4),
    before=st.integers(0, 5),
    dilation=st.integers(1, 3),
)
def test_tap_slices_pair_exactly_what_lies_inside(tap, in_size, out_size, stride, before, dilation):
    outputs, inputs = tap_slices(tap, in_size, out_size, stride, before, dilation)
    found = list(zip(range(out_size)[outputs], range(in_size)[inputs], strict=True))
    reads = ((i, i * stride + tap * dilation - before) for i in range(out_size))
    assert found == [(i, at) for i, at in reads if 0 <= at < in_size]


def conv(x=X, weight=WEIGHT, **options):
    return ConvGeometry.of(x, weight, **options)


def transpose(gy=(2, 6, 5, 5), weight=(6, 4, 3, 3), **options):
    return ConvGeometry.for_transpose(gy, weight, **options)


def pool(x=X, kernel_size=3, **options):
    return PoolGeometry.of(x, kernel_size, **options)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: conv((1, 4, 3, 12), (6, 4, 3, 5), dilation=2),
            ShapeError,
            "conv2d: input height 3 + padding 0 + 0 is smaller than the kernel's reach 5 = 2 * (3 - 1) + 1. The nearest "
            "that fit: input height 5 or padding 1 + 1 or kernel height 2 or dilation 1",
        ),
        (
            lambda: conv((1, 4, 9, 2), padding=((0, 0), (1, 0))),
            ShapeError,
            "conv2d: input width 2 + padding 1 + 0 is smaller than the kernel's reach 5 = 1 * (5 - 1) + 1. The nearest "
            "that fit: input width 4 or padding 2 + 1 or kernel width 3",
        ),
        (lambda: conv((1, 4, 2, 9, 9), (6, 4, 3, 3, 3)), ShapeError, "conv3d: input depth 2 + padding 0 + 0 is smaller"),
        (lambda: conv((1, 4, 0, 12), padding=3), ShapeError, "conv2d: input height is 0, but only the batch may be empty"),
        (
            lambda: conv((2, 3, 9, 12)),
            ShapeError,
            "conv2d: input has 3 channels, but the weight reads 4 = weight.shape[1] 4 * groups 1 (input shape "
            "(2, 3, 9, 12), weight shape (6, 4, 3, 5)): give the input 4 channels, or make the weight with in_channels=3",
        ),
        (
            lambda: conv(groups=2),
            ShapeError,
            "conv2d: input has 4 channels, but the weight reads 8 = weight.shape[1] 4 * groups 2",
        ),
        (
            lambda: conv(groups=3),
            ArgumentError,
            "conv2d: groups 3 does not divide in_channels 4 = 1 * 3 + 1: choose groups that divide both in_channels 4 and "
            "out_channels 6",
        ),
        (
            lambda: conv(weight=(6, 1, 3, 3), groups=4),
            ArgumentError,
            "conv2d: groups 4 does not divide out_channels 6 = 1 * 4 + 2",
        ),
        (lambda: conv(groups=0), ArgumentError, "conv2d: groups must be at least 1; got 0"),
        (lambda: conv((2, 0, 9, 9), (6, 0, 3, 3)), ShapeError, "conv2d: in_channels must be at least 1; got 0"),
        (lambda: conv(stride=0), ArgumentError, "conv2d: stride must be at least 1; got 0"),
        (lambda: conv(stride=(1, -2)), ArgumentError, "conv2d: stride along the width must be at least 1; got -2"),
        (lambda: conv(stride=1.5), ArgumentError, "conv2d: stride must be an int; got 1.5"),
        (
            lambda: conv(stride=(1, 1, 1)),
            ArgumentError,
            "conv2d: stride must be an int or have one number for each of the 2 spatial axes (height, width); got (1, 1, 1)",
        ),
        (lambda: conv(dilation=(0, 1)), ArgumentError, "conv2d: dilation along the height must be at least 1; got 0"),
        (lambda: conv(padding=-1), ArgumentError, "conv2d: padding along the height must be at least 0; got -1"),
        (
            lambda: conv(padding=((0, 1), (-1, 0))),
            ArgumentError,
            "conv2d: padding along the width must be at least 0; got -1",
        ),
        (
            lambda: conv(padding=(1, (1, 2, 3))),
            ArgumentError,
            "conv2d: padding along the width must be an int or a (before, after) pair; got (1, 2, 3)",
        ),
        (
            lambda: conv(padding=(1,)),
            ArgumentError,
            "conv2d: padding must be an int, or have an int or a (before, after) pair for each of the 2 spatial axes "
            "(height, width); got (1,)",
        ),
        (
            lambda: conv(padding="full"),
            ArgumentError,
            'conv2d: padding must be numbers, "valid" or "same"; got \'full\'',
        ),
        (
            lambda: conv((4, 9)),
            ShapeError,
            "conv: input must have shape (n, c, *spatial) with 1, 2 or 3 spatial axes; got 2 axes in shape (4, 9)",
        ),
        (
            lambda: conv(weight=(6, 4, 3)),
            ShapeError,
            "conv2d: input of shape (2, 4, 9, 12) has 2 spatial axes, so weight must have shape (out_channels, "
            "in_channels / groups, kernel height, kernel width); got weight of shape (6, 4, 3)",
        ),
        (lambda: conv(weight=(6, 4, 0, 3)), ArgumentError, "conv2d: kernel_size along the height must be at least 1; got 0"),
        (lambda: conv(stride=0, op="my_conv"), ArgumentError, "my_conv2d: stride"),
        (
            lambda: transpose(weight=(5, 4, 3, 3)),
            ShapeError,
            "conv_transpose2d: input of shape (2, 6, 5, 5) has 6 channels and 2 spatial axes, so weight must have shape "
            "(6, out_channels / groups, kernel height, kernel width); got weight of shape (5, 4, 3, 3)",
        ),
        (
            lambda: transpose(stride=2, output_padding=(1, 2)),
            ArgumentError,
            "conv_transpose2d: output_padding 2 along the width must be smaller than the stride 2",
        ),
        (lambda: transpose(padding="same"), ArgumentError, 'conv_transpose2d: padding="same" is not defined'),
        (
            lambda: transpose(groups=4),
            ArgumentError,
            "conv_transpose2d: groups 4 does not divide the input's 6 channels = 1 * 4 + 2: choose one of [1, 2, 3, 6]",
        ),
        (
            lambda: transpose((2, 6, 1, 5), padding=2),
            ShapeError,
            "conv_transpose2d: output height -1 = (1 - 1) * 1 - 2 - 2 + 3 + 0 must be at least 1: lessen the padding or "
            "enlarge the input",
        ),
        (
            lambda: pool(padding=2),
            ArgumentError,
            "pool2d: padding 2 along the height is more than half of the kernel's reach 3 = 1 * (3 - 1) + 1, so that a "
            "window could lie in the padding alone: use at most 1",
        ),
        (
            lambda: pool((1, 1, 9, 2), op="max_pool"),
            ShapeError,
            "max_pool2d: input width 2 + padding 0 + 0 is smaller than the kernel's reach 3",
        ),
        (
            lambda: pool((1, 1, 1), 2, padding=2, dilation=4),
            ShapeError,
            "pool1d: every tap of window 0 along the width misses the input width 1: they lie at [-2, 2]; lessen "
            "dilation 4 or padding 2",
        ),
        (lambda: pool(kernel_size=0), ArgumentError, "pool2d: kernel_size must be at least 1; got 0"),
        (lambda: pool(stride=(2,)), ArgumentError, "pool2d: stride must be an int or have one number for each"),
        (
            lambda: ConvGeometry(1, 1, (5,), 1, (3,), (0,), ((0, 0),), (1,), 1),
            ArgumentError,
            "conv1d: stride along the width must be at least 1; got 0",
        ),
        (
            lambda: PoolGeometry((5,), (3,), (1,), ((-1, 0),), (1,)),
            ArgumentError,
            "pool1d: padding along the width must be at least 0; got -1",
        ),
        (
            lambda: PoolGeometry((5, 5), (3, 3), (1,), ((0, 0), (0, 0)), (1, 1)),
            ArgumentError,
            "pool2d: stride must be an int or have one number for each of the 2 spatial axes",
        ),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()
