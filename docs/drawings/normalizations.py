"""Pictures of the normalizations of activations: which values share a mean and a variance."""

import math

from docs.drawings.svg import ACCENT, CELL, GRID, INK, QUIET, TOGETHER, Picture, curve
from docs.drawings.tensors import CHANNELS, SAMPLES, SetOf, box, box_and_sheets

GROUP = CHANNELS // 2


def per_channel(n: int, p: int, c: int) -> int:
    """Batch normalization: a set is a channel."""
    return c


def per_sample(n: int, p: int, c: int) -> int:
    """Layer normalization over all axes, or one group: a set is a sample."""
    return n


def per_position(n: int, p: int, c: int) -> tuple[int, int]:
    """Layer and RMS normalization over the last axis: a set is a position of a sample."""
    return n, p


def per_sample_and_channel(n: int, p: int, c: int) -> tuple[int, int]:
    """Instance and filter response normalization: a set is a channel of a sample."""
    return n, c


def per_sample_and_group(n: int, p: int, c: int) -> tuple[int, int]:
    """Group normalization: a set is a group of channels of a sample."""
    return n, c // GROUP


def per_ghost_batch(n: int, p: int, c: int) -> tuple[int, int]:
    """Ghost batches of two samples: a set is a channel of one of them."""
    return n // 2, c


def per_value(n: int, p: int, c: int) -> tuple[int, int, int]:
    """Dynamic tanh: every value stands alone."""
    return n, p, c


def overview() -> Picture:
    """The index page: all of them side by side."""
    picture = Picture(418, "What each normalization averages together, in a batch of shape (N, H·W, C)")
    shown: list[tuple[str, str, SetOf]] = [
        ("Batch", "per channel", per_channel),
        ("Layer, axis=(1, 2, 3)", "per sample", per_sample),
        ("Layer, RMS, axis=-1", "per sample and position", per_position),
        ("Instance, filter response", "per sample and channel", per_sample_and_channel),
        ("Group", "per sample and group", per_sample_and_group),
        ("DynamicTanh", "nothing: each value alone", per_value),
    ]
    for index, (name, unit, set_of) in enumerate(shown):
        left, top = 50 + index % 3 * 226, 40 + index // 3 * 178
        picture.text(left - 24, top - 14, name, 13, bold=True)
        picture.text(left - 24, top + 2, unit, 12, QUIET)
        box(picture, left, top + 8, set_of, cell=14)
        picture.upright_text(left - 8, top + 74, "H·W", 11, QUIET)
        picture.text(left + 7 * CHANNELS, top + 130, "C", 11, QUIET, "middle")
        picture.text(left + 14 * CHANNELS + 30, top + 112, "N", 11, QUIET)
    picture.caption(398, "averaged together with the value at the front, upper right; dark lines part the sets")
    return picture


def batch() -> Picture:
    """Batch normalization."""
    return _single(
        "Batch normalization averages over samples and positions, per channel",
        per_channel,
        "one mean and one variance per channel, over all N · H · W values of it in the batch",
    )


def ghost_batches() -> Picture:
    """Ghost batches and synchronization: which samples the statistics rest on."""
    picture = Picture(420, "Ghost batches part the samples of a batch; synchronization joins those of all replicas")
    picture.text(24, 30, "virtual_batch_size=2: two ghost batches of two samples each", 13, bold=True)
    box_and_sheets(picture, 24, per_ghost_batch)
    picture.text(24, 252, "Samples 1 and 2 on one replica, 3 and 4 on another", 13, bold=True)
    _replicas(picture, 262, "synchronized=False: statistics of the replica", (True, True, False, False), 24)
    _replicas(picture, 262, "synchronized=True: statistics of all replicas", (True, True, True, True), 366)
    picture.caption(402, "averaged together, for the last channel")
    return picture


def _replicas(picture: Picture, top: float, title: str, chosen: tuple[bool, ...], left: float) -> None:
    picture.text(left, top + 14, title, 12, QUIET)
    for replica in range(2):
        x = left + replica * 162
        picture.rectangle(x, top + 26, 150, 88, "#ffffff", GRID, 6)
        picture.text(x + 75, top + 106, f"replica {replica + 1}", 11, QUIET, "middle")
        for place in range(2):
            sample = replica * 2 + place
            for row in range(4):
                for column in range(4):
                    together = column == 3 and chosen[sample]
                    fill = TOGETHER if together else CELL
                    picture.rectangle(x + 13 + place * 66 + column * 14, top + 36 + row * 14, 14, 14, fill, GRID)
            picture.rectangle(x + 13 + place * 66, top + 36, 56, 56, "none", INK, 0, 1.6)


