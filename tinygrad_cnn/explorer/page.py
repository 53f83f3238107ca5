"""The explorer's page: one file that holds the recorded graph, its numbers, and the script that shows them.

Nothing is loaded from anywhere: the page forbids itself to (its Content-Security-Policy), so it reads the same from a mail
attachment, behind a firewall, and in ten years. The scripts are ES modules in `assets`, each with its own tests; here they
become one, in the order of their imports.
"""

import json
import re
from collections.abc import Mapping
from html import escape
from importlib import resources
from os import PathLike
from pathlib import Path
from string import Template
from typing import Any

from ..errors import ArgumentError
from ..nn.module import Module
from ..tensor import Tensor
from .pack import pack
from .trace import trace

LANGUAGES = ("en", "zh")

# In the order of their imports: each imports only from those before it.
SCRIPTS = (
    "arithmetic.mjs", "numbers.mjs", "words.mjs", "windows.mjs", "norms.mjs", "places.mjs", "explain.mjs", "picture.mjs",
    "graph.mjs", "make.mjs", "ledger.mjs", "ledger_view.mjs", "panel.mjs", "main.mjs",
)  # fmt: skip


def explore(
    loss: Tensor,
    model: Module | None = None,
    path: str | PathLike[str] = "explorer.html",
    *,
    inputs: Tensor | Mapping[str, Tensor] | None = None,
    lang: str = "en",
    max_bytes: int = 5_000_000,
) -> Path:
    """Write a page in which a recorded forward and backward pass can be stepped through, number by number.

    The page is one HTML file and needs no server and no network. It shows the graph, each op's formula, source and
    tensors, and, for the cell that is pointed at, the numbers that it was made from: the window and the kernel behind an
    output of a convolution, every pair of output gradient and kernel tap behind an input gradient, every pair of input
    and output gradient behind a weight's. The sums are computed in the page from the recorded numbers and compared with
    the recorded result.

    Nothing changes by it: no ``.grad`` is touched, and the graph can still be differentiated. Hooks on tensors run.

    Parameters
    ----------
    loss : Tensor
        One number, with its graph: call this before ``loss.backward()``, or after one with ``retain_graph=True``.
    model : Module, optional
        Gives the parameters their paths, and the page its title.
    path : str or path-like
        Where to write.
    inputs : Tensor or mapping of str to Tensor, optional
        Names for what went in; a Tensor alone is called ``input``.
    lang : {"en", "zh"}
        The language of the page.
    max_bytes : int
        What the file may take. Where not everything fits, the first image and the first channels are kept, and the page
        says so; every number that it prints is exact to 6 digits.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    ArgumentError
        If the loss is not one number, for an unknown language, or if `max_bytes` is too little for the page itself.
    AutogradError
        If the loss has no graph.
    GraphFreedError
        If a backward freed it before.

    Examples
    --------
    >>> import tempfile
    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn, viz
    >>> net = nn.Conv2d(1, 2, 3)
    >>> loss = net(tg.ones(1, 1, 5, 5)).square().mean()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = viz.explore(loss, model=net, path=f"{folder}/conv.html")
    ...     page.name, page.stat().st_size < 300_000
    ('conv.html', True)
    """
    if lang not in LANGUAGES:
        raise ArgumentError(f"explore: lang must be one of {', '.join(LANGUAGES)}; got {lang!r}")
    named = {"input": inputs} if isinstance(inputs, Tensor) else inputs
    title = type(model).__name__ if model is not None else "Graph"
    text = page(loss, model, named, title, lang, max_bytes)
    target = Path(path)
    target.write_text(text, encoding="utf-8")
    return target


def page(loss: Tensor, model: Module | None, inputs: Mapping[str, Tensor] | None, title: str, lang: str, max_bytes: int) -> str:
    """The text of the page; its parameters are `explore`'s."""
    written = trace(loss, model, inputs)
    data: dict[str, Any] = {"version": 1, "title": title, "lang": lang, "loss": float(loss.item())} | written.data
    # The page without numbers: what of the budget it takes, with room for the tensors' descriptions.
    taken = len(_filled(title, lang, data, "").encode()) + 120 * len(written.arrays)
    if max_bytes < taken:
        raise ArgumentError(
            f"explore: max_bytes={max_bytes:,} is too little: the page takes about {taken:,} bytes without any number in it; "
            f"use at least {2 * taken:,}"
        )
    packed = pack(written.arrays, written.batched, max_bytes - taken)
    data |= {"tensors": packed.tensors, "whole": packed.whole}
    return _filled(title, lang, data, packed.text)


def _filled(title: str, lang: str, data: Mapping[str, Any], numbers: str) -> str:
    # "<" would let a name such as "</script>" end the block that holds the data.
    text = json.dumps(_finite(data), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Template(asset("page.html")).substitute(
        title=escape(title), lang=lang, style=asset("style.css"), script=bundle(), trace=text, numbers=numbers
    )


def _finite(value: Any) -> Any:
    """The data without NaN and infinity, which JSON cannot spell; they become text."""
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    # Lone surrogates, which a module's name may hold, cannot be written as UTF-8.
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return str(value) if isinstance(value, float) and value - value != 0 else value


def asset(name: str) -> str:
    """The text of a file of the page."""
    return resources.files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


def bundle() -> str:
    """The scripts as one: their imports, and the word export, removed."""
    text = "\n".join(asset(name) for name in SCRIPTS)
    text = re.sub(r"^import [^;]*;\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^export ", "", text, flags=re.MULTILINE)
