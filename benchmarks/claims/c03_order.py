"""C03: whose order batch and layer normalization keep."""

from __future__ import annotations

import keras
import numpy as np
from matplotlib.figure import Figure

from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.style import colour
from benchmarks.datasets import parts

TABLES = ("wine", "breast_cancer", "diabetes")
LAYERS = {"BN": keras.layers.BatchNormalization, "LN": keras.layers.LayerNormalization}
SAMPLES, FEATURES = "samples within a feature", "features within a sample"
KEPT = {"BN": SAMPLES, "LN": FEATURES}
DIRECTIONS = (SAMPLES, FEATURES)


def swapped(before: np.ndarray, after: np.ndarray) -> float:
    """Percent of the pairs in a column, of all columns, that change their order; pairs that are equal do not count."""
    changed = pairs = 0
    for one, other in zip(before.T, after.T, strict=True):
        first, second = (np.sign(values[:, None] - values[None, :]) for values in (one, other))
        changed += int(np.sum(first * second < 0))
        pairs += int(np.sum(first != 0))
    return 100 * changed / pairs


def measure(run: Run) -> Figures:
    figures: Figures = {}
    for table in TABLES:
        x = parts(table, 100, 0, 0).train[0]
        figures[table] = {}
        for norm, layer in LAYERS.items():
            after = np.asarray(layer(epsilon=1e-12)(x, training=True) if norm == "BN" else layer(epsilon=1e-12)(x))
            figures[table][norm] = {SAMPLES: swapped(x, after), FEATURES: swapped(x.T, after.T)}
    return figures


def judge(figures: Figures) -> Judgement:
    kept = max(figures[table][norm][KEPT[norm]] for table in figures for norm in KEPT)
    broken = {norm: [figures[table][norm][_other(norm)] for table in figures] for norm in KEPT}
    result = (
        f"Of pairs of samples within a feature BN swaps at most {max(_all(figures, 'BN', SAMPLES)):.1f} %, LN"
        f" {_span(broken['LN'])}; of pairs of features within a sample LN swaps at most"
        f" {max(_all(figures, 'LN', FEATURES)):.1f} %, BN {_span(broken['BN'])} (on {len(figures)} tables)."
    )
    holds = kept == 0 and min(min(values) for values in broken.values()) > 0
    return Judgement(Verdict.HOLDS if holds else Verdict.FAILS, result)


def draw(figures: Figures, figure: Figure) -> None:
    figure.set_size_inches(7.2, 2.8)
    for axes, direction in zip(figure.subplots(1, 2, sharey=True), DIRECTIONS, strict=True):
        for row, table in enumerate(figures):
            for shift, norm in ((-0.18, "BN"), (0.18, "LN")):
                share = figures[table][norm][direction]
                axes.barh(row + shift, share, 0.32, color=colour(norm), label=norm if row == 0 else None)
                axes.text(share + 0.8, row + shift, f"{share:.1f}", va="center", fontsize=8)
        axes.set_yticks(range(len(figures)), [table.replace("_", " ") for table in figures])
        axes.set_ylim(len(figures) - 0.5, -0.5)
        axes.set_xlim(0, 60)
        axes.set_title(direction)
        axes.set_xlabel("pairs swapped (%)")
    figure.axes[1].legend(loc="lower right")


def _other(norm: str) -> str:
    return FEATURES if KEPT[norm] == SAMPLES else SAMPLES


def _all(figures: Figures, norm: str, direction: str) -> list[float]:
    return [figures[table][norm][direction] for table in figures]


def _span(values: list[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f} %"


CLAIM = Claim(
    code="C03",
    statement="Batch normalization keeps the order of samples within a feature and can destroy the order of features"
    " within a sample; layer normalization the other way round.",
    how="100 samples each of wine, breast cancer and diabetes through Keras's layers as they are at the start of"
    " training. Counted are the pairs whose order is reversed, of samples in each column and of features in each row.",
    measure=measure,
    judge=judge,
    draw=draw,
    trains=False,
)