def moving_averages() -> Picture:
    """How moving averages lag, and what precise statistics do about it."""
    picture = Picture(330, "Moving averages lag behind the statistic of the current weights; precise ones do not")
    steps = 301
    truth = [3.0 * (1 - math.exp(-step / 90)) for step in range(steps)]
    left, top, width, height = 64.0, 40.0, 430.0, 200.0
    _frame(picture, left, top, width, height, "training step", "statistic of one channel")
    for tick in (0, 100, 200, 300):
        x = left + width * tick / 300
        picture.line([(x, top + height), (x, top + height + 5)], INK, 1.2)
        picture.text(x, top + height + 20, str(tick), 11, QUIET, "middle")
    ends = {}
    for values, colour, name in (
        (truth, INK, "batches, with the step's weights"),
        (_averaged(truth, 0.9), TOGETHER, "moving average, momentum 0.9"),
        (_averaged(truth, 0.99), ACCENT, "moving average, momentum 0.99"),
    ):
        points = curve(values, left, top, width, height, 0, 3.2)
        picture.line(points, colour, 2.2)
        ends[name] = (points[-1], colour)
    for name, y in zip(ends, (84, 116, 148), strict=True):
        _, colour = ends[name]
        picture.line([(512, y - 4), (534, y - 4)], colour, 2.4)
        head, _, tail = name.partition(", ")
        picture.text(542, y, head, 12)
        picture.text(542, y + 14, tail, 11, QUIET)
    x, y = ends["batches, with the step's weights"][0]
    picture.circle(x, y, 5.5, "#ffffff", INK)
    picture.circle(523, 178, 5.5, "#ffffff", INK)
    picture.text(542, 180, "precise statistics", 12)
    picture.text(542, 194, "recomputed at the end", 11, QUIET)
    picture.text(64, 308, "Drawn for a statistic that moves as 3 · (1 − exp(−step / 90)), averages from 0.", 11, QUIET)
    return picture


def _averaged(values: list[float], momentum: float) -> list[float]:
    average, averages = 0.0, []
    for value in values:
        average = momentum * average + (1 - momentum) * value
        averages.append(average)
    return averages


def layer() -> Picture:
    """Layer normalization in its two usual forms."""
    picture = Picture(482, "Layer normalization averages within a sample: over the last axis, or over all axes")
    picture.text(24, 30, "axis=-1 (Keras's default; Transformers): per sample and position, over C", 13, bold=True)
    box_and_sheets(picture, 24, per_position)
    picture.text(24, 248, "axis=(1, 2, 3) (convolutional nets): per sample, over H · W · C", 13, bold=True)
    box_and_sheets(picture, 242, per_sample)
    picture.caption(464, "averaged together: the batch plays no part, training and inference are the same")
    return picture


def instance() -> Picture:
    """Instance normalization."""
    return _single(
        "Instance normalization averages over positions, per sample and channel",
        per_sample_and_channel,
        "one mean and one variance per sample and channel, over H · W values",
    )


def group() -> Picture:
    """Group normalization."""
    return _single(
        "Group normalization averages over positions and the channels of a group, per sample",
        per_sample_and_group,
        "one mean and one variance per sample and group: here groups=2, three channels each",
    )


def filter_response() -> Picture:
    """Filter response normalization and its activation."""
    picture = Picture(446, "Filter response normalization: mean of squares per sample and channel, then a threshold")
    box_and_sheets(picture, 4, per_sample_and_channel)
    picture.caption(222, "one mean of squares per sample and channel, over H · W values; no mean is subtracted")
    left, top, width, height = 196.0, 256.0, 320.0, 140.0
    _frame(picture, left, top, width, height, "y, normalized", "TLU(y)")
    _zero_lines(picture, left, top, width, height, across=2 / 3.4, along=0.5)
    inputs = [-2 + 4 * step / 80 for step in range(81)]
    picture.line(curve([max(value, 0) for value in inputs], left, top, width, height, -1.4, 2), INK, 2, "5 4")
    for threshold, colour in ((-0.8, ACCENT), (0.6, TOGETHER)):
        picture.line(curve([max(value, threshold) for value in inputs], left, top, width, height, -1.4, 2), colour, 2.2)
    for y, name, colour in ((292, "τ = 0.6", TOGETHER), (316, "τ = 0, ReLU", INK), (340, "τ = −0.8", ACCENT)):
        picture.line([(548, y - 4), (570, y - 4)], colour, 2.4, "5 4" if colour == INK else "none")
        picture.text(578, y, name, 12)
    return picture


