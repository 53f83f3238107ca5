"""Microkernels whose vectors hold channels: matrix products, Winograd's transforms, and turning images over.

Memory has an image's channels one behind the other. For what mixes channels it is better to have them side by side: a vector
then holds as many channels of one pixel as it has lanes, whatever is done to pixels is done to all of them at once, and no
instruction is spent on bringing pixels of a vector into order. The three ways between

    turn_in      as many channels' runs of pixels    ->  pixels, each a vector of channels
    turn_out     and back
    transforms   Y = M X M.T, a small constant matrix M on both sides of a matrix X of vectors
    multiply     C[r, :] += sum over k of A[r, k] * B[k, :], with rows of B and C made of vectors

are emitted as LLVM's vectors, as in `numba_simd`. They are compiled once each, and called through their addresses by the loops
around them, which are the same for all. Places in memory are passed as addresses, and distances in numbers: a
microkernel is a function of integers only.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from tinygrad_cnn.kernels.numba_compile import compiled, emitted
from tinygrad_cnn.kernels.numba_simd import VECTOR_BYTES, Code

Matrix = tuple[tuple[float, ...], ...]

LANES = VECTOR_BYTES // 4
"""How many numbers of single precision a vector has."""

_INDEX = ir.IntType(64)
_ADDRESS = ir.IntType(8).as_pointer()
_NUMBER = ir.FloatType()


_PATCH_4 = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
_PATCH_6 = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)


def _kernel_6(taps: int) -> Matrix:
    """From a kernel to values at 0, 1, -1, 2, -2 and infinity, each divided by the product of its distances to the others."""
    scales = ((0, 1 / 4), (1, -1 / 6), (-1, -1 / 6), (2, 1 / 24), (-2, 1 / 24))
    rows = [tuple(scale * point**k for k in range(taps)) for point, scale in scales]
    return (*rows, (0,) * (taps - 1) + (1,))


MATRICES: dict[str, Matrix] = {
    "output 2 3": ((1, 1, 1, 0), (0, 1, -1, -1)),
    "output 4 3": ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
    "output 2 5": ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 1)),
    "input 2 3": _PATCH_4,
    "input 4 3": _PATCH_6,
    "input 2 5": _PATCH_6,
    "kernel 2 3": ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    "kernel 4 3": _kernel_6(3),
    "kernel 2 5": _kernel_6(5),
}
"""A.T, B.T and G of `numba_winograd`, by the sizes of tiles and of kernels."""

for _sizes in ("2 3", "4 3", "2 5"):
    MATRICES[f"gradient {_sizes}"] = tuple(zip(*MATRICES[f"output {_sizes}"], strict=True))
    MATRICES[f"to kernel {_sizes}"] = tuple(zip(*MATRICES[f"kernel {_sizes}"], strict=True))


# Calling through an address -------------------------------------------------------------------------------------------


@functools.cache
def address_of(kernel: Any, count: int, *constants: int | str) -> int:
    """Compile a kernel of so many integers, followed by constants, or take it from disk, and say where it is."""
    signature = (*(types.intp,) * count, *map(types.literal, constants))
    kernel.compile(signature)
    found = kernel.get_compile_result(types.void(*signature))
    return int(found.library.get_pointer_to_function(found.fndesc.llvm_cfunc_wrapper_name))


@emitted
def call(typing, address, *numbers):  # type: ignore[no-untyped-def]
    """Call what is at an address with some integers."""
    given = tuple(numbers[0].types) if hasattr(numbers[0], "types") else numbers  # Numba asks both ways

    def codegen(context, builder, signature, values):  # type: ignore[no-untyped-def]
        function = ir.FunctionType(_ADDRESS, [_INDEX] * len(given))
        arguments = cgutils.unpack_tuple(builder, values[1], len(given))
        arguments = [context.cast(builder, value, kind, types.intp) for value, kind in zip(arguments, given, strict=True)]
        builder.call(builder.inttoptr(values[0], function.as_pointer()), arguments)
        return context.get_dummy_value()

    return types.void(types.intp, types.StarArgTuple(given)), codegen


@emitted
def place_of(typing, array):  # type: ignore[no-untyped-def]
    """The address of an array's first number."""

    def codegen(context, builder, signature, values):  # type: ignore[no-untyped-def]
        return builder.ptrtoint(context.make_array(signature.args[0])(context, builder, values[0]).data, _INDEX)

    return types.intp(array), codegen


