"""``tinygrad-cnn demo``: train a LeNet on MNIST, and show what came of it."""

import argparse
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import data, kernels, models, nn, optim, random, train
from ..errors import MissingExtraError
from ..ops import cross_entropy
from ..train.progress import speed
from .arguments import Commands, count, rate, seed
from .drawing import draw


@dataclass(frozen=True)
class Recipe:
    """How the demo trains: stochastic gradient descent whose rate rises to `lr` and falls to nothing (one cycle)."""

    epochs: int
    batch_size: int
    lr: float
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def __str__(self) -> str:
        return (
            f"{self.epochs} epochs of batches of {self.batch_size}; SGD with momentum {self.momentum} and weight decay "
            f"{self.weight_decay}; learning rate in one cycle up to {self.lr:g}"
        )


QUICK = Recipe(epochs=8, batch_size=64, lr=0.04)
FULL = Recipe(epochs=3, batch_size=64, lr=0.04)


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    demo = commands.add_parser(
        "demo",
        help="train a LeNet on MNIST and show what came of it",
        description="Train a LeNet on MNIST; write its weights, its graph, the curves, and a report with the digits that "
        "it got wrong.",
    )
    demo.add_argument("--quick", action="store_true", help="on the 5,000 digits of the package: seconds, and no network")
    demo.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="where the files go (default: out)")
    demo.add_argument("--epochs", type=count, metavar="N", help=_default("passes over the training digits", "epochs"))
    demo.add_argument("--seed", type=seed, default=0, metavar="N", help="of the weights and the order (default: 0)")
    demo.add_argument("--batch-size", type=count, metavar="N", help=_default("digits in a step", "batch_size"))
    demo.add_argument("--lr", type=rate, metavar="X", help=_default("highest learning rate of the schedule", "lr"))
    demo.add_argument("--root", metavar="DIR", help="a directory with the four files of MNIST")
    demo.set_defaults(run=run)


def _default(what: str, field: str) -> str:
    return f"{what} (default: {getattr(FULL, field)}; with --quick {getattr(QUICK, field)})"


@dataclass
class _Demo:
    """What the parts of the demo share."""

    out: Path
    seed: int
    recipe: Recipe
    digits: data.MNIST
    held_out: data.MNIST
    model: nn.Module

    @property
    def weights(self) -> Path:
        return self.out / "lenet.safetensors"

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    def held_out_batches(self) -> data.DataLoader:
        return data.DataLoader(self.held_out, batch_size=500)


def run(options: argparse.Namespace) -> int:
    """Train a LeNet, measure it, and write down what came of it."""
    recipe = QUICK if options.quick else FULL
    options.out.mkdir(parents=True, exist_ok=True)  # what cannot be written should be known before minutes of training
    random.manual_seed(options.seed)
    demo = _Demo(
        out=options.out,
        seed=options.seed,
        recipe=Recipe(options.epochs or recipe.epochs, options.batch_size or recipe.batch_size, options.lr or recipe.lr),
        digits=data.MNIST(options.root, subset=options.quick),
        held_out=data.MNIST(options.root, train=False, subset=options.quick),
        model=models.LeNet(),
    )
    print(
        f"LeNet ({demo.parameters:,} parameters) learns from {len(demo.digits):,} MNIST digits and is tested on "
        f"{len(demo.held_out):,} others; source: {demo.digits.source}; seed {demo.seed}"
    )
    try:
        with contextlib.ExitStack() as stack:
            # The products of so small a network gain little from a second BLAS thread, and lose much on a busy machine.
            with contextlib.suppress(MissingExtraError):
                stack.enter_context(kernels.blas_threads(1))
            history = _train(demo)
            result = train.evaluate(demo.model, demo.held_out_batches())
        print(f"\ntest error {100 * result.error:.2f} % ({len(result.wrong):,} of {len(demo.held_out):,}), ", end="")
        print(f"trained in {history.seconds:.1f} s at {speed(history.images_per_second)}\n")
        print(result.confusion().table(), end="\n\n")
        _write_results(demo, history, result, options.command_line)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"{str(stop) or 'training was complete'}; the weights are in {demo.weights}") from None
    return 0


