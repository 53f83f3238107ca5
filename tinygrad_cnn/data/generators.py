"""The state of a random generator as plain data, which JSON can hold."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError

_KINDS = {
    kind.__name__: kind
    for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}


def state_of(generator: np.random.Generator) -> dict[str, Any]:
    """Return a copy of a generator's state, of dicts, lists, numbers and strings.

    Examples
    --------
    >>> import json
    >>> generator = np.random.default_rng(0)
    >>> text = json.dumps(state_of(generator))
    >>> first = generator.random()
    >>> generator_at(json.loads(text)).random() == first
    True
    """
    state: dict[str, Any] = _plain(generator.bit_generator.state)
    return state


def generator_at(state: Mapping[str, Any]) -> np.random.Generator:
    """Return a new generator that goes on from a state.

    Raises
    ------
    ArgumentError
        If the state is that of no bit generator of NumPy's.
    """
    kind = _KINDS.get(state.get("bit_generator", ""))
    if kind is None:
        known = ", ".join(_KINDS)
        raise ArgumentError(f"the state of a generator must be one of {known}, got {state.get('bit_generator')!r}")
    generator = np.random.Generator(kind())
    try:
        generator.bit_generator.state = dict(state)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ArgumentError(f"this is no state of a {kind.__name__} generator: {error!r}") from error
    return generator


def require_same_kind(generator: np.random.Generator, state: Mapping[str, Any]) -> None:
    """Raise ArgumentError unless the state fits the generator."""
    own = type(generator.bit_generator).__name__
    if state.get("bit_generator") != own:
        raise ArgumentError(
            f"the generator is a {own}, but the state that it should take is that of a {state.get('bit_generator')}: "
            "give the loader the kind of generator that it had when its state was saved"
        )
    generator_at(state)


def _plain(value: Any) -> Any:
    """Turn the arrays and NumPy numbers inside a state into lists and numbers."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
