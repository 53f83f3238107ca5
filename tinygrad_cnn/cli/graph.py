"""``tinygrad-cnn graph``: draw a network's graph."""

import argparse
import sys
from pathlib import Path

from .. import models, nn
from ..creation import tensor, zeros
from ..train import recipes
from ..train.settings import LOSSES
from .arguments import Commands
from .drawing import draw


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    graph = commands.add_parser("graph", help="draw a network's graph", description="Draw the graph of a network's loss.")
    graph.add_argument("network", metavar="NAME", help="one of those that `tinygrad-cnn models` lists")
    graph.add_argument("-o", "--output", type=Path, metavar="FILE", help=".svg, .png or .pdf (default: NAME.svg)")
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
    written, note = draw(criterion(model(zeros(1, *entry.input_size)), tensor([0])), path, type(model).__name__)
    if note:
        print(f"tinygrad-cnn: {note}", file=sys.stderr)
        return 1
    print(written)
    return 0
