"""C13: instance normalization does not see contrast and brightness."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from matplotlib.figure import Figure

import keras_normpack
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.style import ACCENT, PURPLE, QUIET, TOGETHER, TRAINED
from benchmarks.datasets import parts

CONTRASTS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SMALL, DEFAULT, LEVELS = "IN, epsilon 1e-8", "IN, epsilon 1e-3", "IN, epsilon 1e-3, pixels 0 to 255"
INSTANCE = (SMALL, LEVELS, DEFAULT)
SHADES = {SMALL: TRAINED, LEVELS: PURPLE, DEFAULT: ACCENT, "LN": QUIET, "BN": TOGETHER}
LINES = {"BN": "s--"}
"""So that LN shows where it lies under BN."""
INVARIANT = 1.0
"""Percent by which an output may move and still be called the same."""


def _normalizers() -> dict[str, Callable[[np.ndarray], object]]:
    small, default = (keras_normpack.InstanceNormalization(epsilon=epsilon) for epsilon in (1e-8, 1e-3))
    batch = keras.layers.BatchNormalization()
    return {
        SMALL: small,
        LEVELS: lambda x: default(255 * x),
        DEFAULT: default,
        "LN": keras.layers.GroupNormalization(1),
        "BN": lambda x: batch(x, training=True),
    }


def measure(run: Run) -> Figures:
    """How far outputs move when every channel of every image gets its own contrast and brightness."""
    images = parts("cifar10", 256, 0, 0).train[0]
    random = np.random.default_rng(0)
    brightness = random.uniform(-0.5, 0.5, (len(images), 1, 1, 3))
    spread = random.uniform(0.8, 1.25, (len(images), 1, 1, 3))
    moved: dict[str, list[float]] = {}
    for name, normalize in _normalizers().items():
        before = np.asarray(normalize(images))
        shifted = [(contrast * spread * images + brightness).astype("float32") for contrast in CONTRASTS]
        differences = [np.asarray(normalize(x)) - before for x in shifted]
        moved[name] = [100 * float(np.sqrt(np.mean(one**2) / np.mean(before**2))) for one in differences]
    deviation = float(np.sqrt(np.mean(images.var(axis=(1, 2)))))
    return {"contrast": list(CONTRASTS), "moved": moved, "deviation": deviation}


def judge(figures: Figures) -> Judgement:
    contrasts, moved = figures["contrast"], figures["moved"]
    exact = max(moved[SMALL])
    seen = {name: [c for c, share in zip(contrasts, moved[name], strict=True) if share >= INVARIANT] for name in moved}
    worst, same = contrasts.index(min(contrasts)), contrasts.index(1.0)
    result = (
        f"With an epsilon of 1e-8 outputs move by at most {exact:.1g} % of their size, at contrasts from "
        f"{min(contrasts):g} to {max(contrasts):g} times the original. With the default epsilon of 1e-3 they move by "
        f"{moved[DEFAULT][same]:.1f} % at 1 and by {moved[DEFAULT][worst]:.0f} % at {min(contrasts):g} where pixels "
        f"are from 0 to 1, as the deviation of a channel, {figures['deviation']:.2f} on average, is then not large "
        f"beside √epsilon = 0.03; where they are from 0 to 255, by at most {max(moved[LEVELS]):.2g} %. LN moves by "
        f"{min(moved['LN']):.0f} % and more, BN by {min(moved['BN']):.0f} % and more."
    )
    if seen[SMALL]:
        return Judgement(Verdict.FAILS, result)
    if not seen[DEFAULT]:
        return Judgement(Verdict.HOLDS, result)
    return Judgement(Verdict.HOLDS_WHEN, result, "the variance of a channel is large beside epsilon")


def draw(figures: Figures, figure: Figure) -> None:
    axes = figure.subplots()
    for name, values in figures["moved"].items():
        axes.plot(figures["contrast"], values, LINES.get(name, "o-"), color=SHADES[name], markersize=4, label=name)
    axes.axhline(INVARIANT, color="black", linestyle=":", linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(figures["contrast"], [f"{contrast:g}" for contrast in figures["contrast"]])
    axes.minorticks_off()
    axes.set(xlabel="contrast (times the original)", ylabel="change of the outputs (%)\n(dotted: called the same)")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))


CLAIM = Claim(
    code="C13",
    statement="Instance normalization removes a sample's contrast and brightness per channel: an affine change of each "
    "channel of the input does not change the output.",
    how="256 images of CIFAR-10 in 0 to 1, every channel of every image multiplied by a contrast (and by 0.8 to 1.25 "
    "of its own) and shifted by -0.5 to 0.5 of its own; root mean square of the change of the outputs over that of the "
    f"outputs. An output that moves by less than {INVARIANT:g} % is called the same. A contrast below 0 would turn the "
    "output round.",
    measure=measure,
    judge=judge,
    draw=draw,
    trains=False,
)
