"""How much memory the results of ops take at each moment: each array is counted from when it was made until it is freed.

Nothing is kept alive by this and nothing is searched for: Python says when an array is freed (a weak reference's callback), and
then its bytes are taken off. Views count as the array that owns the memory.
"""

import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from ..autograd.function import Array


def owner_of(array: Array) -> Array:
    """The array that holds the memory which this one shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


class Holding:
    """The arrays that are counted now.

    Parameters
    ----------
    note : callable
        ``note(bytes)`` is called whenever the sum has changed.
    """

    def __init__(self, note: Callable[[int], None]) -> None:
        self._note = note
        self._held = 0
        # By the owner's id: while the reference is here the owner lives, so its id is its own.
        self._alive: dict[int, weakref.ref[Any]] = {}

    def made(self, arrays: Iterable[Array], given: Iterable[Array]) -> None:
        """Count what an op has made, except what shows the memory of something that was given to it."""
        known = {id(owner_of(array)) for array in given}
        before = self._held
        for array in arrays:
            owner = owner_of(array)
            key = id(owner)
            if key not in known and key not in self._alive and owner.nbytes:
                self._alive[key] = weakref.ref(owner, partial(self._freed, key, owner.nbytes))
                self._held += owner.nbytes
        if self._held != before:
            self._note(self._held)

    def _freed(self, key: int, size: int, _: Any) -> None:
        del self._alive[key]
        self._held -= size
        self._note(self._held)

    def forget(self) -> None:
        """Count nothing any more."""
        self._alive.clear()
        self._held = 0
