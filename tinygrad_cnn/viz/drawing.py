"""`viz.graph`: the recorded graph as something to look at, in a notebook or in a file.

The three steps are elsewhere: `graph.trace` makes plain data, `dot.to_dot` text, `render.draw` a picture. What is decided
here is what a user gets when a step cannot be done: the step before it, and one line that says why.
"""

import warnings
from collections.abc import Sequence
from functools import cached_property
from html import escape
from os import PathLike
from pathlib import Path
from typing import get_args

from ..errors import ArgumentError
from ..tensor import Tensor
from .dot import Direction, check_direction, to_dot
from .graph import Graph, Kind, trace
from .render import FORMATS, INSTALL, check_format, draw, find_renderer

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

    def __init__(self, graph: Graph, title: str | None, direction: Direction, show_values: bool) -> None:
        check_direction(direction)
        self.graph = graph
        self._title = title
        self._direction = direction
        self._show_values = show_values

    @cached_property
    def source(self) -> str:
        """The drawing in DOT, the language of Graphviz."""
        return to_dot(self.graph, title=self._title, direction=self._direction, show_values=self._show_values)

    def render(self, path: str | PathLike[str] = "graph.svg", *, timeout: float | None = 120.0) -> Path:
        """Draw into a file.

        Parameters
        ----------
        path : path
            Its suffix says the format: .svg, .png or .pdf.
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
        format, renderer = check_format(path.suffix), find_renderer()
        if renderer is None:
            text = self.save(path.with_suffix(".dot"))
            warnings.warn(f"no picture was drawn, its DOT text is in {text}: {INSTALL}", stacklevel=2)
            return text
        path.write_bytes(draw(self.source, format, renderer, timeout))
        return path

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
            return draw(self.source, "svg", renderer, SECONDS_TO_SHOW).decode(), ""
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
        counts = [f"{kinds.count(kind)} {kind}{'s'[kinds.count(kind) == 1 :]}" for kind in get_args(Kind) if kind in kinds]
        return f"<{type(self).__name__} of {', '.join(counts)}; .render('graph.svg') draws it into a file>"


def graph(
    outputs: Tensor | Sequence[Tensor],
    *,
    title: str | None = None,
    direction: Direction = "TB",
    show_values: bool = True,
) -> GraphDrawing:
    """Draw what one or several tensors were computed from.

    Ops are drawn with their settings and the dtype and shape of what they make, parameters with their module's path, in the
    frames of the modules. Each argument has its arrow: ``x * x`` has two.

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

    Returns
    -------
    GraphDrawing
        A notebook shows it; ``.render("graph.svg")`` draws it into a file. It keeps no tensor alive.

    Raises
    ------
    AutogradError
        If a tensor has no graph; says why, and what to do.
    ArgumentError
        If something else than tensors is given, or another direction.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import viz
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> viz.graph((x * x).sum(), title="sum of squares")
    <GraphDrawing of 2 ops, 1 leaf, 1 output; .render('graph.svg') draws it into a file>
    """
    return GraphDrawing(trace(outputs), title, direction, show_values)
