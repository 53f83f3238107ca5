"""For frameworks that keep the channels last: our layout of images, weights and gradients to theirs and back.

Our convolutions' weights are (out, in, height, width) and our linear layers' (out, in); theirs are (height, width, in, out)
and (in, out). In front of a linear layer the maps go back to our order, so that its weights mean the same.
"""

import numpy as np

from ..values import Array

_ORDER = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}
_BACK = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}


def channels_last(array: Array) -> Array:
    """A parameter of ours in their order."""
    return np.ascontiguousarray(array.transpose(_ORDER[array.ndim]))


def channels_first(array: Array) -> Array:
    """A gradient of theirs in our order."""
    return np.ascontiguousarray(array.transpose(_BACK[array.ndim]))


def images_last(images: Array) -> Array:
    """Images (n, c, h, w) as (n, h, w, c)."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))
