"""``tinygrad-cnn train``: train a network of the registry by its recipe."""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..train import Evaluation, History, recipes, session
from ..train.progress import speed
from ..train.settings import OPTIMIZERS, SCHEDULES, Settings, chosen
from .arguments import Commands, count, rate, seed


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    train = commands.add_parser(
        "train",
        help="train a network by its recipe",
        description="Train a network of `tinygrad-cnn models`. What is not said is as in the network's recipe: the paper's for "
        "CIFAR-10 and ImageNet, a few epochs in one cycle for digits.",
    )
    train.add_argument("network", metavar="NAME", help="one of those that `tinygrad-cnn models` lists")
    train.add_argument("--data", metavar="NAME|DIR", help="a data set, or a directory with train/CLASS/ and val/CLASS/")
    train.add_argument("--root", metavar="DIR", help="where the files of a named data set are, or are downloaded to")
    train.add_argument("--out", type=Path, metavar="DIR", help="where the files go (default: runs/NAME)")
    train.add_argument("--epochs", type=count, metavar="N", help="passes over the training data")
    train.add_argument("--batch-size", type=count, metavar="N", help="images in a step")
    train.add_argument("--lr", type=rate, metavar="X", help="learning rate; the highest one of the schedule")
    train.add_argument("--optimizer", metavar="NAME", help=f"one of: {', '.join(OPTIMIZERS)} (with its own defaults)")
    train.add_argument("--schedule", metavar="NAME", help=f"one of: {', '.join(SCHEDULES)}")
    train.add_argument("--augment", action=argparse.BooleanOptionalAction, help="distort the training images")
    train.add_argument("--clip-norm", type=rate, metavar="X", help="largest norm of the gradients")
    train.add_argument("--ema", type=rate, metavar="D", help="measure a moving average of the weights with this decay")
    train.add_argument("--seed", type=seed, metavar="N", help="of the weights, the order and the distortions (default: 0)")
    train.add_argument("--limit", type=count, metavar="N", help="only N training images, and held-out ones")
    train.add_argument("--workers", type=seed, metavar="N", help="threads that load images ahead (default: 0)")
    train.add_argument("--threads", type=count, metavar="N", help="threads of the matrix products")
    train.add_argument("--every", type=count, metavar="N", help="save after every N steps, besides after each epoch")
    train.add_argument("--tensorboard", action="store_true", default=None, help="write files for TensorBoard, too")
    train.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train, from the first step to the last."""
    settings = settings_of(options)
    folder = options.out or Path("runs", settings.model)
    go(session.begin(settings, folder), folder)
    return 0


def settings_of(options: argparse.Namespace) -> Settings:
    """The network's recipe with what the options change."""
    recipe = recipes.recipe_for(options.network)
    said = {name: value for name, value in vars(options).items() if name in vars(recipe) and value is not None}
    if "optimizer" in said:
        chosen("optimizer", said["optimizer"], OPTIMIZERS)
        if said["optimizer"] != recipe.optimizer:
            # The rate and the momentum of another optimizer mean nothing to this one.
            said = {"lr": None, "optimizer_options": {}, **said}
    if "schedule" in said:
        chosen("schedule", said["schedule"], SCHEDULES)
        if said["schedule"] != recipe.schedule:
            said["schedule_options"] = {}
    return replace(recipe, **said)


def go(run: session.Session, folder: Path) -> None:
    """Train in a folder, begin or go on, and say what came of it."""
    settings = run.settings
    print(
        f"{settings.model} ({run.parameters:,} parameters) learns from {len(run.train.dataset):,} images and is tested on "
        f"{len(run.val.dataset):,} others; source: {run.source}; seed {settings.seed}; files: {folder}"
    )
    try:
        history = run.fit(folder)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"{stop}; to go on: {shlex.join(['tinygrad-cnn', 'resume', str(folder)])}") from None
    result = run.evaluate()
    report(result, run.names, history)
    for note in session.save_results(folder, run, history, result):
        print(note)


def report(result: Evaluation, names: Sequence[str] | None, history: History | None = None) -> None:
    """Print the error, how long it took, and for a few classes the confusion table."""
    took = "" if history is None else f", trained in {history.seconds:.1f} s at {speed(history.images_per_second)}"
    print(f"\ntest error {100 * result.error:.2f} % ({len(result.wrong):,} of {len(result.targets):,}){took}")
    if result.probabilities.shape[1] <= 20:
        print(f"\n{result.confusion(names).table()}")
