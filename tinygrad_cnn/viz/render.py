"""From DOT text to pictures, with whichever program is there.

Three situations, in this order: Graphviz is installed (`dot`: svg, png, pdf); the wheel of the extra "viz" is (the program
`graphviz-pure`: svg and png); neither is, and there is no picture, but a line that says what to install. The program is
started with its own path, and nothing of the `graphviz` package is changed for it.
"""

import base64
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import ArgumentError, AutogradError

FORMATS = ("svg", "png", "pdf")
PURE = "graphviz-pure"
INSTALL = 'to draw it, install Graphviz (apt install graphviz, brew install graphviz), or pip install "tinygrad_cnn[viz]"'

# Dots per inch of a png: twice a screen's usual 72, for sharp letters.
RESOLUTION = 144


def find_renderer() -> Path | None:
    """The program that draws: `dot`, else `graphviz-pure`, else None.

    `dot` is what the `graphviz` package would call, so a path that was set there is respected. `graphviz-pure` is looked
    for beside this Python first: in a virtual environment that is not activated it is not on the PATH.
    """
    from graphviz.backend import dot_command

    beside_python = sysconfig.get_path("scripts")
    found = shutil.which(str(dot_command.DOT_BINARY)) or shutil.which(PURE, path=beside_python) or shutil.which(PURE)
    return Path(found) if found else None


def check_format(suffix: str) -> str:
    """The format that a file's suffix stands for.

    Raises
    ------
    ArgumentError
        If it is none of those there are.
    """
    name = suffix.removeprefix(".").lower()
    if name not in FORMATS:
        given = f"{suffix!r} is none of them" if suffix else "there is none"
        raise ArgumentError(f"a picture's suffix says its format, .svg, .png or .pdf, and {given}; save() writes DOT text")
    return name


def draw(source: str, format: str, renderer: Path, timeout: float | None, pictures: Mapping[str, bytes] | None = None) -> bytes:
    """Lay out a graph and draw it.

    Parameters
    ----------
    source : str
        DOT text.
    format : {"svg", "png", "pdf"}
    renderer : Path
        From `find_renderer`.
    timeout : float, optional
        Seconds after which to give up; None waits for ever.
    pictures : dict of str to bytes, optional
        The png files that the text names; an svg has them inside.

    Raises
    ------
    ArgumentError
        If a pdf, or a png with pictures, is asked of `graphviz-pure`.
    AutogradError
        If the program takes too long, or fails.
    """
    if format == "pdf" and renderer.stem == PURE:
        raise ArgumentError(
            f"{PURE} draws svg and png, but no pdf: install Graphviz (apt install graphviz, brew install graphviz), or "
            "choose the suffix .svg"
        )
    if format == "png" and pictures and renderer.stem == PURE:
        raise ArgumentError(
            f"{PURE} draws no pictures into a png: choose the suffix .svg or .html, or install Graphviz (apt install graphviz, "
            "brew install graphviz)"
        )
    command = [str(renderer), "-Kdot", f"-T{format}"] + ([f"-Gdpi={RESOLUTION}"] if format == "png" else [])
    pictures = pictures or {}
    try:
        with TemporaryDirectory() as folder:
            for name, content in pictures.items():
                Path(folder, name).write_bytes(content)
            place = folder if pictures else None
            done = subprocess.run(command, input=source.encode(), capture_output=True, timeout=timeout, check=False, cwd=place)
    except subprocess.TimeoutExpired:
        raise AutogradError(
            f"{renderer.stem} was still laying out the graph after {timeout:g} s and was stopped: draw a part of it, or give "
            "render() a longer timeout (None waits for ever)"
        ) from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise AutogradError(f"{renderer.stem} failed with exit status {done.returncode}: {said[-1] if said else 'no message'}")
    return _with_pictures(done.stdout, pictures) if format == "svg" else done.stdout


def _with_pictures(svg: bytes, pictures: Mapping[str, bytes]) -> bytes:
    """The svg with its pictures inside, where it names their files."""

    def inside(found: re.Match[bytes]) -> bytes:
        return b'xlink:href="data:image/png;base64,' + base64.b64encode(pictures[found[1].decode()]) + b'"'

    return re.sub(rb'xlink:href="([\w-]+\.png)"', inside, svg) if pictures else svg


def html_page(svg: str, title: str) -> str:
    """A page that shows a drawing and nothing else."""
    head = f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}</title></head>\n'
    return f"{head}<body>\n{svg[svg.index('<svg') :]}</body>\n</html>\n"
