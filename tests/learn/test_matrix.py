"""A convolution's matrix: the layer's own outputs, its transpose, and the sizes that share an output size."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import learn, nn
from tinygrad_cnn.errors import ArgumentError

LAYERS = [
    (nn.Conv1d(1, 1, 3, bias=False), (5,)),
    (nn.Conv1d(2, 3, 2, stride=2, padding=1), 6),
    (nn.Conv2d(1, 1, (2, 3), stride=(1, 2), padding=(0, 1)), (3, 6)),
    (nn.Conv2d(4, 6, 3, stride=2, padding=((1, 2), (0, 1)), dilation=(1, 2), groups=2), (4, 7)),
    (nn.Conv2d(2, 2, 3, padding="same", stride=2), (5, 4)),
    (nn.Conv3d(1, 2, 2), (2, 3, 2)),
]
TRANSPOSED = [
    (nn.ConvTranspose1d(1, 1, 3, stride=2, output_padding=1), (3,)),
    (nn.ConvTranspose2d(4, 2, (3, 2), stride=(2, 1), padding=1, groups=2, dilation=2), (3, 4)),
]


@pytest.mark.parametrize(("layer", "size"), LAYERS + TRANSPOSED)
def test_the_matrix_does_what_the_layer_does(layer, size):
    matrix = learn.as_matrix(layer, size)
    sizes = (size,) * layer._dims if isinstance(size, int) else size
    x = tg.randn(1, layer.in_channels, *sizes, requires_grad=True)
    y = layer(x)
    bias = 0 if layer.bias is None else np.repeat(layer.bias.detach().numpy(), y.numel() // layer.out_channels)
    np.testing.assert_allclose(matrix.array @ x.detach().numpy().ravel() + bias, y.detach().numpy().ravel(), atol=1e-5)
    gy = tg.randn(*y.shape)
    y.backward(gy)
    np.testing.assert_allclose(matrix.T.array @ gy.numpy().ravel(), x.grad.numpy().ravel(), atol=1e-5)
    assert (matrix.array.dtype, len(matrix.rows), len(matrix.columns)) == (np.float32, y.numel(), x.numel())


@pytest.mark.parametrize("output_padding", [0, 1])
def test_the_transposed_layer_is_the_transpose(output_padding):
    conv = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2)
    back = nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, groups=2, output_padding=output_padding)
    back.weight.data = conv.weight.data
    forward = learn.as_matrix(conv, 5 + output_padding)
    assert conv(tg.zeros(1, 2, 5 + output_padding, 5 + output_padding)).shape[2:] == (3, 3)
    backward = learn.as_matrix(back, 3)
    np.testing.assert_array_equal(backward.array, forward.array.T)
    np.testing.assert_array_equal(backward.taps, forward.taps.T)
    assert backward.sizes == forward.sizes == {"height": {0: 5, 1: 6}, "width": {0: 5, 1: 6}}


def test_labels_and_taps_by_hand():
    conv = nn.Conv1d(1, 1, 2, bias=False)
    conv.weight.data = tg.tensor([[[5.0, 7.0]]])
    matrix = learn.as_matrix(conv, 3)
    assert matrix.array.tolist() == [[5, 7, 0], [0, 5, 7]]
    assert matrix.taps.tolist() == [[0, 1, -1], [-1, 0, 1]]
    assert matrix.rows == ("y[0, 0]", "y[0, 1]")
    assert matrix.T.rows == ("gx[0, 0]", "gx[0, 1]", "gx[0, 2]")
    assert matrix.T.columns == ("gy[0, 0]", "gy[0, 1]")
    assert repr(matrix) == "<ConvMatrix 2 x 3: 4 entries (67%) from 2 weights>"
    assert np.asarray(matrix).tolist() == matrix.array.tolist()


@pytest.mark.parametrize(("layer", "size"), [(layer, size) for layer, size in LAYERS[:4]])
def test_the_sizes_are_those_that_share_the_output_size(layer, size):
    sizes = (size,) * layer._dims if isinstance(size, int) else size
    matrix = learn.as_matrix(layer, size)
    shape = layer(tg.zeros(1, layer.in_channels, *sizes)).shape[2:]
    assert matrix.out_size == shape
    for axis, found in enumerate(matrix.sizes.values()):
        same = []
        for n in range(1, 20):
            try:
                tried = [*sizes[:axis], n, *sizes[axis + 1 :]]
                if layer(tg.zeros(1, layer.in_channels, *tried)).shape[2 + axis] == shape[axis]:
                    same.append(n)
            except ValueError:
                continue
        assert list(found.values()) == same


def test_the_table_reads():
    table = learn.as_matrix(nn.Conv1d(1, 1, 3, stride=3), 7).sizes_table().splitlines()
    assert table[1].split() == ["width", "6,", "7,", "8", "2", "0,", "1,", "2"]


def test_the_picture_has_a_box_and_a_number_for_each_entry():
    matrix = learn.as_matrix(nn.Conv2d(1, 1, 2), (3, 3))
    root = ET.fromstring(matrix.svg())
    rects = [element for element in root.iter() if element.tag.endswith("rect")]
    assert len(rects) == 1 + 16
    assert len({rect.get("fill") for rect in rects[1:]}) == 4
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert len(texts) == 16 + 4 + 9
    assert matrix.svg() in matrix._repr_html_()


def test_what_cannot_be_read_is_not_drawn():
    matrix = learn.as_matrix(nn.Conv2d(1, 1, 3), 25)
    assert "<svg" not in matrix._repr_html_()
    with pytest.raises(ArgumentError, match="529 x 625 could not be read"):
        matrix.svg()


def test_refusals():
    with pytest.raises(ArgumentError, match=r"needs a convolution layer, .* got Linear"):
        learn.as_matrix(nn.Linear(2, 2), 3)
    with pytest.raises(ArgumentError, match="padding_mode='reflect'"):
        learn.as_matrix(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), 5)
    with pytest.raises(ArgumentError, match="more than a dense matrix"):
        learn.as_matrix(nn.Conv2d(8, 8, 3), 64)
