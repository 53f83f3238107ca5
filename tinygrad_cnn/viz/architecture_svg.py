"""The row of boxes as SVG, with nothing but arithmetic: no program lays it out.

A feature map of c channels, h by w, is a cuboid: h is its height, c its thickness from left to right, and w runs into the
picture, at 45 degrees and foreshortened by half. A vector is a flat bar. The window of a step is drawn on the box that it
reads from, with lines to the box that it makes.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .architecture import Stage

# Points: the tallest box, the smallest extent, the largest thickness, and the room between columns.
TALLEST, SMALLEST, THICKEST, GAP, MARGIN = 170.0, 3.0, 60.0, 20.0, 20.0
DEPTH = 0.5 * math.sqrt(0.5)
TIMES = "\N{MULTIPLICATION SIGN}"
INK, SOFT = "#1F2933", "#5C6773"

# Front, top and side of the boxes of each kind, and the line around.
COLOURS = {
    "input": ("#EEF1F4", "#F7F8FA", "#DCE1E6", "#5C6773"),
    "convolution": ("#D6E9F7", "#E9F4FC", "#B3D3EC", "#0072B2"),
    "pooling": ("#FBE6DA", "#FDF3EC", "#F2C9B2", "#D55E00"),
    "linear": ("#DDF3EA", "#EFFAF5", "#B5E0CE", "#007D5C"),
    "block": ("#F3E8F0", "#FAF4F8", "#E0C5D6", "#A0527F"),
    "other": ("#FDF1D8", "#FEF8EB", "#F3DDA9", "#A87300"),
}


@dataclass(frozen=True)
class Cuboid:
    """A box on the page: its front's left upper corner and extents, and how far its back is to the right and up."""

    x: float
    y: float
    thickness: float
    height: float
    depth: float


def architecture_svg(stages: "Sequence[Stage]", title: str | None) -> str:
    """Draw the boxes.

    Parameters
    ----------
    stages : sequence of Stage
    title : str or None

    Returns
    -------
    str
        An SVG document.
    """
    cuboids, width = _placed(stages)
    top = MARGIN + (26 if title else 0) + 22
    lowest = max(cuboid.y + cuboid.height for cuboid in cuboids)
    shift = top - min(cuboid.y - cuboid.depth for cuboid in cuboids)
    height = lowest + shift + 62 + MARGIN
    parts = [_text(MARGIN, MARGIN + 12, title, size=15, bold=True, anchor="start")] if title else []
    parts.append(_legend(stages, MARGIN + (26 if title else 0)))
    parts.append(f'<g transform="translate(0 {shift:.1f})">')
    for i, (cuboid, stage) in enumerate(zip(cuboids, stages, strict=True)):
        if i:
            parts.append(_step(cuboids[i - 1], cuboid, stages[i - 1], stage))
        parts.append(_box(cuboid, stage))
        parts += _words(cuboid, stage, lowest + 16)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
    head += f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="Helvetica, Arial, sans-serif">'
    label = escape(title or "the network's feature maps")
    page = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([head, f"<title>{label}</title>", page, *parts, "</g>", "</svg>", ""])


def _placed(stages: "Sequence[Stage]") -> tuple[list[Cuboid], float]:
    """The boxes in a row, centred on a line, and the width of the page."""
    maps = [stage.shape for stage in stages if len(stage.shape) == 3]
    vectors = [stage.shape[-1] for stage in stages if len(stage.shape) != 3]
    side = TALLEST / max((max(shape[1:]) for shape in maps), default=1)
    channel = THICKEST / max((shape[0] for shape in maps), default=1)
    length = 0.75 * TALLEST / math.sqrt(max(vectors, default=1))
    cuboids, x = [], MARGIN
    for stage in stages:
        if len(stage.shape) == 3:
            thickness = max(stage.shape[0] * channel, SMALLEST)
            height, depth = max(stage.shape[1] * side, SMALLEST), max(stage.shape[2] * side, SMALLEST) * DEPTH
        else:
            thickness, height, depth = 8.0, max(math.sqrt(stage.shape[-1]) * length, SMALLEST), 3.0
        column = max(thickness + depth, *(_width(line) for line in _lines(stage)))
        cuboids.append(Cuboid(x + (column - thickness - depth) / 2, (depth - height) / 2, thickness, height, depth))
        x += column + GAP
    return cuboids, x - GAP + MARGIN


