"""What the kernel tests share: drawn geometries, arrays in awkward layouts, and the one way to run a kernel.

Every run checks, besides the numbers, what holds for all kernels: inputs untouched, dtype kept, outputs C-contiguous.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_cnn.kernels import ConvGeometry, PoolGeometry, implementations

DTYPES = (np.float32, np.float64)
LAYOUTS = ("C", "F", "strided", "reversed")
RTOL = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-11}

seeds = st.integers(0, 2**32 - 1)
layouts = st.sampled_from(LAYOUTS)
dtypes = st.sampled_from(DTYPES)


def servers(name: str) -> list[str]:
    """Who besides the reference serves a kernel here: to parametrise over."""
    return [who for who in implementations(name) if who != "reference"]


def array(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float64, layout: str = "C") -> np.ndarray:
    """Draw normal numbers, laid out in memory as `layout` says."""
    return laid_out(rng.standard_normal(shape).astype(dtype), layout)


def laid_out(values: np.ndarray, layout: str) -> np.ndarray:
    """Copy values into memory of another layout: equal numbers, other strides."""
    if layout == "F":
        return np.asfortranarray(values)
    if not values.shape:
        return values
    if layout == "strided":  # every second number of a larger array, along the last axis; others would be noticed
        wide = np.full((*values.shape[:-1], 2 * values.shape[-1] + 1), 1 << 20, values.dtype)
        view = wide[..., 1::2]
    elif layout == "reversed":
        view = np.empty_like(values)[..., ::-1]
    else:
        return np.ascontiguousarray(values)
    view[...] = values
    return view


def run(name: str, who: str, *arguments: Any) -> Any:
    """Call one implementation of a kernel and check what holds for all of them."""
    arrays = [argument for argument in arguments if isinstance(argument, np.ndarray)]
    before = [a.copy() for a in arrays]
    result = implementations(name)[who](*arguments)
    for a, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, copy, err_msg=f"{name} ({who}) changed an input")
    for output in result if isinstance(result, tuple) else (result,):
        assert isinstance(output, np.ndarray)
        assert output.flags.c_contiguous
        assert output.dtype in (arrays[0].dtype, np.int32, np.int64)
        assert not any(np.shares_memory(output, a) for a in arrays)
    return result


def expect(name: str, *arguments: Any) -> Any:
    """Run the reference in float64 on the same numbers."""
    exact = [a.astype(np.float64) if _is_float(a) else a for a in arguments]
    return implementations(name)["reference"](*exact)


def _is_float(argument: Any) -> bool:
    return isinstance(argument, np.ndarray) and argument.dtype.kind == "f"


def assert_close(actual: Any, expected: Any) -> None:
    """Compare against float64 results, relative to the largest number: that is what rounding errors scale with."""
    if isinstance(actual, tuple):
        for one, other in zip(actual, expected, strict=True):
            assert_close(one, other)
        return
    assert actual.shape == expected.shape
    rtol = RTOL.get(actual.dtype, 0)
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * largest)


def numerical_gradient(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, gy: np.ndarray) -> np.ndarray:
    """Differentiate <gy, function(x)> by central differences."""
    gx = np.empty_like(x)
    for at in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[at] = 1e-6
        gx[at] = ((function(x + step) - function(x - step)) * gy).sum() / 2e-6
    return gx


@st.composite
def conv_geometries(draw: st.DrawFn, min_batch: int = 0) -> ConvGeometry:
    """Draw convolutions small enough for loops: nothing square, strides with remainders, everything that is allowed."""
    dims = draw(st.integers(1, 3))
    most = {1: 9, 2: 6, 3: 4}[dims]
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    channels = draw(st.sampled_from((1, 2, 4, 5) if dims < 3 else (1, 4)))
    kernel = [draw(st.integers(1, 4 if dims == 1 else 3)) for _ in range(dims)]
    dilation = [draw(st.integers(1, 2)) for _ in range(dims)]
    padding, in_size = [], []
    for k, d in zip(kernel, dilation, strict=True):
        before, after = draw(st.integers(0, 3)), draw(st.integers(0, 3))
        padding.append((before, after))
        in_size.append(draw(st.integers(max(1, d * (k - 1) + 1 - before - after), most + 2)))
    return ConvGeometry(
        batch=draw(st.integers(min_batch, 2)),
        in_channels=groups * channels,
        in_size=tuple(in_size),
        out_channels=groups * draw(st.integers(1, 3)),
        kernel_size=tuple(kernel),
        stride=tuple(draw(st.integers(1, 3)) for _ in range(dims)),
        padding=tuple(padding),
        dilation=tuple(dilation),
        groups=groups,
    )


@st.composite
def pool_geometries(draw: st.DrawFn) -> PoolGeometry:
    """Draw poolings small enough for loops; windows overlap, leave gaps, and hang over the edge."""
    dims = draw(st.integers(1, 3))
    most = {1: 12, 2: 7, 3: 5}[dims]
    kernel, dilation, padding, in_size = [], [], [], []
    for _ in range(dims):
        k, d = draw(st.integers(1, 4)), draw(st.sampled_from((1, 1, 2)))
        reach = d * (k - 1) + 1
        before, after = draw(st.integers(0, reach // 2)), draw(st.integers(0, reach // 2))
        kernel.append(k)
        dilation.append(d)
        padding.append((before, after))
        # With dilation, an input as long as the window's reach is never missed by all taps.
        smallest = reach if d > 1 else max(1, reach - before - after)
        in_size.append(draw(st.integers(smallest, max(smallest, most))))
    return PoolGeometry(
        in_size=tuple(in_size),
        kernel_size=tuple(kernel),
        stride=tuple(draw(st.integers(1, 4)) for _ in range(dims)),
        padding=tuple(padding),
        dilation=tuple(dilation),
        ceil_mode=draw(st.booleans()),
    )
