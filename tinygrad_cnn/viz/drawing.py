"""`viz.graph`: the recorded graph as something to look at, in a notebook or in a file.

The steps are elsewhere: `graph.trace` makes plain data, `measure`, `collapse`, `fold` and `backward` make other plain data of
it, `dot.to_dot` text, `render.draw` a picture. What is decided here is what a user gets when a step cannot be done: the step
before it, and one line that says why.
"""

import base64
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from html import escape
from os import PathLike
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from .. import profiler
from ..autograd.function import Array, Function
from ..errors import ArgumentError
from ..recording import record
from ..tensor import Tensor
from .backward import backward_of, both
from .collapse import Rule, collapsed
from .dot import Direction, check_direction, picture_file, to_dot
from .fold import folded
from .graph import Graph, Kind, trace_nodes
from .measure import Measure, check_measure, measured
from .picture import png
from .render import FORMATS, INSTALL, check_format, draw, find_renderer, html_page

Passes: TypeAlias = Literal["forward", "backward", "both"]

# A notebook draws without being asked, so it leaves out what would take long and could not be read.
MOST_NODES_SHOWN = 3000
SECONDS_TO_SHOW = 20.0


class GraphDrawing:
    """A drawing of a graph; the last line of a notebook's cell shows it.

    Attributes
    ----------
    graph : Graph
        The plain data.
    """

    def __init__(
        self,
        graph: Graph,
        title: str | None = None,
        direction: Direction = "TB",
        show_values: bool = True,
        color: Measure | None = None,
    ) -> None:
        check_direction(direction)
        self.graph = graph
        self._title = title
        self._direction = direction
        self._show_values = show_values
        self._color = color

    @cached_property
    def source(self) -> str:
        """The drawing in DOT, the language of Graphviz."""
        return to_dot(
            self.graph, title=self._title, direction=self._direction, show_values=self._show_values, color=self._color
        )

    def render(self, path: str | PathLike[str] = "graph.svg", *, timeout: float | None = 120.0) -> Path:
        """Draw into a file.

        Parameters
        ----------
        path : path
            Its suffix says the format: .svg, .png or .pdf, or .html, a page with the svg in it.
        timeout : float, optional
            Seconds after which to give up; None waits for ever.

        Returns
        -------
        Path
            Of the file. Where there is no program that draws, a warning says what to install, and the file is the DOT text,
            beside the picture that was asked for: ``graph.dot``.

        Raises
        ------
        ArgumentError
            If the suffix is none of these, or a pdf is asked for and only `graphviz-pure` is there.
        AutogradError
            If drawing takes too long, or fails.
        """
        path = Path(path)
        page = path.suffix.lower() == ".html"
        format, renderer = check_format(".svg" if page else path.suffix), find_renderer()
        if renderer is None:
            text = self.save(path.with_suffix(".dot"))
            warnings.warn(f"no picture was drawn, its DOT text is in {text}: {INSTALL}", stacklevel=2)
            return text
        picture = draw(self.source, format, renderer, timeout, self._picture_files())
        path.write_bytes(html_page(picture.decode(), self._title or path.stem).encode() if page else picture)
        return path

    def _picture_files(self) -> dict[str, bytes]:
        """The files that `source` names."""
        named = [(node, name, text) for node in self.graph.nodes for name, text in node.pictures.items()]
        return {picture_file(node, name): base64.b64decode(text) for node, name, text in named}

    def save(self, path: str | PathLike[str] = "graph.dot") -> Path:
        """Write the DOT text, or the plain data, into a file; needs no program.

        Parameters
        ----------
        path : path
            With the suffix .json the plain data is written, with any other (.dot, .gv) the DOT text.

        Returns
        -------
        Path

        Raises
        ------
        ArgumentError
            If the suffix is that of a picture, which `render` draws.
        """
        path = Path(path)
        if path.suffix.lower().lstrip(".") in FORMATS:
            raise ArgumentError(f"save() writes text, and {path.name!r} is a picture's name: use .render({path.name!r})")
        path.write_text(self.graph.to_json() if path.suffix == ".json" else self.source, encoding="utf-8")
        return path

    # What a notebook asks -------------------------------------------------------------------------------------------

    @cached_property
    def _picture(self) -> tuple[str | None, str]:
        """The picture as SVG, or None and the reason."""
        if len(self.graph.nodes) > MOST_NODES_SHOWN:
            count = f"{len(self.graph.nodes):,} nodes are more than a notebook can show"
            return None, f"{count}; .render('graph.svg') draws them into a file, .graph has them as plain data"
        try:
            renderer = find_renderer()
            if renderer is None:
                return None, f"No picture, only its DOT text: {INSTALL}"
            return draw(self.source, "svg", renderer, SECONDS_TO_SHOW, self._picture_files()).decode(), ""
        except Exception as error:  # a notebook that shows a value must not end in a stack trace
            return None, f"No picture, only its DOT text: {error}"

    def _repr_svg_(self) -> str | None:
        return self._picture[0]

    def _repr_html_(self) -> str | None:
        picture, reason = self._picture
        if picture is not None:
            return None
        text = f"<pre>{escape(self.source)}</pre>" if len(self.graph.nodes) <= MOST_NODES_SHOWN else ""
        return f"<p>{escape(reason)}</p>{text}"

    def __repr__(self) -> str:
        kinds = [node.kind for node in self.graph.nodes]
        counts = [_counted(kinds.count(kind), kind) for kind in get_args(Kind) if kind in kinds]
        return f"<{type(self).__name__} of {', '.join(counts)}; .render('graph.svg') draws it into a file>"


