"""Scenes drawn by matplotlib, and figures as SVG, PNG or PDF."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from advisor.report.html.drawing_text import LINE_HEIGHT, LINE_SIZE, NAME_SIZE, PADDING, TAG_SIZE, width_of
from advisor.report.html.model_drawing import Status
from advisor.report.html.scene import Frame, PlacedBox, Point, Route, Scene
from advisor.report.html.theme import Palette

SUFFIXES = (".svg", ".png", ".pdf")

_DPI = 72
"""At which a point is a pixel."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "keras-normpack",
    "pdf.fonttype": 42,
    # Hinted text is wider than what was measured.
    "text.hinting": "none",
}


@contextmanager
def own_style() -> Iterator[None]:
    """Drawing as matplotlib does by itself, whatever style its user has set."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def figure_of(
    scene: Scene,
    palette: Palette,
    *,
    ids: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
) -> Any:
    """Draw a scene.

    Args:
        scene: The scene.
        palette: The colours.
        ids: Ids of the boxes in an SVG, by their keys.
        links: What the boxes of groups lead to, by their keys; codes of findings lead to `#finding-N`.

    Returns:
        The `matplotlib.figure.Figure`, as large as the scene at 72 dots per inch.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(scene.width, 1) / _DPI, max(scene.height, 1) / _DPI), dpi=_DPI)
    figure.patch.set_visible(False)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, max(scene.width, 1))
    axes.set_ylim(max(scene.height, 1), 0)
    for frame in scene.frames:
        _draw_frame(axes, frame, palette)
    for route in scene.routes:
        _draw_route(axes, route, palette, sideways=scene.sideways)
    linked = ids is not None
    for box in scene.boxes:
        parts = _parts(box, palette, (links or {}).get(box.key), linked=linked)
        axes.add_artist(_group()((ids or {}).get(box.key), parts))
    return figure


def svg_of(figure: Any) -> str:
    """A figure as the text of an SVG file: the same text whenever the figure is the same."""
    stream = io.StringIO()
    _save(figure, stream, "svg", _DPI)
    return stream.getvalue()


def write_figure(figure: Any, path: Path, palette: Palette, dpi: float) -> None:
    """Write a figure to a file, in the format that its name ends in.

    Args:
        figure: The figure.
        path: The file.
        palette: The colours, of which the background is one.
        dpi: Dots per inch of a PNG, where 72 are one to a pixel of the drawing.
    """
    figure.patch.set_visible(True)
    figure.patch.set_facecolor(palette.card)
    _save(figure, path, path.suffix[1:], dpi)


def _save(figure: Any, target: Any, kind: str, dpi: float) -> None:
    # Of no date, so that the same figure is the same file.
    undated: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(target, format=kind, dpi=dpi, metadata=undated[kind])


def _draw_frame(axes: Any, frame: Frame, palette: Palette) -> None:
    from matplotlib.patches import FancyBboxPatch
    from matplotlib.text import Text

    if frame.lined:
        axes.add_artist(
            FancyBboxPatch(
                (frame.x, frame.y), frame.width, frame.height, boxstyle="round,pad=0,rounding_size=8",
                facecolor="none", edgecolor=palette.wire, linewidth=1, linestyle=(0, (4, 3)), clip_on=False,
            )
        )  # fmt: skip
    title = Text(
        frame.x + 10 if frame.lined else frame.x + frame.width / 2,
        frame.y + 17,
        frame.title,
        color=palette.text,
        fontsize=NAME_SIZE,
        fontweight="bold",
        horizontalalignment="left" if frame.lined else "center",
        parse_math=False,
        clip_on=False,
    )
    # A line that comes in from above is not to be read through the title.
    title.set_bbox({"facecolor": palette.card, "edgecolor": "none", "pad": 1.5})
    axes.add_artist(title)


