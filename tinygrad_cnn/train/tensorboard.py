"""TensorBoard's files, written while the training runs: ``tensorboard --logdir DIR`` shows its curves beside those of others.

The writer is tensorboardX's (the extra "log"), which needs neither TensorFlow nor PyTorch.
"""

import os
from typing import Any

from ..errors import MissingExtraError
from .callbacks import Callback
from .run import Run


class TensorBoard(Callback):
    """Writes the loss and the learning rate of each step, and what is measured after each epoch.

    A resumed training writes another file into the same directory, and TensorBoard drops the steps of the former one that
    are done again.

    Parameters
    ----------
    directory : path-like
        Where the files go; one for each training, below a common directory, compares them.

    Raises
    ------
    MissingExtraError
        Without tensorboardX.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("writing TensorBoard files", "log") from error
        self._make = SummaryWriter
        self._directory = os.fspath(directory)
        self._writer: Any = None

    def on_fit_begin(self, run: Run) -> None:
        """Open the file."""
        self._writer = self._make(self._directory, purge_step=run.step + 1 if run.step else None)

    def on_step_end(self, run: Run) -> None:
        """Write the step's loss, and the learning rate that the next step has."""
        self._writer.add_scalar("loss/step", run.history.losses[-1], run.step)
        self._writer.add_scalar("learning rate", run.lr, run.step)

    def on_epoch_end(self, run: Run) -> None:
        """Write what was measured, at the step at which it was."""
        for name, value in run.history.epochs[-1].values().items():
            self._writer.add_scalar(f"epoch/{name}", value, run.step)
        self._writer.flush()

    def on_fit_end(self, run: Run) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
