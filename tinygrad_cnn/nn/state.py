"""What `Module.load_state_dict` compares, and what it says: everything that does not fit, at once."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import TinygradError
from ..tensor import Array, Tensor, as_array
from .parameter import WithoutValues


class IncompatibleKeys(NamedTuple):
    """What `Module.load_state_dict` found on one side only."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def versions_of(state_dict: Any) -> dict[str, int]:
    """The versions of the modules that wrote a state, by path: PyTorch's dictionaries carry them as ``_metadata``."""
    metadata = getattr(state_dict, "_metadata", None)
    entries = metadata.items() if isinstance(metadata, Mapping) else ()
    versions = {str(path): entry.get("version") for path, entry in entries if isinstance(entry, Mapping)}
    return {path: version for path, version in versions.items() if isinstance(version, int)}


def fitting_arrays(own: Mapping[str, Tensor], given: Mapping[str, Any]) -> tuple[dict[str, Array], list[str]]:
    """The given arrays that a module has a place for, and a line for each that does not fit it."""
    arrays: dict[str, Array] = {}
    misfits = []
    for name in own:
        if name not in given:
            continue
        try:
            arrays[name] = as_array(given[name])
        except (TinygradError, TypeError, ValueError) as error:
            misfits.append(f"{name}: expected an array, got {type(given[name]).__name__} ({error})")
            continue
        if not isinstance(own[name], WithoutValues) and arrays[name].shape != own[name].shape:
            misfits.append(f"{name}: the shape given is {arrays[name].shape}, the module's is {own[name].shape}")
    return arrays, misfits


def mismatch_message(
    module: str, missing: Iterable[str], unexpected: Iterable[str], misfits: Iterable[str]
) -> str:
    parts = {
        "in the module, but not given": missing,
        "given, but not in the module": unexpected,
        "of another shape or kind": misfits,
    }
    lines = [f"{title}:\n    " + "\n    ".join(names) for title, names in parts.items() if names]
    return (
        f"load_state_dict: the state does not fit {module}, which was left as it was.\n  "
        + "\n  ".join(lines)
        + "\nBuild the module that the state was saved from, rename the keys, or pass strict=False to load only the names "
        "that are on both sides (with equal shapes)."
    )
