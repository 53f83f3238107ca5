"""What is measured on a classifier: the error, and which classes are taken for which.

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
        totals = self.counts.sum(axis=1)
        return np.divide(np.diag(self.counts), totals, out=np.full(len(totals), np.nan), where=totals > 0)

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
