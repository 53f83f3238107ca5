"""``tinygrad-cnn graph``: draw a network's graph."""

import argparse
import sys
from pathlib import Path
from typing import get_args

from .. import models, nn
from ..creation import tensor, zeros
from ..train import recipes
from ..train.settings import LOSSES
from ..viz.drawing import Passes
from ..viz.measure import Measure
from .arguments import Commands
from .drawing import draw


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    graph = commands.add_parser("graph", help="draw a network's graph", description="Draw the graph of a network's loss.")
    graph.add_argument("network", metavar="NAME", help="one of those that `tinygrad-cnn models` lists")
    graph.add_argument("-o", "--output", type=Path, metavar="FILE", help=".svg, .png, .pdf or .html (default: NAME.svg)")
    graph.add_argument("--depth", type=int, metavar="N", help="one box for each module whose path has N names")
    graph.add_argument("--fold", action="store_true", help="draw equal modules in a row once, with their number")
    graph.add_argument("--color", choices=get_args(Measure), help="what the colours say")
    graph.add_argument("--passes", choices=get_args(Passes), default="forward", help="(default: forward)")
    graph.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draw the loss of a network on one blank image."""
    entry = models.get_entry(options.network)
    path = options.output or Path(f"{entry.name}.svg")
    model, criterion = entry.build(), LOSSES[recipes.recipe_for(entry.name).loss]
    # Of one image, batch normalization has no statistics: it takes those that it begins with.
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    loss = criterion(model(zeros(1, *entry.input_size)), tensor([0]))
    looks = {"depth": options.depth, "fold_repeats": options.fold, "color": options.color, "passes": options.passes}
    written, note = draw(loss, path, type(model).__name__, **looks)
    if note:
        print(f"tinygrad-cnn: {note}", file=sys.stderr)
        return 1
    print(written)
    return 0
