"""C15: dropout keeps the expectation, scaled while training or at inference."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from advisor.race.statistics import Interval, interval
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed, with_interval
from benchmarks.claims.style import dots
from benchmarks.datasets import parts
from benchmarks.short_runs import accuracy, compiled, train

RATES = (0.2, 0.5, 0.8)
STEPS, DRAWS, SAMPLES = 600, 1000, 100
IN_TRAINING, AT_INFERENCE, NOWHERE = "scaled in training", "scaled at inference", "scaled nowhere"
FORMS = (IN_TRAINING, AT_INFERENCE, NOWHERE)
LINEAR, RECTIFIED, LOGITS, PROBABILITIES = "linear", "relu", "logits", "softmax"
PLACES = {
    LINEAR: "a dense layer right behind dropout",
    RECTIFIED: "its ReLU",
    LOGITS: "the logits, behind another dropout",
    PROBABILITIES: "the probabilities",
}
ROWS = {LINEAR: "dense layer", RECTIFIED: "ReLU", LOGITS: "logits", PROBABILITIES: "probabilities"}
SAME = 1.0
"""Percent by which a mean may differ and still be called kept."""


def network(form: str, rate: float, trained: bool) -> keras.Model:
    """Two hidden layers, each followed by dropout, that puts out what is measured.

    Keras scales in training. A factor of 1 - rate behind it undoes that, and scales at inference instead: the classic
    form. It is left out of the inference of the form that scales nowhere.
    """

    def dropped(x: keras.KerasTensor) -> keras.KerasTensor:
        x = layers.Dropout(rate)(x)
        scaled_behind = form == AT_INFERENCE or (form == NOWHERE and trained)
        return layers.Rescaling(1 - rate)(x) if scaled_behind else x

    inputs = keras.Input((64,))
    hidden = layers.Dense(64, activation="relu")(inputs)
    linear = layers.Dense(64, name=LINEAR)(dropped(hidden))
    rectified = layers.ReLU(name=RECTIFIED)(linear)
    logits = layers.Dense(10, name=LOGITS)(dropped(rectified))
    probabilities = layers.Softmax(name=PROBABILITIES)(logits)
    return keras.Model(inputs, {LINEAR: linear, RECTIFIED: rectified, LOGITS: logits, PROBABILITIES: probabilities})


def measured(form: str, rate: float, seed: int, steps: int, draws: int) -> Figures:
    """Mean over masks in percent of what is put out at inference, by place, and accuracies of a trained network.

    Of all outputs of a place, the slope of the mean on the output at inference: 100 where nothing is lost or gained.
    """
    drawn = parts("digits", 1000, 0, 700, seed)
    (x, y), (tested, labels) = ((inputs.reshape(len(inputs), -1), ys) for inputs, ys in (drawn.train, drawn.test))
    keras.utils.set_random_seed(seed)
    whole = network(form, rate, trained=True)
    classifier = keras.Model(whole.input, whole.output[LOGITS])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    train(compiled(classifier, loss), (x, y), steps=steps, seed=seed)

    used = network(form, rate, trained=False)
    used.set_weights(whole.get_weights())
    some = tested[:SAMPLES]
    at_inference = {place: np.asarray(value) for place, value in used(some, training=False).items()}
    # Every row draws a mask of its own.
    repeated = np.repeat(some, draws, axis=0)
    in_training = {
        place: np.asarray(value).reshape(len(some), draws, -1).mean(axis=1, dtype="float64")
        for place, value in whole(repeated, training=True).items()
    }
    return {
        "kept": {place: _slope(in_training[place], at_inference[place]) for place in PLACES},
        "accuracy": accuracy(keras.Model(used.input, used.output[LOGITS]), (tested, labels)),
    }


def _slope(means: np.ndarray, outputs: np.ndarray) -> float:
    return round(100 * float(np.sum(means * outputs) / np.sum(outputs**2)), 4)


def measure(run: Run) -> Figures:
    steps, draws = (50, 50) if run.quick else (STEPS, DRAWS)
    figures: Figures = {}
    for form in FORMS:
        figures[form] = {}
        for rate in RATES:
            found = [
                run.cell(measured, form=form, rate=rate, seed=seed, steps=steps, draws=draws) for seed in run.seeds
            ]
            figures[form][str(rate)] = {
                "kept": {place: [one["kept"][place] for one in found] for place in PLACES},
                "accuracy": [one["accuracy"] for one in found],
            }
    return figures


def kept(figures: Figures, place: str) -> list[Interval]:
    """Percent of what is put out at inference, for both forms that scale and every rate."""
    return [interval(found["kept"][place]) for form in (IN_TRAINING, AT_INFERENCE) for found in figures[form].values()]


def _is_kept(found: Interval) -> bool:
    return max(abs(found.low - 100), abs(found.high - 100)) <= SAME


def _is_lost(found: Interval) -> bool:
    return found.low > 100 + SAME or found.high < 100 - SAME


def judge(figures: Figures) -> Judgement:
    whole = {place: kept(figures, place) for place in PLACES}
    keeping = [place for place in PLACES if all(map(_is_kept, whole[place]))]
    losing = [place for place in PLACES if any(map(_is_lost, whole[place]))]
    middle = {
        form: {place: with_interval(interval(figures[form]["0.5"]["kept"][place]), "%") for place in PLACES}
        for form in FORMS
    }
    accuracies = [f"{interval(figures[form]['0.5']['accuracy']).mean:.1f} % ({form})" for form in FORMS]
    result = (
        f"At a rate of 0.5 the mean over masks of {PLACES[LINEAR]} is {middle[IN_TRAINING][LINEAR]} of its output at "
        f"inference when Keras scales in training, {middle[AT_INFERENCE][LINEAR]} when the output is scaled at "
        f"inference, and {middle[NOWHERE][LINEAR]} with neither. What is not linear does not keep it as well: "
        f"{middle[IN_TRAINING][RECTIFIED]} and {middle[AT_INFERENCE][RECTIFIED]} behind {PLACES[RECTIFIED]}, "
        f"{middle[IN_TRAINING][LOGITS]} and {middle[AT_INFERENCE][LOGITS]} at {PLACES[LOGITS]}, "
        f"{middle[IN_TRAINING][PROBABILITIES]} and {middle[AT_INFERENCE][PROBABILITIES]} of {PLACES[PROBABILITIES]}. "
        f"Test accuracy: {listed(accuracies)}."
    )
    if LINEAR in losing:
        return Judgement(Verdict.FAILS, result)
    if LINEAR not in keeping:
        return Judgement(Verdict.UNDECIDED, result)
    if not losing:
        return Judgement(Verdict.HOLDS if len(keeping) == len(PLACES) else Verdict.UNDECIDED, result)
    return Judgement(Verdict.HOLDS_WHEN, result, f"it is about {listed([PLACES[place] for place in keeping])}")


def draw(figures: Figures, figure: Figure) -> None:
    figure.set_size_inches(7.2, 3.2)
    for axes, form in zip(figure.subplots(1, len(FORMS), sharex=True, sharey=True), FORMS, strict=True):
        rows = {ROWS[place]: figures[form]["0.5"]["kept"][place] for place in PLACES}
        dots(axes, rows)
        axes.axvline(100, color="black", linewidth=0.8, zorder=0)
        axes.set(title=form, xlabel="mean over masks\n(% of inference)")
    figure.suptitle("dropout at a rate of 0.5", x=0.01, ha="left", fontsize=10)


CLAIM = Claim(
    code="C15",
    statement="Dropout keeps the expectation between training and inference, whether values are scaled in training "
    "(Keras) or at inference.",
    how="Two hidden layers of 64 units on 1,000 digits, each followed by dropout at "
    f"{', '.join(f'{rate:g}' for rate in RATES[:-1])} or {RATES[-1]:g}, {STEPS} steps of Adam at 0.001. Then the mean "
    f"of what the trained network puts out in training mode over {DRAWS:,} masks a sample, on {SAMPLES} test samples, "
    "and the slope of these means on what it puts out at inference; 100 % where nothing is lost or gained. It counts "
    f"as kept where the intervals lie within {SAME:g} % of that in both forms at every rate.",
    measure=measure,
    judge=judge,
    draw=draw,
)
