"""The report of a training: one HTML file with everything that one wants to see of it.

Each section is made by a function of its own, from plain results; `page` has the frame around them. Pictures of digits
are written as their raw grey levels and painted by the page itself, so that no image library is needed.
"""

import base64
import html
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..data.files import atomic_write
from ..errors import ShapeError
from .evaluate import Evaluation
from .metrics import Confusion
from .page import PAGE, SCRIPT, STYLE

MOST_DIGITS = 200
"""A network that has learned next to nothing gets thousands wrong; more pictures than this tell nothing new."""


@dataclass(frozen=True)
class Report:
    """What the report tells.

    Attributes
    ----------
    title, subtitle : str
        What was trained on what, in a few words and in a sentence.
    figures : dict of str to str
        The headline numbers, by their names.
    evaluation : Evaluation
        The trained model's answers.
    images : ndarray of uint8, shape (n, h, w)
        The images that it was asked about.
    names : sequence of str
        The classes' names.
    curves, graph : str or None
        SVG documents; a section is left out if there is none.
    environment : dict of str to str
        What one needs to get the same result again.
    notes : sequence of str
        What is missing, and how to get it.
    """

    title: str
    subtitle: str
    figures: Mapping[str, str]
    evaluation: Evaluation
    images: npt.NDArray[np.uint8]
    names: Sequence[str]
    environment: Mapping[str, str]
    curves: str | None = None
    graph: str | None = None
    notes: Sequence[str] = field(default=())


def report_html(report: Report) -> str:
    """Return the report as an HTML document that needs no other file.

    Raises
    ------
    ShapeError
        If there is not exactly one image for each answer.
    """
    if report.images.ndim != 3 or len(report.images) != len(report.evaluation.targets):
        raise ShapeError(
            f"report_html: expected images of shape ({len(report.evaluation.targets)}, h, w), one for each answer, "
            f"got {report.images.shape}"
        )
    sections = [
        _curves(report.curves) if report.curves else "",
        _confusion(report.evaluation.confusion(report.names)),
        _mistakes(report),
        _graph(report.graph) if report.graph else "",
        _environment(report.environment, report.notes),
    ]
    return PAGE.substitute(
        title=html.escape(report.title),
        subtitle=html.escape(report.subtitle),
        figures="\n".join(
            f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in report.figures.items()
        ),
        sections="\n".join(sections),
        style=STYLE,
        script=SCRIPT,
    )


def save_report(path: str | os.PathLike[str], report: Report) -> None:
    """Write the report to a file."""
    content = report_html(report).encode()
    with atomic_write(Path(path)) as file:
        file.write(content)


def _section(heading: str, explanation: str, body: str) -> str:
    explained = f"<p>{html.escape(explanation)}</p>\n" if explanation else ""
    return f"<section>\n<h2>{html.escape(heading)}</h2>\n{explained}{body}\n</section>"


def _drawing(svg: str, kind: str, description: str) -> str:
    """An SVG document within a page: without the XML declaration and document type, which only a file may have."""
    inside = svg[svg.index("<svg") :]
    return f'<div class="drawing {kind}" role="img" aria-label="{html.escape(description)}" tabindex="0">\n{inside}\n</div>'


def _curves(svg: str) -> str:
    return _section(
        "How it learned",
        "Left, what each step cost. Right, how many of the digits that it never trained on it got wrong after each epoch.",
        _drawing(svg, "wide", "Loss of every training step, and error on held-out digits after each epoch"),
    )


def _graph(svg: str) -> str:
    return _section(
        "The graph",
        "Every operation of one training step, as the backward pass walks it from the loss to the weights.",
        _drawing(svg, "paper", "Graph of the network's operations, from the images to the loss"),
    )


def _confusion(confusion: Confusion) -> str:
    """The counts as a table: blue on the diagonal, where it is right, orange elsewhere, stronger for more."""
    counts = confusion.counts
    most_wrong = max(1, int((counts - np.diag(np.diag(counts))).max()))
    columns = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in confusion.names)
    rows = [f'<tr><td></td>{columns}<th scope="col">found</th></tr>']
    for i, (name, recall) in enumerate(zip(confusion.names, confusion.recall, strict=True)):
        cells = "".join(_cell(int(count), i == j, recall, most_wrong) for j, count in enumerate(counts[i]))
        found = "&ndash;" if np.isnan(recall) else f"{100 * recall:.1f}&nbsp;%"
        rows.append(f'<tr><th scope="row">{html.escape(name)}</th>{cells}<td class="recall">{found}</td></tr>')
    body = "\n".join(rows)
    table = f'<div class="scroll"><table class="confusion" aria-label="Confusion table">\n{body}\n</table></div>'
    return _section(
        "What it takes for what",
        "A row for each true digit, a column for each answer. Blue is right, orange is wrong; the last column says how "
        "many of a digit were found.",
        table,
    )


def _cell(count: int, right: bool, recall: float, most_wrong: int) -> str:
    if not count:
        return '<td class="none">0</td>'
    # The square root lets a single mistake be seen beside ten.
    share = 0.08 + 0.4 * recall if right else 0.1 + 0.5 * (count / most_wrong) ** 0.5
    return f'<td class="{"right" if right else "wrong"}" style="--share: {share:.2f}">{count}</td>'


def _mistakes(report: Report) -> str:
    """The digits that were answered wrongly, the most self-assured mistakes first."""
    evaluation = report.evaluation
    wrong = evaluation.wrong
    shown = wrong[:MOST_DIGITS]
    figures = "\n".join(
        _digit(
            report.images[i],
            report.names[evaluation.targets[i]],
            report.names[evaluation.predicted[i]],
            float(evaluation.probabilities[i, evaluation.predicted[i]]),
        )
        for i in shown
    )
    which = "" if len(shown) == len(wrong) else f" The {len(shown)} that it was surest of are shown."
    explanation = (
        f"{len(wrong):,} of {len(evaluation.targets):,}, with the true digit, its answer and how probable it took that to "
        f"be; the surest mistakes first.{which}"
    )
    return _section("The digits it got wrong", explanation, f'<div class="digits">\n{figures}\n</div>')


def _digit(image: npt.NDArray[np.uint8], true: str, answer: str, probability: float) -> str:
    height, width = image.shape
    pixels = base64.b64encode(image.tobytes()).decode()
    true, answer, sure = html.escape(true), html.escape(answer), f"{100 * probability:.0f} %"
    return (
        f'<figure><canvas width="{width}" height="{height}" role="img" aria-label="a handwritten {true}, taken for a '
        f'{answer}" data-pixels="{pixels}"></canvas><figcaption><b>{true}</b> <span>read as</span> <b>{answer}</b><br>'
        f"<span>{sure}</span></figcaption></figure>"
    )


def _environment(environment: Mapping[str, str], notes: Sequence[str]) -> str:
    rows = [
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>' for name, value in environment.items()
    ]
    rows += [f'<tr><th scope="row">missing here</th><td>{html.escape(note)}</td></tr>' for note in notes]
    body = "\n".join(rows)
    return _section("How to get this again", "", f'<table class="facts">\n{body}\n</table>')
