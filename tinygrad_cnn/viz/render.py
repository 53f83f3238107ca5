"""From DOT text to pictures, with whichever program is there.

Three situations, in this order: Graphviz is installed (`dot`: svg, png, pdf); the wheel of the extra "viz" is (the program
`graphviz-pure`: svg and png); neither is, and there is no picture, but a line that says what to install. The program is
started with its own path, and nothing of the `graphviz` package is changed for it.
"""

import shutil
import subprocess
import sysconfig
from pathlib import Path

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


def draw(source: str, format: str, renderer: Path, timeout: float | None) -> bytes:
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

    Raises
    ------
    ArgumentError
        If a pdf is asked of `graphviz-pure`.
    AutogradError
        If the program takes too long, or fails.
    """
    if format == "pdf" and renderer.stem == PURE:
        raise ArgumentError(
            f"{PURE} draws svg and png, but no pdf: install Graphviz (apt install graphviz, brew install graphviz), or "
            "choose the suffix .svg"
        )
    command = [str(renderer), "-Kdot", f"-T{format}"] + ([f"-Gdpi={RESOLUTION}"] if format == "png" else [])
    try:
        done = subprocess.run(command, input=source.encode(), capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise AutogradError(
            f"{renderer.stem} was still laying out the graph after {timeout:g} s and was stopped: draw a part of it, or give "
            "render() a longer timeout (None waits for ever)"
        ) from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise AutogradError(f"{renderer.stem} failed with exit status {done.returncode}: {said[-1] if said else 'no message'}")
    return done.stdout
