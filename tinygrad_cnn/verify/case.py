"""A case: one op, called with certain options on certain inputs, and what the result should be.

The cases are the one table that everything mechanical runs over: `tinygrad-cnn verify`, the test suite, and the mutation
test that plants errors in every backward rule. An expected value never comes from the op: `reference` is plain loops
(`kernels.reference`), a formula written out with scalars, or NumPy's own function where the op is ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..autograd.function import Function
from ..tensor import Tensor

Array = NDArray[Any]
Draw = Callable[[np.random.Generator], Array]


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes
    ----------
    op : type
        The `Function` that the case is about; it must appear in the graph of the result.
    label : str
        What is special about it.
    call : callable
        From tensors to a tensor, through the op.
    draws : tuple of callable
        Each draws one float64 input from a generator. Inputs keep away from kinks and ties by construction.
    reference : callable
        From the same arrays to the expected result, by another route.
    linear_in : tuple of int
        The inputs in which the op is linear (up to a constant), for the adjoint test.
    """

    op: type[Function]
    label: str
    call: Callable[..., Tensor]
    draws: tuple[Draw, ...]
    reference: Callable[..., Any]
    linear_in: tuple[int, ...] = ()

    def inputs(self, seed: int = 0) -> list[Array]:
        """The inputs, drawn."""
        generator = np.random.default_rng(seed)
        return [np.asarray(draw(generator), np.float64) for draw in self.draws]


def normal(*shape: int) -> Draw:
    """Standard normal."""
    return lambda generator: generator.standard_normal(shape)


def positive(*shape: int) -> Draw:
    """Between 0.5 and 2."""
    return lambda generator: generator.uniform(0.5, 2.0, shape)


def distinct(*shape: int, offset: float = 0.0) -> Draw:
    """No two within 0.37 of each other and none within 0.18 of zero, so no tie and no kink at zero is near.

    Two draws whose offsets differ (by less than 0.18) have no value in common either.
    """

    def draw(generator: np.random.Generator) -> Array:
        n = int(np.prod(shape))
        return (generator.permutation(n).reshape(shape) - n // 2 + 0.5) * 0.37 + offset

    return draw
