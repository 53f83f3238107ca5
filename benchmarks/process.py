"""The other end of a worker: starts the process of one side, sends commands, reads answers."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parent.parent
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TINYGRAD_CNN_NUM_THREADS",
)


class NotInstalled(Exception):  # noqa: N818 - it is an answer, not a mistake
    """The interpreter does not have the side's framework."""


class WorkerDied(Exception):  # noqa: N818 - says what happened
    """The worker ended instead of answering; the message ends with what it printed."""


@dataclass(frozen=True)
class Side:
    """A framework to run, spelled as on the command line: ``torch`` or ``torch:channels_last``.

    Attributes
    ----------
    spelling : str
    python : str
        The interpreter that has it.
    """

    spelling: str
    python: str = sys.executable

    @property
    def framework(self) -> str:
        """What is in front of the colon."""
        return self.spelling.partition(":")[0]

    @property
    def variant(self) -> str:
        """What is behind it."""
        return self.spelling.partition(":")[2]


def environment(threads: int) -> dict[str, str]:
    """The environment of every side: this repository can be imported, and each library is told the number of threads."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONPATH": path} | dict.fromkeys(THREAD_VARIABLES, str(threads))


class WorkerProcess:
    """One side's process. Leave a ``with`` block to end it.

    Raises
    ------
    NotInstalled
        If its interpreter is not there, or lacks the framework.
    """

    def __init__(self, side: Side, threads: int) -> None:
        self.side = side
        command = [side.python, "-m", "benchmarks.worker", side.framework, "--variant", side.variant, "--threads", str(threads)]
        self._printed = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        try:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment(threads),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._printed,
                text=True,
            )
        except OSError as error:
            self._printed.close()
            raise NotInstalled(f"{side.python}: {error.strerror}") from None
        hello = self._read()
        if "missing" in hello:
            self.__exit__()
            raise NotInstalled(f"{side.python}: {hello['missing']}")
        self.version: str = hello["version"]
        self.pid = self._process.pid

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; see `worker`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._printed.seek(0)
            tail = self._printed.read()[-2000:]
            self.__exit__()
            raise WorkerDied(f"the worker of {self.side.spelling} ended with {code}:\n{tail}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._printed.close()
