"""Receptive fields: published and worked numbers, every unit against brute force, and the gradients inside the field."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import explain, nn
from tinygrad_cnn.errors import ArgumentError, AutogradError, ShapeError
from tinygrad_cnn.nn import functional as F


def image(*shape):
    tg.manual_seed(0)
    return tg.randn(*shape, dtype=tg.float64, requires_grad=True)


def kernel(o, c, *size):
    """All positive: no gradient cancels."""
    return tg.rand(o, c, *size, dtype=tg.float64) + 0.1


def seen_by(y, x, unit):
    """First and last pixel with a gradient along each axis, when all weights are positive."""
    field = explain.effective_field(y, x, unit)
    places = np.argwhere(field != 0)
    return tuple((int(a), int(b)) for a, b in zip(places.min(0), places.max(0), strict=True))


@pytest.mark.parametrize(("layers", "size"), [(1, 3), (2, 5), (3, 7)])
def test_stacked_3x3_convolutions_see_what_a_larger_one_sees(layers, size):
    x = y = image(1, 1, 12, 12)
    for _ in range(layers):
        y = F.conv2d(y, kernel(1, 1, 3, 3), padding=1)
    field = explain.receptive_field(y, x)
    assert field.size == (size, size)
    assert field.jump == (1, 1)
    assert field.start == (-layers, -layers)
    assert field.centre == (0, 0)
    assert field.aligned


def test_a_2x2_kernel_on_a_2x2_kernel_sees_nine_pixels():
    x = image(1, 1, 4, 4)
    y = F.conv2d(F.conv2d(x, kernel(1, 1, 2, 2)), kernel(1, 1, 2, 2))
    assert explain.receptive_field(y, x).size == (3, 3)


def test_lenet5_c3_sees_14_pixels_and_c5_all_32():
    x = image(1, 1, 32, 32)
    c1 = F.conv2d(x, kernel(2, 1, 5, 5))
    s2 = F.avg_pool2d(c1, 2)
    c3 = F.conv2d(s2, kernel(2, 2, 5, 5))
    c5 = F.conv2d(F.avg_pool2d(c3, 2), kernel(1, 2, 5, 5))
    assert explain.receptive_field(c3, x).size == (14, 14)
    assert explain.receptive_field(c5, x).size == (32, 32)
    assert explain.receptive_field(c5, x).jump == (4, 4)


def test_alexnet_and_vgg16_features_as_published():
    """Araujo et al. 2019, table: 195 for AlexNet v2, 212 for VGG-16; the layers' sizes are what the number comes from."""
    x = y = image(1, 1, 224, 224)
    for size, stride, pool in ((11, 4, True), (5, 1, True), (3, 1, False), (3, 1, False), (3, 1, True)):
        y = F.conv2d(y, kernel(1, 1, size, size), stride=stride, padding=size // 2 if stride == 1 else 0)
        y = F.max_pool2d(y, 3, 2) if pool else y
    assert explain.receptive_field(y, x).size == (195, 195)
    y = x
    for convolutions in (2, 2, 3, 3, 3):
        for _ in range(convolutions):
            y = F.conv2d(y, kernel(1, 1, 3, 3), padding=1)
        y = F.max_pool2d(y, 2)
    field = explain.receptive_field(y, x)
    assert (field.size, field.jump) == ((212, 212), (32, 32))


def test_resnet50_sees_483_pixels_and_its_paths_are_aligned():
    x = image(1, 1, 64, 64)
    y = F.max_pool2d(F.conv2d(x, kernel(1, 1, 7, 7), stride=2, padding=3), 3, 2, 1)
    # Strides as in the published number: on the last unit of a stage, and not in the last stage.
    for units, stride in ((3, 2), (4, 2), (6, 2), (3, 1)):
        for unit in range(units):
            s = stride if unit == units - 1 else 1
            y = F.conv2d(y, kernel(1, 1, 3, 3), stride=s, padding=1) + F.conv2d(y, kernel(1, 1, 1, 1), stride=s)
    field = explain.receptive_field(y, x)
    assert field.size == (483, 483)
    assert field.jump == (32, 32)
    assert field.aligned


def test_unequal_paths_are_joined_and_what_is_not_aligned_is_said():
    x = image(1, 1, 16, 16)
    wide, narrow = F.conv2d(x, kernel(1, 1, 5, 5), padding=2), F.conv2d(x, kernel(1, 1, 1, 1))
    inception = explain.receptive_field(tg.ops.cat([wide, narrow], 1), x)
    assert (inception.size, inception.aligned) == ((5, 5), True)
    shifted = F.conv2d(x, kernel(1, 1, 2, 2), padding=((0, 1), (1, 0)))
    joined = explain.receptive_field(wide + shifted, x)
    assert (joined.size, joined.start, joined.aligned) == ((5, 5), (-2, -2), False)
    assert "not aligned" in str(joined)
    crop = x[:, :, :8, :8] + F.max_pool2d(x, 2)
    mixed = explain.receptive_field(crop, x)
    assert mixed.jump == (None, None)
    assert mixed.size == (9, 9)  # unit 7 sees pixel 7, and 14 to 15
    assert mixed.of((7, 0)) == ((7, 15), (0, 1))
    assert not mixed.aligned


def test_transposed_convolutions_have_fractional_jumps():
    x = image(1, 1, 6, 6)
    y = F.conv_transpose2d(x, kernel(1, 1, 3, 3), stride=2, padding=1)
    field = explain.receptive_field(y, x)
    assert field.jump == (Fraction(1, 2), Fraction(1, 2))
    for unit in np.ndindex(*y.shape[2:]):
        assert field.of(unit) == seen_by(y, x, unit)


def test_global_pooling_linear_layers_and_numbers_see_everything():
    x = image(2, 3, 8, 6)
    for y in (F.adaptive_avg_pool2d(x, 1), F.linear(x.flatten(1), kernel(4, 144)), x.mean((2, 3)), F.unfold(x, 2)):
        field = explain.receptive_field(y, x)
        assert field.size == (8, 6)
        assert field.jump == (0, 0)
        assert field.of((0,) * (y.ndim - 2)) == ((0, 7), (0, 5))


def test_rows_columns_and_moves():
    x = image(1, 2, 8, 6)
    field = explain.receptive_field(x.permute(0, 1, 3, 2), x)
    assert field.of((5, 7)) == ((7, 7), (5, 5))
    field = explain.receptive_field(x[:, :, 2:, ::2], x)
    assert (field.start, field.jump) == ((2, 0), (1, 2))
    field = explain.receptive_field(x[:, :, 3].unsqueeze(2), x)
    assert field.of((0, 4)) == ((3, 3), (4, 4))
    assert explain.receptive_field(x.mean(3, keepdim=True), x).of((4, 0)) == ((4, 4), (0, 5))
    assert explain.receptive_field(x.mean(3), x).of((4,)) == ((4, 4), (0, 5))
    assert explain.receptive_field(F.softmax(x, 1), x).of((4, 2)) == ((4, 4), (2, 2))
    assert explain.receptive_field(tg.ops.cat([x, x], 3), x).of((4, 8)) == ((4, 4), (2, 5))


def test_statistics_are_left_out_and_that_is_said():
    x = image(2, 2, 6, 6)
    y = nn.BatchNorm2d(2).double()(F.conv2d(x, kernel(2, 2, 3, 3)))
    field = explain.receptive_field(y, x)
    assert field.size == (3, 3)
    assert field.notes == ("Left out: BatchNorm also sees all that its statistics are of.",)
    fused = nn.BatchNorm2d(2, relu=True).double()(F.conv2d(x, kernel(2, 2, 3, 3)))
    field = explain.receptive_field(fused, x)
    assert field.size == (3, 3)
    assert field.notes == ("Left out: BatchNormReLU also sees all that its statistics are of.",)


def test_one_and_three_axes():
    x = image(1, 1, 9)
    assert str(explain.receptive_field(F.conv1d(x, kernel(1, 1, 3), dilation=2), x)).splitlines() == [
        "  axis  size  jump  start  centre",
        "length     5     1      0       2",
    ]
    x = image(1, 1, 5, 6, 7)
    field = explain.receptive_field(F.avg_pool3d(x, (1, 2, 3)), x)
    assert field.size == field.jump == (1, 2, 3)


OPS = st.sampled_from(["conv", "dilated", "pool", "avg", "transpose", "skip", "branches", "pad", "relu", "up", "bilinear"])


def applied(op, y, generator):
    """One layer, drawn, with positive weights; y as it was where the layer does not fit."""
    k, s = int(generator.integers(1, 4)), int(generator.integers(1, 3))
    before, after = (int(n) for n in generator.integers(0, 2, 2))
    if op == "transpose":
        return F.conv_transpose2d(y, kernel(1, 1, k, k), stride=s, dilation=2)
    if op == "pad":
        return F.pad(y, (before, after, after, before))
    if op == "relu":
        return F.relu(y)
    if op in ("up", "bilinear"):
        return F.interpolate(y, scale_factor=2, mode="nearest" if op == "up" else "bilinear")
    if op == "skip":
        return y + F.conv2d(y, kernel(1, 1, 3, 3), padding=1)
    if op == "branches":
        return F.conv2d(y, kernel(1, 1, 1, 1)) * 0.5 + F.max_pool2d(y, 3, 1, 1) + F.conv2d(y, kernel(1, 1, 5, 5), padding=2)
    if min(y.shape[2:]) < 6:
        return y
    if op == "pool":
        return F.max_pool2d(y, 2, s, ceil_mode=True)
    if op == "avg":
        return F.avg_pool2d(y, 3, s, 1)
    padding = ((before, after), (after, before))
    return F.conv2d(y, kernel(1, 1, k, k), stride=s, padding=padding, dilation=2 if op == "dilated" else 1)


@settings(max_examples=60)
@given(st.lists(OPS, min_size=1, max_size=4), st.integers(0, 10**6))
def test_every_pixel_with_a_gradient_is_in_the_field(ops, seed):
    generator = np.random.default_rng(seed)
    tg.manual_seed(seed)
    x = y = tg.rand(1, 1, 9, 7, dtype=tg.float64, requires_grad=True)
    for op in ops:
        y = applied(op, y, generator)
    field = explain.receptive_field(y, x)
    unit = tuple(int(generator.integers(n)) for n in y.shape[2:])
    effective = explain.effective_field(y, x, unit)
    (top, bottom), (left, right) = field.of(unit)
    outside = effective.copy()
    outside[max(top, 0) : bottom + 1, max(left, 0) : right + 1] = 0
    assert not outside.any()
    for (low, high), size in zip(field.of(unit, clip=False), field.size, strict=True):
        assert high - low + 1 <= size


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["conv", "skip", "relu"]), min_size=1, max_size=3), st.integers(0, 10**6))
def test_without_holes_and_with_positive_weights_the_field_is_exact(ops, seed):
    generator = np.random.default_rng(seed)
    tg.manual_seed(seed)
    x = y = tg.rand(1, 1, 12, 12, dtype=tg.float64, requires_grad=True)
    for op in ops:
        y = F.conv2d(y, kernel(1, 1, 3, 2)) if op == "conv" else applied(op, y, generator)
    field = explain.receptive_field(y, x)
    unit = tuple(int(generator.integers(n)) for n in y.shape[2:])
    # Reaching into padding and out again sees nothing more, so at the border the theory may see more than there is.
    inner = all(low >= 0 and high < 12 for low, high in field.of(unit, clip=False))
    if inner:
        assert field.of(unit) == seen_by(y, x, unit)


