"""The compiled kernels on several threads: the same bits whatever their number."""

from importlib.util import find_spec
from unittest import mock

import numpy as np
import pytest

from tinygrad_cnn import kernels
from tinygrad_cnn.kernels import PoolGeometry, parallel

from .kernel_cases import array

pytestmark = pytest.mark.skipif(not find_spec("numba"), reason="numba is not installed")

SHAPE = (3, 5, 13, 11)


def arguments(rng: np.random.Generator, dtype: type) -> dict[str, tuple]:
    """What each compiled kernel is called with."""
    x, gy = (array(rng, SHAPE, dtype) for _ in range(2))
    weight, bias, mean, rstd = (abs(array(rng, SHAPE[1:2], dtype)) for _ in range(4))
    geometry = PoolGeometry.of(SHAPE, 3, stride=2, padding=1)
    y, indices = kernels.implementations("max_pool")["numpy"](x, geometry)
    d = 1 + abs(array(rng, SHAPE, dtype))
    return {
        "add": (x, gy),
        "relu": (x,),
        "relu_backward": (gy, x),
        "erf": (x,),
        "erfc": (x,),
        "max_pool": (x, geometry),
        "pool_scatter": (y, indices, SHAPE[2:]),
        "pool_gather": (x, indices),
        "avg_pool": (x, geometry, True, None),
        "avg_pool_input_grad": (y, geometry, False, None),
        "adaptive_avg_pool": (x, (4, 3)),
        "adaptive_avg_pool_input_grad": (y, (9, 20)),
        "channel_sum": (gy,),
        "channel_moments": (x,),
        "batch_norm": (x, weight, bias, mean, rstd),
        "batch_norm_input_grad": (gy, x, weight, mean, rstd, np.maximum(x, 0)),
        "local_response_norm": (x, 3, 0.5, 0.75, 1.5),
        "local_response_norm_input_grad": (gy, x, d, 3, 0.5, 0.75),
    }


def test_every_compiled_kernel_is_here():
    convolutions = {name for name in kernels._COMPILED if name.startswith("conv")}
    assert set(arguments(np.random.default_rng(0), np.float32)) == set(kernels._COMPILED) - convolutions


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [name for name in kernels._COMPILED if not name.startswith("conv")])
def test_equal_bits_on_one_two_and_three_threads(name, dtype):
    given = arguments(np.random.default_rng(0), dtype)[name]
    kernel = kernels.implementations(name)["numba"]
    results = []
    with mock.patch.object(parallel, "NUMBERS_OF_A_GRAIN", 1), mock.patch.object(parallel, "_threads", 1):
        for parallel._threads in (1, 2, 3):
            result = kernel(*given)
            results.append(result if isinstance(result, tuple) else (result,))
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(one, other)
