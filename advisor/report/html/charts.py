"""Charts: measurements against their limits, training curves, and the candidates of a race."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from advisor.figures import as_figure
from advisor.report.html.drawing_text import elided, plain_text, width_of
from advisor.report.html.theme import Palette

FONT = 11.0
SMALL = 10.0
MOST_BARS = 20

_PIXEL = 1 / 72
_ROW = 22.0
_LABELS = 170.0
_BARS = 180.0
_VALUES = 76.0


@dataclass(frozen=True)
class Bar:
    """A figure of one place."""

    label: str
    value: float


def bars(rows: Sequence[Bar], *, unit: str, threshold: float | None, palette: Palette) -> Any:
    """Figures as bars, one below the other, with the limit that a rule compares them with.

    Args:
        rows: The figures.
        unit: Their unit; `"1"` for a ratio.
        threshold: The limit, or None.
        palette: The colours.

    Returns:
        The figure.
    """
    labels = min(_LABELS, max(width_of(plain_text(row.label), FONT) for row in rows) + 12)
    width = labels + _BARS + _VALUES
    top, bottom = (22.0 if threshold is not None else 4.0), 4.0
    height = top + _ROW * len(rows) + bottom
    figure, axes = _axes(width, height, (labels, bottom, _BARS, _ROW * len(rows)))
    finite = [abs(row.value) for row in rows if math.isfinite(row.value)]
    limit = [] if threshold is None else [abs(threshold)]
    scale = _scale([value for value in (*finite, *limit) if value > 0])
    end = max([*map(scale, finite), *map(scale, limit), 1e-12])
    axes.set_xlim(0, end * 1.04)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_axis_off()
    for place, row in enumerate(rows):
        length = scale(abs(row.value)) if math.isfinite(row.value) else end
        axes.barh(place, length, height=0.56, color=palette.own, linewidth=0)
        name = elided(plain_text(row.label), FONT, labels - 12)
        _text(figure, 0, height - top - _ROW * (place + 0.5), name, palette.text, (width, height), size=FONT)
        value = f"{as_figure(row.value)}" + ("" if unit == "1" else f" {unit}")
        at = labels + _BARS * length / (end * 1.04) + 6
        _text(figure, at, height - top - _ROW * (place + 0.5), value, palette.text, (width, height), size=FONT)
    if threshold is not None:
        x = scale(abs(threshold))
        axes.plot([x, x], [-0.5, len(rows) - 0.5], color=palette.removed, linewidth=1.4, linestyle=(0, (4, 2)))
        at = min(labels + _BARS * x / (end * 1.04), width - 50)
        _text(
            figure, at, height - 11, f"limit {as_figure(threshold)}", palette.removed, (width, height), size=SMALL,
            horizontalalignment="center",
        )  # fmt: skip
    return figure


def _scale(positive: Sequence[float]) -> Any:
    """Lengths by value, or by its logarithm where values differ by more than a thousandfold."""
    if not positive or max(positive) / min(positive) < 1000:
        return lambda value: value
    least = math.log10(min(positive)) - 0.5
    return lambda value: max(math.log10(value) - least, 0.0) if value > 0 else 0.0


def curves(metric: str, metrics: Mapping[str, Sequence[float]], palette: Palette) -> Any:
    """A metric by epoch, in training and in validation.

    Args:
        metric: Name of the metric.
        metrics: Values per epoch by name; those of the validation start with `val_`.
        palette: The colours.

    Returns:
        The figure.
    """
    width, height = 340.0, 210.0
    figure, axes = _axes(width, height, (52, 34, width - 64, height - 62))
    _style(axes, palette)
    shown = [(metric, palette.peer, "training"), (f"val_{metric}", palette.own, "validation")]
    is_alone = f"val_{metric}" not in metrics
    for name, colour, label in shown:
        values = metrics.get(name)
        if not values:
            continue
        epochs = range(1, len(values) + 1)
        shade = palette.own if is_alone else colour
        marker = "o" if len(values) < 3 else None
        axes.plot(epochs, values, color=shade, linewidth=1.8, label=label, marker=marker, markersize=4)
        best = best_epoch(name, values)
        if best is not None and name != metric:
            axes.plot([best], [values[best - 1]], marker="o", markersize=6, color=colour, linewidth=0)
    axes.margins(y=0.08)
    axes.set_xlabel("epoch", fontsize=SMALL, color=palette.muted)
    axes.xaxis.get_major_locator().set_params(integer=True)
    _text(figure, 0, height - 10, plain_text(metric), palette.text, (width, height), size=FONT, fontweight="bold")
    if not is_alone:
        legend = axes.legend(
            loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False, fontsize=SMALL, borderaxespad=0.1,
            handlelength=1.4, columnspacing=1.2,
        )  # fmt: skip
        for text in legend.get_texts():
            text.set_color(palette.muted)
    return figure


def best_epoch(metric: str, values: Sequence[float]) -> int | None:
    """The epoch of the lowest loss or error, or of the highest of any other metric, from 1; None where there is none.

    Example:
    >>> best_epoch("val_loss", [0.9, 0.4, 0.6]), best_epoch("val_accuracy", [0.1, 0.4, 0.6])
    (2, 3)
    """
    falls = any(part in metric for part in ("loss", "error", "mse", "mae", "crossentropy"))
    finite = [(value, epoch) for epoch, value in enumerate(values, 1) if math.isfinite(value)]
    if not finite:
        return None
    return (min(finite) if falls else max(finite, key=lambda pair: pair[0]))[1]


@dataclass(frozen=True)
class Contestant:
    """A candidate of a race as it is drawn.

    Attributes:
        name: Its name.
        values: What it reached with each seed.
        mean: Their mean.
        low, high: Ends of the interval of the mean; None where it is not known.
        is_winner: Whether its mean is the best.
    """

    name: str
    values: tuple[float, ...]
    mean: float
    low: float | None
    high: float | None
    is_winner: bool = False


def intervals(rows: Sequence[Contestant], *, title: str, reference: float | None, palette: Palette) -> Any:
    """Means with their intervals, one below the other, and the values they are means of.

    Args:
        rows: The candidates.
        title: What is drawn, and in which unit.
        reference: Where a line marks what they are held beside, or None.
        palette: The colours.

    Returns:
        The figure.
    """
    labels = min(_LABELS, max(width_of(plain_text(row.name), FONT, bold=True) for row in rows) + 14)
    width = labels + 260.0
    bottom, top = 40.0, 6.0
    height = top + _ROW * 1.2 * len(rows) + bottom
    figure, axes = _axes(width, height, (labels, bottom, width - labels - 12, height - top - bottom))
    _style(axes, palette)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    if reference is not None:
        axes.axvline(reference, color=palette.muted, linewidth=1.2, linestyle=(0, (4, 2)))
    for place, row in enumerate(rows):
        colour = palette.own if row.is_winner else palette.muted
        if row.low is not None and row.high is not None:
            axes.plot([row.low, row.high], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
            for end in (row.low, row.high):
                axes.plot([end, end], [place - 0.18, place + 0.18], color=colour, linewidth=2.2)
        axes.plot(row.values, [place] * len(row.values), marker="o", markersize=3.5, color=palette.peer, linewidth=0)
        axes.plot([row.mean], [place], marker="D", markersize=6, color=colour, linewidth=0)
        y = bottom + (height - top - bottom) * (1 - (place + 0.5) / len(rows))
        name = elided(plain_text(row.name), FONT, labels - 14, bold=row.is_winner)
        weight = "bold" if row.is_winner else "normal"
        _text(figure, 0, y, name, palette.text, (width, height), size=FONT, fontweight=weight)
    axes.margins(x=0.08)
    axes.set_xlabel(title, fontsize=SMALL, color=palette.muted, parse_math=False)
    return figure


def _axes(width: float, height: float, box: tuple[float, float, float, float]) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * _PIXEL, height * _PIXEL), dpi=72)
    figure.patch.set_visible(False)
    left, bottom, wide, high = box
    axes = figure.add_axes((left / width, bottom / height, wide / width, high / height))
    axes.patch.set_visible(False)
    return figure, axes


def _style(axes: Any, palette: Palette) -> None:
    axes.grid(color=palette.line, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=palette.muted, labelsize=SMALL, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(palette.line)


def _text(
    figure: Any, x: float, y: float, text: str, colour: str, size_of_figure: tuple[float, float], *, size: float,
    **style: Any,
) -> None:  # fmt: skip
    width, height = size_of_figure
    figure.text(
        x / width, y / height, text, color=colour, fontsize=size, verticalalignment="center", parse_math=False, **style
    )
