"""Matrix products that are divided among cores."""

import numpy as np
import pytest

from tinygrad_cnn.kernels import parallel, products
from tinygrad_cnn.kernels.products import matmul, matmul_each, matmul_sum

from .kernel_cases import laid_out


@pytest.fixture(autouse=True)
def _small_work_counts(monkeypatch):
    monkeypatch.setattr(parallel, "NUMBERS_OF_A_GRAIN", 1)
    monkeypatch.setattr(products, "_WORTH_DIVIDING", 1)
    before = parallel.get_num_threads()
    yield
    parallel.set_num_threads(before)


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (3, 4, 5), (7, 3, 200), (200, 5, 7), (130, 1, 130), (70, 9, 64), (0, 3, 80), (80, 0, 90)]
)
@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_is_the_sum_over_the_inner_axis_whatever_the_threads(shape, layout, dtype):
    m, k, n = shape
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    results = []
    for threads in (1, 2, 3):
        parallel.set_num_threads(threads)
        results.append(matmul(laid_out(a, layout), laid_out(b, layout)))
    expected = np.zeros((m, n))
    for i in range(k):
        expected += np.outer(a[:, i].astype(np.float64), b[i].astype(np.float64))
    assert results[0].dtype == dtype
    np.testing.assert_allclose(results[0], expected, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-13)
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])


def test_a_product_of_mixed_precision_is_numpys():
    a, b = np.ones((80, 3), np.float32), np.ones((3, 90))
    assert matmul(a, b).dtype == np.float64
    np.testing.assert_array_equal(matmul(a, b), np.full((80, 90), 3.0))


@pytest.mark.parametrize("batch", [0, 1, 5])
def test_one_matrix_times_each_of_a_batch(batch):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 4, 3)), rng.standard_normal((batch, 2, 3, 6))
    out = np.empty((batch, 2, 4, 6))
    matmul_each(a, b, out)
    np.testing.assert_allclose(out, np.einsum("gok,ngkp->ngop", a, b), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", [(1, 1, 3, 4, 5), (5, 2, 4, 3, 6), (3, 1, 130, 2, 70), (2, 2, 3, 1, 200), (0, 1, 2, 3, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sum_of_products_is_one_sum_whatever_the_threads(shape, dtype):
    count, groups, m, k, n = shape
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((count, groups, m, k)).astype(dtype), rng.standard_normal((count, groups, k, n)).astype(dtype)
    results = []
    for threads in (1, 2, 3):
        parallel.set_num_threads(threads)
        results.append(matmul_sum(a, b))
    assert results[0].dtype == dtype
    expected = np.einsum("igmk,igkn->gmn", a.astype(np.float64), b.astype(np.float64))
    np.testing.assert_allclose(results[0], expected, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-13)
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])
