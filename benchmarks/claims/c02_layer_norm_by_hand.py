"""C02: what layer normalization makes of two samples of three features."""

from __future__ import annotations

import keras
import numpy as np
from matplotlib.figure import Figure

from benchmarks.claims.c01_batch_norm_by_hand import ROUNDING, X
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.tables import draw_tables, printed

EXPECTED = [[-(1.5**0.5), 0.0, 1.5**0.5]] * 2
VARIANCE = 2 / 3


def measure(run: Run) -> Figures:
    """Keras's layer, with an epsilon too small to matter, beside the formula."""
    x = np.array(X, dtype="float32")
    layer = keras.layers.LayerNormalization(epsilon=1e-12)
    return {"output": np.asarray(layer(x)).tolist(), "variance": x.var(axis=1).tolist()}


def judge(figures: Figures) -> Judgement:
    error = float(np.abs(np.array(figures["output"]) - EXPECTED).max())
    off = float(np.abs(np.array(figures["variance"]) - VARIANCE).max())
    result = (
        f"{printed(figures['output'])}, at most {error:.0e} from ±√1.5 and 0; the variance of the samples is "
        f"{' and '.join(f'{value:.4f}' for value in figures['variance'])}."
    )
    return Judgement(Verdict.HOLDS if error < ROUNDING and off < ROUNDING else Verdict.FAILS, result)


def draw(figures: Figures, figure: Figure) -> None:
    draw_tables(figure, {"X": X, "layer normalization, along each row": figures["output"]}, ("sample", "feature"))


CLAIM = Claim(
    code="C02",
    statement="Of the same X layer normalization makes ±1.2247 and 0 in each row, by a variance of 2/3.",
    how="`keras.layers.LayerNormalization` on X = [[1, 2, 3], [4, 5, 6]], rows as samples, with an epsilon of 1e-12.",
    measure=measure,
    judge=judge,
    draw=draw,
    trains=False,
)
