"""C17: L1 drives weights to zero and recovers the informative features; L2 only shrinks them."""

from __future__ import annotations

from functools import cache

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from advisor.race.statistics import Interval, interval, paired_difference
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed, with_interval
from benchmarks.claims.restarts import restarted
from benchmarks.claims.style import colour
from benchmarks.datasets import Pair, parts

TABLES = {"breast_cancer": 285, "wine": 89, "diabetes": 221}
"""Rows to train on, half of each table; a quarter chooses the strength, and a quarter is tested on."""
USELESS = 100
STRENGTHS = {"none": (0.0,), "L1": (0.003, 0.02, 0.1), "L2": (0.001, 0.03, 1.0)}
PENALTIES = {"none": None, "L1": keras.regularizers.L1, "L2": keras.regularizers.L2}
SHARES = {
    "near zero": "weights near zero",
    "real kept": "real columns kept",
    "permuted kept": "permuted columns kept",
    "real among heaviest": "real among heaviest",
}
NEAR_ZERO = 0.01
STEPS, RATE = 1000, 0.02


def with_useless_columns(pair: Pair, seed: int) -> Pair:
    """The columns, and permuted copies of them, which tell nothing and look alike."""
    x, y = pair
    generator = np.random.default_rng(seed)
    copies = [generator.permutation(x[:, column % x.shape[1]]) for column in range(USELESS)]
    return np.column_stack([x, *copies]), y


def fitted(table: str, arm: str, seed: int, steps: int) -> Figures:
    """Of the strength that is best on validation rows: weight per column, score in percent, strength."""
    drawn = parts(table, TABLES[table], TABLES[table] // 2, TABLES[table] // 2, seed)
    pairs = [
        with_useless_columns(pair, 10 * seed + part)
        for part, pair in enumerate((drawn.train, drawn.validation, drawn.test))
    ]
    mean, deviation = pairs[0][0].mean(axis=0), pairs[0][0].std(axis=0)
    centre, spread = (0.0, 1.0) if drawn.classes else (pairs[0][1].mean(), pairs[0][1].std())
    train, validation, test = (
        ((x - mean) / deviation, y if drawn.classes else (y - centre) / spread) for x, y in pairs
    )
    tried = [one_fit(train, validation, test, drawn.classes, arm, strength, seed, steps) for strength in STRENGTHS[arm]]
    best = min(tried, key=lambda one: one["validation loss"])
    return {key: value for key, value in best.items() if key != "validation loss"}


def linear(columns: int, classes: int, arm: str, strength: float) -> keras.Model:
    make = PENALTIES[arm]
    dense = layers.Dense(classes or 1, kernel_regularizer=make(strength) if make else None)
    return keras.Sequential([keras.Input((columns,)), dense])


@cache
def trainable(columns: int, classes: int, arm: str, strength: float, steps: int) -> keras.Model:
    model = linear(columns, classes, arm, strength)
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    model.compile(keras.optimizers.Adam(rate), _loss(classes), steps_per_execution=50, jit_compile=False)
    return model


def _loss(classes: int) -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True) if classes else keras.losses.MeanSquaredError()


def one_fit(
    train: Pair, validation: Pair, test: Pair, classes: int, arm: str, strength: float, seed: int, steps: int
) -> Figures:
    """A linear model by full batches, its rate lowered to nothing, so that weights settle."""
    columns = train[0].shape[1]
    keras.utils.set_random_seed(seed)
    beginning = linear(columns, classes, arm, strength)
    model = restarted(trainable(columns, classes, arm, strength, steps), beginning)
    x, y = (np.concatenate([part] * steps) for part in train)
    model.fit(x, y, batch_size=len(train[0]), shuffle=False, verbose=0)
    outputs = {name: model.predict(pair[0], verbose=0) for name, pair in (("validation", validation), ("test", test))}
    weights = np.linalg.norm(keras.ops.convert_to_numpy(model.layers[0].kernel), axis=1)
    return {
        "strength": strength,
        "weights": [round(float(weight), 6) for weight in weights],
        "score": _score(outputs["test"], test[1], classes),
        "validation loss": float(_loss(classes)(validation[1].reshape(-1, 1), outputs["validation"])),
    }


def _score(outputs: np.ndarray, targets: np.ndarray, classes: int) -> float:
    """Accuracy, or explained variance for a regression, in percent."""
    if classes:
        return round(100 * float(np.mean(np.argmax(outputs, axis=-1) == targets)), 2)
    return round(100 * (1 - float(np.mean((outputs[:, 0] - targets) ** 2) / np.var(targets))), 2)


def measure(run: Run) -> Figures:
    steps, tables = (50, ("wine",)) if run.quick else (STEPS, tuple(TABLES))
    return {
        table: {
            arm: [run.cell(fitted, table=table, arm=arm, seed=seed, steps=steps) for seed in run.seeds]
            for arm in STRENGTHS
        }
        for table in tables
    }


def near_zero(one: Figures) -> np.ndarray:
    """Which weights are below a hundredth of the largest."""
    weights = np.array(one["weights"])
    return weights < NEAR_ZERO * weights.max()


