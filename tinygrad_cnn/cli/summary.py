"""``tinygrad-cnn summary``: a network layer by layer."""

import argparse

from .. import models, nn
from .arguments import Commands, count


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    about = "list a network's layers: output shape, parameters, multiply-adds, memory"
    summary = commands.add_parser("summary", help=about, description=f"{about.capitalize()}.")
    summary.add_argument("network", metavar="NAME", help="one of those that `tinygrad-cnn models` lists")
    summary.add_argument("--batch-size", type=count, default=1, metavar="N", help="images in a batch (default: 1)")
    summary.add_argument("--depth", type=count, metavar="N", help="down to which level (default: all)")
    summary.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the table of the layers."""
    entry = models.get_entry(options.network)
    print(nn.summary(entry.build(), entry.input_size, batch_size=options.batch_size, depth=options.depth))
    return 0
