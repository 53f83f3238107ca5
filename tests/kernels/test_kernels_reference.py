"""The reference itself, held against printed numbers and against formulations that share no code with it."""

import numpy as np
import pytest
from hypothesis import given, settings

from tinygrad_cnn.kernels import ConvGeometry, PoolGeometry, reference

from .kernel_cases import array, conv_geometries, numerical_gradient, pool_geometries, seeds

X = np.arange(9.0).reshape(1, 1, 3, 3)
K = np.arange(4.0).reshape(1, 1, 2, 2)
SOBEL = np.array([[[[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]]])
VZ_IMAGE = np.array([[[[0.0, 50, 0, 29], [0, 80, 31, 2], [33, 90, 0, 75], [0, 9, 0, 95]]]])


def conv(x: np.ndarray, weight: np.ndarray, **options: object) -> np.ndarray:
    return reference.conv(x, weight, None, ConvGeometry.of(x.shape, weight.shape, **options))


class TestConvGolden:
    """Worked examples of Dive into Deep Learning, chapter 7, and of V. Zhou's CNN from scratch."""

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, [[19, 25], [37, 43]]),
            ({"padding": 1}, [[0, 3, 8, 4], [9, 19, 25, 10], [21, 37, 43, 16], [6, 7, 8, 0]]),
            ({"padding": 1, "stride": (3, 2)}, [[0, 8], [6, 8]]),
        ],
    )
    def test_one_channel(self, options, expected):
        np.testing.assert_array_equal(conv(X, K, **options)[0, 0], expected)

    def test_flipping_the_kernel_gives_true_convolution(self):
        np.testing.assert_array_equal(conv(X, K[..., ::-1, ::-1])[0, 0], [[5, 11], [23, 29]])

    def test_channels_in_and_out(self):
        two = np.concatenate([X, X + 1], axis=1)
        filters = np.concatenate([np.concatenate([K + i, K + 1 + i], axis=1) for i in range(3)])
        expected = [[[56, 72], [104, 120]], [[76, 100], [148, 172]], [[96, 128], [192, 224]]]
        np.testing.assert_array_equal(conv(two, filters)[0], expected)

    def test_sobel(self):
        np.testing.assert_array_equal(conv(VZ_IMAGE, SOBEL)[0, 0], [[29, -192], [-35, -22]])
        horizontal = np.array([[[[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]]]])
        np.testing.assert_array_equal(conv(VZ_IMAGE, horizontal)[0, 0], [[-113, -86], [173, 40]])
        expected = [[180, 31, -120, -31], [300, 29, -192, -62], [269, -35, -22, -31], [108, -33, 157, 0]]
        np.testing.assert_array_equal(conv(VZ_IMAGE, SOBEL, padding="same")[0, 0], expected)

    def test_bias_is_added_to_its_channel(self):
        filters = np.concatenate([K, K])
        geometry = ConvGeometry.of(X.shape, filters.shape)
        y = reference.conv(X, filters, np.array([10.0, -10.0]), geometry)
        np.testing.assert_array_equal(y[0], [[[29, 35], [47, 53]], [[9, 15], [27, 33]]])


def conv_by_einsum(x: np.ndarray, weight: np.ndarray, geometry: ConvGeometry) -> np.ndarray:
    """Convolve without loops over positions: sliding windows of the padded input, thinned out, and one einsum a group."""
    dims = geometry.dims
    padded = np.pad(x, ((0, 0), (0, 0), *geometry.padding))
    reach = [d * (k - 1) + 1 for k, d in zip(geometry.kernel_size, geometry.dilation, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(2, 2 + dims)))
    steps = tuple(slice(None, None, step) for step in (*geometry.stride, *geometry.dilation))
    windows = windows[(slice(None), slice(None), *steps)]
    space, taps = "ijk"[:dims], "pqr"[:dims]
    groups = zip(np.split(windows, geometry.groups, axis=1), np.split(weight, geometry.groups), strict=True)
    return np.concatenate(
        [np.einsum(f"nc{space}{taps},oc{taps}->no{space}", part, filters) for part, filters in groups], axis=1
    )


