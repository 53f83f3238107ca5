"""``tinygrad-cnn tune``: measure which algorithm of convolution is fastest on this machine."""

import argparse
from pathlib import Path

from ..kernels import conv_choice, conv_tune
from ..kernels.conv_choice import KERNELS
from .arguments import Commands


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    about = "measure which algorithm of convolution is fastest here, for all later runs"
    step = commands.add_parser(
        "tune", help=about, description=f"{about.capitalize()}; half a minute, with nothing else running."
    )
    step.add_argument("--out", type=Path, metavar="FILE", help="where to write the rates (default: the user's cache directory)")
    step.add_argument("--quiet", action="store_true", help="print the result only")
    step.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure, write the file, and say what would be chosen now."""
    path = options.out or conv_choice.user_file()
    conv_tune.tune(path, (lambda line: None) if options.quiet else (lambda line: print(line, flush=True)))
    print(f"rates written to {path}")
    if path != conv_choice.user_file():
        print(f"they are used where {conv_choice.VARIABLE}={path}")
        return 0
    print(f"\n{'input, maps, kernel':42} {'  '.join(f'{kernel:16}' for kernel in KERNELS)}")
    for title, chosen in conv_tune.choices():
        print(f"{title:42} {'  '.join(f'{name:16}' for name in chosen)}")
    return 0
