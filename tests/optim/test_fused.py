"""The compiled steps of large parameters: the same bits as the formulas on arrays."""

from importlib.util import find_spec
from unittest import mock

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import kernels, optim
from tinygrad_cnn.kernels import parallel
from tinygrad_cnn.optim import fused

pytestmark = pytest.mark.skipif(not find_spec("numba"), reason="numba is not installed")

SHAPE = (130, 131)
CASES = {
    "plain": (optim.SGD, {}),
    "momentum": (optim.SGD, {"momentum": 0.9}),
    "decay, damped": (optim.SGD, {"momentum": 0.9, "weight_decay": 0.01, "dampening": 0.3}),
    "nesterov, uphill": (optim.SGD, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
    "caffe's": (optim.SGD, {"momentum": 0.9, "lr_in_velocity": True}),
    "adam": (optim.Adam, {}),
    "adam, decay, uphill": (optim.Adam, {"weight_decay": 0.1, "maximize": True, "betas": (0.5, 0.7)}),
    "adam, amsgrad": (optim.Adam, {"amsgrad": True, "eps": 1e-3}),
    "adamw": (optim.AdamW, {"weight_decay": 0.1}),
}


def trajectory(case: str, dtype: type, steps: int = 4) -> list[np.ndarray]:
    """The parameter and all that is kept for it after some steps with gradients of very different sizes."""
    rng = np.random.default_rng(0)
    kind, options = CASES[case]
    parameter = tg.nn.Parameter(tg.Tensor(rng.standard_normal(SHAPE).astype(dtype)))
    optimizer = kind([parameter], lr=0.1, **options)
    for _ in range(steps):
        parameter.grad = tg.Tensor((rng.standard_normal(SHAPE) ** 5).astype(dtype))
        before = parameter.grad.array.copy()
        optimizer.step()
        np.testing.assert_array_equal(parameter.grad.array, before)
    kept = optimizer.state[parameter]
    return [parameter.array, *(kept[name].array for name in sorted(kept) if name != "step")]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_the_same_bits_as_the_formula_on_any_number_of_threads(case, dtype):
    with kernels.use("numpy"):
        expected = trajectory(case, dtype)
    with mock.patch.object(parallel, "NUMBERS_OF_A_GRAIN", 64), mock.patch.object(parallel, "_threads", 1):
        for parallel._threads in (1, 2, 3):
            with kernels.use("auto"):
                got = trajectory(case, dtype)
            for one, other in zip(got, expected, strict=True):
                np.testing.assert_array_equal(one, other)


def test_large_parameters_are_served_by_the_compiled_step():
    with kernels.use("auto"), mock.patch("tinygrad_cnn.kernels.numba_optim.sgd_step") as sgd_step:
        trajectory("momentum", np.float32)
    assert sgd_step.call_count == 4


def test_a_loaded_velocity_of_another_layout_is_written_to_all_the_same():
    """Flattening it would copy it, and the new velocity would be lost."""
    results = []
    for choice in ("numpy", "auto"):
        parameter = tg.nn.Parameter(tg.Tensor(np.ones(SHAPE, np.float32)))
        optimizer = optim.SGD([parameter], lr=0.1, momentum=0.9)
        optimizer.state[parameter]["momentum_buffer"] = tg.Tensor(np.ones(SHAPE, np.float32, order="F"))
        parameter.grad = tg.Tensor(np.ones(SHAPE, np.float32))
        with kernels.use(choice):
            optimizer.step()
        results.append(optimizer.state[parameter]["momentum_buffer"].array.copy())
    np.testing.assert_array_equal(results[0], np.full(SHAPE, 1.9, np.float32))
    np.testing.assert_array_equal(*results)


def refused(parameter: np.ndarray, gradient: np.ndarray) -> bool:
    return fused.steps(parameter, gradient, {}) is None


def test_what_the_compiled_steps_do_not_serve():
    large, other = np.ones(SHAPE, np.float32), np.ones(SHAPE, np.float32)
    with kernels.use("auto"):
        assert not refused(large, other)
        assert refused(large[:2], other[:2]), "small"
        assert refused(large.astype(np.float16), other.astype(np.float16)), "half precision"
        assert refused(large, other.astype(np.float64)), "another dtype"
        assert refused(large, np.asfortranarray(other)), "another layout"
        assert refused(large, large), "its own gradient"
        with mock.patch.object(fused, "_has_numba", return_value=False):
            assert refused(large, other), "no numba"
    for choice in ("numpy", "reference"):
        with kernels.use(choice):
            assert refused(large, other), choice
