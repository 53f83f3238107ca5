"""Padding layers against NumPy's padding; Unflatten, Softmax2d and the older names of Upsample."""

import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, ShapeError

MODES = {
    "Zero": ("constant", ()),
    "Constant": ("constant", (2.5,)),
    "Reflection": ("reflect", ()),
    "Replication": ("edge", ()),
    "Circular": ("wrap", ()),
}


@pytest.mark.parametrize("kind", MODES)
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_as_numpy_pads(kind, dims, batch):
    mode, value = MODES[kind]
    tg.manual_seed(0)
    x = tg.randn(*batch, 3, *(4, 6, 5)[:dims], requires_grad=True)
    widths = [(2, 1), (0, 3), (1, 2)][:dims]
    layer = getattr(nn, f"{kind}Pad{dims}d")([n for pair in reversed(widths) for n in pair], *value)
    y = layer(x)
    options = {"constant_values": value[0]} if value else {}
    pairs = [(0, 0)] * (x.ndim - dims) + widths
    np.testing.assert_array_equal(y.detach().numpy(), np.pad(x.detach().numpy(), pairs, mode=mode, **options))
    y.sum().backward()
    # What was copied into the border is counted again.
    assert x.grad.numpy().sum() == (x.numel() if mode == "constant" else y.numel())


def test_one_width_for_all_sides():
    assert nn.ZeroPad2d(2)(tg.ones(1, 3, 4)).shape == (1, 7, 8)
    assert nn.ConstantPad1d(1, 4.0)(tg.zeros(1, 2)).tolist() == [[4, 0, 0, 4]]


def test_negative_widths_crop():
    assert nn.ZeroPad2d((-1, 0, 0, 1))(tg.ones(1, 2, 3)).tolist() == [[[1, 1], [1, 1], [0, 0]]]


def test_unflatten():
    x = tg.arange(24.0).reshape(2, 12)
    assert nn.Unflatten(1, (3, 4))(x).tolist() == x.reshape(2, 3, 4).tolist()
    assert nn.Unflatten(-1, (3, -1))(x).shape == (2, 3, 4)
    assert nn.Unflatten(0, (1, 2))(x).shape == (1, 2, 12)
    back = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (3, 2, 2)))
    assert back(tg.zeros(5, 3, 2, 2)).shape == (5, 3, 2, 2)


def test_softmax2d():
    y = nn.Softmax2d()(tg.randn(2, 3, 4, 5)).numpy()
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-6)
    assert y.shape == (2, 3, 4, 5)
    x = tg.randn(3, 4, 5)
    np.testing.assert_array_equal(nn.Softmax2d()(x).numpy(), nn.Softmax2d()(x.unsqueeze(0)).numpy()[0])


def test_older_names_of_upsample():
    x = tg.tensor([[[[0.0, 3.0]]]])
    assert nn.UpsamplingBilinear2d((1, 4))(x).tolist() == [[[[0, 1, 2, 3]]]], "the corners lie on each other"
    assert nn.UpsamplingNearest2d(scale_factor=2)(x).tolist() == [[[[0, 0, 3, 3], [0, 0, 3, 3]]]]


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: nn.ZeroPad2d((1, 2, 3)), ArgumentError, "ZeroPad2d: padding must be one number, or 4: before and after"),
        (lambda: nn.ReflectionPad1d((1.5, 2)), ArgumentError, "ReflectionPad1d: padding must be one number, or 2"),
        (lambda: nn.CircularPad2d(1)(tg.zeros(3, 3)), ShapeError, "CircularPad2d: needs an input of 4 dimensions (n, c, ...)"),
        (lambda: nn.ConstantPad1d(1, 2.0)(tg.zeros(3)), ShapeError, "ConstantPad1d: needs an input of 3 dimensions"),
        (lambda: nn.ReflectionPad1d(3)(tg.zeros(1, 3)), ShapeError, "reflect padding of (3, 3) needs more than"),
        (lambda: nn.Unflatten("c", (1, 2)), ArgumentError, "Unflatten: dim must be an integer, got 'c'"),
        (lambda: nn.Unflatten(1, (5, 2))(tg.zeros(2, 12)), ShapeError, "dimension 1 has size 12, which is not 5 * 2"),
        (lambda: nn.Unflatten(1, (5, -1))(tg.zeros(2, 12)), ShapeError, "dimension 1 has size 12, which is not 5 * -1"),
        (lambda: nn.Unflatten(2, (5, 2))(tg.zeros(2, 12)), ShapeError, "there is no dimension 2 in an input of shape (2, 12)"),
        (lambda: nn.Softmax2d()(tg.zeros(2, 12)), ShapeError, "Softmax2d: needs an input (n, c, h, w) or (c, h, w)"),
    ],
)
def test_errors_name_what_was_given(act, error, message):
    with pytest.raises(error, match=re.escape(message)):
        act()
