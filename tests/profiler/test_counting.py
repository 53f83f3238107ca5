"""Operations and bytes against closed forms."""

import numpy as np
import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.nn.functional as F
from tinygrad_cnn import models, nn


def leaf(*shape):
    return tg.randn(*shape, requires_grad=True)


def profiled(function):
    with tg.profile() as p:
        function()
    return p


def flops(p):
    return {call.name: call.flops for call in p.calls}


def moved(p):
    return {call.name: call.bytes for call in p.calls}


def test_flops_of_a_lenet():
    n = 3
    net = models.LeNet()
    p = profiled(lambda: F.cross_entropy(net(tg.randn(n, 1, 28, 28)), tg.tensor([0, 1, 2])).backward())
    # Caffe's LeNet: maps of 24 x 24 and 8 x 8 under 5 x 5 taps, then 800 -> 500 -> 10.
    products = {"conv1": 20 * 24 * 24 * 25, "conv2": 50 * 8 * 8 * 20 * 25, "fc1": 800 * 500, "fc2": 500 * 10}
    assert sum(products.values()) == 2_293_000
    found = {(call.module, call.kind): call.flops for call in p.calls}
    for module, count in products.items():
        assert found[module, "forward"] == 2 * n * count
        # The first layer's input gradient is not needed.
        assert found[module, "backward"] == 2 * n * count * (1 if module == "conv1" else 2)
    rows = {row.name: row for row in p.rows(group_by="module")}
    assert rows["conv2"].flops == 3 * 2 * n * products["conv2"]
    assert found["relu", "forward"] == found["relu", "backward"] == n * 500
    assert found["pool1", "forward"] == n * 20 * 24 * 24
    assert found["flatten", "forward"] == found["flatten", "backward"] == 0


def test_only_the_gradients_that_are_made():
    x, weight = leaf(2, 3, 6, 7), leaf(4, 3, 3, 2)
    work = 2 * (2 * 4 * 4 * 6) * (3 * 3 * 2)
    p = profiled(lambda: F.conv2d(x, weight).sum().backward())
    assert (flops(p)["Conv2d"], flops(p)["Conv2dBackward"]) == (work, 2 * work)
    p = profiled(lambda: tg.autograd.grad(F.conv2d(x, weight).sum(), weight))
    assert flops(p)["Conv2dBackward"] == work


def test_transposed_convolutions():
    x, weight = leaf(2, 3, 4, 5), leaf(3, 4, 3, 2)
    p = profiled(lambda: F.conv_transpose2d(x, weight).sum().backward())
    work = 2 * (2 * 3 * 4 * 5) * (4 * 3 * 2)
    assert (flops(p)["ConvTranspose2d"], flops(p)["ConvTranspose2dBackward"]) == (work, 2 * work)


def test_matrix_products():
    a, b = leaf(5, 2, 3), leaf(5, 3, 4)
    p = profiled(lambda: (a @ b).sum().backward())
    assert (flops(p)["MatMul"], flops(p)["MatMulBackward"]) == (2 * 5 * 2 * 3 * 4, 4 * 5 * 2 * 3 * 4)
    c = leaf(4, 6)
    p = profiled(lambda: tg.einsum("bij,bjk,kl->il", a, b, c).sum().backward())
    # As the one product of three factors that it is; einsum may find a cheaper order.
    assert flops(p)["EinsumBackward"] == 3 * flops(p)["Einsum"] == 3 * 2 * (5 * 2 * 3 * 4 * 6)


def test_one_for_each_element():
    x = leaf(3, 4)
    p = profiled(lambda: (x.exp() * leaf(4)).sum().backward())
    assert flops(p) == {
        "Exp": 12, "Mul": 12, "Sum": 12, "SumBackward": 0, "MulBackward": 12, "ExpBackward": 12
    }  # fmt: skip


def test_what_only_moves_elements_computes_nothing():
    x = leaf(3, 4)
    p = profiled(lambda: tg.cat([x.T.flip(0), x.reshape(4, 3)[1:]]).permute(1, 0).reshape(-1).sum())
    assert {name for name, count in flops(p).items() if count} == {"Sum"}
    views = {name for name, count in moved(p).items() if not count}
    assert "Permute" in views
    assert {"Cat", "Flip"}.isdisjoint(views)


def test_bytes_are_what_is_read_and_written():
    x, y = leaf(3, 4), leaf(4)
    p = profiled(lambda: (x * y).exp().sum().backward())
    assert moved(p)["Mul"] == 4 * (12 + 4 + 12)
    assert moved(p)["Exp"] == 4 * (12 + 12)
    assert moved(p)["Sum"] == 4 * (12 + 1)
    assert moved(p)["SumBackward"] == 0  # a view of the one number
    assert moved(p)["ExpBackward"] == 4 * (12 + 12 + 12)  # gy, the saved output, gx
    assert moved(p)["MulBackward"] == 4 * (12 + 12 + 4 + 12 + 4)  # gy, both factors, both gradients


def test_bytes_of_a_linear_layer():
    layer, x = nn.Linear(6, 5), leaf(7, 6)
    p = profiled(lambda: layer(x).exp().sum().backward())
    sizes = {"x": 7 * 6, "weight": 5 * 6, "bias": 5, "y": 7 * 5}
    assert moved(p)["Linear"] == 4 * sum(sizes.values())
    assert moved(p)["LinearBackward"] == 4 * (sizes["y"] + sizes["x"] + sizes["weight"] + sizes["x"] + sizes["weight"] + 5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bytes_go_by_the_dtype(dtype):
    x = tg.tensor(np.ones(10, dtype))
    assert moved(profiled(lambda: x.exp())) == {"Exp": 20 * np.dtype(dtype).itemsize}
