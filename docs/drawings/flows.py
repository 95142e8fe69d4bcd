"""Pictures of techniques that are a course of events: forecasting, style, recurrence."""

import math

from docs.drawings.svg import ACCENT, CELL, GRID, INK, QUIET, TOGETHER, Picture, curve


def reversible_instance() -> Picture:
    """Reversible instance normalization around a forecasting model."""
    picture = Picture(286, "Reversible instance normalization: the window's mean and deviation leave and come back")
    window = [6 + 0.05 * step + math.sin(step / 2.2) for step in range(25)]
    forecast = [6 + 0.05 * step + math.sin(step / 2.2) for step in range(24, 34)]
    mean = sum(window) / len(window)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in window) / len(window))
    panels = (
        ("1. window", window, 0.0, 10.0, TOGETHER, 26.0),
        ("2. normalized", [(value - mean) / deviation for value in window], -5.0, 5.0, TOGETHER, 194.0),
        ("3. model's forecast", [(value - mean) / deviation for value in forecast], -5.0, 5.0, ACCENT, 392.0),
        ("4. denormalized", forecast, 0.0, 10.0, ACCENT, 560.0),
    )
    top, width, height = 58.0, 112.0, 120.0
    for title, values, low, high, colour, left in panels:
        picture.text(left, top - 14, title, 12, bold=True)
        picture.rectangle(left, top, width, height, "#ffffff", GRID)
        zero = top + height * high / (high - low)
        picture.line([(left, zero), (left + width, zero)], GRID, 1)
        picture.text(left - 5, zero + 4, "0", 11, QUIET, "end")
        picture.line(curve(values, left, top, width, height, low, high), colour, 2.2)
        picture.text(left + width / 2, top + height + 16, "time", 11, QUIET, "middle")
    for start in (142.0, 508.0):
        picture.arrow((start, 118), (start + 30, 118), QUIET)
    picture.rectangle(322, 98, 52, 40, CELL, INK, 6, 1.4)
    picture.text(348, 122, "model", 12, anchor="middle")
    picture.line([(82, 200), (82, 226), (616, 226)], TOGETHER, 1.6, "5 4")
    picture.arrow((616, 226), (616, 200), TOGETHER)
    picture.text(349, 219, "mean and deviation of this window, per sample and variable", 12, anchor="middle")
    picture.caption(264, "averaged together: the time steps of the window, per sample and variable")
    return picture


def adaptive() -> Picture:
    """Adaptive instance and conditional normalization: where scale and shift come from."""
    picture = Picture(
        470, "Adaptive instance normalization takes scale and shift from a style, conditional from a vector"
    )
    picture.text(24, 30, "Adaptive instance normalization", 13, bold=True)
    for left, title in ((70.0, "content"), (70.0 + 180, "style")):
        _sheet(picture, left, 62, title)
    picture.text(112, 184, "μ(x), σ(x)", 12, TOGETHER, "middle")
    picture.text(292, 184, "μ(s), σ(s)", 12, TOGETHER, "middle")
    picture.arrow((352, 108), (392, 108), QUIET)
    picture.rectangle(400, 84, 272, 48, CELL, INK, 6, 1.4)
    picture.text(536, 113, "σ(s) · (x − μ(x)) / σ(x) + μ(s)", 13, anchor="middle")
    picture.text(24, 226, "Conditional normalization", 13, bold=True)
    _sheet(picture, 70, 258, "x")
    picture.arrow((166, 300), (204, 300), QUIET)
    picture.rectangle(212, 276, 132, 48, CELL, INK, 6, 1.4)
    picture.text(278, 297, "any normalization", 12, anchor="middle")
    picture.text(278, 313, "without γ and β", 11, QUIET, "middle")
    picture.arrow((350, 300), (392, 300), QUIET)
    picture.rectangle(400, 276, 272, 48, CELL, INK, 6, 1.4)
    picture.text(536, 305, "(1 + γ(c)) · x̂ + β(c)", 13, anchor="middle")
    picture.rectangle(212, 376, 132, 40, "#ffffff", INK, 6, 1.4)
    picture.text(278, 400, "condition c", 12, anchor="middle")
    picture.arrow((350, 396), (392, 396), QUIET)
    picture.rectangle(400, 376, 272, 40, CELL, INK, 6, 1.4)
    picture.text(536, 400, "a learned linear map: γ(c), β(c)", 12, anchor="middle")
    picture.arrow((536, 372), (536, 330), QUIET)
    picture.caption(450, "averaged together: the positions of one channel of one sample")
    return picture


def _sheet(picture: Picture, left: float, top: float, title: str) -> None:
    for row in range(6):
        for column in range(6):
            fill = TOGETHER if column == 5 else CELL
            picture.rectangle(left + column * 14, top + row * 14, 14, 14, fill, GRID)
    for column in range(6):
        picture.rectangle(left + column * 14, top, 14, 84, "none", INK, 0, 1.6)
    picture.text(left + 42, top - 9, title, 12, anchor="middle")
    picture.text(left + 42, top + 101, "C", 12, QUIET, "middle")
    picture.upright_text(left - 8, top + 42, "H·W", 12, QUIET)


def recurrent() -> Picture:
    """Layer normalization inside a recurrent cell, step by step."""
    picture = Picture(
        330, "Layer normalization in a recurrent cell: at every step, per sample, over the gates of all units"
    )
    for step in range(3):
        left = 66.0 + step * 212
        picture.text(left + 75, 34, f"time step {step + 1}", 13, anchor="middle", bold=True)
        picture.rectangle(left, 46, 150, 176, "#ffffff", INK, 8, 1.4)
        for sample in range(4):
            y = 74 + sample * 26
            for unit in range(7):
                fill = TOGETHER if (step, sample) == (0, 0) else CELL
                picture.rectangle(left + 19 + unit * 16, y, 16, 18, fill, GRID)
            picture.rectangle(left + 19, y, 112, 18, "none", INK, 0, 1.8)
            if step == 0:
                picture.text(left - 6, y + 13, str(sample + 1), 11, QUIET, "end")
        picture.text(left + 75, 194, "gates of all units", 12, anchor="middle")
        picture.text(left + 75, 210, "before their activation", 11, QUIET, "middle")
        if step < 2:
            picture.arrow((left + 154, 132), (left + 208, 132), QUIET)
            picture.text(left + 181, 122, "h, c", 12, anchor="middle")
        picture.arrow((left + 75, 264), (left + 75, 228), QUIET)
        picture.text(left + 75, 280, f"x at step {step + 1}", 12, anchor="middle")
    picture.upright_text(34, 126, "N samples", 12)
    picture.caption(312, "averaged together: all gates of one sample at one step; the same γ and β at every step")
    return picture
