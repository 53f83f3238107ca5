"""The compiled loops that lay windows out as columns, and add columns back to where they were taken from.

A column holds the input values that one output position reads. Columns are kept in the order (c, kh, kw, n, oh, ow): what one
tap reads along one row of the output is then, with stride 1, a run of the input, and is copied as a run. Which images, output
rows and taps are laid out is the caller's choice, so that a block of columns is still in the cache when it is multiplied.

A *line* of taps is one row of the kernel in one channel: line l is row ``l % kh`` of channel ``l // kh``.
"""

from __future__ import annotations

from tinygrad_cnn.kernels.geometry import ConvGeometry
from tinygrad_cnn.kernels.numba_compile import compiled


def steps(geometry: ConvGeometry) -> tuple[int, ...]:
    """List the kernel's height, strides, dilations and the padding before, as `gather` and `scatter` take them."""
    (top, _), (left, _) = geometry.padding
    return (geometry.kernel_size[0], *geometry.stride, *geometry.dilation, top, left)


@compiled
def gather(x, columns, first_image, first_row, first_line, taps_h, stride_h, stride_w, dilation_h, dilation_w, top, left):  # type: ignore[no-untyped-def]
    """Fill columns (lines, kw, n, oh, ow) from x (n, c, h, w), beginning with the given image, output row and line of taps."""
    _, _, height, width = x.shape
    lines, taps_w, images, out_h, out_w = columns.shape
    for line in range(lines):
        channel, p = divmod(first_line + line, taps_h)
        for q in range(taps_w):
            shift = q * dilation_w - left
            first = max(0, -(shift // stride_w))
            stop = min(out_w, (width - 1 - shift) // stride_w + 1)
            for n in range(images):
                for i in range(out_h):
                    row = (first_row + i) * stride_h + p * dilation_h - top
                    inside = 0 <= row < height
                    if not inside or stop - first < out_w:
                        for j in range(out_w):
                            columns[line, q, n, i, j] = 0
                    if not inside:
                        continue
                    source = x[first_image + n, channel, row, first * stride_w + shift :]
                    target = columns[line, q, n, i, first:]
                    if stride_w == 1:  # spelled out, as it can be vectorised
                        for j in range(stop - first):
                            target[j] = source[j]
                    else:
                        for j in range(stop - first):
                            target[j] = source[j * stride_w]


@compiled
def scatter(columns, gx, image, first_row, taps_h, stride_h, stride_w, dilation_h, dilation_w, top, left):  # type: ignore[no-untyped-def]
    """Add columns (lines, kw, oh, ow) to gx (n, c, h, w), at the given image and from the given output row on."""
    _, _, height, width = gx.shape
    lines, taps_w, out_h, out_w = columns.shape
    for line in range(lines):
        channel, p = divmod(line, taps_h)
        for q in range(taps_w):
            shift = q * dilation_w - left
            first = max(0, -(shift // stride_w))
            stop = min(out_w, (width - 1 - shift) // stride_w + 1)
            for i in range(out_h):
                row = (first_row + i) * stride_h + p * dilation_h - top
                if not 0 <= row < height:
                    continue
                source = columns[line, q, i, first:]
                target = gx[image, channel, row, first * stride_w + shift :]
                if stride_w == 1:
                    for j in range(stop - first):
                        target[j] += source[j]
                else:
                    for j in range(stop - first):
                        target[j * stride_w] += source[j]
