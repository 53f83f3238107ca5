"""The command ``tinygrad-cnn``.

    tinygrad-cnn demo [--quick]      train a LeNet on MNIST; the results go to out/
    tinygrad-cnn graph lenet         draw a network's graph
    tinygrad-cnn verify              check every op of the package
    tinygrad-cnn version             say what is installed

Each subcommand is a function from the parsed arguments to the exit code: 0 all well, 1 not all that was asked for could be
done, 2 a wrong argument or a file that cannot be read, 130 Ctrl-C. What is wrong is said in one line on stderr.
"""

import argparse
import contextlib
import math
import os
import shlex
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from . import data, kernels, models, nn, optim, random, train, viz
from .creation import tensor, zeros
from .errors import MissingExtraError, TinygradError
from .ops import cross_entropy
from .tensor import Tensor
from .version import __version__

PROGRAM = "tinygrad-cnn"


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

# What `graph` can draw: the class, and the shape of one of its images.
_NETWORKS: dict[str, tuple[type[nn.Module], tuple[int, ...]]] = {
    "lenet": (models.LeNet, (1, 28, 28)),
    "lenet5": (models.SmallLeNet5, (1, 28, 28)),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name; those of this process if not given.

    Returns
    -------
    int
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    options.command_line = shlex.join([PROGRAM, *arguments])
    if argv is None and options.command == "demo":
        _start_again_on_one_blas_thread(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as stop:
        _complain(f"stopped by Ctrl-C{f': {stop}' if str(stop) else ''}")
        return 130
    except BrokenPipeError:
        # `tinygrad-cnn version | head -1`: the reader has enough. Nothing is left to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (TinygradError, OSError) as error:
        _complain(str(error))
        return 2


def _start_again_on_one_blas_thread(arguments: list[str]) -> None:
    """Where threadpoolctl is not installed, the number of BLAS threads is what it was when NumPy was loaded: start again.

    On a busy machine the second thread of so many small products makes the demo many times slower, not faster.
    """
    if find_spec("threadpoolctl") is None and "OPENBLAS_NUM_THREADS" not in os.environ and os.name == "posix":
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "tinygrad_cnn", *arguments])


def _complain(message: str) -> None:
    print(f"{PROGRAM}: {message}", file=sys.stderr)


# The arguments --------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    about = "Convolutional networks on NumPy: train one, draw one, check every op."
    parser = argparse.ArgumentParser(prog=PROGRAM, description=about)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    _add_demo(commands)

    graph = commands.add_parser("graph", help="draw a network's graph", description="Draw the graph of a network's loss.")
    graph.add_argument("network", choices=sorted(_NETWORKS), help=f"one of: {', '.join(sorted(_NETWORKS))}")
    graph.add_argument("-o", "--output", type=Path, metavar="FILE", help=".svg, .png or .pdf (default: NETWORK.svg)")
    graph.set_defaults(run=_graph)

    about = "check every op against independent definitions"
    check = commands.add_parser("verify", help=about, description=f"{about.capitalize()}.")
    check.add_argument("--full", action="store_true", help="a row for each case instead of one for each op")
    check.add_argument("--html", type=Path, metavar="FILE", help="write the table as a page, too")
    check.set_defaults(run=_verify)

    about = "say what is installed"
    version = commands.add_parser("version", help=about, description=f"{about.capitalize()}.")
    version.set_defaults(run=_version)
    return parser


def _add_demo(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    demo = commands.add_parser(
        "demo",
        help="train a LeNet on MNIST and show what came of it",
        description="Train a LeNet on MNIST; write its weights, its graph, the curves, and a report with the digits that "
        "it got wrong.",
    )
    demo.add_argument("--quick", action="store_true", help="on the 5,000 digits of the package: seconds, and no network")
    demo.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="where the files go (default: out)")
    demo.add_argument("--epochs", type=_count, metavar="N", help=_default("passes over the training digits", "epochs"))
    demo.add_argument("--seed", type=_seed, default=0, metavar="N", help="of the weights and the order (default: 0)")
    demo.add_argument("--batch-size", type=_count, metavar="N", help=_default("digits in a step", "batch_size"))
    demo.add_argument("--lr", type=_rate, metavar="X", help=_default("highest learning rate of the schedule", "lr"))
    demo.add_argument("--root", metavar="DIR", help="a directory with the four files of MNIST")
    demo.set_defaults(run=_demo)


