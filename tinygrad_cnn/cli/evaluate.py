"""``tinygrad-cnn eval``: measure what was trained."""

import argparse
from dataclasses import replace
from pathlib import Path

from ..errors import CheckpointError
from ..train import load_checkpoint, recipes, session
from ..train.folder import LAST
from ..train.settings import Settings
from .arguments import Commands, count
from .train import report


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    about = "measure what was trained on held-out images"
    evaluate = commands.add_parser("eval", help=about, description=f"{about.capitalize()}.")
    evaluate.add_argument("path", type=Path, metavar="DIR|FILE", help="a run's folder (its last weights), or a checkpoint")
    evaluate.add_argument("--data", metavar="NAME|DIR", help="other data than it was trained on")
    evaluate.add_argument("--root", metavar="DIR", help="where the files of a named data set are")
    evaluate.add_argument("--limit", type=count, metavar="N", help="only N images")
    evaluate.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Load the weights and ask them about every image."""
    file = options.path / LAST if options.path.is_dir() else options.path
    said = {name: getattr(options, name) for name in ("data", "root", "limit") if getattr(options, name) is not None}
    measured = session.Session.of(replace(_settings_of(options.path, file), **said))
    measured.load(file)
    print(f"{measured.settings.model} from {file}, on {len(measured.val.dataset):,} images; source: {measured.source}")
    report(measured.evaluate(), measured.names)
    return 0


def _settings_of(path: Path, file: Path) -> Settings:
    """A run's own settings; of a single file, the recipe of the network that it says it is of."""
    folder = path if path.is_dir() else path.parent
    if (folder / session.CONFIG).exists():
        return Settings.load(folder / session.CONFIG)
    info = load_checkpoint(file)
    name = info.arguments.get("name", info.architecture.lower())
    if not isinstance(name, str):
        raise CheckpointError(f"{file} does not say which network it is of: its arguments are {info.arguments}")
    return replace(recipes.recipe_for(name), normalization=info.normalization)
