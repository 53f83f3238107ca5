"""The choice among algorithms of convolution: predictions, rates, and the file that holds them."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tinygrad_cnn import kernels
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.kernels import ConvGeometry, conv_choice, conv_tune, numpy_conv

from .kernel_cases import array, expect

pytest.importorskip("numba")

FLOAT = np.dtype(np.float32)
WIDE = ConvGeometry.of((2, 32, 16, 16), (32, 32, 3, 3), padding=1)


@pytest.fixture(autouse=True)
def _own_rates(tmp_path, monkeypatch):
    """No test reads the rates of the user who runs it, and none leaves its own behind."""
    monkeypatch.setenv(conv_choice.VARIABLE, str(tmp_path / "rates.json"))
    conv_choice.forget()
    yield
    conv_choice.forget()


def write(path, **rates):
    """Rates that make the named algorithms take so many microseconds, and all others a second."""
    table = {
        name: {kernel: [rates.get(name, 1e6), 0, 0, 0] for kernel in conv_choice.KERNELS} for name in conv_choice.ALGORITHMS
    }
    path.write_text(json.dumps({"rates": table}))
    conv_choice.forget()


@pytest.mark.parametrize("name", conv_choice.ALGORITHMS[1:])
def test_the_cheapest_is_chosen_and_computes(name, tmp_path):
    write(tmp_path / "rates.json", **{name: 1.0})
    geometry = ConvGeometry.of((2, 32, 16, 16), (32, 32, 5, 5), padding=2) if name == "winograd5" else WIDE
    rng = np.random.default_rng(0)
    x, weight, gy = (array(rng, s, np.float32) for s in (geometry.x_shape, geometry.weight_shape, geometry.y_shape))
    with kernels.use("auto"):
        for kernel, case in (
            ("conv", (x, weight, None, geometry)),
            ("conv_input_grad", (gy, weight, geometry)),
            ("conv_weight_grad", (x, gy, geometry)),
        ):
            assert conv_choice.choose(kernel, geometry, FLOAT) == name
            exact = getattr(numpy_conv, kernel)(*(a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in case))
            np.testing.assert_allclose(getattr(kernels, kernel)(*case), exact, rtol=0, atol=5e-5 * np.abs(exact).max())


def test_only_what_can_compute_it_is_chosen(tmp_path):
    write(tmp_path / "rates.json", columns=0.5, winograd4=1.0, winograd2=2.0, planes=3.0)
    assert conv_choice.choose("conv", WIDE, FLOAT) == "winograd4"
    assert conv_choice.choose("conv", WIDE, np.dtype(np.float64)) == "planes"
    strided = ConvGeometry.of((2, 32, 16, 16), (32, 32, 3, 3), stride=2)
    assert conv_choice.choose("conv", strided, FLOAT) == "planes"
    row = ConvGeometry.of((2, 8, 400), (8, 8, 3))
    assert conv_choice.choose("conv", row, FLOAT) == "columns"
    pointwise = ConvGeometry.of((2, 32, 16, 16), (32, 32, 1, 1))
    assert conv_choice.choose("conv", pointwise, FLOAT) == "columns"


def test_an_algorithm_that_cannot_says_so_and_names_the_others():
    rng = np.random.default_rng(0)
    x, weight = array(rng, WIDE.x_shape), array(rng, WIDE.weight_shape)
    with pytest.raises(ArgumentError, match=r"conv: winograd4 cannot compute .* in float64; choose another of columns, planes"):
        kernels.conv_algorithms()["winograd4"][0](x, weight, None, WIDE)


@pytest.mark.parametrize("name", conv_choice.ALGORITHMS)
def test_every_algorithm_offered_computes_the_same(name):
    size = 5 if name == "winograd5" else 3
    geometry = ConvGeometry.of((2, 5, 9, 8), (4, 5, size, size), padding=1)
    rng = np.random.default_rng(0)
    x, weight, gy = (array(rng, s, np.float32) for s in (geometry.x_shape, geometry.weight_shape, geometry.y_shape))
    cases = {
        "conv": (x, weight, None, geometry),
        "conv_input_grad": (gy, weight, geometry),
        "conv_weight_grad": (x, gy, geometry),
    }
    for kernel, function in zip(conv_choice.KERNELS, kernels.conv_algorithms()[name], strict=True):
        np.testing.assert_allclose(function(*cases[kernel]), expect(kernel, *cases[kernel]), rtol=0, atol=1e-3)


def test_multiplications_are_counted_as_the_definition_has_them():
    """Of columns and planes each tap once for each output; Winograd's 36 for 16 outputs, or 16 for 4."""
    by_definition = 2 * 32 * 32 * 9 * 256
    assert conv_choice.features("columns", WIDE)[1] == by_definition
    assert conv_choice.features("planes", WIDE)[1] == by_definition
    assert conv_choice.features("planes", WIDE, is_backward=True)[1] == by_definition
    assert conv_choice.features("winograd4", WIDE)[1] == by_definition / 9 / 16 * 36
    assert conv_choice.features("winograd2", WIDE)[1] == by_definition / 9 / 4 * 16


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"rates": {"columns": {}}}', '{"rates": {"columns": {"conv": [1]}}}'])
def test_a_file_that_holds_no_rates(content, tmp_path):
    (tmp_path / "rates.json").write_text(content)
    conv_choice.forget()
    with pytest.raises(
        ArgumentError, match=r"rates.json does not hold rates of convolution; make it anew with `tinygrad-cnn tune`"
    ):
        conv_choice.choose("conv", WIDE, FLOAT)


