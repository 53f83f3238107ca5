"""The command ``tinygrad-cnn``.

    tinygrad-cnn demo [--quick]      train a LeNet on MNIST; the results go to out/
    tinygrad-cnn models              list the networks
    tinygrad-cnn summary resnet20    list a network's layers
    tinygrad-cnn graph lenet         draw a network's graph
    tinygrad-cnn profile lenet       say where the time of a training step goes
    tinygrad-cnn train resnet20      train a network by its recipe; the results go to runs/resnet20/
    tinygrad-cnn resume DIR          go on with a training that was stopped or killed
    tinygrad-cnn eval DIR            measure what was trained
    tinygrad-cnn tune                measure which algorithm of convolution is fastest here
    tinygrad-cnn verify              check every op of the package
    tinygrad-cnn version             say what is installed

Each subcommand is a file: `add` describes its arguments, `run` is a function from the parsed arguments to the exit code:
0 all well, 1 not all that was asked for could be done, 2 a wrong argument or a file that cannot be read, 130 Ctrl-C. What
is wrong is said on stderr.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from ..errors import TinygradError
from ..version import __version__
from . import demo, evaluate, graph, models, profile, resume, summary, train, tune, verify, version

PROGRAM = "tinygrad-cnn"

_COMMANDS = (demo, models, summary, graph, profile, train, resume, evaluate, tune, verify, version)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name; those of this process if not given.

    Returns
    -------
    int
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    options.command_line = shlex.join([PROGRAM, *arguments])
    if argv is None and options.command == "demo":
        _start_again_on_one_blas_thread(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as stop:
        _complain(f"stopped by Ctrl-C{f': {stop}' if str(stop) else ''}")
        return 130
    except BrokenPipeError:
        # `tinygrad-cnn version | head -1`: the reader has enough. Nothing is left to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (TinygradError, OSError) as error:
        _complain(str(error))
        return 2


def _parser() -> argparse.ArgumentParser:
    about = "Convolutional networks on NumPy: train one, draw one, check every op."
    parser = argparse.ArgumentParser(prog=PROGRAM, description=about)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    for command in _COMMANDS:
        command.add(commands)
    return parser


def _start_again_on_one_blas_thread(arguments: list[str]) -> None:
    """Where threadpoolctl is not installed, the number of BLAS threads is what it was when NumPy was loaded: start again.

    On a busy machine the second thread of so many small products makes the demo many times slower, not faster.
    """
    if find_spec("threadpoolctl") is None and "OPENBLAS_NUM_THREADS" not in os.environ and os.name == "posix":
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "tinygrad_cnn", *arguments])


def _complain(message: str) -> None:
    print(f"{PROGRAM}: {message}", file=sys.stderr)
