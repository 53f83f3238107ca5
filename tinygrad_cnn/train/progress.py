"""What a user sees of a training: a bar, and a line for each epoch."""

import sys
from types import TracebackType

from tqdm import tqdm

from .history import Epoch

SMOOTHING = 50
"""The loss of single batches jumps about; what is shown beside it is the mean over this many steps."""


def speed(rate: float) -> str:
    """So many images a second, those of large networks, too.

    Examples
    --------
    >>> speed(1492.3), speed(0.4321)
    ('1,492 images/s', '0.43 images/s')
    """
    return f"{rate:,.0f} images/s" if rate >= 10 else f"{rate:.2g} images/s"


class Progress:
    """The bar: how far, the loss, images a second, the time left; and a line for each finished epoch.

    Parameters
    ----------
    epochs, steps : int
        How many epochs, of how many steps.
    done : int
        How many steps an earlier part of the training did.
    shown : bool
    """

    def __init__(self, epochs: int, steps: int, done: int, shown: bool) -> None:
        self._epochs, self._steps = epochs, steps
        self._bar = tqdm(
            total=epochs * steps,
            initial=done,
            disable=not shown,
            desc=f"epoch {min(done // steps + 1, epochs)}/{epochs}",
            bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed}, {remaining} left{postfix}",
            # Into a file or a CI log, the bar is a line each time it moves: let it move rarely.
            mininterval=0.1 if sys.stderr.isatty() else 10,
            dynamic_ncols=True,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.close()

    def step_done(self, losses: list[float], rate: float) -> None:
        """Move by one step; `rate` is in images a second."""
        recent = losses[-SMOOTHING:]
        self._bar.set_postfix_str(f"loss {sum(recent) / len(recent):.4f}, {speed(rate)}", refresh=False)
        self._bar.set_description_str(f"epoch {(len(losses) - 1) // self._steps + 1}/{self._epochs}", refresh=False)
        self._bar.update()

    def epoch_done(self, number: int, epoch: Epoch) -> None:
        """Write the epoch's line above the bar."""
        self.say(f"epoch {number}/{self._epochs}: {epoch}")

    def say(self, line: str) -> None:
        """Write a line above the bar."""
        if not self._bar.disable:
            self._bar.write(line)
