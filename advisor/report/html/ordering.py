"""Items in an order in which each stands after what it depends on, and the places at which a graph can be cut."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from advisor.report.html.model_drawing import Edge, Side


def in_order(keys: Sequence[str], edges: Sequence[Edge]) -> list[str]:
    """Keys so that every edge points forward: what depends on nothing first, then chain by chain.

    Args:
        keys: The keys, in the order that counts where edges leave a choice.
        edges: Edges between them, without a cycle.

    Returns:
        The keys in order.

    Example:
    >>> pairs = [("x", "a1"), ("x", "b1"), ("a1", "a2"), ("b1", "sum"), ("a2", "sum")]
    >>> in_order(["x", "a1", "b1", "a2", "sum"], [Edge(*pair, frozenset({Side.BEFORE})) for pair in pairs])
    ['x', 'a1', 'a2', 'b1', 'sum']
    """
    place = {key: number for number, key in enumerate(keys)}
    following: defaultdict[str, list[str]] = defaultdict(list)
    waiting = dict.fromkeys(keys, 0)
    for edge in edges:
        following[edge.source].append(edge.target)
        waiting[edge.target] += 1
    order: list[str] = []
    # A stack, so that a chain goes on before the next one begins.
    ready = [key for key in reversed(keys) if not waiting[key]]
    ready.sort(key=lambda key: (not following[key], place[key]), reverse=True)
    roots = list(reversed(ready))
    ready = []

    def release(key: str) -> None:
        order.append(key)
        freed = []
        for target in following[key]:
            waiting[target] -= 1
            if not waiting[target]:
                freed.append(target)
        ready.extend(sorted(freed, key=place.__getitem__, reverse=True))

    for root in roots:
        release(root)
    while ready:
        release(ready.pop())
    return order


def on_cycles(edges: Sequence[Edge]) -> set[str]:
    """The keys of all items that lie on a cycle."""
    import igraph

    keys = list(dict.fromkeys(key for edge in edges for key in (edge.source, edge.target)))
    if not keys:
        return set()
    number = {key: index for index, key in enumerate(keys)}
    pairs = [(number[edge.source], number[edge.target]) for edge in edges]
    components = igraph.Graph(n=len(keys), edges=pairs, directed=True).connected_components(mode="strong")
    return {keys[index] for component in components if len(component) > 1 for index in component}


def parts_of(order: Sequence[str], edges: Sequence[Edge], sides: Mapping[str, frozenset[Side]]) -> list[list[str]]:
    """Items in order, cut wherever all that follows reads nothing of what came before but the last item, on each side.

    Args:
        order: Keys, each after those it depends on.
        edges: Edges between them.
        sides: The models that have each item, by key.

    Returns:
        The parts.

    Example:
    >>> pairs = [("x", "a"), ("x", "sum"), ("a", "sum"), ("sum", "out")]
    >>> before = frozenset({Side.BEFORE})
    >>> keys = ["x", "a", "sum", "out"]
    >>> parts_of(keys, [Edge(*pair, before) for pair in pairs], dict.fromkeys(keys, before))
    [['x'], ['a', 'sum'], ['out']]
    """
    cuts = [_cuts(order, edges, sides, side) for side in Side if any(side in sides[key] for key in order)]
    parts: list[list[str]] = [[]]
    for number, key in enumerate(order):
        parts[-1].append(key)
        if all(number in own for own in cuts):
            parts.append([])
    return [part for part in parts if part]


def _cuts(order: Sequence[str], edges: Sequence[Edge], sides: Mapping[str, frozenset[Side]], side: Side) -> set[int]:
    """The places behind which one of the models can be cut."""
    place = {key: number for number, key in enumerate(order) if side in sides[key]}
    last_read = dict.fromkeys(place, -1)
    reads = set()
    for edge in edges:
        if side in edge.sides and edge.source in place and edge.target in place:
            last_read[edge.source] = max(last_read[edge.source], place[edge.target])
            reads.add(edge.target)
    last_root = max((place[key] for key in place if key not in reads), default=0)
    found = set()
    furthest, last = -1, ""
    for number, key in enumerate(order):
        if key in place:
            furthest = max(furthest, last_read.get(last, -1))
            last = key
        if last and furthest <= number < last_read[last] and number >= last_root:
            found.add(number)
    return found
