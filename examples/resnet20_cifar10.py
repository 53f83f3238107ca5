"""The residual networks for CIFAR-10, trained as in their paper: 64,000 updates of 128 pictures.

    python examples/resnet20_cifar10.py --out runs/resnet20              # 20 layers: the paper's 8.75 %
    python examples/resnet20_cifar10.py --depth 110 --out runs/resnet110 # 110 layers, with the warm-up: 6.43 %
    python examples/resnet20_cifar10.py --quick                          # 8 layers, some digits, some seconds

Killed and started again with the same words, it goes on from the last checkpoint in the folder of --out, bit by bit as if
nothing had happened. With fewer --epochs the rate falls at the same parts of the training: after a half and three quarters.

He, Zhang, Ren, Sun 2015, "Deep residual learning for image recognition", section 4.2 and table 6. The paper does not say how
pixels are scaled; here they lie between 0 and 1 before the mean is taken off, which the first normalization makes irrelevant.
"""

import argparse

import tinygrad_cnn as tg
from tinygrad_cnn import data, nn, optim
from tinygrad_cnn.data import transforms
from tinygrad_cnn.errors import ArgumentError, CheckpointError, DataError
from tinygrad_cnn.models import CIFARResNet
from tinygrad_cnn.train import fit
from tinygrad_cnn.train.pipeline import DATA_SETS

PAPER = {20: 8.75, 32: 7.51, 44: 7.17, 56: 6.97, 110: 6.43, 1202: 7.93}
WARM_UP = 400  # updates; of 110 layers: "until the training error is below 80% (about 400 iterations)"
QUICK = {"data": "mnist-subset", "depth": 8, "epochs": 3, "limit": 640, "batch_size": 32}


def pictures(options):
    """Training pictures padded by 4 pixels, cropped at random and flipped; test pictures as they are; the mean taken off."""
    kind = DATA_SETS[options.data]
    train_set, test_set = (kind.make(options.root, train, None) for train in (True, False))
    centred = transforms.Normalize(train_set.images.mean(axis=0).reshape(kind.size) / 255)
    distorted = [transforms.RandomCrop(kind.size[1:], padding=4)]
    if options.data.startswith(("cifar", "fashion")):  # letters and digits in the mirror are none
        distorted.append(transforms.RandomHorizontalFlip())
    train_set.transform, test_set.transform = transforms.Compose([centred, *distorted]), centred
    return [data.Subset(one, range(len(one))[: options.limit]) for one in (train_set, test_set)]


def network(options):
    """The paper's network, with zero-padded shortcuts (option A) and He's initial weights; of grey pictures, too."""
    kind = DATA_SETS[options.data]
    net = CIFARResNet(options.depth, kind.classes)
    if kind.size[0] != 3:
        net.conv1 = nn.Conv2d(kind.size[0], 16, kernel_size=3, padding=1, bias=False)
        net.reset_parameters()
    return net


def schedules(optimizer, depth, updates):
    """A tenth of the rate after 32,000 and 48,000 of 64,000 updates; very deep networks begin with a tenth."""
    falls = optim.lr_scheduler.MultiStepLR(optimizer, [updates // 2, updates * 3 // 4], gamma=0.1)
    calm = min(WARM_UP, updates // 10)
    if depth < 110 or calm == 0:
        return [falls]
    return [falls, optim.lr_scheduler.ConstantLR(optimizer, factor=0.1, total_iters=calm)]


def train(options):
    tg.manual_seed(options.seed)
    net = network(options)
    train_set, test_set = pictures(options)
    batches = data.DataLoader(train_set, options.batch_size, shuffle=True, num_workers=options.workers)
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    history = fit(
        net,
        batches,
        data.DataLoader(test_set, 500),
        epochs=options.epochs,
        optimizer=optimizer,
        scheduler=schedules(optimizer, options.depth, options.epochs * len(batches)),
        checkpoint=options.out,
        resume=options.out,
        every=100 if options.out else None,
        about={"arguments": {"depth": options.depth}, "seed": options.seed} if options.out else None,
    )
    error = 100 * history.epochs[-1].val_error
    updates, minutes = len(history.losses), history.seconds / 60
    print(f"ResNet-{options.depth}, {sum(p.numel() for p in net.parameters()):,} parameters, on {options.data}:")
    print(f"  here   {error:5.2f} % test error after {updates:,} updates, {minutes:.1f} min")
    paper = f"{PAPER[options.depth]:5.2f} %" if options.depth in PAPER else "  -"
    print(f"  paper  {paper} on CIFAR-10 after 64,000 updates")
    return history


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=20, help="20, 32, 44, 56, 110 or any other 6 n + 2")
    parser.add_argument("--epochs", type=int, default=164, help="164 epochs are the paper's 64,000 updates")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--data", choices=DATA_SETS, default="cifar10")
    parser.add_argument("--root", help="a directory that has the data set's files")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N training and N test pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="threads that prepare batches")
    parser.add_argument("--out", metavar="FOLDER", help="for the checkpoints; if it has one, go on from there")
    parser.add_argument("--quick", action="store_true", help="8 layers, 640 digits, 3 epochs, unless you say otherwise")
    options = parser.parse_args(arguments)
    if options.quick:
        parser.set_defaults(**QUICK)
        options = parser.parse_args(arguments)
    try:
        return train(options)
    except DataError as error:
        raise SystemExit(f"{error}\n(--data mnist-subset needs no download.)") from None
    except (ArgumentError, CheckpointError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
