"""A group as a series: runs that are one picture each, and between them the groups that fold by themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from advisor.report.html.model_drawing import INPUT, OUTPUT, Edge, Group, Item, Side
from advisor.report.html.ordering import parts_of


@dataclass(frozen=True)
class Run:
    """Items that are drawn in one picture.

    Attributes:
        items: The items; groups among them are drawn as one box each.
        edges: What these hand to each other.
        entries: Keys of the items that read what comes from above, by side.
        exits: Keys of the items that are read below, by side.
    """

    items: tuple[Item, ...]
    edges: tuple[Edge, ...]
    entries: Mapping[Side, tuple[str, ...]]
    exits: Mapping[Side, tuple[str, ...]]

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups that are drawn as boxes."""
        return tuple(item for item in self.items if isinstance(item, Group))

    @property
    def sides(self) -> frozenset[Side]:
        """The models that have any of it."""
        return frozenset(side for item in self.items for side in item.sides)


Piece = Run | Group


def pieces_of(group: Group, stands_alone: Callable[[Group], bool]) -> tuple[Piece, ...]:
    """Cut a group into a series.

    Args:
        group: The group.
        stands_alone: Whether a group in it is a piece of its own, where nothing stands beside it.

    Returns:
        Runs and groups, from the first to the last.
    """
    by_key = {item.key: item for item in group.items}
    pieces: list[Piece] = []
    waiting: list[Item] = []
    named = {key for edge in group.edges for key in (edge.source, edge.target)}
    order = [*({INPUT} & named), *by_key, *({OUTPUT} & named)]
    sides = {INPUT: group.sides, OUTPUT: group.sides} | {key: item.sides for key, item in by_key.items()}
    for part in parts_of(order, group.edges, sides):
        items = [by_key[key] for key in part if key in by_key]
        if not items:
            continue
        if len(items) == 1 and isinstance(items[0], Group) and stands_alone(items[0]):
            if waiting:
                pieces.append(_run(waiting, group))
            pieces.append(items[0])
            waiting = []
        else:
            waiting += items
    if waiting:
        pieces.append(_run(waiting, group))
    return tuple(pieces)


def _run(items: list[Item], group: Group) -> Run:
    keys = {item.key for item in items}
    sides = sorted(group.sides)
    entering = [edge for edge in group.edges if edge.known and edge.target in keys and edge.source not in keys]
    leaving = [edge for edge in group.edges if edge.known and edge.source in keys and edge.target not in keys]
    return Run(
        items=tuple(items),
        edges=tuple(edge for edge in group.edges if edge.source in keys and edge.target in keys),
        entries={side: _on(side, [(edge, edge.target) for edge in entering]) for side in sides},
        exits={side: _on(side, [(edge, edge.source) for edge in leaving]) for side in sides},
    )


def _on(side: Side, ends: list[tuple[Edge, str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for edge, key in ends if side in edge.sides))
