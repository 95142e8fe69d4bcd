"""Pictures of what is random in training: the dropout family and augmentation."""

import math
import random
from collections.abc import Callable

from docs.drawings.svg import ACCENT, CELL, DROPPED, GRID, INK, QUIET, TOGETHER, Picture, curve

SIDE, MAPS, SAMPLES = 7, 3, 2

Dropped = Callable[[int, int, int, int], bool]
"""Whether the value of a sample, map, row and column is set to 0."""


def dropout() -> Picture:
    """What is zeroed together by each member of the family."""
    picture = Picture(444, "The dropout family: what is set to zero together")
    source = random.Random(3)
    places = [(n, c, y, x) for n in range(SAMPLES) for c in range(MAPS) for y in range(SIDE) for x in range(SIDE)]
    single = {place for place in places if source.random() < 0.25}
    centres = {0: [(4, 2)], 1: [(2, 4), (5, 1)]}
    own_centres = {(0, 0): [(4, 2)], (0, 1): [(2, 4)], (0, 2): [(5, 5), (2, 1)], (1, 0): [(3, 3)], (1, 2): [(4, 5)]}
    shown: list[tuple[str, str, Dropped]] = [
        ("Dropout", "single values", lambda n, c, y, x: (n, c, y, x) in single),
        ("SpatialDropout2D", "whole maps of a sample", lambda n, c, y, x: (n, c) in {(0, 1), (1, 0)}),
        ("DropPath", "the branch of a sample", lambda n, c, y, x: n == 1),
        ("DropBlock2D", "squares of each map", lambda n, c, y, x: _in_block(own_centres.get((n, c), []), y, x)),
        ("… per_channel=False", "squares through all maps", lambda n, c, y, x: _in_block(centres.get(n, []), y, x)),
        ("StochasticDepth", "the branch of the whole batch", lambda n, c, y, x: True),
    ]
    for index, (name, words, dropped) in enumerate(shown):
        left, top = 42 + index % 3 * 224, 58 + index // 3 * 194
        picture.text(left, top - 28, name, 13, bold=True)
        picture.text(left, top - 11, words, 12, QUIET)
        for sample in range(SAMPLES):
            picture.upright_text(left - 9, top + sample * 64 + 28, f"sample {sample + 1}", 10, QUIET)
            for channel in range(MAPS):
                _map(picture, left + channel * 62, top + sample * 64, sample, channel, dropped)
        picture.text(left + 90, top + 136, "C maps, each H × W", 11, QUIET, "middle")
    picture.caption(424, "set to 0 in this training step", DROPPED)
    return picture


def _in_block(centres: list[tuple[int, int]], y: int, x: int) -> bool:
    return any(abs(y - row) <= 1 and abs(x - column) <= 1 for row, column in centres)


def _map(picture: Picture, left: float, top: float, sample: int, channel: int, dropped: Dropped) -> None:
    cells = [(row, column) for row in range(SIDE) for column in range(SIDE)]
    for zero, fill in ((False, CELL), (True, DROPPED)):
        chosen = [cell for cell in cells if dropped(sample, channel, *cell) == zero]
        picture.cells([(left + column * 8, top + row * 8) for row, column in chosen], 8, 8, fill)
    picture.rectangle(left, top, SIDE * 8, SIDE * 8, "none", INK, 0, 1.6)


def monte_carlo() -> Picture:
    """Predictions with dropout switched on, again and again."""
    picture = Picture(250, "Monte Carlo dropout: several predictions with dropout on, their mean and deviation")
    source = random.Random(8)
    picture.rectangle(30, 92, 70, 44, CELL, INK, 6, 1.4)
    picture.text(65, 119, "x", 14, anchor="middle")
    left, right, passes = 424.0, 664.0, 5
    predictions = [source.gauss(0.55, 0.13) for _ in range(passes)]
    for index in range(passes):
        y = 34 + index * 34
        picture.line([(100, 114), (160, y + 11)], GRID, 1.4)
        picture.rectangle(160, y, 170, 24, "#ffffff", GRID, 4)
        for unit in range(9):
            fill = DROPPED if source.random() < 0.3 else CELL
            picture.circle(175 + unit * 17.5, y + 12, 6.5, fill, GRID)
        picture.arrow((332, y + 12), (left - 14, y + 12), QUIET)
        picture.line([(left, y + 12), (right, y + 12)], GRID, 1)
        picture.circle(left + predictions[index] * (right - left), y + 12, 5.5, TOGETHER, "#ffffff")
    mean = sum(predictions) / passes
    deviation = math.sqrt(sum((value - mean) ** 2 for value in predictions) / passes)
    low, middle, high = (left + value * (right - left) for value in (mean - deviation, mean, mean + deviation))
    picture.line([(middle, 30), (middle, 210)], ACCENT, 1.6, "5 4")
    picture.line([(low, 212), (high, 212)], ACCENT, 3)
    picture.text(middle, 232, "mean ± deviation", 12, anchor="middle")
    picture.text(245, 22, "the same model, another dropout each time", 12, QUIET, "middle")
    picture.text((left + right) / 2, 22, "prediction", 12, QUIET, "middle")
    return picture