@settings(max_examples=60, deadline=None)
@given(conv_geometries(min_batch=1), seeds)
def test_conv_equals_einsum_over_sliding_windows(geometry, seed):
    rng = np.random.default_rng(seed)
    x, weight = array(rng, geometry.x_shape), array(rng, geometry.weight_shape)
    np.testing.assert_allclose(reference.conv(x, weight, None, geometry), conv_by_einsum(x, weight, geometry), atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(conv_geometries(min_batch=1), seeds)
def test_conv_gradients_are_adjoint_to_the_einsum(geometry, seed):
    """Convolution is linear in x and in weight: <gy, conv(x, weight)> = <gx, x> = <gweight, weight>."""
    rng = np.random.default_rng(seed)
    x, weight, gy = (array(rng, shape) for shape in (geometry.x_shape, geometry.weight_shape, geometry.y_shape))
    expected = (gy * conv_by_einsum(x, weight, geometry)).sum()
    np.testing.assert_allclose((reference.conv_input_grad(gy, weight, geometry) * x).sum(), expected, atol=1e-10)
    np.testing.assert_allclose((reference.conv_weight_grad(x, gy, geometry) * weight).sum(), expected, atol=1e-10)


class TestPoolGolden:
    def test_windows_of_two_with_stride_one(self):
        geometry = PoolGeometry.of(X.shape, 2, stride=1)
        y, indices = reference.max_pool(X, geometry)
        np.testing.assert_array_equal(y[0, 0], [[4, 5], [7, 8]])
        np.testing.assert_array_equal(indices[0, 0], [[4, 5], [7, 8]])
        np.testing.assert_array_equal(reference.avg_pool(X, geometry, True, None)[0, 0], [[2, 3], [5, 6]])

    def test_padded_max_pooling(self):
        x = np.arange(32.0).reshape(1, 2, 4, 4)
        y, _ = reference.max_pool(x, PoolGeometry.of(x.shape, 3, stride=(2, 1), padding=1))
        np.testing.assert_array_equal(y[0], [[[5, 6, 7, 7], [13, 14, 15, 15]], [[21, 22, 23, 23], [29, 30, 31, 31]]])

    def test_vz_image(self):
        y, _ = reference.max_pool(VZ_IMAGE, PoolGeometry.of(VZ_IMAGE.shape, 2))
        np.testing.assert_array_equal(y[0, 0], [[80, 31], [90, 95]])

    def test_padding_is_minus_infinity_for_the_maximum(self):
        x = np.full((1, 1, 2, 2), -3.0)
        y, _ = reference.max_pool(x, PoolGeometry.of(x.shape, 2, stride=1, padding=1))
        np.testing.assert_array_equal(y, np.full((1, 1, 3, 3), -3.0))

    def test_average_in_ceil_mode(self):
        x = np.arange(49.0).reshape(1, 1, 7, 7)
        geometry = PoolGeometry.of(x.shape, 2, stride=3, ceil_mode=True)
        expected = [[4, 7, 9.5], [25, 28, 30.5], [42.5, 45.5, 48]]
        np.testing.assert_array_equal(reference.avg_pool(x, geometry, True, None)[0, 0], expected)
        np.testing.assert_array_equal(reference.avg_pool(x, geometry, False, None)[0, 0], expected)

    def test_divisors_of_a_padded_average(self):
        """Windows at -1..0, 1..2, 3..4 of 4 ones, padded by one: the last hangs over padding and, in ceil mode, ends."""
        x = np.ones((1, 1, 4))
        geometry = PoolGeometry.of(x.shape, 2, padding=1)
        np.testing.assert_array_equal(reference.avg_pool(x, geometry, True, None)[0, 0], [0.5, 1, 0.5])
        np.testing.assert_array_equal(reference.avg_pool(x, geometry, False, None)[0, 0], [1, 1, 1])
        np.testing.assert_array_equal(reference.avg_pool(x, geometry, True, 4)[0, 0], [0.25, 0.5, 0.25])
        wide = PoolGeometry.of(x.shape, 3, stride=2, padding=1, ceil_mode=True)  # windows at -1..1, 1..3, 3..5
        np.testing.assert_array_equal(reference.avg_pool(x, wide, True, None)[0, 0], [2 / 3, 1, 1 / 2])

    def test_backward(self):
        """The 4x4 example of the pooling articles; the gradient's sum, 20, is kept."""
        x = np.array([[[[1.0, 3, 2, 1], [4, 2, 0, 5], [3, 1, 1, 2], [0, 2, 6, 4]]]])
        gy = np.array([[[[2.0, 8], [4, 6]]]])
        geometry = PoolGeometry.of(x.shape, 2)
        _, indices = reference.max_pool(x, geometry)
        gx = reference.pool_scatter(gy, indices, (4, 4))
        np.testing.assert_array_equal(gx[0, 0], [[0, 0, 0, 0], [2, 0, 0, 8], [4, 0, 0, 0], [0, 0, 6, 0]])
        gx = reference.avg_pool_input_grad(gy, geometry, True, None)
        expected = [[0.5, 0.5, 2, 2], [0.5, 0.5, 2, 2], [1, 1, 1.5, 1.5], [1, 1, 1.5, 1.5]]
        np.testing.assert_array_equal(gx[0, 0], expected)

    def test_the_first_of_equal_maxima_wins(self):
        x = np.zeros((1, 1, 2, 4))
        _, indices = reference.max_pool(x, PoolGeometry.of(x.shape, 2))
        np.testing.assert_array_equal(indices[0, 0], [[0, 2]])

    def test_nan_is_above_every_number_and_the_first_one_is_named(self):
        x = np.array([[[1.0, np.nan, 9, np.nan]]])
        y, indices = reference.max_pool(x, PoolGeometry.of(x.shape, 4))
        assert np.isnan(y).all()
        assert indices.item() == 1


@settings(max_examples=60, deadline=None)
@given(pool_geometries(), seeds)
def test_max_pool_equals_the_maximum_of_sliding_windows(geometry, seed):
    x = array(np.random.default_rng(seed), (2, 1, *geometry.in_size))
    dims = geometry.dims
    reach = [d * (k - 1) + 1 for k, d in zip(geometry.kernel_size, geometry.dilation, strict=True)]
    padding = [(before, after + r + s) for (before, after), r, s in zip(geometry.padding, reach, geometry.stride, strict=True)]
    padded = np.pad(x, ((0, 0), (0, 0), *padding), constant_values=-np.inf)  # enough to hang over in ceil mode
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(2, 2 + dims)))
    steps = tuple(slice(None, None, step) for step in (*geometry.stride, *geometry.dilation))
    windows = windows[(slice(None), slice(None), *steps)]
    expected = windows.max(axis=tuple(range(-dims, 0)))[(..., *(slice(size) for size in geometry.out_size))]
    y, indices = reference.max_pool(x, geometry)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(np.take_along_axis(x.reshape(2, 1, -1), indices.reshape(2, 1, -1), 2).reshape(y.shape), y)


