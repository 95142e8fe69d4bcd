"""Pictures of what is done to weights: reparameterizations and penalties."""

import math
import random
from collections.abc import Callable

from docs.drawings.svg import ACCENT, CELL, DROPPED, GRID, INK, QUIET, TOGETHER, Picture

INPUTS, OUTPUTS = 5, 5

TOGETHER_PALE = "#a9c4f5"  # behind squares that must stay readable

Matrix = list[list[float]]


def weight_normalization() -> Picture:
    """Weight normalization: a length and a direction per output channel; standardization: a mean and a deviation."""
    picture = Picture(300, "Weight normalization and standardization look at the weights of one output channel")
    _kernel(picture, 84, 62, lambda row, column: column == OUTPUTS - 1)
    picture.text(84, 34, "The kernel of a layer", 13, bold=True)
    _plane(picture, 330, 60)
    picture.text(300, 34, "Weight normalization", 13, bold=True)
    picture.text(502, 34, "Weight standardization", 13, bold=True)
    _standardized(picture, 506, 74)
    picture.caption(262, "one length (normalization), one mean and one variance (standardization) per channel,")
    picture.text(45, 281, "over kernel height · width · input channels; the activations play no part")
    return picture


def _kernel(picture: Picture, left: float, top: float, together: Callable[[int, int], bool], cell: float = 26) -> None:
    for row in range(INPUTS):
        for column in range(OUTPUTS):
            fill = TOGETHER if together(row, column) else CELL
            picture.rectangle(left + column * cell, top + row * cell, cell, cell, fill, GRID)
    for column in range(OUTPUTS):
        picture.rectangle(left + column * cell, top, cell, INPUTS * cell, "none", INK, 0, 1.8)
    picture.upright_text(left - 30, top + INPUTS * cell / 2, "kernel height · width", 12)
    picture.upright_text(left - 14, top + INPUTS * cell / 2, "· input channels", 12)
    picture.text(left + OUTPUTS * cell / 2, top + INPUTS * cell + 20, "output channels", 12, anchor="middle")


def _plane(picture: Picture, left: float, top: float) -> None:
    """The vectors v, v / ‖v‖ and w in a plane of two weights."""
    x, y, unit = left, top + 150, 62.0
    picture.arrow((x - 20, y), (x + 160, y), QUIET)
    picture.arrow((x, y + 20), (x, y - 140), QUIET)
    arc = [math.radians(angle) for angle in range(0, 91, 5)]
    picture.line([(x + unit * math.cos(a), y - unit * math.sin(a)) for a in arc], GRID, 1.6, "4 3")
    picture.text(x + unit + 4, y + 15, "1", 11, QUIET, "middle")
    angle = math.radians(42)

    def along(length: float) -> tuple[float, float]:
        return x + length * unit * math.cos(angle), y - length * unit * math.sin(angle)

    picture.arrow((x, y), along(2.3), QUIET)
    picture.arrow((x, y), along(1.65), ACCENT)
    picture.arrow((x, y), along(1.0), TOGETHER)
    for length, words, colour in ((2.3, "v", QUIET), (1.65, "w = g · v / ‖v‖", ACCENT), (1.0, "v / ‖v‖", TOGETHER)):
        end = along(length)
        picture.text(end[0] + 8, end[1] + 13, words, 12, colour)


def _standardized(picture: Picture, left: float, top: float) -> None:
    """The weights of one channel before and after, as points on a line."""
    source = random.Random(4)
    weights = [0.5 + 0.16 * source.gauss(0, 1) for _ in range(INPUTS * 2)]
    mean = sum(weights) / len(weights)
    deviation = math.sqrt(sum((weight - mean) ** 2 for weight in weights) / len(weights))
    unit = 52.0
    zero = left + 70
    for place, values, words in (
        (top + 30, weights, "before"),
        (top + 106, [(weight - mean) / deviation for weight in weights], "mean 0, variance 1"),
    ):
        picture.text(left - 4, place - 16, words, 12, QUIET)
        picture.line([(left - 4, place), (left + 156, place)], INK, 1.2)
        picture.line([(zero, place - 5), (zero, place + 5)], INK, 1.2)
        picture.text(zero, place + 20, "0", 11, QUIET, "middle")
        for value in values:
            picture.circle(zero + value * unit * (0.7 if values is not weights else 1), place, 4, TOGETHER, "#ffffff")


