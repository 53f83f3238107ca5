"""A story of frames drawn as SVG: the planes once, and over them one layer for each frame.

What keeps the file small: a plane is one rectangle with a pattern, and the coloured cells of a frame are a *stamp*,
drawn once and placed by reference wherever the same cells come again, shifted. In the forward pass that is one stamp for
all frames. The padding is a veil drawn over the stamps, so that a window that hangs over the edge is seen to do so.

Colours say what is multiplied with what: a cell of the source has the colour, and the letter, of its factor.
"""

import hashlib
from html import escape

from .frames import Cell, Frame, Plane, Story

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST_ROWS = 3  # groups of channels that are drawn
MARGIN, GAP, HEAD, LABEL, FOOT = 12, 34, 26, 20, 26
WIDEST = 760

# Class names carry the picture's id: a page may hold several pictures, and a rule that names an ancestor does not reach
# into what is placed by reference.
STYLE = """#{id}{{color-scheme:light dark;--ink:#16191f;--soft:#5b6472;--cell:#fff;--line:#b9c1cc;--hit:#16191f;--veil:#e7eaef}}
@media(prefers-color-scheme:dark){{#{id}{{--ink:#e8eaee;--soft:#9aa4b2;--cell:#20252d;--line:#4a5361;--hit:#fff;--veil:#353c47}}}}
.{id}t,.{id}l{{font:13px system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:var(--ink)}}
.{id}t .s{{fill:var(--soft);font-size:12px}}.{id}l{{font-size:{letter}px;text-anchor:middle;fill:#16191f}}
.{id}m{{fill:none;stroke:var(--hit);stroke-width:2}}.{id}h{{fill:var(--hit)}}"""
MOTION = """.{id}f{{visibility:hidden;animation:{id}k {total:g}s step-end infinite}}
@keyframes {id}k{{0%{{visibility:visible}}{share:.4g}%{{visibility:hidden}}}}
@media(prefers-reduced-motion:reduce){{.{id}f{{animation:none}}.{id}f.first{{visibility:visible}}}}"""


def colour(index: int, count: int) -> str:
    """One of `count` colours that dark letters can be read on, around the circle of hues."""
    return f"hsl({360 * index / count:.0f} {75 if index % 2 else 85}% {78 if index % 2 else 68}%)"


def flat(cell: Cell) -> Cell:
    """Row and column of a cell; a line is drawn as one row."""
    return cell if len(cell) == 2 else (0, *cell)


def bordered(plane: Plane) -> tuple[int, int, int, int]:
    """Rows and columns of a plane with its border, and where in them the plane itself starts."""
    (top, bottom), (left, right) = plane.border if len(plane.border) == 2 else ((0, 0), *plane.border)
    rows, columns = flat(plane.size) if len(plane.size) == 2 else (1, *plane.size)
    return rows + top + bottom, columns + left + right, top, left


def sentence(story: Story, frame: Frame) -> str:
    """What a frame computes, in words."""
    target = f"{story.target.name}[{', '.join(map(str, frame.target))}]"
    if not frame.terms:
        return f"{target} = 0: no window reaches it"
    padded = sum(term.padding for term in frame.terms)
    count = f"{len(frame.terms)} product{'s'[len(frame.terms) == 1 :]}"
    return f"{target} = sum of {count}{f', {padded} of them with padding (0)' if padded else ''}"


