"""Drawing a graph to a file, with the note for a user who has no program that draws."""

import warnings
from pathlib import Path
from typing import Any

from .. import viz
from ..tensor import Tensor


def draw(loss: Tensor, path: Path, title: str, **looks: Any) -> tuple[Path, str]:
    """Draw a graph, with options of `viz.graph`; return the file that was written, and what to say if it is not the picture."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        written = viz.graph(loss, title=title, **looks).render(path)
    return written, "; ".join(str(warning.message) for warning in caught)
