"""C09: what padding does to batch statistics, with its mask and without."""

from __future__ import annotations

from functools import cache

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

import keras_normpack
from advisor.race.statistics import Interval, interval, paired_difference
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed, verdict_of, with_interval
from benchmarks.claims.restarts import restarted
from benchmarks.claims.style import curves
from benchmarks.claims.wording import compared
from benchmarks.datasets import REVIEW_LENGTH, REVIEW_WORDS, Pair, Parts, parts
from benchmarks.short_runs import accuracy

MASKED, BARE = "with the mask", "without"
EMBEDDING = "embedding"
WIDTHS = (128, 256, 512, 1024)
SHORTEST = 16
STEADY, CHANGING = "batches padded to 512", "batches padded to 128, 256, 512 or 1024 by chance"
TITLES = {STEADY: "512", CHANGING: "128 to 1024"}
TRAINED_WIDTHS = {STEADY: (512,), CHANGING: WIDTHS}
STEPS, BETWEEN, BATCH, RATE = 1200, 100, 32, 3e-3
EARLY = 2
"""The place in a curve that tells how fast training is: the third, after 300 steps."""
TRAINED, HELD, TESTED = 4000, 2000, 4000
OFF, RIGHT = 10.0, 0.1
"""Percent by which normalized words move: from here on statistics are called off, and up to there right."""
LOST = "accuracy is lost without the mask in {}"


def reviews(seed: int) -> Parts:
    """Beginnings of film reviews, of 16 to 128 words, padded to 128; their lengths differ as those of texts do."""
    drawn = parts("imdb", TRAINED, HELD, TESTED, seed)
    generator = np.random.default_rng(seed)

    def cut(pair: Pair) -> Pair:
        lengths = generator.integers(SHORTEST, REVIEW_LENGTH + 1, len(pair[0]))
        return np.where(np.arange(REVIEW_LENGTH) < lengths[:, None], pair[0], 0), pair[1]

    return Parts(cut(drawn.train), cut(drawn.validation), cut(drawn.test), drawn.classes)


def padded(words: np.ndarray, width: int) -> np.ndarray:
    """The same reviews with more padding behind."""
    return np.pad(words, ((0, 0), (0, width - words.shape[1])))


def classifier(masked: bool) -> keras.Model:
    """Words are embedded, normalized, and averaged without the padding, so that it can harm the statistics alone."""
    words = keras.Input((None,), dtype="int32")
    is_word = keras.ops.not_equal(words, 0)
    x = layers.Embedding(REVIEW_WORDS, 16, name=EMBEDDING)(words)
    x = keras_normpack.BatchNormalization(momentum=0.9)(x, mask=is_word if masked else None)
    x = layers.Dense(32, activation="relu")(x)
    x = layers.GlobalAveragePooling1D()(x, mask=is_word)
    return keras.Model(words, layers.Dense(2)(x))


@cache
def _compiled(arm: str) -> keras.Model:
    model = classifier(arm == MASKED)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(RATE), loss, jit_compile=False)
    return model


def trained(arm: str, condition: str, seed: int, steps: int) -> Figures:
    """Test accuracy in percent at the best step on validation reviews, and what became of the vectors.

    `curve` is the test accuracy at every `BETWEEN`th step,
    `padding vector` is the size of the vector that stands for padding by that of a word's, and `moved` what padding
    does to the normalized words of a test batch.
    """
    drawn = reviews(seed)
    x, y = drawn.train
    keras.utils.set_random_seed(seed)
    model = restarted(_compiled(arm), classifier(arm == MASKED), RATE)
    generator = np.random.default_rng(seed)
    found = []
    for step in range(1, steps + 1):
        chosen = generator.integers(0, len(x), BATCH)
        model.train_on_batch(padded(x[chosen], int(generator.choice(TRAINED_WIDTHS[condition]))), y[chosen])
        if step % BETWEEN == 0 or step == steps:
            found.append((accuracy(model, drawn.validation), accuracy(model, drawn.test)))
    vectors = np.asarray(model.get_layer(EMBEDDING).embeddings)
    return {
        "accuracy": max(found, key=lambda one: one[0])[1],
        "curve": [tested for _, tested in found],
        "padding vector": round(float(np.sqrt(np.mean(vectors[0] ** 2) / np.mean(vectors[1:] ** 2))), 3),
        "moved": moved(vectors, drawn.test[0][:BATCH]),
    }


def moved(vectors: np.ndarray, words: np.ndarray) -> dict[str, list[float]]:
    """By how much padding to each width moves the normalized words of a batch, in percent of their size.

    They are held against words that were normalized by statistics of words alone.
    """
    is_word = words != 0
    alone = vectors[words[is_word]].astype("float64")
    epsilon = keras_normpack.BatchNormalization().epsilon
    expected = (alone - alone.mean(axis=0)) / np.sqrt(alone.var(axis=0) + epsilon)
    found: dict[str, list[float]] = {MASKED: [], BARE: []}
    for width in WIDTHS:
        wider = padded(words, width)
        for arm, mask in ((MASKED, wider != 0), (BARE, None)):
            normalized = keras_normpack.BatchNormalization()(vectors[wider], training=True, mask=mask)
            difference = np.asarray(normalized)[wider != 0] - expected
            found[arm].append(100 * float(np.sqrt(np.mean(difference**2) / np.mean(expected**2))))
    return found


