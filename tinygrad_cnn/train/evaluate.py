"""A model's answers on a data set, kept so that anything can be asked of them afterwards.

One pass gives the loss, the error, the confusion table and the samples that went wrong; none of these needs another.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import ops
from ..autograd import no_grad
from ..errors import DataError
from ..nn import Module
from ..tensor import Tensor
from .metrics import Confusion, Labels, error_rate

Loss = Callable[[Tensor, Tensor], Tensor]
Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Evaluation:
    """What a classifier answered to each sample of a data set.

    Attributes
    ----------
    loss : float
        The mean over the samples, in the loss's own unit (nats, for cross-entropy).
    targets : ndarray of int64, shape (n,)
        The true classes.
    probabilities : ndarray, shape (n, classes)
        The softmax of the model's scores.
    """

    loss: float
    targets: Labels
    probabilities: npt.NDArray[np.floating]

    @functools.cached_property
    def predicted(self) -> Labels:
        """The most probable class of each sample; the first of them at a tie."""
        return self.probabilities.argmax(axis=1)

    @property
    def error(self) -> float:
        """The share of samples that were answered wrongly, between 0 and 1."""
        return error_rate(self.targets, self.predicted)

    @property
    def wrong(self) -> Labels:
        """The indices of the samples that were answered wrongly, the most self-assured mistakes first."""
        mistakes = np.flatnonzero(self.predicted != self.targets)
        confidence = self.probabilities[mistakes, self.predicted[mistakes]]
        return mistakes[np.argsort(-confidence, kind="stable")]

    def confusion(self, names: Sequence[str] | None = None) -> Confusion:
        """Count which class was taken for which.

        Parameters
        ----------
        names : sequence of str, optional
            The classes' names; their numbers if not given.
        """
        return Confusion.of(self.targets, self.predicted, names or list(map(str, range(self.probabilities.shape[1]))))


def evaluate(model: Module, data: Batches, *, loss: Loss = ops.cross_entropy) -> Evaluation:
    """Ask a classifier about every sample of a data set.

    The model runs in evaluation mode and without a graph; afterwards each of its modules is in the mode that it was in.

    Parameters
    ----------
    model : Module
        Gives scores of shape (n, classes).
    data : iterable of (inputs, targets)
        Batches, as a `DataLoader` makes them. Their order is that of the results, so do not shuffle.
    loss : callable
        ``loss(scores, targets)``, the mean over a batch.

    Returns
    -------
    Evaluation

    Raises
    ------
    DataError
        If there is no batch.
    """
    total = 0.0
    targets, probabilities = [], []
    with no_grad(), _evaluating(model):
        for inputs, labels in data:
            scores = model(inputs)
            total += float(loss(scores, labels)) * len(labels)
            targets.append(labels.numpy())
            probabilities.append(ops.softmax(scores, 1).numpy())
    if not targets:
        raise DataError("evaluate was given a data set without samples: there is no error to measure")
    all_targets = np.concatenate(targets)
    return Evaluation(total / len(all_targets), all_targets, np.concatenate(probabilities))


@contextlib.contextmanager
def _evaluating(model: Module) -> Iterator[None]:
    """Run the block in evaluation mode; a part that was in it already (a frozen batch norm) stays there afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
