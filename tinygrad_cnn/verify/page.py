"""The table of `tinygrad-cnn verify` as a page: one file, no network, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from ..version import __version__
from .checks import CHECKS

if TYPE_CHECKING:
    from .table import Row

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 78rem; padding: 0 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .25rem .6rem; text-align: left; white-space: nowrap; border-bottom: 1px solid #8884; }
thead th { position: sticky; top: 0; background: Canvas; }
tbody th { font-weight: 500; white-space: normal; min-width: 12rem; }
td.ok { color: light-dark(#1a6b3a, #7fd6a0); }
td.fail { background: #c62828; color: #fff; font-weight: 600; }
td.none { opacity: .4; }
"""


def page(rows: Sequence[Row], problems: Sequence[str], summary: str) -> str:
    """Write the table as HTML.

    Parameters
    ----------
    rows : sequence of Row
    problems : sequence of str
        What is listed below the table.
    summary : str
        The line on top.

    Returns
    -------
    str
        A whole document.
    """
    head = "".join(f"<th scope=col>{escape(name)}" for name in ("op", "cases", *CHECKS))
    body = "\n".join(
        f"<tr><th scope=row>{escape(row.name)}<td>{row.cases}" + "".join(_cell(row.cell(name)) for name in CHECKS)
        for row in rows
    )
    listed = "".join(f"<li>{escape(problem)}" for problem in problems)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tinygrad_cnn {__version__}: every op, verified</title>
<style>{_STYLE}</style>
<h1>Every op, verified</h1>
<p>tinygrad_cnn {__version__}: {escape(summary)}</p>
<ul>{listed}</ul>
<div class="scroll"><table><thead><tr>{head}</thead><tbody>
{body}
</tbody></table></div>
</html>
"""


def _cell(text: str) -> str:
    kind = "none" if text == "-" else "fail" if text.startswith("FAIL") else "ok"
    return f"<td class={kind}>{escape(text)}"
