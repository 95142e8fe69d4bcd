"""C13: instance normalization does not see contrast and brightness."""

from __future__ import annotations

import keras
import numpy as np
from matplotlib.figure import Figure

import keras_normpack
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.style import ACCENT, QUIET, TOGETHER, TRAINED, colour
from benchmarks.datasets import parts

CONTRASTS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SMALL, DEFAULT = "IN, epsilon 1e-8", "IN, epsilon 1e-3 (default)"
SHADES = {SMALL: TRAINED, DEFAULT: ACCENT, "LN": QUIET, "BN": TOGETHER}
INVARIANT = 1.0


def measure(run: Run) -> Figures:
    """How far outputs move when every channel of every image gets its own contrast and brightness."""
    images = parts("cifar10", 256, 0, 0).train[0]
    layers = {
        SMALL: keras_normpack.InstanceNormalization(epsilon=1e-8),
        DEFAULT: keras_normpack.InstanceNormalization(),
        "LN": keras.layers.GroupNormalization(1),
        "BN": keras.layers.BatchNormalization(),
    }
    random = np.random.default_rng(0)
    brightness = random.uniform(-0.5, 0.5, (len(images), 1, 1, 3))
    spread = random.uniform(0.8, 1.25, (len(images), 1, 1, 3))
    moved: dict[str, list[float]] = {name: [] for name in layers}
    for contrast in CONTRASTS:
        changed = (contrast * spread * images + brightness).astype("float32")
        for name, layer in layers.items():
            training = {"training": True} if name == "BN" else {}
            before, after = (np.asarray(layer(x, **training)) for x in (images, changed))
            moved[name].append(100 * float(np.sqrt(np.mean((after - before) ** 2) / np.mean(before**2))))
    return {"contrast": list(CONTRASTS), "moved": moved}


def judge(figures: Figures) -> Judgement:
    contrasts, moved = figures["contrast"], figures["moved"]
    exact = max(moved[SMALL])
    invariant = [contrast for contrast, shift in zip(contrasts, moved[DEFAULT], strict=True) if shift < INVARIANT]
    worst = contrasts.index(min(contrasts))
    others = min(min(moved[name]) for name in moved if name not in (SMALL, DEFAULT))
    result = (
        f"With an epsilon of 1e-8 outputs move by at most {exact:.2g} % of their size at contrasts from"
        f" {min(contrasts):g} to {max(contrasts):g} times the original. With the default of 1e-3 they move by"
        f" {moved[DEFAULT][contrasts.index(1.0)]:.1f} % at 1 and by {moved[DEFAULT][worst]:.0f} % at"
        f" {min(contrasts):g}, where the variance is no longer large beside epsilon. LN and BN move by {others:.0f} % and more."
    )
    if exact >= INVARIANT:
        return Judgement(Verdict.FAILS, result)
    if len(invariant) == len(contrasts):
        return Judgement(Verdict.HOLDS, result)
    return Judgement(Verdict.HOLDS_WHEN, result, "the variance of the channel is large beside epsilon")


def draw(figures: Figures, figure: Figure) -> None:
    axes = figure.subplots()
    for name, values in figures["moved"].items():
        axes.plot(figures["contrast"], np.maximum(values, 1e-4), "o-", color=SHADES.get(name, colour(name)), label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("contrast (times the original)")
    axes.set_ylabel("change of the outputs (%)")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))


CLAIM = Claim(
    code="C13",
    statement="Instance normalization removes a sample's contrast and brightness per channel: an affine change of each"
    " channel of the input does not change the output.",
    how="256 images of CIFAR-10 in 0 to 1, every channel of every image multiplied by a contrast (and by 0.8 to 1.25 of"
    " its own) and shifted by -0.5 to 0.5; root mean square of the change of the outputs over that of the outputs. An"
    f" output that moves by less than {INVARIANT:g} % counts as the same.",
    measure=measure,
    judge=judge,
    draw=draw,
    trains=False,
)
