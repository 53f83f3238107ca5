"""A training's log: a text file with one JSON object a line, which any tool reads, while the training runs, too.

Each line is written at once, so that a killed run has logged every step that it did. A resumed run cuts off the lines of
the steps that it will do again; then the file reads as if nothing had happened.
"""

import json
import math
import os
from pathlib import Path
from typing import Any


class JSONLines:
    """A file of JSON objects, one a line.

    Parameters
    ----------
    path : str or path-like
    position : int
        Go on from here, in bytes: what stands behind it is cut off. 0 begins the file anew.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "log.jsonl"
    >>> log = JSONLines(path)
    >>> log.write(step=1, loss=0.5)
    >>> kept = log.position()
    >>> log.write(step=2, loss=math.inf)
    >>> log.close()
    >>> print(path.read_text(), end="")
    {"step": 1, "loss": 0.5}
    {"step": 2, "loss": null}
    >>> JSONLines(path, kept).close()
    >>> print(path.read_text(), end="")
    {"step": 1, "loss": 0.5}
    """

    def __init__(self, path: str | os.PathLike[str], position: int = 0) -> None:
        self._file = open(Path(path), "ab")  # noqa: SIM115 - it stays open as long as the training runs
        # A file that is shorter than it was has been changed by somebody: all that is whole of it stays.
        self._file.truncate(min(position, _end_of_whole_lines(Path(path))))

    def write(self, **record: Any) -> None:
        """Write a line, and give it to the operating system: if this process dies now, the line is not lost.

        A number that is not finite, for which JSON has no word, becomes null.
        """
        unknown = [name for name, value in record.items() if isinstance(value, float) and not math.isfinite(value)]
        self._file.write(json.dumps({**record, **dict.fromkeys(unknown)}).encode() + b"\n")
        self._file.flush()

    def position(self) -> int:
        """Where the file ends, in bytes; all that was written is on the disk then, safe from a power cut."""
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _end_of_whole_lines(path: Path) -> int:
    return path.read_bytes().rfind(b"\n") + 1


def read_log(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The objects of a log, in order; a last line that is not whole yet is left out."""
    content = Path(path).read_bytes()
    return [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]
