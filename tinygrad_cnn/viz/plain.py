"""Values as plain data: what can be written as JSON, compared, and kept without keeping an array alive.

An op's settings may hold anything: NumPy numbers, index arrays, slices, functions. A drawing needs none of the objects,
only what a reader would be told about them: numbers and strings stay, an array becomes `int64[3]`, a slice `1:3`.
"""

import math
from collections.abc import Mapping, Set
from typing import Any, TypeAlias

import numpy as np

from ..tensor import Tensor

Plain: TypeAlias = bool | int | float | str | tuple["Plain", ...] | None

# A sequence longer than this is described by its length: nobody reads it element by element.
LONGEST = 32


def plain(value: Any) -> Plain:
    """The value as numbers, strings and tuples of them; what has no such form is described.

    Parameters
    ----------
    value : object
        A setting of an op.

    Returns
    -------
    None, bool, int, float, str or tuple
        Numbers that JSON cannot spell (infinity, NaN) become strings.

    Examples
    --------
    >>> import numpy as np
    >>> plain((np.int64(2), slice(1, None), None, ...))
    (2, '1:', None, '...')
    >>> plain({"index": np.array([0, 2, 1]), "dtype": np.dtype("float32"), "fill": -np.inf})
    ('index=int64[3]', 'dtype=float32', 'fill=-inf')
    >>> plain(np.sign)
    'sign'
    """
    if isinstance(value, np.generic) and not isinstance(value, np.character | np.void):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, np.ndarray | Tensor):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    if isinstance(value, Mapping):
        return plain(tuple(f"{name}={spelled(plain(item))}" for name, item in value.items()))
    if isinstance(value, tuple | list | Set):
        long = f"{type(value).__name__} of {len(value)}"
        return long if len(value) > LONGEST else tuple(plain(item) for item in value)
    return _described(value)


def _described(value: Any) -> str:
    """What is neither a number nor a container: as it is written where that is short, else by its name or type."""
    if isinstance(value, slice):
        bounds = ["" if bound is None else spelled(plain(bound)) for bound in (value.start, value.stop, value.step)]
        return ":".join(bounds[:2] if value.step is None else bounds)
    if value is Ellipsis:
        return "..."
    if isinstance(value, np.dtype):
        return str(value)
    # A function or a class has a name; a repr could be long, hold an address, or print a whole array.
    return str(getattr(value, "__name__", type(value).__name__))


def spelled(value: Plain) -> str:
    """Plain data as a reader would write it: strings without quotes, floats without noise.

    Examples
    --------
    >>> spelled((2, "1:", None, (0.1, 1e-05), (3,)))
    '(2, 1:, None, (0.1, 1e-05), (3,))'
    """
    if isinstance(value, tuple):
        inside = ", ".join(spelled(item) for item in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