def _default(what: str, field: str) -> str:
    return f"{what} (default: {getattr(FULL, field)}; with --quick {getattr(QUICK, field)})"


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, got {text!r}")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return rate


# demo -----------------------------------------------------------------------------------------------------------------


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


def _demo(options: argparse.Namespace) -> int:
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
        print(f"trained in {history.seconds:.1f} s at {history.images_per_second:,.0f} images/s\n")
        print(result.confusion().table(), end="\n\n")
        _write_results(demo, history, result, options.command_line)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"{str(stop) or 'training was complete'}; the weights are in {demo.weights}") from None
    return 0


def _train(demo: _Demo) -> train.History:
    """Fit the model; its weights are written after each epoch, and on Ctrl-C."""
    recipe, model = demo.recipe, demo.model
    batches = data.DataLoader(demo.digits, recipe.batch_size, shuffle=True)
    optimizer = optim.SGD(model.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.lr, epochs=recipe.epochs, steps_per_epoch=len(batches), cycle_momentum=False
    )

    def checkpoint(history: train.History) -> None:
        epoch, normalization = len(history.epochs), demo.digits.normalization
        train.save_checkpoint(
            demo.weights, model, optimizer, epoch=epoch, normalization=normalization, seed=demo.seed
        )

    return train.fit(
        model,
        batches,
        demo.held_out_batches(),
        epochs=recipe.epochs,
        optimizer=optimizer,
        scheduler=schedule,
        checkpoint=checkpoint,
    )


def _write_results(demo: _Demo, history: train.History, result: train.Evaluation, command_line: str) -> None:
    """Write the graph, the curves and the report, and list the files; a line for each that an extra is missing for."""
    files, notes, drawings = [demo.weights], [], {}
    images, labels = next(iter(data.DataLoader(demo.digits, demo.recipe.batch_size)))
    graph, note = _draw(cross_entropy(demo.model(images), labels), demo.out / "graph.svg", "LeNet")
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


def _draw(loss: Tensor, path: Path, title: str) -> tuple[Path, str]:
    """Draw a graph; return the file that was written, and what to say if it is not the picture."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        written = viz.graph(loss, title=title).render(path)
    return written, "; ".join(str(warning.message) for warning in caught)


# graph, verify, version -----------------------------------------------------------------------------------------------


def _graph(options: argparse.Namespace) -> int:
    """Draw the loss of a network on one blank image."""
    network, shape = _NETWORKS[options.network]
    path = options.output or Path(f"{options.network}.svg")
    loss = cross_entropy(network()(zeros(1, *shape)), tensor([0]))
    written, note = _draw(loss, path, network.__name__)
    if note:
        _complain(note)
        return 1
    print(written)
    return 0


def _verify(options: argparse.Namespace) -> int:
    """Check every op; its table goes to stdout."""
    from . import verify  # a thousand cases, which nobody else needs

    return 0 if verify.run(full=options.full, stream=sys.stdout, html=options.html) else 1


def _version(options: argparse.Namespace) -> int:
    """Say what is installed: the environment, and each extra with its packages."""
    for name, value in train.environment().items():
        print(f"{name:<14}{value}")
    for extra, packages in train.extras().items():
        missing = [name for name, version in packages.items() if version is None]
        found = ", ".join(f"{name} {version}" for name, version in packages.items() if version is not None)
        lacking = f'no {", ".join(missing)}: pip install "tinygrad_cnn[{extra}]"'
        print(f"{f'[{extra}]':<14}{lacking if missing else found}")
    return 0