def shares(fits: list[Figures], name: str) -> list[float]:
    """In percent, for each seed: weights near zero, real columns kept, permuted kept, or real among the heaviest."""
    found = []
    for one in fits:
        weights, zero = np.array(one["weights"]), near_zero(one)
        real = len(weights) - USELESS
        heaviest = np.argsort(-weights)[:real]
        share = {
            "near zero": zero.mean(),
            "real kept": 1 - zero[:real].mean(),
            "permuted kept": 1 - zero[real:].mean(),
            "real among heaviest": np.mean(heaviest < real),
        }[name]
        found.append(100 * float(share))
    return found


def difference(arms: Figures, ours: tuple[str, str], theirs: tuple[str, str]) -> Interval:
    """Of two shares, each named by its arm."""
    return paired_difference(shares(arms[ours[0]], ours[1]), shares(arms[theirs[0]], theirs[1]))


def judge(figures: Figures) -> Judgement:
    needed: list[Interval] = []
    for arms in figures.values():
        needed.append(difference(arms, ("L1", "near zero"), ("L2", "near zero")))
        needed.append(difference(arms, ("L1", "real kept"), ("L1", "permuted kept")))
        needed.append(paired_difference(_lengths(arms["none"]), _lengths(arms["L2"])))
    heaviest = {
        table: difference(arms, ("L1", "real among heaviest"), ("L2", "real among heaviest"))
        for table, arms in figures.items()
    }
    verdict, when = _verdict(needed, heaviest)
    return Judgement(verdict, " ".join(_sentence(table, arms) for table, arms in figures.items()), when)


def _sentence(table: str, arms: Figures) -> str:
    shrunk = np.mean(_lengths(arms["L2"])) / np.mean(_lengths(arms["none"]))
    scores = [f"{with_interval(interval([one['score'] for one in arms[arm]]))} ({arm})" for arm in ("L1", "L2", "none")]
    return (
        f"{table.replace('_', ' ').capitalize()}: {_percent(arms, 'L1', 'near zero')} of the weights are near zero "
        f"with L1, {_percent(arms, 'L2', 'near zero')} with L2, which shrinks them all to {shrunk:.0%} of their length "
        f"without penalty; L1 keeps {_percent(arms, 'L1', 'real kept')} of the real columns and "
        f"{_percent(arms, 'L1', 'permuted kept')} of the permuted ones; of the heaviest columns, as many as are real, "
        f"{_percent(arms, 'L1', 'real among heaviest')} are real with L1 and "
        f"{_percent(arms, 'L2', 'real among heaviest')} with L2; test scores {listed(scores)}."
    )


def _verdict(needed: list[Interval], heaviest: dict[str, Interval]) -> tuple[Verdict, str]:
    """Zeros, shrinking and telling columns apart make the claim; an order of columns that L2 has better limits it."""
    if any(one.high < 0 for one in needed):
        return Verdict.FAILS, ""
    if not all(one.low > 0 for one in needed):
        return Verdict.UNDECIDED, ""
    if beaten := [table.replace("_", " ") for table, one in heaviest.items() if one.high < 0]:
        return (
            Verdict.HOLDS_WHEN,
            f"columns are only kept or not: by the size of weights L2 orders those of {listed(beaten)} better",
        )
    return Verdict.HOLDS, ""


def _percent(arms: Figures, arm: str, name: str) -> str:
    return with_interval(interval(shares(arms[arm], name)), "%", 0)


def _lengths(fits: list[Figures]) -> list[float]:
    return [float(np.linalg.norm(one["weights"])) for one in fits]


def draw(figures: Figures, figure: Figure) -> None:
    panels = figure.subplots(1, len(figures), sharey=True, squeeze=False)[0]
    for axes, (table, arms) in zip(panels, figures.items(), strict=True):
        for number, arm in enumerate(("L1", "L2")):
            found = [interval(shares(arms[arm], name)) for name in SHARES]
            rows = [row - 0.12 + 0.24 * number for row in range(len(SHARES))]
            widths = [one.half_width for one in found]
            axes.errorbar([one.mean for one in found], rows, xerr=widths, fmt="o", color=colour(arm, number), label=arm)
        axes.set(title=table.replace("_", " "), xlabel="share (%)", xlim=(-5, 105))
    panels[0].set_yticks(range(len(SHARES)), list(SHARES.values()))
    panels[0].set_ylim(len(SHARES) - 0.5, -0.5)
    panels[len(panels) // 2].legend(loc="lower left")


CLAIM = Claim(
    code="C17",
    statement="L1 drives weights to (near) zero and recovers the informative features; L2 only shrinks them.",
    how=f"Linear models on breast cancer (30 columns), wine (13) and diabetes (10), each beside {USELESS} permuted "
    f"copies of its columns, which tell nothing; parts and permutations drawn anew for every seed, {STEPS} full "
    "batches of Adam whose rate ends at 0. The strength of each penalty, of three, is the best on validation rows; the "
    "score is accuracy, or explained variance for diabetes, on test rows. Near zero is below a hundredth of the "
    "largest weight. Columns are recovered if L1 keeps a larger share of the real ones than of the permuted; whether "
    "the heaviest are real is held beside L2.",
    measure=measure,
    judge=judge,
    draw=draw,
)
