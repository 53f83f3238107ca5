"""The seeded generator behind everything that is drawn: initial weights, dropout masks, shuffles.

One generator for the process, so that `manual_seed` makes a run repeatable. `frozen` gives the same draws to several
evaluations of a function, which is how gradcheck looks at dropout.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

_generator = np.random.default_rng()
_of_this_thread = threading.local()


def manual_seed(seed: int) -> np.random.Generator:
    """Start the generator anew from a seed, and return it.

    Examples
    --------
    >>> import tinygrad_cnn as tg
    >>> _ = tg.manual_seed(0)
    >>> a = tg.rand(2)
    >>> _ = tg.manual_seed(0)
    >>> bool((a == tg.rand(2)).all())
    True
    """
    global _generator
    _generator = np.random.default_rng(seed)
    return _generator


def default_generator() -> np.random.Generator:
    """The generator that draws when none is given: the process's, or that of the `drawing_from` around the call."""
    return getattr(_of_this_thread, "generator", None) or _generator


@contextlib.contextmanager
def drawing_from(generator: np.random.Generator) -> Iterator[None]:
    """Draw from `generator` inside the block, in this thread only.

    The loader's threads work so: each batch has a stream of its own, and which thread is quicker changes nothing.
    """
    before = getattr(_of_this_thread, "generator", None)
    _of_this_thread.generator = generator
    try:
        yield
    finally:
        _of_this_thread.generator = before


def get_rng_state() -> dict[str, Any]:
    """The generator's state: plain data that `set_rng_state` takes and JSON can hold."""
    return dict(default_generator().bit_generator.state)


def set_rng_state(state: dict[str, Any]) -> None:
    """Put the generator back to a state from `get_rng_state`."""
    default_generator().bit_generator.state = state


@contextlib.contextmanager
def frozen(state: dict[str, Any]) -> Iterator[None]:
    """Draw from `state` on inside the block; afterwards the generator is where it was before."""
    before = get_rng_state()
    set_rng_state(state)
    try:
        yield
    finally:
        set_rng_state(before)
