"""What is measured on a classifier: the error, how near it was, and which classes are taken for which.

Plain functions on arrays of class numbers. `evaluate` makes those arrays from a model and a data set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ArgumentError, DTypeError, ShapeError

Labels = npt.NDArray[np.int64]


def error_rate(targets: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """The share of samples whose predicted class is not the target.

    Parameters
    ----------
    targets, predicted : array_like of int, shape (n,)

    Returns
    -------
    float
        Between 0 and 1; nan without samples.

    Examples
    --------
    >>> error_rate([3, 1, 4, 1], [3, 7, 4, 1])
    0.25
    """
    true, got = _labels(targets, predicted)
    return float(np.mean(true != got)) if true.size else float("nan")


def accuracy(targets: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """The share of samples whose predicted class is the target: 1 - `error_rate`."""
    return 1 - error_rate(targets, predicted)


def top_k_accuracy(targets: npt.ArrayLike, scores: npt.ArrayLike, k: int) -> float:
    """The share of samples whose target is among the k classes of the largest scores; ImageNet's "top-5" has k = 5.

    Of equal scores, the lower class number comes first, as in `argmax`.

    Parameters
    ----------
    targets : array_like of int, shape (n,)
    scores : array_like, shape (n, classes)
        Or probabilities: only their order counts.
    k : int
        From 1 to the number of classes.

    Returns
    -------
    float
        Between 0 and 1; nan without samples.

    Raises
    ------
    ArgumentError, ShapeError
        If `k` is out of range, or there is not a row of scores for each target.

    Examples
    --------
    >>> top_k_accuracy([0, 1, 2], [[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.6, 0.3, 0.1]], k=2)
    0.6666666666666666
    """
    table = np.asarray(scores)
    labels = np.asarray(targets)
    if table.ndim != 2 or labels.shape != table.shape[:1]:
        raise ShapeError(f"top_k_accuracy: expected targets (n,) and scores (n, classes), got {labels.shape} and {table.shape}")
    if not 1 <= k <= table.shape[1]:
        raise ArgumentError(f"top_k_accuracy: k must be from 1 to the {table.shape[1]} classes, got {k}")
    order = np.argsort(-table, axis=1, kind="stable")[:, :k]
    return float((order == labels[:, None]).any(axis=1).mean()) if labels.size else float("nan")


@dataclass(frozen=True)
class Confusion:
    """How often each class was taken for each other.

    Attributes
    ----------
    counts : ndarray of int64, shape (classes, classes)
        ``counts[i, j]`` samples of class i were predicted to be j.
    names : tuple of str
        The classes' names.

    Examples
    --------
    >>> confusion = Confusion.of([0, 0, 1, 1], [0, 1, 1, 1], names=["cat", "dog"])
    >>> print(confusion.table())
    true \\ predicted  cat  dog   recall
                  cat    1    1   50.0 %
                  dog    .    2  100.0 %
    >>> confusion.precision.round(3), confusion.f1.round(3)
    (array([1.   , 0.667]), array([0.667, 0.8  ]))
    """

    counts: Labels
    names: tuple[str, ...]

    @classmethod
    def of(cls, targets: npt.ArrayLike, predicted: npt.ArrayLike, names: Sequence[str]) -> "Confusion":
        """Count the pairs of true and predicted class.

        Parameters
        ----------
        targets, predicted : array_like of int, shape (n,)
            Class numbers, from 0 to ``len(names) - 1``.
        names : sequence of str
            The classes' names.

        Raises
        ------
        ArgumentError
            If a class number has no name.
        ShapeError
            If the two differ in length.
        """
        true, got = _labels(targets, predicted)
        classes = len(names)
        for what, labels in (("target", true), ("prediction", got)):
            outside = labels[(labels < 0) | (labels >= classes)]
            if outside.size:
                raise ArgumentError(f"the {what} {outside[0]} is not one of the {classes} classes 0 to {classes - 1}")
        counts = np.bincount(true * classes + got, minlength=classes**2).reshape(classes, classes)
        return cls(counts.astype(np.int64), tuple(names))

    @property
    def recall(self) -> npt.NDArray[np.float64]:
        """For each class, the share of its samples that were predicted to be of it; nan for a class without samples."""
        return _shares(np.diag(self.counts), self.counts.sum(axis=1))

    @property
    def precision(self) -> npt.NDArray[np.float64]:
        """For each class, the share of right ones among the predictions of it; nan for a class never predicted."""
        return _shares(np.diag(self.counts), self.counts.sum(axis=0))

    @property
    def f1(self) -> npt.NDArray[np.float64]:
        """For each class, the harmonic mean of precision and recall, 2 right / (samples + predictions); nan without any."""
        return _shares(2 * np.diag(self.counts), self.counts.sum(axis=0) + self.counts.sum(axis=1))

    def table(self) -> str:
        """Lay the counts out as text: a row for each true class, with its recall; a dot stands for zero."""
        corner = "true \\ predicted"
        cells = [[str(count) if count else "." for count in row] for row in self.counts]
        width = max(4, *(len(text) for row in cells for text in row), *map(len, self.names))
        lines = [f"{corner}{''.join(f' {name:>{width}}' for name in self.names)}   recall"]
        for name, row, recall in zip(self.names, cells, self.recall, strict=True):
            share = "-" if np.isnan(recall) else f"{recall:.1%}".replace("%", " %")
            lines.append(f"{name:>{len(corner)}}{''.join(f' {text:>{width}}' for text in row)}  {share:>7}")
        return "\n".join(lines)


def _shares(parts: Labels, totals: Labels) -> npt.NDArray[np.float64]:
    """Each part of its total; nan of a total of 0."""
    return np.divide(parts, totals, out=np.full(len(totals), np.nan), where=totals > 0)


def _labels(targets: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[Labels, Labels]:
    """Both as integer arrays of one length."""
    arrays: list[npt.NDArray[Any]] = [np.asarray(targets), np.asarray(predicted)]
    for array in arrays:
        if array.size and array.dtype.kind not in "iu":
            raise DTypeError(f"class numbers must be integers, got {array.dtype}: take argmax(1) of the scores first")
    if arrays[0].shape != arrays[1].shape or arrays[0].ndim != 1:
        shapes = f"{arrays[0].shape} and {arrays[1].shape}"
        raise ShapeError(f"targets and predictions must be two lists of one length, got shapes {shapes}")
    return arrays[0].astype(np.int64), arrays[1].astype(np.int64)
