"""AlexNet's tricks one by one, on a network and a data set small enough to see each at work.

    python examples/alexnet_tricks.py --out tricks.svg     # on Fashion-MNIST (Debian: apt install dataset-fashion-mnist)
    python examples/alexnet_tricks.py --data cifar10 --width 64 --epochs 30 --out tricks.svg       # more like the paper's
    python examples/alexnet_tricks.py --quick              # on digits that come with the package, half a minute

First ReLU against tanh as in figure 1: how many updates a network of four layers, without any regularization and with the
rate that suits it best, takes to 25 % training error. Then what the paper adds, each trick on top of those before, all
networks trained alike: response normalization (section 3.3), overlapping pooling (3.4), dropout (4.2), and pictures that are
moved, mirrored and, if they have colours, differently lit (4.1).

The tricks against overfitting cost training error and need many epochs; after a few, do not expect them to pay. Response
normalization with the paper's k = 2 also makes signals smaller, 2^-0.75 = 0.59 times in each of two places, which slows the
first epochs.

Krizhevsky, Sutskever, Hinton 2012, "ImageNet classification with deep convolutional neural networks".
"""

import argparse
import copy
import itertools
import math
from importlib.util import find_spec

import tinygrad_cnn as tg
from tinygrad_cnn import data, nn, optim
from tinygrad_cnn.data import transforms
from tinygrad_cnn.errors import DataError, MissingExtraError
from tinygrad_cnn.train import evaluate, fit
from tinygrad_cnn.train.pipeline import DATA_SETS

# Each row adds something to the row before; the last column is what the paper says of it (ImageNet's errors are top-1).
TRICKS = [
    ("tanh", {"activation": "tanh"}, "figure 1, see above"),
    ("ReLU", {"activation": "relu"}, "figure 1, see above"),
    ("+ response norm", {"norm": True}, "CIFAR-10: 13 -> 11; ImageNet: -1.4"),
    ("+ overlapping pooling", {"overlapping": True}, "ImageNet: -0.4"),
    ("+ dropout", {"dropout": True}, "twice the updates, much less overfitting"),
    ("+ augmentation", {"augmented": True}, "less overfitting; ImageNet, light: over -1"),
]
PAPER_RATIO = 6  # ReLU's lead on CIFAR-10
MEASURED_ON = 1000  # training pictures, for the training error
QUICK = {"data": "mnist-subset", "epochs": 3, "limit": 640, "batch_size": 32, "width": 8, "rates": [0.01, 0.03], "most": 100}


def pictures(options):
    """Training pictures, the same augmented, and test pictures; from all, the mean picture is taken off."""
    kind = DATA_SETS[options.data]
    train_set, test_set = (kind.make(options.root, train, None) for train in (True, False))
    centred = transforms.Normalize(train_set.images.mean(axis=0).reshape(kind.size) / 255)
    light = []
    if kind.size[0] == 3:
        light.append(transforms.PCAColorNoise.fit(train_set.images[:5000] / 255))
    moved = [transforms.RandomCrop(kind.size[1:], padding=2)]
    if options.data.startswith(("cifar", "fashion")):  # letters and digits in the mirror are none
        moved.append(transforms.RandomHorizontalFlip())
    augmented = copy.copy(train_set)  # the same arrays
    train_set.transform, test_set.transform = centred, centred
    augmented.transform = transforms.Compose([*light, centred, *moved])
    return [data.Subset(one, range(len(one))[: options.limit]) for one in (train_set, augmented, test_set)]