def _draw_route(axes: Any, route: Route, palette: Palette, *, sideways: bool) -> None:
    from matplotlib.patches import FancyArrowPatch

    axes.add_artist(
        FancyArrowPatch(
            path=_curve(route.points, sideways=sideways), arrowstyle="-|>" if route.arrow else "-",
            mutation_scale=9, shrinkA=0, shrinkB=0, linewidth=1.2, color=palette.wire, clip_on=False,
        )
    )  # fmt: skip


def _curve(points: tuple[Point, ...], *, sideways: bool) -> Any:
    """A path that leaves every point in the direction of the drawing."""
    from matplotlib.path import Path as Curve

    corners, codes = [points[0]], [Curve.MOVETO]
    for (x0, y0), (x1, y1) in pairwise(points):
        if abs((y0 - y1) if sideways else (x0 - x1)) < 0.5:
            corners.append((x1, y1))
            codes.append(Curve.LINETO)
            continue
        middle = ((x0 + x1) / 2, y0), ((x0 + x1) / 2, y1)
        bends = middle if sideways else ((x0, (y0 + y1) / 2), (x1, (y0 + y1) / 2))
        corners += [*bends, (x1, y1)]
        codes += [Curve.CURVE4] * 3
    return Curve(corners, codes)


def _parts(box: PlacedBox, palette: Palette, link: str | None, *, linked: bool) -> list[Any]:
    from matplotlib.patches import FancyBboxPatch
    from matplotlib.text import Text

    left, top = box.x - box.width / 2, box.y - box.height / 2
    status = box.status
    fill = getattr(palette, f"{status}_fill")
    frame = FancyBboxPatch(
        (left, top), box.width, box.height, boxstyle="round,pad=0,rounding_size=6",
        facecolor=fill, edgecolor=getattr(palette, status), linewidth=1.0 if status is Status.KEPT else 1.6,
        linestyle=(0, (4, 2.5)) if status is Status.REMOVED else "-", clip_on=False,
    )  # fmt: skip
    frame.set_url(link)
    parts: list[Any] = [frame]
    if box.is_group:
        # A second edge, as of a pile of sheets.
        parts.insert(0, FancyBboxPatch(
            (left + 4, top + 4), box.width, box.height, boxstyle="round,pad=0,rounding_size=6",
            facecolor=palette.kept_fill, edgecolor=palette.kept, linewidth=1.0, clip_on=False,
        ))  # fmt: skip

    def write(text: str, line: float, **style: Any) -> None:
        x = style.pop("x", left + PADDING)
        part = Text(x, top + PADDING / 2 + (line + 0.72) * LINE_HEIGHT, text, parse_math=False, clip_on=False)
        part.set(**style)
        parts.append(part)

    write(box.label.name, 0, color=palette.text, fontsize=NAME_SIZE, fontweight="bold", url=link)
    if box.label.tag:
        shade = palette.muted if status is Status.KEPT else getattr(palette, status)
        write(box.label.tag, 0, x=left + box.width - PADDING, horizontalalignment="right", color=shade,
              fontsize=TAG_SIZE, fontweight="bold")  # fmt: skip
    for number, line in enumerate(box.label.lines, 1):
        write(line, number, color=palette.muted, fontsize=LINE_SIZE)
    x = left + PADDING
    for number, code in box.label.codes:
        url = f"#finding-{number}" if linked else None
        write(code, 1 + len(box.label.lines), x=x, color=palette.own, fontsize=TAG_SIZE, fontweight="bold", url=url)
        x += width_of(f"{code}  ", TAG_SIZE, bold=True)
    return parts


@cache
def _group() -> Any:
    """The class of artists that are one group with an id, which matplotlib has for single ones only."""
    from matplotlib.artist import Artist

    class Group(Artist):
        def __init__(self, name: str | None, parts: list[Any]) -> None:
            super().__init__()
            self.name = name
            self.parts = parts

        def draw(self, renderer: Any) -> None:
            renderer.open_group("box", gid=self.name)
            for part in self.parts:
                part.draw(renderer)
            renderer.close_group("box")

        def set_figure(self, fig: Any) -> None:
            super().set_figure(fig)
            for part in self.parts:
                part.set_figure(fig)
                part.set_transform(fig.axes[0].transData)

    return Group
