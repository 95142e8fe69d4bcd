"""The page: everything the advisor has to say of a model, in one file that needs no other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

from advisor.facts import Facts
from advisor.figures import as_figure
from advisor.graph import Edit, ModelGraph, read_graph
from advisor.report import wording
from advisor.report.html import charts
from advisor.report.html.blocks import folded
from advisor.report.html.cards import Measured, cards_of
from advisor.report.html.comparison import draw_model
from advisor.report.html.figures import own_style, svg_of
from advisor.report.html.model_drawing import ModelDrawing, Status
from advisor.report.html.model_rows import rows_of
from advisor.report.html.theme import DARK, LIGHT, OF_PAGE, css_variables, themed
from advisor.rewrite import Rewrite
from advisor.rules import Severity
from advisor.rules.examination import Examination
from advisor.training import TrainingPlan
from advisor.training.description import lines_of

FIRST_CHART = 100_000
"""Charts are numbered from here, pictures of the model from 1."""


@dataclass(frozen=True)
class Count:
    """A number of the summary: what it counts, and the colour it has."""

    number: int
    noun: str
    role: str


@dataclass(frozen=True)
class Chart:
    """A chart with what stands below it."""

    svg: str
    caption: str = ""


def to_html(
    examination: Examination,
    plan: TrainingPlan,
    rewrite: Rewrite | None = None,
    *,
    race: Any = None,
    export: Any = None,
) -> str:
    """The report as one HTML page that needs no other file, for light and dark screens and for paper.

    Args:
        examination: What the rules said.
        plan: How to train the rewritten model.
        rewrite: What the rewrite did; with it the model is drawn before and after.
        race: A `RaceResult`, or None.
        export: An `ExportReport`, or None.

    Returns:
        The page.
    """
    with own_style():
        known = _known(examination, plan, rewrite, race, export)
    return str(_template().render(known))


def _known(
    examination: Examination, plan: TrainingPlan, rewrite: Rewrite | None, race: Any, export: Any
) -> dict[str, Any]:
    """All that the page shows, its pictures drawn."""
    facts = examination.facts
    drawing = draw_both(facts.graph, rewrite, examination)
    rows = rows_of(folded(drawing))
    cards = cards_of(examination.findings, facts.graph, rewrite, rows.ids)
    picture = _Pictures()
    return {
        "name": str(facts.graph.model.name),
        "shape": wording.shape_of_model(facts),
        "known": wording.known_of_run(facts),
        "counts": _counts(examination),
        "rewritten": wording.account_of(rewrite) if rewrite else "",
        "findings": examination.findings,
        "cards": cards,
        "card_charts": {card.places[0].number: [picture.of_measured(one) for one in card.measured] for card in cards},
        "drawing": drawing,
        "model": rows,
        "totals": _totals(drawing),
        "on_the_way": _on_the_way(examination, rewrite),
        "curves": picture.of_history(facts),
        "plan": lines_of(plan),
        "race": race,
        "race_charts": picture.of_race(race),
        "export": export,
        "examination": examination,
        "skipped": rewrite.skipped if rewrite else (),
        "missing": wording.missing(examination.not_run),
        "unmeasured": wording.unmeasured(examination.not_measured),
        "version": version("keras-normpack"),
        "light": css_variables(LIGHT),
        "dark": css_variables(DARK),
    }


def draw_both(before: ModelGraph, rewrite: Rewrite | None, examination: Examination) -> ModelDrawing:
    """The drawing of a model and of what a rewrite made of it."""
    if rewrite is None:
        return draw_model(before, findings=examination.findings)
    edits: list[Edit] = [edit for one in rewrite.applied if one.finding.fix for edit in one.finding.fix.edits]
    return draw_model(before, read_graph(rewrite.structure), findings=examination.findings, edits=edits)


def _counts(examination: Examination) -> list[Count]:
    severities = Counter(finding.severity for finding in examination.findings)
    counts = [Count(severities[one], "offer" if one is Severity.INFO else str(one), str(one)) for one in Severity]
    safeties = Counter(finding.fix.safety for finding in examination.findings if finding.fix)
    fixes = [Count(safeties[one], f"{one} fix", "muted") for one in ("exact", "retrain")]
    return [*counts, *fixes]


def _totals(drawing: ModelDrawing) -> dict[str, int]:
    counts = drawing.root.counts()
    return {str(status): counts[status] for status in Status}


def _on_the_way(examination: Examination, rewrite: Rewrite | None) -> list[tuple[str, str]]:
    """Fixes of what was found only in the model that earlier fixes had made."""
    if rewrite is None:
        return []
    known = {(finding.code, finding.layers) for finding in examination.findings}
    later = [one.finding for one in rewrite.applied if (one.finding.code, one.finding.layers) not in known]
    return [(finding.code, finding.fix.title) for finding in later if finding.fix]


class _Pictures:
    """Draws charts, each with a number of its own."""

    def __init__(self) -> None:
        self._number = FIRST_CHART

    def _svg(self, figure: Any, label: str) -> str:
        self._number += 1
        return themed(svg_of(figure), label=label, number=self._number)

    def of_measured(self, measured: Measured) -> Chart:
        figure = charts.bars(measured.bars, unit=measured.unit, threshold=measured.threshold, palette=OF_PAGE)
        said = ", ".join(f"{bar.label} {as_figure(bar.value)}" for bar in measured.bars)
        more = f"; {measured.left_out} smaller ones are not drawn" if measured.left_out else ""
        return Chart(self._svg(figure, f"{measured.name}: {said}"), f"{measured.name} ({measured.basis}{more})")

    def of_history(self, facts: Facts) -> list[Chart]:
        metrics = {name: values for name, values in facts.training.history.items() if values}
        names = [name for name in metrics if not name.startswith("val_")]
        names += [name[4:] for name in metrics if name.startswith("val_") and name[4:] not in names]
        return [
            Chart(
                self._svg(charts.curves(name, metrics, OF_PAGE), f"{name} by epoch in training and validation"),
                _best(f"val_{name}", metrics),
            )
            for name in names
        ]

    def of_race(self, race: Any) -> list[Chart]:
        trained = [one for one in race.standings if one.level is not None] if race is not None else []
        if not trained:
            return []
        metric = f"{race.metric}, %" if race.counts_right_answers else race.metric
        levels = [
            charts.Contestant(
                one.name,
                one.values,
                one.mean,
                *_ends(one.level),
                is_winner=one.name == race.winner,
            )
            for one in trained
        ]
        original = next((one.mean for one in trained if one.name == "original"), None)
        figure = charts.intervals(levels, title=f"{metric} (mean, 95 % interval)", reference=original, palette=OF_PAGE)
        drawn = [
            Chart(self._svg(figure, f"{metric} of each candidate"), "Small dots are the seeds, diamonds their mean.")
        ]
        compared = [one for one in trained if one.difference is not None]
        if compared:
            unit = "points" if race.counts_right_answers else "% of its loss"
            rows = [
                charts.Contestant(
                    one.name, (), one.difference.mean, *_ends(one.difference), is_winner=one.name == race.winner
                )
                for one in compared
            ]
            figure = charts.intervals(
                rows, title=f"difference from the original, {unit} (95 % interval)", reference=0.0, palette=OF_PAGE
            )
            caption = "Right of the line is better. An interval that crosses it supports no claim."
            drawn.append(Chart(self._svg(figure, "difference of each candidate from the original"), caption))
        return drawn


def _best(name: str, metrics: Mapping[str, Sequence[float]]) -> str:
    values = metrics.get(name, ())
    epoch = charts.best_epoch(name, values)
    return (
        ""
        if epoch is None
        else f"{name}: best {as_figure(values[epoch - 1])} in epoch {epoch}, last {as_figure(values[-1])}"
    )


def _ends(interval: Any) -> tuple[float | None, float | None]:
    """The ends of an interval that is known."""
    return (interval.low, interval.high) if interval.half_width < float("inf") else (None, None)


def _coded(text: str) -> Any:
    """Text with the names in backticks as code."""
    from markupsafe import Markup, escape

    parts = re.split(r"`([^`]+)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


@cache
def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("advisor.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["coded"] = _coded
    environment.filters["counted"] = wording.counted
    return environment.get_template("report.html")
