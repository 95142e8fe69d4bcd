"""Small arrays, in a sentence and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from benchmarks.claims.style import ACCENT, INK, QUIET, TOGETHER

Array = Sequence[Sequence[float]]


def printed(array: Array, digits: int = 4) -> str:
    """An array as it would be typed: `[[-1, 0], [1, 0]]`."""
    return "[" + ", ".join("[" + ", ".join(_number(value, digits) for value in row) + "]" for row in array) + "]"


def draw_tables(figure: Figure, arrays: Mapping[str, Array], names: tuple[str, str]) -> None:
    """Arrays side by side, cells shaded by their values.

    Args:
        figure: Where to draw.
        arrays: The arrays, by title.
        names: What a row and a column is.
    """
    figure.set_size_inches(7.2, 2.2)
    for axes, (title, array) in zip(figure.subplots(1, len(arrays), squeeze=False)[0], arrays.items(), strict=True):
        largest = max(abs(value) for row in array for value in row) or 1
        for i, row in enumerate(array):
            for j, value in enumerate(row):
                shade = TOGETHER if value > 0 else ACCENT
                axes.fill([j, j + 1, j + 1, j], [i, i, i + 1, i + 1], color=shade, alpha=0.35 * abs(value) / largest)
                axes.text(j + 0.5, i + 0.5, _number(value, 4), ha="center", va="center", color=INK, fontsize=11)
        axes.set_xticks([j + 0.5 for j in range(len(array[0]))], [f"{names[1]} {j + 1}" for j in range(len(array[0]))])
        axes.set_yticks([i + 0.5 for i in range(len(array))], [f"{names[0]} {i + 1}" for i in range(len(array))])
        axes.set_xlim(0, len(array[0]))
        axes.set_ylim(len(array), 0)
        axes.set_title(title)
        axes.tick_params(length=0, labelsize=8, labelcolor=QUIET)
        axes.spines[:].set_visible(False)


def _number(value: float, digits: int) -> str:
    # Without the sign of a zero that rounding left.
    return f"{round(value, digits) + 0.0:g}"