def global_response() -> Picture:
    """Global response normalization in its two steps."""
    picture = Picture(446, "Global response normalization: a length per channel, divided by the mean over the channels")
    picture.text(24, 30, "1. Length of each channel's map: G = √Σ x² over H · W, per sample and channel", 13, bold=True)
    box_and_sheets(picture, 24, per_sample_and_channel)
    picture.text(
        24,
        254,
        "2. Each length against the mean of the sample's lengths: R = G / (mean of G over C + ε)",
        13,
        bold=True,
    )
    for sample in range(SAMPLES):
        y = 272 + sample * 26
        picture.text(266, y + 15, f"sample {sample + 1}", 12, anchor="end")
        for channel in range(CHANNELS):
            fill = TOGETHER if sample == 0 else CELL
            picture.rectangle(276 + channel * 30, y, 30, 20, fill, GRID)
        picture.rectangle(276, y, 30 * CHANNELS, 20, "none", INK, 0, 1.8)
    picture.text(276 + 15 * CHANNELS, 390, "C channels", 12, anchor="middle")
    picture.text(476, 313, "y = γ · (x · R) + β + x", 13)
    picture.caption(428, "summed (1) and averaged (2) together")
    return picture


def root_mean_square() -> Picture:
    """RMS normalization."""
    return _single(
        "RMS normalization averages the squares of the last axis, per sample and position",
        per_position,
        "one mean of squares per sample and position, over C values; no mean is subtracted",
    )


def dynamic_tanh() -> Picture:
    """Dynamic tanh: no statistics at all."""
    picture = Picture(446, "Dynamic tanh averages nothing: each value goes through a tanh of learned slope")
    box_and_sheets(picture, 4, per_value)
    picture.caption(222, "each value alone: no statistics, so no masks and no batches to think of")
    left, top, width, height = 196.0, 252.0, 320.0, 144.0
    _frame(picture, left, top, width, height, "x", "tanh(α · x)")
    _zero_lines(picture, left, top, width, height, across=0.5, along=0.5)
    inputs = [-4 + 8 * step / 120 for step in range(121)]
    for alpha, colour, y in ((2.0, INK, 292), (1.0, TOGETHER, 316), (0.5, ACCENT, 340)):
        picture.line(
            curve([math.tanh(alpha * value) for value in inputs], left, top, width, height, -1.1, 1.1), colour, 2.2
        )
        picture.line([(548, y - 4), (570, y - 4)], colour, 2.4)
        picture.text(578, y, f"α = {alpha:g}" + (", at first" if alpha == 0.5 else ""), 12)
    return picture


def _single(description: str, set_of: SetOf, words: str) -> Picture:
    picture = Picture(242, description)
    box_and_sheets(picture, 4, set_of)
    picture.caption(226, words)
    return picture


def _frame(picture: Picture, left: float, top: float, width: float, height: float, below: str, beside: str) -> None:
    picture.rectangle(left, top, width, height, "#ffffff", GRID)
    picture.line([(left, top), (left, top + height), (left + width, top + height)], INK, 1.4)
    picture.text(left + width / 2, top + height + 36, below, 12, anchor="middle")
    picture.upright_text(left - 12, top + height / 2, beside, 12)


def _zero_lines(
    picture: Picture, left: float, top: float, width: float, height: float, across: float, along: float
) -> None:
    """Marks 0 on both axes; `across` and `along` are the shares of the frame above and left of it."""
    y, x = top + height * across, left + width * along
    picture.line([(left, y), (left + width, y)], GRID, 1)
    picture.line([(x, top), (x, top + height)], GRID, 1)
    picture.text(x, top + height + 16, "0", 11, QUIET, "middle")
    picture.text(left + width + 6, y + 4, "0", 11, QUIET)
