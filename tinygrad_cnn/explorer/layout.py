"""Where the boxes of the explorer's graph stand: a row for each step of the data, a lane for each path beside another.

Rows are distances: an op stands one row below the lowest of its inputs. A path keeps its lane as long as it runs straight;
what branches off takes the nearest free lane, and what comes together continues in the leftmost lane of its inputs.
"""

from collections.abc import Sequence
from typing import Any


def places(nodes: Sequence[dict[str, Any]]) -> dict[int, tuple[int, int]]:
    """Give each op a lane and a row, as well as each tensor that data come from.

    Parameters and constants of an op are not drawn: they are part of the op's own picture.

    Parameters
    ----------
    nodes : sequence of dict
        As in `trace`, in the order of the forward pass: `id`, `kind`, and for ops `inputs`.

    Returns
    -------
    dict of int to (int, int)
        Lane and row, by the place of the node in `nodes`.

    Examples
    --------
    >>> nodes = [
    ...     {"id": "a", "kind": "leaf"},
    ...     {"id": "b", "kind": "op", "inputs": ["a"]},
    ...     {"id": "c", "kind": "op", "inputs": ["a"]},
    ...     {"id": "d", "kind": "op", "inputs": ["b", "c"]},
    ... ]
    >>> places(nodes)
    {0: (0, 0), 1: (0, 1), 2: (1, 1), 3: (0, 2)}
    """
    at = {node["id"]: i for i, node in enumerate(nodes)}
    drawn = _drawn(nodes, at)
    rows: dict[int, int] = {}
    for i in drawn:
        above = [rows[at[source]] for source in nodes[i].get("inputs", ()) if at[source] in rows]
        rows[i] = max(above) + 1 if above else 0
    lanes: dict[int, int] = {}
    taken: set[tuple[int, int]] = set()
    for i in drawn:
        sources = [at[source] for source in nodes[i].get("inputs", ()) if at[source] in lanes]
        lane = min((lanes[source] for source in sources), default=0)
        while (lane, rows[i]) in taken:
            lane += 1
        lanes[i] = lane
        # A path that waits for a later row keeps its lane free from others on the way.
        first = max((rows[source] for source in sources if lanes[source] == lane), default=rows[i] - 1) + 1
        taken |= {(lane, row) for row in range(first, rows[i] + 1)}
    return {i: (lanes[i], rows[i]) for i in drawn}


def _drawn(nodes: Sequence[dict[str, Any]], at: dict[str, int]) -> list[int]:
    """The ops, and the sources that are an op's first argument and no parameter, in the order of the forward pass."""
    sources = {at[node["inputs"][0]] for node in nodes if node.get("inputs")}
    return [i for i, node in enumerate(nodes) if node["kind"] == "op" or (i in sources and node["kind"] != "parameter")]
