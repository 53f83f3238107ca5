"""The graph in DOT, the language of Graphviz: which boxes there are, what is written in them, how they look.

Only text is made here, nothing is laid out. Boxes say what they are by their colour, their outline and their words, so
that the drawing also reads in grey, and to a colour-blind reader (the hues are Okabe and Ito's).

    module      a collapsed one: its path, what is in it, what comes out
    op          its name, its settings, the value that it makes
    parameter   its path, its value's dtype and shape; a thinner outline
    input       dashed: no gradient goes there
    output      a heavy outline

Modules are frames around their ops and parameters. A scale of colours, where one is asked for, takes the place of the kinds'
own; the outlines stay.
"""

import base64
import math
import struct
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..errors import ArgumentError
from .arrange import Frame, companions, forward_ends, frames
from .colour import TITLES, Scale, with_unit
from .graph import Edge, Graph, Kind, Node
from .plain import Plain, spelled

if TYPE_CHECKING:
    import graphviz

Direction: TypeAlias = Literal["TB", "LR"]

# One name, not a list of alternatives, of which Graphviz would know no widths; browsers have a substitute for it.
FONT = "Helvetica"
INK, SOFT = "#1F2933", "#5C6773"
TEXT_WIDTH, CONTENTS_WIDTH = 34, 48
PICTURE = 64


@dataclass(frozen=True)
class Look:
    """How the boxes of one kind look."""

    fill: str
    line: str
    style: str = "rounded,filled"
    width: float = 1.0


LOOKS: dict[Kind, Look] = {
    "module": Look("#F3E8F0", "#A0527F", width=1.6),
    "op": Look("#E5F1FA", "#0072B2", width=1.2),
    "parameter": Look("#FDF1D8", "#C98A00", "filled"),
    "leaf": Look("#DDF3EA", "#009E73", "filled"),
    "input": Look("#FFFFFF", "#5C6773", "filled,dashed"),
    "output": Look("#FBE6DA", "#D55E00", width=2.0),
}
MODULE_FILL, MODULE_LINE = "#F7F8FA", "#B8C0C9"

# Settings that mean "the same for every axis" where they are one number; (2, 2) is written 2 as a user would write it.
PER_AXIS = {"kernel_size", "stride", "padding", "output_padding", "dilation"}


def to_dot(
    graph: Graph,
    *,
    title: str | None = None,
    direction: Direction = "TB",
    show_values: bool = True,
    color: str | None = None,
) -> str:
    """Write the graph in DOT.

    Parameters
    ----------
    graph : Graph
        From `trace`.
    title : str, optional
        Written above.
    direction : {"TB", "LR"}
        From top to bottom or from left to right.
    show_values : bool
        Write the dtype and shape of the values.
    color : str, optional
        The measure that colours show; boxes without it are white.

    Returns
    -------
    str

    Raises
    ------
    ArgumentError
        For another direction.
    """
    import graphviz

    check_direction(direction)
    dot = graphviz.Digraph(name="graph")
    dot.attr("graph", rankdir=direction, fontname=FONT, fontcolor=INK, fontsize="12", labelloc="t", labeljust="l", pad="0.2")
    scale = Scale.of(color, [node.measures[color] for node in graph.nodes if color in node.measures]) if color else None
    dot.attr("graph", nodesep="0.25", ranksep="0.3", bgcolor="white", label=_heading(graph, title, scale))
    if any(edge.shape is not None for edge in graph.edges):
        dot.attr("graph", ranksep="0.1")  # the words at the arrows keep the rows apart
    # Where a parameter has hundreds of users, do not polish the positions for minutes.
    dot.attr("graph", nslimit="5")
    dot.attr("node", shape="box", fontname=FONT, fontcolor=INK, fontsize="11", margin="0.11,0.04", height="0.3")
    dot.attr("edge", fontname=FONT, fontcolor=SOFT, fontsize="9", color=SOFT, arrowsize="0.6")
    beside = companions(graph)
    _Boxes(dot, graph, beside, show_values, scale).add(frames(graph, beside))
    _add_edges(dot, graph, beside)
    return str(dot.source)


def check_direction(direction: str) -> None:
    """Refuse another direction than those there are."""
    if direction not in ("TB", "LR"):
        raise ArgumentError(f"direction must be 'TB' (top to bottom) or 'LR' (left to right), got {direction!r}")


