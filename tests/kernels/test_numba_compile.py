"""Kernels are compiled once, kept on disk, and called through their addresses with arguments of the right types."""

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba")

from numba import types
from numba.core.caching import NullCache

from tinygrad_cnn.kernels import numba_conv, numba_crew, numba_planes
from tinygrad_cnn.kernels.geometry import ConvGeometry
from tinygrad_cnn.kernels.numba_compile import apart, inner
from tinygrad_cnn.kernels.numba_crew import share, shared
from tinygrad_cnn.kernels.numba_simd import Tile, microkernel, place_of, turn


@shared
def _double(x, y, slot, start, stop):
    for i in range(start, stop):
        y[i] = x[i] * 2


@shared
def _triple(x, y, slot, start, stop):
    for i in range(start, stop):
        y[i] = x[i] * 3


def applied(kernel, x):
    y = np.zeros(x.shape, x.dtype)
    share(kernel, x, y, count=len(x))
    return y


def test_a_kernel_is_compiled_for_the_types_it_is_called_with():
    for x in (np.arange(5.0), np.arange(5), np.arange(9.0)[::2], np.arange(5, dtype=np.float32)):
        for _ in range(2):
            np.testing.assert_array_equal(applied(_double, x), 2 * x)
    assert len(_double._loops.overloads) == 4


def test_kernels_of_the_same_types_share_what_python_calls():
    x = np.arange(5, dtype=np.int16)
    applied(_double, x)
    before = len(numba_crew._run.overloads)
    np.testing.assert_array_equal(applied(_triple, x), 3 * x)
    assert len(numba_crew._run.overloads) == before


def test_what_python_does_not_call_has_nothing_that_it_could():
    x = np.arange(5, dtype=np.int8)
    applied(_double, x)
    (found,) = (found for types, found in _double._loops.overloads.items() if types[0].dtype.name == "int8")
    wrappers = (found.fndesc.llvm_cpython_wrapper_name, found.fndesc.llvm_cfunc_wrapper_name)
    assert not any(found.library.get_pointer_to_function(name) for name in wrappers)


def test_a_kernel_that_a_table_lacks_is_looked_for_again():
    """As after two threads that have met new types at once, and of whose tables one was made without the other's kernel."""
    x = np.arange(5, dtype=np.uint8)
    applied(_triple, x)
    _triple.known = numba_crew.Shared(_triple._loops).known
    np.testing.assert_array_equal(applied(_triple, x), 3 * x)


@pytest.mark.parametrize("channels", [3, 8])
def test_a_convolution_with_another_tile_compiles_no_loop_but_the_tiles(channels):
    def convolve(results):
        geometry = ConvGeometry.of((2, channels, 9, 9), (results, channels, 3, 3))
        x, weight, gy = (np.ones(shape, np.float32) for shape in (geometry.x_shape, geometry.weight_shape, geometry.y_shape))
        numba_conv.conv(x, weight, None, geometry)
        numba_conv.conv_weight_grad(x, gy, geometry)

    convolve(16)
    kernels = (numba_planes.multiply_planes, numba_planes.correlate_planes)
    before = [len(kernel._loops.overloads) for kernel in kernels]
    for results in (17, 36, 48):
        convolve(results)
    assert [len(kernel._loops.overloads) for kernel in kernels] == before


@inner
def _add(x, place, pair):
    x[place] += pair[0] + pair[1]


@shared
def _add_twice(x, slot, start, stop):
    _add(x, start, (start, stop))
    _add(x, 0, (stop, 1))
    _add(x, 1, (stop, 2))


def test_constants_among_the_arguments_compile_nothing_anew(monkeypatch):
    monkeypatch.setattr(_add_twice._loops, "_cache", NullCache())  # what lies on disk would be taken, and nothing compiled
    x = np.zeros(2)
    share(_add_twice, x, count=1)
    np.testing.assert_array_equal(x, [3, 3])
    assert len(_add.overloads) == 1


@apart(lambda number: (number[::1], types.intp, number))
def _fill(y, count, value):
    for i in range(count):
        y[i] = value


@shared
def _fill_with_one(y, fill, slot, start, stop):
    _fill(fill, y, np.int32(stop), 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_called_through_an_address_gets_what_it_expects(dtype):
    y = np.zeros(5, dtype)
    share(_fill_with_one, y, _fill.address(np.dtype(dtype)), count=4)
    np.testing.assert_array_equal(y, [1, 1, 1, 1, 0])


@shared
def _turned(x, y, turner, slot, start, stop):
    turn(turner, place_of(x, 0), x.shape[1], place_of(y, 0), y.shape[1], x.shape[1])


@pytest.mark.parametrize(("lanes", "dtype"), [(4, np.float32), (8, np.float32), (4, np.float64)])
def test_each_tile_and_dtype_has_a_microkernel_of_its_own(lanes, dtype):
    x = np.arange(lanes * 11).reshape(lanes, 11).astype(dtype)
    y = np.zeros((11, lanes), dtype)
    share(_turned, x, y, turn.address(Tile(1, 1, lanes), np.dtype(dtype)), count=1)
    np.testing.assert_array_equal(y, x.T)


def test_a_microkernel_takes_as_many_numbers_as_it_has_parameters():
    @microkernel
    def nothing(code, tile, first, second):
        pass

    @shared
    def call(address, slot, start, stop):
        nothing(address, start)

    with pytest.raises(Exception, match="takes 2 arguments, not 1"):
        share(call, nothing.address(Tile(1, 1, 4), np.dtype(np.float32)), count=1)


TURN = """if 1:
    import sys
    import numpy as np
    from numba.core import event
    from tinygrad_cnn.kernels.numba_crew import share, shared
    from tinygrad_cnn.kernels.numba_simd import Tile, turn

    compiled = []
    class Listener(event.Listener):
        def on_start(self, event): compiled.append(event.data["dispatcher"].py_func.__name__)
        def on_end(self, event): pass
    event.register("numba:compile", Listener())
    addresses = {turn.address(Tile(1, 1, int(lanes)), np.dtype(np.float32)) for lanes in sys.argv[1:]}
    print(len(addresses), len(compiled))
"""


def test_microkernels_that_several_processes_have_compiled_are_found_on_disk_and_not_mistaken_for_each_other(tmp_path):
    """Numba numbers what it compiles, and each process begins anew: the names have to differ otherwise."""

    def run(*lanes):
        command = [sys.executable, "-c", TURN, *lanes]
        return subprocess.run(
            command, env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}, capture_output=True, text=True, check=True
        ).stdout.split()

    assert run("4") == ["1", "1"]
    assert run("8") == ["1", "1"]
    assert run("4", "8") == ["2", "0"]
