"""``tinygrad-cnn resume``: go on with a training that was stopped or killed."""

import argparse
from pathlib import Path

from ..train import session
from .arguments import Commands
from .train import go


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    about = "go on with a training that was stopped or killed"
    resume = commands.add_parser(
        "resume", help=about, description=f"{about.capitalize()}; it ends as if nothing had happened, bit by bit."
    )
    resume.add_argument("folder", type=Path, metavar="DIR", help="the folder of a run of `tinygrad-cnn train`")
    resume.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train from the last checkpoint on."""
    go(session.reopen(options.folder), options.folder)
    return 0
