"""The convolution trio against the loops of the reference, over drawn geometries."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.kernels import ConvGeometry, conv_planes, implementations, numpy_conv, parallel

from .kernel_cases import array, assert_close, conv_geometries, dtypes, expect, layouts, run, seeds, servers

# Small enough for several blocks of images, and of rows of one image, even at the drawn sizes; or as shipped.
block_sizes = st.sampled_from((64, 1024, numpy_conv._COLUMN_BYTES))


@contextmanager
def blocks_of(block_bytes):
    """Cut the work into blocks of about so many bytes and, below the shipped size, give every block to a thread."""
    if block_bytes == numpy_conv._COLUMN_BYTES:
        yield
        return
    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(numpy_conv, "_COLUMN_BYTES", block_bytes))
        patches.enter_context(mock.patch.object(parallel, "NUMBERS_OF_A_GRAIN", 1))
        if find_spec("numba"):
            numba_conv = import_module("tinygrad_cnn.kernels.numba_conv")
            patches.enter_context(mock.patch.object(conv_planes, "PLANES_BYTES", block_bytes))
            for cached in (
                conv_planes.blocks,
                conv_planes.blocks_to_sum,
                numba_conv._parts,
                numba_conv._vectors_fit,
                numba_conv._product_tile,
            ):
                patches.callback(cached.cache_clear)
                cached.cache_clear()
        yield


@pytest.mark.parametrize("who", servers("conv"))
@settings(max_examples=150, deadline=None)
@given(conv_geometries(), seeds, dtypes, layouts, st.booleans(), block_sizes)
def test_conv(who, geometry, seed, dtype, layout, with_bias, block_bytes):
    rng = np.random.default_rng(seed)
    x, weight = array(rng, geometry.x_shape, dtype, layout), array(rng, geometry.weight_shape, dtype, layout)
    bias = array(rng, (geometry.out_channels,), dtype, layout) if with_bias else None
    with blocks_of(block_bytes):
        y = run("conv", who, x, weight, bias, geometry)
    assert_close(y, expect("conv", x, weight, bias, geometry))


@pytest.mark.parametrize("who", servers("conv_input_grad"))
@settings(max_examples=100, deadline=None)
@given(conv_geometries(), seeds, dtypes, layouts, block_sizes)
def test_conv_input_grad(who, geometry, seed, dtype, layout, block_bytes):
    rng = np.random.default_rng(seed)
    gy, weight = array(rng, geometry.y_shape, dtype, layout), array(rng, geometry.weight_shape, dtype, layout)
    with blocks_of(block_bytes):
        gx = run("conv_input_grad", who, gy, weight, geometry)
    assert_close(gx, expect("conv_input_grad", gy, weight, geometry))


@pytest.mark.parametrize("who", servers("conv_weight_grad"))
@settings(max_examples=100, deadline=None)
@given(conv_geometries(), seeds, dtypes, layouts, block_sizes)
def test_conv_weight_grad(who, geometry, seed, dtype, layout, block_bytes):
    rng = np.random.default_rng(seed)
    x, gy = array(rng, geometry.x_shape, dtype, layout), array(rng, geometry.y_shape, dtype, layout)
    with blocks_of(block_bytes):
        gweight = run("conv_weight_grad", who, x, gy, geometry)
    assert_close(gweight, expect("conv_weight_grad", x, gy, geometry))


@pytest.mark.parametrize("who", servers("conv_weight_grad"))
@pytest.mark.parametrize("block_bytes", [1024, numpy_conv._COLUMN_BYTES])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("size", "kernel", "stride"), [((9, 7), 3, 1), ((3, 2), 2, 1), ((11, 12), 5, 2)])
@pytest.mark.parametrize(
    ("channels", "results", "groups"),
    [(1, 8, 1), (1, 17, 1), (2, 20, 1), (5, 33, 1), (2, 48, 1), (6, 66, 3), (8, 80, 8), (9, 12, 1)],
)
def test_weight_gradient_of_many_channels(who, channels, results, groups, size, kernel, stride, dtype, block_bytes):
    """Vectors of output channels: one, several, the last one full or not; with more taps than one has lanes, or fewer."""
    geometry = ConvGeometry.of((3, channels, *size), (results, channels // groups, kernel, kernel), stride, 1, groups=groups)
    rng = np.random.default_rng(0)
    x, gy = array(rng, geometry.x_shape, np.dtype(dtype)), array(rng, geometry.y_shape, np.dtype(dtype))
    with blocks_of(block_bytes):
        gweight = run("conv_weight_grad", who, x, gy, geometry)
    assert_close(gweight, expect("conv_weight_grad", x, gy, geometry))


@pytest.mark.parametrize("who", servers("conv_weight_grad"))
@pytest.mark.parametrize("results", [3, 40])
def test_a_weight_gradient_too_large_for_several_sums(who, results):
    """It is made of parts for some input channels each, of which the last has fewer."""
    geometry = ConvGeometry.of((2, 11, 6, 5), (results, 11, 3, 3), padding=1)
    rng = np.random.default_rng(0)
    x, gy = array(rng, geometry.x_shape), array(rng, geometry.y_shape)
    with ExitStack() as patches:
        if find_spec("numba"):
            numba_conv = import_module("tinygrad_cnn.kernels.numba_conv")
            patches.enter_context(mock.patch.object(numba_conv, "_SUMS_BYTES", 1))
            patches.callback(numba_conv._parts.cache_clear)
            numba_conv._parts.cache_clear()
        gweight = run("conv_weight_grad", who, x, gy, geometry)
    assert_close(gweight, expect("conv_weight_grad", x, gy, geometry))


@pytest.mark.parametrize("who", servers("conv"))
@pytest.mark.parametrize("groups", [1, 2])
def test_pointwise_convolution(who, groups):
    """1 x 1, stride 1, no padding takes a way of its own."""
    geometry = ConvGeometry.of((2, 6, 3, 5), (4, 6 // groups, 1, 1), groups=groups)
    rng = np.random.default_rng(0)
    x, weight, gy = (array(rng, shape) for shape in (geometry.x_shape, geometry.weight_shape, geometry.y_shape))
    bias = array(rng, (4,))
    assert_close(run("conv", who, x, weight, bias, geometry), expect("conv", x, weight, bias, geometry))
    assert_close(run("conv", who, x, weight, None, geometry), expect("conv", x, weight, None, geometry))
    assert_close(run("conv_input_grad", who, gy, weight, geometry), expect("conv_input_grad", gy, weight, geometry))
    assert_close(run("conv_weight_grad", who, x, gy, geometry), expect("conv_weight_grad", x, gy, geometry))


@pytest.mark.parametrize("who", servers("conv"))
@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_window_as_large_as_the_image(who, groups, batch):
    """The images themselves are the columns; with a batch of one, the weight's gradient is an outer product."""
    geometry = ConvGeometry.of((batch, 4, 3, 5), (6, 4 // groups, 3, 5), stride=2, groups=groups)
    assert geometry.out_size == (1, 1)
    rng = np.random.default_rng(0)
    x, weight, gy = (array(rng, shape) for shape in (geometry.x_shape, geometry.weight_shape, geometry.y_shape))
    bias = array(rng, (6,))
    assert_close(run("conv", who, x, weight, bias, geometry), expect("conv", x, weight, bias, geometry))
    assert_close(run("conv_input_grad", who, gy, weight, geometry), expect("conv_input_grad", gy, weight, geometry))
    assert_close(run("conv_weight_grad", who, x, gy, geometry), expect("conv_weight_grad", x, gy, geometry))


@pytest.mark.parametrize("who", servers("conv"))
@pytest.mark.parametrize("channels", [1, 8], ids=["channels first", "channels last"])
def test_many_images_one_after_the_other(who, channels):
    """Scratch memory is used again from call to call: nothing of an earlier, larger call may show in a later one."""
    rng = np.random.default_rng(0)
    for size in (9, 4, 7):
        geometry = ConvGeometry.of((2, channels, size, size + 1), (3, channels, 3, 2), padding=1, stride=2)
        x, weight, gy = (array(rng, shape) for shape in (geometry.x_shape, geometry.weight_shape, geometry.y_shape))
        first = run("conv", who, x, weight, None, geometry)
        assert_close(first, expect("conv", x, weight, None, geometry))
        assert_close(run("conv_input_grad", who, gy, weight, geometry), expect("conv_input_grad", gy, weight, geometry))
        assert_close(run("conv_weight_grad", who, x, gy, geometry), expect("conv_weight_grad", x, gy, geometry))
        assert_close(first, expect("conv", x, weight, None, geometry))  # still: no result lives in scratch memory


@pytest.mark.parametrize("who", servers("conv"))
def test_threads_share_no_scratch_memory(who):
    geometry = ConvGeometry.of((4, 5, 20, 20), (6, 5, 3, 3), padding=1)
    rng = np.random.default_rng(0)
    weight = array(rng, geometry.weight_shape)
    inputs = [array(rng, geometry.x_shape) for _ in range(16)]
    convolve = implementations("conv")[who]
    alone = [convolve(x, weight, None, geometry) for x in inputs]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda x: convolve(x, weight, None, geometry), inputs))
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("who", servers("conv"))
def test_columns_are_never_made_for_the_whole_batch(who):
    """The columns of all images together would take 100 MB; what is allocated stays near the input and the output."""
    geometry = ConvGeometry.of((16, 16, 64, 64), (4, 16, 5, 5), padding=2)
    x, weight = np.ones(geometry.x_shape, np.float32), np.ones(geometry.weight_shape, np.float32)
    gy = np.ones(geometry.y_shape, np.float32)
    kernels = {name: implementations(name)[who] for name in ("conv", "conv_input_grad", "conv_weight_grad")}
    kernels["conv"](x, weight, None, geometry)
    for name, arguments in (
        ("conv", (x, weight, None, geometry)),
        ("conv_input_grad", (gy, weight, geometry)),
        ("conv_weight_grad", (x, gy, geometry)),
    ):
        tracemalloc.start()
        kernels[name](*arguments)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < x.nbytes + gy.nbytes + (16 << 20), f"{name} took {peak >> 20} MB at once"


@pytest.mark.parametrize("who", servers("conv_weight_grad"))
@pytest.mark.parametrize("channels", [1, 16])
def test_a_weight_gradient_over_many_positions_stays_accurate(who, channels):
    """Numbers of one sign add up over half a million positions: the worst case for float32."""
    rng = np.random.default_rng(0)
    geometry = ConvGeometry.of((32, 1, 130, 130), (channels, 1, 3, 3))
    x = rng.random(geometry.x_shape, dtype=np.float32)
    gy = rng.random(geometry.y_shape, dtype=np.float32)
    gweight = run("conv_weight_grad", who, x, gy, geometry)
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), (128, 128), axis=(2, 3))
    expected = np.einsum("ncpqij,noij->ocpq", windows, gy.astype(np.float64), optimize=True)
    np.testing.assert_allclose(gweight, expected, rtol=2e-6)
