"""Where things stand. Rows are those of both models, so that what was kept stands at one height on both sides."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from advisor.report.html import drawing_text as text
from advisor.report.html.drawing_text import Label, Shown, label_of_box, label_of_group
from advisor.report.html.model_drawing import Box, Group, Item, Side
from advisor.report.html.pieces import Run, pieces_of
from advisor.report.html.scene import PlacedBox, Point, Route, Scene, boxed, framed, stacked, turned
from advisor.report.wording import counted

GAP_ACROSS = 16.0
GAP_ALONG = 21.0

_WIDEST = (300.0, 262.0, 178.0, 160.0)
"""So wide is a box at most, by how many stand side by side, in pixels."""

_NARROWEST = 96.0
_TOP, _BOTTOM = "\0top", "\0bottom"
_MARGIN = 5.0
_ROOM_FOR_A_LINE = 6.0
_APART = 18.0
_REST = 8.0
"""So much of a line stands below the last box; the arrow at its end is in the picture below."""


def scenes_of_run(run: Run, sides: Sequence[Side], shown: Shown, *, sideways: bool = False) -> dict[Side, Scene]:
    """A run of each model, with equal rows and of equal size.

    Args:
        run: The run.
        sides: Which models.
        shown: What boxes tell.
        sideways: Whether it runs from left to right.

    Returns:
        A scene per side.
    """
    rows = _rows_of(run, sides)
    boxes = _boxes(run, sides, shown, _room(rows, shown))
    heights = _heights(rows, boxes, sideways=sideways)
    columns = {side: _columns(run, side, rows, boxes[side], sideways=sideways) for side in sides}
    width = max(one.width for one in columns.values())
    scenes = {side: _scene(run, columns[side], boxes[side], rows, heights, width, sideways=sideways) for side in sides}
    return {side: turned(scene) for side, scene in scenes.items()} if sideways else scenes


def scenes_of_group(
    group: Group,
    sides: Sequence[Side],
    shown: Shown,
    *,
    expand_nested: bool,
    expand_blocks: bool,
    sideways: bool = False,
) -> dict[Side, Scene]:
    """A whole group of each model: groups in it are boxes, or frames where they are expanded.

    Args:
        group: The group.
        sides: Which models.
        shown: What boxes tell.
        expand_nested: Whether nested models, and layers that hold others, are drawn with what is in them.
        expand_blocks: Whether blocks are.
        sideways: Whether it runs from left to right.

    Returns:
        A scene per side, of equal size.
    """

    def is_expanded(inner: Group) -> bool:
        return bool(inner.items) and (expand_nested if inner.kind else expand_blocks)

    apart: list[Group] = []
    drawn = [_scenes_in_series(group, sides, shown, is_expanded, apart, sideways=sideways)]
    # What stands beside something else is one box there; in the series it would look like a part of it.
    for inner in apart:  # grows while frames are drawn
        scenes = _scenes_in_series(inner, sides, shown, is_expanded, apart, sideways=sideways)
        drawn += [dict.fromkeys(sides, Scene(_APART, _APART, sideways=sideways)), _around(inner, scenes, boxed)]
    return {side: stacked([scenes[side] for scenes in drawn], sideways=sideways) for side in sides}


def _scenes_in_series(
    group: Group,
    sides: Sequence[Side],
    shown: Shown,
    is_expanded: Callable[[Group], bool],
    apart: list[Group],
    *,
    sideways: bool,
) -> dict[Side, Scene]:
    """The pieces of a group one after the other; the groups that have no place there are added to `apart`."""
    drawn = []
    for piece in pieces_of(group, is_expanded):
        if isinstance(piece, Group):
            inside = _scenes_in_series(piece, sides, shown, is_expanded, apart, sideways=sideways)
            drawn.append(_around(piece, inside, framed))
        else:
            drawn.append(scenes_of_run(piece, sides, shown, sideways=sideways))
            apart += filter(is_expanded, piece.groups)
    return {side: stacked([scenes[side] for scenes in drawn], sideways=sideways) for side in sides}


def _around(group: Group, scenes: Mapping[Side, Scene], frame: Callable[..., Scene]) -> dict[Side, Scene]:
    titles = {side: f"{group.title} · {counted(group.layers(side), 'layer')}" for side in scenes}
    return {side: frame(scene, text.plain_text(titles[side]), margin=14, head=34) for side, scene in scenes.items()}


def _rows_of(run: Run, sides: Sequence[Side]) -> dict[str, int]:
    """The row of every item by the longest way to it, with a row above and below where lines come in and go out."""
    has_top = any(run.entries.get(side) for side in sides)
    has_bottom = any(run.exits.get(side) for side in sides)
    rows = {item.key: int(has_top) for item in run.items}
    reads: defaultdict[str, list[str]] = defaultdict(list)
    for edge in run.edges:
        reads[edge.target].append(edge.source)
    for item in run.items:
        rows[item.key] = max([rows[item.key], *(rows[source] + 1 for source in reads[item.key])])
    last = max(rows.values())
    return rows | ({_TOP: 0} if has_top else {}) | ({_BOTTOM: last + 1} if has_bottom else {})


def _room(rows: Mapping[str, int], shown: Shown) -> float:
    most = max(Counter(rows.values()).values())
    widest = _WIDEST[min(most, len(_WIDEST)) - 1]
    return widest * (1.4 if shown.shapes else 1.0)


@dataclass(frozen=True)
class _SizedBox:
    item: Item
    label: Label
    width: float
    height: float


def _boxes(run: Run, sides: Sequence[Side], shown: Shown, room: float) -> dict[Side, dict[str, _SizedBox]]:
    """The boxes of each side by key, all of one width."""
    labels = {
        side: {item.key: _fitted(_label(item, side, shown), room) for item in run.items if side in item.sides}
        for side in sides
    }
    wanted = [_width(label) for own in labels.values() for label in own.values()]
    width = min(room, max([_NARROWEST, *wanted]))
    # As tall on one side as on the other, though only the first has the codes of findings in it.
    heights = {
        item.key: max(_height(own[item.key]) for own in labels.values() if item.key in own)
        for item in run.items
        if any(item.key in own for own in labels.values())
    }
    items = {item.key: item for item in run.items}
    return {
        side: {key: _SizedBox(items[key], label, width, heights[key]) for key, label in own.items()}
        for side, own in labels.items()
    }


def _label(item: Item, side: Side, shown: Shown) -> Label:
    return label_of_box(item, side, shown) if isinstance(item, Box) else label_of_group(item, side)


def _fitted(label: Label, room: float) -> Label:
    inner = room - 2 * text.PADDING
    tag = text.width_of(label.tag, text.TAG_SIZE, bold=True) + 8 if label.tag else 0.0
    name = text.elided(label.name, text.NAME_SIZE, inner - tag, bold=True)
    lines = tuple(text.elided(line, text.LINE_SIZE, inner) for line in label.lines)
    return Label(name, lines, label.tag, label.codes)


def _width(label: Label) -> float:
    tag = text.width_of(label.tag, text.TAG_SIZE, bold=True) + 8 if label.tag else 0.0
    first = text.width_of(label.name, text.NAME_SIZE, bold=True) + tag
    codes = text.width_of("  ".join(code for _, code in label.codes), text.TAG_SIZE, bold=True)
    return max(first, codes, *(text.width_of(line, text.LINE_SIZE) for line in label.lines), 0.0) + 2 * text.PADDING


def _height(label: Label) -> float:
    return text.LINE_HEIGHT * (1 + len(label.lines) + bool(label.codes)) + text.PADDING


def _heights(rows: Mapping[str, int], boxes: Mapping[Side, Mapping[str, _SizedBox]], *, sideways: bool) -> list[float]:
    """How much each row takes, whichever side needs most."""
    heights = [0.0] * (max(rows.values()) + 1)
    for own in boxes.values():
        for key, box in own.items():
            heights[rows[key]] = max(heights[rows[key]], box.width if sideways else box.height)
    return heights


@dataclass(frozen=True)
class _Columns:
    """Where everything stands across.

    Attributes:
        width: Of all.
        places: Middle of each box, by key.
        ways: The lines, each from a key to another by the middles of what it passes, by row.
    """

    width: float
    places: Mapping[str, float]
    ways: tuple[tuple[str, str, Mapping[int, float]], ...]


def _columns(
    run: Run, side: Side, rows: Mapping[str, int], boxes: Mapping[str, _SizedBox], *, sideways: bool
) -> _Columns:
    import igraph

    keys = [item.key for item in run.items if item.key in boxes]
    pairs = [(edge.source, edge.target) for edge in run.edges if side in edge.sides]
    if _TOP in rows:
        keys.append(_TOP)
        pairs += [(_TOP, key) for key in run.entries[side]]
    if _BOTTOM in rows:
        keys.append(_BOTTOM)
        pairs += [(key, _BOTTOM) for key in run.exits[side]]
    if _TOP in rows and _BOTTOM in rows and not boxes:
        pairs.append((_TOP, _BOTTOM))
    if not keys:
        return _Columns(0.0, {}, ())
    number = {key: index for index, key in enumerate(keys)}
    graph = igraph.Graph(n=len(keys), edges=[(number[a], number[b]) for a, b in pairs], directed=True)
    layout = graph.layout_sugiyama(layers=[rows[key] for key in keys])
    if _is_mirrored(layout.coords):
        layout.mirror(0)
        layout.edge_routing = [[[-x, y] for x, y in points] for points in layout.edge_routing]
    across = {key: (box.height if sideways else box.width) for key, box in boxes.items()}
    spots = [
        _Spot(rows[key], x, across.get(key, _ROOM_FOR_A_LINE)) for key, (x, _) in zip(keys, layout.coords, strict=True)
    ]
    bends = [[_Spot(round(y), x, _ROOM_FOR_A_LINE) for x, y in points] for points in layout.edge_routing]
    places_of = _compacted([*spots, *(spot for points in bends for spot in points)])
    places = {key: places_of[spot.x] for key, spot in zip(keys, spots, strict=True)}
    alone = Counter(spot.row for spot in [*spots, *(spot for points in bends for spot in points)])
    for key in boxes:
        above = [a for (a, b), points in zip(pairs, bends, strict=True) if b == key and not points and a in boxes]
        if alone[rows[key]] == 1 and len(above) == 1:
            places[key] = places[above[0]]  # a chain goes straight on below a branch that ends
    ways = [{spot.row: places_of[spot.x] for spot in points} for points in bends]
    ends = [(places[key], across[key] / 2) for key in boxes]
    ends += [(x, _ROOM_FOR_A_LINE / 2) for way in ways for x in way.values()] or [(0.0, 0.0)] * (not boxes)
    start = min(middle - half for middle, half in ends) - _MARGIN
    width = max(middle + half for middle, half in ends) + _MARGIN - start
    return _Columns(
        width,
        {key: x - start for key, x in places.items()},
        tuple((a, b, {row: x - start for row, x in way.items()}) for (a, b), way in zip(pairs, ways, strict=True)),
    )


def _is_mirrored(spots: Sequence[Sequence[float]]) -> bool:
    """Whether most neighbours in a row stand in the other order than that of the model."""
    by_row: defaultdict[float, list[float]] = defaultdict(list)
    for x, row in spots:
        by_row[row].append(x)
    turns = [1 if one > other else -1 for row in by_row.values() for one, other in pairwise(row)]
    return sum(turns) > 0


@dataclass(frozen=True)
class _Spot:
    """A box, or a point of a line, in a row."""

    row: int
    x: float
    width: float


def _compacted(spots: Iterable[_Spot]) -> Mapping[float, float]:
    """Places across in pixels: what stood in one column still does, as near to its neighbours as widths allow.

    The layout gives every line as much room as a box. Packed to the left and packed to the right are both as narrow as
    can be; in the middle between the two nothing leans to either side.
    """
    by_row: defaultdict[int, list[_Spot]] = defaultdict(list)
    for spot in spots:
        by_row[spot.row].append(spot)
    columns = sorted({spot.x for row in by_row.values() for spot in row})
    index = {x: number for number, x in enumerate(columns)}
    apart: dict[tuple[int, int], float] = {}
    for row in by_row.values():
        row.sort(key=lambda spot: spot.x)
        for one, other in pairwise(row):
            if one.x < other.x:
                pair = (index[one.x], index[other.x])
                apart[pair] = max(apart.get(pair, 0.0), (one.width + other.width) / 2 + GAP_ACROSS)
    left = [0.0] * len(columns)
    for number in range(1, len(columns)):
        left[number] = max([left[number - 1], *(left[a] + gap for (a, b), gap in apart.items() if b == number)])
    right = [left[-1]] * len(columns)
    for number in range(len(columns) - 2, -1, -1):
        right[number] = min([right[number + 1], *(right[b] - gap for (a, b), gap in apart.items() if a == number)])
    return {x: (left[number] + right[number]) / 2 for x, number in index.items()}


def _scene(
    run: Run,
    columns: _Columns,
    boxes: Mapping[str, _SizedBox],
    rows: Mapping[str, int],
    heights: Sequence[float],
    width: float,
    *,
    sideways: bool,
) -> Scene:
    """The scene of one side, in the middle of the width of both, running down."""
    shift = (width - columns.width) / 2
    tops = [0.0 if _TOP in rows else _MARGIN]
    for height in heights:
        tops.append(tops[-1] + height + GAP_ALONG)
    end = tops[-1] - GAP_ALONG + (_REST - GAP_ALONG if _BOTTOM in rows else _MARGIN)
    placed = {
        key: PlacedBox(
            key=key,
            label=box.label,
            status=box.item.status,
            is_group=isinstance(box.item, Group),
            x=columns.places[key] + shift,
            y=tops[rows[key]] + heights[rows[key]] / 2,
            width=box.width,
            height=box.height,
        )
        for key, box in boxes.items()
    }

    def reach(key: str) -> float:
        return (placed[key].width if sideways else placed[key].height) / 2

    def begin(key: str) -> Point:
        return (width / 2, 0.0) if key == _TOP else (placed[key].x, placed[key].y + reach(key))

    def arrive(key: str) -> Point:
        return (width / 2, end) if key == _BOTTOM else (placed[key].x, placed[key].y - reach(key))

    unknown = {(edge.source, edge.target) for edge in run.edges if not edge.known}
    routes = []
    for source, target, bends in columns.ways:
        if (source, target) in unknown:
            continue
        through = [(x + shift, y) for row, x in sorted(bends.items()) for y in (tops[row], tops[row] + heights[row])]
        routes.append(Route((begin(source), *through, arrive(target)), arrow=target != _BOTTOM))
    return Scene(width, end, tuple(placed.values()), tuple(routes))