def network(options, activation="relu", norm=False, overlapping=False, dropout=False):
    """Three convolutions and two fully connected layers, with AlexNet's parts in AlexNet's order."""
    kind, width = DATA_SETS[options.data], options.width
    act = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]

    def pool():  # windows of 3 or 2 pixels at a step of 2, to equal sizes
        return nn.MaxPool2d(3, stride=2, ceil_mode=True) if overlapping else nn.MaxPool2d(2)

    def response_norm():  # the paper's alpha of 1e-4 for each of 5 neighbours
        return [nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)] if norm else []

    net = nn.Sequential(
        nn.Conv2d(kind.size[0], width, 5, padding=2), act(), *response_norm(), pool(),
        nn.Conv2d(width, 2 * width, 5, padding=2), act(), *response_norm(), pool(),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1), act(), pool(),
        nn.Flatten(),
        nn.Linear(2 * width * (kind.size[1] // 8) ** 2, 8 * width), act(), *([nn.Dropout(0.5)] if dropout else []),
        nn.Linear(8 * width, kind.classes),
    )  # fmt: skip
    for layer in net:
        if isinstance(layer, nn.Conv2d | nn.Linear):  # so that signals keep their size, whatever the activation
            nn.init.kaiming_normal_(layer.weight, nonlinearity=activation)
            nn.init.zeros_(layer.bias)
    return net


def race(activation, rate, train_set, options):
    """The training error after every few updates, until it is below the target: pairs (updates, error)."""
    tg.manual_seed(options.seed)
    net = network(options, activation)
    optimizer = optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    some = data.DataLoader(data.Subset(train_set, range(len(train_set))[:MEASURED_ON]), 500)
    batches = data.DataLoader(train_set, options.batch_size, shuffle=True)
    curve, updates = [(0, evaluate(net, some).error)], 0
    while updates < options.most:
        for images, labels in itertools.islice(batches, options.most - updates):
            optimizer.zero_grad()
            loss = tg.cross_entropy(net(images), labels)
            if not math.isfinite(loss.item()):  # too large a rate
                return curve
            loss.backward()
            optimizer.step()
            updates += 1
            if updates % options.every == 0:
                curve.append((updates, evaluate(net, some).error))
                if curve[-1][1] < options.target:
                    return curve
    return curve


def relu_against_tanh(train_set, options):
    """The curve of each at the rate that is quickest for it."""
    best, needed = {}, {}
    for activation in ("relu", "tanh"):
        curves = {rate: race(activation, rate, train_set, options) for rate in options.rates}
        updates = {rate: curve[-1][0] if curve[-1][1] < options.target else math.inf for rate, curve in curves.items()}
        quickest = min(updates, key=updates.get)
        best[activation], needed[activation] = curves[quickest], updates[quickest]
        tried = ", ".join(f"{rate:g}: {'not in time' if n == math.inf else n}" for rate, n in updates.items())
        print(f"{activation}: updates to {100 * options.target:g} % training error by rate: {tried}", flush=True)
    if all(map(math.isfinite, needed.values())):
        print(f"ReLU is {needed['tanh'] / needed['relu']:.1f} times as fast as tanh; ", end="")
    print(f"in the paper, on CIFAR-10, {PAPER_RATIO} times")
    return best


def one_by_one(train_set, augmented, test_set, options):
    """The errors on training and test pictures, in per cent, of each row of the table."""
    some = data.DataLoader(data.Subset(train_set, range(len(train_set))[:MEASURED_ON]), 500)
    parts, errors = {}, {}
    print(f"\nErrors in % after {options.epochs} epochs on {len(train_set):,} pictures of {options.data}, seed {options.seed}")
    print(f"{'':24}{'training':>10}{'test':>8}   the paper: change of the test error, or what it says")
    for name, added, paper in TRICKS:
        parts |= added
        net_parts = {part: value for part, value in parts.items() if part != "augmented"}
        tg.manual_seed(options.seed)
        net = network(options, **net_parts)
        batches = data.DataLoader(augmented if "augmented" in parts else train_set, options.batch_size, shuffle=True)
        optimizer = optim.SGD(net.parameters(), lr=options.lr, momentum=0.9, weight_decay=5e-4)
        schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs * len(batches))
        fit(net, batches, epochs=options.epochs, optimizer=optimizer, scheduler=schedule, progress=False)
        errors[name] = 100 * evaluate(net, some).error, 100 * evaluate(net, data.DataLoader(test_set, 500)).error
        print(f"{name:24}{errors[name][0]:10.2f}{errors[name][1]:8.2f}   {paper}", flush=True)
    return errors


def draw(curves, errors, options):
    """Figure 1 of the paper on the left, and the table as bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (activation, curve), style in zip(curves.items(), ("-", "--"), strict=True):
        name = {"relu": "ReLU", "tanh": "tanh"}[activation]
        left.plot([n for n, _ in curve], [100 * error for _, error in curve], style, color="black", label=name)
    left.axhline(100 * options.target, color="black", linewidth=0.7, linestyle=":")
    left.set(title=f"Training error (%), {options.data}", xlabel="updates", ylim=(0, 100))
    left.legend(frameon=False)
    names, places = list(errors), range(len(errors))
    trained, tested = zip(*errors.values(), strict=True)
    right.barh(places, tested, color="#f97316", height=0.6, label="test")
    right.plot(trained, places, "d", color="#3b82f6", label="training")
    for place, percent in zip(places, tested, strict=True):
        right.annotate(f"{percent:.1f}", (percent, place), (4, 0), textcoords="offset points", va="center")
    right.set(title=f"Error (%) after {options.epochs} epochs, tricks added one by one", xlim=(0, 1.2 * max(*trained, *tested)))
    right.set_yticks(places, names)
    right.invert_yaxis()
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=2, frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(options.out)


def compare(options):
    if options.out and find_spec("matplotlib") is None:
        raise MissingExtraError("drawing the result", "plot")
    train_set, augmented, test_set = pictures(options)
    curves = relu_against_tanh(train_set, options)
    errors = one_by_one(train_set, augmented, test_set, options)
    if options.out:
        draw(curves, errors, options)
    return curves, errors


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA_SETS, default="fashion-mnist")
    parser.add_argument("--root", help="a directory that has the data set's files")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N training and N test pictures")
    parser.add_argument("--width", type=int, default=16, help="maps of the first convolution; the others have twice as many")
    parser.add_argument("--epochs", type=int, default=10, help="of each network in the table")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.03, help="the rate in the table, at first; it ends at 0")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.01, 0.03, 0.1], help="to choose from, ReLU against tanh")
    parser.add_argument("--target", type=float, default=0.25, help="the training error to reach, ReLU against tanh")
    parser.add_argument("--every", type=int, default=5, help="updates between two looks at it")
    parser.add_argument("--most", type=int, default=1000, help="updates after which a network is given up")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", metavar="FILE", help="where to draw the result (.svg, .png)")
    parser.add_argument("--quick", action="store_true", help="small networks on 640 digits, unless you say otherwise")
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
