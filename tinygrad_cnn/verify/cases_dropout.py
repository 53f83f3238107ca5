"""Cases of the dropout family: the masks drawn again from the same generator, and the arithmetic written out for each.

What is one value in the mask, a channel or a sample, is spelled out with loops, so that a mask of the wrong shape shows.
"""

import math

import numpy as np

from .. import ops
from ..ops.dropout import Dropout
from ..random import default_generator
from .case import Array, Case, normal

_LOWEST = -1.7580993408473766


def _kept(*shape: int) -> Array:
    return np.asarray(default_generator().random(shape, dtype=np.float32) >= 0.3)


def _of_channels(x: Array) -> Array:
    """The mask of (n, c, ...), the same all over a channel."""
    drawn = _kept(*x.shape[:2])
    mask = np.zeros(x.shape)
    for n, c in np.ndindex(*drawn.shape):
        mask[n, c] = drawn[n, c]
    return mask


def _alpha(x: Array, mask: Array) -> Array:
    """Klambauer et al. 2017, section 3: a (x mask + alpha' (1 - mask)) + b, with q = 0.7 the probability to be kept."""
    q = 0.7
    a = 1 / math.sqrt(q + _LOWEST**2 * q * (1 - q))
    b = -a * (1 - q) * _LOWEST
    return a * (x * mask + _LOWEST * (1 - mask)) + b


def _rows(x: Array) -> Array:
    return np.array([row / 0.7 if kept else 0 * row for row, kept in zip(x, _kept(len(x)), strict=True)])


CASES: list[Case] = [
    Case(Dropout, "the paper's", lambda x: ops.dropout(x, 0.3, inverted=False), (normal(4, 5),),
         lambda x: x * _kept(*x.shape), (0,)),
    Case(Dropout, "channels, 1d", lambda x: ops.dropout1d(x, 0.3), (normal(3, 4, 2),),
         lambda x: x * _of_channels(x) / 0.7, (0,)),
    Case(Dropout, "channels, 2d", lambda x: ops.dropout2d(x, 0.3), (normal(2, 4, 2, 3),),
         lambda x: x * _of_channels(x) / 0.7, (0,)),
    Case(Dropout, "channels, 3d", lambda x: ops.dropout3d(x, 0.3), (normal(2, 3, 2, 1, 2),),
         lambda x: x * _of_channels(x) / 0.7, (0,)),
    Case(Dropout, "channels, one image", lambda x: ops.dropout2d(x, 0.3), (normal(4, 2, 3),),
         lambda x: x * _of_channels(x[None])[0] / 0.7, (0,)),
    Case(Dropout, "alpha", lambda x: ops.alpha_dropout(x, 0.3, training=True), (normal(4, 3),),
         lambda x: _alpha(x, _kept(*x.shape)), (0,)),
    Case(Dropout, "alpha, channels", lambda x: ops.feature_alpha_dropout(x, 0.3, training=True), (normal(3, 4, 2),),
         lambda x: _alpha(x, _of_channels(x)), (0,)),
    Case(Dropout, "stochastic depth, row", lambda x: ops.stochastic_depth(x, 0.3, "row"), (normal(5, 2, 2),), _rows, (0,)),
    Case(Dropout, "stochastic depth, batch", lambda x: ops.stochastic_depth(x, 0.3, "batch"), (normal(3, 2),),
         lambda x: x / 0.7 if _kept(1)[0] else 0 * x, (0,)),
]  # fmt: skip
