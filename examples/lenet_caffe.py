"""The simplified LeNet as Caffe trains it: its network, its solver, digit by digit in the order of the files.

    python examples/lenet_caffe.py               # 10,000 iterations over MNIST: Caffe's readme ends at 0.9897
    python examples/lenet_caffe.py --quick       # the digits that come with the package, some seconds

Everything is as in ``examples/mnist/lenet_train_test.prototxt`` and ``lenet_solver.prototxt``: pixels of 0 to 255 divided
by 256; weights "xavier", biases 0 and with twice the rate; batches of 64 that go round the training digits unshuffled; the
rate "inv", multiplied into the velocity; weight decay on the biases, too; tested every 500 iterations.
"""

import argparse
import time

import numpy as np
from tqdm import tqdm

import tinygrad_cnn as tg
from tinygrad_cnn import data, optim
from tinygrad_cnn.errors import DataError
from tinygrad_cnn.models import LeNet
from tinygrad_cnn.train import evaluate, save_checkpoint

BATCH = 64
CAFFE_ACCURACY = 0.9897
QUICK = {"subset": True, "iterations": 200, "test_every": 100}


def digits(options, train):
    """The images, their grey levels divided by 256, and their classes."""
    images, labels = data.load_mnist(train, root=options.root, subset=options.subset)
    images, labels = images[: options.limit], labels[: options.limit]
    return images * np.float32(255 / 256), labels


def solver(net):
    """Caffe's step and its rate: 0.01 (1 + 0.0001 t)^-0.75."""
    weights = [parameter for parameter in net.parameters() if parameter.ndim > 1]
    biases = [parameter for parameter in net.parameters() if parameter.ndim == 1]
    optimizer = optim.SGD(
        [{"params": weights}, {"params": biases, "lr": 0.02}], lr=0.01, momentum=0.9, weight_decay=5e-4, lr_in_velocity=True
    )
    return optimizer, optim.lr_scheduler.InverseLR(optimizer, gamma=1e-4, power=0.75)


def train(options):
    tg.manual_seed(options.seed)
    images, labels = digits(options, train=True)
    test = data.DataLoader(data.TensorDataset(*digits(options, train=False)), batch_size=100)
    net = LeNet()
    optimizer, schedule = solver(net)
    accuracies = {}
    began, running = time.perf_counter(), 0.0
    with tqdm(range(options.iterations), unit="batch", disable=None) as iterations:
        for iteration in iterations:
            chosen = np.arange(iteration * BATCH, (iteration + 1) * BATCH) % len(images)
            optimizer.zero_grad()
            loss = tg.cross_entropy(net(images[chosen]), labels[chosen])
            loss.backward()
            optimizer.step()
            schedule.step()
            running += (loss.item() - running) * max(0.01, 1 / (iteration + 1))
            done = iteration + 1
            if done % options.test_every == 0 or done == options.iterations:
                accuracies[done] = evaluate(net, test).accuracy
                minutes = (time.perf_counter() - began) / 60
                iterations.write(
                    f"iteration {done:,}: loss {running:.4f}, lr {schedule.get_last_lr()[0]:.8f}, "
                    f"test accuracy {accuracies[done]:.4f}, {minutes:.1f} min"
                )
                if options.out:
                    save_checkpoint(options.out, net, epoch=done * BATCH // len(images), seed=options.seed)
    print(f"here {accuracies[options.iterations]:.4f} after {options.iterations:,} iterations, ", end="")
    print(f"Caffe's readme {CAFFE_ACCURACY} after 10,000 over all of MNIST")
    return accuracies


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=10_000, help="how many batches of 64 (10,000 are 10.7 epochs)")
    parser.add_argument("--test-every", type=int, default=500, metavar="ITERATIONS")
    parser.add_argument("--root", help="a directory that has MNIST's four files")
    parser.add_argument("--subset", action="store_true", help="the 5,000 digits that come with the package")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N training and N test digits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", metavar="FILE", help="where to write the weights after each test (.safetensors)")
    parser.add_argument("--quick", action="store_true", help="--subset and 200 iterations, unless you say otherwise")
    options = parser.parse_args(arguments)
    if options.quick:
        parser.set_defaults(**QUICK)
        options = parser.parse_args(arguments)
    try:
        return train(options)
    except DataError as error:
        raise SystemExit(f"{error}\n(--subset takes the digits that come with the package.)") from None


if __name__ == "__main__":
    main()
