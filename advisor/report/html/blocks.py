"""Long models fold: layers that belong together, by what connects them and what they are called, become one group."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, takewhile

from advisor.report.html.model_drawing import INPUT, OUTPUT, Edge, Group, Item, ModelDrawing, Side
from advisor.report.html.ordering import in_order, parts_of

MOST_ITEMS = 24
"""So many layers are drawn one by one; more of them fold."""

FEWEST_IN_BLOCK = 3
"""Fewer layers are no block."""

_ENDS = frozenset({INPUT, OUTPUT})

LONGEST_PATTERN = 12
"""So many parts may repeat as one pattern."""


def folded(drawing: ModelDrawing) -> ModelDrawing:
    """A drawing in which no group holds more than about `MOST_ITEMS` items, where names or connections allow it.

    Args:
        drawing: The drawing as the model is.

    Returns:
        The drawing with blocks.
    """
    return replace(drawing, root=_folded(drawing.root))


def _folded(group: Group) -> Group:
    items = tuple(_folded(item) if isinstance(item, Group) else item for item in group.items)
    group = replace(group, items=items)
    if len(items) <= MOST_ITEMS:
        return group
    blocks = _blocks(group)
    if not any(isinstance(block, _Block) for block in blocks):
        return group
    return _grouped(group, blocks)


@dataclass(frozen=True)
class _Block:
    """Items that stand together in the order of a group."""

    title: str
    items: tuple[_Block | Item, ...]

    @property
    def leaves(self) -> list[Item]:
        return [leaf for item in self.items for leaf in (item.leaves if isinstance(item, _Block) else [item])]


def _blocks(group: Group) -> list[_Block | Item]:
    by_key = {item.key: item for item in group.items}
    parts = [_Part(tuple(by_key[key] for key in part)) for part in _parts(group)]
    found = _by_name(parts, depth=0)
    if len(found) > MOST_ITEMS:
        found = _by_repetition(found)
    if len(found) > MOST_ITEMS:
        found = _by_number(found)
    return _opened(found)


@dataclass(frozen=True)
class _Part:
    """Items between two cuts, with the words of the name they share."""

    items: tuple[Item, ...]

    @property
    def words(self) -> tuple[str, ...]:
        named = [_words(item) for item in self.items if not _is_automatic(item)]
        return _shared(named)


def _shared(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The words with which all names begin."""
    return tuple(words[0] for words in takewhile(lambda words: len(set(words)) == 1, zip(*names, strict=False)))


def _parts(group: Group) -> Iterator[Sequence[str]]:
    """The parts of a group; those that nothing cuts, such as a U-Net, by their chains."""
    order = [item.key for item in group.items]
    for part in parts_of(order, group.edges, {item.key: item.sides for item in group.items}):
        if len(part) <= MOST_ITEMS:
            yield part
        else:
            yield from _chains(part, group.edges)


def _chains(order: Sequence[str], edges: Sequence[Edge]) -> Iterator[Sequence[str]]:
    """Runs of items each of which reads the one before it alone, and is read by the next one alone."""
    inside = set(order)
    reads: dict[str, set[str]] = {key: set() for key in order}
    read_by: dict[str, set[str]] = {key: set() for key in order}
    for edge in edges:
        if edge.target in inside:
            reads[edge.target].add(edge.source)
        if edge.source in inside:
            read_by[edge.source].add(edge.target)
    chain: list[str] = []
    for key in order:
        if chain and not (reads[key] == {chain[-1]} and len(read_by[chain[-1]]) == 1):
            yield chain
            chain = []
        chain.append(key)
    yield chain


def _by_name(parts: Sequence[_Part], depth: int) -> list[_Block | Item]:
    """Neighbours whose names begin alike, and parts with several ways through them, as blocks."""
    found: list[_Block | Item] = []
    for words, run in groupby(parts, key=lambda part: part.words[: depth + 1]):
        alike = list(run)
        items = [item for part in alike for item in part.items]
        if len(words) > depth and len(items) >= FEWEST_IN_BLOCK:
            inner = _by_name(alike, depth + 1) if len(items) > MOST_ITEMS and _has_more_words(alike, depth) else items
            found.append(_Block("_".join(_shared([part.words for part in alike])), tuple(inner)))
        else:
            for part in alike:
                found.extend(_by_itself(part))
    return found


def _by_itself(part: _Part) -> list[_Block | Item]:
    if len(part.items) < FEWEST_IN_BLOCK:
        return list(part.items)
    last = part.items[-1]
    return [_Block(_span(part.items) if _is_automatic(last) else _name(last), part.items)]


def _by_repetition(items: Sequence[_Block | Item]) -> list[_Block | Item]:
    """Patterns of classes that follow each other several times, each time as a block."""
    kinds = [_kinds(item) for item in items]
    found: list[_Block | Item] = []
    start = 0
    while start < len(items):
        length, times = _longest_repetition(kinds, start)
        for number in range(times):
            run = items[start + number * length : start + (number + 1) * length]
            found.append(run[0] if len(run) == 1 else _Block(_span(_leaves(run)), tuple(run)))
        start += length * times
    return found