def measure(run: Run) -> Figures:
    steps = 10 if run.quick else STEPS
    found = {
        condition: {
            arm: [run.cell(trained, arm=arm, condition=condition, seed=seed, steps=steps) for seed in run.seeds]
            for arm in (MASKED, BARE)
        }
        for condition in TRAINED_WIDTHS
    }
    shares = [
        [round(100 * float(np.mean(padded(reviews(seed).test[0][:BATCH], width) == 0)), 2) for width in WIDTHS]
        for seed in run.seeds
    ]
    return {
        "padding": [round(one, 1) for one in np.mean(shares, axis=0)],
        "moved": {arm: [one["moved"][arm] for one in found[STEADY][MASKED]] for arm in (MASKED, BARE)},
        "accuracy": {
            condition: {arm: [one["accuracy"] for one in runs] for arm, runs in arms.items()}
            for condition, arms in found.items()
        },
        "curves": {
            condition: {arm: [one["curve"] for one in runs] for arm, runs in arms.items()}
            for condition, arms in found.items()
        },
        "padding vector": {
            arm: [one["padding vector"] for arms in found.values() for one in arms[arm]] for arm in (MASKED, BARE)
        },
    }


def statements(figures: Figures) -> dict[str, Interval]:
    """What the claim comes to, with the differences that must be above 0 for it."""
    off = [min(row) - OFF for row in figures["moved"][BARE]]
    right = [RIGHT - max(row) for row in figures["moved"][MASKED]]
    lost = {
        LOST.format(condition): paired_difference(arms[MASKED], arms[BARE])
        for condition, arms in figures["accuracy"].items()
    }
    return {
        "the statistics are off without the mask": interval(off),
        "the mask puts them right": interval(right),
        **lost,
    }


def judge(figures: Figures) -> Judgement:
    verdict, holding = verdict_of(statements(figures))
    columns = {arm: np.asarray(rows).T for arm, rows in figures["moved"].items()}
    first, last = (with_interval(interval(columns[BARE][place]), "%", 0) for place in (0, -1))
    early = {
        condition: {arm: [row[min(EARLY, len(row) - 1)] for row in rows] for arm, rows in arms.items()}
        for condition, arms in figures["curves"].items()
    }
    vectors = {arm: float(np.mean(sizes)) for arm, sizes in figures["padding vector"].items()}
    result = (
        f"Without the mask, normalized words move by {first} of their size when {figures['padding'][0]:.0f} % of the "
        f"positions are padding, and by {last} at {figures['padding'][-1]:.0f} %; with it by at most "
        f"{columns[MASKED].max():.1g} %. Test accuracy: {_compared(figures['accuracy'])} After {BETWEEN * (EARLY + 1)} "
        f"steps it was: {_compared(early)} The vector of the padding, which nothing but the statistics see, is trained "
        f"without the mask to {vectors[BARE]:.0f} times the size of a word's; with it, it stays at "
        f"{vectors[MASKED]:.1f} times."
    )
    when = f"it says no more than that {listed(holding)}" if verdict is Verdict.HOLDS_WHEN else ""
    return Judgement(verdict, result, when)


def _compared(accuracies: Figures) -> str:
    return " ".join(
        f"{condition[0].upper()}{condition[1:]}: {compared(MASKED, arms[MASKED], BARE, arms[BARE])}."
        for condition, arms in accuracies.items()
    )


def draw(figures: Figures, figure: Figure) -> None:
    statistics, *trainings = figure.subplots(1, 1 + len(figures["curves"]), width_ratios=(1.2, 1, 1))
    curves(statistics, figures["padding"], figures["moved"])
    statistics.set(title="statistics", xlabel="padding (% of positions)", ylabel="change of normalized words (%)")
    statistics.legend(loc="upper left")
    for axes, (condition, arms) in zip(trainings, figures["curves"].items(), strict=True):
        steps = BETWEEN * np.arange(1, 1 + len(arms[MASKED][0]))
        curves(axes, steps.tolist(), arms)
        axes.set(title=f"padded to {TITLES[condition]}", xlabel="step", ylim=(48, 80))
    trainings[0].set_ylabel("test accuracy (%)")
    trainings[1].set_yticklabels([])


CLAIM = Claim(
    code="C09",
    statement="Padding makes batch statistics meaningless unless the mask is respected; with the mask it does not.",
    how=f"Beginnings of {SHORTEST} to {REVIEW_LENGTH} words of {TRAINED:,} IMDB reviews, cut to lengths drawn anew for "
    "every seed; embedding, batch normalization (`keras_normpack.BatchNormalization`, momentum 0.9), a dense layer of "
    "32, and the mean over the words alone, so that padding can harm nothing but the statistics. "
    f"{STEPS:,} steps of Adam at {RATE:g} with {BATCH} reviews; of every {BETWEEN}th step the best on {HELD:,} "
    f"validation reviews is taken, and its accuracy on {TESTED:,} test reviews. Then, with the embedding that was "
    "trained with the mask, how far the normalized words of a test batch lie from those normalized by the statistics "
    "of the words alone (root mean square, in percent of theirs). Statistics are called off from "
    f"{OFF:g} % on, and right up to {RIGHT:g} %.",
    measure=measure,
    judge=judge,
    draw=draw,
)
