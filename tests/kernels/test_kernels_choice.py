"""The table of who serves the kernels."""

import os
import subprocess
import sys
from importlib.util import find_spec
from unittest import mock

import numpy as np
import pytest

from tinygrad_cnn import kernels
from tinygrad_cnn.errors import ArgumentError, MissingExtraError
from tinygrad_cnn.kernels import numpy_conv, reference

from .kernel_cases import array

needs_numba = pytest.mark.skipif(not find_spec("numba"), reason="numba is not installed")


@pytest.fixture(autouse=True)
def _restore():
    with kernels.use("auto"):
        yield


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program, which takes its kernels from its own environment, not from that of the tests."""
    inherited = {name: value for name, value in os.environ.items() if name != "TINYGRAD_CNN_KERNELS"}
    return subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, capture_output=True, text=True, check=False
    )


def test_use_binds_from_now_on():
    kernels.use("numpy")
    assert kernels.current() == "numpy"
    assert kernels.conv is numpy_conv.conv
    kernels.use("reference")
    assert kernels.current() == "reference"
    assert all(getattr(kernels, name) is getattr(reference, name) for name in kernels.NAMES)


def test_use_as_a_context_manager_restores_even_after_an_error():
    kernels.use("numpy")
    with kernels.use("reference"):
        with pytest.raises(KeyError), kernels.use("numpy"):
            raise KeyError(kernels.conv.__module__)
        assert kernels.conv is reference.conv
    assert kernels.current() == "numpy"
    assert kernels.conv is numpy_conv.conv


def test_an_unknown_choice_lists_the_choices_and_changes_nothing():
    kernels.use("numpy")
    with pytest.raises(ArgumentError, match="unknown choice 'cuda'; use one of 'auto', 'numpy', 'numba', 'reference'"):
        kernels.use("cuda")
    assert kernels.current() == "numpy"


def test_numba_missing_names_the_extra():
    with mock.patch.object(kernels, "find_spec", return_value=None):
        with pytest.raises(MissingExtraError, match=r"tinygrad_cnn\[fast\]"):
            kernels.use("numba")
        kernels.use("auto")
        assert all(getattr(kernels, name) is kernels.implementations(name)["numpy"] for name in kernels.NAMES)
        assert all("numba" not in kernels.implementations(name) for name in kernels.NAMES)


def test_every_kernel_has_a_reference_and_a_numpy_implementation():
    assert len(kernels.NAMES) == 32
    for name in kernels.NAMES:
        found = kernels.implementations(name)
        assert {"reference", "numpy"} <= found.keys() <= {"reference", "numpy", "numba"}
        assert {implementation.__name__ for implementation in found.values()} == {name}
        assert all(implementation.__doc__ for implementation in found.values())
    with pytest.raises(ArgumentError, match="no kernel is called 'convolve'; there are conv, conv_input_grad"):
        kernels.implementations("convolve")


@needs_numba
def test_auto_leaves_small_arrays_to_numpy_and_compiles_for_large_ones():
    small, large = array(np.random.default_rng(0), (2, 2, 8, 8)), array(np.random.default_rng(0), (2, 2, 128, 128))
    for x, who in ((small, "numpy"), (large, "numba")):
        geometry = kernels.PoolGeometry.of(x.shape, 2)
        served = mock.Mock(side_effect=RuntimeError(who))
        with mock.patch.object(kernels, "_compiled", return_value=served):
            if who == "numpy":
                kernels.max_pool(x, geometry)
            else:
                with pytest.raises(RuntimeError, match="numba"):
                    kernels.max_pool(x, geometry=geometry)


@needs_numba
@pytest.mark.parametrize(("batch", "channels", "who"), [(1, 1, "numpy"), (1, 6, "numba"), (64, 6, "numba")])
def test_auto_chooses_an_algorithm_for_a_convolution_and_leaves_toys_to_numpy(batch, channels, who):
    geometry = kernels.ConvGeometry.of((batch, channels, 14, 14), (2, channels, 5, 5))
    rng = np.random.default_rng(0)
    x, weight, gy = (array(rng, shape) for shape in (geometry.x_shape, geometry.weight_shape, geometry.y_shape))
    for name, arguments in (
        ("conv", (x, weight, None, geometry)),
        ("conv_input_grad", (gy, weight, geometry)),
        ("conv_weight_grad", (x, gy, geometry)),
    ):
        with mock.patch.object(kernels, "_chosen", return_value=mock.Mock(return_value="chosen")):
            served = getattr(kernels, name)(*arguments)
        assert isinstance(served, str) == (who == "numba"), name


@needs_numba
def test_use_numba_serves_what_is_compiled_and_numpy_the_rest():
    kernels.use("numba")
    assert kernels.max_pool.__module__ == "tinygrad_cnn.kernels.numba_pool"
    assert kernels.sigmoid.__module__ == "tinygrad_cnn.kernels.numpy_activation"


@needs_numba
@pytest.mark.parametrize("choice", ["auto", "numba"])
def test_half_precision_which_numba_cannot_compile_is_served_by_numpy(choice):
    x = np.arange(-20_000, 20_000).reshape(2, 2, 100, 100).astype(np.float16)
    with kernels.use(choice):
        y, _ = kernels.max_pool(kernels.relu(x), kernels.PoolGeometry.of(x.shape, 2))
    assert y.dtype == np.float16
    np.testing.assert_array_equal(y, np.maximum(x, 0)[:, :, 1::2, 1::2])


def test_import_leaves_numba_alone():
    result = python("import sys, tinygrad_cnn.kernels as k; print(k.current(), 'numba' in sys.modules)")
    assert result.stdout.split() == ["auto", "False"], result.stderr


def test_the_environment_variable_chooses():
    code = "import tinygrad_cnn.kernels as k; print(k.current(), k.conv.__module__)"
    assert python(code, TINYGRAD_CNN_KERNELS="reference").stdout.split() == [
        "reference",
        "tinygrad_cnn.kernels.reference",
    ]
    result = python(code, TINYGRAD_CNN_KERNELS="fast")
    assert result.returncode != 0
    assert "unknown choice 'fast' in TINYGRAD_CNN_KERNELS" in result.stderr


@needs_numba
def test_without_a_place_for_the_cache_kernels_are_compiled_all_the_same():
    import numba

    from tinygrad_cnn.kernels.numba_compile import compiled

    def njit(*functions, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return numba_njit(*functions, **options)

    def double(x, y):
        for i in range(len(x)):
            y[i] = 2 * x[i]

    numba_njit = numba.njit
    y = np.empty(3)
    with mock.patch.object(numba, "njit", njit):
        compiled(double)(np.arange(3.0), y)
    np.testing.assert_array_equal(y, [0, 2, 4])


FIRST_COMPILED_KERNEL = """
import numpy as np
from tinygrad_cnn import kernels
x = np.ones((2, 2, 128, 128), np.float32)
print(kernels.relu(x).sum(), kernels.relu_backward(x, x).sum())
"""


@needs_numba
def test_the_first_kernel_to_be_compiled_says_so_once_and_the_next_process_finds_it_on_disk(tmp_path):
    first, second = (python(FIRST_COMPILED_KERNEL, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert first.stdout == second.stdout == "65536.0 65536.0\n"
    assert first.stderr.count("tinygrad_cnn: compiling kernels") == 1
    assert f"once (they are kept in {tmp_path}" in first.stderr
    assert second.stderr == ""


@needs_numba
def test_other_peoples_functions_are_compiled_in_silence():
    code = "import numba, tinygrad_cnn.kernels.numba_activation; print(numba.njit(lambda: 1)())"
    result = python(code)
    assert (result.stdout, result.stderr) == ("1\n", "")


@needs_numba
def test_an_installation_that_cannot_be_written_to_keeps_its_kernels_in_the_users_cache(tmp_path):
    """As root, whom no permission stops, numba is told that the directory beside the source is no place."""
    code = READ_ONLY + FIRST_COMPILED_KERNEL
    first, second = (python(code, NUMBA_CACHE_DIR="", XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path)) for _ in range(2))
    assert f"kept in {tmp_path}" in first.stderr
    assert second.stderr == ""
    nowhere = python(code, NUMBA_CACHE_DIR="", HOME="/proc/no", XDG_CACHE_HOME="/proc/no")
    assert nowhere.stdout == "65536.0 65536.0\n"
    assert "in each process, as no place for them can be written to (set NUMBA_CACHE_DIR to one)" in nowhere.stderr


READ_ONLY = """
from numba.core import caching
def refuse(self):
    raise OSError("read-only installation")
caching.InTreeCacheLocator.ensure_cache_path = refuse
"""


def test_blas_threads_are_limited_for_a_while():
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def threads():
        return {library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"}

    before = threads()
    with kernels.blas_threads(1):
        assert threads() <= {1}
    assert threads() == before


def test_blas_threads_without_threadpoolctl_names_the_extra():
    with (
        mock.patch.dict(sys.modules, {"threadpoolctl": None}),
        pytest.raises(MissingExtraError, match=r"tinygrad_cnn\[fast\]"),
        kernels.blas_threads(1),
    ):
        pass
