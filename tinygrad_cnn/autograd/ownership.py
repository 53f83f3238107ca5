"""Whose memory a gradient is: what a rule has just made, and nobody else holds, need not be copied to be kept.

A rule may return an array that it made, or one that others have too: the gradient that it was given (of an addition), a part
of it, a saved input. The second kind must be copied before anything is added to it, or before it becomes a leaf's ``.grad``,
which the user may change. For the weight of AlexNet's first linear layer that copy is 151 MB and a third of the backward
pass, so it is worth knowing the first kind when one sees it: CPython counts the references to every object. PyTorch's
AccumulateGrad decides by the same count.

The same knowledge lets a rule write its result over the gradient that it was given, which needs no other memory and is the
faster the slower memory is: see `reuses_gradient`.
"""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

Rule = TypeVar("Rule", bound=Callable[..., Any])

WORTH_KEEPING = 1 << 14
"""From how many numbers an array is worth the question."""

_MARK = "_reuses_gradient"


def reuses_gradient(rule: Rule) -> Rule:
    """Mark a `backward_kernel(self, gy, out=None)` that may write its result over `gy`.

    It is given `gy` as `out` where nobody else holds that array. The mark is the method's own, so a subclass that overrides
    the method, or whoever replaces it, does not inherit the promise.
    """
    setattr(rule, _MARK, True)
    return rule


def may_overwrite(rule: Callable[..., Any]) -> bool:
    """Whether a rule is so marked."""
    return hasattr(rule, _MARK)


def unshared(values: tuple[Any, ...], i: int, others: int = 0) -> bool:
    """Whether this tuple alone holds an array, all of the array's memory included.

    Parameters
    ----------
    values : tuple
        Nothing else may refer to `values[i]` on the caller's side either: no local variable.
    i : int
    others : int
        How many references of the caller's there are all the same.

    Examples
    --------
    >>> held = np.zeros(3)
    >>> unshared((held,), 0), unshared((np.zeros(3),), 0), unshared((np.zeros(6).reshape(2, 3),), 0)
    (False, True, True)
    """
    if _holders(values, i) != _ALONE + others:
        return False
    flags, base = values[i].flags, values[i].base
    if not (flags.writeable and flags.c_contiguous):
        return False
    if base is None:
        return bool(flags.owndata)
    if type(base) is not np.ndarray or not base.flags.owndata or base.nbytes != values[i].nbytes:
        return False
    del base
    return _holders_of_base(values, i) == _BASE_ALONE


def _holders(values: tuple[Any, ...], i: int) -> int:
    return sys.getrefcount(values[i])


def _holders_of_base(values: tuple[Any, ...], i: int) -> int:
    return sys.getrefcount(values[i].base)


# What the count is for an array that only a tuple holds depends on the interpreter's version, so it is looked up.
_ALONE = _holders((np.zeros(1),), 0)
_BASE_ALONE = _holders_of_base((np.zeros(2).reshape(2, 1),), 0)
