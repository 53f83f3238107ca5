"""The training that `test_kill` kills: a small network with everything in it that has a state, and ways to die.

Run by hand, it is what a user would write: ``python -m tests.train.kill_run FOLDER`` begins a training or goes on with it.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import data, nn, optim, train
from tinygrad_cnn.random import default_generator
from tinygrad_cnn.train import checkpoint

EPOCHS, EVERY = 6, 3


def shifted(image):
    """An augmentation that draws: the picture moved by a pixel or not at all, and some noise."""
    generator = default_generator()
    down, right = generator.integers(-1, 2, 2)
    return np.roll(image, (down, right), (1, 2)) + generator.normal(0, 0.05, image.shape).astype(np.float32)


def network():
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.25), nn.Flatten(), nn.Linear(4 * 12 * 12, 10)
    )


def run(folder, callbacks=(), epochs=EPOCHS):
    """Begin the training, or go on with it."""
    tg.manual_seed(7)
    digits = data.Subset(data.MNIST(subset=True, transform=shifted), range(640))
    held_out = data.Subset(data.MNIST(train=False, subset=True), range(100))
    # With a generator of its own, or the loader's state would bring back the package's too.
    batches = data.DataLoader(digits, batch_size=8, shuffle=True, num_workers=2, generator=np.random.default_rng(3))
    model = network()
    average = optim.AveragedModel(model, multi_avg_fn=optim.get_ema_multi_avg_fn(0.9))
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    updates = epochs * len(batches) // 2
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=updates, cycle_momentum=True)
    return train.fit(
        model,
        batches,
        data.DataLoader(held_out, batch_size=50),
        epochs=epochs,
        optimizer=optimizer,
        scheduler=schedule,
        early_stopping=train.EarlyStopping(patience=EPOCHS),
        metrics={"top3": lambda result: result.top_k(3)},
        accumulate=2,
        clip_norm=5.0,
        ema=average,
        checkpoint=folder,
        every=EVERY,
        resume=folder,
        callbacks=callbacks,
        progress=False,
    )


class At(train.Callback):
    """Calls a function, with the run, at the first moment at which so many steps are done."""

    def __init__(self, step, call):
        self.step, self.call = step, call

    def on_fit_begin(self, run):
        self.on_step_end(run)

    def on_step_end(self, run):
        if self.call is not None and run.step >= self.step:
            call, self.call = self.call, None
            call(run)


def die(*ignored):
    os.kill(os.getpid(), signal.SIGKILL)


WAYS = ("half way", "before the flush", "before the rename", "after the rename")


def die_in_writing(way):
    """Let the process die within the next checkpoint that it writes."""
    atomic_write, replace = checkpoint.atomic_write, os.replace

    @contextlib.contextmanager
    def deadly(path):
        if way == "before the flush":
            os.fsync = die
        elif way == "before the rename":
            os.replace = die
        elif way == "after the rename":
            os.replace = lambda source, target: (replace(source, target), die())
        with atomic_write(path) as file:
            yield _Half(file) if way == "half way" else file

    checkpoint.atomic_write = deadly


class _Half:
    """A file into which only half of what is written goes before the process dies."""

    def __init__(self, file):
        self.file = file

    def write(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        die()


def victim(folder, step=None, connection=None, way=None):
    """A process that trains, and from a step on either dies while it writes, or tells another process to kill it."""
    if step is None:
        run(folder)
    elif way is not None:
        run(folder, [At(step, lambda run: die_in_writing(way))])
    else:
        run(folder, [At(step, lambda run: connection.send("now"))])


if __name__ == "__main__":
    begun = time.perf_counter()
    print(run(Path(sys.argv[1])).epochs[-1], f"in {time.perf_counter() - begun:.1f} s")