def graph(
    outputs: Tensor | Sequence[Tensor],
    *,
    title: str | None = None,
    direction: Direction = "TB",
    show_values: bool = True,
    passes: Passes = "forward",
    depth: int | None = None,
    collapse: Rule | None = None,
    fold_repeats: bool = False,
    color: Measure | None = None,
    profile: profiler.profile | None = None,
    pictures: bool = False,
) -> GraphDrawing:
    """Draw what one or several tensors were computed from.

    Ops are drawn with their settings and the dtype and shape of what they make, parameters with their module's path, in the
    frames of the modules. Each argument has its arrow: ``x * x`` has two. The graph of a gradient (``create_graph=True``) is
    drawn in layers: the forward pass, then what the backward pass added.

    Parameters
    ----------
    outputs : Tensor or sequence of Tensor
        Most often the loss; before ``backward()`` the drawing knows a little more, such as the 2 in ``x * 2``.
    title : str, optional
        Written above.
    direction : {"TB", "LR"}
        From top to bottom or from left to right.
    show_values : bool
        Write the dtype and shape of the values.
    passes : {"forward", "backward", "both"}
        The forward graph, that of its backward pass, or both beside each other.
    depth : int, optional
        Draw modules as one box, with shapes at the arrows, where their path has that many names: 1 for the network's parts.
    collapse : callable, optional
        Which modules to draw as one box: asked with each path, ``lambda path: "downsample" in path``; a string as the answer
        names a box that several modules share.
    fold_repeats : bool
        Draw equal modules in a row once, with their number.
    color : {"time", "bytes", "flops", "gradnorm", "saved"}, optional
        What the colours say; each box has its number, and there is a legend; see `viz.measure`.
    profile : profile, optional
        For ``color="time"``: the profile that the graph was computed in, whose seconds are shown; a rule's are those of all its
        runs. Without one each op is run again by itself, for its time alone.
    pictures : bool
        Put values and gradients into the boxes, as small pictures of the first sample. Gradients are of the one output,
        computed for this; no ``.grad`` changes.

    Returns
    -------
    GraphDrawing
        A notebook shows it; ``.render("graph.svg")`` draws it into a file. It keeps no tensor alive.

    Raises
    ------
    AutogradError
        If a tensor has no graph; says why, and what to do.
    GraphFreedError
        If pictures or the gradients' lengths are asked for after ``backward()`` has freed what they need.
    ArgumentError
        If something else than tensors is given, an option that there is not, or a profile that saw nothing of the graph.
    MissingExtraError
        If pictures are asked for without Pillow.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import viz
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> viz.graph((x * x).sum(), title="sum of squares")
    <GraphDrawing of 2 ops, 1 leaf, 1 output; .render('graph.svg') draws it into a file>
    """
    check_measure(color)
    if profile is not None and color != "time":
        raise ArgumentError(f"profile= has seconds: give color='time' with it, got color={color!r}")
    if passes not in get_args(Passes):
        raise ArgumentError(f"passes must be 'forward', 'backward' or 'both', got {passes!r}")
    traced, ids = trace_nodes(outputs)
    if profile is not None and all(profile.seconds_of(node) is None for node in ids):
        raise ArgumentError("the profile saw no op of this graph: compute it inside the block, `with tg.profile() as p:`")
    values, gradients = _numbers(outputs) if pictures or color == "gradnorm" else ({}, {})
    if color is not None:
        traced = measured(traced, ids, color, gradients, profile)
    if pictures:
        traced = _illustrated(traced, ids, values, gradients)
    traced = collapsed(traced, depth, collapse)
    if fold_repeats:
        traced = folded(traced)
    shown = traced if passes == "forward" else backward_of(traced) if passes == "backward" else both(traced)
    return GraphDrawing(shown, title, direction, show_values, color)


def _counted(count: int, kind: Kind) -> str:
    several = "leaves" if kind == "leaf" else f"{kind}s"
    return f"{count} {kind if count == 1 else several}"


def _numbers(outputs: Tensor | Sequence[Tensor]) -> tuple[Mapping[Function, Array], Mapping[Function, Array]]:
    """The value and the gradient of each node behind one number."""
    several = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    if len(several) != 1 or several[0].numel() != 1:
        shapes = ", ".join(str(tensor.shape) for tensor in several)
        raise ArgumentError(
            f"pictures and color='gradnorm' show gradients, which are those of one number; give one tensor with one element "
            f"(a loss), got shape {shapes}"
        )
    recording = record(several[0], "viz.graph")
    return recording.values, recording.gradients


def _illustrated(
    traced: Graph, ids: Mapping[Function, str], values: Mapping[Function, Array], gradients: Mapping[Function, Array]
) -> Graph:
    """The graph with pictures of what is known of each node."""
    found: dict[str, dict[str, str]] = {}
    for name, arrays in (("value", values), ("gradient", gradients)):
        for node, array in arrays.items():
            picture = png(array, signed=name == "gradient") if node in ids else None
            if picture is not None:
                found.setdefault(ids[node], {})[name] = picture
    return replace(traced, nodes=tuple(replace(node, pictures=found.get(node.id, {})) for node in traced.nodes))