@settings(max_examples=40, deadline=None)
@given(pool_geometries(), seeds)
def test_pool_gradients_are_adjoints(geometry, seed):
    rng = np.random.default_rng(seed)
    x, gy = array(rng, (1, 2, *geometry.in_size)), array(rng, (1, 2, *geometry.out_size))
    _, indices = reference.max_pool(x, geometry)
    gathered, scattered = reference.pool_gather(x, indices), reference.pool_scatter(gy, indices, geometry.in_size)
    np.testing.assert_allclose((gathered * gy).sum(), (scattered * x).sum(), atol=1e-12)
    for include in (True, False):
        mean = reference.avg_pool(x, geometry, include, None)
        spread = reference.avg_pool_input_grad(gy, geometry, include, None)
        np.testing.assert_allclose((mean * gy).sum(), (spread * x).sum(), atol=1e-12)


class TestLocalResponseNorm:
    @pytest.mark.parametrize(
        ("k", "alpha", "expected"),
        [
            (2, 5e-4, [0.5942915817, 1.1878710105, 1.7801403936, 2.3704185590, 2.9634657383, 3.5573544195]),
            (1, 1e-4, [0.9997900514, 1.9991004722, 2.9975273798, 3.9946084910, 4.9935596920, 5.9930793250]),
            (2, 1e-4, [0.5945411318, 1.1889396136, 1.7830752045, 2.3768100636, 2.9711016329, 3.5655624308]),
        ],
        ids=["paper", "caffe", "paper with alpha / n"],
    )
    def test_golden(self, k, alpha, expected):
        x = np.arange(1.0, 7).reshape(1, 6, 1, 1)
        y, _ = reference.local_response_norm(x, 5, alpha, 0.75, k)
        np.testing.assert_allclose(y.ravel(), expected, atol=5e-11)

    def test_an_even_window_reaches_further_back(self):
        x = np.array([1.0, 10, 100]).reshape(1, 3, 1)
        _, d = reference.local_response_norm(x, 2, 2.0, 1.0, 0.0)
        np.testing.assert_allclose(d.ravel(), [1, 101, 10100])

    @pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
    def test_gradient_by_differences(self, size):
        rng = np.random.default_rng(size)
        x, gy = array(rng, (2, 5, 2)), array(rng, (2, 5, 2))
        _, d = reference.local_response_norm(x, size, 0.5, 0.75, 1.5)
        gx = reference.local_response_norm_input_grad(gy, x, d, size, 0.5, 0.75)
        expected = numerical_gradient(lambda x: reference.local_response_norm(x, size, 0.5, 0.75, 1.5)[0], x, gy)
        np.testing.assert_allclose(gx, expected, atol=1e-8)

    def test_window_sum(self):
        x = np.array([1.0, 10, 100, 1000]).reshape(1, 4)
        np.testing.assert_array_equal(reference.channel_window_sum(x, 1, 0)[0], [1, 11, 110, 1100])
        np.testing.assert_array_equal(reference.channel_window_sum(x, 0, 2)[0], [111, 1110, 1100, 1000])
        np.testing.assert_array_equal(reference.channel_window_sum(x, 9, 9)[0], [1111] * 4)