class _Boxes:
    """The boxes of a drawing, frame by frame."""

    def __init__(
        self,
        dot: "graphviz.Digraph",
        graph: Graph,
        beside: Mapping[str, list[str]],
        show_values: bool,
        scale: Scale | None,
    ) -> None:
        self._dot = dot
        self._repeats = graph.repeats
        self._shapes_at_arrows = any(edge.shape is not None for edge in graph.edges)
        self._soft = SOFT if scale is None else INK
        self._beside = beside
        self._show_values = show_values
        self._scale = scale

    def add(self, frame: Frame, dot: "graphviz.Digraph | None" = None) -> None:
        """The boxes of a frame, each with those beside it, and the frames inside."""
        dot = self._dot if dot is None else dot
        for item in frame.items:
            shown = item.innermost if isinstance(item, Frame) else item
            if isinstance(shown, Frame):
                self._add_frame(dot, shown)
                continue
            self._add_box(dot, shown, framed=shown is item)
            if shown.id in self._beside:
                with dot.subgraph() as row:
                    row.attr(rank="same")
                    for name in (shown.id, *self._beside[shown.id]):
                        row.node(name)

    def _add_frame(self, dot: "graphviz.Digraph", frame: Frame) -> None:
        # A subgraph is drawn as a frame where its name begins so.
        with dot.subgraph(name=f"cluster_{frame.name}") as cluster:
            if frame.title:
                cluster.attr(label=_label([_cell(frame.title, size=12, bold=True)]), style="rounded", color=MODULE_LINE)
                cluster.attr(labeljust="l", margin="12", tooltip=_quoted(frame.title))
            else:
                cluster.attr(label=_label([_cell(self._path(frame.path), size=10, colour=SOFT)]), labeljust="l", margin="10")
                cluster.attr(style="rounded,filled", fillcolor=MODULE_FILL, color=MODULE_LINE)
                cluster.attr(tooltip=_quoted(f"module {frame.path}"))
            self.add(frame, cluster)

    def _path(self, path: str) -> str:
        """A module's path; those of the first and the last, where it stands for several."""
        if path not in self._repeats:
            return path
        count, last = self._repeats[path]
        return f"{path} to {last} (\N{MULTIPLICATION SIGN} {count})"

    def _add_box(self, dot: "graphviz.Digraph", node: Node, *, framed: bool) -> None:
        """A box; one that has no frame around it says itself which module it belongs to."""
        look = LOOKS[node.kind]
        name, module = node.name or node.kind, self._path(node.module)
        lines = []
        if node.kind == "module":
            name = self._path(node.name)
        elif self._shapes_at_arrows and module and not framed:
            name = f"{module}: {name}"
        elif not framed:
            lines.append(_cell(module, size=9, colour=self._soft))
        lines.append(_cell(name, bold=node.kind != "parameter"))
        notes = _content_lines(node) + _settings_lines(node, self._show_values or self._shapes_at_arrows)
        lines += [_cell(line, size=9, colour=self._soft) for line in notes]
        if self._show_values and (node.kind not in ("op", "module") or not self._shapes_at_arrows):
            lines.append(_cell(_value(node), size=9))
        number = node.measures.get(self._scale.measure) if self._scale else None
        if self._scale and number is not None:
            lines.append(_cell(with_unit(self._scale.measure, number), size=9, bold=True))
        lines += [_picture_cell(node, name) for name in node.pictures]
        dot.node(
            node.id,
            label=_label(lines),
            style=look.style,
            fillcolor=look.fill if self._scale is None else self._scale.colour(number),
            color=look.line,
            penwidth=str(look.width),
            tooltip=_quoted(_tooltip(node)),
        )


def _add_edges(dot: "graphviz.Digraph", graph: Graph, beside: Mapping[str, list[str]]) -> None:
    """One arrow for each argument, with its name where the picture does not say otherwise which is which."""
    nodes = {node.id: node for node in graph.nodes}
    unnamed = Counter(edge.target for edge in graph.edges if not _says_its_role(nodes[edge.source], edge))
    for edge in graph.edges:
        tail = _tail(edge, beside, upwards=bool(graph.layers))
        head = edge.target if tail == edge.source else edge.source
        attributes = {"tooltip": _quoted(edge.name)}
        if tail != edge.source:
            # Graphviz puts the tail of an edge first; an arrow drawn backwards has it come second.
            attributes["dir"] = "back"
        if nodes[forward_ends(edge)[0]].kind in ("op", "module", "input"):
            attributes |= {"penwidth": "1.2", "weight": "10"}
        if edge.shape is not None:
            attributes["label"] = _label([_cell(f" {_spelled_shape(edge.shape)} ", size=9, colour=SOFT)])
        elif edge.name and unnamed[edge.target] > 1 and not _says_its_role(nodes[edge.source], edge):
            attributes["label"] = _label([_cell(f" {edge.name} ", size=9, colour=SOFT)])
        dot.edge(tail, head, **attributes)
    # A backward pass beside the forward pass begins a row lower, as the first ops do, which an input comes before.
    for edge in graph.edges if graph.layers else ():
        aside = edge.source in beside.get(edge.target, ())
        if nodes[edge.source].kind == "input" and f"b{edge.target}" in nodes and not aside:
            dot.edge(edge.source, f"b{edge.target}", style="invis")


