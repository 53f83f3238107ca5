"""The innermost loops of convolution, written in LLVM's vectors.

A processor core multiplies and adds 16 (AVX-512), 8 (AVX) or 4 (NEON) numbers with one instruction, and begins two such a
cycle; it can load only about as many vectors from its first cache. So each number that is loaded has to be used several
times while it is in a register, and sums have to stay in registers until they are complete. A compiler that is given plain
loops finds neither by itself, and Python has no words for registers. Here the instructions are therefore put together one by
one, in LLVM's intermediate language, which numba compiles anyway; LLVM chooses the registers and fits the vectors to the
processor.

Three loops fill a *tile* of sums:

    multiply_add          sum[r, v] += weight[k, r] * planes[offset[k] + position[v]]     over the taps k: vectors of positions
    correlate             sum[k, v] += planes[offset[k] + position] * gy[position, v]     over positions: vectors of channels
    correlate_positions   sum[r, k] += gy[r, position] * planes[offset[k] + position]     over positions, then across the lanes

With a tile of 8 x 3 vectors, 24 multiply-adds need 3 vectors and 8 single numbers from memory. A single number that is put in
every lane costs no more than a vector, and never lies across two lines of the cache, as two of three vectors of shifted
positions do: so `correlate` takes its vectors from the gradient, with its channels side by side, and is nearly twice as fast as
`correlate_positions`, which is for what has too few channels.

Each shape of a tile that is used has to be compiled, but not what is around it: these loops are *microkernels*, functions of
addresses and whole numbers that are compiled by themselves, and called through their own address (`microkernel`). A call takes
a few nanoseconds, a tile some hundreds.

Sums over taps run from the first to the last, whatever the tile: its shape does not change a bit of the result.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FunctionType
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from tinygrad_cnn.kernels.numba_compile import address_of, emitted, inner, through_address

_INDEX, _LANE = ir.IntType(64), ir.IntType(32)


class Tile(NamedTuple):
    """The shape of a tile: rows x columns vectors of so many lanes."""

    rows: int
    columns: int
    lanes: int


def _vector_bytes() -> int:
    """How long this processor's vectors are."""
    features = llvm.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx") else 16


VECTOR_BYTES = _vector_bytes()

ACCUMULATORS = 24 if VECTOR_BYTES != 32 else 12
"""How many vectors of sums a tile may have: of 32 registers (AVX: 16) a few are for what is multiplied."""


def microkernel(emit: Callable[..., None]) -> Any:
    """Make a loop of its own for each tile and dtype, which compiled code calls through its address.

    Python finds `loop.address(tile, dtype)`, and compiled code calls `loop(address, *numbers)`, with whole numbers alone:
    `place_of` tells where an array is.

    Parameters
    ----------
    emit : callable
        Emits the loop's instructions: `emit(code, tile, *numbers)`, with the `Code` for such vectors.
    """
    return microkernels(lambda context, builder, tile, dtype: Code(context, builder, numba.from_dtype(dtype), tile.lanes))(emit)


def microkernels(code_of: Callable[..., Any]) -> Any:
    """Make a decorator as `microkernel` is one, for loops with any variants instead of tiles.

    Parameters
    ----------
    code_of : callable
        What `emit` gets as its first argument: `code_of(context, builder, variant, dtype)`. A variant is a tuple of numbers and
        strings.
    """

    def decorate(emit: Callable[..., None]) -> Any:
        parameters = (types.intp,) * (len(inspect.signature(emit).parameters) - 2)
        numbers = types.StarArgTuple(parameters)

        @functools.cache
        def address(variant: tuple[Any, ...], dtype: np.dtype) -> int:
            def emit_variant(typing: Any, _: Any) -> Any:
                def codegen(context: Any, builder: Any, _: Any, values: Any) -> Any:
                    code = code_of(context, builder, variant, dtype)
                    emit(code, variant, *cgutils.unpack_tuple(builder, values[0], len(parameters)))
                    return context.get_dummy_value()

                return types.void(numbers), codegen

            # The name tells kernels apart, on disk and among the symbols of a process: the numbers that numba gives repeat.
            name = "_".join(map(str, (emit.__name__, *variant, dtype))).replace(" ", "_")
            names = {"emit_variant": emitted(emit_variant), "__name__": emit.__module__}
            loop = FunctionType(_microkernel.__code__, names, name)
            loop.__qualname__ = name
            return address_of(inner(loop), numbers)

        loop = through_address(lambda *_: parameters)
        loop.address = address
        return loop

    return decorate


