"""What a causal tracer returns: one sentence, and the steps that led to it."""

import html
import textwrap
from dataclasses import dataclass

# Columns of text.
WIDTH = 99


@dataclass(frozen=True)
class Answer:
    """An explanation; print it, or let a notebook show it.

    Attributes
    ----------
    summary : str
        The answer in one sentence.
    steps : tuple of str
        How it was found, one step a line; may be empty.
    ops : tuple of str
        The ops at fault, described as in error messages: ``("ReLU (in relu3)",)``.
    advice : str
        What to do, where there is something to do.
    """

    summary: str
    steps: tuple[str, ...] = ()
    ops: tuple[str, ...] = ()
    advice: str = ""

    def __str__(self) -> str:
        lines = textwrap.wrap(self.summary, WIDTH)
        for step in self.steps:
            lines += textwrap.wrap(f"  - {step}", WIDTH, subsequent_indent="    ")
        if self.advice:
            lines += textwrap.wrap(f"What to do: {self.advice}", WIDTH)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        steps = "".join(f"<li>{html.escape(step)}</li>" for step in self.steps)
        advice = f"<p>What to do: {html.escape(self.advice)}</p>" if self.advice else ""
        return f"<p><b>{html.escape(self.summary)}</b></p>" + (f"<ul>{steps}</ul>" if steps else "") + advice
