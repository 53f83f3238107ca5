"""A ledger as text and as HTML: the same rows, largest first, and the sum under them."""

import html
import textwrap
from typing import TYPE_CHECKING

from .answer import WIDTH
from .recorded import spelled

if TYPE_CHECKING:
    from .ledger import Consumer, Ledger, Term

# What is printed as a number has so many significant digits.
DIGITS = 6


def number(value: float) -> str:
    """Six significant digits."""
    return f"{value:.{DIGITS}g}"


def _headline(ledger: "Ledger") -> str:
    return f"d loss / d {ledger.name}{spelled(ledger.index)} = {number(ledger.gradient)}"


def _reads(consumer: "Consumer") -> str:
    where = f"{consumer.op} (in {consumer.module})" if consumer.module else consumer.op
    via = f", through {' and '.join(consumer.via)}" if consumer.via else ""
    return f"{where} reads it as {consumer.argument}{via}"


def _share(term: "Term", consumer: "Consumer") -> str:
    """Of the magnitudes: a part of the sum would say nothing where terms cancel."""
    return f"{100 * abs(term.value) / consumer.magnitude:.1f}%" if consumer.magnitude else "-"


def _rest(consumer: "Consumer") -> str:
    """What is left out of the list, in words; empty where nothing is."""
    left = consumer.count - len(consumer.terms)
    return f"{left} smaller terms add {number(consumer.rest)}" if left else ""


def _conclusion(ledger: "Ledger") -> str:
    count, zeros = sum(c.count for c in ledger.consumers), sum(c.zeros for c in ledger.consumers)
    if not ledger.consumers:
        return "It is the loss itself: the pass starts here."
    if not count:
        return "There is no term: no output depends on this element."
    several = len(ledger.consumers) > 1
    subtotals = " + ".join(number(c.subtotal) for c in ledger.consumers)
    added = f"{subtotals}: the {len(ledger.consumers)} ops add up to" if several else _counted(count)
    nothing = f" ({zeros} of the terms {'is' if zeros == 1 else 'are'} 0.)" if zeros else ""
    return f"{added} {number(ledger.total)}, the gradient that the engine computes.{nothing}{_cancelled(ledger)}"


def _cancelled(ledger: "Ledger") -> str:
    """Remark on terms that cancel, as for a bias in front of a batch norm."""
    magnitude = sum(c.magnitude for c in ledger.consumers)
    if not magnitude or abs(ledger.total) > 1e-5 * magnitude:
        return ""
    return f"\nThe terms cancel: their magnitudes add up to {number(magnitude)}."


def _counted(count: int) -> str:
    return f"The {count} terms add up to" if count > 1 else "The one term is"


def _rows(consumer: "Consumer") -> list[list[str]]:
    return [
        [
            _share(term, consumer), number(term.value), number(term.factor), term.source, number(term.gradient),
            f"gy{spelled(term.output)}", " <- ".join(term.origin),
        ]
        for term in consumer.terms
    ]  # fmt: skip


def as_text(ledger: "Ledger") -> str:
    """What ``print`` shows."""
    lines = [_headline(ledger)]
    for consumer in ledger.consumers:
        lines += ["", *_explained(consumer)]
        if consumer.terms:
            lines += _table(consumer)
        if _rest(consumer):
            lines.append(f"  ... {_rest(consumer)}")
    return "\n".join([*lines, "", *textwrap.wrap(_conclusion(ledger), WIDTH)])


def _explained(consumer: "Consumer") -> list[str]:
    """Who reads it, and the formula; in a line of its own where it would be broken."""
    together = f"{_reads(consumer)}: {consumer.formula}"
    if len(together) <= WIDTH:
        return [together]
    return [f"{_reads(consumer)}:", *textwrap.wrap(consumer.formula, WIDTH, initial_indent="    ", subsequent_indent="    ")]


def _table(consumer: "Consumer") -> list[str]:
    """A row for each term; where that came from in the same line if there is room, else in the next."""
    rows = [["share", "term", "factor", consumer.source, "gradient", "gy", "which came from"], *_rows(consumer)]
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    lines = []
    for row in rows:
        share, term, factor, source, gradient, output = (
            cell.ljust(width) if i in (3, 5) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row[:6], widths, strict=True))
        )
        lines.append(f"  {share}  {term}  =  {factor}  {source}  *  {gradient}  {output}")
    if max(len(line) + len(row[6]) for line, row in zip(lines, rows, strict=True)) + 2 <= WIDTH:
        return [f"{line}  {row[6]}".rstrip() for line, row in zip(lines, rows, strict=True)]
    indent = " " * (widths[0] + 4)
    return [text for line, row in zip(lines, rows, strict=True) for text in (line.rstrip(), f"{indent}{row[6]}")]


def as_html(ledger: "Ledger") -> str:
    """What a notebook shows: a table for each op that reads the element."""
    parts = [f"<p><b>{html.escape(_headline(ledger))}</b></p>"]
    for consumer in ledger.consumers:
        names = ["share", "term", "factor", consumer.source, "gradient", "of output", "which came from"]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in _rows(consumer)
        )
        parts.append(
            f"<p>{html.escape(_reads(consumer))}: <code>{html.escape(consumer.formula)}</code></p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )
        if _rest(consumer):
            parts.append(f"<p>{html.escape(_rest(consumer))}</p>")
    return "".join([*parts, f"<p>{html.escape(_conclusion(ledger))}</p>"])
