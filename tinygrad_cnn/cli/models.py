"""``tinygrad-cnn models``: the table of the networks."""

import argparse

from .. import models
from .arguments import Commands


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    about = "list the networks: name, parameters, data, paper, what was reached here"
    table = commands.add_parser("models", help=about, description=f"{about.capitalize()}.")
    table.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the table, a line for each network."""
    rows = [("name", "parameters", "image", "data", "paper", "reached here")]
    for entry in models.entries():
        size = "x".join(map(str, entry.input_size))
        rows.append((entry.name, f"{entry.parameters:,}", size, entry.data, entry.paper, entry.reached or "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        padded[1] = row[1].rjust(widths[1])
        print("  ".join(padded).rstrip())
    return 0
