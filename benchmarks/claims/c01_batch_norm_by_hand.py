"""C01: what batch normalization makes of two samples of three features."""

from __future__ import annotations

import keras
import numpy as np
from matplotlib.figure import Figure

from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.tables import draw_tables, printed

X = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
EXPECTED = [[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]
VARIANCE = 2.25
ROUNDING = 1e-5


def measure(run: Run) -> Figures:
    """Keras's layer in training mode, without epsilon, beside the formula."""
    x = np.array(X, dtype="float32")
    layer = keras.layers.BatchNormalization(epsilon=0.0)
    return {"output": np.asarray(layer(x, training=True)).tolist(), "variance": x.var(axis=0).tolist()}


def judge(figures: Figures) -> Judgement:
    error = float(np.abs(np.array(figures["output"]) - EXPECTED).max())
    off = float(np.abs(np.array(figures["variance"]) - VARIANCE).max())
    holds = error < ROUNDING and off < ROUNDING
    result = (
        f"{printed(figures['output'])}, at most {error:.0e} from what is claimed; the variance of the features is "
        f"{', '.join(f'{value:.2f}' for value in figures['variance'])}, and their standard deviation its root, 1.5."
    )
    return Judgement(Verdict.HOLDS if holds else Verdict.FAILS, result)


def draw(figures: Figures, figure: Figure) -> None:
    draw_tables(figure, {"X": X, "batch normalization, along each column": figures["output"]}, ("sample", "feature"))


CLAIM = Claim(
    code="C01",
    statement="X = [[1, 2, 3], [4, 5, 6]]: batch normalization gives [[-1, -1, -1], [1, 1, 1]], by a variance of 2.25",
    how="`keras.layers.BatchNormalization(epsilon=0)` in training mode on X, rows as samples. The figure is often"
    " called a standard deviation; it is the variance.",
    measure=measure,
    judge=judge,
    draw=draw,
    trains=False,
)
