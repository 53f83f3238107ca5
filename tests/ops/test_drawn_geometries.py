"""2,000 drawn geometries of convolution, transposed convolution and pooling against the loops of the reference.

Through the public functions, values and every gradient: 1, 2 and 3 dimensions, nothing square, strides that leave remainders,
padding that differs before and after, dilation, groups, ceil mode, empty batches.
"""

import numpy as np
from hypothesis import given, settings

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.kernels import ConvGeometry, PoolGeometry, reference

from ..kernels.kernel_cases import conv_geometries, pool_geometries, seeds


def drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> tg.Tensor:
    return tg.tensor(rng.standard_normal(shape), requires_grad=True)


def close(got: tg.Tensor, expected: np.ndarray) -> None:
    assert got.shape == expected.shape
    np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-10, atol=1e-10)


@settings(max_examples=800)
@given(conv_geometries(), seeds)
def test_convolution(g: ConvGeometry, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, weight, bias = drawn(rng, g.x_shape), drawn(rng, g.weight_shape), drawn(rng, (g.out_channels,))
    conv = (tg.conv1d, tg.conv2d, tg.conv3d)[g.dims - 1]
    y = conv(x, weight, bias, g.stride, g.padding, g.dilation, g.groups)
    close(y, reference.conv(x.array, weight.array, bias.array, g))
    gy = rng.standard_normal(y.shape)
    gx, gweight, gbias = grad(y, (x, weight, bias), tg.tensor(gy))
    close(gx, reference.conv_input_grad(gy, weight.array, g))
    close(gweight, reference.conv_weight_grad(x.array, gy, g))
    close(gbias, np.array([gy[:, o].sum() for o in range(g.out_channels)]))


@settings(max_examples=600)
@given(conv_geometries(), seeds)
def test_transposed_convolution(g: ConvGeometry, seed: int) -> None:
    """The transpose of the drawn convolution; where the stride leaves a remainder, `output_padding` says so."""
    rng = np.random.default_rng(seed)
    x, weight = drawn(rng, g.y_shape), drawn(rng, g.weight_shape)
    remainder = tuple(
        n - ((o - 1) * s - before - after + d * (k - 1) + 1)
        for n, o, s, (before, after), d, k in zip(
            g.in_size, g.out_size, g.stride, g.padding, g.dilation, g.kernel_size, strict=True
        )
    )
    conv_transpose = (tg.conv_transpose1d, tg.conv_transpose2d, tg.conv_transpose3d)[g.dims - 1]
    y = conv_transpose(x, weight, None, g.stride, g.padding, remainder, g.groups, g.dilation)
    close(y, reference.conv_input_grad(x.array, weight.array, g))
    gy = rng.standard_normal(y.shape)
    gx, gweight = grad(y, (x, weight), tg.tensor(gy))
    close(gx, reference.conv(gy, weight.array, None, g))
    close(gweight, reference.conv_weight_grad(gy, x.array, g))


@settings(max_examples=300)
@given(pool_geometries(), seeds)
def test_max_pooling(g: PoolGeometry, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = drawn(rng, (2, 3, *g.in_size))
    pool = (tg.max_pool1d, tg.max_pool2d, tg.max_pool3d)[len(g.in_size) - 1]
    y, indices = pool(x, g.kernel_size, g.stride, g.padding, g.dilation, g.ceil_mode, return_indices=True)
    expected, places = reference.max_pool(x.array, g)
    close(y, expected)
    np.testing.assert_array_equal(indices.numpy(), places)
    gy = rng.standard_normal(y.shape)
    (gx,) = grad(y, x, tg.tensor(gy))
    close(gx, reference.pool_scatter(gy, places, g.in_size))
    np.testing.assert_allclose(gx.numpy().sum(), gy.sum(), atol=1e-9)  # every gradient arrives somewhere, once


@settings(max_examples=300)
@given(pool_geometries(), seeds)
def test_average_pooling(g: PoolGeometry, seed: int) -> None:
    rng = np.random.default_rng(seed)
    g = PoolGeometry.of((1, 1, *g.in_size), g.kernel_size, g.stride, _halved(g), 1, g.ceil_mode)
    x = drawn(rng, (2, 3, *g.in_size))
    include, divisor = bool(seed % 2), (None, 7)[seed // 2 % 2]
    pool = (tg.avg_pool1d, tg.avg_pool2d, tg.avg_pool3d)[len(g.in_size) - 1]
    options = {} if len(g.in_size) == 1 else {"divisor_override": divisor}
    divisor = options.get("divisor_override")
    y = pool(x, g.kernel_size, g.stride, g.padding, g.ceil_mode, include, **options)
    close(y, reference.avg_pool(x.array, g, include, divisor))
    gy = rng.standard_normal(y.shape)
    (gx,) = grad(y, x, tg.tensor(gy))
    close(gx, reference.avg_pool_input_grad(gy, g, include, divisor))


def _halved(g: PoolGeometry) -> tuple[tuple[int, int], ...]:
    """Padding that suits the window without its dilation."""
    return tuple((min(b, k // 2), min(a, k // 2)) for (b, a), k in zip(g.padding, g.kernel_size, strict=True))
