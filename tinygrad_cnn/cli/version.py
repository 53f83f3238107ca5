"""``tinygrad-cnn version``: say what is installed."""

import argparse

from .. import train
from .arguments import Commands


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    about = "say what is installed"
    version = commands.add_parser("version", help=about, description=f"{about.capitalize()}.")
    version.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Say what is installed: the environment, and each extra with its packages."""
    for name, value in train.environment().items():
        print(f"{name:<14}{value}")
    for extra, packages in train.extras().items():
        missing = [name for name, version in packages.items() if version is None]
        found = ", ".join(f"{name} {version}" for name, version in packages.items() if version is not None)
        lacking = f'no {", ".join(missing)}: pip install "tinygrad_cnn[{extra}]"'
        print(f"{f'[{extra}]':<14}{lacking if missing else found}")
    return 0
