"""A picture that is built from rectangles, lines and text and rendered as SVG."""

import math
from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape, quoteattr

WIDTH = 700
FONT = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"

INK = "#24292f"  # text, axes, borders between sets
QUIET = "#57606a"  # secondary text
TOGETHER = "#2f6fdb"  # what is averaged together, in every picture
CELL = "#eaeff6"  # what is not
GRID = "#b9c4d2"
DROPPED = "#3d4753"  # set to zero
TRAINED = "#2b8a4b"  # what training changes
ACCENT = "#cf5b12"  # a second curve, a mark


class Picture:
    """Collects shapes on a white card, which keeps its contrast on a dark page."""

    def __init__(self, height: float, description: str) -> None:
        """Starts an empty picture, 700 units wide."""
        self.height = height
        self.description = description
        self._elements: list[str] = []

    def rectangle(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str = "none",
        stroke: str = "none",
        radius: float = 0,
        thickness: float = 1,
    ) -> None:
        """Adds a rectangle with its upper left corner at (x, y)."""
        self._add(
            "rect",
            x=x,
            y=y,
            width=width,
            height=height,
            rx=radius,
            fill=fill,
            stroke=stroke,
            stroke_width=thickness,
        )

    def polygon(self, points: Iterable[tuple[float, float]], fill: str, stroke: str = "none") -> None:
        """Adds a filled polygon."""
        self._add("polygon", points=_points(points), fill=fill, stroke=stroke, stroke_linejoin="round")

    def polygons(self, shapes: Iterable[Iterable[tuple[float, float]]], fill: str, stroke: str = "none") -> None:
        """Adds many polygons of one colour as one element."""
        path = "".join(f"M{_points(points)}z" for points in shapes)
        if path:
            self._add("path", d=path, fill=fill, stroke=stroke, stroke_linejoin="round")

    def cells(
        self, corners: Iterable[tuple[float, float]], width: float, height: float, fill: str, stroke: str = GRID
    ) -> None:
        """Adds many rectangles of one size and colour, given by their upper left corners, as one element."""
        size = f"h{_number(width)}v{_number(height)}h{_number(-width)}z"
        path = "".join(f"M{_number(x)},{_number(y)}{size}" for x, y in corners)
        if path:
            self._add("path", d=path, fill=fill, stroke=stroke)

    def lines(self, lines: Iterable[Iterable[tuple[float, float]]], stroke: str = INK, thickness: float = 1.6) -> None:
        """Adds many lines of one colour as one element."""
        path = "".join(f"M{_points(points)}" for points in lines)
        if path:
            self._add("path", d=path, fill="none", stroke=stroke, stroke_width=thickness, stroke_linecap="round")

    def line(
        self, points: Iterable[tuple[float, float]], stroke: str = INK, thickness: float = 1.6, dashes: str = "none"
    ) -> None:
        """Adds a line through several points."""
        self._add(
            "polyline",
            points=_points(points),
            fill="none",
            stroke=stroke,
            stroke_width=thickness,
            stroke_dasharray=dashes,
            stroke_linecap="round",
            stroke_linejoin="round",
        )

    def arrow(self, start: tuple[float, float], end: tuple[float, float], stroke: str = INK) -> None:
        """Adds a line with a head at its end."""
        angle = math.atan2(end[1] - start[1], end[0] - start[0])
        neck = (end[0] - 7 * math.cos(angle), end[1] - 7 * math.sin(angle))
        self.line([start, neck], stroke)
        wings = [(end[0] - 9 * math.cos(angle + s), end[1] - 9 * math.sin(angle + s)) for s in (0.42, -0.42)]
        self.polygon([end, *wings], stroke)

    def circle(self, x: float, y: float, radius: float, fill: str = "none", stroke: str = "none") -> None:
        """Adds a circle around (x, y)."""
        self._add("circle", cx=x, cy=y, r=radius, fill=fill, stroke=stroke, stroke_width=1.4)

    def ellipse(self, x: float, y: float, width: float, height: float, stroke: str = GRID) -> None:
        """Adds the outline of an ellipse around (x, y) with the given half axes."""
        self._add("ellipse", cx=x, cy=y, rx=width, ry=height, fill="none", stroke=stroke, stroke_width=1.2)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = 13,
        fill: str = INK,
        anchor: str = "start",
        bold: bool = False,
    ) -> None:
        """Adds a line of text whose baseline is at y."""
        weight = "bold" if bold else "normal"
        attributes = _attributes(x=x, y=y, font_size=size, fill=fill, text_anchor=anchor, font_weight=weight)
        self._elements.append(f"<text {attributes}>{escape(words)}</text>")

    def upright_text(self, x: float, y: float, words: str, size: float = 13, fill: str = INK) -> None:
        """Adds centred text that is read from below to above."""
        attributes = _attributes(font_size=size, fill=fill, text_anchor="middle")
        turn = f'transform="translate({_number(x)} {_number(y)}) rotate(-90)"'
        self._elements.append(f"<text {turn} {attributes}>{escape(words)}</text>")

    def caption(self, y: float, words: str, fill: str = TOGETHER) -> None:
        """Adds a sample of a colour and what it stands for."""
        self.rectangle(24, y - 11, 13, 13, fill, radius=2)
        self.text(45, y, words)

    def render(self) -> str:
        """Gives the SVG document."""
        size = f'width="{WIDTH}" height="{_number(self.height)}" viewBox="0 0 {WIDTH} {_number(self.height)}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family={quoteattr(FONT)}>'
        card = _attributes(x=0.5, y=0.5, width=WIDTH - 1, height=self.height - 1, rx=8, fill="#ffffff", stroke=GRID)
        title = f"<title>{escape(self.description)}</title>"
        return "\n".join([head, title, f"<rect {card}/>", *self._elements, "</svg>"]) + "\n"

    def _add(self, kind: str, **attributes: float | str) -> None:
        self._elements.append(f"<{kind} {_attributes(**attributes)}/>")


def curve(
    values: Sequence[float], left: float, top: float, width: float, height: float, low: float, high: float
) -> list[tuple[float, float]]:
    """Points of a curve in a frame, its values equally spaced from left to right, `low` at the bottom."""
    step = width / (len(values) - 1)
    return [
        (left + index * step, top + height * (1 - (value - low) / (high - low))) for index, value in enumerate(values)
    ]


def _attributes(**attributes: float | str) -> str:
    defaults = {"rx": 0, "stroke": "none", "stroke_dasharray": "none", "font_weight": "normal", "text_anchor": "start"}
    given = {name: value for name, value in attributes.items() if defaults.get(name) != value}
    if "stroke" not in given:
        given.pop("stroke_width", None)
    return " ".join(f"{name.replace('_', '-')}={quoteattr(_value(value))}" for name, value in given.items())


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else _number(value)


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(value: float) -> str:
    return f"{round(value, 1) + 0.0:g}"
