"""Modules without initial values.

Drawing the 138 million weights of a VGG-16 takes seconds and a gigabyte, and is wasted where a checkpoint overwrites them
at once, or where only the shapes are wanted. `skip_init` builds a module while every function of `nn.init` leaves its
tensor as it is.
"""

import functools
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from ..tensor import Tensor

P = ParamSpec("P")
Built = TypeVar("Built")
Fill = TypeVar("Fill", bound=Callable[..., Tensor])


class _ThreadState(threading.local):
    skipping: bool = False


_state = _ThreadState()


def skip_init(module_cls: Callable[P, Built], *args: P.args, **kwargs: P.kwargs) -> Built:
    """Build a module whose weights are not initialized: their values are whatever was in memory.

    Parameters
    ----------
    module_cls : callable
        The module's class, or a function that builds one, such as ``models.vgg16``.
    *args, **kwargs
        Its arguments.

    Notes
    -----
    Only what a layer fills through `nn.init` is left out, which is what is large: a batch normalization starts at 1 and 0
    all the same.

    Examples
    --------
    >>> from tinygrad_cnn import models, nn
    >>> net = nn.utils.skip_init(models.LeNet)
    >>> sum(parameter.numel() for parameter in net.parameters())
    431080
    """
    before, _state.skipping = _state.skipping, True
    try:
        return module_cls(*args, **kwargs)
    finally:
        _state.skipping = before


def unless_skipped(fill: Fill) -> Fill:
    """Decorate a function of `nn.init`: inside `skip_init` it returns its tensor untouched."""

    @functools.wraps(fill)
    def filled(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return tensor if _state.skipping else fill(tensor, *args, **kwargs)

    return cast(Fill, filled)
