"""C15: dropout keeps the expectation, scaled while training or at inference."""

from __future__ import annotations

import keras
import numpy as np
from matplotlib.figure import Figure

from advisor.race.statistics import interval
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import with_interval
from benchmarks.claims.style import dots
from benchmarks.datasets import parts

RATES = (0.1, 0.3, 0.5, 0.8)
DRAWS = 2000
FORMS = ("scaled in training (Keras)", "scaled at inference", "not scaled")
ACTIVATIONS = ("none", "relu", "softmax")
MATTERS = 1.0


def ratios(seed: int, draws: int) -> dict[str, dict[str, float]]:
    """Mean of a dense layer's outputs over masks in percent of its output at inference, by form and what follows.

    Of all outputs, the regression through zero of the mean on the output at inference: 100 when nothing is lost.
    """
    x = parts("digits", 100, 0, 0, seed).train[0].reshape(100, -1)
    keras.utils.set_random_seed(seed)
    weights = np.random.default_rng(seed).normal(size=(x.shape[1], 16)).astype("float32")
    found: dict[str, dict[str, float]] = {form: {} for form in FORMS}
    found |= {activation: {} for activation in ACTIVATIONS[1:]}
    for rate in RATES:
        dropout = keras.layers.Dropout(rate)
        sums = {key: np.zeros((len(x), 16)) for key in ACTIVATIONS}
        for _ in range(draws):
            linear = np.asarray(dropout(x, training=True)) @ weights
            for activation in ACTIVATIONS:
                sums[activation] += _activated(linear, activation)
        means = {key: total / draws for key, total in sums.items()}
        # Keras's masks without their factor are those of the classic form.
        unscaled = means["none"] * (1 - rate)
        at_inference = {
            FORMS[0]: (means["none"], x @ weights),
            FORMS[1]: (unscaled, (1 - rate) * (x @ weights)),
            FORMS[2]: (unscaled, x @ weights),
            "relu": (means["relu"], _activated(x @ weights, "relu")),
            "softmax": (means["softmax"], _activated(x @ weights, "softmax")),
        }
        for key, (in_training, output) in at_inference.items():
            found[key][str(rate)] = 100 * float(np.sum(in_training * output) / np.sum(output**2))
    return found


def _activated(values: np.ndarray, activation: str) -> np.ndarray:
    if activation == "relu":
        return np.maximum(values, 0)
    if activation == "softmax":
        raised = np.exp(values - values.max(axis=-1, keepdims=True))
        return raised / raised.sum(axis=-1, keepdims=True)
    return values


def measure(run: Run) -> Figures:
    seeds = [run.cell(ratios, seed=seed, draws=200 if run.quick else DRAWS) for seed in run.seeds]
    return {key: {rate: [one[key][rate] for one in seeds] for rate in seeds[0][key]} for key in seeds[0]}


def judge(figures: Figures) -> Judgement:
    scaled = [interval(values) for form in FORMS[:2] for values in figures[form].values()]
    within = [max(abs(one.low - 100), abs(one.high - 100)) <= MATTERS for one in scaled]
    outside = [one.low > 100 + MATTERS or one.high < 100 - MATTERS for one in scaled]
    half = {key: with_interval(interval(figures[key]["0.5"]), "%") for key in figures}
    result = (
        f"At a rate of 0.5 the mean over masks is {half[FORMS[0]]} of the output at inference where Keras scales in"
        f" training, {half[FORMS[1]]} where the output is scaled at inference, and {half[FORMS[2]]} without either"
        f" (over {len(figures[FORMS[0]]['0.5'])} seeds). What is not linear behind it does not keep it:"
        f" {half['relu']} after relu, {half['softmax']} after softmax."
    )
    if any(outside):
        return Judgement(Verdict.FAILS, result)
    return Judgement(Verdict.HOLDS if all(within) else Verdict.UNDECIDED, result)


def draw(figures: Figures, figure: Figure) -> None:
    axes = figure.subplots()
    names = dict(zip(FORMS, FORMS, strict=True)) | {"relu": "Keras, then relu", "softmax": "Keras, then softmax"}
    dots(axes, {names[key]: figures[key]["0.5"] for key in figures})
    axes.axvline(100, color="black", linewidth=0.8, zorder=0)
    axes.set_xlabel("mean over masks, rate 0.5 (% of the output at inference)")


CLAIM = Claim(
    code="C15",
    statement="Dropout keeps the expectation between training and inference, whether values are scaled in training"
    " (Keras) or at inference.",
    how=f"Dropout at rates of {', '.join(map(str, RATES))} on 100 digits before a random dense layer, mean of its"
    f" outputs over {DRAWS} masks; the slope of these means on the outputs at inference, where 100 % means that nothing is lost"
    f" or gained. It counts as kept when the interval lies within {MATTERS:g} % of 100 at every rate.",
    measure=measure,
    judge=judge,
    draw=draw,
)
