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

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types

from tinygrad_cnn.kernels.numba_compile import inner
from tinygrad_cnn.kernels.numba_simd import VECTOR_BYTES, Code, microkernels, place_of

Matrix = tuple[tuple[float, ...], ...]

LANES = VECTOR_BYTES // 4
"""How many numbers of single precision a vector has."""

_INDEX = ir.IntType(64)
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


class _Lanes(Code):
    """Emits instructions on vectors of single precision at addresses."""

    def __init__(self, context: Any, builder: Any) -> None:
        super().__init__(context, builder, types.float32, LANES)

    def times(self, number: Any, factor: int) -> Any:
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


_microkernel = microkernels(lambda context, builder, variant, dtype: _Lanes(context, builder))


# Transforms -----------------------------------------------------------------------------------------------------------


@_microkernel
def transform(  # type: ignore[no-untyped-def]
    code, variant, source, row, column, following, target, to_row, to_column, to_following, count, added
):
    """Y = M X M.T, for `count` matrices X of vectors and the constant matrix M whose name is the variant.

    row, column, following : the steps between rows and columns of X, and to the next, in numbers; `to_` : of Y
    added : the place of a vector that is added to every element of Y if that is an output
    """
    builder, (which,) = code.builder, variant
    matrix, adds = MATRICES[which], which.startswith("output")
    x, y = code.numbers(source), code.numbers(target)
    size, wanted = len(matrix[0]), len(matrix)
    constant = code.vector(code.numbers(added)) if adds else None

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


# Turning images over --------------------------------------------------------------------------------------------------


@_microkernel
def turn_in(  # type: ignore[no-untyped-def]
    code, variant, source, step, channels, row_step, target, pixel_step, to_row_step, count, rows
):
    """Turn rows of runs of pixels, one of each channel, into pixels of channels, `pixel_step` apart.

    As many channels as a vector has lanes, `step` apart, or the last of `channels` once more; a row's pixels are read, and
    written, in whole vectors: up to LANES - 1 more than `count`.
    """
    builder = code.builder
    x, y = code.numbers(source), code.numbers(target)
    runs = [code.at(x, builder.mul(step, code.least(k, channels))) for k in range(LANES)]
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


@_microkernel
def turn_out(  # type: ignore[no-untyped-def]
    code, variant, source, pixel_step, row_step, target, step, channels, to_row_step, count, rows
):
    """Turn rows of pixels of channels into runs of pixels, one of each channel: at least LANES pixels in a row."""
    builder = code.builder
    x, y = code.numbers(source), code.numbers(target)
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


