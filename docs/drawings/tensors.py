"""Activations of shape (N, H·W, C) as a box and as sheets, with the sets that share a statistic."""

from collections.abc import Callable, Hashable

from docs.drawings.svg import CELL, GRID, INK, QUIET, TOGETHER, Picture

SAMPLES, POSITIONS, CHANNELS = 4, 6, 6

SetOf = Callable[[int, int, int], Hashable]
"""Names the set that the value of a sample, position and channel is averaged in."""


def box_and_sheets(picture: Picture, top: float, set_of: SetOf, sample_name: str = "sample") -> None:
    """Draws the activations as a box on the left and cut into one sheet per sample on the right.

    Values that are averaged together with those of sample 1 at its upper right corner are coloured; dark lines are the
    borders between sets.
    """
    box(picture, 62, top + 34, set_of, cell=17)
    picture.upright_text(50, top + 34 + 17 * POSITIONS / 2 + 24, "H·W positions", 12)
    picture.text(62 + 17 * CHANNELS / 2, top + 192, "C channels", 12, anchor="middle")
    picture.text(62 + 17 * CHANNELS + 28, top + 164, "N samples", 12)
    sheets(picture, 276, top + 50, set_of, sample_name)


def box(picture: Picture, left: float, top: float, set_of: SetOf, cell: float) -> None:
    """Draws a box whose front is sample 1, with the channels to the right and the samples to the back."""
    back = (cell * 0.72, -cell * 0.42)
    rise = -back[1] * SAMPLES

    def corner(sample: float, position: float, channel: float) -> tuple[float, float]:
        return (
            left + channel * cell + sample * back[0],
            top + rise + position * cell + sample * back[1],
        )

    last = CHANNELS - 1
    front = _Face(POSITIONS, CHANNELS, lambda p, c: corner(0, p, c), lambda p, c: set_of(0, p, c))
    upper = _Face(SAMPLES, CHANNELS, lambda n, c: corner(n, 0, c), lambda n, c: set_of(n, 0, c))
    side = _Face(POSITIONS, SAMPLES, lambda p, n: corner(n, p, CHANNELS), lambda p, n: set_of(n, p, last))
    for face, light in ((front, 1.0), (upper, 0.9), (side, 0.8)):
        face.draw(picture, set_of(0, 0, last), light)


def sheets(picture: Picture, left: float, top: float, set_of: SetOf, name: str = "sample", cell: float = 14) -> None:
    """Draws one sheet per sample, positions downwards, channels to the right."""
    chosen = set_of(0, 0, CHANNELS - 1)
    for sample in range(SAMPLES):
        x = left + sample * (CHANNELS * cell + 18)
        sheet = _Face(
            POSITIONS,
            CHANNELS,
            lambda p, c, x=x: (x + c * cell, top + p * cell),
            lambda p, c, sample=sample: set_of(sample, p, c),
        )
        sheet.draw(picture, chosen, 1.0)
        picture.text(x + CHANNELS * cell / 2, top - 9, f"{name} {sample + 1}", 12, anchor="middle")
        picture.text(x + CHANNELS * cell / 2, top + POSITIONS * cell + 17, "C", 12, QUIET, anchor="middle")
    picture.upright_text(left - 8, top + POSITIONS * cell / 2, "H·W", 12, QUIET)


class _Face:
    """A grid of cells in the plane, each in a set."""

    def __init__(
        self,
        rows: int,
        columns: int,
        corner: Callable[[float, float], tuple[float, float]],
        set_of: Callable[[int, int], Hashable],
    ) -> None:
        self.rows, self.columns, self.corner, self.set_of = rows, columns, corner, set_of

    def draw(self, picture: Picture, chosen: Hashable, light: float) -> None:
        cells = [(row, column) for row in range(self.rows) for column in range(self.columns)]
        for together, colour in ((False, CELL), (True, TOGETHER)):
            shapes = [self._corners(*cell) for cell in cells if (self.set_of(*cell) == chosen) == together]
            picture.polygons(shapes, _shaded(colour, light), GRID)
        picture.lines(self._borders(), INK, 1.8)

    def _corners(self, row: int, column: int) -> list[tuple[float, float]]:
        return [self.corner(row + down, column + right) for down, right in ((0, 0), (0, 1), (1, 1), (1, 0))]

    def _borders(self) -> list[list[tuple[float, float]]]:
        """Lines between cells of different sets, and around the face."""
        borders = []
        for row in range(self.rows):
            for column in range(self.columns + 1):
                outside = column in (0, self.columns)
                if outside or self.set_of(row, column - 1) != self.set_of(row, column):
                    borders.append([self.corner(row, column), self.corner(row + 1, column)])
        for row in range(self.rows + 1):
            for column in range(self.columns):
                outside = row in (0, self.rows)
                if outside or self.set_of(row - 1, column) != self.set_of(row, column):
                    borders.append([self.corner(row, column), self.corner(row, column + 1)])
        return borders


def _shaded(colour: str, light: float) -> str:
    parts = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(part * light):02x}" for part in parts)