class Stage:
    """Where the planes stand on the page, and the pieces that the frames are put together from.

    Parameters
    ----------
    story : Story
    chosen : list of Frame
        Those to draw, of the story's.
    """

    def __init__(self, story: Story, chosen: list[Frame]) -> None:
        self.story, self.chosen = story, chosen
        self.planes = (story.source, story.factor, story.target)
        self.rows = min(story.groups, MOST_ROWS)
        sizes = [bordered(plane) for plane in self.planes]
        # Cells as large as fit, up to 26 pixels, so that a letter can be read in them.
        room = WIDEST - 2 * MARGIN - 2 * GAP
        self.cell = max(4, min(26, room // sum(columns for _, columns, _, _ in sizes)))
        self.row_height = max(rows for rows, _, _, _ in sizes) * self.cell + LABEL
        self.lefts, x = [], MARGIN
        for which, (_, columns, _, _) in enumerate(sizes):
            self.lefts.append(x)
            x += max(columns * self.cell, 7 * len(self._label(which)) + 6) + GAP
        self.width = max(x - GAP + MARGIN, 7 * len(headline(story) + self._omitted()) + 2 * MARGIN, 430)
        self.height = HEAD + self.rows * (self.row_height + 12) + FOOT
        self.id = "a" + hashlib.sha1(f"{story.to_json()}{len(chosen)}".encode()).hexdigest()[:6]
        self.defs: dict[object, str] = {}
        self._define_cells()

    def _define_cells(self) -> None:
        """The empty cell, the padded one, and one coloured cell for each factor."""
        c, name = self.cell, self.id
        empty = f'<rect width="{c}" height="{c}" fill="var(--cell)" stroke="var(--line)"/>'
        cross = f'<path d="M0 {c}L{c} 0" stroke="var(--line)"/>'
        for key, inside in ((f"{name}e", empty), (f"{name}p", f'<g opacity=".75">{_veil(c)}{cross}</g>')):
            self.defs[key] = f'<pattern id="{key}" width="{c}" height="{c}" patternUnits="userSpaceOnUse">{inside}</pattern>'
        factors = list(self._factors())
        for k, _ in enumerate(factors):
            letter = LETTERS[k] if len(factors) <= len(LETTERS) and c >= 12 else ""
            text = f'<text class="{name}l" x="{c / 2:g}" y="{c * 0.68:.3g}">{letter}</text>' if letter else ""
            box = f'<rect width="{c}" height="{c}" fill="{colour(k, len(factors))}" stroke="var(--line)"/>'
            self.defs[f"{name}c{k}"] = f'<g id="{name}c{k}">{box}{text}</g>'

    def _factors(self) -> list[Cell]:
        rows, columns, _, _ = bordered(self.story.factor)
        return [(i, j) for i in range(rows) for j in range(columns)]

    def _corner(self, which: int, group: int) -> tuple[int, int]:
        """The pixel where cell (0, 0) of a plane, inside its border, starts."""
        _, _, top, left = bordered(self.planes[which])
        y = HEAD + group * (self.row_height + 12) + LABEL
        return self.lefts[which] + left * self.cell, y + top * self.cell

    def _label(self, which: int) -> str:
        """The name of a plane, its size, and what its border is."""
        plane = self.planes[which]
        border = " + cropped" if "transpose" in self.story.op else " + padding"
        return f"{plane.name} {' x '.join(map(str, plane.size))}{border * any(a or b for a, b in plane.border)}"

    def _plane(self, which: int, group: int) -> tuple[str, str]:
        """One plane: what lies under the frames, and the veil over them."""
        plane, c = self.planes[which], self.cell
        rows, columns, top, left = bordered(plane)
        inner = flat(plane.size) if len(plane.size) == 2 else (1, *plane.size)
        x, y = self._corner(which, group)
        under = (
            f'<text class="{self.id}t" x="{self.lefts[which]}" y="{y - top * c - 6}">{plane.name} '
            f'<tspan class="s">{self._label(which).partition(" ")[2]}</tspan></text>'
            f'<g transform="translate({x} {y})"><rect width="{inner[1] * c}" height="{inner[0] * c}" fill="url(#{self.id}e)"/>'
        )
        if which == 1:
            under += self._uses(tuple((i, j, k) for k, (i, j) in enumerate(self._factors())))
        under += "</g>"
        if (rows, columns) == inner:
            return under, ""
        outside = f"M{-left * c} {-top * c}h{columns * c}v{rows * c}h{-columns * c}z"
        hole = f"M0 0h{inner[1] * c}v{inner[0] * c}h{-inner[1] * c}z"
        veil = f'<path transform="translate({x} {y})" fill-rule="evenodd" fill="url(#{self.id}p)" d="{outside}{hole}"/>'
        return under, veil

    def _stamp(self, frame: Frame) -> tuple[str, int, int]:
        """The coloured source cells of a frame: the piece's name, and the cell where it is placed."""
        columns = bordered(self.story.factor)[1]
        cells = [(flat(term.source), flat(term.factor)) for term in frame.terms]
        row, column = min(i for (i, _), _ in cells), min(j for (_, j), _ in cells)
        key = ("s", tuple((i - row, j - column, a * columns + b) for (i, j), (a, b) in cells))
        return self._piece(key, self._uses(key[1])), row, column

    def _uses(self, cells: tuple[tuple[int, int, int], ...]) -> str:
        c = self.cell
        return "".join(f'<use href="#{self.id}c{k}" x="{j * c}" y="{i * c}"/>' for i, j, k in cells)

    def _marks(self, frame: Frame) -> str:
        """Outlines around the factors that a frame uses."""
        c = self.cell
        key = ("m", tuple(flat(term.factor) for term in frame.terms))
        path = "".join(f"M{j * c} {i * c}h{c}v{c}h{-c}z" for i, j in key[1])
        return self._piece(key, f'<path class="{self.id}m" d="{path}"/>')

    def _piece(self, key: object, drawn: str) -> str:
        """The name of a piece that frames share, defined at its first use."""
        if key not in self.defs:
            self.defs[key] = f'<g id="{self.id}q{len(self.defs)}">{drawn}</g>'
        return self.defs[key].split('"')[1]

    def _place(self, name: str, which: int, group: int, row: int = 0, column: int = 0) -> str:
        x, y = self._corner(which, group)
        return f'<use href="#{name}" x="{x + column * self.cell}" y="{y + row * self.cell}"/>'

    def _frame(self, number: int, frame: Frame, attributes: str) -> tuple[str, str]:
        """The layer of one frame: what lies under the veil, and what over it."""
        c, group = self.cell, frame.group
        row, column = flat(frame.target)
        x, y = self._corner(2, group)
        under = ""
        over = f'<rect class="{self.id}h" x="{x + column * c}" y="{y + row * c}" width="{c}" height="{c}"/>'
        if frame.terms:
            under = f"<g {attributes}>{self._place(*self._at(0, frame))}</g>"
            over += self._place(self._marks(frame), 1, group)
        where = f"group {group}: " if self.story.groups > 1 else ""
        said = f"{number + 1}. {where}{sentence(self.story, frame)}"
        over += f'<text class="{self.id}t" x="{MARGIN}" y="{self.height - 9}">{escape(said)}</text>'
        return under, f"<g {attributes}>{over}</g>"

    def _at(self, which: int, frame: Frame) -> tuple[str, int, int, int, int]:
        name, row, column = self._stamp(frame)
        return name, which, frame.group, row, column

    def draw(self, *, seconds: float, still: int | None = None, scripted: bool = False) -> str:
        """The picture.

        Parameters
        ----------
        seconds : float
            How long each frame stays.
        still : int, optional
            Draw this one of the chosen frames only, without motion.
        scripted : bool
            Give each frame's layers ``data-f`` and let a script show them, instead of moving by itself.
        """
        planes = [self._plane(which, group) for group in range(self.rows) for which in range(3)]
        layers = []
        for order, frame in enumerate(self.chosen):
            if still is not None and order != still % len(self.chosen):
                continue
            first = " first" * (order == 0)
            attributes = f'class="{self.id}f{first}" style="animation-delay:{order * seconds:.4g}s"'
            if still is not None:
                attributes = ""
            elif scripted:
                attributes = f'data-f="{order}" visibility="{"visible" if order == 0 else "hidden"}"'
            layers.append(self._frame(self.story.frames.index(frame), frame, attributes))
        names = {"id": self.id, "letter": max(8, round(self.cell * 0.5)), "total": seconds * len(self.chosen)}
        style = STYLE.format(**names)
        if still is None and not scripted:
            style += "\n" + MOTION.format(**names, share=100 / len(self.chosen))
        body = [under for under, _ in planes] + [under for under, _ in layers]
        body += [veil for _, veil in planes] + [over for _, over in layers]
        title, omitted = headline(self.story), escape(self._omitted())
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" id="{self.id}" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img" aria-label="{escape(title)}">'
            f"<style>{style}</style><defs>{''.join(self.defs.values())}</defs>"
            f'<text class="{self.id}t" x="{MARGIN}" y="17">{escape(title)}<tspan class="s">{omitted}</tspan></text>'
            f"{''.join(piece for piece in body if piece)}</svg>"
        )

    def _omitted(self) -> str:
        """What is not drawn, said rather than hidden."""
        said = ""
        if self.rows < self.story.groups:
            said += f" · groups 0 to {self.rows - 1} of {self.story.groups}"
        drawn_groups = sum(frame.group < self.rows for frame in self.story.frames)
        if len(self.chosen) < drawn_groups:
            said += f" · {len(self.chosen)} of {drawn_groups} steps"
        return said


def _veil(cell: int) -> str:
    return f'<rect width="{cell}" height="{cell}" fill="var(--veil)" stroke="var(--line)" stroke-dasharray="2 2"/>'


def headline(story: Story) -> str:
    """The op, what is shown of it, and the settings that are not the default."""
    what = {"forward": "forward", "input_grad": "gradient of the input", "weight_grad": "gradient of the weight"}[story.show]
    shown = []
    for name, value in story.settings.items():
        if name == "groups":
            shown += [f"groups {value}"] if value != 1 else []
            continue
        assert isinstance(value, tuple)
        if name == "padding":
            pairs = [str(a) if a == b else f"{a}+{b}" for a, b in value]
            shown += [f"padding {_once(pairs)}"] if any(a or b for a, b in value) else []
        elif set(value) != {1}:
            shown.append(f"{name} {_once([str(number) for number in value])}")
    return ", ".join([f"{story.op}, {what}", *shown])


def _once(values: list[str]) -> str:
    """One value for all axes if they agree."""
    return values[0] if len(set(values)) == 1 else ", ".join(values)
