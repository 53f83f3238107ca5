"""What an exercise is: a backward pass to write, the cases that it is tried on, and the mistakes that people make in it.

The mistakes are not described, they are carried out: every exercise's backward takes a set of *switches*, and each switch
puts one mistake in. With none it is the truth. So a learner's result can be compared with what each mistake gives, and
with what two mistakes together give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..autograd.function import Array

Wrong = frozenset[str]
"""The switches that are on. Those of one name, told apart by what follows a bar, are one mistake in several forms."""
Arrays = tuple[Array, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Arguments to try a backward pass on."""

    inputs: dict[str, Array]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How much there is to look at: the fewer numbers and settings, the better."""
        unusual = sum(10 for value in self.settings.values() if value not in (1, 0, (1, 1), (0, 0)))
        return sum(array.size for array in self.inputs.values()) + unusual


@dataclass(frozen=True, slots=True)
class Exercise:
    """A backward pass to write.

    Attributes
    ----------
    op : str
    returns : tuple of str
        The names of the gradients.
    formula : str
        What the op computes forward.
    backward : callable
        ``backward(wrong, *inputs, **settings)``, a tuple of the gradients.
    cases : callable
        Makes the cases.
    whys : mapping
        For each name of a mistake, why it is one, in a sentence.
    switches : tuple of str
        Every switch that `backward` knows, the likelier first.
    """

    op: str
    returns: tuple[str, ...]
    formula: str
    backward: Callable[..., Arrays]
    cases: Callable[[], list[Case]]
    whys: Mapping[str, str]
    switches: tuple[str, ...]


def name_of(switch: str) -> str:
    """The mistake's name: what stands before the bar."""
    return switch.split(" | ")[0]


class Drawer:
    """Draws small whole numbers, which can be checked by hand; never 0, which hides a dropped term."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def numbers(self, *shape: int) -> Array:
        """Draw from -5 to 5 without 0."""
        return (self._rng.integers(1, 6, shape) * self._rng.choice([-1, 1], shape)).astype(np.float64)

    def classes(self, count: int, classes: int) -> Array:
        """Draw class indices."""
        return self._rng.integers(0, classes, count)

    def different(self, *shape: int) -> Array:
        """Draw numbers of which no two are equal, about half of them negative."""
        size = int(np.prod(shape))
        return (self._rng.permutation(size) - size // 2).reshape(shape).astype(np.float64)


# Mistakes in summing, which every op with a weight or a bias invites ------------------------------------------------

SUM_WHYS = {
    "no sum over the batch": (
        "Every image of the batch uses the same weight and bias, so each adds its share to their gradient: sum over n."
    ),
    "averaged over the batch": (
        "The gradient of a sum is a sum; a mean over the batch belongs to the loss, which has divided gy already."
    ),
    "bias not summed over space": "One bias is added at every position of its map, so its gradient is the sum of gy over all.",
    "bias averaged over space": "One bias is added at every position of its map: their gradients add up: no mean.",
}
BATCH_SWITCHES = (
    "no sum over the batch | last image",
    "no sum over the batch | first image",
    "no sum over the batch | axis kept",
    "averaged over the batch",
)
SPACE_SWITCHES = (
    "bias not summed over space | axes kept",
    "bias not summed over space | first position",
    "bias not summed over space | last position",
    "bias averaged over space",
)


def over_batch(wrong: Wrong, each: Array) -> Array:
    """Sum over the first axis, the batch, or do it wrong."""
    if "no sum over the batch | last image" in wrong:
        return each[-1]
    if "no sum over the batch | first image" in wrong:
        return each[0]
    if "no sum over the batch | axis kept" in wrong:
        return each
    return each.mean(0) if "averaged over the batch" in wrong else each.sum(0)


def over_space(wrong: Wrong, each: Array) -> Array:
    """Sum the last two axes, the positions, or do it wrong."""
    if "bias not summed over space | axes kept" in wrong:
        return each
    if "bias not summed over space | first position" in wrong:
        return each[..., 0, 0]
    if "bias not summed over space | last position" in wrong:
        return each[..., -1, -1]
    return each.mean((-2, -1)) if "bias averaged over space" in wrong else each.sum((-2, -1))
