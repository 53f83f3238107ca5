"""A model's answers on a data set, kept so that anything can be asked of them afterwards.

One pass gives the loss, the error, the confusion table and the samples that went wrong; none of these needs another.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import ops
from ..autograd import no_grad
from ..errors import ArgumentError, DataError, ShapeError
from ..nn import Module
from ..tensor import Tensor
from .metrics import Confusion, Labels, error_rate, top_k_accuracy

Loss = Callable[[Tensor, Tensor], Tensor]
Batches = Iterable[tuple[Tensor, Tensor]]
Predict: TypeAlias = Literal["argmax", "argmin"] | Callable[[Tensor], Tensor]
"""How a model's outputs tell the class: the largest is it, or the smallest (LeNet-5's penalties), or a function says."""


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
        The softmax of the model's scores; of their negatives, where the smallest wins.
    answers : ndarray of int64, shape (n,), or None
        The predicted classes, where they are not simply the most probable ones.
    """

    loss: float
    targets: Labels
    probabilities: npt.NDArray[np.floating]
    answers: Labels | None = None

    @functools.cached_property
    def predicted(self) -> Labels:
        """The class that was answered to each sample: the most probable one, the first of them at a tie."""
        return self.probabilities.argmax(axis=1) if self.answers is None else self.answers

    @property
    def error(self) -> float:
        """The share of samples that were answered wrongly, between 0 and 1."""
        return error_rate(self.targets, self.predicted)

    @property
    def accuracy(self) -> float:
        """The share of samples that were answered rightly: 1 - `error`."""
        return 1 - self.error

    def top_k(self, k: int) -> float:
        """The share of samples whose true class is among the k most probable ones; see `top_k_accuracy`."""
        return top_k_accuracy(self.targets, self.probabilities, k)

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


Metric = Callable[[Evaluation], float]
"""Anything that makes a number of an evaluation: ``lambda result: result.top_k(5)``."""


def evaluate(model: Module, data: Batches, *, loss: Loss = ops.cross_entropy, predict: Predict = "argmax") -> Evaluation:
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
    predict : {"argmax", "argmin"} or callable
        Which output tells the class: the largest, or the smallest, as of `nn.RBFOutput`, whose outputs are penalties; or
        a function from the outputs to the classes of shape (n,).

    Returns
    -------
    Evaluation

    Raises
    ------
    DataError
        If there is no batch.
    ArgumentError, ShapeError
        If `predict` is neither of the two words, or does not give a class for each sample.

    Examples
    --------
    >>> from tinygrad_cnn import nn, tensor
    >>> penalties = [(tensor([[0.5, 3.0], [2.0, 1.0]]), tensor([0, 1]))]
    >>> evaluate(nn.Identity(), penalties, predict="argmin").error
    0.0
    """
    if not callable(predict) and predict not in ("argmax", "argmin"):
        raise ArgumentError(f"evaluate: predict must be 'argmax', 'argmin' or a function, got {predict!r}")
    total = 0.0
    targets, probabilities, answers = [], [], []
    with no_grad(), _evaluating(model):
        for inputs, labels in data:
            scores = model(inputs)
            total += float(loss(scores, labels)) * len(labels)
            targets.append(labels.numpy())
            probabilities.append(ops.softmax(-scores if predict == "argmin" else scores, 1).numpy())
            if callable(predict):
                answers.append(_answers(predict, scores))
    if not targets:
        raise DataError("evaluate was given a data set without samples: there is no error to measure")
    all_targets = np.concatenate(targets)
    return Evaluation(
        total / len(all_targets), all_targets, np.concatenate(probabilities), np.concatenate(answers) if answers else None
    )


def _answers(predict: Callable[[Tensor], Tensor], scores: Tensor) -> Labels:
    """The classes that a rule of the user's own makes of the scores."""
    classes = np.asarray(predict(scores))
    if classes.shape != (len(scores),) or classes.dtype.kind not in "iu":
        raise ShapeError(
            f"evaluate: predict must give a class number for each of the {len(scores)} samples, it gave {classes.dtype} of "
            f"shape {classes.shape}"
        )
    return classes.astype(np.int64)


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
