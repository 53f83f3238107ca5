"""``tinygrad-cnn profile``: where the time of a training step goes."""

import argparse
from pathlib import Path
from typing import get_args

from .. import models, optim
from ..creation import randn, zeros
from ..profiler import profile
from ..profiler.table import Group
from ..train import recipes
from ..train.settings import LOSSES
from .arguments import Commands, count


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    about = "time one training step of a network, op by op or module by module"
    step = commands.add_parser("profile", help=about, description=f"{about.capitalize()}.")
    step.add_argument("network", metavar="NAME", help="one of those that `tinygrad-cnn models` lists")
    step.add_argument("--batch-size", type=count, default=8, metavar="N", help="images in the batch (default: 8)")
    step.add_argument("--size", type=count, metavar="S", help="images of S x S pixels (default: the network's own size)")
    step.add_argument("--by", choices=get_args(Group), default="op", help="a row for each op, module or call (default: op)")
    step.add_argument("--depth", type=count, metavar="N", help="with --by module: add up down to which level (default: all)")
    step.add_argument("--trace", type=Path, metavar="FILE", help="also write a trace for chrome://tracing and ui.perfetto.dev")
    step.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Take two steps on random images and print the table of the second; the first is for what is done only once."""
    entry = models.get_entry(options.network)
    channels, height, width = entry.input_size
    size = (options.batch_size, channels, options.size or height, options.size or width)
    model, criterion = entry.build(), LOSSES[recipes.recipe_for(entry.name).loss]
    optimizer = optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    images, targets = randn(*size), zeros(options.batch_size, dtype="int64")
    for _ in range(2):
        with profile() as profiled:
            optimizer.zero_grad()
            criterion(model(images), targets).backward()
            optimizer.step()
    print(f"one training step of {entry.name} on {' x '.join(map(str, size))}")
    print(profiled.table("order" if options.by != "op" else "time", group_by=options.by, depth=options.depth))
    if options.trace is not None:
        print(profiled.chrome_trace(options.trace))
    return 0
