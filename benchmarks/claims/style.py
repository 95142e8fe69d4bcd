"""How all pictures of the claims look: size, fonts, colours, and the two ways to show seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from advisor.race.statistics import interval
from docs.drawings.svg import ACCENT, INK, QUIET, TOGETHER, TRAINED

PURPLE, GOLD, TEAL, ROSE = "#7b4fb8", "#b98900", "#1893a8", "#c23b64"
# One colour for a technique in all pictures; what is not named takes the colours in turn.
COLOURS = {
    "none": QUIET,
    "BN": TOGETHER,
    "BN tuned": TEAL,
    "BN renorm": PURPLE,
    "GN": TRAINED,
    "LN": ACCENT,
    "IN": ROSE,
    "WN": GOLD,
}
OTHERS = (TOGETHER, ACCENT, TRAINED, PURPLE, GOLD, TEAL, ROSE)
LOOKS = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "claims",
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.constrained_layout.use": True,
}


@contextmanager
def picture(path: Path, width: float = 7.2, height: float = 3.4) -> Iterator[Figure]:
    """A figure to draw on, written as SVG at the end: the same bytes each time, whatever style was set before.

    Args:
        path: The file to write.
        width: Width in inches.
        height: Height in inches.

    Yields:
        The empty figure, on an opaque white background, which stays readable on a dark page.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(LOOKS)
        figure = Figure(figsize=(width, height), facecolor="white")
        yield figure
        _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    # Matplotlib names parts of an SVG by their coordinates, and its layout solver leaves the last bits to chance.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position([round(side, 6) for side in axes.get_position().bounds])
    figure.savefig(path, format="svg", metadata={"Date": None})


def colour(name: str, position: int = 0) -> str:
    """The colour of a technique; of something else, the one at its position."""
    return COLOURS.get(name, OTHERS[position % len(OTHERS)])


def curves(axes: Axes, positions: Sequence[float], seeds: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """A line per arm through the means over the seeds, with the 95 % interval as a band.

    Args:
        axes: Where to draw.
        positions: Place of each value on the horizontal axis.
        seeds: For each arm, for each seed, a value per position.
    """
    for number, (name, rows) in enumerate(seeds.items()):
        found = [interval(column) for column in np.asarray(rows, dtype="float64").T]
        shade = colour(name, number)
        axes.plot(positions, [one.mean for one in found], color=shade, marker="o", markersize=3.5, label=name)
        if len(rows) > 1:
            low, high = [one.low for one in found], [one.high for one in found]
            # Rounded, so that the last bit of a sum does not change the picture's names of its parts.
            axes.fill_between(positions, np.round(low, 9), np.round(high, 9), color=shade, alpha=0.15, linewidth=0)


def dots(axes: Axes, seeds: Mapping[str, Sequence[float]]) -> None:
    """A row per arm, the first on top: a dot per seed, a bar at the mean and the 95 % interval as a line.

    Args:
        axes: Where to draw.
        seeds: For each arm, a value per seed.
    """
    for number, (name, values) in enumerate(seeds.items()):
        found = interval(values)
        shade = colour(name, number)
        axes.plot(values, [number] * len(values), "o", color=shade, alpha=0.45, markersize=5, markeredgewidth=0)
        axes.plot([found.mean] * 2, [number - 0.22, number + 0.22], color=shade, linewidth=2.5)
        if len(values) > 1:
            axes.plot([found.low, found.high], [number, number], color=shade, linewidth=1.2)
    axes.set_yticks(range(len(seeds)), list(seeds))
    axes.set_ylim(len(seeds) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