@inner
def turn_rows(  # type: ignore[no-untyped-def]
    source, place, step, channels, width, target, to_place, pixel_step, line, rows, in_turner
):
    """Turn in rows of LANES channels, or of `channels` if they are fewer: single numbers where the flat source ends.

    The channels' runs are `step` apart, in the source their rows `width`, in the target `line`.
    """
    vectors = -(-width // LANES) * LANES
    room = source.size - (place + (channels - 1) * step + vectors)  # beyond what the first row's last vector reads
    safe = min(rows, room // width + 1) if room >= 0 else 0
    begin, end = place_of(source, place), place_of(target, to_place)
    turn_in(in_turner, begin, step, channels, width, end, pixel_step, line, width, safe)
    for r in range(safe, rows):
        for j in range(width):
            for k in range(channels):
                target[to_place + r * line + j * pixel_step + k] = source[place + k * step + r * width + j]


@inner
def turn_back(  # type: ignore[no-untyped-def]
    source, place, pixel_step, target, to_place, step, channels, count, out_turner
):
    """Turn out one row of so many channels: single numbers where there are too few pixels for a vector."""
    if count >= LANES:
        begin, end = place_of(source, place), place_of(target, to_place)
        turn_out(out_turner, begin, pixel_step, 0, end, step, channels, 0, count, 1)
        return
    for k in range(channels):
        for j in range(count):
            target[to_place + k * step + j] = source[place + j * pixel_step + k]


# Products -------------------------------------------------------------------------------------------------------------


@_microkernel
def product(code, variant, a, row, column, b, b_row, c, c_row, count, rows, adds):  # type: ignore[no-untyped-def]
    """C[r, :] = (C[r, :] +) sum over k of A[r, k] * B[k, :]. The variant is how many rows, and of how many vectors.

    row, column, b_row, c_row : the steps between rows and columns of A, and between rows of B and C, in numbers
    count, rows, adds : how many k, how many rows are wanted, whether C is added to
    """
    builder, (tall, wide) = code.builder, variant
    factors, vectors, result = code.numbers(a), code.numbers(b), code.numbers(c)
    at = [code.at(factors, builder.mul(row, code.least(r, rows))) for r in range(tall)]

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


@_microkernel
def window_product(  # type: ignore[no-untyped-def]
    code, variant, x, sources, offsets, weights, places, taps, channels, weight_row, begin, y, targets, rows
):
    """y[target[r]] = begin + sum over taps k, channels c of x[source[r] + offset[k] + c] * weights[place[k] + c].

    sources, offsets, places, targets : addresses of lists of distances, in numbers
    taps, channels, rows : how many; weight_row : the step between channels in weights
    """
    builder, (tall, wide) = code.builder, variant
    pixels, lines, start, result = (code.numbers(address) for address in (x, weights, begin, y))
    source, offset, place, target = (code.indices(address) for address in (sources, offsets, places, targets))
    windows = [code.at(pixels, code.number(source, code.least(r, rows))) for r in range(tall)]
    first = [code.vector(code.at(start, _INDEX(v * LANES))) for v in range(wide)]

    def tap(k, sums):  # type: ignore[no-untyped-def]
        here, weight = code.number(offset, k), code.at(lines, code.number(place, k))
        reads = [code.at(window, here) for window in windows]

        def step(c, sums):  # type: ignore[no-untyped-def]
            line = code.at(weight, builder.mul(c, weight_row))
            held = [code.vector(code.at(line, _INDEX(v * LANES))) for v in range(wide)]
            spread = (code.spread(code.number(read, c)) for read in reads)
            pairs = ((factor, vector) for factor in spread for vector in held)
            return [code.multiply_add(*pair, total) for pair, total in zip(pairs, sums, strict=True)]

        return code.loop(_INDEX(0), channels, sums, step)

    sums = code.loop(_INDEX(0), taps, first * tall, tap)
    for r in range(tall):
        with builder.if_then(builder.icmp_signed(">", rows, _INDEX(r))):
            line = code.at(result, code.number(target, r))
            for v in range(wide):
                code.store(sums[r * wide + v], code.at(line, _INDEX(v * LANES)))


@_microkernel
def window_correlation(  # type: ignore[no-untyped-def]
    code, variant, x, sources, count, gy, places, sums, row_step, rows
):
    """sums[r, :] += sum over positions k of x[source[k] + r] * gy[place[k], :]; see `product`.

    sources, places : addresses of lists of distances, in numbers; count, rows : how many; row_step : between rows of sums
    """
    builder, (tall, wide) = code.builder, variant
    pixels, gradients, result = code.numbers(x), code.numbers(gy), code.numbers(sums)
    source, place = code.indices(sources), code.indices(places)
    used = [code.least(r, rows) for r in range(tall)]

    def step(k, totals):  # type: ignore[no-untyped-def]
        line, pixel = code.at(gradients, code.number(place, k)), code.at(pixels, code.number(source, k))
        held = [code.vector(code.at(line, _INDEX(v * LANES))) for v in range(wide)]
        spread = (code.spread(code.number(pixel, r)) for r in used)
        pairs = ((factor, vector) for factor in spread for vector in held)
        return [code.multiply_add(*pair, total) for pair, total in zip(pairs, totals, strict=True)]

    totals = code.loop(_INDEX(0), count, [code.zero] * (tall * wide), step)
    for r in range(tall):
        with builder.if_then(builder.icmp_signed(">", rows, _INDEX(r))):
            line = code.at(result, code.times(row_step, r))
            for v in range(wide):
                to = code.at(line, _INDEX(v * LANES))
                code.store(builder.fadd(code.vector(to), totals[r * wide + v]), to)
