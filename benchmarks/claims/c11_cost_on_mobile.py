"""C11: what batch and layer normalization cost on a phone."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

from advisor.export import export_tflite
from advisor.export.keras_export import keras_export
from advisor.export.signature import read_signature
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.latency import interleaved_seconds, median_milliseconds, median_ratio
from advisor.race.statistics import Interval, interval
from advisor.testing import randomize_weights
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed, verdict_of, with_interval
from benchmarks.claims.style import colour
from benchmarks.mobile_networks import NORMS, SHAPES
from benchmarks.timing import RESULTS

NAMES = {"none": "none", "batch": "BN", "layer": "LN"}
EXPORTS = {"advisor": "exported by the advisor", "keras": "exported by Keras"}
TURNS, SECONDS_A_TURN = 6, 3.0
SAME = 0.03
"""Share by which timings of one and the same file differ."""
COSTS, CHEAPER = "BN costs time in the {} network", "LN is cheaper than BN in the {} network"


def timed(network: str, turns: int) -> Figures:
    """Times of a network with each normalization by that with none, for each export: one for every turn.

    All files take turns on one thread, so that what else the machine does falls on all of them.
    """
    files: dict[str, LiteRTModel] = {}
    operators: dict[str, dict[str, int]] = {export: {} for export in EXPORTS}
    for norm, name in NAMES.items():
        model = randomize_weights(SHAPES[network](NORMS[norm]))
        with tempfile.TemporaryDirectory() as folder:
            report = export_tflite(model, Path(folder) / "model.tflite", verbose=0)
            files[f"advisor {name}"] = LiteRTModel(report.path.read_bytes())
        by_keras = keras_export(model, signature := read_signature(model, None, 1))
        peer = by_keras.load(signature)
        assert peer is not None, f"Keras's export of the {network} network with {name} cannot be run"
        files[f"keras {name}"] = peer
        operators["advisor"][name] = sum(report.operators.values())
        operators["keras"][name] = sum(by_keras.operators.values())
        keras.utils.clear_session()
    image = {"input": np.random.default_rng(0).uniform(size=(1, 64, 64, 3)).astype("float32")}
    rounds = [interleaved_seconds(files, image, budget_seconds=SECONDS_A_TURN) for _ in range(turns)]
    return {
        "milliseconds": {name: median_milliseconds([s for one in rounds for s in one[name]]) for name in files},
        "operators": operators,
        "BN to none": _ratios(rounds, "BN", "none"),
        "LN to none": _ratios(rounds, "LN", "none"),
        "LN to BN": _ratios(rounds, "LN", "BN"),
    }


def _ratios(rounds: list[dict[str, list[float]]], one: str, other: str) -> dict[str, list[float]]:
    return {
        export: [round(median_ratio(turn[f"{export} {one}"], turn[f"{export} {other}"]), 4) for turn in rounds]
        for export in EXPORTS
    }


def committed() -> list[Figures]:
    """Group and instance normalization from the longer measurement of `benchmarks.export`, by folded BN."""
    rows = json.loads((RESULTS / "export.json").read_text("utf-8"))["norms"]["rows"]
    return [
        {
            "network": row["network"],
            "norm": row["norm"],
            "advisor": round(row["to_folded_batch_norm"], 3),
            "keras": round(row["keras_to_folded_batch_norm"], 3),
        }
        for row in rows
        if row["norm"] in ("group", "instance")
    ]


def measure(run: Run) -> Figures:
    turns = 2 if run.quick else TURNS
    return {
        "timed": {network: run.cell(timed, network=network, turns=turns) for network in SHAPES},
        "committed": committed(),
    }


def advantages(figures: Figures) -> dict[str, Interval]:
    """What the claim comes to, on files of the advisor; above 0 for it, beyond what timings differ by."""
    found = figures["timed"]
    costs = {COSTS.format(network): _beyond(one["BN to none"]["advisor"], 1) for network, one in found.items()}
    cheaper = {CHEAPER.format(network): _beyond(one["LN to BN"]["advisor"], -1) for network, one in found.items()}
    return {**costs, **cheaper}


def _beyond(ratios: list[float], sign: int) -> Interval:
    return interval([sign * (ratio - 1) - SAME for ratio in ratios])


def judge(figures: Figures) -> Judgement:
    verdict, holding = verdict_of(advantages(figures))
    found = figures["timed"]
    sentences = [
        f"{network} {_more(one['BN to none']['advisor'])} with BN and {_more(one['LN to none']['advisor'])} with LN"
        for network, one in found.items()
    ]
    more = {
        name: [one["operators"]["advisor"][name] - one["operators"]["advisor"]["none"] for one in found.values()]
        for name in ("BN", "LN")
    }
    by_keras = {name: [interval(one[f"{name} to none"]["keras"]).mean for one in found.values()] for name in more}
    others = {
        norm: [row["advisor"] for row in figures["committed"] if row["norm"] == norm] for norm in ("group", "instance")
    }
    result = (
        f"Time in LiteRT beyond that without normalization, as the advisor exports: {'; '.join(sentences)}. BN folds "
        f"into the convolution before it and leaves {_span(more['BN'], '', '.0f')} operators more than none, LN "
        f"{_span(more['LN'], '', '.0f')}. As Keras exports, {_span(by_keras['BN'], ' times')} that without "
        f"normalization with BN and {_span(by_keras['LN'], ' times')} with LN. By folded BN, group normalization takes "
        f"{_span(others['group'], ' times')} and instance normalization {_span(others['instance'], ' times')} (from "
        f"`benchmarks/results/export.json`)."
    )
    when = f"it says no more than that {listed(holding)}" if verdict is Verdict.HOLDS_WHEN else ""
    return Judgement(verdict, result, when)


def _more(ratios: list[float]) -> str:
    return with_interval(interval([100 * (ratio - 1) for ratio in ratios]), "%", signed=True)


def _span(values: list[float], unit: str, form: str = ".2f") -> str:
    low, high = f"{min(values):{form}}", f"{max(values):{form}}"
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"


def draw(figures: Figures, figure: Figure) -> None:
    networks = list(figures["timed"])
    for axes, (export, title) in zip(figure.subplots(1, 2, sharex=True, sharey=True), EXPORTS.items(), strict=True):
        for shift, name in ((-0.15, "BN"), (0.15, "LN")):
            for row, network in enumerate(networks):
                ratios = figures["timed"][network][f"{name} to none"][export]
                found = interval(ratios)
                axes.plot(ratios, [row + shift] * len(ratios), "o", color=colour(name), alpha=0.45, markersize=4)
                axes.plot([found.low, found.high], [row + shift] * 2, color=colour(name), linewidth=1.2)
                axes.annotate(
                    f"{found.mean:.2f}",
                    (max(ratios), row + shift),
                    (6, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8,
                )
            axes.plot([], [], "o-", color=colour(name), label=name)
        axes.axvline(1, color="black", linewidth=1)
        axes.set_yticks(range(len(networks)), networks)
        axes.set_ylim(len(networks) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.12)
        axes.set(title=title, xlabel="time by that without normalization")
    figure.axes[-1].legend(loc="upper right")


CLAIM = Claim(
    code="C11",
    statement="Batch normalization costs inference time and does not suit mobile; layer normalization is cheaper "
    "there.",
    how="Four convolutional networks for images of 64 × 64 (`benchmarks/mobile_networks.py`) with no normalization, "
    "with BN and with LN behind every convolution, exported by `advisor.export.export_tflite` and by Keras itself, and "
    f"run in LiteRT with XNNPACK on one thread of a server's processor. The files take turns; median of the ratios of "
    f"neighbouring runs, {TURNS} turns of {SECONDS_A_TURN:g} seconds, and the interval over turns. A difference counts "
    f"beyond {SAME:.0%}, by which timings of one and the same file differ.",
    measure=measure,
    judge=judge,
    draw=draw,
    trains=False,
)
