"""Transposed convolution: against stamping by hand, against the convolution whose transpose it is, and its refusals."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.verify.cases_conv_transpose import stamp

FUNCTIONS = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MODES = ("zeros", "reflect", "replicate", "circular")


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@st.composite
def calls(draw_from):
    """Any setting of one to three dimensions whose output has at least one pixel."""
    dims = draw_from(st.integers(1, 3))
    most = (5, 3, 2)[dims - 1]
    groups = draw_from(st.sampled_from((1, 1, 2)))
    mode = draw_from(st.sampled_from(MODES))
    axes = []
    for _ in range(dims):
        size, kernel, stride, dilation = (draw_from(st.integers(1, high)) for high in (most, 3, 3, 2))
        extra = draw_from(st.integers(0, stride - 1))
        canvas = (size - 1) * stride + dilation * (kernel - 1) + 1 + extra
        # How far a border can be copied depends on the mode; zeros crop as much as there is.
        for before, after in draw_from(st.permutations([(b, a) for b in range(3) for a in range(3)])):
            inside = canvas - before - after
            room = {"reflect": inside - 1, "circular": inside}.get(mode, 3)
            if inside >= 1 and max(before, after) <= room:
                break
        axes.append((size, kernel, stride, dilation, extra, (before, after)))
    sizes, kernels, strides, dilations, extras, padding = zip(*axes, strict=True)
    x_shape = (draw_from(st.integers(0, 2)), groups * draw_from(st.integers(1, 2)), *sizes)
    weight_shape = (x_shape[1], draw_from(st.integers(1, 2)), *kernels)
    options = {"stride": strides, "padding": padding, "output_padding": extras, "groups": groups, "dilation": dilations}
    return x_shape, weight_shape, {**options, "padding_mode": mode}


@settings(max_examples=250, deadline=None)
@given(calls(), st.integers(0, 1000))
def test_drawn_settings_stamp(call, seed):
    x_shape, weight_shape, options = call
    rng = np.random.default_rng(seed)
    x, weight = rng.standard_normal(x_shape), rng.standard_normal(weight_shape)
    bias = rng.standard_normal(weight_shape[1] * options["groups"])
    y = FUNCTIONS[len(x_shape) - 2](x, tg.tensor(weight), tg.tensor(bias), **options)
    np.testing.assert_allclose(y.numpy(), stamp(x, weight, bias, **options), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", [1, (2, 1), ((2, 1), (0, 3))])
def test_transposes_the_convolution_of_every_padding_mode(mode, padding):
    """<conv(x), v> = <x, conv_transpose(v)>, where conv pads as NumPy does."""
    numpy_mode = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    pairs = {1: ((1, 1), (1, 1)), (2, 1): ((2, 2), (1, 1))}.get(padding, padding)
    x, weight = draw(2, 4, 6, 7), tg.tensor(draw(6, 2, 3, 2, seed=1))
    border = np.pad(x, ((0, 0), (0, 0), *pairs), mode=numpy_mode)
    y = F.conv2d(border, weight, None, stride=(2, 1), groups=2, dilation=(1, 2))
    v = draw(*y.shape, seed=2)
    left_over = (6 + sum(pairs[0]) - 3) % 2
    back = F.conv_transpose2d(
        v, weight, None, (2, 1), padding, (left_over, 0), groups=2, dilation=(1, 2), padding_mode=mode
    )
    assert back.shape == x.shape
    np.testing.assert_allclose((y.numpy() * v).sum(), (x * back.numpy()).sum(), rtol=1e-12)


def test_is_the_gradient_of_the_convolution():
    x = tg.tensor(draw(1, 2, 5, 6), requires_grad=True)
    weight = tg.tensor(draw(3, 2, 3, 2))
    y = F.conv2d(x, weight, stride=(2, 3), padding=1)
    v = draw(*y.shape)
    y.backward(tg.tensor(v))
    back = F.conv_transpose2d(v, weight, stride=(2, 3), padding=1, output_padding=(0, 0))
    np.testing.assert_allclose(back.numpy(), x.grad.numpy(), rtol=1e-12)


def test_output_padding_tells_sizes_apart():
    """Convolutions of stride 3 map 7, 8 and 9 pixels to 3; each comes back by its own output_padding."""
    weight = tg.ones(1, 1, 1)
    for extra, size in enumerate((7, 8, 9)):
        y = F.conv1d(tg.ones(1, 1, size), weight, stride=3)
        assert y.shape == (1, 1, 3)
        assert F.conv_transpose1d(y, weight, stride=3, output_padding=extra).shape == (1, 1, size)


def test_the_bias_of_a_folded_border_counts_once():
    y = F.conv_transpose1d(tg.zeros(1, 1, 4), tg.ones(1, 1, 3), tg.tensor([5.0]), padding=1, padding_mode="circular")
    assert y.tolist() == [[[5, 5, 5, 5]]]


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("mode", MODES)
def test_without_a_batch(dims, mode):
    x, weight, bias = draw(2, *(3,) * dims), tg.tensor(draw(2, 3, *(2,) * dims)), tg.tensor(draw(3))
    y = FUNCTIONS[dims](x, weight, bias, 2, 1, 1, padding_mode=mode)
    assert y.shape == (3, *(5,) * dims)
    np.testing.assert_array_equal(y.numpy(), FUNCTIONS[dims](x[None], weight, bias, 2, 1, 1, padding_mode=mode).numpy()[0])


def test_an_empty_batch_keeps_shapes_and_gives_zero_gradients():
    x = tg.zeros(0, 2, 3, 3, requires_grad=True)
    weight, bias = tg.ones(2, 4, 2, 2, requires_grad=True), tg.ones(4, requires_grad=True)
    y = F.conv_transpose2d(x, weight, bias, stride=2)
    assert y.shape == (0, 4, 6, 6)
    y.sum().backward()
    assert x.grad.shape == (0, 2, 3, 3)
    assert not weight.grad.numpy().any()
    assert bias.grad.tolist() == [0, 0, 0, 0]


def test_how_it_is_called_in_graphs():
    x = tg.ones(1, 1, 3, 3, requires_grad=True)
    y = F.conv_transpose2d(x, tg.ones(1, 1, 3, 3), stride=2, padding=1, output_padding=(1, 0))
    assert repr(y.grad_fn) == "<ConvTranspose2dBackward>"
    assert y.grad_fn.settings == {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1), "output_padding": (1, 0)}
    assert "output_padding" not in F.conv_transpose2d(x, tg.ones(1, 1, 3, 3), stride=2).grad_fn.settings
    folded = F.conv_transpose1d(tg.ones(1, 1, 3, requires_grad=True), tg.ones(1, 1, 3), padding=1, padding_mode="reflect")
    assert folded.grad_fn.op_name == "Add"


def test_float32_and_a_float64_bias_stay_float32():
    y = F.conv_transpose2d(tg.ones(1, 1, 2, 2), tg.ones(1, 2, 2, 2), tg.tensor([1.0, 2.0], dtype="float64"))
    assert y.dtype == np.float32


X, WEIGHT = (1, 4, 5, 6), (4, 2, 3, 3)


def call(x=X, weight=WEIGHT, bias=None, **options):
    return F.conv_transpose2d(tg.ones(*x), tg.ones(*weight), bias, **options)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: call((4, 5)), ShapeError, "conv_transpose2d: needs an input of 4 dimensions (n, c, ...) and a weight of 4"),
        (lambda: call(weight=(3, 2, 3, 3)), ShapeError, "weight must have shape (4, out_channels / groups, kernel height"),
        (lambda: call(groups=3), ArgumentError,
         "groups 3 does not divide the input's 4 channels = 1 * 3 + 1: choose one of [1, 2, 4]"),
        (lambda: call(groups=0), ArgumentError, "conv_transpose2d: groups must be at least 1; got 0"),
        (lambda: call(bias=tg.ones(3)), ShapeError, "bias has shape (3,), weight (4, 2, 3, 3) with groups 1 needs (2,)"),
        (lambda: call(bias=tg.ones(2), groups=2), ShapeError, "with groups 2 needs (4,) = (2 * 2,)"),
        (lambda: call(stride=0), ArgumentError, "conv_transpose2d: stride must be at least 1; got 0"),
        (lambda: call(dilation=(1, -1)), ArgumentError, "dilation along the width must be at least 1; got -1"),
        (lambda: call(stride=(2, 3), output_padding=(1, 3)), ArgumentError,
         "output_padding 3 along the width must be smaller than the stride 3: it only chooses among the 3 input sizes that a "
         "convolution of stride 3 maps to one output size; use at most 2, or lessen the padding after"),
        (lambda: call(padding=(4, 0)), ShapeError,
         "output height -1 = (5 - 1) * 1 - 4 - 4 + 3 + 0 must be at least 1: lessen the padding or enlarge the input"),
        (lambda: call(padding="same"), ArgumentError, 'padding="same" is not defined'),
        (lambda: call(padding_mode="mirror"), ArgumentError,
         "padding_mode must be one of zeros, reflect, replicate, circular; got 'mirror'"),
        (lambda: call((1, 4, 2, 1), padding=((0, 0), (1, 1)), padding_mode="reflect"), ShapeError,
         "reflect padding of (1, 1) along the width copies more than the output width 1 = 3 - 1 - 1 has to copy: use at most "),
        (lambda: call((1, 4, 1, 4), padding=((2, 0), (0, 0)), padding_mode="circular"), ShapeError,
         "circular padding of (2, 0) along the height copies more than the output height 1 = 3 - 2 - 0 has to copy: use at "
         "most 1, or another padding_mode"),
    ],
)  # fmt: skip
def test_refusals(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()
