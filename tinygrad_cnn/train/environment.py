"""Where a result was made: the versions and the choices that a number depends on."""

import os
import platform
import re
from importlib import metadata
from importlib.util import find_spec

import numpy as np

from .. import kernels
from ..version import __version__

DISTRIBUTION = "tinygrad_cnn"


def environment() -> dict[str, str]:
    """Describe this machine and installation, as pairs of a name and a short text.

    Examples
    --------
    >>> list(environment())
    ['tinygrad_cnn', 'Python', 'NumPy', 'kernels', 'machine']
    """
    return {
        "tinygrad_cnn": __version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "kernels": _kernels(),
        "machine": f"{platform.system()} {platform.machine()}, {_cores()} cores",
    }


def extras() -> dict[str, dict[str, str | None]]:
    """For each extra, the packages that it brings and their versions; None for one that is not installed.

    Read from the installed package's own metadata, so that it cannot disagree with what pip would install. Empty if the
    package runs from its source tree without being installed.
    """
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return {}
    found: dict[str, dict[str, str | None]] = {}
    for requirement in requirements:
        match = re.match(r"""([\w.-]+)(\[.*\])?.*;.*extra == ['"]([\w-]+)['"]""", requirement)
        # An extra that is made of others names this package again.
        if match and match[1].replace("-", "_") != DISTRIBUTION:
            found.setdefault(match[3], {})[match[1]] = _version(match[1])
    return found


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _kernels() -> str:
    """The choice in force, and what "auto" comes to here."""
    choice = kernels.current()
    if choice != "auto":
        return choice
    return f"auto: NumPy, and numba {_version('numba')} for large arrays" if find_spec("numba") else "auto: NumPy (no numba)"


def _cores() -> int:
    """The cores that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
