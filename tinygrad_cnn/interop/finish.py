"""From what a pickle has built to what the user gets: arrays for tensors, plain data for the rest."""

from typing import Any

from ..errors import CheckpointError
from .tensor_views import ElementType, StateDict, View

DEEPEST = 100
"""Levels of lists and dictionaries within each other that are read at most."""

MOST_ENTRIES = 10_000_000
"""Entries that the whole may have, counting a shared list as often as it is there."""

_PLAIN = (str, bytes, int, float, bool, type(None))


class Finished:
    """Replace every view by its array and every stand-in by plain data; called once the storages are filled.

    What it returns can be walked by recursion: it contains no cycle, is at most `DEEPEST` levels deep, and a list that is
    shared over and over (2^60 leaves out of 60 lists) is refused.
    """

    def __init__(self) -> None:
        self.done: dict[int, tuple[Any, int, int]] = {}  # by identity: the result, its height, its entries
        self.kept: list[Any] = []  # keeps what the identities belong to alive

    def __call__(self, value: Any) -> Any:
        """The plain value.

        Raises
        ------
        CheckpointError
            If the file holds anything else than tensors and plain data.
        """
        return self._visit(value, 0)[0]

    def _visit(self, value: Any, depth: int) -> tuple[Any, int, int]:
        if isinstance(value, _PLAIN):
            return value, 0, 1
        if id(value) not in self.done:
            if depth >= DEEPEST:
                raise CheckpointError(f"its lists and dictionaries are nested more than {DEEPEST} levels deep, or in a circle")
            self.kept.append(value)
            self.done[id(value)] = self._make(value, depth)
        made, height, entries = self.done[id(value)]
        if depth + height > DEEPEST:
            raise CheckpointError(f"its lists and dictionaries are nested more than {DEEPEST} levels deep")
        return made, height, entries

    def _make(self, value: Any, depth: int) -> tuple[Any, int, int]:
        if isinstance(value, View):
            return value.array(), 0, 1
        if isinstance(value, ElementType):
            return f"torch.{value.name}", 0, 1
        if not isinstance(value, (dict, list, tuple)):
            raise CheckpointError("it holds a bare storage, a class or a function besides tensors: save tensors")
        members = list(value.values() if isinstance(value, dict) else value)
        visited = [self._visit(member, depth + 1) for member in members]
        made: Any = [member for member, _, _ in visited]
        height = 1 + max((height for _, height, _ in visited), default=0)
        entries = 1 + sum(entries for _, _, entries in visited)
        if entries > MOST_ENTRIES:
            raise CheckpointError(f"its lists and dictionaries hold each other again and again: over {MOST_ENTRIES:,} entries")
        if isinstance(value, dict):
            made = self._finished_dict(value, dict(zip(value, made, strict=True)), depth)
        elif isinstance(value, tuple):
            made = tuple(made)
        return made, height, entries

    def _finished_dict(self, value: Any, made: dict[str, Any], depth: int) -> dict[str, Any]:
        if not isinstance(value, StateDict) or not hasattr(value, "_metadata"):
            return made
        state = StateDict(made)
        state._metadata = self._visit(value._metadata, depth + 1)[0]
        return state