class _Weights(train.Callback):
    """Writes the weights after each epoch, and when Ctrl-C ends the training."""

    def __init__(self, demo: _Demo) -> None:
        self.demo = demo

    def on_epoch_end(self, run: train.Run) -> None:
        demo, normalization = self.demo, self.demo.digits.normalization
        epoch = len(run.history.epochs)
        train.save_checkpoint(
            demo.weights, demo.model, run.optimizer, epoch=epoch, normalization=normalization, seed=demo.seed
        )

    def on_fit_end(self, run: train.Run) -> None:
        if run.current.steps or not run.step:  # otherwise the end of an epoch has just been written
            self.on_epoch_end(run)


def _train(demo: _Demo) -> train.History:
    """Fit the model; its weights are written after each epoch, and on Ctrl-C."""
    recipe, model = demo.recipe, demo.model
    batches = data.DataLoader(demo.digits, recipe.batch_size, shuffle=True)
    optimizer = optim.SGD(model.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.lr, epochs=recipe.epochs, steps_per_epoch=len(batches), cycle_momentum=False
    )

    return train.fit(
        model,
        batches,
        demo.held_out_batches(),
        epochs=recipe.epochs,
        optimizer=optimizer,
        scheduler=schedule,
        callbacks=[_Weights(demo)],
    )


def _write_results(demo: _Demo, history: train.History, result: train.Evaluation, command_line: str) -> None:
    """Write the graph, the curves and the report, and list the files; a line for each that an extra is missing for."""
    files, notes, drawings = [demo.weights], [], {}
    images, labels = next(iter(data.DataLoader(demo.digits, demo.recipe.batch_size)))
    graph, note = draw(cross_entropy(demo.model(images), labels), demo.out / "graph.svg", "LeNet")
    files.append(graph)
    if note:
        notes.append(note)
    else:
        drawings["graph"] = graph.read_text(encoding="utf-8")
    curves = demo.out / "curves.svg"
    try:
        train.save_curves(curves, history)
        files.append(curves)
        drawings["curves"] = curves.read_text(encoding="utf-8")
    except MissingExtraError as error:
        notes.append(f"no {curves}: {error}")
    files.append(demo.out / "report.html")
    train.save_report(files[-1], _report(demo, history, result, command_line, drawings, notes))
    for file in files:
        print(f"{file}  ({file.stat().st_size / 1000:,.0f} kB)")
    for note in notes:
        print(note)


def _report(
    demo: _Demo,
    history: train.History,
    result: train.Evaluation,
    command_line: str,
    drawings: Mapping[str, str],
    notes: Sequence[str],
) -> train.Report:
    """Put together what the report tells."""
    recipe, digits, held_out = demo.recipe, demo.digits, demo.held_out
    return train.Report(
        title="LeNet on MNIST",
        subtitle=f"Trained on {len(digits):,} handwritten digits, tested on {len(held_out):,} that it had never seen.",
        figures={
            "test error": f"{100 * result.error:.2f} %",
            f"wrong of {len(held_out):,}": f"{len(result.wrong):,}",
            "epochs": str(recipe.epochs),
            "training": f"{history.seconds:.0f} s",
            "images a second": f"{history.images_per_second:,.0f}",
            "parameters": f"{demo.parameters:,}",
        },
        evaluation=result,
        images=held_out.images,
        names=[str(digit) for digit in range(10)],
        environment={
            "command": command_line,
            "training": str(recipe),
            "data": f"{digits.source}; pixels scaled as {digits.normalization!r}",
            "seed": str(demo.seed),
            **train.environment(),
        },
        curves=drawings.get("curves"),
        graph=drawings.get("graph"),
        notes=notes,
    )
