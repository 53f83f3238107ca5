"""``tinygrad-cnn verify``: check every op of the package."""

import argparse
import sys
from pathlib import Path

from .arguments import Commands


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    about = "check every op against independent definitions"
    check = commands.add_parser("verify", help=about, description=f"{about.capitalize()}.")
    check.add_argument("--full", action="store_true", help="a row for each case instead of one for each op")
    check.add_argument("--html", type=Path, metavar="FILE", help="write the table as a page, too")
    check.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check every op; its table goes to stdout."""
    from .. import verify  # a thousand cases, which nobody else needs

    return 0 if verify.run(full=options.full, stream=sys.stdout, html=options.html) else 1
