"""The numbers that every side starts from: the same on all, whatever the framework.

Each side fills its parameters in order from `parameter_values`; `batch` gives images and labels. So the losses of two sides
can be compared, and no side gets numbers (denormal ones, say) that are slower to multiply.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def parameter_values(shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Values for parameters of these shapes, float32.

    Weights are drawn from N(0, 2 / fan_in), which keeps the size of signals; what has one dimension, biases and the
    coefficients of normalizations, is drawn around 1/2.
    """
    rng = np.random.default_rng(7)
    values = []
    for shape in shapes:
        drawn = rng.standard_normal(shape, dtype=np.float32)
        if len(shape) > 1:
            drawn *= np.float32(math.sqrt(2 / math.prod(shape[1:])))
        else:
            drawn = np.float32(0.5) + np.float32(0.1) * drawn
        values.append(drawn)
    return values


def images(shape: Sequence[int]) -> Array:
    """Pixels from N(0, 1), float32."""
    return np.random.default_rng(8).standard_normal(tuple(shape), dtype=np.float32)


def cotangent(shape: Sequence[int]) -> Array:
    """The gradient with respect to an output, from N(0, 1), float32."""
    return np.random.default_rng(12).standard_normal(tuple(shape), dtype=np.float32)


def labels(count: int, classes: int) -> Array:
    """Class numbers, int64."""
    return np.random.default_rng(9).integers(0, classes, count)


def loss_target(kind: str, shape: Sequence[int]) -> Array:
    """What a loss compares scores of `shape` with: labels for cross-entropy, else numbers from 0 to 1."""
    if kind == "cross_entropy":
        return labels(shape[0], shape[1])
    return np.random.default_rng(10).random(tuple(shape), dtype=np.float32)