def _microkernel(*numbers: Any) -> None:
    emit_variant(numbers)  # type: ignore[name-defined]  # noqa: F821


@emitted
def place_of(typing, array, number):  # type: ignore[no-untyped-def]
    """Tell the address of a number of an array, which must be contiguous."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(builder.gep(data, [arguments[1]]), _INDEX)

    return types.intp(array, types.intp), codegen


@microkernel
def multiply_add(code, tile, planes, offsets, taps, weights, first, y, row_step, rows, sources, targets):  # type: ignore[no-untyped-def]
    """Multiply the taps of some output channels with vectors of positions, and store the sums.

    planes, y : where position 0 of the first tap's plane, and of the first output channel, is
    offsets : (taps,) int64, where each tap reads, less the position
    weights : (taps, tile rows); first : (tile rows,), what the sums begin with
    row_step : the distance of output channels in y; rows : how many of the tile's are stored
    sources, targets : int64, the tile's positions in planes and in y, one for each vector
    """
    builder, (height, width, _) = code.builder, tile
    x, w, start, out = map(code.numbers, (planes, weights, first, y))
    at, source, target = map(code.indices, (offsets, sources, targets))
    bases = [code.at(x, code.number(source, v)) for v in range(width)]
    sums = [code.spread(code.number(start, r)) for r in range(height) for _ in range(width)]

    def step(k, sums):  # type: ignore[no-untyped-def]
        here = builder.load(code.at(at, k))
        vectors = [code.vector(code.at(pointer, here)) for pointer in bases]
        weight = code.at(w, builder.mul(k, _INDEX(height)))
        factors = (code.spread(code.number(weight, r)) for r in range(height))
        pairs = ((factor, vector) for factor in factors for vector in vectors)
        return [code.multiply_add(*pair, total) for pair, total in zip(pairs, sums, strict=True)]

    sums = code.loop(_INDEX(0), taps, sums, step)
    for r in range(height):
        with builder.if_then(builder.icmp_signed(">", rows, _INDEX(r))):
            row = code.at(out, builder.mul(row_step, _INDEX(r)))
            for v in range(width):
                code.store(sums[r * width + v], code.at(row, code.number(target, v)))


@microkernel
def correlate(code, tile, planes, offsets, taps, gy, images, image_step, positions, totals):  # type: ignore[no-untyped-def]
    """Multiply what the taps read at each position with vectors of its gradients, and add the sums to `totals`.

    planes : where position 0 is; offsets : int64, of the tile's taps, of which the first `taps` are wanted
    gy : (images, positions, channels): the gradients that the tile's vectors hold, side by side
    images, image_step, positions : how many images there are, how far apart in the planes, and how many positions each has
    totals : where the sums of the tile's taps are, one after the other
    """
    builder, (vectors, width, lanes) = code.builder, tile
    x, gradients, result = map(code.numbers, (planes, gy, totals))
    at, depth = code.indices(offsets), _INDEX(vectors * lanes)
    planes_at = [code.at(x, code.number(at, code.least(k, taps))) for k in range(width)]

    def image(n, sums):  # type: ignore[no-untyped-def]
        runs = [code.at(plane, builder.mul(n, image_step)) for plane in planes_at]
        here = code.at(gradients, builder.mul(builder.mul(n, positions), depth))

        def step(t, sums):  # type: ignore[no-untyped-def]
            gradient = code.at(here, builder.mul(t, depth))
            held = [code.vector(code.at(gradient, _INDEX(v * lanes))) for v in range(vectors)]
            factors = (code.spread(code.number(run, t)) for run in runs)
            pairs = ((factor, vector) for factor in factors for vector in held)
            return [code.multiply_add(*pair, total) for pair, total in zip(pairs, sums, strict=True)]

        return code.loop(_INDEX(0), positions, sums, step)

    sums = code.loop(_INDEX(0), images, [code.zero] * (width * vectors), image)
    for k in range(width):
        with builder.if_then(builder.icmp_signed(">", taps, _INDEX(k))):
            for v in range(vectors):
                to = code.at(result, _INDEX((k * vectors + v) * lanes))
                code.store(builder.fadd(code.vector(to), sums[k * vectors + v]), to)


@microkernel
def turn(code, tile, source, source_step, target, target_step, count):  # type: ignore[no-untyped-def]
    """Transpose as many runs of `count` numbers as vectors have lanes: number k of run n becomes number n of run k.

    Runs are a step apart. A last vector that would reach beyond the runs begins earlier instead: `count` has to fill one.
    """
    builder, lanes = code.builder, tile.lanes
    x, y = code.numbers(source), code.numbers(target)
    last = builder.sub(count, _INDEX(lanes))

    def move(k, nothing):  # type: ignore[no-untyped-def]
        begin = builder.mul(k, _INDEX(lanes))
        begin = builder.select(builder.icmp_signed("<", begin, last), begin, last)
        vectors = [code.vector(code.at(x, begin, builder.mul(source_step, _INDEX(n)))) for n in range(lanes)]
        for n, run in enumerate(code.collected(vectors)):
            code.store(run, code.at(y, builder.mul(builder.add(begin, _INDEX(n)), target_step)))
        return nothing

    code.loop(_INDEX(0), builder.sdiv(builder.add(count, _INDEX(lanes - 1)), _INDEX(lanes)), [], move)


@microkernel
def correlate_positions(  # type: ignore[no-untyped-def]
    code, tile, planes, offsets, taps, gy, row_step, rows, sources, targets, whole, count, seen, gweight, step_between
):
    """Multiply vectors of gradients with what the taps read there, and add the sums over all positions to `gweight`.

    planes : where position 0 is; offsets : int64, of the tile's taps, of which the first `taps` are wanted
    gy, row_step, rows : where the first output channel is, the distance to the next, how many of the tile's are wanted
    sources, targets : int64, positions in planes and in gy, `count` in all; from the one of number `whole` on, the vector's
        first `seen` lanes are left out, as the vector before has had them
    gweight, step_between : where the sum of the first channel and tap goes, and the distance to the next channel's
    """
    builder, (height, width, _) = code.builder, tile
    x, g, result = map(code.numbers, (planes, gy, gweight))
    taps_at, source, target = map(code.indices, (offsets, sources, targets))
    planes_at = [code.at(x, code.number(taps_at, code.least(k, taps))) for k in range(width)]
    rows_at = [code.at(g, builder.mul(row_step, code.least(r, rows))) for r in range(height)]
    kept = code.lanes_from(seen)

    def step(place: Any, sums: Any, is_wanted: Any = None) -> list[Any]:
        position, gy_position = builder.load(code.at(source, place)), builder.load(code.at(target, place))
        gradients = [code.vector(code.at(row, gy_position), is_wanted) for row in rows_at]
        totals = list(sums)
        for k, plane in enumerate(planes_at):  # one after the other: there are no registers for all
            vector = code.vector(code.at(plane, position), is_wanted)
            for r, gradient in enumerate(gradients):
                totals[r * width + k] = code.multiply_add(gradient, vector, totals[r * width + k])
        return totals

    sums = code.loop(_INDEX(0), whole, [code.zero] * (height * width), step)
    sums = code.loop(whole, count, sums, lambda k, sums: step(k, sums, kept))
    totals = code.across(sums)
    for r in range(height):
        for k in range(width):
            is_wanted = builder.and_(builder.icmp_signed(">", rows, _INDEX(r)), builder.icmp_signed(">", taps, _INDEX(k)))
            with builder.if_then(is_wanted):
                to = code.at(result, builder.mul(step_between, _INDEX(r)), _INDEX(k))
                builder.store(builder.fadd(builder.load(to), totals[r * width + k]), to)


def _copier(step: int) -> Any:
    """Make a loop that copies every so-manieth number: for runs so short that a call of memcpy would take longer."""

    @emitted
    def copy(typing, source, source_at, target, target_at, count):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            lanes = VECTOR_BYTES * 8 // source.dtype.bitwidth
            begin, end, count = arguments[1], arguments[3], arguments[4]
            x, y = (Code(context, builder, source.dtype, 1).data(signature.args[k], arguments[k]) for k in (0, 2))

            def move(done: Any, lanes: int) -> None:
                code = Code(context, builder, source.dtype, lanes)
                code.store(code.every(step, code.at(x, begin, builder.mul(done, _INDEX(step)))), code.at(y, end, done))

            def whole(k, nothing):  # type: ignore[no-untyped-def]
                move(builder.mul(k, _INDEX(lanes)), lanes)
                return nothing

            Code(context, builder, source.dtype, lanes).loop(_INDEX(0), builder.sdiv(count, _INDEX(lanes)), [], whole)
            while lanes > 1:  # what is left, by the binary digits of its length
                lanes //= 2
                with builder.if_then(builder.icmp_signed("!=", builder.and_(count, _INDEX(lanes)), _INDEX(0))):
                    move(builder.and_(count, _INDEX(-2 * lanes)), lanes)
            return context.get_dummy_value()

        return types.void(source, source_at, target, target_at, count), codegen

    return copy


copy_run, copy_every_second, copy_every_fourth = (_copier(step) for step in (1, 2, 4))


def _collector(runs: int) -> Any:
    """Make a loop that takes a number from each of four or eight runs in turn."""

    @emitted
    def collect(typing, source, source_at, step, target, target_at, count):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            lanes = VECTOR_BYTES * 8 // source.dtype.bitwidth
            code = Code(context, builder, source.dtype, lanes)
            x = code.at(code.data(signature.args[0], arguments[0]), arguments[1])
            y = code.at(code.data(signature.args[3], arguments[3]), arguments[4])

            def move(k, nothing):  # type: ignore[no-untyped-def]
                place = builder.mul(k, _INDEX(lanes))
                vectors = [code.vector(code.at(x, place, builder.mul(arguments[2], _INDEX(n)))) for n in range(runs)]
                for n, vector in enumerate(code.collected(vectors)):
                    code.store(vector, code.at(y, builder.mul(place, _INDEX(runs)), _INDEX(n * lanes)))
                return nothing

            code.loop(_INDEX(0), builder.sdiv(builder.add(arguments[5], _INDEX(lanes - 1)), _INDEX(lanes)), [], move)
            return context.get_dummy_value()

        return types.void(source, source_at, step, target, target_at, count), codegen

    return collect


collect_fours, collect_eights = _collector(4), _collector(8)


class Code:
    """Emits instructions, with `builder`, on vectors of one length."""

    def __init__(self, context: Any, builder: Any, dtype: Any, lanes: int) -> None:
        self.builder, self._context = builder, context
        self._bytes, self._lanes = dtype.bitwidth // 8, lanes
        self._number = context.get_value_type(dtype)
        self._vector = ir.VectorType(self._number, lanes)
        self._suffix = f"v{lanes}f{dtype.bitwidth}"
        self.zero = ir.Constant(self._vector, [0.0] * lanes)

    def data(self, array_type: Any, array: Any) -> Any:
        """Where an array's first number is."""
        return self._context.make_array(array_type)(self._context, self.builder, array).data

    def numbers(self, address: Any) -> Any:
        """The numbers at an address."""
        return self.builder.inttoptr(address, ir.PointerType(self._number))

    def indices(self, address: Any) -> Any:
        """The int64 numbers at an address."""
        return self.builder.inttoptr(address, ir.PointerType(_INDEX))

    def at(self, pointer: Any, *steps: Any) -> Any:
        """A place some numbers further on."""
        for step in steps:
            pointer = self.builder.gep(pointer, [step])
        return pointer

    def number(self, pointer: Any, *steps: Any) -> Any:
        """Load one number."""
        return self.builder.load(self.at(pointer, *(_INDEX(step) if isinstance(step, int) else step for step in steps)))

    def vector(self, pointer: Any, is_wanted: Any = None) -> Any:
        """Load a vector from where it may lie across vectors' boundaries; 0 in the lanes that are not wanted."""
        loaded = self.builder.load(self._as_vector(pointer), align=self._bytes)
        return loaded if is_wanted is None else self.builder.select(is_wanted, loaded, self.zero)

    def every(self, step: int, pointer: Any) -> Any:
        """Load every so-manieth number, and nothing that lies beyond the last of them."""
        last = (self._lanes - 1) * step
        loaded, have = self.vector(pointer), 0  # numbers up to `have` + lanes are known, of which we keep what is wanted
        result = self.take(loaded, loaded, [k * step % self._lanes for k in range(self._lanes)])
        while have + self._lanes - 1 < last:
            have = min(have + self._lanes, last - self._lanes + 1)
            loaded = self.vector(self.at(pointer, _INDEX(have)))
            wanted = [k * step - have for k in range(self._lanes)]
            result = self.take(
                result, loaded, [self._lanes + at if 0 <= at < self._lanes else k for k, at in enumerate(wanted)]
            )
        return result

    def take(self, first: Any, second: Any, chosen: Iterable[int]) -> Any:
        """Put together a vector from the lanes of two."""
        return self.builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(_LANE, self._lanes), list(chosen)))

    def collected(self, vectors: list[Any]) -> list[Any]:
        """Take a lane from each of two, four or eight vectors in turn."""
        if len(vectors) == 1:
            return vectors
        evens, odds = self.collected(vectors[::2]), self.collected(vectors[1::2])
        return [self.zipped(even, odd, half) for even, odd in zip(evens, odds, strict=True) for half in (0, 1)]

    def zipped(self, first: Any, second: Any, half: int) -> Any:
        """Take lanes of two vectors in turn, from their first or second half."""
        begin = half * self._lanes // 2
        return self.take(first, second, [begin + k // 2 + k % 2 * self._lanes for k in range(self._lanes)])

    def combination(self, factors: Sequence[float], vectors: list[Any]) -> Any:
        """The sum of vectors times constants, of which many are 0 or 1."""
        total = None
        for factor, vector in sorted(zip(factors, vectors, strict=True), key=lambda pair: abs(pair[0] - 1)):
            constant = ir.Constant(self._vector, [float(factor)] * self._lanes)
            if factor == 0:
                continue
            if total is None:
                total = vector if factor == 1 else self.builder.fmul(constant, vector)
            elif abs(factor) == 1:
                total = (self.builder.fadd if factor == 1 else self.builder.fsub)(total, vector)
            else:
                total = self.multiply_add(constant, vector, total)
        return self.zero if total is None else total

    def store(self, vector: Any, pointer: Any) -> None:
        self.builder.store(vector, self._as_vector(pointer), align=self._bytes)

    def spread(self, number: Any) -> Any:
        """Put one number in every lane."""
        nowhere = ir.Constant(ir.VectorType(number.type, self._lanes), ir.Undefined)
        one = self.builder.insert_element(nowhere, number, _LANE(0))
        return self.builder.shuffle_vector(one, nowhere, ir.Constant(ir.VectorType(_LANE, self._lanes), [0] * self._lanes))

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """a * b + c, rounded once."""
        return self.builder.call(self._function("fma", self._vector, [self._vector] * 3), [a, b, c])

    def across(self, vectors: list[Any]) -> list[Any]:
        """Add up the lanes of each vector, in pairs; as many vectors at a time as there are lanes.

        Of two vectors, one addition halves how many lanes each has: the first half of one's lanes and of the other's, plus
        the second halves. When each has one lane left, a single vector holds all of their sums.
        """
        totals: list[Any] = []
        for start in range(0, len(vectors), self._lanes):
            some = vectors[start : start + self._lanes]
            held, size = some + [self.zero] * (self._lanes - len(some)), self._lanes
            while size > 1:
                lanes = [g * size + k for g in range(2 * self._lanes // size) for k in range(size // 2)]
                held = [
                    self.builder.fadd(self.take(*pair, lanes), self.take(*pair, [lane + size // 2 for lane in lanes]))
                    for pair in zip(held[::2], held[1::2], strict=True)
                ]
                size //= 2
            totals += [self.builder.extract_element(held[0], _LANE(k)) for k in range(len(some))]
        return totals

    def lanes_from(self, first: Any) -> Any:
        """Which lanes have at least this number."""
        numbers = ir.Constant(ir.VectorType(_INDEX, self._lanes), list(range(self._lanes)))
        return self.builder.icmp_signed(">=", numbers, self.spread(first))

    def least(self, index: int, count: Any) -> Any:
        """The index, or the last of `count` if it is beyond."""
        last = self.builder.sub(count, _INDEX(1))
        return self.builder.select(self.builder.icmp_signed("<", _INDEX(index), last), _INDEX(index), last)

    def loop(self, start: Any, stop: Any, values: list[Any], body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
        """Run `values = body(k, values)` for k from `start` up to `stop`, the values kept in registers."""
        builder, before = self.builder, self.builder.block
        inside, after = builder.append_basic_block("inside"), builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", start, stop), inside, after)
        builder.position_at_end(inside)
        k = builder.phi(_INDEX)
        held = [builder.phi(value.type) for value in values]
        results = body(k, held)
        following, last = builder.add(k, _INDEX(1)), builder.block
        for phi, first, again in zip([k, *held], [start, *values], [following, *results], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(again, last)
        builder.cbranch(builder.icmp_signed("<", following, stop), inside, after)
        builder.position_at_end(after)
        return list(self._either(zip(values, results, strict=True), before, last))

    def _either(self, pairs: Any, before: Any, inside: Any) -> Iterator[Any]:
        """What the values are after a loop: those from before it if it was never entered."""
        for value, result in pairs:
            phi = self.builder.phi(value.type)
            phi.add_incoming(value, before)
            phi.add_incoming(result, inside)
            yield phi

    def _as_vector(self, pointer: Any) -> Any:
        return self.builder.bitcast(pointer, ir.PointerType(self._vector))

    def _function(self, name: str, result: Any, arguments: list[Any]) -> Any:
        signature = ir.FunctionType(result, arguments)
        return cgutils.get_or_insert_function(self.builder.module, signature, f"llvm.{name}.{self._suffix}")