def test_effective_field_picks_unit_channel_and_sample():
    x = image(2, 1, 5, 5)
    weight = tg.tensor(np.arange(18.0).reshape(2, 1, 3, 3))
    y = F.conv2d(x, weight)
    field = explain.effective_field(y, x, (2, 0), channel=1, sample=1)
    expected = np.zeros((5, 5))
    expected[2:5, 0:3] = np.arange(9.0, 18.0).reshape(3, 3)
    assert np.array_equal(field, expected)
    assert np.array_equal(explain.effective_field(y, x)[1:4, 1:4], np.arange(9.0).reshape(3, 3))


def test_messages():
    x = image(1, 1, 5, 5)
    y = F.conv2d(x, kernel(1, 1, 3, 3))
    with pytest.raises(AutogradError, match="the units do not depend on the input"):
        explain.receptive_field(y, image(1, 1, 5, 5))
    with pytest.raises(AutogradError, match="requires_grad=True"):
        explain.receptive_field(y, x.detach())
    with pytest.raises(ShapeError, match=r"needs \(n, c, \.\.\.\)"):
        explain.receptive_field(y, image(2, 3))
    with pytest.raises(ShapeError, match=r"no unit \(3, 0\)"):
        explain.receptive_field(y, x).of((3, 0))
    with pytest.raises(ArgumentError, match="there is no unit at"):
        explain.effective_field(y, x, (3, 0))