def _tail(edge: Edge, beside: Mapping[str, list[str]], *, upwards: bool) -> str:
    """Which end of an arrow comes first, from above or from the left.

    Of two boxes beside an op one comes first and one second. A backward pass beside the forward pass is its mirror image:
    it runs upwards.
    """
    given, taker = forward_ends(edge)
    if given in beside.get(taker, ()):
        return given if given == beside[taker][0] else taker
    return given if upwards or edge.kind == "value" else edge.source


def _says_its_role(source: Node, edge: Edge) -> bool:
    """Whether a box is called what the argument is called, as a parameter ``conv1.weight`` is."""
    return source.kind in ("parameter", "input") and source.name.rpartition(".")[2] == edge.name


# What is written ------------------------------------------------------------------------------------------------------


def _value(node: Node) -> str:
    """A number where it is known, else dtype and shape."""
    if node.value is not None:
        return f"= {spelled(node.value)}"
    return f"{node.dtype} {_spelled_shape(node.shape)}"


def _spelled_shape(shape: tuple[int, ...]) -> str:
    return spelled(shape) if shape else "scalar"


def _content_lines(node: Node) -> list[str]:
    """What a collapsed module holds, and how many parameters are counted with a box."""
    held = ", ".join(f"{count}\N{NO-BREAK SPACE}{name}" for name, count in node.contents.items())
    lines = textwrap.wrap(held, CONTENTS_WIDTH, break_on_hyphens=False, max_lines=3, placeholder=" ...") if held else []
    lines = [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]
    return lines + ([f"{node.parameters:,} parameters"] if node.parameters else [])


def _settings_lines(node: Node, show_values: bool) -> list[str]:
    """The settings worth reading, wrapped: not those that are off, nor those that the value's line repeats."""
    shown = []
    for name, value in node.settings.items():
        if value is None or value is False or (show_values and value in (node.shape, node.dtype)):
            continue
        shown.append(f"{name}={_shortened(name, value)}")
    shown += [f"{name}={'scalar' if value is None else spelled(value)}" for name, value in node.scalars.items()]
    # Spaces inside of a setting do not break, so that (1, 2) stays in one piece.
    glued = ", ".join(setting.replace(" ", "\N{NO-BREAK SPACE}") for setting in shown)
    lines = textwrap.wrap(glued, TEXT_WIDTH, break_on_hyphens=False, max_lines=4, placeholder=" ...")
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _shortened(name: str, value: Plain) -> str:
    """The setting in few characters; its tooltip has it in full."""
    if name in PER_AXIS:
        leaves = list(_leaves(value))
        if leaves and leaves.count(leaves[0]) == len(leaves):
            value = leaves[0]
    text = spelled(value)
    longest = TEXT_WIDTH - len(name) - 2
    return text if len(text) <= longest else text[: max(longest, 8) - 3] + "..."


