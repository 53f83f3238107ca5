"""Two 3x3 convolutions against one 5x5: the same pixels are seen, with fewer weights and one nonlinearity more.

    python examples/vgg_3x3_vs_5x5.py --out pairs.svg      # on Fashion-MNIST (Debian: apt install dataset-fashion-mnist)
    python examples/vgg_3x3_vs_5x5.py --data cifar10 --epochs 30
    python examples/vgg_3x3_vs_5x5.py --quick              # on digits that come with the package, some seconds

Each pair of 3x3 convolutions, with a ReLU after each, becomes one 5x5 with a ReLU; all else is equal. The paper did so with
its net B: the net of 5x5 had a top-1 error that was 7 % higher on ImageNet.

All the convolutions compared have as many maps as they read, C: a pair has 18 C^2 weights, a 5x5 has 25 C^2. (Where a pair
also doubles the maps, as the first ones of net B's blocks do, it has 13.5 C^2, and a 5x5 only 12.5 C^2.)

Simonyan, Zisserman 2014, "Very deep convolutional networks for large-scale image recognition", sections 2.3 and 4.1.
"""

import argparse
from importlib.util import find_spec
from statistics import mean

import tinygrad_cnn as tg
from tinygrad_cnn import data, nn, optim
from tinygrad_cnn.data import transforms
from tinygrad_cnn.errors import DataError, MissingExtraError
from tinygrad_cnn.train import evaluate, fit
from tinygrad_cnn.train.pipeline import DATA_SETS

KERNELS = {"two 3x3": (3, 3), "one 5x5": (5,)}
MEASURED_ON = 2000  # training pictures, for the training error
QUICK = {"data": "mnist-subset", "epochs": 4, "limit": 1000, "batch_size": 32, "width": 8, "repeats": 2}


def pictures(options):
    """Training and test pictures, with the mean picture taken off."""
    kind = DATA_SETS[options.data]
    sets = [kind.make(options.root, train, None) for train in (True, False)]
    for one in sets:
        one.transform = transforms.Normalize(sets[0].images.mean(axis=0).reshape(kind.size) / 255)
    return [data.Subset(one, range(len(one))[: options.limit]) for one in sets]


def network(kernels, options):
    """A first convolution, which all networks share, then two blocks that end with pooling, and two fully connected layers."""
    kind, width = DATA_SETS[options.data], options.width

    def block():
        return [part for k in kernels for part in (nn.Conv2d(width, width, k, padding="same"), nn.ReLU())]

    net = nn.Sequential(
        nn.Conv2d(kind.size[0], width, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
        *block(), nn.MaxPool2d(2),
        *block(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(width * (kind.size[1] // 8) ** 2, 4 * width), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(4 * width, kind.classes),
    )  # fmt: skip
    for layer in net:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return net


def train(kernels, seed, sets, options):
    """One network: its error on training pictures, and its history."""
    tg.manual_seed(seed)
    net, (train_set, test_set) = network(kernels, options), sets
    batches = data.DataLoader(train_set, options.batch_size, shuffle=True)
    optimizer = optim.SGD(net.parameters(), lr=options.lr, momentum=0.9, weight_decay=5e-4)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs * len(batches))
    test = data.DataLoader(test_set, 500)
    history = fit(net, batches, test, epochs=options.epochs, optimizer=optimizer, scheduler=schedule, progress=False)
    seen = data.Subset(train_set, range(len(train_set))[:MEASURED_ON])
    return evaluate(net, data.DataLoader(seen, 500)).error, history


def draw(histories, options):
    """The test error after each epoch, a line for each network."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    numbers = range(1, options.epochs + 1)
    for (name, several), colour in zip(histories.items(), ("#3b82f6", "#f97316"), strict=True):
        errors = [[100 * epoch.val_error for epoch in history.epochs] for history in several]
        for one in errors:
            axes.plot(numbers, one, color=colour, linewidth=0.8, alpha=0.5)
        axes.plot(numbers, list(map(mean, zip(*errors, strict=True))), color=colour, linewidth=2, marker=".", label=name)
    seeds = f", mean of {options.repeats} seeds" if options.repeats > 1 else ""
    axes.set(title=f"Test error (%), {options.data}{seeds}", xlabel="epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.2)
    axes.legend(frameon=False)
    figure.savefig(options.out)


def compare(options):
    if options.out and find_spec("matplotlib") is None:
        raise MissingExtraError("drawing the result", "plot")
    sets = pictures(options)
    seeds = range(options.seed, options.seed + options.repeats)
    print(f"{len(sets[0]):,} pictures of {options.data}, {options.epochs} epochs, seeds {', '.join(map(str, seeds))}")
    print(f"{'':10}{'parameters':>12}{'multiply-adds':>15}{'training %':>12}{'test %':>9}   test % of each seed")
    histories, errors = {}, {}
    for name, kernels in KERNELS.items():
        runs = [train(kernels, seed, sets, options) for seed in seeds]
        histories[name] = [history for _, history in runs]
        tested = [100 * history.epochs[-1].val_error for history in histories[name]]
        errors[name] = mean(tested)
        size = nn.summary(network(kernels, options), DATA_SETS[options.data].size)
        print(
            f"{name:10}{size.total_params:12,}{size.total_mult_adds:15,}{100 * mean(error for error, _ in runs):12.2f}"
            f"{errors[name]:9.2f}   {', '.join(f'{one:.2f}' for one in tested)}",
            flush=True,
        )
    more = errors["one 5x5"] - errors["two 3x3"]
    print(f"one 5x5: {abs(more):.2f} % {'more' if more > 0 else 'less'} test error than two 3x3; ", end="")
    print("in the paper, on ImageNet, 7 % more (top-1)")
    if options.out:
        draw(histories, options)
    return errors


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA_SETS, default="fashion-mnist")
    parser.add_argument("--root", help="a directory that has the data set's files")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N training and N test pictures")
    parser.add_argument("--width", type=int, default=32, help="maps of every convolution")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.03, help="the rate at first; it ends at 0")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--repeats", type=int, default=3, help="how many seeds the errors are averaged over")
    parser.add_argument("--out", metavar="FILE", help="where to draw the errors (.svg, .png)")
    parser.add_argument("--quick", action="store_true", help="small networks on 1,000 digits, unless you say otherwise")
    options = parser.parse_args(arguments)
    if options.quick:
        parser.set_defaults(**QUICK)
        options = parser.parse_args(arguments)
    try:
        return compare(options)
    except DataError as error:
        raise SystemExit(f"{error}\n(--data mnist-subset needs no download.)") from None
    except MissingExtraError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
