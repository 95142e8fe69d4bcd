"""Charts say what they are given; pictures lose their own colours."""

import math
import re

import pytest

from advisor.report.html import charts
from advisor.report.html.charts import Bar, Contestant
from advisor.report.html.figures import own_style, svg_of
from advisor.report.html.theme import LIGHT, OF_PAGE, themed


def drawn(make):
    with own_style():
        return svg_of(make())


def texts(svg):
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def widths(svg, colour):
    """Widths of the filled bars of a colour."""
    found = []
    for path in re.findall(rf'<path d="([^"]+)"[^>]*style="fill: {colour}', svg):
        xs = [float(x) for x in re.findall(r"[ML] ([\d.]+)", path)]
        found.append(max(xs) - min(xs))
    return found


def test_bars_are_as_long_as_their_values_and_the_limit_stands_between():
    rows = [Bar("a", 1.0), Bar("b", 4.0)]
    svg = drawn(lambda: charts.bars(rows, unit="samples", threshold=2.0, palette=LIGHT))
    short, long = widths(svg, LIGHT.own)
    assert long / short == pytest.approx(4, rel=0.01)
    assert {"a", "b", "1 samples", "4 samples", "limit 2"} <= set(texts(svg))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, -3.0, 1e12])
def test_any_figure_can_be_drawn(value):
    svg = drawn(lambda: charts.bars([Bar("x", value), Bar("y", 1.0)], unit="1", threshold=None, palette=LIGHT))
    assert f"{value:.3g}".replace("-", "−") in svg or f"{value:.3g}" in svg


def test_the_best_epoch_is_that_of_the_lowest_loss_or_the_highest_metric():
    assert charts.best_epoch("val_loss", [math.nan, 0.5, 0.4, 0.6]) == 3
    assert charts.best_epoch("val_accuracy", [0.2, 0.9, 0.9]) == 2
    assert charts.best_epoch("val_loss", [math.nan]) is None


def test_curves_of_any_length_are_drawn():
    for values in ([0.5], [math.nan, 0.4], list(range(200))):
        svg = drawn(lambda values=values: charts.curves("loss", {"loss": values, "val_loss": values}, LIGHT))
        assert {"loss", "training", "validation", "epoch"} <= set(texts(svg))


def test_a_candidate_of_one_seed_has_no_interval():
    def lines(low, high):
        row = Contestant("one", (90.0,), 90.0, low, high, is_winner=True)
        return drawn(lambda: charts.intervals([row], title="accuracy", reference=None, palette=LIGHT)).count(LIGHT.own)

    assert lines(None, None) < lines(88.0, 92.0)


def test_a_picture_of_the_page_has_none_of_its_own_colours_or_fonts():
    svg = drawn(lambda: charts.bars([Bar("<a & b>", 1.0)], unit="1", threshold=0.5, palette=OF_PAGE))
    page = themed(svg, label='say "what"', number=7)
    assert "var(--own)" in page
    assert "#fe" not in page
    assert "DejaVu" not in page
    assert "&lt;a &amp; b&gt;" in page
    assert 'aria-label="say &quot;what&quot;"' in page
    assert not re.findall(r'\bid="(?![^"]*-7")', page)