def _leaves(value: Plain) -> Iterable[Plain]:
    """The numbers in nested tuples."""
    if isinstance(value, tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _tooltip(node: Node) -> str:
    """Everything that is known of a node, in full."""
    lines = [f"{node.kind} {node.name}".strip(), f"{node.dtype} {spelled(node.shape)}"]
    lines += [f"{name} = {spelled(value)}" for name, value in {**node.settings, **node.scalars}.items() if value is not None]
    return "\n".join(lines + ([f"in {node.module}"] if node.module else []))


def _heading(graph: Graph, title: str | None, scale: Scale | None) -> str:
    """The title, which colour is what, and which outline, of the kinds that are there."""
    kinds = [kind for kind in LOOKS if any(node.kind == kind for node in graph.nodes)]
    lines = [_cell(title, size=14, bold=True), '<TD HEIGHT="3"></TD>'] if title else []
    # A table is stretched to the width that it is given, so what a longer line has more is a gap at the end.
    used = sum(27 + _width(kind, 9) for kind in kinds)
    widths = [used, _width(title or "", 14, bold=True)]
    if scale is not None:
        repeated = [
            node.measures[scale.measure] * math.prod(count for path, (count, _) in graph.repeats.items() if _in(node, path))
            for node in graph.nodes
            if scale.measure in node.measures
        ]
        cells, width = _scale_cells(scale, sum(repeated))
        widths.append(width)
        lines += [_row([*cells, _gap(max(widths) - width)]), '<TD HEIGHT="3"></TD>']
    keys = [_key(kind, LOOKS[kind].fill if scale is None else "#FFFFFF") for kind in kinds]
    return _label([*lines, _row([*keys, _gap(max(widths) - used)]), '<TD HEIGHT="12"></TD>'])


def _in(node: Node, path: str) -> bool:
    """Whether a box is in a module, or is it."""
    own = node.name if node.kind == "module" else node.module
    return own == path or own.startswith(f"{path}.")


def _scale_cells(scale: Scale, total: float) -> tuple[list[str], int]:
    """The legend of the colours: what they mean, and a number for each of a few; and how wide it is."""
    title = f"{TITLES[scale.measure]}:"
    cells, width = [_cell(title, size=9), _gap(6)], _width(title, 9) + 6
    for number in scale.steps():
        text = with_unit(scale.measure, number)
        swatch = f'<TD BGCOLOR="{scale.colour(number)}" WIDTH="16" HEIGHT="8"></TD>'
        cells += [swatch, _gap(3), _cell(text, size=9, colour=SOFT), _gap(7)]
        width += 26 + _width(text, 9)
    if scale.measure != "gradnorm":
        text = f"all together {with_unit(scale.measure, total)}"
        cells += [_gap(4), _cell(text, size=9, bold=True)]
        width += 4 + _width(text, 9, bold=True)
    return cells, width


def _key(kind: Kind, fill: str) -> str:
    """A swatch of a kind's colours, and its name; 27 points wider than the name."""
    look = LOOKS[kind]
    style = 'STYLE="DASHED"' if "dashed" in look.style else ""
    swatch = f'<TABLE BORDER="1" CELLBORDER="0" CELLPADDING="0" COLOR="{look.line}" BGCOLOR="{fill}" {style}>'
    swatch += '<TR><TD WIDTH="12" HEIGHT="6"></TD></TR></TABLE>'
    return f"<TD>{swatch}</TD>{_gap(5)}{_cell(kind, size=9, colour=SOFT)}{_gap(8)}"


def picture_file(node: Node, name: str) -> str:
    """What the DOT text calls the file of a node's picture."""
    return f"{node.id}-{name}.png"


def _picture_cell(node: Node, name: str) -> str:
    """A picture, its longer side `PICTURE` points."""
    width, height = struct.unpack(">II", base64.b64decode(node.pictures[name])[16:24])
    scale = PICTURE / max(width, height)
    size = f'FIXEDSIZE="TRUE" WIDTH="{max(round(width * scale), 2)}" HEIGHT="{max(round(height * scale), 2)}"'
    image = f'<IMG SRC="{picture_file(node, name)}" SCALE="BOTH"/>'
    picture = f'<TABLE BORDER="0" CELLPADDING="0"><TR><TD {size}>{image}</TD></TR></TABLE>'
    words = "" if name == "value" else _cell(f" {name}", size=8, colour=SOFT)
    return _row([f"<TD>{picture}</TD>", words])


def _label(cells: Iterable[str]) -> str:
    """An HTML-like label of lines, one above the other."""
    rows = "".join(f"<TR>{cell}</TR>" for cell in cells)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLPADDING="0" CELLSPACING="1">{rows}</TABLE>>'


def _row(cells: Iterable[str]) -> str:
    """Cells side by side, as one."""
    return f'<TD ALIGN="LEFT"><TABLE BORDER="0" CELLPADDING="0" CELLSPACING="0"><TR>{"".join(cells)}</TR></TABLE></TD>'


def _gap(width: int) -> str:
    """An empty cell."""
    return f'<TD WIDTH="{width}"></TD>'


def _cell(text: str, *, size: int = 11, colour: str = INK, bold: bool = False) -> str:
    """A line of words with everything escaped that means something there, and room for it in any font.

    The program that lays out knows the widths of Helvetica; a browser may have to take a wider font. So a line starts at
    the left of a cell that is wide enough for both.
    """
    text = _printable(text)
    # A backslash begins an escape sequence in HTML-like labels, too: Graphviz puts the box's name for \N.
    words = escape(text).replace("\\", "\\\\")
    # Not <B>, for which graphviz-pure leaves too much room below.
    face = f'FACE="{FONT}-Bold"' if bold else ""
    width = _width(text, size, bold=bold)
    return f'<TD ALIGN="LEFT" WIDTH="{width}"><FONT POINT-SIZE="{size}" COLOR="{colour}" {face}>{words}</FONT></TD>'


def _width(text: str, size: int, *, bold: bool = False) -> int:
    """About the width in points in DejaVu Sans, the widest of the common sans-serif fonts."""
    narrow, wide = " .,:;'|!()[]-/ijlftr", "mwMW%@"
    em = sum(0.38 if c in narrow else 1.0 if c in wide or c >= "\u1100" else 0.65 for c in text)
    return math.ceil(em * size * (1.12 if bold else 1.0))


def _printable(text: str) -> str:
    r"""Control characters, which XML cannot hold, as Python would write them: ``\n``."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _quoted(text: str) -> str:
    """A plain string attribute: backslashes would start an escape sequence, line ends are written as one."""
    return "\\n".join(_printable(line).replace("\\", "\\\\") for line in text.split("\n"))