def augmentation() -> Picture:
    """SpecAugment, and the transformations of series."""
    picture = Picture(500, "SpecAugment masks times and frequencies; series are jittered, scaled and shifted")
    picture.text(24, 30, "SpecAugment: masked frequencies and times of a spectrogram", 13, bold=True)
    for left, masked in ((62.0, False), (402.0, True)):
        _spectrogram(picture, left, 46, masked)
    picture.arrow((344, 121), (374, 121), QUIET)
    picture.text(24, 246, "Series and waveforms", 13, bold=True)
    time = [step / 60 for step in range(61)]
    series = [math.sin(7 * t) * (1 - 0.5 * t) + 0.35 * math.sin(19 * t) for t in time]
    source = random.Random(2)
    shown = (
        ("RandomJitter", "noise on each value", [value + 0.13 * source.gauss(0, 1) for value in series]),
        ("RandomScaling", "one factor per sample", [1.45 * value for value in series]),
        ("RandomTimeShift", "one shift per sample, zeros move in", [0.0] * 9 + series[:-9]),
    )
    for index, (name, words, changed) in enumerate(shown):
        left, top, width, height = 44.0 + index * 218, 286.0, 186.0, 120.0
        picture.text(left, top - 20, name, 12, bold=True)
        picture.text(left, top - 6, words, 11, QUIET)
        picture.rectangle(left, top, width, height, "#ffffff", GRID)
        picture.line(curve(series, left, top, width, height, -1.9, 1.9), QUIET, 1.4, "4 3")
        picture.line(curve(changed, left, top, width, height, -1.9, 1.9), ACCENT, 2)
        picture.text(left + width / 2, top + height + 16, "time", 11, QUIET, "middle")
    picture.line([(24, 466), (48, 466)], QUIET, 1.4, "4 3")
    picture.text(56, 470, "as recorded", 12)
    picture.line([(164, 466), (188, 466)], ACCENT, 2)
    picture.text(196, 470, "as trained on, in this step", 12)
    picture.rectangle(406, 459, 13, 13, DROPPED, radius=2)
    picture.text(427, 470, "masked", 12)
    return picture


def _spectrogram(picture: Picture, left: float, top: float, masked: bool) -> None:
    rows, columns, cell = 12, 22, 12.4
    for row in range(rows):
        for column in range(columns):
            ridge = 4.5 + 2.6 * math.sin(column / 3.6)
            power = math.exp(-(((row - ridge) / 1.5) ** 2)) + 0.7 * math.exp(-(((row - ridge - 4) / 1.2) ** 2))
            hidden = masked and (row in (2, 3) or column in (7, 8, 9) or column == 17)
            fill = DROPPED if hidden else _heat(min(power, 1.0))
            picture.rectangle(left + column * cell, top + row * cell, cell, cell, fill, "#ffffff", 0, 0.4)
    picture.rectangle(left, top, columns * cell, rows * cell, "none", INK, 0, 1.4)
    picture.upright_text(left - 10, top + rows * cell / 2, "frequency", 11, QUIET)
    picture.text(left + columns * cell / 2, top + rows * cell + 16, "time", 11, QUIET, "middle")


def _heat(power: float) -> str:
    low, high = (234, 239, 246), (207, 91, 18)
    return "#" + "".join(f"{round(a + (b - a) * power):02x}" for a, b in zip(low, high, strict=True))
