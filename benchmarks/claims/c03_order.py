"""C03: whose order batch and layer normalization keep."""

from __future__ import annotations

import keras
import numpy as np
from matplotlib.figure import Figure

from advisor.race.statistics import Interval, interval
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed
from benchmarks.claims.style import colour
from benchmarks.datasets import parts
from benchmarks.short_runs import compiled, train

TABLES = {"wine": "wine", "breast_cancer": "breast cancer", "digits": "digits"}
LAYERS = {"BN": keras.layers.BatchNormalization, "LN": keras.layers.LayerNormalization}
SAMPLES, FEATURES = "samples within a feature", "features within a sample"
KEPT = {"BN": SAMPLES, "LN": FEATURES}
DESTROYED = {"BN": FEATURES, "LN": SAMPLES}
START, TRAINED = "start", "trained"
STEPS, RATE = 600, 5e-3
COUNTED = 100


def reversed_pairs(before: np.ndarray, after: np.ndarray) -> float:
    """Percent of the pairs in a column, of all columns, whose order is reversed; pairs that are equal do not count."""
    changed = pairs = 0
    for one, other in zip(before.T, after.T, strict=True):
        first, second = (np.sign(values[:, None] - values[None, :]) for values in (one, other))
        changed += int(np.sum(first * second < 0))
        pairs += int(np.sum(first != 0))
    return 100 * changed / pairs


def reversals(layer: keras.Layer, x: np.ndarray) -> dict[str, float]:
    """What a layer in training mode reverses of either order."""
    after = np.asarray(layer(x, training=True) if isinstance(layer, LAYERS["BN"]) else layer(x))
    return {SAMPLES: round(reversed_pairs(x, after), 4), FEATURES: round(reversed_pairs(x.T, after.T), 4)}


def measured(table: str, norm: str, seed: int, steps: int) -> dict[str, dict[str, float]]:
    """Reversals by a layer as it starts, and as a classifier has trained it."""
    drawn = parts(table, COUNTED, 0, 0, seed)
    x, y = drawn.train[0].reshape(len(drawn.train[0]), -1), drawn.train[1]
    keras.utils.set_random_seed(seed)
    layer = LAYERS[norm]()
    network = keras.Sequential([keras.Input(x.shape[1:]), layer, keras.layers.Dense(drawn.classes)])
    at_start = reversals(layer, x)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    train(compiled(network, loss, keras.optimizers.Adam(RATE)), (x, y), steps=steps, seed=seed)
    return {START: at_start, TRAINED: reversals(layer, x)}


def measure(run: Run) -> Figures:
    steps = 25 if run.quick else STEPS
    figures: Figures = {}
    for table in TABLES:
        figures[table] = {}
        for norm in LAYERS:
            found = [run.cell(measured, table=table, norm=norm, seed=seed, steps=steps) for seed in run.seeds]
            figures[table][norm] = {
                when: {order: [one[when][order] for one in found] for order in (SAMPLES, FEATURES)}
                for when in (START, TRAINED)
            }
    return figures


def shares(figures: Figures, norm: str, when: str, order: str) -> list[Interval]:
    """Percent of the pairs reversed, for each table."""
    return [interval(found[norm][when][order]) for found in figures.values()]


def judge(figures: Figures) -> Judgement:
    at_start = all(one.mean == 0 for norm in KEPT for one in shares(figures, norm, START, KEPT[norm]))
    destroyed = all(one.mean > 0 for norm in KEPT for one in shares(figures, norm, START, DESTROYED[norm]))
    broken = [norm for norm in KEPT if any(one.low > 0 for one in shares(figures, norm, TRAINED, KEPT[norm]))]
    unsure = [norm for norm in KEPT if any(one.mean > 0 for one in shares(figures, norm, TRAINED, KEPT[norm]))]
    result = (
        f"With gamma and beta as they start, BN reverses {_span(figures, 'BN', START, SAMPLES)} of the pairs of "
        f"samples and {_span(figures, 'BN', START, FEATURES)} of the pairs of features; LN "
        f"{_span(figures, 'LN', START, SAMPLES)} and {_span(figures, 'LN', START, FEATURES)}. Once trained, BN "
        f"reverses {_span(figures, 'BN', TRAINED, SAMPLES)} of the pairs of samples, and LN "
        f"{_span(figures, 'LN', TRAINED, FEATURES)} of the pairs of features: its gamma and beta are a feature's own, "
        f"those of BN keep the order within a feature while gamma is above 0. Means over "
        f"{next(iter(shares(figures, 'BN', START, SAMPLES))).count} draws, lowest and highest of {len(figures)} tables."
    )
    if not at_start or not destroyed:
        return Judgement(Verdict.FAILS, result)
    if not broken:
        return Judgement(Verdict.UNDECIDED if unsure else Verdict.HOLDS, result)
    return Judgement(Verdict.HOLDS_WHEN, result, f"gamma and beta of {listed(broken)} are not trained")


def draw(figures: Figures, figure: Figure) -> None:
    figure.set_size_inches(7.2, 3.2)
    for axes, order in zip(figure.subplots(1, 2, sharey=True), (SAMPLES, FEATURES), strict=True):
        for row, found in enumerate(figures.values()):
            for place, (norm, when) in enumerate((norm, when) for norm in LAYERS for when in (START, TRAINED)):
                share = interval(found[norm][when][order])
                height = row + (place - 1.5) * 0.2
                axes.barh(
                    height,
                    share.mean,
                    0.17,
                    color=colour(norm),
                    alpha=1.0 if when == START else 0.45,
                    label=f"{norm}, {'as it starts' if when == START else when}" if row == 0 else None,
                )
                axes.text(share.mean + 0.8, height, f"{share.mean:.1f}", va="center", fontsize=7.5)
        axes.set_yticks(range(len(figures)), [TABLES.get(table, table) for table in figures])
        axes.set_ylim(len(figures) - 0.5, -0.5)
        axes.set_xlim(0, 60)
        axes.tick_params(axis="y", length=0)
        axes.set(title=order, xlabel="pairs reversed (%)")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9)


def _span(figures: Figures, norm: str, when: str, order: str) -> str:
    means = sorted(one.mean for one in shares(figures, norm, when, order))
    return f"{means[-1]:.1f} %" if means[0] == means[-1] else f"{means[0]:.1f} to {means[-1]:.1f} %"


CLAIM = Claim(
    code="C03",
    statement="Batch normalization keeps the order of samples within a feature and can destroy the order of features "
    "within a sample; layer normalization the other way round.",
    how=f"{COUNTED} samples each of wine, breast cancer and digits (64 pixels as features), drawn anew for every seed, "
    f"through Keras's layers in training mode: as they start, and after {STEPS} steps of Adam at {RATE:g} before a "
    "dense layer that classifies. Counted are the pairs whose order is reversed, of samples in each column and of "
    "features in each row.",
    measure=measure,
    judge=judge,
    draw=draw,
)
