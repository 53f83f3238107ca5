"""Collating: one batch out of several samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import ops
from ..errors import DTypeError, ShapeError
from ..tensor import Tensor, as_array


def default_collate(samples: Sequence[Any]) -> Any:
    """Make one batch of several samples: numbers, arrays and tensors are stacked along a new first dimension.

    Parameters
    ----------
    samples : sequence
        At least one sample. Tuples, lists and dicts are batched field by field; strings stay a list.

    Returns
    -------
    Tensor, tuple, dict or list
        Like one sample, with a batch in the place of each value. Python floats get the default dtype.

    Raises
    ------
    ShapeError
        If the samples have different shapes or numbers of fields.
    DTypeError
        If they are of a type that has no rule.

    Examples
    --------
    >>> images, labels = default_collate([(np.zeros((1, 28, 28)), 3), (np.ones((1, 28, 28)), 4)])
    >>> images.shape, labels.tolist()
    ((2, 1, 28, 28), [3, 4])
    """
    first = samples[0]
    if isinstance(first, Tensor | np.ndarray):
        return _stack(samples)
    if isinstance(first, str | bytes):
        return list(samples)
    if isinstance(first, int | float | np.generic):
        return Tensor(as_array(list(samples)))
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple | list):
        lengths = sorted({len(sample) for sample in samples})
        if len(lengths) > 1:
            raise ShapeError(f"the samples of a batch must have equally many fields, got {lengths}: give a collate_fn")
        return tuple(default_collate(field) for field in zip(*samples, strict=True))
    raise DTypeError(
        f"samples of type {type(first).__name__} cannot be batched: give a collate_fn, or let the data set return "
        "arrays, tensors or numbers"
    )


def _stack(samples: Sequence[Any]) -> Tensor:
    """Stack arrays or tensors of equal shapes."""
    shapes = [tuple(sample.shape) for sample in samples]
    if len(set(shapes)) > 1:
        odd = next(place for place, shape in enumerate(shapes) if shape != shapes[0])
        raise ShapeError(
            f"the samples of a batch must have equal shapes: number 0 of it has {shapes[0]}, number {odd} has "
            f"{shapes[odd]}: crop or pad them in the data set, or give a collate_fn"
        )
    return ops.stack(samples) if isinstance(samples[0], Tensor) else Tensor(np.stack(samples))


def with_tensors(batch: Any) -> Any:
    """Turn the arrays of a batch that came stacked into tensors, without a copy."""
    if isinstance(batch, np.ndarray):
        return Tensor(batch)
    if isinstance(batch, Mapping):
        return {key: with_tensors(value) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        return tuple(map(with_tensors, batch))
    return batch