def penalties() -> Picture:
    """What each penalty leaves of the same kernel; the area of a square is the size of its weight."""
    picture = Picture(
        532, "L1, L2, group lasso and orthogonal penalties: what they sum and what they leave of a kernel"
    )
    source = random.Random(11)
    strength = [1.6, 0.35, 1.1, 0.3, 1.4]
    kernel = [[size * source.uniform(-1, 1) for _ in range(OUTPUTS)] for size in strength]
    shown: list[tuple[str, str, Matrix, str]] = [
        ("Without", "", kernel, "none"),
        ("L2", "Σ w²: all shrink alike", [[weight * 0.5 for weight in row] for row in kernel], "each"),
        ("L1", "Σ |w|: small ones become 0", [[_soft(weight, 0.35) for weight in row] for row in kernel], "each"),
        ("Group lasso", "Σ ‖row‖: whole inputs become 0", _rows_shrunk(kernel, 0.8), "rows"),
        ("Orthogonal, rows", "|cos| of pairs: rows turn apart", _orthogonal(kernel), "pair"),
    ]
    for index, (name, words, values, sets) in enumerate(shown):
        left, top = 62 + index % 3 * 226, 56 + index // 3 * 226
        picture.text(left, top - 24, name, 13, bold=True)
        picture.text(left, top - 8, words, 11, QUIET)
        _squares(picture, left, top, values, sets)
    left, top = 514, 290
    picture.text(left, top, "Read it so", 13, bold=True)
    picture.rectangle(left, top + 16, 12, 12, INK)
    picture.text(left + 22, top + 27, "positive weight", 12)
    picture.rectangle(left + 0.5, top + 40.5, 11, 11, "#ffffff", INK)
    picture.text(left + 22, top + 51, "negative weight", 12)
    picture.text(left, top + 75, "area: size of the weight", 12)
    picture.text(left, top + 99, "empty: exactly 0", 12)
    picture.caption(484, "summed together, for one term of the penalty", TOGETHER_PALE)
    picture.text(
        24,
        512,
        "Kernels computed from the one without penalty: by the proximal step of each, and by Gram-Schmidt.",
        11,
        QUIET,
    )
    return picture


def _squares(picture: Picture, left: float, top: float, values: Matrix, sets: str, cell: float = 26) -> None:
    rows = range(len(values)) if sets == "each" else {"none": (), "rows": (0,), "pair": (0, 2)}[sets]
    for row in range(len(values)):
        for column in range(OUTPUTS):
            chosen = row in rows and (sets != "each" or (row, column) == (0, OUTPUTS - 1))
            x, y = left + column * cell, top + row * cell
            picture.rectangle(x, y, cell, cell, TOGETHER_PALE if chosen else CELL, GRID)
            side = (cell - 4) * min(1.0, math.sqrt(abs(values[row][column]) / 1.6))
            if side > 0:
                inset = (cell - side) / 2
                negative = values[row][column] < 0
                picture.rectangle(x + inset, y + inset, side, side, "#ffffff" if negative else DROPPED, DROPPED, 0, 1.4)
    picture.rectangle(left, top, OUTPUTS * cell, len(values) * cell, "none", INK, 0, 1.8)
    picture.upright_text(left - 10, top + len(values) * cell / 2, "inputs", 11, QUIET)
    picture.text(left + OUTPUTS * cell / 2, top + len(values) * cell + 16, "outputs", 11, QUIET, "middle")


def _soft(value: float, threshold: float) -> float:
    return math.copysign(max(abs(value) - threshold, 0.0), value)


def _rows_shrunk(kernel: Matrix, threshold: float) -> Matrix:
    lengths = [math.sqrt(sum(weight**2 for weight in row)) for row in kernel]
    return [
        [weight * max(1 - threshold / length, 0.0) for weight in row]
        for row, length in zip(kernel, lengths, strict=True)
    ]


def _orthogonal(kernel: Matrix) -> Matrix:
    """Gram-Schmidt on the rows, longest first, lengths kept; a row beyond the dimension keeps its direction."""
    done: Matrix = []
    for row in kernel:
        rest = list(row)
        for other in done:
            overlap = sum(a * b for a, b in zip(rest, other, strict=True)) / sum(a * a for a in other)
            rest = [a - overlap * b for a, b in zip(rest, other, strict=True)]
        before, after = (math.sqrt(sum(a * a for a in values)) for values in (row, rest))
        done.append([a * before / after for a in rest] if after > 1e-9 else list(row))
    return done
