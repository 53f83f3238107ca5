"""The accuracy table: which algorithms it finds, and that it sees an inexact one."""

import numpy as np
import pytest

from benchmarks import accuracy
from benchmarks.accuracy import GEOMETRIES, algorithms, errors
from tinygrad_cnn import kernels
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.kernels.numpy_conv import conv, conv_input_grad, conv_weight_grad

SMALL = kernels.ConvGeometry.of((2, 3, 9, 9), (4, 3, 3, 3), padding=1)


def rough(x, weight, bias, geometry):
    """A convolution that rounds its output to 1/100."""
    return np.round(conv(x, weight, bias, geometry), 2)


def refusing(*arguments):
    raise ArgumentError("not for this geometry")


def test_float32_errs_in_the_seventh_digit_and_float64_not_at_all() -> None:
    trio = (conv, conv_input_grad, conv_weight_grad)
    assert all(1e-8 < error < 1e-5 for error in errors(trio, SMALL))
    assert errors(trio, SMALL, np.float64) == (0.0, 0.0, 0.0)


def test_an_inexact_algorithm_is_seen_where_it_is() -> None:
    output, input_grad, weight_grad = errors((rough, conv_input_grad, conv_weight_grad), SMALL)
    # Rounding to 1/100 errs by 0.005 at most; numbers of 27 products are about sqrt(27) large.
    assert 0.003 / 27**0.5 < output < 0.006 / 27**0.5 * 1.5
    assert input_grad < 1e-5
    assert weight_grad < 1e-5


def test_algorithms_that_the_kernels_come_to_offer_are_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = {"rough": (rough, conv_input_grad, conv_weight_grad), "refusing": (refusing,) * 3}
    monkeypatch.setattr(kernels, "conv_algorithms", lambda: offered, raising=False)
    monkeypatch.setattr(accuracy, "GEOMETRIES", {"small": SMALL})
    assert {"numpy", "rough", "refusing"} <= set(algorithms())
    assert "reference" not in algorithms()
    table = accuracy.table()
    assert "| small | im2col (numpy) |" in table
    assert "| small | rough |" in table
    assert "refusing" not in table


def test_the_geometries_are_those_where_algorithms_differ() -> None:
    kinds = {(geometry.kernel_size, geometry.stride) for geometry in GEOMETRIES.values()}
    assert {((3, 3), (1, 1)), ((5, 5), (1, 1)), ((11, 11), (4, 4))} <= kinds