class _Lanes(Code):
    """Emits instructions on vectors of single precision at addresses."""

    def __init__(self, context: Any, builder: Any) -> None:
        super().__init__(context, builder, types.float32, LANES)
        self.builder = builder

    def place(self, address: Any) -> Any:
        """What an address points to: numbers."""
        return self.builder.inttoptr(address, _NUMBER.as_pointer())

    def indices(self, address: Any) -> Any:
        """What an address points to: places."""
        return self.builder.inttoptr(address, _INDEX.as_pointer())

    def times(self, number: Any, factor: int) -> Any:
        """A number a constant number of times."""
        return self.builder.mul(number, _INDEX(factor))

    def transposed(self, rows: list[Any]) -> list[Any]:
        """Transpose as many vectors as each has lanes.

        Instructions that mix two vectors do so within their quarters of 16 bytes. So first each four rows: numbers, then
        pairs of numbers, of two rows in turn; after that quarters are exchanged between vectors.
        """
        lanes = self._lanes
        turned: list[list[Any]] = [[], [], [], []]
        for first in range(0, lanes, 4):
            a, b, c, d = rows[first : first + 4]
            low, high = self._in_turn(a, b, 1), self._in_turn(c, d, 1)
            columns = [*self._in_turn(low[0], high[0], 2), *self._in_turn(low[1], high[1], 2)]
            for column, vector in zip(turned, columns, strict=True):
                column.append(vector)
        exchanged = [self._exchanged(column) for column in turned]
        return [exchanged[k % 4][k // 4] for k in range(lanes)]

    def _in_turn(self, first: Any, second: Any, size: int) -> tuple[Any, Any]:
        """From each quarter's first halves, and from its second halves, so many numbers of either vector in turn."""
        halves = []
        for half in (0, 1):
            chosen = []
            for quarter in range(0, self._lanes, 4):
                for k in range(2 // size):
                    begin = quarter + half * 2 + k * size
                    chosen += [begin + n for n in range(size)] + [self._lanes + begin + n for n in range(size)]
            halves.append(self.take(first, second, chosen))
        return halves[0], halves[1]

    def _exchanged(self, vectors: list[Any]) -> list[Any]:
        """Transpose a matrix of quarters: as many vectors as each has quarters."""
        count = len(vectors)
        size = count // 2
        while size:
            for k in range(count):
                if k & size:
                    continue
                first, second = vectors[k], vectors[k + size]
                lanes = range(self._lanes)
                kept = [lane if not (lane // 4) & size else self._lanes + lane - 4 * size for lane in lanes]
                others = [lane + 4 * size if not (lane // 4) & size else self._lanes + lane for lane in lanes]
                vectors[k], vectors[k + size] = self.take(first, second, kept), self.take(first, second, others)
            size //= 2
        return vectors

    def product(self, matrix: Matrix, vectors: list[Any]) -> list[Any]:
        """Multiply a constant matrix with a column of vectors.

        Points come as a and -a, for which even powers are the same and odd powers opposite. Where two rows, or two columns,
        differ in every second sign only, what they share is computed once.
        """
        rows = list(matrix)
        columns = list(zip(*rows, strict=True))
        pair = next((k for k in range(len(columns) - 1) if _are_opposite(columns[k], columns[k + 1])), None)
        if pair is not None:  # the sum of these two columns belongs to even rows, their difference to odd ones
            a, b = vectors[pair], vectors[pair + 1]
            total, difference = self.builder.fadd(a, b), self.builder.fsub(a, b)
            shared = [*vectors[:pair], total, difference, *vectors[pair + 2 :]]
            apart = tuple(
                (*row[:pair], *((row[pair], 0.0) if i % 2 == 0 else (0.0, row[pair])), *row[pair + 2 :])
                for i, row in enumerate(rows)
            )
            return self.product(apart, shared)
        results, k = [], 0
        while k < len(rows):
            if k + 1 < len(rows) and _are_opposite(rows[k], rows[k + 1]):
                even = self.combination([f if i % 2 == 0 else 0.0 for i, f in enumerate(rows[k])], vectors)
                odd = self.combination([f if i % 2 else 0.0 for i, f in enumerate(rows[k])], vectors)
                results += [self.builder.fadd(even, odd), self.builder.fsub(even, odd)]
                k += 2
            else:
                results.append(self.combination(rows[k], vectors))
                k += 1
        return results


def _are_opposite(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two rows differ in the signs of odd places only, and have something at both even and odd ones."""
    same = all(b == (a if i % 2 == 0 else -a) for i, (a, b) in enumerate(zip(first, second, strict=True)))
    return same and any(first[::2]) and any(first[1::2])


# Transforms -----------------------------------------------------------------------------------------------------------


@emitted(knows_constants=True)
def _emit_transform(  # type: ignore[no-untyped-def]
    typing, source, row, column, following, target, to_row, to_column, to_following, count, added, which
):
    matrix, adds = MATRICES[which.literal_value], which.literal_value.startswith("output")

    def codegen(context, builder, signature, values):  # type: ignore[no-untyped-def]
        code = _Lanes(context, builder)
        source, row, column, following, target, to_row, to_column, to_following, count, added, _ = values
        x, y = code.place(source), code.place(target)
        size, wanted = len(matrix[0]), len(matrix)
        constant = code.vector(code.place(added)) if adds else None

        def once(k, nothing):  # type: ignore[no-untyped-def]
            begin, end = code.at(x, builder.mul(k, following)), code.at(y, builder.mul(k, to_following))
            columns = []
            for j in range(size):
                here = code.at(begin, code.times(column, j))
                columns.append(code.product(matrix, [code.vector(code.at(here, code.times(row, i))) for i in range(size)]))
            for i in range(wanted):
                for j, vector in enumerate(code.product(matrix, [made[i] for made in columns])):
                    result = builder.fadd(vector, constant) if adds else vector
                    code.store(result, code.at(end, code.times(to_row, i), code.times(to_column, j)))
            return nothing

        code.loop(_INDEX(0), count, [], once)
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 10, which), codegen


@compiled
def _transform(  # type: ignore[no-untyped-def]
    source, row, column, following, target, to_row, to_column, to_following, count, added, which
):
    _emit_transform(source, row, column, following, target, to_row, to_column, to_following, count, added, which)


def transform(which: str) -> int:
    """Where the kernel is of Y = M X M.T, for a run of matrices X of vectors and the constant matrix M of this name.

    It takes (source, step between rows, between columns, to the next matrix, target, and its steps, how many, the place of a
    vector that is added to every element of Y if that is an output, anything); steps are in numbers.
    """
    return address_of(_transform, 10, which)


# Turning images over --------------------------------------------------------------------------------------------------


@emitted
def _emit_turn_in(typing, source, step, channels, row_step, target, pixel_step, to_row_step, count, rows):  # type: ignore[no-untyped-def]
    """Turn rows of runs of pixels, one of each channel, into pixels of channels, `pixel_step` apart.

    As many channels as a vector has lanes, `step` apart, or the last of `channels` once more; a row's pixels are read, and
    written, in whole vectors: up to LANES - 1 more than `count`.
    """

    def codegen(context, builder, signature, values):  # type: ignore[no-untyped-def]
        code = _Lanes(context, builder)
        source, step, channels, row_step, target, pixel_step, to_row_step, count, rows = values
        x, y = code.place(source), code.place(target)
        runs = [code.at(x, builder.mul(step, code.least(_INDEX(k), _INDEX(0), channels))) for k in range(LANES)]
        vectors = builder.sdiv(builder.add(count, _INDEX(LANES - 1)), _INDEX(LANES))

        def row(r, nothing):  # type: ignore[no-untyped-def]
            begin, end = builder.mul(r, row_step), code.at(y, builder.mul(r, to_row_step))

            def some(k, nothing):  # type: ignore[no-untyped-def]
                place = builder.add(begin, code.times(k, LANES))
                pixels = code.transposed([code.vector(code.at(run, place)) for run in runs])
                first = code.at(end, builder.mul(pixel_step, code.times(k, LANES)))
                for n, pixel in enumerate(pixels):
                    code.store(pixel, code.at(first, code.times(pixel_step, n)))
                return nothing

            return code.loop(_INDEX(0), vectors, nothing, some)

        code.loop(_INDEX(0), rows, [], row)
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 9), codegen


@emitted
def _emit_turn_out(typing, source, pixel_step, row_step, target, step, channels, to_row_step, count, rows):  # type: ignore[no-untyped-def]
    """Turn rows of pixels of channels into runs of pixels, one of each channel: at least LANES pixels in a row."""

    def codegen(context, builder, signature, values):  # type: ignore[no-untyped-def]
        code = _Lanes(context, builder)
        source, pixel_step, row_step, target, step, channels, to_row_step, count, rows = values
        x, y = code.place(source), code.place(target)
        vectors, last = builder.sdiv(builder.add(count, _INDEX(LANES - 1)), _INDEX(LANES)), builder.sub(count, _INDEX(LANES))

        def row(r, nothing):  # type: ignore[no-untyped-def]
            begin, end = code.at(x, builder.mul(r, row_step)), code.at(y, builder.mul(r, to_row_step))

            def some(k, nothing):  # type: ignore[no-untyped-def]
                place = code.times(k, LANES)
                place = builder.select(builder.icmp_signed("<", place, last), place, last)
                first = code.at(begin, builder.mul(pixel_step, place))
                pixels = [code.vector(code.at(first, code.times(pixel_step, n))) for n in range(LANES)]
                for n, run in enumerate(code.transposed(pixels)):
                    with builder.if_then(builder.icmp_signed(">", channels, _INDEX(n))):
                        code.store(run, code.at(end, place, code.times(step, n)))
                return nothing

            return code.loop(_INDEX(0), vectors, nothing, some)

        code.loop(_INDEX(0), rows, [], row)
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 9), codegen


@compiled
def _turn_in(source, step, channels, row_step, target, pixel_step, to_row_step, count, rows):  # type: ignore[no-untyped-def]
    _emit_turn_in(source, step, channels, row_step, target, pixel_step, to_row_step, count, rows)


@compiled
def _turn_out(source, pixel_step, row_step, target, step, channels, to_row_step, count, rows):  # type: ignore[no-untyped-def]
    _emit_turn_out(source, pixel_step, row_step, target, step, channels, to_row_step, count, rows)


def turn_in() -> int:
    """Where `_emit_turn_in`'s kernel is."""
    return address_of(_turn_in, 9)


def turn_out() -> int:
    """Where `_emit_turn_out`'s kernel is."""
    return address_of(_turn_out, 9)


@compiled
def turn_rows(  # type: ignore[no-untyped-def]
    source, place, step, channels, width, target, to_place, pixel_step, line, rows, turn_in
):
    """Turn in rows of LANES channels, or of `channels` if they are fewer: single numbers where the flat source ends.

    The channels' runs are `step` apart, in the source their rows `width`, in the target `line`.
    """
    vectors = -(-width // LANES) * LANES
    room = source.size - (place + (channels - 1) * step + vectors)  # beyond what the first row's last vector reads
    safe = min(rows, room // width + 1) if room >= 0 else 0
    begin, end = place_of(source) + 4 * place, place_of(target) + 4 * to_place
    call(turn_in, begin, step, channels, width, end, pixel_step, line, width, safe)
    for r in range(safe, rows):
        for j in range(width):
            for k in range(channels):
                target[to_place + r * line + j * pixel_step + k] = source[place + k * step + r * width + j]


@compiled
def turn_back(  # type: ignore[no-untyped-def]
    source, place, pixel_step, target, to_place, step, channels, count, turn_out
):
    """Turn out one row of so many channels: single numbers where there are too few pixels for a vector."""
    if count >= LANES:
        begin, end = place_of(source) + 4 * place, place_of(target) + 4 * to_place
        call(turn_out, begin, pixel_step, 0, end, step, channels, 0, count, 1)
        return
    for k in range(channels):
        for j in range(count):
            target[to_place + k * step + j] = source[place + j * pixel_step + k]


# Products -------------------------------------------------------------------------------------------------------------


@emitted(knows_constants=True)
def _emit_product(typing, a, row, column, b, b_row, c, c_row, count, rows, adds, height, width):  # type: ignore[no-untyped-def]
    tall, wide = height.literal_value, width.literal_value

    def codegen(context, builder, signature, values):  # type: ignore[no-untyped-def]
        code = _Lanes(context, builder)
        a, row, column, b, b_row, c, c_row, count, rows, adds, _, _ = values
        factors, vectors, result = code.place(a), code.place(b), code.place(c)
        at = [code.at(factors, builder.mul(row, code.least(_INDEX(r), _INDEX(0), rows))) for r in range(tall)]

        def step(k, sums):  # type: ignore[no-untyped-def]
            line = code.at(vectors, builder.mul(k, b_row))
            held = [code.vector(code.at(line, _INDEX(v * LANES))) for v in range(wide)]
            here = builder.mul(k, column)
            spread = (code.spread(code.number(pointer, here)) for pointer in at)
            pairs = ((factor, vector) for factor in spread for vector in held)
            return [code.multiply_add(*pair, total) for pair, total in zip(pairs, sums, strict=True)]

        sums = code.loop(_INDEX(0), count, [code.zero] * (tall * wide), step)
        is_sum = builder.icmp_signed("!=", adds, _INDEX(0))
        for r in range(tall):
            with builder.if_then(builder.icmp_signed(">", rows, _INDEX(r))):
                line = code.at(result, code.times(c_row, r))
                for v in range(wide):
                    place = code.at(line, _INDEX(v * LANES))
                    with builder.if_else(is_sum) as (then, otherwise):
                        with then:
                            code.store(builder.fadd(code.vector(place), sums[r * wide + v]), place)
                        with otherwise:
                            code.store(sums[r * wide + v], place)
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 10, height, width), codegen


@compiled
def _product(a, row, column, b, b_row, c, c_row, count, rows, adds, height, width):  # type: ignore[no-untyped-def]
    _emit_product(a, row, column, b, b_row, c, c_row, count, rows, adds, height, width)


def product(height: int, width: int) -> int:
    """Where the kernel is of C[r, :] = (C[r, :] +) sum over k of A[r, k] * B[k, :], for `height` rows of `width` vectors.

    It takes (A, steps between its rows and columns, B and the step between its rows, C and the step between its rows, how many
    k, how many rows are wanted, whether C is added to, height, width).
    """
    return address_of(_product, 10, height, width)


@emitted(knows_constants=True)
def _emit_window_product(  # type: ignore[no-untyped-def]
    typing, x, sources, offsets, weights, places, taps, channels, weight_row, begin, y, targets, rows, height, width
):
    tall, wide = height.literal_value, width.literal_value

    def codegen(context, builder, signature, values):  # type: ignore[no-untyped-def]
        code = _Lanes(context, builder)
        x, sources, offsets, weights, places, taps, channels, weight_row, begin, y, targets, rows, _, _ = values
        x, w, start, result = (code.place(address) for address in (x, weights, begin, y))
        source, offset, place, target = (code.indices(address) for address in (sources, offsets, places, targets))
        used = [code.least(_INDEX(r), _INDEX(0), rows) for r in range(tall)]
        at = [code.at(x, code.number(source, r)) for r in used]
        first = [code.vector(code.at(start, _INDEX(v * LANES))) for v in range(wide)]

        def tap(k, sums):  # type: ignore[no-untyped-def]
            read = code.number(offset, k)
            pixels = [code.at(pixel, read) for pixel in at]
            lines = code.at(w, code.number(place, k))

            def step(c, sums):  # type: ignore[no-untyped-def]
                line = code.at(lines, builder.mul(c, weight_row))
                held = [code.vector(code.at(line, _INDEX(v * LANES))) for v in range(wide)]
                spread = (code.spread(code.number(pixel, c)) for pixel in pixels)
                pairs = ((factor, vector) for factor in spread for vector in held)
                return [code.multiply_add(*pair, total) for pair, total in zip(pairs, sums, strict=True)]

            return code.loop(_INDEX(0), channels, sums, step)

        sums = code.loop(_INDEX(0), taps, first * tall, tap)
        for r in range(tall):
            with builder.if_then(builder.icmp_signed(">", rows, _INDEX(r))):
                line = code.at(result, code.number(target, r))
                for v in range(wide):
                    code.store(sums[r * wide + v], code.at(line, _INDEX(v * LANES)))
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 12, height, width), codegen


@compiled
def _window_product(  # type: ignore[no-untyped-def]
    x, sources, offsets, weights, places, taps, channels, weight_row, begin, y, targets, rows, height, width
):
    _emit_window_product(
        x, sources, offsets, weights, places, taps, channels, weight_row, begin, y, targets, rows, height, width
    )


def window_product(height: int, width: int) -> int:
    """Where the kernel is of y[target[r]] = begin + sum over taps k, channels c of x[source[r] + offset[k] + c] * w[k, c].

    It takes (x, sources, offsets, w, the places of its taps in it, how many taps, how many channels, the step between channels
    in w, begin, y, targets, how many rows are wanted, height, width): lists of places hold distances in numbers.
    """
    return address_of(_window_product, 12, height, width)


@emitted(knows_constants=True)
def _emit_window_correlation(  # type: ignore[no-untyped-def]
    typing, x, sources, count, gy, places, sums, row_step, rows, height, width
):
    tall, wide = height.literal_value, width.literal_value

    def codegen(context, builder, signature, values):  # type: ignore[no-untyped-def]
        code = _Lanes(context, builder)
        x, sources, count, gy, places, sums, row_step, rows, _, _ = values
        x, gradients, result = code.place(x), code.place(gy), code.place(sums)
        source, place = code.indices(sources), code.indices(places)
        used = [code.least(_INDEX(r), _INDEX(0), rows) for r in range(tall)]

        def step(k, sums):  # type: ignore[no-untyped-def]
            line = code.at(gradients, code.number(place, k))
            held = [code.vector(code.at(line, _INDEX(v * LANES))) for v in range(wide)]
            pixel = code.at(x, code.number(source, k))
            spread = (code.spread(code.number(pixel, r)) for r in used)
            pairs = ((factor, vector) for factor in spread for vector in held)
            return [code.multiply_add(*pair, total) for pair, total in zip(pairs, sums, strict=True)]

        totals = code.loop(_INDEX(0), count, [code.zero] * (tall * wide), step)
        for r in range(tall):
            with builder.if_then(builder.icmp_signed(">", rows, _INDEX(r))):
                line = code.at(result, code.times(row_step, r))
                for v in range(wide):
                    to = code.at(line, _INDEX(v * LANES))
                    code.store(builder.fadd(code.vector(to), totals[r * wide + v]), to)
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 8, height, width), codegen


@compiled
def _window_correlation(x, sources, count, gy, places, sums, row_step, rows, height, width):  # type: ignore[no-untyped-def]
    _emit_window_correlation(x, sources, count, gy, places, sums, row_step, rows, height, width)


def window_correlation(height: int, width: int) -> int:
    """Where the kernel is of sums[r, :] += sum over positions k of x[source[k] + r] * gy[place[k], :].

    It takes (x, sources, how many positions, gy, the places in it, sums and the step between their rows, how many rows are
    wanted, height, width).
    """
    return address_of(_window_correlation, 8, height, width)