class TestBatchNorm:
    def test_moments_and_sum(self):
        x = np.array([[[1.0, 2], [10, 10]], [[3, 6], [10, 14]]])  # (n, c, w)
        mean, var = reference.channel_moments(x)
        np.testing.assert_allclose(mean, [3, 11])
        np.testing.assert_allclose(var, [3.5, 3])
        np.testing.assert_array_equal(reference.channel_sum(x), [12, 44])

    def test_rectified_it_is_at_least_zero(self):
        x = np.array([[[1.0, 2], [10, 10]], [[3, 6], [10, 14]]])
        y = reference.batch_norm(x, None, None, np.array([3.0, 11]), np.array([1.0, 2]), relu=True)
        np.testing.assert_array_equal(y, [[[0, 0], [0, 0]], [[0, 3], [0, 6]]])

    def test_forward_normalises_then_scales(self):
        x = np.array([[[1.0, 2], [10, 10]], [[3, 6], [10, 14]]])
        mean, var = reference.channel_moments(x)
        y = reference.batch_norm(x, np.array([2.0, 3.0]), np.array([-1.0, 1.0]), mean, var**-0.5)
        np.testing.assert_allclose(y.mean(axis=(0, 2)), [-1, 1])
        np.testing.assert_allclose(y.std(axis=(0, 2)), [2, 3])
        assert y[1, 0, 1] == pytest.approx(3 / 3.5**0.5 * 2 - 1)

    @pytest.mark.parametrize("relu", [False, True])
    def test_gradients_by_differences(self, relu):
        rng = np.random.default_rng(0)
        x, gy, weight, bias = (array(rng, shape) for shape in ((3, 2, 4), (3, 2, 4), (2,), (2,)))

        def forward(x, weight=weight, bias=bias):
            mean, var = x.mean(axis=(0, 2)), x.var(axis=(0, 2))
            return reference.batch_norm(x, weight, bias, mean, (var + 0.1) ** -0.5, relu)

        mean, var = x.mean(axis=(0, 2)), x.var(axis=(0, 2))
        y = forward(x) if relu else None
        gx, gweight, gbias = reference.batch_norm_input_grad(gy, x, weight, mean, (var + 0.1) ** -0.5, y)
        np.testing.assert_allclose(gx, numerical_gradient(forward, x, gy), atol=1e-8)
        np.testing.assert_allclose(gweight, numerical_gradient(lambda w: forward(x, weight=w), weight, gy), atol=1e-8)
        np.testing.assert_allclose(gbias, numerical_gradient(lambda b: forward(x, bias=b), bias, gy), atol=1e-8)


class TestActivations:
    def test_sigmoid(self):
        """The derivative's values at 0, 2, 5 and 10 are printed in the source articles."""
        x = np.array([0.0, 2, 5, 10])
        y = reference.sigmoid(x)
        np.testing.assert_allclose(y[:2], [0.5, 0.8807970779778823])
        gx = reference.sigmoid_backward(np.ones(4), y)
        np.testing.assert_allclose(gx, [0.25, 0.104994, 0.00664806, 4.53958e-5], rtol=5e-6)

    def test_relu(self):
        y = reference.relu(np.array([-2.0, 0.0, 3.0]))
        np.testing.assert_array_equal(y, [0, 0, 3])
        np.testing.assert_array_equal(reference.relu_backward(np.array([5.0, 6, 7]), y), [0, 0, 7])

    def test_tanh(self):
        x, gy = np.linspace(-2, 2, 5), np.array([1.0, -2, 3, -4, 5])
        expected = numerical_gradient(np.tanh, x, gy)
        np.testing.assert_allclose(reference.tanh_backward(gy, np.tanh(x)), expected, atol=1e-8)

    def test_log_softmax(self):
        x = np.log(np.array([[1.0, 2, 7], [0.5, 0.25, 0.25]]))
        np.testing.assert_allclose(reference.log_softmax(x, 1), np.log([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]]))
        columns = [[2 / 3, 8 / 9, 28 / 29], [1 / 3, 1 / 9, 1 / 29]]
        np.testing.assert_allclose(reference.log_softmax(x, -2), np.log(columns))
        gy = np.array([[1.0, -2, 3], [0.5, 0, 2]])
        gx = reference.log_softmax_backward(gy, reference.log_softmax(x, 1), 1)
        np.testing.assert_allclose(gx, numerical_gradient(lambda x: reference.log_softmax(x, 1), x, gy), atol=1e-8)
