"""Deeper is worse without shortcuts and better with them: plain and residual networks of several depths, side by side.

    python examples/plain_vs_residual.py --out runs/depths       # figure 6 of the paper, on CIFAR-10: days on one core
    python examples/plain_vs_residual.py --depths 8 20 32 --epochs 6 --limit 5000 --data fashion-mnist --out runs/small
    python examples/plain_vs_residual.py --quick                 # 8 and 14 layers, some digits, some seconds

Plain and residual networks of one depth have the same parameters and the same recipe, that of resnet20_cifar10.py; the
shortcuts pad with zeros. Each network has a folder in that of --out, and goes on from its last checkpoint if it was stopped;
curves.svg is drawn anew after each depth. The training error is measured after each epoch, as the test error is, on pictures
that are not distorted; the paper's is that of the distorted ones.

He, Zhang, Ren, Sun 2015, "Deep residual learning for image recognition", section 4.2 and figure 6.
"""

import argparse
import copy
from importlib.util import find_spec
from pathlib import Path

import tinygrad_cnn as tg
from tinygrad_cnn import data, nn, optim
from tinygrad_cnn.data import transforms
from tinygrad_cnn.errors import ArgumentError, CheckpointError, DataError, MissingExtraError
from tinygrad_cnn.models import CIFARResNet
from tinygrad_cnn.train import evaluate, fit
from tinygrad_cnn.train.pipeline import DATA_SETS

# Test errors of table 6. Of the plain networks the paper only draws the curves, and says that 110 layers stay above 60 %.
PAPER = {("residual", 20): "8.75", ("residual", 32): "7.51", ("residual", 44): "7.17", ("residual", 56): "6.97",
         ("residual", 110): "6.43", ("plain", 110): "> 60"}  # fmt: skip
SHORTCUTS = {"plain": "none", "residual": "A"}
TRAINING_ERROR_ON = 2000  # of the training pictures
QUICK = {"data": "mnist-subset", "depths": [8, 14], "epochs": 3, "limit": 384, "batch_size": 32}


def pictures(options):
    """Training pictures, some of them undistorted, and test pictures; from all, the mean picture is taken off."""
    kind = DATA_SETS[options.data]
    train_set, test_set = (kind.make(options.root, train, None) for train in (True, False))
    centred = transforms.Normalize(train_set.images.mean(axis=0).reshape(kind.size) / 255)
    distorted = [transforms.RandomCrop(kind.size[1:], padding=4)]
    if options.data.startswith(("cifar", "fashion")):  # letters and digits in the mirror are none
        distorted.append(transforms.RandomHorizontalFlip())
    seen = copy.copy(train_set)  # the same arrays
    train_set.transform, seen.transform, test_set.transform = transforms.Compose([centred, *distorted]), centred, centred
    train_set, seen, test_set = (data.Subset(one, range(len(one))[: options.limit]) for one in (train_set, seen, test_set))
    return train_set, data.Subset(seen, range(len(seen))[:TRAINING_ERROR_ON]), test_set


def network(kind, depth, options):
    """A plain or a residual network, for colour pictures or grey ones."""
    channels = DATA_SETS[options.data].size[0]
    net = CIFARResNet(depth, DATA_SETS[options.data].classes, shortcut=SHORTCUTS[kind])
    if channels != 3:
        net.conv1 = nn.Conv2d(channels, 16, kernel_size=3, padding=1, bias=False)
        net.reset_parameters()
    return net


def train(kind, depth, sets, options):
    """Train one network by the paper's recipe; its history has the two errors after each epoch."""
    tg.manual_seed(options.seed)
    net = network(kind, depth, options)
    train_set, seen, test_set = sets
    batches = data.DataLoader(train_set, options.batch_size, shuffle=True, num_workers=options.workers)
    updates = options.epochs * len(batches)
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    schedules = [optim.lr_scheduler.MultiStepLR(optimizer, [updates // 2, updates * 3 // 4], gamma=0.1)]
    if depth >= 110 and updates >= 10:
        schedules.append(optim.lr_scheduler.ConstantLR(optimizer, factor=0.1, total_iters=min(400, updates // 10)))
    folder = Path(options.out, f"{kind}-{depth}") if options.out else None
    return fit(
        net,
        batches,
        data.DataLoader(test_set, 500),
        epochs=options.epochs,
        optimizer=optimizer,
        scheduler=schedules,
        metrics={"train_error": lambda _: evaluate(net, data.DataLoader(seen, 500)).error},
        checkpoint=folder,
        resume=folder,
        every=100 if folder else None,
    )


def draw(histories, path):
    """Figure 6: plain networks on the left, residual ones on the right; training errors dashed, test errors bold."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    depths = sorted({depth for _, depth in histories})
    colours = dict(zip(depths, colormaps["viridis"]([i / len(depths) for i in range(len(depths))]), strict=True))
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, kind in zip(figure.subplots(1, 2, sharey=True), SHORTCUTS, strict=True):
        for depth in depths:
            trained, tested = errors_of(histories[kind, depth])
            numbers = range(1, len(tested) + 1)
            axes.plot(numbers, trained, "--", color=colours[depth], linewidth=1)
            axes.plot(numbers, tested, "-", color=colours[depth], linewidth=2, marker=".", label=f"{depth} layers")
        axes.set(title=f"{kind} (dashed: training, bold: test)", xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y", alpha=0.2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    figure.axes[0].set(ylabel="error (%)", ylim=(0, None))
    figure.savefig(path)


def errors_of(history):
    """The training errors and the test errors after each epoch, in per cent."""
    return [100 * e.metrics["train_error"] for e in history.epochs], [100 * e.val_error for e in history.epochs]


def compare(options):
    if options.out and find_spec("matplotlib") is None:
        raise MissingExtraError("drawing the curves", "plot")
    sets = pictures(options)
    histories = {}
    for depth in options.depths:
        for kind in SHORTCUTS:
            print(f"{kind} network of {depth} layers", flush=True)
            histories[kind, depth] = train(kind, depth, sets, options)
        if options.out:
            draw(histories, Path(options.out, "curves.svg"))
    print(f"\nErrors in % after {options.epochs} epochs on {options.data}; the paper's on CIFAR-10 after 164")
    print(f"{'':18}{'training':>10}{'test':>10}{'paper, test':>14}")
    for (kind, depth), history in histories.items():
        trained, tested = (errors[-1] for errors in errors_of(history))
        print(f"{kind + '-' + str(depth):18}{trained:10.2f}{tested:10.2f}{PAPER.get((kind, depth), '-'):>14}")
    return histories


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", type=int, nargs="+", default=[20, 32, 44, 56], help="each 6 n + 2")
    parser.add_argument("--epochs", type=int, default=164, help="164 epochs are the paper's 64,000 updates")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--data", choices=DATA_SETS, default="cifar10")
    parser.add_argument("--root", help="a directory that has the data set's files")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N training and N test pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="threads that prepare batches")
    parser.add_argument("--out", metavar="FOLDER", help="for the checkpoints and curves.svg; if it has some, go on from there")
    parser.add_argument("--quick", action="store_true", help="8 and 14 layers, 384 digits, 3 epochs, unless you say otherwise")
    options = parser.parse_args(arguments)
    if options.quick:
        parser.set_defaults(**QUICK)
        options = parser.parse_args(arguments)
    try:
        return compare(options)
    except DataError as error:
        raise SystemExit(f"{error}\n(--data mnist-subset needs no download.)") from None
    except (ArgumentError, CheckpointError, MissingExtraError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