def _longest_repetition(kinds: Sequence[object], start: int) -> tuple[int, int]:
    """Length of the pattern that begins at `start` and covers most, and how many times it stands there."""
    best = (1, 1)
    for length in range(2, LONGEST_PATTERN + 1):
        pattern = kinds[start : start + length]
        times = 1
        while kinds[start + times * length : start + (times + 1) * length] == pattern and len(pattern) == length:
            times += 1
        if times > 1 and length * times > best[0] * best[1]:
            best = (length, times)
    return best


def _by_number(items: Sequence[_Block | Item]) -> list[_Block | Item]:
    """Neighbours in groups of about equal size, where nothing else tells them apart."""
    size = max(FEWEST_IN_BLOCK, round(len(items) ** 0.5))
    runs = [items[start : start + size] for start in range(0, len(items), size)]
    return [run[0] if len(run) == 1 else _Block(_span(_leaves(run)), tuple(run)) for run in runs]


def _has_more_words(parts: Sequence[_Part], depth: int) -> bool:
    return any(len(part.words) > depth + 1 for part in parts)


def _opened(items: list[_Block | Item]) -> list[_Block | Item]:
    """Blocks taken apart into the blocks in them, all of them where there is room, or the one that is nearly all."""
    total = len(_leaves(items))
    while True:
        nested = [item for item in items if isinstance(item, _Block) and _has_blocks(item)]
        room = len(items) + sum(len(block.items) - 1 for block in nested) <= MOST_ITEMS
        whole = [block for block in nested if len(block.leaves) > total / 2 and len(block.items) <= MOST_ITEMS]
        opening = nested if room else whole
        if not opening:
            return items
        items = [inner for item in items for inner in (_inside(item) if item in opening else [item])]


def _inside(item: _Block | Item) -> Sequence[_Block | Item]:
    return item.items if isinstance(item, _Block) else [item]


def _has_blocks(block: _Block) -> bool:
    """Whether most of a block is blocks again."""
    inside = sum(len(item.leaves) for item in block.items if isinstance(item, _Block))
    return inside > len(block.leaves) / 2


def _grouped(group: Group, blocks: Sequence[_Block | Item]) -> Group:
    """The group with its blocks as groups, and edges between those."""
    items = tuple(_as_group(block, group) if isinstance(block, _Block) else block for block in blocks)
    edges = _between(blocks, group.edges)
    order = in_order(
        [item.key for item in items], [edge for edge in edges if {edge.source, edge.target}.isdisjoint(_ENDS)]
    )
    by_key = {item.key: item for item in items}
    return replace(group, items=tuple(by_key[key] for key in order), edges=edges)


def _as_group(block: _Block, parent: Group) -> Group:
    items = _leaves(block.items)
    keys = {item.key for item in items}
    sides = frozenset(side for item in items for side in item.sides)
    inner = Group(
        key=f"{items[0].key} … {items[-1].key}",
        title=block.title,
        items=tuple(items),
        edges=tuple(_within(keys, parent.edges)),
        sides=sides,
    )
    if len(items) > MOST_ITEMS and any(isinstance(item, _Block) for item in block.items):
        return _grouped(inner, block.items)
    return inner


def _within(keys: set[str], edges: Sequence[Edge]) -> Iterator[Edge]:
    """The edges of some items, where whatever else these read comes in, and what else reads them is out."""
    found: dict[tuple[str, str, bool], set[Side]] = {}
    for edge in edges:
        if edge.source in keys or edge.target in keys:
            source = edge.source if edge.source in keys else INPUT
            target = edge.target if edge.target in keys else OUTPUT
            found.setdefault((source, target, edge.known), set()).update(edge.sides)
    return (Edge(source, target, frozenset(on), known) for (source, target, known), on in found.items())


def _between(blocks: Sequence[_Block | Item], edges: Sequence[Edge]) -> tuple[Edge, ...]:
    owner = {leaf.key: _key(block) for block in blocks for leaf in _leaves([block])} | {end: end for end in _ENDS}
    sides: dict[tuple[str, str, bool], set[Side]] = {}
    for edge in edges:
        if edge.source in owner and edge.target in owner and owner[edge.source] != owner[edge.target]:
            sides.setdefault((owner[edge.source], owner[edge.target], edge.known), set()).update(edge.sides)
    return tuple(Edge(source, target, frozenset(on), known) for (source, target, known), on in sides.items())


def _key(block: _Block | Item) -> str:
    leaves = _leaves([block])
    return f"{leaves[0].key} … {leaves[-1].key}" if isinstance(block, _Block) else block.key


def _leaves(items: Sequence[_Block | Item]) -> list[Item]:
    return [leaf for item in items for leaf in (item.leaves if isinstance(item, _Block) else [item])]


def _kinds(item: _Block | Item) -> object:
    return tuple(_kind(leaf) for leaf in _leaves([item]))


def _kind(item: Item) -> str:
    return item.kind if isinstance(item, Group) else next(iter(item.faces.values())).kind


def _name(item: Item) -> str:
    return item.title if isinstance(item, Group) else item.name


def _span(items: Sequence[Item]) -> str:
    return f"{_name(items[0])} … {_name(items[-1])}"


def _words(item: Item) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[_./\-]+", _name(item)) if word)


def _is_automatic(item: Item) -> bool:
    """Whether Keras named it: by its class, and a number behind it."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", _kind(item)).lower()
    plain = re.sub(r"(_\d+)?(~\d+)?$", "", _name(item)).replace("_", "")
    return plain == snake.replace("_", "")
