"""Pictures of training runs: early stopping, weight averaging, transfer learning."""

import math
import random

from docs.drawings.svg import ACCENT, CELL, GRID, INK, QUIET, TOGETHER, TRAINED, Picture, curve

EPOCHS = 40


def early_stopping() -> Picture:
    """Prechelt's criteria on one run."""
    source = random.Random(5)
    training = [0.25 + 1.5 * math.exp(-epoch / 8) - 0.004 * epoch for epoch in range(EPOCHS)]
    validation = [
        0.62 + 1.2 * math.exp(-epoch / 6) + 0.012 * max(epoch - 12, 0) + 0.035 * source.gauss(0, 1)
        for epoch in range(EPOCHS)
    ]
    best = min(range(EPOCHS), key=validation.__getitem__)
    threshold = 15.0
    losses = [100 * (validation[epoch] / min(validation[: epoch + 1]) - 1) for epoch in range(EPOCHS)]
    stop = next(epoch for epoch in range(EPOCHS) if losses[epoch] > threshold)

    picture = Picture(446, "Early stopping by generalization loss: the best epoch, and the epoch that stops the run")
    left, width = 64.0, 470.0
    at = [left + width * epoch / (EPOCHS - 1) for epoch in range(EPOCHS)]
    picture.line([(at[best], 26), (at[best], 392)], TRAINED, 1.6, "5 4")
    picture.line([(at[stop], 26), (at[stop], 392)], ACCENT, 1.6, "5 4")
    for top, height, name in ((34.0, 200.0, "loss"), (270.0, 112.0, "GL in %")):
        picture.line([(left, top), (left, top + height), (left + width, top + height)], INK, 1.4)
        picture.upright_text(left - 34, top + height / 2, name, 12)
    picture.line(curve(training, left, 34, width, 200, 0, 1.9), INK, 2)
    picture.line(curve(validation, left, 34, width, 200, 0, 1.9), TOGETHER, 2)
    picture.line(curve(losses, left, 270, width, 112, 0, 45), TOGETHER, 2)
    level = 270 + 112 * (1 - threshold / 45)
    picture.line([(left, level), (left + width, level)], ACCENT, 1.2)
    picture.text(left - 6, level + 4, "α", 12, ACCENT, "end")
    picture.text(left - 6, 386, "0", 11, QUIET, "end")
    for epoch in (0, 10, 20, 30, 39):
        picture.text(at[epoch], 400, str(epoch + 1), 11, QUIET, "middle")
    picture.text(left + width / 2, 420, "epoch", 12, anchor="middle")
    for y, colour, words in ((60, INK, "training loss"), (84, TOGETHER, "validation loss")):
        picture.line([(556, y - 4), (578, y - 4)], colour, 2.2)
        picture.text(586, y, words, 12)
    for y, colour, words, more in (
        (126, TRAINED, "best epoch", "its weights come back"),
        (170, ACCENT, "GL > α = 15", "the run stops here"),
    ):
        picture.line([(556, y - 4), (578, y - 4)], colour, 1.6, "5 4")
        picture.text(586, y, words, 12)
        picture.text(556, y + 16, more, 11, QUIET)
    return picture


def weight_averaging() -> Picture:
    """Iterates around a minimum, and their average."""
    picture = Picture(330, "Stochastic weight averaging: iterates circle a minimum, their average is close to it")
    centre, scale = (250.0, 165.0), 64.0
    for ring in (0.5, 1.0, 1.6, 2.3):
        picture.ellipse(*centre, ring * scale * 1.45, ring * scale * 0.92)
    source = random.Random(21)
    x, y, path = -2.9, 1.7, []
    for _ in range(26):
        path.append((x, y))
        x += 0.42 * (-x + source.gauss(0, 1.15))
        y += 0.62 * (-y + source.gauss(0, 0.85))
    places = [(centre[0] + a * scale, centre[1] - b * scale) for a, b in path]
    start = 7
    picture.line(places[: start + 1], QUIET, 1.4, "4 3")
    picture.line(places[start:], GRID, 1.4)
    for place in places[:start]:
        picture.circle(*place, 3.5, QUIET)
    for place in places[start:]:
        picture.circle(*place, 4.5, TOGETHER, "#ffffff")
    average = tuple(sum(values) / len(places[start:]) for values in zip(*places[start:], strict=True))
    picture.circle(average[0], average[1], 8, ACCENT, "#ffffff")
    picture.line([(centre[0] - 6, centre[1] - 6), (centre[0] + 6, centre[1] + 6)], INK, 2)
    picture.line([(centre[0] - 6, centre[1] + 6), (centre[0] + 6, centre[1] - 6)], INK, 2)
    left = 500
    picture.circle(left, 76, 3.5, QUIET)
    picture.text(left + 16, 80, "before start_epoch", 12)
    picture.circle(left, 104, 4.5, TOGETHER)
    picture.text(left + 16, 108, "averaged together", 12)
    picture.circle(left, 132, 7, ACCENT)
    picture.text(left + 16, 136, "their average", 12)
    picture.line([(left - 5, 155), (left + 5, 165)], INK, 2)
    picture.line([(left - 5, 165), (left + 5, 155)], INK, 2)
    picture.text(left + 16, 164, "minimum of the loss", 12)
    picture.ellipse(left, 188, 8, 5)
    picture.text(left + 16, 192, "equal loss", 12)
    picture.text(
        24, 316, "A plane of two weights; steps of gradient descent with noise, computed for this picture.", 11, QUIET
    )
    return picture


def transfer() -> Picture:
    """The two phases of transfer learning."""
    picture = Picture(290, "Transfer learning in two phases: the new head alone, then the upper blocks with it")
    blocks = ("block 1", "block 2", "block 3", "block 4", "new head")
    for phase, (title, trained, words) in enumerate(
        (
            ("1. Head alone", {4}, "backbone.trainable = False, usual learning rate"),
            (
                "2. Upper blocks too",
                {2, 3, 4},
                "learning rate 10 to 100 times smaller; batch normalization stays frozen",
            ),
        )
    ):
        top = 26.0 + phase * 112
        picture.text(24, top + 8, title, 13, bold=True)
        picture.text(190, top + 8, words, 12, QUIET)
        for index, name in enumerate(blocks):
            left = 72 + index * 120.0
            learns = index in trained
            picture.rectangle(left, top + 24, 92, 44, TRAINED if learns else CELL, INK, 6, 1.4)
            picture.text(left + 46, top + 51, name, 12, "#ffffff" if learns else INK, "middle")
            picture.arrow((left - 24, top + 46), (left - 4, top + 46), QUIET)
        picture.text(34, top + 50, "x", 13)
    picture.caption(266, "trained", TRAINED)
    picture.rectangle(130, 255, 13, 13, CELL, GRID, 2)
    picture.text(151, 266, "frozen: weights as they came from the large data set", 13)
    return picture