def test_rates_are_fitted_without_negative_ones():
    rng = np.random.default_rng(0)
    rows = [[1.0, *rng.random(3) * 1000] for _ in range(30)]
    times = [7 + 0.5 * b + 0.02 * d for _, b, _, d in rows]
    np.testing.assert_allclose(conv_tune.fit(rows, times), [7, 0.5, 0, 0.02], rtol=1e-6, atol=1e-9)
    declining = [max(1.0, 100 - 0.05 * b) for _, b, _, _ in rows]
    assert min(conv_tune.fit(rows, declining)) >= 0
    assert conv_tune.fit([], []) == [0, 0, 0, 0]


def test_tune_writes_rates_by_which_the_faster_is_chosen(tmp_path, monkeypatch):
    """With a clock that says how long each takes: fft at once, all others a millisecond a call."""
    path, lines = tmp_path / "rates.json", []
    monkeypatch.setattr(
        conv_tune,
        "_times",
        lambda name, geometry: [(kernel, 1.0 if name == "fft" else 1000.0) for kernel in conv_choice.KERNELS],
    )
    written = conv_tune.tune(path, lines.append)
    assert json.loads(path.read_text()) == written
    assert len(lines) == 3 * sum(len(list(conv_tune.geometries(name))) for name in conv_choice.ALGORITHMS)
    assert conv_choice.choose("conv", WIDE, FLOAT) == "fft"
    assert all("fft" in chosen for _, chosen in conv_tune.choices())


def test_the_clock_runs_for_every_kernel():
    geometry = ConvGeometry.of((1, 2, 8, 8), (2, 2, 3, 3))
    measured = dict(conv_tune._times("planes", geometry))
    assert list(measured) == list(conv_choice.KERNELS)
    assert min(measured.values()) > 0


def test_the_packages_own_rates_are_complete_and_never_negative(monkeypatch, tmp_path):
    monkeypatch.setenv(conv_choice.VARIABLE, str(tmp_path / "nowhere.json"))
    known = conv_choice.rates()
    for name in conv_choice.ALGORITHMS:
        for kernel in conv_choice.KERNELS:
            assert len(known[name][kernel]) == 4
            assert min(known[name][kernel]) >= 0 < max(known[name][kernel])


def test_a_small_convolution_imports_neither_numba_nor_rates():
    code = "import sys, tinygrad_cnn as tg; tg.conv2d(tg.ones(1, 1, 5, 5), tg.ones(1, 1, 3, 3)); print('numba' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != "TINYGRAD_CNN_KERNELS"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
