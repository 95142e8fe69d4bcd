"""Boxes, lines and frames with places, in pixels from the top left: what is drawn, and how scenes are put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from advisor.report.html.drawing_text import Label
from advisor.report.html.model_drawing import Status

Point = tuple[float, float]


@dataclass(frozen=True)
class PlacedBox:
    """A box at its place.

    Attributes:
        key: Key of the item.
        label: Its text.
        status: What became of the layer, or of what is in the group.
        x, y: Its middle.
        width, height: Its size.
        is_group: Whether it stands for a group.
    """

    key: str
    label: Label
    status: Status
    x: float
    y: float
    width: float
    height: float
    is_group: bool = False


@dataclass(frozen=True)
class Route:
    """A line from one box to another, through points at which it is vertical, or horizontal in a sideways drawing."""

    points: tuple[Point, ...]
    arrow: bool = True


@dataclass(frozen=True)
class Frame:
    """A frame around the drawing of a group, or with no line a title above a scene."""

    title: str
    x: float
    y: float
    width: float
    height: float
    lined: bool = True


@dataclass(frozen=True)
class Scene:
    """A drawing.

    Attributes:
        width, height: Its size.
        boxes: The boxes.
        routes: The lines.
        frames: The frames, outermost first.
        sideways: Whether it runs from left to right.
    """

    width: float
    height: float
    boxes: tuple[PlacedBox, ...] = ()
    routes: tuple[Route, ...] = ()
    frames: tuple[Frame, ...] = ()
    sideways: bool = False


def moved(scene: Scene, right: float, down: float) -> Scene:
    """The scene at another place; its size is as it was."""
    return replace(
        scene,
        boxes=tuple(replace(box, x=box.x + right, y=box.y + down) for box in scene.boxes),
        routes=tuple(
            replace(route, points=tuple((x + right, y + down) for x, y in route.points)) for route in scene.routes
        ),
        frames=tuple(replace(frame, x=frame.x + right, y=frame.y + down) for frame in scene.frames),
    )


def stacked(scenes: Sequence[Scene], *, sideways: bool) -> Scene:
    """Scenes one after the other in the direction that they run in, each in the middle of the widest."""
    if sideways:
        return turned(stacked([turned(scene) for scene in scenes], sideways=False))
    width = max((scene.width for scene in scenes), default=0.0)
    placed, down = [], 0.0
    for scene in scenes:
        placed.append(moved(scene, (width - scene.width) / 2, down))
        down += scene.height
    return _together(placed, width, down, sideways=False)


def beside(scenes: Sequence[Scene], gap: float) -> Scene:
    """Scenes side by side, their beginnings in one line."""
    if scenes[0].sideways:
        return turned(beside([turned(scene) for scene in scenes], gap))
    placed, right = [], 0.0
    for scene in scenes:
        placed.append(moved(scene, right, 0.0))
        right += scene.width + gap
    return _together(placed, right - gap, max(scene.height for scene in scenes), sideways=False)


def boxed(scene: Scene, title: str, *, margin: float, head: float) -> Scene:
    """A scene with a frame around it."""
    inner = moved(scene, margin, head)
    width, height = scene.width + 2 * margin, scene.height + head + margin
    frame = Frame(title, margin / 2, margin / 2, width - margin, height - margin)
    return replace(inner, width=width, height=height, frames=(frame, *inner.frames))


def framed(scene: Scene, title: str, *, margin: float, head: float) -> Scene:
    """A scene with a frame around it, and lines that go on through the frame."""
    outer = boxed(scene, title, margin=margin, head=head)
    if scene.sideways:
        middle = head + scene.height / 2
        ends = (((0.0, middle), (margin, middle)), ((outer.width - margin, middle), (outer.width, middle)))
    else:
        middle = margin + scene.width / 2
        ends = (((middle, 0.0), (middle, head)), ((middle, outer.height - margin), (middle, outer.height)))
    routes = tuple(Route(points, arrow=False) for points in ends)
    return replace(outer, routes=(*outer.routes, *routes))


def titled(scene: Scene, title: str, *, head: float) -> Scene:
    """A scene with a title above it."""
    inner = moved(scene, 0.0, head)
    frame = Frame(title, 0.0, 0.0, scene.width, head, lined=False)
    return replace(inner, height=scene.height + head, frames=(frame, *inner.frames))


def turned(scene: Scene) -> Scene:
    """The scene with right and down exchanged; boxes keep their upright size."""
    return replace(
        scene,
        width=scene.height,
        height=scene.width,
        boxes=tuple(replace(box, x=box.y, y=box.x) for box in scene.boxes),
        routes=tuple(replace(route, points=tuple((y, x) for x, y in route.points)) for route in scene.routes),
        frames=tuple(
            replace(frame, x=frame.y, y=frame.x, width=frame.height, height=frame.width) for frame in scene.frames
        ),
        sideways=not scene.sideways,
    )


def mirrored(scene: Scene) -> Scene:
    """The scene with its end where its beginning was."""
    if scene.sideways:
        return turned(mirrored(turned(scene)))
    return replace(
        scene,
        boxes=tuple(replace(box, y=scene.height - box.y) for box in scene.boxes),
        routes=tuple(
            replace(route, points=tuple((x, scene.height - y) for x, y in route.points)) for route in scene.routes
        ),
        frames=tuple(replace(frame, y=scene.height - frame.y - frame.height) for frame in scene.frames),
    )


def _together(scenes: Sequence[Scene], width: float, height: float, *, sideways: bool) -> Scene:
    return Scene(
        width,
        height,
        tuple(box for scene in scenes for box in scene.boxes),
        tuple(route for scene in scenes for route in scene.routes),
        tuple(frame for scene in scenes for frame in scene.frames),
        sideways,
    )