def _lines(stage: "Stage") -> list[str]:
    """What is written under a box."""
    size = f" {TIMES} ".join(map(str, stage.shape))
    what = re.sub(r"(?<=\d)x(?=\d)", TIMES, stage.what)
    first, _, rest = what.partition(", ")
    words = [first + (f" ({TIMES} {stage.count})" if stage.count > 1 else ""), *rest.split(", ")]
    return [size, *filter(None, words)]


def _width(text: str) -> float:
    """About the width of a line of ten points."""
    return 5.6 * len(text)


def _words(cuboid: Cuboid, stage: "Stage", y: float) -> list[str]:
    """The size of what is in a box, and the step that made it."""
    middle = cuboid.x + (cuboid.thickness + cuboid.depth) / 2
    size, *rest = _lines(stage)
    notes = [_text(middle, y + 13 * (i + 1), line, colour=SOFT) for i, line in enumerate(rest)]
    return [_text(middle, y, size, bold=True), *notes]


def _box(cuboid: Cuboid, stage: "Stage") -> str:
    """Front, top and side of a box."""
    front, top, side, line = COLOURS[stage.kind]
    x, y, t, h, d = cuboid.x, cuboid.y, cuboid.thickness, cuboid.height, cuboid.depth
    faces = [
        (front, [(x, y), (x + t, y), (x + t, y + h), (x, y + h)]),
        (top, [(x, y), (x + d, y - d), (x + t + d, y - d), (x + t, y)]),
        (side, [(x + t, y), (x + t + d, y - d), (x + t + d, y + h - d), (x + t, y + h)]),
    ]
    label = escape(f"{stage.path or 'input'}: {stage.what}, {' x '.join(map(str, stage.shape))}")
    drawn = "".join(f'<polygon fill="{fill}" points="{_points(corners)}"/>' for fill, corners in faces)
    return f'<g stroke="{line}" stroke-width="1" stroke-linejoin="round"><title>{label}</title>{drawn}</g>'


def _step(before: Cuboid, cuboid: Cuboid, given: "Stage", stage: "Stage") -> str:
    """Where the window stands on the box that is read, with lines to a point of the box that is made; else an arrow."""
    front, _, _, line = COLOURS[stage.kind]
    target = (cuboid.x, cuboid.y + cuboid.height / 2)
    right = before.x + before.thickness
    if not stage.window or len(given.shape) != 3:
        start = (right + before.depth + 2, before.y + (before.height - before.depth) / 2)
        end = (cuboid.x - 2, start[1])
        return f'<path d="M{start[0]:.1f},{start[1]:.1f} L{end[0]:.1f},{end[1]:.1f}" stroke="{SOFT}" fill="none"/>'
    # The side face has height and width; the window stands in its middle.
    tall = before.height * min(stage.window[0] / given.shape[1], 1)
    deep = before.depth * min(stage.window[1] / given.shape[2], 1)
    x = right + (before.depth - deep) / 2
    y = before.y + (before.height - tall) / 2 - (before.depth - deep) / 2
    corners = [(x, y), (x + deep, y - deep), (x + deep, y - deep + tall), (x, y + tall)]
    rays = "".join(
        f'<path d="M{corner[0]:.1f},{corner[1]:.1f} L{target[0]:.1f},{target[1]:.1f}" stroke-dasharray="3 2"/>'
        for corner in corners[1:3]
    )
    window = f'<polygon points="{_points(corners)}"/>'
    return f'<g class="window" stroke="{line}" stroke-width="0.8" fill="{front}">{rays}{window}</g>'


def _legend(stages: "Sequence[Stage]", y: float) -> str:
    """Which colour is what, of the kinds that are there."""
    parts, x = [], MARGIN
    for kind, (front, _, _, line) in COLOURS.items():
        if any(stage.kind == kind for stage in stages):
            parts.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="14" height="9" fill="{front}" stroke="{line}"/>')
            parts.append(_text(x + 19, y + 8.5, kind, colour=SOFT, anchor="start"))
            x += 19 + _width(kind) + 14
    return "".join(parts)


def _points(corners: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)


def _text(
    x: float, y: float, text: str, *, size: int = 10, colour: str = INK, bold: bool = False, anchor: str = "middle"
) -> str:
    look = f'font-size="{size}" fill="{colour}" text-anchor="{anchor}"' + (' font-weight="bold"' if bold else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(text)}</text>'
