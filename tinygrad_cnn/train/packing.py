"""Nested state as plain data for JSON and a dictionary of arrays for safetensors, and back again, exactly.

A ``state_dict`` is a tree: dicts, lists and tuples, whose leaves are numbers, texts and arrays. JSON has no tuples, no keys
but texts, and no arrays; these are written as an object with the one key ``"$tuple"``, ``"$items"``, ``"$array"`` or
``"$scalar"``. Floats come back bit by bit, because Python writes the shortest text that reads as the same float.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DTypeError
from ..tensor import Tensor

Array = npt.NDArray[Any]

_TAGS = ("$tuple", "$items", "$array", "$scalar")


def pack(tree: Any, prefix: str = "state") -> tuple[Any, dict[str, Array]]:
    """Part a tree into what JSON can hold and its arrays.

    Parameters
    ----------
    tree : nested dicts, lists and tuples of numbers, texts, None, arrays and tensors
    prefix : str
        What the arrays' names begin with; the rest is a number.

    Returns
    -------
    plain : object
        For ``json.dumps``.
    arrays : dict of str to ndarray

    Raises
    ------
    DTypeError
        For a leaf of another type, with the path to it.

    Examples
    --------
    >>> plain, arrays = pack({"betas": (0.9, 0.999), 0: {"momentum": np.zeros(2)}})
    >>> plain
    {'$items': [['betas', {'$tuple': [0.9, 0.999]}], [0, {'momentum': {'$array': 'state/0'}}]]}
    >>> unpack(plain, arrays)
    {'betas': (0.9, 0.999), 0: {'momentum': array([0., 0.])}}
    """
    arrays: dict[str, Array] = {}
    return _pack(tree, prefix, "", arrays), arrays


def _pack(tree: Any, prefix: str, path: str, arrays: dict[str, Array]) -> Any:
    # Arrays first: a float64 scalar is a float too, but it makes float32 arrays float64, which a float does not.
    if isinstance(tree, Tensor | np.ndarray | np.generic):
        name = f"{prefix}/{len(arrays)}"
        arrays[name] = tree.array if isinstance(tree, Tensor) else np.asarray(tree)
        return {"$scalar" if isinstance(tree, np.generic) else "$array": name}
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    if isinstance(tree, Mapping):
        items = [(key, _pack(value, prefix, f"{path}[{key!r}]", arrays)) for key, value in tree.items()]
        if all(isinstance(key, str) and key not in _TAGS for key, _ in items):
            return dict(items)
        return {"$items": [[_pack(key, prefix, f"{path}, a key", arrays), value] for key, value in items]}
    if isinstance(tree, list | tuple):
        packed = [_pack(value, prefix, f"{path}[{i}]", arrays) for i, value in enumerate(tree)]
        return packed if isinstance(tree, list) else {"$tuple": packed}
    raise DTypeError(
        f"a checkpoint cannot hold the {type(tree).__name__} at {path or 'its root'}: a state must be made of dicts, lists, "
        "tuples, numbers, texts, None, arrays and tensors"
    )


def unpack(plain: Any, arrays: Mapping[str, Array]) -> Any:
    """Put together again what `pack` has parted; tensors come back as arrays.

    Raises
    ------
    KeyError
        If an array is missing.
    """
    if isinstance(plain, list):
        return [unpack(value, arrays) for value in plain]
    if not isinstance(plain, dict):
        return plain
    if len(plain) == 1:
        ((tag, content),) = plain.items()
        if tag == "$tuple":
            return tuple(unpack(content, arrays))
        if tag == "$items":
            return {unpack(key, arrays): unpack(value, arrays) for key, value in content}
        if tag == "$array":
            return arrays[content]
        if tag == "$scalar":
            return arrays[content][()]
    return {key: unpack(value, arrays) for key, value in plain.items()}
